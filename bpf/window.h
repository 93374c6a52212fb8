/* SPDX-License-Identifier: GPL-2.0 */
/* Where a TCP connection is: noted from the packets of either side, and asked of
 * those that would end it. Conntrack cannot tell, as it does not see the packets
 * that take the shortcut.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "network.h"
#include "parse.h"
#include "path.h"
#include "session.h"
#include "types.h"

/* Who repeats a packet, or has lost some on their way here, is not further away
 * than this.
 */
#define FAR (1 << 24)

/* The largest window without a scale. One may have been announced to the other
 * side that was a little larger than the one that is known.
 */
#define MOST_UNSCALED 65536

/* SYN_DATA is how many bytes a SYN may come with (RFC 7413). */
#define SYN_DATA 1500

/* is_placed says whether it is known where the sender of a direction is. */
static __always_inline bool is_placed(const struct session *s)
{
	return s->acked | s->end;
}

/* room_of is how far the other side may send beyond what a direction's sender has
 * acknowledged.
 */
static __always_inline __u32 room_of(const struct session *s)
{
	return (__u32)s->window << (s->scale & 15);
}

/* placed is where the sender of a direction is. */
struct placed {
	__u32 acked, end;
	__u16 window;
	__u8 scale;
	__u8 pad;
};

static __always_inline void keep_place(const struct flow_key *key, struct placed *p)
{
	struct session *s = bpf_map_lookup_elem(&sessions, key);

	if (!s)
		return;
	p->acked = s->acked;
	p->end = s->end;
	p->window = s->window;
	p->scale = s->scale;
}

static __always_inline void put_place(struct session *s, const struct placed *p)
{
	if (!s || is_placed(s))
		return;
	s->acked = p->acked;
	s->end = p->end;
	s->window = p->window;
	s->scale = p->scale;
}

/* place notes where the sender of a direction is: from a packet of l3_len bytes,
 * or of an skb that stands for several. Memory is written only if that has changed.
 *
 * Who sends from the outside may be somebody who guesses. A host acknowledges no
 * more than the other side may have sent, and its own numbers are near those
 * before.
 */
static __always_inline void place(struct session *s, const struct packet *p, __u32 l3_len)
{
	/* How far it may be ahead, less 1; from who does not guess, anything but what is up to FAR
	 * behind.
	 */
	__u32 most_acked = ~0U - FAR - 1, most_sent = ~0U - FAR - 1;
	__u32 end;

	if (p->key.proto != IPPROTO_TCP ||
	    (p->is & (IS_ACK | IS_RESET | IS_MALFORMED | IS_FIRST_FRAGMENT)) != IS_ACK || l3_len < p->head)
		return;
	end = p->seq + l3_len - p->head + !!(p->is & (IS_SYN | IS_ENDING));
	if (!is_placed(s)) {
		s->window = p->window;
		s->acked = p->acked;
		s->end = end;
		return;
	}
	if (s->flow & FLOW_INBOUND) {
		most_acked = room_of(s) + MOST_UNSCALED - 1;
		most_sent = FAR - 2;
	}
	if (p->acked - s->acked - 1 <= most_acked)
		s->acked = p->acked;
	if (s->acked == p->acked && s->window != p->window)
		s->window = p->window;
	if (end - s->end - 1 <= most_sent)
		s->end = end;
}

static __always_inline void place_skb(struct session *s, const struct packet *p, const struct __sk_buff *skb)
{
	place(s, p, skb->gso_size ? skb->len - sizeof(struct ethhdr) : p->len);
}

/* note_place does so where a function of its own costs little: the verifier follows it once.
 */
__noinline int note_place(struct session *s, const struct packet *p, const __u32 l3_len)
{
	if (s && p)
		place(s, p, l3_len);
	return 0;
}

static __always_inline void note_place_skb(struct session *s, const struct packet *p, const struct __sk_buff *skb)
{
	note_place(s, p, skb->gso_size ? skb->len - sizeof(struct ethhdr) : p->len);
}

