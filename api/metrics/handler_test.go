package metrics

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"sluice/api/audit"
	"sluice/controlplane/leasedline"
	"sluice/controlplane/settings"
	"sluice/dataplane"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fake is networks with their counters.
type fake struct {
	networks []Network

	mu      sync.Mutex
	traffic map[string]*dataplane.Traffic
	errs    map[string]error

	noNeighbours error
}

func (f *fake) Networks() []Network { return f.networks }

func (f *fake) Traffic(_ context.Context, network string) (*dataplane.Traffic, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.traffic[network], f.errs[network]
}

func (f *fake) Repairs(network string) dataplane.Repairs {
	if network == "vpc-a" {
		return dataplane.Repairs{First: 3, Again: 40}
	}
	return dataplane.Repairs{}
}

func (f *fake) GroupDrops(network string) map[string]uint64 {
	if network != "vpc-a" {
		return nil
	}
	return map[string]uint64{"ingress": 7, "egress": 0, "cut": 2}
}

func (f *fake) Claims(network string) dataplane.ClaimCounts {
	if network == "vpc-a" {
		return dataplane.ClaimCounts{"gateway": 12, "address": 0, "source": 5}
	}
	return nil
}

func (f *fake) Neighbours() (dataplane.Neighbours, error) {
	return dataplane.Neighbours{Entries: 900, Most: 1024, Overflows: 17}, f.noNeighbours
}

func (f *fake) Bandwidths(context.Context) ([]dataplane.BandwidthTraffic, error) {
	return []dataplane.BandwidthTraffic{
		{ID: "eip-a", Outbound: dataplane.BandwidthCount{Limit: 5, Volume: dataplane.Volume{Bytes: 7_000, Packets: 70}, Dropped: 7},
			Inbound: dataplane.BandwidthCount{Limit: 10, Volume: dataplane.Volume{Bytes: 8_000, Packets: 80}}},
		{ID: "cbwp-b", Outbound: dataplane.BandwidthCount{Limit: 100}},
	}, nil
}

// VPN returns two connections, one of which works.
func (f *fake) VPN(context.Context, string) (map[string]dataplane.VPNStatus, error) {
	return map[string]dataplane.VPNStatus{
		"vco-1": {IKE: true, SAs: make([]dataplane.VPNSA, 1), Child: true, Checked: true, BGP: true, Rekeys: 3, DPDEvents: 1, Pairs: []dataplane.VPNPair{{Up: true}, {Up: true}, {}},
			Outbound: dataplane.Volume{Bytes: 1_000, Packets: 10}, Inbound: dataplane.Volume{Bytes: 2_000, Packets: 20}},
		"vco-2": {Failures: 4, Error: "the peer does not answer", Fault: dataplane.VPNFault{Kind: "no answer", Side: dataplane.VPNPathSide}},
	}, nil
}

// SSL returns a server with two clients; the other one is not there.
func (f *fake) SSL(context.Context, string) (map[string]dataplane.SSLStatus, error) {
	return map[string]dataplane.SSLStatus{
		"vss-1": {Running: true, Limit: 5, Clients: make([]dataplane.SSLSession, 2), Starts: 1, Refused: 3, Failures: map[string]uint64{"revoked": 4},
			Outbound: dataplane.Volume{Bytes: 3_000, Packets: 30}, Inbound: dataplane.Volume{Bytes: 4_000, Packets: 40}},
	}, nil
}

// set replaces what the next reading of a network gives.
func (f *fake) set(network string, t *dataplane.Traffic, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.traffic[network], f.errs[network] = t, err
}

// address is a private address with bytes out and in, and open sessions.
func address(a string, out, in, open uint64) dataplane.AddressTraffic {
	return dataplane.AddressTraffic{
		Address: netip.MustParseAddr(a), Open: open, Opened: 10 * open,
		Outbound: dataplane.Volume{Bytes: out, Packets: out / 100}, Inbound: dataplane.Volume{Bytes: in, Packets: in / 100},
	}
}

// by has an address go by a gateway.
func by(gateway string, a dataplane.AddressTraffic) dataplane.AddressTraffic {
	a.Gateway = gateway
	return a
}

