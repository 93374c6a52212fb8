package network_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/nat"
	"sluice/controlplane/network"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

func (s *site) newTable(t *testing.T) string {
	t.Helper()
	made, err := s.Network.CreateRouteTable(ctx, alice, network.NewRouteTable{Region: planetest.Region, VPC: s.vpc, Name: "1st", Description: "way out"})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

func (s *site) bind(table, vswitch string) error {
	return s.Network.AssociateRouteTable(ctx, alice, planetest.Region, table, vswitch)
}

func (s *site) unbind(table, vswitch string) error {
	return s.Network.UnassociateRouteTable(ctx, alice, "", table, vswitch)
}

// phase is how far a VSwitch has come, and the table that it goes by.
func (s *site) phase(t *testing.T, vswitch string) (resource.Phase, string) {
	t.Helper()
	x, err := s.Network.VSwitchByID(alice, planetest.Region, vswitch)
	if err != nil {
		t.Fatal(err)
	}
	return x.Phase, x.Table.ID
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCustomRouteTables(t *testing.T) {
	s := newSite(t)
	table := s.newTable(t)
	shown := s.tables(t, network.RouteTableFilter{Region: planetest.Region, Custom: []bool{true}}, page(1, 10))
	if x := shown.Items; len(x) != 1 || x[0].ID != table || x[0].Name != "1st" || x[0].Description != "way out" || x[0].VSwitches != nil || x[0].Phase != resource.Ready || len(x[0].Entries) != 2 {
		t.Fatalf("%+v", x)
	}
	if own := s.tables(t, network.RouteTableFilter{IDs: []string{s.table}}, page(1, 1)).Items[0]; !slices.Equal(own.VSwitches, []string{s.sw}) {
		t.Errorf("VSwitches of the VPC's own table: %v", own.VSwitches)
	}

	s.Stalled(func() {
		ok(t, s.bind(table, s.sw))
		if phase, by := s.phase(t, s.sw); phase != resource.Changing || by != table {
			t.Errorf("while it is bound: phase %d, by %s", phase, by)
		}
		if x := s.tables(t, network.RouteTableFilter{IDs: []string{table}}, page(1, 1)).Items[0]; x.Phase != resource.Changing {
			t.Errorf("the table is in phase %d", x.Phase)
		}
		planetest.Refused(t, s.unbind(table, s.sw), fault.VSwitchInTransition)
	})
	if phase, by := s.phase(t, s.sw); phase != resource.Ready || by != table {
		t.Errorf("bound: phase %d, by %s", phase, by)
	}
	// One destination may have an entry in each table.
	s.Route(alice, s.table, "1.0.0.0/8", "", s.ecs)
	s.Route(alice, table, "1.0.0.0/8", resource.NextHopVirtualIP, s.vip)
	// The NAT gateway's route is in the VPC's own table; a custom one gets an entry.
	gateway := s.Gateway(alice, s.vpc).ID
	s.Route(alice, table, "0.0.0.0/0", resource.NextHopNATGateway, gateway)

	other := s.VPC(alice, "10.0.0.0/8")
	foreign := s.VSwitch(alice, other.VPC, "10.1.0.0/16")
	second := s.newTable(t)
	for name, c := range map[string]struct {
		err  error
		want fault.Reason
	}{
		"bind the VPC's own":    {s.bind(s.table, s.sw), fault.RouteTableSystem},
		"bind twice":            {s.bind(second, s.sw), fault.RouteTableBound},
		"bind another VPC's":    {s.bind(second, foreign), fault.VSwitchNotFound},
		"bind none":             {s.bind("vtb-none", s.sw), fault.RouteTableNotFound},
		"bind Alice's to Bob's": {s.Network.AssociateRouteTable(ctx, bob, planetest.Region, table, s.sw), fault.RouteTableNotFound},
		"elsewhere":             {s.Network.AssociateRouteTable(ctx, alice, planetest.Elsewhere, table, s.sw), fault.RouteTableNotFound},
		"nowhere":               {s.Network.AssociateRouteTable(ctx, alice, "mars", table, s.sw), fault.RegionNotFound},
		"unbind from another":   {s.unbind(second, s.sw), fault.RouteTableNotBound},
		"unbind the VPC's own":  {s.unbind(s.table, s.sw), fault.RouteTableSystem},
		"delete the VPC's own":  {s.Network.DeleteRouteTable(ctx, alice, "", s.table), fault.RouteTableSystem},
		"delete a bound one":    {s.Network.DeleteRouteTable(ctx, alice, "", table), fault.RouteTableHasVSwitches},
		"Bob deletes":           {s.Network.DeleteRouteTable(ctx, bob, "", second), fault.RouteTableNotFound},
		"learn":                 {s.Network.ModifyRouteTable(ctx, alice, "", table, network.RouteTableChange{Learns: ptr(true)}), fault.ParameterNotApplicable},
		"delete the VPC":        {s.Network.DeleteVPC(ctx, alice, other.VPC), fault.VPCHasVSwitches},
	} {
		t.Run(name, func(t *testing.T) { planetest.Refused(t, c.err, c.want) })
	}
	ok(t, s.Network.ModifyRouteTable(ctx, alice, "", table, network.RouteTableChange{Naming: resource.Naming{Name: ptr("2nd")}, Learns: ptr(false)}))

	s.Stalled(func() {
		ok(t, s.unbind(table, s.sw))
		if phase, by := s.phase(t, s.sw); phase != resource.Changing || by != s.table {
			t.Errorf("while it is unbound: phase %d, by %s", phase, by)
		}
	})
	planetest.Refused(t, s.Network.DeleteRouteTable(ctx, alice, "", table), fault.RouteTableHasEntries)
	// The entry to the NAT gateway goes with that, by force.
	ok(t, s.NAT.DeleteGateway(ctx, alice, planetest.Region, gateway, true))
	ok(t, s.Network.DeleteRouteEntry(ctx, alice, network.OldRouteEntry{Table: table, Destination: cidr("1.0.0.0/8"), NextHopID: s.vip}))
	ok(t, s.Network.DeleteRouteTable(ctx, alice, planetest.Region, table))

	empty := s.VPC(alice, "10.0.0.0/8")
	made, err := s.Network.CreateRouteTable(ctx, alice, network.NewRouteTable{Region: planetest.Region, VPC: empty.VPC})
	ok(t, err)
	planetest.Refused(t, s.Network.DeleteVPC(ctx, alice, empty.VPC), fault.VPCHasRouteTables)
	ok(t, s.Network.DeleteRouteTable(ctx, alice, "", made.ID))
	ok(t, s.Network.DeleteVPC(ctx, alice, empty.VPC))

	s.Settings.Quotas["route_tables"] = 1
	_, err = s.Network.CreateRouteTable(ctx, alice, network.NewRouteTable{Region: planetest.Region, VPC: s.vpc})
	planetest.Refused(t, err, fault.QuotaRouteTable)
}

// TestRouteEntryIDs: an entry is changed and deleted by its id, which no other one ever has.
func TestRouteEntryIDs(t *testing.T) {
	s := newSite(t)
	in := network.NewRouteEntry{Table: s.table, Destination: cidr("1.0.0.0/8"), NextHopID: s.ecs, Name: "to the lab", Description: "1"}
	made, err := s.Network.CreateRouteEntry(ctx, alice, in)
	ok(t, err)
	entry := func(id string) *network.RouteEntry {
		t.Helper()
		page, _, err := s.Network.RouteEntries(alice, network.RouteEntryQuery{Table: s.table, IDs: []string{id}, Size: 2})
		ok(t, err)
		if len(page) == 0 {
			return nil
		}
		return &page[0]
	}
	if e := entry(made.ID); e == nil || e.Name != "to the lab" || e.Description != "1" || e.Destination != in.Destination {
		t.Fatalf("made %+v", e)
	}
	s.Stalled(func() {
		ok(t, s.Network.ModifyRouteEntry(ctx, alice, network.RouteEntryChange{ID: made.ID, Naming: resource.Naming{Name: ptr("renamed")}}))
		if e := entry(made.ID); e.Name != "renamed" || e.Description != "1" || e.Phase != resource.Ready {
			t.Errorf("renamed %+v", e)
		}
		ok(t, s.Network.ModifyRouteEntry(ctx, alice, network.RouteEntryChange{Table: s.table, Destination: in.Destination, NextHopType: resource.NextHopVirtualIP, NextHopID: s.vip}))
		if e := entry(made.ID); e.NextHops[0].ID != s.vip || e.Phase != resource.Changing || e.Name != "renamed" {
			t.Errorf("led elsewhere %+v", e)
		}
	})
	change := func(in network.RouteEntryChange) error { return s.Network.ModifyRouteEntry(ctx, alice, in) }
	remove := func(in network.OldRouteEntry) error { return s.Network.DeleteRouteEntry(ctx, alice, in) }
	planetest.Refused(t, change(network.RouteEntryChange{ID: "rte-none"}), fault.RouteEntryNotFound)
	planetest.Refused(t, change(network.RouteEntryChange{Table: s.table, Destination: network.CarrierGrade}), fault.RouteSystem)
	planetest.Refused(t, change(network.RouteEntryChange{ID: made.ID, NextHopID: "i-none"}), fault.InstanceNotFound)
	planetest.Refused(t, s.Network.ModifyRouteEntry(ctx, bob, network.RouteEntryChange{ID: made.ID}), fault.RouteEntryNotFound)
	planetest.Refused(t, remove(network.OldRouteEntry{ID: made.ID, Table: "vtb-other"}), fault.RouteEntryNotFound)
	planetest.Refused(t, remove(network.OldRouteEntry{ID: made.ID, Destination: cidr("2.0.0.0/8")}), fault.RouteEntryNotFound)
	planetest.Refused(t, remove(network.OldRouteEntry{ID: made.ID, NextHopID: s.ecs}), fault.NextHopMismatch)
	ok(t, remove(network.OldRouteEntry{ID: made.ID}))
	again, err := s.Network.CreateRouteEntry(ctx, alice, in)
	ok(t, err)
	if again.ID == made.ID {
		t.Errorf("the id %s was given twice", again.ID)
	}
	planetest.Refused(t, remove(network.OldRouteEntry{ID: made.ID}), fault.RouteEntryNotFound)
}

// TestRouteEntryPages: an entry that comes or goes between two pages moves no other.
func TestRouteEntryPages(t *testing.T) {
	s := newSite(t)
	rnd := rand.New(rand.NewPCG(3, 14))
	there := map[netip.Prefix]bool{}
	add := func() {
		for {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + rnd.IntN(8)), byte(rnd.IntN(4)), 0, 0}), 16)
			if !there[p] {
				there[p] = true
				s.Route(alice, s.table, p.String(), "", s.ecs)
				return
			}
		}
	}
	for range 12 {
		add()
	}
	for range 20 {
		want := map[netip.Prefix]bool{}
		for p := range there {
			want[p] = true
		}
		seen := map[netip.Prefix]int{}
		q := network.RouteEntryQuery{Table: s.table, System: []bool{false}, Size: 1 + rnd.IntN(5)}
		for {
			list, next, err := s.Network.RouteEntries(alice, q)
			ok(t, err)
			if len(list) > q.Size || next != "" && len(list) < q.Size {
				t.Fatalf("a page of %d, asked for %d", len(list), q.Size)
			}
			for _, e := range list {
				seen[e.Destination]++
			}
			if q.Token = next; next == "" {
				break
			}
			for gone := range there { // some one
				delete(there, gone)
				delete(want, gone)
				ok(t, s.Network.DeleteRouteEntry(ctx, alice, network.OldRouteEntry{Table: s.table, Destination: gone, NextHopID: s.ecs}))
				break
			}
			add()
		}
		for p := range want {
			if seen[p] != 1 {
				t.Fatalf("%s, which was there all the time, was listed %d times", p, seen[p])
			}
		}
	}
	_, next, err := s.Network.RouteEntries(alice, network.RouteEntryQuery{Table: s.table, Size: 1})
	ok(t, err)
	other := s.newTable(t)
	for _, q := range []network.RouteEntryQuery{{Table: s.table, Size: 1, Token: "none"}, {Table: other, Size: 1, Token: next}} {
		_, _, err := s.Network.RouteEntries(alice, q)
		planetest.Refused(t, err, fault.PageTokenInvalid)
	}
	_, _, err = s.Network.RouteEntries(bob, network.RouteEntryQuery{Table: s.table, Size: 1})
	planetest.Refused(t, err, fault.RouteTableNotFound)
}

