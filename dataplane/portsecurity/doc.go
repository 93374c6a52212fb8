// Package portsecurity holds addresses of VSwitches to those that they belong to: what a
// port of a VSwitch sends by ARP, or as the source of an IPv4 packet, is dropped where the
// address is a gateway's, or one that is bound to another Ethernet address.
//
// It takes a dataplane.Network, and keeps the nftables table sluice of two families in its
// namespace: bridge, for VSwitches that are bridges, where frames between ports are seen as
// well; and netdev, for those that are links of another kind, where only what comes to the
// gateway is. It knows nothing of inventories: which address is whose, the Network says.
package portsecurity
