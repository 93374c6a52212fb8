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

// pairs is a network with a connection of three pairs of ranges, that its site has loaded.
type pairs struct {
	*network
	c                   *vpcsdk.Client
	gateway, connection *string
	first, second       *host          // 172.16.1.10, 172.16.2.10
	far, near           netip.AddrPort // of the site: the first host may talk to both, the second to near alone
}

// talk fails the test unless each pair talks, or if another one does.
func (p *pairs) talk(t *testing.T) {
	t.Helper()
	p.first.reaches(t, p.far)
	p.first.reaches(t, p.near)
	p.second.reaches(t, p.near)
	if _, err := p.second.trySeenAs("tcp", p.far, time.Second); err == nil {
		t.Error("a pair talks that is none of the connection's")
	}
}

// newPairs makes such a network, beside a NAT gateway that would translate what is of no pair. Its
// uplink is watched until the test ends.
func newPairs(t *testing.T, g *gateway) *pairs {
	t.Helper()
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24")
	s := n.site(t, "q", "192.168.77.1")
	return n.pairs(t, s, "strongswan", "V5.9", func(text string) {
		if err := s.peer.Load(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	})
}

// pairs is newPairs with a network that is there, and a site that loads what is downloaded for a
// vendor.
func (n *network) pairs(t *testing.T, s *site, vendor, version string, load func(text string)) *pairs {
	t.Helper()
	g := n.g
	first, second := n.host(t, 0, "172.16.1.10"), n.host(t, 1, "172.16.2.10")
	n.gateway(t)
	ip := n.gatewayIP(t)
	for _, id := range n.switches {
		n.snat(t, "SourceVSwitchId", id, ip)
	}
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
	get.CustomerGatewayVendor = &vpcsdk.CustomerGatewayVendor{VendorName: &vendor, Platform: ptr("linux"), SoftwareVersion: &version}
	text, err := c.DownloadCustomerGatewayConfiguration(get)
	if err != nil {
		t.Fatal(err)
	}
	load(*text.Response.CustomerGatewayConfiguration)
	far, near := s.open(t, "tcp", "-"), netip.AddrPortFrom(beside, s.serve(t, "tcp", beside.String()+":0").Port())
	return &pairs{n, c, id, x, first, second, far, near}
}

func testTencentVPN(t *testing.T, g *gateway) { newPairs(t, g).work(t) }

// TestTencentVPNLibreswan is TestTencentVPN with what was downloaded for libreswan.
func TestTencentVPNLibreswan(t *testing.T) {
	n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24")
	s, _ := n.libreswanSite(t, false)
	n.pairs(t, s.site, "libreswan", "V4.2", func(text string) { s.load(t, text) }).work(t)
}

// work fails the test unless the pairs talk, the connection says so, and they talk again after it
// has been reset.
func (p *pairs) work(t *testing.T) {
	t.Helper()
	p.talk(t)
	eventually(t, "the status", func() string {
		list := vpcsdk.NewDescribeVpnConnectionsRequest()
		list.VpnConnectionIds = []*string{p.connection}
		got, err := p.c.DescribeVpnConnections(list)
		if err != nil {
			return err.Error()
		}
		if s := *got.Response.VpnConnectionSet[0].NetStatus; s != "AVAILABLE" {
			return s
		}
		return ""
	})
	reset := vpcsdk.NewResetVpnConnectionRequest()
	reset.VpnGatewayId, reset.VpnConnectionId = p.gateway, p.connection
	done[*vpcsdk.ResetVpnConnectionResponse](t, p.network)(p.c.ResetVpnConnection(reset))
	p.talk(t)
}

// TestTencentVPNKilled: sluiced is killed while hosts send new flows all the time, of pairs and of
// none. Nothing leaves in clear, while it is not there and when it comes back, and each pair talks.
func TestTencentVPNKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	p := newPairs(t, gateways[0].another(t, "pairs", ""))
	p.talk(t)
	sprayed := []func() int64{p.first.sprays(t, p.far), p.second.sprays(t, p.near), p.second.sprays(t, p.far)}
	for range 2 {
		if err := p.g.KillDaemon(); err != nil {
			t.Fatal(err)
		}
		if err := p.g.StartDaemon(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.settled(t)
		p.talk(t)
	}
	for i, stop := range sprayed {
		if stop() == 0 {
			t.Errorf("the %d. host sent nothing", i)
		}
	}
}
