package eip_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"sluice/controlplane/eip"
	"sluice/controlplane/fault"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

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

// What was deleted is nobody else's before its network has let it go: an ordinary public address
// that gives way or is taken, the address of a VPN gateway.
func TestNotGivenBeforeWithdrawn(t *testing.T) {
	p := planetest.New(t)
	p.Settings.Public[0].Pool = []settings.Range{{First: netip.MustParseAddr("203.0.113.10"), Last: netip.MustParseAddr("203.0.113.10")}}
	vpc := p.VPC(alice, "10.0.0.0/8").VPC
	sw := p.VSwitch(alice, vpc, "10.1.0.0/24")
	first, second := p.Instance(sw, "", resource.Host), p.Instance(sw, "", resource.Host)
	if err := p.EIP.Give(ctx, first, netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	p.Dataplane(planetest.Stalls)
	if err := p.EIP.Take(ctx, first); err != nil {
		t.Fatal(err)
	}
	_, err := p.EIP.Allocate(ctx, bob, request(planetest.Region))
	planetest.Refused(t, err, fault.NoFreeElasticIP)
	planetest.Refused(t, p.EIP.Give(ctx, second, netip.Addr{}), fault.NoFreeElasticIP)
	planetest.Refused(t, p.EIP.Give(ctx, second, netip.MustParseAddr("203.0.113.10")), fault.NoFreeElasticIP)
	p.Dataplane(planetest.Follows)
	p.Follow()
	if err := p.EIP.Give(ctx, second, netip.MustParseAddr("203.0.113.10")); err != nil {
		t.Fatal(err)
	}
	// With its instance it goes as well.
	p.Dataplane(planetest.Stalls)
	if err := p.Inventory.Remove(ctx, second); err != nil {
		t.Fatal(err)
	}
	_, err = p.EIP.Allocate(ctx, bob, request(planetest.Region))
	planetest.Refused(t, err, fault.NoFreeElasticIP)
	p.Dataplane(planetest.Follows)
	p.Follow()
	p.NewEIP(bob)
}
