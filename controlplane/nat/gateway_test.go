package nat_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/nat"
	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

var ctx = context.Background()

func TestCreateGatewayMakesTablesAndRoute(t *testing.T) {
	b := newBench(t)
	for id, prefix := range map[string]string{b.g.ID: "ngw-", b.g.ForwardTable: "ftb-", b.g.SNATTable: "stb-"} {
		if !strings.HasPrefix(id, prefix) || len(id) != len(prefix)+9 {
			t.Errorf("id %q, want %s and nine characters", id, prefix)
		}
	}
	v := b.DB.View()
	g, _ := v.NATGateways.Get(b.g.ID)
	if g.Name != g.ID || g.Region != nattest.Region || g.Account != nattest.Account || !g.CreatedAt.Equal(nattest.Time) {
		t.Errorf("gateway %+v", g)
	}
	route, ok := v.RouteEntries.Get("vtb-a/0.0.0.0/0")
	if !ok || !route.System || route.VPC != "vpc-a" || len(route.NextHops) != 1 || route.NextHops[0] != (resource.NextHop{Type: resource.NextHopNATGateway, ID: g.ID}) {
		t.Errorf("route %+v", route)
	}
	if route.Created != g.Created {
		t.Error("gateway and route come from two transactions")
	}
}

func TestCreateGatewayIsRefused(t *testing.T) {
	everywhere := nattest.Route("vpc-b", "0.0.0.0/0", resource.NextHop{Type: resource.NextHopHost, ID: "i-1"})
	others := nattest.VPC("vpc-other", "10.0.0.0/16")
	others.Account = "2000000000000002"
	for name, c := range map[string]struct {
		in   nat.Gateway
		want fault.Reason
	}{
		"region":             {nat.Gateway{Region: "mars", VPC: "vpc-c"}, fault.RegionNotFound},
		"VPC":                {nat.Gateway{Region: nattest.Region, VPC: "vpc-none"}, fault.VPCNotFound},
		"other region":       {nat.Gateway{Region: "cn-beijing", VPC: "vpc-c"}, fault.VPCNotFound},
		"other's VPC":        {nat.Gateway{Region: nattest.Region, VPC: "vpc-other"}, fault.VPCNotFound},
		"second":             {nat.Gateway{Region: nattest.Region, VPC: "vpc-a"}, fault.GatewayExists},
		"route":              {nat.Gateway{Region: nattest.Region, VPC: "vpc-b"}, fault.DefaultRouteExists},
		"five packages":      {nat.Gateway{Region: nattest.Region, VPC: "vpc-c", BandwidthPackages: make([]nat.BandwidthPackage, 5)}, fault.TooManyBandwidthPackages},
		"package's zone":     {nat.Gateway{Region: nattest.Region, VPC: "vpc-c", BandwidthPackages: []nat.BandwidthPackage{{Addresses: 1, Bandwidth: 5, Zone: "moon-a"}}}, fault.ZoneNotFound},
		"zone of another":    {nat.Gateway{Region: nattest.Region, VPC: "vpc-c", BandwidthPackages: []nat.BandwidthPackage{{Addresses: 1, Bandwidth: 5, Zone: "cn-beijing-a"}}}, fault.ZoneNotFound},
		"any package at all": {nat.Gateway{Region: nattest.Region, VPC: "vpc-c", BandwidthPackages: []nat.BandwidthPackage{{Addresses: 1, Bandwidth: 5, Zone: nattest.Zone}}}, fault.ParameterNotApplicable},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.Put(nattest.VPC("vpc-b", "10.1.0.0/16"), everywhere.Clone(), nattest.VPC("vpc-c", "10.2.0.0/16"), others.Clone())
			b.Follow()
			before := b.DB.View()
			_, err := b.s.CreateGateway(ctx, b.c, c.in)
			refused(t, err, c.want)
			if b.DB.View() != before {
				t.Error("a refused call changed something")
			}
		})
	}
}

func TestAFailedCommitLeavesNothing(t *testing.T) {
	b := newBench(t)
	b.Put(nattest.VPC("vpc-b", "10.1.0.0/16"))
	b.Follow()
	b.Store.Fail = func() error { return errors.New("disk full") }
	if _, err := b.s.CreateGateway(ctx, b.c, nat.Gateway{Region: nattest.Region, VPC: "vpc-b"}); err == nil {
		t.Fatal("no error")
	}
	b.Store.Fail = nil
	b.Reopen()
	if v := b.DB.View(); v.NATGateways.Len() != 1 || v.RouteEntries.Len() != 1 {
		t.Errorf("%d gateways and %d routes, want those of vpc-a", v.NATGateways.Len(), v.RouteEntries.Len())
	}
}

