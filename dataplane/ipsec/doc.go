// Package ipsec carries a network's IPsec connections: one charon, strongSwan's
// IKE daemon (Debian's charon-systemd), for each VPN gateway, in the namespace of
// its network.
//
// It takes a dataplane.VPNGateway and drives charon by VICI alone. It gives the
// live state of each connection, and the link that is its tunnel. Which packets
// are led to that link is not its concern.
//
// # Paths
//
// Where the kernel has ESP and XFRM interfaces, each connection has an XFRM
// interface of its own, named by its id. Else charon does ESP itself (plugin
// kernel-libipsec) over one TUN device for all connections, and its traffic
// selectors decide which tunnel a packet takes. That path
//
//   - always encapsulates in UDP, which the peer must accept;
//   - cannot wait for traffic (libipsec of strongSwan 5.9.8 tells nobody of a
//     packet without an SA), so every connection is negotiated at once;
//   - tells tunnels with equal selectors (0.0.0.0/0 at both ends, twice) not
//     apart: packets take the one whose CHILD_SA was installed last.
//
// # What stays
//
// Charon outlives the daemon and carries on; the next Manager finds it by the
// configuration file in its environment, and its XFRM interfaces by their ids.
// A charon that dies is started again with all its connections, and so is one whose
// TUN device somebody has deleted, as it makes that when it starts; an XFRM interface
// is made anew, with the SAs that there are. No connection is said to be up meanwhile. Keys are handed
// over by VICI only: no file has them, and no log level that would print them is
// used.
package ipsec
