package sequence

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/engine"
	"sluice/dataplane/netns"
	"sluice/dataplane/session"
	"sluice/dataplane/sorted"
	"sluice/test/lab"
)

// The networks: VPC 10.0.0.0/16, and elastic IPs of 203.0.113.0/24.
var (
	vpc       = netip.MustParsePrefix("10.0.0.0/16")
	vswitch   = netip.MustParsePrefix("10.0.1.0/24")
	private   = netip.MustParseAddr("10.0.1.253") // the gateway's own
	client    = netip.MustParseAddr("10.0.1.6")   // has an SNAT entry
	server    = netip.MustParseAddr("10.0.1.5")   // has a DNAT entry
	mapped    = netip.MustParseAddr("10.0.1.9")   // has an elastic IP of its own
	forSNAT   = netip.MustParseAddr("203.0.113.10")
	forDNAT   = netip.MustParseAddr("203.0.113.11")
	forMapped = netip.MustParseAddr("203.0.113.12")
	nextHop   = netip.MustParseAddr("203.0.113.1")
	peer      = netip.MustParseAddr("198.51.100.7")
)

const (
	switchID     = "vsw-seq"
	serverPort   = 8080
	externalPort = 80
	mappedPort   = 22
	peerPort     = 443
)

// The flow that says when all packets before it have been through.
var (
	markInside  = netip.AddrPortFrom(netip.MustParseAddr("10.0.1.200"), 40000)
	markOutside = netip.AddrPortFrom(netip.MustParseAddr("198.51.100.250"), 40001)
	markNAT     = netip.AddrPortFrom(forSNAT, 40000)
)

// Gateways are two gateways, with and without the shortcut, in network namespaces
// of their own.
type Gateways struct {
	opt    Options
	dir    string
	ends   *netns.Namespace // with the far ends of their wires
	engine *engine.Engine
	on     *gateway
	off    *gateway
}

// Options are how the gateways are built.
type Options struct {
	XDP             bool // the shortcut is in the driver
	WithoutPrograms bool // as where the kernel cannot run them: both gateways are the same
	Logger          *slog.Logger
}

// New builds the gateways.
func New(ctx context.Context, opt Options) (_ *Gateways, err error) {
	id := "q" + strings.ToLower(rand.Text()[:5])
	g := &Gateways{opt: opt}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("build two gateways: %w", err), g.Close())
		}
	}()
	if g.dir, err = os.MkdirTemp("", "sequence"); err != nil {
		return nil, err
	}
	if g.ends, _, err = netns.Create(id); err != nil {
		return nil, err
	}
	err = g.ends.Set(netns.Sysctl{Path: "ipv6/conf/default/disable_ipv6", Value: "1", Optional: true})
	if err != nil {
		return nil, err
	}
	if err := g.start(); err != nil {
		return nil, err
	}
	if g.on, err = g.newGateway(ctx, id+"a", true); err != nil {
		return nil, err
	}
	g.off, err = g.newGateway(ctx, id+"b", false)
	return g, err
}

// start starts an engine.
func (g *Gateways) start() (err error) {
	g.engine, err = engine.New(engine.Config{
		RunDir: g.dir, Logger: g.opt.Logger, Namespace: g.ends.Name(), WithoutSessions: g.opt.WithoutPrograms,
		Sessions: session.Options{WithoutXDP: !g.opt.XDP},
	})
	return err
}

// Restart has another engine adopt the gateways, or, with anew, make the maps of
// their sessions again, as one does whose maps are of another form.
func (g *Gateways) Restart(ctx context.Context, anew bool) error {
	if err := g.engine.Close(); err != nil {
		return err
	}
	all := []*gateway{g.on, g.off}
	for _, w := range all {
		if anew {
			if err := os.RemoveAll(pins(w.id)); err != nil {
				return err
			}
		}
	}
	if err := g.start(); err != nil {
		return err
	}
	for _, w := range all {
		if _, err := g.engine.Apply(ctx, network(w.id, w == g.on)); err != nil {
			return err
		}
		if err := w.openSessions(); err != nil {
			return err
		}
	}
	return nil
}

// Close removes the gateways, and whatever New made before it failed.
func (g *Gateways) Close() error {
	var errs []error
	for _, w := range []*gateway{g.on, g.off} {
		if w != nil {
			errs = append(errs, w.close())
		}
	}
	if g.engine != nil {
		ids, err := g.engine.Networks()
		errs = append(errs, err)
		for _, id := range ids {
			errs = append(errs, g.engine.Remove(context.Background(), id))
		}
		errs = append(errs, g.engine.Close())
	}
	if g.ends != nil {
		errs = append(errs, netns.Delete(g.ends.Name()), g.ends.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(g.dir))...)
}

