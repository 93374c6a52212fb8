package e2e

import (
	"net/netip"
	"testing"
	"time"

	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"
)

// TestTencentVPN: a connection with pairs of ranges, to a site that runs what was downloaded
// for strongSwan. Each pair talks; what is of none goes nowhere, neither into the tunnel nor in
// clear, though a NAT gateway would translate it.
func TestTencentVPN(t *testing.T) { onAndOff(t, testTencentVPN) }

func testTencentVPN(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24")
	first, second := n.host(t, 0, "172.16.1.10"), n.host(t, 1, "172.16.2.10")
	n.gateway(t)
	ip := n.gatewayIP(t)
	for _, id := range n.switches {
		n.snat(t, "SourceVSwitchId", id, ip)
	}
	s := n.site(t, "q", "192.168.77.1")
	beside := netip.MustParseAddr("192.168.78.1")
	s.own(t, beside)

	c := g.tencentClient(t)
	create := vpcsdk.NewCreateVpnGatewayRequest()
	create.VpcId, create.VpnGatewayName, create.InternetMaxBandwidthOut = &n.vpc, ptr("gw"), ptr(uint64(100))
	id := done[*vpcsdk.CreateVpnGatewayResponse](t, n)(c.CreateVpnGateway(create)).Response.VpnGateway.VpnGatewayId
	t.Cleanup(func() {
		gone := vpcsdk.NewDeleteVpnGatewayRequest()
		gone.VpnGatewayId = id
		done[*vpcsdk.DeleteVpnGatewayResponse](t, n)(c.DeleteVpnGateway(gone))
	})
	n.watchUplink(t)
	connect := vpcsdk.NewCreateVpnConnectionRequest()
	connect.VpcId, connect.VpnGatewayId, connect.CustomerGatewayId, connect.VpnConnectionName, connect.PreShareKey = &n.vpc, id, &s.customer, ptr("pairs"), ptr("correct-horse")
	connect.SecurityPolicyDatabases = []*vpcsdk.SecurityPolicyDatabase{
		{LocalCidrBlock: ptr("172.16.1.0/24"), RemoteCidrBlock: []*string{ptr("192.168.77.0/24"), ptr("192.168.78.0/24")}},
		{LocalCidrBlock: ptr("172.16.2.0/24"), RemoteCidrBlock: []*string{ptr("192.168.78.0/24")}},
	}
	connect.IKEOptionsSpecification = &vpcsdk.IKEOptionsSpecification{IKEVersion: ptr("IKEV2"), PropoEncryAlgorithm: ptr("AES-CBC-256"), PropoAuthenAlgorithm: ptr("SHA1"), DhGroupName: ptr("GROUP14"),
		RemoteIdentity: ptr("FQDN"), RemoteFqdnName: ptr("site.example")}
	connect.IPSECOptionsSpecification = &vpcsdk.IPSECOptionsSpecification{EncryptAlgorithm: ptr("AES-CBC-256"), IntegrityAlgorithm: ptr("SHA1"), PfsDhGroup: ptr("DH-GROUP14")}
	x := done[*vpcsdk.CreateVpnConnectionResponse](t, n)(c.CreateVpnConnection(connect)).Response.VpnConnection.VpnConnectionId
	t.Cleanup(func() {
		n.unwatch()
		gone := vpcsdk.NewDeleteVpnConnectionRequest()
		gone.VpnGatewayId, gone.VpnConnectionId = id, x
		done[*vpcsdk.DeleteVpnConnectionResponse](t, n)(c.DeleteVpnConnection(gone))
	})
	get := vpcsdk.NewDownloadCustomerGatewayConfigurationRequest()
	get.VpnGatewayId, get.VpnConnectionId, get.InterfaceName = id, x, ptr("eth0")
	get.CustomerGatewayVendor = &vpcsdk.CustomerGatewayVendor{VendorName: ptr("strongswan"), Platform: ptr("linux"), SoftwareVersion: ptr("V5.9")}
	text, err := c.DownloadCustomerGatewayConfiguration(get)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.peer.Load(t.Context(), *text.Response.CustomerGatewayConfiguration); err != nil {
		t.Fatal(err)
	}
	far, near := s.open(t, "tcp", "-"), netip.AddrPortFrom(beside, s.serve(t, "tcp", beside.String()+":0").Port())
	talks := func() {
		t.Helper()
		first.reaches(t, far)
		first.reaches(t, near)
		second.reaches(t, near)
		if _, err := second.trySeenAs("tcp", far, time.Second); err == nil {
			t.Error("a pair talks that is none of the connection's")
		}
	}
	talks()
	eventually(t, "the status", func() string {
		list := vpcsdk.NewDescribeVpnConnectionsRequest()
		list.VpnConnectionIds = []*string{x}
		got, err := c.DescribeVpnConnections(list)
		if err != nil {
			return err.Error()
		}
		if s := *got.Response.VpnConnectionSet[0].NetStatus; s != "AVAILABLE" {
			return s
		}
		return ""
	})
	reset := vpcsdk.NewResetVpnConnectionRequest()
	reset.VpnGatewayId, reset.VpnConnectionId = id, x
	done[*vpcsdk.ResetVpnConnectionResponse](t, n)(c.ResetVpnConnection(reset))
	talks()
}