/* ends says whether a packet may end its connection. */
static __always_inline bool ends(const struct packet *p)
{
	return p->key.proto == IPPROTO_TCP && (p->is & (IS_ENDING | IS_MALFORMED | IS_LATER_FRAGMENT)) == IS_ENDING;
}

/* keep_for changes how long conntrack keeps the connection of a packet: of one that
 * comes in, or, with reverse, that leaves.
 */
__noinline int keep_for(struct __sk_buff *skb, const struct flow_key *key, __u32 reverse, __u32 ms)
{
	struct nf_conn *ct;
	__u32 direction;

	if (!key)
		return 0;
	ct = find_entry(skb, key, reverse, &direction);
	if (!ct)
		return 0;
	bpf_ct_change_timeout(ct, ms);
	bpf_ct_release(ct);
	return 0;
}

/* keep_unanswered makes conntrack keep UDP from outside that nobody has answered for
 * as long as that is worth: it is nobody's mapping, which had to be kept for longer
 * (RFC 4787, REQ-5). What was answered meanwhile is kept for as long as others.
 */
static __always_inline void keep_unanswered(struct __sk_buff *skb, const struct flow_key *key, bool reverse,
					    const struct gateway_settings *set)
{
	struct nf_conn *ct;
	__u32 direction;

	ct = find_entry(skb, key, reverse, &direction);
	if (!ct)
		return;
	if (!(ct->status & IPS_SEEN_REPLY)) {
		bpf_ct_change_timeout(ct, set->unanswered);
		barrier();
		if (ct->status & IPS_SEEN_REPLY)
			bpf_ct_change_timeout(ct, set->answered);
	}
	bpf_ct_release(ct);
}

/* is_opening says whether conntrack has seen all that there was of a connection. */
static __always_inline bool is_opening(__u8 state)
{
	return state == TCP_CONNTRACK_SYN_SENT || state == TCP_CONNTRACK_SYN_RECV || state == TCP_CONNTRACK_SYN_SENT2;
}

/* tracked is what conntrack has of a TCP connection, for a packet's direction. */
struct tracked {
	struct flow_key other; /* key of the other direction */
	__u32 sent_end;	       /* how far the packet's sender has sent */
	__u32 sent_most;       /* and how far it may */
	__u32 heard_end;       /* how far the receiver has sent */
	__u32 heard_ack;       /* and acknowledged, if heard_flags say so */
	__u32 last_ack, last_end;
	__u8 sent_flags, heard_flags;
	__u8 state, last_dir, last_index;
	__u8 direction;
	__u8 pad[2];
};

/* read_sides fills in what copies of struct ip_ct_tcp_state say. */
static __always_inline void read_sides(struct tracked *t, const void *sent, const void *heard)
{
	t->sent_end = field(sent, struct ip_ct_tcp_state, td_end, __u32);
	t->sent_most = field(sent, struct ip_ct_tcp_state, td_maxend, __u32);
	t->sent_flags = field(sent, struct ip_ct_tcp_state, flags, __u8);
	t->heard_end = field(heard, struct ip_ct_tcp_state, td_end, __u32);
	t->heard_ack = field(heard, struct ip_ct_tcp_state, td_maxack, __u32);
	t->heard_flags = field(heard, struct ip_ct_tcp_state, flags, __u8);
}

#define TCP_SIZE 60 /* of the kernel's struct ip_ct_tcp */

/* track asks conntrack. Returns false if it knows nothing. What it knows of TCP is copied at once,
 * as in tuple_key.
 */
