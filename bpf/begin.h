/* SPDX-License-Identifier: GPL-2.0 */
/* How a session begins, or begins anew, before conntrack has an entry; and what
 * becomes of a packet for which there may be none.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "clock.h"
#include "count.h"
#include "kernel.h"
#include "learn.h"
#include "limit.h"
#include "network.h"
#include "parse.h"
#include "path.h"
#include "session.h"
#include "source.h"
#include "types.h"
#include "window.h"

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

/* by_uplink says whether a packet to the outside leaves by the uplink. It is a function of
 * its own for the sake of the stack.
 */
__noinline int by_uplink(struct __sk_buff *skb, struct packet *p)
{
	struct gateway_settings *set = get_settings();
	struct bpf_fib_lookup route = {};

	if (!set || !p || !(set->flags & SET_ROUTES))
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
static __always_inline int refuse(struct __sk_buff *skb, const struct gateway_settings *set, __u32 gateway, __u32 why)
{
	count_refusal(gateway, why);
	if (!(set->flags & SET_REJECT))
		return TC_ACT_SHOT;
	skb->mark = MARK_REFUSED;
	return NEXT;
}

/* forged ends a packet whose source is not its sender's. An answer would go to another. */
static __always_inline int forged(__u32 gateway, __u32 why)
{
	count_refusal(gateway, why);
	return TC_ACT_SHOT;
}

/* renew lets a SYN begin a closed session anew, if there is a place for it: 0, or
 * STAT_REFUSED_.
 */
__noinline __u32 renew(const struct packet *p, struct session *s)
{
	__u32 old, gateway, why;
	struct address *a;

	if (!p || !s)
		return 0;
	gateway = gateway_of(s->slot);
	why = admit(gateway, &p->key, s, true);
	if (why)
		return why;
	old = s->state;
	if ((old & (STATE_CLOSED | STATE_DEAD)) != STATE_CLOSED ||
	    __sync_val_compare_and_swap(&s->state, old, STATE_CONFIRMED | (old & STATE_RESET)) != old) {
		dismiss(gateway, &p->key, s);
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
 * can be asked for TCP and UDP; of other protocols nftables drops what is new. It is a
 * function of its own for the sake of the stack.
 */
__noinline int crowd(struct __sk_buff *skb, struct packet *p)
{
	if (!p || room(CLASS_OTHERS))
		return NEXT;
	if (!has_ports(p->key.proto) || (p->is & (IS_LATER_FRAGMENT | IS_FIRST_FRAGMENT))) {
		skb->mark = MARK_CROWDED;
		return NEXT;
	}
	if (known_direction(skb, p) >= 0)
		return NEXT;
	count_refusal(0, STAT_REFUSED_TABLE);
	return TC_ACT_SHOT;
}

/* beginning is a session that is about to begin. */
struct beginning {
	__be32 private; /* the address that it is counted for; 0 if it is to have no slot of its own */
	__u32 gateway;	/* number */
	__u16 slot;	/* once it is made */
	__u8 kind;
	__u8 flow;    /* FLOW_ */
	__u8 state;   /* STATE_ */
	__u8 limited; /* it takes a place */
	__u8 pad[2];
};

/* is_new says whether a packet may begin a session, and whether that takes
 * a place. Conntrack has the last word on what is new: its entry may be older than
 * these programs, and this may be the answer of who was called.
 */
__noinline int is_new(struct __sk_buff *skb, const struct packet *p, struct beginning *b)
{
	int direction = -1;

	if (!p || !b)
		return false;
	if (!(p->is & IS_SYN))
		direction = known_direction(skb, p);
	b->limited = direction != IP_CT_DIR_ORIGINAL;
	/* Where conntrack cannot be asked, there is no way to find out. */
	if (!b->limited || (!can_see() && !has_ports(p->key.proto)))
		b->state = STATE_CONFIRMED;
	return direction != IP_CT_DIR_REPLY;
}

/* add_session makes the session of a packet, if there is a place for it: 0, or
 * STAT_REFUSED_. One that is not limited is made in any case, unless memory lacks.
 */
__noinline __u32 add_session(struct __sk_buff *skb, const struct packet *p, struct beginning *b)
{
	struct gateway_state *g = get_gateway();
	struct session s = {};
	struct flow_key key;
	__u32 why;
	long err;

	if (!g || !p || !b)
		return 0;
	/* Before Linux 6.2, what a function that is not static is given is no key of a map. */
	key = p->key;
	s.kind = b->kind;
	s.flow = b->flow;
	s.state = b->state;
	s.slot = b->slot = b->private ? slot_of(b->private, b->gateway) : b->gateway;
	why = b->limited ? admit(b->gateway, &key, &s, false) : 0;
	if (why)
		return why;
	s.until = ticks();
	note_place_skb(&s, p, skb);
	err = insert_session(g, &key, &s, b->limited);
	if (!err || !b->limited)
		return 0;
	dismiss(b->gateway, &key, &s);
	return err == -EEXIST ? 0 : STAT_REFUSED_MEMORY;
}

/* begin makes the session of a packet from a VSwitch that opens one to the
 * outside. It runs before conntrack, so that what is refused costs nothing more.
 */
__noinline int begin(struct __sk_buff *skb, struct packet *p)
{
	struct gateway_settings *set = get_settings();
	struct beginning b = {};
	struct outward own;
	__u32 why;
	int source;

	if (!set || !p)
		return NEXT;
	own = outward_of(p->key.saddr, set);
	if (own.kind == KIND_NONE || !by_uplink(skb, p))
		return crowd(skb, p);
	b.kind = own.kind;
	b.flow = own.kind == KIND_ELASTIC ? FLOW_BY_HOST : 0;
	b.gateway = own.gateway;
	if (!is_new(skb, p, &b))
		return NEXT;
	source = b.limited ? check_source(skb, p) : 0;
	if (source > 0)
		return forged(own.gateway, source);
	b.private = source == SOURCE_BELIEVED ? 0 : p->key.saddr;
	why = add_session(skb, p, &b);
	if (why)
		return refuse(skb, set, own.gateway, why);
	skb->tc_index = b.slot | INDEX_CHECK;
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
	struct beginning b = {};
	__u64 entry;
	__u32 why;

	if (!set || !p)
		return NEXT;
	entry = entry_of(&p->key);
	b.private = entry;
	if (!b.private || answers(p, b.private))
		return NEXT;
	b.flow = entry >> 32 | FLOW_INBOUND | (hairpin ? FLOW_KERNEL : 0);
	b.kind = outward_of(b.private, set).kind == KIND_ELASTIC ? KIND_ELASTIC : KIND_DNAT;
	b.gateway = gateway_of_elastic(p->key.daddr, set->gateway);
	if (!is_new(skb, p, &b))
		return NEXT;
	why = add_session(skb, p, &b);
	if (!why) {
		if (!hairpin)
			skb->tc_index = b.slot | INDEX_CHECK;
		return NEXT;
	}
	if (hairpin)
		return refuse(skb, set, b.gateway, why);
	count_refusal(b.gateway, why);
	return TC_ACT_SHOT;
}
