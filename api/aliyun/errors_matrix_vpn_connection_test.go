package aliyun

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// vpnWorld is a VPC of Alice's with a VPN gateway, two customer gateways, a
// connection without auto routes, and a route of each kind by it.
type vpnWorld struct {
	*planetest.Plane
	s     *Service
	vpc   string // 10.0.0.0/16, with VSwitch 10.0.1.0/24
	table string
	vpn   string
	cgw   string // without an Asn
	cgw2  string // with one
	vco   string // cgw: 10.0.1.0/24 = 192.168.1.0/24
	vco2  string // cgw2: 10.0.1.0/24 = 192.168.1.0/24
}

func (w *vpnWorld) view() *state.View { return w.DB.View() }

func newVPNWorld(t *testing.T) *vpnWorld {
	t.Helper()
	p := planetest.New(t)
	a := planetest.Alice
	w := &vpnWorld{Plane: p, s: NewService(p.Network, p.EIP, p.Bandwidth, p.NAT, nil, p.VPN, p.Links, p.Tags, p.RAM, p.HaVip, p.Lines, p.Acceleration)}
	vpc := p.VPC(a, "10.0.0.0/16")
	w.vpc, w.table = vpc.VPC, vpc.RouteTable
	p.VSwitch(a, w.vpc, "10.0.1.0/24")
	w.vpn, w.cgw, w.cgw2 = "vpn-1", "cgw-1", "cgw-2"
	meta := func(id string) resource.Meta {
		return resource.Meta{ID: id, Account: a.Account, Region: planetest.Region, CreatedAt: planetest.Now}
	}
	for _, r := range []resource.Resource{
		&resource.VPNGateway{Meta: meta(w.vpn), VPC: w.vpc, Address: netip.MustParseAddr("203.0.113.45"), PublicNetwork: "internet", Bandwidth: 10, IPsec: true},
		&resource.CustomerGateway{Meta: meta(w.cgw), Address: netip.MustParseAddr("198.51.100.1")},
		&resource.CustomerGateway{Meta: meta(w.cgw2), Address: netip.MustParseAddr("198.51.100.2"), ASN: 65010},
	} {
		if err := p.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	w.vco = w.must(t, "CreateVpnConnection", w.good("CreateVpnConnection", "RemoteSubnet", "192.168.1.0/24", "AutoConfigRoute", "false")).(*CreateVpnConnectionResponse).VpnConnectionId
	w.vco2 = w.must(t, "CreateVpnConnection", w.good("CreateVpnConnection", "RemoteSubnet", "192.168.1.0/24", "CustomerGatewayId", w.cgw2, "AutoConfigRoute", "false")).(*CreateVpnConnectionResponse).VpnConnectionId
	w.must(t, "CreateVpnRouteEntry", w.good("CreateVpnRouteEntry", "RouteDest", "192.168.2.0/24"))
	w.must(t, "CreateVpnPbrRouteEntry", w.good("CreateVpnPbrRouteEntry", "RouteDest", "192.168.2.0/24"))
	return w
}

// good returns parameters with which an action succeeds, changed by name and
// value; an empty value leaves the parameter out.
func (w *vpnWorld) good(action string, change ...string) map[string]string {
	p := map[string]string{"RegionId": planetest.Region}
	add := func(more ...string) {
		for i := 0; i < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
	}
	if strings.Contains(action, "Route") {
		add("VpnGatewayId", w.vpn, "RouteDest", "192.168.2.0/24", "NextHop", w.vco)
	}
	if strings.Contains(action, "Pbr") {
		add("RouteSource", "10.0.1.0/24")
	}
	switch action {
	case "CreateVpnConnection":
		add("VpnGatewayId", w.vpn, "CustomerGatewayId", w.cgw, "LocalSubnet", "10.0.1.0/24", "RemoteSubnet", "192.168.8.0/24,192.168.9.0/24")
	case "ModifyVpnConnectionAttribute":
		add("VpnConnectionId", w.vco, "AutoConfigRoute", "true")
	case "DescribeVpnConnection", "DownloadVpnConnectionConfig", "DeleteVpnConnection":
		add("VpnConnectionId", w.vco)
	case "CreateVpnRouteEntry", "CreateVpnPbrRouteEntry":
		add("RouteDest", "192.168.3.0/24", "Weight", "100", "PublishVpc", "false")
	case "PublishVpnRouteEntry":
		add("RouteType", "DBR", "PublishVpc", "true")
	case "ModifyVpnRouteEntryWeight", "ModifyVpnPbrRouteEntryWeight":
		add("Weight", "100", "NewWeight", "0")
	case "DeleteVpnRouteEntry", "DeleteVpnPbrRouteEntry":
		add("Weight", "100")
	}
	add(change...)
	return p
}

func (w *vpnWorld) call(action string, params map[string]string) (Response, *Error) {
	p := NewParams()
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if params[name] != "" {
			p.Add(name, params[name])
		}
	}
	return Dispatch(context.Background(), w.s, planetest.Alice, action, p)
}

