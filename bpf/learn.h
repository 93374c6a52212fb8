/* SPDX-License-Identifier: GPL-2.0 */
/* Asking conntrack, and learning from what it let pass. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "clock.h"
#include "kernel.h"
#include "network.h"
#include "parse.h"
#include "path.h"
#include "session.h"
#include "types.h"

static __always_inline void read_connection(const struct nf_conn *ct, __u8 proto, struct connection *c)
{
	c->status = ct->status;
	c->tcp_state = proto == IPPROTO_TCP ? ct->proto.tcp.state : 0;
	tuple_key(&ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple, &c->original);
	tuple_key(&ct->tuplehash[IP_CT_DIR_REPLY].tuple, &c->reply);
}

/* look_up asks conntrack for the connection that a packet belongs to, as it was
 * before the kernel's translation, or, with reverse, after it (the key is then
 * the mirror of the other direction's). Conntrack can be asked for TCP and UDP.
 * Returns the packet's direction, or -1.
 */
static __always_inline int look_up(struct __sk_buff *skb, const struct flow_key *key, bool reverse, struct connection *c)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_ct_opts opts = {.netns_id = CURRENT_NETNS, .l4proto = key->proto};
	struct nf_conn *ct;

	if (!has_ports(key->proto))
		return -1;
	tuple.ipv4.saddr = reverse ? key->daddr : key->saddr;
	tuple.ipv4.daddr = reverse ? key->saddr : key->daddr;
	tuple.ipv4.sport = reverse ? key->dport : key->sport;
	tuple.ipv4.dport = reverse ? key->sport : key->dport;
	ct = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
	if (!ct)
		return -1;
	read_connection(ct, key->proto, c);
	bpf_ct_release(ct);
	return opts.dir ^ reverse;
}

/* can_see says whether the kernel lets a program see the connection that it has
 * found a packet to belong to. Before Linux 6.2 conntrack has to be asked.
 */
static __always_inline bool can_see(void)
{
	return exists(bpf_cast_to_kern_ctx) && exists(bpf_rdonly_cast);
}

/* connection_of returns the connection of a packet that leaves. Returns the
 * packet's direction, or -1.
 */
static __always_inline int connection_of(struct __sk_buff *skb, const struct packet *p, struct connection *c)
{
	struct sk_buff *kernel;
	unsigned long nfct;

	if (!can_see())
		return p->is & (IS_FIRST_FRAGMENT | IS_LATER_FRAGMENT) ? -1 : look_up(skb, &p->key, true, c);
	kernel = bpf_cast_to_kern_ctx(skb);
	nfct = kernel->_nfct;
	if (!(nfct & ~NFCT_INFOMASK))
		return -1;
	read_connection(bpf_rdonly_cast((void *)(nfct & ~NFCT_INFOMASK), bpf_core_type_id_kernel(struct nf_conn)),
			p->key.proto, c);
	return (nfct & NFCT_INFOMASK) >= IP_CT_IS_REPLY ? IP_CT_DIR_REPLY : IP_CT_DIR_ORIGINAL;
}

/* eventful says whether a packet from the outside, which nobody looked at where
 * it came in, may have made or changed a session: if it is not just one more of
 * an open connection.
 */
static __always_inline bool eventful(struct __sk_buff *skb, const struct packet *p)
{
	struct sk_buff *kernel;
	struct nf_conn *ct;
	unsigned long nfct;

	if (!can_see() || (p->is & IS_ENDING))
		return true;
	kernel = bpf_cast_to_kern_ctx(skb);
	nfct = kernel->_nfct;
	if (!(nfct & ~NFCT_INFOMASK))
		return false;
	if ((nfct & NFCT_INFOMASK) != IP_CT_ESTABLISHED && (nfct & NFCT_INFOMASK) != IP_CT_IS_REPLY)
		return true;
	if (p->key.proto != IPPROTO_TCP)
		return false;
	ct = bpf_rdonly_cast((void *)(nfct & ~NFCT_INFOMASK), bpf_core_type_id_kernel(struct nf_conn));
	return ct->proto.tcp.state != TCP_CONNTRACK_ESTABLISHED;
}

/* write_path notes how a packet leaves. */
static __always_inline void write_path(struct __sk_buff *skb, const struct gateway_settings *set, struct session *s,
				       const struct flow_key *key, const struct flow_key *translated, bool paired)
{
	__u32 mtu = 0, ifindex = skb->ifindex;
	__u8 macs[12];

	if (bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)))
		return;
	bpf_check_mtu(skb, 0, &mtu, 0, 0);
	if (!mtu)
		return;
	*(volatile __u32 *)&s->generation = 0;
	barrier();
	__builtin_memcpy(s->dmac, macs, sizeof(macs));
	s->saddr = translated->saddr;
	s->daddr = translated->daddr;
	s->sport = translated->sport;
	s->dport = translated->dport;
	s->ifindex = ifindex;
	s->mtu = mtu > 0xffff ? 0xffff : mtu;
	set_deltas(s, key, translated);
	/* Paths that were learned together do not all end together. */
	s->until = ticks() + set->lifetime - (bpf_get_prandom_u32() & (set->lifetime >> 2));
	s->path = (paired ? PATH_PAIRED : 0) | (bpf_map_lookup_elem(&devices, &ifindex) ? PATH_XDP : 0) |
		  (skb->ingress_ifindex == set->uplink ? PATH_PUBLIC : 0);
	barrier();
	*(volatile __u32 *)&s->generation = set->generation;
}

/* learn looks what conntrack made of a packet that leaves: whether it has the
 * session, whether that is closed, and, once it is established, which way its
 * packets go.
 */
static __noinline int learn(struct __sk_buff *skb, struct packet *p)
{
	struct gateway_settings *set = get_settings();
	struct gateway_state *g = get_gateway();
	struct session *original, *reply, *mine, *other;
	struct connection c = {};
	int direction;

	/* An ICMP error belongs to the connection that it is about. */
	if (!set || !g || (p->is & IS_ERROR))
		return 0;
	direction = connection_of(skb, p, &c);
	if (direction < 0 || !(c.status & IPS_CONFIRMED) || (c.status & IPS_DYING))
		return 0;
	original = settle(g, &c, p->is & IS_RESET);
	if (!original)
		return 0;
	if (p->is & IS_ENDING)
		__sync_fetch_and_or(&original->state, STATE_CLOSING);
	/* The other side's packets are only found by an element of their own. That of
	 * a host's answers has to be there before they are, lest they pass for new.
	 */
	if (!(c.status & IPS_SEEN_REPLY) && !(original->flow & FLOW_INBOUND))
		return 0;
	reply = reply_element(g, original, &c.reply);
	if (!reply)
		return 0;
	if (original->state & STATE_CLOSING) {
		__sync_fetch_and_or(&reply->state, STATE_CLOSING);
		return 0;
	}
	__sync_fetch_and_and(&reply->state, ~STATE_CLOSING);
	if (!(set->flags & SET_SHORTCUT) || (original->flow & FLOW_KERNEL) || why_not(p) != STAT_HIT)
		return 0;
	if (p->key.proto == IPPROTO_TCP ? c.tcp_state != TCP_CONNTRACK_ESTABLISHED : !(c.status & IPS_SEEN_REPLY))
		return 0;
	mine = direction == IP_CT_DIR_ORIGINAL ? original : reply;
	other = direction == IP_CT_DIR_ORIGINAL ? reply : original;
	write_path(skb, set, mine, direction == IP_CT_DIR_ORIGINAL ? &c.original : &c.reply, &p->key, other->generation != 0);
	if (other->generation)
		other->path |= PATH_PAIRED;
	return 0;
}