// busy has a gateway near its limits, a VPC without a gateway, one that is not
// counted, and one that cannot be read.
func busy() *fake {
	return &fake{
		networks: []Network{
			{VPC: "vpc-a", Stage: Applied, Gateways: []Gateway{{ID: "ngw-a", Account: "1001", Region: "cn-hangzhou", Name: "office \xff", Spec: "Small"}}},
			{VPC: "vpc-b", Stage: Applied, Connections: []VPNConnection{
				{ID: "vco-1", Gateway: "vpn-b", Account: "1001", Region: "cn-hangzhou", Name: "office \xff", Peer: "198.51.100.1", BGP: true},
				{ID: "vco-2", Gateway: "vpn-b", Account: "1001", Region: "cn-hangzhou", Name: "depot", Peer: "198.51.100.2"},
			}},
			{VPC: "vpc-c", Stage: Pending, SSLServers: []SSLServer{
				{ID: "vss-1", Gateway: "vpn-c", Account: "1001", Region: "cn-hangzhou", Name: "staff", Limit: 10, Expires: time.Unix(2_000_000_000, 0),
					Certificates: []SSLCertificate{{ID: "vsc-1", Name: "laptop \xff", Expires: time.Unix(1_900_000_000, 0)}}},
				{ID: "vss-2", Gateway: "vpn-c", Account: "1001", Region: "cn-hangzhou", Limit: 10, Expires: time.Unix(2_000_000_000, 0)},
			}},
			{VPC: "vpc-d", Stage: Failed, Gateways: []Gateway{{ID: "ngw-d", Account: "1001", Region: "cn-hangzhou", Spec: "Large"}}},
		},
		traffic: map[string]*dataplane.Traffic{
			"vpc-a": {
				Epoch: 1,
				Gateways: []dataplane.GatewayTraffic{
					{Sessions: []dataplane.Sessions{{Kind: dataplane.SessionElastic}}},
					{
						ID: "ngw-a", Limits: dataplane.Limits{Connections: 10_000, NewPerSecond: 1_000},
						Sessions: []dataplane.Sessions{{Kind: dataplane.SessionSNAT, Open: 9_500, Opened: 123_456}, {Kind: dataplane.SessionDNAT, Open: 3, Opened: 7}},
						Refused:  []dataplane.Count{{Reason: dataplane.RefusedConnections, Count: 11}, {Reason: dataplane.RefusedRate, Count: 12}, {Reason: dataplane.RefusedMemory}, {Reason: dataplane.RefusedPorts, Count: 5}},
						Outbound: dataplane.Volume{Bytes: 6_000, Packets: 60},
						Inbound:  dataplane.Volume{Bytes: 7_000, Packets: 70},
					},
				},
				Refused:  []dataplane.Count{{Reason: dataplane.RefusedConnections, Count: 11}, {Reason: dataplane.RefusedRate, Count: 12}, {Reason: dataplane.RefusedMemory}, {Reason: dataplane.RefusedPorts, Count: 6}},
				Shortcut: dataplane.Shortcut{Hits: 1_000_000, Misses: []dataplane.Count{{Reason: "fragment", Count: 5}, {Reason: "unknown", Count: 6}}},
				Outbound: dataplane.Volume{Bytes: 6_000, Packets: 60},
				Inbound:  dataplane.Volume{Bytes: 7_000, Packets: 70},
				Addresses: []dataplane.AddressTraffic{
					by("ngw-a", address("10.0.0.1", 1_000, 2_000, 1)), by("ngw-a", address("10.0.0.2", 100, 200, 9_000)), by("ngw-a", address("10.0.0.3", 500, 600, 2)),
				},
				Table: dataplane.Table{Entries: 12_000, Most: 258_048},
				Entries: []dataplane.EntryTraffic{
					{External: netip.MustParseAddr("203.0.113.10"), Protocol: 6, Port: 80, Open: 30, Refused: 4},
					{External: netip.MustParseAddr("203.0.113.10"), Protocol: 6, Port: 443, Open: 31},
					{External: netip.MustParseAddr("203.0.113.10"), Protocol: 17, Port: 53, Open: 2, Refused: 3},
					{External: netip.MustParseAddr("203.0.113.12"), Refused: 5},
				},
				Ports: []dataplane.Ports{
					{External: netip.MustParseAddr("203.0.113.10"), Protocol: 6, Used: 60_000, Most: 64_000},
					{External: netip.MustParseAddr("203.0.113.10"), Protocol: 17, Used: 1, Most: 64_000},
				},
				NoPort: []dataplane.NoPort{
					{External: netip.MustParseAddr("203.0.113.10"), Protocol: 1, Private: netip.MustParseAddr("10.0.0.2"), Count: 1},
					{External: netip.MustParseAddr("203.0.113.10"), Protocol: 6, Private: netip.MustParseAddr("10.0.0.2"), Count: 2},
					{External: netip.MustParseAddr("203.0.113.10"), Protocol: 6, Private: netip.MustParseAddr("10.0.0.3"), Count: 3},
				},
			},
			"vpc-b": {
				Epoch: 1,
				Gateways: []dataplane.GatewayTraffic{{
					Sessions: []dataplane.Sessions{{Kind: dataplane.SessionSNAT}, {Kind: dataplane.SessionDNAT}, {Kind: dataplane.SessionElastic, Open: 4, Opened: 5}},
					Refused:  []dataplane.Count{{Reason: dataplane.RefusedConnections}, {Reason: dataplane.RefusedRate}, {Reason: dataplane.RefusedMemory}, {Reason: dataplane.RefusedPorts}},
				}},
				Refused:   []dataplane.Count{{Reason: dataplane.RefusedConnections}, {Reason: dataplane.RefusedRate}, {Reason: dataplane.RefusedMemory}, {Reason: dataplane.RefusedPorts}},
				Addresses: []dataplane.AddressTraffic{address("10.0.0.1", 10, 20, 4)},
				Ports:     []dataplane.Ports{{External: netip.MustParseAddr("203.0.113.11"), Protocol: 6}},
			},
		},
		errs: map[string]error{"vpc-d": errors.New("the map is gone")},
	}
}