// TestSecondaryBlocks adds and removes random blocks and VSwitches, and looks after each
// step whether what was accepted is what a look at all blocks allows.
func TestSecondaryBlocks(t *testing.T) {
	for seed := range uint64(8) {
		s := newSite(t)
		rnd := rand.New(rand.NewPCG(seed, 15))
		vpc := s.VPC(alice, "10.0.0.0/16").VPC
		blocks, switches := []netip.Prefix{cidr("10.0.0.0/16")}, map[string]netip.Prefix{}
		block := func(least, most int) netip.Prefix {
			net := [][4]byte{{10, byte(rnd.IntN(3)), 0, 0}, {172, byte(15 + rnd.IntN(3)), 0, 0}, {192, 168, byte(rnd.IntN(4) * 64), 0}, {100, 64, 0, 0}}[rnd.IntN(4)]
			p, err := netip.AddrFrom4(net).Prefix(least + rnd.IntN(most-least+1))
			ok(t, err)
			return p
		}
		for range 60 {
			switch rnd.IntN(4) {
			case 0:
				p := block(12, 24)
				allowed := len(blocks) < 6 && slices.ContainsFunc([]string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}, func(n string) bool { return cidr(n).Contains(p.Addr()) && p.Bits() >= cidr(n).Bits() }) &&
					!slices.ContainsFunc(blocks, p.Overlaps)
				if err := s.Network.AssociateCIDR(ctx, alice, planetest.Region, vpc, p); (err == nil) != allowed {
					t.Fatalf("seed %d: add %s to %v: %v", seed, p, blocks, err)
				} else if allowed {
					blocks = append(blocks, p)
				}
			case 1:
				p := blocks[rnd.IntN(len(blocks))]
				allowed := p != blocks[0]
				for _, x := range switches {
					allowed = allowed && !p.Overlaps(x)
				}
				if err := s.Network.UnassociateCIDR(ctx, alice, "", vpc, p); (err == nil) != allowed {
					t.Fatalf("seed %d: remove %s with VSwitches %v: %v", seed, p, switches, err)
				} else if allowed {
					blocks = slices.DeleteFunc(blocks, func(x netip.Prefix) bool { return x == p })
				}
			case 2:
				p := block(20, 26)
				allowed := slices.ContainsFunc(blocks, func(b netip.Prefix) bool { return b.Contains(p.Addr()) && b.Bits() <= p.Bits() })
				for _, x := range switches {
					allowed = allowed && !p.Overlaps(x)
				}
				id, err := s.Network.CreateVSwitch(ctx, alice, network.NewVSwitch{VPC: vpc, Zone: planetest.Zone, CIDR: p})
				if (err == nil) != allowed {
					t.Fatalf("seed %d: VSwitch %s in %v beside %v: %v", seed, p, blocks, switches, err)
				} else if allowed {
					switches[id] = p
				}
			case 3:
				for id := range switches { // some one
					ok(t, s.Network.DeleteVSwitch(ctx, alice, id))
					delete(switches, id)
					break
				}
			}
			x, err := s.Network.VPCByID(alice, planetest.Region, vpc)
			ok(t, err)
			if !slices.Equal(x.Blocks(), blocks) {
				t.Fatalf("seed %d: the VPC has %v, want %v", seed, x.Blocks(), blocks)
			}
		}
	}
}