func (w *vpnWorld) must(t *testing.T, action string, params map[string]string) Response {
	t.Helper()
	r, err := w.call(action, params)
	if err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	return r
}

var vpnConnectionActions = []string{
	"CreateVpnConnection", "ModifyVpnConnectionAttribute", "DescribeVpnConnections", "DescribeVpnConnection", "DownloadVpnConnectionConfig", "DeleteVpnConnection",
	"CreateVpnRouteEntry", "CreateVpnPbrRouteEntry", "PublishVpnRouteEntry", "DescribeVpnRouteEntries", "DescribeVpnPbrRouteEntries",
	"ModifyVpnRouteEntryWeight", "ModifyVpnPbrRouteEntryWeight", "DeleteVpnRouteEntry", "DeleteVpnPbrRouteEntry",
}

// vpnConnectionErrors provokes a code: by parameters other than good ones, on a
// world that something has happened to. Where no document has the code, or the
// action's own table lacks it, elsewhere is set.
var vpnConnectionErrors = []struct {
	action, code string
	happened     func(*testing.T, *vpnWorld)
	change       []string
	elsewhere    bool
}{
	{"CreateVpnConnection", "Resource.QuotaFull", vpnQuotas(func(q settings.Quotas) { q["vpn_connections_per_gateway"] = 2 }), nil, false},
	{"CreateVpnConnection", "InvalidCustomerGatewayInstanceId.NotFound", nil, []string{"CustomerGatewayId", "cgw-none"}, false},
	{"CreateVpnConnection", "InvalidVpnGatewayInstanceId.NotFound", nil, []string{"VpnGatewayId", "vpn-none"}, false},
	{"CreateVpnConnection", "InvalidVpnConnection.AlreadyExists", nil, []string{"RemoteSubnet", "192.168.1.0/24"}, false},
	{"CreateVpnConnection", "VpnGateway.Configuring", vpnPending, nil, false},
	{"CreateVpnConnection", "QuotaExceeded.PolicyBasedRoute", vpnQuotas(func(q settings.Quotas) { q["vpn_policy_routes_per_gateway"] = 2 }), nil, false},
	{"CreateVpnConnection", "InvalidParam.RightPsk", nil, []string{"IkeConfig", `{"Psk":"line\nbreak"}`}, false},
	{"CreateVpnConnection", "InvalidParam.RightPsk", nil, []string{"IkeConfig", `{"Psk":"a\ttab"}`}, false},
	{"CreateVpnConnection", "InvalidParam.RightPsk", nil, []string{"IkeConfig", `{"Psk":"` + strings.Repeat("x", 101) + `"}`}, false},
	{"CreateVpnConnection", "InvalidParam.RightPsk", nil, []string{"IkeConfig", `{"Psk":"another than that of the connection to the same peer"}`}, false},
	{"CreateVpnConnection", "InvalidParam.LeftId", nil, []string{"IkeConfig", `{"LocalId":"gateway"}`}, false},
	{"CreateVpnConnection", "InvalidParam.RightId", nil, []string{"CustomerGatewayId", "cgw-2", "IkeConfig", `{"RemoteId":"198.51.100.1"}`}, false},
	{"CreateVpnConnection", "InvalidParam.LeftSubnet", nil, []string{"LocalSubnet", "10.0.1.5/24"}, false},
	{"CreateVpnConnection", "InvalidParam.LeftSubnet", nil, []string{"LocalSubnet", "10.0.1.0/24,10.0.1.0/24"}, false},
	{"CreateVpnConnection", "InvalidParam.RightSubnet", nil, []string{"RemoteSubnet", "everywhere"}, false},
	{"CreateVpnConnection", "InvalidParam.RightSubnet", nil, []string{"RemoteSubnet", "192.168.8.0/24,192.168.8.0/24"}, false},
	{"CreateVpnConnection", "InvalidCidrBlock", nil, []string{"RemoteSubnet", "10.0.1.0/24"}, true},
	{"CreateVpnConnection", "InvalidCidrBlock", nil, []string{"RemoteSubnet", "100.64.0.0/16"}, true},
	{"CreateVpnConnection", "InvalidParam.IkeVersion", nil, []string{"IkeConfig", `{"IkeVersion":"ikev3"}`}, false},
	{"CreateVpnConnection", "InvalidParam.IkeEncAlg", nil, []string{"IkeConfig", `{"IkeEncAlg":"rot13"}`}, false},
	{"CreateVpnConnection", "InvalidParam.IkeAuthAlg", nil, []string{"IkeConfig", `{"IkeAuthAlg":"crc32"}`}, false},
	{"CreateVpnConnection", "InvalidParam.IkePfs", nil, []string{"IkeConfig", `{"IkePfs":"disabled"}`}, false},
	{"CreateVpnConnection", "InvalidParam.IkeLifeTime", nil, []string{"IkeConfig", `{"IkeLifetime":86401}`}, false},
	{"CreateVpnConnection", "InvalidParam.LeftId", nil, []string{"IkeConfig", `{"LocalId":"two words"}`}, false},
	{"CreateVpnConnection", "InvalidParam.RightId", nil, []string{"IkeConfig", `{"RemoteId":"%any"}`}, false},
	{"CreateVpnConnection", "InvalidParam.IpsecEncAlg", nil, []string{"IpsecConfig", `{"IpsecEncAlg":"none"}`}, false},
	{"CreateVpnConnection", "InvalidParam.IpsecAuthAlg", nil, []string{"IpsecConfig", `{"IpsecAuthAlg":"none"}`}, false},
	{"CreateVpnConnection", "InvalidParam.IpSecLifetime", nil, []string{"IpsecConfig", `{"IpsecLifetime":"-1"}`}, false},
	{"CreateVpnConnection", "InvalidParam.EffectImmediately", nil, []string{"EffectImmediately", "soon"}, false},
	{"CreateVpnConnection", "InvalidParameter", nil, []string{"IkeConfig", `{"IkeMode":"fast"}`}, true},
	{"CreateVpnConnection", "InvalidParameter", nil, []string{"IkeConfig", `{"IkeMode":`}, true},
	{"CreateVpnConnection", "InvalidParameter", nil, []string{"IpsecConfig", `["group2"]`}, true},
	{"CreateVpnConnection", "InvalidParameter", nil, []string{"IpsecConfig", `{"IpsecPfs":"group3"}`}, true},
	{"CreateVpnConnection", "InvalidParameter", nil, []string{"HealthCheckConfig", `{"enable":"true"}`}, true},
	{"CreateVpnConnection", "InvalidParameter", nil, []string{"HealthCheckConfig", `{"enable":"true","sip":"10.0.2.1","dip":"192.168.8.1"}`}, true},
	{"CreateVpnConnection", "InvalidParameter", nil, []string{"HealthCheckConfig", `{"enable":"true","sip":"10.0.1.1","dip":"192.168.1.1"}`}, true},
	{"CreateVpnConnection", "InvalidParameter", nil, []string{"HealthCheckConfig", `{"interval":61}`}, true},
	{"CreateVpnConnection", "InvalidParameter", nil, []string{"BgpConfig", `{"EnableBgp":"true"}`}, true},
	{"CreateVpnConnection", "InvalidParameter", nil, []string{"BgpConfig", `{"EnableBgp":"true","TunnelCidr":"169.254.1.0/30"}`}, true}, // no Asn
	{"CreateVpnConnection", "InvalidParameter", algorithmRefused, nil, true},
	{"CreateVpnConnection", "InvalidParameter", ipsecOff, nil, true},
	{"CreateVpnConnection", "MissingParameter", nil, []string{"LocalSubnet", ""}, true},

	{"ModifyVpnConnectionAttribute", "InvalidVpnConnectionInstanceId.NotFound", nil, []string{"VpnConnectionId", "vco-none"}, false},
	{"ModifyVpnConnectionAttribute", "VpnGateway.Configuring", vpnPending, nil, false},
	{"ModifyVpnConnectionAttribute", "InvalidName", nil, []string{"Name", "http://x"}, false},
	{"ModifyVpnConnectionAttribute", "QuotaExceeded.PolicyBasedRoute", vpnQuotas(func(q settings.Quotas) { q["vpn_policy_routes_per_gateway"] = 1 }), nil, false},
	{"ModifyVpnConnectionAttribute", "InvalidParam.RightPsk", nil, []string{"IkeConfig", `{"Psk":"ü"}`}, false},
	{"ModifyVpnConnectionAttribute", "InvalidParam.RightPsk", anotherConnection, []string{"IkeConfig", `{"Psk":"another"}`}, false},
	{"ModifyVpnConnectionAttribute", "InvalidParam.RightId", nil, []string{"IkeConfig", `{"RemoteId":"198.51.100.2"}`}, false},
	{"ModifyVpnConnectionAttribute", "InvalidParam.LeftId", anotherConnection, []string{"IkeConfig", `{"LocalId":"gateway"}`}, false},
	{"ModifyVpnConnectionAttribute", "InvalidParam.RightSubnet", nil, []string{"RemoteSubnet", "10.0.1.128/24"}, false},
	{"ModifyVpnConnectionAttribute", "InvalidCidrBlock", nil, []string{"RemoteSubnet", "10.0.1.128/25"}, true},
	{"ModifyVpnConnectionAttribute", "InvalidVpnConnection.AlreadyExists", anotherConnection, []string{"RemoteSubnet", "192.168.9.0/24,192.168.8.0/24"}, true},
	{"ModifyVpnConnectionAttribute", "InvalidCIDRBlock.Duplicate", autoElsewhere, nil, true},

	{"DescribeVpnConnections", "InvalidCustomerGatewayId.NotFound", nil, []string{"CustomerGatewayId", "cgw-none"}, false},
	{"DescribeVpnConnections", "InvalidVpnGatewayId.NotFound", nil, []string{"VpnGatewayId", "vpn-none"}, false},
	{"DescribeVpnConnections", "InvalidRegionId.NotFound", nil, []string{"RegionId", "mars"}, true},
	{"DescribeVpnConnection", "InvalidVpnConnectionInstanceId.NotFound", nil, []string{"VpnConnectionId", "vco-none"}, false},
	{"DownloadVpnConnectionConfig", "InvalidVpnConnectionInstanceId.NotFound", nil, []string{"VpnConnectionId", "vco-none"}, false},
	{"DeleteVpnConnection", "InvalidVpnConnectionInstanceId.NotFound", nil, []string{"VpnConnectionId", "vco-none"}, false},
	{"DeleteVpnConnection", "VpnGateway.Configuring", vpnPending, nil, false},

	{"CreateVpnRouteEntry", "Resource.QuotaFull", vpnQuotas(func(q settings.Quotas) { q["vpn_routes_per_gateway"] = 1 }), nil, false},
	{"CreateVpnRouteEntry", "InvalidVpnGatewayInstanceId.NotFound", nil, []string{"VpnGatewayId", "vpn-none"}, false},
	{"CreateVpnRouteEntry", "VpnGateway.Configuring", vpnPending, nil, false},
	{"CreateVpnRouteEntry", "InvalidNextHopId.NotFound", nil, []string{"NextHop", "vco-none"}, true},
	{"CreateVpnRouteEntry", "InvalidRouteEntry.Duplicate", nil, []string{"RouteDest", "192.168.2.0/24"}, true},
	{"CreateVpnRouteEntry", "InvalidCIDRBlock.Duplicate", secondHop, []string{"RouteDest", "192.168.2.0/24"}, true},
	{"CreateVpnRouteEntry", "InvalidCIDRBlock.Duplicate", customEntry, []string{"PublishVpc", "true"}, true},
	{"CreateVpnRouteEntry", "InvalidCidrBlock", nil, []string{"RouteDest", "10.0.1.0/24"}, true},
	{"CreateVpnRouteEntry", "InvalidCidrBlock", nil, []string{"RouteDest", "224.0.0.0/4"}, true},
	{"CreateVpnRouteEntry", "InvalidParameter", nil, []string{"Weight", "50"}, true},

	{"CreateVpnPbrRouteEntry", "Resource.QuotaFull", vpnQuotas(func(q settings.Quotas) { q["vpn_policy_routes_per_gateway"] = 1 }), nil, false},
	{"CreateVpnPbrRouteEntry", "InvalidVpnGatewayInstanceId.NotFound", nil, []string{"VpnGatewayId", "vpn-none"}, false},
	{"CreateVpnPbrRouteEntry", "VpnGateway.Configuring", vpnPending, nil, false},
	{"CreateVpnPbrRouteEntry", "InvalidCidrBlock", nil, []string{"RouteDest", "10.0.1.64/26"}, true},

	{"PublishVpnRouteEntry", "InvalidVpnGatewayInstanceId.NotFound", nil, []string{"VpnGatewayId", "vpn-none"}, false},
	{"PublishVpnRouteEntry", "VpnGateway.Configuring", vpnPending, nil, false},
	{"PublishVpnRouteEntry", "InvalidRouteEntry.NotFound", nil, []string{"RouteDest", "192.168.99.0/24"}, true},
	{"PublishVpnRouteEntry", "InvalidParameter", nil, []string{"RouteType", "xbr"}, true},

	{"DescribeVpnRouteEntries", "InvalidVpnGatewayInstanceId.NotFound", nil, []string{"VpnGatewayId", "vpn-none"}, true},
	{"DescribeVpnPbrRouteEntries", "InvalidVpnGatewayInstanceId.NotFound", nil, []string{"VpnGatewayId", "vpn-none"}, true},

	{"ModifyVpnRouteEntryWeight", "InvalidVpnGatewayInstanceId.NotFound", nil, []string{"VpnGatewayId", "vpn-none"}, false},
	{"ModifyVpnRouteEntryWeight", "VpnGateway.Configuring", vpnPending, nil, false},
	{"ModifyVpnRouteEntryWeight", "InvalidRouteEntry.NotFound", nil, []string{"Weight", "0", "NewWeight", "0"}, true},
	{"ModifyVpnPbrRouteEntryWeight", "InvalidVpnGatewayInstanceId.NotFound", nil, []string{"VpnGatewayId", "vpn-none"}, false},
	{"ModifyVpnPbrRouteEntryWeight", "VpnGateway.Configuring", vpnPending, nil, false},
	{"ModifyVpnPbrRouteEntryWeight", "InvalidRouteEntry.NotFound", nil, []string{"RouteSource", "10.0.2.0/24"}, true},

	{"DeleteVpnRouteEntry", "InvalidVpnGatewayInstanceId.NotFound", nil, []string{"VpnGatewayId", "vpn-none"}, false},
	{"DeleteVpnRouteEntry", "VpnGateway.Configuring", vpnPending, nil, false},
	{"DeleteVpnRouteEntry", "InvalidRouteEntry.NotFound", nil, []string{"Weight", "0"}, true},
	{"DeleteVpnPbrRouteEntry", "InvalidVpnGatewayInstanceId.NotFound", nil, []string{"VpnGatewayId", "vpn-none"}, false},
	{"DeleteVpnPbrRouteEntry", "VpnGateway.Configuring", vpnPending, nil, false},
	{"DeleteVpnPbrRouteEntry", "InvalidRouteEntry.NotFound", nil, []string{"RouteDest", "192.168.3.0/24"}, true},
}

