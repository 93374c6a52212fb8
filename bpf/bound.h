/* SPDX-License-Identifier: GPL-2.0 */
/* How much there may be of what: of conntrack's entries in the namespace, and of
 * the sessions of one DNAT entry, one elastic IP, or one host behind its own.
 */
#pragma once

/* What is not inlined here is not static either: the verifier then looks at it once,
 * and not again wherever it is called. It takes no maps' elements, and finds them.
 */

#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>

#include "clock.h"
#include "network.h"
#include "types.h"

/* supervised says whether user space looks after the sessions. If not, those that
 * conntrack has forgotten are still counted, and must not keep others out.
 */
static __always_inline bool supervised(const struct gateway_state *g, const struct gateway_settings *set)
{
	return ticks() - g->heartbeat < set->patience;
}

/* class_of returns of which class a session is. */
static __always_inline __u32 class_of(__u32 kind, __u32 flow)
{
	if (flow & FLOW_INBOUND)
		return CLASS_INBOUND;
	return kind == KIND_ELASTIC ? CLASS_ELASTIC : CLASS_SNAT;
}

/* entry_key is the key of the DNAT entry for the port that a packet is for, or,
 * with whole, for its whole address.
 */
static __always_inline void entry_key(const struct flow_key *key, bool whole, struct bound_key *k)
{
	__builtin_memset(k, 0, sizeof(*k));
	k->addr = key->daddr;
	if (whole)
		return;
	k->port = key->dport;
	k->proto = key->proto;
}

/* entry_of finds the entry that lets a packet from the outside in: as nftables
 * does, first by port. Returns the private address that it leads to, and in the
 * upper half what the session counts with (FLOW_BY_); or 0.
 */
__noinline __u64 entry_of(const struct flow_key *key)
{
	struct bound_key k;
	__be32 *private;

	if (!key)
		return 0;

	/* An ICMP query has no port. */
	if (key->proto != IPPROTO_ICMP) {
		entry_key(key, false, &k);
		private = bpf_map_lookup_elem(&entries, &k);
		if (private)
			return (__u64)FLOW_BY_PORT << 32 | *private;
	}
	entry_key(key, true, &k);
	private = bpf_map_lookup_elem(&entries, &k);
	return private ? (__u64)FLOW_BY_ADDRESS << 32 | *private : 0;
}

/* bound_keys returns the keys of what a session counts with, of its original
 * direction's key: how many there are.
 */
static __always_inline __u32 bound_keys(const struct flow_key *key, __u32 flow, struct bound_key k[2])
{
	if (flow & (FLOW_BY_PORT | FLOW_BY_ADDRESS)) {
		entry_key(key, flow & FLOW_BY_ADDRESS, &k[0]);
		entry_key(key, true, &k[1]);
		k[1].of = OF_ELASTIC_IP;
		return 2;
	}
	if (flow & FLOW_BY_HOST) {
		__builtin_memset(&k[0], 0, sizeof(k[0]));
		k[0].addr = key->saddr;
		k[0].of = OF_HOST;
		return 1;
	}
	return 0;
}

/* bound_at returns a counter, made if need be. */
static __always_inline struct bound *bound_at(const struct bound_key *k)
{
	struct bound *b = bpf_map_lookup_elem(&bounds, k), none = {};

	if (b)
		return b;
	bpf_map_update_elem(&bounds, k, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&bounds, k);
}

/* NO_LIMIT is more than there can be of anything. */
#define NO_LIMIT (1ULL << 62)

/* take_place takes a place of so many, unless there is none. Where memory lacks for the
 * counter, nothing is counted.
 */
__noinline int take_place(const struct bound_key *key, __u64 most)
{
	struct bound_key k;
	struct bound *b;

	if (!key)
		return true;
	k = *key;
	b = bound_at(&k);
	if (!b)
		return true;
	/* A flood only looks. */
	if ((__s64)*(volatile __u64 *)&b->open < (__s64)most) {
		if ((__s64)__sync_fetch_and_add(&b->open, 1) < (__s64)most)
			return true;
		__sync_fetch_and_add(&b->open, -1);
	}
	__sync_fetch_and_add(&b->refused, 1);
	return false;
}

/* give_place gives one back. */
__noinline int give_place(const struct bound_key *key)
{
	struct bound_key k;
	struct bound *b;

	if (!key)
		return 0;
	k = *key;
	b = bpf_map_lookup_elem(&bounds, &k);
	if (b)
		__sync_fetch_and_add(&b->open, -1);
	return 0;
}

