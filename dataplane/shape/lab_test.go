package shape_test

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
	"sluice/dataplane/shape"
)

// lab is a gateway with a host on one side and peers on the other.
type lab struct {
	host, gw *netns.Namespace
	peers    []*netns.Namespace // at 10.<i+1>.0.2
	links    []string           // that lead to them
}

// kinds are what the lab has for a tunnel.
var kinds = map[string]func(t *testing.T, gw *netns.Namespace, link string, peer *netns.Namespace){
	"tun": tunnel,
	"veth": func(t *testing.T, gw *netns.Namespace, link string, peer *netns.Namespace) {
		nstest.Veth(t, gw, link, peer, "far")
	},
}

func newLab(t *testing.T, kind string, links ...string) *lab {
	t.Helper()
	l := &lab{host: nstest.New(t), gw: nstest.New(t), links: links}
	nstest.Veth(t, l.host, "eth0", l.gw, "vsw")
	nstest.Address(t, l.host, "eth0", "10.0.0.2/24")
	nstest.Address(t, l.gw, "vsw", "10.0.0.1/24")
	nstest.Default(t, l.host, "10.0.0.1")
	if err := l.gw.Set(netns.Sysctl{Path: "ipv4/ip_forward", Value: "1"}); err != nil {
		t.Fatal(err)
	}
	for i, link := range links {
		peer := nstest.New(t)
		kinds[kind](t, l.gw, link, peer)
		for _, end := range []struct {
			ns   *netns.Namespace
			link string
			host int
		}{{l.gw, link, 1}, {peer, "far", 2}} {
			if err := end.ns.Netlink().LinkSetMTU(nstest.Link(t, end.ns, end.link), dataplane.VPNMTU); err != nil {
				t.Fatal(err)
			}
			nstest.Address(t, end.ns, end.link, fmt.Sprintf("10.%d.0.%d/24", i+1, end.host))
		}
		nstest.Default(t, peer, fmt.Sprintf("10.%d.0.1", i+1))
		l.peers = append(l.peers, peer)
	}
	for _, ns := range append(l.peers, l.host, l.gw) {
		carriers(t, ns)
	}
	return l
}

// carriers waits until the kernel has noticed that the links have a carrier:
// until then they drop what they are given.
func carriers(t *testing.T, ns *netns.Namespace) {
	t.Helper()
	nstest.Eventually(t, func() error {
		links, err := ns.Netlink().LinkList()
		for _, l := range links {
			if l.Attrs().OperState != netlink.OperUp && l.Type() == "veth" {
				err = fmt.Errorf("link %s is %s", l.Attrs().Name, l.Attrs().OperState)
			}
		}
		return err
	})
}

// tunnel makes a TUN device in either namespace, and carries packets from one to
// the other, as charon does.
func tunnel(t *testing.T, gw *netns.Namespace, link string, peer *netns.Namespace) {
	t.Helper()
	a, b := tun(t, gw, link), tun(t, peer, "far")
	carry := func(from, to *os.File) {
		buf := make([]byte, 1<<16)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			_, _ = to.Write(buf[:n]) // fails while the other end is down
		}
	}
	go carry(a, b)
	go carry(b, a)
	// What waits for a busy CPU to carry it is not to be lost.
	for ns, name := range map[*netns.Namespace]string{gw: link, peer: "far"} {
		if err := ns.Netlink().LinkSetTxQLen(nstest.Link(t, ns, name), 5000); err != nil {
			t.Fatal(err)
		}
	}
}

func tun(t *testing.T, ns *netns.Namespace, name string) *os.File {
	t.Helper()
	var f *os.File
	err := ns.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		request, err := unix.NewIfreq(name)
		if err == nil {
			request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
		}
		if err != nil {
			unix.Close(fd)
			return err
		}
		f = os.NewFile(uintptr(fd), name)
		return nil
	})
	if err != nil {
		t.Fatalf("make TUN device %s: %v", name, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// apply carries out a Plan, fails unless nothing is left to do then, and returns
// what was done.
func (l *lab) apply(t *testing.T, links []string, mbit int) []string {
	t.Helper()
	p := shape.Plan(l.gw, shape.Bandwidth{Links: links, Mbit: mbit})
	var r plan.Runner
	r.Add(p.Err)
	r.Run(t.Context(), p.Add)
	r.Run(t.Context(), p.Remove)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if again := shape.Plan(l.gw, shape.Bandwidth{Links: links, Mbit: mbit}); !again.Empty() || again.Err != nil {
		t.Fatalf("after %q there is still to do: %q, %v", p.Whats(), again.Whats(), again.Err)
	}
	return p.Whats()
}

// send sends by TCP for a while and returns how many bytes arrived, and within
// which time from before the first.
func send(from, to *netns.Namespace, address string, d time.Duration) (bytes int, took time.Duration, err error) {
	var l net.Listener
	err = to.Do(func() (err error) {
		l, err = net.Listen("tcp4", address)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	defer l.Close()
	start := time.Now()
	called := make(chan error, 1)
	go func() {
		c, err := nstest.Dial(from, "tcp4", address)
		called <- err
		if err != nil {
			l.Close()
			return
		}
		defer c.Close()
		_ = c.SetDeadline(start.Add(d + time.Second))
		for buf := make([]byte, 1<<16); err == nil; {
			_, err = c.Write(buf)
		}
	}()
	c, err := l.Accept()
	if err != nil {
		return 0, 0, fmt.Errorf("call %s: %w", address, <-called)
	}
	defer c.Close()
	_ = c.SetDeadline(start.Add(d))
	for buf := make([]byte, 1<<16); err == nil; {
		var n int
		n, err = c.Read(buf)
		bytes += n
	}
	return bytes, time.Since(start), nil
}
