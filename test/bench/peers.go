package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

	"sluice/dataplane/netns"
	"sluice/test/lab"
)

// peers are a host of a gateway's VSwitch and a server on the Internet, in a
// namespace each, that speak through the gateway by ordinary sockets.
type peers struct {
	gateway      *gateway
	host, server string // namespaces
}

// newPeers builds a gateway and puts peers at the far ends of its wires.
func (t *rig) newPeers(ctx context.Context, build builder) (_ *peers, err error) {
	g, err := t.newWiredGateway(ctx, build)
	if err != nil {
		return nil, err
	}
	p := &peers{gateway: g, host: g.id + "ph", server: g.id + "ps"}
	err = errors.Join(
		settle(p.host, g.inside.outer, fmt.Sprintf("%s/%d", firstHost, switchPrefix.Bits()), &netlink.Route{Gw: switchGateway.AsSlice()}),
		settle(p.server, g.outside.outer, fmt.Sprintf("%s/%d", publicGateway, publicPrefix.Bits()), nil),
	)
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	return p, nil
}

// settle makes a namespace with a link of the caller's namespace in it, and an
// address and a route on that. Its end of the wire has NAPI, since the gateway
// may redirect packets to it.
func settle(namespace, name, address string, route *netlink.Route) error {
	if err := createNamespace(namespace); err != nil {
		return err
	}
	ns, err := netns.Open(namespace)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := handOver(name, ns.Handle()); err != nil {
		return err
	}
	nl := ns.Netlink()
	dev, err := nl.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s in %s: %w", name, namespace, err)
	}
	a, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	if err := errors.Join(nl.AddrAdd(dev, a), nl.LinkSetUp(dev)); err != nil {
		return fmt.Errorf("set %s up with address %s: %w", name, address, err)
	}
	if route != nil {
		if err := nl.RouteAdd(route); err != nil {
			return fmt.Errorf("add a default route in %s: %w", namespace, err)
		}
	}
	return ns.Do(func() error { return lab.EnableGRO(name) })
}

// newPeersOf builds a gateway with peers for each contender. What it returns
// first closes them all.
func (t *rig) newPeersOf(ctx context.Context, contenders []contender) (closeAll func() error, all []*peers, err error) {
	closeAll = func() error {
		var errs []error
		for _, p := range all {
			errs = append(errs, p.gateway.close())
		}
		return errors.Join(errs...)
	}
	for _, c := range contenders {
		p, err := t.newPeers(ctx, c.build)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("%s: %w", c.name, err), closeAll())
		}
		all = append(all, p)
	}
	return closeAll, all, nil
}
