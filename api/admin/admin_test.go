package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/api/audit"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/inventory"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fake answers as the services would, and notes what it was asked.
type fake struct {
	plane *planetest.Plane // that has the accounts, keys, users and policies; nil: the fake has
	audit *audit.Log       // nil: none is kept

	full      bool // is the disk, for backups
	accounts  []*resource.Account
	keys      []identity.Key
	instances []*resource.Instance

	interfaces []inventory.Interface
	networks   []Network
	traffic    *dataplane.Traffic
	programs   []dataplane.Programs
	tunnels    []vpn.Tunnel
	ready      bool
	calls      []string
	err        error
	panics     bool
}

func (f *fake) note(call ...string) error {
	if f.panics {
		panic("a mistake")
	}
	f.calls = append(f.calls, strings.Join(call, " "))
	return f.err
}

func (f *fake) Accounts() []*resource.Account { return f.accounts }
func (f *fake) CreateAccount(_ context.Context, name string) (*resource.Account, error) {
	return &resource.Account{Meta: resource.Meta{ID: "1002", CreatedAt: epoch}, Name: name}, f.note("account", name)
}
func (f *fake) Keys(account string) ([]identity.Key, error) {
	return f.keys, f.note("keys", account)
}
func (f *fake) CreateKey(_ context.Context, account string, o identity.KeyOptions) (identity.Key, error) {
	return identity.Key{ID: o.ID, Secret: o.Secret, DescribeOnly: o.DescribeOnly, Account: "1001", AccountName: account, CreatedAt: epoch}, f.note("key", account)
}
func (f *fake) DisableKey(_ context.Context, id string) error { return f.note("disable", id) }
func (f *fake) EnableKey(_ context.Context, id string) error  { return f.note("enable", id) }
func (f *fake) DeleteKey(_ context.Context, id string) error  { return f.note("delete", id) }

func (f *fake) Add(_ context.Context, in inventory.NewInstance) (*resource.Instance, error) {
	i := &resource.Instance{Meta: resource.Meta{ID: in.ID, CreatedAt: epoch}, VSwitch: in.VSwitch, PrivateIP: in.PrivateIP, MAC: in.MAC, Type: in.Type, State: in.State}
	return i, f.note("add", in.VSwitch)
}
func (f *fake) List(q inventory.Filter) []*resource.Instance {
	_ = f.note("list", q.VPC, q.VSwitch)
	return f.instances
}
func (f *fake) SetState(_ context.Context, id, to string) error { return f.note("state", id, to) }
func (f *fake) SetMAC(_ context.Context, id, to string) error   { return f.note("mac", id, to) }
func (f *fake) SetLimits(_ context.Context, id string, to *dataplane.Limits) error {
	return f.note("limits", id, fmt.Sprint(to))
}
func (f *fake) Remove(_ context.Context, id string) error { return f.note("remove", id) }
func (f *fake) Interfaces(string) []inventory.Interface   { return f.interfaces }
func (f *fake) Give(_ context.Context, id string, a netip.Addr) error {
	return f.note("give", id, a.String())
}
func (f *fake) Take(_ context.Context, id string) error { return f.note("take", id) }
func (f *fake) Networks() []Network                     { return f.networks }
func (f *fake) Traffic(_ context.Context, network string) (*dataplane.Traffic, error) {
	return f.traffic, f.note("traffic", network)
}
func (f *fake) Programs(_ context.Context, network string) ([]dataplane.Programs, error) {
	return f.programs, f.note("programs", network)
}
func (f *fake) Tunnels(_ context.Context, connection string) ([]vpn.Tunnel, error) {
	f.calls = append(f.calls, "tunnels "+connection)
	return f.tunnels, f.err
}

