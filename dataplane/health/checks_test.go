package health

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

const id = "vpc-1"

// lab is a gateway with a VSwitch, and two peers behind tunnels (veth pairs).
// Both peers hold 10.9.0.1 and lead to the VSwitch by their tunnel.
func lab(t *testing.T) (gw, one, two *netns.Namespace) {
	gw, one, two = nstest.New(t), nstest.New(t), nstest.New(t)
	for i, p := range []*netns.Namespace{one, two} {
		name := fmt.Sprintf("vco-%d", i+1)
		nstest.Veth(t, gw, name, p, "tun")
		nstest.Address(t, gw, name, fmt.Sprintf("169.254.%d.1/30", i+1))
		nstest.Address(t, p, "tun", fmt.Sprintf("169.254.%d.2/30", i+1))
		nstest.Address(t, p, "lo", "10.9.0.1/32")
		nstest.Default(t, p, fmt.Sprintf("169.254.%d.1", i+1))
	}
	nstest.Command(t, gw, "ip", "link", "add", "vsw-1", "type", "bridge")
	nstest.Address(t, gw, "vsw-1", "10.0.1.253/24")
	nstest.Address(t, gw, "lo", "10.0.0.1/16") // a wider subnet with the same addresses
	// Neighbours of a veth are asked for, those of a tunnel are not.
	for i := range 2 {
		name := fmt.Sprintf("vco-%d", i+1)
		mac := nstest.Link(t, []*netns.Namespace{one, two}[i], "tun").Attrs().HardwareAddr.String()
		nstest.Command(t, gw, "ip", "neigh", "add", "10.9.0.1", "lladdr", mac, "dev", name)
	}
	nstest.Command(t, gw, "ip", "route", "add", "10.9.0.1", "via", "169.254.1.2")
	return gw, one, two
}

func probe(source string) dataplane.VPNHealth {
	return dataplane.VPNHealth{Source: netip.MustParseAddr(source), Destination: netip.MustParseAddr("10.9.0.1"),
		Interval: 100 * time.Millisecond, Retries: 3}
}

func start(t *testing.T) (*Checks, chan string) {
	heard := make(chan string, 1000)
	c := New(Options{Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Changed: func(n string) { heard <- n }})
	t.Cleanup(c.Close)
	return c, heard
}

func apply(t *testing.T, c *Checks, ns *netns.Namespace, want map[string]dataplane.VPNHealth) {
	t.Helper()
	if err := c.Apply(t.Context(), ns, id, want); err != nil {
		t.Fatal(err)
	}
}

// expect waits for a verdict, and then for Changed.
func expect(t *testing.T, c *Checks, heard chan string, connection string, failed bool) Result {
	t.Helper()
	nstest.Eventually(t, func() error {
		if r := c.Status(id)[connection]; !r.Checked || r.Failed != failed || r.Since.IsZero() {
			return fmt.Errorf("%s: %+v, want failed %v", connection, r, failed)
		}
		return nil
	})
	select {
	case n := <-heard:
		if n != id {
			t.Errorf("Changed(%q)", n)
		}
	case <-time.After(nstest.Deadline):
		t.Error("Changed was not called")
	}
	return c.Status(id)[connection]
}

func block(t *testing.T, ns *netns.Namespace) {
	t.Helper()
	nstest.Command(t, ns, "nft", "add table ip block; add chain ip block in { type filter hook prerouting priority -400; policy drop; }")
}

func unblock(t *testing.T, ns *netns.Namespace) {
	t.Helper()
	nstest.Command(t, ns, "nft", "delete", "table", "ip", "block")
}

