package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// What is joined: the hosts' network, and one with the peers behind a host of it.
var (
	peersPrefix = netip.MustParsePrefix("198.51.100.0/24")
	transitNear = netip.MustParseAddr("192.0.2.1")
	transitFar  = netip.MustParseAddr("192.0.2.2")
)

// joined builds two networks of Sluice that a router interface joins: the hosts are in a
// VSwitch of the one, the next hop to their peers in one of the other. Both are devices.
func joined(shortcut bool, mbit int) builder {
	return untouching(func(ctx context.Context, t *rig, g *gateway) error {
		g.second, g.uplink = dataplane.Namespace(farNetwork(g)), dataplane.LinkName(farSwitch)
		if err := errors.Join(handOver(g.inside.inner, t.root), handOver(g.outside.inner, t.root)); err != nil {
			return err
		}
		return t.join(ctx, g, shortcut, mbit, 1)
	})
}

const farSwitch = "vsw-far"

func farNetwork(g *gateway) string { return g.id + "f" }

// join applies both networks, with a bandwidth in Mbit/s each way.
func (t *rig) join(ctx context.Context, g *gateway, shortcut bool, mbit, revision int) error {
	device := func(name string) dataplane.Attachment {
		return dataplane.Attachment{Kind: dataplane.AttachDevice, Device: name}
	}
	near := interfaceNetwork(g.id, dataplane.RouterInterface{ID: "ri-near", Peer: "ri-far", Network: farNetwork(g), Bandwidth: mbit}, peersPrefix, publicPrefix)
	near.Prefix = vpcPrefix
	near.Switches = []dataplane.Switch{{ID: vswitchID, Prefix: switchPrefix, Gateway: switchGateway, Attachment: device(g.inside.inner)}}
	far := interfaceNetwork(farNetwork(g), dataplane.RouterInterface{ID: "ri-far", Peer: "ri-near", Network: g.id, Bandwidth: mbit}, switchPrefix)
	far.Prefix = publicPrefix
	far.Switches = []dataplane.Switch{{ID: farSwitch, Prefix: publicPrefix, Gateway: elasticSNAT, Attachment: device(g.outside.inner)}}
	far.Routes = append(far.Routes, dataplane.Route{Destination: peersPrefix, NextHops: []dataplane.NextHop{{Via: publicGateway}}})
	return elsewhere(func() error {
		// The first has its routes when the second has linked it.
		for _, n := range []*dataplane.Network{near, far, near} {
			n.Shortcut, n.Revision = shortcut, int64(revision)
			if _, err := t.engines[withPrograms].Apply(ctx, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// interfaceNetwork is a network with a router interface to which blocks are led.
func interfaceNetwork(id string, r dataplane.RouterInterface, to ...netip.Prefix) *dataplane.Network {
	n := &dataplane.Network{ID: id, Timeouts: dataplane.DefaultTimeouts(), RouterInterfaces: []dataplane.RouterInterface{r}}
	for _, p := range to {
		n.Routes = append(n.Routes, dataplane.Route{Destination: p, NextHops: []dataplane.NextHop{{Interface: r.ID}}})
	}
	return n
}

// joinedByHand builds two namespaces with a veth pair between them, which forward by the
// kernel's routes alone.
func joinedByHand() builder {
	return untouching(func(ctx context.Context, _ *rig, g *gateway) error {
		g.namespace, g.second = g.id+"g", g.id+"f"
		near, err := routerNamespace(g.namespace)
		if err != nil {
			return err
		}
		defer near.Close()
		far, err := routerNamespace(g.second)
		if err != nil {
			return err
		}
		defer far.Close()
		if err := errors.Join(moveAs(near, g.inside.inner, vswitchID), moveAs(far, g.outside.inner, g.uplink)); err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = transit
		pair := netlink.NewVeth(attrs)
		pair.PeerName, pair.PeerNamespace = transit, netlink.NsFd(far.Handle())
		if err := near.Netlink().LinkAdd(pair); err != nil {
			return fmt.Errorf("make the veth pair between the routers: %w", err)
		}
		err = errors.Join(
			address(near, vswitchID, netip.PrefixFrom(switchGateway, switchPrefix.Bits())),
			address(near, transit, netip.PrefixFrom(transitNear, 30)),
			address(far, transit, netip.PrefixFrom(transitFar, 30)),
			address(far, g.uplink, netip.PrefixFrom(elasticSNAT, publicPrefix.Bits())))
		if err != nil {
			return err
		}
		return errors.Join(via(near, peersPrefix, transitFar), via(far, switchPrefix, transitNear), via(far, peersPrefix, publicGateway),
			awaitCarrier(ctx, near, transit))
	})
}

func routerNamespace(name string) (*netns.Namespace, error) {
	if err := createNamespace(name); err != nil {
		return nil, err
	}
	ns, err := netns.Open(name)
	if err != nil {
		return nil, err
	}
	err = ns.Set(
		netns.Sysctl{Path: "ipv4/conf/all/rp_filter", Value: "0"},
		netns.Sysctl{Path: "ipv4/conf/default/rp_filter", Value: "0"},
		netns.Sysctl{Path: "ipv4/ip_forward", Value: "1"},
	)
	if err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	return ns, nil
}

// address gives a link an address, and sets it up.
func address(ns *netns.Namespace, name string, p netip.Prefix) error {
	dev, err := ns.Netlink().LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	ip := netipx.PrefixIPNet(p)
	ip.IP = p.Addr().AsSlice()
	if err := errors.Join(ns.Netlink().AddrAdd(dev, &netlink.Addr{IPNet: ip}), ns.Netlink().LinkSetUp(dev)); err != nil {
		return fmt.Errorf("set %s up with address %s: %w", name, p, err)
	}
	return nil
}

func via(ns *netns.Namespace, to netip.Prefix, hop netip.Addr) error {
	if err := ns.Netlink().RouteAdd(&netlink.Route{Dst: netipx.PrefixIPNet(to), Gw: hop.AsSlice()}); err != nil {
		return fmt.Errorf("lead %s to %s: %w", to, hop, err)
	}
	return nil
}

// interfaceRates measures open flows across a router interface, beside plain routing
// between two namespaces.
func interfaceRates(ctx context.Context, r *run) error {
	size := r.natSize()
	contenders := []contender{
		{"route", "two namespaces that forward by the kernel's routes, a veth pair between them", joinedByHand()},
		{"ri", "two VPCs of Sluice and a router interface of 10 Gbit/s, with the shortcut", joined(true, 10_000)},
		{"ri_free", "the same without a limit", joined(true, 0)},
		{"ri_kernel", "the same without the shortcut", joined(false, 10_000)},
	}
	contenders = append(contenders, r.floorsAcross()...)
	r.say("router interfaces: %d ways, %d rounds", len(contenders), size.rounds)
	return r.withLineup(ctx, contenders, func(l *lineup) error {
		if err := l.establish(ctx, 1000); err != nil {
			return err
		}
		rates, err := l.rates(ctx, size.rounds, size.packets)
		if err != nil {
			return err
		}
		const what = "1000 open UDP flows, both ways"
		errs := []error{
			r.report.addRatio("ri_pps_over_route", rates["route"], rates["ri"], what),
			r.report.addRatio("ri_pps_kernel_over_route", rates["route"], rates["ri_kernel"], what+", without the shortcut"),
			r.addLead(rates, what),
		}
		for i, c := range l.contenders {
			errs = append(errs, r.report.add("pps_"+c.name, median(rates[c.name]), packets, c.what+"; "+lost(l.traffics[i])))
		}
		return errors.Join(errs...)
	})
}

// interfaceSpecs are the bandwidths of the specifications of router interfaces up to 1
// Gbit/s, in Mbit/s.
var interfaceSpecs = []int{2, 5, 10, 20, 50, 100, 200, 500, 1000}

// interfaceAccuracy measures how much a router interface lets pass, over its specification.
func interfaceAccuracy(ctx context.Context, r *run) error {
	if !r.installed("iperf3") {
		return nil
	}
	seconds, specs := 6, interfaceSpecs
	if r.quick {
		seconds, specs = 2, specs[3:5]
	}
	return r.withRig(ctx, func(t *rig) (err error) {
		p, err := t.newPeers(ctx, joined(true, specs[0]))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.gateway.close()) }()
		server, err := netns.Open(p.server)
		if err != nil {
			return err
		}
		defer server.Close()
		if err := via(server, switchPrefix, elasticSNAT); err != nil {
			return err
		}
		var accuracy worst
		for revision, mbit := range specs {
			r.say("a router interface of %d Mbit/s", mbit)
			if err := t.join(ctx, p.gateway, true, mbit, revision+2); err != nil {
				return err
			}
			for _, c := range []load{{flows: 1}, {flows: 1, reverse: true}, {flows: 10}} {
				c.seconds = seconds
				got, _, err := p.loaded(ctx, c)
				if err != nil {
					return fmt.Errorf("%d Mbit/s, %v: %w", mbit, c, err)
				}
				accuracy.note(100*math.Abs(got/(float64(mbit)*1e6)-1), "%d Mbit/s, %v: %.4g Mbit/s", mbit, c, got/1e6)
			}
		}
		return r.report.add("ri_spec_accuracy_pct_worst", accuracy.value, percent, "TCP payload; "+accuracy.String())
	})
}
