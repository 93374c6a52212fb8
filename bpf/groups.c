//go:build ignore

// SPDX-License-Identifier: GPL-2.0
/* Security groups.
 *
 *	from_host, to_host      what hosts send and are sent: at the ports of VSwitches that are
 *	                        bridges, and at VSwitches that are links of another kind
 *	from_switch, to_switch  the same, of what passes the gateway, at VSwitches that are
 *	                        bridges: whether or not the port has its programs
 *
 * What has taken the shortcut is not looked at again on its way to a host: its path was learned
 * from packets that have passed here, and is void when anything of the groups changes. So these
 * programs come before those that learn paths.
 *
 * A flow that a rule has let begin passes in both directions, by one look into a table,
 * whatever the number of rules. It is decided on anew when something of the groups has
 * changed, by the next packet of either direction, and ends there if no rule lets it begin
 * any more.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "group_near.h"
#include "group_rules.h"
#include "group_view.h"
#include "groups.h"
#include "kernel.h"
#include "marks.h"

#define SECOND 1000000000ULL
#define FRAGMENT_LIFE (30 * SECOND) /* as the kernel's own (ipfrag_time) */

#define DHCP_SERVER 67
#define DHCP_CLIENT 68

static __always_inline int drop(__u32 reason)
{
	__u64 *n = bpf_map_lookup_elem(&drops, &reason);

	if (n)
		(*n)++;
	return TC_ACT_SHOT;
}

/* life is how long a flow is remembered from now on. */
static __always_inline __u32 life(const struct group_settings *s, __u8 proto, __u32 is)
{
	__u32 both = FLOW_SEEN_OUT | FLOW_SEEN_IN;

	switch (proto) {
	case IPPROTO_TCP:
		return (is & both) == both && !(is & FLOW_CLOSING) ? s->tcp_open : s->tcp_other;
	case IPPROTO_UDP:
		return s->udp;
	}
	return s->icmp;
}

/* find finds a flow, and says whether it is in the crowd. */
static __always_inline struct group_state *find(const struct group_flow *flow, bool *crowded)
{
	struct group_state *f = bpf_map_lookup_elem(&flows, flow);

	*crowded = !f;
	return f ? f : bpf_map_lookup_elem(&crowd, flow);
}

/* settle takes a flow that was answered out of the crowd, if its member's share has room. What it
 * was there is forgotten in time.
 */
static __always_inline void settle(const struct group_settings *s, const struct group_flow *flow, const struct group_state *f)
{
	__u32 none = 0, member = f->member, *count = bpf_map_lookup_elem(&shares, &member);
	struct group_state copy = *f;

	if (!count) {
		bpf_map_update_elem(&shares, &member, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&shares, &member);
	}
	if (!count || *count >= s->share)
		return;
	__sync_fetch_and_add(count, 1);
	if (bpf_map_update_elem(&flows, flow, &copy, BPF_NOEXIST))
		__sync_fetch_and_sub(count, 1);
}

/* passed notes a packet of a flow that passes. What is another CPU's at the same time may be
 * lost, and is noted by the next packet.
 */
static __always_inline void passed(const struct group_settings *s, struct group_state *f, const struct view *v, bool out, bool crowded)
{
	__u32 both = FLOW_SEEN_OUT | FLOW_SEEN_IN, is = f->is | (out ? FLOW_SEEN_OUT : FLOW_SEEN_IN);
	__u64 until;

	if (v->flow.proto == IPPROTO_TCP) {
		if (v->ends)
			is |= FLOW_CLOSING;
		else if (v->opens && out == !!(is & FLOW_OUT))
			is = (is & FLOW_OUT) | (out ? FLOW_SEEN_OUT : FLOW_SEEN_IN); /* once more, with the same ports */
	}
	if (is != f->is)
		f->is = is;
	until = bpf_jiffies64() + life(s, v->flow.proto, is);
	/* Once a second, or where it is to end earlier. */
	if (until > f->expires + s->second || until < f->expires)
		f->expires = until;
	if (crowded && (is & both) == both)
		settle(s, &v->flow, f);
}

static __always_inline int pass(struct view *v, __u64 now)
{
	if (v->more) {
		__u64 until = now + FRAGMENT_LIFE;

		bpf_map_update_elem(&fragments, &v->fragment, &until, BPF_ANY);
	}
	return TC_ACT_UNSPEC;
}

/* member finds whose packet it is: by its address, else by its Ethernet address, else, of
 * what is for all, by who was heard at the port.
 */
static __always_inline struct group_member *member(struct __sk_buff *skb, const struct view *v, bool out, __u32 *who)
{
	struct group_member *m = bpf_map_lookup_elem(&members, &v->flow.local);
	struct group_station station = {};
	__u32 *address, port = skb->ifindex;

	*who = v->flow.local;
	if (m)
		return m;
	if (bpf_skb_load_bytes(skb, out ? offsetof(struct ethhdr, h_source) : offsetof(struct ethhdr, h_dest), station.mac, 6))
		return NULL;
	if (!out && station.mac[0] & 1)
		address = bpf_map_lookup_elem(&ports, &port);
	else
		address = bpf_map_lookup_elem(&stations, &station);
	if (!address)
		return NULL;
	*who = *address;
	return bpf_map_lookup_elem(&members, address);
}

