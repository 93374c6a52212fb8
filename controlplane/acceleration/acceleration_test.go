package acceleration_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"sluice/controlplane/acceleration"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
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

// site has hosts and a load balancer in the region that instances of Region serve.
type site struct {
	*planetest.Plane
	vpc, host, slb string // 10.1.0.1, 10.1.0.2
	other, second  string // a second VPC there, with a host of the same address
	near           string // a host of Region
}

func newSite(t *testing.T) *site {
	p := planetest.New(t)
	s := &site{Plane: p, vpc: p.VPCIn(alice, planetest.Elsewhere, "10.0.0.0/8").VPC, other: p.VPCIn(alice, planetest.Elsewhere, "10.0.0.0/8").VPC}
	sw := p.VSwitch(alice, s.vpc, "10.1.0.0/16")
	s.host, s.slb = p.Instance(sw, "10.1.0.1", resource.Host), p.Instance(sw, "10.1.0.2", resource.LoadBalancer)
	s.second = p.Instance(p.VSwitch(alice, s.other, "10.1.0.0/16"), "10.1.0.1", resource.Host)
	s.near = p.Instance(p.VSwitch(alice, p.VPC(alice, "10.0.0.0/8").VPC, "10.1.0.0/16"), "", resource.Host)
	p.Settings.Regions = append(p.Settings.Regions, settings.Region{ID: "eu-1"}, settings.Region{ID: "moon-1"}, settings.Region{ID: "moon-2", Area: resource.AsiaPacific})
	return s
}

func wanted() acceleration.NewInstance {
	return acceleration.NewInstance{Region: planetest.Region, Service: resource.ChinaMainland, Bandwidth: 10, Name: "shop"}
}

