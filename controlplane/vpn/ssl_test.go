package vpn_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/network"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

// remote is a VPC of Alice's with a VPN gateway with IPsec and SSL-VPN for five clients.
func remote(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	g, _ := s.DB.View().VPNGateways.Get(s.gateway)
	g = g.Clone().(*resource.VPNGateway)
	g.SSL, g.SSLConnections = true, 5
	succeeds(t, s.Put(g))
	return s
}

func sslSettings(pool string, local ...string) vpn.SSLSettings {
	return vpn.SSLSettings{Pool: ptr(netip.MustParsePrefix(pool)), Local: blocks(local...)}
}

func (s *site) newServer(in vpn.SSLSettings) (vpn.CreatedSSLServer, error) {
	return s.VPN.CreateSSLServer(ctx, planetest.Alice, vpn.NewSSLServer{Region: planetest.Region, Gateway: s.gateway, Settings: in})
}

func (s *site) server(t *testing.T) string {
	t.Helper()
	x, err := s.newServer(sslSettings("192.168.100.0/24", "10.0.0.0/16"))
	succeeds(t, err)
	return x.ID
}

func (s *site) certificate(t *testing.T, server string) string {
	t.Helper()
	x, err := s.VPN.CreateSSLCertificate(ctx, planetest.Alice, vpn.NewSSLCertificate{Region: planetest.Region, Server: server, Name: "laptop"})
	succeeds(t, err)
	return x.ID
}

func TestSSLServer(t *testing.T) {
	s := remote(t)
	id := s.server(t)
	x, _ := s.DB.View().SSLServers.Get(id)
	if !strings.HasPrefix(id, "vss-") || x.Protocol != resource.UDP || x.Port != 1194 || x.Cipher != dataplane.SSLAES128 || !x.Compress || x.Name != "" || x.VPC != s.vpc || x.Gateway != s.gateway ||
		!x.CreatedAt.Equal(planetest.Now) || !x.Keys.Expires.Equal(planetest.Now.AddDate(10, 0, 0)) {
		t.Errorf("server %+v", x)
	}
	s.Tunnels.SetSSL(dataplane.SSLStatus{Server: id, Running: true, Clients: make([]dataplane.SSLSession, 3)})
	st, err := s.VPN.ModifySSLServer(ctx, planetest.Alice, vpn.SSLServerChange{Region: planetest.Region, ID: id, Settings: vpn.SSLSettings{
		Name: ptr("edge"), Pool: ptr(netip.MustParsePrefix("172.16.0.0/29")), Local: blocks("10.0.1.0/24", "10.0.0.0/16"), Protocol: ptr(resource.TCP), Port: ptr(uint16(4433)), Cipher: ptr(dataplane.SSLNone), Compress: ptr(false)}})
	succeeds(t, err)
	if st.Name != "edge" || st.Pool != netip.MustParsePrefix("172.16.0.0/29") || !slices.Equal(st.Local, blocks("10.0.1.0/24", "10.0.0.0/16")) || st.Protocol != resource.TCP || st.Port != 4433 || st.Cipher != dataplane.SSLNone || st.Compress ||
		len(st.Live.Clients) != 3 || st.At.ID != s.gateway {
		t.Errorf("changed: %+v", st)
	}
	if !strings.Contains(s.Log(), "disconnects=true") {
		t.Error("nothing says that clients are disconnected")
	}
	before := s.DB.View().Revision
	_, err = s.VPN.ModifySSLServer(ctx, planetest.Alice, vpn.SSLServerChange{Region: planetest.Region, ID: id, Settings: vpn.SSLSettings{Port: ptr(uint16(4433))}})
	succeeds(t, err)
	if now, _ := s.DB.View().SSLServers.Get(id); now.Revision > before {
		t.Error("a change to what is there already is a change")
	}
	// The dataplane has no part in these two.
	s.Dataplane(planetest.Stalls)
	_, err = s.VPN.ModifySSLServer(ctx, planetest.Alice, vpn.SSLServerChange{Region: planetest.Region, ID: id, Settings: vpn.SSLSettings{Name: ptr(""), Compress: ptr(true)}})
	succeeds(t, err)
	if p := s.status(t).Phase; p != resource.Ready {
		t.Errorf("renaming a server: phase %v", p)
	}
	s.Dataplane(planetest.Follows)

	for range 2 {
		s.certificate(t, id)
	}
	succeeds(t, s.VPN.DeleteSSLServer(ctx, planetest.Alice, planetest.Region, id))
	if v := s.DB.View(); v.SSLServers.Len() != 0 || v.SSLCertificates.Len() != 0 {
		t.Error("something is left of the server")
	}
	planetest.Refused(t, s.VPN.DeleteSSLServer(ctx, planetest.Alice, planetest.Region, id), fault.SSLServerNotFound)
}

func TestSSLServerIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		pool, local string
		change      func(*site, *vpn.NewSSLServer)
		want        fault.Reason
	}{
		"region":  {change: func(_ *site, in *vpn.NewSSLServer) { in.Region = "mars" }, want: fault.RegionNotFound},
		"gateway": {change: func(_ *site, in *vpn.NewSSLServer) { in.Gateway = "vpn-none" }, want: fault.VPNGatewayNotFound},
		"SSL-VPN off": {change: func(s *site, in *vpn.NewSSLServer) {
			in.Gateway = s.create(t, vpn.Gateway{Region: planetest.Region, VPC: s.VPC(planetest.Alice, "10.0.0.0/16").VPC, IPsec: true}).ID
		}, want: fault.SSLOff},
		"no OpenVPN": {change: func(s *site, _ *vpn.NewSSLServer) { s.Tunnels.UnableSSL(errors.New("apt-get install openvpn")) }, want: fault.SSLUnavailable},
		"second": {change: func(s *site, in *vpn.NewSSLServer) {
			s.server(t)
			in.Settings = sslSettings("172.16.0.0/24", "10.0.0.0/16")
			in.Settings.Port = ptr(uint16(1))
		}, want: fault.QuotaSSLServer},
		"port of another": {change: func(s *site, in *vpn.NewSSLServer) {
			s.server(t)
			in.Settings = sslSettings("172.16.0.0/24", "10.0.0.0/16")
		}, want: fault.SSLPort},
		"port":                {change: func(_ *site, in *vpn.NewSSLServer) { in.Settings.Port = ptr(uint16(4500)) }, want: fault.SSLPort},
		"pool with host bits": {pool: "192.168.1.1/24", want: fault.SSLPool},
		"pool too large":      {pool: "172.16.0.0/15", want: fault.SSLPool},
		"pool too small":      {pool: "192.168.1.0/30", want: fault.SSLPool},
		"pool for fewer clients": {pool: "192.168.1.0/29", change: func(s *site, _ *vpn.NewSSLServer) {
			g, _ := s.DB.View().VPNGateways.Get(s.gateway)
			g = g.Clone().(*resource.VPNGateway)
			g.SSLConnections = 10
			succeeds(t, s.Put(g))
		}, want: fault.SSLPool},
		"carrier grade pool": {pool: "100.64.0.0/24", want: fault.SSLPool},
		"link-local pool":    {pool: "169.254.0.0/24", want: fault.SSLPool},
		"multicast pool":     {pool: "224.0.0.0/24", want: fault.SSLPool},
		"reserved pool":      {pool: "240.0.0.0/24", want: fault.SSLPool},
		"public pool":        {pool: "198.51.100.0/24", want: fault.SSLPool},
		"public network":     {pool: "203.0.113.0/24", want: fault.SSLPool},
		"pool in the VPC":    {pool: "10.0.9.0/24", local: "10.0.1.0/24", want: fault.SSLPool},
		"pool in a secondary block": {pool: "192.168.9.0/24", change: func(s *site, _ *vpn.NewSSLServer) {
			succeeds(t, s.Network.AssociateCIDR(ctx, planetest.Alice, planetest.Region, s.vpc, netip.MustParsePrefix("192.168.0.0/16")))
		}, want: fault.SSLPool},
		"pool within what is reached": {pool: "192.168.9.0/24", local: "192.168.0.0/16", want: fault.SSLPool},
		"pool around what is reached": {pool: "192.168.0.0/16", local: "192.168.9.0/24", want: fault.SSLPool},
		"pool at a site":              {pool: "192.168.9.0/24", change: func(s *site, _ *vpn.NewSSLServer) { s.site(t, "192.168.0.0/16", false) }, want: fault.SSLPool},
		"pool of another server":      {pool: "192.168.100.128/25", change: func(s *site, in *vpn.NewSSLServer) { s.server(t); in.Settings.Port = ptr(uint16(1)) }, want: fault.SSLPool},
		"route into the pool": {pool: "172.20.0.0/16", change: func(s *site, _ *vpn.NewSSLServer) {
			s.Route(planetest.Alice, s.table(t), "172.20.1.0/24", resource.NextHopHost, s.Instance(s.vswitch, "", resource.Host))
		}, want: fault.SSLPool},
		"nothing to reach": {change: func(_ *site, in *vpn.NewSSLServer) { in.Settings.Local = nil }, want: fault.SSLLocalSubnets},
		"too much to reach": {change: func(_ *site, in *vpn.NewSSLServer) {
			in.Settings.Local = blocks("10.0.0.0/32", "10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32", "10.0.0.4/32", "10.0.0.5/32")
		}, want: fault.SSLLocalSubnets},
		"twice":                         {change: func(_ *site, in *vpn.NewSSLServer) { in.Settings.Local = blocks("10.0.0.0/32", "10.0.0.0/32") }, want: fault.SSLLocalSubnets},
		"reach with host bits":          {local: "10.0.0.1/16", want: fault.SSLLocalSubnets},
		"everything":                    {local: "0.0.0.0/0", want: fault.SSLLocalSubnets},
		"reach too wide":                {local: "10.0.0.0/7", want: fault.SSLLocalSubnets},
		"loopback":                      {local: "127.0.0.0/8", want: fault.SSLLocalSubnets},
		"multicast":                     {local: "239.0.0.0/8", want: fault.SSLLocalSubnets},
		"the gateway's own public side": {local: "203.0.113.0/24", want: fault.SSLLocalSubnets},
	} {
		t.Run(name, func(t *testing.T) {
			s := remote(t)
			if strings.Contains(name, "another") {
				s.Settings.Quotas["ssl_vpn_servers_per_gateway"] = 2
			}
			in := vpn.NewSSLServer{Region: planetest.Region, Gateway: s.gateway, Settings: sslSettings("192.168.100.0/24", "10.0.0.0/16")}
			if c.pool != "" {
				in.Settings.Pool = ptr(netip.MustParsePrefix(c.pool))
			}
			if c.local != "" {
				in.Settings.Local = blocks(c.local)
			}
			if c.change != nil {
				c.change(s, &in)
			}
			before := s.DB.View().SSLServers.Len()
			_, err := s.VPN.CreateSSLServer(ctx, planetest.Alice, in)
			planetest.Refused(t, err, c.want)
			if s.DB.View().SSLServers.Len() != before {
				t.Error("refused, and made")
			}
			_, err = s.VPN.CreateSSLServer(ctx, planetest.Bob, in)
			if c.want != fault.RegionNotFound {
				planetest.Refused(t, err, fault.VPNGatewayNotFound)
			}
		})
	}
}

