/* SPDX-License-Identifier: GPL-2.0 */
/* The shortcut of what crosses a router interface: untranslated, from one namespace into the
 * next. Its flows have no sessions, but are cached with the way that the kernel has sent one
 * of their packets: by routes, neighbours, the choice among several next hops, and the check
 * of its source, all of which make the cache void when they change (the network's
 * generation). conntrack sees a packet of each flow whenever it is learned anew.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "bandwidth.h"
#include "clock.h"
#include "count.h"
#include "forward.h"
#include "learn.h"
#include "near.h"
#include "network.h"
#include "parse.h"
#include "path.h"
#include "types.h"

/* flow_packet is what of a packet is asked before its flow is looked for. */
struct flow_packet {
	struct flow_id id;
	__u16 len;  /* at layer 3, by the header */
	__u16 head; /* length of the headers at layers 3 and 4 */
};

/* parse_flow reads a packet that may take the shortcut: whole, not a fragment, without IP
 * options, of TCP (with nothing that opens or ends a connection) or UDP. False for others.
 */
static __always_inline bool parse_flow(struct __sk_buff *skb, struct flow_packet *p)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	struct udphdr *udp = (void *)tcp;
	__u32 len = skb->len - sizeof(*eth);

	if (skb->protocol != bpf_htons(ETH_P_IP) || skb->vlan_present || (void *)(tcp + 1) > data_end ||
	    *(__u8 *)ip != 0x45 || (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) || ip->ttl <= 1)
		return false;
	p->len = bpf_ntohs(ip->tot_len);
	p->head = sizeof(*ip);
	if (ip->protocol == IPPROTO_TCP) {
		if (tcp->doff < 5 || tcp->syn || tcp->fin || tcp->rst || !tcp->ack)
			return false;
		p->head += tcp->doff * 4;
	} else if (ip->protocol == IPPROTO_UDP) {
		if (bpf_ntohs(udp->len) < sizeof(*udp) || bpf_ntohs(udp->len) > p->len - sizeof(*ip))
			return false;
		p->head += sizeof(*udp);
	} else {
		return false;
	}
	p->id.key.saddr = ip->saddr;
	p->id.key.daddr = ip->daddr;
	p->id.key.sport = udp->source;
	p->id.key.dport = udp->dest;
	p->id.key.proto = ip->protocol;
	p->id.ifindex = skb->ifindex;
	/* The IP header need not say how long an skb is that stands for several. */
	return skb->gso_size ? p->head <= len : p->len >= p->head && p->len <= len;
}

/* within_interface says whether packets may leave by a router interface at once, and counts
 * them then. Those that have to wait are reckoned and counted where they are led to the
 * queue of its link.
 */
static __always_inline bool within_interface(__u32 number, __u32 bytes, __u32 packets, bool led)
{
	struct bandwidth *b = bpf_map_lookup_elem(&interface_limits, &number);
	struct bandwidth_state *st = bpf_map_lookup_elem(&interface_states, &number);
	struct bandwidth_count *c = bpf_map_lookup_elem(&interface_counts, &number);

	if (!b || !st || !c)
		return false;
	if (b->cost && !waits(st)) {
		let_pass(c, b, st, bytes, packets);
		return true;
	}
	if (b->cost && !led)
		return false;
	c->bytes += bytes;
	c->packets += packets;
	if (b->cost)
		reckon(b, st, bytes);
	return !b->cost;
}

/* pass_interface does so for an skb, with headers of that length. */
static __always_inline bool pass_interface(struct __sk_buff *skb, __u32 len, __u32 head, __u32 number, bool led)
{
	__u32 n = 1;

	if (skb->gso_size) {
		len = skb->len - sizeof(struct ethhdr);
		n = segments(skb, len, head);
		len += (n - 1) * head;
	}
	return within_interface(number, len, n, led);
}

/* use_flow sends a packet out by the way of its flow: TC_ACT_REDIRECT. Else NEXT. */
static __always_inline int use_flow(struct __sk_buff *skb, const struct flow_packet *p, const struct cached_flow *f)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > data_end)
		return NEXT;
	__builtin_memcpy(eth, f->macs, sizeof(f->macs));
	ip->check = added(ip->check, (__u16)~bpf_htons(0x0100));
	ip->ttl--;
	/* What the programs of this network know of the packet is nothing to the next's. */
	skb->tc_index = 0;
	if (!f->interface) {
		skb->mark = MARK_SHORTCUT;
		return bpf_redirect(f->ifindex, 0);
	}
	/* What has to wait is counted where it leaves. */
	if (pass_interface(skb, p->len, p->head, f->interface, false))
		return bpf_redirect_peer(f->ifindex, 0);
	return bpf_redirect(f->ifindex, 0);
}

/* is_void says whether what was learned of a flow counts no longer. */
static __always_inline bool is_void(const struct cached_flow *f, __u32 generation, __u32 now)
{
	return f->generation != generation || (__s32)(f->until - now) < 0;
}

/* find_flow finds how packets of a flow leave, near or in the table. False if that is not known, or
 * counts no longer.
 */
static __always_inline bool find_flow(const struct flow_id *id, const struct gateway_settings *set, struct cached_flow *f)
{
	__u32 place = near_place(id), generation = generation_of(set), now = ticks();
	struct cached_flow *known;

	if (read_near(id, place, f) && !is_void(f, generation, now))
		return true;
	known = bpf_map_lookup_elem(&flows, id);
	if (!known)
		return false;
	*f = *known;
	if (is_void(f, generation, now))
		return false;
	settle_near(id, place, f, now);
	return true;
}

/* learn_flow notes how a packet leaves that conntrack has for one of an open connection, in
 * which it changes nothing.
 */
__noinline int learn_flow(struct __sk_buff *skb, struct packet *p, __u32 interface)
{
	struct gateway_settings *set = get_settings();
	struct cached_flow f = {};
	struct connection c = {};
	struct flow_id id = {};
	__u32 mtu = 0;

	if (!set || !p || why_not(p) != STAT_HIT)
		return 0;
	if (connection_of(skb, p, &c) < 0 || !(c.status & IPS_CONFIRMED) || !(c.status & IPS_SEEN_REPLY) ||
	    (c.status & (IPS_DYING | IPS_SRC_NAT | IPS_DST_NAT)))
		return 0;
	if (p->key.proto == IPPROTO_TCP && c.tcp_state != TCP_CONNTRACK_ESTABLISHED)
		return 0;
	if (bpf_skb_load_bytes(skb, 0, f.macs, sizeof(f.macs)))
		return 0;
	bpf_check_mtu(skb, 0, &mtu, 0, 0);
	if (!mtu)
		return 0;
	id.key = p->key;
	id.ifindex = skb->ingress_ifindex;
	f.ifindex = skb->ifindex;
	f.generation = generation_of(set);
	f.until = ticks() + set->lifetime - (bpf_get_prandom_u32() & (set->lifetime >> 2));
	f.mtu = mtu > 0xffff ? 0xffff : mtu;
	f.interface = interface;
	bpf_map_update_elem(&flows, &id, &f, BPF_ANY);
	settle_near(&id, near_place(&id), &f, ticks());
	return 0;
}

/* interface_of returns the number of the router interface that a link is; 0 for others. */
static __always_inline __u32 interface_of(__u32 ifindex)
{
	__u32 *number = bpf_map_lookup_elem(&interfaces, &ifindex);

	return number ? *number : 0;
}
