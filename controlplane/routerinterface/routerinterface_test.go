package routerinterface_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/inventory"
	"sluice/controlplane/network"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/routerinterface"
	"sluice/controlplane/state"
)

var (
	ctx   = context.Background()
	alice = planetest.Alice
	bob   = planetest.Bob
)

// pair is two router interfaces of VPCs, in two regions and of two accounts, which name each
// other.
type pair struct {
	*planetest.Plane
	t    *testing.T
	a, b end // a initiates, with 10 Mbit/s
}

type end struct {
	id, region string
	caller     identity.Caller
	vpc        network.CreatedVPC
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{Plane: planetest.New(t), t: t}
	p.a = end{region: planetest.Region, caller: alice, vpc: p.VPC(alice, "10.0.0.0/8")}
	p.b = end{region: planetest.Elsewhere, caller: bob, vpc: p.VPCIn(bob, planetest.Elsewhere, "10.0.0.0/8")}
	p.a.id = p.make(p.a, p.b, 10)
	p.b.id = p.make(p.b, p.a, 0)
	p.name(p.a, p.b)
	return p
}

// make makes an interface at one end that names the router and the owner of another, and returns its
// id.
func (p *pair) make(at, opposite end, mbit int) string {
	p.t.Helper()
	id, err := p.Links.Create(ctx, at.caller, request(at, opposite, mbit))
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

func request(at, opposite end, mbit int) routerinterface.NewInterface {
	return routerinterface.NewInterface{
		Region: at.region, RouterKind: resource.VPCRouter, Router: at.vpc.VRouter, Initiates: mbit > 0, Bandwidth: mbit,
		Opposite: resource.Opposite{Region: opposite.region, RouterKind: resource.VPCRouter, Router: opposite.vpc.VRouter, Interface: opposite.id, Account: opposite.caller.Account},
	}
}

// name has one interface name another as its opposite.
func (p *pair) name(at, opposite end) {
	p.t.Helper()
	err := p.Links.Modify(ctx, at.caller, routerinterface.Attributes{
		Region: at.region, ID: at.id, OppositeInterface: &opposite.id, OppositeRouter: &opposite.vpc.VRouter, OppositeAccount: &opposite.caller.Account})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) do(what func(context.Context, identity.Caller, string, string) error, e end) {
	p.t.Helper()
	if err := what(ctx, e.caller, e.region, e.id); err != nil {
		p.t.Fatal(err)
	}
}

// states checks what either owner sees: the state of his end, and that of the other.
func (p *pair) states(after string, a, b routerinterface.State) {
	p.t.Helper()
	for _, x := range []struct {
		end
		own, other routerinterface.State
	}{{p.a, a, b}, {p.b, b, a}} {
		st, err := p.Links.Get(x.caller, x.region, x.id)
		if err != nil {
			p.t.Fatal(err)
		}
		if st.State != x.own {
			p.t.Errorf("after %s: %s is %d, want %d", after, x.id, st.State, x.own)
		}
		if linked := x.own != routerinterface.Idle; (st.Peer != nil) != linked || linked && st.Peer.State != x.other {
			p.t.Errorf("after %s: the opposite of %s is %+v, want %d", after, x.id, st.Peer, x.other)
		}
	}
}

// TestStates goes through all states, which the dataplanes of both networks decide.
func TestStates(t *testing.T) {
	p := newPair(t)
	const (
		idle, connecting, accepting, active  = routerinterface.Idle, routerinterface.Connecting, routerinterface.Accepting, routerinterface.Active
		deactivating, inactive, reactivating = routerinterface.Deactivating, routerinterface.Inactive, routerinterface.Activating
	)
	// followed has one network follow after the other.
	followed := func(what string, before, after [2]routerinterface.State) {
		t.Helper()
		p.states(what, before[0], before[1])
		v := p.DB.View()
		p.DB.Observed.Report(p.a.vpc.VPC, v.Revision, nil, planetest.Now)
		p.states(what+", one network", before[0], before[1])
		p.DB.Observed.Report(p.b.vpc.VPC, v.Revision, nil, planetest.Now)
		p.states(what+", both networks", after[0], after[1])
	}
	type two = [2]routerinterface.State
	p.states("creation", idle, idle)
	p.Dataplane(planetest.Stalls)
	p.do(p.Links.Connect, p.a)
	followed("connecting", two{connecting, accepting}, two{active, active})
	p.do(p.Links.Deactivate, p.b)
	followed("deactivating one end", two{active, deactivating}, two{active, inactive})
	p.do(p.Links.Deactivate, p.a)
	followed("deactivating the other", two{deactivating, inactive}, two{inactive, inactive})
	p.do(p.Links.Activate, p.a)
	followed("activating one end", two{reactivating, inactive}, two{active, inactive})
	p.do(p.Links.Activate, p.b)
	followed("activating the other", two{active, reactivating}, two{active, active})
	if err := p.Links.ModifyBandwidth(ctx, alice, p.a.region, p.a.id, 20); err != nil {
		t.Fatal(err)
	}
	followed("another bandwidth", two{reactivating, active}, two{active, active})
	name := "Core"
	if err := p.Links.Modify(ctx, alice, routerinterface.Attributes{Region: p.a.region, ID: p.a.id, Naming: resource.Naming{Name: &name}}); err != nil {
		t.Fatal(err)
	}
	p.states("another name", active, active)
}

// TestRefusedByDataplane: a link that cannot be made stays Connecting, and can be taken back.
func TestRefusedByDataplane(t *testing.T) {
	p := newPair(t)
	p.Dataplane(planetest.Refuses)
	p.do(p.Links.Connect, p.a)
	p.states("a refusal", routerinterface.Connecting, routerinterface.Accepting)
	p.do(p.Links.Deactivate, p.a)
	p.states("taking it back", routerinterface.Deactivating, routerinterface.Accepting)
	p.do(p.Links.Delete, p.a)
	if st, err := p.Links.Get(bob, p.b.region, p.b.id); err != nil || st.State != routerinterface.Idle {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestTransitionsAreAwaited(t *testing.T) {
	p := newPair(t)
	p.Dataplane(planetest.Stalls)
	p.do(p.Links.Connect, p.a)
	for _, e := range []end{p.a, p.b} {
		planetest.Refused(t, p.Links.Deactivate(ctx, e.caller, e.region, e.id), fault.RouterInterfaceInTransition)
	}
	planetest.Refused(t, p.Links.ModifyBandwidth(ctx, alice, p.a.region, p.a.id, 20), fault.RouterInterfaceInTransition)
	name := "Core"
	planetest.Refused(t, p.Links.Modify(ctx, alice, routerinterface.Attributes{Region: p.a.region, ID: p.a.id, Naming: resource.Naming{Name: &name}}), fault.RouterInterfaceInTransition)
	planetest.Refused(t, p.Links.Activate(ctx, alice, p.a.region, p.a.id), fault.RouterInterfaceStatus)
	planetest.Refused(t, p.Links.Delete(ctx, alice, p.a.region, p.a.id), fault.RouterInterfaceStatus)
	p.Follow()
	p.do(p.Links.Deactivate, p.a)
	planetest.Refused(t, p.Links.Delete(ctx, alice, p.a.region, p.a.id), fault.RouterInterfaceInTransition)
	planetest.Refused(t, p.Links.Activate(ctx, alice, p.a.region, p.a.id), fault.RouterInterfaceInTransition)
	planetest.Refused(t, p.Links.Deactivate(ctx, alice, p.a.region, p.a.id), fault.RouterInterfaceStatus)
}

// TestConsent: an interface is connected only with one that names it in full, and as it is.
func TestConsent(t *testing.T) {
	other := "ri-other"
	for _, c := range []struct {
		name   string
		change func(p *pair)
		want   fault.Reason
	}{
		{"nothing", func(*pair) {}, ""},
		{"an opposite that names nobody", func(p *pair) {
			p.b.id = p.make(p.b, end{region: p.a.region, vpc: p.a.vpc, caller: alice}, 0)
			p.name(p.a, p.b)
		}, fault.OppositeRejects},
		{"an opposite that names another", func(p *pair) { p.modify(p.b, routerinterface.Attributes{OppositeInterface: &other}) }, fault.OppositeRejects},
		{"an opposite that names another account", func(p *pair) { p.modify(p.b, routerinterface.Attributes{OppositeAccount: &bob.Account}) }, fault.OppositeRejects},
		{"an opposite that names another router", func(p *pair) { p.modify(p.b, routerinterface.Attributes{OppositeRouter: &p.b.vpc.VRouter}) }, fault.OppositeRejects},
		{"an opposite that names another region", func(p *pair) {
			p.b.id = p.make(p.b, end{id: p.a.id, region: planetest.Zoneless, vpc: p.a.vpc, caller: alice}, 0)
			p.name(p.a, p.b)
		}, fault.OppositeRejects},
		{"no opposite", func(p *pair) { p.a.id = p.make(p.a, end{region: p.b.region, vpc: p.b.vpc, caller: bob}, 10) }, fault.OppositeNotSet},
		{"no opposite router", func(p *pair) { none := ""; p.modify(p.a, routerinterface.Attributes{OppositeRouter: &none}) }, fault.OppositeNotSet},
		{"no owner of the opposite", func(p *pair) { none := ""; p.modify(p.a, routerinterface.Attributes{OppositeAccount: &none}) }, fault.OppositeNotSet},
		{"one that is not there", func(p *pair) { p.modify(p.a, routerinterface.Attributes{OppositeInterface: &other}) }, fault.OppositeInvalid},
		{"itself", func(p *pair) {
			p.modify(p.a, routerinterface.Attributes{OppositeInterface: &p.a.id, OppositeRouter: &p.a.vpc.VRouter, OppositeAccount: &alice.Account})
		}, fault.OppositeInvalid},
		{"another account's", func(p *pair) { p.modify(p.a, routerinterface.Attributes{OppositeAccount: &alice.Account}) }, fault.OppositeInvalid},
		{"another router's", func(p *pair) { p.modify(p.a, routerinterface.Attributes{OppositeRouter: &p.a.vpc.VRouter}) }, fault.OppositeInvalid},
		{"one of another region", func(p *pair) {
			p.a.id = p.make(p.a, end{id: p.b.id, region: planetest.Region, vpc: p.b.vpc, caller: bob}, 10)
		}, fault.OppositeInvalid},
		{"one that initiates, too", func(p *pair) { p.b.id = p.make(p.b, p.a, 5); p.name(p.a, p.b) }, fault.OppositeInvalid},
		{"one of the same router", func(p *pair) {
			here := p.a
			here.id = p.make(p.a, p.a, 0)
			p.a.id = p.make(p.a, here, 10)
			p.name(here, p.a)
		}, fault.OppositeInvalid},
		{"a second pair of the same routers", func(p *pair) {
			p.do(p.Links.Connect, p.a)
			p.a.id = p.make(p.a, p.b, 10)
			p.b.id = p.make(p.b, p.a, 0)
			p.name(p.a, p.b)
		}, fault.OppositeInvalid},
		{"a second pair, the other way round, of which the first is inactive", func(p *pair) {
			p.do(p.Links.Connect, p.a)
			p.do(p.Links.Deactivate, p.a)
			p.a, p.b = p.b, p.a
			p.a.id = p.make(p.a, p.b, 10)
			p.b.id = p.make(p.b, p.a, 0)
			p.name(p.a, p.b)
		}, fault.OppositeInvalid},
		{"a network of another machine", func(p *pair) {
			vpc, _ := p.DB.View().VPCs.Get(p.b.vpc.VPC)
			there := vpc.Clone().(*resource.VPC)
			there.Owner = "there"
			if err := p.Put(there); err != nil {
				t.Fatal(err)
			}
		}, fault.OppositeInvalid},
		{"one that accepts", func(p *pair) { p.a, p.b = p.b, p.a }, fault.RouterInterfaceInitiates},
		{"one that is connected", func(p *pair) { p.do(p.Links.Connect, p.a) }, fault.RouterInterfaceStatus},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			p.Settings.Quotas["router_interfaces"] = 9
			c.change(p)
			err := p.Links.Connect(ctx, p.a.caller, p.a.region, p.a.id)
			if c.want != "" {
				planetest.Refused(t, err, c.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func (p *pair) modify(e end, in routerinterface.Attributes) {
	p.t.Helper()
	in.Region, in.ID = e.region, e.id
	if err := p.Links.Modify(ctx, e.caller, in); err != nil {
		p.t.Fatal(err)
	}
}

// TestOthersAreNotFound: only the owner of an interface can do anything with it.
func TestOthersAreNotFound(t *testing.T) {
	p := newPair(t)
	for _, what := range []func(context.Context, identity.Caller, string, string) error{p.Links.Connect, p.Links.Activate, p.Links.Deactivate, p.Links.Delete} {
		planetest.Refused(t, what(ctx, bob, p.a.region, p.a.id), fault.RouterInterfaceNotFound)
		planetest.Refused(t, what(ctx, alice, p.b.region, p.a.id), fault.RouterInterfaceNotFound)
		planetest.Refused(t, what(ctx, alice, "mars", p.a.id), fault.RegionNotFound)
	}
	planetest.Refused(t, p.Links.Modify(ctx, bob, routerinterface.Attributes{Region: p.a.region, ID: p.a.id}), fault.RouterInterfaceNotFound)
	planetest.Refused(t, p.Links.ModifyBandwidth(ctx, bob, p.a.region, p.a.id, 20), fault.RouterInterfaceNotFound)
	if list, err := p.Links.List(bob, routerinterface.Query{Region: p.a.region, Page: state.Page{Limit: 9}}); err != nil || list.Total != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestCreate(t *testing.T) {
	p := newPair(t)
	ap := func(id string, change func(*routerinterface.NewInterface)) func(*routerinterface.NewInterface) {
		return func(in *routerinterface.NewInterface) { in.AccessPoint = id; change(in) }
	}
	border := func(in *routerinterface.NewInterface) { in.RouterKind = resource.BorderRouter }
	toBorder := func(in *routerinterface.NewInterface) {
		in.Opposite.RouterKind, in.Opposite.AccessPoint, in.Initiates, in.Bandwidth = resource.BorderRouter, "ap-1", false, 0
	}
	addr := func(s string) *netip.Addr { a := netip.MustParseAddr(s); return &a }
	check := func(source, target string) func(*routerinterface.NewInterface) {
		return func(in *routerinterface.NewInterface) {
			toBorder(in)
			in.Check = routerinterface.Check{Source: addr(source), Target: addr(target)}
		}
	}
	vsw := p.VSwitch(alice, p.a.vpc.VPC, "10.1.0.0/16")
	p.Instance(vsw, "10.1.0.1", resource.Host)
	for _, c := range []struct {
		name   string
		change func(*routerinterface.NewInterface)
		want   fault.Reason
	}{
		{"as it should be", func(*routerinterface.NewInterface) {}, ""},
		{"region", func(in *routerinterface.NewInterface) { in.Region = "mars" }, fault.RegionNotFound},
		{"opposite region", func(in *routerinterface.NewInterface) { in.Opposite.Region = "mars" }, fault.OppositeRegionNotFound},
		{"no router", func(in *routerinterface.NewInterface) { in.Router = "vrt-none" }, fault.RouterNotFound},
		{"another's router", func(in *routerinterface.NewInterface) { in.Router = p.b.vpc.VRouter }, fault.RouterNotFound},
		{"router of another region", func(in *routerinterface.NewInterface) { in.Region = planetest.Elsewhere }, fault.RouterNotFound},
		{"initiates without a bandwidth", func(in *routerinterface.NewInterface) { in.Bandwidth = 0 }, fault.RouterInterfaceSpec},
		{"accepts with a bandwidth", func(in *routerinterface.NewInterface) { in.Initiates = false }, fault.RouterInterfaceSpec},
		{"access point of a VPC's router", ap("ap-1", func(*routerinterface.NewInterface) {}), fault.RouterInterfaceAccessPoint},
		{"access point of an opposite VPC's router", func(in *routerinterface.NewInterface) { in.Opposite.AccessPoint = "ap-1" }, fault.OppositeAccessPoint},
		{"border router without an access point", border, fault.AccessPointMissing},
		{"border router at an access point that is not there", ap("ap-1", border), fault.AccessPointNotFound},
		{"border router that accepts", ap("ap-1", func(in *routerinterface.NewInterface) { border(in); in.Initiates, in.Bandwidth = false, 0 }), fault.RouterInterfaceRole},
		{"border router to border router", ap("ap-1", func(in *routerinterface.NewInterface) { border(in); toBorder(in) }), fault.OppositeRouterKind},
		{"to a border router", toBorder, ""},
		{"to a border router without an access point", func(in *routerinterface.NewInterface) { toBorder(in); in.Opposite.AccessPoint = "" }, fault.OppositeAccessPointMissing},
		{"initiates towards a border router", func(in *routerinterface.NewInterface) { toBorder(in); in.Initiates, in.Bandwidth = true, 10 }, fault.RouterInterfaceRole},
		{"checked", check("10.1.0.2", "192.168.0.1"), ""},
		{"checked from a used address", check("10.1.0.1", "192.168.0.1"), fault.InterfaceCheckInvalid},
		{"checked from another check's address", check("10.1.0.2", "192.168.0.1"), fault.InterfaceCheckInvalid},
		{"checked from the gateway's address", check("10.1.255.253", "192.168.0.1"), fault.InterfaceCheckInvalid},
		{"checked from outside the VPC", check("192.168.0.2", "192.168.0.1"), fault.InterfaceCheckInvalid},
		{"checked to no device", check("10.1.0.3", "224.0.0.1"), fault.InterfaceCheckInvalid},
		{"checked to nothing", func(in *routerinterface.NewInterface) { check("10.1.0.3", "192.168.0.1")(in); in.Check.Target = nil }, fault.InterfaceCheckInvalid},
		{"checked towards a VPC", func(in *routerinterface.NewInterface) {
			check("10.1.0.3", "192.168.0.1")(in)
			in.Opposite.RouterKind, in.Opposite.AccessPoint = resource.VPCRouter, ""
		}, fault.InterfaceCheckInvalid},
		{"checked by one that initiates", func(in *routerinterface.NewInterface) {
			in.Check = routerinterface.Check{Source: addr("10.1.0.3"), Target: addr("192.168.0.1")}
		}, fault.InterfaceCheckRole},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := request(p.a, p.b, 10)
			c.change(&in)
			_, err := p.Links.Create(ctx, alice, in)
			if c.want != "" {
				planetest.Refused(t, err, c.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	// The address of a health check is no other's from then on.
	_, err := p.Inventory.Add(ctx, inventory.NewInstance{VSwitch: vsw, PrivateIP: netip.MustParseAddr("10.1.0.2")})
	planetest.Refused(t, err, fault.AddressInUse)
	if i, err := p.Inventory.Add(ctx, inventory.NewInstance{VSwitch: vsw}); err != nil || i.PrivateIP != netip.MustParseAddr("10.1.0.3") {
		t.Errorf("%+v, %v", i, err)
	}
	p.Settings.RouterInterfaces = []string{bob.Account}
	_, err = p.Links.Create(ctx, alice, request(p.a, p.b, 10))
	planetest.Refused(t, err, fault.RouterInterfaceNotAllowed)
}

func TestQuotas(t *testing.T) {
	p := newPair(t)
	for range 4 {
		p.make(p.a, p.b, 10)
	}
	_, err := p.Links.Create(ctx, alice, request(p.a, p.b, 10))
	planetest.Refused(t, err, fault.QuotaRouterInterface)
	p.Settings.Quotas["router_interfaces"] = 9
	_, err = p.Links.Create(ctx, alice, request(p.a, p.b, 10))
	planetest.Refused(t, err, fault.QuotaRouterOfInterfaces)
}

func TestModify(t *testing.T) {
	p := newPair(t)
	border, vpc := resource.BorderRouter, resource.VPCRouter
	modify := func(e end, in routerinterface.Attributes) error {
		in.Region, in.ID = e.region, e.id
		return p.Links.Modify(ctx, e.caller, in)
	}
	planetest.Refused(t, modify(p.a, routerinterface.Attributes{OppositeRouterKind: &border}), fault.OppositeRouterKind)
	p.modify(p.a, routerinterface.Attributes{OppositeRouterKind: &vpc})
	p.do(p.Links.Connect, p.a)
	for _, in := range []routerinterface.Attributes{{OppositeInterface: &p.a.id}, {OppositeRouter: &p.a.vpc.VRouter}, {OppositeAccount: &alice.Account}} {
		planetest.Refused(t, modify(p.a, in), fault.RouterInterfaceStatus)
	}
	p.modify(p.a, routerinterface.Attributes{OppositeInterface: &p.b.id}) // as it is
	empty, text := "", "to Hangzhou"
	p.modify(p.a, routerinterface.Attributes{Naming: resource.Naming{Name: &empty, Description: &text}})
	if st, err := p.Links.Get(alice, p.a.region, p.a.id); err != nil || st.Name != p.a.id || st.Description != text {
		t.Errorf("%+v, %v", st, err)
	}

	in := request(p.a, p.b, 0)
	in.Opposite.RouterKind, in.Opposite.AccessPoint = resource.BorderRouter, "ap-1"
	id, err := p.Links.Create(ctx, alice, in)
	if err != nil {
		t.Fatal(err)
	}
	line := end{id: id, region: p.a.region, caller: alice}
	planetest.Refused(t, modify(line, routerinterface.Attributes{OppositeRouterKind: &vpc}), fault.OppositeRouterKindFixed)
	source, target := netip.MustParseAddr("10.9.0.9"), netip.MustParseAddr("192.168.0.1")
	both := routerinterface.Check{Source: &source, Target: &target}
	planetest.Refused(t, modify(line, routerinterface.Attributes{Check: routerinterface.Check{Source: &source}}), fault.InterfaceCheckInvalid)
	planetest.Refused(t, modify(p.a, routerinterface.Attributes{Check: both}), fault.InterfaceCheckRole)
	planetest.Refused(t, modify(p.b, routerinterface.Attributes{Check: both}), fault.InterfaceCheckInvalid)
	for _, c := range []struct {
		in   routerinterface.Attributes
		want *resource.InterfaceCheck
	}{
		{routerinterface.Attributes{Check: both}, &resource.InterfaceCheck{Source: source, Target: target}},
		{routerinterface.Attributes{Naming: resource.Naming{Name: &text}}, &resource.InterfaceCheck{Source: source, Target: target}},
		{routerinterface.Attributes{Uncheck: true}, nil},
	} {
		p.modify(line, c.in)
		if st, err := p.Links.Get(alice, line.region, id); err != nil || (st.Check == nil) != (c.want == nil) || c.want != nil && *st.Check != *c.want {
			t.Errorf("%+v: %+v, %v", c.in, st.Check, err)
		}
	}
	planetest.Refused(t, p.Links.ModifyBandwidth(ctx, alice, p.a.region, p.a.id, 0), fault.RouterInterfaceSpec)
	planetest.Refused(t, p.Links.ModifyBandwidth(ctx, bob, p.b.region, p.b.id, 10), fault.RouterInterfaceSpec)
	revision := p.DB.View().Revision
	if err := p.Links.ModifyBandwidth(ctx, alice, p.a.region, p.a.id, 10); err != nil || p.DB.View().Revision != revision {
		t.Errorf("the same bandwidth again: %v", err)
	}
	p.Settings.Regions = p.Settings.Regions[:1]
	planetest.Refused(t, p.Links.ModifyBandwidth(ctx, alice, p.a.region, p.a.id, 20), fault.OppositeRegionNotFound)
}

// TestDelete deletes in each order: what is left of a pair can be connected anew, or goes.
func TestDelete(t *testing.T) {
	for _, order := range []string{"initiating first", "accepting first"} {
		t.Run(order, func(t *testing.T) {
			p := newPair(t)
			first, second := p.a, p.b
			if order == "accepting first" {
				first, second = p.b, p.a
			}
			p.do(p.Links.Connect, p.a)
			planetest.Refused(t, p.Network.DeleteVPC(ctx, first.caller, first.vpc.VPC), fault.VPCHasRouterInterfaces)
			p.Route(first.caller, first.vpc.RouteTable, "192.168.0.0/16", resource.NextHopRouterInterface, first.id)
			p.do(p.Links.Deactivate, first)
			planetest.Refused(t, p.Links.Delete(ctx, first.caller, first.region, first.id), fault.RouterInterfaceHasRoutes)
			old := network.OldRouteEntry{Table: first.vpc.RouteTable, Destination: netip.MustParsePrefix("192.168.0.0/16"), NextHopID: first.id}
			if err := p.Network.DeleteRouteEntry(ctx, first.caller, old); err != nil {
				t.Fatal(err)
			}
			p.do(p.Links.Delete, first)
			if st, err := p.Links.Get(second.caller, second.region, second.id); err != nil || st.State != routerinterface.Idle || st.Peer != nil {
				t.Errorf("the one that is left: %+v, %v", st, err)
			}
			mbit := 0
			if first.id == p.a.id {
				mbit = 10
			}
			first.id = p.make(first, second, mbit)
			p.name(second, first)
			p.a, p.b = first, second
			if mbit == 0 {
				p.a, p.b = second, first
			}
			p.do(p.Links.Connect, p.a)
			p.states("another connection", routerinterface.Active, routerinterface.Active)
			for _, e := range []end{first, second} {
				p.do(p.Links.Deactivate, e)
			}
			for _, e := range []end{first, second} {
				p.do(p.Links.Delete, e)
				if err := p.Network.DeleteVPC(ctx, e.caller, e.vpc.VPC); err != nil {
					t.Error(err)
				}
			}
			if n := p.DB.View().RouterInterfaces.Len(); n != 0 {
				t.Errorf("%d are left", n)
			}
		})
	}
}

// TestRestart: what was connected is found so, and shown as it is once the dataplanes have said.
func TestRestart(t *testing.T) {
	p := newPair(t)
	p.do(p.Links.Connect, p.a)
	p.do(p.Links.Deactivate, p.b)
	p.Restart()
	p.states("a restart", routerinterface.Connecting, routerinterface.Deactivating)
	p.Follow()
	p.states("its reports", routerinterface.Active, routerinterface.Inactive)
}

// TestListings shows both ends what they may see of the other.
func TestListings(t *testing.T) {
	p := newPair(t)
	p.do(p.Links.Connect, p.a)
	for _, x := range []struct {
		own, other end
		mbit       int
	}{{p.a, p.b, 0}, {p.b, p.a, 10}} {
		list, err := p.Links.List(x.own.caller, routerinterface.Query{Region: x.own.region, States: []routerinterface.State{routerinterface.Active}, Page: state.Page{Limit: 9}})
		if err != nil || list.Total != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		got := list.Items[0]
		if want := (routerinterface.Peer{Bandwidth: x.mbit, State: routerinterface.Active, VPC: x.other.vpc.VPC}); got.ID != x.own.id || *got.Peer != want {
			t.Errorf("%s: %s, want %+v", fmt.Sprintf("%+v", got.Peer), got.ID, want)
		}
	}
	if list, err := p.Links.List(alice, routerinterface.Query{Region: p.a.region, None: true, Page: state.Page{Limit: 9}}); err != nil || list.Total != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	_, err := p.Links.List(alice, routerinterface.Query{Region: "mars"})
	planetest.Refused(t, err, fault.RegionNotFound)
}
