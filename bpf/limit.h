/* SPDX-License-Identifier: GPL-2.0 */
/* Whether a gateway takes one more connection. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bound.h"
#include "types.h"

/* in_time holds new connections to one per interval, by the generic cell rate
 * algorithm (ITU-T I.371, annex A): arrival is when the next one is due, and
 * one that comes before it has its place in the burst, or none. The time is
 * exchanged in one step, so that no two connections are given the same place.
 */
static __always_inline bool in_time(__u64 *arrival, __u64 interval, __u64 burst)
{
	__u64 now = bpf_ktime_get_ns(), due, base;
	int i;

	for (i = 0; i < 16; i++) {
		due = *(volatile __u64 *)arrival;
		base = due > now ? due : now;
		if (base - now > burst)
			return false;
		if (__sync_val_compare_and_swap(arrival, due, base + interval) == due)
			return true;
	}
	return false;
}

/* admit_snat takes a place among the gateway's open SNAT connections, or says why
 * there is none: 0, or STAT_REFUSED_. The place is taken before it is known
 * whether there is one, and given back: so the limit is never exceeded, however
 * many CPUs ask.
 */
static __always_inline __u32 admit_snat(struct nat_state *nat, __u32 gateway, bool supervised)
{
	struct nat_limits *own = bpf_map_lookup_elem(&limits, &gateway);
	__u64 most = ~0ULL, open;
	__u32 why = 0;

	if (!own)
		return 0;
	if (own->connections && supervised)
		most = own->connections;
	/* A flood only looks. */
	if (*(volatile __u64 *)&nat->open[KIND_SNAT] >= most)
		return STAT_REFUSED_CONNECTIONS;
	open = __sync_fetch_and_add(&nat->open[KIND_SNAT], 1);
	if (open >= most)
		why = STAT_REFUSED_CONNECTIONS;
	else if (own->interval && !in_time(&nat->arrival, own->interval, own->burst))
		why = STAT_REFUSED_RATE;
	if (why)
		__sync_fetch_and_add(&nat->open[KIND_SNAT], -1);
	return why;
}

/* admit takes the places of a session that is to begin, of whatever kind, among
 * those of a NAT gateway that are open, or says why there is none: 0, or
 * STAT_REFUSED_. anew is set for one that conntrack has an entry of.
 */
static __always_inline __u32 admit(struct gateway_state *g, const struct gateway_settings *set, __u32 gateway,
				   const struct flow_key *key, const struct session *s, bool anew)
{
	struct nat_state *nat = get_nat(gateway);
	__u32 why;

	if (!anew && !room(class_of(s->kind, s->flow)))
		return STAT_REFUSED_TABLE;
	if (s->kind == KIND_SNAT && !(s->flow & FLOW_INBOUND))
		return nat ? admit_snat(nat, gateway, supervised(g, set)) : 0;
	why = bounded(key, s->flow);
	if (!why && nat && s->kind < KINDS)
		__sync_fetch_and_add(&nat->open[s->kind], 1);
	return why;
}

/* dismiss gives back the places that admit took. */
static __always_inline void dismiss(__u32 gateway, const struct flow_key *key, const struct session *s)
{
	struct nat_state *nat = get_nat(gateway);

	if (nat && s->kind < KINDS)
		__sync_fetch_and_add(&nat->open[s->kind], -1);
	count_bounds(key, s->flow, -1);
}
