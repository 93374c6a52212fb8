/* SPDX-License-Identifier: GPL-2.0 */
/* What user space has done to sessions, one by one. */
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "learn.h"
#include "network.h"
#include "path.h"
#include "session.h"
#include "types.h"
#include "window.h"

static __always_inline void remove_entry(const struct entry *e)
{
	struct session *s = bpf_map_lookup_elem(&sessions, &e->original);

	if (s && !(s->flow & FLOW_REPLY))
		remove_session(&e->original, s);
	s = bpf_map_lookup_elem(&sessions, &e->reply);
	if (s && (s->flow & FLOW_REPLY))
		remove_session(&e->reply, s);
}

/* spare lets a connection end now, if it is closed: it is so still when the one
 * that has the same ends begins anew; or if it was never answered.
 */
static __always_inline void spare(struct __sk_buff *skb, const struct flow_key *key, __u8 which)
{
	struct nf_conn *ct;
	__u32 direction;
	bool gone;

	ct = find_entry(skb, key, false, &direction);
	if (!ct)
		return;
	if (which == SPARE_UNANSWERED)
		gone = !(ct->status & IPS_SEEN_REPLY);
	else
		gone = ct->proto.tcp.state == TCP_CONNTRACK_TIME_WAIT || ct->proto.tcp.state == TCP_CONNTRACK_CLOSE;
	if (gone)
		bpf_ct_change_timeout(ct, 0);
	bpf_ct_release(ct);
}

/* sync_entry looks after one session, whose entry is at an offset of skb. Returns not 0 if
 * none is there. What conntrack has is made what it is
 * there; what it has not is removed. That of a connection which has ended is
 * removed before conntrack is asked, since the next one between the same ends
 * may be there already, and is another session; where that is, is kept.
 */
__noinline int sync_entry(struct __sk_buff *skb, __u32 at)
{
	struct gateway_settings *set;
	struct placed original = {}, reply = {};
	struct connection c = {};
	struct session *s;
	struct entry e;

	if (bpf_skb_load_bytes(skb, at, &e, sizeof(e)))
		return 1;
	if (e.spare) {
		spare(skb, &e.original, e.spare);
		return 0;
	}
	if (e.unanswered) {
		set = get_settings();
		if (set)
			keep_unanswered(skb, &e.original, false, set);
		return 0;
	}
	if (e.ended) {
		keep_place(&e.original, &original);
		keep_place(&e.reply, &reply);
		remove_entry(&e);
	}
	if (look_up(skb, &e.original, false, &c) < 0) {
		if (!e.status || has_ports(e.original.proto)) {
			remove_entry(&e);
			return 0;
		}
		c.original = e.original;
		c.reply = e.reply;
		c.status = e.status;
	}
	if (!(c.status & IPS_CONFIRMED))
		return 0;
	s = settle(&c, false);
	if (s && e.ended && c.original.proto == IPPROTO_TCP) {
		put_place(s, &original);
		put_place(reply_element(s, &c.reply), &reply);
	}
	return 0;
}

static long sync_session(__u32 i, void *context)
{
	return sync_entry(*(struct __sk_buff **)context, sizeof(struct ethhdr) + i * sizeof(struct entry)) != 0;
}