func config(f *fake) Config {
	calls := NewCalls()
	calls.Answered("aliyun", "CreateVpc", "OK", true, 3*time.Millisecond)
	calls.Answered("aliyun", "CreateVpc", "OK", true, 30*time.Millisecond)
	calls.Answered("aliyun", "DescribeVpcs", "Throttling", false, 100*time.Microsecond)
	calls.Answered("aliyun", "", "InvalidParameter", false, time.Minute)
	return Config{
		Networks: f, Traffic: f, Tunnels: f, Machine: f, Calls: calls, Connections: fakeConnections{}, Audit: fakeAudit{}, TopAddresses: 1, Version: "v1",
		Lines: fakeLines{}, LineMeter: fakeLines{},
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
}

// fakeLines is a port with a line on it, and one without a device.
type fakeLines struct{}

func (fakeLines) Ports() []leasedline.Port {
	return []leasedline.Port{
		{AccessPoint: "ap-1", Port: settings.Port{Number: "1", Device: "eth7"}, Line: "pc-1", Account: "1001",
			Link: dataplane.LineStatus{Device: "eth7", Present: true, Up: true, Carrier: true, Speed: 10_000, Since: time.Unix(1_900_000_000, 0)}},
		{AccessPoint: "ap-1", Port: settings.Port{Number: "2", Device: "eth8"}, Link: dataplane.LineStatus{Device: "eth8"}},
	}
}

func (fakeLines) LineTraffic(device string) (dataplane.LineTraffic, error) {
	if device != "eth7" {
		return dataplane.LineTraffic{}, nil
	}
	n := dataplane.BandwidthCount{Limit: 100, Volume: dataplane.Volume{Bytes: 8_000, Packets: 80}, Dropped: 8}
	return dataplane.LineTraffic{Outbound: n, Inbound: n}, nil
}

type fakeAudit struct{}

func (fakeAudit) Stats() audit.Stats {
	return audit.Stats{Recorded: 7, Missed: 2, Strangers: 3, Failing: true, WriteErrors: 1}
}

type fakeConnections struct{}

func (fakeConnections) Open() (strangers, known, calling int) { return 3, 2, 1 }

func (fakeConnections) Turned() map[string]uint64 {
	return map[string]uint64{"share": 4, "idle": 5, "full": 6}
}

// serve serves f's metrics, and returns what scrapes them.
func serve(t *testing.T, c Config) (scrape func() string) {
	t.Helper()
	s := httptest.NewServer(NewHandler(c))
	t.Cleanup(s.Close)
	return func() string {
		t.Helper()
		r, err := s.Client().Get(s.URL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("status %d, %v: %s", r.StatusCode, err, text)
		}
		return string(text)
	}
}

// TestScrape holds every series against the golden file, and everything,
// that of the process too, against the linter.
func TestScrape(t *testing.T) {
	text := serve(t, config(busy()))()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, of := range []string{"go_goroutines", "process_resident_memory_bytes", `sluice_build_info{goversion="go`} {
		if !strings.Contains(text, "\n"+of) {
			t.Errorf("%s is missing", of)
		}
	}
	var got strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, "sluice_") && !strings.Contains(line, "sluice_build_info") {
			got.WriteString(line)
		}
	}
	const golden = "testdata/scrape.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLintOfWhatIsRegistered(t *testing.T) {
	f := busy()
	c := &collector{networks: f, traffic: f, tunnels: f, machine: f, top: 2, now: time.Now, log: slog.New(slog.DiscardHandler), series: newSeries(), vpn: newVPNSeries(), ssl: newSSLSeries()}
	problems, err := testutil.CollectAndLint(c)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// TestNothing: without networks there is still a scrape.
