package aliyun

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/controlplane/planetest"
	"sluice/controlplane/settings"
	"sluice/dataplane"
)

// sslWorld is a VPC of Alice's with a VPN gateway for SSL-VPN, a server and a certificate.
type sslWorld struct {
	planeWorld
	vpc    string // 10.0.0.0/16
	vpn    string // for five clients
	empty  string // a VPC without anything
	ipsec  string // a gateway without SSL-VPN, of a VPC of its own
	server string // UDP 1194, pool 192.168.100.0/24
	cert   string
}

func newSSLWorld(t *testing.T) *sslWorld {
	t.Helper()
	a := planetest.Alice
	w := &sslWorld{planeWorld: newPlaneWorld(t)}
	w.Settings.Quotas["ssl_vpn_servers_per_gateway"] = 3
	gateway := func(vpc string, more ...string) string {
		p := map[string]string{"RegionId": planetest.Region, "VpcId": vpc, "Bandwidth": "5"}
		for i := 0; i < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
		return w.must(t, "CreateVpnGateway", p).(*CreateVpnGatewayResponse).VpnGatewayId
	}
	w.vpc = w.VPC(a, "10.0.0.0/16").VPC
	w.VSwitch(a, w.vpc, "10.0.1.0/24")
	w.vpn = gateway(w.vpc, "EnableSsl", "true", "EnableIpsec", "false")
	w.empty = w.VPC(a, "10.0.0.0/16").VPC
	w.ipsec = gateway(w.VPC(a, "10.0.0.0/16").VPC)
	w.server = w.must(t, "CreateSslVpnServer", w.good("CreateSslVpnServer", "ClientIpPool", "192.168.100.0/24", "Port", "")).(*CreateSslVpnServerResponse).SslVpnServerId
	w.cert = w.must(t, "CreateSslVpnClientCert", w.good("CreateSslVpnClientCert")).(*CreateSslVpnClientCertResponse).SslVpnClientCertId
	return w
}

func (w *sslWorld) good(action string, change ...string) map[string]string {
	p := map[string]string{"RegionId": planetest.Region}
	add := func(more ...string) {
		for i := 0; i < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
	}
	switch action {
	case "CreateSslVpnServer":
		add("VpnGatewayId", w.vpn, "ClientIpPool", "192.168.101.0/24", "LocalSubnet", "10.0.0.0/16,192.168.1.0/24", "Port", "1195")
	case "ModifySslVpnServer":
		add("SslVpnServerId", w.server, "Cipher", "AES-256-CBC")
	case "DeleteSslVpnServer":
		add("SslVpnServerId", w.server)
	case "CreateSslVpnClientCert":
		add("SslVpnServerId", w.server, "Name", "laptop")
	case "ModifySslVpnClientCert":
		add("SslVpnClientCertId", w.cert, "Name", "phone")
	case "DescribeSslVpnClientCert":
		add("SslVpnClientCertId", w.cert)
	case "DescribeSslVpnClients":
		add("VpnGatewayId", w.vpn)
	case "DeleteSslVpnClientCert":
		add("SslVpnClientId", w.cert)
	case "DescribeVpnSslServerLogs":
		add("VpnSslServerId", w.server, "MinutePeriod", "10")
	}
	add(change...)
	return p
}

// sslChanging leaves a change of the server that the dataplane has not got.
func sslChanging(t *testing.T, w *sslWorld) {
	t.Helper()
	w.Dataplane(planetest.Stalls)
	w.must(t, "ModifySslVpnServer", w.good("ModifySslVpnServer"))
}

func sslWith(change ...string) func(*sslWorld) []string {
	return func(*sslWorld) []string { return change }
}

func sslQuotas(set func(settings.Quotas)) func(*testing.T, *sslWorld) {
	return func(_ *testing.T, w *sslWorld) { set(w.Settings.Quotas) }
}

