package havip_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/havip"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

var (
	ctx   = context.Background()
	alice = planetest.Alice
	bob   = planetest.Bob
	all   = state.Page{Limit: 100}
)

func address(s string) netip.Addr { return netip.MustParseAddr(s) }

// site is a VPC with a VSwitch, two instances in it and one in another, and a HaVip.
type site struct {
	*planetest.Plane
	vpc, table, sw, other, ecs, second, away, vip string
}

func newSite(t *testing.T) *site {
	p := planetest.New(t)
	made := p.VPC(alice, "10.0.0.0/8")
	s := &site{Plane: p, vpc: made.VPC, table: made.RouteTable}
	s.sw, s.other = p.VSwitch(alice, s.vpc, "10.1.0.0/24"), p.VSwitch(alice, s.vpc, "10.2.0.0/24")
	s.ecs, s.second, s.away = p.Instance(s.sw, "10.1.0.1", resource.Host), p.Instance(s.sw, "10.1.0.2", resource.Host), p.Instance(s.other, "", resource.Host)
	s.vip = p.NewHaVip(alice, s.sw, "10.1.0.10")
	return s
}

func (s *site) associate(instance string) error {
	return s.HaVip.Associate(ctx, alice, planetest.Region, s.vip, instance)
}

func (s *site) unassociate(instance string, force bool) error {
	return s.HaVip.Unassociate(ctx, alice, planetest.Region, s.vip, instance, force)
}

func (s *site) remove() error { return s.HaVip.Delete(ctx, alice, planetest.Region, s.vip) }

