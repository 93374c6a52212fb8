package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ti-mo/conntrack"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	mdlayher "github.com/mdlayher/netlink"

	"sluice/dataplane"
	"sluice/dataplane/engine"
	"sluice/test/lab"
)

// gateway is one forwarding network between two wires, with a generator and a
// sink at the far end of each.
//
//	rig's namespace            the network's namespace
//	host generator, sink ───── VSwitch
//	net generator, sink  ───── public
type gateway struct {
	id       string
	entries  int // DNAT
	ns       netns.NsHandle
	inside   *wire
	outside  *wire
	links    links
	hostSink *sink // at the hosts' end: what came in
	netSink  *sink // at the next hop's end: what went out
}

// vswitchID is the name of the switch of every network here.
const vswitchID = "vsw-bench"

// newGateway builds a network with so many entries and wires it up. The
// caller's thread is in the rig's namespace, named rig; e works in root, which
// is where it looks for the switch's device.
func newGateway(ctx context.Context, e *engine.Engine, root netns.NsHandle, rig, id string, dnat, snat int) (_ *gateway, err error) {
	g := &gateway{id: id, entries: dnat, ns: netns.None()}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("set up network %s: %w", id, err), g.close())
		}
	}()
	if g.inside, err = makeWire(id+"h", id+"s"); err != nil {
		return g, err
	}
	if g.outside, err = makeWire(id+"r", id+"u"); err != nil {
		return g, err
	}
	if err := handOver(g.inside.inner, root); err != nil {
		return g, err
	}
	n := gatewayNetwork(id, vswitchID, g.inside.inner, g.outside.inner, rig, dnat, snat)
	if err := elsewhere(func() error { _, err := e.Apply(ctx, n); return err }); err != nil {
		return g, err
	}
	if g.ns, err = netns.GetFromName(dataplane.Namespace(id)); err != nil {
		return g, fmt.Errorf("open its namespace: %w", err)
	}
	if err := g.prepareEnds(); err != nil {
		return g, err
	}
	return g, g.attachSinks()
}

// elsewhere runs fn on another thread, which is in the process's namespace and
// not in the one that the caller's thread has entered.
func elsewhere(fn func() error) error {
	done := make(chan error)
	go func() { done <- fn() }()
	return <-done
}

// handOver moves a link of the caller's namespace to another one.
func handOver(name string, to netns.NsHandle) error {
	dev, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	if err := netlink.LinkSetNsFd(dev, int(to)); err != nil {
		return fmt.Errorf("hand over %s: %w", name, err)
	}
	return nil
}

// prepareEnds learns the hardware addresses of all ends, and tells the gateway
// those of its neighbours.
func (g *gateway) prepareEnds() error {
	h, err := netlink.NewHandleAt(g.ns)
	if err != nil {
		return fmt.Errorf("open netlink in its namespace: %w", err)
	}
	defer h.Close()
	here, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer here.Close()
	for _, end := range []struct {
		h    *netlink.Handle
		name string
		mac  *([]byte)
	}{
		{here, g.inside.outer, (*[]byte)(&g.links.host)},
		{here, g.outside.outer, (*[]byte)(&g.links.router)},
		{h, vswitchID, (*[]byte)(&g.links.vswitch)},
		{h, dataplane.UplinkName, (*[]byte)(&g.links.uplink)},
	} {
		dev, err := end.h.LinkByName(end.name)
		if err != nil {
			return fmt.Errorf("find link %s: %w", end.name, err)
		}
		*end.mac = dev.Attrs().HardwareAddr
	}
	return errors.Join(
		lab.In(dataplane.Namespace(g.id), func() error {
			return errors.Join(enableGRO(vswitchID), enableGRO(dataplane.UplinkName))
		}),
		neighbour(h, dataplane.UplinkName, netlink.Neigh{IP: publicGateway.AsSlice(), HardwareAddr: g.links.router}),
		neighbour(h, vswitchID, netlink.Neigh{IP: server.AsSlice(), HardwareAddr: g.links.host}),
		neighbour(h, vswitchID, g.hosts(flowsEach)...),
	)
}

// hosts are the neighbours that get replies.
func (g *gateway) hosts(n int) []netlink.Neigh {
	out := make([]netlink.Neigh, n)
	for i := range out {
		out[i] = netlink.Neigh{IP: after(firstHost, i).AsSlice(), HardwareAddr: g.links.host}
	}
	return out
}

