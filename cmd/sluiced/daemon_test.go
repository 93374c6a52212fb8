package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/api/admin"
	"sluice/api/aliyun"
	"sluice/api/spec"
	"sluice/api/tencent3"
	"sluice/config"
	"sluice/controlplane/store"
	"sluice/controlplane/store/bolt"
	"sluice/dataplane"
	"sluice/dataplane/engine"
)

// fakeKernel is a dataplane that holds what it is given.
type fakeKernel struct {
	mu       sync.Mutex
	networks map[string]int64
	gateways map[string][]dataplane.NATGateway
	hold     chan struct{} // Apply waits for it to be closed
	closed   bool
	marked   []string // networks of an earlier daemon
}

func newFakeKernel() *fakeKernel {
	k := &fakeKernel{networks: map[string]int64{}, gateways: map[string][]dataplane.NATGateway{}, hold: make(chan struct{})}
	close(k.hold)
	return k
}

func (k *fakeKernel) Apply(ctx context.Context, n *dataplane.Network) (dataplane.Observed, error) {
	select {
	case <-k.hold:
	case <-ctx.Done():
		return dataplane.Observed{}, ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.networks[n.ID] = n.Revision
	k.gateways[n.ID] = n.NATGateways
	return dataplane.Observed{Revision: n.Revision}, nil
}

func (k *fakeKernel) Repairs(string) dataplane.Repairs { return dataplane.Repairs{} }

// HaVips implements havip.Plane.
func (k *fakeKernel) HaVips(string) map[netip.Addr]dataplane.HaVipHolder { return nil }

func (k *fakeKernel) Claims(string) dataplane.ClaimCounts { return nil }

func (k *fakeKernel) GroupDrops(string) map[string]uint64 { return nil }

func (k *fakeKernel) Neighbours() (dataplane.Neighbours, error) {
	return dataplane.Neighbours{}, fs.ErrNotExist
}

func (k *fakeKernel) Bandwidths(context.Context) ([]dataplane.BandwidthTraffic, error) {
	return nil, nil
}

func (k *fakeKernel) Remove(_ context.Context, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.networks, id)
	return nil
}

// Traffic counts the network's revision in packets, so that there is something.
func (k *fakeKernel) Traffic(_ context.Context, id string) (*dataplane.Traffic, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r, ok := k.networks[id]; ok {
		all := dataplane.Volume{Packets: uint64(r)}
		t := &dataplane.Traffic{Outbound: all, Gateways: []dataplane.GatewayTraffic{{}}}
		for _, g := range k.gateways[id] {
			t.Gateways = append(t.Gateways, dataplane.GatewayTraffic{ID: g.ID, Limits: g.Limits, Outbound: all})
		}
		return t, nil
	}
	return nil, fmt.Errorf("network %s: %w", id, engine.ErrNotCounted)
}

// Network implements admin.Routing.
func (k *fakeKernel) Network(string) *dataplane.Network { return nil }

// Interfaces implements admin.Routing.
func (k *fakeKernel) Interfaces(context.Context, string) ([]dataplane.InterfaceStatus, error) {
	return nil, nil
}

// Line implements leasedline.Plane.
func (k *fakeKernel) Line(device string) dataplane.LineStatus {
	return dataplane.LineStatus{Device: device}
}

// LineAvailable implements leasedline.Plane.
func (k *fakeKernel) LineAvailable(bool) error { return nil }

// LineTraffic implements metrics.LineMeter.
func (k *fakeKernel) LineTraffic(string) (dataplane.LineTraffic, error) {
	return dataplane.LineTraffic{}, nil
}

// VPN implements vpn.Plane.
func (k *fakeKernel) VPN(context.Context, string) (map[string]dataplane.VPNStatus, error) {
	return nil, nil
}

// VPNPath implements vpn.Plane.
func (k *fakeKernel) VPNPath() (dataplane.VPNPath, error) { return dataplane.VPNByXFRM, nil }