__noinline int track(struct __sk_buff *skb, const struct flow_key *key, struct tracked *t)
{
	__u8 tcp[TCP_SIZE + 4] __attribute__((aligned(8)));
	const void *one, *two;
	struct nf_conn *ct;
	__u32 direction;

	if (!key || !t)
		return false;
	ct = find_entry(skb, key, false, &direction);
	if (!ct)
		return false;
	bpf_probe_read_kernel(tcp, TCP_SIZE, &ct->proto.tcp);
	tuple_key(direction == IP_CT_DIR_ORIGINAL ? &ct->tuplehash[IP_CT_DIR_REPLY].tuple :
						     &ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple, &t->other);
	bpf_ct_release(ct);
	t->direction = direction;
	t->state = field(tcp, struct ip_ct_tcp, state, __u8);
	t->last_dir = field(tcp, struct ip_ct_tcp, last_dir, __u8);
	t->last_index = field(tcp, struct ip_ct_tcp, last_index, __u8);
	t->last_ack = field(tcp, struct ip_ct_tcp, last_ack, __u32);
	t->last_end = field(tcp, struct ip_ct_tcp, last_end, __u32);
	one = (void *)tcp + bpf_core_field_offset(struct ip_ct_tcp, seen[0]);
	two = (void *)tcp + bpf_core_field_offset(struct ip_ct_tcp, seen[1]);
	if (direction == IP_CT_DIR_ORIGINAL)
		read_sides(t, one, two);
	else
		read_sides(t, two, one);
	return true;
}

/* side is what is known of one side of a connection by its session. */
struct side {
	__u32 acked, end; /* as in the session */
	__u32 room;	  /* see room_of */
	__u8 known;	  /* there is an element */
	__u8 placed;	  /* see is_placed */
	__u8 learned;	  /* its packets may have taken the shortcut */
	__u8 pad;
};

/* look_at fills in a side, whose packets have a key. Returns the state of its element. */
__noinline __u32 look_at(const struct flow_key *key, struct side *side)
{
	struct session *s;
	struct flow_key k;

	if (!key || !side)
		return 0;
	k = *key;
	s = bpf_map_lookup_elem(&sessions, &k);
	if (!s)
		return 0;
	side->acked = s->acked;
	side->end = s->end;
	side->room = room_of(s);
	side->known = true;
	side->placed = is_placed(s);
	side->learned = !!s->generation;
	return s->state;
}

/* change_state takes some bits off a session's state, and puts others on, if there is one. */
__noinline int change_state(const struct flow_key *key, __u32 off, __u32 on)
{
	struct session *s;
	struct flow_key k;

	if (!key)
		return 0;
	k = *key;
	s = bpf_map_lookup_elem(&sessions, &k);
	if (!s)
		return 0;
	if (off)
		__sync_fetch_and_and(&s->state, ~off);
	if (on)
		__sync_fetch_and_or(&s->state, on);
	return 0;
}

/* misplaced says whether a RST, or a FIN from the outside, is not where its
 * connection is, so that it is no end of it: it may come from somebody who knows
 * the addresses and ports and guesses the rest (RFC 5961, RFC 7857 section 2.2).
 * It belongs there if it is in the window that its receiver has announced, as
 * the receiver sees it (RFC 9293, section 3.10.7.4).
 *
 * Who receives has been seen by these programs if it is a host of the VPC, and
 * else where there is the shortcut. Otherwise conntrack has seen all packets.
 * Where neither is so (sessions that were made anew with their maps, connections
 * that conntrack has picked up), a RST may pass and ends nothing: see learn.
 */
