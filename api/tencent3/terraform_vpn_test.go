//lint:file-ignore SA1019 The provider has the spelling that the document has, too.

package tencent3

import (
	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"
)

func (p *provider) newGateway() string {
	p.t.Helper()
	r := vpcsdk.NewCreateVpnGatewayRequest()
	r.VpcId, r.VpnGatewayName, r.InternetMaxBandwidthOut, r.InstanceChargeType = &p.vpc, ptr("ci-gateway"), ptr(uint64(5)), ptr("POSTPAID_BY_HOUR")
	return *must[*vpcsdk.CreateVpnGatewayResponse](p.t)(p.c.CreateVpnGateway(r)).Response.VpnGateway.VpnGatewayId
}

func (p *provider) newSite() string {
	p.t.Helper()
	r := vpcsdk.NewCreateCustomerGatewayRequest()
	r.CustomerGatewayName, r.IpAddress = ptr("ci-site"), ptr("198.51.100.9")
	return *must[*vpcsdk.CreateCustomerGatewayResponse](p.t)(p.c.CreateCustomerGateway(r)).Response.CustomerGateway.CustomerGatewayId
}

// gateway reads a VPN gateway; nil is gone. That is the document's code; the provider takes
// ResourceNotFound, or an empty list.
func (p *provider) gateway(id string) *vpcsdk.VpnGateway {
	p.t.Helper()
	r := vpcsdk.NewDescribeVpnGatewaysRequest()
	r.VpnGatewayIds = []*string{&id}
	list, err := p.c.DescribeVpnGateways(r)
	if refusedWith(err, "InvalidVpnGatewayId.NotFound") {
		return nil
	}
	return must[*vpcsdk.DescribeVpnGatewaysResponse](p.t)(list, err).Response.VpnGatewaySet[0]
}

func (p *provider) vpnConnection(id string) *vpcsdk.VpnConnection {
	p.t.Helper()
	r := vpcsdk.NewDescribeVpnConnectionsRequest()
	r.VpnConnectionIds = []*string{&id}
	list, err := p.c.DescribeVpnConnections(r)
	if refusedWith(err, "ResourceNotFound") {
		return nil
	}
	return must[*vpcsdk.DescribeVpnConnectionsResponse](p.t)(list, err).Response.VpnConnectionSet[0]
}

// unused demands that the listing by a filter has no connection, and is a list all the same:
// before the provider deletes a gateway, it takes none for an answer that has failed.
func (p *provider) unused(filters ...string) {
	p.t.Helper()
	r := vpcsdk.NewDescribeVpnConnectionsRequest()
	r.Filters, r.Offset = by(filters...), ptr(uint64(0))
	if set := must[*vpcsdk.DescribeVpnConnectionsResponse](p.t)(p.c.DescribeVpnConnections(r)).Response.VpnConnectionSet; set == nil || len(set) > 0 {
		p.t.Errorf("connections by %v: %v", filters, set)
	}
}

func pairOf(local string, remotes ...string) *vpcsdk.SecurityPolicyDatabase {
	x := &vpcsdk.SecurityPolicyDatabase{LocalCidrBlock: &local}
	for i := range remotes {
		x.RemoteCidrBlock = append(x.RemoteCidrBlock, &remotes[i])
	}
	return x
}

