/* SPDX-License-Identifier: GPL-2.0 */
/* What comes in and does not take the shortcut: whether it may pass, and what egress is told
 * of it. These are functions of their own: the verifier follows them once, and not again for
 * each way on which a packet misses the shortcut.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "begin.h"
#include "count.h"
#include "learn.h"
#include "network.h"
#include "parse.h"
#include "path.h"
#include "session.h"
#include "source.h"
#include "types.h"
#include "window.h"

/* session_index returns what egress is told of a packet that has a session. With
 * the shortcut, there is always something to learn: few packets get that far. UDP
 * from outside may not have been answered yet.
 */
static __always_inline __u32 session_index(const struct session *s, const struct packet *p, const struct gateway_settings *set)
{
	bool called = p->key.proto == IPPROTO_UDP && (s->flow & (FLOW_REPLY | FLOW_INBOUND | FLOW_KERNEL)) == FLOW_INBOUND;

	if ((set->flags & SET_SHORTCUT) || called || (p->is & (IS_SYN | IS_ENDING)) || (s->state & (STATE_CLOSING | STATE_CLOSED)))
		return s->slot | INDEX_CHECK;
	return s->slot;
}

/* hairpin_index does so for a packet from one host of the VPC to another. It is
 * counted for both, and the sender is known only before translation: who was called
 * answers in the session's slot.
 */
static __always_inline __u32 hairpin_index(const struct session *s, const struct packet *p, __u32 index)
{
	if (!(s->flow & FLOW_REPLY))
		index = (index & ~INDEX_SLOT) | own_slot(p->key.saddr);
	return index | INDEX_HAIRPIN;
}

/* count_miss counts why a packet does not take the shortcut: why, if it has a session. */
static __always_inline void count_miss(const struct packet *p, const struct session *s, __u32 why)
{
	if (!s) {
		why = why_not(p);
		if (why == STAT_HIT)
			why = STAT_MISS_NEW;
	}
	count_stat(why);
}

/* from_host sees to a packet from a VSwitch to the outside; s is its session, if there is
 * one. Returns a verdict.
 */
__noinline int from_host(struct __sk_buff *skb, struct packet *p, struct session *s, __u32 why)
{
	struct gateway_settings *set = get_settings();
	__u32 index, gateway;
	int source;

	if (!set || !p)
		return NEXT;
	if (ends(p) && misplaced(skb, p, false)) {
		count_stat(STAT_OUT_OF_WINDOW);
		return TC_ACT_SHOT;
	}
	if (set->flags & SET_SHORTCUT)
		count_miss(p, s, why);
	if (s) {
		note_place_skb(s, p, skb);
		if (is_new_start(s, p))
			begin_anew(skb, p);
		index = session_index(s, p, set);
		if (s->flow & FLOW_KERNEL)
			index = hairpin_index(s, p, index);
		skb->tc_index = index;
		if (!renews(p, s))
			return NEXT;
		source = check_source(skb, p);
		if (source > 0)
			return forged(gateway_of(s->slot), source);
		why = renew(p, s);
		return why ? refuse(skb, set, gateway_of(s->slot), why) : NEXT;
	}
	index = own_slot(p->key.saddr) | INDEX_CHECK;
	skb->tc_index = index;
	/* To a neighbour by way of an elastic IP. */
	gateway = within(p->key.daddr, set->public, set->public_mask) ? gateway_of_elastic(p->key.daddr, GATEWAYS) : GATEWAYS;
	if (gateway != GATEWAYS) {
		skb->tc_index = index | INDEX_HAIRPIN;
		if (!opens(p))
			return NEXT;
		source = check_source(skb, p);
		if (source > 0)
			return forged(gateway, source);
		return begin_inbound(skb, p, true);
	}
	if (!opens(p) || (p->key.daddr & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) || p->key.daddr == 0xffffffff)
		return NEXT;
	return begin(skb, p);
}

/* from_outside does so for a packet from the uplink. What is refused from there is dropped in
 * silence.
 */
__noinline int from_outside(struct __sk_buff *skb, struct packet *p, struct session *s, __u32 why)
{
	struct gateway_settings *set = get_settings();

	if (!set || !p)
		return NEXT;
	if (ends(p) && misplaced(skb, p, true)) {
		count_stat(STAT_OUT_OF_WINDOW);
		return TC_ACT_SHOT;
	}
	if (set->flags & SET_SHORTCUT)
		count_miss(p, s, why);
	if (!s) {
		if ((set->flags & SET_SHORTCUT) || !can_see())
			skb->tc_index = INDEX_CHECK;
		return opens(p) ? begin_inbound(skb, p, false) : NEXT;
	}
	if (set->flags & SET_SHORTCUT) {
		note_place_skb(s, p, skb);
		if (is_new_start(s, p))
			begin_anew(skb, p);
	}
	/* Without the shortcut egress sees by itself what there is to learn. */
	skb->tc_index = (set->flags & SET_SHORTCUT) || !can_see() ? session_index(s, p, set) : s->slot;
	if (!renews(p, s))
		return NEXT;
	why = renew(p, s);
	if (!why)
		return NEXT;
	count_refusal(gateway_of(s->slot), why);
	return TC_ACT_SHOT;
}