func TestLossAndRecovery(t *testing.T) {
	gw, one, _ := lab(t)
	c, heard := start(t)
	want := map[string]dataplane.VPNHealth{"vco-1": probe("10.0.1.7")}
	apply(t, c, gw, want)
	good := expect(t, c, heard, "vco-1", false)

	block(t, one)
	failed := expect(t, c, heard, "vco-1", true)
	if !failed.Since.After(good.Since) {
		t.Errorf("good since %s, failed since %s", good.Since, failed.Since)
	}
	apply(t, c, gw, want)
	if r := c.Status(id)["vco-1"]; r != failed {
		t.Errorf("another Apply made %+v of %+v", r, failed)
	}
	unblock(t, one)
	expect(t, c, heard, "vco-1", false)

	nstest.Command(t, gw, "ip", "link", "set", "vco-1", "down")
	expect(t, c, heard, "vco-1", true)
	nstest.Command(t, gw, "ip", "link", "set", "vco-1", "up")
	nstest.Command(t, gw, "ip", "neigh", "replace", "10.9.0.1", "lladdr",
		nstest.Link(t, one, "tun").Attrs().HardwareAddr.String(), "dev", "vco-1")
	expect(t, c, heard, "vco-1", false)

	changed := probe("10.0.1.7")
	changed.Retries = 1000
	apply(t, c, gw, map[string]dataplane.VPNHealth{"vco-1": changed})
	expect(t, c, heard, "vco-1", false)
	apply(t, c, gw, nil)
	if s := c.Status(id); len(s) != 0 {
		t.Errorf("without checks: %v", s)
	}
}

// A single loss, or an answer among losses, changes nothing.
func TestNoFlapping(t *testing.T) {
	gw, one, _ := lab(t)
	c, heard := start(t)
	apply(t, c, gw, map[string]dataplane.VPNHealth{"vco-1": probe("10.0.1.7")})
	good := expect(t, c, heard, "vco-1", false)
	// Two of three requests are lost, then one of three.
	rule := func(numbers, verdict string) {
		nstest.Command(t, one, "nft", "flush ruleset; add table ip block; "+
			"add chain ip block in { type filter hook prerouting priority -400; }; "+
			"add rule ip block in icmp type echo-request numgen inc mod 3 "+numbers+" counter "+verdict)
	}
	counted := func(packets int) {
		t.Helper()
		nstest.Eventually(t, func() error {
			var n int
			list := nstest.Command(t, one, "nft", "list", "chain", "ip", "block", "in")
			if _, after, ok := strings.Cut(list, "packets "); ok {
				fmt.Sscan(after, &n)
			}
			if n < packets {
				return fmt.Errorf("%d packets were counted, want %d: %s", n, packets, list)
			}
			return nil
		})
	}
	for _, numbers := range []string{"< 2", "== 0"} {
		rule(">= 0", "accept") // what was lost before is forgotten
		counted(3)
		rule(numbers, "drop")
		counted(12)
		if r := c.Status(id)["vco-1"]; r != good {
			t.Errorf("with requests %s lost: %+v, before %+v", numbers, r, good)
		}
	}
	// Nor does a failed one become good by some answers.
	nstest.Command(t, one, "nft", "flush ruleset")
	block(t, one)
	failed := expect(t, c, heard, "vco-1", true)
	rule("< 2", "drop")
	counted(12)
	if r := c.Status(id)["vco-1"]; r != failed {
		t.Errorf("with two of three requests lost: %+v, before %+v", r, failed)
	}
	if len(heard) > 0 {
		t.Error("Changed was called")
	}
}