func (g *gateway) attachSinks() (err error) {
	if g.hostSink, err = newSink(offDest, switchPrefix); err != nil {
		return err
	}
	if g.netSink, err = newSink(offSource, elasticPrefix); err != nil {
		return err
	}
	return errors.Join(g.inside.sinkAt(g.hostSink.program), g.outside.sinkAt(g.netSink.program))
}

// forget ends all connections of the network.
func (g *gateway) forget() error {
	c, err := conntrack.Dial(&mdlayher.Config{NetNS: int(g.ns)})
	if err != nil {
		return fmt.Errorf("open conntrack of network %s: %w", g.id, err)
	}
	defer c.Close()
	if err := c.Flush(); err != nil {
		return fmt.Errorf("flush conntrack of network %s: %w", g.id, err)
	}
	return nil
}

// close undoes what newGateway did, except for the network itself and what
// goes with the rig's namespace.
func (g *gateway) close() error {
	var errs []error
	for _, w := range []*wire{g.inside, g.outside} {
		if w != nil {
			errs = append(errs, w.close())
		}
	}
	for _, s := range []*sink{g.hostSink, g.netSink} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	if g.ns.IsOpen() {
		errs = append(errs, g.ns.Close())
	}
	return errors.Join(errs...)
}

// traffic is what is sent through a gateway: packets of flows that leave, and
// of flows that come in.
type traffic struct {
	gateway *gateway
	out, in *generator
}

func newTraffic(g *gateway, out, in []flow) (_ *traffic, err error) {
	t := &traffic{gateway: g}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	for _, side := range []struct {
		generator **generator
		flows     []flow
		wire      *wire
	}{{&t.out, out, g.inside}, {&t.in, in, g.outside}} {
		dev, err := netlink.LinkByName(side.wire.outer)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", side.wire.outer, err)
		}
		if *side.generator, err = newGenerator(side.flows, dev.Attrs().Index); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *traffic) close() {
	for _, g := range []*generator{t.out, t.in} {
		if g != nil {
			g.close()
		}
	}
}

// passed is what came through a gateway.
type passed struct {
	wanted uint64  // packets, translated
	other  uint64  // packets that should have been translated
	sent   int     // packets
	took   float64 // seconds
}

func (p passed) rate() float64 { return float64(p.wanted) / p.took }

// loss is the share of the packets sent that did not arrive.
func (p passed) loss() float64 { return 1 - float64(p.wanted)/float64(p.sent) }

// send sends n packets out and n in, and counts what comes through.
func (t *traffic) send(n int) (passed, error) {
	before, err := t.counts()
	if err != nil {
		return passed{}, err
	}
	began := time.Now()
	if err := t.out.run(n); err != nil {
		return passed{}, err
	}
	if err := t.in.run(n); err != nil {
		return passed{}, err
	}
	took := time.Since(began)
	now, err := t.counts()
	if err != nil {
		return passed{}, err
	}
	return passed{now.wanted - before.wanted, now.other - before.other, 2 * n, took.Seconds()}, nil
}

func (t *traffic) counts() (p passed, err error) {
	for _, s := range []*sink{t.gateway.hostSink, t.gateway.netSink} {
		wanted, err := s.seen(seenWanted)
		if err != nil {
			return p, err
		}
		other, err := s.seen(seenOther)
		if err != nil {
			return p, err
		}
		p.wanted += wanted
		p.other += other
	}
	return p, nil
}

// pin binds the caller's thread to one of the processors that it may use, so
// that all that its packets cause happens there too, and puts it before all
// ordinary work there, which would come in at some slots and not at others.
// release ends that.
func pin() (release func() error, err error) {
	var may, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return nil, fmt.Errorf("read the thread's processors: %w", err)
	}
	for cpu := range len(may) * 64 {
		if may.IsSet(cpu) {
			one.Zero()
			one.Set(cpu) // the last one: the first has most interrupts
		}
	}
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return nil, fmt.Errorf("read the thread's scheduling: %w", err)
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return nil, fmt.Errorf("bind the thread to a processor: %w", err)
	}
	release = func() error { return errors.Join(unix.SchedSetAttr(0, before, 0), unix.SchedSetaffinity(0, &may)) }
	// Where a container's limits forbid it, there is more noise and no more.
	err = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	if err != nil && !errors.Is(err, unix.EPERM) {
		return nil, errors.Join(fmt.Errorf("put the thread before others: %w", err), release())
	}
	return release, nil
}
