//go:build ignore

// SPDX-License-Identifier: GPL-2.0
/* Connections that found no port of their elastic IP free.
 *
 * The kernel says so nowhere. Source translation looks for a free port, gives up
 * after some 240 tries (nf_nat_l4proto_unique_tuple), and lets the packet go on
 * with a port that is in use; only where conntrack takes the connection into its
 * table, after everything else, it finds that out, and drops the packet. So what
 * is dropped with a connection that has its source translated and is not in the
 * table has failed for that and nothing else: nothing between the two drops what
 * is translated.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "types.h"

/* Of one network: what is counted for its hosts, and, with a key that is 0, in all. */
struct exhausted_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, EXHAUSTED);
	__uint(key_size, sizeof(struct exhausted_key));
	__uint(value_size, sizeof(__u64));
};

struct exhausted_map exhausted SEC(".maps");

/* By the number of the network's namespace. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 1 << 14);
	__uint(key_size, sizeof(__u32));
	__array(values, struct exhausted_map);
} networks SEC(".maps");

/* The networks whose hosts are told. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 14);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} told SEC(".maps");

/* What they are told of. There is room for some; what is more is not told. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} refusals SEC(".maps");

static __always_inline void count(void *counts, struct exhausted_key *key)
{
	struct exhausted_key all = {};
	__u64 one = 1, *n = bpf_map_lookup_elem(counts, &all);

	if (n)
		__sync_fetch_and_add(n, 1);
	n = bpf_map_lookup_elem(counts, key);
	if (!n) {
		if (!bpf_map_update_elem(counts, key, &one, BPF_NOEXIST))
			return;
		n = bpf_map_lookup_elem(counts, key);
	}
	if (!n) {
		/* There are too many hosts for one counter each. */
		key->private = 0;
		n = bpf_map_lookup_elem(counts, key);
	}
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(counts, key, &one, BPF_NOEXIST);
}

static __always_inline void tell(struct sk_buff *skb, __u32 network, const struct nf_conntrack_tuple *original)
{
	struct refusal *r = bpf_ringbuf_reserve(&refusals, sizeof(*r), 0);
	void *head;

	if (!r)
		return;
	__builtin_memset(r, 0, sizeof(*r));
	head = (void *)skb->head;
	r->network = network;
	r->saddr = BPF_CORE_READ(original, src.u3.ip);
	r->sport = BPF_CORE_READ(original, src.u.all);
	r->daddr = BPF_CORE_READ(original, dst.u3.ip);
	bpf_probe_read_kernel(r->ip, sizeof(r->ip), head + skb->network_header);
	bpf_probe_read_kernel(r->l4, sizeof(r->l4), head + skb->transport_header);
	bpf_ringbuf_submit(r, 0);
}

/* Whatever the kernel drops, in all namespaces. */
SEC("tp_btf/kfree_skb")
int dropped(__u64 *ctx)
{
	struct sk_buff *skb = (struct sk_buff *)ctx[0];
	unsigned long nfct = skb->_nfct, status;
	struct exhausted_key key = {};
	struct nf_conn *ct = (void *)(nfct & ~NFCT_INFOMASK);
	void *counts;
	__u32 network;

	if (!ct || (nfct & NFCT_INFOMASK) != IP_CT_NEW)
		return 0;
	status = BPF_CORE_READ(ct, status);
	if ((status & (IPS_SRC_NAT | IPS_SRC_NAT_DONE | IPS_CONFIRMED)) != (IPS_SRC_NAT | IPS_SRC_NAT_DONE))
		return 0;
	network = BPF_CORE_READ(ct, ct_net.net, ns.inum);
	counts = bpf_map_lookup_elem(&networks, &network);
	if (!counts)
		return 0;
	key.private = BPF_CORE_READ(ct, tuplehash[IP_CT_DIR_ORIGINAL].tuple.src.u3.ip);
	key.external = BPF_CORE_READ(ct, tuplehash[IP_CT_DIR_REPLY].tuple.dst.u3.ip);
	key.proto = BPF_CORE_READ(ct, tuplehash[IP_CT_DIR_ORIGINAL].tuple.dst.protonum);
	/* Where the outside called, the port alone may have been translated. */
	if (key.private == key.external)
		return 0;
	count(counts, &key);
	if (bpf_map_lookup_elem(&told, &network))
		tell(skb, network, &ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

#define EXPORT(type, name) const type *name##_type __attribute__((unused))
EXPORT(struct exhausted_key, exhausted_key);
EXPORT(struct refusal, refusal);
