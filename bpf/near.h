/* SPDX-License-Identifier: GPL-2.0 */
/* Copies of cached flows that are found at once: see struct near_flow. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "network.h"
#include "types.h"

/* How often a flow that comes to a place which another one has takes it: one of so many times.
 * Two flows that are busy would take turns else, and cost more than without copies.
 */
#define NEAR_TAKES 32

/* near_place returns where the copy of a flow is, if there is one. */
static __always_inline __u32 near_place(const struct flow_id *id)
{
	__u64 h = id->key.saddr | (__u64)id->key.daddr << 32;

	h *= 0x9e3779b97f4a7c15;
	h ^= h >> 32;
	h += id->key.sport | (__u64)id->key.dport << 16 | (__u64)id->key.proto << 32 | (__u64)id->ifindex << 40;
	h *= 0xbf58476d1ce4e5b9;
	return h >> (64 - NEAR_FLOWS_BITS);
}

static __always_inline bool same_flow(const struct flow_id *a, const struct flow_id *b)
{
	return a->key.saddr == b->key.saddr && a->key.daddr == b->key.daddr && a->key.sport == b->key.sport &&
	       a->key.dport == b->key.dport && a->key.proto == b->key.proto && a->ifindex == b->ifindex;
}

/* after returns an element that is read after whatever seen was read from, on processors that read
 * out of order, too: where it is depends on that, if only formally.
 */
static __always_inline struct near_flow *after(__u64 seen, struct near_flow *n)
{
	asm volatile("%0 &= 0" : "+r"(seen) : : "memory");
	return (void *)n + seen;
}

/* read_near reads the copy of a flow that is at a place. False if there is none, or if it
 * was changed meanwhile.
 */
static __always_inline bool read_near(const struct flow_id *id, __u32 place, struct cached_flow *f)
{
	struct near_flow *n = bpf_map_lookup_elem(&near_flows, &place), copy;
	__u64 *words = (void *)&copy;
	__u32 turn;

	if (!n)
		return false;
	turn = *(volatile __u32 *)&n->turn;
	if (turn & 1)
		return false;
	copy = *after(turn, n);
	n = after(words[0] ^ words[1] ^ words[2] ^ words[3] ^ words[4] ^ words[5] ^ words[6], n);
	if (*(volatile __u32 *)&n->turn != turn || !same_flow(&copy.id, id))
		return false;
	*f = copy.flow;
	return true;
}

/* write_near puts a copy at a place, unless somebody else is about to: of two the first
 * writes.
 */
static __always_inline void write_near(const struct flow_id *id, __u32 place, const struct cached_flow *f)
{
	struct near_flow *n = bpf_map_lookup_elem(&near_flows, &place);
	__u32 turn;

	if (!n)
		return;
	turn = *(volatile __u32 *)&n->turn;
	if ((turn & 1) || __sync_val_compare_and_swap(&n->turn, turn, turn + 1) != turn)
		return;
	barrier();
	n->id = *id;
	n->flow = *f;
	barrier();
	__sync_fetch_and_add(&n->turn, 1);
}

/* settle_near puts a copy of a flow of the table at its place if that is free, which is to say
 * that what is there is void (generation, and the time until which it counts; ticks), or now and then.
 */
static __always_inline void settle_near(const struct flow_id *id, __u32 place, const struct cached_flow *f, __u32 now)
{
	struct near_flow *n = bpf_map_lookup_elem(&near_flows, &place);

	if (!n)
		return;
	if (n->flow.generation == f->generation && (__s32)(n->flow.until - now) >= 0 && !same_flow(&n->id, id) &&
	    bpf_get_prandom_u32() % NEAR_TAKES)
		return;
	write_near(id, place, f);
}
