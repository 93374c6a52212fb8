/* SPDX-License-Identifier: GPL-2.0 */
/* Whether rules let a flow begin: by the tables of struct group_rules. */
#pragma once

#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "groups.h"

/* class looks up the class of four bytes in a table; 0 for none. */
static __always_inline __u32 class_of(__u32 table, const __u8 value[4])
{
	struct group_class_key key = {.prefix = 64, .table = bpf_htonl(table)};
	__u32 *class;

	__builtin_memcpy(key.value, value, 4);
	class = bpf_map_lookup_elem(&classes, &key);
	return class ? *class : 0;
}

/* decides says whether rules let a flow begin. It is no static function, so that it is verified
 * once, and not for each place that it is called from.
 */
__noinline int decides(const struct group_rules *r, __u32 remote, __u32 service)
{
	__u32 addresses, services;
	struct group_chunk_key key = {};
	__u32 i, w;

	if (!r)
		return 0;
	addresses = class_of(r->addresses, (__u8 *)&remote);
	services = class_of(r->services, (__u8 *)&service);
	if (!addresses || !services)
		return 0;
	for (i = 0; i < GROUP_CHUNKS; i++) {
		struct group_chunk *a, *s, *accept;

		if (i * GROUP_CHUNK_WORDS * 64 >= r->count)
			break;
		key.index = i;
		key.table = r->addresses;
		key.class = addresses;
		a = bpf_map_lookup_elem(&chunks, &key);
		key.table = r->services;
		key.class = services;
		s = bpf_map_lookup_elem(&chunks, &key);
		if (!a || !s)
			continue;
		for (w = 0; w < GROUP_CHUNK_WORDS; w++) {
			__u64 both = a->words[w] & s->words[w];

			if (!both)
				continue;
			key.table = r->addresses;
			key.class = 0;
			accept = bpf_map_lookup_elem(&chunks, &key);
			return accept && accept->words[w] & (both & -both);
		}
	}
	return 0;
}

/* lets says whether a policy lets a flow begin, in a direction. */
static __always_inline bool lets(const struct group_policy *p, const struct group_flow *f, bool out)
{
	struct group_rules rules = out ? p->out : p->in;
	__u16 port = out ? f->rport : f->lport;
	__u8 service[4] = {f->proto};
	__u32 word;

	if (f->proto == IPPROTO_TCP || f->proto == IPPROTO_UDP)
		__builtin_memcpy(service + 1, &port, 2);
	__builtin_memcpy(&word, service, 4);
	return decides(&rules, f->remote, word);
}
