// Package ipsec carries a network's IPsec connections: one charon, strongSwan's
// IKE daemon (Debian's charon-systemd), for its VPN gateways, or for each of their
// sites.
//
// It takes dataplane.VPNGateways and drives charon by VICI alone. It gives the
// live state of each connection, and the link that is its tunnel. Which packets
// are led to that link is not its concern.
//
// # Paths
//
// Where the kernel has ESP and XFRM interfaces, each connection has an XFRM
// interface of its own, named by its id (dataplane.LinkName), and one charon in the
// network's namespace negotiates for all of all gateways: only one can have IKE's ports. Else charon does ESP itself (plugin kernel-libipsec)
// over a TUN device. That path
//
//   - always encapsulates in UDP, which the peer must accept;
//   - cannot wait for traffic (libipsec of strongSwan 5.9.8 tells nobody of a
//     packet without an SA), so every connection is negotiated at once;
//   - has a charon for each site, that is, for a gateway's connections with one address.
//
// # Which tunnel a packet takes
//
// The route decides, and nothing else. What is led to an XFRM interface finds
// policies and SAs of its if_id only; what is led to a TUN device only its charon
// sees, which has nothing of another site (home.go) and can send to that site only
// (outer.go). So tunnels may have the same selectors, and a packet that the named
// tunnel does not carry is lost. That could not be done with one charon: it takes
// the policy that matches best of those that it has at that moment, and when that
// one goes the next best, which may be another site's.
//
// The numbers that policies and SAs are found by are given once (identifiers.go).
//
// Connections with one address share a TUN device, and charon's policies choose
// among them; two of them that are with different sites (behind one NAT) must not
// have subnets in common there.
//
// # What stays
//
// Charon outlives the daemon and carries on; the next Gateways finds it by the
// configuration file in its environment, its XFRM interfaces by their names, and a TUN
// device by the number of the site.
// A charon that dies is started again with all its connections, and so is one whose
// TUN device somebody has deleted, as it makes that when it starts; an XFRM interface
// is made anew, with the SAs that there are. No connection is said to be up
// meanwhile. Keys are handed over by VICI only: no file has them, and no log level
// that would print them is used.
package ipsec
