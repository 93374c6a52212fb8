/* SPDX-License-Identifier: GPL-2.0 */
/* Asking conntrack, and learning from what it let pass. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bandwidth.h"
#include "clock.h"
#include "kernel.h"
#include "network.h"
#include "parse.h"
#include "path.h"
#include "session.h"
#include "types.h"
#include "window.h"

static __always_inline void read_connection(const struct nf_conn *ct, __u8 proto, struct connection *c)
{
	c->status = ct->status;
	c->tcp_state = 0;
	c->stream = 0;
	if (proto == IPPROTO_TCP) {
		c->tcp_state = ct->proto.tcp.state;
		c->scale[IP_CT_DIR_ORIGINAL] = BPF_CORE_READ(ct, proto.tcp.seen[0].td_scale);
		c->scale[IP_CT_DIR_REPLY] = BPF_CORE_READ(ct, proto.tcp.seen[1].td_scale);
	} else if (proto == IPPROTO_UDP) {
		c->stream = BPF_CORE_READ(ct, proto.udp.stream_ts);
	}
	tuple_key(&ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple, &c->original);
	tuple_key(&ct->tuplehash[IP_CT_DIR_REPLY].tuple, &c->reply);
}

/* look_up reads the connection that a packet belongs to; see find_entry. Returns the
 * packet's direction, or -1.
 */
static __always_inline int look_up(struct __sk_buff *skb, const struct flow_key *key, bool reverse, struct connection *c)
{
	struct nf_conn *ct;
	__u32 direction;

	if (!has_ports(key->proto))
		return -1;
	ct = find_entry(skb, key, reverse, &direction);
	if (!ct)
		return -1;
	read_connection(ct, key->proto, c);
	bpf_ct_release(ct);
	return direction;
}

/* known_direction returns the direction of a packet that comes in, of the connection that
 * conntrack has for it; or -1.
 */
__noinline int known_direction(struct __sk_buff *skb, const struct packet *p)
{
	struct nf_conn *ct;
	__u32 direction;

	if (!p || !has_ports(p->key.proto))
		return -1;
	ct = find_entry(skb, &p->key, false, &direction);
	if (!ct)
		return -1;
	bpf_ct_release(ct);
	return direction;
}

/* can_see says whether the kernel lets a program see the connection that it has
 * found a packet to belong to. Before Linux 6.2 conntrack has to be asked.
 */
static __always_inline bool can_see(void)
{
	return exists(bpf_cast_to_kern_ctx) && exists(bpf_rdonly_cast);
}

/* connection_of returns the connection of a packet that leaves. Returns the
 * packet's direction, or -1.
 */
__noinline int connection_of(struct __sk_buff *skb, const struct packet *p, struct connection *c)
{
	struct sk_buff *kernel;
	unsigned long nfct;

	if (!p || !c)
		return -1;
	if (!can_see())
		return p->is & (IS_FIRST_FRAGMENT | IS_LATER_FRAGMENT) ? -1 : look_up(skb, &p->key, true, c);
	kernel = bpf_cast_to_kern_ctx(skb);
	nfct = kernel->_nfct;
	if (!(nfct & ~NFCT_INFOMASK))
		return -1;
	read_connection(bpf_rdonly_cast((void *)(nfct & ~NFCT_INFOMASK), bpf_core_type_id_kernel(struct nf_conn)),
			p->key.proto, c);
	return (nfct & NFCT_INFOMASK) >= IP_CT_IS_REPLY ? IP_CT_DIR_REPLY : IP_CT_DIR_ORIGINAL;
}

/* eventful says whether a packet from the outside, which nobody looked at where
 * it came in, may have made or changed a session: if it is not just one more of
 * an open connection.
 */
static __always_inline bool eventful(struct __sk_buff *skb, const struct packet *p)
{
	struct sk_buff *kernel;
	struct nf_conn *ct;
	unsigned long nfct;

	if (!can_see() || (p->is & IS_ENDING))
		return true;
	kernel = bpf_cast_to_kern_ctx(skb);
	nfct = kernel->_nfct;
	if (!(nfct & ~NFCT_INFOMASK))
		return false;
	if ((nfct & NFCT_INFOMASK) != IP_CT_ESTABLISHED && (nfct & NFCT_INFOMASK) != IP_CT_IS_REPLY)
		return true;
	if (p->key.proto != IPPROTO_TCP)
		return false;
	ct = bpf_rdonly_cast((void *)(nfct & ~NFCT_INFOMASK), bpf_core_type_id_kernel(struct nf_conn));
	return ct->proto.tcp.state != TCP_CONNTRACK_ESTABLISHED;
}

