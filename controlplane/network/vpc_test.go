package network_test

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/network"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

var (
	ctx   = context.Background()
	alice = planetest.Alice
	bob   = planetest.Bob
)

func cidr(s string) netip.Prefix {
	if s == "" {
		return netip.Prefix{}
	}
	return netip.MustParsePrefix(s)
}

func cidrs(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, cidr(s))
	}
	return out
}

func ptr[T any](v T) *T { return &v }

func page(n, size int) state.Page { return state.Page{Offset: (n - 1) * size, Limit: size} }

func TestCreateVPC(t *testing.T) {
	p := planetest.New(t)
	made, err := p.Network.CreateVPC(ctx, alice, network.NewVPC{
		Region: planetest.Region, CIDR: cidr("172.16.0.0/12"), Name: "Office", Description: "All of it", UserCIDRs: cidrs("30.0.0.0/8"),
	})
	if err != nil {
		t.Fatal(err)
	}
	v := p.DB.View()
	vpc, _ := v.VPCs.Get(made.VPC)
	router, _ := v.VRouters.Get(made.VRouter)
	table, _ := v.RouteTables.Get(made.RouteTable)
	if vpc == nil || router == nil || table == nil {
		t.Fatalf("made %+v, and not all of it is there", made)
	}
	if vpc.CIDR != cidr("172.16.0.0/12") || vpc.Name != "Office" || vpc.Description != "All of it" || vpc.Account != alice.Account || vpc.Region != planetest.Region ||
		!vpc.CreatedAt.Equal(planetest.Now) || !slices.Equal(vpc.UserCIDRs, cidrs("30.0.0.0/8")) || vpc.VRouter != made.VRouter || vpc.RouteTable != made.RouteTable {
		t.Errorf("VPC %+v", vpc)
	}
	if router.VPC != made.VPC || router.RouteTable != made.RouteTable || table.VPC != made.VPC || table.VRouter != made.VRouter {
		t.Errorf("router %+v, table %+v", router, table)
	}
}

func TestVPCBlocks(t *testing.T) {
	for _, c := range []struct {
		cidr string
		ok   bool
	}{
		{"10.0.0.0/8", true}, {"172.16.0.0/12", true}, {"192.168.0.0/16", true},
		{"10.20.0.0/16", true}, {"172.31.255.0/24", true}, {"192.168.7.0/24", true},
		{"10.0.0.0/7", false}, {"172.16.0.0/11", false}, {"192.168.0.0/15", false},
		{"192.168.7.0/25", false}, {"10.0.0.0/32", false},
		{"172.32.0.0/16", false}, {"11.0.0.0/8", false}, {"192.169.0.0/16", false}, {"8.8.8.0/24", false}, {"0.0.0.0/0", false},
		{"172.16.1.5/16", false}, // host bits
		{"fd00::/16", false}, {"", false},
	} {
		p := planetest.New(t)
		_, err := p.Network.CreateVPC(ctx, alice, network.NewVPC{Region: planetest.Region, CIDR: cidr(c.cidr)})
		if c.ok && err != nil {
			t.Errorf("%q: %v", c.cidr, err)
		}
		if !c.ok {
			planetest.Refused(t, err, fault.VPCCIDRInvalid)
			if n := p.DB.View().VPCs.Len(); n != 0 {
				t.Errorf("%q: refused, and yet there are %d VPCs", c.cidr, n)
			}
		}
	}
}

func TestCreateVPCRefused(t *testing.T) {
	p := planetest.New(t)
	p.Settings.Quotas["vpcs"] = 2
	create := func(region string, user ...string) error {
		_, err := p.Network.CreateVPC(ctx, alice, network.NewVPC{Region: region, CIDR: cidr("10.0.0.0/8"), UserCIDRs: cidrs(user...)})
		return err
	}
	planetest.Refused(t, create("cn-nowhere"), fault.RegionNotFound)
	planetest.Refused(t, create(planetest.Zoneless), fault.ResourceNotAvailable)
	planetest.Refused(t, create(planetest.Region, "1.0.0.0/8", "2.0.0.0/8", "3.0.0.0/8", "4.0.0.0/8"), fault.UserCIDRQuota)
	planetest.Refused(t, create(planetest.Region, "1.2.3.4/8"), fault.UserCIDRMalformed)
	planetest.Refused(t, create(planetest.Region, ""), fault.UserCIDRMalformed)
	planetest.Refused(t, create(planetest.Region, "0.0.0.0/7"), fault.UserCIDRMask)
	for _, overlapping := range []string{"100.64.0.0/10", "100.100.0.0/16", "100.0.0.0/8"} {
		planetest.Refused(t, create(planetest.Region, "1.0.0.0/8", overlapping), fault.UserCIDROverlap)
	}
	for range 2 {
		if err := create(planetest.Region, "1.0.0.0/8", "1.1.0.0/16", "9.9.9.9/32"); err != nil {
			t.Fatal(err)
		}
	}
	planetest.Refused(t, create(planetest.Region), fault.QuotaVPC)
	// The quota is of an account in a region.
	if err := create(planetest.Elsewhere); err != nil {
		t.Error(err)
	}
	p.VPC(bob, "10.0.0.0/8")
}

