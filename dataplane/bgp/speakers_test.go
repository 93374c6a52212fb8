package bgp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	packet "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

const (
	network = "vpc-1"
	ours    = 65001
)

// lab is a gateway with so many tunnels (veth pairs vco-1, vco-2…), each to a
// namespace of its own: 169.254.n.1 here, 169.254.n.2 there.
func lab(t *testing.T, tunnels int) (gw *netns.Namespace, far []*netns.Namespace) {
	t.Helper()
	gw = nstest.New(t)
	for n := 1; n <= tunnels; n++ {
		ns := nstest.New(t)
		nstest.Veth(t, gw, "vco-"+strconv.Itoa(n), ns, "tun")
		nstest.Address(t, gw, "vco-"+strconv.Itoa(n), fmt.Sprintf("169.254.%d.1/30", n))
		nstest.Address(t, ns, "tun", fmt.Sprintf("169.254.%d.2/30", n))
		far = append(far, ns)
	}
	return gw, far
}

func peer(n int, asn uint32) Peer {
	c := "vco-" + strconv.Itoa(n)
	return Peer{Connection: c, Link: c, LocalASN: ours, PeerASN: asn,
		Local: netip.AddrFrom4([4]byte{169, 254, byte(n), 1}), Remote: netip.AddrFrom4([4]byte{169, 254, byte(n), 2})}
}

