package networkinterface_test

import (
	"context"
	"net/netip"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/havip"
	"sluice/controlplane/network"
	"sluice/controlplane/networkinterface"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

var (
	ctx   = context.Background()
	alice = planetest.Alice
)

const region = planetest.Region

func address(s string) netip.Addr { return netip.MustParseAddr(s) }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type site struct {
	*planetest.Plane
	vpc, sw, first, second string
}

func newSite(t *testing.T) *site {
	p := planetest.New(t)
	s := &site{Plane: p, vpc: p.VPC(alice, "10.0.0.0/8").VPC}
	s.sw = p.VSwitch(alice, s.vpc, "10.1.0.0/24")
	s.first, s.second = p.Instance(s.sw, "10.1.0.1", resource.Host), p.Instance(s.sw, "10.1.0.2", resource.Host)
	return s
}

func (s *site) create(t *testing.T, addresses ...string) networkinterface.Interface {
	t.Helper()
	in := networkinterface.NewInterface{Region: region, VPC: s.vpc, VSwitch: s.sw}
	for i, a := range addresses {
		in.Addresses = append(in.Addresses, networkinterface.NewAddress{Address: address(a), Primary: i == 0})
	}
	n, err := s.Interfaces.Create(ctx, alice, in)
	ok(t, err)
	return n
}

func (s *site) status(t *testing.T, id string, want networkinterface.Status) {
	t.Helper()
	if n, err := s.Interfaces.ByID(alice, region, id); err != nil || n.Status != want {
		t.Errorf("status %d, %v, want %d", n.Status, err, want)
	}
}

func TestStatus(t *testing.T) {
	s := newSite(t)
	var id string
	s.Stalled(func() {
		id = s.create(t, "10.1.0.20").ID
		s.status(t, id, networkinterface.Pending)
	})
	s.status(t, id, networkinterface.Available)
	s.Stalled(func() {
		ok(t, s.Interfaces.Attach(ctx, alice, region, id, s.first))
		s.status(t, id, networkinterface.Attaching)
		planetest.Refused(t, s.Interfaces.Detach(ctx, alice, region, id, s.first), fault.InterfaceInTransition)
	})
	s.status(t, id, networkinterface.Available)
	s.Stalled(func() {
		ok(t, s.Interfaces.Detach(ctx, alice, region, id, s.first))
		s.status(t, id, networkinterface.Detaching)
	})
	s.status(t, id, networkinterface.Available)
}

// Addresses that are given come first, the primary one before all, then those that the system
// picks: never one that is somebody's.
func TestAddresses(t *testing.T) {
	s := newSite(t)
	s.NewHaVip(alice, s.sw, "10.1.0.4")
	n, err := s.Interfaces.Create(ctx, alice, networkinterface.NewInterface{Region: region, VPC: s.vpc, VSwitch: s.sw,
		Addresses: []networkinterface.NewAddress{{Address: address("10.1.0.3")}}, Count: 1})
	ok(t, err)
	got := ""
	for _, a := range n.Addresses {
		got += a.Address.String() + " "
	}
	if got != "10.1.0.5 10.1.0.3 10.1.0.6 " {
		t.Errorf("%s", got)
	}
	for _, a := range []string{"10.1.0.3", "10.1.0.5", "10.1.0.6"} {
		if _, err := s.HaVip.Create(ctx, alice, havip.NewHaVip{Region: region, VSwitch: s.sw, PrivateIP: address(a)}); err == nil {
			t.Errorf("%s is somebody else's as well", a)
		}
	}
	list, err := s.Network.VSwitches(alice, network.VSwitchFilter{Region: region, IDs: []string{s.sw}}, state.Page{Limit: 1})
	ok(t, err)
	if free := list.Items[0].Free; free != 252-2-1-3 {
		t.Errorf("%d addresses are free", free)
	}
}

// An interface moves with its elastic IPs; so does an address. What an address is bound to is
// unbound when it is taken away, and no entry but by force leads to a host that is gone.
func TestElasticIPsMove(t *testing.T) {
	s := newSite(t)
	from, to := s.create(t, "10.1.0.20", "10.1.0.21"), s.create(t, "10.1.0.30")
	e := s.NewEIP(alice)
	bound := resource.Binding{Type: resource.BoundToInterface, ID: from.ID, Address: address("10.1.0.21")}
	ok(t, s.EIP.Associate(ctx, alice, e.ID, bound))
	ok(t, s.Interfaces.Attach(ctx, alice, region, from.ID, s.first))
	ok(t, s.Interfaces.Migrate(ctx, alice, region, from.ID, s.first, s.second))
	v := s.DB.View()
	if i, ok := v.InstanceAt(s.vpc, address("10.1.0.21")); !ok || i.ID != s.second {
		t.Errorf("the address is at %+v", i)
	}
	generation := func() int64 {
		x, _ := s.DB.View().ElasticIPs.Get(e.ID)
		return x.Generation
	}
	before := generation()
	ok(t, s.Interfaces.MigrateAddress(ctx, alice, region, from.ID, to.ID, address("10.1.0.21")))
	x, found := s.DB.View().ElasticOf(s.vpc, address("10.1.0.21"))
	if !found || x.ID != e.ID || x.Binding.ID != to.ID || generation() != before {
		t.Errorf("%+v; its generation was %d", x, before) // it stays in use meanwhile
	}
	planetest.Refused(t, s.Interfaces.Delete(ctx, alice, region, to.ID), fault.InterfaceHasElasticIP)
	planetest.Refused(t, s.Inventory.Remove(ctx, s.second), fault.InstanceHasDependents)
	ok(t, s.Interfaces.Unassign(ctx, alice, region, to.ID, []netip.Addr{address("10.1.0.21")}))
	if x, _ := s.DB.View().ElasticIPs.Get(e.ID); x.Binding != nil {
		t.Errorf("%+v", x)
	}
	ok(t, s.Interfaces.Delete(ctx, alice, region, to.ID))
	ok(t, s.Interfaces.Detach(ctx, alice, region, from.ID, s.second))
	ok(t, s.Inventory.Remove(ctx, s.second))
	planetest.Refused(t, s.Network.DeleteVSwitch(ctx, alice, s.sw), fault.VSwitchHasDependents)
}

// The primary interface is the host's: its first address is what an elastic IP of the instance
// is bound to, whichever of the two is named.
func TestPrimary(t *testing.T) {
	s := newSite(t)
	p, _ := s.DB.View().PrimaryInterface(s.first)
	e := s.NewEIP(alice)
	ok(t, s.EIP.Associate(ctx, alice, e.ID, resource.Binding{Type: resource.BoundToInterface, ID: p.ID, Address: address("10.1.0.1")}))
	if x, _ := s.DB.View().ElasticIPs.Get(e.ID); *x.Binding != (resource.Binding{Type: resource.BoundToHost, ID: s.first}) {
		t.Errorf("%+v", x.Binding)
	}
	planetest.Refused(t, s.Interfaces.Delete(ctx, alice, region, p.ID), fault.InterfacePrimary)
	planetest.Refused(t, s.Interfaces.Detach(ctx, alice, region, p.ID, s.first), fault.InterfacePrimary)
	ok(t, s.Inventory.SetMAC(ctx, s.first, "02:00:00:00:00:07"))
	if p, _ = s.DB.View().PrimaryInterface(s.first); p.MAC != "02:00:00:00:00:07" {
		t.Errorf("%+v", p)
	}
	_, err := s.Interfaces.Assign(ctx, alice, region, p.ID, nil, 1)
	ok(t, err)
	ok(t, s.EIP.Disassociate(ctx, alice, region, e.ID, true))
	planetest.Refused(t, s.EIP.Give(ctx, s.first, netip.Addr{}), fault.InstanceAssociated)
	ok(t, s.EIP.Associate(ctx, alice, e.ID, resource.Binding{Type: resource.BoundToHost, ID: s.first})) // the ordinary address gives way
	planetest.Refused(t, s.EIP.Take(ctx, s.first), fault.OrdinaryMissing)
	ok(t, s.EIP.Disassociate(ctx, alice, region, e.ID, true))
	ok(t, s.Inventory.Remove(ctx, s.first)) // with its interface, and its ordinary public address
	v := s.DB.View()
	if _, ok := v.NetworkInterfaces.Get(p.ID); ok || v.ElasticIPs.Len() != 1 {
		t.Errorf("%d elastic IPs; the interface is there: %t", v.ElasticIPs.Len(), ok)
	}
}