const (
	ofRights    = "of who has no right: TestForbidden"
	ofBilling   = "there is no billing, so that nothing is locked for want of money"
	olderCode   = "older document; the newer one has its own code for the same"
	addsNothing = "the call adds no route"
)

// vpnConnectionUnprovoked are the documented codes that no request brings
// about, and why. Those that every action has are in vpnUnprovokedAnywhere.
var vpnConnectionUnprovoked = map[string]map[string]string{
	"CreateVpnConnection": {
		"InvalidCustomerGatewayId.NotFound": olderCode,
		"InvalidVpnGatewayId.NotFound":      olderCode,
	},
	"ModifyVpnConnectionAttribute": {
		"InvalidCustomerGatewayId.NotFound": "the gateways of a connection can't be changed",
		"InvalidVpnGatewayId.NotFound":      "the gateways of a connection can't be changed",
	},
	"DescribeVpnConnection":        {"VpnConnectionId.NotFound": olderCode},
	"DownloadVpnConnectionConfig":  {"InvalidVpnConnectionId.NotFound": olderCode},
	"DeleteVpnConnection":          {"InvalidVpnConnectionId.NotFound": olderCode},
	"PublishVpnRouteEntry":         {"Resource.QuotaFull": addsNothing},
	"ModifyVpnRouteEntryWeight":    {"Resource.QuotaFull": addsNothing},
	"ModifyVpnPbrRouteEntryWeight": {"Resource.QuotaFull": addsNothing},
	"DeleteVpnRouteEntry":          {"Resource.QuotaFull": addsNothing},
	"DeleteVpnPbrRouteEntry":       {"Resource.QuotaFull": addsNothing},
}

