package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/test/lab"
)

// lowPorts are those that a host has to ask from to be given one of as many: the
// kernel keeps a source port below 512 below 512.
const lowPorts = 511

// TestExhaustedPorts: connections for which no port of the pool is free are counted
// by elastic IP and host and never as opened, the log names the elastic IP once with
// the hosts that have the most sessions, and hosts are told, or not, as configured.
// A daemon that is restarted in between changes nothing of it.
func TestExhaustedPorts(t *testing.T) {
	t.Parallel() // on gateways of its own
	onAndOff(t, testExhaustedPorts)
}

func testExhaustedPorts(t *testing.T, g *gateway) {
	g = g.another(t, "ports", "  refuse: drop\n"+withMetrics)
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	n.call(t, "ModifyNatGatewaySpec", "NatGatewayId", n.nat, "Spec", "Large")
	pool := []netip.Addr{n.gatewayIP(t), n.gatewayIP(t)}
	n.snat(t, "SourceVSwitchId", n.switches[0], pool...)
	// A host has its sessions by one address of the pool: with as many hosts, some
	// share one.
	hosts := []*host{n.host(t, 0, "172.16.1.10"), n.host(t, 0, "172.16.1.11"), n.host(t, 0, "172.16.1.12")}
	seen := map[netip.Addr]netip.Addr{} // host's elastic IP
	sharing := map[netip.Addr]int{}
	echo, sink := g.internet.echo(t, "udp"), g.internet.sink(t)
	var kept []*flow
	for _, h := range hosts {
		seen[h.addr] = h.seenAs(t, "udp", echo).Addr()
		sharing[seen[h.addr]]++
		kept = append(kept, h.flow(t, echo))
	}
	asker := hosts[slices.IndexFunc(hosts, func(h *host) bool { return sharing[seen[h.addr]] > 1 })]
	told, err := lab.CaptureOn(asker.namespace, lab.HostInterface, func(p lab.Packet) bool {
		return !p.Outgoing && p.Protocol == unix.IPPROTO_ICMP && p.Inner != nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	public, err := g.Capture(lab.InternetHost, lab.PublicBridge, func(p lab.Packet) bool { return p.Protocol == unix.IPPROTO_UDP && p.DstPort == sink.Port() })
	if err != nil {
		t.Fatal(err)
	}
	defer public.Close()
	_, startOpened := snatSessions(g.traffic(t, n.vpc))

	// Each host opens a connection from each low port to the same destination. All
	// hosts take turns, so that those who share an address share its ports.
	sent := uint64(0)
	openers := make([]*opener, len(hosts))
	for i, h := range hosts {
		openers[i] = h.opener(t, sink)
	}
	ask := func() {
		for _, o := range openers {
			o.port = 0
		}
		for range lowPorts {
			for _, o := range openers {
				o.port++
				o.send(t, o.port)
				sent++
			}
		}
	}
	ask()
	// Everything that was sent is counted as opened, or as refused for want of a port.
	var opened, refused uint64
	eventually(t, "counters", func() string {
		got := g.traffic(t, n.vpc)
		_, all := snatSessions(got)
		opened, refused = all-startOpened, refusedFor(got, "ports")
		if refused == 0 || refused != allRefused(got) || opened+refused != sent {
			return fmt.Sprintf("of %d sent %d are counted as opened; refused: %+v", sent, opened, got.Refused)
		}
		return ""
	})
	t.Logf("%d sent, %d opened, %d refused; hosts by address: %v", sent, opened, refused, sharing)
	// What was opened is what the outside has seen.
	left := map[netip.AddrPort]bool{}
	eventually(t, "packets outside", func() string {
		for _, p := range public.Packets() {
			left[netip.AddrPortFrom(p.Src, p.SrcPort)] = true
		}
		if uint64(len(left)) != opened {
			return fmt.Sprintf("%d connections have left, %d are counted as opened", len(left), opened)
		}
		return ""
	})
	byAddress := map[netip.Addr]uint64{}
	for end := range left {
		byAddress[end.Addr()]++
	}

	m := g.metrics(t)
	of := []string{label("vpc", n.vpc), label("gateway", n.nat)}
	by := func(more ...string) []string { return append(append([]string(nil), of...), more...) }
	if got := m.sum("sluice_sessions_refused_total", by(label("reason", "ports"))...); got != float64(refused) {
		t.Errorf("the metrics have %g refused for want of a port, the daemon %d", got, refused)
	}
	for ip, hosts := range sharing {
		want := float64(hosts*lowPorts) - float64(byAddress[ip])
		if got := m.sum("sluice_elastic_ip_sessions_refused_total", by(label("elastic_ip", ip.String()), label("protocol", "udp"))...); got != want {
			t.Errorf("%g are counted as refused of %s; %d hosts asked for %d ports each, and %d were given", got, ip, hosts, lowPorts, byAddress[ip])
		}
	}
	if got := m.sum("sluice_elastic_ip_sessions_refused_total"); got != float64(refused) {
		t.Errorf("%g are refused of all elastic IPs, %d in all", got, refused)
	}
	if got := m.sum("sluice_address_sessions_refused_total", by(label("reason", "ports"))...); got != float64(refused) {
		t.Errorf("%g are refused to all hosts, %d in all", got, refused)
	}

	// Said once for each address that lacks ports, however many connections fail.
	for ip, sharers := range sharing {
		if sharers < 2 {
			continue
		}
		g.logged(t, "find no port", "elastic_ip="+ip.String())
		lines := g.said(t, "find no port", "elastic_ip="+ip.String())
		if len(lines) != 1 {
			t.Errorf("it is said %d times: %q", len(lines), lines)
		}
		_, top, _ := strings.Cut(lines[0], "most_sessions=")
		for host, by := range seen {
			if strings.Contains(top, host.String()) != (by == ip) {
				t.Errorf("%s has its sessions by %s; the log says: %s", host, by, lines[0])
			}
		}
	}
	if got := told.Packets(); len(got) > 0 {
		t.Errorf("with refuse: drop a host is told: %s", got[0])
	}

	// Another daemon, which is to tell the hosts.
	config, err := os.ReadFile(g.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.ConfigFile(), bytes.Replace(config, []byte("refuse: drop"), []byte("refuse: reject"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.RestartDaemon(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.settled(t)
	if got := refusedFor(g.traffic(t, n.vpc), "ports"); got != refused {
		t.Errorf("%d are refused after a restart, %d before", got, refused)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond) // slower than the gateway's rate
	defer tick.Stop()
	stop := background(t, func() { <-tick.C; ask() })
	var last shown
	eventually(t, "sluicectl top", func() string {
		readings, err := g.top(ctx, n.nat, 2)
		if err != nil {
			t.Fatal(err)
		}
		last = readings[len(readings)-1]
		if len(last.Gateways) != 1 || last.Gateways[0].Gateway != n.nat || last.Gateways[0].Refused == 0 || last.Gateways[0].Why != "ports" {
			return fmt.Sprintf("it shows %+v", last.Gateways)
		}
		return ""
	})
	p, err := told.Await(ctx, func(lab.Packet) bool { return true })
	if err != nil {
		t.Errorf("with refuse: reject no host is told: %v", err)
	} else if p.ICMPType != 3 || p.ICMPCode != 13 || p.Inner.Src != asker.addr || p.Inner.Dst != sink.Addr() || p.Inner.DstPort != sink.Port() || p.Inner.SrcPort > lowPorts {
		t.Errorf("the host is told %s", p)
	}
	stop()
	for _, a := range last.Addresses {
		host, err := netip.ParseAddr(a.Address)
		if err != nil || a.Refused > 0 && sharing[seen[host]] < 2 {
			t.Errorf("sluicectl top shows %+v; by address: %v", a, sharing)
		}
	}
	for _, f := range kept {
		f.more(t, 5)
		f.lost(t, 0)
	}
}
