/* SPDX-License-Identifier: GPL-2.0 */
/* The path of a session's direction: learned from what the kernel did with a
 * packet, and used for those that follow.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "clock.h"
#include "kernel.h"
#include "network.h"
#include "parse.h"
#include "session.h"
#include "types.h"

/* why_not returns why a packet has to take the kernel's path, or STAT_HIT. */
static __always_inline __u32 why_not(const struct packet *p)
{
	if (p->is & (IS_FIRST_FRAGMENT | IS_LATER_FRAGMENT))
		return STAT_MISS_FRAGMENT;
	if (p->is & IS_OPTIONED)
		return STAT_MISS_OPTIONS;
	if (p->key.proto != IPPROTO_TCP && p->key.proto != IPPROTO_UDP)
		return STAT_MISS_PROTOCOL;
	if (p->is & IS_MALFORMED)
		return STAT_MISS_OTHER;
	if (p->is & (IS_SYN | IS_ENDING))
		return STAT_MISS_CLOSING;
	/* Conntrack takes no others. */
	if (p->key.proto == IPPROTO_TCP && !(p->is & IS_ACK))
		return STAT_MISS_OTHER;
	if (p->ttl <= 1)
		return STAT_MISS_TTL;
	return STAT_HIT;
}

/* whole says whether a packet is as long as its IP header says, and has room for
 * its headers; len is what there is. The kernel drops what is not.
 */
static __always_inline bool whole(const struct packet *p, __u32 len)
{
	return p->len >= p->head && p->len <= len;
}

/* unusable returns why a direction's path cannot be used, or STAT_HIT. */
static __always_inline __u32 unusable(const struct session *s, const struct gateway_settings *set)
{
	__u32 generation = *(volatile const __u32 *)&s->generation;

	if (s->state & STATE_CLOSING)
		return STAT_MISS_CLOSING;
	if (s->flow & FLOW_KERNEL)
		return STAT_MISS_OTHER;
	if (!generation || !(s->path & PATH_PAIRED))
		return STAT_MISS_UNLEARNED;
	if (generation != generation_of(set) || (__s32)(s->until - ticks()) < 0)
		return STAT_MISS_STALE;
	return STAT_HIT;
}

/* translation is what the shortcut makes of a packet, one end of which becomes another. */
struct translation {
	__u8 macs[12];
	__be32 addr;
	__be16 port;
	__sum16 l4_delta;
	__u32 ifindex;
	__u32 inbound; /* all bits: it is the destination that changes; or none */
};

/* read_path reads what the path makes of packets with a key. Returns false if it
 * was changed meanwhile.
 */
static __always_inline bool read_path(const struct session *s, const struct gateway_settings *set, struct translation *t)
{
	__builtin_memcpy(t->macs, s->dmac, 12);
	t->addr = s->addr;
	t->port = s->port;
	t->inbound = -!!(s->flow & FLOW_INBOUND);
	barrier_var(t->inbound);
	t->ifindex = s->ifindex;
	t->l4_delta = s->l4_delta;
	return *(volatile const __u32 *)&s->generation == generation_of(set);
}

/* chosen returns one of two, as the bits of which say, without a branch: the verifier would
 * follow the rest of a program for each.
 */
static __always_inline __u32 chosen(__u32 which, __u32 set, __u32 clear)
{
	return (set & which) | (clear & ~which);
}

/* fold makes a one's complement sum of 16 bits of one of 32. */
static __always_inline __u32 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* words is the one's complement sum of the words of an address. */
static __always_inline __u32 words(__be32 addr)
{
	return (addr & 0xffff) + (addr >> 16);
}

/* added returns a checksum after its words' sum has changed by delta (RFC 1624,
 * equation 3).
 */
static __always_inline __sum16 added(__sum16 check, __sum16 delta)
{
	return ~fold((__u16)~check + (__u32)delta);
}

/* set_deltas notes how the translation of a key changes the checksum of TCP and UDP. One's
 * complement takes away by adding the complement.
 */
static __always_inline void set_deltas(struct session *s, const struct flow_key *from, const struct flow_key *to)
{
	__u32 addresses = words(to->saddr) + words(to->daddr) + (__u16)~fold(words(from->saddr) + words(from->daddr));
	__u32 ports = to->sport + to->dport + (__u16)~fold(from->sport + from->dport);

	s->l4_delta = fold(addresses + ports);
}

/* translate_ip translates the header. The TTL is the first byte of its word. */
static __always_inline void translate_ip(struct iphdr *ip, const struct translation *t)
{
	__be32 saddr = ip->saddr, daddr = ip->daddr;
	__u32 delta = words(t->addr) + (__u16)~fold(words(chosen(t->inbound, daddr, saddr))) + (__u16)~bpf_htons(0x0100);

	ip->check = added(ip->check, fold(delta));
	ip->ttl--;
	ip->saddr = chosen(t->inbound, saddr, t->addr);
	ip->daddr = chosen(t->inbound, t->addr, daddr);
}

