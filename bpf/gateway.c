//go:build ignore

// SPDX-License-Identifier: GPL-2.0
/* The programs at the links of a network: VSwitches and uplink.
 *
 *	ingress  finds the packet's session, or asks whether there may be one more;
 *	         forwards what has a path; tells egress about the rest
 *	egress   counts what took the kernel's path, and learns from it
 *	xdp      forwards what has a path, where the links can do that; the rest
 *	         goes on to ingress
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "count.h"
#include "kernel.h"
#include "learn.h"
#include "limit.h"
#include "network.h"
#include "parse.h"
#include "path.h"
#include "session.h"
#include "types.h"
#include "window.h"

/* next lets the programs after this one and the kernel have the packet. */
#define NEXT TC_ACT_UNSPEC

/* forward translates a packet and sends it out by its path. */
static __always_inline int forward(struct __sk_buff *skb, const struct packet *p, const struct translation *t)
{
	void *data, *data_end;
	struct ethhdr *eth;
	struct iphdr *ip;
	__be16 *ports;
	__u32 l4 = sizeof(*eth) + sizeof(*ip);
	__u32 at = l4 + (p->key.proto == IPPROTO_TCP ? offsetof(struct tcphdr, check) : offsetof(struct udphdr, check));
	__u64 flags = p->key.proto == IPPROTO_TCP ? 0 : BPF_F_MARK_MANGLED_0;

	/* The helpers know whether the checksum is whole, partial, or none. The
	 * addresses are in the pseudo header, the ports are not.
	 */
	if (t->saddr != p->key.saddr)
		bpf_l4_csum_replace(skb, at, p->key.saddr, t->saddr, BPF_F_PSEUDO_HDR | flags | 4);
	if (t->daddr != p->key.daddr)
		bpf_l4_csum_replace(skb, at, p->key.daddr, t->daddr, BPF_F_PSEUDO_HDR | flags | 4);
	if (t->sport != p->key.sport)
		bpf_l4_csum_replace(skb, at, p->key.sport, t->sport, flags | 2);
	if (t->dport != p->key.dport)
		bpf_l4_csum_replace(skb, at, p->key.dport, t->dport, flags | 2);
	data = (void *)(long)skb->data;
	data_end = (void *)(long)skb->data_end;
	eth = data;
	ip = (void *)(eth + 1);
	ports = (void *)(ip + 1);
	if ((void *)(ports + 2) > data_end)
		return TC_ACT_SHOT;
	__builtin_memcpy(eth, t->macs, sizeof(t->macs));
	translate_ip(ip, t);
	ports[0] = t->sport;
	ports[1] = t->dport;
	skb->mark = MARK_SHORTCUT;
	return bpf_redirect(t->ifindex, 0);
}

/* fits says whether the packet, or each that it stands for, is small enough. */
static __always_inline bool fits(struct __sk_buff *skb, const struct packet *p, __u32 mtu)
{
	if (skb->gso_size)
		return skb->gso_size + p->head <= mtu;
	return p->len <= mtu;
}

/* shortcut forwards a packet if its session has a path for it: TC_ACT_REDIRECT.
 * Else NEXT, and why is set.
 */
static __always_inline int shortcut(struct __sk_buff *skb, const struct packet *p, struct session *s,
				    const struct gateway_settings *set, bool public, __u32 *why)
{
	__u32 len = skb->len - sizeof(struct ethhdr);
	struct translation t;

	*why = why_not(p);
	if (*why == STAT_HIT)
		*why = unusable(s, set);
	/* The IP header need not say how long an skb is that stands for several. */
	if (*why == STAT_HIT && !(skb->gso_size ? p->head <= len : whole(p, len)))
		*why = STAT_MISS_OTHER;
	if (*why == STAT_HIT && !fits(skb, p, s->mtu))
		*why = STAT_MISS_MTU;
	if (*why == STAT_HIT && (!(s->path & PATH_PUBLIC) != !public || !read_path(s, set, &p->key, &t)))
		*why = STAT_MISS_OTHER;
	if (*why != STAT_HIT)
		return NEXT;
	place_skb(s, p, skb);
	count_skb(skb, p, s->slot, s->flow & FLOW_INBOUND, true);
	return forward(skb, p, &t);
}

