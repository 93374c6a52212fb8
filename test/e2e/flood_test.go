package e2e

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"sluice/test/lab"
)

// mapping is one of an inside host that nobody has answered: the server that it
// asked, and where that saw it.
type mapping struct {
	inside net.Conn
	server net.PacketConn
	seen   net.Addr
}

// unanswered makes such a mapping. The server is the endpoint's, until the test
// ends.
func (h *host) unanswered(t *testing.T, e *endpoint) *mapping {
	t.Helper()
	m := &mapping{}
	err := lab.In(e.namespace, func() (err error) {
		m.server, err = net.ListenPacket("udp4", e.addr.String()+":0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.server.Close() })
	if m.inside, err = h.dial("udp", netip.Addr{}, netip.MustParseAddrPort(m.server.LocalAddr().String()), time.Second); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.inside.Close() })
	if _, err := io.WriteString(m.inside, "is anybody there?"); err != nil {
		t.Fatal(err)
	}
	m.server.SetReadDeadline(time.Now().Add(answerTimeout))
	if _, m.seen, err = m.server.ReadFrom(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	return m
}

// late answers now: what arrives went through the mapping that was made then, since
// from outside nothing makes one.
func (m *mapping) late(t *testing.T) {
	t.Helper()
	if _, err := m.server.WriteTo([]byte("late"), m.seen); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	m.inside.SetReadDeadline(time.Now().Add(answerTimeout))
	if n, err := m.inside.Read(got); err != nil || string(got[:n]) != "late" {
		t.Errorf("the mapping that nobody had answered is gone: %q, %v", got[:n], err)
	}
}

// TestFloodOfOneEntry: while somebody outside opens connections by one DNAT entry
// as fast as he can, what the hosts have open stays, answered or not, another entry
// of the same address and another VPC work on, and the kernel pushes nothing out of
// its table. Operators see how many were refused, and at which entry.
func TestFloodOfOneEntry(t *testing.T) {
	t.Parallel() // on gateways of its own
	onAndOff(t, testFloodOfOneEntry)
}

func testFloodOfOneEntry(t *testing.T, g *gateway) {
	const bound = 300
	g = g.another(t, "flood", fmt.Sprintf("  sessions: 16384\n  bounds:\n    per_entry: %d\n    per_elastic_ip: 1000\n", bound)+withMetrics)
	n, other := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24"), g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h, bystander := n.host(t, 0, "172.16.1.10"), other.host(t, 0, "172.16.1.10")
	for _, each := range []*network{n, other} {
		each.gateway(t)
	}
	ip, snatIP := n.gatewayIP(t), n.gatewayIP(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], snatIP)
	other.snat(t, "SourceVSwitchId", other.switches[0], other.gatewayIP(t))
	entry := func(external string, at netip.AddrPort, protocol string) netip.AddrPort {
		t.Helper()
		n.dnat(t, ip, external, protocol, h.addr.String(), strconv.Itoa(int(at.Port())))
		port, err := strconv.Atoi(external)
		if err != nil {
			t.Fatal(err)
		}
		return netip.AddrPortFrom(ip, uint16(port))
	}
	flooded := entry("53", h.sink(t), "UDP")
	service := entry("80", h.echo(t, "tcp"), "TCP")
	otherUDP := entry("443", h.echo(t, "udp"), "UDP")

	echoTCP, echoUDP := g.internet.echo(t, "tcp"), g.internet.echo(t, "udp")
	kept := []*flow{
		h.flow(t, echoTCP), h.flow(t, echoUDP), g.internet.flow(t, service), g.internet.flow(t, otherUDP),
		bystander.flow(t, echoTCP), bystander.flow(t, echoUDP),
	}
	silent := []*mapping{h.unanswered(t, g.internet), bystander.unanswered(t, g.internet)}
	before := g.traffic(t, n.vpc)
	_, alreadyOpened := openedAs(before, "dnat")

	attacker := (&host{endpoint: *g.internet}).opener(t, flooded)
	sent := uint64(0)
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	stop := background(t, func() {
		if <-tick.C; attacker.port < 1<<16-100 { // each flow once
			attacker.open(t, 20)
			sent += 20
		}
	})
	readings, err := g.top(t.Context(), n.nat, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range kept {
		f.more(t, 5)
	}
	// New ones, too.
	for _, s := range []struct {
		of    *endpoint
		proto string
		to    netip.AddrPort
	}{{g.internet, "tcp", service}, {g.internet, "udp", otherUDP}, {&h.endpoint, "tcp", echoTCP}, {&h.endpoint, "udp", echoUDP}, {&bystander.endpoint, "tcp", echoTCP}} {
		if err := s.of.tryEcho(s.proto, s.to, answerTimeout); err != nil {
			t.Errorf("during the flood %s from %s to %s: %v", s.proto, s.of.addr, s.to, err)
		}
	}
	stop()
	for _, m := range silent {
		m.late(t)
	}
	for _, f := range kept {
		f.more(t, 5)
		f.lost(t, 0)
	}

	if refused := readings[len(readings)-1].Gateways; len(refused) != 1 || refused[0].Gateway != n.nat || refused[0].Refused == 0 || refused[0].Why != "entry" {
		t.Errorf("sluicectl top shows %+v", refused)
	}
	const asked = 2 // by new connections of the test, of DNAT entries
	var refused uint64
	eventually(t, "counters", func() string {
		got := g.traffic(t, n.vpc)
		_, opened := openedAs(got, "dnat")
		opened -= alreadyOpened + asked
		refused = refusedFor(got, "entry")
		if opened+refused != sent || refused != allRefused(got) || opened < bound {
			return fmt.Sprintf("of %d sent %d are counted as opened; refused: %+v", sent, opened, got.Refused)
		}
		return ""
	})
	m := g.metrics(t)
	of := []string{label("vpc", n.vpc), label("gateway", n.nat)}
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"sluice_entry_sessions_refused_total", append(of, label("elastic_ip", ip.String()), label("protocol", "udp"), label("port", "53")), float64(refused)},
		{"sluice_entry_sessions_refused_total", nil, float64(refused)},
		{"sluice_sessions_refused_total", append(of, label("reason", "entry")), float64(refused)},
		{"sluice_sessions_refused_total", nil, float64(refused)},
		{"sluice_sessions_refused_total", []string{label("vpc", other.vpc)}, 0},
	} {
		if got := m.sum(c.name, c.labels...); got != c.want {
			t.Errorf("%s %v is %g, want %g", c.name, c.labels, got, c.want)
		}
	}
	if open := m.sum("sluice_entry_sessions_open", append(of, label("port", "53"))...); open > bound || open == 0 {
		t.Errorf("%g sessions of the entry are open, %d may be", open, bound)
	}
	for _, each := range []*network{n, other} {
		if early, dropped := each.pushedOut(t); early > 0 || dropped > 0 {
			t.Errorf("the kernel removed %d entries early, and dropped %d packets for want of room", early, dropped)
		}
	}
	g.logged(t, "as many are open of the entry as may be", n.vpc, flooded.String()+"/17")
	t.Logf("%d sent, %d refused", sent, refused)
}
