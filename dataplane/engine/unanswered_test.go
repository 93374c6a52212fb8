package engine

import (
	"fmt"
	"io"
	"net"
	"net/netip"
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

// keptFor returns for how long conntrack keeps the UDP connection of an original
// direction from now on; 0 if it has none.
func keptFor(t *testing.T, c *conntrack.Conn, from, to netip.AddrPort) time.Duration {
	t.Helper()
	flows, err := c.Dump(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range flows {
		o := &flows[i].TupleOrig
		if o.Proto.Protocol == unix.IPPROTO_UDP && netip.AddrPortFrom(o.IP.SourceAddress, o.Proto.SourcePort) == from && netip.AddrPortFrom(o.IP.DestinationAddress, o.Proto.DestinationPort) == to {
			return time.Duration(flows[i].Timeout) * time.Second
		}
	}
	return 0
}

// UDP from outside that nobody answers is forgotten as soon as by a kernel that
// nobody has told otherwise, with the shortcut and without, however often it is
// repeated; once it is answered, and what hosts send, it is kept as a mapping.
func TestUnansweredFromOutside(t *testing.T) {
	t.Parallel()
	const kernels = 30 * time.Second // nf_conntrack_udp_timeout
	mapping := dataplane.DefaultTimeouts().UDP
	onAndOff(t, func(t *testing.T, on bool) {
		addr := netip.MustParseAddr
		p := newPopulatedWith(t, on, session.Options{}, func(n *dataplane.Network) {
			for port, host := range map[uint16]string{7000: "10.0.1.5", 7001: "10.0.1.99"} { // nobody is at the second
				n.DNAT = n.DNAT.With(dataplane.DNAT{External: addr("203.0.113.11"), Protocol: 17, ExternalPort: port, Internal: addr(host), InternalPort: 7000})
			}
		})
		c, err := conntrack.Dial(&netlink.Config{NetNS: int(inNetwork(t, p.n.ID).Handle())})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		silent := func(ns *netns.Namespace) (s net.PacketConn) {
			t.Helper()
			if err := ns.Do(func() (err error) { s, err = net.ListenPacket("udp4", ":7000"); return err }); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		}
		servers := map[string]net.PacketConn{"server": silent(p.server), "mapped": silent(p.mapped), "public": silent(p.public)}
		heard := func(who string) (from net.Addr) {
			t.Helper()
			b := make([]byte, 100)
			_ = servers[who].SetReadDeadline(time.Now().Add(nstest.Deadline))
			_, from, err := servers[who].ReadFrom(b)
			if err != nil {
				t.Fatal(err)
			}
			return from
		}
		for _, w := range []struct {
			name   string
			sender *netns.Namespace
			to     string
			hearer string // "" for none
			short  bool
		}{
			{"DNAT entry", p.public, "203.0.113.11:7000", "server", true},
			{"elastic IP", p.public, mappedAt + ":7000", "mapped", true},
			{"DNAT entry of a host that is not there", p.public, "203.0.113.11:7001", "", true},
			{"SNAT entry", p.client, outsideAt + ":7000", "public", false},
			{"elastic IP, from inside", p.mapped, outsideAt + ":7000", "public", false},
			{"hairpin", p.client, "203.0.113.11:7000", "server", false},
		} {
			conn := nstest.MustDial(t, w.sender, "udp4", w.to)
			from, to := netip.MustParseAddrPort(conn.LocalAddr().String()), netip.MustParseAddrPort(w.to)
			for i := range 3 {
				if _, err := io.WriteString(conn, "hello"); err != nil {
					t.Fatal(err)
				}
				var back net.Addr
				if w.hearer != "" {
					back = heard(w.hearer)
				} else {
					nstest.Eventually(t, func() error {
						if keptFor(t, c, from, to) == 0 {
							return fmt.Errorf("%s: conntrack has not seen it", w.name)
						}
						return nil
					})
					// What leaves by no link is found in the table.
					if err := compare(t, p.e, p.n.ID); err != nil {
						t.Fatal(err)
					}
				}
				switch kept := keptFor(t, c, from, to); {
				case kept == 0:
					t.Errorf("%s: after packet %d conntrack has no entry", w.name, i)
				case w.short && kept > kernels:
					t.Errorf("%s: nobody has answered packet %d; it is kept for %s more", w.name, i, kept)
				case !w.short && kept <= mapping-30*time.Second:
					t.Errorf("%s: after packet %d the mapping is kept for %s more only", w.name, i, kept)
				}
				if i < 2 || back == nil {
					continue
				}
				if _, err := servers[w.hearer].WriteTo([]byte("at last"), back); err != nil {
					t.Fatal(err)
				}
				_ = conn.SetReadDeadline(time.Now().Add(nstest.Deadline))
				if _, err := conn.Read(make([]byte, 100)); err != nil {
					t.Fatalf("%s: %v", w.name, err)
				}
				if kept := keptFor(t, c, from, to); kept <= mapping-30*time.Second {
					t.Errorf("%s: though it was answered it is kept for %s more only", w.name, kept)
				}
			}
		}
	})
}

// compare has a network's sessions compared with conntrack's table.
func compare(t *testing.T, e *Engine, id string) error {
	t.Helper()
	e.mu.Lock()
	n := e.networks[id]
	e.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sessions.Compare(t.Context())
}