func (f *fake) SSLEnds(context.Context) ([]vpn.SSLEnd, error) {
	return []vpn.SSLEnd{{
		SSLServerStatus: vpn.SSLServerStatus{
			SSLServer: &resource.SSLServer{Meta: resource.Meta{ID: "vss-1", Account: "a"}, VPC: "vpc-1", Gateway: "vpn-1", Protocol: resource.UDP, Port: 1194, Cipher: dataplane.SSLAES128,
				Keys: resource.SSLKeys{Key: []byte("the server's key"), Certificate: "the server's"}},
			At: &resource.VPNGateway{SSLConnections: 5},
			Live: dataplane.SSLStatus{Server: "vss-1", Running: true, Refused: 2, Failures: map[string]uint64{"revoked": 1},
				Clients: []dataplane.SSLSession{{Certificate: "vsc-1", Inbound: dataplane.Volume{Bytes: 7}}}},
		},
		Certificates: []vpn.SSLCertificateStatus{{SSLCertificate: &resource.SSLCertificate{Meta: resource.Meta{ID: "vsc-1"}, Name: "laptop", Key: []byte("the client's key")}, Validity: vpn.ExpiringSoon}},
		Phase:        resource.Ready,
	}}, nil
}

func (f *fake) ClientConfig(certificate, format string) ([]byte, error) {
	if certificate != "vsc-1" {
		return nil, fault.New(fault.SSLCertificateNotFound, "certificate %q", certificate)
	}
	return []byte("a file in " + format), nil
}

func (f *fake) DisconnectSSL(_ context.Context, certificate string) error {
	f.calls = append(f.calls, "disconnect "+certificate)
	if certificate != "vsc-1" {
		return fault.New(fault.SSLClientNotConnected, "client %q", certificate)
	}
	return nil
}

func (f *fake) PeerConfig(connection, format string) (string, error) {
	return "for " + connection + "\n", f.note("peer", connection, format)
}
func (f *fake) Ready() bool { return f.ready }
func (f *fake) Info() Info  { return Info{Version: "v1", PID: 7, Started: epoch, Listen: "127.0.0.1:1"} }

// start serves f on a socket of its own and returns a client of it.
func start(t *testing.T, f *fake, allow func(uint32) bool) (*Client, string) {
	t.Helper()
	c, path, _ := startStopped(t, f, allow)
	return c, path
}

// startStopped also returns what has the server end, without waiting for that.
func startStopped(t *testing.T, f *fake, allow func(uint32) bool) (*Client, string, context.CancelFunc) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "admin.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	services := Services{Identity: f, Inventory: f, Public: f, Networks: f, Traffic: f, Programs: f, VPN: f, Process: f, Backups: f}
	if f.plane != nil {
		services.Identity, services.RAM, services.HaVips = f.plane.Keys, f.plane.RAM, f.plane.HaVip
	}
	if f.audit != nil {
		services.Audit = f.audit
	}
	s := &Server{Listener: l, Handler: NewHandler(services, log), Audit: services.Audit, Log: log, Grace: time.Minute, Allow: allow}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return c, path, cancel
}

func equal(t *testing.T, got, want any, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	} else if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAccountsAndKeys(t *testing.T) {
	f := &fake{}
	c, _ := start(t, f, nil)
	ctx := t.Context()

	accounts, err := c.Accounts(ctx)
	equal(t, accounts, []Account{}, err)
	f.accounts = []*resource.Account{{Meta: resource.Meta{ID: "1001", CreatedAt: epoch}, Name: "alice"}}
	accounts, err = c.Accounts(ctx)
	equal(t, accounts, []Account{{ID: "1001", Name: "alice", CreatedAt: epoch}}, err)
	made, err := c.CreateAccount(ctx, "bob")
	equal(t, made, Account{ID: "1002", Name: "bob", CreatedAt: epoch}, err)

	key, err := c.CreateAccessKey(ctx, NewAccessKey{Account: "alice", ID: "testid", Secret: "testsecret", DescribeOnly: true})
	equal(t, key, AccessKey{ID: "testid", Secret: "testsecret", Account: "1001", AccountName: "alice", DescribeOnly: true, CreatedAt: epoch}, err)
	f.keys = []identity.Key{{ID: "k", Account: "1001", AccountName: "alice", Secret: "never", Disabled: true, CreatedAt: epoch}}
	keys, err := c.AccessKeys(ctx, "a b&c")
	equal(t, keys, []AccessKey{{ID: "k", Account: "1001", AccountName: "alice", Disabled: true, CreatedAt: epoch}}, err)
	for _, call := range []func(context.Context, string) error{c.DisableAccessKey, c.EnableAccessKey, c.DeleteAccessKey} {
		if err := call(ctx, "k/ y"); err != nil {
			t.Error(err)
		}
	}
	equal(t, f.calls, []string{"account bob", "key alice", "keys a b&c", "disable k/ y", "enable k/ y", "delete k/ y"}, nil)
}

