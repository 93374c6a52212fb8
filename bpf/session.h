/* SPDX-License-Identifier: GPL-2.0 */
/* Making, closing and removing sessions. The counters of open sessions change
 * here and nowhere else: with the element, or with its STATE_CLOSED bit. Both
 * are atomic, so whoever makes the change is the one that counts it.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>

#include "bound.h"
#include "network.h"
#include "types.h"

/* slot_of returns the slot of a private address that goes by a gateway, and makes one
 * where there is none; that of all others when none is left. User space takes slots back
 * from addresses that are silent and have no session.
 */
__noinline __u32 slot_of(__be32 addr, __u32 gateway)
{
	struct slot_key key = {.addr = addr, .gateway = gateway};
	__u32 *known = bpf_map_lookup_elem(&slots, &key);
	struct gateway_settings *set = get_settings();
	struct gateway_state *g = get_gateway();
	__u32 slot = 0, others = gateway < GATEWAYS ? gateway : 0;
	struct address *a;

	if (known)
		return *known;
	if (!g || !set)
		return others;
	if (bpf_map_pop_elem(&free_slots, &slot)) {
		if (g->slots >= set->slots)
			return others;
		slot = __sync_fetch_and_add(&g->slots, 1);
		if (slot >= set->slots)
			return others;
		slot += GATEWAYS;
	}
	a = bpf_map_lookup_elem(&addresses, &slot);
	if (!a)
		return others;
	a->gateway = gateway;
	a->addr = addr;
	if (!bpf_map_update_elem(&slots, &key, &slot, BPF_NOEXIST))
		return slot;
	/* Another CPU was first. The slot taken here stays unused until user space
	 * begins anew (dataplane/session, recoverSlots).
	 */
	a->addr = 0;
	known = bpf_map_lookup_elem(&slots, &key);
	return known ? *known : others;
}

/* add_open counts a session as open, or no longer, with all that it counts with. */
__noinline int add_open(const struct flow_key *key, __u32 kind, __u32 slot, __u32 flow, int by)
{
	struct nat_state *nat = get_nat(gateway_of(slot));
	struct address *a = address_of(slot);

	if (nat && kind < KINDS)
		__sync_fetch_and_add(&nat->open[kind], by);
	if (a)
		__sync_fetch_and_add(&a->open, by);
	if (a && kind == KIND_SNAT)
		__sync_fetch_and_add(&a->snat, by);
	return count_bounds(key, flow, by);
}

/* add_opened counts a session as opened: once conntrack has it, and not before.
 * What is refused on the way there never was one.
 */
__noinline int add_opened(__u32 kind, __u32 slot)
{
	struct nat_state *nat = get_nat(gateway_of(slot));
	struct address *a = address_of(slot);

	if (nat && kind < KINDS)
		__sync_fetch_and_add(&nat->opened[kind], 1);
	if (a)
		__sync_fetch_and_add(&a->opened, 1);
	return 0;
}

/* insert_session makes the element of the original direction, and counts the
 * session as open. If counted is set, the caller has taken its places already
 * (see admit). Returns 0, -EEXIST if it is there already, or another error.
 */
static __always_inline long insert_session(struct gateway_state *g, const struct flow_key *key, const struct session *s,
					   bool counted)
{
	long err = bpf_map_update_elem(&sessions, key, s, BPF_NOEXIST);
	__u32 slot = s->slot, kind = s->kind;
	struct address *a;

	if (err)
		return err;
	__sync_fetch_and_add(&g->held[class_of(kind, s->flow)], 1);
	if (!counted) {
		add_open(key, kind, slot, s->flow, 1);
	} else {
		a = address_of(slot);
		if (a)
			__sync_fetch_and_add(&a->open, 1);
	}
	if (s->state & STATE_CONFIRMED)
		add_opened(kind, slot);
	else
		__sync_fetch_and_add(&g->pending, 1);
	return 0;
}

/* confirm_session notes that conntrack has it. */
static __always_inline void confirm_session(struct gateway_state *g, struct session *s)
{
	if (s->state & STATE_CONFIRMED)
		return;
	if (!(__sync_fetch_and_or(&s->state, STATE_CONFIRMED) & (STATE_CONFIRMED | STATE_DEAD))) {
		__sync_fetch_and_add(&g->pending, -1);
		add_opened(s->kind, s->slot);
	}
}

/* close_session notes that a session was seen closed. Returns by how much there are more open
 * ones: 0 if it was so already.
 */
static __always_inline int close_session(struct session *s)
{
	__u32 old = __sync_fetch_and_or(&s->state, STATE_CLOSED | STATE_CLOSING);

	return old & (STATE_CLOSED | STATE_DEAD) ? 0 : -1;
}

/* reopen_session notes that a session which was seen closed goes on. Returns the same. */
static __always_inline int reopen_session(struct session *s)
{
	__u32 old = s->state;

	if ((old & (STATE_CLOSED | STATE_DEAD | STATE_RESET)) != STATE_CLOSED)
		return 0;
	return __sync_val_compare_and_swap(&s->state, old, old & ~(STATE_CLOSED | STATE_CLOSING)) == old;
}

/* remove_session takes an element away, of either direction. Who sets
 * STATE_DEAD is the one that does so, and until it is done nobody puts another
 * element in its place: what is found by the key is what was looked at.
 */
__noinline int remove_session(const struct flow_key *key, struct session *s)
{
	struct gateway_state *g = get_gateway();
	struct flow_key own;
	__u32 kind, slot, flow, old;

	if (!g || !key || !s)
		return 0;
	own = *key;
	kind = s->kind;
	slot = s->slot;
	flow = s->flow;
	old = __sync_fetch_and_or(&s->state, STATE_CLOSED | STATE_DEAD);
	if (old & STATE_DEAD)
		return 0;
	bpf_map_delete_elem(&sessions, &own);
	if (flow & FLOW_REPLY)
		return 0;
	__sync_fetch_and_add(&g->held[class_of(kind, flow)], -1);
	if (!(old & STATE_CONFIRMED))
		__sync_fetch_and_add(&g->pending, -1);
	if (!(old & STATE_CLOSED))
		add_open(&own, kind, slot, flow, -1);
	return 0;
}