func TestQuotasOfAnAccount(t *testing.T) {
	p := planetest.New(t)
	own := maps.Clone(p.Settings.Quotas)
	own["vpcs"] = 0
	p.Settings.Accounts = map[string]settings.Quotas{bob.Account: own}
	p.VPC(alice, "10.0.0.0/8")
	_, err := p.Network.CreateVPC(ctx, bob, network.NewVPC{Region: planetest.Region, CIDR: cidr("10.0.0.0/8")})
	planetest.Refused(t, err, fault.QuotaVPC)
}

func TestModifyVPC(t *testing.T) {
	p := planetest.New(t)
	id := p.VPC(alice, "10.0.0.0/8").VPC
	modify := func(in network.VPCChange) *resource.VPC {
		t.Helper()
		if err := p.Network.ModifyVPC(ctx, alice, id, in); err != nil {
			t.Fatal(err)
		}
		v, _ := p.DB.View().VPCs.Get(id)
		return v
	}
	v := modify(network.VPCChange{Name: ptr("One"), Description: ptr("First"), UserCIDRs: ptr(cidrs("1.0.0.0/8"))})
	if v.Name != "One" || v.Description != "First" || !slices.Equal(v.UserCIDRs, cidrs("1.0.0.0/8")) {
		t.Errorf("%+v", v)
	}
	// What is left out stays, what is empty is cleared.
	if v := modify(network.VPCChange{Description: ptr("")}); v.Name != "One" || v.Description != "" || len(v.UserCIDRs) != 1 {
		t.Errorf("%+v", v)
	}
	before := v.Generation
	if v := modify(network.VPCChange{Name: ptr("Two"), UserCIDRs: ptr(cidrs("1.0.0.0/8"))}); v.Generation != before {
		t.Error("a new name, with the same UserCidr, is nothing for the dataplane")
	}
	if v := modify(network.VPCChange{UserCIDRs: ptr(cidrs())}); len(v.UserCIDRs) != 0 || v.Name != "Two" {
		t.Errorf("%+v", v)
	}

	try := func(c identity.Caller, in network.VPCChange) error { return p.Network.ModifyVPC(ctx, c, id, in) }
	planetest.Refused(t, try(bob, network.VPCChange{Name: ptr("Mine")}), fault.VPCNotFound)
	planetest.Refused(t, p.Network.ModifyVPC(ctx, alice, "vpc-none", network.VPCChange{}), fault.VPCNotFound)
	planetest.Refused(t, try(alice, network.VPCChange{UserCIDRs: ptr(cidrs("100.64.0.0/16"))}), fault.UserCIDROverlap)
	planetest.Refused(t, try(alice, network.VPCChange{UserCIDRs: ptr(cidrs("1.0.0.0/8", "2.0.0.0/8", "3.0.0.0/8", "4.0.0.0/8"))}), fault.UserCIDRQuota)

	p.Stalled(func() {
		if err := try(alice, network.VPCChange{UserCIDRs: ptr(cidrs("1.0.0.0/8"))}); err != nil {
			t.Error(err)
		}
		planetest.Refused(t, try(alice, network.VPCChange{UserCIDRs: ptr(cidrs("2.0.0.0/8"))}), fault.UserCIDRInTransition)
		if err := try(alice, network.VPCChange{Name: ptr("Three")}); err != nil {
			t.Errorf("a name may change at any time: %v", err)
		}
	})
}

