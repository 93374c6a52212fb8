package vpn_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/network"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/vpn"
)

// TestOverlappingRanges: each call that takes a range of the remote site, over
// ranges that overlap those of the VPC, 10.0.0.0/16, its VSwitch, 10.0.1.0/24,
// and another connection, to 192.168.1.0/24. What lies in the VSwitch can have
// no route; everything else is accepted by all.
func TestOverlappingRanges(t *testing.T) {
	auto := func(w *world, p netip.Prefix) error {
		_, err := w.connect(func(in *vpn.NewConnection) {
			in.CustomerGateway, in.Settings.AutoConfigRoute, in.Settings.RemoteSubnets = "cgw-2", nil, []netip.Prefix{p}
		})
		return err
	}
	calls := map[string]func(*world, string, netip.Prefix) error{
		"CreateVpnConnection": func(w *world, _ string, p netip.Prefix) error { return auto(w, p) },
		"ModifyVpnConnectionAttribute": func(w *world, id string, p netip.Prefix) error {
			return w.modify(id, vpn.ConnectionSettings{AutoConfigRoute: ptr(true), RemoteSubnets: []netip.Prefix{p}})
		},
		"CreateVpnRouteEntry": func(w *world, id string, p netip.Prefix) error {
			return w.newRoute(vpn.NewRoute{Destination: p, NextHop: id, Publish: true})
		},
		"CreateVpnPbrRouteEntry": func(w *world, id string, p netip.Prefix) error {
			return w.newRoute(vpn.NewRoute{Kind: vpn.ByPolicy, Source: blocks("10.0.1.0/24")[0], Destination: p, NextHop: id, Publish: true})
		},
		"CreateRouteEntry": func(w *world, _ string, p netip.Prefix) error {
			_, err := w.Network.CreateRouteEntry(ctx, planetest.Alice, network.NewRouteEntry{
				Table: w.table, Destination: p, NextHopType: resource.NextHopVPNGateway, NextHopID: "vpn-1"})
			return err
		},
	}
	for _, c := range []struct {
		name, block string
		refused     bool
	}{
		{"contains the VPC", "10.0.0.0/8", false},
		{"equals the VPC", "10.0.0.0/16", false},
		{"in the VPC, contains the VSwitch", "10.0.0.0/20", false},
		{"in the VPC, beside the VSwitch", "10.0.2.0/24", false},
		{"equals the VSwitch", "10.0.1.0/24", true},
		{"in the VSwitch", "10.0.1.128/25", true},
		{"host of the VSwitch", "10.0.1.10/32", true},
		{"contains the gateway's public address", "203.0.113.0/24", false},
		{"is the gateway's public address", "203.0.113.45/32", false},
		{"contains another connection's subnet", "192.168.0.0/16", false},
		{"in another connection's subnet", "192.168.1.128/25", false},
	} {
		block := netip.MustParsePrefix(c.block)
		for call, f := range calls {
			t.Run(c.name+"/"+call, func(t *testing.T) {
				t.Parallel() // each waits for its own store's disk
				w := newWorld(t)
				err := f(w, w.connected(), block)
				if !c.refused {
					if err != nil {
						t.Error(err)
					}
					return
				}
				planetest.Refused(t, err, fault.RouteDestination)
				var refused *fault.Error
				if !errors.As(err, &refused) || !strings.Contains(refused.Why, c.block+" lies in 10.0.1.0/24 of VSwitch vsw-") {
					t.Errorf("the client is not told why: %q", refused.Why)
				}
			})
		}
		// What is agreed upon with the peer need not be led anywhere.
		t.Run(c.name+"/without routes", func(t *testing.T) {
			t.Parallel()
			newWorld(t).connected(func(in *vpn.NewConnection) { in.Settings.RemoteSubnets = []netip.Prefix{block} })
		})
	}
	// The same ranges on both sides, and the one in the other.
	for _, c := range [][2]string{{"10.0.0.0/8", "10.0.0.0/8"}, {"10.0.1.0/24", "10.0.0.0/8"}, {"10.0.0.0/8", "10.200.0.0/16"}} {
		t.Run(c[0]+" and "+c[1], func(t *testing.T) {
			t.Parallel()
			newWorld(t).connected(func(in *vpn.NewConnection) {
				in.Settings.AutoConfigRoute, in.Settings.LocalSubnets, in.Settings.RemoteSubnets = nil, blocks(c[0]), blocks(c[1])
			})
		})
	}
}

// TestVSwitchOverRoutes: a VSwitch that comes after a route may lie in the
// route's destination, and must not take it over.
func TestVSwitchOverRoutes(t *testing.T) {
	for _, c := range []struct {
		route, block string
		refused      bool
	}{
		{"10.0.0.0/8", "10.0.9.0/24", false},
		{"10.0.0.0/16", "10.0.9.0/24", false},
		{"10.0.8.0/21", "10.0.9.0/24", false},
		{"0.0.0.0/0", "10.0.9.0/24", false},
		{"10.0.16.0/24", "10.0.9.0/24", false},
		{"10.0.9.0/24", "10.0.9.0/24", true},
		{"10.0.9.0/24", "10.0.8.0/21", true},
		{"10.0.9.7/32", "10.0.9.0/24", true},
	} {
		for _, kind := range []vpn.RouteKind{vpn.ByDestination, vpn.ByPolicy} {
			w := newWorld(t)
			r := vpn.NewRoute{Kind: kind, Destination: netip.MustParsePrefix(c.route), NextHop: w.connected()}
			if kind == vpn.ByPolicy {
				r.Source = blocks("10.0.1.0/24")[0]
			}
			w.route(r)
			_, err := w.Network.CreateVSwitch(ctx, planetest.Alice, network.NewVSwitch{VPC: w.vpc, Zone: planetest.Zone, CIDR: netip.MustParsePrefix(c.block)})
			if c.refused {
				planetest.Refused(t, err, fault.VSwitchCIDRRoute)
			} else if err != nil {
				t.Errorf("%s in %s: %v", c.block, c.route, err)
			}
		}
	}
}

// TestHealthCheckOfAVSwitch: a remote subnet may contain a VSwitch, and what is
// there does not answer through the tunnel.
func TestHealthCheckOfAVSwitch(t *testing.T) {
	w := newWorld(t)
	probe := func(to string) error {
		_, err := w.connect(func(in *vpn.NewConnection) {
			in.Settings.RemoteSubnets = blocks("10.0.0.0/8")
			in.Settings.HealthCheck = vpn.HealthCheckSettings{Enabled: ptr(true), Source: ptr(netip.MustParseAddr("10.0.1.9")), Destination: ptr(netip.MustParseAddr(to))}
		})
		return err
	}
	planetest.Refused(t, probe("10.0.1.10"), fault.VPNHealthCheck)
	if err := probe("10.9.0.1"); err != nil {
		t.Error(err)
	}
}
