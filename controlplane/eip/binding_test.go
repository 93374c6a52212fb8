package eip_test

import (
	"net/netip"
	"slices"
	"testing"

	"sluice/controlplane/eip"
	"sluice/controlplane/fault"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

// site is a VPC with a VSwitch, one instance of each kind and a NAT gateway.
type site struct {
	*planetest.Plane
	vpc, sw, ecs, slb, vip, ngw string
}

func newSite(t *testing.T) *site {
	p := planetest.New(t)
	s := &site{Plane: p, vpc: p.VPC(alice, "10.0.0.0/8").VPC}
	s.sw = p.VSwitch(alice, s.vpc, "10.1.0.0/16")
	s.ecs = p.Instance(s.sw, "10.1.0.1", resource.Host)
	s.slb = p.Instance(s.sw, "10.1.0.2", resource.LoadBalancer)
	s.vip = p.NewHaVip(alice, s.sw, "10.1.0.3")
	s.ngw = p.Gateway(alice, s.vpc).ID
	return s
}

func (s *site) bind(id string, kind resource.BindingType, to string) error {
	return s.EIP.Associate(ctx, alice, id, resource.Binding{Type: kind, ID: to})
}

func (s *site) unbind(id string, kind resource.BindingType, from string) error {
	return s.EIP.Unassociate(ctx, alice, id, resource.Binding{Type: kind, ID: from}, false)
}

func TestBindings(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		kind resource.BindingType
		to   string
	}{{resource.BoundToHost, s.ecs}, {resource.BoundToLoadBalancer, s.slb}, {resource.BoundToVirtualIP, s.vip}, {resource.BoundToNATGateway, s.ngw}} {
		id := s.NewEIP(alice).ID
		s.Stalled(func() {
			if err := s.bind(id, c.kind, c.to); err != nil {
				t.Fatalf("%s: %v", c.kind, err)
			}
			if got := status(s.Plane, id); got != eip.Associating {
				t.Errorf("%s: status %v, want Associating", c.kind, got)
			}
			planetest.Refused(t, s.unbind(id, c.kind, c.to), fault.ElasticIPStatus)
		})
		e, _ := s.DB.View().ElasticIPs.Get(id)
		if got := status(s.Plane, id); got != eip.InUse || e.VPC != s.vpc || *e.Binding != (resource.Binding{Type: c.kind, ID: c.to}) {
			t.Errorf("%s: status %v, %+v", c.kind, got, e)
		}
		planetest.Refused(t, s.EIP.Release(ctx, alice, id), fault.ElasticIPStatus)
		planetest.Refused(t, s.bind(id, c.kind, c.to), fault.ElasticIPStatus)
		s.Stalled(func() {
			if err := s.unbind(id, c.kind, c.to); err != nil {
				t.Fatalf("%s: %v", c.kind, err)
			}
			if got := status(s.Plane, id); got != eip.Unassociating {
				t.Errorf("%s: status %v, want Unassociating", c.kind, got)
			}
			planetest.Refused(t, s.unbind(id, c.kind, c.to), fault.ElasticIPStatus)
			planetest.Refused(t, s.bind(id, c.kind, c.to), fault.ElasticIPStatus)
			planetest.Refused(t, s.EIP.Release(ctx, alice, id), fault.ElasticIPStatus)
		})
		if got := status(s.Plane, id); got != eip.Available {
			t.Errorf("%s: status %v, want Available", c.kind, got)
		}
		planetest.Refused(t, s.unbind(id, c.kind, c.to), fault.ElasticIPStatus)
		if err := s.EIP.Release(ctx, alice, id); err != nil {
			t.Error(err)
		}
		if got := status(s.Plane, id); got != -1 {
			t.Errorf("%s: released, and has status %v", c.kind, got)
		}
	}
}