// site makes a connection to a remote site.
func (s *site) site(t *testing.T, remote string, routes bool) error {
	t.Helper()
	_, err := s.VPN.CreateConnection(ctx, planetest.Alice, vpn.NewConnection{Region: planetest.Region, Gateway: s.gateway, CustomerGateway: s.customer,
		Settings: vpn.ConnectionSettings{LocalSubnets: blocks("10.0.0.0/16"), RemoteSubnets: blocks(remote), AutoConfigRoute: &routes}})
	return err
}

func (s *site) table(t *testing.T) string {
	t.Helper()
	v, _ := s.DB.View().VPCs.Get(s.vpc)
	return v.RouteTable
}

// What the clients' pool may be in, and what others may not take of it afterwards.
func TestSSLPoolIsKeptFree(t *testing.T) {
	s := remote(t)
	host := s.Instance(s.vswitch, "", resource.Host)
	s.Route(planetest.Alice, s.table(t), "192.168.0.0/16", resource.NextHopHost, host)
	succeeds(t, s.site(t, "0.0.0.0/0", false))
	id := s.server(t) // in both
	entry := func(to string) error {
		_, err := s.Network.CreateRouteEntry(ctx, planetest.Alice, network.NewRouteEntry{Table: s.table(t), Destination: netip.MustParsePrefix(to), NextHopType: resource.NextHopHost, NextHopID: host})
		return err
	}
	connection := slices.Collect(s.DB.View().VPNConnections.All())[0].ID
	route := func(to string) error {
		_, err := s.VPN.CreateRoute(ctx, planetest.Alice, vpn.NewRoute{Region: planetest.Region, Gateway: s.gateway, Destination: netip.MustParsePrefix(to), NextHop: connection})
		return err
	}
	for _, to := range []string{"192.168.100.0/24", "192.168.100.128/25", "192.168.100.7/32"} {
		planetest.Refused(t, entry(to), fault.RouteDestination)
		planetest.Refused(t, route(to), fault.RouteDestination)
		planetest.Refused(t, s.site(t, to, false), fault.VPNRemoteSubnets)
	}
	planetest.Refused(t, s.site(t, "192.168.0.0/16", false), fault.VPNRemoteSubnets)
	planetest.Refused(t, s.Network.AssociateCIDR(ctx, planetest.Alice, planetest.Region, s.vpc, netip.MustParsePrefix("192.168.0.0/16")), fault.SecondaryCIDROverlap)
	succeeds(t, entry("192.168.96.0/20"))
	succeeds(t, route("192.168.64.0/18"))
	_, err := s.VPN.ModifyConnection(ctx, planetest.Alice, vpn.ConnectionChange{Region: planetest.Region, ID: connection, Settings: vpn.ConnectionSettings{RemoteSubnets: blocks("192.168.100.0/25")}})
	planetest.Refused(t, err, fault.VPNRemoteSubnets)
	_, err = s.VPN.ModifySSLServer(ctx, planetest.Alice, vpn.SSLServerChange{Region: planetest.Region, ID: id, Settings: sslSettings("192.168.96.0/20", "10.0.0.0/16")})
	planetest.Refused(t, err, fault.SSLPool)
	planetest.Refused(t, s.VPN.DeleteGateway(ctx, planetest.Alice, planetest.Region, s.gateway), fault.VPNGatewayHasConnections)
	succeeds(t, s.VPN.DeleteConnection(ctx, planetest.Alice, planetest.Region, connection))
	planetest.Refused(t, s.VPN.DeleteGateway(ctx, planetest.Alice, planetest.Region, s.gateway), fault.VPNGatewayHasSSLServers)
	succeeds(t, s.VPN.DeleteSSLServer(ctx, planetest.Alice, planetest.Region, id))
	succeeds(t, entry("192.168.100.0/24"))
	succeeds(t, s.VPN.DeleteGateway(ctx, planetest.Alice, planetest.Region, s.gateway))
}

