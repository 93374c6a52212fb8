package e2e

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/api/admin"
	"sluice/test/lab"
)

// opener opens UDP flows: one for each datagram, from a source port of its own.
// It writes the headers itself, since sockets would be too many, and too slow.
type opener struct {
	fd     int
	to     unix.SockaddrInet4
	packet []byte
	port   uint16
}

const firstPort = 1024

func (h *host) opener(t *testing.T, to netip.AddrPort) *opener {
	t.Helper()
	o := &opener{to: unix.SockaddrInet4{Addr: to.Addr().As4()}, port: firstPort, packet: make([]byte, 29)}
	err := lab.In(h.namespace, func() (err error) {
		o.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(o.fd) })
	// The kernel fills in the rest of the IP header; UDP goes without a checksum.
	ip, udp := o.packet, o.packet[20:]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	copy(ip[12:], h.addr.AsSlice())
	copy(ip[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(udp[2:], to.Port())
	binary.BigEndian.PutUint16(udp[4:], 9)
	return o
}

// open tries to open so many flows. Those that were refused come round again.
func (o *opener) open(t *testing.T, n int) {
	t.Helper()
	for range n {
		if o.port++; o.port < firstPort {
			o.port = firstPort
		}
		o.send(t, o.port)
	}
}

// send sends a datagram from a port.
func (o *opener) send(t *testing.T, port uint16) {
	t.Helper()
	binary.BigEndian.PutUint16(o.packet[20:], port)
	if err := unix.Sendto(o.fd, o.packet, 0, &o.to); err != nil && !errors.Is(err, unix.ENOBUFS) {
		t.Fatal(err)
	}
}

// sink returns an address of the endpoint where datagrams are taken in silence.
func (e *endpoint) sink(t *testing.T) netip.AddrPort {
	t.Helper()
	var c net.PacketConn
	err := lab.In(e.namespace, func() (err error) {
		c, err = net.ListenPacket("udp4", e.addr.String()+":0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

func snatSessions(a admin.Traffic) (open, opened uint64) {
	for _, s := range a.Sessions {
		if s.Kind == "snat" {
			return s.Open, s.Opened
		}
	}
	return 0, 0
}

func refusedFor(a admin.Traffic, reason string) uint64 {
	for _, r := range a.Refused {
		if r.Reason == reason {
			return r.Count
		}
	}
	return 0
}

// TestSpecLimits: a Small gateway opens 1,000 connections in a second and keeps
// 10,000 open, whatever is asked of it; a larger one takes more at once, and
// neither change drops a packet of a flow that is open.
func TestSpecLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel() // with what has gateways of its own
	onAndOff(t, testSpecLimits)
}

func testSpecLimits(t *testing.T, g *gateway) {
	const most, rate = 10_000, 1_000
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	n.gateway(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], n.gatewayIP(t))
	echo := g.internet.echo(t, "udp")
	f := h.flow(t, echo)
	// All are answered: what nobody answers makes room in a full gateway.
	opener := h.opener(t, g.internet.echo(t, "udp"))
	before := g.traffic(t, n.vpc)
	if len(before.Gateways) != 2 || before.Gateways[1].Limit != most || before.Gateways[1].RateLimit != rate {
		t.Fatalf("the limits are those of %+v", before.Gateways)
	}

	// Five times as many as are let in, for a time that leaves room.
	const span, pause = 9 * time.Second, time.Second / (5 * rate)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	var idle time.Duration // in which there was too little to let in
	for last := began; time.Since(began) < span; <-tick.C {
		late := time.Since(last)
		last = last.Add(late)
		idle += max(0, late-time.Second/5)
		opener.open(t, 1+int(min(late, time.Second/5)/pause))
	}
	took := time.Since(began)
	got := g.traffic(t, n.vpc)
	_, opened := snatSessions(got)
	_, already := snatSessions(before)
	opened -= already
	// By definition a fifth of a second's worth may come at once.
	upper, lower := rate*took.Seconds()+rate/5, 0.98*rate*(took-idle).Seconds()
	t.Logf("%d opened in %s (%s idle)", opened, took, idle)
	if float64(opened) > upper || float64(opened) < lower {
		t.Errorf("%d connections were opened in %s, of which the sender was late for %s; want %.0f to %.0f", opened, took, idle, lower, upper)
	}
	if refusedFor(got, "rate") == 0 || refusedFor(got, "connections") != 0 {
		t.Errorf("refused: %+v", got.Refused)
	}

	eventually(t, "a full gateway", func() string {
		opener.open(t, 100)
		got = g.traffic(t, n.vpc)
		open, _ := snatSessions(got)
		switch {
		case open > most:
			t.Fatalf("%d connections are open", open)
		case open < most:
			return strconv.FormatUint(open, 10) + " are open"
		case refusedFor(got, "connections") == 0:
			return "none was refused"
		}
		return ""
	})
	if err := h.tryEcho("udp", echo, time.Second/2); err == nil {
		t.Error("one connection too many was let in")
	}
	f.more(t, 20)

	stop := background(t, func() { f.more(t, 1) })
	n.call(t, "ModifyNatGatewaySpec", "NatGatewayId", n.nat, "Spec", "Middle")
	n.settled(t)
	if err := h.tryEcho("udp", echo, time.Second); err != nil {
		t.Errorf("the larger gateway refused a connection: %v", err)
	}
	n.call(t, "ModifyNatGatewaySpec", "NatGatewayId", n.nat, "Spec", "Small")
	n.settled(t)
	if err := h.tryEcho("udp", echo, time.Second/2); err == nil {
		t.Error("the smaller gateway let one in, although there are too many")
	}
	stop()
	f.more(t, 20)
	f.lost(t, 0)
	n.shortened(t, 60)
}

// TestCountsOverKill: the daemon is killed under traffic, which goes on and is
// counted: no packet is lost, and none of them is missing in the counters.
func TestCountsOverKill(t *testing.T) { onAndOff(t, testCountsOverKill) }

func testCountsOverKill(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	n.gateway(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], n.gatewayIP(t))
	c, err := h.dial("udp", netip.Addr{}, g.internet.echo(t, "udp"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var mu sync.Mutex
	var packets, bytes uint64
	ask := func() {
		mu.Lock()
		defer mu.Unlock()
		question := strconv.FormatUint(packets, 10)
		packets++
		bytes += 20 + 8 + uint64(len(question)) + 1
		if _, _, err := exchange(c, question, time.Second); err != nil {
			t.Errorf("question %d: %v", packets, err)
		}
	}
	asked := func() uint64 { mu.Lock(); defer mu.Unlock(); return packets }
	// more waits until so many more have been asked.
	more := func(n uint64) {
		t.Helper()
		goal := asked() + n
		eventually(t, "questions", func() string {
			if asked() < goal {
				return "too few"
			}
			return ""
		})
	}
	ask()
	epoch := g.traffic(t, n.vpc).Epoch
	stop := background(t, ask)
	for range 2 {
		more(50)
		g.killDaemon(t)
		more(50)
		g.startDaemon(t)
	}
	n.settled(t)
	more(50)
	stop()
	eventually(t, "counters", func() string {
		got := g.traffic(t, n.vpc)
		if got.Epoch != epoch {
			t.Fatal("the counters have begun anew")
		}
		if got.Outbound != (admin.Volume{Bytes: bytes, Packets: packets}) || got.Inbound.Packets != packets {
			return "sent were " + strconv.FormatUint(packets, 10) + " packets, of " + strconv.FormatUint(bytes, 10) + " bytes"
		}
		return ""
	})
	n.shortened(t, packets)
}