/* read_packet parses, after making the headers linear if they are not. */
static __always_inline bool read_packet(struct __sk_buff *skb, struct packet *p)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;

	if (skb->protocol != bpf_htons(ETH_P_IP) || skb->vlan_present)
		return false;
	if (data + sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr) > data_end) {
		bpf_skb_pull_data(skb, skb->len < 128 ? skb->len : 128);
		data = (void *)(long)skb->data;
		data_end = (void *)(long)skb->data_end;
	}
	return parse(data, data_end, p);
}

/* session_index returns what egress is told of a packet that has a session. With
 * the shortcut, there is always something to learn: few packets get that far.
 */
static __always_inline __u32 session_index(const struct session *s, const struct packet *p, const struct gateway_settings *set)
{
	if ((set->flags & SET_SHORTCUT) || (p->is & (IS_SYN | IS_ENDING)) || (s->state & (STATE_CLOSING | STATE_CLOSED)))
		return s->slot | INDEX_CHECK;
	return s->slot;
}

/* hairpin_index does so for a packet from one host of the VPC to another. It is
 * counted for both; the sender is known only before translation.
 */
static __always_inline __u32 hairpin_index(const struct packet *p, __u32 index)
{
	__u32 *slot = bpf_map_lookup_elem(&slots, &p->key.saddr);

	return (index & ~INDEX_SLOT) | (slot ? *slot : 0) | INDEX_HAIRPIN;
}

/* opens says whether a packet without a session can open one. What else there
 * is belongs to one, or is dropped by conntrack's own rules.
 */
static __always_inline bool opens(const struct packet *p)
{
	if (p->is & (IS_LATER_FRAGMENT | IS_MALFORMED))
		return false;
	switch (p->key.proto) {
	case IPPROTO_ICMP:
		return p->is & IS_QUERY;
	case IPPROTO_TCP:
		return !(p->is & IS_ENDING) && (p->is & (IS_SYN | IS_ACK)) != (IS_SYN | IS_ACK) &&
		       (p->is & (IS_SYN | IS_ACK));
	}
	return true;
}

/* by_uplink says whether a packet to the outside leaves by the uplink. */
static __always_inline bool by_uplink(struct __sk_buff *skb, const struct packet *p, const struct gateway_settings *set)
{
	struct bpf_fib_lookup route = {};

	if (!(set->flags & SET_ROUTES))
		return true;
	route.family = AF_INET;
	route.ifindex = skb->ifindex;
	route.ipv4_src = p->key.saddr;
	route.ipv4_dst = p->key.daddr;
	route.l4_protocol = p->key.proto;
	route.tot_len = 0;
	if (bpf_fib_lookup(skb, &route, sizeof(route), 0) < 0)
		return true;
	return route.ifindex == set->uplink;
}

static __always_inline bool within(__be32 addr, __be32 prefix, __be32 mask)
{
	return (addr & mask) == prefix;
}

/* refuse ends a packet that is one too many. */
static __always_inline int refuse(struct __sk_buff *skb, const struct gateway_settings *set, __u32 why)
{
	count_stat(why);
	if (!(set->flags & SET_REJECT))
		return TC_ACT_SHOT;
	skb->mark = MARK_REFUSED;
	return NEXT;
}

/* renew lets a SYN begin a closed session anew, if there is a place for it: 0, or
 * STAT_REFUSED_.
 */
static __always_inline __u32 renew(struct gateway_state *g, const struct gateway_settings *set,
				   const struct flow_key *key, struct session *s)
{
	__u32 old, why = admit(g, set, key, s, true);
	struct address *a;

	if (why)
		return why;
	old = s->state;
	if ((old & (STATE_CLOSED | STATE_DEAD)) != STATE_CLOSED ||
	    __sync_val_compare_and_swap(&s->state, old, STATE_CONFIRMED | (old & STATE_RESET)) != old) {
		dismiss(g, key, s);
		return 0;
	}
	/* Conntrack may translate the new connection otherwise. */
	*(volatile __u32 *)&s->generation = 0;
	add_opened(s->kind, s->slot);
	a = address_of(s->slot);
	if (a)
		__sync_fetch_and_add(&a->open, 1);
	return 0;
}