/* hear notes which member is at a port. */
static __always_inline void hear(__u32 port, __u32 address)
{
	__u32 *known = bpf_map_lookup_elem(&ports, &port);

	if (!known || *known != address)
		bpf_map_update_elem(&ports, &port, &address, BPF_ANY);
}

static __always_inline bool is_dhcp(struct __sk_buff *skb, const struct group_flow *f, bool out)
{
	if (f->proto != IPPROTO_UDP || f->lport != bpf_htons(DHCP_CLIENT) || f->rport != bpf_htons(DHCP_SERVER))
		return false;
	return out || !skb->ingress_ifindex; /* the gateway's own */
}

#define AT_OUT 0x1    /* what a host sends */
#define AT_SWITCH 0x2 /* of all ports of a VSwitch */
#define AT_FIRST 0x4  /* there is no such flow */

/* decide decides on a packet. It is no static function, so that it is verified once. */
__noinline int decide(struct __sk_buff *skb, __u32 at)
{
	struct view v = {};
	struct group_settings *s;
	struct group_member *m;
	struct group_policy *p;
	struct group_state *f, fresh = {};
	__u32 zero = 0, who;
	bool out = at & AT_OUT, hears = (at & (AT_OUT | AT_SWITCH)) == AT_OUT, crowded = true, began;
	__u64 now;

	if (skb->protocol == bpf_htons(ETH_P_ARP)) {
		struct group_station station = {};
		__u32 *address;

		if (hears && !bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_source), station.mac, 6)) {
			address = bpf_map_lookup_elem(&stations, &station);
			if (address)
				hear(skb->ifindex, *address);
		}
		return TC_ACT_UNSPEC;
	}
	s = bpf_map_lookup_elem(&settings, &zero);
	if (!s || skb->protocol != bpf_htons(ETH_P_IP) || !look(skb, &v, out))
		return drop(GROUP_OTHER);
	now = bpf_ktime_get_coarse_ns();
	if (v.later) {
		__u64 *until = bpf_map_lookup_elem(&fragments, &v.fragment);

		if ((until && now < *until) || !member(skb, &v, out, &who))
			return TC_ACT_UNSPEC;
		return drop(GROUP_FRAGMENT);
	}
	f = at & AT_FIRST ? NULL : find(&v.flow, &crowded);
	if (f)
		fresh.member = f->member; /* for whom it counts, also when it begins anew */
	if (f && bpf_jiffies64() >= f->expires)
		f = NULL;
	if (f && f->generation == s->generation && !(f->is & FLOW_CUT)) {
		if (!v.error)
			passed(s, f, &v, out, crowded);
		return pass(&v, now);
	}
	m = member(skb, &v, out, &who);
	if (!m)
		return TC_ACT_UNSPEC;
	if (hears)
		hear(skb->ifindex, who);
	p = bpf_map_lookup_elem(&policies, &m->policy);
	if (!p)
		return drop(GROUP_NOTHING);
	if (f && !(f->is & FLOW_CUT)) {
		if (f->version == p->version || lets(p, &v.flow, f->is & FLOW_OUT)) {
			f->version = p->version;
			f->generation = s->generation;
			if (!v.error)
				passed(s, f, &v, out, crowded);
			return pass(&v, now);
		}
		f->is |= FLOW_CUT;
	}
	if (is_dhcp(skb, &v.flow, out))
		return TC_ACT_UNSPEC;
	if (v.error) {
		/* Of no flow that passes: as any other message. */
		v.flow.proto = IPPROTO_ICMP;
		if (lets(p, &v.flow, out))
			return pass(&v, now);
		return drop(out ? GROUP_EGRESS : GROUP_INGRESS);
	}
	began = out;
	if (!lets(p, &v.flow, began)) {
		if (v.opens || f || now >= m->until)
			return drop(f && !v.opens ? GROUP_CUT : out ? GROUP_EGRESS : GROUP_INGRESS);
		/* An answer, maybe, of what was there before the group. */
		began = !out;
		if (!lets(p, &v.flow, began))
			return drop(out ? GROUP_EGRESS : GROUP_INGRESS);
	} else if (!v.opens && (f || now >= m->until)) {
		return drop(GROUP_CUT);
	}
	fresh.generation = s->generation;
	fresh.version = p->version;
	fresh.is = (began ? FLOW_OUT : 0) | (out ? FLOW_SEEN_OUT : FLOW_SEEN_IN) | (v.ends ? FLOW_CLOSING : 0);
	if (!v.opens && !v.ends)
		fresh.is |= FLOW_SEEN_OUT | FLOW_SEEN_IN; /* it was open before */
	fresh.expires = bpf_jiffies64() + life(s, v.flow.proto, fresh.is);
	if (!crowded && !bpf_map_update_elem(&flows, &v.flow, &fresh, BPF_EXIST))
		return pass(&v, now);
	fresh.member = who;
	if (bpf_map_update_elem(&crowd, &v.flow, &fresh, BPF_ANY))
		return drop(out ? GROUP_EGRESS : GROUP_INGRESS);
	return pass(&v, now);
}

