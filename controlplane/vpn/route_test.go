package vpn_test

import (
	"net/netip"
	"slices"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/nat"
	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/network"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/vpn"
)

func (w *world) newRoute(in vpn.NewRoute) error {
	in.Region, in.Gateway = planetest.Region, "vpn-1"
	_, err := w.VPN.CreateRoute(ctx, planetest.Alice, in)
	return err
}

func (w *world) route(in vpn.NewRoute) {
	w.t.Helper()
	if err := w.newRoute(in); err != nil {
		w.t.Fatal(err)
	}
}

func named(destination, hop string) vpn.RouteName {
	return vpn.RouteName{Region: planetest.Region, Gateway: "vpn-1", Destination: netip.MustParsePrefix(destination), NextHop: hop}
}

// two makes two connections for the same subnets.
func (w *world) two() (string, string) {
	w.t.Helper()
	return w.connected(), w.connected(func(in *vpn.NewConnection) { in.CustomerGateway = "cgw-2" })
}

func TestActiveAndStandby(t *testing.T) {
	w := newWorld(t)
	a, b := w.two()
	to := netip.MustParsePrefix("192.168.1.0/24")
	w.route(vpn.NewRoute{Destination: to, NextHop: a})
	planetest.Refused(t, w.newRoute(vpn.NewRoute{Destination: to, NextHop: b}), fault.VPNRouteConflict)
	planetest.Refused(t, w.newRoute(vpn.NewRoute{Destination: to, NextHop: a, Standby: true}), fault.VPNRouteExists)
	w.route(vpn.NewRoute{Destination: to, NextHop: b, Standby: true})
	w.route(vpn.NewRoute{Kind: vpn.ByPolicy, Source: netip.MustParsePrefix("10.0.1.0/24"), Destination: to, NextHop: b})
	policy := "10.0.1.0/24>192.168.1.0/24/" + b
	w.want("192.168.1.0/24/"+a, "192.168.1.0/24/"+b+" standby", policy)

	// One change exchanges both, and the other's own is done already then.
	for range 2 {
		if err := w.VPN.ModifyRouteStandby(ctx, planetest.Alice, named("192.168.1.0/24", b), true, false); err != nil {
			t.Fatal(err)
		}
		w.want("192.168.1.0/24/"+a+" standby", "192.168.1.0/24/"+b, policy)
	}
	if err := w.VPN.ModifyRouteStandby(ctx, planetest.Alice, named("192.168.1.0/24", a), false, true); err != nil {
		t.Fatal(err)
	}
	w.want("192.168.1.0/24/"+a+" standby", "192.168.1.0/24/"+b, policy)
	planetest.Refused(t, w.VPN.ModifyRouteStandby(ctx, planetest.Alice, named("192.168.1.0/24", a), false, false), fault.RouteEntryNotFound)
	planetest.Refused(t, w.VPN.DeleteRoute(ctx, planetest.Alice, named("192.168.1.0/24", a), false), fault.RouteEntryNotFound)
	if err := w.VPN.DeleteRoute(ctx, planetest.Alice, named("192.168.1.0/24", a), true); err != nil {
		t.Fatal(err)
	}
	w.want("192.168.1.0/24/"+b, policy)
}

func TestDestinations(t *testing.T) {
	w := newWorld(t)
	a := w.connected()
	for _, p := range []string{"10.0.1.0/24", "10.0.1.128/25", "127.0.0.0/8", "169.254.11.0/30", "100.64.0.0/10", "240.0.0.0/4"} {
		planetest.Refused(t, w.newRoute(vpn.NewRoute{Destination: netip.MustParsePrefix(p), NextHop: a}), fault.RouteDestination)
	}
	planetest.Refused(t, w.newRoute(vpn.NewRoute{Destination: netip.MustParsePrefix("192.168.1.1/24"), NextHop: a}), fault.CIDRMalformed)
	planetest.Refused(t, w.newRoute(vpn.NewRoute{Destination: netip.MustParsePrefix("192.168.1.0/24"), NextHop: "vco-none"}), fault.NextHopNotFound)
	w.route(vpn.NewRoute{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHop: a})
	w.route(vpn.NewRoute{Destination: netip.MustParsePrefix("10.0.8.0/21"), NextHop: a})
}