/* renews says whether a packet begins its session, which is closed, anew. */
static __always_inline bool renews(const struct packet *p, const struct session *s)
{
	return (p->is & (IS_SYN | IS_ACK | IS_MALFORMED)) == IS_SYN && (s->state & STATE_CLOSED) && !(s->flow & FLOW_REPLY);
}

/* crowd sees to it that a packet without a session makes no entry in conntrack's
 * table when there is no room for it. Conntrack alone knows whether it would, and
 * can be asked for TCP and UDP; of other protocols nftables drops what is new.
 */
static __always_inline int crowd(struct __sk_buff *skb, const struct packet *p)
{
	struct connection c = {};

	if (room(CLASS_OTHERS))
		return NEXT;
	if (!has_ports(p->key.proto) || (p->is & (IS_LATER_FRAGMENT | IS_FIRST_FRAGMENT))) {
		skb->mark = MARK_CROWDED;
		return NEXT;
	}
	if (look_up(skb, &p->key, false, &c) >= 0)
		return NEXT;
	count_stat(STAT_REFUSED_TABLE);
	return TC_ACT_SHOT;
}

/* begin makes the session of a packet from a VSwitch that opens one to the
 * outside. It runs before conntrack, so that what is refused costs nothing more.
 */
__noinline int begin(struct __sk_buff *skb, struct packet *p)
{
	struct gateway_settings *set = get_settings();
	struct gateway_state *g = get_gateway();
	struct connection c = {};
	struct session s = {};
	bool limited = true;
	__u32 why;
	long err;

	if (!set || !g || !p)
		return NEXT;
	s.kind = kind_of(p->key.saddr);
	if (s.kind == KIND_NONE || !by_uplink(skb, p, set))
		return crowd(skb, p);
	if (s.kind == KIND_ELASTIC)
		s.flow = FLOW_BY_HOST;
	/* Conntrack has the last word on what is new: its entry may be older than
	 * these programs, and this may be the answer of a host that was called.
	 */
	if (!(p->is & IS_SYN)) {
		int direction = look_up(skb, &p->key, false, &c);

		if (direction == IP_CT_DIR_REPLY)
			return NEXT;
		if (direction == IP_CT_DIR_ORIGINAL) {
			limited = false;
			s.state = STATE_CONFIRMED;
		}
	}
	if (!can_see() && !has_ports(p->key.proto))
		s.state = STATE_CONFIRMED; /* there is no way to find out */
	if (limited) {
		why = admit(g, set, &p->key, &s, false);
		if (why)
			return refuse(skb, set, why);
	}
	s.slot = slot_of(p->key.saddr);
	s.until = ticks();
	place_skb(&s, p, skb);
	err = insert_session(g, &p->key, &s, limited);
	if (err && limited)
		dismiss(g, &p->key, &s);
	if (err && err != -EEXIST && limited)
		return refuse(skb, set, STAT_REFUSED_MEMORY);
	skb->tc_index = s.slot | INDEX_CHECK;
	return NEXT;
}

/* answers says whether a packet from the outside that conntrack cannot be asked
 * for answers what the host behind an elastic IP has opened.
 */
static __always_inline bool answers(const struct packet *p, __be32 private)
{
	struct flow_key k = {};

	if (has_ports(p->key.proto))
		return false;
	k.saddr = private;
	k.daddr = p->key.saddr;
	k.sport = p->key.dport;
	k.dport = p->key.sport;
	k.proto = p->key.proto;
	return bpf_map_lookup_elem(&sessions, &k) != NULL;
}

