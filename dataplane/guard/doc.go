// Package guard is the second barrier that keeps private source addresses off
// the public network: a BPF classifier at the egress of a network's uplink. It
// knows nothing of nftables and does not depend on it, so that not even
// "nft flush ruleset" lets a private source out.
//
// The classifier passes ARP and IPv4, but not IPv4 whose source is private
// (RFC 1918) or shared (RFC 6598) unless it is allowed by parameter, and
// nothing else. It holds no state: its parameters are in its instructions, and
// the tag that the kernel calculates from these tells whether the program that
// is attached is the wanted one. Nothing is pinned; a restarted daemon finds
// the program on the link.
//
// The package takes a link and prefixes. It must not know what the prefixes
// are for, and touches no classifier but its own.
package guard
