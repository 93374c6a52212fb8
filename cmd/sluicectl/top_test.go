package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/api/admin"
	"sluice/dataplane"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeCounters gives one reading after the other, two seconds apart.
type fakeCounters struct {
	networks []admin.Network
	traffic  []map[string]admin.Traffic // reading → VPC → counters; one that is missing is not counted
	fails    map[string]error           // VPC → why it cannot be read
	n        int                        // readings so far
	at       func(reading int)          // called at the begin of each
}

func (f *fakeCounters) Networks(context.Context) ([]admin.Network, error) {
	f.n++
	if f.at != nil {
		f.at(f.n)
	}
	return f.networks, nil
}

func (f *fakeCounters) Traffic(ctx context.Context, network string) (admin.Traffic, error) {
	if err := ctx.Err(); err != nil {
		return admin.Traffic{}, err
	}
	if err := f.fails[network]; err != nil {
		return admin.Traffic{}, err
	}
	if t, ok := f.traffic[min(f.n, len(f.traffic))-1][network]; ok {
		return t, nil
	}
	return admin.Traffic{}, &admin.Error{Status: 404, Reason: admin.NotCounted, Message: "the traffic of " + network + " is not counted"}
}

// topOf is a run over f that shows count tables.
func topOf(f *fakeCounters, count int) *top {
	tick := make(chan time.Time, 10)
	for range max(count, 3) {
		tick <- noon
	}
	return &top{sort: "traffic", count: count, source: f, tick: tick, now: func() time.Time { return noon.Add(2 * time.Second * time.Duration(f.n)) }}
}

func volume(bytes uint64) admin.Volume { return admin.Volume{Bytes: bytes, Packets: bytes / 100} }

func ofAddress(a string, out, in, open, opened uint64) admin.AddressTraffic {
	return admin.AddressTraffic{Address: a, Gateway: "ngw-a", Outbound: volume(out), Inbound: volume(in), Open: open, Opened: opened}
}

func withoutPort(a admin.AddressTraffic, n uint64) admin.AddressTraffic {
	a.NoPort = n
	return a
}

// byItself has an address go by an elastic IP of its own.
func byItself(a admin.AddressTraffic) admin.AddressTraffic {
	a.Gateway = ""
	return a
}

// office has a gateway with hosts, a VPC whose only host has an elastic IP, and
// one that is not counted.
func office() *fakeCounters {
	return &fakeCounters{
		networks: []admin.Network{{ID: "vpc-a", Gateways: []string{"ngw-a"}}, {ID: "vpc-b"}, {ID: "vpc-c"}},
		traffic: []map[string]admin.Traffic{
			{
				"vpc-a": {Epoch: 1, Gateways: []admin.GatewayTraffic{{}, {ID: "ngw-a", Limit: 10_000, RateLimit: 1_000, Outbound: volume(1_000), Inbound: volume(2_000),
					Sessions: []admin.Sessions{{Kind: "snat", Open: 7, Opened: 100}, {Kind: "dnat", Open: 1, Opened: 10}},
					Refused:  []admin.Count{{Reason: "rate", Count: 4}, {Reason: "connections"}}}},
					Addresses: []admin.AddressTraffic{
						ofAddress("10.0.0.9", 1_000, 2_000, 5, 100), ofAddress("10.0.0.10", 0, 0, 2, 10), ofAddress("10.0.0.11", 500, 0, 0, 3),
					}},
				"vpc-b": {Epoch: 1, Gateways: []admin.GatewayTraffic{{}}, Addresses: []admin.AddressTraffic{byItself(ofAddress("10.0.0.9", 0, 0, 0, 0))}},
			},
			{
				"vpc-a": {Epoch: 1, Gateways: []admin.GatewayTraffic{{}, {ID: "ngw-a", Limit: 10_000, RateLimit: 1_000, Outbound: volume(1_001_000), Inbound: volume(22_000),
					Sessions: []admin.Sessions{{Kind: "snat", Open: 9, Opened: 110}, {Kind: "dnat", Open: 1, Opened: 10}},
					Refused:  []admin.Count{{Reason: "rate", Count: 5}, {Reason: "connections"}, {Reason: "ports", Count: 6}}}},
					Addresses: []admin.AddressTraffic{
						withoutPort(ofAddress("10.0.0.9", 2_000, 22_000, 5, 102), 6), ofAddress("10.0.0.10", 1_000_000, 0, 2, 10), ofAddress("10.0.0.11", 500, 0, 0, 3),
						ofAddress("10.0.0.12", 0, 0, 2, 8),
					}},
				"vpc-b": {Epoch: 1, Gateways: []admin.GatewayTraffic{{Inbound: volume(500)}}, Addresses: []admin.AddressTraffic{byItself(ofAddress("10.0.0.9", 0, 500, 0, 0))}},
			},
		},
	}
}