func TestSSLCertificates(t *testing.T) {
	s := remote(t)
	server := s.server(t)
	id := s.certificate(t, server)
	x, _ := s.DB.View().SSLCertificates.Get(id)
	if !strings.HasPrefix(id, "vsc-") || x.Name != "laptop" || x.VPC != s.vpc || x.Server != server || !x.Expires.Equal(planetest.Now.AddDate(3, 0, 0)) || len(x.Serial) != 39 {
		t.Errorf("certificate %+v", x)
	}
	n, err := s.VPN.ModifySSLCertificate(ctx, planetest.Alice, vpn.SSLCertificateName{Region: planetest.Region, ID: id, Name: ptr("phone")})
	if err != nil || n != (vpn.CreatedSSLCertificate{ID: id, Name: "phone"}) {
		t.Errorf("%+v, %v", n, err)
	}
	_, err = s.VPN.ModifySSLCertificate(ctx, planetest.Bob, vpn.SSLCertificateName{Region: planetest.Region, ID: id, Name: ptr("theirs")})
	planetest.Refused(t, err, fault.SSLCertificateNotFound)
	_, err = s.VPN.CreateSSLCertificate(ctx, planetest.Bob, vpn.NewSSLCertificate{Region: planetest.Region, Server: server})
	planetest.Refused(t, err, fault.SSLServerNotFound)

	other := s.certificate(t, server)
	succeeds(t, s.VPN.DeleteSSLCertificate(ctx, planetest.Alice, planetest.Region, id))
	at, _ := s.DB.View().SSLServers.Get(server)
	if len(at.Revoked) != 1 || at.Revoked[0] != (resource.RevokedCertificate{Serial: x.Serial, Until: x.Expires}) {
		t.Errorf("revoked: %+v", at.Revoked)
	}
	planetest.Refused(t, s.VPN.DeleteSSLCertificate(ctx, planetest.Alice, planetest.Region, id), fault.SSLCertificateNotFound)

	// What has expired is not kept, and too many bar new ones, never a deletion.
	at = at.Clone().(*resource.SSLServer)
	at.Revoked = []resource.RevokedCertificate{{Serial: "1", Until: planetest.Now.Add(-time.Second)}, {Serial: "2", Until: planetest.Now.Add(time.Second)}}
	for i := range 4000 {
		at.Revoked = append(at.Revoked, resource.RevokedCertificate{Serial: dataplane.SSLSerial(fmt.Sprint(10 + i)), Until: planetest.Now.Add(time.Hour)})
	}
	succeeds(t, s.Put(at))
	_, err = s.VPN.CreateSSLCertificate(ctx, planetest.Alice, vpn.NewSSLCertificate{Region: planetest.Region, Server: server})
	planetest.Refused(t, err, fault.QuotaSSLRevocations)
	succeeds(t, s.VPN.DeleteSSLCertificate(ctx, planetest.Alice, planetest.Region, other))
	if at, _ = s.DB.View().SSLServers.Get(server); len(at.Revoked) != 4002 || at.Revoked[0].Serial != "2" {
		t.Errorf("%d revoked, first %+v", len(at.Revoked), at.Revoked[0])
	}
}