/* begin_inbound makes the session of a packet that opens one to an elastic IP:
 * from the outside, or, with hairpin, from a host of the VPC. It runs before
 * conntrack, too. What is refused from outside is dropped in silence.
 */
__noinline int begin_inbound(struct __sk_buff *skb, struct packet *p, __u32 hairpin)
{
	struct gateway_settings *set = get_settings();
	struct gateway_state *g = get_gateway();
	struct connection c = {};
	struct session s = {};
	__u64 entry;
	__be32 private;
	bool limited = true;
	__u32 why = 0;
	long err;

	if (!set || !g || !p)
		return NEXT;
	entry = entry_of(&p->key);
	private = entry;
	s.flow = entry >> 32;
	if (!private || answers(p, private))
		return NEXT;
	s.flow |= FLOW_INBOUND | (hairpin ? FLOW_KERNEL : 0);
	s.kind = kind_of(private) == KIND_ELASTIC ? KIND_ELASTIC : KIND_DNAT;
	if (!(p->is & IS_SYN)) {
		int direction = look_up(skb, &p->key, false, &c);

		if (direction == IP_CT_DIR_REPLY)
			return NEXT;
		if (direction == IP_CT_DIR_ORIGINAL) {
			limited = false;
			s.state = STATE_CONFIRMED;
		}
	}
	if (!can_see() && !has_ports(p->key.proto))
		s.state = STATE_CONFIRMED; /* there is no way to find out */
	if (limited)
		why = admit(g, set, &p->key, &s, false);
	if (!why) {
		s.slot = slot_of(private);
		s.until = ticks();
		place_skb(&s, p, skb);
		err = insert_session(g, &p->key, &s, limited);
		if (err && limited)
			dismiss(g, &p->key, &s);
		if (err && err != -EEXIST && limited)
			why = STAT_REFUSED_MEMORY;
	}
	if (!why) {
		if (!hairpin)
			skb->tc_index = s.slot | INDEX_CHECK;
		return NEXT;
	}
	if (hairpin)
		return refuse(skb, set, why);
	count_stat(why);
	return TC_ACT_SHOT;
}

/* From a VSwitch. */
SEC("tc")
int switch_ingress(struct __sk_buff *skb)
{
	struct gateway_settings *set = get_settings();
	struct gateway_state *g = get_gateway();
	struct packet p;
	struct session *s;
	__u32 why = STAT_MISS_OTHER, index, *slot;
	int verdict;

	if (!set || !g || !read_packet(skb, &p))
		return NEXT;
	/* Within the VPC nothing is translated. */
	if (within(p.key.daddr, set->vpc, set->vpc_mask))
		return crowd(skb, &p);
	if (ends(&p) && misplaced(skb, &p, false)) {
		count_stat(STAT_OUT_OF_WINDOW);
		return TC_ACT_SHOT;
	}
	if (!(p.is & IS_LATER_FRAGMENT)) {
		s = bpf_map_lookup_elem(&sessions, &p.key);
		if (s) {
			if (set->flags & SET_SHORTCUT) {
				verdict = shortcut(skb, &p, s, set, false, &why);
				if (verdict != NEXT)
					return verdict;
				count_stat(why);
			}
			place_skb(s, &p, skb);
			if (is_new_start(s, &p))
				begin_anew(skb, &p);
			index = session_index(s, &p, set);
			if (s->flow & FLOW_KERNEL)
				index = hairpin_index(&p, index);
			skb->tc_index = index;
			if (renews(&p, s)) {
				why = renew(g, set, &p.key, s);
				if (why)
					return refuse(skb, set, why);
			}
			return NEXT;
		}
	}
	if (set->flags & SET_SHORTCUT) {
		why = why_not(&p);
		count_stat(why == STAT_HIT ? STAT_MISS_NEW : why);
	}
	slot = bpf_map_lookup_elem(&slots, &p.key.saddr);
	index = (slot ? *slot : 0) | INDEX_CHECK;
	skb->tc_index = index;
	/* To a neighbour by way of an elastic IP. */
	if (within(p.key.daddr, set->public, set->public_mask) && bpf_map_lookup_elem(&elastic, &p.key.daddr)) {
		skb->tc_index = index | INDEX_HAIRPIN;
		return opens(&p) ? begin_inbound(skb, &p, true) : NEXT;
	}
	if (!opens(&p) || (p.key.daddr & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) || p.key.daddr == 0xffffffff)
		return NEXT;
	return begin(skb, &p);
}