// sslActions are the actions that this matrix is about.
var sslActions = []string{
	"CreateSslVpnServer", "ModifySslVpnServer", "DescribeSslVpnServers", "DeleteSslVpnServer",
	"CreateSslVpnClientCert", "ModifySslVpnClientCert", "DescribeSslVpnClientCerts", "DescribeSslVpnClientCert", "DeleteSslVpnClientCert",
	"DescribeSslVpnClients",
	"DescribeVpnSslServerLogs",
}

// sslErrors provokes documented errors.
var sslErrors = []matrixCase[*sslWorld]{
	{"CreateSslVpnServer", "Resource.QuotaFull", "", sslQuotas(func(q settings.Quotas) { q["ssl_vpn_servers_per_gateway"] = 1 }), sslWith()},
	{"CreateSslVpnServer", "InvalidName", "", nil, sslWith("Name", "http://x")},
	{"CreateSslVpnServer", "InvalidVpnGatewayInstanceId.NotFound", "", nil, sslWith("VpnGatewayId", "vpn-none")},
	{"CreateSslVpnServer", "VpnGateway.Configuring", "", sslChanging, sslWith()},

	{"ModifySslVpnServer", "InvalidName", "", nil, sslWith("Name", longName)},
	{"ModifySslVpnServer", "VpnGateway.Configuring", "", sslChanging, sslWith("Cipher", "none")},

	{"DeleteSslVpnServer", "VpnGateway.Configuring", "", sslChanging, sslWith()},

	{"CreateSslVpnClientCert", "Resource.QuotaFull", "", sslQuotas(func(q settings.Quotas) { q["ssl_vpn_certificates_per_server"] = 1 }), sslWith()},
	{"CreateSslVpnClientCert", "VpnGateway.Configuring", "", sslChanging, sslWith()},
	{"CreateSslVpnClientCert", "InvalidName", "", nil, sslWith("Name", "two\nlines")},

	{"ModifySslVpnClientCert", "InvalidName", "", nil, sslWith("Name", "https://x")},

	{"DeleteSslVpnClientCert", "VpnGateway.Configuring", "", sslChanging, sslWith()},
}

// sslUnprovoked says why nothing provokes a code, whatever the action.
var sslUnprovoked = map[string]string{
	"Forbidden.SubUser":          "of who has no right: TestForbidden",
	"Forbbiden.SubUser":          "of who has no right: TestForbidden",
	"Forbidden":                  "of who has no right: TestForbidden",
	"VpnGateway.FinancialLocked": "nothing is paid here",
}

