package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// Fragments that are never completed, whoever sends them, don't keep others' from being
// put together.
func TestUnfinishedFragments(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		c := newCrowd(t, func(n *dataplane.Network) { n.Shortcut = on })
		nstest.Command(t, c.public, "nft", "delete table ip quiet")
		nstest.Echo(t, c.public, 9000)
		nstest.Datagrams(t, c.client, "203.0.113.1:9000", 4000)
		unfinished := func(from, to string, w *wire) {
			f := make([]byte, 14+20+1480)
			copy(f, w.to)
			copy(f[6:], w.from)
			f[12] = 8
			copy(f[14:], []byte{0x45, 0, 0x05, 0xdc, 0, 0, 0x20, 0, 64, unix.IPPROTO_UDP, 0, 0})
			copy(f[26:], netip.MustParseAddr(from).AsSlice())
			copy(f[30:], netip.MustParseAddr(to).AsSlice())
			copy(f[34:], []byte{0x10, 0, 0x23, 0x28, 0x10, 0, 0, 0})
			for id := range 5000 {
				binary.BigEndian.PutUint16(f[18:], uint16(20000+id))
				f[24], f[25] = 0, 0
				binary.BigEndian.PutUint16(f[24:], ^checksum(0, f[14:34]))
				w.put(t, f)
			}
		}
		for _, from := range []struct {
			name, address, to string
			w                 *wire
		}{{"a host", "10.0.1.66", "203.0.113.100", c.inside}, {"a stranger", "203.0.113.100", "203.0.113.11", c.outside}} {
			unfinished(from.address, from.to, from.w)
			nstest.Datagrams(t, c.client, "203.0.113.1:9000", 4000)
			if t.Failed() {
				t.Fatalf("beside %s", from.name)
			}
		}
	})
}

// However many senders a host makes up, its VSwitch remembers no more of them than it has
// addresses, and others go on.
func TestMadeUpSenders(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	s := newSite(t)
	e := s.engine(t)
	n := s.network(t)
	mustApply(t, e, n)
	ns := inNetwork(t, n.ID)
	var name unix.Utsname
	var major, minor int
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	if major < 6 || major == 6 && minor < 7 {
		t.Skip("this kernel's bridges have no bound (Linux 6.7)")
	}
	space := dataplane.Namespace(n.ID)
	attacker := nstest.Host(t, space, "vsw-a", "10.0.1.66/24", "10.0.1.253")
	honest := nstest.Host(t, space, "vsw-a", "10.0.1.7/24", "10.0.1.253")
	w := newWire(t, attacker, "eth0", nstest.Link(t, ns, "vsw-a").Attrs().HardwareAddr)
	// Of a flood some frames are lost: there are more until the bridge has enough.
	const most = 1 << 16
	next := 0
	flood := func() int {
		for range 10_000 {
			w.from = net.HardwareAddr{2, 0x66, 0, byte(next >> 16), byte(next >> 8), byte(next)}
			w.send(t, unix.IPPROTO_UDP, netip.MustParseAddrPort("10.0.1.66:1"), netip.MustParseAddrPort("10.0.1.253:1"), 0)
			next++
		}
		return strings.Count(nstest.Command(t, ns, "bridge", "fdb", "show", "br", "vsw-a"), "02:66:00:")
	}
	nstest.EventuallyWithin(t, time.Minute, func() error {
		if k := flood(); k < most-100 {
			return fmt.Errorf("%d senders are remembered", k)
		}
		return nil
	})
	if k := flood(); k > most {
		t.Errorf("%d senders are remembered, at most %d should be", k, most)
	}
	nstest.Ping(t, honest, "10.0.1.253", 1)
	nstest.Ping(t, nstest.Host(t, space, "vsw-a", "10.0.1.8/24", "10.0.1.253"), "10.0.1.253", 1)
}

// However many addresses a host claims, as however many senders, the log does not grow
// with them, and names those first that claim to be the gateway.
func TestManyClaims(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	n := s.network(t)
	n.PortSecurity = true
	for i := range byte(200) {
		n.Bindings = append(n.Bindings, dataplane.Binding{Address: netip.AddrFrom4([4]byte{10, 0, 1, 10 + i}), MAC: fmt.Sprintf("02:00:00:00:01:%02x", i)})
	}
	mustApply(t, e, n)
	attacker := nstest.Host(t, dataplane.Namespace(n.ID), "vsw-a", "10.0.1.253/24", "10.0.1.1")
	a := tap(t, attacker, "eth0")
	nstest.Eventually(t, func() error { // until the port passes frames
		a.send(t, arp(broadcast, a.mac, 1, a.mac, "10.0.1.10", "10.0.1.1"))
		e.Audit(t.Context(), n.ID, false)
		if e.Claims(n.ID)["address"] == 0 {
			return errors.New("no claim was counted")
		}
		return nil
	})
	const sent = 2000
	for i := range sent {
		made := net.HardwareAddr{2, 0x66, 0, 0, byte(i >> 8), byte(i)}
		a.send(t, arp(broadcast, made, 1, made, fmt.Sprintf("10.0.1.%d", 10+i%200), "10.0.1.1"))
	}
	a.send(t, arp(broadcast, a.mac, 1, a.mac, "10.0.1.253", "10.0.1.1"))
	s.log.Reset()
	nstest.Eventually(t, func() error {
		e.Audit(t.Context(), n.ID, false)
		counts := e.Claims(n.ID)
		if counts["gateway"] == 0 || counts["address"] < sent*9/10 {
			return fmt.Errorf("counted: %v", counts)
		}
		return nil
	})
	log := s.log.String()
	if lines := strings.Count(log, "\n"); lines > 50 {
		t.Errorf("%d lines", lines)
	}
	for _, want := range []string{`belongs_to="the gateway of vsw-a"`, "more hosts claim what is not their own"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
}
