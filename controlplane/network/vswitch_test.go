package network_test

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/network"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

func create(p *planetest.Plane, vpc, block string) error {
	_, err := p.Network.CreateVSwitch(ctx, alice, network.NewVSwitch{VPC: vpc, Zone: planetest.Zone, CIDR: cidr(block)})
	return err
}

func TestCreateVSwitch(t *testing.T) {
	p := planetest.New(t)
	vpc := p.VPC(alice, "10.0.0.0/8").VPC
	id, err := p.Network.CreateVSwitch(ctx, alice, network.NewVSwitch{VPC: vpc, Zone: planetest.Zone2, CIDR: cidr("10.1.0.0/16"), Name: "Desks", Description: "Second floor"})
	if err != nil {
		t.Fatal(err)
	}
	x, _ := p.DB.View().VSwitches.Get(id)
	if x.VPC != vpc || x.Zone != planetest.Zone2 || x.CIDR != cidr("10.1.0.0/16") || x.Name != "Desks" || x.Description != "Second floor" ||
		x.Region != planetest.Region || x.Account != alice.Account || !x.CreatedAt.Equal(planetest.Now) {
		t.Errorf("%+v", x)
	}
}

func TestVSwitchBlocks(t *testing.T) {
	p := planetest.New(t)
	made := p.VPC(alice, "10.0.0.0/8")
	sw := p.VSwitch(alice, made.VPC, "10.1.0.0/16")
	i := p.Instance(sw, "", resource.Host)
	p.Route(alice, made.RouteTable, "10.2.16.0/20", resource.NextHopHost, i)
	for _, c := range []struct {
		cidr string
		want fault.Reason // empty: accepted, and deleted again
	}{
		{"10.3.0.0/16", ""}, {"10.3.0.0/29", ""}, {"10.255.255.248/29", ""},
		{"10.2.0.0/15", fault.VSwitchCIDRMask}, {"10.3.0.0/30", fault.VSwitchCIDRMask}, {"10.3.0.0/32", fault.VSwitchCIDRMask},
		{"10.3.0.1/24", fault.CIDRMalformed}, {"", fault.CIDRMalformed},
		{"11.0.0.0/16", fault.VSwitchCIDROutside}, {"192.168.0.0/24", fault.VSwitchCIDROutside},
		{"10.1.0.0/16", fault.VSwitchCIDROverlap}, {"10.1.7.0/24", fault.VSwitchCIDROverlap},
		{"10.2.16.0/20", fault.VSwitchCIDRRoute}, {"10.2.0.0/16", fault.VSwitchCIDRRoute},
		{"10.2.17.0/24", ""}, // within a route's destination
	} {
		id, err := p.Network.CreateVSwitch(ctx, alice, network.NewVSwitch{VPC: made.VPC, Zone: planetest.Zone, CIDR: cidr(c.cidr)})
		if c.want != "" {
			planetest.Refused(t, err, c.want)
			continue
		}
		if err == nil {
			err = p.Network.DeleteVSwitch(ctx, alice, id)
		}
		if err != nil {
			t.Errorf("%s: %v", c.cidr, err)
		}
	}

	// A smaller block that has a larger one's start.
	small := p.VPC(alice, "192.168.0.0/16").VPC
	p.VSwitch(alice, small, "192.168.1.0/24")
	planetest.Refused(t, create(p, small, "192.168.0.0/16"), fault.VSwitchCIDROverlap)
	// The whole VPC.
	whole := p.VPC(alice, "192.168.0.0/16").VPC
	p.VSwitch(alice, whole, "192.168.0.0/16")
	// A NAT gateway's 0.0.0.0/0 is in nobody's way.
	natted := p.VPC(alice, "192.168.0.0/16").VPC
	p.Gateway(alice, natted)
	p.VSwitch(alice, natted, "192.168.0.0/16")
}