var vpnUnprovokedAnywhere = map[string]string{
	"Forbidden":                  ofRights,
	"Forbidden.SubUser":          ofRights,
	"Forbbiden.SubUser":          ofRights,
	"VpnGateway.FinancialLocked": ofBilling,
}

func vpnQuotas(set func(settings.Quotas)) func(*testing.T, *vpnWorld) {
	return func(_ *testing.T, w *vpnWorld) { set(w.Settings.Quotas) }
}

// vpnPending leaves a route that the dataplane has not got.
func vpnPending(t *testing.T, w *vpnWorld) {
	w.Dataplane(planetest.Stalls)
	w.must(t, "CreateVpnRouteEntry", w.good("CreateVpnRouteEntry", "RouteDest", "192.168.77.0/24"))
}

func algorithmRefused(_ *testing.T, w *vpnWorld) {
	w.Tunnels.Lack(dataplane.AES128)
}

func ipsecOff(t *testing.T, w *vpnWorld) {
	g, _ := w.DB.View().VPNGateways.Get(w.vpn)
	off := g.Clone().(*resource.VPNGateway)
	off.IPsec = false
	if err := w.Put(off); err != nil {
		t.Fatal(err)
	}
}

func anotherConnection(t *testing.T, w *vpnWorld) {
	w.must(t, "CreateVpnConnection", w.good("CreateVpnConnection"))
}

