package vpn_test

import (
	"net/netip"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/planetest"
	"sluice/controlplane/state"
	"sluice/controlplane/vpn"
)

func TestCreateCustomerGateway(t *testing.T) {
	s := newSite(t)
	at := func(address string) vpn.CustomerGateway {
		return vpn.CustomerGateway{Region: planetest.Region, Address: netip.MustParseAddr(address)}
	}
	g, err := s.VPN.CreateCustomerGateway(ctx, planetest.Alice, at("192.168.7.1"))
	succeeds(t, err)
	if g.Name != g.ID || g.ASN != 0 || !g.CreatedAt.Equal(planetest.Now) {
		t.Errorf("customer gateway %+v", g)
	}
	// One of each account and region.
	for _, in := range []vpn.CustomerGateway{at("198.51.100.1"), at("192.168.7.1")} {
		_, err := s.VPN.CreateCustomerGateway(ctx, planetest.Alice, in)
		planetest.Refused(t, err, fault.CustomerGatewayExists)
	}
	_, err = s.VPN.CreateCustomerGateway(ctx, planetest.Bob, at("198.51.100.1"))
	succeeds(t, err)
	elsewhere := at("198.51.100.1")
	elsewhere.Region = planetest.Elsewhere
	_, err = s.VPN.CreateCustomerGateway(ctx, planetest.Alice, elsewhere)
	succeeds(t, err)

	for _, address := range []string{"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "2001:db8::1"} {
		_, err := s.VPN.CreateCustomerGateway(ctx, planetest.Alice, at(address))
		planetest.Refused(t, err, fault.CustomerGatewayAddress)
	}
	nowhere := at("198.51.100.9")
	nowhere.Region = "mars"
	_, err = s.VPN.CreateCustomerGateway(ctx, planetest.Alice, nowhere)
	planetest.Refused(t, err, fault.RegionNotFound)

	s.Settings.Quotas["customer_gateways"] = 4
	_, err = s.VPN.CreateCustomerGateway(ctx, planetest.Alice, at("198.51.100.3"))
	succeeds(t, err)
	_, err = s.VPN.CreateCustomerGateway(ctx, planetest.Alice, at("198.51.100.4"))
	planetest.Refused(t, err, fault.QuotaCustomerGateway)
}

func TestModifyCustomerGateway(t *testing.T) {
	s := newSite(t)
	name, description, empty := "Paris", "the office", ""
	change := vpn.CustomerGatewayAttributes{Region: planetest.Region, ID: s.customer, Name: &name, Description: &description}
	g, err := s.VPN.ModifyCustomerGateway(ctx, planetest.Alice, change)
	succeeds(t, err)
	if g.Name != name || g.Description != description {
		t.Errorf("customer gateway %+v", g)
	}
	change.Name, change.Description = &empty, nil
	for range 2 {
		if g, err = s.VPN.ModifyCustomerGateway(ctx, planetest.Alice, change); err != nil || g.Name != g.ID || g.Description != description {
			t.Errorf("%v, customer gateway %+v", err, g)
		}
	}
	_, err = s.VPN.ModifyCustomerGateway(ctx, planetest.Bob, change)
	planetest.Refused(t, err, fault.CustomerGatewayNotFound)
}

func TestCustomerGatewayQuery(t *testing.T) {
	s := newSite(t)
	second, err := s.VPN.CreateCustomerGateway(ctx, planetest.Alice, vpn.CustomerGateway{Region: planetest.Region, Address: netip.MustParseAddr("198.51.100.2")})
	succeeds(t, err)
	q := vpn.CustomerGatewayQuery{Region: planetest.Region, Page: state.Page{Offset: 1, Limit: 1}}
	list, err := s.VPN.CustomerGateways(planetest.Alice, q)
	succeeds(t, err)
	if list.Total != 2 || len(list.Items) != 1 || list.Items[0].ID != second.ID {
		t.Errorf("second page: %+v", list)
	}
	q.IDs, q.Page.Offset = []string{s.customer}, 0
	if list, err = s.VPN.CustomerGateways(planetest.Alice, q); err != nil || list.Total != 1 || list.Items[0].ID != s.customer {
		t.Errorf("by id: %v, %+v", err, list)
	}
	_, err = s.VPN.CustomerGateways(planetest.Bob, q)
	planetest.Refused(t, err, fault.CustomerGatewayNotFound)
	q.IDs = nil
	if list, err = s.VPN.CustomerGateways(planetest.Bob, q); err != nil || list.Total != 0 {
		t.Errorf("Bob's: %v, %+v", err, list)
	}
	q.Region = "mars"
	_, err = s.VPN.CustomerGateways(planetest.Alice, q)
	planetest.Refused(t, err, fault.RegionNotFound)
}
