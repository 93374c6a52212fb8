/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs keep of a network, and what user space reads of it. Package
 * dataplane/session has the same types in Go (generated from the BTF).
 */
#pragma once

#include <linux/pkt_cls.h>
#include <linux/types.h>
#include <stdbool.h>

#include "marks.h"

/* A network's NAT gateways have numbers, which user space gives out. The number of
 * what none of them translates is GATEWAY_NONE; 0 is nobody's.
 */
#define GATEWAYS 64
#define GATEWAY_NONE 1

/* How many addresses there may be that move between hosts. */
#define MOVING 4096

/* Private addresses are counted one by one, for each gateway that they go by. The first
 * slots, by the gateways' numbers, are for all others.
 */
#define SLOTS 16384
#define CHUNK 256 /* slots whose volumes are in one map */

/* Bandwidths of elastic IPs have numbers, too, from 1 on. Those whose packets may pass
 * without a queue while they are within their limit are fewer than this in a network's own
 * maps; user space makes those of a public device larger.
 */
#define BANDWIDTHS 256

/* flow_key is what a packet says of its flow before translation. Ports of ICMP
 * are the query's id, and type << 8 | code; of protocols without ports, 0.
 */
struct flow_key {
	__be32 saddr;
	__be32 daddr;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 pad[3];
};

/* The kinds of session. User space knows the order. */
enum kind {
	KIND_NONE,
	KIND_SNAT,
	KIND_DNAT,
	KIND_ELASTIC,
	KINDS,
};

/* Conntrack's entries, by what they are for. CLASSES is a power of two. User
 * space knows the order.
 */
enum class {
	CLASS_OTHERS,  /* not translated: within the VPC, by other ways than the uplink, for the gateway itself */
	CLASS_SNAT,    /* opened from inside, translated by an SNAT entry */
	CLASS_ELASTIC, /* opened from inside by a host with an elastic IP of its own */
	CLASS_INBOUND, /* to an elastic IP, by a DNAT entry or to its host */
	CLASSES,
};

/* States of a session, kept in the element of its original direction. */
#define STATE_CLOSED 0x1   /* seen closed: not counted as open any more */
#define STATE_DEAD 0x2	   /* being removed */
#define STATE_CLOSING 0x4  /* SYN, FIN or RST was seen: no shortcut until conntrack has it established */
#define STATE_CONFIRMED 0x8 /* conntrack has it */
#define STATE_RESET 0x10 /* a RST was seen just where its sender was, or its receiver: only a SYN opens it again */
#define STATE_EXACT 0x20 /* such a RST is on its way */
#define STATE_UNSURE 0x40 /* a RST is on its way of which nobody can tell whether it belongs there */

/* Properties of an element, fixed when it is made. */
#define FLOW_REPLY 0x1	 /* of the reply direction */
#define FLOW_INBOUND 0x2 /* towards the private address */
#define FLOW_KERNEL 0x4	 /* never takes the shortcut (hairpin) */
/* What the session counts with, besides the gateway; of the original direction. */
#define FLOW_BY_PORT 0x8     /* the DNAT entry of its port, and the elastic IP */
#define FLOW_BY_ADDRESS 0x10 /* the entry of its whole address, and the elastic IP */
#define FLOW_BY_HOST 0x20    /* the host, which has an elastic IP of its own */

/* What is learned of a direction. */
#define PATH_PAIRED 0x1 /* the other direction has been learned, too */
#define PATH_XDP 0x2	/* the way out can be reached by an XDP redirect */
#define PATH_PUBLIC 0x4 /* its packets come in by the uplink */

/* session is one direction of a session. The element of the original direction
 * is there as long as the session is; that of the reply direction as soon as it
 * is needed. All fields of the path hold only while generation is the network's
 * and until is not over: they are written after generation was set to 0.
 *
 * Of a packet that takes a path one end is translated: its destination if it is
 * inbound, else its source. (Hairpin connections have both, and no path.)
 */