func TestInstances(t *testing.T) {
	f := &fake{}
	f.interfaces = []inventory.Interface{{NetworkInterface: resource.PrimaryInterface(&resource.Instance{MAC: "m", VSwitch: "vsw-1", PrivateIP: netip.MustParseAddr("10.0.0.1")}, "eni-1"),
		Public: map[netip.Addr]netip.Addr{netip.MustParseAddr("10.0.0.1"): netip.MustParseAddr("192.0.2.1")}}}
	c, _ := start(t, f, nil)
	ctx := t.Context()
	got, err := c.AddInstance(ctx, NewInstance{ID: "i-1", VSwitch: "vsw-1", PrivateIP: "10.0.0.1", MAC: "m", Kind: "SlbInstance", State: "Stopped"})
	want := Instance{ID: "i-1", VSwitch: "vsw-1", PrivateIP: "10.0.0.1", MAC: "m", Kind: "SlbInstance", State: "Stopped", CreatedAt: epoch,
		Interfaces: []Interface{{ID: "eni-1", VSwitch: "vsw-1", MAC: "m", Addresses: []InterfaceAddress{{Address: "10.0.0.1", Public: "192.0.2.1"}}}}}
	equal(t, got, want, err)
	list, err := c.Instances(ctx, InstanceFilter{VPC: "v", VSwitch: "s"})
	equal(t, list, []Instance{}, err)
	if err := c.SetInstanceState(ctx, "i-1", "Stopped"); err != nil {
		t.Error(err)
	}
	if err := errors.Join(
		c.SetInstanceMAC(ctx, "i-1", "02:00:00:00:00:01"),
		c.SetInstanceLimits(ctx, "i-1", &Limits{Sessions: 500, NewPerSecond: 50}),
		c.SetInstanceLimits(ctx, "i-1", nil),
		c.GivePublic(ctx, "i-1", "192.0.2.9"),
		c.TakePublic(ctx, "i-1"),
		c.RemoveInstance(ctx, "i-1"),
	); err != nil {
		t.Error(err)
	}
	equal(t, f.calls, []string{"add vsw-1", "list v s", "state i-1 Stopped", "mac i-1 02:00:00:00:00:01", "limits i-1 &{500 50}", "limits i-1 <nil>", "give i-1 192.0.2.9", "take i-1", "remove i-1"}, nil)
	for _, in := range []NewInstance{{PrivateIP: "x"}, {Further: []string{"x"}}} {
		if _, err := c.AddInstance(ctx, in); status(err) != 400 {
			t.Errorf("a bad address: %v", err)
		}
	}
	if err := c.GivePublic(ctx, "i-1", "x"); status(err) != 400 {
		t.Errorf("a bad public address: %v", err)
	}
}

func TestProcessAndNetworks(t *testing.T) {
	f := &fake{networks: []Network{{ID: "vpc-1", Wanted: 3, Applied: 2, Error: "no such device", Since: epoch}}}
	c, _ := start(t, f, nil)
	ctx := t.Context()
	networks, err := c.Networks(ctx)
	equal(t, networks, f.networks, err)
	if err := c.Health(ctx); err != nil {
		t.Error(err)
	}
	if err := c.Ready(ctx); status(err) != 503 {
		t.Errorf("ready while starting: %v", err)
	}
	f.ready = true
	if err := c.Ready(ctx); err != nil {
		t.Error(err)
	}
	info, err := c.Info(ctx)
	equal(t, info, Info{Version: "v1", PID: 7, Started: epoch, Listen: "127.0.0.1:1", Ready: true}, err)
}