/* translate_ports does so for the ports, which a key has. */
static __always_inline void translate_ports(__be16 *ports, const struct flow_key *key, const struct translation *t)
{
	ports[0] = chosen(t->inbound, key->sport, t->port);
	ports[1] = chosen(t->inbound, t->port, key->dport);
}

/* field reads a field of a copy of one of the kernel's structures. */
#define field(copy, type, name, as) (*(as *)((void *)(copy) + bpf_core_field_offset(type, name)))

#define TUPLE_SIZE 40 /* of the kernel's struct nf_conntrack_tuple */

/* tuple_key returns the key of the packets of a conntrack tuple. It is copied at once: the
 * verifier of Linux 6.1 takes unions in it for their first members.
 */
static __always_inline void tuple_key(const struct nf_conntrack_tuple *t, struct flow_key *key)
{
	__u8 copy[TUPLE_SIZE] __attribute__((aligned(8)));

	bpf_probe_read_kernel(copy, sizeof(copy), t);
	__builtin_memset(key, 0, sizeof(*key));
	key->saddr = field(copy, struct nf_conntrack_tuple, src.u3.ip, __be32);
	key->daddr = field(copy, struct nf_conntrack_tuple, dst.u3.ip, __be32);
	key->sport = field(copy, struct nf_conntrack_tuple, src.u.all, __be16);
	key->dport = field(copy, struct nf_conntrack_tuple, dst.u.all, __be16);
	key->proto = field(copy, struct nf_conntrack_tuple, dst.protonum, __u8);
}

/* find_entry asks conntrack for the entry of a packet's connection, as the packet was
 * before the kernel's translation, or, with reverse, after it. Conntrack can be asked
 * for TCP and UDP. What is returned has to be given back by bpf_ct_release; direction
 * is the packet's.
 */
static __always_inline struct nf_conn *find_entry(struct __sk_buff *skb, const struct flow_key *key, bool reverse,
						  __u32 *direction)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_ct_opts opts = {.netns_id = CURRENT_NETNS, .l4proto = key->proto};
	struct nf_conn *ct;

	tuple.ipv4.saddr = reverse ? key->daddr : key->saddr;
	tuple.ipv4.daddr = reverse ? key->saddr : key->daddr;
	tuple.ipv4.sport = reverse ? key->dport : key->sport;
	tuple.ipv4.dport = reverse ? key->sport : key->dport;
	ct = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
	*direction = opts.dir ^ reverse;
	return ct;
}

/* connection is what is taken from a conntrack entry. */
struct connection {
	struct flow_key original, reply;
	__u32 status; /* IPS_ */
	__u32 stream; /* UDP: from when on conntrack takes it for a stream; ticks */
	__u8 tcp_state;
	__u8 scale[2]; /* TCP: of the windows of either direction's sender */
};

/* outward is how a private address's own connections are translated. */
struct outward {
	__u32 kind;
	__u32 gateway; /* number; of KIND_NONE, the network's settings' */
};

static __always_inline struct outward outward_of(__be32 addr, const struct gateway_settings *set)
{
	struct host_key key = {.prefix_length = 32, .addr = addr};
	__u32 *host = bpf_map_lookup_elem(&hosts, &key);
	struct outward none = {.kind = KIND_NONE, .gateway = set->gateway}, o;

	if (!host)
		return none;
	o.kind = *host & 0xff;
	o.gateway = *host >> 8;
	return o;
}

/* gateway_of_elastic returns the number of the gateway that an elastic IP is of, or
 * another one where it is none of the network's.
 */
static __always_inline __u32 gateway_of_elastic(__be32 addr, __u32 otherwise)
{
	__u32 *number = bpf_map_lookup_elem(&elastic, &addr);

	return number ? *number : otherwise;
}

/* own_slot returns the slot in which is counted what a private address itself opens; 0
 * if it is not counted. Sessions have the slots of those that they are of.
 */
__noinline __u32 own_slot(__be32 addr)
{
	struct gateway_settings *set = get_settings();
	struct slot_key key = {.addr = addr};
	struct outward o;
	__u32 *slot;

	if (!set)
		return 0;
	o = outward_of(addr, set);
	key.gateway = o.gateway;
	slot = bpf_map_lookup_elem(&slots, &key);
	if (slot)
		return *slot;
	return o.kind == KIND_NONE ? 0 : o.gateway;
}

