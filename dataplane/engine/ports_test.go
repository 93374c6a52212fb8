package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/session"
)

// crowd is a network whose hosts send frames from any address and port to one
// destination, which answers nothing.
type crowd struct {
	*site
	e       *Engine
	n       *dataplane.Network
	ns      *netns.Namespace
	client  *netns.Namespace
	inside  *wire
	outside *wire
	c       *conntrack.Conn
}

func newCrowd(t *testing.T, change func(*dataplane.Network)) *crowd {
	return newCrowdWith(t, session.Options{}, change)
}

func newCrowdWith(t *testing.T, o session.Options, change func(*dataplane.Network)) *crowd {
	s := newSite(t)
	c := &crowd{site: s, n: s.network(t), e: s.engineWith(t, o)}
	c.n.Shortcut = true
	change(c.n)
	mustApply(t, c.e, c.n)
	space := dataplane.Namespace(c.n.ID)
	c.client, c.ns = nstest.Host(t, space, "vsw-a", "10.0.1.6/24", "10.0.1.253"), inNetwork(t, c.n.ID)
	nstest.Ping(t, c.client, "10.0.1.253", 1)
	nstest.Ping(t, c.client, "203.0.113.1", 1)
	public := nstest.Link(t, s.public, "pub0").Attrs().HardwareAddr
	for _, peer := range []string{"203.0.113.1", "203.0.113.100"} {
		neighbour(t, c.ns, dataplane.UplinkName, netip.MustParseAddr(peer), public)
	}
	neighbour(t, c.ns, "vsw-a", netip.MustParseAddr("10.0.1.6"), nstest.Link(t, c.client, "eth0").Attrs().HardwareAddr)
	c.inside = newWire(t, c.client, "eth0", nstest.Link(t, c.ns, "vsw-a").Attrs().HardwareAddr)
	c.outside = newWire(t, s.public, "pub0", nstest.Link(t, c.ns, dataplane.UplinkName).Attrs().HardwareAddr)
	// Whoever hears of connections that it does not know keeps quiet.
	nstest.Command(t, s.public, "nft", "add table ip quiet; add chain ip quiet in { type filter hook input priority 0; policy drop; th dport 9000 accept; }")
	conn, err := conntrack.Dial(&netlink.Config{NetNS: int(c.ns.Handle())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c.c = conn
	return c
}

// The kernel hands out 511 ports to those who ask from a port below 512. Beyond
// them each connection fails, is counted where it belongs, by host and elastic IP,
// takes no place, and passes for none that was opened; who has a port keeps it.
func TestPortsExhausted(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	const ports, hosts = 511, 3
	for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		for _, addresses := range []int{1, 2} {
			t.Run(fmt.Sprintf("protocol %d, %d addresses", protocol, addresses), func(t *testing.T) {
				c := newCrowd(t, func(n *dataplane.Network) { n.SNAT[0].Pool = n.Elastic[:addresses] })
				flush(t, c.ns)
				_, before := open(traffic(t, c.e, c.n.ID), dataplane.SessionSNAT)
				destination := netip.MustParseAddrPort("203.0.113.100:443")
				const sent = hosts * ports
				for port := 1; port <= ports; port++ {
					for host := range hosts {
						from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(20 + host)}), uint16(port))
						c.inside.send(t, protocol, from, destination, flagSYN)
					}
				}
				var got *dataplane.Traffic
				nstest.Eventually(t, func() error {
					got = traffic(t, c.e, c.n.ID)
					now, all := open(got, dataplane.SessionSNAT)
					snat, _ := truth(t, c.c)
					lost := refused(got, dataplane.RefusedPorts)
					if now != snat || all-before != snat || lost != sent-snat {
						return fmt.Errorf("%d open, %d opened, %d refused; conntrack has %d of %d", now, all-before, lost, snat, sent)
					}
					return nil
				})
				now, _ := open(got, dataplane.SessionSNAT)
				if now > uint64(addresses*ports) || now < ports/2 {
					t.Errorf("%d connections are open through %d addresses of %d ports", now, addresses, ports)
				}
				var sum uint64
				for _, p := range got.NoPort {
					if p.Protocol != protocol || p.Private.As4()[3] < 20 || p.Private.As4()[3] >= 20+hosts || p.External != c.n.Elastic[0] && p.External != c.n.Elastic[1] {
						t.Errorf("counted for %+v", p)
					}
					sum += p.Count
				}
				if sum != refused(got, dataplane.RefusedPorts) {
					t.Errorf("%d by host, %d in all", sum, refused(got, dataplane.RefusedPorts))
				}
				nstest.Eventually(t, func() error {
					for _, p := range got.NoPort {
						if !strings.Contains(c.log.String(), "elastic_ip="+p.External.String()) {
							return fmt.Errorf("the log does not say that %s has no port", p.External)
						}
					}
					return nil
				})
				if n := strings.Count(c.log.String(), "find no port"); n > addresses {
					t.Errorf("it is said %d times", n)
				}
			})
		}
	}
}

