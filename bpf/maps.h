/* SPDX-License-Identifier: GPL-2.0 */
/* The kinds of map that a network has one of each. All are pinned, and outlive
 * the daemon.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "types.h"

/* For each direction of each session an element. User space sets max_entries,
 * two for each connection that conntrack may hold, so that it is never full.
 * Without preallocation memory is used only for sessions that are there.
 */
struct sessions_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct flow_key));
	__uint(value_size, sizeof(struct session));
};

/* One element. */
struct settings_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct gateway_settings));
};

/* One element. */
struct gateway_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct gateway_state));
};

/* By the number of a NAT gateway. */
struct limits_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GATEWAYS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct nat_limits));
};

/* Likewise. */
struct nat_states_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GATEWAYS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct nat_state));
};

/* Addresses that move between hosts. */
struct moving_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MOVING);
	__uint(key_size, sizeof(__be32));
	__uint(value_size, sizeof(__u32));
};

/* How often one of them was announced; see generation_of. */
struct moves_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
};

/* Sessions refused, by number * REFUSED + reason. */
struct nat_refused_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GATEWAYS * REFUSED);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
};

/* By the number of a NAT gateway. */
struct nat_gateways_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GATEWAYS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct known_gateway));
};

/* The slot of each private address that has had a session by a gateway, and was not
 * silent since.
 */
struct slots_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SLOTS);
	__uint(key_size, sizeof(struct slot_key));
	__uint(value_size, sizeof(__u32));
};

/* Slots that were given back, and are handed out before new ones. */
struct free_slots_map {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, SLOTS);
	__uint(key_size, 0);
	__uint(value_size, sizeof(__u32));
};

/* By the number of a NAT gateway. */
struct returned_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GATEWAYS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct returned_counts));
};

/* By slot. */
struct addresses_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct address));
};

/* By slot % CHUNK * 2 + inbound. */
struct chunk_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * CHUNK);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct volume));
};

/* By slot / CHUNK. User space adds maps as slots are handed out, since each takes memory
 * for each CPU. The first is always there.
 */
struct volumes_map {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SLOTS / CHUNK);
	__uint(key_size, sizeof(__u32));
	__array(values, struct chunk_map);
};

/* By enum stat. */
struct stats_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STATS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
};

struct host_key {
	__u32 prefix_length;
	__be32 addr;
};

/* By which kind of entry what a private address opens is translated: KIND_SNAT
 * for the sources of SNAT entries, KIND_ELASTIC for hosts with an elastic IP of
 * their own; from bit 8 on the number of the gateway.
 */
struct hosts_map {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 17);
	__uint(key_size, sizeof(struct host_key));
	__uint(value_size, sizeof(__u32));
};

/* Private addresses, and blocks of them, that have shares of their own. */
struct shares_map {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__uint(key_size, sizeof(struct host_key));
	__uint(value_size, sizeof(struct host_limits));
};

/* The network's elastic IPs, each with the number of the gateway that it is of. */
struct elastic_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__uint(key_size, sizeof(__be32));
	__uint(value_size, sizeof(__u32));
};

/* Where what comes for an elastic IP is led to: the private address of each DNAT
 * entry (OF_ENTRY).
 */
struct entries_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 17);
	__uint(key_size, sizeof(struct bound_key));
	__uint(value_size, sizeof(__be32));
};

/* What sessions count with. User space removes those of entries that are gone,
 * when nothing is open any more.
 */
struct bounds_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 18);
	__uint(key_size, sizeof(struct bound_key));
	__uint(value_size, sizeof(struct bound));
};

/* What user space is to know of sources. What finds no room comes again with the host's
 * next try.
 */
struct source_reports_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

/* The links (ifindex) that XDP can redirect to. */
struct devices_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
};

/* Flows that cross a router interface. User space takes out those that are over. */
struct flows_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__uint(key_size, sizeof(struct flow_id));
	__uint(value_size, sizeof(struct cached_flow));
};

/* Copies of some of them, by near_place. An array that may be mapped begins at a page, and so
 * each of its elements at a line of the processor's cache.
 */
struct near_flows_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1 << NEAR_FLOWS_BITS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct near_flow));
};

/* The number of a router interface, by its link (ifindex). */
struct interfaces_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, INTERFACES);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
};

/* The limit of what leaves by a router interface, by number; without one it costs nothing. */
struct interface_limits_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, INTERFACES + 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bandwidth));
};

/* Likewise. */
struct interface_states_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, INTERFACES + 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bandwidth_state));
};

/* Likewise. */
struct interface_counts_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, INTERFACES + 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bandwidth_count));
};