struct session {
	__u8 dmac[6];	  /* path: the frame's next owner */
	__u8 smac[6];	  /* path */
	__be32 addr;	  /* path: of the end that is translated, afterwards */
	__be16 port;	  /* path: of the same */
	__u16 mtu;	  /* path: of the link */
	__u32 ifindex;	  /* path: the link that the packet leaves by */
	__u32 generation; /* path: the network's when this was learned; 0 for nothing learned */
	__u32 until;	  /* path: when it has to be learned anew; before that, when the session was made; ticks */
	__u16 slot;	  /* of the private address, and so of the NAT gateway that the session counts with */
	__u8 kind;
	__u8 flow;    /* FLOW_ */
	__u32 state; /* STATE_; of the original direction, but STATE_CLOSING of both */
	__u8 path;    /* path: PATH_ */
	__u8 scale;   /* TCP: of the sender's windows */
	__u16 bandwidth; /* path: number of what limits its packets where it is for these programs to look; 0 for nothing */
	__sum16 l4_delta; /* path: what to add to the complement of the checksum of TCP and UDP */
	__u16 window; /* TCP: what the sender said last, not scaled */
	__u32 acked;  /* TCP: how far the sender has acknowledged; with end 0 if not known */
	__u32 end;    /* TCP: how far the sender has sent: the sequence number after that */
};

/* A hash element with its header fits into 128 bytes: the kernel adds 48 bytes
 * and a list pointer, and allocates powers of two.
 */
_Static_assert(sizeof(struct flow_key) == 16, "key");
_Static_assert(sizeof(struct session) == 56, "session");

/* settings is what user space asks of a network's programs. */
struct gateway_settings {
	__u32 uplink;	    /* ifindex */
	__u32 generation;   /* of paths: others are not used any more; never 0 */
	__u32 lifetime;	    /* of a path; ticks */
	__u32 established;  /* how long conntrack keeps an open TCP connection that is idle; ms */
	__u32 transitory;   /* the same for one that nobody has answered; ms */
	__u32 reset;	    /* the same for one that was reset; ms */
	__u32 unanswered;   /* the same for UDP from outside that nobody has answered; ms */
	__u32 answered;	    /* and for UDP that somebody has; ms */
	__be32 vpc;	    /* the VPC's prefix */
	__be32 vpc_mask;
	__be32 public;	    /* the uplink's prefix */
	__be32 public_mask;
	__u32 flags;	    /* SET_ */
	__u32 patience;	    /* after which user space is taken for gone; ticks */
	__u32 entries;	    /* conntrack's entries in the namespace; 0 for no limit */
	__u32 share[CLASSES]; /* of them, those that no other class can take */
	__u32 per_entry;    /* sessions open at once of a DNAT entry, or from outside to a host's own elastic IP; 0 for no limit */
	__u32 per_elastic_ip; /* of all entries of an elastic IP; 0 for no limit */
	__u32 per_host;	    /* opened by a host through an elastic IP of its own; 0 for no limit */
	__u32 others;	    /* entries without a session, as user space saw them last */
	__u32 slots;	    /* private addresses counted one by one, at most; up to SLOTS - GATEWAYS */
	__u32 gateway;	    /* with which counts what cannot be told to be another's */
};

/* nat_limits is what user space asks of a NAT gateway, by number. */
struct nat_limits {
	__u64 interval;	   /* between two new connections; ns; 0 for no limit */
	__u64 burst;	   /* how far ahead of its time a new connection may be; ns */
	__u32 connections; /* SNAT connections open at once; 0 for no limit */
	__u32 host_connections; /* the same of a private address that has no limits of its own */
	__u64 host_interval;
	__u64 host_burst;
};

/* host_limits are a private address's own, or those of a block of addresses, each. */
struct host_limits {
	__u64 interval;	   /* between two new connections; ns; 0 for no limit but the gateway's */
	__u64 burst;	   /* ns */
	__u32 connections; /* SNAT connections open at once; 0 for no limit but the gateway's */
	__u32 pad;
};

/* nat_state is what the programs keep of a NAT gateway, by number. */
struct nat_state {
	__u64 arrival;	     /* theoretical arrival time of the next new connection; ns (see admit) */
	__u64 open[KINDS];   /* sessions open now */
	__u64 opened[KINDS]; /* sessions opened so far */
};

#define SET_SHORTCUT 0x1 /* learn paths, and use them */
#define SET_REJECT 0x2	 /* mark what is refused, for the stack to answer; else drop it */
#define SET_ROUTES 0x4	 /* not all that leaves the VPC does so by the uplink: ask for the route */
#define SET_SOURCES 0x8	 /* a session begins only if its host's address is its own; see check_source */
#define SET_CHANGING 0x10 /* a link may have a program twice; see been_here */