// A probe takes its own tunnel, though the routes lead to another.
func TestEachItsTunnel(t *testing.T) {
	gw, one, two := lab(t)
	c, heard := start(t)
	apply(t, c, gw, map[string]dataplane.VPNHealth{"vco-1": probe("10.0.1.7"), "vco-2": probe("10.0.1.7")})
	expect(t, c, heard, "vco-1", false)
	nstest.Eventually(t, func() error {
		if r := c.Status(id)["vco-2"]; !r.Checked || r.Failed {
			return fmt.Errorf("vco-2: %+v", r)
		}
		return nil
	})
	block(t, two)
	nstest.Eventually(t, func() error {
		if r := c.Status(id)["vco-2"]; !r.Failed {
			return fmt.Errorf("vco-2: %+v", r)
		}
		return nil
	})
	if r := c.Status(id)["vco-1"]; r.Failed {
		t.Errorf("vco-1 failed with the other: %+v", r)
	}
	unblock(t, two)
	block(t, one)
	nstest.Eventually(t, func() error {
		if s := c.Status(id); !s["vco-1"].Failed || s["vco-2"].Failed {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

// An answer that comes by another link is one or none, as the check has it: what the other end
// sends may be led elsewhere than what it gets.
func TestAnswerByAnotherWay(t *testing.T) {
	gw, one, two := lab(t)
	nstest.Veth(t, one, "side", two, "side")
	nstest.Address(t, one, "side", "10.8.0.1/30")
	nstest.Address(t, two, "side", "10.8.0.2/30")
	nstest.Command(t, two, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
	nstest.Command(t, two, "ip", "addr", "del", "10.9.0.1/32", "dev", "lo") // it passes on what the other one sends
	c, heard := start(t)
	same, either := probe("10.0.1.7"), probe("10.0.1.7")
	same.SameWay = true
	apply(t, c, gw, map[string]dataplane.VPNHealth{"vco-1": same})
	expect(t, c, heard, "vco-1", false)
	nstest.Command(t, one, "ip", "route", "add", "10.0.1.253", "via", "10.8.0.2", "src", "10.9.0.1")
	expect(t, c, heard, "vco-1", true)
	apply(t, c, gw, map[string]dataplane.VPNHealth{"vco-1": either})
	expect(t, c, heard, "vco-1", false)
	apply(t, c, gw, map[string]dataplane.VPNHealth{"vco-1": same})
	expect(t, c, heard, "vco-1", true)
	nstest.Command(t, one, "ip", "route", "del", "10.0.1.253")
	expect(t, c, heard, "vco-1", false)
}

func TestSource(t *testing.T) {
	gw, one, _ := lab(t)
	k := &check{ns: gw}
	for source, want := range map[string]string{
		"10.0.1.7":   "10.0.1.253", // the VSwitch's, not the wider subnet's
		"10.0.1.253": "10.0.1.253",
		"10.0.2.7":   "10.0.0.1",
		"10.0.0.1":   "10.0.0.1",
		"172.16.0.1": "",
	} {
		k.want.Source = netip.MustParseAddr(source)
		got, err := k.source()
		if err != nil && want != "" || err == nil && got.String() != want {
			t.Errorf("source for %s is %s, %v; want %q", source, got, err, want)
		}
	}

	// The peer sees it.
	nstest.Command(t, one, "nft", "add table ip seen; add chain ip seen in { type filter hook prerouting priority -400; policy drop; }; "+
		"add rule ip seen in ip saddr 10.0.1.253 accept")
	c, heard := start(t)
	apply(t, c, gw, map[string]dataplane.VPNHealth{"vco-1": probe("10.0.1.7")})
	expect(t, c, heard, "vco-1", false)
	apply(t, c, gw, map[string]dataplane.VPNHealth{"vco-1": probe("10.0.2.7")})
	expect(t, c, heard, "vco-1", true)
	apply(t, c, gw, map[string]dataplane.VPNHealth{"vco-1": probe("172.16.0.1")}) // cannot be sent
	expect(t, c, heard, "vco-1", true)
}

// Without a link of the connection's name the routes decide; another namespace
// of the same network begins anew.
func TestByRoutes(t *testing.T) {
	gw, one, _ := lab(t)
	c, heard := start(t)
	apply(t, c, gw, map[string]dataplane.VPNHealth{"vco-9": probe("10.0.1.7")})
	expect(t, c, heard, "vco-9", false)
	block(t, one)
	expect(t, c, heard, "vco-9", true)
	other, _, _ := lab(t)
	apply(t, c, other, map[string]dataplane.VPNHealth{"vco-9": probe("10.0.1.7")})
	expect(t, c, heard, "vco-9", false)
}

func TestRefused(t *testing.T) {
	c, _ := start(t)
	for _, change := range []func(*dataplane.VPNHealth){
		func(h *dataplane.VPNHealth) { h.Interval = 0 },
		func(h *dataplane.VPNHealth) { h.Retries = 0 },
		func(h *dataplane.VPNHealth) { h.Source = netip.Addr{} },
		func(h *dataplane.VPNHealth) { h.Destination = netip.MustParseAddr("::1") },
	} {
		h := probe("10.0.1.7")
		change(&h)
		if err := c.Apply(t.Context(), nil, id, map[string]dataplane.VPNHealth{"vco-1": h}); err == nil {
			t.Errorf("%+v was accepted", h)
		}
	}
}
