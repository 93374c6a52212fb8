package vpn_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/tags"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

// site is a VPC of Alice's with a VPN gateway in its VSwitch, and a customer
// gateway.
type site struct {
	*planetest.Plane
	vpc, vswitch, gateway, customer string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{Plane: planetest.New(t)}
	s.vpc = s.Plane.VPC(planetest.Alice, "10.0.0.0/16").VPC
	s.vswitch = s.VSwitch(planetest.Alice, s.vpc, "10.0.1.0/24")
	s.gateway = s.create(t, vpn.Gateway{Region: planetest.Region, VPC: s.vpc, VSwitch: s.vswitch, Bandwidth: 5, IPsec: true}).ID
	g, err := s.VPN.CreateCustomerGateway(ctx, planetest.Alice, vpn.CustomerGateway{Region: planetest.Region, Address: netip.MustParseAddr("198.51.100.1"), ASN: 4294967295})
	if err != nil {
		t.Fatal(err)
	}
	s.customer = g.ID
	return s
}

func (s *site) create(t *testing.T, in vpn.Gateway) vpn.NewGateway {
	t.Helper()
	g, err := s.VPN.CreateGateway(ctx, planetest.Alice, in)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (s *site) status(t *testing.T) vpn.GatewayStatus {
	t.Helper()
	g, err := s.VPN.Gateway(planetest.Alice, planetest.Region, s.gateway)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var anyProposal = dataplane.Proposal{Encryption: dataplane.AES128, Integrity: dataplane.SHA1, Group: 2}

// connect puts a connection with a route between the two gateways.
func (s *site) connect(t *testing.T) {
	t.Helper()
	meta := func(id string) resource.Meta {
		return resource.Meta{ID: id, Account: planetest.Alice.Account, Region: planetest.Region, CreatedAt: planetest.Now}
	}
	to := netip.MustParsePrefix("172.16.0.0/12")
	for _, r := range []resource.Resource{
		&resource.VPNConnection{Meta: meta("vco-1"), VPC: s.vpc, Gateway: s.gateway, CustomerGateway: s.customer, BGP: resource.BGPConfig{Enabled: true},
			IKE: resource.IKEConfig{IKE: dataplane.IKE{Proposal: anyProposal}}, IPsec: dataplane.ESP{Proposal: anyProposal}},
		&resource.VPNRoute{Meta: meta(resource.VPNRouteID(s.gateway, netip.Prefix{}, to, "vco-1")), VPC: s.vpc, Gateway: s.gateway, Destination: to, Connection: "vco-1"},
	} {
		if err := s.Put(r); err != nil {
			t.Fatal(err)
		}
	}
}

func succeeds(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCreateGateway(t *testing.T) {
	s := newSite(t)
	g, _ := s.DB.View().VPNGateways.Get(s.gateway)
	pool := netip.MustParsePrefix("203.0.113.0/24")
	if !strings.HasPrefix(g.ID, "vpn-") || g.Name != g.ID || g.Account != planetest.Alice.Account || g.Region != planetest.Region || !g.CreatedAt.Equal(planetest.Now) ||
		!pool.Contains(g.Address) || g.PublicNetwork != "internet" || g.VSwitch != s.vswitch || !g.Expires.IsZero() || g.SSLConnections != 0 {
		t.Errorf("gateway %+v", g)
	}
	if st := s.status(t); st.Phase != resource.Ready || st.BGP || st.Private != netip.MustParseAddr("10.0.1.253") {
		t.Errorf("status %+v", st)
	}

	other := s.VPC(planetest.Alice, "10.0.0.0/16").VPC
	made := s.create(t, vpn.Gateway{Region: planetest.Region, VPC: other, Name: "edge", Bandwidth: 200, Prepaid: true, Period: 1, SSL: true})
	p, _ := s.DB.View().VPNGateways.Get(made.ID)
	if made.Name != "edge" || p.Name != "edge" || made.Order == 0 || !p.Expires.Equal(planetest.Now.AddDate(0, 1, 0)) || p.SSLConnections != 5 || p.Address == g.Address {
		t.Errorf("prepaid: %+v, %+v", made, p)
	}
}

func TestCreateGatewayIsRefused(t *testing.T) {
	good := vpn.Gateway{Region: planetest.Region, Bandwidth: 5, IPsec: true}
	for name, c := range map[string]struct {
		change func(*site, *vpn.Gateway)
		want   fault.Reason
	}{
		"region":         {func(_ *site, g *vpn.Gateway) { g.Region = "mars" }, fault.RegionNotFound},
		"VPC":            {func(_ *site, g *vpn.Gateway) { g.VPC = "vpc-none" }, fault.VPCNotFound},
		"another region": {func(_ *site, g *vpn.Gateway) { g.Region = planetest.Elsewhere }, fault.VPCNotFound},
		"Bob's VPC":      {func(s *site, g *vpn.Gateway) { g.VPC = s.VPC(planetest.Bob, "10.0.0.0/16").VPC }, fault.VPCNotFound},
		"VSwitch":        {func(_ *site, g *vpn.Gateway) { g.VSwitch = "vsw-none" }, fault.VSwitchNotFound},
		"VSwitch of another VPC": {func(s *site, g *vpn.Gateway) {
			g.VSwitch = s.vswitch
		}, fault.VSwitchNotFound},
		"period":        {func(_ *site, g *vpn.Gateway) { g.Prepaid = true }, fault.PeriodMissing},
		"second":        {func(s *site, g *vpn.Gateway) { g.VPC = s.vpc }, fault.VPNGatewayExists},
		"no strongSwan": {func(s *site, _ *vpn.Gateway) { s.Tunnels.Unable(errors.New("charon is missing")) }, fault.VPNUnavailable},
		"no public network": {func(s *site, g *vpn.Gateway) {
			g.Region, g.VPC = planetest.Unserved, s.VPCIn(planetest.Alice, planetest.Unserved, "10.0.0.0/16").VPC
		}, fault.NoFreeElasticIP},
		"no free address": {func(s *site, _ *vpn.Gateway) {
			g, _ := s.DB.View().VPNGateways.Get(s.gateway)
			s.Settings.Public[0].Pool = s.Settings.Public[0].Pool[:1]
			s.Settings.Public[0].Pool[0].First, s.Settings.Public[0].Pool[0].Last = g.Address, g.Address
		}, fault.NoFreeElasticIP},
		"VPC in transition": {func(s *site, g *vpn.Gateway) {
			s.Dataplane(planetest.Stalls)
			g.VPC = s.VPC(planetest.Alice, "10.0.0.0/16").VPC
		}, fault.VPCInTransition},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			in := good
			in.VPC = s.VPC(planetest.Alice, "10.0.0.0/16").VPC
			c.change(s, &in)
			before := s.DB.View()
			_, err := s.VPN.CreateGateway(ctx, planetest.Alice, in)
			planetest.Refused(t, err, c.want)
			if s.DB.View() != before {
				t.Error("a refused call changed something")
			}
		})
	}
}

// An elastic IP and a gateway never get the same address.
func TestAddressesAreDrawnOnce(t *testing.T) {
	s := newSite(t)
	s.Settings.Quotas["elastic_ips"] = 100
	g := s.status(t).Address
	for range 29 { // of the pool's 30
		if e := s.NewEIP(planetest.Alice); e.Address == g {
			t.Fatalf("elastic IP %s has the gateway's address", e.ID)
		}
	}
	_, err := s.VPN.CreateGateway(ctx, planetest.Alice, vpn.Gateway{Region: planetest.Region, VPC: s.VPC(planetest.Alice, "10.0.0.0/16").VPC, IPsec: true})
	planetest.Refused(t, err, fault.NoFreeElasticIP)
	succeeds(t, s.VPN.DeleteGateway(ctx, planetest.Alice, planetest.Region, s.gateway))
	if e := s.NewEIP(planetest.Alice); e.Address != g {
		t.Errorf("the last free address is %s, got %s", g, e.Address)
	}
}

func TestGatewayPhases(t *testing.T) {
	s := newSite(t)
	on, name := true, "edge"
	s.Stalled(func() {
		g, err := s.VPN.ModifyGateway(ctx, planetest.Alice, vpn.GatewayAttributes{Region: planetest.Region, ID: s.gateway, Name: &name})
		succeeds(t, err)
		if g.Name != name || g.Phase != resource.Ready {
			t.Errorf("a new name changed the state: %+v", g)
		}
		g, err = s.VPN.ModifyGateway(ctx, planetest.Alice, vpn.GatewayAttributes{Region: planetest.Region, ID: s.gateway, AutoPropagate: &on})
		succeeds(t, err)
		if !g.AutoPropagate || g.Phase != resource.Changing {
			t.Errorf("status %+v, want one in change", g)
		}
		planetest.Refused(t, s.VPN.DeleteGateway(ctx, planetest.Alice, planetest.Region, s.gateway), fault.VPNGatewayConfiguring)
		off := false
		_, err = s.VPN.ModifyGateway(ctx, planetest.Alice, vpn.GatewayAttributes{Region: planetest.Region, ID: s.gateway, AutoPropagate: &off})
		planetest.Refused(t, err, fault.VPNGatewayConfiguring)
		// What changes nothing is no change.
		before := s.DB.View()
		_, err = s.VPN.ModifyGateway(ctx, planetest.Alice, vpn.GatewayAttributes{Region: planetest.Region, ID: s.gateway, AutoPropagate: &on})
		succeeds(t, err)
		if s.DB.View() != before {
			t.Error("a change to what is there was written")
		}

		made := s.create(t, vpn.Gateway{Region: planetest.Region, VPC: s.readyVPC(), IPsec: true})
		if g, _ := s.VPN.Gateway(planetest.Alice, planetest.Region, made.ID); g.Phase != resource.Creating {
			t.Errorf("a new gateway is in phase %v", g.Phase)
		}
	})
	if st := s.status(t); st.Phase != resource.Ready {
		t.Errorf("phase %v after the dataplane's word", st.Phase)
	}
	// A change that the dataplane refuses does not bar the way.
	s.Dataplane(planetest.Refuses)
	off, none := false, ""
	_, err := s.VPN.ModifyGateway(ctx, planetest.Alice, vpn.GatewayAttributes{Region: planetest.Region, ID: s.gateway, AutoPropagate: &off})
	succeeds(t, err)
	g, err := s.VPN.ModifyGateway(ctx, planetest.Alice, vpn.GatewayAttributes{Region: planetest.Region, ID: s.gateway, AutoPropagate: &on, Name: &none})
	succeeds(t, err)
	if g.Name != g.ID || g.Phase != resource.Changing {
		t.Errorf("status %+v", g)
	}
}

// readyVPC makes a VPC that the dataplane has, whatever it does otherwise.
func (s *site) readyVPC() string {
	s.Dataplane(planetest.Follows)
	defer s.Dataplane(planetest.Stalls)
	return s.VPC(planetest.Alice, "10.0.0.0/16").VPC
}

// A second gateway has to wait until the kernel has let the first one go.
func TestCreateGatewayAfterAnother(t *testing.T) {
	s := newSite(t)
	in := vpn.Gateway{Region: planetest.Region, VPC: s.vpc, IPsec: true}
	s.Stalled(func() {
		succeeds(t, s.VPN.DeleteGateway(ctx, planetest.Alice, planetest.Region, s.gateway))
		_, err := s.VPN.CreateGateway(ctx, planetest.Alice, in)
		planetest.Refused(t, err, fault.VPCInTransition)
	})
	s.create(t, in)
}

func TestDeleteGateway(t *testing.T) {
	s := newSite(t)
	s.connect(t)
	if !s.status(t).BGP {
		t.Error("a gateway with a BGP connection does not show BGP")
	}
	remove := func() error { return s.VPN.DeleteGateway(ctx, planetest.Alice, planetest.Region, s.gateway) }
	planetest.Refused(t, remove(), fault.VPNGatewayHasConnections)
	planetest.Refused(t, s.VPN.DeleteCustomerGateway(ctx, planetest.Alice, planetest.Region, s.customer), fault.CustomerGatewayHasConnections)
	c, _ := s.DB.View().VPNConnections.Get("vco-1")
	succeeds(t, s.Drop(c))
	succeeds(t, s.Put(&resource.RouteEntry{
		Meta: resource.Meta{ID: "vtb-x/172.16.0.0/12", Account: planetest.Alice.Account, Region: planetest.Region}, VPC: s.vpc, Table: "vtb-x",
		Destination: netip.MustParsePrefix("172.16.0.0/12"), NextHops: []resource.NextHop{{Type: resource.NextHopVPNGateway, ID: s.gateway}}, System: true,
	}))
	succeeds(t, s.Tags.Tag(ctx, planetest.Alice, tags.Target{Region: planetest.Region, Kind: resource.KindVPNGateway, IDs: []string{s.gateway}}, []tags.Tag{{Key: "k", Value: "v"}}))

	succeeds(t, remove())
	v := s.DB.View()
	if v.VPNGateways.Len()+v.VPNRoutes.Len()+v.TagSets.Len()+v.RouteEntries.By(state.ByNextHop, s.gateway).Len() != 0 {
		t.Error("something of the gateway is left")
	}
	planetest.Refused(t, remove(), fault.VPNGatewayNotFound)
	succeeds(t, s.VPN.DeleteCustomerGateway(ctx, planetest.Alice, planetest.Region, s.customer))
	if s.DB.View().CustomerGateways.Len() != 0 {
		t.Error("the customer gateway is left")
	}
}

func TestPrepaidGatewayStaysUntilItEnds(t *testing.T) {
	s := newSite(t)
	made := s.create(t, vpn.Gateway{Region: planetest.Region, VPC: s.VPC(planetest.Alice, "10.0.0.0/16").VPC, IPsec: true, Prepaid: true, Period: 3})
	remove := func() error { return s.VPN.DeleteGateway(ctx, planetest.Alice, planetest.Region, made.ID) }
	planetest.Refused(t, remove(), fault.VPNGatewayPrepaid)
	g, _ := s.DB.View().VPNGateways.Get(made.ID)
	ended := g.Clone().(*resource.VPNGateway)
	ended.Expires = planetest.Now
	succeeds(t, s.Put(ended))
	succeeds(t, remove())
}

func TestWhatAGatewayIsInStays(t *testing.T) {
	s := newSite(t)
	planetest.Refused(t, s.Network.DeleteVPC(ctx, planetest.Alice, s.vpc), fault.VPCHasVPNGateway)
	planetest.Refused(t, s.Network.DeleteVSwitch(ctx, planetest.Alice, s.vswitch), fault.VSwitchHasDependents)
	succeeds(t, s.VPN.DeleteGateway(ctx, planetest.Alice, planetest.Region, s.gateway))
	succeeds(t, s.Network.DeleteVSwitch(ctx, planetest.Alice, s.vswitch))
	succeeds(t, s.Network.DeleteVPC(ctx, planetest.Alice, s.vpc))
}

func TestGatewaysSurviveARestart(t *testing.T) {
	s := newSite(t)
	before := s.status(t)
	s.Restart()
	s.Follow()
	after := s.status(t)
	if !after.CreatedAt.Equal(before.CreatedAt) {
		t.Errorf("made at %v, then %v", before.CreatedAt, after.CreatedAt)
	}
	a, b := *after.VPNGateway, *before.VPNGateway
	a.CreatedAt = b.CreatedAt
	if a != b || after.Phase != before.Phase || after.Private != before.Private {
		t.Errorf("%+v, after a restart %+v", before.VPNGateway, after.VPNGateway)
	}
	g, err := s.VPN.CustomerGateway(planetest.Alice, planetest.Region, s.customer)
	succeeds(t, err)
	if g.ASN != 4294967295 || g.Address != netip.MustParseAddr("198.51.100.1") {
		t.Errorf("customer gateway %+v", g)
	}
}

func TestGatewayQuery(t *testing.T) {
	s := newSite(t)
	second := s.create(t, vpn.Gateway{Region: planetest.Region, VPC: s.VPC(planetest.Alice, "10.0.0.0/16").VPC, IPsec: true}).ID
	ids := func(c identity.Caller, q vpn.GatewayQuery) string {
		t.Helper()
		if q.Region == "" {
			q.Region = planetest.Region
		}
		if q.Page.Limit == 0 {
			q.Page = state.Page{Limit: 10}
		}
		list, err := s.VPN.Gateways(c, q)
		succeeds(t, err)
		var ids []string
		for _, g := range list.Items {
			ids = append(ids, g.ID)
		}
		return strings.Join(ids, " ")
	}
	ready, creating := resource.Ready, resource.Creating
	for name, c := range map[string]struct {
		who  identity.Caller
		q    vpn.GatewayQuery
		want string
	}{
		"all":         {planetest.Alice, vpn.GatewayQuery{}, s.gateway + " " + second},
		"second page": {planetest.Alice, vpn.GatewayQuery{Page: state.Page{Offset: 1, Limit: 1}}, second},
		"by id":       {planetest.Alice, vpn.GatewayQuery{IDs: []string{second}}, second},
		"by VPC":      {planetest.Alice, vpn.GatewayQuery{VPCs: []string{s.vpc}}, s.gateway},
		"both":        {planetest.Alice, vpn.GatewayQuery{VPCs: []string{s.vpc}, IDs: []string{second}}, ""},
		"ready":       {planetest.Alice, vpn.GatewayQuery{Phases: []resource.Phase{ready}}, s.gateway + " " + second},
		"creating":    {planetest.Alice, vpn.GatewayQuery{Phases: []resource.Phase{creating}}, ""},
		"none":        {planetest.Alice, vpn.GatewayQuery{None: true}, ""},
		"elsewhere":   {planetest.Alice, vpn.GatewayQuery{Region: planetest.Elsewhere}, ""},
		"Bob's":       {planetest.Bob, vpn.GatewayQuery{}, ""},
		"Bob by VPC":  {planetest.Bob, vpn.GatewayQuery{VPCs: []string{s.vpc}}, ""},
		"Bob by id":   {planetest.Bob, vpn.GatewayQuery{IDs: []string{s.gateway}}, ""},
	} {
		if got := ids(c.who, c.q); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	_, err := s.VPN.Gateways(planetest.Alice, vpn.GatewayQuery{Region: "mars"})
	planetest.Refused(t, err, fault.RegionNotFound)
	_, err = s.VPN.Gateway(planetest.Bob, planetest.Region, s.gateway)
	planetest.Refused(t, err, fault.VPNGatewayNotFound)
}