func TestTraffic(t *testing.T) {
	f := &fake{}
	c, _ := start(t, f, nil)
	ctx := t.Context()
	_, err := c.Traffic(ctx, "vpc-1")
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != 404 || e.Reason != NotCounted {
		t.Errorf("a network that is not counted: %v", err)
	}
	f.traffic = &dataplane.Traffic{}
	got, err := c.Traffic(ctx, "vpc-1")
	equal(t, got, Traffic{Gateways: []GatewayTraffic{}, Sessions: []Sessions{}, Refused: []Count{}, Misses: []Count{}, Addresses: []AddressTraffic{}, Ports: []Ports{}, NoPort: []NoPort{}}, err)
	f.traffic = &dataplane.Traffic{
		Epoch: 1<<64 - 1, // more than a float64 can tell apart
		Gateways: []dataplane.GatewayTraffic{
			{Sessions: []dataplane.Sessions{{Kind: dataplane.SessionElastic, Open: 20, Opened: 21}}},
			{ID: "ngw-1", Limits: dataplane.Limits{Connections: 10_000, NewPerSecond: 1_000}, Sessions: []dataplane.Sessions{{Kind: dataplane.SessionSNAT, Open: 1, Opened: 2}},
				Refused: []dataplane.Count{{Reason: dataplane.RefusedRate, Count: 3}}, Outbound: dataplane.Volume{Bytes: 22, Packets: 23}, Inbound: dataplane.Volume{Bytes: 24, Packets: 25}},
		},
		Sessions:  []dataplane.Sessions{{Kind: dataplane.SessionSNAT, Open: 1, Opened: 2}},
		Refused:   []dataplane.Count{{Reason: dataplane.RefusedRate, Count: 3}},
		Shortcut:  dataplane.Shortcut{Hits: 4, Misses: []dataplane.Count{{Reason: "fragment", Count: 5}}},
		Misplaced: 6,
		Outbound:  dataplane.Volume{Bytes: 6, Packets: 7},
		Inbound:   dataplane.Volume{Bytes: 8, Packets: 9},
		Addresses: []dataplane.AddressTraffic{{Address: netip.MustParseAddr("10.0.0.1"), Gateway: "ngw-1", Outbound: dataplane.Volume{Bytes: 10, Packets: 11}, Inbound: dataplane.Volume{Bytes: 12, Packets: 13}, Open: 14, Opened: 15, NoPort: 18, Share: 20}},
		Ports:     []dataplane.Ports{{External: netip.MustParseAddr("203.0.113.10"), Protocol: 17, Used: 16, Most: 17}},
		NoPort: []dataplane.NoPort{
			{External: netip.MustParseAddr("203.0.113.10"), Protocol: 6, Count: 19},
			{External: netip.MustParseAddr("203.0.113.10"), Private: netip.MustParseAddr("10.0.0.1"), Protocol: 6, Count: 18},
		},
	}
	got, err = c.Traffic(ctx, "vpc/ 2")
	equal(t, got, Traffic{
		Epoch: 1<<64 - 1,
		Gateways: []GatewayTraffic{
			{Sessions: []Sessions{{"elastic", 20, 21}}, Refused: []Count{}},
			{ID: "ngw-1", Limit: 10_000, RateLimit: 1_000, Sessions: []Sessions{{"snat", 1, 2}}, Refused: []Count{{"rate", 3}}, Outbound: Volume{22, 23}, Inbound: Volume{24, 25}},
		},
		Sessions: []Sessions{{"snat", 1, 2}}, Refused: []Count{{"rate", 3}}, Hits: 4, Misses: []Count{{"fragment", 5}}, Misplaced: 6,
		Outbound: Volume{6, 7}, Inbound: Volume{8, 9},
		Addresses: []AddressTraffic{{"10.0.0.1", "ngw-1", Volume{10, 11}, Volume{12, 13}, 14, 15, 18, 20}},
		Ports:     []Ports{{"203.0.113.10", 17, 16, 17}},
		NoPort:    []NoPort{{"203.0.113.10", "", 6, 19}, {"203.0.113.10", "10.0.0.1", 6, 18}},
	}, err)
	f.err = errors.New("the map is gone")
	if _, err := c.Traffic(ctx, "vpc-1"); status(err) != 500 || err.Error() != "read the counters of vpc-1: the map is gone" {
		t.Errorf("counters that cannot be read: %v", err)
	}
	equal(t, f.calls, []string{"traffic vpc-1", "traffic vpc-1", "traffic vpc/ 2", "traffic vpc-1"}, nil)
}