// table lists the VPC's route table, without what comes with VSwitches.
func (w *world) entries() []string {
	w.t.Helper()
	var out []string
	list, err := w.Network.RouteTables(planetest.Alice, network.RouteTableFilter{IDs: []string{w.table}}, state.Page{Limit: 10})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, t := range list.Items {
		for _, e := range t.Entries {
			for _, h := range e.NextHops {
				out = append(out, e.Destination.String()+" "+string(h.Type)+" "+h.ID)
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestPublishing(t *testing.T) {
	w := newWorld(t)
	a, b := w.two()
	to := netip.MustParsePrefix("192.168.1.0/24")
	w.route(vpn.NewRoute{Destination: to, NextHop: a, Publish: true})
	w.route(vpn.NewRoute{Destination: to, NextHop: b, Standby: true, Publish: true})
	if got, want := w.entries(), []string{"192.168.1.0/24 vpn-gateway vpn-1"}; !slices.Equal(got, want) {
		t.Errorf("route table %q, want %q", got, want)
	}
	ecs := w.Instance(w.VSwitch(planetest.Alice, w.vpc, "10.0.7.0/24"), "", resource.Host)
	entry := network.NewRouteEntry{Table: w.table, Destination: to, NextHopType: resource.NextHopHost, NextHopID: ecs}
	_, err := w.Network.CreateRouteEntry(ctx, planetest.Alice, entry)
	planetest.Refused(t, err, fault.RouteDuplicate)
	planetest.Refused(t, w.Network.DeleteRouteEntry(ctx, planetest.Alice, network.OldRouteEntry{Table: w.table, Destination: to, NextHopID: "vpn-1"}), fault.RouteSystem)

	for _, hop := range []string{a, b} {
		if err := w.VPN.PublishRoute(ctx, planetest.Alice, named("192.168.1.0/24", hop), false); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.entries(); len(got) != 0 {
		t.Errorf("after the withdrawal: %q", got)
	}
	if _, err := w.Network.CreateRouteEntry(ctx, planetest.Alice, entry); err != nil {
		t.Fatal(err)
	}
	planetest.Refused(t, w.VPN.PublishRoute(ctx, planetest.Alice, named("192.168.1.0/24", a), true), fault.RouteDuplicate)

	// A policy route is named without its source: both are meant.
	for _, source := range []string{"10.0.1.0/24", "10.0.7.0/24"} {
		w.route(vpn.NewRoute{Kind: vpn.ByPolicy, Source: netip.MustParsePrefix(source), Destination: netip.MustParsePrefix("192.168.5.0/24"), NextHop: a})
	}
	both := named("192.168.5.0/24", a)
	both.Kind = vpn.ByPolicy
	if err := w.VPN.PublishRoute(ctx, planetest.Alice, both, true); err != nil {
		t.Fatal(err)
	}
	w.want("192.168.1.0/24/"+a, "192.168.1.0/24/"+b+" standby", "10.0.1.0/24>192.168.5.0/24/"+a+" published", "10.0.7.0/24>192.168.5.0/24/"+a+" published")
}

// A NAT gateway's default route and a published one exclude each other.
func TestDefaultRoute(t *testing.T) {
	w := newWorld(t)
	a := w.connected()
	all := vpn.NewRoute{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHop: a, Publish: true}
	w.route(all)
	_, err := w.NAT.CreateGateway(ctx, planetest.Alice, nat.Gateway{Region: planetest.Region, VPC: w.vpc, Limits: nattest.Small})
	planetest.Refused(t, err, fault.DefaultRouteExists)
	if err := w.VPN.DeleteRoute(ctx, planetest.Alice, named("0.0.0.0/0", a), false); err != nil {
		t.Fatal(err)
	}
	w.Gateway(planetest.Alice, w.vpc)
	planetest.Refused(t, w.newRoute(all), fault.RouteDuplicate)
}