__noinline int misplaced(struct __sk_buff *skb, struct packet *p, __u32 public)
{
	struct gateway_settings *set = get_settings();
	struct side own = {}, other = {};
	struct flow_key original;
	struct tracked t = {};
	bool reset, shortcut, exact, liberal;
	__u32 ahead, room, state, others;

	if (!set || !p)
		return 0;
	reset = p->is & IS_RESET;
	if ((!reset && !public) || !track(skb, &p->key, &t))
		return 0;
	shortcut = set->flags & SET_SHORTCUT;
	liberal = (t.heard_flags | t.sent_flags) & IP_CT_TCP_FLAG_BE_LIBERAL;
	state = look_at(&p->key, &own);
	original = p->key;
	others = look_at(&t.other, &other);
	if (t.direction != IP_CT_DIR_ORIGINAL) {
		state = others;
		original = t.other;
	}
	if (reset && (state & (STATE_EXACT | STATE_UNSURE)))
		change_state(&original, STATE_EXACT | STATE_UNSURE, 0); /* an earlier one got lost */
	if (is_opening(t.state)) {
		if (!reset)
			return 0;
		/* The answer to a SYN. */
		if ((p->is & IS_ACK) && t.heard_end && t.heard_end - p->acked < SYN_DATA)
			return 0;
		if (t.state == TCP_CONNTRACK_SYN_SENT && t.direction == IP_CT_DIR_REPLY)
			return 1;
		/* The answer to a packet of a connection that one side has forgotten. */
		if (other.placed && p->seq == other.acked)
			return 0;
		if (t.last_index == TCP_ACK_SET && t.last_dir != t.direction && p->seq == t.last_ack)
			return 0;
		room = t.heard_flags & IP_CT_TCP_FLAG_MAXACK_SET ? t.heard_ack : t.sent_end;
		return p->seq - room + SYN_DATA > 2 * SYN_DATA;
	}
	/* Closed is closed. */
	if (t.state == TCP_CONNTRACK_CLOSE || (state & STATE_RESET))
		return 0;
	/* The answer to a SYN for a connection that the sender does not know. */
	if (reset && (p->is & IS_ACK) && t.last_index == TCP_SYN_SET && t.last_dir != t.direction && p->acked == t.last_end)
		return 0;
	if (other.placed && (public || shortcut)) {
		ahead = p->seq - other.acked;
		room = other.room;
		if (!reset) {
			/* One that was acknowledged comes again only after conntrack has
			 * seen it.
			 */
			__s32 end = ahead + p->len - p->head + 1;

			return (__s32)ahead > (__s32)room + 1 ||
			       end <= (t.state == TCP_CONNTRACK_ESTABLISHED ? 0 : -(__s32)room - FAR);
		}
		exact = !ahead || (own.placed && p->seq == own.end);
		/* What conntrack has picked up on the way, it does not know the scale of. */
		if (!exact && !public && liberal)
			goto unsure;
		if (ahead > room)
			return 1;
		/* Conntrack knows by itself where it sees all packets. */
		if (shortcut && exact)
			change_state(&original, 0, STATE_EXACT);
		return 0;
	}
	if (!reset)
		return 0;
	if ((!shortcut || !(own.known | other.known)) && !(own.learned | other.learned) && !liberal &&
	    (t.heard_flags & IP_CT_TCP_FLAG_MAXACK_SET))
		return p->seq - t.heard_ack > t.sent_most - t.heard_ack;
unsure:
	/* Its sender's own place is known all the same. */
	if (!public && own.placed && own.end - p->seq > FAR)
		return 1;
	change_state(&original, 0, STATE_UNSURE);
	return 0;
}

/* is_new_start says whether a packet opens a connection where one was reset. */
static __always_inline bool is_new_start(const struct session *s, const struct packet *p)
{
	return (s->state & STATE_RESET) && (p->is & (IS_SYN | IS_ACK | IS_MALFORMED)) == IS_SYN;
}

/* begin_anew has conntrack forget a connection that was reset where it was, if the
 * same side opens another with the same ports: as conntrack does by itself where
 * it has seen that the RST was right.
 */
__noinline int begin_anew(struct __sk_buff *skb, struct packet *p)
{
	struct tracked t = {};

	if (p && track(skb, &p->key, &t) && t.direction == IP_CT_DIR_ORIGINAL && t.state == TCP_CONNTRACK_ESTABLISHED &&
	    t.last_index == TCP_RST_SET && t.last_dir == IP_CT_DIR_ORIGINAL)
		keep_for(skb, &p->key, false, 0);
	return 0;
}

/* is_tiny says whether a packet is the beginning of TCP that is too short to say
 * whether it ends its connection: nobody has reason to send such (RFC 1858).
 */
static __always_inline bool is_tiny(struct __sk_buff *skb)
{
	struct iphdr ip;

	return skb->protocol == bpf_htons(ETH_P_IP) && !bpf_skb_load_bytes(skb, sizeof(struct ethhdr), &ip, sizeof(ip)) &&
	       ip.version == 4 && ip.protocol == IPPROTO_TCP && (ip.frag_off & bpf_htons(IP_MF)) &&
	       !(ip.frag_off & bpf_htons(IP_OFFSET)) && bpf_ntohs(ip.tot_len) < ip.ihl * 4 + sizeof(struct tcphdr);
}
