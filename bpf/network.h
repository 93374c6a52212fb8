/* SPDX-License-Identifier: GPL-2.0 */
/* The maps of the network that the programs at its links are for. */
#pragma once

#include "bandwidth.h"
#include "maps.h"

struct sessions_map sessions SEC(".maps");
struct settings_map settings SEC(".maps");
struct gateway_map gateway SEC(".maps");
struct moving_map moving SEC(".maps");
struct moves_map moves SEC(".maps");
struct limits_map limits SEC(".maps");
struct nat_states_map nat_states SEC(".maps");
struct nat_refused_map nat_refused SEC(".maps");
struct nat_gateways_map nat_gateways SEC(".maps");
struct slots_map slots SEC(".maps");
struct free_slots_map free_slots SEC(".maps");
struct returned_map returned SEC(".maps");
struct addresses_map addresses SEC(".maps");
struct volumes_map volumes SEC(".maps");
struct stats_map stats SEC(".maps");
struct hosts_map hosts SEC(".maps");
struct shares_map shares SEC(".maps");
struct elastic_map elastic SEC(".maps");
struct entries_map entries SEC(".maps");
struct bounds_map bounds SEC(".maps");
struct devices_map devices SEC(".maps");
struct source_reports_map source_reports SEC(".maps");
struct flows_map flows SEC(".maps");
struct near_flows_map near_flows SEC(".maps");
struct interfaces_map interfaces SEC(".maps");
struct interface_limits_map interface_limits SEC(".maps");
struct interface_states_map interface_states SEC(".maps");
struct interface_counts_map interface_counts SEC(".maps");

static __always_inline struct gateway_settings *get_settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

/* been_here says whether this program has had the packet at this link already. While a link is
 * changed over from filters of clsact to tcx, it has each of its programs by both, and only the first
 * of the two, which is that by tcx, is to do anything.
 */
static __always_inline bool been_here(struct __sk_buff *skb, const struct gateway_settings *set, enum been hook)
{
	__u32 mark = 0x5 << 28 ^ skb->ifindex;

	if (!(set->flags & SET_CHANGING))
		return false;
	if (skb->cb[hook] == mark) {
		skb->cb[hook] = 0;
		return true;
	}
	skb->cb[hook] = mark;
	return false;
}

/* generation_of returns the generation of paths that counts: user space's, and one more for
 * each time that an address which moves between hosts was announced. Never 0.
 */
static __always_inline __u32 generation_of(const struct gateway_settings *set)
{
	__u32 zero = 0, generation = set->generation;
	__u32 *n = bpf_map_lookup_elem(&moves, &zero);

	if (n)
		generation += *(volatile __u32 *)n;
	return generation ? generation : 1;
}

static __always_inline struct gateway_state *get_gateway(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&gateway, &zero);
}

static __always_inline struct address *address_of(__u32 slot)
{
	return bpf_map_lookup_elem(&addresses, &slot);
}

/* gateway_of returns the number of the gateway that a slot is of. */
__noinline __u32 gateway_of(__u32 slot)
{
	struct address *a;

	if (slot < GATEWAYS)
		return slot;
	a = address_of(slot);
	return a ? a->gateway : 0;
}

static __always_inline struct nat_state *get_nat(__u32 number)
{
	return bpf_map_lookup_elem(&nat_states, &number);
}