/* To a VSwitch. */
SEC("tc")
int switch_egress(struct __sk_buff *skb)
{
	struct gateway_settings *set = get_settings();
	struct packet p;
	__u32 index = skb->tc_index, *slot;
	bool public;

	if (!set || skb->mark == MARK_SHORTCUT)
		return NEXT;
	public = skb->ingress_ifindex == set->uplink;
	if (!public && !(index & INDEX_HAIRPIN))
		return NEXT;
	if (!read_packet(skb, &p))
		return NEXT;
	if ((index & INDEX_CHECK) || (!index && eventful(skb, &p)))
		learn(skb, &p);
	if (!public && (index & INDEX_SLOT))
		count_skb(skb, &p, index & INDEX_SLOT, false, false);
	if (public && (index & INDEX_SLOT)) {
		count_skb(skb, &p, index & INDEX_SLOT, true, false);
		return NEXT;
	}
	slot = bpf_map_lookup_elem(&slots, &p.key.daddr);
	if (slot)
		count_skb(skb, &p, *slot, true, false);
	return NEXT;
}

/* From the outside. */
SEC("tc")
int uplink_ingress(struct __sk_buff *skb)
{
	struct gateway_settings *set = get_settings();
	struct gateway_state *g = get_gateway();
	struct packet p;
	struct session *s = NULL;
	__u32 why = STAT_MISS_OTHER;
	int verdict;

	if (!set || !g)
		return NEXT;
	if (!read_packet(skb, &p))
		return is_tiny(skb) ? TC_ACT_SHOT : NEXT;
	if (ends(&p) && misplaced(skb, &p, true)) {
		count_stat(STAT_OUT_OF_WINDOW);
		return TC_ACT_SHOT;
	}
	if (!(p.is & IS_LATER_FRAGMENT))
		s = bpf_map_lookup_elem(&sessions, &p.key);
	if (!s) {
		if (set->flags & SET_SHORTCUT) {
			why = why_not(&p);
			count_stat(why == STAT_HIT ? STAT_MISS_NEW : why);
		}
		if ((set->flags & SET_SHORTCUT) || !can_see())
			skb->tc_index = INDEX_CHECK;
		return opens(&p) ? begin_inbound(skb, &p, false) : NEXT;
	}
	if (set->flags & SET_SHORTCUT) {
		verdict = shortcut(skb, &p, s, set, true, &why);
		if (verdict != NEXT)
			return verdict;
		count_stat(why);
		place_skb(s, &p, skb);
		if (is_new_start(s, &p))
			begin_anew(skb, &p);
	}
	/* Without the shortcut egress sees by itself what there is to learn. */
	if ((set->flags & SET_SHORTCUT) || !can_see())
		skb->tc_index = session_index(s, &p, set);
	if (renews(&p, s)) {
		why = renew(g, set, &p.key, s);
		if (why) {
			count_stat(why);
			return TC_ACT_SHOT;
		}
	}
	return NEXT;
}

/* Out of a tunnel, whose link has no Ethernet header: what is new when there is no
 * room is left to nftables to drop.
 */
SEC("tc")
int tunnel_ingress(struct __sk_buff *skb)
{
	if (!room(CLASS_OTHERS))
		skb->mark = MARK_CROWDED;
	return NEXT;
}

