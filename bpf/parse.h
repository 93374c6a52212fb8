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
	__u32 is;   /* IS_ */
	__u16 len;  /* at layer 3, by the header */
	__u16 head; /* length of the headers at layers 3 and 4 */
	__u8 ttl;
	__u16 window; /* TCP, not scaled */
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

/* parse fills in p. Returns the offset of layer 4 from data, or 0 for what is
 * not well-formed IPv4. Of what conntrack knows ports of, the ports are read.
 */
static __always_inline __u32 parse(void *data, void *data_end, struct packet *p)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	__u32 l4 = sizeof(*eth) + sizeof(*ip);
	void *ports;

	if ((void *)(ip + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->version != 4 || ip->ihl < 5)
		return 0;
	__builtin_memset(&p->key, 0, sizeof(p->key));
	p->key.saddr = ip->saddr;
	p->key.daddr = ip->daddr;
	p->key.proto = ip->protocol;
	p->is = 0;
	p->window = 0;
	p->seq = p->acked = 0;
	p->len = bpf_ntohs(ip->tot_len);
	p->ttl = ip->ttl;
	p->head = sizeof(*ip);
	if (ip->ihl > 5) {
		p->is |= IS_OPTIONED;
		l4 = sizeof(*eth) + ip->ihl * 4;
		p->head = ip->ihl * 4;
	}
	if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) {
		if (ip->frag_off & bpf_htons(IP_OFFSET)) {
			p->is |= IS_LATER_FRAGMENT;
			return l4;
		}
		p->is |= IS_FIRST_FRAGMENT;
	}
	ports = data + l4;
	switch (p->key.proto) {
	case IPPROTO_UDP: {
		struct udphdr *udp = ports;

		if ((void *)(udp + 1) > data_end)
			return 0;
		p->key.sport = udp->source;
		p->key.dport = udp->dest;
		if (bpf_ntohs(udp->len) > p->len - p->head || bpf_ntohs(udp->len) < sizeof(*udp))
			p->is |= IS_MALFORMED;
		p->head += sizeof(*udp);
		return l4;
	}
	case IPPROTO_TCP: {
		struct tcphdr *tcp = ports;

		if ((void *)(tcp + 1) > data_end)
			return 0;
		p->key.sport = tcp->source;
		p->key.dport = tcp->dest;
		p->head += tcp->doff * 4;
		p->window = bpf_ntohs(tcp->window);
		p->seq = bpf_ntohl(tcp->seq);
		p->acked = bpf_ntohl(tcp->ack_seq);
		p->is |= tcp_flags(((__u8 *)tcp)[13]) | (((__u32)tcp->doff - 5) >> 31) * IS_MALFORMED;
		return l4;
	}
	case IPPROTO_ICMP: {
		struct icmphdr *icmp = ports;

		if ((void *)(icmp + 1) > data_end)
			return 0;
		parse_icmp(p, icmp);
		return l4;
	}
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE: {
		__be16 *port = ports;

		if ((void *)(port + 2) > data_end)
			return 0;
		p->key.sport = port[0];
		p->key.dport = port[1];
		return l4;
	}
	}
	return l4;
}
