/* SPDX-License-Identifier: GPL-2.0 */
/* From a packet to the key of its flow. */
#pragma once

#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "types.h"

/* What a packet is, besides its key. */
#define IS_FIRST_FRAGMENT 0x1
#define IS_LATER_FRAGMENT 0x2 /* has no ports */
#define IS_OPTIONED 0x4	      /* with IP options */
#define IS_SYN 0x8
#define IS_ACK 0x10
#define IS_ENDING 0x20 /* FIN or RST */
#define IS_RESET 0x40
#define IS_QUERY 0x80 /* ICMP that opens a session */
#define IS_ERROR 0x100 /* other ICMP than queries and their answers */
#define IS_MALFORMED 0x200 /* TCP with a header shorter than one can be (RFC 9293, section 3.1), or UDP
			    * longer than its packet (RFC 768): conntrack takes neither */

struct packet {
	struct flow_key key;
	__u16 is;     /* IS_ */
	__u16 len;    /* at layer 3, by the header */
	__u16 window; /* TCP, not scaled */
	__u8 head;    /* length of the headers at layers 3 and 4 */
	__u8 ttl;
	__u32 seq, acked; /* TCP */
};

/* has_ports says whether conntrack can be asked for a protocol's connections. */
static __always_inline bool has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

/* tcp_flags returns what the flags of TCP say (RFC 9293, section 3.1), without a branch:
 * the verifier would follow the rest of a program for each set of them.
 */
static __always_inline __u32 tcp_flags(__u8 flags)
{
	__u32 fin = flags & 1, syn = flags >> 1 & 1, rst = flags >> 2 & 1, ack = flags >> 4 & 1;

	return syn * IS_SYN | ack * IS_ACK | (fin | rst) * IS_ENDING | rst * IS_RESET;
}

static __always_inline void parse_icmp(struct packet *p, const struct icmphdr *icmp)
{
	switch (icmp->type) {
	case ICMP_ECHO:
	case ICMP_TIMESTAMP:
	case ICMP_INFO_REQUEST:
	case ICMP_ADDRESS:
		p->is |= IS_QUERY;
		break;
	case ICMP_ECHOREPLY:
	case ICMP_TIMESTAMPREPLY:
	case ICMP_INFO_REPLY:
	case ICMP_ADDRESSREPLY:
		break;
	default:
		p->is |= IS_ERROR;
		return;
	}
	p->key.sport = icmp->id;
	p->key.dport = bpf_htons(icmp->type << 8 | icmp->code);
}

/* begin_packet fills in what the IP header says. */
static __always_inline void begin_packet(struct packet *p, const struct iphdr *ip)
{
	__builtin_memset(&p->key, 0, sizeof(p->key));
	p->key.saddr = ip->saddr;
	p->key.daddr = ip->daddr;
	p->key.proto = ip->protocol;
	p->is = 0;
	p->window = 0;
	p->seq = p->acked = 0;
	p->len = bpf_ntohs(ip->tot_len);
	p->head = ip->ihl * 4;
	p->ttl = ip->ttl;
}

static __always_inline void parse_tcp(struct packet *p, const struct tcphdr *tcp)
{
	p->key.sport = tcp->source;
	p->key.dport = tcp->dest;
	p->window = bpf_ntohs(tcp->window);
	p->seq = bpf_ntohl(tcp->seq);
	p->acked = bpf_ntohl(tcp->ack_seq);
	p->is |= tcp_flags(((const __u8 *)tcp)[13]) | (((__u32)tcp->doff - 5) >> 31) * IS_MALFORMED;
	p->head += tcp->doff * 4;
}

static __always_inline void parse_udp(struct packet *p, const struct udphdr *udp)
{
	__u32 len = bpf_ntohs(udp->len), missing = (p->len - p->head - len) | (len - (__u32)sizeof(*udp));

	barrier_var(missing); /* no branch, as above */
	p->key.sport = udp->source;
	p->key.dport = udp->dest;
	p->is |= (missing >> 31) * IS_MALFORMED;
	p->head += sizeof(*udp);
}

/* parse fills in p of what most packets are: TCP or UDP, without IP options, and not a fragment.
 * Returns false for what is not.
 */
static __always_inline bool parse(void *data, void *data_end, struct packet *p)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	struct udphdr *udp = (void *)(ip + 1);

	if ((void *)(udp + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP) || *(__u8 *)ip != 0x45 ||
	    (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)))
		return false;
	begin_packet(p, ip);
	p->head = sizeof(*ip);
	if (ip->protocol == IPPROTO_TCP) {
		if ((void *)(tcp + 1) > data_end)
			return false;
		parse_tcp(p, tcp);
		return true;
	}
	if (ip->protocol != IPPROTO_UDP)
		return false;
	parse_udp(p, udp);
	return true;
}

/* parse_any does so for whatever IPv4 there is, and makes its headers linear. Returns false for
 * what is not well-formed. Of what conntrack knows ports of, the ports are read. It is a function of
 * its own: the verifier follows it once, and what comes after it once for all kinds of packet.
 */
__noinline int parse_any(struct __sk_buff *skb, struct packet *p)
{
	union {
		struct tcphdr tcp;
		struct udphdr udp;
		struct icmphdr icmp;
		__be16 ports[2];
	} h;
	struct iphdr ip;
	__u32 l4;

	if (!p)
		return false;
	bpf_skb_pull_data(skb, skb->len < 128 ? skb->len : 128);
	if (bpf_skb_load_bytes(skb, sizeof(struct ethhdr), &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return false;
	begin_packet(p, &ip);
	if (ip.ihl > 5)
		p->is |= IS_OPTIONED;
	if (ip.frag_off & bpf_htons(IP_OFFSET)) {
		p->is |= IS_LATER_FRAGMENT;
		return true;
	}
	if (ip.frag_off & bpf_htons(IP_MF))
		p->is |= IS_FIRST_FRAGMENT;
	l4 = sizeof(struct ethhdr) + ip.ihl * 4;
	switch (ip.protocol) {
	case IPPROTO_TCP:
		if (bpf_skb_load_bytes(skb, l4, &h.tcp, sizeof(h.tcp)))
			return false;
		parse_tcp(p, &h.tcp);
		break;
	case IPPROTO_UDP:
		if (bpf_skb_load_bytes(skb, l4, &h.udp, sizeof(h.udp)))
			return false;
		parse_udp(p, &h.udp);
		break;
	case IPPROTO_ICMP:
		if (bpf_skb_load_bytes(skb, l4, &h.icmp, sizeof(h.icmp)))
			return false;
		parse_icmp(p, &h.icmp);
		break;
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
		if (bpf_skb_load_bytes(skb, l4, h.ports, sizeof(h.ports)))
			return false;
		p->key.sport = h.ports[0];
		p->key.dport = h.ports[1];
		break;
	}
	return true;
}
