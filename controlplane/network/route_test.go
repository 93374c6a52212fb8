package network_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/network"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/vpn"
)

// site is a VPC with a VSwitch and one instance of each kind.
type site struct {
	*planetest.Plane
	vpc, router, table string
	sw, ecs, vip, slb  string
}

func newSite(t *testing.T) *site {
	p := planetest.New(t)
	made := p.VPC(alice, "10.0.0.0/8")
	s := &site{Plane: p, vpc: made.VPC, router: made.VRouter, table: made.RouteTable}
	s.sw = p.VSwitch(alice, s.vpc, "10.1.0.0/16")
	s.ecs = p.Instance(s.sw, "10.1.0.1", resource.Host)
	s.vip = p.NewHaVip(alice, s.sw, "10.1.0.2")
	s.slb = p.Instance(s.sw, "10.1.0.3", resource.LoadBalancer)
	return s
}

func (s *site) add(destination string, kind resource.NextHopType, id string) error {
	return s.create(network.NewRouteEntry{Table: s.table, Destination: cidr(destination), NextHopType: kind, NextHopID: id})
}

func (s *site) list(destination string, hops ...resource.NextHop) error {
	return s.create(network.NewRouteEntry{Table: s.table, Destination: cidr(destination), NextHops: hops})
}

func (s *site) create(in network.NewRouteEntry) error {
	_, err := s.Network.CreateRouteEntry(ctx, alice, in)
	return err
}