/* To the outside. */
SEC("tc")
int uplink_egress(struct __sk_buff *skb)
{
	__u32 index = skb->tc_index;
	struct packet p;

	if (!index || skb->mark == MARK_SHORTCUT)
		return NEXT;
	if (!(index & INDEX_CHECK) && !skb->gso_size) {
		count_volume(index & INDEX_SLOT, false, skb->len - sizeof(struct ethhdr), 1, false);
		return NEXT;
	}
	if (!read_packet(skb, &p))
		return NEXT;
	if (index & INDEX_CHECK)
		learn(skb, &p);
	if (index & INDEX_SLOT)
		count_skb(skb, &p, index & INDEX_SLOT, false, false);
	return NEXT;
}

/* A checksum that the sender left for the device to complete holds the sum of
 * the pseudo header. XDP cannot tell it by other means; one of 65,536 whole
 * checksums looks the same, and takes the longer way, too.
 */
static __always_inline bool is_partial(const struct packet *p, __sum16 check)
{
	return fold(words(p->key.saddr) + words(p->key.daddr) + bpf_htons(p->key.proto) +
		    bpf_htons(p->len - sizeof(struct iphdr))) == check;
}

static __always_inline int xdp(struct xdp_md *ctx, bool public)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct gateway_settings *set = get_settings();
	struct translation t;
	struct packet p;
	struct session *s;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	__be16 *ports = (void *)(ip + 1);
	__sum16 *check;

	if (!set || !(set->flags & SET_SHORTCUT) || !parse(data, data_end, &p) || why_not(&p) != STAT_HIT)
		return XDP_PASS;
	s = bpf_map_lookup_elem(&sessions, &p.key);
	if (!s || unusable(s, set) != STAT_HIT || !whole(&p, data_end - (void *)ip) || p.len > s->mtu ||
	    !(s->path & PATH_XDP) || !(s->path & PATH_PUBLIC) != !public || !read_path(s, set, &p.key, &t))
		return XDP_PASS;
	if (p.key.proto == IPPROTO_TCP)
		check = (void *)ports + offsetof(struct tcphdr, check);
	else
		check = (void *)ports + offsetof(struct udphdr, check);
	if ((void *)(check + 1) > data_end || is_partial(&p, *check))
		return XDP_PASS;
	if (p.key.proto == IPPROTO_TCP || *check) {
		*check = added(*check, t.l4_delta);
		/* 0 would say that a UDP packet has no checksum (RFC 768). */
		if (p.key.proto == IPPROTO_UDP && !*check)
			*check = 0xffff;
	}
	__builtin_memcpy(eth, t.macs, sizeof(t.macs));
	translate_ip(ip, &t);
	ports[0] = t.sport;
	ports[1] = t.dport;
	place(s, &p, p.len);
	count_volume(s->slot, s->flow & FLOW_INBOUND, p.len, 1, true);
	return bpf_redirect(t.ifindex, 0);
}

/* From a VSwitch. */
SEC("xdp")
int switch_xdp(struct xdp_md *ctx)
{
	return xdp(ctx, false);
}

/* From the outside. */
SEC("xdp")
int uplink_xdp(struct xdp_md *ctx)
{
	return xdp(ctx, true);
}

static __always_inline void remove_entry(struct gateway_state *g, const struct entry *e)
{
	struct session *s = bpf_map_lookup_elem(&sessions, &e->original);

	if (s && !(s->flow & FLOW_REPLY))
		remove_session(g, &e->original, s);
	s = bpf_map_lookup_elem(&sessions, &e->reply);
	if (s && (s->flow & FLOW_REPLY))
		remove_session(g, &e->reply, s);
}

/* spare lets a connection end now, if it is closed: it is so still when the one
 * that has the same ends begins anew.
 */
static __always_inline void spare(struct __sk_buff *skb, const struct flow_key *key)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_ct_opts opts = {.netns_id = CURRENT_NETNS, .l4proto = IPPROTO_TCP};
	struct nf_conn *ct;

	tuple.ipv4.saddr = key->saddr;
	tuple.ipv4.daddr = key->daddr;
	tuple.ipv4.sport = key->sport;
	tuple.ipv4.dport = key->dport;
	ct = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
	if (!ct)
		return;
	if (ct->proto.tcp.state == TCP_CONNTRACK_TIME_WAIT || ct->proto.tcp.state == TCP_CONNTRACK_CLOSE)
		bpf_ct_change_timeout(ct, 0);
	bpf_ct_release(ct);
}