// sslOthers are refusals for which the action's document has no code.
var sslOthers = []matrixCase[*sslWorld]{
	{"CreateVpnGateway", "InvalidParameter", `"EnableIpsec"`, nil, func(w *sslWorld) []string {
		return []string{"VpcId", w.empty, "Bandwidth", "5", "EnableIpsec", "false"}
	}},
	{"CreateVpnGateway", "OperationUnsupported", "apt-get install openvpn", func(_ *testing.T, w *sslWorld) {
		w.Tunnels.UnableSSL(errors.New("OpenVPN is missing: apt-get install openvpn"))
	}, func(w *sslWorld) []string {
		return []string{"VpcId", w.empty, "Bandwidth", "5", "EnableSsl", "true"}
	}},
	{"DeleteVpnGateway", "DependencyViolation.SslVpnServer", "", nil, func(w *sslWorld) []string { return []string{"VpnGatewayId", w.vpn} }},

	{"CreateSslVpnServer", "InvalidRegionId.NotFound", "", nil, sslWith("RegionId", "mars")},
	{"CreateSslVpnServer", "InvalidParameter", `"VpnGatewayId" is not valid: SSL-VPN is off`, nil, func(w *sslWorld) []string { return []string{"VpnGatewayId", w.ipsec} }},
	{"CreateSslVpnServer", "OperationUnsupported", "SSL-VPN cannot be had here: OpenVPN is missing", func(_ *testing.T, w *sslWorld) {
		w.Tunnels.UnableSSL(errors.New("OpenVPN is missing"))
	}, sslWith()},
	{"CreateSslVpnServer", "MissingParameter", `"ClientIpPool"`, nil, sslWith("ClientIpPool", "")},
	{"CreateSslVpnServer", "MissingParameter", `"LocalSubnet"`, nil, sslWith("LocalSubnet", "")},
	{"CreateSslVpnServer", "InvalidParameter", `"ClientIpPool"`, nil, sslWith("ClientIpPool", "192.168.101.1/24")},
	{"CreateSslVpnServer", "InvalidParameter", `"ClientIpPool" is not valid: 10.0.9.0/24 overlaps 10.0.0.0/16`, nil, sslWith("ClientIpPool", "10.0.9.0/24")},
	{"CreateSslVpnServer", "InvalidParameter", `"LocalSubnet" is not valid: 224.0.0.0/8`, nil, sslWith("LocalSubnet", "224.0.0.0/8")},
	{"CreateSslVpnServer", "InvalidParameter", `"LocalSubnet"`, nil, sslWith("LocalSubnet", "everything")},
	{"CreateSslVpnServer", "InvalidParameter", `"Port" is not valid: 443`, nil, sslWith("Port", "443")},
	{"CreateSslVpnServer", "InvalidParameter", `"Port" is not valid: UDP port 1194`, nil, sslWith("Port", "1194")},
	{"CreateSslVpnServer", "InvalidParameter", `"Port"`, nil, sslWith("Port", "65536")},
	{"CreateSslVpnServer", "InvalidParameter", `"Proto"`, nil, sslWith("Proto", "SCTP")},
	{"CreateSslVpnServer", "InvalidParameter", `"Cipher"`, nil, sslWith("Cipher", "DES-CBC")},
	{"CreateSslVpnServer", "UnsupportedParameter", "EnableMultiFactorAuth", nil, sslWith("EnableMultiFactorAuth", "true")},
	{"CreateSslVpnServer", "UnsupportedParameter", "IDaaSInstanceId", nil, sslWith("IDaaSInstanceId", "idaas-1")},

	{"ModifySslVpnServer", "InvalidSslVpnServerId.NotFound", "", nil, sslWith("SslVpnServerId", "vss-none")},
	{"ModifySslVpnServer", "InvalidSslVpnServerId.NotFound", "", nil, sslWith("RegionId", planetest.Elsewhere)},
	{"ModifySslVpnServer", "InvalidParameter", `"ClientIpPool"`, nil, sslWith("ClientIpPool", "10.0.0.0/24")},
	{"DeleteSslVpnServer", "InvalidSslVpnServerId.NotFound", "", nil, sslWith("SslVpnServerId", "vss-none")},
	{"CreateSslVpnClientCert", "InvalidSslVpnServerId.NotFound", "", nil, sslWith("SslVpnServerId", "vss-none")},
	{"ModifySslVpnClientCert", "InvalidSslVpnClientCertId.NotFound", "", nil, sslWith("SslVpnClientCertId", "vsc-none")},
	{"DescribeSslVpnClientCert", "InvalidSslVpnClientCertId.NotFound", "", nil, sslWith("SslVpnClientCertId", "vsc-none")},
	{"DescribeSslVpnClients", "InvalidVpnGatewayInstanceId.NotFound", "", nil, sslWith("VpnGatewayId", "vpn-none")},
	{"DescribeSslVpnClients", "InvalidVpnGatewayInstanceId.NotFound", "", nil, sslWith("RegionId", planetest.Elsewhere)},
	{"DescribeSslVpnClients", "InvalidRegionId.NotFound", "", nil, sslWith("RegionId", "mars")},
	{"DescribeSslVpnClients", "MissingParameter", `"VpnGatewayId"`, nil, sslWith("VpnGatewayId", "")},
	{"DeleteSslVpnClientCert", "InvalidSslVpnClientCertId.NotFound", "", nil, sslWith("SslVpnClientId", "vsc-none")},
	{"DeleteSslVpnClientCert", "MissingParameter", `"SslVpnClientCertId"`, nil, sslWith("SslVpnClientId", "")},
	{"DeleteSslVpnClientCert", "InvalidParameter", "", nil, sslWith("SslVpnClientCertId", "vsc-other")},
	{"DescribeVpnSslServerLogs", "InvalidSslVpnServerId.NotFound", "", nil, sslWith("VpnSslServerId", "vss-none")},
	{"DescribeVpnSslServerLogs", "MissingParameter", `"MinutePeriod"`, nil, sslWith("MinutePeriod", "")},
	{"DescribeVpnSslServerLogs", "MissingParameter", `"MinutePeriod"`, nil, sslWith("MinutePeriod", "", "From", "2018020201")},
	{"DescribeVpnSslServerLogs", "InvalidParameter", `"To"`, nil, sslWith("From", "2018020202", "To", "2018020201")},
	{"DescribeVpnSslServerLogs", "InvalidParameter", `"MinutePeriod"`, nil, sslWith("MinutePeriod", "0")},
}

