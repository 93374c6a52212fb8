package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// The narrow part of a path: its MTU, and the router before it, which is no
// machine here but an address that its errors come from.
const pathMTU = 1300

var narrowRouter = netip.MustParseAddr("203.0.113.66")

// narrow lets no packet of more than pathMTU bytes out of the network, and
// answers those that must not be fragmented by errors that quote as little as RFC
// 792 allows: the header and 8 bytes.
func (p *populated) narrow(t *testing.T) {
	t.Helper()
	// What stands for several packets is cut before it is measured.
	for _, feature := range []nstest.Offload{nstest.TSO, nstest.GSO} {
		nstest.Switch(t, inNetwork(t, p.n.ID), dataplane.UplinkName, feature, false)
	}
	// The bridge leaves it to what comes behind it, which listens first.
	if err := p.public.Set(netns.Sysctl{Path: "bridge/bridge-nf-call-iptables", Value: "0", Optional: true}); err != nil {
		t.Fatal(err)
	}
	nstest.Command(t, p.public, "nft", fmt.Sprintf("table ip narrow { chain in { type filter hook prerouting priority -300; ip length > %d drop; }; }", pathMTU))
	var heard *packet.Conn
	says := -1
	err := p.public.Do(func() (err error) {
		bridge, err := p.public.Netlink().LinkByName("pub0")
		if err != nil {
			return err
		}
		if heard, err = packet.Listen(&net.Interface{Index: bridge.Attrs().Index}, packet.Datagram, unix.ETH_P_IP, nil); err != nil {
			return err
		}
		says, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { heard.Close(); <-done; unix.Close(says) })
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			n, _, err := heard.ReadFrom(b)
			if err != nil {
				return
			}
			const dontFragment = 0x40
			if n > pathMTU && b[0] == 0x45 && b[6]&dontFragment != 0 {
				told := netip.AddrFrom4([4]byte(b[12:16]))
				_ = unix.Sendto(says, tooBig(told, b[:28]), 0, &unix.SockaddrInet4{Addr: told.As4()})
			}
		}
	}()
}

// tooBig is the packet that a router answers with (RFC 1191, section 4).
func tooBig(to netip.Addr, quoted []byte) []byte {
	b := make([]byte, 20+8, 20+8+len(quoted))
	b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_ICMP // the kernel fills in the rest
	copy(b[12:], narrowRouter.AsSlice())
	copy(b[16:], to.AsSlice())
	b[20], b[21] = 3, 4
	binary.BigEndian.PutUint16(b[26:], pathMTU)
	b = append(b, quoted...)
	binary.BigEndian.PutUint16(b[22:], ^checksum(0, b[20:]))
	return b
}

// A host learns the MTU of the path from a router's error, which quotes no more
// than 8 bytes of what it sent, whether its flow has just begun or takes the
// shortcut.
func TestNarrowNextHop(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		p := newPopulated(t, on)
		p.narrow(t)
		for _, w := range []struct {
			name    string
			from    *netns.Namespace
			network string
			to      string
			inside  *netns.Namespace // the host that has to learn
		}{
			{"SNAT entry", p.client, "udp4", outsideEcho, p.client},
			{"SNAT entry", p.client, "tcp4", outsideEcho, p.client},
			{"elastic IP", p.mapped, "udp4", outsideEcho, p.mapped},
			{"elastic IP", p.mapped, "tcp4", outsideEcho, p.mapped},
			{"elastic IP, from outside", p.public, "udp4", mappedEcho, p.mapped},
			{"elastic IP, from outside", p.public, "tcp4", mappedEcho, p.mapped},
			{"DNAT entry", p.public, "udp4", serverUDP, p.server},
			{"DNAT entry", p.public, "tcp4", serverStream, p.server},
		} {
			for _, old := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/old=%v", w.name, w.network, old), func(t *testing.T) {
					nstest.Command(t, w.inside, "ip", "route", "flush", "cache")
					var c net.Conn
					if old {
						c = p.flow(t, w.from, w.network, w.to)
					} else {
						c = nstest.MustDial(t, w.from, w.network, w.to)
					}
					if w.network == "tcp4" {
						whole(t, c, 30_000)
					} else {
						nstest.Eventually(t, func() error { return say(c, make([]byte, 1400)) })
					}
					knows := nstest.Command(t, w.inside, "ip", "route", "get", outsideAt)
					if !strings.Contains(knows, fmt.Sprintf("mtu %d", pathMTU)) {
						t.Errorf("the host has not learned the path's MTU: %s", knows)
					}
				})
			}
		}
	})
}

// whole fails the test unless so many bytes come back from an Echo.
func whole(t *testing.T, c net.Conn, size int) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(3 * nstest.Deadline))
	want := bytes.Repeat([]byte("0123456789"), size/10)
	sent := make(chan error, 1)
	go func() { _, err := c.Write(want); sent <- err }()
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got)
	if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes: %v, or others came back", size, err)
	}
}