func TestModifyGateway(t *testing.T) {
	b := newBench(t)
	name, description, empty := "edge", "the way out", ""
	attrs := nat.GatewayAttributes{Region: nattest.Region, ID: b.g.ID, Name: &name, Description: &description}
	refused(t, b.s.ModifyGatewayAttributes(ctx, b.c, attrs), "")
	g := b.gateway(t)
	if g.Name != name || g.Description != description || g.Phase != resource.Ready {
		t.Errorf("gateway %+v", g)
	}
	attrs.Name, attrs.Description = &empty, nil
	refused(t, b.s.ModifyGatewayAttributes(ctx, b.c, attrs), "")
	if g := b.gateway(t); g.Name != g.ID || g.Description != description {
		t.Errorf("name %q, description %q; want the id, and the description as it was", g.Name, g.Description)
	}
	revision := b.DB.View().Revision
	refused(t, b.s.ModifyGatewayAttributes(ctx, b.c, attrs), "")
	if b.DB.View().Revision != revision {
		t.Error("a change to what is already there was written")
	}

	refused(t, b.s.ModifyLimits(ctx, b.c, nattest.Region, b.g.ID, nattest.Small), fault.SpecUnchanged)
	refused(t, b.s.ModifyLimits(ctx, b.c, nattest.Region, b.g.ID, nattest.Large), "")
	if g := b.gateway(t); g.Limits != nattest.Large || g.Phase != resource.Changing {
		t.Errorf("gateway %+v, want Large and in change", g)
	}
	b.Follow()
	if g := b.gateway(t); g.Phase != resource.Ready {
		t.Errorf("phase %v after the dataplane's word", g.Phase)
	}
}

func (b *bench) gateway(t *testing.T) nat.GatewayStatus {
	t.Helper()
	list, err := b.s.Gateways(b.c, nat.GatewayQuery{Region: nattest.Region, IDs: []string{b.g.ID}, Page: state.Page{Limit: 10}})
	if err != nil || list.Total != 1 || len(list.Items) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list.Items[0]
}

func TestDeleteGateway(t *testing.T) {
	for name, c := range map[string]struct {
		dependents func(*testing.T, *bench)
		force      bool
		want       fault.Reason
	}{
		"elastic IPs":         {func(*testing.T, *bench) {}, false, fault.GatewayHasDependents},
		"DNAT entry":          {func(t *testing.T, b *bench) { b.unbind(); b.Put(b.someForward()) }, false, fault.GatewayHasDependents},
		"SNAT entry":          {func(t *testing.T, b *bench) { b.unbind(); b.Put(b.someSNAT()) }, false, fault.GatewayHasDependents},
		"none":                {func(_ *testing.T, b *bench) { b.unbind() }, false, ""},
		"all of them, forced": {func(t *testing.T, b *bench) { b.mustForward(t, b.forward()); b.mustSNAT(t, b.snat()) }, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c.dependents(t, b)
			b.Follow()
			refused(t, b.s.DeleteGateway(ctx, b.c, nattest.Region, b.g.ID, c.force), c.want)
			v := b.DB.View()
			if c.want != "" {
				if _, ok := v.NATGateways.Get(b.g.ID); !ok {
					t.Error("a refused call deleted the gateway")
				}
				return
			}
			if v.NATGateways.Len()+v.RouteEntries.Len()+v.ForwardEntries.Len()+v.SNATEntries.Len() > 0 {
				t.Error("something of the gateway is left")
			}
			if n := v.ElasticIPs.By(state.ByBinding, b.g.ID).Len(); n > 0 {
				t.Errorf("%d elastic IPs are still bound", n)
			}
			e, ok := v.ElasticIPs.Get("eip-11")
			if !ok || e.Binding != nil || e.VPC != "vpc-a" {
				t.Errorf("elastic IP %+v; want it kept, unbound, and followed by its last network", e)
			}
			if own, _ := v.ElasticIPs.Get("eip-own"); own.Binding == nil {
				t.Error("the elastic IP of an instance was unbound")
			}
			// The VPC can have a gateway again.
			b.Follow()
			_, err := b.s.CreateGateway(ctx, b.c, nat.Gateway{Region: nattest.Region, VPC: "vpc-a", Limits: nattest.Small})
			refused(t, err, "")
		})
	}
}