// speakers returns Speakers whose Changed leaves a note in the channel.
func speakers(t *testing.T) (*Speakers, chan struct{}) {
	t.Helper()
	// Not t.TempDir, whose name may be too long for a socket.
	dir, err := os.MkdirTemp("", "bgp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return open(t, Options{Dir: dir})
}

// open returns Speakers that end when the test does.
func open(t *testing.T, opt Options) (*Speakers, chan struct{}) {
	changed := make(chan struct{}, 1)
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	opt.Changed = func(n string) {
		if n != network {
			t.Errorf("Changed(%q)", n)
		}
		raise(changed)
	}
	s := New(opt)
	t.Cleanup(func() {
		s.Close()
		if err := s.Apply(context.Background(), nil, network, nil, nil); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(opt.Dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
	return s, changed
}

func apply(t *testing.T, s *Speakers, ns *netns.Namespace, peers []Peer, announce ...string) {
	t.Helper()
	if err := s.Apply(t.Context(), ns, network, peers, prefixes(announce...)); err != nil {
		t.Fatal(err)
	}
}

// wait waits, as often as Changed is called, until f returns nil.
func wait(t *testing.T, changed chan struct{}, f func() error) {
	t.Helper()
	deadline := time.After(3 * nstest.Deadline)
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatal(err)
		}
	}
}

func status(s *Speakers, want map[string]bool) func() error {
	return func() error {
		if got := s.Status(network); !maps.Equal(got, want) {
			return fmt.Errorf("sessions are %v, want %v", got, want)
		}
		return nil
	}
}

func routes(s *Speakers, want map[string][]netip.Prefix) func() error {
	return func() error {
		if got := s.Routes(network); !maps.EqualFunc(got, want, slices.Equal) {
			return fmt.Errorf("routes are %v, want %v", got, want)
		}
		return nil
	}
}

func sees(f *frrouter, want map[string]string) func() error {
	return func() error {
		got, err := f.Learned(context.Background())
		if err != nil {
			return err
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("FRR has learned %v, want %v", got, want)
		}
		return nil
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel() // it waits most of the time
	gw, far := lab(t, 1)
	// Neither the default route, martians, nor what is ours is taken.
	f := newFRR(t, far[0], 65002, map[string]int{"169.254.1.1": ours},
		"10.9.0.0/16", "10.8.0.0/24", "0.0.0.0/0", "0.0.0.0/1", "169.254.9.0/24", "127.0.0.0/8", "10.1.2.0/24", "10.1.0.0/16", "10.0.0.0/8")
	s, changed := speakers(t)
	one := peer(1, 65002)
	apply(t, s, gw, []Peer{one}, "10.1.0.0/16", "192.168.7.0/24")
	wait(t, changed, status(s, map[string]bool{"vco-1": true}))
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.0.0.0/8", "10.8.0.0/24", "10.9.0.0/16")}))
	nstest.Eventually(t, sees(f, map[string]string{"10.1.0.0/16": "169.254.1.1 65001", "192.168.7.0/24": "169.254.1.1 65001"}))

	// A learned route can be used: it leads over the tunnel.
	nstest.Address(t, far[0], "lo", "10.9.0.1/32")
	nstest.Command(t, gw, "ip", "route", "add", "10.9.0.0/16", "via", one.Remote.String(), "dev", one.Link)
	nstest.Ping(t, gw, "10.9.0.1", 56)

	// Each side withdraws one and adds one.
	f.configure(t, "router bgp 65002", "no network 10.9.0.0/16", "network 10.7.0.0/16")
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.0.0.0/8", "10.7.0.0/16", "10.8.0.0/24")}))
	apply(t, s, gw, []Peer{one}, "10.1.0.0/16", "192.168.8.0/24")
	nstest.Eventually(t, sees(f, map[string]string{"10.1.0.0/16": "169.254.1.1 65001", "192.168.8.0/24": "169.254.1.1 65001"}))

	// What is announced now is learned no more, and the other way round.
	apply(t, s, gw, []Peer{one}, "10.8.0.0/16")
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.7.0.0/16")}))
	if err := status(s, map[string]bool{"vco-1": true})(); err != nil {
		t.Error(err)
	}

	// The times of the session are ours, as they are the shorter.
	out, err := f.Vtysh(t.Context(), "show bgp neighbors 169.254.1.1 json")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"bgpTimerHoldTimeMsecs":30000`, `"bgpTimerKeepAliveIntervalMsecs":10000`} {
		if !strings.Contains(out, want) {
			t.Errorf("the neighbour has not %s: %s", want, out)
		}
	}

	apply(t, s, gw, nil)
	if err := errors.Join(status(s, map[string]bool{})(), routes(s, nil)()); err != nil {
		t.Errorf("after the end: %v", err)
	}
	nstest.Eventually(t, sees(f, map[string]string{}))
	if out, err = f.Vtysh(t.Context(), "show bgp neighbors 169.254.1.1 json"); err != nil || !strings.Contains(out, "Cease") {
		t.Errorf("FRR was not told of the end by a Cease: %s, %v", out, err)
	}
}

// Every peer is told of the end, whoever has begun the connection: one that only sees it
// closed may keep the routes for a while (RFC 4724), and one that sees nothing until its hold
// time is over.
func TestCease(t *testing.T) {
	t.Parallel() // it waits most of the time
	gw, far := nstest.New(t), nstest.New(t)
	nstest.Veth(t, gw, "vco-1", far, "tun")
	nstest.Address(t, gw, "vco-1", "169.254.1.1/24")
	var peers []Peer
	established := map[string]bool{}
	for n := range 8 {
		p := peer(1, 65002)
		p.Connection, p.Remote = fmt.Sprintf("vco-%d", n+1), netip.AddrFrom4([4]byte{169, 254, 1, byte(2 + n)})
		nstest.Address(t, far, "tun", p.Remote.String()+"/24")
		peers = append(peers, p)
		established[p.Connection] = true
	}
	s, changed := speakers(t)
	for round := range 3 {
		apply(t, s, gw, peers, "10.1.0.0/16")
		ended := make(chan error, len(peers))
		for _, p := range peers {
			go func() { ended <- ceased(begin(t, far, p)) }()
		}
		wait(t, changed, status(s, established))
		// One is taken off, and then all.
		keep := func(these []Peer) {
			t.Helper()
			change := func() error { return s.Keep(t.Context(), network, these) }
			if round == 0 {
				change = func() error { return s.Apply(t.Context(), gw, network, these, prefixes("10.1.0.0/16")) }
			}
			if err := change(); err != nil {
				t.Fatal(err)
			}
		}
		keep(peers[1:])
		if err := <-ended; err != nil {
			t.Errorf("the first: %v", err)
		}
		keep(nil)
		for range peers[1:] {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
}

// begin begins a session as that peer, by a connection of its own.
func begin(t *testing.T, ns *netns.Namespace, p Peer) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.Remote, 0)), Timeout: nstest.Deadline}
	open, err := packet.NewBGPOpenMessage(uint16(p.PeerASN), 180, p.Remote, nil)
	if err != nil {
		return nil, err
	}
	for {
		var c net.Conn
		err := ns.Do(func() (err error) {
			c, err = dialer.DialContext(t.Context(), "tcp4", netip.AddrPortFrom(p.Local, packet.BGP_PORT).String())
			return err
		})
		if err != nil {
			return nil, err
		}
		// Until the speaker is ready for this peer, it closes what the peer begins.
		if err := errors.Join(send(c, open), send(c, packet.NewBGPKeepAliveMessage())); err != nil {
			c.Close()
			continue
		}
		if m, err := receive(c); err == nil && m.kind == packet.BGP_MSG_OPEN {
			return c, nil
		}
		c.Close()
	}
}

// ceased returns nil if a session ends with a Cease (RFC 4486).
func ceased(c net.Conn, err error) error {
	if err != nil {
		return err
	}
	defer c.Close()
	var last message
	for {
		m, err := receive(c)
		if err != nil {
			if last.kind != packet.BGP_MSG_NOTIFICATION || last.body[0] != packet.BGP_ERROR_CEASE {
				return fmt.Errorf("%s: the last message is of type %d with %v, no Cease: %w", c.LocalAddr(), last.kind, last.body, err)
			}
			return nil
		}
		last = m
	}
}

func send(c net.Conn, m *packet.BGPMessage) error {
	b, err := m.Serialize()
	if err == nil {
		_, err = c.Write(b)
	}
	return err
}

// message is one of BGP (RFC 4271, section 4).
type message struct {
	kind byte
	body []byte
}

func receive(c net.Conn) (message, error) {
	header := make([]byte, packet.BGP_HEADER_LENGTH)
	if _, err := io.ReadFull(c, header); err != nil {
		return message{}, err
	}
	m := message{kind: header[18], body: make([]byte, max(0, int(binary.BigEndian.Uint16(header[16:]))-len(header)))}
	_, err := io.ReadFull(c, m.body)
	return m, err
}

func TestWrongASN(t *testing.T) {
	t.Parallel() // it waits most of the time
	gw, far := lab(t, 1)
	f := newFRR(t, far[0], 65002, map[string]int{"169.254.1.1": ours}, "10.9.0.0/16")
	s, changed := speakers(t)
	apply(t, s, gw, []Peer{peer(1, 65003)}, "10.1.0.0/16")
	nstest.Eventually(t, func() error {
		out, err := f.Vtysh(t.Context(), "show bgp neighbors 169.254.1.1 json")
		if err == nil && !strings.Contains(out, "Bad Peer AS") {
			err = errors.New("FRR was not told of the wrong AS: " + out)
		}
		return err
	})
	if err := errors.Join(status(s, map[string]bool{"vco-1": false})(), routes(s, nil)()); err != nil {
		t.Error(err)
	}
	// Put right, it is established soon.
	apply(t, s, gw, []Peer{peer(1, 65002)}, "10.1.0.0/16")
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.9.0.0/16")}))

	// And it is ended for a wrong one of ours.
	wrong := peer(1, 65002)
	wrong.LocalASN = 65009
	apply(t, s, gw, []Peer{wrong}, "10.1.0.0/16")
	wait(t, changed, routes(s, nil))
	nstest.Eventually(t, sees(f, map[string]string{}))
}

// Best paths, and peers that come and go, do not disturb the others.
func TestTwoPeers(t *testing.T) {
	t.Parallel() // it waits most of the time
	gw, far := lab(t, 2)
	f1 := newFRR(t, far[0], 65002, map[string]int{"169.254.1.1": ours}, "10.9.0.0/16", "10.8.0.0/16")
	f2 := newFRR(t, far[1], 65003, map[string]int{"169.254.2.1": 65010}, "10.9.0.0/16", "10.7.0.0/16")
	// The second has a longer path to what both have.
	f2.configure(t, "ip prefix-list both permit 10.9.0.0/16", "route-map long permit 10", "match ip address prefix-list both",
		"set as-path prepend 65003", "route-map long permit 20", "router bgp 65003", "neighbor 169.254.2.1 route-map long out")
	s, changed := speakers(t)
	one, two := peer(1, 65002), peer(2, 65003)
	two.LocalASN = 65010 // another than the first one's
	apply(t, s, gw, []Peer{one, two}, "10.1.0.0/16")
	both := routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.8.0.0/16", "10.9.0.0/16"), "vco-2": prefixes("10.7.0.0/16")})
	wait(t, changed, both)
	// What one peer says is not told to the other.
	nstest.Eventually(t, sees(f1, map[string]string{"10.1.0.0/16": "169.254.1.1 65001"}))
	nstest.Eventually(t, sees(f2, map[string]string{"10.1.0.0/16": "169.254.2.1 65010"}))
	before := f2.dropped(t, "169.254.2.1")

	// The second has all when the first is gone, at once or without a word.
	only := routes(s, map[string][]netip.Prefix{"vco-2": prefixes("10.7.0.0/16", "10.9.0.0/16")})
	apply(t, s, gw, []Peer{two}, "10.1.0.0/16")
	wait(t, changed, only)
	apply(t, s, gw, []Peer{one, two}, "10.1.0.0/16")
	wait(t, changed, both)
	f1.stop()
	wait(t, changed, only)
	wait(t, changed, status(s, map[string]bool{"vco-1": false, "vco-2": true}))
	f1.start(t)
	wait(t, changed, both)
	if now := f2.dropped(t, "169.254.2.1"); before == "" || now != before {
		t.Errorf("the other session was dropped %s times, before %s", now, before)
	}
	if err := errors.Join(sees(f1, map[string]string{"10.1.0.0/16": "169.254.1.1 65001"})(), sees(f2, map[string]string{"10.1.0.0/16": "169.254.2.1 65010"})()); err != nil {
		t.Error(err)
	}
}

// A peer that only listens is dialled, one that only dials is heard.
func TestPassive(t *testing.T) {
	t.Parallel() // it waits most of the time
	gw, far := lab(t, 2)
	f1 := newFRR(t, far[0], 65002, map[string]int{"169.254.1.1": ours}, "10.9.0.0/16")
	f1.configure(t, "router bgp 65002", "neighbor 169.254.1.1 passive")
	newFRR(t, far[1], 65003, map[string]int{"169.254.2.1": ours}, "10.8.0.0/16")
	nstest.Command(t, far[1], "nft", "add table ip closed; add chain ip closed in { type filter hook input priority 0; }; "+
		"add rule ip closed in tcp dport 179 drop")
	s, changed := speakers(t)
	apply(t, s, gw, []Peer{peer(1, 65002), peer(2, 65003)}, "10.1.0.0/16")
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.9.0.0/16"), "vco-2": prefixes("10.8.0.0/16")}))

	// Who is no peer gets nowhere.
	nstest.Address(t, far[0], "lo", "10.200.0.1/32")
	nstest.Command(t, gw, "ip", "route", "add", "10.200.0.1", "dev", "vco-1", "via", "169.254.1.2")
	var c net.Conn
	err := far[0].Do(func() (err error) {
		d := net.Dialer{Timeout: nstest.Deadline, LocalAddr: &net.TCPAddr{IP: net.IPv4(10, 200, 0, 1)}}
		c, err = d.DialContext(t.Context(), "tcp4", "169.254.1.1:179")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(nstest.Deadline))
	if n, err := c.Read(make([]byte, 100)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a stranger got %d bytes, %v", n, err)
	}
}

// child returns the process id of a speaker in a namespace, other than some.
func child(t *testing.T, ns *netns.Namespace, other int) (pid int) {
	t.Helper()
	nstest.Eventually(t, func() error {
		for p := range strings.FieldsSeq(nstest.Command(t, ns, "ip", "netns", "pids", ns.Name())) {
			line, _ := os.ReadFile("/proc/" + p + "/cmdline")
			if strings.Contains(string(line), "\x00"+argument+"\x00") {
				if pid, _ = strconv.Atoi(p); pid != other {
					return nil
				}
			}
		}
		return errors.New("there is no speaker in " + ns.Name())
	})
	return pid
}

func TestRestart(t *testing.T) {
	t.Parallel() // it waits most of the time
	gw, far := lab(t, 1)
	f := newFRR(t, far[0], 65002, map[string]int{"169.254.1.1": ours}, "10.9.0.0/16")
	learned := map[string][]netip.Prefix{"vco-1": prefixes("10.9.0.0/16")}
	s, changed := speakers(t)
	apply(t, s, gw, []Peer{peer(1, 65002)}, "10.1.0.0/16")
	wait(t, changed, routes(s, learned))

	// The speaker is killed: another one takes its place.
	pid := child(t, gw, 0)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wait(t, changed, routes(s, nil))
	second := child(t, gw, pid)
	wait(t, changed, routes(s, learned))

	// The daemon is restarted: the speaker works on meanwhile, and is adopted.
	dropped := f.dropped(t, "169.254.1.1")
	s.Close()
	if err := s.Apply(t.Context(), gw, network, []Peer{peer(1, 65002)}, nil); err == nil {
		t.Error("Apply after Close: no error")
	}
	f.configure(t, "router bgp 65002", "network 10.7.0.0/16")
	s, changed = open(t, Options{Dir: s.opt.Dir})
	apply(t, s, gw, []Peer{peer(1, 65002)}, "10.1.0.0/16", "10.2.0.0/16")
	if err := errors.Join(status(s, map[string]bool{"vco-1": true})(), has(s, "10.9.0.0/16")); err != nil {
		t.Errorf("at once: %v", err)
	}
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.7.0.0/16", "10.9.0.0/16")}))
	nstest.Eventually(t, sees(f, map[string]string{"10.1.0.0/16": "169.254.1.1 65001", "10.2.0.0/16": "169.254.1.1 65001"}))
	if pid := child(t, gw, 0); pid != second {
		t.Errorf("the speaker is %d, was %d", pid, second)
	}
	if now := f.dropped(t, "169.254.1.1"); now != dropped {
		t.Errorf("the session was dropped %s times, before %s", now, dropped)
	}

	// A speaker of another version is not adopted.
	s.Close()
	old := filepath.Join(t.TempDir(), "old")
	if err := errors.Join(end(s.opt.dir(network)), os.Remove(filepath.Join(s.opt.dir(network), socketFile)), copyProgram(old)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(old, argument, s.opt.dir(network))
	if err := gw.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s, changed = open(t, Options{Dir: s.opt.Dir})
	apply(t, s, gw, []Peer{peer(1, 65002)}, "10.1.0.0/16")
	select {
	case <-ended:
	default:
		t.Error("the speaker of another version is still there")
	}
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.7.0.0/16", "10.9.0.0/16")}))

	// The namespace is another one.
	other, far := lab(t, 1)
	newFRR(t, far[0], 65002, map[string]int{"169.254.1.1": ours}, "10.8.0.0/16")
	apply(t, s, other, []Peer{peer(1, 65002)}, "10.1.0.0/16")
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.8.0.0/16")}))
	nstest.Eventually(t, sees(f, map[string]string{}))

	// What nobody looks after any more is ended by Speakers that did not make it.
	s.Close()
	s, _ = open(t, Options{Dir: s.opt.Dir})
	apply(t, s, other, nil)
	if pids, err := find(s.opt.dir(network)); err != nil || len(pids) > 0 {
		t.Errorf("speakers: %v, %v", pids, err)
	}
}

// has fails unless a prefix is among those that are learned from the first peer.
func has(s *Speakers, prefix string) error {
	if got := s.Routes(network)["vco-1"]; !slices.Contains(got, netip.MustParsePrefix(prefix)) {
		return fmt.Errorf("%s is not among %v", prefix, got)
	}
	return nil
}

func copyProgram(to string) error {
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o700)
}

// A peer that tells too much is not heard for a while.
func TestLimit(t *testing.T) {
	t.Parallel() // it waits most of the time
	gw, far := lab(t, 1)
	f := newFRR(t, far[0], 65002, map[string]int{"169.254.1.1": ours}, "10.6.0.0/16", "10.7.0.0/16", "10.8.0.0/16")
	s, _ := speakers(t)
	said := make(said, 1000)
	log := slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), said), nil))
	s, changed := open(t, Options{Dir: s.opt.Dir, Logger: log, Limit: Limit{Prefixes: 4, Pause: time.Second}}) // FRR tells us what is ours, too
	apply(t, s, gw, []Peer{peer(1, 65002)}, "10.1.0.0/16")
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.6.0.0/16", "10.7.0.0/16", "10.8.0.0/16")}))
	f.configure(t, "router bgp 65002", "network 10.9.0.0/16")
	wait(t, changed, routes(s, nil))
	nstest.Eventually(t, func() error {
		out, err := f.Vtysh(t.Context(), "show bgp neighbors 169.254.1.1 json")
		if err == nil && !strings.Contains(out, "Maximum Number of Prefixes Reached") {
			err = errors.New("FRR was not told that it is too much: " + out)
		}
		return err
	})
	// What the speaker logs is in the daemon's log.
	said.wait(t, "prefix limit reached")
	said.wait(t, "Closed an accepted connection")
	f.configure(t, "router bgp 65002", "no network 10.6.0.0/16")
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.7.0.0/16", "10.8.0.0/16", "10.9.0.0/16")}))
}

// said are lines of a log.
type said chan string

func (s said) Write(b []byte) (int, error) {
	select {
	case s <- string(b):
	default:
	}
	return len(b), nil
}

func (s said) wait(t *testing.T, part string) {
	t.Helper()
	deadline := time.After(3 * nstest.Deadline)
	for {
		select {
		case line := <-s:
			if strings.Contains(line, part) {
				return
			}
		case <-deadline:
			t.Fatalf("the log has no line with %q", part)
		}
	}
}

// The port is somebody else's: that is said, and made up for.
func TestPortInUse(t *testing.T) {
	t.Parallel() // it waits most of the time
	gw, _ := lab(t, 1)
	var l net.Listener
	err := gw.Do(func() (err error) {
		l, err = net.Listen("tcp4", "0.0.0.0:179")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := speakers(t)
	err = s.Apply(t.Context(), gw, network, []Peer{peer(1, 65002)}, nil)
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Apply: %v", err)
	}
	l.Close()
	apply(t, s, gw, []Peer{peer(1, 65002)})
}

func TestCheck(t *testing.T) {
	good := peer(1, 65002)
	for _, change := range []func(*Peer){
		func(p *Peer) { p.Local = netip.Addr{} },
		func(p *Peer) { p.Remote = netip.MustParseAddr("fe80::1") },
		func(p *Peer) { p.Remote = p.Local },
		func(p *Peer) { p.LocalASN = 0 },
		func(p *Peer) { p.PeerASN = 0 },
		func(p *Peer) { p.Connection = "" },
	} {
		p := good
		change(&p)
		if err := check([]Peer{p}, nil); err == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
	again := peer(2, 65002)
	again.Connection = good.Connection
	twice := good
	twice.Connection = "vco-2"
	for _, p := range []Peer{again, twice} {
		if err := check([]Peer{good, p}, nil); err == nil {
			t.Errorf("%+v was accepted beside %+v", p, good)
		}
	}
	if err := check([]Peer{good, peer(2, 65002)}, prefixes("10.0.0.0/8")); err != nil {
		t.Error(err)
	}
	for _, a := range []string{"10.0.0.1/8", "fd00::/8"} {
		if err := check([]Peer{good}, prefixes(a)); err == nil {
			t.Errorf("%s was accepted", a)
		}
	}
}

// A peer does not hear that the connection was closed that it had begun. It waits for
// an OPEN there, FRR for three minutes; what is begun here is taken all the same.
func TestHalfOpen(t *testing.T) {
	t.Parallel() // it waits most of the time
	gw, far := lab(t, 1)
	f := newFRR(t, far[0], 65002, map[string]int{"169.254.1.1": ours}, "10.9.0.0/16")
	learned := map[string][]netip.Prefix{"vco-1": prefixes("10.9.0.0/16")}
	s, changed := speakers(t)
	apply(t, s, gw, []Peer{peer(1, 65002)}, "10.1.0.0/16")
	wait(t, changed, routes(s, learned))
	lost := func() bool { // on its way: one of the speaker's packets that close a connection
		return !strings.Contains(nstest.Command(t, far[0], "nft", "list", "table", "inet", "end"), "counter packets 0 ")
	}
	for range 5 {
		// While it has just lost a session the speaker closes what a peer begins.
		f.stop()
		wait(t, changed, routes(s, nil))
		// Of one connection alone: FRR now and then tells the new one what is meant for the old
		// one (Connection Collision Resolution), and begins anew.
		nstest.Command(t, far[0], "nft", "add table inet end; add set inet end old { type inet_service; flags dynamic; size 1; }; "+
			"add chain inet end in { type filter hook input priority 0; }; "+
			"add rule inet end in tcp sport 179 tcp flags & (fin | rst) != 0 add @old { tcp dport } counter drop")
		f.start(t)
		nstest.Eventually(t, func() error {
			if !lost() && !s.Status(network)["vco-1"] {
				return errors.New("no connection was closed, and no session established")
			}
			return nil
		})
		was := lost()
		wait(t, changed, routes(s, learned))
		if was {
			return
		}
		nstest.Command(t, far[0], "nft", "delete", "table", "inet", "end")
	}
	t.Error("the speaker never closed a connection that the peer had begun")
}
