package nft

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sluice/dataplane/sorted"
	"strconv"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

func wantSeen(t testing.TB, what string, got netip.Addr, want string) {
	t.Helper()
	if got != addr(want) {
		t.Errorf("%s is seen from %s, not %s", what, got, want)
	}
}

func TestPackets(t *testing.T) {
	l := newLab(t)
	serve(t, l.internet, "203.0.113.1:7")
	serve(t, l.internet, "198.51.100.1:7")
	serve(t, l.a, "10.0.1.10:8080")
	serve(t, l.a, "10.0.1.11:53")
	serve(t, l.a, "10.0.1.20:7")
	serve(t, l.b, "10.0.2.30:7")
	serve(t, l.b, "10.0.2.100:7")

	t.Run("SNAT to one address", func(t *testing.T) {
		wantSeen(t, "UDP", seenUDP(t, l.a, "10.0.1.100", "203.0.113.1:7"), "203.0.113.11")
		wantSeen(t, "TCP", seenTCP(t, l.a, "10.0.1.100", "198.51.100.1:7"), "203.0.113.11")
		ping(t, l.a, "10.0.1.100", "198.51.100.1")
	})

	t.Run("SNAT to a pool", func(t *testing.T) {
		share := map[netip.Addr]int{}
		for _, h := range poolHosts() {
			host := netip.MustParsePrefix(h).Addr().String()
			first := seenUDP(t, l.b, host, "203.0.113.1:7")
			if second := seenTCP(t, l.b, host, "198.51.100.1:7"); second != first {
				t.Errorf("%s is seen from %s, then from %s", host, first, second)
			}
			share[first]++
		}
		for _, a := range []string{"203.0.113.11", "203.0.113.14"} {
			if n := share[addr(a)]; n < len(poolHosts())/4 {
				t.Errorf("%s has %d of %d hosts", a, n, len(poolHosts()))
			}
		}
		if len(share) != 2 {
			t.Errorf("a pool of 2 was seen as %v", share)
		}
	})

	t.Run("DNAT of a port", func(t *testing.T) {
		// The source is kept: the host sees who it talks to.
		wantSeen(t, "TCP to port 80", seenTCP(t, l.internet, "203.0.113.1", "203.0.113.10:80"), "203.0.113.1")
		wantSeen(t, "UDP to port 53", seenUDP(t, l.internet, "198.51.100.1", "203.0.113.10:53"), "198.51.100.1")
	})

	t.Run("DNAT of an address", func(t *testing.T) {
		wantSeen(t, "TCP", seenTCP(t, l.internet, "203.0.113.1", "203.0.113.13:7"), "203.0.113.1")
		wantSeen(t, "UDP", seenUDP(t, l.internet, "203.0.113.1", "203.0.113.13:7"), "203.0.113.1")
		ping(t, l.internet, "198.51.100.1", "203.0.113.13")
	})

	t.Run("1:1 mapping wins over SNAT", func(t *testing.T) {
		wantSeen(t, "UDP", seenUDP(t, l.a, "10.0.1.20", "203.0.113.1:7"), "203.0.113.12")
		wantSeen(t, "TCP", seenTCP(t, l.a, "10.0.1.20", "198.51.100.1:7"), "203.0.113.12")
		wantSeen(t, "inbound", seenTCP(t, l.internet, "203.0.113.1", "203.0.113.12:7"), "203.0.113.1")
		ping(t, l.internet, "203.0.113.1", "203.0.113.12")
		ping(t, l.a, "10.0.1.20", "198.51.100.1")
	})

	t.Run("within the VPC nothing is translated", func(t *testing.T) {
		wantSeen(t, "TCP", seenTCP(t, l.a, "10.0.1.20", "10.0.2.30:7"), "10.0.1.20")
		wantSeen(t, "UDP", seenUDP(t, l.c, "10.0.3.40", "10.0.1.10:8080"), "10.0.3.40")
	})

	t.Run("hairpin", func(t *testing.T) {
		for _, h := range []struct {
			name, host, seen string
		}{
			{"mapped host", "10.0.1.20", "203.0.113.12"},
			{"host with SNAT, same VSwitch", "10.0.1.100", "203.0.113.11"},
			{"host itself", "10.0.1.10", "203.0.113.11"},
		} {
			wantSeen(t, h.name+" by TCP", seenTCP(t, l.a, h.host, "203.0.113.10:80"), h.seen)
			wantSeen(t, h.name+" by UDP", seenUDP(t, l.a, h.host, "203.0.113.10:53"), h.seen)
			wantSeen(t, h.name+" to a whole address", seenTCP(t, l.a, h.host, "203.0.113.13:7"), h.seen)
		}
		if got := seenTCP(t, l.b, "10.0.2.100", "203.0.113.12:7"); got != seenUDP(t, l.b, "10.0.2.100", "203.0.113.1:7") {
			t.Errorf("a host with a pool is seen from %s inside, from another address outside", got)
		}
		// Hosts without an external address of their own.
		wantSeen(t, "TCP to a port", seenTCP(t, l.c, "10.0.3.40", "203.0.113.10:80"), "203.0.113.10")
		wantSeen(t, "UDP to a mapping", seenUDP(t, l.c, "10.0.3.40", "203.0.113.12:7"), "203.0.113.12")
		ping(t, l.c, "10.0.3.40", "203.0.113.13")
	})

	t.Run("ICMP errors", func(t *testing.T) {
		for _, e := range []struct {
			name string
			conn *net.UDPConn
		}{
			{"to a host behind SNAT", dialUDP(t, l.a, "10.0.1.100", "203.0.113.1:9")},
			{"to a host behind a pool", dialUDP(t, l.b, "10.0.2.101", "198.51.100.1:9")},
			{"from a host behind DNAT", dialUDP(t, l.internet, "203.0.113.1", "203.0.113.10:99")},
			{"from a mapped host", dialUDP(t, l.internet, "198.51.100.1", "203.0.113.12:9")},
			{"through a hairpin", dialUDP(t, l.c, "10.0.3.40", "203.0.113.10:99")},
		} {
			// Only an error whose outer and inner headers are both translated
			// finds the socket.
			if _, err := ask(e.conn); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("%s: %v, not connection refused", e.name, err)
			}
		}
		c := dialUDP(t, l.internet, "203.0.113.1", "203.0.113.10:53")
		must(t, ipv4.NewConn(c).SetTTL(1))
		_, err := c.Write([]byte("?"))
		must(t, err)
		l.wire.waitFor(t, func(p packet) bool { return p.icmpType == 11 && p.src == addr("203.0.113.10") })
	})

	t.Run("gateway answers pings from inside", func(t *testing.T) {
		ping(t, l.a, "10.0.1.100", "10.0.1.1")
		ping(t, l.a, "10.0.1.20", "10.0.2.1")
	})

	t.Run("silence where no entry matches", func(t *testing.T) {
		for name, poke := range map[string]func(){
			"TCP to an elastic IP":           func() { l.startTCP(t, "203.0.113.14:80") },
			"TCP to another port":            func() { l.startTCP(t, "203.0.113.10:81") },
			"UDP":                            func() { must(t, write(dialUDP(t, l.internet, "", "203.0.113.14:9"))) },
			"ping":                           func() { sendICMP(t, l.internet, "", "203.0.113.14", ipv4.ICMPTypeEcho) },
			"ping from inside":               func() { sendICMP(t, l.a, "10.0.1.100", "203.0.113.14", ipv4.ICMPTypeEcho) },
			"UDP to the gateway from inside": func() { must(t, write(dialUDP(t, l.a, "10.0.1.100", "10.0.1.1:9"))) },
		} {
			t.Run(name, func(t *testing.T) {
				before := l.count(t, CounterUnmatched)
				poke()
				l.countsAbove(t, CounterUnmatched, before)
			})
		}
		l.fence(t)
		silent := []netip.Addr{addr("203.0.113.14"), addr("203.0.113.10")}
		if l.wire.has(func(p packet) bool {
			return slices.Contains(silent, p.src) && p.icmpType == 3 && p.dst != addr("203.0.113.1") ||
				p.protocol == unix.IPPROTO_TCP && (p.src == silent[0] && p.srcPort == 80 || p.src == silent[1] && p.srcPort == 81) ||
				p.src == silent[0] && p.icmpType == 0 && p.protocol == unix.IPPROTO_ICMP
		}) {
			t.Error("the gateway answered")
		}
	})

	t.Run("drops", func(t *testing.T) {
		h := handle(t, l.internet)
		must(t, h.RouteAdd(routeOf(t, "10.0.0.0/16", "203.0.113.10", 0)))
		must(t, h.RouteAdd(routeOf(t, "192.0.2.0/24", "203.0.113.10", 0)))
		spoof := handle(t, l.a)
		link, err := spoof.LinkByName("eth0")
		must(t, err)
		must(t, spoof.AddrAdd(link, linkAddr(t, "203.0.113.19/32")))
		for name, poke := range map[string]func(){
			CounterUnsolicited:   func() { must(t, write(dialUDP(t, l.internet, "", "10.0.1.10:8080"))) },
			CounterTransit:       func() { must(t, write(dialUDP(t, l.internet, "", "192.0.2.1:7"))) },
			CounterPrivateSource: func() { must(t, write(dialUDP(t, l.c, "10.0.3.40", "203.0.113.1:7"))) },
			CounterSpoofed:       func() { must(t, write(dialUDP(t, l.a, "203.0.113.19", "203.0.113.1:7"))) },
			CounterInvalid:       func() { sendICMP(t, l.a, "10.0.1.100", "203.0.113.1", ipv4.ICMPTypeEchoReply) },
		} {
			t.Run(name, func(t *testing.T) {
				before := l.count(t, name)
				poke()
				l.countsAbove(t, name, before)
			})
		}
		before := l.count(t, CounterInvalid)
		sendICMP(t, l.internet, "", "10.0.1.10", ipv4.ICMPTypeEchoReply)
		l.countsAbove(t, CounterInvalid, before)
		l.fence(t)
	})

	t.Run("replies leave by the way they came", func(t *testing.T) {
		must(t, handle(t, l.gateway).RouteDel(routeOf(t, "", "203.0.113.1", unix.RT_TABLE_MAIN)))
		wantSeen(t, "DNAT without a default route", seenTCP(t, l.internet, "198.51.100.1", "203.0.113.10:80"), "198.51.100.1")
		wantSeen(t, "mapping without a default route", seenTCP(t, l.a, "10.0.1.20", "198.51.100.1:7"), "203.0.113.12")
		wantSeen(t, "mapped host to a VSwitch", seenTCP(t, l.a, "10.0.1.20", "10.0.2.30:7"), "10.0.1.20")
		route(t, l.gateway, "", "203.0.113.1", 0)
	})
}

