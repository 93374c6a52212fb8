//go:build ignore

// SPDX-License-Identifier: GPL-2.0
/* The programs that hold bandwidths of elastic IPs, at a link of the public side: where
 * packets have their public addresses, whatever path they took to there or will take.
 *
 *	outbound, inbound	choose what has to wait: classifiers whose action leads
 *				to the queue of the direction
 *	outbound_class, …	choose the class in which a packet waits, at the queue
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bandwidth.h"

#define VLAN_VID_MASK 0x0fff /* of a tag, which VLAN */

#define PASS 0	 /* no match: the packet goes on */
#define WAIT (-1) /* a match: the filter's action is taken */

struct tag {
	__be16 tci;
	__be16 inner;
};

/* find_ip reads the IPv4 header and returns where it is in the frame; 0 if there is none.
 * A tag of priority (VLAN 0), beside the frame or in it, is taken off on the way to who
 * gets the packet, so that it changes nothing.
 */
static __always_inline __u32 find_ip(struct __sk_buff *skb, struct iphdr *ip)
{
	__be16 protocol = skb->protocol;
	__u32 at = sizeof(struct ethhdr);
	struct tag tag;

	if (skb->vlan_present && (skb->vlan_tci & VLAN_VID_MASK))
		return 0;
	if (protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD)) {
		if (bpf_skb_load_bytes_relative(skb, at, &tag, sizeof(tag), BPF_HDR_START_MAC) ||
		    (tag.tci & bpf_htons(VLAN_VID_MASK)))
			return 0;
		protocol = tag.inner;
		at += sizeof(tag);
	}
	if (protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes_relative(skb, at, ip, sizeof(*ip), BPF_HDR_START_MAC))
		return 0;
	return at;
}

/* head_of returns the length of the headers that each packet has which an skb stands for;
 * the first of them is at a place in the frame.
 */
static __always_inline __u32 head_of(struct __sk_buff *skb, const struct iphdr *ip, __u32 at)
{
	__u32 len = ip->ihl * 4;
	__u8 offset = 0;

	if (ip->protocol == IPPROTO_UDP)
		return len + sizeof(struct udphdr);
	if (ip->protocol != IPPROTO_TCP)
		return len;
	/* The header's own length is in the byte after the numbers. */
	if (bpf_skb_load_bytes_relative(skb, at + len + 12, &offset, 1, BPF_HDR_START_MAC))
		return len + sizeof(struct tcphdr);
	return len + (offset >> 4) * 4;
}

static __always_inline int choose(struct __sk_buff *skb, __u32 direction)
{
	__u32 bytes, packets = 1, head, at;
	struct shaped_address *of;
	struct iphdr ip;
	__be32 addr;

	at = find_ip(skb, &ip);
	if (!at)
		return PASS;
	addr = direction == INBOUND ? ip.daddr : ip.saddr;
	of = bpf_map_lookup_elem(&shaped, &addr);
	if (!of || !of->number[direction])
		return PASS;
	bytes = bpf_ntohs(ip.tot_len);
	if (skb->gso_size) {
		/* The header need not say how long an skb is that stands for several. */
		bytes = skb->len > at ? skb->len - at : 0;
		head = head_of(skb, &ip, at);
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
	struct shaped_address *of;
	struct iphdr ip;
	__be32 addr;

	if (!find_ip(skb, &ip))
		return 0;
	addr = direction == INBOUND ? ip.daddr : ip.saddr;
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