func TestNothing(t *testing.T) {
	text := serve(t, config(&fake{}))()
	if !strings.Contains(text, `sluice_networks{state="applied"} 0`) || strings.Contains(text, "vpc=") {
		t.Errorf("without networks:\n%s", text)
	}
}

// TestFailures: a network that cannot be read costs its own series only, is
// counted at each scrape, and logged once.
func TestFailures(t *testing.T) {
	f := busy()
	c := config(f)
	var log bytes.Buffer
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	scrape := serve(t, c)
	expect := func(lines ...string) {
		t.Helper()
		text := scrape()
		for _, l := range lines {
			if !strings.Contains(text, "\n"+l+"\n") {
				t.Errorf("%s is missing in\n%s", l, text)
			}
		}
	}
	const counted = `sluice_traffic_packets_total{direction="out",gateway="ngw-a",vpc="vpc-a"} 60`
	expect(counted, `sluice_traffic_read_failures_total{gateway="ngw-d",vpc="vpc-d"} 1`, `sluice_traffic_read_failures_total{gateway="ngw-a",vpc="vpc-a"} 0`)
	expect(counted, `sluice_traffic_read_failures_total{gateway="ngw-d",vpc="vpc-d"} 2`)
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "vpc-d") {
		t.Errorf("%d warnings, want one about vpc-d: %s", n, log.String())
	}
	f.set("vpc-d", &dataplane.Traffic{Gateways: []dataplane.GatewayTraffic{{ID: "ngw-d", Outbound: dataplane.Volume{Packets: 1}}}}, nil)
	expect(`sluice_traffic_packets_total{direction="out",gateway="ngw-d",vpc="vpc-d"} 1`, `sluice_traffic_read_failures_total{gateway="ngw-d",vpc="vpc-d"} 2`)
	f.set("vpc-d", nil, errors.New("gone again"))
	expect(`sluice_traffic_read_failures_total{gateway="ngw-d",vpc="vpc-d"} 3`)
	if n := strings.Count(log.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings after it failed anew, want 2: %s", n, log.String())
	}
}

// TestNoNeighbours: where the kernel does not tell of the table, there is no series,
// instead of one that says that it is empty.
func TestNoNeighbours(t *testing.T) {
	f := busy()
	f.noNeighbours = fs.ErrNotExist
	if text := serve(t, config(f))(); strings.Contains(text, "sluice_neighbour") || !strings.Contains(text, "sluice_repairs_total") {
		t.Errorf("without the table of neighbours:\n%s", text)
	}
}

// stuck is a dataplane that does not answer for one network.
type stuck struct{ *fake }

func (s stuck) Traffic(ctx context.Context, network string) (*dataplane.Traffic, error) {
	if network == "vpc-b" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.fake.Traffic(ctx, network)
}

// TestStuck: a network that is not read in time costs its own series only.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(busy())
		c.Traffic = stuck{busy()}
		w := httptest.NewRecorder()
		NewHandler(c).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		text := w.Body.String()
		if w.Code != http.StatusOK || !strings.Contains(text, `sluice_traffic_read_failures_total{gateway="",vpc="vpc-b"} 1`) || !strings.Contains(text, `gateway="ngw-a"`) {
			t.Errorf("status %d:\n%s", w.Code, text)
		}
	})
}

func TestScrapesAtOnce(t *testing.T) {
	scrape := serve(t, config(busy()))
	var all sync.WaitGroup
	for range maxScrapes {
		all.Go(func() { scrape() })
	}
	all.Wait()
}

func TestOtherPaths(t *testing.T) {
	h := NewHandler(config(busy()))
	for call, want := range map[string]int{"GET /": 404, "POST /metrics": 405, "GET /metrics/": 404} {
		method, path, _ := strings.Cut(call, " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", call, w.Code, want)
		}
	}
}

// BenchmarkScrape scrapes a network with as many addresses as a VPC may have
// instances.
func BenchmarkScrape(b *testing.B) {
	f := busy()
	t := f.traffic["vpc-a"]
	t.Addresses = nil
	a := netip.MustParseAddr("10.0.0.1")
	for i := range uint64(10_000) {
		t.Addresses = append(t.Addresses, by("ngw-a", address(a.String(), i*7919%10_007, i, i%97)))
		a = a.Next()
	}
	c := config(f)
	c.TopAddresses = 10
	h := NewHandler(c)
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
	}
}
