package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/ti-mo/conntrack"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	mdlayher "github.com/mdlayher/netlink"

	"sluice/dataplane"
	"sluice/dataplane/engine"
	"sluice/test/lab"
)

// rig is where gateways are put between generators and sinks: a namespace with
// the far ends of their wires.
type rig struct {
	run       *run
	namespace string
	root      netns.NsHandle // the process's own namespace, where the engines look for devices
	engines   map[programs]*engine.Engine
	gateways  int // made so far
}

// withRig makes a rig, has fn measure on a thread that is in its namespace, and
// removes it with all its gateways.
func (r *run) withRig(ctx context.Context, fn func(t *rig) error) (err error) {
	t := &rig{run: r, namespace: r.name("rig"), engines: map[programs]*engine.Engine{}}
	defer func() {
		for _, e := range t.engines {
			err = errors.Join(err, e.Close())
		}
		err = errors.Join(err, r.removeForwarding(context.WithoutCancel(ctx)))
	}()
	for _, p := range allPrograms {
		e, err := r.engine(p)
		if err != nil {
			return err
		}
		t.engines[p] = e
	}
	if t.root, err = netns.Get(); err != nil {
		return fmt.Errorf("find the network namespace of this process: %w", err)
	}
	defer t.root.Close()
	if err := createNamespace(t.namespace); err != nil {
		return err
	}
	return lab.In(t.namespace, func() error { return fn(t) })
}

// gateway is something that forwards between two wires, with a generator and a
// sink at the far end of each.
//
//	rig's namespace            the gateway's namespace
//	host generator, sink ───── VSwitch
//	net generator, sink  ───── public
type gateway struct {
	id         string // of the network too, where it is one of Sluice's
	namespace  string
	entries    int  // DNAT
	untouched  bool // it forwards without translation
	ns         netns.NsHandle
	inside     *wire
	outside    *wire
	port       string // the link at the gateway's end of inside
	second     string // namespace that has the outside wire, as uplink, where that is another one
	uplink     string // the link at the gateway's end of outside
	links      links
	hostSink   *sink          // at the hosts' end: what came in
	netSink    *sink          // at the next hop's end: what went out
	attachment []io.Closer    // what the builder put into the gateway
	flows      *ebpf.Map      // what a floor keeps of open flows; nil for others
	counts     *engine.Engine // that counts its sessions; nil without programs
}

// vswitchID is the name of the switch of every gateway here.
const vswitchID = "vsw-bench"

// builder makes the namespace of a gateway, in which the two inner ends of its
// wires become the links vswitchID and dataplane.UplinkName. When it is called
// they are in the namespace of the caller's thread.
type builder func(ctx context.Context, t *rig, g *gateway) error

// newWiredGateway builds a gateway between two wires. The caller's thread is in
// the rig's namespace.
func (t *rig) newWiredGateway(ctx context.Context, build builder) (_ *gateway, err error) {
	g := &gateway{id: t.run.name(string(rune('a' + t.gateways))), ns: netns.None()}
	t.gateways++
	g.namespace = dataplane.Namespace(g.id)
	g.port, g.uplink = vswitchID, dataplane.UplinkName
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("set up gateway %s: %w", g.id, err), g.close())
		}
	}()
	if g.inside, err = makeWire(g.id+"h", g.id+"s"); err != nil {
		return nil, err
	}
	if g.outside, err = makeWire(g.id+"r", g.id+"u"); err != nil {
		return nil, err
	}
	// A veth can be redirected to if its peer has NAPI, and is asked for that
	// when programs are attached to it.
	if err := errors.Join(lab.EnableGRO(g.inside.outer), lab.EnableGRO(g.outside.outer)); err != nil {
		return nil, err
	}
	if err := build(ctx, t, g); err != nil {
		return nil, err
	}
	if g.ns, err = netns.GetFromName(g.namespace); err != nil {
		return nil, fmt.Errorf("open its namespace: %w", err)
	}
	return g, nil
}

// newGateway builds a gateway with generators and sinks at both sides.
func (t *rig) newGateway(ctx context.Context, build builder) (*gateway, error) {
	g, err := t.newWiredGateway(ctx, build)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(g.prepareEnds(), g.attachSinks()); err != nil {
		return nil, errors.Join(fmt.Errorf("set up gateway %s: %w", g.id, err), g.close())
	}
	return g, nil
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
	far := h
	if g.second != "" {
		ns, err := netns.GetFromName(g.second)
		if err != nil {
			return fmt.Errorf("open its second namespace: %w", err)
		}
		defer ns.Close()
		if far, err = netlink.NewHandleAt(ns); err != nil {
			return fmt.Errorf("open netlink in its second namespace: %w", err)
		}
		defer far.Close()
	}
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
		{far, g.uplink, (*[]byte)(&g.links.uplink)},
	} {
		dev, err := end.h.LinkByName(end.name)
		if err != nil {
			return fmt.Errorf("find link %s: %w", end.name, err)
		}
		*end.mac = dev.Attrs().HardwareAddr
	}
	return errors.Join(
		lab.In(g.namespace, func() error { return lab.EnableGRO(g.port) }),
		lab.In(cmp.Or(g.second, g.namespace), func() error { return lab.EnableGRO(g.uplink) }),
		neighbour(far, g.uplink, netlink.Neigh{IP: publicGateway.AsSlice(), HardwareAddr: g.links.router}),
		neighbour(h, vswitchID, netlink.Neigh{IP: server.AsSlice(), HardwareAddr: g.links.host}),
		neighbour(h, vswitchID, g.hosts()...),
	)
}

// hosts are the neighbours that get replies.
func (g *gateway) hosts() []netlink.Neigh {
	out := make([]netlink.Neigh, hosts)
	for i := range out {
		out[i] = netlink.Neigh{IP: after(firstHost, i).AsSlice(), HardwareAddr: g.links.host}
	}
	return out
}

func (g *gateway) attachSinks() (err error) {
	if g.hostSink, err = newSink(offDest, switchPrefix); err != nil {
		return err
	}
	sources := elasticPrefix
	if g.untouched {
		sources = switchPrefix
	}
	if g.netSink, err = newSink(offSource, sources); err != nil {
		return err
	}
	return errors.Join(g.inside.sinkAt(g.hostSink.program), g.outside.sinkAt(g.netSink.program))
}

// forget ends all connections of the gateway.
func (g *gateway) forget() error {
	c, err := conntrack.Dial(&mdlayher.Config{NetNS: int(g.ns)})
	if err != nil {
		return fmt.Errorf("open conntrack of gateway %s: %w", g.id, err)
	}
	defer c.Close()
	if err := c.Flush(); err != nil {
		return fmt.Errorf("flush conntrack of gateway %s: %w", g.id, err)
	}
	if g.flows != nil {
		if err := emptyMap(g.flows); err != nil {
			return err
		}
	}
	return g.awaitNoSessions()
}

// close undoes what newGateway did, except for what goes with the namespaces.
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
	for _, c := range g.attachment {
		errs = append(errs, c.Close())
	}
	if g.ns.IsOpen() {
		errs = append(errs, g.ns.Close())
	}
	return errors.Join(errs...)
}

func closeAll(gateways []*gateway) error {
	var errs []error
	for _, g := range gateways {
		errs = append(errs, g.close())
	}
	return errors.Join(errs...)
}