func TestSSLCertificateStates(t *testing.T) {
	s := remote(t)
	server := s.server(t)
	put := func(id string, left time.Duration) {
		t.Helper()
		succeeds(t, s.Put(&resource.SSLCertificate{Meta: resource.Meta{ID: id, Account: planetest.Alice.Account, Region: planetest.Region, CreatedAt: planetest.Now}, VPC: s.vpc, Server: server, Expires: planetest.Now.Add(left)}))
	}
	week := 7 * 24 * time.Hour
	put("vsc-1", week+time.Second)
	put("vsc-2", week)
	put("vsc-3", time.Second)
	put("vsc-4", 0)
	list, err := s.VPN.SSLCertificates(planetest.Alice, vpn.SSLCertificateQuery{Region: planetest.Region, Page: state.Page{Limit: 9}})
	succeeds(t, err)
	var got []vpn.Validity
	for _, x := range list.Items {
		got = append(got, x.Validity)
	}
	if !slices.Equal(got, []vpn.Validity{vpn.Valid, vpn.ExpiringSoon, vpn.ExpiringSoon, vpn.Expired}) {
		t.Errorf("%v", got)
	}
}

// A server ends with its authority.
func TestSSLAuthorityEnds(t *testing.T) {
	s := remote(t)
	server := s.server(t)
	defer func(at time.Time) { planetest.Now = at }(planetest.Now)
	planetest.Now = planetest.Now.AddDate(9, 0, 0)
	id := s.certificate(t, server)
	x, _ := s.DB.View().SSLCertificates.Get(id)
	if at, _ := s.DB.View().SSLServers.Get(server); !x.Expires.Equal(at.Keys.Expires) {
		t.Errorf("a certificate until %s of a server until %s", x.Expires, at.Keys.Expires)
	}
	planetest.Now = planetest.Now.AddDate(1, 0, 0)
	_, err := s.VPN.CreateSSLCertificate(ctx, planetest.Alice, vpn.NewSSLCertificate{Region: planetest.Region, Server: server})
	planetest.Refused(t, err, fault.SSLAuthorityExpired)
}