func TestDeleteVPC(t *testing.T) {
	p := planetest.New(t)
	made := p.VPC(alice, "192.168.0.0/16")
	remove := func() error { return p.Network.DeleteVPC(ctx, alice, made.VPC) }
	planetest.Refused(t, p.Network.DeleteVPC(ctx, bob, made.VPC), fault.VPCNotFound)
	planetest.Refused(t, p.Network.DeleteVPC(ctx, alice, "vpc-none"), fault.VPCNotFound)

	// In the documents' order.
	sw := p.VSwitch(alice, made.VPC, "192.168.1.0/24")
	i := p.Instance(sw, "", resource.Host)
	p.Route(alice, made.RouteTable, "10.0.0.0/8", "", i)
	gateway := p.Gateway(alice, made.VPC)
	planetest.Refused(t, remove(), fault.VPCHasRouteEntries)
	if err := p.Network.DeleteRouteEntry(ctx, alice, network.OldRouteEntry{Table: made.RouteTable, Destination: cidr("10.0.0.0/8"), NextHopID: i}); err != nil {
		t.Fatal(err)
	}
	planetest.Refused(t, remove(), fault.VPCHasNATGateway)
	if err := p.NAT.DeleteGateway(ctx, alice, planetest.Region, gateway.ID, false); err != nil {
		t.Fatal(err)
	}
	planetest.Refused(t, remove(), fault.VPCHasInstances)
	if err := p.Inventory.Remove(ctx, i); err != nil {
		t.Fatal(err)
	}
	planetest.Refused(t, remove(), fault.VPCHasVSwitches)
	if err := p.Network.DeleteVSwitch(ctx, alice, sw); err != nil {
		t.Fatal(err)
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	v := p.DB.View()
	if v.VPCs.Len()+v.VRouters.Len()+v.RouteTables.Len()+v.RouteEntries.Len() != 0 {
		t.Error("something of the VPC is left")
	}
	planetest.Refused(t, remove(), fault.VPCNotFound)
}

func TestDeleteVPCInTransition(t *testing.T) {
	p := planetest.New(t)
	p.Stalled(func() {
		id := p.VPC(alice, "10.0.0.0/8").VPC
		planetest.Refused(t, p.Network.DeleteVPC(ctx, alice, id), fault.VPCInTransition)
	})
	// One that the dataplane cannot make can still be deleted.
	p.Dataplane(planetest.Refuses)
	id := p.VPC(alice, "10.0.0.0/8").VPC
	if err := p.Network.DeleteVPC(ctx, alice, id); err != nil {
		t.Error(err)
	}
}

func TestVPCs(t *testing.T) {
	p := planetest.New(t)
	var ids []string
	for _, c := range []string{"10.0.0.0/8", "10.0.0.0/8", "192.168.0.0/16"} {
		ids = append(ids, p.VPC(alice, c).VPC)
	}
	there := p.VPCIn(alice, planetest.Elsewhere, "10.0.0.0/8").VPC
	theirs := p.VPC(bob, "10.0.0.0/8").VPC
	a, b := p.VSwitch(alice, ids[0], "10.1.0.0/16"), p.VSwitch(alice, ids[0], "10.2.0.0/16")

	for _, c := range []struct {
		name   string
		filter network.VPCFilter
		page   state.Page
		total  int
		want   []string
	}{
		{"all", network.VPCFilter{}, page(1, 10), 3, ids},
		{"first page", network.VPCFilter{}, page(1, 2), 3, ids[:2]},
		{"second page", network.VPCFilter{}, page(2, 2), 3, ids[2:]},
		{"beyond", network.VPCFilter{}, page(3, 2), 3, nil},
		{"far beyond", network.VPCFilter{}, page(1<<31-1, 50), 3, nil},
		{"one", network.VPCFilter{IDs: []string{ids[1]}}, page(1, 10), 1, ids[1:2]},
		{"one, page 2", network.VPCFilter{IDs: []string{ids[1]}}, page(2, 10), 1, nil},
		{"none", network.VPCFilter{IDs: []string{"vpc-none"}}, page(1, 10), 0, nil},
		{"another region's", network.VPCFilter{IDs: []string{there}}, page(1, 10), 0, nil},
		{"another account's", network.VPCFilter{IDs: []string{theirs}}, page(1, 10), 0, nil},
		{"default", network.VPCFilter{Default: ptr(true)}, page(1, 10), 0, nil},
		{"not default", network.VPCFilter{Default: ptr(false)}, page(1, 10), 3, ids},
	} {
		c.filter.Region = planetest.Region
		l, err := p.Network.VPCs(alice, c.filter, c.page)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, v := range l.Items {
			got = append(got, v.ID)
		}
		if l.Total != c.total || !slices.Equal(got, c.want) {
			t.Errorf("%s: %d in total, page %v; want %d, %v", c.name, l.Total, got, c.total, c.want)
		}
	}
	_, err := p.Network.VPCs(alice, network.VPCFilter{Region: "cn-nowhere"}, page(1, 10))
	planetest.Refused(t, err, fault.RegionNotFound)

	l, _ := p.Network.VPCs(alice, network.VPCFilter{Region: planetest.Region, IDs: []string{ids[0]}}, page(1, 10))
	if v := l.Items[0]; v.Phase != resource.Ready || !slices.Equal(v.VSwitches(), []string{a, b}) {
		t.Errorf("VPC %+v", v)
	}
	p.Stalled(func() {
		id := p.VPC(alice, "10.0.0.0/8").VPC
		l, _ := p.Network.VPCs(alice, network.VPCFilter{Region: planetest.Region, IDs: []string{id}}, page(1, 10))
		if v := l.Items[0]; v.Phase != resource.Creating {
			t.Errorf("a VPC that the dataplane does not have is in phase %v", v.Phase)
		}
	})
}

func TestVRouters(t *testing.T) {
	p := planetest.New(t)
	one, two := p.VPC(alice, "10.0.0.0/8"), p.VPC(alice, "10.0.0.0/8")
	theirs := p.VPC(bob, "10.0.0.0/8")
	list := func(pg state.Page, ids ...string) []string {
		t.Helper()
		l, err := p.Network.VRouters(alice, network.VRouterFilter{Region: planetest.Region, IDs: ids}, pg)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range l.Items {
			got = append(got, r.ID)
		}
		return got
	}
	if got := list(page(1, 10)); !slices.Equal(got, []string{one.VRouter, two.VRouter}) {
		t.Errorf("%v", got)
	}
	if got := list(page(2, 1)); !slices.Equal(got, []string{two.VRouter}) {
		t.Errorf("%v", got)
	}
	if got := list(page(1, 10), two.VRouter); !slices.Equal(got, []string{two.VRouter}) {
		t.Errorf("%v", got)
	}
	if got := list(page(1, 10), theirs.VRouter); got != nil {
		t.Errorf("another account's router is shown: %v", got)
	}
	_, err := p.Network.VRouters(alice, network.VRouterFilter{Region: "cn-nowhere"}, page(1, 10))
	planetest.Refused(t, err, fault.RegionNotFound)

	if err := p.Network.ModifyVRouter(ctx, alice, one.VRouter, resource.Naming{Name: ptr("Core")}); err != nil {
		t.Fatal(err)
	}
	if err := p.Network.ModifyVRouter(ctx, alice, one.VRouter, resource.Naming{Description: ptr("In the cellar")}); err != nil {
		t.Fatal(err)
	}
	if r, _ := p.DB.View().VRouters.Get(one.VRouter); r.Name != "Core" || r.Description != "In the cellar" {
		t.Errorf("%+v", r)
	}
	planetest.Refused(t, p.Network.ModifyVRouter(ctx, bob, one.VRouter, resource.Naming{}), fault.VRouterNotFound)
	planetest.Refused(t, p.Network.ModifyVRouter(ctx, alice, "vrt-none", resource.Naming{}), fault.VRouterNotFound)
}

func TestRegions(t *testing.T) {
	p := planetest.New(t)
	if r := p.Network.Regions(); len(r) != 4 || r[0].ID != planetest.Region {
		t.Errorf("%+v", r)
	}
	zones, err := p.Network.Zones(planetest.Region)
	if err != nil || len(zones) != 2 || zones[0].ID != planetest.Zone {
		t.Errorf("%+v, %v", zones, err)
	}
	_, err = p.Network.Zones("cn-nowhere")
	planetest.Refused(t, err, fault.RegionNotFound)
	points, err := p.Network.AccessPoints(planetest.Region)
	if err != nil || len(points) != 2 || points[0].ID != planetest.AccessPoint {
		t.Errorf("%+v, %v", points, err)
	}
	_, err = p.Network.AccessPoints("cn-nowhere")
	planetest.Refused(t, err, fault.RegionNotFound)
}