func TestAssociateRefused(t *testing.T) {
	s := newSite(t)
	id := s.NewEIP(alice).ID
	far := s.EIPIn(alice, planetest.Elsewhere).ID
	theirVPC := s.VPC(bob, "10.0.0.0/8").VPC
	theirs := s.Instance(s.VSwitch(bob, theirVPC, "10.1.0.0/16"), "", resource.Host)
	theirGateway := s.Gateway(bob, theirVPC).ID
	theirEIP := s.NewEIP(bob).ID
	for _, c := range []struct {
		name string
		id   string
		kind resource.BindingType
		to   string
		want fault.Reason
	}{
		{"no elastic IP", "eip-none", resource.BoundToHost, s.ecs, fault.ElasticIPNotFound},
		{"another account's elastic IP", theirEIP, resource.BoundToHost, s.ecs, fault.ElasticIPNotFound},
		{"no instance", id, resource.BoundToHost, "i-none", fault.InstanceNotFound},
		{"another account's instance", id, resource.BoundToHost, theirs, fault.InstanceNotFound},
		{"load balancer as instance", id, resource.BoundToHost, s.slb, fault.InstanceNotFound},
		{"instance as load balancer", id, resource.BoundToLoadBalancer, s.ecs, fault.InstanceNotFound},
		{"no HaVip", id, resource.BoundToVirtualIP, "havip-none", fault.HaVipNotFound},
		{"instance as HaVip", id, resource.BoundToVirtualIP, s.ecs, fault.HaVipNotFound},
		{"no gateway", id, resource.BoundToNATGateway, "ngw-none", fault.NATGatewayNotFound},
		{"another account's gateway", id, resource.BoundToNATGateway, theirGateway, fault.NATGatewayNotFound},
		{"instance as gateway", id, resource.BoundToNATGateway, s.ecs, fault.NATGatewayNotFound},
		{"unknown kind", id, "Router", s.ecs, fault.InstanceNotFound},
		{"another region", far, resource.BoundToHost, s.ecs, fault.RegionMismatch},
		{"gateway of another region", far, resource.BoundToNATGateway, s.ngw, fault.RegionMismatch},
	} {
		t.Run(c.name, func(t *testing.T) { planetest.Refused(t, s.bind(c.id, c.kind, c.to), c.want) })
	}
	for _, st := range []string{resource.Starting, resource.Stopping} {
		s.InstanceState(s.ecs, st)
		planetest.Refused(t, s.bind(id, resource.BoundToHost, s.ecs), fault.InstanceStatus)
	}
	s.Stalled(func() {
		s.ChangeHaVip(s.vip)
		planetest.Refused(t, s.bind(id, resource.BoundToVirtualIP, s.vip), fault.HaVipStatus)
	})

	// One for an instance, several for a gateway.
	s.InstanceState(s.ecs, resource.Stopped)
	for kind, to := range map[resource.BindingType]string{resource.BoundToHost: s.ecs, resource.BoundToLoadBalancer: s.slb, resource.BoundToVirtualIP: s.vip} {
		s.Bind(alice, s.NewEIP(alice).ID, kind, to)
		want := fault.InstanceAssociated
		if kind == resource.BoundToVirtualIP {
			want = fault.HaVipAssociated
		}
		planetest.Refused(t, s.bind(id, kind, to), want)
	}
	s.Bind(alice, s.NewEIP(alice).ID, resource.BoundToNATGateway, s.ngw)
	s.Bind(alice, id, resource.BoundToNATGateway, s.ngw)
}

