package tencent3

import (
	"errors"
	"net/netip"
	"strings"

	"sluice/controlplane/planetest"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

// vpnScene is a VPN gateway of a scene's VPC with a connection, and a prepaid one of another.
type vpnScene struct {
	gateway, customer, connection, spare string
	prepaid, other, ssl                  string
	theirGateway, theirCustomer          string
	theirConnection                      string
}

// pairsOf are the policies by which one subnet may talk to others.
func pairsOf(local string, remotes ...string) vpn.ConnectionSettings {
	p := dataplane.VPNPolicy{Local: netip.MustParsePrefix(local)}
	for _, r := range remotes {
		p.Remotes = append(p.Remotes, netip.MustParsePrefix(r))
	}
	key := "123456"
	return vpn.ConnectionSettings{Policies: dataplane.VPNPolicies{p}, IKE: vpn.IKESettings{PSK: &key}}
}

// vpn makes the VPN resources of the scene.
func (s *scene) vpn() vpnScene {
	s.t.Helper()
	under := s.VPN.Under(VPNRules)
	gateway := func(of vpn.Gateway) string {
		of.Region, of.Bandwidth = planetest.Region, 5
		made, err := under.CreateGateway(ctx, planetest.Alice, of)
		if err != nil {
			s.t.Fatal(err)
		}
		return made.ID
	}
	customer := func(a string) string {
		made, err := under.CreateCustomerGateway(ctx, planetest.Alice, vpn.CustomerGateway{Region: planetest.Region, Address: netip.MustParseAddr(a), Name: "site"})
		if err != nil {
			s.t.Fatal(err)
		}
		return made.ID
	}
	out := vpnScene{gateway: gateway(vpn.Gateway{VPC: s.vpc, Name: "gw", IPsec: true}), customer: customer("58.211.1.12"), spare: customer("58.211.1.13")}
	made, err := under.CreateConnection(ctx, planetest.Alice, vpn.NewConnection{Region: planetest.Region, Gateway: out.gateway, CustomerGateway: out.customer,
		Settings: pairsOf("10.8.1.0/24", "192.168.100.0/24")})
	if err != nil {
		s.t.Fatal(err)
	}
	out.connection = made.ID
	far := s.VPC(planetest.Alice, "10.20.0.0/16").VPC
	out.prepaid = gateway(vpn.Gateway{VPC: far, Name: "paid", IPsec: true, Prepaid: true, Period: 1})
	out.other = gateway(vpn.Gateway{VPC: far, Name: "other", IPsec: true})
	out.ssl = gateway(vpn.Gateway{VPC: far, Name: "ssl", SSL: true})
	theirs, err := under.CreateGateway(ctx, planetest.Bob, vpn.Gateway{Region: planetest.Region, VPC: s.theirs.VPC, Name: "x", Bandwidth: 5, IPsec: true})
	if err != nil {
		s.t.Fatal(err)
	}
	site, err := under.CreateCustomerGateway(ctx, planetest.Bob, vpn.CustomerGateway{Region: planetest.Region, Address: netip.MustParseAddr("58.211.1.12"), Name: "x"})
	if err != nil {
		s.t.Fatal(err)
	}
	out.theirGateway, out.theirCustomer = theirs.ID, site.ID
	if made, err = under.CreateConnection(ctx, planetest.Bob, vpn.NewConnection{Region: planetest.Region, Gateway: theirs.ID, CustomerGateway: site.ID,
		Settings: pairsOf("10.8.1.0/24", "192.168.100.0/24")}); err != nil {
		s.t.Fatal(err)
	}
	out.theirConnection = made.ID
	return out
}

// vpnGood are parameters with which an action on VPN resources succeeds; nil for others.
func (s *scene) vpnGood(action string) map[string]string {
	if documentedGroup(action) != "vpn" {
		return nil
	}
	if s.tunnels.gateway == "" {
		s.tunnels = s.vpn()
	}
	t := s.tunnels
	prepaid := func(m map[string]string) map[string]string {
		m["InstanceChargePrepaid.Period"] = "1"
		return m
	}
	switch action {
	case "CreateCustomerGateway":
		return map[string]string{"CustomerGatewayName": "test-cgw", "IpAddress": "58.211.1.14"}
	case "DescribeCustomerGateways":
		return map[string]string{"CustomerGatewayIds.0": t.customer}
	case "ModifyCustomerGatewayAttribute":
		return map[string]string{"CustomerGatewayId": t.customer, "CustomerGatewayName": "NewName"}
	case "DeleteCustomerGateway":
		return map[string]string{"CustomerGatewayId": t.spare}
	case "CreateVpnGateway":
		return map[string]string{"VpcId": s.vpc, "VpnGatewayName": "second", "InternetMaxBandwidthOut": "10"}
	case "DescribeVpnGateways":
		return map[string]string{"VpnGatewayIds.0": t.gateway}
	case "ModifyVpnGatewayAttribute":
		return map[string]string{"VpnGatewayId": t.prepaid, "VpnGatewayName": "new_name", "InstanceChargeType": "POSTPAID_BY_HOUR"}
	case "DeleteVpnGateway":
		return map[string]string{"VpnGatewayId": t.other}
	case "RenewVpnGateway", "InquiryPriceRenewVpnGateway":
		return prepaid(map[string]string{"VpnGatewayId": t.prepaid})
	case "ResetVpnGatewayInternetMaxBandwidth", "InquiryPriceResetVpnGatewayInternetMaxBandwidth":
		return map[string]string{"VpnGatewayId": t.gateway, "InternetMaxBandwidthOut": "10"}
	case "InquiryPriceCreateVpnGateway":
		return prepaid(map[string]string{"InstanceChargeType": "PREPAID", "InternetMaxBandwidthOut": "10"})
	case "CreateVpnConnection":
		return map[string]string{"VpcId": s.vpc, "VpnGatewayId": t.gateway, "CustomerGatewayId": t.spare, "VpnConnectionName": "TEST_CONN", "PreShareKey": "654321",
			"SecurityPolicyDatabases.0.LocalCidrBlock": "10.8.2.0/24", "SecurityPolicyDatabases.0.RemoteCidrBlock.0": "192.168.101.0/24"}
	case "ModifyVpnConnectionAttribute":
		return map[string]string{"VpnConnectionId": t.connection, "SecurityPolicyDatabases.0.LocalCidrBlock": "10.8.2.0/24", "SecurityPolicyDatabases.0.RemoteCidrBlock.0": "192.168.102.0/24"}
	case "DescribeVpnConnections":
		return map[string]string{"VpnConnectionIds.0": t.connection}
	case "DeleteVpnConnection", "ResetVpnConnection":
		return map[string]string{"VpnGatewayId": t.gateway, "VpnConnectionId": t.connection}
	case "DownloadCustomerGatewayConfiguration":
		return map[string]string{"VpnGatewayId": t.gateway, "VpnConnectionId": t.connection, "InterfaceName": "eth0",
			"CustomerGatewayVendor.VendorName": "strongswan", "CustomerGatewayVendor.Platform": "linux", "CustomerGatewayVendor.SoftwareVersion": "V5.9"}
	}
	return map[string]string{}
}

// documentedGroup is the group of the catalog that an action is in, as far as these tests
// need to know.
func documentedGroup(action string) string {
	if strings.Contains(action, "Vpn") || strings.Contains(action, "CustomerGateway") {
		return "vpn"
	}
	return ""
}

// vpnName is the id that a word in the matrix stands for; empty: none.
func (s *scene) vpnName(word string) string {
	return map[string]string{"<gateway>": s.tunnels.gateway, "<customer>": s.tunnels.customer, "<connection>": s.tunnels.connection, "<prepaid>": s.tunnels.prepaid, "<other>": s.tunnels.other, "<ssl>": s.tunnels.ssl}[word]
}

// foreign is an id of another account for a parameter of VPN actions; empty: none has it.
func (s *scene) vpnForeign(name string) string {
	return map[string]string{"VpnGatewayId": s.tunnels.theirGateway, "VpnGatewayIds.0": s.tunnels.theirGateway, "CustomerGatewayId": s.tunnels.theirCustomer, "CustomerGatewayIds.0": s.tunnels.theirCustomer,
		"VpnConnectionId": s.tunnels.theirConnection, "VpnConnectionIds.0": s.tunnels.theirConnection}[name]
}

const (
	ike = "IKEOptionsSpecification."
	esp = "IPSECOptionsSpecification."
	spd = "SecurityPolicyDatabases."
)

func init() {
	stalled := func(s *scene) {
		s.Dataplane(planetest.Stalls)
		if err := s.VPN.ResizeGateway(ctx, planetest.Alice, planetest.Region, s.tunnels.gateway, 50); err != nil {
			s.t.Fatal(err)
		}
	}
	matrix = append(matrix, []provoked{
		{"CreateCustomerGateway", "InvalidParameterValue.Duplicate", nil, []string{"IpAddress", "58.211.1.12"}},
		{"CreateCustomerGateway", "VpcLimitExceeded", quota("customer_gateways"), nil},
		{"CreateCustomerGateway", "InvalidParameterValue", nil, []string{"IpAddress", "224.0.0.1"}},
		{"CreateCustomerGateway", "InvalidParameterValue", nil, []string{"IpAddress", "site.example"}},
		{"DescribeCustomerGateways", "InvalidParameterValue.Malformed", nil, []string{"CustomerGatewayIds.0", "?"}},
		{"DescribeCustomerGateways", "ResourceNotFound", nil, []string{"CustomerGatewayIds.1", "cgw-none"}},
		{"DescribeCustomerGateways", "InvalidParameter.Coexist", nil, []string{"Filters.0.Name", "ip-address", "Filters.0.Values.0", "58.211.1.12"}},
		{"ModifyCustomerGatewayAttribute", "InvalidParameterValue.Malformed", nil, []string{"CustomerGatewayId", "cgw"}},
		{"ModifyCustomerGatewayAttribute", "ResourceNotFound", nil, []string{"CustomerGatewayId", "cgw-none"}},
		{"DeleteCustomerGateway", "InvalidParameterValue.Malformed", nil, []string{"CustomerGatewayId", "cgw"}},
		{"DeleteCustomerGateway", "ResourceNotFound", nil, []string{"CustomerGatewayId", "cgw-none"}},
		{"DeleteCustomerGateway", "ResourceInUse", nil, []string{"CustomerGatewayId", "<customer>"}},

		{"CreateVpnGateway", "InvalidParameterValue", nil, []string{"InternetMaxBandwidthOut", "7"}},
		{"CreateVpnGateway", "InvalidVpcId.Malformed", nil, []string{"VpcId", "vpc"}},
		{"CreateVpnGateway", "InvalidVpcId.NotFound", nil, []string{"VpcId", "vpc-none"}},
		{"CreateVpnGateway", "MissingParameter", nil, []string{"InstanceChargeType", "PREPAID"}},
		{"CreateVpnGateway", "InvalidParameterValue", nil, []string{"InstanceChargeType", "PREPAID", "InstanceChargePrepaid.Period", "13"}},
		{"CreateVpnGateway", "ResourceUnavailable", func(s *scene) { s.Tunnels.Unable(errors.New("there is no charon")) }, nil},
		{"DescribeVpnGateways", "InvalidVpnGatewayId.Malformed", nil, []string{"VpnGatewayIds.0", "?"}},
		{"DescribeVpnGateways", "InvalidVpnGatewayId.NotFound", nil, []string{"VpnGatewayIds.1", "vpngw-none"}},
		{"DescribeVpnGateways", "InvalidParameter.Coexist", nil, []string{"Filters.0.Name", "type", "Filters.0.Values.0", "IPSEC"}},
		{"DescribeVpnGateways", "InvalidParameterValue", nil, []string{"VpnGatewayIds.0", "", "Filters.0.Name", "type", "Filters.0.Values.0", "GRE"}},
		{"ModifyVpnGatewayAttribute", "InvalidParameterValue.Malformed", nil, []string{"VpnGatewayId", "vpngw"}},
		{"ModifyVpnGatewayAttribute", "ResourceNotFound", nil, []string{"VpnGatewayId", "vpngw-none"}},
		{"ModifyVpnGatewayAttribute", "UnsupportedOperation", nil, []string{"VpnGatewayId", "<gateway>"}},
		{"DeleteVpnGateway", "InvalidVpnGatewayId.Malformed", nil, []string{"VpnGatewayId", "vpngw"}},
		{"DeleteVpnGateway", "InvalidVpnGatewayId.NotFound", nil, []string{"VpnGatewayId", "vpngw-none"}},
		{"DeleteVpnGateway", "ResourceInUse", nil, []string{"VpnGatewayId", "<gateway>"}},
		{"DeleteVpnGateway", "UnsupportedOperation", nil, []string{"VpnGatewayId", "<prepaid>"}},
		{"DeleteVpnGateway", "UnsupportedOperation", nil, []string{"VpnGatewayId", "<ssl>"}},
		{"RenewVpnGateway", "InvalidParameterValue.Malformed", nil, []string{"VpnGatewayId", "vpngw"}},
		{"RenewVpnGateway", "ResourceNotFound", nil, []string{"VpnGatewayId", "vpngw-none"}},
		{"RenewVpnGateway", "UnsupportedOperation", nil, []string{"VpnGatewayId", "<gateway>"}},
		{"ResetVpnGatewayInternetMaxBandwidth", "InvalidParameterValue.Malformed", nil, []string{"VpnGatewayId", "vpngw"}},
		{"ResetVpnGatewayInternetMaxBandwidth", "ResourceNotFound", nil, []string{"VpnGatewayId", "vpngw-none"}},
		{"ResetVpnGatewayInternetMaxBandwidth", "ResourceUnavailable", stalled, nil},
		{"InquiryPriceCreateVpnGateway", "InvalidParameterValue", nil, []string{"InternetMaxBandwidthOut", "7"}},
		{"InquiryPriceCreateVpnGateway", "MissingParameter", nil, []string{"InstanceChargePrepaid.Period", ""}},
		{"InquiryPriceRenewVpnGateway", "InvalidParameterValue.Malformed", nil, []string{"VpnGatewayId", "vpngw"}},
		{"InquiryPriceRenewVpnGateway", "ResourceNotFound", nil, []string{"VpnGatewayId", "vpngw-none"}},
		{"InquiryPriceRenewVpnGateway", "UnsupportedOperation", nil, []string{"VpnGatewayId", "<ssl>"}},
		{"InquiryPriceResetVpnGatewayInternetMaxBandwidth", "InvalidParameterValue.Malformed", nil, []string{"VpnGatewayId", "vpngw"}},
		{"InquiryPriceResetVpnGatewayInternetMaxBandwidth", "ResourceNotFound", nil, []string{"VpnGatewayId", "vpngw-none"}},

		{"CreateVpnConnection", "InvalidParameter.Coexist", nil, []string{ike + "LocalAddress", "58.211.2.5", ike + "LocalFqdnName", "gw.example"}},
		{"CreateVpnConnection", "InvalidParameter.Coexist", nil, []string{ike + "RemoteIdentity", "FQDN", ike + "RemotIdentity", "ADDRESS"}},
		{"CreateVpnConnection", "InvalidParameter.Coexist", nil, []string{esp + "IntegrityAlgorithm", "MD5", esp + "IntegrityAlgorith", "SHA1"}},
		{"CreateVpnConnection", "InvalidParameter.Coexist", nil, []string{ike + "RemoteIdentity", "ADDRESS", ike + "RemoteFqdnName", "site.example"}},
		{"CreateVpnConnection", "InvalidParameter.Coexist", nil, []string{ike + "RemoteIdentity", "FQDN", ike + "RemoteAddress", "1.2.3.4"}},
		{"CreateVpnConnection", "MissingParameter", nil, []string{ike + "LocalIdentity", "FQDN"}},
		{"CreateVpnConnection", "InvalidParameterValue", nil, []string{ike + "LocalFqdnName", "a name"}},
		{"CreateVpnConnection", "InvalidParameterValue", nil, []string{ike + "LocalFqdnName", "1.2.3.4"}},
		{"CreateVpnConnection", "InvalidParameterValue.Malformed", nil, []string{"VpnGatewayId", "vpngw"}},
		{"CreateVpnConnection", "InvalidParameterValue.Malformed", nil, []string{spd + "0.RemoteCidrBlock.0", "192.168.1.1/24"}},
		{"CreateVpnConnection", "InvalidParameterValue.VpcCidrConflict", nil, []string{spd + "0.RemoteCidrBlock.0", "10.8.200.0/24"}},
		{"CreateVpnConnection", "InvalidParameterValue.VpcCidrConflict", nil, []string{spd + "0.RemoteCidrBlock.0", "10.0.0.0/8"}},
		{"CreateVpnConnection", "InvalidParameterValue", nil, []string{spd + "1.LocalCidrBlock", "10.8.2.0/24", spd + "1.RemoteCidrBlock.0", "192.168.105.0/24"}},
		{"CreateVpnConnection", "InvalidParameterValue", nil, []string{spd + "0.RemoteCidrBlock.1", "192.168.101.0/24"}},
		{"CreateVpnConnection", "MissingParameter", nil, []string{spd + "0.LocalCidrBlock", "", spd + "0.RemoteCidrBlock.0", ""}},
		{"CreateVpnConnection", "InvalidParameterValue", nil, []string{ike + "DhGroupName", "GROUP3"}},
		{"CreateVpnConnection", "InvalidParameterValue", nil, []string{ike + "IKESaLifetimeSeconds", "59"}},
		{"CreateVpnConnection", "InvalidParameterValue", nil, []string{esp + "IPSECSaLifetimeTraffic", "2559"}},
		{"CreateVpnConnection", "InvalidParameterValue", nil, []string{"CustomerGatewayId", "<customer>", "PreShareKey", "another"}}, // main mode knows the peer by its address
		{"CreateVpnConnection", "UnsupportedOperation", func(s *scene) { s.Tunnels.Lack(dataplane.TripleDES) }, nil},
		{"CreateVpnConnection", "UnsupportedOperation", nil, []string{"VpnGatewayId", "<ssl>", "VpcId", ""}},
		{"CreateVpnConnection", "LimitExceeded", quota("vpn_connections_per_gateway"), nil},
		{"CreateVpnConnection", "LimitExceeded", quota("vpn_policy_routes_per_gateway"), nil},
		{"CreateVpnConnection", "ResourceNotFound", nil, []string{"VpnGatewayId", "vpngw-none"}},
		{"CreateVpnConnection", "ResourceNotFound", nil, []string{"CustomerGatewayId", "cgw-none"}},
		{"CreateVpnConnection", "ResourceNotFound", nil, []string{"VpnGatewayId", "<other>"}}, // of another VPC
		{"CreateVpnConnection", "ResourceUnavailable", stalled, nil},
		{"DescribeVpnConnections", "InvalidParameter.Coexist", nil, []string{"Filters.0.Name", "vpc-id", "Filters.0.Values.0", "x"}},
		{"DescribeVpnConnections", "InvalidParameterValue.Malformed", nil, []string{"VpnConnectionIds.0", "?"}},
		{"DescribeVpnConnections", "ResourceNotFound", nil, []string{"VpnConnectionIds.1", "vpnx-none"}},
		{"ModifyVpnConnectionAttribute", "ResourceNotFound", nil, []string{"VpnConnectionId", "vpnx-none"}},
		{"ModifyVpnConnectionAttribute", "MissingParameter", nil, []string{spd + "0.LocalCidrBlock", ""}},
		{"ModifyVpnConnectionAttribute", "MissingParameter", nil, []string{spd + "0.RemoteCidrBlock.0", ""}},
		{"ModifyVpnConnectionAttribute", "InvalidParameterValue.VpcCidrConflict", nil, []string{spd + "0.RemoteCidrBlock.0", "10.8.200.0/24"}},
		{"DeleteVpnConnection", "ResourceNotFound", nil, []string{"VpnGatewayId", "<other>"}},
		{"ResetVpnConnection", "ResourceNotFound", nil, []string{"VpnConnectionId", "vpnx-none"}},
		{"ResetVpnConnection", "ResourceUnavailable", stalled, nil},
		{"DownloadCustomerGatewayConfiguration", "InvalidParameterValue", nil, []string{"CustomerGatewayVendor.VendorName", "nobody"}},
		{"DownloadCustomerGatewayConfiguration", "InvalidParameterValue", nil, []string{"InterfaceName", "eth0 up"}},
		{"DownloadCustomerGatewayConfiguration", "ResourceNotFound", nil, []string{"VpnConnectionId", "vpnx-none"}},
	}...)
}
