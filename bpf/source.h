/* SPDX-License-Identifier: GPL-2.0 */
/* Whether the source of a packet from a VSwitch is who sent it (source address
 * validation, RFC 2827, RFC 7039): what is forged gets no session and no slot.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

#include "bound.h"
#include "kernel.h"
#include "limit.h"
#include "network.h"
#include "parse.h"
#include "path.h"
#include "session.h"
#include "types.h"

/* How many sessions may begin from addresses that are not known yet: that many at once, and
 * then one in each interval; ns.
 */
#define UNKNOWN_INTERVAL 100000000ULL
#define UNKNOWN_BURST (50 * UNKNOWN_INTERVAL)

#define SOURCE_BELIEVED (-1) /* of check_source */

/* sender returns the Ethernet address that a frame says it is from. */
static __always_inline __u64 sender(struct __sk_buff *skb)
{
	__u64 mac = 0;

	bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_source), &mac, ETH_ALEN);
	return mac;
}

/* report tells user space of a source, and has it ask for one that is not known. */
__noinline int report(struct __sk_buff *skb, __be32 addr, __u64 mac, __u32 unknown, __u32 believed)
{
	struct source_report r = {.addr = addr, .ifindex = skb->ifindex, .unknown = unknown, .believed = believed};

	__builtin_memcpy(r.sender, &mac, sizeof(r.sender));
	return !bpf_ringbuf_output(&source_reports, &r, sizeof(r), 0);
}

/* believe says whether an address that is not known may begin a session until it is: few
 * may, so that a host which has never asked for the gateway loses nothing.
 */
static __always_inline bool believe(struct gateway_state *g, const struct gateway_settings *set)
{
	return !supervised(g, set) || in_time(&g->unknown, UNKNOWN_INTERVAL, UNKNOWN_BURST);
}

/* check_source says why what a host sends is not from its own address: 0, or STAT_REFUSED_;
 * or SOURCE_BELIEVED, if that is not known yet.
 * It is, if an answer would go to the link, and to the Ethernet address, that the packet
 * came from, as far as the kernel's routes and neighbours say so. That is remembered with
 * the host's slot, since the kernel forgets a neighbour whose packets take the shortcut.
 * What is behind an instance may come from another Ethernet address than the answers go
 * to. While nobody is there to ask for a neighbour, one that is not known is believed.
 */
__noinline int check_source(struct __sk_buff *skb, struct packet *p)
{
	struct gateway_settings *set = get_settings();
	struct gateway_state *g = get_gateway();
	struct bpf_fib_lookup back = {};
	struct address *a;
	__u64 mac, owner = 0;
	__be32 addr;
	__u32 slot;
	long answer;
	bool believed;

	if (!set || !g || !p || !(set->flags & SET_SOURCES))
		return 0;
	addr = p->key.saddr;
	mac = sender(skb);
	slot = own_slot(addr);
	a = slot < GATEWAYS ? NULL : address_of(slot);
	if (a && *(volatile __u64 *)&a->owner == mac)
		return 0;
	back.family = AF_INET;
	back.ifindex = set->uplink;
	back.ipv4_src = p->key.daddr;
	back.ipv4_dst = addr;
	answer = bpf_fib_lookup(skb, &back, sizeof(back), 0);
	if (answer == BPF_FIB_LKUP_RET_NO_NEIGH && back.ifindex == skb->ifindex) {
		believed = believe(g, set);
		return report(skb, addr, mac, true, believed) && believed ? SOURCE_BELIEVED : STAT_REFUSED_UNKNOWN;
	}
	if (answer == BPF_FIB_LKUP_RET_SUCCESS && back.ifindex == skb->ifindex) {
		if (back.ipv4_dst != addr)
			return 0;
		__builtin_memcpy(&owner, back.dmac, ETH_ALEN);
		if (owner == mac) {
			if (a)
				*(volatile __u64 *)&a->owner = mac;
			return 0;
		}
	}
	report(skb, addr, mac, false, false);
	return STAT_REFUSED_SOURCE;
}
