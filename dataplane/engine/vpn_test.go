package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/dataplane"
	"sluice/dataplane/bgp"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

func TestMain(m *testing.M) {
	bgp.Main()
	os.Exit(m.Run())
}

// withVPN gives a network a VPN gateway with a connection whose peer is not there.
func withVPN(t *testing.T, e *Engine, n *dataplane.Network) *dataplane.Network {
	t.Helper()
	path, err := e.VPNPath()
	if err != nil {
		t.Skip(err)
	}
	if path != dataplane.VPNByLibipsec {
		t.Skip("looks at the one device that charon makes where the kernel has no ESP")
	}
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	p := dataplane.Proposal{Encryption: dataplane.AES256, Integrity: dataplane.SHA256, Group: 14}
	with := *n
	with.Revision++
	with.VPNGateways = []dataplane.VPNGateway{{
		ID: "vpn-t", IPsec: true, Address: addr("203.0.113.10"), Bandwidth: 10, Announce: []netip.Prefix{prefix("10.0.0.0/8")},
		Connections: []dataplane.VPNConnection{{
			ID: "vco-t", Remote: addr("203.0.113.77"), LocalID: "203.0.113.10", RemoteID: "203.0.113.77", PSK: "secret",
			IKE:      dataplane.IKE{Version: 2, Proposal: p, Lifetime: 3600},
			ESP:      dataplane.ESP{Proposal: p, Lifetime: 3600},
			Policies: dataplane.Product([]netip.Prefix{prefix("0.0.0.0/0")}, []netip.Prefix{prefix("0.0.0.0/0")}),
			Start:    true, DPD: true, NATTraversal: true,
			Health: &dataplane.VPNHealth{Source: addr("10.0.1.253"), Destination: addr("192.168.7.1"), Interval: time.Second, Retries: 1},
			BGP:    &dataplane.VPNBGP{Tunnel: prefix("169.254.9.0/30"), LocalIP: addr("169.254.9.1"), LocalASN: 65001, PeerASN: 65002},
		}},
		Routes: []dataplane.VPNRoute{{Destination: prefix("192.168.7.0/24"), Connection: "vco-t", Published: true}},
	}}
	return &with
}

// processes returns those of a network's VPN gateway: pids by what they are. Charon
// may be in a namespace of its own.
func processes(t *testing.T, s *site, ns *netns.Namespace) map[string]int {
	t.Helper()
	out := map[string]int{}
	pids := strings.Fields(nstest.Command(t, ns, "ip", "netns", "pids", ns.Name()))
	noted, _ := filepath.Glob(filepath.Join(s.runDir, "vpn", "*", "charon.pid"))
	for _, name := range noted {
		b, _ := os.ReadFile(name)
		pids = append(pids, strings.TrimSpace(string(b)))
	}
	for _, p := range pids {
		line, _ := os.ReadFile("/proc/" + p + "/cmdline")
		for _, what := range []string{"charon", "bgp-speaker"} {
			if strings.Contains(string(line), what) {
				out[what], _ = strconv.Atoi(p)
			}
		}
	}
	return out
}

// tunnelState returns what makes up the tunnel, besides processes: addresses of the
// device, and the queues that all packets are led to.
func tunnelState(ns *netns.Namespace) string {
	var out []string
	for _, args := range [][]string{
		{"ip", "-br", "-4", "addr", "show", "dev", "ipsec0"},
		{"tc", "qdisc", "show", "dev", "vpn-in"}, {"tc", "qdisc", "show", "dev", "vpn-out"},
		{"tc", "filter", "show", "dev", "ipsec0", "ingress"}, {"tc", "filter", "show", "dev", "ipsec0", "egress"},
	} {
		text, err := nstest.TryCommand(ns, args[0], args[1:]...)
		if err != nil {
			text = "-"
		}
		out = append(out, strings.Join(args, " ")+": "+text)
	}
	return strings.Join(out, "\n")
}