func TestTopTable(t *testing.T) {
	var out strings.Builder
	if err := topOf(office(), 1).run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	const want = `12:00:04, addresses by traffic

GATEWAY  VPC    SNAT SESSIONS  OTHERS  NEW/S  REFUSED/S   OUT BIT/S  OUT P/S  IN BIT/S  IN P/S
ngw-a    vpc-a  9/10000        1       5      3.50 ports  4.00M      5.00k    80.0k     100
-        vpc-b  0              0       0      0           0          0        2.00k     2.50

GATEWAY  ADDRESS    OUT BIT/S  OUT P/S  IN BIT/S  IN P/S  SESSIONS  NEW/S  NO PORT/S
ngw-a    10.0.0.10  4.00M      5.00k    0         0       2         0      0
ngw-a    10.0.0.9   4.00k      5        80.0k     100     5         1      3
vpc-b    10.0.0.9   0          0        2.00k     2.50    0         0      0
ngw-a    10.0.0.12  0          0        0         0       2         4      0

`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// addressesBy returns the addresses of one table.
func addressesBy(t *testing.T, run *top) (list []string, left int) {
	t.Helper()
	run.json = true
	var out strings.Builder
	if err := run.run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var got activity
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	for _, a := range got.Addresses {
		list = append(list, a.VPC+" "+a.Address)
	}
	return list, got.Left
}

func TestTopSort(t *testing.T) {
	for by, want := range map[string]string{
		"traffic":  "vpc-a 10.0.0.10, vpc-a 10.0.0.9, vpc-b 10.0.0.9, vpc-a 10.0.0.12",
		"out":      "vpc-a 10.0.0.10, vpc-a 10.0.0.9, vpc-b 10.0.0.9, vpc-a 10.0.0.12",
		"in":       "vpc-a 10.0.0.9, vpc-b 10.0.0.9, vpc-a 10.0.0.10, vpc-a 10.0.0.12",
		"packets":  "vpc-a 10.0.0.10, vpc-a 10.0.0.9, vpc-b 10.0.0.9, vpc-a 10.0.0.12",
		"sessions": "vpc-a 10.0.0.9, vpc-a 10.0.0.10, vpc-a 10.0.0.12, vpc-b 10.0.0.9",
		"new":      "vpc-a 10.0.0.12, vpc-a 10.0.0.9, vpc-b 10.0.0.9, vpc-a 10.0.0.10",
		"refused":  "vpc-a 10.0.0.9, vpc-b 10.0.0.9, vpc-a 10.0.0.10, vpc-a 10.0.0.12",
		"address":  "vpc-a 10.0.0.9, vpc-b 10.0.0.9, vpc-a 10.0.0.10, vpc-a 10.0.0.12",
	} {
		run := topOf(office(), 1)
		run.sort = by
		if list, _ := addressesBy(t, run); strings.Join(list, ", ") != want {
			t.Errorf("by %s: %v, want %s", by, list, want)
		}
	}
	run := topOf(office(), 1)
	run.limit = 3
	if list, left := addressesBy(t, run); len(list) != 3 || left != 1 {
		t.Errorf("with a limit of 3: %v, and %d left out", list, left)
	}
	run = topOf(office(), 1)
	run.limit = 1
	var out strings.Builder
	if err := run.run(t.Context(), &out); err != nil || !strings.Contains(out.String(), "and 3 more; --limit shows them") {
		t.Errorf("%v:\n%s", err, out.String())
	}
}

// TestTopTwoGateways: a host that goes by two gateways and by an elastic IP of its own has
// a line for each, and one gateway can be asked for.
func TestTopTwoGateways(t *testing.T) {
	f := office()
	f.networks[0].Gateways = []string{"ngw-a", "ngw-b"}
	for i, traffic := range f.traffic {
		a := traffic["vpc-a"]
		n := uint64(i)
		a.Gateways = append(a.Gateways, admin.GatewayTraffic{ID: "ngw-b", Limit: 50, Sessions: []admin.Sessions{{Kind: "snat", Open: 50, Opened: 60 * n}}, Refused: []admin.Count{{Reason: "connections", Count: 8 * n}}, Outbound: volume(4_000 * n)})
		a.Gateways[0] = admin.GatewayTraffic{Sessions: []admin.Sessions{{Kind: "elastic", Open: 2}}}
		other, own := ofAddress("10.0.0.9", 4_000*n, 0, 50, 60*n), byItself(ofAddress("10.0.0.9", 0, 0, 2, 0))
		other.Gateway = "ngw-b"
		a.Addresses = append(a.Addresses, other, own)
		traffic["vpc-a"] = a
	}
	lines := func(gateway string) (list []string) {
		f.n = 0
		run := topOf(f, 1)
		run.gateway, run.sort = gateway, "address"
		var out strings.Builder
		if err := run.run(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if f := strings.Fields(line); len(f) > 1 && (strings.Contains(line, "ngw") || f[0] == "-" || f[0] == "vpc-a") {
				list = append(list, strings.Join(f, " "))
			}
		}
		return list
	}
	all := []string{
		"- vpc-a 0 2 0 0 0 0 0 0",
		"ngw-a vpc-a 9/10000 1 5 3.50 ports 4.00M 5.00k 80.0k 100",
		"ngw-b vpc-a 50/50 0 30 4 connections 16.0k 20 0 0",
		"ngw-a 10.0.0.9 4.00k 5 80.0k 100 5 1 3",
		"ngw-b 10.0.0.9 16.0k 20 0 0 50 30 0",
		"vpc-a 10.0.0.9 0 0 0 0 2 0 0",
		"ngw-a 10.0.0.10 4.00M 5.00k 0 0 2 0 0",
		"ngw-a 10.0.0.12 0 0 0 0 2 4 0",
	}
	if d := cmp.Diff(all, lines("vpc-a")); d != "" {
		t.Errorf("the VPC (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{all[2], all[4]}, lines("ngw-b")); d != "" {
		t.Errorf("one gateway (-want +got):\n%s", d)
	}
}

func TestTopJSON(t *testing.T) {
	run := topOf(office(), 2)
	run.gateway, run.json = "ngw-a", true
	var out strings.Builder
	if err := run.run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want one for each reading after the first:\n%s", len(lines), out.String())
	}
	var got activity
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	want := []gatewayRates{{
		Gateway: "ngw-a", VPC: "vpc-a", Seconds: 2, Sessions: 10, SNAT: 9, Limit: 10_000, NewLimit: 1_000, Refused: 3.5, Why: "ports",
		rates: rates{OutBits: 4_000_000, OutPackets: 5_000, InBits: 80_000, InPackets: 100, New: 5},
	}}
	if diff := cmp.Diff(want, got.Gateways, cmp.AllowUnexported(gatewayRates{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(got.Addresses) != 3 || got.Addresses[0].Address != "10.0.0.10" || got.Addresses[0].OutBits != 4_000_000 {
		t.Errorf("addresses: %+v", got.Addresses)
	}
	// Nothing has changed at the third reading: the open sessions are left.
	if err := json.Unmarshal([]byte(lines[1]), &got); err != nil || len(got.Addresses) != 3 || got.Addresses[0].rates != (rates{}) {
		t.Errorf("%v: %+v", err, got)
	}
}

// TestTopUnknownRates: what has not been read twice has no rates.
func TestTopUnknownRates(t *testing.T) {
	f := office()
	b := f.traffic[0]["vpc-b"]
	delete(f.traffic[0], "vpc-b") // it is new
	a := f.traffic[1]["vpc-a"]
	a.Epoch = 2 // it began anew
	f.traffic[1]["vpc-a"] = a
	b.Gateways = []admin.GatewayTraffic{{Outbound: volume(100)}}
	f.traffic = append(f.traffic, map[string]admin.Traffic{"vpc-a": a, "vpc-b": b})
	run := topOf(f, 2)
	run.json = true
	var out strings.Builder
	if err := run.run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var numbers []int
	for line := range strings.Lines(out.String()) {
		var got activity
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, len(got.Gateways))
	}
	if diff := cmp.Diff([]int{0, 2}, numbers); diff != "" {
		t.Errorf("gateways with rates (-want +got):\n%s", diff)
	}
}

func TestTopFailures(t *testing.T) {
	// One that cannot be read does not hide the others, unless it is asked for.
	f := office()
	f.fails = map[string]error{"vpc-b": &admin.Error{Status: 500, Message: "the map is gone"}}
	var out strings.Builder
	if err := topOf(f, 1).run(t.Context(), &out); err != nil || !strings.Contains(out.String(), "vpc-b: the map is gone\n") || !strings.Contains(out.String(), "10.0.0.10") {
		t.Errorf("%v:\n%s", err, out.String())
	}
	for gateway, want := range map[string]string{
		"vpc-b": "the map is gone",
		"vpc-c": "the traffic of vpc-c is not counted",
		"ngw-x": "there is no NAT gateway or VPC ngw-x; sluicectl status lists them",
	} {
		run := topOf(f, 1)
		run.gateway = gateway
		if err := run.run(t.Context(), new(strings.Builder)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", gateway, err, want)
		}
	}
	f.fails["vpc-b"] = errors.New("no sluiced answers")
	if err := topOf(f, 1).run(t.Context(), new(strings.Builder)); err == nil || err.Error() != "no sluiced answers" {
		t.Errorf("without a daemon: %v", err)
	}
}

// TestTopInterrupt: an interrupt is a good end, unless a count was asked for.
func TestTopInterrupt(t *testing.T) {
	for count, want := range map[int]bool{0: false, 3: true} {
		ctx, cancel := context.WithCancel(t.Context())
		f := office()
		f.at = func(reading int) {
			if reading == 3 {
				cancel()
			}
		}
		var out strings.Builder
		err := topOf(f, count).run(ctx, &out)
		if (err != nil) != want || strings.Count(out.String(), "addresses by") != 1 {
			t.Errorf("count %d, interrupted at the third reading: %v\n%s", count, err, out.String())
		}
		// While it waits.
		f = office()
		run := topOf(f, count)
		run.tick = nil
		ctx, cancel = context.WithCancel(t.Context())
		f.at = func(int) { cancel() }
		f.networks = nil
		if err := run.run(ctx, &out); (err != nil) != want {
			t.Errorf("count %d, interrupted while it waits: %v", count, err)
		}
		cancel()
	}
}

func TestScreen(t *testing.T) {
	var out strings.Builder
	if newScreen(&out) != nil {
		t.Error("a buffer counts as a terminal")
	}
	s := &screen{w: &out, size: func() (int, int) { return 5, 3 }}
	if err := s.show("1234567\n2\n3\n4\n"); err != nil {
		t.Fatal(err)
	}
	if want := "\x1b[H12345\x1b[K\n2\x1b[K\n\x1b[J"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.25: "0.25", 1: "1", 5.5: "5.50", 12: "12", 12.34: "12.3", 99.96: "100", 999: "999", 999.6: "1.00k",
		1_500: "1.50k", 15_000: "15.0k", 340e6: "340M", 1e9: "1.00G", 2.5e13: "25.0T", 1e18: "1000000T",
	} {
		if got := short(v); got != want {
			t.Errorf("short(%v) = %s, want %s", v, got, want)
		}
	}
}

// counted is a daemon's counters, for the whole way over a socket.
type counted struct{}

func (counted) Traffic(context.Context, string) (*dataplane.Traffic, error) {
	return &dataplane.Traffic{
		Gateways:  []dataplane.GatewayTraffic{{}, {ID: "ngw-a"}},
		Addresses: []dataplane.AddressTraffic{{Address: netip.MustParseAddr("10.0.0.1"), Gateway: "ngw-a", Open: 1}},
	}, nil
}
func (counted) Programs(_ context.Context, network string) ([]dataplane.Programs, error) {
	return []dataplane.Programs{{Link: dataplane.UplinkName, By: dataplane.ByTCX, Why: "its driver has none"}}, nil
}
func (counted) Networks() []admin.Network {
	return []admin.Network{{ID: "vpc-a", Gateways: []string{"ngw-a"}}}
}
func (counted) Info() admin.Info {
	return admin.Info{Version: "v1", Listen: "127.0.0.1:1", Metrics: "127.0.0.1:2"}
}
func (counted) Ready() bool { return true }

// nobody is an identity service that is not asked.
type nobody struct{ admin.Identity }

func TestCommandsOverTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := admin.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s := &admin.Server{Listener: l, Log: log, Grace: time.Second, Handler: admin.NewHandler(admin.Services{Identity: nobody{}, Networks: counted{}, Traffic: counted{}, Programs: counted{}, Process: counted{}}, log)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	out, err := run(t, "top", "ngw-a", "--socket", path, "--interval", "100ms", "--count", "1")
	if err != nil || !strings.Contains(out, "10.0.0.1") || strings.Contains(out, "\x1b") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run(t, "top", "ngw-b", "--socket", path); err == nil || report(err) != exitFailed {
		t.Errorf("another gateway: %v\n%s", err, out)
	}
	if out, err := run(t, "__complete", "top", "--socket", path, ""); err != nil || !strings.Contains(out, "ngw-a\tvpc-a\n") {
		t.Errorf("completion: %v\n%s", err, out)
	}
	var told strings.Builder
	if err := tellAttached(t.Context(), &told, &adminFlags{path}); err != nil || !strings.Contains(told.String(), "vpc-a  public  tcx          its driver has none\n") {
		t.Errorf("doctor: %v\n%s", err, told.String())
	}
	if out, err := run(t, "status", "--socket", path); err != nil || !strings.Contains(out, "metrics at http://127.0.0.1:2/metrics") || !strings.Contains(out, "ngw-a") {
		t.Errorf("status: %v\n%s", err, out)
	}
}
