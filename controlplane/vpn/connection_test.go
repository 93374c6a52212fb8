package vpn_test

import (
	"context"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

var ctx = context.Background()

// world is a VPC of Alice's with a VPN gateway and two customer gateways.
type world struct {
	*planetest.Plane
	t     *testing.T
	vpc   string
	table string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	p := planetest.New(t)
	v := p.VPC(planetest.Alice, "10.0.0.0/16")
	w := &world{Plane: p, t: t, vpc: v.VPC, table: v.RouteTable}
	p.VSwitch(planetest.Alice, w.vpc, "10.0.1.0/24")
	meta := func(id string) resource.Meta {
		return resource.Meta{ID: id, Account: planetest.Alice.Account, Region: planetest.Region, CreatedAt: planetest.Now}
	}
	w.put(&resource.VPNGateway{Meta: meta("vpn-1"), VPC: w.vpc, Address: netip.MustParseAddr("203.0.113.45"), PublicNetwork: "internet", Bandwidth: 10, IPsec: true})
	w.put(&resource.CustomerGateway{Meta: meta("cgw-1"), Address: netip.MustParseAddr("198.51.100.1")})
	w.put(&resource.CustomerGateway{Meta: meta("cgw-2"), Address: netip.MustParseAddr("198.51.100.2"), ASN: 65010})
	return w
}

func (w *world) put(r resource.Resource) {
	w.t.Helper()
	if err := w.Put(r); err != nil {
		w.t.Fatal(err)
	}
}

func blocks(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func ptr[T any](v T) *T { return &v }

// connect makes a connection of cgw-1, 10.0.1.0/24 = 192.168.1.0/24, without
// auto routes.
func (w *world) connect(change ...func(*vpn.NewConnection)) (string, error) {
	in := vpn.NewConnection{Region: planetest.Region, Gateway: "vpn-1", CustomerGateway: "cgw-1",
		Settings: vpn.ConnectionSettings{LocalSubnets: blocks("10.0.1.0/24"), RemoteSubnets: blocks("192.168.1.0/24"), AutoConfigRoute: ptr(false)}}
	for _, f := range change {
		f(&in)
	}
	x, err := w.VPN.CreateConnection(ctx, planetest.Alice, in)
	return x.ID, err
}

func (w *world) connected(change ...func(*vpn.NewConnection)) string {
	w.t.Helper()
	id, err := w.connect(change...)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) modify(id string, in vpn.ConnectionSettings) error {
	_, err := w.VPN.ModifyConnection(ctx, planetest.Alice, vpn.ConnectionChange{Region: planetest.Region, ID: id, Settings: in})
	return err
}

func (w *world) show(id string) vpn.ConnectionStatus {
	w.t.Helper()
	x, err := w.VPN.Connection(ctx, planetest.Alice, planetest.Region, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return x
}

// routes lists the gateway's routes: ids without the gateway, weights, and
// whether they are published or made by a connection.
func (w *world) routes() []string {
	var out []string
	for r := range w.DB.View().VPNRoutes.All() {
		s := strings.TrimPrefix(r.ID, "vpn-1/")
		if r.Standby {
			s += " standby"
		}
		if r.Published {
			s += " published"
		}
		if r.Auto {
			s += " auto"
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func (w *world) want(routes ...string) {
	w.t.Helper()
	slices.Sort(routes)
	if got := w.routes(); !slices.Equal(got, routes) {
		w.t.Errorf("routes %q, want %q", got, routes)
	}
}

func TestDefaults(t *testing.T) {
	w := newWorld(t)
	x := w.show(w.connected())
	if !regexp.MustCompile(`^[A-Za-z0-9]{16,}$`).MatchString(string(x.PSK)) {
		t.Errorf("random pre-shared key of %d characters", len(x.PSK))
	}
	ike := x.IKE
	ike.PSK = nil
	want := resource.IKEConfig{IKE: dataplane.IKE{Version: 1, Proposal: dataplane.Proposal{Encryption: dataplane.AES128, Integrity: dataplane.MD5, Group: 2}, Lifetime: 86400}, LocalID: "203.0.113.45", RemoteID: "198.51.100.1"}
	if !reflect.DeepEqual(ike, want) {
		t.Errorf("IKE %+v, want %+v", ike, want)
	}
	if x.IPsec != (dataplane.ESP{Proposal: dataplane.Proposal{Encryption: dataplane.AES128, Integrity: dataplane.MD5, Group: 2}, Lifetime: 86400}) || !x.DPD || !x.NATTraversal || x.EffectImmediately || x.BGP.Enabled || x.HealthCheck.Enabled {
		t.Errorf("%+v", x.VPNConnection)
	}
	other := w.show(w.connected(func(in *vpn.NewConnection) { in.CustomerGateway = "cgw-2" }))
	if other.PSK == x.PSK {
		t.Error("two random keys are equal")
	}
}

// What is not given stays, in each of the settings.
func TestPartialChange(t *testing.T) {
	w := newWorld(t)
	id := w.connected(func(in *vpn.NewConnection) {
		in.Settings.IKE = vpn.IKESettings{PSK: ptr("first secret"), Proposal: vpn.ProposalSettings{Encryption: ptr(dataplane.AES256)}, Lifetime: ptr(dataplane.Seconds(3600))}
	})
	if err := w.modify(id, vpn.ConnectionSettings{
		IKE:         vpn.IKESettings{Proposal: vpn.ProposalSettings{Integrity: ptr(dataplane.SHA256)}},
		IPsec:       vpn.IPsecSettings{Lifetime: ptr(dataplane.Seconds(600))},
		HealthCheck: vpn.HealthCheckSettings{Enabled: ptr(true), Source: ptr(netip.MustParseAddr("10.0.1.9")), Destination: ptr(netip.MustParseAddr("192.168.1.9"))},
	}); err != nil {
		t.Fatal(err)
	}
	x := w.show(id)
	if x.PSK != "first secret" || x.IKE.Proposal.Encryption != dataplane.AES256 || x.IKE.Proposal.Integrity != dataplane.SHA256 || x.IKE.Lifetime != 3600 || x.IPsec.Lifetime != 600 || x.IPsec.Proposal.Encryption != dataplane.AES128 {
		t.Errorf("psk %q %+v %+v", string(x.PSK), x.IKE, x.IPsec)
	}
	if x.HealthCheck.Interval != 3 || x.HealthCheck.Retries != 3 {
		t.Errorf("%+v", x.HealthCheck)
	}
	before := w.DB.View()
	if err := w.modify(id, vpn.ConnectionSettings{IKE: vpn.IKESettings{PSK: ptr("first secret"), Proposal: vpn.ProposalSettings{Encryption: ptr(dataplane.AES256)}}}); err != nil {
		t.Fatal(err)
	}
	if w.DB.View() != before {
		t.Error("a change to what is there has been written")
	}
	w.Dataplane(planetest.Stalls)
	if err := w.modify(id, vpn.ConnectionSettings{Name: ptr("branch")}); err != nil || w.show(id).Name != "branch" {
		t.Errorf("renaming: %v", err)
	}
	if p := w.show(id).VPNConnection.Phase(w.DB.Observed.Applied(w.vpc)); p != resource.Ready {
		t.Errorf("a new name changes the phase to %v", p)
	}
	if err := w.modify(id, vpn.ConnectionSettings{IKE: vpn.IKESettings{PSK: ptr("second secret")}}); err != nil || w.show(id).PSK != "second secret" {
		t.Errorf("new key: %v", err)
	}
	planetest.Refused(t, w.modify(id, vpn.ConnectionSettings{DPD: ptr(false)}), fault.VPNGatewayConfiguring)
	// The check holds for what the change comes to.
	planetest.Refused(t, w.modify(id, vpn.ConnectionSettings{RemoteSubnets: blocks("192.168.7.0/24")}), fault.VPNHealthCheck)
}

func TestConnectionsOfOthersAreNotFound(t *testing.T) {
	w := newWorld(t)
	id := w.connected()
	_, err := w.VPN.Connection(ctx, planetest.Bob, planetest.Region, id)
	planetest.Refused(t, err, fault.VPNConnectionNotFound)
	_, err = w.VPN.Connection(ctx, planetest.Alice, planetest.Elsewhere, id)
	planetest.Refused(t, err, fault.VPNConnectionNotFound)
	planetest.Refused(t, w.VPN.DeleteConnection(ctx, planetest.Bob, planetest.Region, id), fault.VPNConnectionNotFound)
	list, err := w.VPN.Connections(ctx, planetest.Bob, vpn.ConnectionQuery{Region: planetest.Region, Page: state.Page{Limit: 10}})
	if err != nil || list.Total != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestSubnets(t *testing.T) {
	w := newWorld(t)
	subnets := func(local, remote []netip.Prefix) func(*vpn.NewConnection) {
		return func(in *vpn.NewConnection) {
			in.Settings.LocalSubnets, in.Settings.RemoteSubnets = local, remote
		}
	}
	for _, c := range []struct {
		local, remote []netip.Prefix
		want          fault.Reason
	}{
		{nil, blocks("192.168.1.0/24"), fault.VPNLocalSubnets},
		{blocks("10.0.1.0/24"), []netip.Prefix{netip.MustParsePrefix("192.168.1.1/24")}, fault.VPNRemoteSubnets},
		{blocks("10.0.1.0/24"), blocks("192.168.1.0/24", "192.168.1.0/24"), fault.VPNRemoteSubnets},
		{blocks("10.0.1.0/24"), blocks("10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24", "10.5.0.0/24", "10.6.0.0/24", "10.7.0.0/24", "10.8.0.0/24", "10.9.0.0/24", "10.10.0.0/24", "10.11.0.0/24"), fault.VPNRemoteSubnets},
	} {
		_, err := w.connect(subnets(c.local, c.remote))
		planetest.Refused(t, err, c.want)
	}
	w.connected(subnets(blocks("0.0.0.0/0"), blocks("0.0.0.0/0")))
	w.connected(subnets(blocks("10.0.1.0/24", "10.0.2.0/24"), blocks("192.168.1.0/24", "192.168.2.0/24")))
	_, err := w.connect(subnets(blocks("10.0.2.0/24", "10.0.1.0/24"), blocks("192.168.2.0/24", "192.168.1.0/24")))
	planetest.Refused(t, err, fault.VPNConnectionExists)
}

func TestBGP(t *testing.T) {
	w := newWorld(t)
	with := func(peer, tunnel, local string) func(*vpn.NewConnection) {
		return func(in *vpn.NewConnection) {
			in.CustomerGateway = peer
			in.Settings.BGP.Enabled = ptr(true)
			if tunnel != "" {
				in.Settings.BGP.Tunnel = ptr(netip.MustParsePrefix(tunnel))
			}
			if local != "" {
				in.Settings.BGP.LocalIP = ptr(netip.MustParseAddr(local))
			}
		}
	}
	for _, c := range [][3]string{
		{"cgw-1", "169.254.11.0/30", "169.254.11.1"}, // no Asn
		{"cgw-2", "", ""},
		{"cgw-2", "169.254.11.0/29", "169.254.11.1"},
		{"cgw-2", "192.168.11.0/30", "192.168.11.1"},
		{"cgw-2", "169.254.11.0/30", "169.254.11.3"},
		{"cgw-2", "169.254.11.0/30", "169.254.12.1"},
	} {
		_, err := w.connect(with(c[0], c[1], c[2]))
		planetest.Refused(t, err, fault.VPNBGP)
	}
	first := w.show(w.connected(with("cgw-2", "169.254.11.0/30", "")))
	if first.BGP.LocalIP != netip.MustParseAddr("169.254.11.1") || first.BGP.LocalASN != 45104 || resource.PeerAddress(first.BGP.Tunnel, first.BGP.LocalIP) != netip.MustParseAddr("169.254.11.2") {
		t.Errorf("%+v", first.BGP)
	}
	_, err := w.connect(with("cgw-2", "169.254.11.0/30", ""), func(in *vpn.NewConnection) { in.Settings.RemoteSubnets = blocks("192.168.9.0/24") })
	planetest.Refused(t, err, fault.VPNBGP)
}

func TestNegotiation(t *testing.T) {
	w := newWorld(t)
	id := w.connected()
	for _, c := range []struct {
		live dataplane.VPNStatus
		want vpn.Negotiation
	}{
		{dataplane.VPNStatus{}, vpn.NoIKE},
		{dataplane.VPNStatus{Error: "AUTHENTICATION_FAILED"}, vpn.NoIKE},
		{dataplane.VPNStatus{IKE: true}, vpn.IKE},
		{dataplane.VPNStatus{IKE: true, Error: "NO_PROPOSAL_CHOSEN"}, vpn.NoChild},
		{dataplane.VPNStatus{IKE: true, Child: true}, vpn.Complete},
	} {
		c.live.Connection = id
		w.Tunnels.Set(c.live)
		x := w.show(id)
		if got := x.Negotiation(); got != c.want {
			t.Errorf("%+v: %v, want %v", c.live, got, c.want)
		}
	}
}

func TestAutoRoutes(t *testing.T) {
	w := newWorld(t)
	id := w.connected(func(in *vpn.NewConnection) {
		in.Settings.AutoConfigRoute = nil // the default
		in.Settings.LocalSubnets = blocks("10.0.1.0/24", "10.0.2.0/24")
	})
	w.want("10.0.1.0/24>192.168.1.0/24/"+id+" published auto", "10.0.2.0/24>192.168.1.0/24/"+id+" published auto")
	if err := w.modify(id, vpn.ConnectionSettings{LocalSubnets: blocks("10.0.2.0/24"), RemoteSubnets: blocks("192.168.1.0/24", "192.168.3.0/24")}); err != nil {
		t.Fatal(err)
	}
	w.want("10.0.2.0/24>192.168.1.0/24/"+id+" published auto", "10.0.2.0/24>192.168.3.0/24/"+id+" published auto")

	// One that is gone by hand does not come back by another change.
	name := vpn.RouteName{Region: planetest.Region, Gateway: "vpn-1", Kind: vpn.ByPolicy, Source: blocks("10.0.2.0/24")[0], Destination: blocks("192.168.3.0/24")[0], NextHop: id}
	if err := w.VPN.DeleteRoute(ctx, planetest.Alice, name, false); err != nil {
		t.Fatal(err)
	}
	if err := w.modify(id, vpn.ConnectionSettings{DPD: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	w.want("10.0.2.0/24>192.168.1.0/24/" + id + " published auto")
	if err := w.modify(id, vpn.ConnectionSettings{AutoConfigRoute: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	w.want()

	// The gateway may have two: 1 of another destination, and not 2 more.
	w.Settings.Quotas["vpn_policy_routes_per_gateway"] = 2
	w.route(vpn.NewRoute{Kind: vpn.ByPolicy, Source: blocks("10.0.2.0/24")[0], Destination: blocks("192.168.8.0/24")[0], NextHop: id})
	planetest.Refused(t, w.modify(id, vpn.ConnectionSettings{AutoConfigRoute: ptr(true)}), fault.QuotaVPNPolicyRoute)

	if err := w.VPN.DeleteConnection(ctx, planetest.Alice, planetest.Region, id); err != nil {
		t.Fatal(err)
	}
	w.want() // those made by hand went, too
	any := w.connected(func(in *vpn.NewConnection) {
		in.Settings.AutoConfigRoute = ptr(true)
		in.Settings.RemoteSubnets = blocks("0.0.0.0/0")
	})
	if x := w.show(any); !x.AutoConfigRoute {
		t.Error("AutoConfigRoute is lost")
	}
	w.want()
}

// TestSecretsAreNotStored looks for the key in everything that is written.
func TestSecretsAreNotStored(t *testing.T) {
	w := newWorld(t)
	const secret = "Xyzzy-Plugh-42"
	c := planetest.Alice
	c.Action, c.Token, c.Fingerprint = "CreateVpnConnection", "token-1", "f"
	x, err := w.VPN.CreateConnection(ctx, c, vpn.NewConnection{Region: planetest.Region, Gateway: "vpn-1", CustomerGateway: "cgw-1",
		Settings: vpn.ConnectionSettings{LocalSubnets: blocks("10.0.1.0/24"), RemoteSubnets: blocks("192.168.1.0/24"), IKE: vpn.IKESettings{PSK: ptr(secret)}}})
	if err != nil {
		t.Fatal(err)
	}
	modified := identity.Caller{Account: c.Account, Action: "ModifyVpnConnectionAttribute", Token: "token-2", Fingerprint: "g"}
	for range 2 { // the second time from the receipt
		got, err := w.VPN.ModifyConnection(ctx, modified, vpn.ConnectionChange{Region: planetest.Region, ID: x.ID, Settings: vpn.ConnectionSettings{IKE: vpn.IKESettings{PSK: ptr(secret + "!")}}})
		if err != nil || got.PSK != secret+"!" {
			t.Fatalf("%q, %v", string(got.PSK), err)
		}
	}
	written := w.Written()
	for name, text := range written {
		if strings.Contains(string(text), secret) {
			t.Errorf("%s holds the pre-shared key in clear", name)
		}
	}
	if len(written) < 2 {
		t.Errorf("only %d files and records were looked at", len(written))
	}
	if log := w.Log(); strings.Contains(log, secret) || !strings.Contains(log, "VPN connection created") {
		t.Errorf("log: %s", log)
	}
}

func TestPeerConfig(t *testing.T) {
	w := newWorld(t)
	id := w.connected(func(in *vpn.NewConnection) { in.Settings.IKE.PSK = ptr("a key of theirs") })
	text, err := w.VPN.PeerConfig(id, "generic")
	if err != nil || !strings.Contains(text, "own address           198.51.100.1\n") || !strings.Contains(text, "\npeer address          203.0.113.45\n") || !strings.Contains(text, "a key of theirs") {
		t.Errorf("%s, %v", text, err)
	}
	_, err = w.VPN.PeerConfig(id, "telepathy")
	planetest.Refused(t, err, fault.ParameterInvalid)
	_, err = w.VPN.PeerConfig(id, "frr-strongswan")
	planetest.Refused(t, err, fault.ParameterInvalid)
	_, err = w.VPN.PeerConfig("vco-none", "generic")
	planetest.Refused(t, err, fault.VPNConnectionNotFound)
}

// The operator sees how connections of all accounts are, with their routes.
func TestTunnels(t *testing.T) {
	w := newWorld(t)
	id := w.connected(func(in *vpn.NewConnection) { in.Settings.AutoConfigRoute = ptr(true) })
	w.Tunnels.Set(dataplane.VPNStatus{Connection: id, IKE: true})
	one, err := w.VPN.Tunnels(t.Context(), id)
	if err != nil || len(one) != 1 || one[0].ID != id || !one[0].Live.IKE || one[0].Local == nil || one[0].Peer == nil {
		t.Fatalf("%+v, %v", one, err)
	}
	for _, r := range one[0].Routes {
		if r.Connection != id {
			t.Errorf("a route of %s", r.Connection)
		}
	}
	if len(one[0].Routes) == 0 {
		t.Error("no route")
	}
	all, err := w.VPN.Tunnels(t.Context(), "")
	if err != nil || len(all) != 1 || all[0].ID != id {
		t.Errorf("%+v, %v", all, err)
	}
	_, err = w.VPN.Tunnels(t.Context(), "vco-none")
	planetest.Refused(t, err, fault.VPNConnectionNotFound)
}

// However long the dataplane takes to tell what it can carry, other writes do not wait.
func TestOthersDoNotWaitForTheDataplane(t *testing.T) {
	w := newWorld(t)
	done := w.Tunnels.Slow()
	defer done()
	made := make(chan error)
	id := ""
	go func() {
		var err error
		id, err = w.connect()
		made <- err
	}()
	_, err := w.VPN.CreateCustomerGateway(ctx, planetest.Alice, vpn.CustomerGateway{Region: planetest.Region, Address: netip.MustParseAddr("198.51.100.77")})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-made:
		t.Errorf("the connection is there already: %v", err)
	default:
	}
	done()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	w.show(id)
}

// Pre-shared keys are hidden from describe-only keys where the operator wants that, and
// from nobody else.
func TestPSKForDescribeOnlyKeys(t *testing.T) {
	w := newWorld(t)
	id := w.connected()
	for _, c := range []struct{ hide, describeOnly, hidden bool }{{}, {describeOnly: true}, {hide: true}, {true, true, true}} {
		w.Settings.HidePSKs = c.hide
		caller := planetest.Alice
		caller.DescribeOnly = c.describeOnly
		one, err := w.VPN.Connection(ctx, caller, planetest.Region, id)
		if err != nil {
			t.Fatal(err)
		}
		list, err := w.VPN.Connections(ctx, caller, vpn.ConnectionQuery{Region: planetest.Region, Page: state.Page{Limit: 10}})
		if err != nil || len(list.Items) != 1 {
			t.Fatal(list, err)
		}
		for _, x := range []vpn.ConnectionStatus{one, list.Items[0]} {
			if hidden := string(x.PSK) == "********"; hidden != c.hidden || x.PSK == "" {
				t.Errorf("%+v: %q", c, string(x.PSK))
			}
		}
	}
}