// Of ICMP the kernel hands out every identifier; the one after the last fails.
func TestIdentifiersExhausted(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	const identifiers, more = 65536, 50
	c := newCrowd(t, func(*dataplane.Network) {})
	// Else conntrack's table ends before the identifiers do: SNAT entries have three quarters of it.
	if most := conntrackMax(t); most != 0 && most < 2*identifiers {
		t.Skipf("needs net.netfilter.nf_conntrack_max of %d, for all identifiers at once; it is %d", 2*identifiers, most)
	}
	destination := netip.MustParseAddrPort("203.0.113.100:0")
	for i := range identifiers {
		c.inside.send(t, unix.IPPROTO_ICMP, netip.AddrPortFrom(netip.MustParseAddr("10.0.1.20"), uint16(i)), destination, 0)
	}
	for i := range more {
		c.inside.send(t, unix.IPPROTO_ICMP, netip.AddrPortFrom(netip.MustParseAddr("10.0.1.21"), uint16(i)), destination, 0)
	}
	nstest.Eventually(t, func() error {
		got := traffic(t, c.e, c.n.ID)
		snat, _ := truth(t, c.c)
		now, _ := open(got, dataplane.SessionSNAT)
		var lost uint64
		for _, p := range got.NoPort {
			if p.Private == netip.MustParseAddr("10.0.1.21") && p.Protocol == unix.IPPROTO_ICMP {
				lost = p.Count
			}
		}
		if now != snat || lost != more {
			return fmt.Errorf("%d open, %d refused to the host that came late; conntrack has %d", now, lost, snat)
		}
		return nil
	})
}

// conntrackMax returns how many connections the kernel allows a namespace; 0 for any.
func conntrackMax(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max")
	if err != nil {
		t.Fatal(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return most
}

// A host whose connection finds no port is told so where the network answers,
// and not where it does not.
func TestExhaustionIsAnswered(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	for _, refusal := range []dataplane.Refusal{dataplane.RefuseReject, dataplane.RefuseDrop} {
		for _, network := range []string{"tcp4", "udp4"} {
			t.Run(fmt.Sprintf("%s, %s", refusal, network), func(t *testing.T) {
				c := newCrowd(t, func(n *dataplane.Network) { n.Refusal = refusal })
				protocol := uint8(unix.IPPROTO_UDP)
				if network == "tcp4" {
					protocol = unix.IPPROTO_TCP
				}
				for round := range 4 { // until the last port is found
					for port := 1; port <= 511; port++ {
						from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(20 + round)}), uint16(port))
						c.inside.send(t, protocol, from, netip.MustParseAddrPort("203.0.113.100:443"), flagSYN)
					}
				}
				ask := func() error {
					return c.client.Do(func() error {
						d := net.Dialer{Timeout: time.Second, FallbackDelay: -1, LocalAddr: &net.TCPAddr{Port: 77}}
						if network == "udp4" {
							d.LocalAddr = &net.UDPAddr{Port: 77}
						}
						conn, err := d.Dial(network, "203.0.113.100:443")
						if err != nil {
							return err
						}
						defer conn.Close()
						_, err = nstest.Ask(conn)
						return err
					})
				}
				if refusal == dataplane.RefuseDrop {
					if err, timeout := ask(), net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
						t.Errorf("the host sees: %v; want no answer", err)
					}
					return
				}
				// Those before used up what may be answered in a moment.
				nstest.Eventually(t, func() error {
					if err := ask(); !errors.Is(err, unix.EHOSTUNREACH) {
						return fmt.Errorf("the host sees: %w", err)
					}
					return nil
				})
				found := false
				for _, p := range traffic(t, c.e, c.n.ID).NoPort {
					found = found || p.Private == netip.MustParseAddr("10.0.1.6")
				}
				if !found {
					t.Errorf("it is not counted: %+v", traffic(t, c.e, c.n.ID).NoPort)
				}
			})
		}
	}
}
