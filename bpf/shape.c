//go:build ignore

// SPDX-License-Identifier: GPL-2.0
/* The programs that hold bandwidths of elastic IPs, at a link of the public side: where
 * packets have their public addresses, whatever path they took to there or will take.
 *
 *	outbound, inbound	choose what has to wait: classifiers whose action leads
 *				to the queue of the direction
 *	outbound_class, …	choose the class in which a packet waits, at the queue
 */
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bandwidth.h"

#define PASS 0	 /* no match: the packet goes on */
#define WAIT (-1) /* a match: the filter's action is taken */

/* head_of returns the length of the headers that each packet has which an skb stands for. */
static __always_inline __u32 head_of(struct __sk_buff *skb, const struct iphdr *ip)
{
	__u32 len = ip->ihl * 4;
	__u8 offset = 0;

	if (ip->protocol == IPPROTO_UDP)
		return len + sizeof(struct udphdr);
	if (ip->protocol != IPPROTO_TCP)
		return len;
	/* The header's own length is in the byte after the numbers. */
	if (bpf_skb_load_bytes_relative(skb, len + 12, &offset, 1, BPF_HDR_START_NET))
		return len + sizeof(struct tcphdr);
	return len + (offset >> 4) * 4;
}

static __always_inline int choose(struct __sk_buff *skb, __u32 direction)
{
	__u32 bytes, packets = 1, head;
	struct shaped_address *of;
	struct iphdr ip;
	__be32 addr;

	if (skb->protocol != bpf_htons(ETH_P_IP) || skb->vlan_present)
		return PASS;
	if (bpf_skb_load_bytes_relative(skb, 0, &ip, sizeof(ip), BPF_HDR_START_NET))
		return PASS;
	addr = direction == INBOUND ? ip.daddr : ip.saddr;
	of = bpf_map_lookup_elem(&shaped, &addr);
	if (!of || !of->number[direction])
		return PASS;
	bytes = bpf_ntohs(ip.tot_len);
	if (skb->gso_size) {
		/* The header need not say how long an skb is that stands for several. */
		bytes = skb->len > sizeof(struct ethhdr) ? skb->len - sizeof(struct ethhdr) : 0;
		head = head_of(skb, &ip);
		packets = skb->gso_segs;
		if (!packets && bytes > head)
			packets = (bytes - head + skb->gso_size - 1) / skb->gso_size;
		if (packets)
			bytes += (packets - 1) * head;
	}
	return within_limits(of->number[direction], direction, bytes, packets, true) ? PASS : WAIT;
}

SEC("tc")
int outbound(struct __sk_buff *skb)
{
	return choose(skb, OUTBOUND);
}

SEC("tc")
int inbound(struct __sk_buff *skb)
{
	return choose(skb, INBOUND);
}

static __always_inline int class_of(struct __sk_buff *skb, __u32 direction)
{
	__u32 at = direction == INBOUND ? offsetof(struct iphdr, daddr) : offsetof(struct iphdr, saddr);
	struct shaped_address *of;
	__be32 addr;

	if (bpf_skb_load_bytes_relative(skb, at, &addr, sizeof(addr), BPF_HDR_START_NET))
		return 0;
	of = bpf_map_lookup_elem(&shaped, &addr);
	return of ? of->class[direction] : 0;
}

SEC("tc")
int outbound_class(struct __sk_buff *skb)
{
	return class_of(skb, OUTBOUND);
}

SEC("tc")
int inbound_class(struct __sk_buff *skb)
{
	return class_of(skb, INBOUND);
}

char LICENSE[] SEC("license") = "GPL";

/* For the bindings: types that no program of the object passes on. */
#define EXPORT(type, name) const type *name##_type __attribute__((unused))
EXPORT(struct shaped_address, shaped_address);
EXPORT(struct bandwidth, bandwidth);
EXPORT(struct bandwidth_count, bandwidth_count);
EXPORT(struct bandwidth_state, bandwidth_state);
