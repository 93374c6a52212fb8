/* SPDX-License-Identifier: GPL-2.0 */
/* Whether a gateway takes one more connection. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bound.h"
#include "session.h"
#include "types.h"

/* appointment is what in_time asks for. */
struct appointment {
	__u64 *arrival;
	__u64 interval, burst;
	__u64 given;
};

static long appoint(__u32 i, void *context)
{
	struct appointment *a = context;
	__u64 now = bpf_ktime_get_ns(), due = *(volatile __u64 *)a->arrival, base = due > now ? due : now;

	if (base - now > a->burst)
		return 1;
	a->given = __sync_val_compare_and_swap(a->arrival, due, base + a->interval) == due;
	return a->given;
}

/* in_time holds new connections to one per interval, by the generic cell rate
 * algorithm (ITU-T I.371, annex A): arrival is when the next one is due, and
 * one that comes before it has its place in the burst, or none. The time is
 * exchanged in one step, so that no two connections are given the same place.
 */
__noinline int in_time(__u64 *arrival, __u64 interval, __u64 burst)
{
	struct appointment a = {.arrival = arrival, .interval = interval, .burst = burst};

	if (!arrival)
		return false;
	bpf_loop(16, appoint, &a, 0);
	return a.given;
}

/* share returns what a private address may have of its gateway's limits: what is said of it,
 * or what each may have (RFC 6888 REQ-4).
 */
static __always_inline struct host_limits share(__be32 addr, const struct nat_limits *of)
{
	struct host_key key = {.prefix_length = 32, .addr = addr};
	struct host_limits *own = bpf_map_lookup_elem(&shares, &key);
	struct host_limits each = {
		.interval = of->host_interval, .burst = of->host_burst, .connections = of->host_connections};

	return own ? *own : each;
}

/* take_share takes a place among the SNAT connections of a private address, or says why
 * there is none. Addresses without a slot of their own have one share together.
 */
static __always_inline __u32 take_share(struct address *a, const struct host_limits *own, bool supervised)
{
	__u64 most = own->connections && supervised ? own->connections : ~0ULL;
	__u32 why = STAT_REFUSED_SHARE;

	/* A flood only looks. */
	if (*(volatile __u64 *)&a->snat >= most)
		return why;
	if (__sync_fetch_and_add(&a->snat, 1) < most) {
		if (!own->interval || in_time(&a->arrival, own->interval, own->burst))
			return 0;
		why = STAT_REFUSED_SHARE_RATE;
	}
	__sync_fetch_and_add(&a->snat, -1);
	return why;
}

/* admit_snat takes a place among the SNAT connections of a private address, and among
 * those of its gateway, or says why there is none: 0, or STAT_REFUSED_. A place is taken
 * before it is known whether there is one, and given back: so the limits are never
 * exceeded, however many CPUs ask. What a host is refused takes nothing of its gateway's.
 */
static __always_inline __u32 admit_snat(__u32 gateway, __u32 slot, __be32 addr, bool supervised)
{
	struct nat_state *nat = get_nat(gateway);
	struct nat_limits *own = bpf_map_lookup_elem(&limits, &gateway);
	struct address *a = address_of(slot);
	struct host_limits host;
	__u64 most = ~0ULL, open;
	__u32 why;

	if (!own || !nat)
		return 0;
	host = share(addr, own);
	if (own->connections && supervised)
		most = own->connections;
	why = a ? take_share(a, &host, supervised) : 0;
	if (a && why) {
		__sync_fetch_and_add(&a->refused, 1);
		return why;
	}
	if (*(volatile __u64 *)&nat->open[KIND_SNAT] >= most) {
		why = STAT_REFUSED_CONNECTIONS;
	} else {
		open = __sync_fetch_and_add(&nat->open[KIND_SNAT], 1);
		if (open >= most)
			why = STAT_REFUSED_CONNECTIONS;
		else if (own->interval && !in_time(&nat->arrival, own->interval, own->burst))
			why = STAT_REFUSED_RATE;
		if (!why)
			return 0;
		__sync_fetch_and_add(&nat->open[KIND_SNAT], -1);
	}
	if (a) {
		__sync_fetch_and_add(&a->snat, -1);
		__sync_fetch_and_add(&a->arrival, -host.interval);
	}
	return why;
}

/* admit takes the places of a session that is to begin, of whatever kind, among
 * those of a NAT gateway that are open, or says why there is none: 0, or
 * STAT_REFUSED_. anew is set for one that conntrack has an entry of.
 */
__noinline __u32 admit(__u32 gateway, const struct flow_key *key, const struct session *s, __u32 anew)
{
	struct gateway_settings *set = get_settings();
	struct gateway_state *g = get_gateway();
	struct nat_state *nat = get_nat(gateway);
	__u32 why;

	if (!set || !g || !key || !s)
		return 0;
	if (!anew && !room(class_of(s->kind, s->flow)))
		return STAT_REFUSED_TABLE;
	if (s->kind == KIND_SNAT && !(s->flow & FLOW_INBOUND))
		return admit_snat(gateway, s->slot, key->saddr, supervised(g, set));
	why = bounded(key, s->flow);
	if (!why && nat && s->kind < KINDS)
		__sync_fetch_and_add(&nat->open[s->kind], 1);
	return why;
}

/* dismiss gives back the places that admit took. */
__noinline int dismiss(__u32 gateway, const struct flow_key *key, const struct session *s)
{
	struct nat_state *nat = get_nat(gateway);
	struct address *a;

	if (!key || !s)
		return 0;
	a = address_of(s->slot);
	if (nat && s->kind < KINDS)
		__sync_fetch_and_add(&nat->open[s->kind], -1);
	if (a && s->kind == KIND_SNAT)
		__sync_fetch_and_add(&a->snat, -1);
	return count_bounds(key, s->flow, -1);
}
