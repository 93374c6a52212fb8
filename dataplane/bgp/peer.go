package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Peer is a router to speak BGP with.
type Peer struct {
	Connection    string     // identifies it within its network
	Local, Remote netip.Addr // the session's ends; IPv4. No two peers of a network have the same Remote
	LocalASN      uint32
	PeerASN       uint32
	Link          string // that the session goes over; empty for the routes' choice
}

// Limit is how much a peer may tell. The session with one that tells more is closed
// (with a Cease, "Maximum Number of Prefixes Reached": RFC 4486, section 4).
type Limit struct {
	Prefixes uint32        // those that are not learned are counted, too
	Pause    time.Duration // before there is a session with such a peer again
}

// desired is what a speaker has to do, and what is said to it.
type desired struct {
	Seq      uint64     // ascending, from 1 with each daemon
	RouterID netip.Addr // of the speaker; taken from the first that it gets
	Peers    []Peer
	Announce []netip.Prefix
	Limit    Limit
}

// report is how things stand, and what a speaker says.
type report struct {
	Seq      uint64 // of the newest that has been applied, or could not be
	Error    string // why it could not be; empty if it was
	Sessions map[string]bool
	Routes   map[string][]netip.Prefix // ascending
	Said     []string                  // for the log, since the last report
}

// check says what of it cannot be.
func check(peers []Peer, announce []netip.Prefix) error {
	remotes := make(map[netip.Addr]string, len(peers))
	connections := make(map[string]bool, len(peers))
	for _, p := range peers {
		if !p.Local.Is4() || !p.Remote.Is4() || p.Local == p.Remote {
			return fmt.Errorf("BGP peer %s: session from %s to %s; must be two IPv4 addresses", p.Connection, p.Local, p.Remote)
		}
		if p.LocalASN == 0 || p.PeerASN == 0 {
			return fmt.Errorf("BGP peer %s: AS numbers %d and %d; must be 1 to 4294967295", p.Connection, p.LocalASN, p.PeerASN)
		}
		if p.Connection == "" || connections[p.Connection] {
			return fmt.Errorf("BGP peers: two have the connection %q, or none", p.Connection)
		}
		if other, ok := remotes[p.Remote]; ok {
			return fmt.Errorf("BGP peers %s and %s have the same address %s", other, p.Connection, p.Remote)
		}
		connections[p.Connection], remotes[p.Remote] = true, p.Connection
	}
	for _, a := range announce {
		if !a.IsValid() || !a.Addr().Is4() || a != a.Masked() {
			return errors.New("announce " + a.String() + ": must be an IPv4 prefix without host bits")
		}
	}
	return nil
}

// martians hold no destination of a unicast route (RFC 6890): this network,
// loopback, link-local, multicast, reserved.
var martians = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("240.0.0.0/4"),
}

// acceptable says whether a prefix may be learned. Whatever overlaps a martian
// may not, so neither may the default route nor the halves of it.
func acceptable(p netip.Prefix, announce []netip.Prefix) bool {
	return p.IsValid() && p.Addr().Is4() &&
		!slices.ContainsFunc(martians, p.Overlaps) &&
		!slices.ContainsFunc(announce, func(a netip.Prefix) bool {
			return a.Bits() <= p.Bits() && a.Contains(p.Addr())
		})
}