// shown returns the HaVip as a listing shows it.
func (s *site) shown(t *testing.T) havip.HaVip {
	t.Helper()
	list, err := s.HaVip.List(alice, havip.Query{Region: planetest.Region, IDs: state.OneOf[string]{s.vip}, Page: all})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list.Items[0]
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCreate(t *testing.T) {
	s := newSite(t)
	create := func(in havip.NewHaVip) error {
		in.Region, in.VSwitch = planetest.Region, s.sw
		_, err := s.HaVip.Create(ctx, alice, in)
		return err
	}
	for name, c := range map[string]struct {
		address string
		want    fault.Reason
	}{
		"outside":             {"10.1.1.1", fault.HaVipAddressOutside},
		"the network's":       {"10.1.0.0", fault.HaVipAddressReserved},
		"the gateway's":       {"10.1.0.253", fault.HaVipAddressReserved},
		"an instance's":       {"10.1.0.1", fault.HaVipAddressInUse},
		"that of another one": {"10.1.0.10", fault.HaVipAddressInUse},
	} {
		t.Run(name, func(t *testing.T) {
			planetest.Refused(t, create(havip.NewHaVip{PrivateIP: address(c.address)}), c.want)
		})
	}
	_, err := s.HaVip.Create(ctx, bob, havip.NewHaVip{Region: planetest.Region, VSwitch: s.sw})
	planetest.Refused(t, err, fault.VSwitchNotFound)
	_, err = s.HaVip.Create(ctx, alice, havip.NewHaVip{Region: planetest.Elsewhere, VSwitch: s.sw})
	planetest.Refused(t, err, fault.VSwitchNotFound)
	_, err = s.HaVip.Create(ctx, alice, havip.NewHaVip{Region: "cn-none", VSwitch: s.sw})
	planetest.Refused(t, err, fault.RegionNotFound)

	// Without an address it gets the lowest that neither an instance nor a HaVip has.
	h, err := s.HaVip.Create(ctx, alice, havip.NewHaVip{Region: planetest.Region, VSwitch: s.sw, Name: "front"})
	ok(t, err)
	if h.PrivateIP != address("10.1.0.3") || h.Name != "front" || !strings.HasPrefix(h.ID, "havip-") || h.VPC != s.vpc || h.Account != alice.Account {
		t.Errorf("%+v", h)
	}
	s.Settings.Quotas["ha_vips"] = 2
	planetest.Refused(t, create(havip.NewHaVip{}), fault.QuotaHaVip)
	s.Settings.Quotas["ha_vips"] = 1000
	for range 252 - 4 { // of 256 four are the system's, four are taken
		ok(t, create(havip.NewHaVip{}))
	}
	planetest.Refused(t, create(havip.NewHaVip{}), fault.NoFreeAddress)
}

func TestStatus(t *testing.T) {
	s := newSite(t)
	status := func(want havip.Status) {
		t.Helper()
		if got := s.shown(t).Status; got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	}
	status(havip.Available)
	s.Stalled(func() {
		ok(t, s.associate(s.ecs))
		status(havip.Associating)
		planetest.Refused(t, s.associate(s.second), fault.HaVipStatus)
		planetest.Refused(t, s.unassociate(s.ecs, false), fault.HaVipStatus)
	})
	status(havip.InUse)
	ok(t, s.associate(s.second))
	s.Stalled(func() {
		ok(t, s.unassociate(s.ecs, false))
		status(havip.Unassociating)
	})
	status(havip.InUse)
	ok(t, s.unassociate(s.second, false))
	status(havip.Available)
	s.Stalled(func() {
		id := s.NewHaVip(alice, s.sw, "")
		h, err := s.HaVip.Get(id)
		ok(t, err)
		if h.Status != havip.Creating {
			t.Errorf("%+v", h)
		}
		planetest.Refused(t, s.HaVip.Delete(ctx, alice, planetest.Region, id), fault.HaVipStatus)
	})
}

func TestAssociateRefused(t *testing.T) {
	s := newSite(t)
	planetest.Refused(t, s.HaVip.Associate(ctx, bob, planetest.Region, s.vip, s.ecs), fault.HaVipNotFound)
	planetest.Refused(t, s.HaVip.Associate(ctx, alice, planetest.Region, "havip-none", s.ecs), fault.HaVipNotFound)
	planetest.Refused(t, s.associate("i-none"), fault.InstanceNotFound)
	planetest.Refused(t, s.associate(s.Instance(s.sw, "", resource.LoadBalancer)), fault.InstanceNotFound)
	planetest.Refused(t, s.associate(s.away), fault.HaVipOtherVSwitch)
	s.InstanceState(s.ecs, resource.Starting)
	planetest.Refused(t, s.associate(s.ecs), fault.InstanceStatus)
	s.InstanceState(s.ecs, resource.Stopped)
	ok(t, s.associate(s.ecs))
	planetest.Refused(t, s.associate(s.ecs), fault.HaVipBound)

	s.Settings.Quotas["instances_per_ha_vip"] = 1
	planetest.Refused(t, s.associate(s.second), fault.QuotaHaVipInstances)
	s.Settings.Quotas["instances_per_ha_vip"] = 10
	for range havip.MostPerInstance {
		s.BindHaVip(alice, s.NewHaVip(alice, s.sw, ""), s.second)
	}
	planetest.Refused(t, s.associate(s.second), fault.QuotaInstanceHaVips)
}

func TestUnassociateRefused(t *testing.T) {
	s := newSite(t)
	planetest.Refused(t, s.unassociate(s.ecs, false), fault.HaVipUnbound)
	ok(t, s.associate(s.ecs))
	planetest.Refused(t, s.unassociate(s.second, false), fault.HaVipNotBound)
	planetest.Refused(t, s.unassociate("i-none", false), fault.InstanceNotFound)
	s.InstanceState(s.ecs, resource.Stopping)
	planetest.Refused(t, s.unassociate(s.ecs, false), fault.InstanceStatus)
	s.InstanceState(s.ecs, resource.Running)
	s.Holders.Set(address("10.1.0.10"), dataplane.HaVipHolder{MAC: "02:00:00:00:00:01", Host: address("10.1.0.1")})
	planetest.Refused(t, s.unassociate(s.ecs, false), fault.HaVipMaster)
	ok(t, s.unassociate(s.ecs, true))
	ok(t, s.remove())
}

// Who has the address is what was seen, and one of the bound instances or none.
func TestMaster(t *testing.T) {
	s := newSite(t)
	master := func(instance, mac string) {
		t.Helper()
		if got := s.shown(t).Master; got.Instance != instance || got.MAC != mac {
			t.Errorf("%+v, want %q, %q", got, instance, mac)
		}
	}
	ok(t, s.associate(s.ecs))
	ok(t, s.associate(s.second))
	master("", "")
	at := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	s.Holders.Set(address("10.1.0.10"), dataplane.HaVipHolder{MAC: "02:00:00:00:00:01", Host: address("10.1.0.1"), Since: at})
	master(s.ecs, "02:00:00:00:00:01")
	if got := s.shown(t).Master.Since; !got.Equal(at) {
		t.Errorf("since %s", got)
	}
	s.Holders.Set(address("10.1.0.10"), dataplane.HaVipHolder{MAC: "02:00:00:00:00:02", Host: address("10.1.0.2")})
	master(s.second, "02:00:00:00:00:02")
	s.Holders.Set(address("10.1.0.10"), dataplane.HaVipHolder{MAC: "02:00:00:00:00:09"})
	master("", "02:00:00:00:00:09")
	s.Holders.Set(address("10.1.0.10"), dataplane.HaVipHolder{MAC: "02:00:00:00:00:02", Host: address("10.1.0.2")})
	ok(t, s.unassociate(s.second, true))
	master("", "02:00:00:00:00:02") // bound no more, whatever is seen
}

func TestDelete(t *testing.T) {
	s := newSite(t)
	ok(t, s.associate(s.ecs))
	planetest.Refused(t, s.remove(), fault.HaVipHasInstances)
	planetest.Refused(t, s.Inventory.Remove(ctx, s.ecs), fault.InstanceHasDependents)
	planetest.Refused(t, s.Network.DeleteVSwitch(ctx, alice, s.sw), fault.VSwitchHasHaVips)
	ok(t, s.unassociate(s.ecs, false))

	e := s.NewEIP(alice).ID
	s.Bind(alice, e, resource.BoundToVirtualIP, s.vip)
	if got := s.shown(t); len(got.Elastic) != 1 {
		t.Errorf("%+v", got)
	}
	planetest.Refused(t, s.remove(), fault.HaVipHasElasticIP)
	s.Route(alice, s.table, "192.168.0.0/16", resource.NextHopVirtualIP, s.vip)
	planetest.Refused(t, s.remove(), fault.HaVipHasRouteEntries)
	r, _ := s.DB.View().RouteEntries.Get(s.table + "/192.168.0.0/16")
	ok(t, s.Drop(r))
	ok(t, s.EIP.Unassociate(ctx, alice, e, resource.Binding{Type: resource.BoundToVirtualIP, ID: s.vip}, false))
	planetest.Refused(t, s.HaVip.Delete(ctx, bob, planetest.Region, s.vip), fault.HaVipNotFound)
	ok(t, s.remove())
	planetest.Refused(t, s.remove(), fault.HaVipNotFound)
	ok(t, s.Inventory.Remove(ctx, s.ecs))
}

func TestModify(t *testing.T) {
	s := newSite(t)
	name, text := "front", "of the shop"
	before := s.shown(t)
	ok(t, s.HaVip.Modify(ctx, alice, planetest.Region, s.vip, resource.Naming{Name: &name, Description: &text}))
	after := s.shown(t)
	if after.Name != name || after.Description != text || after.Generation != before.Generation {
		t.Errorf("%+v", after)
	}
	planetest.Refused(t, s.HaVip.Modify(ctx, bob, planetest.Region, s.vip, resource.Naming{}), fault.HaVipNotFound)
}

// The operator's commands are for HaVips of any account.
func TestOperator(t *testing.T) {
	s := newSite(t)
	theirs := s.NewHaVip(bob, s.VSwitch(bob, s.VPC(bob, "10.0.0.0/8").VPC, "10.1.0.0/24"), "10.1.0.10")
	var ids []string
	for _, h := range s.HaVip.All() {
		ids = append(ids, h.ID)
	}
	if !slices.Equal(ids, []string{s.vip, theirs}) {
		t.Errorf("%v", ids)
	}
	c, region, err := s.HaVip.OwnerOf(theirs)
	if err != nil || c.Account != bob.Account || region != planetest.Region {
		t.Errorf("%+v, %s, %v", c, region, err)
	}
	_, _, err = s.HaVip.Owner("vsw-none")
	planetest.Refused(t, err, fault.VSwitchNotFound)
	_, _, err = s.HaVip.OwnerOf("havip-none")
	planetest.Refused(t, err, fault.HaVipNotFound)
	planetest.Refused(t, s.HaVip.LetAnyHost(ctx, "havip-none", true), fault.HaVipNotFound)
	ok(t, s.HaVip.LetAnyHost(ctx, theirs, true))
	if h, err := s.HaVip.Get(theirs); err != nil || !h.AnyHost {
		t.Errorf("%+v, %v", h, err)
	}
}