/* gateway is what the programs keep of a network. */
struct gateway_state {
	__u64 held[CLASSES];   /* sessions there are, closed ones with them; 0 of CLASS_OTHERS */
	__u64 pending;	       /* sessions that conntrack is not known to have */
	__u64 unknown;	       /* when the next address that is not known may begin a session; ns (see believe) */
	__u64 count_at;	       /* where the kernel counts the namespace's entries; 0 if that is not known */
	__u32 slots;	       /* handed out, or free again, of those behind the first GATEWAYS */
	__u32 heartbeat;       /* when user space last ran sync_sessions; ticks */
};

/* slot_key is whom a slot is for. */
struct slot_key {
	__be32 addr;
	__u32 gateway; /* number of the NAT gateway that it goes by */
};

/* address is what is kept of a private address, by slot. */
struct address {
	__be32 addr; /* 0 if the slot is free */
	__u16 gateway; /* number */
	__u16 hidden; /* set by user space, which is about to take the slot back */
	__u64 open;
	__u64 opened;
	__u64 snat;    /* of open: those by SNAT entries */
	__u64 arrival; /* theoretical arrival time of the next new one of these; ns */
	__u64 refused; /* because it has its share of the gateway's limits */
	__u64 owner; /* the Ethernet address that it was last found to belong to; 0 for none */
};

/* bound_key says what sessions count with. */
struct bound_key {
	__be32 addr;
	__be16 port; /* 0 for a whole address */
	__u8 proto;  /* 0 for a whole address */
	__u8 of;     /* OF_ */
};

#define OF_ENTRY 0	/* a DNAT entry, or the whole of an elastic IP, by its external address */
#define OF_ELASTIC_IP 1 /* all entries of an elastic IP together */
#define OF_HOST 2	/* what a host with an elastic IP of its own opens, by its private address */

struct bound {
	__u64 open;
	__u64 refused;
};

/* volume is an amount of traffic, by slot and direction, for each CPU. */
struct volume {
	__u64 bytes;   /* at layer 3 */
	__u64 packets; /* as on the wire */
	__u64 hits;    /* of them, those that took the shortcut, as they came (one may stand for several) */
};

/* returned_counts is what was counted by slots of a gateway that were taken back, by its
 * number. User space alone writes it, before and after it clears a slot: whatever happens
 * in between, nothing is lost and nothing counted twice.
 */
struct returned_counts {
	struct volume outbound;
	struct volume inbound;
	__u32 slot; /* whose counts are in it already, and are being cleared; 0 for none */
	__u32 pad;
};

/* What is counted of a network, for each CPU. User space knows the order. */
enum stat {
	STAT_HIT, /* not counted here but with the volumes */
	STAT_MISS_NEW,	     /* no session */
	STAT_MISS_UNLEARNED, /* no path yet: not established, or waiting for the other direction */
	STAT_MISS_STALE,     /* the path is over, or was made void by a change */
	STAT_MISS_CLOSING,   /* SYN, FIN, RST, or after them */
	STAT_MISS_FRAGMENT,
	STAT_MISS_OPTIONS,   /* IP options */
	STAT_MISS_TTL,	     /* would expire */
	STAT_MISS_MTU,	     /* larger than the way out */
	STAT_MISS_PROTOCOL,  /* neither TCP nor UDP */
	STAT_MISS_BANDWIDTH, /* over the limit of its elastic IP: it has to wait */
	STAT_MISS_OTHER,     /* malformed, without the flag ACK, or of a session that never takes the shortcut */
	STAT_OUT_OF_WINDOW, /* dropped: a RST or FIN that is not where its connection is */
	STAT_REFUSED_CONNECTIONS, /* this one and those after it are counted by gateway, too */
	STAT_REFUSED_RATE,
	STAT_REFUSED_MEMORY,
	STAT_REFUSED_ENTRY,
	STAT_REFUSED_ELASTIC_IP,
	STAT_REFUSED_HOST,
	STAT_REFUSED_TABLE,
	STAT_REFUSED_SOURCE,
	STAT_REFUSED_UNKNOWN,
	STAT_REFUSED_SHARE,
	STAT_REFUSED_SHARE_RATE,
	STATS,
};

