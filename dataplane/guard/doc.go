// Package guard keeps private source addresses off the public side, whatever
// becomes of the nftables ruleset.
//
// It is a small BPF program at the egress of a network's uplink that drops
// IPv4 packets whose source lies in private address space or in the VPC, and
// not in the public prefix. The program keeps no state; which one is attached
// is told by its tag, the kernel's hash of it, so that a daemon that starts
// finds out without asking a predecessor.
//
// The program is written in BPF assembly: ten comparisons need no compiler.
package guard
