//go:build ignore

// SPDX-License-Identifier: GPL-2.0
/* The programs at the links of a network: VSwitches and uplink.
 *
 *	ingress  finds the packet's session, or asks whether there may be one more;
 *	         forwards what has a path; tells egress about the rest
 *	egress   counts what took the kernel's path, and learns from it
 *	xdp      forwards what has a path, where the links can do that; the rest
 *	         goes on to ingress
 *
 * and, where there are router interfaces, at their links and those of VSwitches:
 *
 *	flow_ingress  forwards what belongs to a cached flow
 *	flow_egress   counts what leaves by a router interface, and learns flows
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "bandwidth.h"
#include "begin.h"
#include "clock.h"
#include "count.h"
#include "flows.h"
#include "forward.h"
#include "kernel.h"
#include "kernelpath.h"
#include "learn.h"
#include "network.h"
#include "parse.h"
#include "path.h"
#include "session.h"
#include "sync.h"
#include "types.h"
#include "window.h"

/* untag takes a tag of priority off (802.1Q, VLAN 0), as the kernel does with it later:
 * what it takes for a packet is one here, too. It takes more of them off one another; no
 * honest host sends these. False for what is to be dropped. A tag with a VLAN is the
 * kernel's to drop, or to give to a link of that VLAN.
 */
static __always_inline bool untag(struct __sk_buff *skb)
{
	if (!skb->vlan_present || (skb->vlan_tci & VLAN_VID_MASK))
		return true;
	return !bpf_skb_vlan_pop(skb) && !skb->vlan_present;
}

/* read_packet parses an IPv4 packet. Returns false for what is none. */
static __always_inline bool read_packet(struct __sk_buff *skb, struct packet *p)
{
	if (skb->protocol != bpf_htons(ETH_P_IP) || skb->vlan_present)
		return false;
	return parse((void *)(long)skb->data, (void *)(long)skb->data_end, p) || parse_any(skb, p);
}

/* hear_arp makes all paths void when an address that moves between hosts is announced by
 * gratuitous ARP (RFC 5227, section 3): what they hold of it may be where it was. The kernel
 * takes the new host in after that, and announcements come several at a time, so that what
 * is learned in between is void as well.
 */
static __always_inline void hear_arp(struct __sk_buff *skb)
{
	struct {
		__be32 sender;
		__u8 target_mac[6];
		__be32 target;
	} __attribute__((packed)) arp;
	__u32 zero = 0, *n;
	__be32 sender;

	if (skb->protocol != bpf_htons(ETH_P_ARP) || bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + 14, &arp, sizeof(arp)))
		return;
	sender = arp.sender;
	if (sender != arp.target || !bpf_map_lookup_elem(&moving, &sender))
		return;
	n = bpf_map_lookup_elem(&moves, &zero);
	if (n)
		__sync_fetch_and_add(n, 1);
}

/* receiver_slot returns the slot of the host of the VPC that a packet from another one
 * goes to, and counts it for that one, whose slot is sender.
 */
__noinline __u32 receiver_slot(struct __sk_buff *skb, struct packet *p, __u32 sender)
{
	struct gateway_settings *set = get_settings();
	struct connection c = {};
	struct session *s;

	if (!set || !p)
		return 0;
	if (sender)
		count_skb(skb, p, sender, false, false);
	if (connection_of(skb, p, &c) == IP_CT_DIR_ORIGINAL) {
		s = bpf_map_lookup_elem(&sessions, &c.original);
		if (s && !(s->flow & FLOW_REPLY))
			return s->slot;
	}
	return own_slot(p->key.daddr);
}

/* From a VSwitch. */
SEC("tc")
int switch_ingress(struct __sk_buff *skb)
{
	struct gateway_settings *set = get_settings();
	struct session *s = NULL;
	struct packet p;
	__u32 why = STAT_MISS_OTHER;
	int verdict;

	if (!untag(skb))
		return TC_ACT_SHOT;
	hear_arp(skb);
	if (!set || been_here(skb, set, BEEN_IN) || !read_packet(skb, &p))
		return NEXT;
	/* Within the VPC nothing is translated. */
	if (within(p.key.daddr, set->vpc, set->vpc_mask))
		return crowd(skb, &p);
	if (!(p.is & IS_LATER_FRAGMENT))
		s = bpf_map_lookup_elem(&sessions, &p.key);
	if (s && (set->flags & SET_SHORTCUT)) {
		verdict = shortcut(skb, &p, s, set, false, &why);
		if (verdict != NEXT)
			return verdict;
	}
	return from_host(skb, &p, s, why);
}

