// Package securitygroup holds the security groups of a network, by BPF programs (bpf/groups.c)
// at the ports of VSwitches that are bridges, where what passes between two hosts of one
// VSwitch is seen as well, and at VSwitches that are links of another kind, where only what
// passes the gateway is.
//
// It takes the policies and members of a dataplane.Network. A policy's two directions are
// compiled into tables of their own each time that they change, and come into force by one
// element of a map. Where a port has no programs (it has only just come, or the kernel cannot
// run them), an nftables table drops what members send and are sent by it. The package knows
// nothing of groups, templates and interfaces: whose rules are whose, the Network says.
package securitygroup