// Open connections go on when their entries are gone, by conntrack, whatever
// happens to the table in between.
func TestOpenConnectionOutlivesItsEntry(t *testing.T) {
	l := newLab(t)
	serveUDP(t, l.internet, "203.0.113.1:7")
	c := dialUDP(t, l.a, "10.0.1.100", "203.0.113.1:7")
	got, err := ask(c)
	must(t, err)
	wantSeen(t, "the open connection", got, "203.0.113.11")
	n := labNetwork()
	n.SNAT = nil
	without := mustCompile(t, n)
	mustApply(t, l.table, l.current, without)
	mustApply(t, l.table, &Ruleset{}, without) // the whole table anew
	got, err = ask(c)
	must(t, err)
	wantSeen(t, "the connection without its entry", got, "203.0.113.11")
	before := l.count(t, CounterPrivateSource)
	must(t, write(dialUDP(t, l.a, "10.0.1.100", "203.0.113.1:7")))
	l.countsAbove(t, CounterPrivateSource, before)
}

// flows starts one flow after the other from a host, each with one packet that
// is not sent again, until stop is called, which returns the number of flows
// and how many of them had no answer.
func (l *lab) flows(t *testing.T, patience time.Duration) (stop func() (all, lost int)) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var all, lost int
	go func() {
		done <- runLocked(l.a, func() error {
			for ctx.Err() == nil {
				c, err := net.DialUDP("udp4", &net.UDPAddr{IP: addr("10.0.1.100").AsSlice()}, &net.UDPAddr{IP: addr("203.0.113.1").AsSlice(), Port: 7})
				if err != nil {
					return err
				}
				seen, err := askOnce(c, patience)
				c.Close()
				all++
				switch {
				case errors.Is(err, os.ErrDeadlineExceeded):
					lost++
				case err != nil:
					return err
				case !l.elastic[seen]:
					return errors.New("a flow is seen from " + seen.String())
				}
			}
			return nil
		})
	}()
	return func() (int, int) {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if all == 0 {
			t.Error("no flow was started")
		}
		return all, lost
	}
}

