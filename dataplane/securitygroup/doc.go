// Package securitygroup holds the security groups of a network, by BPF programs (bpf/groups.c)
// at the links of its VSwitches, where what passes the gateway is seen, and at the ports of those
// that are bridges, where what passes between two hosts of one VSwitch is.
//
// It takes the policies and members of a dataplane.Network. A policy's two directions are
// compiled into tables of their own each time that they change, and come into force by one
// element of a map. Between ports of a bridge that have no programs (they have only just come, or the
// kernel cannot run them), and by links that have none, nftables tables let nothing of members pass.
// The package knows nothing of groups, templates and interfaces: whose rules are whose, the Network says.
package securitygroup
