package openvpn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/internal/openvpntest"
)

// Those that may not log in are refused, counted by why, and one that may is none the
// worse for it.
func TestRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	good := l.authority.Client("vsc-1")
	expired, stranger := l.authority.Expired("vsc-2"), openvpntest.NewAuthority(t).Client("vsc-1")
	l.apply(good, expired, l.authority.Client("vsc-3"))
	ns := l.home()

	wrong := l.config(good, "hand-window 3")
	wrong.TLSCrypt = openvpntest.StaticKey(t)
	for reason, c := range map[string]openvpntest.Config{
		reasonKey:         wrong,
		reasonExpired:     l.config(expired, "hand-window 3"),
		reasonCertificate: l.config(stranger, "hand-window 3"),
		reasonUnknown:     l.config(l.authority.Client("vsc-9"), "hand-window 3"),
		reasonCipher:      l.config(good, "data-ciphers AES-256-CBC", "cipher AES-256-CBC"),
	} {
		k := openvpntest.Connect(t, ns, c)
		l.eventually(failures(reason, 1))
		k.Kill()
	}
	l.connect(ns, good)
	l.eventually(connected("vsc-1"))
}

// No more clients are connected than may be: one too many is refused and counted, until
// another one goes. Who comes back from elsewhere is none too many.
func TestLimit(t *testing.T) {
	t.Parallel()
	for _, protocol := range []uint8{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		if protocol == unix.IPPROTO_UDP && testing.Short() {
			continue // where it takes long until somebody is missed
		}
		l := newLab(t)
		l.server.Protocol, l.server.Clients = protocol, 2
		one, two, three := l.authority.Client("vsc-1"), l.authority.Client("vsc-2"), l.authority.Client("vsc-3")
		l.apply(one, two, three)
		ns := l.home()
		first := l.connect(ns, one)
		l.connect(l.home(), two)
		third := l.home()
		waiting := openvpntest.Connect(t, third, l.config(three))
		stays := func() { // OpenVPN 2.6.14 may end by an assertion (socket.c) where it is refused by TCP
			if waiting.Ended() {
				waiting = openvpntest.Connect(t, third, l.config(three))
			}
		}
		l.eventually(func(s *dataplane.SSLStatus) error {
			stays()
			if s.Refused < 2 { // it tries again
				return fmt.Errorf("refused are %d", s.Refused)
			}
			return connected("vsc-1", "vsc-2")(s)
		})
		if err := l.ask(ns); err != nil {
			t.Error(err)
		}
		unix.Kill(first.PID(), unix.SIGSTOP)
		elsewhere := l.home()
		first = l.connect(elsewhere, one)
		first.Kill()
		l.until(func() error {
			stays()
			return l.ask(third)
		})
		l.eventually(connected("vsc-2", "vsc-3"))
	}
}

// A second login with a certificate takes over from the first one, and the address with it.
func TestTakeover(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one := l.authority.Client("vsc-1")
	l.apply(one)
	first, second := l.home(), l.home()
	k := l.connect(first, one)
	l.eventually(connected("vsc-1"))
	before := l.status().Clients[0]
	unix.Kill(k.PID(), unix.SIGSTOP) // else it comes back, and takes over in its turn
	l.connect(second, one)
	l.eventually(func(s *dataplane.SSLStatus) error {
		if len(s.Clients) != 1 || s.Clients[0].Remote == before.Remote || s.Clients[0].Address != before.Address {
			return fmt.Errorf("before %+v, now %+v", before, s.Clients)
		}
		return nil
	})
	contains(t, l.ended(), `"remote":"`+before.Remote.String(), "taken over by another login")
	contains(t, l.log.String(), `reason="taken over by another login"`)
}