// Flows start while entries change, move between maps, and chains are built
// anew: every packet is translated and none is lost.
func TestSwapUnderLoad(t *testing.T) {
	pools := [][]netip.Addr{
		addrs("203.0.113.11"),
		addrs("203.0.113.10", "203.0.113.11"),
		addrs("203.0.113.10", "203.0.113.11", "203.0.113.14"),
		addrs("203.0.113.14"),
	}
	var states []*Ruleset
	for i, pool := range pools {
		n := labNetwork()
		n.SNAT[0].Pool = pool
		n.DNAT = sorted.Of(n.DNAT.Slice()[i:]...)
		states = append(states, mustCompile(t, n))
	}
	l := newLab(t)
	serveUDP(t, l.internet, "203.0.113.1:7")
	stop := l.flows(t, deadline)
	have := l.current
	changes := 400
	if testing.Short() {
		changes = 100
	}
	for i := range changes {
		want := states[(i*7+i/5)%len(states)]
		from := have
		if i%10 == 0 {
			tamper(t, l.gateway, func(c *nftables.Conn, table *nftables.Table) {
				c.AddChain(&nftables.Chain{Table: table, Name: "foreign"})
			})
			from = mustRead(t, l.table)
			if from.salvage == nil {
				t.Fatalf("a foreign chain reads as %s", from)
			}
		}
		if _, err := l.table.Apply(t.Context(), from, want); err != nil {
			t.Fatal(err)
		}
		have = want
	}
	all, lost := stop()
	if got := l.count(t, CounterPrivateSource); lost != 0 || got != 0 {
		t.Errorf("%d of %d flows were lost, %d packets came to the uplink untranslated", lost, all, got)
	}
	mustHold(t, l.table, have)
	t.Logf("%d flows during %d changes", all, changes)
}

