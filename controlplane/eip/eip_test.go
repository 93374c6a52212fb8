package eip_test

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/controlplane/eip"
	"sluice/controlplane/fault"
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

func request(region string) eip.Request {
	return eip.Request{Region: region, Bandwidth: 5, ByTraffic: true}
}

func status(p *planetest.Plane, id string) eip.Status {
	e, ok := p.DB.View().ElasticIPs.Get(id)
	if !ok {
		return -1
	}
	return eip.StatusOf(p.DB.Observed, e)
}

func TestAllocate(t *testing.T) {
	p := planetest.New(t)
	made, err := p.EIP.Allocate(ctx, alice, request(planetest.Region))
	if err != nil {
		t.Fatal(err)
	}
	e, _ := p.DB.View().ElasticIPs.Get(made.ID)
	if e.Address != made.Address || e.Bandwidth != 5 || !e.ByTraffic || e.Prepaid ||
		e.PublicNetwork != "internet" || e.Binding != nil || e.VPC != "" || !e.Expires.IsZero() || made.Order != "" || !e.CreatedAt.Equal(planetest.Now) {
		t.Errorf("%+v, %+v", made, e)
	}
	if s := status(p, made.ID); s != eip.Available {
		t.Errorf("status %v", s)
	}
}

func TestAllocatePrePaid(t *testing.T) {
	p := planetest.New(t)
	in := request(planetest.Region)
	in.Prepaid = true
	for _, c := range []struct {
		years  bool
		period int
		want   fault.Reason
		until  time.Time
	}{
		{false, 0, fault.PeriodMissing, time.Time{}}, {true, 0, fault.PeriodMissing, time.Time{}},
		{false, 10, fault.PeriodInvalid, time.Time{}}, {true, 4, fault.PeriodInvalid, time.Time{}}, {false, -1, fault.PeriodInvalid, time.Time{}},
		{false, 1, "", planetest.Now.AddDate(0, 1, 0)}, {false, 9, "", planetest.Now.AddDate(0, 9, 0)}, {true, 3, "", planetest.Now.AddDate(3, 0, 0)},
	} {
		in.Years, in.Period = c.years, c.period
		made, err := p.EIP.Allocate(ctx, alice, in)
		if c.want != "" {
			planetest.Refused(t, err, c.want)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(made.Order) != 15 {
			t.Errorf("order %q", made.Order)
		}
		if e, _ := p.DB.View().ElasticIPs.Get(made.ID); !e.Expires.Equal(c.until) {
			t.Errorf("paid until %v, want %v", e.Expires, c.until)
		}
	}
	// A period of a PostPaid one is not looked at.
	in.Prepaid, in.Period = false, 99
	if _, err := p.EIP.Allocate(ctx, alice, in); err != nil {
		t.Error(err)
	}
}

func TestAllocateRefused(t *testing.T) {
	p := planetest.New(t)
	try := func(in eip.Request) error { _, err := p.EIP.Allocate(ctx, alice, in); return err }
	planetest.Refused(t, try(request("cn-nowhere")), fault.RegionNotFound)
	planetest.Refused(t, try(request(planetest.Unserved)), fault.NoFreeElasticIP)
	for _, mbit := range []int{0, -1, 5001} {
		in := request(planetest.Region)
		in.Bandwidth = mbit
		planetest.Refused(t, try(in), fault.BandwidthInvalid)
	}
	p.Settings.Quotas["elastic_ips"] = 2
	p.NewEIP(alice)
	p.EIPIn(alice, planetest.Elsewhere) // the quota is of all regions
	planetest.Refused(t, try(request(planetest.Region)), fault.QuotaElasticIP)
	p.NewEIP(bob)
}

// An address that is asked for is given if it is free.
func TestAllocateAddress(t *testing.T) {
	p := planetest.New(t)
	in := request(planetest.Region)
	in.Address = netip.MustParseAddr("203.0.113.12")
	made, err := p.EIP.Allocate(ctx, alice, in)
	if err != nil || made.Address != in.Address {
		t.Fatalf("%v, %v", made, err)
	}
	for _, taken := range []string{"203.0.113.12", "203.0.113.9", "203.0.113.1"} { // taken, of no range, the gateway's
		in.Address = netip.MustParseAddr(taken)
		_, err := p.EIP.Allocate(ctx, bob, in)
		planetest.Refused(t, err, fault.NoFreeElasticIP)
	}
}

// TestPool allocates everything there is: every address once, in no order, and
// then an end.
func TestPool(t *testing.T) {
	p := planetest.New(t)
	p.Settings.Quotas["elastic_ips"] = 1000
	p.Settings.Public[0].Pool = append(p.Settings.Public[0].Pool, settings.Range{First: netip.MustParseAddr("203.0.113.1"), Last: netip.MustParseAddr("203.0.113.1")})
	const size = 30 // the gateway's own address is not for allocation
	var got []netip.Addr
	var id string
	for range size {
		e := p.NewEIP(alice)
		if slices.Contains(got, e.Address) {
			t.Fatalf("%s is allocated twice", e.Address)
		}
		got, id = append(got, e.Address), e.ID
	}
	if slices.IsSortedFunc(got, netip.Addr.Compare) {
		t.Error("addresses are allocated in order")
	}
	slices.SortFunc(got, netip.Addr.Compare)
	for _, a := range []string{"203.0.113.10", "203.0.113.29", "203.0.113.40", "203.0.113.49"} {
		if !slices.Contains(got, netip.MustParseAddr(a)) {
			t.Errorf("%s of the pool was not allocated", a)
		}
	}
	_, err := p.EIP.Allocate(ctx, bob, request(planetest.Region))
	planetest.Refused(t, err, fault.NoFreeElasticIP)
	e, _ := p.DB.View().ElasticIPs.Get(id)
	if err := p.EIP.Release(ctx, alice, id); err != nil {
		t.Fatal(err)
	}
	if again := p.NewEIP(bob); again.Address != e.Address {
		t.Errorf("%s is allocated, but only %s is free", again.Address, e.Address)
	}

	p.Settings.Public[0].Pool = nil
	_, err = p.EIP.Allocate(ctx, bob, request(planetest.Region))
	planetest.Refused(t, err, fault.NoFreeElasticIP)
}

func TestAllocateAtOnce(t *testing.T) {
	p := planetest.New(t)
	p.Settings.Quotas["elastic_ips"] = 1000
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 3 {
				if _, err := p.EIP.Allocate(ctx, alice, request(planetest.Region)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := make(map[netip.Addr]bool)
	for e := range p.DB.View().ElasticIPs.All() {
		seen[e.Address] = true
	}
	if len(seen) != 24 {
		t.Errorf("%d addresses for 24 elastic IPs", len(seen))
	}
}

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
	s.vip = p.Instance(s.sw, "10.1.0.3", resource.VirtualIP)
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
	s.InstanceState(s.vip, resource.Pending)
	planetest.Refused(t, s.bind(id, resource.BoundToVirtualIP, s.vip), fault.HaVipStatus)

	// One for an instance, several for a gateway.
	s.InstanceState(s.ecs, resource.Stopped)
	s.InstanceState(s.vip, resource.InUse)
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
	s.InstanceState(s.vip, resource.Pending)
	planetest.Refused(t, s.unbind(id, resource.BoundToVirtualIP, s.vip), fault.HaVipStatus)
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

// TestVPCGone deletes the VPC that an elastic IP worked in last.
func TestVPCGone(t *testing.T) {
	p := planetest.New(t)
	vpc := p.VPC(alice, "10.0.0.0/8").VPC
	sw := p.VSwitch(alice, vpc, "10.1.0.0/16")
	i := p.Instance(sw, "", resource.Host)
	id := p.NewEIP(alice).ID
	p.Bind(alice, id, resource.BoundToHost, i)
	if err := p.EIP.Unassociate(ctx, alice, id, resource.Binding{Type: resource.BoundToHost, ID: i}, false); err != nil {
		t.Fatal(err)
	}
	if err := p.Inventory.Remove(ctx, i); err != nil {
		t.Fatal(err)
	}
	if err := p.Network.DeleteVSwitch(ctx, alice, sw); err != nil {
		t.Fatal(err)
	}
	if err := p.Network.DeleteVPC(ctx, alice, vpc); err != nil {
		t.Fatal(err)
	}
	if got := status(p, id); got != eip.Available {
		t.Errorf("status %v", got)
	}
	p.Restart()
	if got := status(p, id); got != eip.Available {
		t.Errorf("status %v after a restart", got)
	}
	if err := p.EIP.Release(ctx, alice, id); err != nil {
		t.Fatal(err)
	}
	if p.DB.Observed.Holds(vpc) {
		t.Error("a network that is gone is waited for")
	}
}

func TestWaitingForAnElasticIP(t *testing.T) {
	s := newSite(t)
	s.Settings.Settle = time.Minute
	s.Rewire()
	id := s.NewEIP(alice).ID
	s.Dataplane(planetest.Stalls)
	if err := s.bind(id, resource.BoundToHost, s.ecs); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		err := s.unbind(id, resource.BoundToHost, s.ecs)
		if err == nil {
			err = s.EIP.Release(ctx, alice, id)
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	s.Dataplane(planetest.Follows)
	s.Follow()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func megabits(n int) eip.Change { return eip.Change{Bandwidth: &n} }

func TestModify(t *testing.T) {
	s := newSite(t)
	id := s.NewEIP(alice).ID
	s.Bind(alice, id, resource.BoundToHost, s.ecs)
	s.Stalled(func() {
		if err := s.EIP.Modify(ctx, alice, id, megabits(100)); err != nil {
			t.Fatal(err)
		}
		if e, _ := s.DB.View().ElasticIPs.Get(id); e.Bandwidth != 100 {
			t.Errorf("bandwidth %d", e.Bandwidth)
		}
		if got := status(s.Plane, id); got != eip.InUse {
			t.Errorf("status %v", got)
		}
		if s.DB.Observed.Settled(s.vpc) {
			t.Error("the dataplane is not told")
		}
	})
	name, text, none := "edge", "in front", ""
	if err := s.EIP.Modify(ctx, alice, id, eip.Change{Naming: resource.Naming{Name: &name, Description: &text}}); err != nil {
		t.Fatal(err)
	}
	s.Stalled(func() { // a name is nothing that the dataplane follows
		if err := s.EIP.Modify(ctx, alice, id, eip.Change{Naming: resource.Naming{Description: &none}}); err != nil {
			t.Fatal(err)
		}
		if e, _ := s.DB.View().ElasticIPs.Get(id); e.Bandwidth != 100 || e.Name != name || e.Description != "" || !s.DB.Observed.Settled(s.vpc) {
			t.Errorf("%+v", e)
		}
	})
	for _, mbit := range []int{0, 5001} {
		planetest.Refused(t, s.EIP.Modify(ctx, alice, id, megabits(mbit)), fault.BandwidthInvalid)
	}
	planetest.Refused(t, s.EIP.Modify(ctx, alice, "eip-none", megabits(5)), fault.ElasticIPNotFound)
	planetest.Refused(t, s.EIP.Modify(ctx, bob, id, megabits(5)), fault.ElasticIPNotFound)
	planetest.Refused(t, s.EIP.Release(ctx, bob, id), fault.ElasticIPNotFound)
	planetest.Refused(t, s.EIP.Release(ctx, alice, "eip-none"), fault.ElasticIPNotFound)
}

func TestList(t *testing.T) {
	s := newSite(t)
	var ids []string
	var addresses []netip.Addr
	for range 4 {
		e := s.NewEIP(alice)
		ids, addresses = append(ids, e.ID), append(addresses, e.Address)
	}
	s.Bind(alice, ids[1], resource.BoundToHost, s.ecs)
	s.Bind(alice, ids[2], resource.BoundToNATGateway, s.ngw)
	far := s.EIPIn(alice, planetest.Elsewhere)
	theirs := s.NewEIP(bob)
	for _, c := range []struct {
		name   string
		filter eip.Filter
		page   state.Page
		total  int
		want   []string
	}{
		{"all", eip.Filter{}, state.Page{Limit: 10}, 4, ids},
		{"page 2", eip.Filter{}, state.Page{Offset: 3, Limit: 3}, 4, ids[3:]},
		{"one", eip.Filter{IDs: []string{ids[0]}}, state.Page{Limit: 10}, 1, ids[:1]},
		{"another region's", eip.Filter{IDs: []string{far.ID}}, state.Page{Limit: 10}, 0, nil},
		{"another account's", eip.Filter{IDs: []string{theirs.ID}}, state.Page{Limit: 10}, 0, nil},
		{"another account's address", eip.Filter{Addresses: []netip.Addr{theirs.Address}}, state.Page{Limit: 10}, 0, nil},
		{"by address", eip.Filter{Addresses: []netip.Addr{addresses[3]}}, state.Page{Limit: 10}, 1, ids[3:]},
		{"by address and id", eip.Filter{Addresses: []netip.Addr{addresses[3]}, IDs: []string{ids[0]}}, state.Page{Limit: 10}, 0, nil},
		{"available", eip.Filter{Statuses: []eip.Status{eip.Available}}, state.Page{Limit: 10}, 2, []string{ids[0], ids[3]}},
		{"available, page 2", eip.Filter{Statuses: []eip.Status{eip.Available}}, state.Page{Offset: 1, Limit: 1}, 2, ids[3:]},
		{"in use", eip.Filter{Statuses: []eip.Status{eip.InUse}}, state.Page{Limit: 10}, 2, ids[1:3]},
		{"associating", eip.Filter{Statuses: []eip.Status{eip.Associating}}, state.Page{Limit: 10}, 0, nil},
		{"by kind", eip.Filter{BoundTypes: []resource.BindingType{resource.BoundToNATGateway}}, state.Page{Limit: 10}, 1, ids[2:3]},
		{"by kind and object", eip.Filter{BoundTypes: []resource.BindingType{resource.BoundToHost}, BoundIDs: []string{s.ecs}}, state.Page{Limit: 10}, 1, ids[1:2]},
		{"by object", eip.Filter{BoundIDs: []string{s.ecs}}, state.Page{Limit: 10}, 1, ids[1:2]},
		{"by object of another kind", eip.Filter{BoundTypes: []resource.BindingType{resource.BoundToNATGateway}, BoundIDs: []string{s.ecs}}, state.Page{Limit: 10}, 0, nil},
		{"in use by address", eip.Filter{Statuses: []eip.Status{eip.InUse}, Addresses: []netip.Addr{addresses[0]}}, state.Page{Limit: 10}, 0, nil},
	} {
		c.filter.Region = planetest.Region
		l, err := s.EIP.List(alice, c.filter, c.page)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, e := range l.Items {
			got = append(got, e.ID)
		}
		if l.Total != c.total || !slices.Equal(got, c.want) {
			t.Errorf("%s: %d in total, page %v; want %d, %v", c.name, l.Total, got, c.total, c.want)
		}
	}
	_, err := s.EIP.List(alice, eip.Filter{Region: "cn-nowhere"}, state.Page{Limit: 10})
	planetest.Refused(t, err, fault.RegionNotFound)
}