func TestSSLErrors(t *testing.T) { provokeAll(t, sslErrors, newSSLWorld, true) }

func TestSSLRefusalsWithoutACode(t *testing.T) { provokeAll(t, sslOthers, newSSLWorld, false) }

func TestSSLActionsSucceed(t *testing.T) { succeed(t, sslActions, newSSLWorld) }

func TestSSLErrorsAreComplete(t *testing.T) {
	for _, action := range sslActions {
		for _, e := range documentedErrors[action] {
			provoked := slices.ContainsFunc(sslErrors, func(c matrixCase[*sslWorld]) bool { return c.documents(action, e) })
			if excused := sslUnprovoked[e.Code] != ""; provoked == excused {
				t.Errorf("%s: %s (%s) has to be either provoked or excused", action, e.Code, e.Message)
			}
		}
	}
}

// What was sent is what is read back, in the spelling in which it was sent; and what was not
// given stays as it was.
func TestSSLServerIsReadBack(t *testing.T) {
	w := newSSLWorld(t)
	id := w.must(t, "CreateSslVpnServer", w.good("CreateSslVpnServer", "Proto", "TCP", "Cipher", "none", "Compress", "false", "Name", "edge")).(*CreateSslVpnServerResponse).SslVpnServerId
	w.Tunnels.SetSSL(dataplane.SSLStatus{Server: id, Clients: make([]dataplane.SSLSession, 2)})
	list := func(more ...string) []DescribeSslVpnServersSslVpnServer {
		return w.must(t, "DescribeSslVpnServers", w.good("DescribeSslVpnServers", more...)).(*DescribeSslVpnServersResponse).SslVpnServers.SslVpnServer
	}
	got := list("SslVpnServerId", id)
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	x := got[0]
	if x.Proto != "TCP" || x.Cipher != "none" || x.Compress || x.Port != 1195 || x.ClientIpPool != "192.168.101.0/24" || x.LocalSubnet != "10.0.0.0/16,192.168.1.0/24" || x.Name != "edge" ||
		x.Connections != 2 || x.MaxConnections != 5 || x.VpnGatewayId != w.vpn || x.InternetIp == "" || x.ResourceGroupId == "" || x.CreateTime == 0 {
		t.Errorf("%+v", x)
	}
	first := list("SslVpnServerId", w.server)[0]
	if first.Proto != "UDP" || first.Port != 1194 || first.Cipher != "AES-128-CBC" || !first.Compress {
		t.Errorf("defaults: %+v", first)
	}
	m := w.must(t, "ModifySslVpnServer", w.good("ModifySslVpnServer", "SslVpnServerId", id, "Cipher", "", "Name", "gate")).(*ModifySslVpnServerResponse)
	if want := x; m.Name != "gate" || m.Proto != want.Proto || m.Cipher != want.Cipher || m.Compress != want.Compress || m.Port != want.Port || m.LocalSubnet != want.LocalSubnet || m.Connections != 2 {
		t.Errorf("changed: %+v", m)
	}
	if n := len(list("Name", "gate")) + len(list("VpnGatewayId", w.vpn)) + len(list("VpnGatewayId", w.ipsec)) + len(list("ResourceGroupId", x.ResourceGroupId)) + len(list("ResourceGroupId", "rg-none")); n != 1+2+0+2+0 {
		t.Errorf("filters find %d", n)
	}
	g := w.must(t, "DescribeVpnGateway", map[string]string{"RegionId": planetest.Region, "VpnGatewayId": w.vpn}).(*DescribeVpnGatewayResponse)
	if g.SslVpn != "enable" || g.IpsecVpn != "disable" || g.SslMaxConnections != 5 || g.SslVpnInternetIp != x.InternetIp {
		t.Errorf("gateway: %+v", g)
	}
}

