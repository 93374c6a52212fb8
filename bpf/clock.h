/* SPDX-License-Identifier: GPL-2.0 */
/* Time that costs little. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* ticks is the monotonic clock in units of 2^20 ns, about a millisecond. It goes
 * round in 52 days: only differences mean something.
 */
static __always_inline __u32 ticks(void)
{
	return bpf_ktime_get_coarse_ns() >> 20;
}
