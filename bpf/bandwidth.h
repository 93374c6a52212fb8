/* SPDX-License-Identifier: GPL-2.0 */
/* Bandwidths of elastic IPs: which packets may pass at once, and which have to wait
 * their turn in a queue.
 *
 * The queue is the kernel's (HTB on an IFB device), and holds the bandwidth. But all of
 * a limit's packets would take turns at its lock, so that as long as the limit is not
 * reached they pass it by: what has passed is reckoned in time, as a queue that is
 * emptied at the limit's rate would take (the generic cell rate algorithm, ITU-T I.371,
 * annex A). Once that is more than the credit, everything waits in the real queue, and
 * is reckoned all the same, until the reckoned one is empty. It holds no less than the
 * real one, so that nothing passes by what waits.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "types.h"

#define OUTBOUND 0
#define INBOUND 1

/* shaped_address is what an elastic IP counts with, each way. */
struct shaped_address {
	__u32 number[2]; /* of the innermost bandwidth with a limit; 0 for none */
	__u32 class[2];	 /* HTB's, in which its packets wait; 0 for none */
	__u32 of;	 /* user space's own: the number of its bandwidth, limited or not */
};

/* bandwidth is what user space asks of a limit, by number * 2 + direction. */
struct bandwidth {
	__u64 cost;   /* ns that a byte takes, times 2^16; 0 if there is no such limit */
	__u64 credit; /* ns that may have passed ahead of time before packets have to wait */
	__u64 most;   /* ns that may be reckoned at most: the credit, and what the queues hold */
	__u32 batch;  /* bytes that a CPU may let pass before it reckons them */
	__u32 within; /* number of the bandwidth that this is a part of; 0 for none */
	/* User space's own: */
	__u32 mbit;
	__u32 pad;
	__u64 dropped;	   /* packets dropped by queues that are gone */
	__u64 led;	   /* what classes that are gone have sent: bytes */
	__u64 led_packets;
	__u8 id[64];	   /* filled up with zeros */
};

/* bandwidth_state is what the programs keep of a limit, likewise. */
struct bandwidth_state {
	__u64 due;     /* when the reckoned queue is empty; ns */
	__u64 waiting; /* packets have to wait */
};

/* bandwidth_count is what has passed at once, likewise, for each CPU. */
struct bandwidth_count {
	__u64 bytes; /* at layer 3 */
	__u64 packets; /* as on the wire */
	__u64 unreckoned; /* of bytes */
};

/* By elastic IP. */
struct shaped_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__uint(key_size, sizeof(__be32));
	__uint(value_size, sizeof(struct shaped_address));
};

/* A bandwidth whose number is beyond what the maps have is held by the queue alone. */
struct bandwidths_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * BANDWIDTHS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bandwidth));
};

struct bandwidth_states_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * BANDWIDTHS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bandwidth_state));
};

struct bandwidth_counts_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * BANDWIDTHS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bandwidth_count));
};

struct shaped_map shaped SEC(".maps");
struct bandwidths_map bandwidths SEC(".maps");
struct bandwidth_states_map bandwidth_states SEC(".maps");
struct bandwidth_counts_map bandwidth_counts SEC(".maps");

/* waits says whether a limit's packets have to wait. They no longer have when the
 * reckoned queue is empty.
 */
static __always_inline bool waits(struct bandwidth_state *st)
{
	if (!*(volatile __u64 *)&st->waiting)
		return false;
	if ((__s64)(*(volatile __u64 *)&st->due - bpf_ktime_get_ns()) > 0)
		return true;
	st->waiting = 0;
	return false;
}

/* reckoning is what reckon adds, and to what. */
struct reckoning {
	struct bandwidth_state *st;
	__u64 now, cost, most;
	__u64 next; /* when the queue is empty afterwards */
};

static long try_reckoning(__u32 i, void *context)
{
	struct reckoning *r = context;
	__u64 due = *(volatile __u64 *)&r->st->due, next = ((__s64)(due - r->now) > 0 ? due : r->now) + r->cost;

	if (next - r->now > r->most)
		next = r->now + r->most;
	r->next = next;
	return __sync_val_compare_and_swap(&r->st->due, due, next) == due;
}

/* reckon adds bytes to the reckoned queue, in one step: what finds no time for that
 * in a few tries is little.
 */
__noinline int reckon(const struct bandwidth *b, struct bandwidth_state *st, __u64 bytes)
{
	struct reckoning r = {.st = st, .now = bpf_ktime_get_ns()};

	if (!b || !st)
		return 0;
	r.cost = bytes * b->cost >> 16;
	r.most = b->most;
	bpf_loop(8, try_reckoning, &r, 0);
	if (r.next - r.now > b->credit && !*(volatile __u64 *)&st->waiting)
		st->waiting = 1;
	return 0;
}

/* let_pass counts what passes at once. A CPU reckons it when it is worth it. */
static __always_inline void let_pass(struct bandwidth_count *c, const struct bandwidth *b, struct bandwidth_state *st,
				     __u32 bytes, __u32 packets)
{
	if (!c)
		return;
	c->bytes += bytes;
	c->packets += packets;
	c->unreckoned += bytes;
	if (c->unreckoned >= b->batch) {
		reckon(b, st, c->unreckoned);
		c->unreckoned = 0;
	}
}

/* within_limits says whether packets of a bandwidth may pass at once, and counts them then.
 * Else they are reckoned if they are led to the queue now.
 */
__noinline int within_limits(__u32 number, __u32 direction, __u32 bytes, __u32 packets, __u32 led)
{
	__u32 at = 2 * number + direction, at_whole = 0;
	struct bandwidth *b = bpf_map_lookup_elem(&bandwidths, &at), *whole = NULL;
	struct bandwidth_state *st = bpf_map_lookup_elem(&bandwidth_states, &at), *st_whole = NULL;

	if (!b || !st)
		return false;
	if (b->within) {
		at_whole = 2 * b->within + direction;
		whole = bpf_map_lookup_elem(&bandwidths, &at_whole);
		st_whole = bpf_map_lookup_elem(&bandwidth_states, &at_whole);
		if (!whole || !st_whole)
			return false;
	}
	if (waits(st) || (st_whole && waits(st_whole))) {
		if (led) {
			reckon(b, st, bytes);
			if (whole && st_whole)
				reckon(whole, st_whole, bytes);
		}
		return false;
	}
	let_pass(bpf_map_lookup_elem(&bandwidth_counts, &at), b, st, bytes, packets);
	if (whole && st_whole)
		let_pass(bpf_map_lookup_elem(&bandwidth_counts, &at_whole), whole, st_whole, bytes, packets);
	return true;
}
