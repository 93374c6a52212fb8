package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/test/lab"
)

// TestWithdrawnWhileItsHostSends: a DNAT entry goes while its host sends to who has
// called it. From then on nothing leaves from the entry's address or comes in by it;
// what the host sends leaves by its SNAT entry, as a connection of its own: UDP is
// seen from another address, TCP is reset by the other end.
func TestWithdrawnWhileItsHostSends(t *testing.T) {
	t.Parallel() // in a VPC of its own
	onAndOff(t, testWithdrawnWhileItsHostSends)
}

func testWithdrawnWhileItsHostSends(t *testing.T, g *gateway) {
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	n.gateway(t)
	snat, dnat := n.gatewayIP(t), n.gatewayIP(t)
	h := n.host(t, 0, "172.16.1.10")
	n.snat(t, "SourceVSwitchId", n.switches[0], snat)

	var server net.PacketConn
	var listener net.Listener
	var caller net.PacketConn
	for ns, open := range map[string]func() error{
		h.namespace: func() (err error) {
			if server, err = net.ListenPacket("udp4", ":53"); err == nil {
				listener, err = net.Listen("tcp4", ":80")
			}
			return err
		},
		g.internet.namespace: func() (err error) {
			caller, err = net.ListenPacket("udp4", g.internet.addr.String()+":0")
			return err
		},
	} {
		if err := lab.In(ns, open); err != nil {
			t.Fatal(err)
		}
	}
	defer server.Close()
	defer listener.Close()
	defer caller.Close()
	entries := []string{n.dnat(t, dnat, "53", "UDP", h.addr.String(), "53"), n.dnat(t, dnat, "80", "TCP", h.addr.String(), "80")}

	// TCP: the host sends, and hears when that is of no use any more.
	outside, err := g.internet.dial("tcp", netip.Addr{}, netip.AddrPortFrom(dnat, 80), answerTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	inside, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()

	// UDP: the host sends a number every few milliseconds.
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(dnat, 53))
	if _, err := caller.WriteTo([]byte("send me all"), to); err != nil {
		t.Fatal(err)
	}
	server.SetReadDeadline(time.Now().Add(answerTimeout))
	_, back, err := server.ReadFrom(make([]byte, 100))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	arrived := map[int]netip.Addr{} // number → source
	sources := map[netip.Addr]int{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 100)
		for {
			k, from, err := caller.ReadFrom(b)
			if err != nil {
				return
			}
			var i int
			fmt.Sscan(string(b[:k]), &i)
			source := netip.MustParseAddrPort(from.String()).Addr()
			mu.Lock()
			arrived[i] = source
			sources[source]++
			mu.Unlock()
		}
	}()
	sent := 0
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	stop := background(t, func() {
		<-tick.C
		mu.Lock()
		sent++
		i := sent
		mu.Unlock()
		server.WriteTo(fmt.Append(nil, i), back)
	})
	seen := func(source netip.Addr, most int) func() string {
		return func() string {
			if _, err := inside.Write([]byte("data")); err != nil && !isErrno(err, syscall.ECONNRESET) && !isErrno(err, syscall.EPIPE) {
				return err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			if sources[source] < most {
				return fmt.Sprintf("of %d sent have been seen: %v", sent, sources)
			}
			return ""
		}
	}
	eventually(t, "what the host sends by the entry", seen(dnat, 50))
	for _, e := range entries {
		n.call(t, "DeleteForwardEntry", "ForwardTableId", n.forwardTable, "ForwardEntryId", e)
	}
	n.settled(t)
	mu.Lock()
	settled := sent
	mu.Unlock()
	eventually(t, "what the host sends by its SNAT entry", seen(snat, 50))
	stop()
	caller.SetReadDeadline(time.Now().Add(time.Second / 2))
	<-ended
	lost := 0
	for i := 1; i <= sent; i++ {
		switch source, ok := arrived[i]; {
		case !ok:
			lost++
		case source == dnat && i > settled+1:
			t.Errorf("packet %d left from the address of the entry, which was gone before packet %d", i, settled)
		}
	}
	t.Logf("%d sent, the entry was gone before packet %d, %d lost; seen from %v", sent, settled, lost, sources)
	if lost > 2 { // that may have been on their way
		t.Errorf("%d of %d packets are lost: the host should go on by its SNAT entry with its next packet", lost, sent)
	}

	// From outside nothing gets in any more.
	if _, err := caller.WriteTo([]byte("again"), to); err != nil {
		t.Fatal(err)
	}
	server.SetReadDeadline(time.Now().Add(time.Second / 2))
	if k, from, err := server.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("%d bytes from %s came in by an entry that is gone", k, from)
	}
	eventually(t, "a reset", func() string {
		if _, err := inside.Write([]byte("data")); isErrno(err, syscall.ECONNRESET) || isErrno(err, syscall.EPIPE) {
			return ""
		}
		return "the host goes on sending to who does not hear it"
	})
}
