/* SPDX-License-Identifier: GPL-2.0 */
/* What security groups let pass: types and maps. Addresses and ports are in network order
 * but where a comment says otherwise.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define GROUP_MEMBERS (1 << 16)
#define GROUP_POLICIES (1 << 14)
#define GROUP_CLASSES (1 << 22)
#define GROUP_FLOWS (1 << 18)
#define GROUP_CROWD (1 << 17)
#define GROUP_NEAR_BITS 13
#define GROUP_FRAGMENTS (1 << 12)
#define GROUP_PORTS (1 << 14)
#define GROUP_CHUNK_WORDS 8 /* 512 rules */
#define GROUP_CHUNKS 8	    /* of a direction: 4,096 rules */

/* Why packets were dropped. */
enum group_reason {
	GROUP_EGRESS,	/* no rule lets the host send it */
	GROUP_INGRESS,	/* no rule lets the host receive it */
	GROUP_CUT,	/* of a flow whose rule is gone, or of TCP that nobody saw beginning */
	GROUP_FRAGMENT, /* a fragment whose first one has not passed */
	GROUP_OTHER,	/* neither IPv4 nor ARP, or not well-formed */
	GROUP_NOTHING,	/* its policy is not there */
	GROUP_REASONS,
};

/* Times are in ticks. */
struct group_settings {
	__u32 generation; /* goes up with every change of what decides */
	__u32 second;
	/* How long a flow is remembered when idle. */
	__u32 tcp_open;
	__u32 tcp_other; /* being opened or closed */
	__u32 udp;
	__u32 icmp; /* and what is none of these */
	__u32 share; /* how many flows of each member nobody else's take the place of */
	__u32 zero;
};

/* An address that groups hold for. */
struct group_member {
	__u32 policy;
	__u32 zero;
	__u64 until; /* monotonic ns: until then TCP that nobody saw beginning is picked up */
};

struct group_station {
	__u8 mac[6];
	__u16 zero;
};

/* The rules of one direction: a packet's remote address and its service each lead to a
 * class, which has a bit for each rule that they meet. Of the rules that both meet the first
 * decides.
 */
struct group_rules {
	__u32 addresses; /* number of a table in classes */
	__u32 services;	 /* likewise */
	__u32 count;	 /* of rules */
	__u32 zero;
};

struct group_policy {
	__u32 version; /* of no other policy, and of none before */
	__u32 zero;
	__u64 digest; /* of the rules, for user space */
	struct group_rules in, out;
};

/* Addresses: 32 bits of the address. Services: protocol, port in network order, 0. */
struct group_class_key {
	__u32 prefix; /* bits, with the 32 of the table */
	__u32 table;  /* network order */
	__u8 value[4];
};

struct group_chunk_key {
	__u32 table;
	__u16 class; /* 0, of the table of addresses: the rules that accept */
	__u16 index;
};

struct group_chunk {
	__u64 words[GROUP_CHUNK_WORDS]; /* bit n of word w: rule 64 w + n of the chunk */
};

/* A flow as a host's interface sees it. */
struct group_flow {
	__u32 local, remote;
	__u16 lport, rport; /* ICMP: the identifier, and 0 */
	__u8 proto;
	__u8 zero[3];
};

#define FLOW_OUT 0x1	  /* the host began it */
#define FLOW_SEEN_OUT 0x2 /* the host has sent */
#define FLOW_SEEN_IN 0x4  /* it has received */
#define FLOW_CLOSING 0x8  /* TCP: a FIN or RST has passed */
#define FLOW_CUT 0x10	  /* its rule is gone */

struct group_state {
	__u64 expires;	  /* ticks, of 64 bits */
	__u32 generation; /* of settings, at which it was looked at last */
	__u32 version;	  /* of the policy that allowed it */
	__u32 is;	  /* FLOW_ */
	__u32 member;	  /* address of whom it counts for, once it is in flows */
};

/* What was let pass by flows or crowd within the last second, at a place that the flow tells: of an
 * open flow one cache line is read, in place of three of a hash table. turn is odd while it is
 * written.
 */
struct group_near {
	__u32 turn;
	__u32 generation; /* of settings */
	__u32 until;	  /* ticks */
	__u32 out;	  /* the host has sent it */
	struct group_flow flow;
};

struct group_fragment {
	__u32 saddr, daddr;
	__u16 id;
	__u8 proto;
	__u8 out;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct group_settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, GROUP_MEMBERS);
	__type(key, __u32);
	__type(value, struct group_member);
} members SEC(".maps");

/* By Ethernet address, for what its hosts send from other addresses than their own, and what
 * they are sent for such.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, GROUP_MEMBERS);
	__type(key, struct group_station);
	__type(value, __u32); /* a member's address */
} stations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, GROUP_POLICIES);
	__type(key, __u32);
	__type(value, struct group_policy);
} policies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, GROUP_CLASSES);
	__type(key, struct group_class_key);
	__type(value, __u32);
} classes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, GROUP_CLASSES);
	__type(key, struct group_chunk_key);
	__type(value, struct group_chunk);
} chunks SEC(".maps");

/* Flows that were answered, of each member as many as its share. User space has those removed that
 * are over (expire). None gives way to another.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, GROUP_FLOWS);
	__type(key, struct group_flow);
	__type(value, struct group_state);
} flows SEC(".maps");

/* The others: nobody has answered yet, or the member's share is full. What is silent longest
 * gives way.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, GROUP_CROWD);
	__type(key, struct group_flow);
	__type(value, struct group_state);
} crowd SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << GROUP_NEAR_BITS);
	__type(key, __u32);
	__type(value, struct group_near);
} near SEC(".maps");

/* How many flows each member has in flows, by its address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, GROUP_MEMBERS);
	__type(key, __u32);
	__type(value, __u32);
} shares SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, GROUP_FRAGMENTS);
	__type(key, struct group_fragment);
	__type(value, __u64); /* monotonic ns until which it counts */
} fragments SEC(".maps");

/* The member that was heard last at a port, by its index. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, GROUP_PORTS);
	__type(key, __u32);
	__type(value, __u32); /* its address */
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GROUP_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} drops SEC(".maps");
