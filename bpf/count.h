/* SPDX-License-Identifier: GPL-2.0 */
/* Counting packets. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "network.h"
#include "types.h"

static __always_inline void count_stat(__u32 which)
{
	__u64 *n = bpf_map_lookup_elem(&stats, &which);

	if (n)
		(*n)++;
}

static __always_inline void count_volume(__u32 slot, bool inbound, __u64 bytes, __u64 packets)
{
	__u32 at = slot * 2 + inbound;
	struct volume *v = bpf_map_lookup_elem(&volumes, &at);

	if (v) {
		v->bytes += bytes;
		v->packets += packets;
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

/* count_skb counts an skb whose headers at layers 3 and 4 are head bytes long. */
static __always_inline void count_skb(struct __sk_buff *skb, __u32 slot, bool inbound, __u32 head)
{
	__u32 len = skb->len - sizeof(struct ethhdr);
	__u32 n = segments(skb, len, head);

	count_volume(slot, inbound, len + (__u64)(n - 1) * head, n);
}