// What a VPN gateway consists of comes with it, is put right when somebody breaks
// it, outlives the engine, and goes with the gateway.
func TestVPNGateway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e := s.engine(t)
	mustApply(t, e, n)
	ns := inNetwork(t, n.ID)
	plain := dump(t, n.ID)
	with := withVPN(t, e, n)
	mustApply(t, e, with)

	complete := func() error {
		now := tunnelState(ns)
		for part, times := range map[string]int{"169.254.9.1/30": 1, "qdisc tbf": 2, "rate 10Mbit": 2, "Redirect to device vpn-in)": 1, "Redirect to device vpn-out)": 1} {
			if strings.Count(now, part) != times {
				return fmt.Errorf("%s is not there %d times in\n%s", part, times, now)
			}
		}
		if all := processes(t, s, ns); len(all) != 2 {
			return fmt.Errorf("processes %v", all)
		}
		return nil
	}
	nstest.Command(t, ns, "ip", "addr", "add", "10.99.0.1/32", "dev", "ipsec0") // as charon may: no route goes with another one then
	reconcile(t, e, with)
	nstest.Eventually(t, complete)
	nstest.Eventually(t, func() error { // charon tries, and nobody answers
		status, err := e.VPN(t.Context(), n.ID)
		if is := status["vco-t"]; err != nil || is.IKE || is.Child || is.BGP {
			t.Fatalf("status %+v, %v", is, err)
		}
		return nil
	})

	for name, damage := range map[string][]string{
		"address of the tunnel": {"ip", "addr", "del", "169.254.9.1/30", "dev", "ipsec0"},
		"queue":                 {"tc", "qdisc", "del", "dev", "vpn-out", "root"},
		"device of a queue":     {"ip", "link", "del", "vpn-in"},
		"filters":               {"tc", "qdisc", "del", "dev", "ipsec0", "clsact"},
	} {
		t.Run(name, func(t *testing.T) {
			nstest.Command(t, ns, damage[0], damage[1:]...)
			nstest.Eventually(t, complete)
		})
	}
	for _, name := range []string{"charon", "bgp-speaker"} {
		t.Run(name, func(t *testing.T) {
			pid := processes(t, s, ns)[name]
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			nstest.Eventually(t, func() error {
				if now := processes(t, s, ns)[name]; now == pid || now == 0 {
					return fmt.Errorf("%s is %d, was %d", name, now, pid)
				}
				return complete()
			})
		})
	}

	// Another engine adopts it all.
	before := processes(t, s, ns)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = s.engine(t)
	if o := mustApply(t, e, with); o.Changes != 0 {
		t.Errorf("%d changes by another engine:\n%s", o.Changes, s.log)
	}
	if after := processes(t, s, ns); after["charon"] != before["charon"] || after["bgp-speaker"] != before["bgp-speaker"] {
		t.Errorf("processes %v, were %v", after, before)
	}

	// It goes.
	without := *n
	without.Revision = with.Revision + 1
	mustApply(t, e, &without)
	if all := processes(t, s, ns); len(all) > 0 {
		t.Errorf("processes %v are left", all)
	}
	nstest.Eventually(t, func() error { // the kernel takes a TUN device down in its own time
		e.Invalidate(n.ID)
		mustApply(t, e, &without)
		if diff := cmp.Diff(plain, dump(t, n.ID)); diff != "" {
			return errors.New("left (-before +after):\n" + diff)
		}
		return nil
	})
	for _, dir := range []string{"vpn", "bgp"} {
		entries, err := os.ReadDir(filepath.Join(s.runDir, dir))
		if err != nil && !errors.Is(err, os.ErrNotExist) || len(entries) > 0 {
			t.Errorf("left in %s: %v, %v", dir, entries, err)
		}
	}
	// A gateway is removed with its network, too.
	mustApply(t, e, with)
	if err := e.Remove(t.Context(), n.ID); err != nil {
		t.Fatal(err)
	}
}