/* To a VSwitch. */
SEC("tc")
int switch_egress(struct __sk_buff *skb)
{
	struct gateway_settings *set = get_settings();
	struct packet p;
	__u32 index = skb->tc_index, slot = index & INDEX_SLOT, learned = 0;
	bool public;

	if (!set || skb->mark == MARK_SHORTCUT)
		return NEXT;
	public = skb->ingress_ifindex == set->uplink;
	if (!public && !(index & INDEX_HAIRPIN))
		return NEXT;
	if (been_here(skb, set, BEEN_OUT) || !read_packet(skb, &p))
		return NEXT;
	if ((index & INDEX_CHECK) || ((!index || !(set->flags & SET_SHORTCUT)) && eventful(skb, &p)))
		learned = learn(skb, &p);
	if (!public) {
		slot = receiver_slot(skb, &p, slot);
	} else if (learned) {
		slot = learned;
	} else if (!slot) {
		slot = own_slot(p.key.daddr);
	}
	if (slot)
		count_skb(skb, &p, slot, true, false);
	return NEXT;
}

/* From the outside. */
SEC("tc")
int uplink_ingress(struct __sk_buff *skb)
{
	struct gateway_settings *set = get_settings();
	struct session *s = NULL;
	struct packet p;
	__u32 why = STAT_MISS_OTHER;
	int verdict;

	if (!untag(skb))
		return TC_ACT_SHOT;
	if (!set || been_here(skb, set, BEEN_IN))
		return NEXT;
	if (!read_packet(skb, &p))
		return is_tiny(skb) ? TC_ACT_SHOT : NEXT;
	if (!(p.is & IS_LATER_FRAGMENT))
		s = bpf_map_lookup_elem(&sessions, &p.key);
	if (s && (set->flags & SET_SHORTCUT)) {
		verdict = shortcut(skb, &p, s, set, true, &why);
		if (verdict != NEXT)
			return verdict;
	}
	return from_outside(skb, &p, s, why);
}

/* Out of a tunnel, whose link has no Ethernet header: what is new when there is no
 * room is left to nftables to drop.
 */
SEC("tc")
int tunnel_ingress(struct __sk_buff *skb)
{
	if (!room(CLASS_OTHERS))
		skb->mark = MARK_CROWDED;
	return NEXT;
}

/* To the outside. */
SEC("tc")
int uplink_egress(struct __sk_buff *skb)
{
	__u32 index = skb->tc_index, slot = index & INDEX_SLOT, learned;
	struct packet p;

	if (!index || skb->mark == MARK_SHORTCUT)
		return NEXT;
	skb->tc_index = 0; /* it is counted once, also where the link has this program twice; see been_here */
	if (!(index & INDEX_CHECK) && !skb->gso_size) {
		count_volume(slot, false, skb->len - sizeof(struct ethhdr), 1, false);
		return NEXT;
	}
	if (!read_packet(skb, &p))
		return NEXT;
	if (index & INDEX_CHECK) {
		learned = learn(skb, &p);
		if (learned)
			slot = learned;
	}
	if (slot)
		count_skb(skb, &p, slot, false, false);
	return NEXT;
}

/* A checksum that the sender left for the device to complete holds the sum of
 * the pseudo header. XDP cannot tell it by other means; one of 65,536 whole
 * checksums looks the same, and takes the longer way, too.
 */
static __always_inline bool is_partial(const struct packet *p, __sum16 check)
{
	return fold(words(p->key.saddr) + words(p->key.daddr) + bpf_htons(p->key.proto) +
		    bpf_htons(p->len - sizeof(struct iphdr))) == check;
}

static __always_inline int xdp(struct xdp_md *ctx, bool public)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct gateway_settings *set = get_settings();
	struct translation t;
	struct packet p;
	struct session *s;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	__be16 *ports = (void *)(ip + 1);
	__sum16 *check;
	__u32 tcp;

	if (!set || !(set->flags & SET_SHORTCUT) || !parse(data, data_end, &p) || why_not(&p) != STAT_HIT)
		return XDP_PASS;
	s = bpf_map_lookup_elem(&sessions, &p.key);
	if (!s || unusable(s, set) != STAT_HIT || !whole(&p, data_end - (void *)ip) || p.len > s->mtu ||
	    !(s->path & PATH_XDP) || !(s->path & PATH_PUBLIC) != !public || !read_path(s, set, &t))
		return XDP_PASS;
	tcp = is_tcp(&p);
	check = (void *)ports + checksum_at(tcp);
	if ((void *)(check + 1) > data_end || is_partial(&p, *check))
		return XDP_PASS;
	/* What has to wait does so behind the uplink's filters. */
	if (s->bandwidth && !within_limits(s->bandwidth, public ? INBOUND : OUTBOUND, p.len, 1, false))
		return XDP_PASS;
	if (tcp || *check) {
		*check = added(*check, t.l4_delta);
		/* 0 would say that a UDP packet has no checksum (RFC 768). */
		if (!tcp && !*check)
			*check = 0xffff;
	}
	__builtin_memcpy(eth, t.macs, sizeof(t.macs));
	translate_ip(ip, &t);
	translate_ports(ports, &p.key, &t);
	place(s, &p, p.len);
	count_volume(s->slot, s->flow & FLOW_INBOUND, p.len, 1, true);
	return bpf_redirect(t.ifindex, 0);
}