// TestSecondaryBlockIsTheVPCs: what is checked against the VPC's block is checked against all.
func TestSecondaryBlockIsTheVPCs(t *testing.T) {
	s := newSite(t)
	block := cidr("172.16.0.0/16")
	gateway := s.Gateway(alice, s.vpc)
	e := s.NewEIP(alice)
	s.Bind(alice, e.ID, resource.BoundToNATGateway, gateway.ID)
	forward := func(n int) (string, error) {
		x, err := s.NAT.CreateForwardEntry(ctx, alice, nat.ForwardEntry{Region: planetest.Region, Table: gateway.ForwardTable, ExternalIP: e.Address, ExternalPort: uint16(n), Protocol: resource.TCP,
			InternalIP: netip.MustParseAddr("172.16.5.5"), InternalPort: uint16(n)})
		return x, err
	}
	_, err := forward(80)
	planetest.Refused(t, err, fault.InternalIPOutside)
	planetest.Refused(t, s.Network.AssociateCIDR(ctx, bob, "", s.vpc, block), fault.VPCNotFound)
	planetest.Refused(t, s.Network.AssociateCIDR(ctx, alice, "", s.vpc, cidr("8.0.0.0/8")), fault.SecondaryCIDRInvalid)
	planetest.Refused(t, s.Network.AssociateCIDR(ctx, alice, "", s.vpc, cidr("10.1.0.0/16")), fault.SecondaryCIDROverlap)
	s.Stalled(func() {
		ok(t, s.Network.AssociateCIDR(ctx, alice, "", s.vpc, block))
		planetest.Refused(t, s.Network.UnassociateCIDR(ctx, alice, "", s.vpc, block), fault.VPCInTransition)
	})
	id, err := forward(80)
	ok(t, err)
	planetest.Refused(t, s.Network.UnassociateCIDR(ctx, alice, "", s.vpc, block), fault.SecondaryCIDRInUse)
	ok(t, s.NAT.DeleteForwardEntry(ctx, alice, planetest.Region, gateway.ForwardTable, id))
	sw := s.VSwitch(alice, s.vpc, "172.16.5.0/24")
	planetest.Refused(t, s.Network.UnassociateCIDR(ctx, alice, "", s.vpc, block), fault.SecondaryCIDRInUse)
	ok(t, s.Network.DeleteVSwitch(ctx, alice, sw))
	ok(t, s.Network.UnassociateCIDR(ctx, alice, "", s.vpc, block))
	planetest.Refused(t, s.Network.UnassociateCIDR(ctx, alice, "", s.vpc, block), fault.SecondaryCIDRNotFound)
	for i := range 5 {
		ok(t, s.Network.AssociateCIDR(ctx, alice, "", s.vpc, cidr(fmt.Sprintf("192.168.%d.0/24", i))))
	}
	planetest.Refused(t, s.Network.AssociateCIDR(ctx, alice, "", s.vpc, block), fault.QuotaSecondaryCIDR)
}