// VPNAbilities implements vpn.Plane.
func (k *fakeKernel) VPNAbilities(context.Context) *dataplane.VPNAbilities {
	return &dataplane.VPNAbilities{Path: dataplane.VPNByXFRM, NotKnownYet: true}
}

// SSLAvailable implements vpn.Plane.
func (k *fakeKernel) SSLAvailable() error { return nil }

// SSL implements vpn.Plane.
func (k *fakeKernel) SSL(context.Context, string) (map[string]dataplane.SSLStatus, error) {
	return nil, nil
}

// SSLLog implements vpn.Plane.
func (k *fakeKernel) SSLLog(context.Context, string, string, time.Time, time.Time) ([]dataplane.SSLLine, error) {
	return nil, nil
}

// SSLDisconnect implements vpn.Plane.
func (k *fakeKernel) SSLDisconnect(context.Context, string, string, string) error { return nil }

// Programs has the network's uplink on tcx.
func (k *fakeKernel) Programs(_ context.Context, id string) ([]dataplane.Programs, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.networks[id]; ok {
		return []dataplane.Programs{{Link: dataplane.UplinkName, By: dataplane.ByTCX, Why: "a fake"}}, nil
	}
	return nil, fmt.Errorf("network %s: %w", id, engine.ErrNotCounted)
}

func (k *fakeKernel) Networks() ([]string, error)                              { return k.marked, nil }
func (k *fakeKernel) Changed() <-chan string                                   { return nil }
func (k *fakeKernel) Invalidate(string)                                        {}
func (k *fakeKernel) Audit(context.Context, string, bool) (differs, seen bool) { return false, true }
func (k *fakeKernel) Close() error                                             { k.closed = true; return nil }

// failing is a task that ends by itself.
type failing struct{ end chan error }

func (f failing) String() string { return "failing task" }
func (f failing) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-f.end:
		return err
	}
}

// running is a daemon under test.
type running struct {
	config *config.Config
	stop   context.CancelFunc
	ended  chan error
}