// Even when the whole table goes and comes in one batch, nothing leaves
// untranslated (newLab checks the wire at the end). A packet under way at that
// moment may be dropped: the elements of the old sets are gone for the old
// rules.
func TestRebuildUnderLoad(t *testing.T) {
	l := newLab(t)
	serveUDP(t, l.internet, "203.0.113.1:7")
	stop := l.flows(t, 50*time.Millisecond)
	for range 100 {
		if _, err := l.table.Apply(t.Context(), &Ruleset{}, l.current); err != nil {
			t.Fatal(err)
		}
	}
	all, lost := stop()
	l.fence(t)
	wantSeen(t, "a flow after it all", seenUDP(t, l.a, "10.0.1.100", "203.0.113.1:7"), "203.0.113.11")
	t.Logf("%d of %d flows lost during 100 rebuilds", lost, all)
}

func askOnce(c *net.UDPConn, patience time.Duration) (netip.Addr, error) {
	if err := write(c); err != nil {
		return netip.Addr{}, err
	}
	c.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 64)
	n, err := c.Read(buf)
	if err != nil {
		return netip.Addr{}, err
	}
	from, err := netip.ParseAddrPort(string(buf[:n]))
	return from.Addr(), err
}

func write(c *net.UDPConn) error {
	_, err := c.Write([]byte("?"))
	return err
}

// startTCP sends a SYN from the internet, without waiting for the connection.
func (l *lab) startTCP(t testing.TB, remote string) {
	t.Helper()
	host, port, err := net.SplitHostPort(remote)
	must(t, err)
	p, err := strconv.Atoi(port)
	must(t, err)
	inNamespace(t, l.internet, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: addr(host).As4(), Port: p}); !errors.Is(err, unix.EINPROGRESS) {
			return err
		}
		return nil
	})
}