// unbind takes all elastic IPs from the gateway.
func (b *bench) unbind() {
	for _, last := range []string{"11", "12", "13", "14"} {
		b.Put(nattest.ElasticIP("eip-"+last, "203.0.113."+last, "vpc-a", "", ""))
	}
}

func (b *bench) resource() *resource.NATGateway {
	g, _ := b.DB.View().NATGateways.Get(b.g.ID)
	return g
}

func (b *bench) someForward() resource.Resource {
	return nattest.Forward("fwd-some", b.resource(), resource.TCP, "203.0.113.11:80", "10.0.1.5:80")
}

func (b *bench) someSNAT() resource.Resource {
	return nattest.SNAT("snat-some", b.resource(), "vsw-1", "10.0.1.0/24", "203.0.113.13")
}

func TestGatewaysQuery(t *testing.T) {
	b := newBench(t)
	for _, x := range []string{"b", "c", "d"} {
		b.Put(nattest.VPC("vpc-"+x, "10.0.0.0/16"), nattest.Gateway("ngw-"+x, "vpc-"+x))
	}
	other := nattest.Gateway("ngw-other", "vpc-other")
	other.Account = "2000000000000002"
	large := nattest.Gateway("ngw-large", "vpc-large")
	large.Limits, large.Name = nattest.Large, "big"
	b.Put(other, large)
	b.mustForward(t, b.forward())
	b.mustSNAT(t, b.snat())

	for name, c := range map[string]struct {
		q     nat.GatewayQuery
		total int
		ids   []string
	}{
		"all":           {nat.GatewayQuery{}, 5, []string{b.g.ID, "ngw-b", "ngw-c", "ngw-d", "ngw-large"}},
		"page":          {nat.GatewayQuery{Page: state.Page{Offset: 2, Limit: 2}}, 5, []string{"ngw-c", "ngw-d"}},
		"last page":     {nat.GatewayQuery{Page: state.Page{Offset: 4, Limit: 2}}, 5, []string{"ngw-large"}},
		"behind it":     {nat.GatewayQuery{Page: state.Page{Offset: 6, Limit: 2}}, 5, nil},
		"far behind it": {nat.GatewayQuery{Page: state.Page{Offset: (1<<31 - 1 - 1) * 100, Limit: 100}}, 5, nil},
		"id":            {nat.GatewayQuery{IDs: []string{"ngw-c"}}, 1, []string{"ngw-c"}},
		"other's id":    {nat.GatewayQuery{IDs: []string{"ngw-other"}}, 0, nil},
		"VPC":           {nat.GatewayQuery{VPCs: []string{"vpc-d"}}, 1, []string{"ngw-d"}},
		"other's VPC":   {nat.GatewayQuery{VPCs: []string{"vpc-other"}}, 0, nil},
		"VPC and id":    {nat.GatewayQuery{VPCs: []string{"vpc-d"}, IDs: []string{"ngw-c"}}, 0, nil},
		"name":          {nat.GatewayQuery{Names: []string{"big"}}, 1, []string{"ngw-large"}},
		"part of name":  {nat.GatewayQuery{Names: []string{"bi"}}, 0, nil},
		"spec":          {nat.GatewayQuery{Limits: []dataplane.Limits{nattest.Small}, Page: state.Page{Offset: 3, Limit: 3}}, 4, []string{"ngw-d"}},
		"impossible":    {nat.GatewayQuery{None: true}, 0, nil},
		"other region":  {nat.GatewayQuery{Region: "cn-beijing"}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if c.q.Region == "" {
				c.q.Region = nattest.Region
			}
			if c.q.Page.Limit == 0 {
				c.q.Page = state.Page{Limit: 10}
			}
			list, err := b.s.Gateways(b.c, c.q)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, g := range list.Items {
				ids = append(ids, g.ID)
			}
			if list.Total != c.total || strings.Join(ids, " ") != strings.Join(c.ids, " ") {
				t.Errorf("%d: %q, want %d: %q", list.Total, ids, c.total, c.ids)
			}
		})
	}
	_, err := b.s.Gateways(b.c, nat.GatewayQuery{Region: "mars", Page: state.Page{Limit: 10}})
	refused(t, err, fault.RegionNotFound)

	uses := map[netip.Addr]nat.AddressUse{}
	for _, a := range b.gateway(t).Addresses {
		uses[a.Address] = a.Use
	}
	if len(uses) != 4 || uses[public("11")] != nat.UsedByDNAT || uses[public("13")] != nat.UsedBySNAT || uses[public("12")] != nat.Idle {
		t.Errorf("uses %v", uses)
	}
}
