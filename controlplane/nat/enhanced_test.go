package nat_test

import (
	"fmt"
	"net/netip"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/nat"
	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// enhanced returns an enhanced gateway of vpc-a, charged by what goes through it.
func enhanced(change ...func(*nat.Gateway)) nat.Gateway {
	in := nat.Gateway{Region: nattest.Region, VPC: "vpc-a", Enhanced: true, VSwitch: "vsw-1", ByUse: true}
	for _, c := range change {
		c(&in)
	}
	return in
}

// routed says which gateway the route for 0.0.0.0/0 of vpc-a leads to.
func (b *bench) routed() string {
	e, ok := b.DB.View().RouteEntries.Get(resource.RouteEntryID("vtb-a", netip.MustParsePrefix("0.0.0.0/0")))
	if !ok {
		return ""
	}
	return e.NextHops[0].ID
}

// Beside the gateway that a VPC has there may be enhanced ones, as many as the quota says,
// and none that is not.
func TestEnhancedGateways(t *testing.T) {
	b := newBench(t)
	b.Settings.Quotas["nat_gateways_per_vpc"] = 3
	for name, c := range map[string]struct {
		change func(*nat.Gateway)
		want   fault.Reason
	}{
		"no VSwitch":                {func(g *nat.Gateway) { g.VSwitch = "" }, fault.NATVSwitchMissing},
		"VSwitch that is not":       {func(g *nat.Gateway) { g.VSwitch = "vsw-none" }, fault.VSwitchNotFound},
		"no limits":                 {func(g *nat.Gateway) { g.ByUse = false }, fault.ParameterInvalid},
		"second one that is not":    {func(g *nat.Gateway) { g.Enhanced, g.VSwitch = false, "" }, fault.GatewayExists},
		"VSwitch of one that isn't": {func(g *nat.Gateway) { g.Enhanced = false }, fault.NATVSwitchNotApplicable},
	} {
		before := b.DB.View()
		_, err := b.s.CreateGateway(ctx, b.c, enhanced(c.change))
		if refused(t, err, c.want); b.DB.View() != before {
			t.Errorf("%s: something was changed", name)
		}
	}
	for range 2 {
		b.Follow()
		g, err := b.s.CreateGateway(ctx, b.c, enhanced())
		refused(t, err, "")
		if b.routed() != b.g.ID {
			t.Errorf("with gateway %s the route leads to %s, not to the first one", g.ID, b.routed())
		}
	}
	b.Follow()
	_, err := b.s.CreateGateway(ctx, b.c, enhanced())
	refused(t, err, fault.GatewayExists)
	list, err := b.s.Gateways(b.c, nat.GatewayQuery{Region: nattest.Region, Enhanced: []bool{true}, VSwitches: []string{"vsw-1"}, Page: state.Page{Limit: 9}})
	refused(t, err, "")
	if list.Total != 2 {
		t.Errorf("%d enhanced gateways, want 2", list.Total)
	}
	for _, g := range list.Items {
		if g.Within == nil || g.Within.ID != "vsw-1" || g.Holds != b.Settings.ByUse || g.Limits.Limited() {
			t.Errorf("%+v", g)
		}
	}
}

// Route entries that a client has made bar the deletion of a gateway that they lead to,
// and go with it by force.
func TestRoutesToAGateway(t *testing.T) {
	b := newBench(t)
	g, err := b.s.CreateGateway(ctx, b.c, enhanced())
	refused(t, err, "")
	b.Put(&resource.RouteEntry{Meta: resource.Meta{ID: resource.RouteEntryID("vtb-x", netip.MustParsePrefix("0.0.0.0/0")), Account: nattest.Account}, VPC: "vpc-a", Table: "vtb-x",
		Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHops: []resource.NextHop{{Type: resource.NextHopNATGateway, ID: g.ID}}})
	b.Follow()
	refused(t, b.s.DeleteGateway(ctx, b.c, nattest.Region, g.ID, false), fault.GatewayHasDependents)
	refused(t, b.s.DeleteGateway(ctx, b.c, nattest.Region, g.ID, true), "")
	if b.DB.View().RouteEntries.By(state.ByNextHop, g.ID).Len() != 0 {
		t.Error("a route leads to a gateway that is gone")
	}
	if b.routed() != b.g.ID {
		t.Error("the other gateway's route is gone")
	}
}

// Tables of two gateways are two tables: what one has is in the way of the other only
// where a packet could not tell them apart.
func TestTablesOfTwoGateways(t *testing.T) {
	b := newBench(t)
	g, err := b.s.CreateGateway(ctx, b.c, enhanced())
	refused(t, err, "")
	b.Put(nattest.ElasticIP("eip-second", "203.0.113.77", "vpc-a", resource.BoundToNATGateway, g.ID))
	b.Follow()
	b.mustForward(t, b.forward())
	b.mustSNAT(t, b.snat())
	ofSecond := func(e *nat.ForwardEntry) { e.Table, e.ExternalIP = g.ForwardTable, netip.MustParseAddr("203.0.113.77") }
	b.mustForward(t, b.forward(ofSecond)) // to the same host and port
	b.mustSNAT(t, b.snat(func(e *nat.SNATEntry) {
		e.Table, e.Pool = g.SNATTable, []netip.Addr{netip.MustParseAddr("203.0.113.78")}
	},
		func(e *nat.SNATEntry) { e.Pool = []netip.Addr{onSecond(b, g.ID)} }))
	for table, want := range map[string]int{b.g.ForwardTable: 1, g.ForwardTable: 1} {
		for _, q := range []nat.ForwardEntryQuery{{}, {InternalIPs: []netip.Addr{b.forward().InternalIP}}} {
			q.Region, q.Table, q.Page = nattest.Region, table, state.Page{Limit: 9}
			l, err := b.s.ForwardEntries(b.c, q)
			if refused(t, err, ""); l.Total != want {
				t.Errorf("%d entries in %s, want %d", l.Total, table, want)
			}
		}
	}
}

// onSecond binds one more elastic IP to a gateway.
func onSecond(b *bench, gateway string) netip.Addr {
	a := netip.MustParseAddr("203.0.113.78")
	b.Put(nattest.ElasticIP("eip-third", a.String(), "vpc-a", resource.BoundToNATGateway, gateway))
	b.Follow()
	return a
}

// An ordinary gateway becomes an enhanced one once, and all else of it stays.
func TestEnhance(t *testing.T) {
	b := newBench(t)
	before, _ := b.DB.View().NATGateways.Get(b.g.ID)
	refused(t, b.s.Enhance(ctx, b.c, nattest.Region, "ngw-none", "vsw-1", false), fault.NATGatewayNotFound)
	refused(t, b.s.Enhance(ctx, b.c, nattest.Region, b.g.ID, "vsw-none", false), fault.VSwitchNotFound)
	refused(t, b.s.Enhance(ctx, b.c, nattest.Region, b.g.ID, "vsw-1", true), "")
	if g, _ := b.DB.View().NATGateways.Get(b.g.ID); *g != *before {
		t.Error("a try has changed something")
	}
	refused(t, b.s.Enhance(ctx, b.c, nattest.Region, b.g.ID, "vsw-1", false), "")
	g, _ := b.DB.View().NATGateways.Get(b.g.ID)
	if !g.Enhanced() || g.Limits != before.Limits || g.ForwardTable != before.ForwardTable || g.EchoReply != before.EchoReply {
		t.Errorf("%+v of %+v", g, before)
	}
	refused(t, b.s.Enhance(ctx, b.c, nattest.Region, b.g.ID, "vsw-1", false), fault.NATTypeUnchanged)
}

// What is protected is deleted by no call, until it is no longer.
func TestProtectedGateway(t *testing.T) {
	b := newBench(t)
	for i, on := range []bool{true, true, false} {
		refused(t, b.s.Protect(ctx, b.c, nattest.Region, b.g.ID, on), "")
		for _, force := range []bool{true, false} {
			want := fault.DeletionProtected
			if !on {
				continue
			}
			before := b.DB.View()
			if err := b.s.DeleteGateway(ctx, b.c, nattest.Region, b.g.ID, force); b.DB.View() != before {
				t.Error(fmt.Sprint("step ", i, ": something was deleted"))
			} else if force {
				refused(t, err, want)
			}
		}
	}
	refused(t, b.s.DeleteGateway(ctx, b.c, nattest.Region, b.g.ID, true), "")
}

// A gateway that is charged by what goes through it has no specification to be changed;
// whether its addresses answer pings is the dataplane's to follow, a name is not.
func TestGatewayAttributes(t *testing.T) {
	b := newBench(t)
	made, err := b.s.CreateGateway(ctx, b.c, enhanced())
	refused(t, err, "")
	b.Follow()
	refused(t, b.s.ModifyLimits(ctx, b.c, nattest.Region, made.ID, nattest.Large), fault.SpecNotApplicable)
	phase := func() resource.Phase {
		g, _ := b.DB.View().NATGateways.Get(made.ID)
		return g.Phase(b.DB.Observed.Applied("vpc-a"))
	}
	on, off, name := true, false, "edge"
	refused(t, b.s.ModifyGatewayAttributes(ctx, b.c, nat.GatewayAttributes{Region: nattest.Region, ID: made.ID, Name: &name, AddressEach: &on}), "")
	if phase() != resource.Ready {
		t.Error("a name is followed")
	}
	refused(t, b.s.ModifyGatewayAttributes(ctx, b.c, nat.GatewayAttributes{Region: nattest.Region, ID: made.ID, AddressEach: &off}), fault.ParameterInvalid)
	refused(t, b.s.ModifyGatewayAttributes(ctx, b.c, nat.GatewayAttributes{Region: nattest.Region, ID: made.ID, EchoReply: &on}), "")
	if phase() != resource.Changing {
		t.Error("answers to pings are not followed")
	}
}