/* bandwidth_of returns the number of the bandwidth that limits the elastic IP of a
 * connection one way; 0 if none does that is held at the network's own uplink.
 */
static __always_inline __u16 bandwidth_of(const struct flow_key *key, const struct flow_key *translated, __u32 inbound)
{
	__be32 elastic_ip = chosen(inbound, key->daddr, translated->saddr);
	struct shaped_address *of = bpf_map_lookup_elem(&shaped, &elastic_ip);

	return of ? of->number[inbound & INBOUND] : 0;
}

/* learn_path notes how a packet of an open connection leaves: in s, the element of its
 * direction; other is that of the other one.
 */
__noinline int learn_path(struct __sk_buff *skb, const struct packet *p, const struct connection *c, struct session *s,
			  struct session *other)
{
	struct gateway_settings *set = get_settings();
	__u32 mtu = 0, ifindex = skb->ifindex, generation, until, inbound;
	struct flow_key key;
	__u8 macs[12], path = 0;

	if (!set || !p || !c || !s || !other)
		return 0;
	generation = generation_of(set);
	/* Paths that were learned together do not all end together. */
	until = ticks() + set->lifetime - (bpf_get_prandom_u32() & (set->lifetime >> 2));
	if (!(c->status & IPS_ASSURED)) {
		if (p->key.proto == IPPROTO_TCP || !(c->status & IPS_SEEN_REPLY) || (__s32)(c->stream - ticks()) < 0)
			return 0;
		if ((__s32)(c->stream - until) < 0)
			until = c->stream;
	}
	if (bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)))
		return 0;
	bpf_check_mtu(skb, 0, &mtu, 0, 0);
	if (!mtu)
		return 0;
	key = s->flow & FLOW_REPLY ? c->reply : c->original;
	inbound = -!!(s->flow & FLOW_INBOUND);
	barrier_var(inbound);
	if (other->generation)
		path |= PATH_PAIRED;
	if (bpf_map_lookup_elem(&devices, &ifindex))
		path |= PATH_XDP;
	if (skb->ingress_ifindex == set->uplink)
		path |= PATH_PUBLIC;
	*(volatile __u32 *)&s->generation = 0;
	barrier();
	__builtin_memcpy(s->dmac, macs, sizeof(macs));
	s->addr = chosen(inbound, p->key.daddr, p->key.saddr);
	s->port = chosen(inbound, p->key.dport, p->key.sport);
	s->ifindex = ifindex;
	s->mtu = mtu > 0xffff ? 0xffff : mtu;
	set_deltas(s, &key, &p->key);
	s->bandwidth = bandwidth_of(&key, &p->key, inbound);
	s->until = until;
	s->path = path;
	barrier();
	*(volatile __u32 *)&s->generation = generation;
	if (other->generation)
		other->path |= PATH_PAIRED;
	return 0;
}

/* settle_timeout makes conntrack keep a TCP connection that it has for
 * established as long as it is worth, where conntrack cannot know: nobody has
 * answered yet; it was reset, by a RST that was right and did not look like it
 * from what conntrack has seen; or it was not, by a RST of which nobody knows.
 */
static __always_inline void settle_timeout(struct __sk_buff *skb, const struct packet *p,
					   const struct gateway_settings *set, const struct connection *c,
					   struct session *original)
{
	__u32 ms = 0;

	if ((original->state & STATE_EXACT) && (p->is & IS_RESET)) {
		__sync_fetch_and_and(&original->state, ~STATE_EXACT);
		if (c->tcp_state == TCP_CONNTRACK_ESTABLISHED)
			__sync_fetch_and_or(&original->state, STATE_RESET);
	}
	if (c->tcp_state != TCP_CONNTRACK_ESTABLISHED)
		return;
	if (!(c->status & IPS_SEEN_REPLY))
		ms = set->transitory;
	if ((original->state & STATE_RESET) && !(p->is & (IS_SYN | IS_RESET)))
		ms = set->reset;
	if ((original->state & STATE_UNSURE) && (p->is & IS_RESET)) {
		__sync_fetch_and_and(&original->state, ~STATE_UNSURE);
		ms = set->established;
	}
	if (ms)
		keep_for(skb, &p->key, true, ms);
}

/* is_unanswered says whether a connection is UDP from outside that nobody has
 * answered.
 */