func TestPrograms(t *testing.T) {
	f := &fake{}
	c, _ := start(t, f, nil)
	got, err := c.Programs(t.Context(), "vpc-1")
	equal(t, got, []LinkPrograms{}, err)
	f.programs = []dataplane.Programs{{Link: dataplane.UplinkName, By: dataplane.ByXDP}, {Link: "vsw-1", By: dataplane.ByTCX, Why: "a bridge"}}
	got, err = c.Programs(t.Context(), "vpc-1")
	equal(t, got, []LinkPrograms{{"public", "xdp", ""}, {"vsw-1", "tcx", "a bridge"}}, err)
	f.err = errors.New("the link is gone")
	if _, err := c.Programs(t.Context(), "vpc-1"); status(err) != 500 || err.Error() != "look at the BPF programs of vpc-1: the link is gone" {
		t.Errorf("programs that cannot be looked at: %v", err)
	}
}

// status returns the HTTP status of a refusal, 0 if it is none.
func status(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

func TestPeerConfig(t *testing.T) {
	f := &fake{}
	c, _ := start(t, f, nil)
	text, err := c.PeerConfig(context.Background(), "vco-1", "libreswan")
	if err != nil || text != "for vco-1\n" || !slices.Equal(f.calls, []string{"peer vco-1 libreswan"}) {
		t.Errorf("%q, %v, %q", text, err, f.calls)
	}
	f.err = fault.New(fault.VPNConnectionNotFound, "vco-2")
	var e *Error
	if _, err := c.PeerConfig(context.Background(), "vco-2", "generic"); !errors.As(err, &e) || e.Status != 404 {
		t.Errorf("%v, want a refusal with status 404", err)
	}
}

// What is known of a tunnel arrives, and a connection's state is told from it.
func TestSSL(t *testing.T) {
	f := &fake{}
	c, _ := start(t, f, nil)
	list, err := c.SSLServers(t.Context())
	if err != nil || len(list) != 1 || list[0].State != SSLRunning || list[0].Limit != 5 || list[0].Refused != 2 || list[0].Failures["revoked"] != 1 ||
		len(list[0].Clients) != 1 || list[0].Clients[0].Name != "laptop" || list[0].Clients[0].Inbound.Bytes != 7 || list[0].Certificates[0].State != "expiring-soon" {
		t.Errorf("%+v, %v", list, err)
	}
	if text := fmt.Sprintf("%+v", list); strings.Contains(text, "key") {
		t.Errorf("keys are in what the operator is shown: %s", text)
	}
	if text, err := c.ClientConfig(t.Context(), "vsc-1", "zip"); err != nil || string(text) != "a file in zip" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := c.ClientConfig(t.Context(), "vsc-2", "ovpn"); status(err) != 404 {
		t.Error(err)
	}
	if err := c.DisconnectSSL(t.Context(), "vsc-1"); err != nil {
		t.Error(err)
	}
	if err := c.DisconnectSSL(t.Context(), "vsc-2"); status(err) != 404 {
		t.Error(err)
	}
}

func TestTunnels(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	f := &fake{}
	c, _ := start(t, f, nil)
	for _, v := range []struct {
		live  dataplane.VPNStatus
		state string
	}{
		{dataplane.VPNStatus{}, TunnelUnknown},
		{dataplane.VPNStatus{Connection: "vco-1"}, TunnelNegotiating},
		{dataplane.VPNStatus{Connection: "vco-1", Error: "no"}, TunnelNoIKE},
		{dataplane.VPNStatus{Connection: "vco-1", IKE: true}, TunnelHalfUp},
		{dataplane.VPNStatus{Connection: "vco-1", IKE: true, Error: "no"}, TunnelNoChild},
		{dataplane.VPNStatus{
			Connection: "vco-1", IKE: true, Child: true, Checked: true, Failed: true, Error: "no", Since: at, Path: dataplane.VPNByXFRM, Rekeys: 1, DPDEvents: 2, Failures: 3,
			Inbound: dataplane.Volume{Bytes: 4, Packets: 5}, LastIn: at,
			Fault: dataplane.VPNFault{Kind: "subnets", Text: "no", Detail: "these", Side: dataplane.VPNPeer, First: at, Last: at, Count: 6},
			SAs: []dataplane.VPNSA{{ID: "7", State: "ESTABLISHED", Version: 2, Initiator: true, Remote: netip.MustParseAddrPort("198.51.100.7:4500"), RemoteID: "branch", NATRemote: true,
				Proposal: "AES", Established: at, Children: []dataplane.VPNChildSA{{ID: "8", State: "INSTALLED", Local: []string{"10.0.0.0/24"}, Remote: []string{"10.1.0.0/24"}, Proposal: "AES",
					SPIIn: "1", SPIOut: "2", UDP: true, Installed: at, RekeyIn: time.Minute, EndsIn: time.Hour, Outbound: dataplane.Volume{Bytes: 9, Packets: 10}}}}},
			Pairs: []dataplane.VPNPair{{Local: netip.MustParsePrefix("10.0.0.0/24"), Remote: netip.MustParsePrefix("10.1.0.0/24"), Up: true}},
		}, TunnelUp},
	} {
		f.tunnels = []vpn.Tunnel{{
			VPNConnection: &resource.VPNConnection{Meta: resource.Meta{ID: "vco-1", Account: "a"}, Name: "n", VPC: "vpc-1", Gateway: "vpn-1", CustomerGateway: "cgw-1", BGP: resource.BGPConfig{Enabled: true}},
			Local:         &resource.VPNGateway{Address: netip.MustParseAddr("203.0.113.20")}, Peer: &resource.CustomerGateway{Address: netip.MustParseAddr("198.51.100.7")},
			Routes: []*resource.VPNRoute{{Destination: netip.MustParsePrefix("10.1.0.0/24"), Standby: true, Published: true}},
			Live:   v.live,
		}}
		got, err := c.Tunnels(t.Context(), "vco-1")
		if err != nil || len(got) != 1 || got[0].State != v.state {
			t.Fatalf("%+v, %v, want state %q", got, err, v.state)
		}
		if v.state != TunnelUp {
			continue
		}
		volume := Volume{Bytes: 4, Packets: 5}
		want := []Tunnel{{
			Connection: "vco-1", Name: "n", Account: "a", VPC: "vpc-1", Gateway: "vpn-1", GatewayAddress: netip.MustParseAddr("203.0.113.20"),
			CustomerGateway: "cgw-1", PeerAddress: netip.MustParseAddr("198.51.100.7"), State: TunnelUp, Since: at, Path: "xfrm", Error: "no", Health: "failing", BGP: "down",
			SAs: []IKESA{{ID: "7", State: "ESTABLISHED", Version: 2, Initiator: true, Remote: netip.MustParseAddrPort("198.51.100.7:4500"), RemoteID: "branch", NATRemote: true,
				Algorithms: "AES", Established: at, Children: []ChildSA{{ID: "8", State: "INSTALLED", Local: []string{"10.0.0.0/24"}, Remote: []string{"10.1.0.0/24"}, Algorithms: "AES",
					SPIIn: "1", SPIOut: "2", UDP: true, Installed: at, RekeyIn: 60, EndsIn: 3600, Outbound: Volume{Bytes: 9, Packets: 10}}}}},
			Pairs:   []TunnelPair{{Local: netip.MustParsePrefix("10.0.0.0/24"), Remote: netip.MustParsePrefix("10.1.0.0/24"), Up: true}},
			Routes:  []TunnelRoute{{Destination: netip.MustParsePrefix("10.1.0.0/24"), Standby: true, Published: true}},
			Inbound: volume, LastIn: at, Rekeys: 1, DeadPeers: 2, Failures: 3,
			Fault: &TunnelFault{Kind: "subnets", Text: "no", Detail: "these", Side: "the peer", First: at, Last: at, Count: 6},
		}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v\nwant %+v", got, want)
		}
	}
	f.calls = nil
	if _, err := c.Tunnels(t.Context(), ""); err != nil || !slices.Equal(f.calls, []string{"tunnels "}) {
		t.Errorf("%v, %q", err, f.calls)
	}
	f.err = fault.New(fault.VPNConnectionNotFound, "vco-2")
	if _, err := c.Tunnels(t.Context(), "vco-2"); status(err) != 404 {
		t.Errorf("%v, want a refusal with status 404", err)
	}
}

func TestRefusals(t *testing.T) {
	f := &fake{}
	c, path := start(t, f, nil)
	for reason, want := range map[fault.Reason]int{
		fault.AccessKeyNotFound: 404, fault.AccountNotFound: 404, fault.InstanceNotFound: 404, fault.VSwitchNotFound: 404,
		fault.ParameterInvalid: 400, fault.AddressNotUsable: 400, fault.AddressInUse: 409, fault.InstanceHasDependents: 409,
	} {
		f.err = fault.New(reason, "of k")
		err := c.DeleteAccessKey(t.Context(), "k")
		if e, ok := errors.AsType[*Error](err); !ok || e.Status != want || e.Reason != string(reason) || !strings.Contains(e.Message, "of k") {
			t.Errorf("%s: %#v, want status %d", reason, err, want)
		}
	}
	f.err = errors.New("disk full")
	if err := c.DeleteAccessKey(t.Context(), "k"); status(err) != 500 || err.Error() != "disk full" {
		t.Errorf("any other error: %v", err)
	}
	f.panics = true
	if err := c.DeleteAccessKey(t.Context(), "k"); status(err) != 500 {
		t.Errorf("panic: %v", err)
	}
	f.err, f.panics = nil, false

	raw := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	for _, x := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/v2/x", "", 404},
		{"PUT", "/v1/accounts", "", 404},
		{"POST", "/v1/accounts", "", 400},
		{"POST", "/v1/accounts", "{", 400},
		{"POST", "/v1/accounts", `{"nam":"x"}`, 400},
		{"POST", "/v1/accounts", `{"name":"x"} {}`, 400},
		{"POST", "/v1/accounts", `{"name":"` + strings.Repeat("x", maxBody) + `"}`, 400},
		{"POST", "/v1/accounts", `{"name":"x"}`, 200},
	} {
		req, err := http.NewRequest(x.method, "http://sluiced"+x.path, strings.NewReader(x.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := raw.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != x.want || x.want != 200 && !strings.Contains(string(text), `"message":"`) {
			t.Errorf("%s %s %.30s: %d %s, want %d", x.method, x.path, x.body, resp.StatusCode, text, x.want)
		}
	}
	raw.CloseIdleConnections()
}

func TestOthersAreDenied(t *testing.T) {
	f := &fake{}
	var asked []uint32
	c, _ := start(t, f, func(uid uint32) bool { asked = append(asked, uid); return false })
	if _, err := c.CreateAccount(t.Context(), "x"); status(err) != 403 {
		t.Errorf("got %v, want 403", err)
	}
	if len(f.calls) != 0 {
		t.Errorf("the call was carried out: %v", f.calls)
	}
	if len(asked) != 1 || asked[0] != uint32(os.Getuid()) {
		t.Errorf("asked for users %v, want that of this process", asked)
	}
	if !rootOrSelf(0) || !rootOrSelf(uint32(os.Geteuid())) || rootOrSelf(uint32(os.Geteuid())+65534) {
		t.Error("rootOrSelf allows other users, or not those")
	}
	// Who is not known is nobody.
	w := &recorder{header: http.Header{}}
	r, _ := http.NewRequest("GET", "/v1/health", nil)
	onlyFrom(rootOrSelf, http.NotFoundHandler(), nil, slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
	if w.status != 403 {
		t.Errorf("without credentials: %d", w.status)
	}
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(s int)           { r.status = s }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }

func TestSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "b", "admin.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %o", p, info.Mode(), err, want)
		}
	}
	if _, err := Listen(path); !errors.Is(err, ErrRunning) {
		t.Errorf("beside a live daemon: %v, want ErrRunning", err)
	}
	// As after kill -9: the socket stays, nobody answers.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := Dial(path); !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "no sluiced answers on") {
		t.Errorf("Dial of a dead daemon: %v", err)
	}
	l, err = Listen(path)
	if err != nil {
		t.Fatalf("in place of a dead daemon: %v", err)
	}
	l.Close()
	if _, err := Dial(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Dial without a socket: %v", err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || errors.Is(err, ErrRunning) {
		t.Errorf("in place of a file: %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "precious" {
		t.Error("the file is gone")
	}
}

// Backup implements Backups.
func (f *fake) Backup() (string, error) {
	if f.full {
		return "", &os.PathError{Op: "write", Path: "/data/backups/x", Err: syscall.ENOSPC}
	}
	return "/data/backups/x", nil
}