// A pool with fewer addresses than clients may connect is what bounds them.
func TestSmallPool(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.server.Pool = netip.MustParsePrefix("10.99.0.8/29")
	var all []openvpntest.Pair
	for i := range 6 {
		all = append(all, l.authority.Client(fmt.Sprintf("vsc-%d", i+1)))
	}
	l.apply(all...)
	if s := l.status(); s.Limit != 5 {
		t.Errorf("limit is %d", s.Limit)
	}
	for _, one := range all[:5] {
		l.connect(l.home(), one)
	}
	l.eventually(connected("vsc-1", "vsc-2", "vsc-3", "vsc-4", "vsc-5"))
	openvpntest.Connect(t, l.home(), l.config(all[5]))
	l.eventually(func(s *dataplane.SSLStatus) error {
		if s.Refused == 0 {
			return errors.New("the sixth is not refused")
		}
		return nil
	})
	l.eventually(connected("vsc-1", "vsc-2", "vsc-3", "vsc-4", "vsc-5"))
}

// What differs in the settings is put to work: some by a restart, after which clients are
// back, some without one.
func TestChange(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one := l.authority.Client("vsc-1")
	l.apply(one)
	ns := l.home()
	l.connect(ns, one)
	pid := l.pid()

	// What clients are led to: they come back to the same OpenVPN.
	more := netip.MustParsePrefix("172.16.7.0/24")
	l.server.Reach = append(l.server.Reach, more)
	l.apply(one)
	l.until(func() error {
		out, err := nstest.TryCommand(ns, "ip", "route", "show", more.String())
		if err == nil && !strings.Contains(out, "tun0") {
			err = fmt.Errorf("there is no route to %s: %q", more, out)
		}
		return err
	})
	l.through(ns)
	if l.pid() != pid {
		t.Error("OpenVPN was started anew for a route")
	}

	l.server.Clients = 20
	l.apply(one)
	if l.pid() == pid || l.status().Limit != 20 {
		t.Errorf("OpenVPN was not started anew for another number of clients: %+v", l.status())
	}
	contains(t, l.log.String(), `reason="settings: ifconfig-pool, max-clients"`)
	l.through(ns)

	l.server.Pool = netip.MustParsePrefix("10.98.0.0/24")
	l.apply(one)
	l.through(ns) // with an address of that pool
	out := nstest.Command(t, l.gw, "ip", "-4", "-o", "address", "show", "dev", l.server.Link())
	if strings.Contains(out, "10.99.") || !strings.Contains(out, "10.98.0.1/24") {
		t.Errorf("the TUN device has %s", out)
	}
}