func TestSSLCertificateIsReadBack(t *testing.T) {
	w := newSSLWorld(t)
	r := w.must(t, "DescribeSslVpnClientCerts", w.good("DescribeSslVpnClientCerts", "SslVpnServerId", w.server)).(*DescribeSslVpnClientCertsResponse)
	keys := r.SslVpnClientCertificateKeys.SslVpnClientCertKey
	if len(keys) != 1 || keys[0].Name != "laptop" || keys[0].Status != "normal" || keys[0].SslVpnServerId != w.server || keys[0].EndTime != planetest.Now.AddDate(3, 0, 0).Truncate(time.Second).UnixMilli() {
		t.Fatalf("%+v", keys)
	}
	// Under the name that public clients read, too.
	var again struct {
		SslVpnClientCertKeys struct{ SslVpnClientCertKey []map[string]any }
	}
	if err := json.Unmarshal([]byte(encoded(t, FormatJSON, r)), &again); err != nil || len(again.SslVpnClientCertKeys.SslVpnClientCertKey) != 1 {
		t.Errorf("%+v, %v", again, err)
	}
	x := w.must(t, "DescribeSslVpnClientCert", w.good("DescribeSslVpnClientCert")).(*DescribeSslVpnClientCertResponse)
	for _, part := range []string{x.CaCert, x.ClientCert, x.ClientKey, "remote-cert-tls server", "<tls-crypt>"} {
		if part == "" || !strings.Contains(x.ClientConfig, strings.TrimSpace(part)) {
			t.Errorf("%q is not in %s", part, x.ClientConfig)
		}
	}
	if x.Status != "normal" || x.SslVpnServerId != w.server || x.Name != "laptop" || x.EndTime != keys[0].EndTime || x.ResourceGroupId == "" {
		t.Errorf("%+v", x)
	}
	w.must(t, "DeleteSslVpnClientCert", w.good("DeleteSslVpnClientCert", "SslVpnClientId", "", "SslVpnClientCertId", w.cert))
	if _, err := w.call("DescribeSslVpnClientCert", w.good("DescribeSslVpnClientCert")); err == nil {
		t.Error("a certificate that was deleted is there")
	}
}

