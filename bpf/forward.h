/* SPDX-License-Identifier: GPL-2.0 */
/* The shortcut: a packet is translated and sent out by the path of its session. */
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "bandwidth.h"
#include "count.h"
#include "parse.h"
#include "path.h"
#include "session.h"
#include "types.h"
#include "window.h"

/* is_tcp returns 1 for TCP, and 0 for UDP, without a branch, as chosen: their numbers are 6 and 17. */
static __always_inline __u32 is_tcp(const struct packet *p)
{
	return ~p->key.proto >> 4 & 1;
}

/* checksum_at returns where the checksum is in the header of TCP, or, with 0, of UDP. */
static __always_inline __u32 checksum_at(__u32 tcp)
{
	return offsetof(struct udphdr, check) + tcp * (offsetof(struct tcphdr, check) - offsetof(struct udphdr, check));
}

/* forward translates a packet and sends it out by its path. */
static __always_inline int forward(struct __sk_buff *skb, const struct packet *p, const struct translation *t)
{
	void *data, *data_end;
	struct ethhdr *eth;
	struct iphdr *ip;
	__be16 *ports;
	__u32 tcp = is_tcp(p), at = sizeof(*eth) + sizeof(*ip) + checksum_at(tcp);
	__u64 flags = (tcp ^ 1) * BPF_F_MARK_MANGLED_0;
	__be32 addr = chosen(t->inbound, p->key.daddr, p->key.saddr);
	__be16 port = chosen(t->inbound, p->key.dport, p->key.sport);

	/* The helpers know whether the checksum is whole, partial, or none. The
	 * addresses are in the pseudo header, the ports are not.
	 */
	if (addr != t->addr)
		bpf_l4_csum_replace(skb, at, addr, t->addr, BPF_F_PSEUDO_HDR | flags | 4);
	if (port != t->port)
		bpf_l4_csum_replace(skb, at, port, t->port, flags | 2);
	data = (void *)(long)skb->data;
	data_end = (void *)(long)skb->data_end;
	eth = data;
	ip = (void *)(eth + 1);
	ports = (void *)(ip + 1);
	if ((void *)(ports + 2) > data_end)
		return TC_ACT_SHOT;
	__builtin_memcpy(eth, t->macs, sizeof(t->macs));
	translate_ip(ip, t);
	translate_ports(ports, &p->key, t);
	skb->mark = MARK_SHORTCUT;
	return bpf_redirect(t->ifindex, 0);
}

/* fits says whether the packet, or each that it stands for, is small enough. */
static __always_inline bool fits(struct __sk_buff *skb, const struct packet *p, __u32 mtu)
{
	if (skb->gso_size)
		return skb->gso_size + p->head <= mtu;
	return p->len <= mtu;
}

/* within_limit says whether a packet from the outside is within the limit of its elastic
 * IP, and counts it then. One that is not is counted where it is led to the queue.
 */
static __always_inline bool within_limit(struct __sk_buff *skb, const struct packet *p, __u32 number, __u32 len)
{
	__u32 n = segments(skb, len, p->head);

	return within_limits(number, INBOUND, (skb->gso_size ? len : p->len) + (n - 1) * p->head, n, false);
}

/* shortcut forwards a packet if its session has a path for it: TC_ACT_REDIRECT.
 * Else NEXT, and why is set.
 */
static __always_inline int shortcut(struct __sk_buff *skb, const struct packet *p, struct session *s,
				    const struct gateway_settings *set, bool public, __u32 *why)
{
	__u32 len = skb->len - sizeof(struct ethhdr);
	struct translation t;

	*why = why_not(p);
	if (*why == STAT_HIT)
		*why = unusable(s, set);
	/* The IP header need not say how long an skb is that stands for several. */
	if (*why == STAT_HIT && !(skb->gso_size ? p->head <= len : whole(p, len)))
		*why = STAT_MISS_OTHER;
	if (*why == STAT_HIT && !fits(skb, p, s->mtu))
		*why = STAT_MISS_MTU;
	if (*why == STAT_HIT && (!(s->path & PATH_PUBLIC) != !public || !read_path(s, set, &t)))
		*why = STAT_MISS_OTHER;
	/* What leaves by the uplink meets its limit there, in the link's own filter. */
	if (*why == STAT_HIT && public && s->bandwidth && !within_limit(skb, p, s->bandwidth, len))
		*why = STAT_MISS_BANDWIDTH;
	if (*why != STAT_HIT)
		return NEXT;
	place_skb(s, p, skb);
	count_skb(skb, p, s->slot, s->flow & FLOW_INBOUND, true);
	return forward(skb, p, &t);
}
