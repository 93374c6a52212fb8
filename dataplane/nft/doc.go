// Package nft holds the NAT of one VPC in the kernel, as one nftables table
// named sluice (family ip) in the VPC's network namespace.
//
// The table has a fixed part, the skeleton: chains, rules, counters and empty
// sets, the same in every namespace and at every time. Whatever belongs to one
// VPC (elastic IPs, DNAT and SNAT entries, 1:1 mappings, names of links) is an
// element of a set or map. A packet therefore costs the same with one entry and with ten
// thousand, and a change of one entry is one element in one message.
//
// RulesetOf turns a dataplane.Network into a Ruleset, plain sorted data, without
// touching the kernel. Table.Read reads the Ruleset that a namespace holds, and
// Table.Apply makes the difference between two Rulesets in one batch, which the
// kernel takes as a whole or not at all: no packet ever meets a half-made
// change.
//
// What holds at every moment, also while a batch takes effect: nothing leaves
// by the uplink without an elastic IP as its source (chain egress), and the
// gateway's own stack does not answer for elastic IPs (chain input).
//
// To look at a table: nft list table ip sluice. The nft command prints the
// pool ids in snat_pool and eip_mark with their bytes reversed; Ruleset.String
// has them right.
//
// The package knows addresses, ports and nftables. It must not know how links
// are made, routes (it only sets the packet marks that routing
// rules select by), conntrack entries, or where a Network comes from.
package nft
