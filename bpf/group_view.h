/* SPDX-License-Identifier: GPL-2.0 */
/* Packets as a host's interface sees them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "groups.h"
#include "kernel.h"

/* ICMP that quotes a packet (RFC 792). */
#define ICMP_DEST_UNREACH 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12

/* A packet as the host's interface sees it. */
struct view {
	struct group_flow flow;
	bool opens;   /* TCP with SYN and without ACK, or not TCP */
	bool ends;    /* TCP with FIN or RST */
	bool error;   /* ICMP that quotes a packet of flow */
	bool more;    /* the first one of several fragments */
	bool later;   /* one of them that has no ports */
	struct group_fragment fragment;
};

static __always_inline void sides(struct group_flow *f, bool out, __u32 saddr, __u32 daddr, __u16 sport, __u16 dport)
{
	f->local = out ? saddr : daddr;
	f->remote = out ? daddr : saddr;
	f->lport = out ? sport : dport;
	f->rport = out ? dport : sport;
}

/* quoted makes v that of the flow which an ICMP error is about, if its packet was sent by
 * whom the error is for.
 */
static __always_inline void quoted(struct __sk_buff *skb, __u32 at, struct view *v, bool out)
{
	struct group_flow f = {};
	struct iphdr ip;
	__u16 ports[2] = {};

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return;
	/* Whom it is for has sent what it quotes. */
	sides(&f, !out, ip.saddr, ip.daddr, 0, 0);
	if (f.local != v->flow.local)
		return;
	if (ip.frag_off & bpf_htons(IP_OFFSET))
		return;
	switch (ip.protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		if (bpf_skb_load_bytes(skb, at + ip.ihl * 4, ports, sizeof(ports)))
			return;
		sides(&f, !out, ip.saddr, ip.daddr, ports[0], ports[1]);
		break;
	case IPPROTO_ICMP:
		if (bpf_skb_load_bytes(skb, at + ip.ihl * 4 + offsetof(struct icmphdr, id), ports, sizeof(ports[0])))
			return;
		f.lport = ports[0];
		break;
	}
	f.proto = ip.protocol;
	v->flow = f;
	v->error = true;
}

/* headers is how much of a packet is looked at: IPv4 with options, and TCP without. */
#define HEADERS (ETH_HLEN + 60 + sizeof(struct tcphdr))

/* look reads an IPv4 packet. Returns whether it is well-formed. */
static __always_inline bool look(struct __sk_buff *skb, struct view *v, bool out)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end, *l4;
	struct iphdr *ip;
	__u16 place;

	if (data + HEADERS > end && end - data < skb->len) {
		/* Some of it is not with its beginning. */
		bpf_skb_pull_data(skb, skb->len < HEADERS ? skb->len : HEADERS);
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
	}
	ip = data + ETH_HLEN;
	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return false;
	l4 = (void *)ip + ip->ihl * 4;
	sides(&v->flow, out, ip->saddr, ip->daddr, 0, 0);
	v->flow.proto = ip->protocol;
	v->opens = true;
	if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) {
		place = bpf_ntohs(ip->frag_off) & IP_OFFSET;
		v->fragment.saddr = ip->saddr;
		v->fragment.daddr = ip->daddr;
		v->fragment.id = ip->id;
		v->fragment.proto = ip->protocol;
		v->fragment.out = out;
		/* One that would write the flags of the first anew (RFC 1858). */
		if (place == 1 && ip->protocol == IPPROTO_TCP)
			return false;
		v->later = place != 0;
		v->more = place == 0;
		if (v->later)
			return true;
	}
	switch (ip->protocol) {
	case IPPROTO_TCP: {
		struct tcphdr *tcp = l4;

		if ((void *)(tcp + 1) > end)
			return false;
		sides(&v->flow, out, ip->saddr, ip->daddr, tcp->source, tcp->dest);
		v->opens = tcp->syn && !tcp->ack && !tcp->rst && !tcp->fin;
		v->ends = tcp->fin || tcp->rst;
		return true;
	}
	case IPPROTO_UDP: {
		__u16 *ports = l4;

		if ((void *)(ports + 2) > end)
			return false;
		sides(&v->flow, out, ip->saddr, ip->daddr, ports[0], ports[1]);
		return true;
	}
	case IPPROTO_ICMP: {
		struct icmphdr *icmp = l4;

		if ((void *)(icmp + 1) > end)
			return false;
		switch (icmp->type) {
		case ICMP_DEST_UNREACH:
		case ICMP_SOURCE_QUENCH:
		case ICMP_TIME_EXCEEDED:
		case ICMP_PARAMETERPROB:
			quoted(skb, ETH_HLEN + ip->ihl * 4 + sizeof(*icmp), v, out);
			return true;
		}
		v->flow.lport = icmp->id;
		return true;
	}
	}
	return true;
}