var vpnLives = []life{
	{
		resource: "vpn_gateway",
		create:   (*provider).newGateway,
		read: func(p *provider, id string) (string, bool) {
			g := p.gateway(id)
			if g == nil {
				return "", false
			}
			p.state(g.PublicIpAddress, g.CreatedTime, g.RenewFlag, g.NewPurchasePlan, g.RestrictState)
			return p.state(g.VpnGatewayName, g.VpcId, g.Type, g.State, g.InternetMaxBandwidthOut, g.InstanceChargeType, g.ExpiredTime, g.IsAddressBlocked), true
		},
		want: "ci-gateway <vpc> IPSEC AVAILABLE 5 POSTPAID_BY_HOUR 0000-00-00 00:00:00 false",
		update: func(p *provider, id string) {
			m := vpcsdk.NewModifyVpnGatewayAttributeRequest()
			m.VpnGatewayId, m.VpnGatewayName = &id, ptr("renamed")
			must[*vpcsdk.ModifyVpnGatewayAttributeResponse](p.t)(p.c.ModifyVpnGatewayAttribute(m))
			b := vpcsdk.NewResetVpnGatewayInternetMaxBandwidthRequest()
			b.VpnGatewayId, b.InternetMaxBandwidthOut = &id, ptr(uint64(10))
			must[*vpcsdk.ResetVpnGatewayInternetMaxBandwidthResponse](p.t)(p.c.ResetVpnGatewayInternetMaxBandwidth(b))
		},
		updated: "renamed <vpc> IPSEC AVAILABLE 10 POSTPAID_BY_HOUR 0000-00-00 00:00:00 false",
		delete: func(p *provider, id string) {
			p.unused("vpn-gateway-id", id, "vpc-id", p.vpc)
			r := vpcsdk.NewDeleteVpnGatewayRequest()
			r.VpnGatewayId = &id
			must[*vpcsdk.DeleteVpnGatewayResponse](p.t)(p.c.DeleteVpnGateway(r))
		},
	},
	{
		resource: "vpn_customer_gateway",
		create:   (*provider).newSite,
		read: func(p *provider, id string) (string, bool) {
			r := vpcsdk.NewDescribeCustomerGatewaysRequest()
			r.CustomerGatewayIds = []*string{&id}
			list, err := p.c.DescribeCustomerGateways(r)
			if refusedWith(err, "ResourceNotFound") {
				return "", false
			}
			g := must[*vpcsdk.DescribeCustomerGatewaysResponse](p.t)(list, err).Response.CustomerGatewaySet[0]
			p.state(g.CreatedTime)
			return p.state(g.CustomerGatewayName, g.IpAddress), true
		},
		want: "ci-site 198.51.100.9",
		update: func(p *provider, id string) {
			r := vpcsdk.NewModifyCustomerGatewayAttributeRequest()
			r.CustomerGatewayId, r.CustomerGatewayName = &id, ptr("renamed")
			must[*vpcsdk.ModifyCustomerGatewayAttributeResponse](p.t)(p.c.ModifyCustomerGatewayAttribute(r))
		},
		updated: "renamed 198.51.100.9",
		delete: func(p *provider, id string) {
			p.unused("customer-gateway-id", id)
			r := vpcsdk.NewDeleteCustomerGatewayRequest()
			r.CustomerGatewayId = &id
			must[*vpcsdk.DeleteCustomerGatewayResponse](p.t)(p.c.DeleteCustomerGateway(r))
		},
	},
	{
		resource: "vpn_connection", // with the provider's own defaults
		create: func(p *provider) string {
			r := vpcsdk.NewCreateVpnConnectionRequest()
			r.VpnConnectionName, r.VpcId, r.PreShareKey = ptr("ci-connection"), &p.vpc, ptr("test")
			r.VpnGatewayId, r.CustomerGatewayId = ptr(p.newGateway()), ptr(p.newSite())
			r.SecurityPolicyDatabases = []*vpcsdk.SecurityPolicyDatabase{pairOf("10.8.0.0/16", "192.168.0.0/26"), pairOf("10.8.1.0/24", "192.168.1.0/26", "192.168.2.0/26")}
			r.IKEOptionsSpecification = &vpcsdk.IKEOptionsSpecification{PropoEncryAlgorithm: ptr("3DES-CBC"), PropoAuthenAlgorithm: ptr("MD5"), ExchangeMode: ptr("MAIN"),
				LocalIdentity: ptr("ADDRESS"), RemoteIdentity: ptr("ADDRESS"), LocalAddress: p.gateway(*r.VpnGatewayId).PublicIpAddress, RemoteAddress: ptr("198.51.100.9"),
				DhGroupName: ptr("GROUP1"), IKESaLifetimeSeconds: ptr(uint64(86400)), IKEVersion: ptr("IKEV1")}
			r.IPSECOptionsSpecification = &vpcsdk.IPSECOptionsSpecification{EncryptAlgorithm: ptr("3DES-CBC"), IntegrityAlgorith: ptr("MD5"),
				IPSECSaLifetimeSeconds: ptr(uint64(3600)), PfsDhGroup: ptr("NULL"), IPSECSaLifetimeTraffic: ptr(uint64(1843200))}
			return *must[*vpcsdk.CreateVpnConnectionResponse](p.t)(p.c.CreateVpnConnection(r)).Response.VpnConnection.VpnConnectionId
		},
		read: func(p *provider, id string) (string, bool) {
			x := p.vpnConnection(id)
			if x == nil {
				return "", false
			}
			i, e := x.IKEOptionsSpecification, x.IPSECOptionsSpecification
			p.state(x.CreatedTime, x.VpnGatewayId, x.CustomerGatewayId, x.NetStatus, x.VpnProto, x.EncryptProto, i.LocalAddress, i.LocalFqdnName, i.RemoteFqdnName, x.HealthCheckLocalIp, x.HealthCheckRemoteIp)
			s := p.state(x.VpnConnectionName, x.VpcId, x.PreShareKey, x.State, x.RouteType, x.EnableHealthCheck, x.DpdEnable, "dpd:"+p.state(x.DpdTimeout), x.DpdAction,
				i.PropoEncryAlgorithm, i.PropoAuthenAlgorithm, i.ExchangeMode, i.LocalIdentity, i.RemoteIdentity, i.RemoteAddress, i.DhGroupName, i.IKESaLifetimeSeconds, i.IKEVersion,
				e.EncryptAlgorithm, e.IntegrityAlgorith, e.IPSECSaLifetimeSeconds, e.PfsDhGroup, e.IPSECSaLifetimeTraffic)
			for _, d := range x.SecurityPolicyDatabaseSet {
				s += " " + p.state(d.LocalCidrBlock) + p.state(d.RemoteCidrBlock)
			}
			return s, true
		},
		want: "ci-connection <vpc> test AVAILABLE STATIC false 1 dpd: restart 3DES-CBC MD5 MAIN ADDRESS ADDRESS 198.51.100.9 GROUP1 86400 IKEV1 3DES-CBC MD5 3600 NULL 1843200 " +
			"10.8.0.0/16[192.168.0.0/26] 10.8.1.0/24[192.168.1.0/26 192.168.2.0/26]",
		update: func(p *provider, id string) {
			shown := p.vpnConnection(id)
			r := vpcsdk.NewModifyVpnConnectionAttributeRequest()
			r.VpnConnectionId, r.VpnConnectionName, r.PreShareKey = &id, ptr("renamed"), ptr("another")
			r.SecurityPolicyDatabases = []*vpcsdk.SecurityPolicyDatabase{pairOf("10.8.1.0/24", "192.168.9.0/24")}
			// What has been shown may be sent back, with what is to be another.
			r.IKEOptionsSpecification, r.IPSECOptionsSpecification = shown.IKEOptionsSpecification, shown.IPSECOptionsSpecification
			r.IKEOptionsSpecification.IKEVersion, r.IPSECOptionsSpecification.EncryptAlgorithm = ptr("IKEV2"), ptr("AES-CBC-256")
			must[*vpcsdk.ModifyVpnConnectionAttributeResponse](p.t)(p.c.ModifyVpnConnectionAttribute(r))
		},
		updated: "renamed <vpc> another AVAILABLE STATIC false 1 dpd: restart 3DES-CBC MD5 MAIN ADDRESS ADDRESS 198.51.100.9 GROUP1 86400 IKEV2 AES-CBC-256 MD5 3600 NULL 1843200 " +
			"10.8.1.0/24[192.168.9.0/24]",
		delete: func(p *provider, id string) {
			r := vpcsdk.NewDeleteVpnConnectionRequest()
			r.VpnConnectionId, r.VpnGatewayId = &id, p.vpnConnection(id).VpnGatewayId
			must[*vpcsdk.DeleteVpnConnectionResponse](p.t)(p.c.DeleteVpnConnection(r))
		},
	},
}