func TestCreateVSwitchRefused(t *testing.T) {
	p := planetest.New(t)
	p.Settings.Quotas["vswitches_per_vpc"] = 2
	vpc := p.VPC(alice, "10.0.0.0/8").VPC
	in := network.NewVSwitch{VPC: vpc, Zone: "cn-nowhere-a", CIDR: cidr("10.0.0.0/24")}
	_, err := p.Network.CreateVSwitch(ctx, alice, in)
	planetest.Refused(t, err, fault.ZoneNotFound)
	in.Zone = planetest.ZoneThere
	_, err = p.Network.CreateVSwitch(ctx, alice, in)
	planetest.Refused(t, err, fault.ResourceNotAvailable)
	in.Zone = planetest.Zone
	_, err = p.Network.CreateVSwitch(ctx, bob, in)
	planetest.Refused(t, err, fault.VPCNotFound)
	planetest.Refused(t, create(p, "vpc-none", "10.0.0.0/24"), fault.VPCNotFound)
	for _, c := range []string{"10.0.0.0/24", "10.0.1.0/24"} {
		if err := create(p, vpc, c); err != nil {
			t.Fatal(err)
		}
	}
	planetest.Refused(t, create(p, vpc, "10.0.2.0/24"), fault.QuotaVSwitch)
}

// TestVSwitchesAtOnce creates the same block many times at once: one wins.
func TestVSwitchesAtOnce(t *testing.T) {
	p := planetest.New(t)
	vpc := p.VPC(alice, "10.0.0.0/8").VPC
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = create(p, vpc, "10.1.0.0/16") })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else {
			planetest.Refused(t, err, fault.VSwitchCIDROverlap)
		}
	}
	if made != 1 || p.DB.View().VSwitches.Len() != 1 {
		t.Errorf("%d were made", made)
	}
}