// network is what both gateways do.
func network(id string, shortcut bool) *dataplane.Network {
	return &dataplane.Network{
		ID: id, Revision: 1, Prefix: vpc, Shortcut: shortcut,
		Switches: []dataplane.Switch{{
			ID: switchID, Prefix: vswitch, Gateway: private,
			Attachment: dataplane.Attachment{Kind: dataplane.AttachDevice, Device: id + "s"},
		}},
		Routes: []dataplane.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHops: []dataplane.NextHop{{Uplink: true}}}},
		Uplink: &dataplane.Uplink{
			Mode: dataplane.UplinkDevice, Device: id + "u", Prefix: netip.MustParsePrefix("203.0.113.0/24"), Gateway: nextHop,
		},
		Elastic:  []netip.Addr{forSNAT, forDNAT, forMapped},
		Mappings: []dataplane.Mapping{{External: forMapped, Internal: mapped}},
		DNAT: sorted.Of(
			dataplane.DNAT{External: forDNAT, Protocol: unix.IPPROTO_TCP, ExternalPort: externalPort, Internal: server, InternalPort: serverPort},
			dataplane.DNAT{External: forDNAT, Protocol: unix.IPPROTO_UDP, ExternalPort: externalPort, Internal: server, InternalPort: serverPort},
		),
		SNAT:        []dataplane.SNAT{{Source: vswitch, Pool: []netip.Addr{forSNAT}}},
		Timeouts:    dataplane.DefaultTimeouts(),
		NATGateways: []dataplane.NATGateway{{ID: "ngw-a", Limits: dataplane.Limits{Connections: 1_000_000}, Elastic: []netip.Addr{forSNAT, forDNAT}}},
	}
}

// newGateway builds a gateway between two wires.
func (g *Gateways) newGateway(ctx context.Context, id string, shortcut bool) (*gateway, error) {
	nl := g.ends.Netlink()
	for _, w := range [][2]string{{id + "h", id + "s"}, {id + "r", id + "u"}} {
		pair := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: w[1]}
		pair.Name = w[0]
		pair.NumTxQueues, pair.NumRxQueues = 1, 1 // the packets' order is kept
		if err := nl.LinkAdd(pair); err != nil {
			return nil, fmt.Errorf("make the veth pair %s: %w", w[0], err)
		}
		if err := nl.LinkSetUp(pair); err != nil {
			return nil, err
		}
	}
	// A veth can be redirected to if its peer has NAPI, which GRO turns on; it has to
	// be on at all ends before there are programs.
	if g.opt.XDP {
		err := g.ends.Do(func() error { return errors.Join(lab.EnableGRO(id+"h"), lab.EnableGRO(id+"r")) })
		if err != nil {
			return nil, err
		}
	}
	if _, err := g.engine.Apply(ctx, network(id, shortcut)); err != nil {
		return nil, err
	}
	w, err := openGateway(g.ends, id)
	if err != nil {
		return nil, err
	}
	if !g.opt.WithoutPrograms {
		if err := w.openSessions(); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	if g.opt.XDP && shortcut {
		err := w.ns.Do(func() error { return errors.Join(lab.EnableGRO(switchID), lab.EnableGRO(dataplane.UplinkName)) })
		if err := errors.Join(err, g.checkXDP(ctx, id)); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, w.await()
}

// checkXDP makes sure that the programs are where they are to be tried.
func (g *Gateways) checkXDP(ctx context.Context, id string) error {
	programs, err := g.engine.Programs(ctx, id)
	if err != nil {
		return err
	}
	for _, p := range programs {
		if p.By != dataplane.ByXDP {
			return fmt.Errorf("link %s has its programs by %s: %s", p.Link, p.By, p.Why)
		}
	}
	return nil
}

// end is the far end of a wire: hosts of the VPC, or the Internet.
type end struct {
	socket  int
	own, to net.HardwareAddr
	buf     [1 << 16]byte
}

func (e *end) send(p Packet) error {
	_, err := unix.Write(e.socket, p.frame(e.to, e.own))
	return err
}

// receive returns the next packet that has come. ok is false if there is none
// within the time.
func (e *end) receive(within time.Duration) (p Packet, ok bool, err error) {
	for {
		n, err := unix.Read(e.socket, e.buf[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			fds := []unix.PollFd{{Fd: int32(e.socket), Events: unix.POLLIN}}
			if within <= 0 {
				return p, false, nil
			}
			if k, err := unix.Poll(fds, int(within.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) || k == 0 {
				return p, false, err
			}
			continue
		case err != nil:
			return p, false, err
		}
		p, err := parse(e.buf[:n])
		if errors.Is(err, errNotIPv4) {
			continue
		}
		return p, err == nil, err
	}
}

var errNotIPv4 = errors.New("no IPv4 packet of a kind that is sent here")

// newEnd opens the end of a wire in the namespace of the ends.
func newEnd(ends *netns.Namespace, name string) (*end, error) {
	e := &end{socket: -1}
	err := ends.Do(func() (err error) {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		e.own = ifi.HardwareAddr
		e.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		if err := unix.SetsockoptInt(e.socket, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return err
		}
		return unix.Bind(e.socket, &unix.SockaddrLinklayer{Ifindex: ifi.Index, Protocol: native.Uint16([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 0xff})})
	})
	if err != nil && e.socket >= 0 {
		unix.Close(e.socket)
	}
	return e, err
}

// bound runs f on a thread that stays on one processor, where the kernel then
// handles the packets that it sends, one after the other.
func bound(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		var all, one unix.CPUSet
		if err := unix.SchedGetaffinity(0, &all); err != nil {
			done <- err
			return
		}
		for cpu := 0; one.Count() == 0; cpu++ {
			if all.IsSet(cpu) {
				one.Set(cpu)
			}
		}
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// pins is where the session maps of a network are.
func pins(id string) string { return filepath.Join(session.DefaultDir, id) }