// autoElsewhere gives the other connection the routes that this one wants.
func autoElsewhere(t *testing.T, w *vpnWorld) {
	w.must(t, "ModifyVpnConnectionAttribute", w.good("ModifyVpnConnectionAttribute", "VpnConnectionId", w.vco2))
}

// secondHop puts the other connection beside the one that has the route.
func secondHop(t *testing.T, w *vpnWorld) {
	w.must(t, "DeleteVpnRouteEntry", w.good("DeleteVpnRouteEntry"))
	w.must(t, "CreateVpnRouteEntry", w.good("CreateVpnRouteEntry", "RouteDest", "192.168.2.0/24", "NextHop", w.vco2))
}

func customEntry(_ *testing.T, w *vpnWorld) {
	sw := w.VSwitch(planetest.Alice, w.vpc, "10.0.7.0/24")
	w.Route(planetest.Alice, w.table, "192.168.3.0/24", resource.NextHopHost, w.Instance(sw, "", resource.Host))
}

func TestVPNConnectionErrors(t *testing.T) {
	worlds := &shared[*vpnWorld]{t: t, world: newVPNWorld}
	for _, c := range vpnConnectionErrors {
		t.Run(c.action+"/"+c.code, func(t *testing.T) {
			t.Parallel() // each waits for its own store's disk
			w, back := worlds.take(t, c.happened != nil)
			defer back()
			if c.happened != nil {
				c.happened(t, w)
			}
			before := w.DB.View()
			_, err := w.call(c.action, w.good(c.action, c.change...))
			if err == nil {
				t.Fatal("no error")
			}
			if err.Code != c.code {
				t.Fatalf("%v, want %s", err, c.code)
			}
			if strings.Contains(err.Message, "%s") {
				t.Errorf("%v has a place left open", err)
			}
			if vpnDocumented(c.action, err) == c.elsewhere {
				t.Errorf("%v: in the action's table is %t; the table: %+v", err, !c.elsewhere, documentedErrors[c.action])
			}
			if w.DB.View() != before {
				t.Error("a refused call changed something")
			}
		})
	}
}