// Who is connected is listed by server, whichever page is asked for, in the shape that public
// clients read.
func TestSSLClientsAreListed(t *testing.T) {
	w := newSSLWorld(t)
	list := func(more ...string) *DescribeSslVpnClientsResponse {
		return w.must(t, "DescribeSslVpnClients", w.good("DescribeSslVpnClients", more...)).(*DescribeSslVpnClientsResponse)
	}
	if r := list(); r.TotalCount != 0 || !strings.Contains(encoded(t, FormatJSON, r), `"ClientInfoList":[]`) {
		t.Errorf("nobody is connected: %s", encoded(t, FormatJSON, r))
	}
	second := w.must(t, "CreateSslVpnServer", w.good("CreateSslVpnServer")).(*CreateSslVpnServerResponse).SslVpnServerId
	client := func(certificate, remote, address string, in, out uint64) dataplane.SSLSession {
		return dataplane.SSLSession{Certificate: certificate, Remote: netip.MustParseAddrPort(remote), Address: netip.MustParseAddr(address), Since: planetest.Now,
			Inbound: dataplane.Volume{Bytes: in}, Outbound: dataplane.Volume{Bytes: out}}
	}
	w.Tunnels.SetSSL(dataplane.SSLStatus{Server: second, Clients: []dataplane.SSLSession{client("vsc-c", "192.0.2.3:3333", "192.168.101.3", 5, 6)}})
	w.Tunnels.SetSSL(dataplane.SSLStatus{Server: w.server, Clients: []dataplane.SSLSession{
		client("vsc-a", "192.0.2.1:1111", "192.168.100.2", 1, 2), client("vsc-b", "192.0.2.2:2222", "192.168.100.3", 3, 4),
	}})
	r := list()
	var names []string
	for _, x := range r.ClientInfoList {
		names = append(names, x.CommonName)
	}
	if r.TotalCount != 3 || r.VpnGatewayId != w.vpn || r.RegionId != planetest.Region || !slices.Equal(names, []string{"CN=vsc-a", "CN=vsc-b", "CN=vsc-c"}) {
		t.Errorf("%+v", r)
	}
	r = list("PageSize", "1", "PageNumber", "2")
	if want := []DescribeSslVpnClientsClientInfoListItem{{
		Status: "online", CommonName: "CN=vsc-b", Ip: "192.0.2.2", Port: "2222", PrivateIp: "192.168.100.3", ConnectedTime: planetest.Now.UnixMilli(), SendBytes: 4, ReceiveBytes: 3,
	}}; r.TotalCount != 3 || r.PageNumber != 2 || r.PageSize != 1 || !slices.Equal(r.ClientInfoList, want) {
		t.Errorf("the second page: %+v, want %+v", r, want)
	}
	if r = list("VpnGatewayId", w.ipsec); r.TotalCount != 0 || len(r.ClientInfoList) != 0 {
		t.Errorf("a gateway without SSL-VPN: %+v", r)
	}
}

func TestSSLServerLogs(t *testing.T) {
	w := newSSLWorld(t)
	for i, text := range []string{"one", "two", "three"} {
		w.Tunnels.LogSSL(w.server, time.Date(2026, 11, 23, 11+i, 59, 59, 0, time.UTC), text)
	}
	get := func(more ...string) *DescribeVpnSslServerLogsResponse {
		return w.must(t, "DescribeVpnSslServerLogs", w.good("DescribeVpnSslServerLogs", append([]string{"MinutePeriod", ""}, more...)...)).(*DescribeVpnSslServerLogsResponse)
	}
	r := get("From", "2026112311", "To", "2026112312", "PageSize", "1", "PageNumber", "2")
	if r.Count != 2 || !r.IsCompleted || !slices.Equal(r.Data.Logs, []string{"2026-11-23T12:59:59Z two"}) {
		t.Errorf("by hours: %+v", r)
	}
	r = get("From", "1795434000", "MinutePeriod", "120") // 2026-11-23T11:40:00Z
	if r.Count != 2 {
		t.Errorf("by seconds: %+v", r)
	}
	w.Tunnels.UnreadSSL(errors.New("gone"))
	if r = get("MinutePeriod", "10"); r.Count != 0 || r.IsCompleted {
		t.Errorf("what can't be read: %+v", r)
	}
}

func TestLogTime(t *testing.T) {
	for n, want := range map[int]string{
		2018020201: "2018-02-02T01:00:00Z", 1600738962: "2020-09-22T01:42:42Z", 2018023001: "2033-12-12T17:56:41Z", 2147483647: "2038-01-19T03:14:07Z", 0: "1970-01-01T00:00:00Z",
	} {
		first, last := logTime(n)
		if got := timestamp(first); got != want || !last.After(first) {
			t.Errorf("%d: %s until %s, want %s", n, got, last, want)
		}
	}
}