func TestUnassociateRefused(t *testing.T) {
	s := newSite(t)
	second := s.Instance(s.sw, "", resource.Host)
	id := s.NewEIP(alice).ID
	planetest.Refused(t, s.unbind(id, resource.BoundToHost, s.ecs), fault.ElasticIPStatus)
	s.Bind(alice, id, resource.BoundToHost, s.ecs)
	for _, c := range []struct {
		name string
		id   string
		kind resource.BindingType
		from string
		want fault.Reason
	}{
		{"no elastic IP", "eip-none", resource.BoundToHost, s.ecs, fault.ElasticIPNotFound},
		{"no instance", id, resource.BoundToHost, "i-none", fault.InstanceNotFound},
		{"no HaVip", id, resource.BoundToVirtualIP, "havip-none", fault.HaVipNotFound},
		{"no gateway", id, resource.BoundToNATGateway, "ngw-none", fault.NATGatewayNotFound},
		{"another instance", id, resource.BoundToHost, second, fault.NotAssociated},
		{"another kind", id, resource.BoundToNATGateway, s.ngw, fault.NotAssociated},
	} {
		t.Run(c.name, func(t *testing.T) { planetest.Refused(t, s.unbind(c.id, c.kind, c.from), c.want) })
	}
	s.InstanceState(s.ecs, resource.Stopping)
	planetest.Refused(t, s.unbind(id, resource.BoundToHost, s.ecs), fault.InstanceStatus)
	s.Stalled(func() {
		s.ChangeHaVip(s.vip)
		planetest.Refused(t, s.unbind(id, resource.BoundToVirtualIP, s.vip), fault.HaVipStatus)
	})
	planetest.Refused(t, s.EIP.Unassociate(ctx, bob, id, resource.Binding{Type: resource.BoundToHost, ID: s.ecs}, false), fault.ElasticIPNotFound)
}

