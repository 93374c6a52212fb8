/* SPDX-License-Identifier: GPL-2.0 */
/* Counting packets. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "network.h"
#include "parse.h"
#include "types.h"

static __always_inline void count_stat(__u32 which)
{
	__u64 *n = bpf_map_lookup_elem(&stats, &which);

	if (n)
		(*n)++;
}

/* count_refusal counts a session that was refused: in all, and of its gateway; of nobody,
 * what would not have been translated.
 */
__noinline int count_refusal(__u32 gateway, __u32 why)
{
	__u32 at = gateway * REFUSED + why - REFUSED_FIRST;
	__u64 *n = bpf_map_lookup_elem(&nat_refused, &at);

	count_stat(why);
	if (n)
		(*n)++;
	return 0;
}

/* count_volume counts in a slot, or, as long as there is no map for it, in that of all
 * others of its gateway.
 */
static __always_inline void count_volume(__u32 slot, bool inbound, __u64 bytes, __u64 packets, bool hit)
{
	__u32 chunk = slot / CHUNK, at = slot % CHUNK * 2 + inbound;
	void *of = bpf_map_lookup_elem(&volumes, &chunk);
	struct volume *v;

	if (!of) {
		chunk = 0;
		at = gateway_of(slot) % GATEWAYS * 2 + inbound;
		of = bpf_map_lookup_elem(&volumes, &chunk);
		if (!of)
			return;
	}
	v = bpf_map_lookup_elem(of, &at);
	if (v) {
		v->bytes += bytes;
		v->packets += packets;
		v->hits += hit;
	}
}

/* segments returns how many packets on the wire an skb stands for. Packets from
 * a guest or a TUN device may say only how long each is.
 */
static __always_inline __u32 segments(struct __sk_buff *skb, __u32 l3_len, __u32 head)
{
	__u32 size = skb->gso_size, payload;

	if (!size)
		return 1;
	if (skb->gso_segs)
		return skb->gso_segs;
	payload = l3_len > head ? l3_len - head : 0;
	return payload ? (payload + size - 1) / size : 1;
}

/* count_skb counts an skb. What fills up a short Ethernet frame is not counted:
 * the kernel's path has cut it off where it counts. An skb that stands for
 * several packets is not padded, and may be larger than an IP header can say.
 */
static __always_inline void count_skb(struct __sk_buff *skb, const struct packet *p, __u32 slot, bool inbound, bool hit)
{
	__u32 len = skb->gso_size ? skb->len - sizeof(struct ethhdr) : p->len;
	__u32 n = segments(skb, len, p->head);

	count_volume(slot, inbound, len + (__u64)(n - 1) * p->head, n, hit);
}