/* From a VSwitch. */
SEC("xdp")
int switch_xdp(struct xdp_md *ctx)
{
	return xdp(ctx, false);
}

/* From the outside. */
SEC("xdp")
int uplink_xdp(struct xdp_md *ctx)
{
	return xdp(ctx, true);
}

/* From a VSwitch or a router interface. It may come before the network's other program, which
 * has no session of such a flow, or after it: what that has marked is to be refused.
 */
SEC("tc")
int flow_ingress(struct __sk_buff *skb)
{
	struct gateway_settings *set = get_settings();
	struct flow_packet p = {};
	struct cached_flow f;

	hear_arp(skb);
	if (!set || !(set->flags & SET_SHORTCUT) || skb->mark || been_here(skb, set, BEEN_FLOW_IN) || !parse_flow(skb, &p) || !find_flow(&p.id, set, &f) ||
	    (skb->gso_size ? skb->gso_size + p.head : p.len) > f.mtu)
		return NEXT;
	return use_flow(skb, &p, &f);
}

/* To a VSwitch or a router interface. */
SEC("tc")
int flow_egress(struct __sk_buff *skb)
{
	struct gateway_settings *set;
	struct packet p;
	__u32 out;

	if (skb->mark == MARK_SHORTCUT)
		return NEXT;
	set = get_settings();
	out = interface_of(skb->ifindex);
	if (!set || been_here(skb, set, BEEN_FLOW_OUT) || (!out && !interface_of(skb->ingress_ifindex)) || !read_packet(skb, &p))
		return NEXT;
	if (out)
		pass_interface(skb, p.len, p.head, out, true);
	/* Of what was sent here by the shortcut conntrack knows nothing. */
	if ((set->flags & SET_SHORTCUT) && skb->ingress_ifindex)
		learn_flow(skb, &p, out);
	skb->tc_index = 0;
	return NEXT;
}

/* User space runs this, in the network's namespace, with a frame of an Ethernet
 * header and up to ENTRIES of struct entry: sessions that conntrack has told
 * it of, or that it found amiss; or connections that are to make room. Only here
 * the question to conntrack and its consequence are not apart.
 */
SEC("tc")
int sync_sessions(struct __sk_buff *skb)
{
	__u32 n = (skb->len - sizeof(struct ethhdr)) / sizeof(struct entry);
	struct gateway_state *g = get_gateway();

	if (g)
		g->heartbeat = ticks();
	bpf_loop(n < ENTRIES ? n : ENTRIES, sync_session, &skb, 0);
	return 0;
}

/* User space runs this, in a namespace, with a frame of an Ethernet header and the
 * number by which the kernel may know conntrack's data of a namespace, to find out
 * where it counts the entries. Returns what is counted there; with 0, the place is
 * forgotten.
 */
SEC("tc")
int locate(struct __sk_buff *skb)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct gateway_state *g = get_gateway();
	__u32 id = 0, parts = 0, n = 0;
	void *data = NULL, *gen;

	if (!g || bpf_skb_load_bytes(skb, sizeof(struct ethhdr), &id, sizeof(id)))
		return 0;
	g->count_at = 0;
	gen = BPF_CORE_READ(task, nsproxy, net_ns, gen);
	bpf_probe_read_kernel(&parts, sizeof(parts), gen);
	if (!id || id >= parts || bpf_probe_read_kernel(&data, sizeof(data), gen + id * sizeof(data)) || !data)
		return 0;
	data += bpf_core_field_offset(struct nf_conntrack_net, count);
	if (bpf_probe_read_kernel(&n, sizeof(n), data))
		return 0;
	g->count_at = (__u64)data;
	return n;
}

char LICENSE[] SEC("license") = "GPL";

/* For the bindings: types that no program of the object passes on. */
#define EXPORT(type, name) const type *name##_type __attribute__((unused))
EXPORT(struct gateway_settings, settings);
EXPORT(struct gateway_state, state);
EXPORT(struct flow_key, flow_key);
EXPORT(struct session, session);
EXPORT(struct nat_limits, nat_limits);
EXPORT(struct nat_state, nat_state);
EXPORT(struct known_gateway, known_gateway);
EXPORT(struct slot_key, slot_key);
EXPORT(struct address, address);
EXPORT(struct volume, volume);
EXPORT(struct returned_counts, returned_counts);
EXPORT(struct host_key, host_key);
EXPORT(struct host_limits, host_limits);
EXPORT(struct entry, entry);
EXPORT(struct source_report, source_report);
EXPORT(struct cached_flow, cached_flow);
EXPORT(struct flow_id, flow_id);
EXPORT(struct bandwidth, bandwidth);
EXPORT(struct bandwidth_count, bandwidth_count);
EXPORT(struct bandwidth_state, bandwidth_state);
EXPORT(struct bound_key, bound_key);
EXPORT(struct bound, bound);
EXPORT(enum class, class);
EXPORT(enum kind, kind);
EXPORT(enum stat, stat);