static __always_inline bool is_unanswered(const struct connection *c, const struct session *original)
{
	return c->original.proto == IPPROTO_UDP && !(c->status & IPS_SEEN_REPLY) &&
	       (original->flow & (FLOW_INBOUND | FLOW_KERNEL)) == FLOW_INBOUND;
}

/* is_plain says whether a packet changes nothing of a connection that conntrack
 * has for established.
 */
static __always_inline bool is_plain(const struct packet *p)
{
	return p->key.proto != IPPROTO_TCP || !(p->is & (IS_SYN | IS_ENDING));
}

/* was_closing says whether another CPU has since given conntrack the packet that
 * closes the connection of this one.
 */
static __always_inline bool was_closing(struct __sk_buff *skb, const struct packet *p)
{
	struct connection c = {};

	return can_see() && p->key.proto == IPPROTO_TCP && connection_of(skb, p, &c) >= 0 &&
	       c.tcp_state != TCP_CONNTRACK_ESTABLISHED;
}

/* learn looks what conntrack made of a packet that leaves: whether it has the
 * session, whether that is closed, and, once it is established, which way its
 * packets go.
 *
 * What conntrack makes of a packet depends on those that it has seen before. The
 * shortcut begins where packets change nothing any more but for how long the
 * connection is kept: TCP is ESTABLISHED, the connection ASSURED, and the packet
 * seen last was neither SYN, FIN nor RST. UDP that is answered changes once more,
 * when it has lasted for two seconds, and gets a path until then.
 *
 * Returns the session's slot, or 0.
 */
__noinline __u32 learn(struct __sk_buff *skb, struct packet *p)
{
	struct gateway_settings *set = get_settings();
	struct session *original, *reply, *mine, *other;
	struct connection c = {};
	int direction;
	__u32 slot;
	bool open;

	if (!set || !p)
		return 0;
	direction = connection_of(skb, p, &c);
	if (direction < 0 || !(c.status & IPS_CONFIRMED) || (c.status & IPS_DYING))
		return 0;
	/* An ICMP error belongs to the connection that it is about. */
	if (p->is & IS_ERROR) {
		original = bpf_map_lookup_elem(&sessions, &c.original);
		return original && !(original->flow & FLOW_REPLY) ? original->slot : 0;
	}
	original = settle(&c, p->is & IS_RESET);
	if (!original)
		return 0;
	slot = original->slot;
	if (p->key.proto == IPPROTO_TCP)
		settle_timeout(skb, p, set, &c, original);
	if (is_unanswered(&c, original))
		keep_unanswered(skb, &p->key, true, set);
	open = is_plain(p) && !(original->state & STATE_RESET) &&
	       (p->key.proto != IPPROTO_TCP || (c.tcp_state == TCP_CONNTRACK_ESTABLISHED && (c.status & IPS_SEEN_REPLY)));
	if (!open)
		__sync_fetch_and_or(&original->state, STATE_CLOSING);
	else if (original->state & STATE_CLOSING)
		__sync_fetch_and_and(&original->state, ~STATE_CLOSING);
	/* The other side's packets are only found by an element of their own. That of
	 * a host's answers has to be there before they are, lest they pass for new.
	 */
	if (!(c.status & IPS_SEEN_REPLY) && !(original->flow & FLOW_INBOUND))
		return slot;
	reply = reply_element(original, &c.reply);
	if (!reply)
		return slot;
	mine = direction == IP_CT_DIR_ORIGINAL ? original : reply;
	other = direction == IP_CT_DIR_ORIGINAL ? reply : original;
	if (is_opening(c.tcp_state)) {
		/* Whatever was known before is of another connection. */
		mine->acked = mine->end = 0;
		other->acked = other->end = 0;
	}
	original->scale = c.scale[IP_CT_DIR_ORIGINAL];
	reply->scale = c.scale[IP_CT_DIR_REPLY];
	note_place_skb(mine, p, skb);
	if (!open) {
		__sync_fetch_and_or(&reply->state, STATE_CLOSING);
		return slot;
	}
	if (reply->state & STATE_CLOSING) {
		__sync_fetch_and_and(&reply->state, ~STATE_CLOSING);
		if (was_closing(skb, p)) {
			__sync_fetch_and_or(&original->state, STATE_CLOSING);
			__sync_fetch_and_or(&reply->state, STATE_CLOSING);
			return slot;
		}
	}
	if ((set->flags & SET_SHORTCUT) && !(original->flow & FLOW_KERNEL) && why_not(p) == STAT_HIT)
		learn_path(skb, p, &c, mine, other);
	return slot;
}