func (s *site) create(t *testing.T) acceleration.Created {
	t.Helper()
	made, err := s.Acceleration.Create(ctx, alice, wanted())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (s *site) bind(c identity.Caller, id string, kind resource.InstanceKind, to string) error {
	return s.Acceleration.Associate(ctx, c, planetest.Region, id, acceleration.Backend{Type: kind, ID: to, Region: planetest.Elsewhere})
}

func (s *site) unbind(id string) error {
	return s.Acceleration.Unassociate(ctx, alice, planetest.Region, id)
}

func (s *site) remove(id string) error {
	return s.Acceleration.Delete(ctx, alice, planetest.Region, id)
}

func (s *site) status(id string) acceleration.Status {
	a, ok := s.DB.View().Accelerations.Get(id)
	if !ok {
		return -1
	}
	return acceleration.StatusOf(s.DB.Observed, a)
}

// An instance goes through its states as both networks follow, and back.
func TestStates(t *testing.T) {
	s := newSite(t)
	for kind, to := range map[resource.InstanceKind]string{resource.Host: s.host, resource.LoadBalancer: s.slb} {
		made := s.create(t)
		id := made.ID
		if got := s.status(id); got != acceleration.Available {
			t.Fatalf("a new one is in state %v", got)
		}
		planetest.Refused(t, s.unbind(id), fault.AccelerationStatus)
		s.Dataplane(planetest.Stalls)
		if err := s.bind(alice, id, kind, to); err != nil {
			t.Fatal(err)
		}
		for _, network := range []string{"", id} { // one of both is not enough
			if network != "" {
				s.DB.Observed.Report(network, s.DB.View().Revision, nil, planetest.Now)
			}
			if got := s.status(id); got != acceleration.Associating {
				t.Errorf("after %q has followed: %v, want Associating", network, got)
			}
			planetest.Refused(t, s.unbind(id), fault.AccelerationInTransition)
			planetest.Refused(t, s.bind(alice, id, kind, to), fault.AccelerationStatus)
			planetest.Refused(t, s.remove(id), fault.AccelerationStatus)
		}
		s.Dataplane(planetest.Follows)
		s.Follow()
		if got := s.status(id); got != acceleration.InUse {
			t.Errorf("%v, want InUse", got)
		}
		if err := s.Acceleration.ModifyBandwidth(ctx, alice, planetest.Region, id, 200); err != nil || s.status(id) != acceleration.InUse {
			t.Errorf("another bandwidth: %v, %v", err, s.status(id))
		}
		planetest.Refused(t, s.remove(id), fault.AccelerationStatus)
		planetest.Refused(t, s.Inventory.Remove(ctx, to), fault.InstanceHasDependents)
		planetest.Refused(t, s.Network.DeleteVPC(ctx, alice, s.vpc), fault.VPCHasInstances)
		s.Dataplane(planetest.Stalls)
		if err := s.unbind(id); err != nil {
			t.Fatal(err)
		}
		s.DB.Observed.Report(id, s.DB.View().Revision, nil, planetest.Now)
		if got := s.status(id); got != acceleration.Unassociating {
			t.Errorf("%v, want Unassociating", got)
		}
		planetest.Refused(t, s.unbind(id), fault.AccelerationStatus)
		planetest.Refused(t, s.bind(alice, id, kind, to), fault.AccelerationInTransition)
		planetest.Refused(t, s.remove(id), fault.AccelerationInTransition)
		s.Dataplane(planetest.Follows)
		s.Follow()
		if got := s.status(id); got != acceleration.Available {
			t.Errorf("%v, want Available", got)
		}
		if err := s.remove(id); err != nil {
			t.Fatal(err)
		}
		if got := s.status(id); got != -1 {
			t.Errorf("deleted, and in state %v", got)
		}
		if _, remembered := s.DB.View().DeletedNetworks.Get(id); !remembered {
			t.Error("that its network was deleted is not remembered")
		}
	}
}

// A network that refuses bars the way back neither from it nor to it, and a restart waits
// for both networks' word.
func TestRefusingNetwork(t *testing.T) {
	s := newSite(t)
	id := s.create(t).ID
	s.Dataplane(planetest.Refuses)
	if err := s.bind(alice, id, resource.Host, s.host); err != nil {
		t.Fatal(err)
	}
	if got := s.status(id); got != acceleration.Associating {
		t.Errorf("%v, want Associating", got)
	}
	if err := s.unbind(id); err != nil {
		t.Errorf("the way back is barred: %v", err)
	}
	planetest.Refused(t, s.bind(alice, id, resource.Host, s.host), fault.AccelerationStatus) // its address may be linked still
	s.Dataplane(planetest.Follows)
	s.Follow()
	if err := s.bind(alice, id, resource.Host, s.host); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	if got := s.status(id); got != acceleration.Associating {
		t.Errorf("after a restart nothing was seen, and it is %v", got)
	}
	s.Follow()
	if got := s.status(id); got != acceleration.InUse {
		t.Errorf("%v, want InUse", got)
	}
}

// An instance moves from one VPC to another; the one that it has left may go.
func TestMoves(t *testing.T) {
	s := newSite(t)
	id := s.create(t).ID
	if err := s.bind(alice, id, resource.Host, s.second); err != nil {
		t.Fatal(err)
	}
	if err := s.unbind(id); err != nil {
		t.Fatal(err)
	}
	if err := s.bind(alice, id, resource.Host, s.host); err != nil {
		t.Fatal(err)
	}
	a, _ := s.DB.View().Accelerations.Get(id)
	if want := (resource.AccelerationBackend{Type: resource.Host, ID: s.host, Region: planetest.Elsewhere, Address: netip.MustParseAddr("10.1.0.1")}); a.VPC != s.vpc || *a.Backend != want {
		t.Errorf("%+v, %+v", a, a.Backend)
	}
	if err := s.unbind(id); err != nil {
		t.Fatal(err)
	}
	v := s.DB.View()
	for i := range v.Instances.By(state.ByVPC, s.vpc).All() {
		if err := s.Inventory.Remove(ctx, i.ID); err != nil {
			t.Fatal(err)
		}
	}
	for sw := range v.VSwitches.By(state.ByVPC, s.vpc).All() {
		if err := s.Network.DeleteVSwitch(ctx, alice, sw.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Network.DeleteVPC(ctx, alice, s.vpc); err != nil {
		t.Fatal(err)
	}
	if got := s.status(id); got != acceleration.Available {
		t.Errorf("the VPC that it has left is gone, and it is %v", got)
	}
	if err := s.bind(alice, id, resource.Host, s.second); err != nil {
		t.Error(err)
	}
}

func TestCreateRefused(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		name   string
		change func(*acceleration.NewInstance)
		want   fault.Reason
	}{
		{"region", func(n *acceleration.NewInstance) { n.Region = "mars" }, fault.RegionNotFound},
		{"nothing there", func(n *acceleration.NewInstance) { n.Service = resource.NorthAmerica }, fault.AccelerationService},
		{"only its own region there", func(n *acceleration.NewInstance) { n.Region, n.Service = "eu-1", resource.Europe }, fault.AccelerationService},
		{"no public network", func(n *acceleration.NewInstance) { n.Region = planetest.Unserved }, fault.NoFreeElasticIP},
	} {
		in := wanted()
		c.change(&in)
		_, err := s.Acceleration.Create(ctx, alice, in)
		t.Run(c.name, func(t *testing.T) { planetest.Refused(t, err, c.want) })
	}
	for mbit := -10; mbit <= 1110; mbit++ {
		in := wanted()
		in.Bandwidth, in.Region = mbit, planetest.Unserved
		want := fault.NoFreeElasticIP
		if !slices.Contains([]int{10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000}, mbit) {
			want = fault.AccelerationBandwidth
		}
		_, err := s.Acceleration.Create(ctx, alice, in)
		planetest.Refused(t, err, want)
	}
	in := wanted()
	in.Service = resource.AsiaPacific // where the configuration says that moon-2 is
	if _, err := s.Acceleration.Create(ctx, alice, in); err != nil {
		t.Error(err)
	}
	s.Settings.Quotas["global_acceleration_instances"] = 1
	_, err := s.Acceleration.Create(ctx, alice, wanted())
	planetest.Refused(t, err, fault.QuotaAcceleration)
}

func TestAssociateRefused(t *testing.T) {
	s := newSite(t)
	id := s.create(t).ID
	theirs := s.Instance(s.VSwitch(bob, s.VPCIn(bob, planetest.Elsewhere, "10.0.0.0/8").VPC, "10.1.0.0/16"), "", resource.Host)
	for _, c := range []struct {
		name    string
		caller  identity.Caller
		region  string
		id      string
		backend acceleration.Backend
		want    fault.Reason
	}{
		{"region", alice, "mars", id, acceleration.Backend{Type: resource.Host, ID: s.host, Region: planetest.Elsewhere}, fault.RegionNotFound},
		{"other region", alice, planetest.Elsewhere, id, acceleration.Backend{Type: resource.Host, ID: s.host, Region: planetest.Elsewhere}, fault.AccelerationNotFound},
		{"other account", bob, planetest.Region, id, acceleration.Backend{Type: resource.Host, ID: theirs, Region: planetest.Elsewhere}, fault.AccelerationNotFound},
		{"no such region", alice, planetest.Region, id, acceleration.Backend{Type: resource.Host, ID: s.host, Region: "mars"}, fault.BackendRegionNotFound},
		{"same region", alice, planetest.Region, id, acceleration.Backend{Type: resource.Host, ID: s.near, Region: planetest.Region}, fault.BackendRegionSame},
		{"other area", alice, planetest.Region, id, acceleration.Backend{Type: resource.Host, ID: s.host, Region: "eu-1"}, fault.BackendRegionOutside},
		{"no area", alice, planetest.Region, id, acceleration.Backend{Type: resource.Host, ID: s.host, Region: "moon-1"}, fault.BackendRegionOutside},
		{"not there", alice, planetest.Region, id, acceleration.Backend{Type: resource.Host, ID: s.near, Region: planetest.Elsewhere}, fault.BackendNotFound},
		{"other kind", alice, planetest.Region, id, acceleration.Backend{Type: resource.LoadBalancer, ID: s.host, Region: planetest.Elsewhere}, fault.BackendNotFound},
		{"other's", alice, planetest.Region, id, acceleration.Backend{Type: resource.Host, ID: theirs, Region: planetest.Elsewhere}, fault.BackendNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			planetest.Refused(t, s.Acceleration.Associate(ctx, c.caller, c.region, c.id, c.backend), c.want)
		})
	}
}

// A backend may have several instances, up to its quota, and a VPC as many as its network can
// be linked with.
func TestManyOfABackend(t *testing.T) {
	s := newSite(t)
	s.Settings.Quotas["global_acceleration_instances"] = 100
	s.Settings.Quotas["global_acceleration_instances_per_backend"] = 20
	s.Settings.Public[0].Pool = []settings.Range{{First: netip.MustParseAddr("203.0.113.10"), Last: netip.MustParseAddr("203.0.113.200")}}
	seen := map[netip.Addr]bool{}
	for i := range 32 {
		made := s.create(t)
		if seen[made.Address] {
			t.Fatalf("%s is given twice", made.Address)
		}
		seen[made.Address] = true
		kind, to := resource.Host, s.host
		if i >= 20 {
			kind, to = resource.LoadBalancer, s.slb
		}
		if i == 20 {
			planetest.Refused(t, s.bind(alice, made.ID, resource.Host, s.host), fault.QuotaAccelerationsOfServer)
		}
		if err := s.bind(alice, made.ID, kind, to); err != nil {
			t.Fatal(err)
		}
	}
	planetest.Refused(t, s.bind(alice, s.create(t).ID, resource.LoadBalancer, s.slb), fault.QuotaAccelerationsOfServer)
	if err := s.bind(alice, s.create(t).ID, resource.Host, s.second); err != nil {
		t.Error(err)
	}
	list, err := s.Acceleration.OfServer(alice, acceleration.Backend{Type: resource.Host, ID: s.host, Region: planetest.Elsewhere})
	if err != nil || len(list) != 20 {
		t.Errorf("%d of the host, %v", len(list), err)
	}
}

// No address is an instance's and an elastic IP's, whoever comes first.
func TestAddresses(t *testing.T) {
	s := newSite(t)
	s.Settings.Quotas["elastic_ips"], s.Settings.Quotas["global_acceleration_instances"] = 100, 100
	seen := map[netip.Addr]bool{}
	for range 15 {
		for _, a := range []netip.Addr{s.NewEIP(alice).Address, s.create(t).Address} {
			if seen[a] {
				t.Fatalf("%s is given twice", a)
			}
			seen[a] = true
		}
	}
	_, err := s.Acceleration.Create(ctx, alice, wanted())
	planetest.Refused(t, err, fault.NoFreeElasticIP)
}