// vpnDocumented says whether code, message and status stand in the action's
// table of errors, what they leave open filled in.
func vpnDocumented(action string, err *Error) bool {
	words := withoutReason(err)
	err = &words
	return slices.ContainsFunc(documentedErrors[action], func(d Error) bool {
		if fill, ok := strings.CutPrefix(err.Code, "InvalidParam."); ok && d.Code == "InvalidParam.%s" {
			said, _, _ := strings.Cut(err.Message, ": ") // the reason, which the document has no place for
			return err.HTTP == d.HTTP && said == strings.ReplaceAll(d.Message, "%s", fill)
		}
		if d.Code == "QuotaExceeded.PolicyBasedRoute" {
			head, _, _ := strings.Cut(d.Message, "%s")
			return err.Code == d.Code && strings.HasPrefix(err.Message, head)
		}
		return d == *err
	})
}

func TestPolicyRouteQuotaNamesTheNumbers(t *testing.T) {
	w := newVPNWorld(t)
	w.Settings.Quotas["vpn_policy_routes_per_gateway"] = 2
	_, err := w.call("CreateVpnConnection", w.good("CreateVpnConnection"))
	want := "The maximum number of policy-based routes is exceeded. Existing routes: 1. Routes to be created: 2. Maximum routes: 2."
	if err == nil || err.Message != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestVPNConnectionErrorsAreComplete(t *testing.T) {
	for _, action := range vpnConnectionActions {
		provoked := map[string]bool{}
		for _, c := range vpnConnectionErrors {
			if c.action != action || c.elsewhere {
				continue
			}
			if strings.HasPrefix(c.code, "InvalidParam.") {
				provoked["InvalidParam.%s"] = true
			}
			provoked[c.code] = true
		}
		documented := map[string]bool{}
		for _, e := range documentedErrors[action] {
			documented[e.Code] = true
			_, excused := vpnConnectionUnprovoked[action][e.Code]
			_, everywhere := vpnUnprovokedAnywhere[e.Code]
			if provoked[e.Code] == (excused || everywhere) {
				t.Errorf("%s: %s has to be either provoked or excused", action, e.Code)
			}
		}
		for code := range vpnConnectionUnprovoked[action] {
			if !documented[code] {
				t.Errorf("%s: %s is excused and not documented", action, code)
			}
		}
	}
}

// The parameters that the matrix changes work unchanged, and the answers can be
// written in both formats.
func TestVPNConnectionActionsSucceed(t *testing.T) {
	for _, action := range vpnConnectionActions {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			w := newVPNWorld(t)
			r := w.must(t, action, w.good(action))
			for _, f := range []Format{FormatXML, FormatJSON} {
				encoded(t, f, r)
			}
		})
	}
}
