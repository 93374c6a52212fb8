/* SPDX-License-Identifier: GPL-2.0 */
/* Flows of security groups that were let pass a moment ago: see struct group_near. */
#pragma once

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "clock.h"
#include "groups.h"

/* How often a flow takes the place of another one: one of so many times. Two flows that are busy
 * would take turns else, and cost more than without.
 */
#define NEAR_TURNS 32

/* near_place returns where a flow is, if it is near. */
static __always_inline __u32 near_place(const struct group_flow *f, bool out)
{
	__u64 h = f->local | (__u64)f->remote << 32;

	h *= 0x9e3779b97f4a7c15;
	h ^= h >> 32;
	h += f->lport | (__u64)f->rport << 16 | (__u64)f->proto << 32 | (__u64)out << 40;
	h *= 0xbf58476d1ce4e5b9;
	return h >> (64 - GROUP_NEAR_BITS);
}

static __always_inline bool same_group_flow(const struct group_flow *a, const struct group_flow *b)
{
	const __u64 *x = (const void *)a, *y = (const void *)b;

	return x[0] == y[0] && x[1] == y[1];
}

/* is_near says whether a flow was let pass a moment ago, and nothing has changed since. */
static __always_inline bool is_near(const struct group_near *n, const struct group_flow *f, bool out, __u32 generation)
{
	__u32 turn = *(volatile __u32 *)&n->turn, seen;
	bool near;

	/* Whatever is read depends on what was read before, if only formally, for processors that
	 * read out of order.
	 */
	seen = turn;
	asm volatile("%0 &= 0" : "+r"(seen) : : "memory");
	n = (void *)n + seen;
	near = n->generation == generation && (__s32)(n->until - ticks()) > 0 && n->out == out && same_group_flow(&n->flow, f);
	seen = near;
	asm volatile("%0 &= 0" : "+r"(seen) : : "memory");
	n = (void *)n + seen;
	return near && !(turn & 1) && *(volatile __u32 *)&n->turn == turn;
}

/* come_near notes that a flow was let pass, for a second at most, unless the place is another's. Of
 * two that do so at once the first one does.
 */
static __always_inline void come_near(struct group_near *n, const struct group_flow *f, bool out, __u32 generation, __u32 second)
{
	__u32 now = ticks(), turn;

	if (n->generation == generation && (__s32)(n->until - now) > 0 && bpf_get_prandom_u32() % NEAR_TURNS)
		return;
	turn = *(volatile __u32 *)&n->turn;
	if ((turn & 1) || __sync_val_compare_and_swap(&n->turn, turn, turn + 1) != turn)
		return;
	barrier();
	n->generation = generation;
	n->until = now + second;
	n->out = out;
	n->flow = *f;
	barrier();
	__sync_fetch_and_add(&n->turn, 1);
}
