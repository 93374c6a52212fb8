package nat_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"sluice/controlplane/compile"
	"sluice/controlplane/eip"
	"sluice/controlplane/fault"
	"sluice/controlplane/nat"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

var alice = planetest.Alice

// site is a VPC of Alice's with a NAT gateway and a VSwitch.
type site struct {
	*planetest.Plane
	t        *testing.T
	vpc, vsw string
	g        nat.NewGateway
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{Plane: planetest.New(t), t: t}
	s.vpc = s.VPC(alice, "10.0.0.0/16").VPC
	s.vsw = s.VSwitch(alice, s.vpc, "10.0.1.0/24")
	s.g = s.Gateway(alice, s.vpc)
	return s
}

func (s *site) make(addresses, mbit int) string {
	s.t.Helper()
	id, err := s.NAT.CreatePackage(ctx, alice, nat.BandwidthPackage{Region: planetest.Region, Gateway: s.g.ID, Addresses: addresses, Bandwidth: mbit})
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *site) ok(errs ...error) {
	s.t.Helper()
	for _, err := range errs {
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) show(id string) nat.PackageStatus {
	s.t.Helper()
	list, err := s.NAT.Packages(alice, nat.PackageQuery{Region: planetest.Region, IDs: state.OneOf[string]{id}, Page: state.Page{Limit: 10}})
	if err != nil || len(list.Items) != 1 {
		s.t.Fatalf("%+v, %v", list, err)
	}
	return list.Items[0]
}

// An address of a package is no elastic IP to clients, and serves entries as one.
func TestPackageAddresses(t *testing.T) {
	s := newSite(t)
	id := s.make(3, 5)
	p := s.show(id)
	if len(p.Addresses) != 3 || p.Phase != resource.Ready || p.Zone != planetest.Zone || p.Gateway != s.g.ID {
		t.Fatalf("%+v", p)
	}
	first, second, third := p.Addresses[0], p.Addresses[1], p.Addresses[2]
	for what, err := range map[string]error{
		"release": s.EIP.Release(ctx, alice, first.ID),
		"modify":  s.EIP.Modify(ctx, alice, first.ID, eip.Change{}),
		"unbind":  s.EIP.Unassociate(ctx, alice, first.ID, *first.Binding, true),
		"protect": s.EIP.Protect(ctx, alice, planetest.Region, first.ID, true),
	} {
		if err == nil {
			t.Errorf("%s: an address of a package is an elastic IP", what)
			continue
		}
		planetest.Refused(t, err, fault.ElasticIPNotFound)
	}
	list, err := s.EIP.List(alice, eip.Filter{Region: planetest.Region, IDs: state.OneOf[string]{first.ID}}, state.Page{Limit: 10})
	if err != nil || list.Total != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if g, _ := s.NAT.GatewayByID(alice, planetest.Region, s.g.ID); len(g.Addresses) != 0 || !slices.Equal(g.Packages, []string{id}) {
		t.Errorf("gateway %+v", g)
	}

	snat, err := s.NAT.CreateSNATEntry(ctx, alice, nat.SNATEntry{Region: planetest.Region, Table: s.g.SNATTable, VSwitch: s.vsw, Pool: []netip.Addr{first.Address, second.Address}})
	s.ok(err)
	_, err = s.NAT.CreateForwardEntry(ctx, alice, nat.ForwardEntry{Region: planetest.Region, Table: s.g.ForwardTable, ExternalIP: third.Address,
		ExternalPort: 80, InternalPort: 80, Protocol: resource.TCP, InternalIP: netip.MustParseAddr("10.0.1.5")})
	s.ok(err)
	if p := s.show(id); p.Addresses[0].Use != nat.UsedBySNAT || p.Addresses[2].Use != nat.UsedByDNAT {
		t.Errorf("%+v", p.Addresses)
	}
	shrink := func(names ...string) error {
		return s.NAT.ShrinkPackage(ctx, alice, planetest.Region, id, names)
	}
	own := s.NewEIP(alice)
	other := s.show(s.make(1, 5)).Addresses[0]
	for _, c := range []struct {
		names []string
		want  fault.Reason
	}{
		{[]string{"nateip-none"}, fault.NATPackageNoAddress},
		{[]string{first.ID, "192.0.2.77"}, fault.NATPackageNoAddress},
		{[]string{own.ID}, fault.NATPackageNoAddress},
		{[]string{own.Address.String()}, fault.NATPackageNoAddress},
		{[]string{other.ID}, fault.NATPackageOtherIP},
		{[]string{first.ID, other.Address.String()}, fault.NATPackageOtherIP},
		{[]string{first.ID, second.Address.String(), third.ID}, fault.NATPackageEmpty},
		{[]string{first.ID}, fault.NATPackageUsedBySNAT},
		{[]string{first.ID, third.ID}, fault.NATPackageUsedByDNAT},
	} {
		planetest.Refused(t, shrink(c.names...), c.want)
	}
	planetest.Refused(t, s.NAT.ShrinkPackage(ctx, planetest.Bob, planetest.Region, id, []string{first.ID}), fault.NATPackageNotFound)
	planetest.Refused(t, s.NAT.DeletePackage(ctx, alice, planetest.Region, id, false), fault.NATPackageUsedByDNAT)
	planetest.Refused(t, s.NAT.DeleteGateway(ctx, alice, planetest.Region, s.g.ID, false), fault.GatewayHasDependents)
	s.ok(s.NAT.ModifySNATEntry(ctx, alice, nat.SNATEntryChange{Region: planetest.Region, Table: s.g.SNATTable, ID: snat, Pool: []netip.Addr{first.Address}}))
	s.ok(shrink(second.ID, second.Address.String()))
	if p := s.show(id); len(p.Addresses) != 2 {
		t.Errorf("%+v", p.Addresses)
	}
	s.ok(s.NAT.DeletePackage(ctx, alice, planetest.Region, id, true))
	v := s.DB.View()
	if v.ForwardEntries.Len() != 0 || v.SNATEntries.Len() != 0 || v.ElasticIPs.Len() != 2 || v.NATPackages.Len() != 1 {
		t.Errorf("left are %d DNAT entries, %d SNAT entries, %d addresses and %d packages", v.ForwardEntries.Len(), v.SNATEntries.Len(), v.ElasticIPs.Len(), v.NATPackages.Len())
	}
	s.ok(s.NAT.DeleteGateway(ctx, alice, planetest.Region, s.g.ID, true))
	if v := s.DB.View(); v.ElasticIPs.Len() != 1 || v.NATPackages.Len() != 0 {
		t.Errorf("the gateway is gone, and left are %d addresses and %d packages", v.ElasticIPs.Len(), v.NATPackages.Len())
	}
}

// A package is made, grown and changed live, and says when the dataplane has followed.
func TestPackages(t *testing.T) {
	s := newSite(t)
	create := func(in nat.BandwidthPackage) error {
		if in.Region == "" {
			in.Region = planetest.Region
		}
		if in.Gateway == "" {
			in.Gateway = s.g.ID
		}
		_, err := s.NAT.CreatePackage(ctx, alice, in)
		return err
	}
	for _, c := range []struct {
		in   nat.BandwidthPackage
		want fault.Reason
	}{
		{nat.BandwidthPackage{Region: "mars", Addresses: 1, Bandwidth: 5}, fault.RegionNotFound},
		{nat.BandwidthPackage{Zone: planetest.ZoneThere, Addresses: 1, Bandwidth: 5}, fault.ZoneNotFound},
		{nat.BandwidthPackage{Addresses: 0, Bandwidth: 5}, fault.NATPackageIPCount},
		{nat.BandwidthPackage{Addresses: 1, Bandwidth: 4}, fault.NATPackageBandwidth},
		{nat.BandwidthPackage{Addresses: 1, Bandwidth: 5001}, fault.NATPackageBandwidth},
		{nat.BandwidthPackage{Addresses: 1, Bandwidth: 5, Gateway: "ngw-none"}, fault.NATGatewayNotFound},
		{nat.BandwidthPackage{Addresses: 51, Bandwidth: 5}, fault.QuotaNATPackageIPs},
		{nat.BandwidthPackage{Addresses: 1 << 40, Bandwidth: 5}, fault.QuotaNATPackageIPs},
		{nat.BandwidthPackage{Addresses: 31, Bandwidth: 5}, fault.NoFreeElasticIP},
	} {
		planetest.Refused(t, create(c.in), c.want)
	}
	id := s.make(1, 5)
	s.Stalled(func() {
		s.ok(s.NAT.GrowPackage(ctx, alice, planetest.Region, id, 3))
		if p := s.show(id); p.Phase != resource.Changing || len(p.Addresses) != 3 {
			t.Errorf("%+v", p)
		}
	})
	s.Stalled(func() {
		s.ok(s.NAT.ModifyPackageBandwidth(ctx, alice, planetest.Region, id, 50))
		if p := s.show(id); p.Phase != resource.Changing || p.Bandwidth != 50 {
			t.Errorf("%+v", p)
		}
		planetest.Refused(t, create(nat.BandwidthPackage{Addresses: 1, Bandwidth: 5, Gateway: "ngw-none"}), fault.NATGatewayNotFound)
	})
	name := "shared"
	s.Stalled(func() {
		s.ok(s.NAT.ModifyPackage(ctx, alice, planetest.Region, id, resource.Naming{Name: &name}))
		if p := s.show(id); p.Phase != resource.Ready || p.Name != name {
			t.Errorf("%+v", p)
		}
	})
	for _, n := range []int{1, 3} {
		planetest.Refused(t, s.NAT.GrowPackage(ctx, alice, planetest.Region, id, n), fault.NATPackageIPCount)
	}
	planetest.Refused(t, s.NAT.GrowPackage(ctx, alice, planetest.Region, id, 51), fault.QuotaNATPackageIPs)
	for range 3 {
		s.make(1, 5)
	}
	planetest.Refused(t, create(nat.BandwidthPackage{Addresses: 1, Bandwidth: 5}), fault.TooManyBandwidthPackages)
	s.Settings.Bandwidth.NATPackages = []string{planetest.Bob.Account}
	planetest.Refused(t, create(nat.BandwidthPackage{Addresses: 1, Bandwidth: 5}), fault.ParameterNotApplicable)
	s.ok(s.NAT.GrowPackage(ctx, alice, planetest.Region, id, 4)) // what there is goes on
}

// A gateway is made with packages, all or nothing.
func TestGatewayWithPackages(t *testing.T) {
	s := newSite(t)
	vpc := s.VPC(alice, "10.0.0.0/16").VPC
	in := nat.Gateway{Region: planetest.Region, VPC: vpc, Limits: nat.Gateway{}.Limits, BandwidthPackages: []nat.BandwidthPackage{{Addresses: 2, Bandwidth: 5}, {Addresses: 1, Bandwidth: 10, Zone: planetest.Zone2, ByTraffic: true}}}
	in.Limits.Connections, in.Limits.NewPerSecond = 10, 10
	made, err := s.NAT.CreateGateway(ctx, alice, in)
	s.ok(err)
	if len(made.Packages) != 2 {
		t.Fatalf("%+v", made)
	}
	if p := s.show(made.Packages[1]); p.Gateway != made.ID || p.VPC != vpc || p.Zone != planetest.Zone2 || !p.ByTraffic || len(p.Addresses) != 1 {
		t.Errorf("%+v", p)
	}
	in.VPC = s.VPC(alice, "10.0.0.0/16").VPC
	in.BandwidthPackages[1].Addresses = 40 // more than there are
	before := s.DB.View()
	_, err = s.NAT.CreateGateway(ctx, alice, in)
	planetest.Refused(t, err, fault.NoFreeElasticIP)
	if s.DB.View() != before {
		t.Error("a refused gateway has left something")
	}
}

// A package becomes a common one: its addresses are elastic IPs then, bound, in use and in
// the tables as before.
func TestConvertPackage(t *testing.T) {
	s := newSite(t)
	id := s.make(2, 50)
	old := s.show(id)
	snat, err := s.NAT.CreateSNATEntry(ctx, alice, nat.SNATEntry{Region: planetest.Region, Table: s.g.SNATTable, VSwitch: s.vsw, Pool: []netip.Addr{old.Addresses[0].Address}})
	s.ok(err)
	s.Settings.Quotas["elastic_ips"] = 1
	_, err = s.NAT.ConvertPackage(ctx, alice, planetest.Region, id)
	planetest.Refused(t, err, fault.QuotaElasticIP)
	s.Settings.Quotas["elastic_ips"] = 20
	_, err = s.NAT.ConvertPackage(ctx, planetest.Bob, planetest.Region, id)
	planetest.Refused(t, err, fault.NATPackageNotFound)
	c := compile.New(s.Settings, s.vpc, nil)
	n, err := c.Network(s.DB.View(), s.DB.Changes)
	s.ok(err)
	before := *n
	s.Dataplane(planetest.Stalls)
	common, err := s.NAT.ConvertPackage(ctx, alice, planetest.Region, id)
	s.ok(err)
	list, err := s.EIP.List(alice, eip.Filter{Region: planetest.Region, Packages: state.OneOf[string]{common}}, state.Page{Limit: 10})
	if err != nil || len(list.Items) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for i, e := range list.Items {
		if e.Status != eip.InUse || e.Holds() != 50 || e.IsPart() || e.Binding.ID != s.g.ID || !slices.ContainsFunc(old.Addresses, func(a nat.GatewayAddress) bool { return a.Address == e.Address }) {
			t.Errorf("elastic IP %d: %+v", i, e.ElasticIP)
		}
	}
	if e, ok := s.DB.View().SNATEntries.Get(snat); !ok || e.Pool[0] != old.Addresses[0].Address {
		t.Error("the SNAT entry has changed")
	}
	n, err = c.Network(s.DB.View(), s.DB.Changes)
	s.ok(err)
	if len(n.Bandwidths) != 3 || n.Bandwidths[0].ID != common || n.Bandwidths[0].Outbound != 50 || n.Bandwidths[1].Within != common || n.Bandwidths[2].Within != common ||
		!slices.Equal(n.Elastic, before.Elastic) || len(n.SNAT) != 1 {
		t.Errorf("before %+v, then %+v", before.Bandwidths, n.Bandwidths)
	}
	s.Dataplane(planetest.Follows)
	s.Follow()
	s.ok(s.Bandwidth.Remove(ctx, alice, planetest.Region, common, list.Items[0].ID))
}

// TestPackageModel makes calls at random, and compares what is listed and compiled with a
// model.
func TestPackageModel(t *testing.T) {
	s := newSite(t)
	r := rand.New(rand.NewPCG(14, 2))
	type pkg struct{ mbit, addresses int }
	model := map[string]*pkg{}
	c := compile.New(s.Settings, s.vpc, nil)
	done := map[string]int{}
	for range 200 {
		id := "bwp-none"
		if all := slices.Sorted(maps.Keys(model)); len(all) > 0 {
			id = all[r.IntN(len(all))]
		}
		p, n, mbit := model[id], 1+r.IntN(6), 5+r.IntN(50)
		var err error
		change := func() {}
		what := []string{"create", "create", "grow", "shrink", "spec", "delete"}[r.IntN(6)]
		switch what {
		case "create":
			var made string
			made, err = s.NAT.CreatePackage(ctx, alice, nat.BandwidthPackage{Region: planetest.Region, Gateway: s.g.ID, Addresses: n, Bandwidth: mbit})
			change = func() { model[made] = &pkg{mbit, n} }
		case "grow":
			err = s.NAT.GrowPackage(ctx, alice, planetest.Region, id, n)
			change = func() { p.addresses = n }
		case "shrink":
			var names []string
			if p != nil {
				for _, a := range s.show(id).Addresses[:min(n, p.addresses)] {
					names = append(names, []string{a.ID, a.Address.String()}[r.IntN(2)])
				}
			}
			err = s.NAT.ShrinkPackage(ctx, alice, planetest.Region, id, names)
			change = func() { p.addresses -= len(names) }
		case "spec":
			err = s.NAT.ModifyPackageBandwidth(ctx, alice, planetest.Region, id, mbit)
			change = func() { p.mbit = mbit }
		case "delete":
			err = s.NAT.DeletePackage(ctx, alice, planetest.Region, id, false)
			change = func() { delete(model, id) }
		}
		if err != nil {
			continue
		}
		done[what]++
		change()
		network, err := c.Network(s.DB.View(), s.DB.Changes)
		s.ok(err)
		got, want, addresses := map[string]string{}, map[string]string{}, 0
		parts := map[string]int{}
		for _, b := range network.Bandwidths {
			parts[b.Within] += len(b.Elastic)
		}
		for _, b := range network.Bandwidths {
			if b.Within == "" {
				got[b.ID] = fmt.Sprint(b.Outbound, b.Inbound, parts[b.ID])
			}
		}
		for id, p := range model {
			want[id] = fmt.Sprint(p.mbit, max(p.mbit, 10), p.addresses)
			addresses += p.addresses
			if shown := s.show(id); len(shown.Addresses) != p.addresses || shown.Bandwidth != p.mbit {
				t.Errorf("%s is shown as %+v, want %+v", id, shown, p)
			}
		}
		if !maps.Equal(got, want) || len(network.Elastic) != addresses {
			t.Fatalf("after %s of %s: %v, %d addresses; want %v, %d", what, id, got, len(network.Elastic), want, addresses)
		}
	}
	if t.Logf("done %v", done); len(done) < 5 {
		t.Errorf("only %v was ever done", done)
	}
}