/* filter lets a packet pass if it is one more of an open flow, of which there is nothing to note
 * but when it was. Else it is decided on.
 */
static __always_inline int filter(struct __sk_buff *skb, __u32 at)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	__u16 *ports = (void *)(ip + 1);
	struct group_settings *s;
	struct group_state *f;
	struct group_flow flow;
	struct group_near *n;
	__u64 now, until;
	__u32 zero = 0, place;
	bool out = at & AT_OUT, crowded;

	if (skb->protocol != bpf_htons(ETH_P_IP) || (void *)ports + sizeof(struct udphdr) > end || *(__u8 *)ip != 0x45 ||
	    (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)))
		return decide(skb, at);
	if (ip->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = (void *)ports;

		if ((void *)(tcp + 1) > end || tcp->syn || tcp->fin || tcp->rst)
			return decide(skb, at);
	} else if (ip->protocol != IPPROTO_UDP) {
		return decide(skb, at);
	}
	sides(&flow, out, ip->saddr, ip->daddr, ports[0], ports[1]);
	flow.proto = ip->protocol;
	__builtin_memset(flow.zero, 0, sizeof(flow.zero));
	place = near_place(&flow, out);
	s = bpf_map_lookup_elem(&settings, &zero);
	n = bpf_map_lookup_elem(&near, &place);
	if (!s || !n)
		return decide(skb, at);
	if (is_near(n, &flow, out, s->generation))
		return TC_ACT_UNSPEC;
	f = find(&flow, &crowded);
	if (!f)
		return decide(skb, at | AT_FIRST);
	now = bpf_jiffies64();
	if (now >= f->expires || f->generation != s->generation || (f->is & FLOW_CUT) || !(f->is & (out ? FLOW_SEEN_OUT : FLOW_SEEN_IN)))
		return decide(skb, at);
	until = now + life(s, flow.proto, f->is);
	if (until > f->expires + s->second) {
		if (crowded)
			return decide(skb, at);
		f->expires = until;
	}
	come_near(n, &flow, out, s->generation, s->second);
	return TC_ACT_UNSPEC;
}

/* let_go says whether a packet has been let go to its host already. */
static __always_inline bool let_go(const struct __sk_buff *skb)
{
	return skb->mark == MARK_SHORTCUT || skb->mark == MARK_GROUPS;
}

SEC("tc")
int from_host(struct __sk_buff *skb)
{
	return filter(skb, AT_OUT);
}

SEC("tc")
int to_host(struct __sk_buff *skb)
{
	return let_go(skb) ? TC_ACT_UNSPEC : filter(skb, 0);
}

SEC("tc")
int from_switch(struct __sk_buff *skb)
{
	return filter(skb, AT_OUT | AT_SWITCH);
}

SEC("tc")
int to_switch(struct __sk_buff *skb)
{
	__u8 first = 0;
	int verdict;

	if (let_go(skb))
		return TC_ACT_UNSPEC;
	/* What the gateway itself sends to all is for each port to decide on. */
	if (!skb->ingress_ifindex && !bpf_skb_load_bytes(skb, 0, &first, 1) && (first & 1))
		return TC_ACT_UNSPEC;
	verdict = filter(skb, AT_SWITCH);
	if (verdict == TC_ACT_UNSPEC)
		skb->mark = MARK_GROUPS;
	return verdict;
}

static long remove_if_over(void *map, const struct group_flow *flow, struct group_state *f, void *none)
{
	__u32 member = f->member, *count;

	if (bpf_jiffies64() < f->expires || bpf_map_delete_elem(&flows, flow))
		return 0;
	count = bpf_map_lookup_elem(&shares, &member);
	if (count && *count)
		__sync_fetch_and_sub(count, 1);
	return 0;
}

static long remove_if_none(void *map, const __u32 *member, __u32 *count, void *none)
{
	if (!*count)
		bpf_map_delete_elem(&shares, member);
	return 0;
}

/* User space runs this now and then, to have flows removed that are over. */
SEC("tc")
int expire(struct __sk_buff *skb)
{
	bpf_for_each_map_elem(&flows, remove_if_over, NULL, 0);
	bpf_for_each_map_elem(&shares, remove_if_none, NULL, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

#define EXPORT(type, name) const type *name##_type __attribute__((unused))
EXPORT(struct group_settings, group_settings);
EXPORT(struct group_member, group_member);
EXPORT(struct group_station, group_station);
EXPORT(struct group_policy, group_policy);
EXPORT(struct group_rules, group_rules);
EXPORT(struct group_class_key, group_class_key);
EXPORT(struct group_chunk_key, group_chunk_key);
EXPORT(struct group_chunk, group_chunk);
EXPORT(struct group_flow, group_flow);
EXPORT(struct group_state, group_state);
EXPORT(enum group_reason, group_reason);