#define REFUSED_FIRST STAT_REFUSED_CONNECTIONS
#define REFUSED (STATS - REFUSED_FIRST) /* reasons to refuse a session */

/* known_gateway says which NAT gateway has a number, and what the counters under that
 * number were when it got it. It is user space's own.
 */
struct known_gateway {
	__u8 id[64]; /* filled up with zeros; nothing else if the number is nobody's yet */
	__u64 opened[KINDS];
	__u64 refused[REFUSED];
	struct volume outbound;
	struct volume inbound;
};

/* source_report is what a host has sent from an address that is not its own, or that the
 * kernel knows no neighbour of: then user space asks for it.
 */
struct source_report {
	__be32 addr;
	__u32 ifindex;	/* where it came in */
	__u8 sender[6]; /* the Ethernet address that it came from */
	__u8 unknown;	/* no neighbour is known */
	__u8 believed;	/* and it may begin a session all the same, until nobody answers for it */
};

/* flow_id is a flow, and the link that its packets come in by. */
struct flow_id {
	struct flow_key key;
	__u32 ifindex;
};

/* cached_flow is how packets leave that cross a router interface, untranslated: learned from
 * what the kernel did with one of them, and replaced as a whole.
 */
struct cached_flow {
	__u8 macs[12];	  /* of the frame: destination, source */
	__u32 ifindex;	  /* the link that they leave by */
	__u32 generation; /* the network's when this was learned */
	__u32 until;	  /* when it has to be learned anew; ticks */
	__u16 mtu;	  /* of that link */
	__u16 interface;  /* number of the router interface that it is; 0 for a VSwitch */
};

/* near_flow is a copy of a cached flow, at a place that its id says: what is there takes one
 * line of the processor's cache, where the table of flows takes three. Two flows may have the
 * same place; the other one is then found in the table alone.
 */
struct near_flow {
	struct flow_id id;
	__u32 turn; /* odd while somebody writes, and another one afterwards */
	struct cached_flow flow;
	__u64 pad;
};

#define NEAR_FLOWS_BITS 13

_Static_assert(sizeof(struct near_flow) == 64, "near_flow");

/* Router interfaces of a network have numbers, from 1 on. */
#define INTERFACES 64

#define SPARE_CLOSED 1	   /* if it is closed */
#define SPARE_UNANSWERED 2 /* if it was never answered */

/* entry is a session that user space wants looked at; see sync_sessions. */
struct entry {
	struct flow_key original;
	struct flow_key reply;
	__u32 status; /* IPS_ of the connection as user space saw it; 0 if it saw none */
	__u8 ended; /* conntrack has told of its end */
	__u8 spare; /* it is to make room; SPARE_ */
	__u8 unanswered; /* conntrack keeps it for too long, unless it was answered since */
	__u8 pad;
};

/* Of whom is counted that there was no port: who asked, and of which elastic IP; with
 * 0 for both: in all.
 */
struct exhausted_key {
	__be32 private; /* 0 for those that have no counter of their own */
	__be32 external;
	__u8 proto;
	__u8 pad[3];
};

#define EXHAUSTED 65536 /* counters of a network */

/* refusal is a packet that opened a connection for which there was no port. */
struct refusal {
	__u32 network; /* number of its namespace */
	__be32 saddr;  /* as the host sent it */
	__be32 daddr;
	__be16 sport;
	__u8 pad[2];
	__u8 ip[20]; /* the IP header, and the beginning of what follows, translated */
	__u8 l4[8];
};

#define ENTRIES 90 /* in one call of sync_sessions: they fit into a page with an skb's own data */

/* A packet on the kernel's path carries these in tc_index, from the link that
 * it came in by to the one that it leaves by.
 */
#define INDEX_SLOT 0x3fff   /* of the private address; 0 if it is not counted */
#define INDEX_CHECK 0x4000   /* look what conntrack made of it */
#define INDEX_HAIRPIN 0x8000 /* between two hosts of the VPC, by way of an elastic IP */

/* The words of an skb's cb in which a program notes that a packet has been to it, one for each
 * hook; see been_here.
 */
enum been {
	BEEN_IN,
	BEEN_OUT,
	BEEN_FLOW_IN,
	BEEN_FLOW_OUT,
};

/* NEXT lets the programs after this one and the kernel have the packet. */
#define NEXT TC_ACT_UNSPEC