// While the dataplane follows, the gateway is being configured, and nothing else begins.
func TestSSLConfiguring(t *testing.T) {
	s := remote(t)
	server := s.server(t)
	cert := s.certificate(t, server)
	s.Stalled(func() {
		_, err := s.VPN.ModifySSLServer(ctx, planetest.Alice, vpn.SSLServerChange{Region: planetest.Region, ID: server, Settings: vpn.SSLSettings{Port: ptr(uint16(1195))}})
		succeeds(t, err)
		if p := s.status(t).Phase; p != resource.Changing {
			t.Errorf("phase %v", p)
		}
		_, err = s.VPN.CreateSSLCertificate(ctx, planetest.Alice, vpn.NewSSLCertificate{Region: planetest.Region, Server: server})
		planetest.Refused(t, err, fault.VPNGatewayConfiguring)
		planetest.Refused(t, s.VPN.DeleteSSLCertificate(ctx, planetest.Alice, planetest.Region, cert), fault.VPNGatewayConfiguring)
		planetest.Refused(t, s.VPN.DeleteSSLServer(ctx, planetest.Alice, planetest.Region, server), fault.VPNGatewayConfiguring)
		planetest.Refused(t, s.site(t, "192.168.1.0/24", false), fault.VPNGatewayConfiguring)
	})
	s.Stalled(func() {
		succeeds(t, s.VPN.DeleteSSLCertificate(ctx, planetest.Alice, planetest.Region, cert))
		if p := s.status(t).Phase; p != resource.Changing {
			t.Errorf("phase %v while a certificate is being deleted", p)
		}
	})
	if p := s.status(t).Phase; p != resource.Ready {
		t.Errorf("phase %v", p)
	}
}

// What is private is on disk and in the log in no form that is readable.
func TestSSLKeysAreSealed(t *testing.T) {
	s := remote(t)
	server := s.server(t)
	cert := s.certificate(t, server)
	x, err := s.VPN.SSLClient(planetest.Alice, planetest.Region, cert)
	succeeds(t, err)
	key, crypt := string(x.Profile.Key), string(x.Profile.TLSCrypt)
	if !strings.Contains(key, "PRIVATE KEY") || !strings.Contains(crypt, "OpenVPN Static key") {
		t.Fatalf("profile %+v", x.Profile)
	}
	config, err := s.VPN.ClientConfig(cert, "ovpn")
	succeeds(t, err)
	if !strings.Contains(string(config), strings.TrimSpace(key)) || string(config) != x.Profile.Inline() {
		t.Error("the client's configuration is not what the client is told")
	}
	if _, err := s.VPN.ClientConfig("vsc-none", "ovpn"); err == nil {
		t.Error("a configuration of nobody")
	}
	_, err = s.VPN.SSLClient(planetest.Bob, planetest.Region, cert)
	planetest.Refused(t, err, fault.SSLCertificateNotFound)
	unseen(t, s.Plane, strings.Split(key, "\n")[1], strings.Split(crypt, "\n")[5])

	s.Settings.HidePSKs = true
	looker := planetest.Alice
	looker.DescribeOnly = true
	x, err = s.VPN.SSLClient(looker, planetest.Region, cert)
	succeeds(t, err)
	if text := x.Profile.Inline(); strings.Contains(text, "PRIVATE") || strings.Contains(text, "Static key") {
		t.Error("keys are shown to who may only describe")
	}
}

