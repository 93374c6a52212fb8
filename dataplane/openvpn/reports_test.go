package openvpn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/internal/openvpntest"
	"sluice/dataplane/netns"
)

// Situations of which those who run OpenVPN servers in clouds, and their clients, report.

// streamPort is that of an echo at the gateway, inside.
const streamPort = 9

// behindPath returns a namespace that reaches the gateway through two routers, between which
// packets have mtu bytes at most, and whose ICMP errors are lost if silent.
func (l *lab) behindPath(mtu int, silent bool) *netns.Namespace {
	l.t.Helper()
	far, near, ns := l.home(), nstest.New(l.t), nstest.New(l.t)
	via := fmt.Sprintf("198.51.100.%d", 4*l.clients+2) // of far
	l.clients++
	address := func(n int) string { return fmt.Sprintf("198.51.100.%d", 4*l.clients+n) }
	nstest.Veth(l.t, far, "in0", near, "out0")
	nstest.Address(l.t, far, "in0", "198.18.0.1/30")
	nstest.Address(l.t, near, "out0", "198.18.0.2/30")
	nstest.Veth(l.t, near, "in0", ns, "eth0")
	nstest.Address(l.t, near, "in0", address(1)+"/30")
	nstest.Address(l.t, ns, "eth0", address(2)+"/30")
	nstest.Default(l.t, ns, address(1))
	nstest.Default(l.t, near, "198.18.0.1")
	nstest.Up(l.t, ns, "lo")
	nstest.Command(l.t, far, "ip", "route", "add", address(0)+"/30", "via", "198.18.0.2")
	nstest.Command(l.t, l.gw, "ip", "route", "add", address(0)+"/30", "via", via)
	for router, link := range map[*netns.Namespace]string{far: "in0", near: "out0"} {
		nstest.Command(l.t, router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
		nstest.Command(l.t, router, "ip", "link", "set", link, "mtu", fmt.Sprint(mtu))
		if silent {
			nstest.Command(l.t, router, "nft", "add table ip lost; add chain ip lost out { type filter hook output priority 0; }; add rule ip lost out icmp type destination-unreachable drop")
		}
	}
	return ns
}

// Paths take less than 1500 bytes: of DSL, mobile networks, other tunnels. What the server
// sends comes through also where nobody tells it so, and so does what clients send that let it
// be cut, or whose file has them send less.
func TestPathMTU(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	nstest.Echo(t, l.gw, streamPort)
	var pairs []openvpntest.Pair
	for i := range 6 {
		pairs = append(pairs, l.authority.Client(fmt.Sprintf("vsc-%d", i+1)))
	}
	l.apply(pairs...)
	to := fmt.Sprintf("%s:%d", inside.Addr().Next(), streamPort)
	for i, c := range []struct {
		name   string
		mtu    int
		silent bool
		lines  []string
	}{
		{"1452", 1452, false, nil},
		{"1280", 1280, false, nil},
		{"1452, silent, cut", 1452, true, []string{"mtu-disc no"}},
		{"1280, silent, cut", 1280, true, []string{"mtu-disc no"}},
		{"1400, silent, less", 1400, true, []string{"mssfix 1360"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := l.behindPath(c.mtu, c.silent)
			l.connect(ns, pairs[i], c.lines...)
			nstest.Stream(t, ns, to, 1<<20)
		})
	}
	t.Run("1400, silent, down", func(t *testing.T) {
		// As the client is: what it gets comes, whatever becomes of what it sends.
		ns := l.behindPath(1400, true)
		l.connect(ns, pairs[5])
		if err := l.gw.Do(func() error {
			listener, err := net.Listen("tcp4", inside.Addr().Next().String()+":8")
			if err != nil {
				return err
			}
			t.Cleanup(func() { listener.Close() })
			go func() {
				for {
					c, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = c.Write(make([]byte, 1<<20))
					c.Close()
				}
			}()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		c := nstest.MustDial(t, ns, "tcp4", inside.Addr().Next().String()+":8")
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); err != nil || len(b) != 1<<20 {
			t.Errorf("of a megabyte come %d bytes: %v", len(b), err)
		}
	})
}

// Two devices with one file take over from each other without end. Nobody else notices.
func TestOneFileForTwo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	l := newLab(t)
	one, other := l.authority.Client("vsc-1"), l.authority.Client("vsc-2")
	l.apply(one, other)
	third := l.home()
	l.connect(third, other)
	c := nstest.MustDial(t, third, "tcp4", fmt.Sprintf("%s:%d", inside.Addr().Next(), echo))
	for range 2 {
		openvpntest.Connect(t, l.home(), l.config(one))
	}
	l.until(func() error {
		if _, err := nstest.AskWithin(c, nstest.Deadline); err != nil {
			t.Fatalf("of another one: %v", err)
		}
		if n := strings.Count(l.ended(), "taken over by another login"); n < 4 {
			return fmt.Errorf("%d takeovers", n)
		}
		return nil
	})
	if s := l.status(); s.Starts != 1 || len(s.Clients) > 2 || s.Refused > 0 {
		t.Errorf("status is %+v", s)
	}
}

// A client that was killed comes back from the same port, and has the same address. OpenVPN
// goes on with the session of before, and gives it what it needs only half a minute after it
// has done so the last time.
func TestSamePortAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	t.Parallel()
	l := newLab(t)
	one := l.authority.Client("vsc-1")
	l.apply(one)
	ns := l.home()
	conf := l.config(one)
	file := filepath.Join(t.TempDir(), "client.ovpn")
	if err := os.WriteFile(file, []byte(strings.Replace(conf.String(), "nobind", "lport 5000", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	first := openvpntest.Run(t, ns, file)
	l.through(ns)
	l.eventually(connected("vsc-1"))
	before := l.status().Clients[0]
	first.Kill()
	openvpntest.Run(t, ns, file)
	l.through(ns)
	l.eventually(connected("vsc-1"))
	if now := l.status().Clients[0]; now.Address != before.Address || now.Remote != before.Remote {
		t.Errorf("the client was %+v, is %+v", before, now)
	}
}

// On a line that loses a tenth of all packets both ways keys are negotiated, anew, too, and the
// session goes on, unless OpenVPN itself has begun it anew: its two ends may be of two minds
// about the key for as long as a silence that ends a session.
func TestLossyLine(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	t.Parallel()
	l := newLab(t)
	one := l.authority.Client("vsc-1")
	l.apply(one)
	ns := l.home()
	nstest.Command(t, ns, "nft", `add table ip lossy; add chain ip lossy in { type filter hook prerouting priority -400; }; add chain ip lossy out { type filter hook postrouting priority 400; };
		add rule ip lossy in iifname "eth0" numgen random mod 10 0 drop; add rule ip lossy out oifname "eth0" numgen random mod 10 0 drop`)
	k := l.connect(ns, one, "reneg-sec 5")
	l.eventually(connected("vsc-1"))
	before := l.status().Clients[0]
	l.until(func() error {
		_ = l.ask(ns) // so that there is traffic
		if n := strings.Count(k.Log(), "Control Channel: TLSv1"); n < 4 {
			return fmt.Errorf("%d negotiations", n)
		}
		return nil
	})
	l.eventually(connected("vsc-1"))
	now, anew := l.status().Clients, strings.Contains(k.Log(), "SIGUSR1")
	if len(now) != 1 || now[0].Address != before.Address || !anew && !now[0].Since.Equal(before.Since) {
		t.Errorf("the session was %+v, is %+v", before, now)
	}
}

// A client's machine sends by the tunnel what is not from its address there, and to groups:
// nothing of it passes, nor fills the log.
func TestForeignSources(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one := l.authority.Client("vsc-1")
	l.apply(one)
	ns := l.home()
	l.connect(ns, one)
	nstest.Address(t, ns, "lo", "192.168.5.5/32")
	nstest.Command(t, ns, "ip", "route", "add", "224.0.0.0/24", "dev", "tun0")
	const each = 20_000
	if err := ns.Do(func() error {
		for _, to := range []netip.AddrPort{netip.AddrPortFrom(inside.Addr().Next(), 5), netip.MustParseAddrPort("224.0.0.251:5353")} {
			d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(192, 168, 5, 5)}}
			c, err := d.DialContext(context.Background(), "udp4", to.String())
			if err != nil {
				return err
			}
			for range each {
				_, _ = c.Write([]byte("?"))
			}
			c.Close()
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	nstest.Eventually(t, func() error { return l.ask(ns) })
	lines, err := l.m.Log(vpc, l.server.ID, time.Unix(0, 0), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(lines); n > 1000 {
		t.Errorf("of %d packets the log has %d lines, at last %v", 2*each, n, lines[n-1])
	}
}

// Web browsers, scanners and those who only open connections find the port of a server by
// TCP. Clients get in, and the log is not theirs alone.
func TestNotOpenVPN(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.server.Protocol = unix.IPPROTO_TCP
	one := l.authority.Client("vsc-1")
	l.apply(one)
	stranger := l.home()
	at := netip.AddrPortFrom(address, l.server.Port).String()
	for i := range 300 {
		c := nstest.MustDial(t, stranger, "tcp4", at)
		text := []string{"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x00\x0e\x38\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x00\x00\x00"}[i%3]
		if _, err := io.WriteString(c, text); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
			t.Fatal(err)
		}
		c.Close()
	}
	for range 100 {
		nstest.MustDial(t, stranger, "tcp4", at) // and says nothing
	}
	l.connect(l.home(), one)
	l.eventually(connected("vsc-1"))
	if s := l.status(); s.Refused > 0 || s.Starts != 1 || !s.Running {
		t.Errorf("status is %+v", s)
	}
	lines, err := l.m.Log(vpc, l.server.ID, time.Unix(0, 0), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(lines); n > 10*400 {
		t.Errorf("of 400 connections the log has %d lines", n)
	}
}