func TestDeleteVSwitch(t *testing.T) {
	p := planetest.New(t)
	vpc := p.VPC(alice, "10.0.0.0/8").VPC
	sw := p.VSwitch(alice, vpc, "10.1.0.0/16")
	other := p.VSwitch(alice, vpc, "10.2.0.0/16")
	p.Instance(other, "", resource.Host)
	remove := func() error { return p.Network.DeleteVSwitch(ctx, alice, sw) }
	planetest.Refused(t, p.Network.DeleteVSwitch(ctx, bob, sw), fault.VSwitchNotFound)
	planetest.Refused(t, p.Network.DeleteVSwitch(ctx, alice, "vsw-none"), fault.VSwitchNotFound)

	ecs := p.Instance(sw, "", resource.Host)
	planetest.Refused(t, remove(), fault.VSwitchHasDependents)
	vip := p.NewHaVip(alice, sw, "")
	planetest.Refused(t, remove(), fault.VSwitchHasHaVips)
	if err := p.Inventory.Remove(ctx, ecs); err != nil {
		t.Fatal(err)
	}
	if err := p.HaVip.Delete(ctx, alice, planetest.Region, vip); err != nil {
		t.Fatal(err)
	}

	gateway := p.Gateway(alice, vpc)
	put := func(r resource.Resource) {
		t.Helper()
		if err := p.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	meta := resource.Meta{ID: "snat-1", Account: alice.Account}
	entry := &resource.SNATEntry{Meta: meta, VPC: vpc, Gateway: gateway.ID, Table: gateway.SNATTable, VSwitch: sw, Source: cidr("10.1.0.0/16"), Pool: []netip.Addr{netip.MustParseAddr("203.0.113.10")}}
	put(entry)
	planetest.Refused(t, remove(), fault.VSwitchHasDependents)
	if err := p.Drop(entry); err != nil {
		t.Fatal(err)
	}
	meta.ID = "fwd-1"
	forward := &resource.ForwardEntry{Meta: meta, VPC: vpc, Gateway: gateway.ID, Table: gateway.ForwardTable, ExternalIP: netip.MustParseAddr("203.0.113.10"), ExternalPort: 80, Protocol: resource.TCP, InternalIP: netip.MustParseAddr("10.1.0.7"), InternalPort: 80}
	put(forward)
	planetest.Refused(t, remove(), fault.VSwitchHasDependents)
	if err := p.Drop(forward); err != nil {
		t.Fatal(err)
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	if n := p.DB.View().VSwitches.Len(); n != 1 {
		t.Errorf("%d VSwitches are left", n)
	}
}

func TestModifyVSwitch(t *testing.T) {
	p := planetest.New(t)
	vpc := p.VPC(alice, "10.0.0.0/8").VPC
	sw := p.VSwitch(alice, vpc, "10.1.0.0/16")
	p.Stalled(func() {
		if err := p.Network.ModifyVSwitch(ctx, alice, sw, network.VSwitchChange{Naming: resource.Naming{Name: ptr("Desks"), Description: ptr("Here")}}); err != nil {
			t.Fatal(err)
		}
		x, _ := p.DB.View().VSwitches.Get(sw)
		if x.Name != "Desks" || x.Description != "Here" {
			t.Errorf("%+v", x)
		}
		if x.Phase(p.DB.Observed.Applied(vpc)) != resource.Ready {
			t.Error("a new name puts a VSwitch into transition")
		}
		if p.DB.Observed.Settled(vpc) {
			t.Error("the dataplane is not told of a new name, which may choose the attachment")
		}
	})
	planetest.Refused(t, p.Network.ModifyVSwitch(ctx, bob, sw, network.VSwitchChange{}), fault.VSwitchNotFound)
	planetest.Refused(t, p.Network.ModifyVSwitch(ctx, alice, "vsw-none", network.VSwitchChange{}), fault.VSwitchNotFound)
}

func TestVSwitches(t *testing.T) {
	p := planetest.New(t)
	one, two := p.VPC(alice, "10.0.0.0/8").VPC, p.VPC(alice, "192.168.0.0/16").VPC
	a, b := p.VSwitch(alice, one, "10.1.0.0/24"), p.VSwitch(alice, two, "192.168.0.0/24")
	c, err := p.Network.CreateVSwitch(ctx, alice, network.NewVSwitch{VPC: one, Zone: planetest.Zone2, CIDR: cidr("10.2.0.0/29")})
	if err != nil {
		t.Fatal(err)
	}
	thereVPC := p.VPCIn(alice, planetest.Elsewhere, "10.0.0.0/8").VPC
	there := p.VSwitch(alice, thereVPC, "10.0.0.0/24")
	theirVPC := p.VPC(bob, "10.0.0.0/8").VPC
	theirs := p.VSwitch(bob, theirVPC, "10.0.0.0/24")
	p.Instance(c, "", resource.Host)
	p.Instance(c, "", resource.LoadBalancer)

	for _, x := range []struct {
		name   string
		filter network.VSwitchFilter
		number int
		total  int
		want   []string
	}{
		{"all", network.VSwitchFilter{}, 1, 3, []string{a, b}},
		{"page 2", network.VSwitchFilter{}, 2, 3, []string{c}},
		{"of a VPC", network.VSwitchFilter{VPCs: []string{one}}, 1, 2, []string{a, c}},
		{"of a zone", network.VSwitchFilter{Zones: []string{planetest.Zone2}}, 1, 1, []string{c}},
		{"of a zone of a VPC", network.VSwitchFilter{Zones: []string{planetest.Zone}, VPCs: []string{two}}, 1, 1, []string{b}},
		{"of an unknown zone", network.VSwitchFilter{Zones: []string{"cn-nowhere-a"}}, 1, 0, nil},
		{"one", network.VSwitchFilter{IDs: []string{b}}, 1, 1, []string{b}},
		{"one of a VPC", network.VSwitchFilter{IDs: []string{b}, VPCs: []string{two}}, 1, 1, []string{b}},
		{"one of another VPC", network.VSwitchFilter{IDs: []string{b}, VPCs: []string{one}}, 1, 0, nil},
		{"one of another zone", network.VSwitchFilter{IDs: []string{b}, Zones: []string{planetest.Zone2}}, 1, 0, nil},
		{"none", network.VSwitchFilter{IDs: []string{"vsw-none"}}, 1, 0, nil},
		{"another region's", network.VSwitchFilter{IDs: []string{there}}, 1, 0, nil},
		{"of another region's VPC", network.VSwitchFilter{VPCs: []string{thereVPC}}, 1, 0, nil},
		{"another account's", network.VSwitchFilter{IDs: []string{theirs}}, 1, 0, nil},
		{"default", network.VSwitchFilter{Default: ptr(true)}, 1, 0, nil},
		{"not default", network.VSwitchFilter{Default: ptr(false)}, 1, 3, []string{a, b}},
	} {
		x.filter.Region = planetest.Region
		l, err := p.Network.VSwitches(alice, x.filter, page(x.number, 2))
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		var got []string
		for _, v := range l.Items {
			got = append(got, v.ID)
		}
		if l.Total != x.total || !slices.Equal(got, x.want) {
			t.Errorf("%s: %d in total, page %v; want %d, %v", x.name, l.Total, got, x.total, x.want)
		}
	}
	_, err = p.Network.VSwitches(alice, network.VSwitchFilter{Region: "cn-nowhere"}, page(1, 10))
	planetest.Refused(t, err, fault.RegionNotFound)
	_, err = p.Network.VSwitches(alice, network.VSwitchFilter{Region: planetest.Region, VPCs: []string{"vpc-none"}}, page(1, 10))
	planetest.Refused(t, err, fault.VPCNotFound)
	_, err = p.Network.VSwitches(alice, network.VSwitchFilter{Region: planetest.Region, VPCs: []string{theirVPC}}, page(1, 10))
	planetest.Refused(t, err, fault.VPCNotFound)

	l, _ := p.Network.VSwitches(alice, network.VSwitchFilter{Region: planetest.Region, IDs: []string{c}}, page(1, 10))
	if x := l.Items[0]; x.Free != 2 || x.Phase != resource.Ready {
		t.Errorf("a /29 with two instances has %d free addresses, phase %v", x.Free, x.Phase)
	}
	l, _ = p.Network.VSwitches(alice, network.VSwitchFilter{Region: planetest.Region, IDs: []string{a}}, page(1, 10))
	if x := l.Items[0]; x.Free != 252 {
		t.Errorf("an empty /24 has %d free addresses", x.Free)
	}
}

// TestTransitions provokes the refusals for what is being made, changed or
// deleted.
func TestTransitions(t *testing.T) {
	newWorld := func(t *testing.T) (p *planetest.Plane, made network.CreatedVPC, sw, i string) {
		p = planetest.New(t)
		made = p.VPC(alice, "10.0.0.0/8")
		sw = p.VSwitch(alice, made.VPC, "10.1.0.0/16")
		i = p.Instance(sw, "10.1.0.1", resource.Host)
		p.Route(alice, made.RouteTable, "192.168.0.0/16", resource.NextHopHost, i)
		return p, made, sw, i
	}
	route := func(p *planetest.Plane, made network.CreatedVPC, i, destination string) error {
		_, err := p.Network.CreateRouteEntry(ctx, alice, network.NewRouteEntry{Table: made.RouteTable, Destination: cidr(destination), NextHopID: i})
		return err
	}
	unroute := func(p *planetest.Plane, made network.CreatedVPC, i string) error {
		return p.Network.DeleteRouteEntry(ctx, alice, network.OldRouteEntry{Table: made.RouteTable, Destination: cidr("192.168.0.0/16"), NextHopID: i})
	}

	t.Run("a VPC being made", func(t *testing.T) {
		p, _, _, _ := newWorld(t)
		p.Stalled(func() {
			made := p.VPC(alice, "10.0.0.0/8")
			planetest.Refused(t, create(p, made.VPC, "10.1.0.0/16"), fault.VPCInTransition)
		})
	})
	t.Run("a VSwitch being made", func(t *testing.T) {
		p, made, _, i := newWorld(t)
		p.Stalled(func() {
			fresh := p.VSwitch(alice, made.VPC, "10.2.0.0/16")
			planetest.Refused(t, create(p, made.VPC, "10.3.0.0/16"), fault.VSwitchInTransition)
			planetest.Refused(t, p.Network.DeleteVSwitch(ctx, alice, fresh), fault.VSwitchInTransition)
			planetest.Refused(t, route(p, made, i, "172.16.0.0/12"), fault.VSwitchInTransition)
			planetest.Refused(t, unroute(p, made, i), fault.VSwitchInTransition)
		})
	})
	t.Run("a VSwitch being deleted", func(t *testing.T) {
		p, made, _, i := newWorld(t)
		gone := p.VSwitch(alice, made.VPC, "10.2.0.0/16")
		p.Stalled(func() {
			if err := p.Network.DeleteVSwitch(ctx, alice, gone); err != nil {
				t.Fatal(err)
			}
			planetest.Refused(t, create(p, made.VPC, "10.3.0.0/16"), fault.VSwitchInTransition)
			planetest.Refused(t, route(p, made, i, "172.16.0.0/12"), fault.VSwitchInTransition)
		})
		if err := create(p, made.VPC, "10.3.0.0/16"); err != nil {
			t.Error(err)
		}
	})
	t.Run("a route entry being made", func(t *testing.T) {
		p, made, sw, i := newWorld(t)
		unused := p.VSwitch(alice, made.VPC, "10.2.0.0/16")
		p.Stalled(func() {
			p.Route(alice, made.RouteTable, "172.16.0.0/12", "", i)
			planetest.Refused(t, create(p, made.VPC, "10.3.0.0/16"), fault.RouteInTransition)
			planetest.Refused(t, p.Network.DeleteVSwitch(ctx, alice, unused), fault.RouteInTransition)
			// What waiting would not mend is said at once.
			planetest.Refused(t, p.Network.DeleteVSwitch(ctx, alice, sw), fault.VSwitchHasDependents)
			planetest.Refused(t, p.Network.DeleteVPC(ctx, alice, made.VPC), fault.VPCHasRouteEntries)
			planetest.Refused(t, create(p, made.VPC, "10.1.0.0/24"), fault.VSwitchCIDROverlap)
			planetest.Refused(t, route(p, made, i, "192.168.0.0/16"), fault.RouteSame)
			planetest.Refused(t, route(p, made, i, "172.32.0.0/16"), fault.RouteInTransition)
			planetest.Refused(t, unroute(p, made, i), fault.RouteInTransition)
		})
	})
	t.Run("a route entry being deleted", func(t *testing.T) {
		p, made, _, i := newWorld(t)
		p.Stalled(func() {
			if err := unroute(p, made, i); err != nil {
				t.Fatal(err)
			}
			planetest.Refused(t, create(p, made.VPC, "10.3.0.0/16"), fault.RouteInTransition)
			planetest.Refused(t, route(p, made, i, "172.32.0.0/16"), fault.RouteInTransition)
		})
	})
	t.Run("something else being made", func(t *testing.T) {
		p, made, sw, _ := newWorld(t)
		p.Stalled(func() {
			p.Instance(sw, "", resource.Host)
			if err := create(p, made.VPC, "10.3.0.0/16"); err != nil {
				t.Errorf("an instance being added bars a VSwitch: %v", err)
			}
		})
	})
	t.Run("a dataplane that refuses", func(t *testing.T) {
		p, made, _, i := newWorld(t)
		p.Dataplane(planetest.Refuses)
		bad := p.VSwitch(alice, made.VPC, "10.2.0.0/16")
		l, err := p.Network.VSwitches(alice, network.VSwitchFilter{Region: planetest.Region, IDs: []string{bad}}, page(1, 1))
		if err != nil || l.Items[0].Phase != resource.Creating {
			t.Errorf("%+v, %v", l, err)
		}
		// What mends it is not barred.
		if err := errors.Join(route(p, made, i, "172.16.0.0/12"), p.Network.DeleteVSwitch(ctx, alice, bad)); err != nil {
			t.Error(err)
		}
	})
	t.Run("another network", func(t *testing.T) {
		p, made, _, _ := newWorld(t)
		other := p.VPC(alice, "10.0.0.0/8")
		p.Stalled(func() {
			p.VSwitch(alice, other.VPC, "10.2.0.0/16")
			if err := create(p, made.VPC, "10.2.0.0/16"); err != nil {
				t.Errorf("another network in transition bars a VSwitch: %v", err)
			}
		})
	})
}

// TestWaiting lets the dataplane answer while a write waits for it.
func TestWaiting(t *testing.T) {
	p := planetest.New(t)
	p.Settings.Settle = time.Minute
	p.Rewire()
	vpc := p.VPC(alice, "10.0.0.0/8").VPC
	p.Dataplane(planetest.Stalls)
	p.VSwitch(alice, vpc, "10.1.0.0/16")
	done := make(chan error)
	go func() { done <- create(p, vpc, "10.2.0.0/16") }()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	p.Dataplane(planetest.Follows)
	p.Follow()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTokens(t *testing.T) {
	p := planetest.New(t)
	c := alice
	c.Action, c.Token, c.Fingerprint = "CreateVSwitch", "token-1", "this"
	vpc := p.VPC(alice, "10.0.0.0/8").VPC
	in := network.NewVSwitch{VPC: vpc, Zone: planetest.Zone, CIDR: cidr("10.1.0.0/16")}
	p.Dataplane(planetest.Stalls)
	first, err := p.Network.CreateVSwitch(ctx, c, in)
	if err != nil {
		t.Fatal(err)
	}
	// The same answer while the VSwitch is still being made, and after a restart.
	for range 2 {
		again, err := p.Network.CreateVSwitch(ctx, c, in)
		if err != nil || again != first {
			t.Errorf("the second call gave %q, %v; the first %q", again, err, first)
		}
		p.Restart()
	}
	c.Fingerprint = "that"
	_, err = p.Network.CreateVSwitch(ctx, c, in)
	planetest.Refused(t, err, fault.TokenMismatch)
	// Another account's token, and another action's, is another token.
	c = bob
	c.Action, c.Token, c.Fingerprint = "CreateVSwitch", "token-1", "this"
	_, err = p.Network.CreateVSwitch(ctx, c, in)
	planetest.Refused(t, err, fault.VPCNotFound)
}