// A server whose port is somebody else's says so, and runs when it is free. Another one
// is none the worse for it.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.authority.Put(&l.server)
	other := l.server
	other.ID, other.Port, other.Pool = "vss-2", 1195, netip.MustParsePrefix("10.97.0.0/24")
	openvpntest.Device(t, l.gw, &l.server)
	openvpntest.Device(t, l.gw, &other)
	var busy net.PacketConn
	if err := l.gw.Do(func() (err error) {
		busy, err = net.ListenPacket("udp4", netip.AddrPortFrom(address, l.server.Port).String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	want := []dataplane.VPNGateway{{ID: "vpn-1", Address: address, SSL: []dataplane.SSLServer{l.server, other}}}
	err := l.m.Apply(t.Context(), l.gw, vpc, want)
	if err == nil || !strings.Contains(err.Error(), "SSL-VPN server vss-1: OpenVPN: ") || !strings.Contains(err.Error(), "Address already in use") {
		t.Errorf("Apply says %v", err)
	}
	all := l.m.Status(vpc)
	if s := all["vss-1"]; s.Running || !strings.Contains(s.Error, "Address already in use") || strings.Contains(s.Error, "\n") {
		t.Errorf("status of the one is %+v", s)
	}
	if s := all["vss-2"]; !s.Running || s.Error != "" {
		t.Errorf("status of the other is %+v", s)
	}
	busy.Close()
	l.eventually(func(s *dataplane.SSLStatus) error {
		if !s.Running || s.Error != "" {
			return fmt.Errorf("status is %+v", s)
		}
		return nil
	})
}

// Without its TUN device a server says so, and runs when it is there; when it is made anew,
// so is OpenVPN.
func TestDevice(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	nstest.Veth(t, l.gw, l.server.Link(), nstest.New(t), "eth9")
	one := l.authority.Client("vsc-1")
	l.authority.Put(&l.server, one)
	fails := func(want string) {
		t.Helper()
		if err := l.m.Apply(t.Context(), l.gw, vpc, l.gateways()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Apply says %v, want %q", err, want)
		}
		if s := l.status(); s.Running || !strings.Contains(s.Error, want) {
			t.Errorf("status is %+v", s)
		}
	}
	fails("is no TUN device")
	nstest.Command(t, l.gw, "ip", "link", "delete", l.server.Link())
	fails("there is no TUN device")
	openvpntest.Device(t, l.gw, &l.server)
	ns := l.home()
	l.connect(ns, one)
	pid := l.pid()
	nstest.Command(t, l.gw, "ip", "link", "delete", l.server.Link())
	openvpntest.Device(t, l.gw, &l.server)
	l.apply(one)
	if l.pid() == pid {
		t.Error("OpenVPN was not started anew")
	}
	contains(t, l.log.String(), `reason="it has lost its TUN device"`)
	l.through(ns)
}

// Who has been let in while that was still so, but is through only afterwards, is thrown
// out when that is seen.
func TestLateLogin(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	late := l.authority.Client("vsc-2")
	l.apply(l.authority.Client("vsc-1"))
	s, err := l.m.server(vpc, l.server.ID)
	if err != nil {
		t.Fatal(err)
	}
	ns := l.home()
	func() {
		s.mu.Lock() // nobody looks
		defer s.mu.Unlock()
		if err := os.WriteFile(filepath.Join(s.dir, rootDir, clientsDir, "vsc-2"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		k := openvpntest.Connect(t, ns, l.config(late))
		l.until(func() error {
			if !strings.Contains(k.Log(), "Initialization Sequence Completed") {
				return errors.New("it has not logged in")
			}
			return nil
		})
	}()
	l.until(func() error {
		if !strings.Contains(l.ended(), `"certificate":"vsc-2"`) {
			return fmt.Errorf("sessions that have ended: %s", l.ended())
		}
		return nil
	})
	contains(t, l.ended(), "its certificate may not log in any more")
	l.eventually(connected())
}

// An operator ends a session; the client may come back.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one := l.authority.Client("vsc-1")
	l.apply(one)
	ns := l.home()
	l.connect(ns, one)
	l.eventually(connected("vsc-1"))
	before := l.status().Clients[0]
	ctx := context.Background()
	if err := l.m.Disconnect(ctx, vpc, l.server.ID, "vsc-1"); err != nil {
		t.Fatal(err)
	}
	if err := connected()(ptr(l.status())); err != nil {
		t.Error(err)
	}
	contains(t, l.ended(), "disconnected by the operator")
	for certificate, want := range map[string]string{"vsc-1": "there is no session of certificate vsc-1", "x:1": "not an id"} {
		if err := l.m.Disconnect(ctx, vpc, l.server.ID, certificate); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", certificate, err)
		}
	}
	if err := l.m.Disconnect(ctx, vpc, "vss-9", "vsc-1"); err == nil {
		t.Error("of a server that is not there: no error")
	}
	l.eventually(func(s *dataplane.SSLStatus) error {
		if len(s.Clients) != 1 || !s.Clients[0].Since.After(before.Since) || s.Clients[0].Address != before.Address {
			return fmt.Errorf("before %+v, now %+v", before, s.Clients)
		}
		return nil
	})
}

// What happens while there is no daemon is known to the next one.
func TestMeanwhile(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one, two := l.authority.Client("vsc-1"), l.authority.Client("vsc-2")
	l.server.Protocol = unix.IPPROTO_TCP // who ends is gone at once
	l.apply(one, two)
	ns := l.home()
	k := l.connect(ns, one)
	l.eventually(connected("vsc-1"))
	l.m.Close()
	k.Kill()
	l.connect(l.home(), two)
	at := time.Now()
	l.m = l.open()
	l.apply(one, two)
	l.eventually(connected("vsc-2"))
	contains(t, l.ended(), `"certificate":"vsc-1"`)
	if s := l.status(); !s.Clients[0].Since.Before(at) || s.Starts != 1 {
		t.Errorf("status is %+v", s)
	}
}
