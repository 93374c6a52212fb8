// Package bgp speaks BGP-4 (RFC 4271) with the peers of a network, over its
// tunnels: it tells them the network's prefixes, and learns theirs.
//
// A network's speaker is GoBGP. GoBGP offers no way to say in which network
// namespace it dials, and keeps package-level state, so each speaker is a process
// in the network's namespace: the program itself, started again, which is why main
// has to call Main first. What the speaker has to do, and what it has learned, goes
// over a Unix socket in its directory, as JSON.
//
// A speaker outlives the daemon, with its sessions and what they have taught it, and
// is adopted by the next one, unless that is another program by then: a speaker is
// always of the daemon's version. If it ends by itself it is started again.
//
// A session ends with a Cease (RFC 4486), which its peer is given a second to acknowledge. So
// Keep has to come before a tunnel goes: a peer that is not told sends packets into the
// tunnel until its hold time is over, and keeps what it was told of.
//
// # Sockets
//
// A speaker listens on TCP port 179 of all addresses of the namespace, and
// closes connections from whoever is no peer. The network's firewall has to let
// that port be reached by tunnels, and should by nothing else. It dials from a
// peer's Local address, and over its Link. A peer has to be a direct neighbour
// unless its ASN is the same as the local one (packets have a TTL of 1). Where both
// dial at the same time, the speaker's connection is the one that stays: its BGP
// Identifier is 223.255 and the end of its first peer's Local address.
//
// # Routes
//
// Told is what Apply was told to announce and nothing else: what one peer has
// said is not told to others. Learned are IPv4 unicast prefixes, each from the
// peer whose path is the best; but never the default route, none that overlaps
// what is no destination in a VPC (loopback, link-local, multicast and the
// like), and none within what is announced. They go when their session ends;
// there is no graceful restart (RFC 4724).
//
// What they were for is then Held: the peer has not withdrawn it, so what goes there
// must not take a way that nobody has meant for it, such as one past the tunnel. It is
// held without a limit in time, as a site that cannot be reached is no reason to send
// its packets elsewhere. It ends when the peer tells it again; when its session is back
// for a while (Options.Relearn) and it has not, as it does after what it withdrew
// meanwhile; and when the connection is not remembered any more, which is how an
// operator says that nobody is to come back.
//
// The session with a peer that tells more
// than Options.Limit is closed, and may begin again after a while.
//
// The package must not know what a prefix is for, and touches no routing table.
package bgp
