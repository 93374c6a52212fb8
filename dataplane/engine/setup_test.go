package engine

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/link"
	"sluice/dataplane/netns"
	"sluice/dataplane/route"
	"sluice/dataplane/session"
	"sluice/dataplane/sorted"
)

// site is a public network with a host on it, and a directory for marks.
type site struct {
	public *netns.Namespace // has bridge pub0 with 203.0.113.1, the internet's host
	runDir string
	log    *nstest.Log
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{public: nstest.New(t), runDir: t.TempDir(), log: &nstest.Log{}}
	if err := link.EnsureBridge(s.public.Name(), "pub0", netip.MustParsePrefix("203.0.113.1/24")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	return s
}

// engine starts an engine on the site; its networks go when the test ends.
func (s *site) engine(t testing.TB) *Engine {
	t.Helper()
	return s.engineWith(t, session.Options{})
}

func (s *site) engineWith(t testing.TB, o session.Options) *Engine {
	t.Helper()
	e, err := New(Config{RunDir: s.runDir, Logger: slog.New(slog.NewTextHandler(s.log, nil)), Namespace: s.public.Name(), Sessions: o})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// network returns a network of two VSwitches with two elastic IPs, that is
// removed when the test ends, by whatever engine.
func (s *site) network(t testing.TB) *dataplane.Network {
	t.Helper()
	id := "vpc-t" + nstest.Random(9)
	t.Cleanup(func() { s.remove(t, id) })
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	bridge := dataplane.Attachment{Kind: dataplane.AttachBridge}
	return &dataplane.Network{
		ID: id, Revision: 7, Prefix: prefix("10.0.0.0/8"),
		Switches: []dataplane.Switch{
			{ID: "vsw-a", Prefix: prefix("10.0.1.0/24"), Gateway: addr("10.0.1.253"), Attachment: bridge},
			{ID: "vsw-b", Prefix: prefix("10.0.2.0/24"), Gateway: addr("10.0.2.253"), Attachment: bridge},
		},
		Routes: []dataplane.Route{
			{Destination: prefix("0.0.0.0/0"), NextHops: []dataplane.NextHop{{Uplink: true}}},
			{Destination: prefix("10.9.0.0/16"), NextHops: []dataplane.NextHop{
				{Via: addr("10.0.1.5"), Weight: 2}, {Via: addr("10.0.2.5")},
			}},
		},
		Uplink: &dataplane.Uplink{
			Mode: dataplane.UplinkBridge, Device: "pub0", Prefix: prefix("203.0.113.0/24"), Gateway: addr("203.0.113.1"),
		},
		Elastic:     []netip.Addr{addr("203.0.113.10"), addr("203.0.113.11")},
		DNAT:        sorted.Of(dataplane.DNAT{External: addr("203.0.113.11"), Protocol: 6, ExternalPort: 80, Internal: addr("10.0.1.5"), InternalPort: 8080}),
		SNAT:        []dataplane.SNAT{{Source: prefix("10.0.1.0/24"), Pool: []netip.Addr{addr("203.0.113.10")}}},
		NATGateways: []dataplane.NATGateway{{ID: "ngw-a", Elastic: []netip.Addr{addr("203.0.113.10"), addr("203.0.113.11")}}},
		Timeouts:    dataplane.DefaultTimeouts(),
	}
}

// limit gives the network's gateway other limits.
func limit(n *dataplane.Network, l dataplane.Limits) {
	n.NATGateways = slices.Clone(n.NATGateways)
	n.NATGateways[0].Limits = l
}

func (s *site) remove(t testing.TB, id string) {
	e, err := New(Config{RunDir: s.runDir, Namespace: s.public.Name()})
	if err != nil {
		t.Error(err)
		return
	}
	defer e.Close()
	if err := e.Remove(context.Background(), id); err != nil {
		t.Error(err)
	}
	if left := s.traces(id); left != "" {
		t.Errorf("left behind by network %s: %s", id, left)
	}
}

// traces says what is there of a network.
func (s *site) traces(id string) string {
	var found []string
	if _, err := os.Stat(filepath.Join(netns.Dir, dataplane.Namespace(id))); err == nil {
		found = append(found, "namespace")
	}
	if _, err := os.Stat(filepath.Join(s.runDir, "networks", id)); err == nil {
		found = append(found, "mark")
	}
	if _, err := s.public.Netlink().LinkByName(id); err == nil {
		found = append(found, "link on the public side")
	}
	held, err := filepath.Glob(filepath.Join(s.runDir, "bandwidths", "*"))
	for _, file := range held {
		if text, e := os.ReadFile(file); err == nil && (e != nil || strings.Contains(string(text), id)) {
			found = append(found, "bandwidths")
		}
	}
	return strings.Join(found, ", ")
}

func mustApply(t testing.TB, e *Engine, n *dataplane.Network) dataplane.Observed {
	t.Helper()
	o, err := e.Apply(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if o.Revision != n.Revision {
		t.Fatalf("applied revision %d, want %d", o.Revision, n.Revision)
	}
	return o
}

// dump returns the topology that the kernel has, as text.
func dump(t testing.TB, id string) string {
	t.Helper()
	ns, err := netns.Open(dataplane.Namespace(id))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	state, err := link.New(ns, ns).Read(t.Context(), &dataplane.Network{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	names, err := linkNames(ns)
	if err != nil {
		t.Fatal(err)
	}
	routes, err := route.Read(t.Context(), ns, names)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(state.String()+routes.String(), id, "vpc-id")
}

func inNetwork(t testing.TB, id string) *netns.Namespace {
	t.Helper()
	ns, err := netns.Open(dataplane.Namespace(id))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}