func TestSSLServerLog(t *testing.T) {
	s := remote(t)
	server := s.server(t)
	for i, text := range []string{"vsc-1 came", "vsc-2 came", "vsc-1 went"} {
		s.Tunnels.LogSSL(server, planetest.Now.Add(time.Duration(i-3)*time.Minute), text)
	}
	ask := func(q vpn.SSLLogQuery) string {
		t.Helper()
		q.Region, q.Server, q.Page.Limit = planetest.Region, server, max(q.Page.Limit, 2)
		l, err := s.VPN.SSLServerLog(ctx, planetest.Alice, q)
		succeeds(t, err)
		var out []string
		for _, x := range l.Items {
			out = append(out, x.Text)
		}
		return fmt.Sprint(l.Total, out, l.Whole)
	}
	at := func(minutes int) time.Time { return planetest.Now.Add(time.Duration(minutes) * time.Minute) }
	for _, c := range []struct {
		q    vpn.SSLLogQuery
		want string
	}{
		{vpn.SSLLogQuery{Period: time.Hour}, "3 [vsc-1 came vsc-2 came] true"},
		{vpn.SSLLogQuery{Period: time.Hour, Page: state.Page{Offset: 2}}, "3 [vsc-1 went] true"},
		{vpn.SSLLogQuery{Period: time.Hour, Certificate: "vsc-1"}, "2 [vsc-1 came vsc-1 went] true"},
		{vpn.SSLLogQuery{Period: time.Minute}, "1 [vsc-1 went] true"},
		{vpn.SSLLogQuery{From: at(-3), To: at(-2)}, "2 [vsc-1 came vsc-2 came] true"},
		{vpn.SSLLogQuery{From: at(-2), Period: time.Hour}, "2 [vsc-2 came vsc-1 went] true"},
		{vpn.SSLLogQuery{To: at(-2), Period: 30 * time.Second}, "1 [vsc-2 came] true"},
		{vpn.SSLLogQuery{From: at(-9), To: at(-8)}, "0 [] true"},
	} {
		if got := ask(c.q); got != c.want {
			t.Errorf("%+v: %s, want %s", c.q, got, c.want)
		}
	}
	for want, q := range map[fault.Reason]vpn.SSLLogQuery{
		fault.SSLLogSpan: {From: at(-1)}, fault.SpanInvalid: {From: at(0), To: at(-1)}, fault.SSLServerNotFound: {Period: time.Hour, Server: "vss-none"},
	} {
		q.Region = planetest.Region
		if q.Server == "" {
			q.Server = server
		}
		_, err := s.VPN.SSLServerLog(ctx, planetest.Alice, q)
		planetest.Refused(t, err, want)
	}
	s.Tunnels.UnreadSSL(errors.New("no such file"))
	if got := ask(vpn.SSLLogQuery{Period: time.Hour}); got != "0 [] false" {
		t.Errorf("of a log that can't be read: %s", got)
	}
}

func TestDisconnectSSL(t *testing.T) {
	s := remote(t)
	server := s.server(t)
	cert := s.certificate(t, server)
	planetest.Refused(t, s.VPN.DisconnectSSL(ctx, "vsc-none"), fault.SSLCertificateNotFound)
	planetest.Refused(t, s.VPN.DisconnectSSL(ctx, cert), fault.SSLClientNotConnected)
	s.Tunnels.SetSSL(dataplane.SSLStatus{Server: server, Clients: []dataplane.SSLSession{{Certificate: cert}}})
	succeeds(t, s.VPN.DisconnectSSL(ctx, cert))
	ends, err := s.VPN.SSLEnds(ctx)
	succeeds(t, err)
	if len(ends) != 1 || len(ends[0].Live.Clients) != 0 || len(ends[0].Certificates) != 1 || ends[0].Phase != resource.Ready {
		t.Errorf("%+v", ends)
	}
}

// unseen checks that no file, no record and no line of the log holds one of some texts.
func unseen(t *testing.T, p *planetest.Plane, texts ...string) {
	t.Helper()
	written := p.Written()
	for name, content := range written {
		for _, x := range texts {
			if strings.Contains(string(content), x) || strings.Contains(p.Log(), x) {
				t.Errorf("%s, or the log, holds what is secret", name)
			}
		}
	}
	if len(written) < 2 {
		t.Errorf("only %d files and records were looked at", len(written))
	}
}

// A gateway with SSL-VPN alone needs no charon, one with IPsec alone no OpenVPN.
func TestGatewayNeedsWhatItHas(t *testing.T) {
	s := newSite(t)
	in := func(ipsec, ssl bool) vpn.Gateway {
		return vpn.Gateway{Region: planetest.Region, VPC: s.VPC(planetest.Alice, "10.0.0.0/16").VPC, Bandwidth: 5, IPsec: ipsec, SSL: ssl}
	}
	refused := func(g vpn.Gateway, want fault.Reason) {
		t.Helper()
		_, err := s.VPN.CreateGateway(ctx, planetest.Alice, g)
		planetest.Refused(t, err, want)
	}
	refused(in(false, false), fault.VPNNothingOn)
	s.Tunnels.Unable(errors.New("no charon"))
	s.create(t, in(false, true))
	refused(in(true, true), fault.VPNUnavailable)
	s.Tunnels.Unable(nil)
	s.Tunnels.UnableSSL(errors.New("no OpenVPN"))
	s.create(t, in(true, false))
	refused(in(true, true), fault.SSLUnavailable)
}