// A route table leads to one NAT gateway, by as many entries as there are.
func TestOneNATGatewayInATable(t *testing.T) {
	s := planetest.New(t)
	made := s.VPC(alice, "10.0.0.0/8")
	vswitch := s.VSwitch(alice, made.VPC, "10.1.0.0/16")
	first := s.Gateway(alice, made.VPC).ID
	second, err := s.NAT.CreateGateway(ctx, alice, nat.Gateway{Region: planetest.Region, VPC: made.VPC, Enhanced: true, VSwitch: vswitch, ByUse: true})
	if err != nil {
		t.Fatal(err)
	}
	create := func(destination, gateway string) error {
		_, err := s.Network.CreateRouteEntry(ctx, alice, network.NewRouteEntry{Table: made.RouteTable, Destination: netip.MustParsePrefix(destination), NextHopType: resource.NextHopNATGateway, NextHopID: gateway})
		return err
	}
	planetest.Refused(t, create("8.0.0.0/8", second.ID), fault.RouteOtherNATGateway)
	if err := create("8.0.0.0/8", first); err != nil {
		t.Error(err)
	}
	planetest.Refused(t, s.Network.ModifyRouteEntry(ctx, alice, network.RouteEntryChange{Table: made.RouteTable, Destination: netip.MustParsePrefix("8.0.0.0/8"),
		NextHopType: resource.NextHopNATGateway, NextHopID: second.ID}), fault.RouteOtherNATGateway)
}