// tables lists route tables.
func (s *site) tables(t *testing.T, f network.RouteTableFilter, p state.Page) state.Listing[network.RouteTable] {
	t.Helper()
	l, err := s.Network.RouteTables(alice, f, p)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRouteDestinations(t *testing.T) {
	for _, c := range []struct {
		destination string
		want        fault.Reason // empty: accepted
	}{
		{"0.0.0.0/0", ""}, {"192.168.0.0/16", ""}, {"8.8.8.8/32", ""},
		{"10.2.0.0/16", ""},   // within the VPC, outside its VSwitches
		{"10.0.0.0/8", ""},    // contains the VSwitch
		{"100.0.0.0/8", ""},   // contains 100.64.0.0/10
		{"100.128.0.0/9", ""}, // beside it
		{"10.1.0.0/16", fault.RouteDestination}, {"10.1.7.0/24", fault.RouteDestination}, {"10.1.0.1/32", fault.RouteDestination},
		{"100.64.0.0/10", fault.RouteDestination}, {"100.100.0.0/16", fault.RouteDestination}, {"100.127.255.255/32", fault.RouteDestination},
		{"127.0.0.0/8", fault.RouteDestination}, {"224.0.0.0/4", fault.RouteDestination}, {"255.255.255.255/32", fault.RouteDestination}, {"0.0.0.0/8", fault.RouteDestination}, {"169.254.1.0/24", fault.RouteDestination},
		{"192.168.0.1/16", fault.CIDRMalformed}, {"", fault.CIDRMalformed}, {"fd00::/8", fault.CIDRMalformed},
	} {
		s := newSite(t)
		err := s.add(c.destination, resource.NextHopHost, s.ecs)
		if c.want != "" {
			planetest.Refused(t, err, c.want)
		} else if err != nil {
			t.Errorf("%s: %v", c.destination, err)
		}
	}
}

func TestNextHops(t *testing.T) {
	s := newSite(t)
	other := s.VSwitch(alice, s.VPC(alice, "10.0.0.0/8").VPC, "10.1.0.0/16")
	foreign := s.Instance(other, "", resource.Host)
	foreignVip := s.NewHaVip(alice, other, "")
	ri := func(id string) resource.NextHop {
		return resource.NextHop{Type: resource.NextHopRouterInterface, ID: id}
	}
	for _, c := range []struct {
		name string
		err  error
		want fault.Reason
	}{
		{"instance that is not there", s.add("1.0.0.0/8", resource.NextHopHost, "i-none"), fault.InstanceNotFound},
		{"instance by default", s.add("1.0.0.0/8", "", "i-none"), fault.InstanceNotFound},
		{"instance of another VPC", s.add("1.0.0.0/8", resource.NextHopHost, foreign), fault.InstanceNotFound},
		{"load balancer", s.add("1.0.0.0/8", resource.NextHopHost, s.slb), fault.InstanceNotFound},
		{"HaVip as an instance", s.add("1.0.0.0/8", resource.NextHopHost, s.vip), fault.InstanceNotFound},
		{"HaVip that is not there", s.add("1.0.0.0/8", resource.NextHopVirtualIP, "havip-none"), fault.HaVipNotFound},
		{"HaVip of another VPC", s.add("1.0.0.0/8", resource.NextHopVirtualIP, foreignVip), fault.HaVipNotFound},
		{"instance as a HaVip", s.add("1.0.0.0/8", resource.NextHopVirtualIP, s.ecs), fault.HaVipNotFound},
		{"tunnel", s.add("1.0.0.0/8", resource.NextHopTunnel, "t-1"), fault.NextHopNotFound},
		{"router interface", s.add("1.0.0.0/8", resource.NextHopRouterInterface, "ri-1"), fault.NextHopNotFound},
		{"VPN gateway", s.add("1.0.0.0/8", resource.NextHopVPNGateway, "vpn-1"), fault.NextHopNotFound},
		{"nothing", s.add("1.0.0.0/8", "", ""), fault.NextHopBothNull},
		{"type alone", s.add("1.0.0.0/8", resource.NextHopHost, ""), fault.NextHopMissing},
		{"list of one", s.list("1.0.0.0/8", ri("ri-1")), fault.NextHopListSize},
		{"list of five", s.list("1.0.0.0/8", ri("ri-1"), ri("ri-2"), ri("ri-3"), ri("ri-4"), ri("ri-5")), fault.NextHopListSize},
		{"list with one twice", s.list("1.0.0.0/8", ri("ri-1"), ri("ri-1")), fault.NextHopRouterInterface},
		{"list of instances", s.list("1.0.0.0/8", resource.NextHop{Type: resource.NextHopHost, ID: "i-1"}, ri("ri-1")), fault.NextHopOpposite},
		{"list of an instance by its id", s.list("1.0.0.0/8", resource.NextHop{ID: s.ecs}, ri("ri-1")), fault.NextHopOpposite},
		{"list of what is not there", s.list("1.0.0.0/8", ri("ri-1"), ri("ri-2")), fault.NextHopListed},
		{"list and one", s.create(network.NewRouteEntry{
			Table: s.table, Destination: cidr("1.0.0.0/8"), NextHopID: s.ecs, NextHops: []resource.NextHop{ri("ri-1"), ri("ri-2")},
		}), fault.ParameterNotApplicable},
	} {
		t.Run(c.name, func(t *testing.T) { planetest.Refused(t, c.err, c.want) })
	}
	for _, st := range []string{resource.Starting, resource.Stopping} {
		s.InstanceState(s.ecs, st)
		planetest.Refused(t, s.add("1.0.0.0/8", resource.NextHopHost, s.ecs), fault.InstanceStatus)
	}
	s.Stalled(func() {
		s.ChangeHaVip(s.vip)
		planetest.Refused(t, s.add("1.0.0.0/8", resource.NextHopVirtualIP, s.vip), fault.HaVipStatus)
	})
	s.InstanceState(s.ecs, resource.Stopped)
	if err := s.add("1.0.0.0/8", "", s.ecs); err != nil {
		t.Error(err)
	}
	if err := s.add("2.0.0.0/8", resource.NextHopVirtualIP, s.vip); err != nil {
		t.Error(err)
	}
	for i, vpc := range []string{s.vpc, s.VPC(alice, "10.0.0.0/8").VPC} {
		g, err := s.VPN.CreateGateway(ctx, alice, vpn.Gateway{Region: planetest.Region, VPC: vpc, Bandwidth: 5, IPsec: true})
		if err != nil {
			t.Fatal(err)
		}
		err = s.add("3.0.0.0/8", resource.NextHopVPNGateway, g.ID)
		if own := i == 0; !own {
			planetest.Refused(t, err, fault.NextHopNotFound) // although 3.0.0.0/8 is taken
		} else if err != nil {
			t.Error(err)
		}
	}
}

func TestRouteTableIsOwn(t *testing.T) {
	s := newSite(t)
	in := network.NewRouteEntry{Table: s.table, Destination: cidr("1.0.0.0/8"), NextHopID: s.ecs}
	_, err := s.Network.CreateRouteEntry(ctx, bob, in)
	planetest.Refused(t, err, fault.RouteTableNotFound)
	out := network.OldRouteEntry{Table: s.table, Destination: cidr("1.0.0.0/8"), NextHopID: s.ecs}
	planetest.Refused(t, s.Network.DeleteRouteEntry(ctx, bob, out), fault.RouteTableNotFound)
	in.Table, out.Table = "vtb-none", "vtb-none"
	planetest.Refused(t, s.create(in), fault.RouteTableNotFound)
	planetest.Refused(t, s.Network.DeleteRouteEntry(ctx, alice, out), fault.RouteTableNotFound)
}

func TestRouteDuplicates(t *testing.T) {
	s := newSite(t)
	s.Route(alice, s.table, "1.0.0.0/8", "", s.ecs)
	planetest.Refused(t, s.add("1.0.0.0/8", "", s.ecs), fault.RouteSame)
	planetest.Refused(t, s.add("1.0.0.0/8", resource.NextHopVirtualIP, s.vip), fault.RouteDuplicate)
	s.Gateway(alice, s.vpc)
	planetest.Refused(t, s.add("0.0.0.0/0", "", s.ecs), fault.RouteDuplicate)
	// Several entries may lead to one instance, and one may lie in another.
	s.Route(alice, s.table, "1.1.0.0/16", "", s.ecs)
}

func TestRouteQuotas(t *testing.T) {
	s := newSite(t)
	s.Gateway(alice, s.vpc) // its entry does not count
	for i := range 5 {
		s.Route(alice, s.table, fmt.Sprintf("192.168.%d.0/24", i), resource.NextHopVirtualIP, s.vip)
	}
	planetest.Refused(t, s.add("192.168.5.0/24", resource.NextHopVirtualIP, s.vip), fault.HaVipRouteQuota)
	for i := range 43 {
		s.Route(alice, s.table, fmt.Sprintf("172.16.%d.0/24", i), "", s.ecs)
	}
	planetest.Refused(t, s.add("172.17.0.0/24", "", s.ecs), fault.QuotaRouteEntry)
}

func TestDeleteRouteEntry(t *testing.T) {
	s := newSite(t)
	s.Route(alice, s.table, "1.0.0.0/8", "", s.ecs)
	gateway := s.Gateway(alice, s.vpc)
	remove := func(destination, hop string, list ...string) error {
		in := network.OldRouteEntry{Table: s.table, Destination: cidr(destination), NextHopID: hop}
		for _, id := range list {
			in.NextHops = append(in.NextHops, resource.NextHop{ID: id})
		}
		return s.Network.DeleteRouteEntry(ctx, alice, in)
	}
	planetest.Refused(t, remove("10.1.0.0/16", ""), fault.RouteSystem)
	planetest.Refused(t, remove("100.64.0.0/10", ""), fault.RouteSystem)
	planetest.Refused(t, remove("0.0.0.0/0", gateway.ID), fault.RouteSystem)
	planetest.Refused(t, remove("2.0.0.0/8", s.ecs), fault.RouteEntryNotFound)
	planetest.Refused(t, remove("1.0.0.0/8", ""), fault.NextHopMissing)
	planetest.Refused(t, remove("1.0.0.0/8", s.vip), fault.NextHopMismatch)
	planetest.Refused(t, remove("1.0.0.0/8", "", s.ecs, s.vip), fault.NextHopMismatch)
	planetest.Refused(t, remove("1.0.0.0/8", s.ecs, s.ecs), fault.ParameterNotApplicable)
	if err := remove("1.0.0.0/8", s.ecs); err != nil {
		t.Fatal(err)
	}
	planetest.Refused(t, remove("1.0.0.0/8", s.ecs), fault.RouteEntryNotFound)

	// An entry with several hops, as a later version may have stored it.
	e := &resource.RouteEntry{
		Meta: resource.Meta{ID: resource.RouteEntryID(s.table, cidr("3.0.0.0/8")), Account: alice.Account}, VPC: s.vpc, Table: s.table, Destination: cidr("3.0.0.0/8"),
		NextHops: []resource.NextHop{{Type: resource.NextHopRouterInterface, ID: "ri-1", Weight: 2}, {Type: resource.NextHopRouterInterface, ID: "ri-2"}},
	}
	if err := s.Put(e); err != nil {
		t.Fatal(err)
	}
	planetest.Refused(t, remove("3.0.0.0/8", "ri-1"), fault.NextHopMismatch)
	planetest.Refused(t, remove("3.0.0.0/8", "", "ri-1", "ri-3"), fault.NextHopMismatch)
	if err := remove("3.0.0.0/8", "", "ri-2", "ri-1"); err != nil {
		t.Error(err)
	}
}

func TestRouteTables(t *testing.T) {
	s := newSite(t)
	second := s.VPC(alice, "192.168.0.0/16")
	theirs := s.VPC(bob, "192.168.0.0/16")
	s.Route(alice, s.table, "1.0.0.0/8", "", s.ecs)
	gateway := s.Gateway(alice, s.vpc)

	for _, c := range []struct {
		name   string
		filter network.RouteTableFilter
		number int
		total  int
		want   []string
	}{
		{"all", network.RouteTableFilter{}, 1, 2, []string{s.table}},
		{"page 2", network.RouteTableFilter{}, 2, 2, []string{second.RouteTable}},
		{"one", network.RouteTableFilter{IDs: []string{second.RouteTable}}, 1, 1, []string{second.RouteTable}},
		{"by VRouter", network.RouteTableFilter{VRouters: []string{second.VRouter}}, 1, 1, []string{second.RouteTable}},
		{"by router", network.RouteTableFilter{Routers: []string{s.router}}, 1, 1, []string{s.table}},
		{"by both", network.RouteTableFilter{VRouters: []string{s.router}, Routers: []string{second.VRouter}}, 1, 0, nil},
		{"of another router", network.RouteTableFilter{IDs: []string{s.table}, VRouters: []string{second.VRouter}}, 1, 0, nil},
		{"of no router", network.RouteTableFilter{VRouters: []string{"vrt-none"}}, 1, 0, nil},
		{"none", network.RouteTableFilter{IDs: []string{"vtb-none"}}, 1, 0, nil},
		{"another account's", network.RouteTableFilter{IDs: []string{theirs.RouteTable}}, 1, 0, nil},
		{"another account's router's", network.RouteTableFilter{Routers: []string{theirs.VRouter}}, 1, 0, nil},
		{"of VBRs", network.RouteTableFilter{VBR: state.OneOf[bool]{true}}, 1, 0, nil},
		{"of VBRs, one", network.RouteTableFilter{VBR: state.OneOf[bool]{true}, IDs: []string{s.table}}, 1, 0, nil},
	} {
		l := s.tables(t, c.filter, page(c.number, 1))
		var got []string
		for _, x := range l.Items {
			got = append(got, x.ID)
		}
		if l.Total != c.total || !slices.Equal(got, c.want) {
			t.Errorf("%s: %d in total, page %v; want %d, %v", c.name, l.Total, got, c.total, c.want)
		}
	}

	text := func() string {
		var b strings.Builder
		for _, e := range s.tables(t, network.RouteTableFilter{IDs: []string{s.table}}, page(1, 1)).Items[0].Entries {
			fmt.Fprintf(&b, "%s system=%v phase=%d %v\n", e.Destination, e.System, e.Phase, e.NextHops)
		}
		return b.String()
	}
	want := fmt.Sprintf(`1.0.0.0/8 system=false phase=2 [{host %s 0}]
0.0.0.0/0 system=true phase=2 [{nat-gateway %s 0}]
10.1.0.0/16 system=true phase=2 []
100.64.0.0/10 system=true phase=2 []
`, s.ecs, gateway.ID)
	if got := text(); got != want {
		t.Errorf("entries\n%swant\n%s", got, want)
	}
	s.Stalled(func() {
		s.Route(alice, s.table, "2.0.0.0/8", "", s.ecs)
		if got := text(); !strings.Contains(got, fmt.Sprintf("2.0.0.0/8 system=false phase=%d", resource.Creating)) {
			t.Errorf("entries\n%s", got)
		}
	})
}