func TestGatewayEntriesHoldAnElasticIP(t *testing.T) {
	s := newSite(t)
	e := s.NewEIP(alice)
	s.Bind(alice, e.ID, resource.BoundToNATGateway, s.ngw)
	g, _ := s.DB.View().NATGateways.Get(s.ngw)
	for _, entry := range []resource.Resource{
		&resource.ForwardEntry{Meta: resource.Meta{ID: "fwd-1", Account: alice.Account}, VPC: s.vpc, Gateway: s.ngw, Table: g.ForwardTable,
			ExternalIP: e.Address, ExternalPort: 80, Protocol: resource.TCP, InternalIP: netip.MustParseAddr("10.1.0.9"), InternalPort: 80},
		&resource.SNATEntry{Meta: resource.Meta{ID: "snat-1", Account: alice.Account}, VPC: s.vpc, Gateway: s.ngw, Table: g.SNATTable,
			VSwitch: s.sw, Source: netip.MustParsePrefix("10.1.0.0/16"), Pool: []netip.Addr{netip.MustParseAddr("203.0.113.200"), e.Address}},
	} {
		if err := s.Put(entry); err != nil {
			t.Fatal(err)
		}
		planetest.Refused(t, s.unbind(e.ID, resource.BoundToNATGateway, s.ngw), fault.ElasticIPStatus)
		if err := s.Drop(entry); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.unbind(e.ID, resource.BoundToNATGateway, s.ngw); err != nil {
		t.Error(err)
	}
}

// With force an elastic IP is taken out of its gateway's tables.
func TestForcedOutOfEntries(t *testing.T) {
	s := newSite(t)
	e, other := s.NewEIP(alice), netip.MustParseAddr("203.0.113.200")
	s.Bind(alice, e.ID, resource.BoundToNATGateway, s.ngw)
	g, _ := s.DB.View().NATGateways.Get(s.ngw)
	of := func(id string) resource.Meta { return resource.Meta{ID: id, Account: alice.Account} }
	dnat := func(id string, external netip.Addr) *resource.ForwardEntry {
		return &resource.ForwardEntry{Meta: of(id), VPC: s.vpc, Gateway: s.ngw, Table: g.ForwardTable,
			ExternalIP: external, ExternalPort: 80, Protocol: resource.TCP, InternalIP: netip.MustParseAddr("10.1.0.9"), InternalPort: 80}
	}
	snat := func(id string, pool ...netip.Addr) *resource.SNATEntry {
		return &resource.SNATEntry{Meta: of(id), VPC: s.vpc, Gateway: s.ngw, Table: g.SNATTable, VSwitch: s.sw, Source: netip.MustParsePrefix("10.1.0.0/16"), Pool: pool}
	}
	for _, r := range []resource.Resource{dnat("fwd-1", e.Address), dnat("fwd-2", other), snat("snat-1", e.Address), snat("snat-2", other, e.Address), snat("snat-3", other)} {
		if err := s.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.EIP.Unassociate(ctx, alice, e.ID, resource.Binding{Type: resource.BoundToNATGateway, ID: s.ngw}, true); err != nil {
		t.Fatal(err)
	}
	v := s.DB.View()
	var left []string
	for x := range v.ForwardEntries.All() {
		left = append(left, x.ID)
	}
	for x := range v.SNATEntries.All() {
		left = append(left, x.ID)
		if !slices.Equal(x.Pool, []netip.Addr{other}) {
			t.Errorf("%s has %v", x.ID, x.Pool)
		}
	}
	slices.Sort(left)
	if !slices.Equal(left, []string{"fwd-2", "snat-2", "snat-3"}) {
		t.Errorf("left are %v", left)
	}
}

// TestMoving binds an elastic IP in one VPC after another: the first has to let
// it go before the second gets it.
func TestMoving(t *testing.T) {
	s := newSite(t)
	second := s.VPC(alice, "10.0.0.0/8").VPC
	there := s.Instance(s.VSwitch(alice, second, "10.1.0.0/16"), "", resource.Host)
	id := s.NewEIP(alice).ID
	s.Bind(alice, id, resource.BoundToHost, s.ecs)
	s.Stalled(func() {
		if err := s.unbind(id, resource.BoundToHost, s.ecs); err != nil {
			t.Fatal(err)
		}
		if s.DB.Observed.Settled(s.vpc) {
			t.Error("the old network is not told")
		}
		planetest.Refused(t, s.bind(id, resource.BoundToHost, there), fault.ElasticIPStatus)
	})
	s.Stalled(func() {
		if err := s.bind(id, resource.BoundToHost, there); err != nil {
			t.Fatal(err)
		}
		if s.DB.Observed.Settled(second) {
			t.Error("the new network is not told")
		}
	})

	// A dataplane that refuses to let go keeps the address from everybody else,
	// and one that refuses to take it does not.
	s.Dataplane(planetest.Refuses)
	if err := s.unbind(id, resource.BoundToHost, there); err != nil {
		t.Fatal(err)
	}
	if got := status(s.Plane, id); got != eip.Unassociating {
		t.Errorf("status %v", got)
	}
	planetest.Refused(t, s.bind(id, resource.BoundToHost, s.ecs), fault.ElasticIPStatus)
	planetest.Refused(t, s.EIP.Release(ctx, alice, id), fault.ElasticIPStatus)
	s.Follow()
	if err := s.bind(id, resource.BoundToHost, there); err != nil {
		t.Fatal(err)
	}
	if got := status(s.Plane, id); got != eip.Associating {
		t.Errorf("status %v", got)
	}
	if err := s.unbind(id, resource.BoundToHost, there); err != nil {
		t.Errorf("what the dataplane refuses cannot be undone: %v", err)
	}
}

// A protected elastic IP is released by no call; all else can be done with it.
func TestProtected(t *testing.T) {
	s := newSite(t)
	id := s.NewEIP(alice).ID
	planetest.Refused(t, s.EIP.Protect(ctx, bob, planetest.Region, id, true), fault.ElasticIPNotFound)
	planetest.Refused(t, s.EIP.Protect(ctx, alice, planetest.Elsewhere, id, true), fault.ElasticIPNotFound)
	for range 2 {
		if err := s.EIP.Protect(ctx, alice, planetest.Region, id, true); err != nil {
			t.Fatal(err)
		}
	}
	s.Bind(alice, id, resource.BoundToHost, s.ecs)
	if err := s.unbind(id, resource.BoundToHost, s.ecs); err != nil {
		t.Error(err)
	}
	planetest.Refused(t, s.EIP.Release(ctx, alice, id), fault.DeletionProtected)
	s.Restart()
	s.Follow()
	planetest.Refused(t, s.EIP.Release(ctx, alice, id), fault.DeletionProtected)
	if err := s.EIP.Protect(ctx, alice, planetest.Region, id, false); err != nil {
		t.Fatal(err)
	}
	if err := s.EIP.Release(ctx, alice, id); err != nil {
		t.Error(err)
	}
}