/* count_bounds counts a session with what it counts with, or, with by < 0, no longer. */
static __always_inline int count_bounds(const struct flow_key *key, __u32 flow, int by)
{
	struct bound_key k[2];
	__u32 n;

	if (!key)
		return 0;
	n = bound_keys(key, flow, k);
	if (!n)
		return 0;
	if (by < 0) {
		give_place(&k[0]);
		return n > 1 ? give_place(&k[1]) : 0;
	}
	take_place(&k[0], NO_LIMIT);
	return n > 1 ? take_place(&k[1], NO_LIMIT) : 0;
}

/* bounded takes a session's places with what it counts with, or says why there is
 * none: 0, or STAT_REFUSED_. As with the gateway's limit, each place is taken
 * before it is known whether there is one.
 */
__noinline __u32 bounded(const struct flow_key *key, __u32 flow)
{
	struct gateway_settings *set = get_settings();
	struct gateway_state *g = get_gateway();
	struct bound_key k[2];
	__u64 most = NO_LIMIT, all = NO_LIMIT;
	__u32 n;

	if (!set || !g || !key)
		return 0;
	n = bound_keys(key, flow, k);
	if (!n)
		return 0;
	if (supervised(g, set)) {
		most = flow & FLOW_BY_HOST ? set->per_host : set->per_entry;
		all = set->per_elastic_ip;
	}
	if (!take_place(&k[0], most ? most : NO_LIMIT))
		return flow & FLOW_BY_HOST ? STAT_REFUSED_HOST : STAT_REFUSED_ENTRY;
	if (n < 2 || take_place(&k[1], all ? all : NO_LIMIT))
		return 0;
	give_place(&k[0]);
	return STAT_REFUSED_ELASTIC_IP;
}

/* held_by_sessions is how many entries of conntrack sessions stand for. */
static __always_inline __u64 held_by_sessions(const struct gateway_state *g)
{
	return *(volatile const __u64 *)&g->held[CLASS_SNAT] + *(volatile const __u64 *)&g->held[CLASS_ELASTIC] +
	       *(volatile const __u64 *)&g->held[CLASS_INBOUND];
}

/* entries_now is how many entries conntrack has in this namespace: the number
 * that the kernel itself compares with its limit, or, where it could not be found,
 * what sessions stand for and what else user space has seen last.
 */
static __always_inline __u64 entries_now(const struct gateway_state *g, const struct gateway_settings *set)
{
	__u32 n;

	if (g->count_at && !bpf_probe_read_kernel(&n, sizeof(n), (void *)g->count_at))
		return n;
	return set->others + held_by_sessions(g);
}

/* unused returns how much is left of so many, without a branch: the verifier would follow the
 * rest for each.
 */
static __always_inline __u64 unused(__u64 of, __u64 held)
{
	__s64 left = of - held;

	barrier_var(left);
	return left & ~(left >> 63);
}

/* room says whether there is room for one more entry of a class: if it holds less
 * than its share, or there is more than the others' shares need. So no class keeps
 * another from its share, and the table is never full.
 *
 * Unsupervised, what sessions hold is not known, and what is closed is not removed:
 * then only what comes from outside and what is not translated stay off the share
 * of SNAT.
 */
__noinline int room(__u32 class)
{
	struct gateway_settings *set = get_settings();
	struct gateway_state *g = get_gateway();
	__u64 now, sessions, left[CLASSES];

	if (!set || !g || !set->entries)
		return true;
	now = entries_now(g, set);
	if (!supervised(g, set))
		return class == CLASS_SNAT || class == CLASS_ELASTIC || now + set->share[CLASS_SNAT] < set->entries;
	if (now >= set->entries)
		return false;
	sessions = held_by_sessions(g);
	left[CLASS_OTHERS] = unused(set->share[CLASS_OTHERS], unused(now, sessions));
	left[CLASS_SNAT] = unused(set->share[CLASS_SNAT], g->held[CLASS_SNAT]);
	left[CLASS_ELASTIC] = unused(set->share[CLASS_ELASTIC], g->held[CLASS_ELASTIC]);
	left[CLASS_INBOUND] = unused(set->share[CLASS_INBOUND], g->held[CLASS_INBOUND]);
	/* What is left of its own, it takes first. */
	if (left[class & (CLASSES - 1)])
		return true;
	return now + left[CLASS_OTHERS] + left[CLASS_SNAT] + left[CLASS_ELASTIC] + left[CLASS_INBOUND] < set->entries;
}