/* describe fills in the session of a connection that is translated: of which
 * kind, and for which private address. Returns false if it is not.
 */
static __always_inline bool describe(const struct connection *c, struct session *s)
{
	struct gateway_settings *set = get_settings();
	struct outward own;
	__u32 gateway;
	__be32 private;

	__builtin_memset(s, 0, sizeof(*s));
	if (!set)
		return false;
	if (c->status & IPS_DST_NAT) {
		private = c->reply.saddr;
		gateway = gateway_of_elastic(c->original.daddr, set->gateway);
		s->kind = outward_of(private, set).kind == KIND_ELASTIC ? KIND_ELASTIC : KIND_DNAT;
		s->flow = FLOW_INBOUND;
		if (c->status & IPS_SRC_NAT)
			s->flow |= FLOW_KERNEL;
		s->flow |= entry_of(&c->original) >> 32;
	} else if (c->status & IPS_SRC_NAT) {
		private = c->original.saddr;
		own = outward_of(private, set);
		gateway = gateway_of_elastic(c->reply.daddr, own.gateway);
		s->kind = KIND_SNAT;
		if (own.kind == KIND_ELASTIC) {
			s->kind = KIND_ELASTIC;
			s->flow = FLOW_BY_HOST;
		}
	} else {
		return false;
	}
	s->slot = slot_of(private, gateway);
	s->state = STATE_CONFIRMED;
	s->until = ticks();
	return true;
}

/* adopt makes the session of a connection that is translated and has none. Returns whether
 * there may be one now.
 */
__noinline int adopt(const struct connection *c)
{
	struct gateway_state *g = get_gateway();
	struct session made;
	struct flow_key key;

	if (!g || !c || !describe(c, &made))
		return false;
	key = c->original;
	insert_session(g, &key, &made, false);
	return true;
}

/* follow makes the state of a connection's session what the connection is: confirmed,
 * closed or not.
 */
__noinline int follow(const struct connection *c, struct session *s, __u32 reset)
{
	struct gateway_state *g = get_gateway();
	int by = 0;

	if (!g || !c || !s)
		return 0;
	confirm_session(g, s);
	if (c->tcp_state == TCP_CONNTRACK_TIME_WAIT || c->tcp_state == TCP_CONNTRACK_CLOSE ||
	    (reset && !(s->state & STATE_UNSURE)))
		by = close_session(s);
	else if (c->tcp_state == TCP_CONNTRACK_ESTABLISHED)
		by = reopen_session(s);
	else if ((c->tcp_state == TCP_CONNTRACK_SYN_SENT || c->tcp_state == TCP_CONNTRACK_SYN_RECV) && (s->state & STATE_RESET))
		__sync_fetch_and_and(&s->state, ~STATE_RESET); /* a SYN has opened it again */
	if (by)
		add_open(&c->original, s->kind, s->slot, s->flow, by);
	return 0;
}

/* settle makes a connection's session what the connection is: there, confirmed,
 * closed or not. Returns its element, or NULL if it is none that is kept.
 */
static __always_inline struct session *settle(const struct connection *c, bool reset)
{
	struct session *s = bpf_map_lookup_elem(&sessions, &c->original);

	/* No two connections have a tuple in common. What has it besides this one
	 * belonged to one that is gone, of which nobody has heard yet.
	 */
	if (s && (s->flow & FLOW_REPLY)) {
		remove_session(&c->original, s);
		s = NULL;
	}
	if (!s) {
		if (!adopt(c))
			return NULL;
		s = bpf_map_lookup_elem(&sessions, &c->original);
		if (!s)
			return NULL;
	}
	follow(c, s, reset);
	return s;
}

/* answer makes the element of the reply direction, in the place of one that belonged to a
 * connection that is gone.
 */
__noinline int answer(const struct flow_key *reply, struct session *gone, const struct session *original)
{
	struct session made = {};
	struct flow_key key;

	if (!reply || !original)
		return 0;
	if (gone)
		remove_session(reply, gone);
	key = *reply;
	made.slot = original->slot;
	made.kind = original->kind;
	made.flow = ((original->flow & (FLOW_INBOUND | FLOW_KERNEL)) ^ FLOW_INBOUND) | FLOW_REPLY;
	made.state = original->state & STATE_CLOSING;
	return bpf_map_update_elem(&sessions, &key, &made, BPF_NOEXIST);
}

/* reply_element returns the element of the reply direction, made if need be. */
static __always_inline struct session *reply_element(const struct session *original, const struct flow_key *key)
{
	struct session *s = bpf_map_lookup_elem(&sessions, key);

	if (s && (s->flow & FLOW_REPLY))
		return s;
	answer(key, s, original);
	return bpf_map_lookup_elem(&sessions, key);
}