/* attend_one looks after one session. What conntrack has is made what it is
 * there; what it has not is removed. That of a connection which has ended is
 * removed before conntrack is asked, since the next one between the same ends
 * may be there already, and is another session; where that is, is kept.
 */
static long attend_one(__u32 i, void *context)
{
	struct __sk_buff *skb = *(struct __sk_buff **)context;
	struct gateway_state *g = get_gateway();
	struct placed original = {}, reply = {};
	struct connection c = {};
	struct session *s;
	struct entry e;

	if (!g || bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + i * sizeof(e), &e, sizeof(e)))
		return 1;
	if (e.spare) {
		spare(skb, &e.original);
		return 0;
	}
	if (e.ended) {
		keep_place(&e.original, &original);
		keep_place(&e.reply, &reply);
		remove_entry(g, &e);
	}
	if (look_up(skb, &e.original, false, &c) < 0) {
		if (!e.status || has_ports(e.original.proto)) {
			remove_entry(g, &e);
			return 0;
		}
		c.original = e.original;
		c.reply = e.reply;
		c.status = e.status;
	}
	if (!(c.status & IPS_CONFIRMED))
		return 0;
	s = settle(g, &c, false);
	if (s && e.ended && c.original.proto == IPPROTO_TCP) {
		put_place(s, &original);
		put_place(reply_element(g, s, &c.reply), &reply);
	}
	return 0;
}

/* User space runs this, in the network's namespace, with a frame of an Ethernet
 * header and up to ENTRIES of struct entry: sessions that conntrack has told
 * it of, or that it found amiss; or connections that are to make room. Only here the question to conntrack and its
 * consequence are not apart.
 */
SEC("tc")
int attend(struct __sk_buff *skb)
{
	__u32 n = (skb->len - sizeof(struct ethhdr)) / sizeof(struct entry);
	struct gateway_state *g = get_gateway();

	if (g)
		g->attended = ticks();
	bpf_loop(n < ENTRIES ? n : ENTRIES, attend_one, &skb, 0);
	return 0;
}

/* User space runs this, in a namespace, with a frame of an Ethernet header and the
 * number by which the kernel may know conntrack's data of a namespace, to find out
 * where it counts the entries. Returns what is counted there; with 0, the place is
 * forgotten.
 */
SEC("tc")
int locate(struct __sk_buff *skb)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct gateway_state *g = get_gateway();
	__u32 id = 0, parts = 0, n = 0;
	void *data = NULL, *gen;

	if (!g || bpf_skb_load_bytes(skb, sizeof(struct ethhdr), &id, sizeof(id)))
		return 0;
	g->count_at = 0;
	gen = BPF_CORE_READ(task, nsproxy, net_ns, gen);
	bpf_probe_read_kernel(&parts, sizeof(parts), gen);
	if (!id || id >= parts || bpf_probe_read_kernel(&data, sizeof(data), gen + id * sizeof(data)) || !data)
		return 0;
	data += bpf_core_field_offset(struct nf_conntrack_net, count);
	if (bpf_probe_read_kernel(&n, sizeof(n), data))
		return 0;
	g->count_at = (__u64)data;
	return n;
}

char LICENSE[] SEC("license") = "GPL";

/* For the bindings: types that no program of the object passes on. */
#define EXPORT(type, name) const type *name##_type __attribute__((unused))
EXPORT(struct gateway_settings, settings);
EXPORT(struct gateway_state, state);
EXPORT(struct flow_key, flow_key);
EXPORT(struct session, session);
EXPORT(struct address, address);
EXPORT(struct volume, volume);
EXPORT(struct host_key, host_key);
EXPORT(struct entry, entry);
EXPORT(struct bound_key, bound_key);
EXPORT(struct bound, bound);
EXPORT(enum class, class);
EXPORT(enum kind, kind);
EXPORT(enum stat, stat);
