/* SPDX-License-Identifier: GPL-2.0 */
/* Time that costs nothing. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* ticks is the kernel's jiffies, which the verifier puts in place as a load from
 * memory. It goes round in weeks: only differences mean something.
 */
static __always_inline __u32 ticks(void)
{
	return bpf_jiffies64();
}
