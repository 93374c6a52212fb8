/* SPDX-License-Identifier: GPL-2.0 */
/* The packet marks of the programs. nftables knows MARK_REFUSED and MARK_CROWDED, and
 * has more of its own (package dataplane/nft). The kernel takes marks off a packet that goes
 * to another namespace, so that no host can set one.
 */
#pragma once

#define MARK_REFUSED 0x4   /* a connection too many, to be answered by the stack */
#define MARK_SHORTCUT 0x10 /* has taken the shortcut and is counted */
#define MARK_CROWDED 0x20  /* if conntrack has it for new, there is no room for it */
#define MARK_GROUPS 0x40   /* security groups have let it go to a VSwitch that is a bridge */
