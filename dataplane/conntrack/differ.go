package conntrack

import (
	"net/netip"
	"reflect"
	"slices"

	"sluice/dataplane"
	"sluice/dataplane/route"
	"sluice/dataplane/sorted"
)

// Differ reports whether flows that a model of network a keeps may be ended by
// one of network b. Both are sorted as dataplane.Network says. A DNAT entry that
// is added, and an address that is added to a pool, end nothing.
func Differ(a, b *dataplane.Network, ofA, ofB route.Tunnels) bool {
	return !slices.Equal(a.Elastic, b.Elastic) || !slices.Equal(a.Mappings, b.Mappings) || withdrawn(a.DNAT, b.DNAT) ||
		!slices.EqualFunc(a.SNAT, b.SNAT, func(x, y dataplane.SNAT) bool {
			return x.Source == y.Source && (slices.Equal(x.Pool, y.Pool) || contains(y.Pool, x.Pool))
		}) || closed(a, b) || !sameWays(a, b, ofA, ofB)
}

// closed reports whether an SSL-VPN server's clients may not reach any more what they may.
func closed(a, b *dataplane.Network) bool {
	for _, was := range a.AllSSL() {
		open := false
		for _, is := range b.AllSSL() {
			open = open || is.ID == was.ID && is.Pool == was.Pool && !slices.ContainsFunc(was.Reach, func(p netip.Prefix) bool {
				return !slices.ContainsFunc(is.Reach, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) })
			})
		}
		if !open {
			return true
		}
	}
	return false
}

func contains(pool, all []netip.Addr) bool {
	for _, a := range all {
		if _, ok := slices.BinarySearchFunc(pool, a, netip.Addr.Compare); !ok {
			return false
		}
	}
	return true
}

// withdrawn reports whether an entry of have is not in want, or leads elsewhere.
func withdrawn(have, want sorted.Set[dataplane.DNAT]) bool {
	for c := range have.Changes(want) {
		if c.Was {
			return true
		}
	}
	return false
}

// sameWays compares the routes, unless they are made of the same.
func sameWays(a, b *dataplane.Network, ofA, ofB route.Tunnels) bool {
	return slices.Equal(a.Switches, b.Switches) && reflect.DeepEqual(a.Uplink, b.Uplink) && reflect.DeepEqual(a.Classic, b.Classic) && reflect.DeepEqual(a.Routes, b.Routes) && reflect.DeepEqual(a.Tables, b.Tables) &&
		reflect.DeepEqual(a.VPNGateways, b.VPNGateways) && reflect.DeepEqual(a.RouterInterfaces, b.RouterInterfaces) && reflect.DeepEqual(ofA, ofB) ||
		route.NewWays(a, ofA).Equal(route.NewWays(b, ofB))
}
