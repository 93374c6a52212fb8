/* SPDX-License-Identifier: GPL-2.0 */
/* What is read of the kernel's own structures. Offsets are filled in when a
 * program is loaded (CO-RE), so only the names have to be right.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#define AF_INET 2

#define VLAN_VID_MASK 0x0fff /* of a tag, which VLAN */

#define IP_MF 0x2000
#define IP_OFFSET 0x1fff

#define IPS_SEEN_REPLY (1 << 1)
#define IPS_ASSURED (1 << 2)
#define IPS_CONFIRMED (1 << 3)
#define IPS_SRC_NAT (1 << 4)
#define IPS_DST_NAT (1 << 5)
#define IPS_SRC_NAT_DONE (1 << 7)
#define IPS_DYING (1 << 9)

#define IP_CT_DIR_ORIGINAL 0
#define IP_CT_DIR_REPLY 1

#define TCP_CONNTRACK_SYN_SENT 1
#define TCP_CONNTRACK_SYN_RECV 2
#define TCP_CONNTRACK_ESTABLISHED 3
#define TCP_CONNTRACK_TIME_WAIT 7
#define TCP_CONNTRACK_CLOSE 8
#define TCP_CONNTRACK_SYN_SENT2 9

#define IP_CT_TCP_FLAG_BE_LIBERAL 0x08
#define IP_CT_TCP_FLAG_MAXACK_SET 0x20

/* What last_index says of a packet (enum tcp_bit_set). */
#define TCP_SYN_SET 0
#define TCP_ACK_SET 3
#define TCP_RST_SET 4

#define IP_CT_ESTABLISHED 0
#define IP_CT_NEW 2
#define IP_CT_IS_REPLY 3 /* from here on, a packet is of the reply direction */

#define NFCT_INFOMASK 7UL /* bits of _nfct that are not the pointer's */

/* linux/icmp.h wants the C library's headers. */
struct icmphdr {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be16 id;
	__be16 sequence;
};

#define ICMP_ECHOREPLY 0
#define ICMP_ECHO 8
#define ICMP_TIMESTAMP 13
#define ICMP_TIMESTAMPREPLY 14
#define ICMP_INFO_REQUEST 15
#define ICMP_INFO_REPLY 16
#define ICMP_ADDRESS 17
#define ICMP_ADDRESSREPLY 18

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

union nf_inet_addr {
	__be32 ip;
};

union nf_conntrack_man_proto {
	__be16 all;
};

struct nf_conntrack_man {
	union nf_inet_addr u3;
	union nf_conntrack_man_proto u;
};

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
		__u8 protonum;
	} dst;
};

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
};

struct ip_ct_tcp_state {
	__u32 td_end;
	__u32 td_maxend;
	__u32 td_maxwin;
	__u32 td_maxack;
	__u8 td_scale;
	__u8 flags;
};

struct ip_ct_tcp {
	struct ip_ct_tcp_state seen[2];
	__u8 state;
	__u8 last_dir;
	__u8 last_index;
	__u32 last_ack;
	__u32 last_end;
};

struct nf_ct_udp {
	unsigned long stream_ts;
};

union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
	struct nf_ct_udp udp;
};

struct ns_common {
	unsigned int inum;
};

/* gen has, at its beginning, how many pointers there are (unsigned int); and from
 * there on, of which the first do not count, the pointers to what each part of the
 * kernel keeps of the namespace, by the part's number (struct net_generic).
 */
struct net {
	struct ns_common ns;
	void *gen;
};

typedef struct {
	int counter;
} atomic_t;

struct nf_conntrack_net {
	atomic_t count;
};

struct nsproxy {
	struct net *net_ns;
};

struct task_struct {
	struct nsproxy *nsproxy;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct nf_conn {
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
	possible_net_t ct_net;
	union nf_conntrack_proto proto;
};

struct sk_buff {
	unsigned long _nfct;
	unsigned char *head;
	__u16 transport_header;
	__u16 network_header;
};

#pragma clang attribute pop

/* Options of the conntrack look-up. They must not be relocated. */
struct bpf_ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

#define CURRENT_NETNS -1

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple_size,
					 struct bpf_ct_opts *opts, __u32 opts_size) __ksym;
extern int bpf_ct_change_timeout(struct nf_conn *ct, __u32 ms) __ksym;
extern void bpf_ct_release(struct nf_conn *ct) __ksym;

/* From Linux 6.2. */
extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/* exists says whether this kernel has a function. */
#define exists(function) (!!(function))