// testConfig returns a configuration with directories of its own.
func testConfig(t *testing.T, dir string) *config.Config {
	t.Helper()
	file := filepath.Join(dir, "sluiced.yaml")
	text := fmt.Sprintf("listen: 127.0.0.1:0\ndata_dir: %s/data\nrun_dir: %s/run\npublic: []\n", dir, dir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func startDaemon(t *testing.T, c *config.Config, k kernel, more ...task) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d, err := openWith(ctx, c, slog.New(slog.DiscardHandler), func(*config.Config, *slog.Logger) (kernel, error) { return k, nil })
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	d.core = append(d.core, more...)
	r := &running{config: c, stop: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- d.run(ctx) }()
	t.Cleanup(func() { cancel() })
	return r
}

// end stops the daemon and returns what it ended with.
func (r *running) end() error { r.stop(); return <-r.ended }

func (r *running) admin(t *testing.T) *admin.Client {
	t.Helper()
	c, err := admin.Dial(r.config.AdminSocket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// await probes until the daemon is ready and returns its address.
func (r *running) await(t *testing.T) string {
	t.Helper()
	c := r.admin(t)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if i, err := c.Info(t.Context()); err != nil {
			t.Fatal(err)
		} else if i.Ready {
			return i.Listen
		}
	}
	t.Fatal("not ready in time")
	return ""
}

// TestListeners: a listener of one family answers its requests, and refuses others' in its
// own words; the API's answers both. All families that the configuration knows are there.
func TestListeners(t *testing.T) {
	c := testConfig(t, t.TempDir())
	for _, f := range config.Families() {
		c.Listeners = append(c.Listeners, config.Listener{Listen: "127.0.0.1:0", Family: f})
	}
	r := startDaemon(t, c, newFakeKernel())
	all := r.await(t)
	if _, err := r.admin(t).CreateAccessKey(t.Context(), admin.NewAccessKey{ID: "testid", Secret: "testsecret"}); err != nil {
		t.Fatal(err)
	}
	info, err := r.admin(t).Info(t.Context())
	if err != nil || len(info.Others) != 2 {
		t.Fatalf("%+v, %v", info, err)
	}
	calls := map[string]func(address string) error{
		spec.Aliyun: func(address string) error {
			client := aliyun.NewClient(address, "testid", "testsecret")
			defer client.HTTP.CloseIdleConnections()
			answer, err := client.Call(t.Context(), "DescribeVpcs", map[string]string{"RegionId": "cn-hangzhou"})
			if err == nil && !strings.Contains(string(answer), `"TotalCount":`) {
				err = fmt.Errorf("answered %s", answer) // the other family's refusals have HTTP status 200
			}
			return err
		},
		spec.Tencent3: func(address string) error {
			client := tencent3.NewClient(address, "testid", "testsecret", "cn-hangzhou")
			defer client.HTTP.CloseIdleConnections()
			_, err := client.Call(t.Context(), "DescribeVpcs", nil)
			return err
		},
	}
	for family, call := range calls {
		if err := call(all); err != nil {
			t.Errorf("%s at the API's address: %v", family, err)
		}
		for _, l := range info.Others {
			if err := call(l.Listen); (err == nil) != (family == l.Family) {
				t.Errorf("%s at the listener of %s: %v", family, l.Family, err)
			}
		}
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
	for _, l := range info.Others {
		if _, err := net.Dial("tcp", l.Listen); err == nil {
			t.Errorf("%s still listens", l.Listen)
		}
	}
}

func TestDaemon(t *testing.T) {
	dir := t.TempDir()
	k := newFakeKernel()
	r := startDaemon(t, testConfig(t, dir), k)
	address := r.await(t)
	key, err := r.admin(t).CreateAccessKey(t.Context(), admin.NewAccessKey{ID: "testid", Secret: "testsecret"})
	if err != nil || key.ID != "testid" {
		t.Fatalf("access key: %+v, %v", key, err)
	}
	client := aliyun.NewClient(address, key.ID, key.Secret)
	t.Cleanup(client.HTTP.CloseIdleConnections)
	var made aliyun.CreateVpcResponse
	if err := client.CallInto(t.Context(), "CreateVpc", map[string]string{"RegionId": "cn-hangzhou", "CidrBlock": "172.16.0.0/12", "ClientToken": "once"}, &made); err != nil {
		t.Fatal(err)
	}
	networks, err := r.admin(t).Networks(t.Context())
	if err != nil || len(networks) != 1 || networks[0].ID != made.VpcId || networks[0].CIDR != "172.16.0.0/12" {
		t.Errorf("networks: %+v, %v", networks, err)
	}

	// A second daemon on the same data finds out, and disturbs nothing.
	second := *r.config
	second.AdminSocket = filepath.Join(dir, "second.sock")
	if _, err := openWith(t.Context(), &second, slog.New(slog.DiscardHandler), nil); err == nil || !strings.Contains(err.Error(), "is in use by another process") {
		t.Errorf("a second daemon: %v", err)
	}
	if err := client.CallInto(t.Context(), "DescribeRegions", nil, new(aliyun.DescribeRegionsResponse)); err != nil {
		t.Error(err)
	}

	if err := r.end(); err != nil {
		t.Fatalf("the daemon ended with %v", err)
	}
	if _, err := os.Lstat(r.config.AdminSocket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the admin socket is still there: %v", err)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("the API still listens")
	}

	// A restart: it serves only after the network has been looked at, and knows
	// what was acknowledged.
	k = newFakeKernel()
	k.hold = make(chan struct{})
	r = startDaemon(t, r.config, k)
	if i, err := r.admin(t).Info(t.Context()); err != nil || i.Ready || i.Listen != "127.0.0.1:0" {
		t.Errorf("before adoption: %+v, %v", i, err)
	}
	close(k.hold)
	client = aliyun.NewClient(r.await(t), key.ID, key.Secret)
	t.Cleanup(client.HTTP.CloseIdleConnections)
	k.mu.Lock()
	if _, ok := k.networks[made.VpcId]; !ok {
		t.Errorf("ready without network %s in the kernel", made.VpcId)
	}
	k.mu.Unlock()
	var again aliyun.CreateVpcResponse
	if err := client.CallInto(t.Context(), "CreateVpc", map[string]string{"RegionId": "cn-hangzhou", "CidrBlock": "172.16.0.0/12", "ClientToken": "once"}, &again); err != nil || again.VpcId != made.VpcId {
		t.Errorf("the same token after the restart: %q, %v; want %s", again.VpcId, err, made.VpcId)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// TestEndWithoutReadiness: the daemon ends when it is told to, also while it
// is still adopting.
func TestEndWithoutReadiness(t *testing.T) {
	dir := t.TempDir()
	r := startDaemon(t, testConfig(t, dir), newFakeKernel())
	r.await(t)
	key, err := r.admin(t).CreateAccessKey(t.Context(), admin.NewAccessKey{})
	if err != nil {
		t.Fatal(err)
	}
	client := aliyun.NewClient(r.await(t), key.ID, key.Secret)
	t.Cleanup(client.HTTP.CloseIdleConnections)
	if _, err := client.Call(t.Context(), "CreateVpc", map[string]string{"RegionId": "cn-hangzhou"}); err != nil {
		t.Fatal(err)
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	k := newFakeKernel()
	k.hold = make(chan struct{})
	r = startDaemon(t, r.config, k)
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// TestFailuresEndTheDaemon: what cannot go on ends everything, with one error
// that says what it was.
func TestFailuresEndTheDaemon(t *testing.T) {
	k, f := newFakeKernel(), failing{make(chan error, 1)}
	r := startDaemon(t, testConfig(t, t.TempDir()), k, f)
	r.await(t)
	f.end <- errors.New("netlink is gone")
	if err := <-r.ended; err == nil || err.Error() != "failing task: netlink is gone" {
		t.Errorf("a task that fails: %v", err)
	}
	if !k.closed {
		t.Error("the dataplane was not closed")
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := testConfig(t, t.TempDir())
	c.Listen = taken.Addr().String()
	r = startDaemon(t, c, newFakeKernel())
	if err := <-r.ended; err == nil || !strings.Contains(err.Error(), "listen on "+c.Listen) || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a port that is taken: %v", err)
	}
}

// TestMinutes: the daemon answers for minutes of traffic, and does not start
// over a file of them that is damaged.
func TestMinutes(t *testing.T) {
	r := startDaemon(t, testConfig(t, t.TempDir()), newFakeKernel())
	client := aliyun.NewClient(r.await(t), "testid", "testsecret")
	t.Cleanup(client.HTTP.CloseIdleConnections)
	if _, err := r.admin(t).CreateAccessKey(t.Context(), admin.NewAccessKey{ID: "testid", Secret: "testsecret"}); err != nil {
		t.Fatal(err)
	}
	params := map[string]string{"RegionId": "cn-hangzhou", "VpcId": "", "Spec": "Small"}
	var vpc aliyun.CreateVpcResponse
	if err := client.CallInto(t.Context(), "CreateVpc", params, &vpc); err != nil {
		t.Fatal(err)
	}
	params["VpcId"] = vpc.VpcId
	var gateway aliyun.CreateNatGatewayResponse
	if err := client.CallInto(t.Context(), "CreateNatGateway", params, &gateway); err != nil {
		t.Fatal(err)
	}
	params["NatGatewayId"], params["TimePoint"] = gateway.NatGatewayId, fmt.Sprint(time.Now().Truncate(time.Minute).Unix())
	var got aliyun.ListNatGatewayEcsMetricResponse
	if err := client.CallInto(t.Context(), "ListNatGatewayEcsMetric", params, &got); err != nil || len(got.MetricDataList) != 0 || got.MaxResults != 20 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(r.config.DataDir, "minutes.db")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openWith(t.Context(), r.config, slog.New(slog.DiscardHandler), nil)
	if err == nil || !strings.Contains(err.Error(), file+": it is empty") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a damaged file: %v", err)
	}
}

// A store that has never been written does not take down another's networks.
func TestNewStoreBesideNetworks(t *testing.T) {
	c := testConfig(t, t.TempDir())
	k := &fakeKernel{marked: []string{"vpc-257gq642n"}}
	_, err := openWith(t.Context(), c, slog.New(slog.DiscardHandler), func(*config.Config, *slog.Logger) (kernel, error) { return k, nil })
	if err == nil || !strings.Contains(err.Error(), "vpc-257gq642n") || !strings.Contains(err.Error(), c.DataDir) {
		t.Errorf("a new store beside networks: %v", err)
	}
	if !k.closed {
		t.Error("the dataplane was left open")
	}
	c.AllowRemoval = true
	r := startDaemon(t, c, newFakeKernel())
	r.await(t)
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// A store that an older version has written is copied before it is brought over.
func TestOlderStore(t *testing.T) {
	c := testConfig(t, t.TempDir())
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := bolt.Open(filepath.Join(c.DataDir, "store.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	old := `{"id":"eip-1","account":"1001","region":"cn-hangzhou","address":"203.0.113.77","instanceChargeType":"PrePaid","internetChargeType":"PayByTraffic"}`
	_, err = s.Commit(t.Context(), 0, []store.Write{
		{Key: store.Key{Kind: "account", ID: "1001"}, Value: []byte(`{"id":"1001","account":"1001","name":"office"}`)},
		{Key: store.Key{Kind: "eip", ID: "eip-1"}, Value: []byte(old)},
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second start finds nothing to do
		r := startDaemon(t, c, newFakeKernel())
		r.await(t)
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
	}
	copies, err := filepath.Glob(filepath.Join(c.DataDir, "store.db.schema-0.*Z"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("copies %v, %v", copies, err)
	}
	if s, err = bolt.Open(copies[0], time.Second); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Load(t.Context(), func(r store.Record) error {
		if r.Kind == "eip" && string(r.Value) != old {
			t.Errorf("the copy has %s", r.Value)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// A daemon that the configuration calls by another name than that by which the networks
// here were made does not start, and a damaged record of what was applied bars nothing.
func TestMachine(t *testing.T) {
	c := testConfig(t, t.TempDir())
	c.Settings.Machine = "one"
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := bolt.Open(filepath.Join(c.DataDir, "store.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Commit(t.Context(), 0, []store.Write{{Key: store.Key{Kind: "vpc", ID: "vpc-a"}, Value: []byte(`{"id":"vpc-a","cidr":"10.0.0.0/8"}`)}})
	if err := errors.Join(err, s.Close(), os.WriteFile(filepath.Join(c.DataDir, "applied.db"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	r := startDaemon(t, c, newFakeKernel())
	r.await(t)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	records, err := bolt.Open(filepath.Join(c.DataDir, "applied.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	_, err = records.Load(t.Context(), func(r store.Record) error { text += r.ID + " " + string(r.Value); return nil })
	if err := errors.Join(err, records.Close()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, `vpc-a {"owner":"one"`) || strings.Contains(text, `"applied":0`) {
		t.Errorf("recorded: %s", text)
	}
	c.Settings.Machine = "two"
	k := &fakeKernel{marked: []string{"vpc-a"}}
	_, err = openWith(t.Context(), c, slog.New(slog.DiscardHandler), func(*config.Config, *slog.Logger) (kernel, error) { return k, nil })
	if err == nil || !strings.Contains(err.Error(), `"one"`) || !k.closed {
		t.Errorf("by another name: %v", err)
	}
}
