package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/engine"
	sluicelink "sluice/dataplane/link"
	"sluice/dataplane/netns"
	"sluice/test/lab"
)

// ofSluice builds a network of Sluice with so many entries, changed by vary.
// The VSwitch is a device, or a bridge if vary says so; the uplink is a device.
func ofSluice(programs programs, dnat, snat int, vary func(*dataplane.Network)) builder {
	return func(ctx context.Context, t *rig, g *gateway) error {
		g.entries = dnat
		n := gatewayNetwork(g.id, vswitchID, g.inside.inner, g.outside.inner, t.namespace, dnat, snat)
		if vary != nil {
			vary(n)
		}
		e := t.engines[programs]
		if programs != plain {
			g.counts = e
		}
		if n.Switches[0].Attachment.Kind == dataplane.AttachBridge {
			return buildWithBridge(ctx, t, g, e, n)
		}
		if err := handOver(g.inside.inner, t.root); err != nil {
			return err
		}
		if err := elsewhere(func() error { _, err := e.Apply(ctx, n); return err }); err != nil {
			return err
		}
		if programs == withPrograms && n.Shortcut {
			return checkXDP(ctx, e, n)
		}
		return nil
	}
}

// buildWithBridge plugs the host's wire into the VSwitch, as users do with
// their hosts.
func buildWithBridge(ctx context.Context, t *rig, g *gateway, e *engine.Engine, n *dataplane.Network) error {
	g.port = g.inside.inner
	if err := elsewhere(func() error { _, err := e.Apply(ctx, n); return err }); err != nil {
		return err
	}
	ns, err := netns.Open(g.namespace)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := handOver(g.port, ns.Handle()); err != nil {
		return err
	}
	if err := sluicelink.Plug(g.namespace, vswitchID, g.port); err != nil {
		return err
	}
	if err := awaitCarrier(ctx, ns, vswitchID); err != nil || len(n.Members) == 0 {
		return err
	}
	// The port gets the programs of security groups.
	e.Invalidate(n.ID)
	return elsewhere(func() error { _, err := e.Apply(ctx, n); return err })
}

// awaitCarrier waits until a link has a carrier. A port of a bridge forwards
// when the kernel has noticed its own, a little later than it is up, and gives
// the bridge one.
func awaitCarrier(ctx context.Context, ns *netns.Namespace, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return lab.Await(ctx, "the carrier of "+name, func() error {
		link, err := ns.Netlink().LinkByName(name)
		if err != nil {
			return err
		}
		if link.Attrs().RawFlags&unix.IFF_LOWER_UP == 0 {
			return errors.New("it has none")
		}
		return nil
	})
}

// The variations of Sluice's network.
func withShortcut(n *dataplane.Network) { n.Shortcut = true }

func onBridge(n *dataplane.Network) {
	n.Switches[0].Attachment = dataplane.Attachment{Kind: dataplane.AttachBridge}
}

// withLimits sets limits that are out of reach, though not so far that tables
// made for them would be larger than a gateway's.
func withLimits(n *dataplane.Network) {
	n.NATGateways[0].Limits = dataplane.Limits{Connections: 2_000_000, NewPerSecond: 10_000_000}
	n.Refusal = dataplane.RefuseDrop
}

func varied(by ...func(*dataplane.Network)) func(*dataplane.Network) {
	return func(n *dataplane.Network) {
		for _, vary := range by {
			vary(n)
		}
	}
}

// byHand builds a router without Sluice: a namespace with both addresses and a
// default route that forwards, in which rules are put by setUp.
func byHand(setUp func() error) builder { return routerByHand(moveIn, setUp) }

// bridgedByHand builds one whose host is at a port of a bridge.
func bridgedByHand(setUp func() error) builder { return routerByHand(plugIn, setUp) }

// placement makes the link vswitchID in the gateway's namespace, with its end of
// the host's wire, which is in the namespace of the caller's thread.
type placement func(ns *netns.Namespace, g *gateway) error

func routerByHand(place placement, setUp func() error) builder {
	return func(ctx context.Context, _ *rig, g *gateway) error {
		g.namespace = g.id + "g"
		if err := makeRouter(ctx, g, place); err != nil {
			return err
		}
		return lab.In(g.namespace, setUp)
	}
}

// moveIn makes it the VSwitch.
func moveIn(ns *netns.Namespace, g *gateway) error { return moveAs(ns, g.inside.inner, vswitchID) }

// plugIn makes it a port of the VSwitch, which is a bridge.
func plugIn(ns *netns.Namespace, g *gateway) error {
	g.port = g.inside.inner
	if err := handOver(g.port, ns.Handle()); err != nil {
		return err
	}
	if err := sluicelink.EnsureBridge(g.namespace, vswitchID, netip.Prefix{}); err != nil {
		return err
	}
	return sluicelink.Plug(g.namespace, vswitchID, g.port)
}

// moveAs moves a link of the caller's namespace to another one, where it gets
// another name.
func moveAs(ns *netns.Namespace, from, to string) error {
	if err := handOver(from, ns.Handle()); err != nil {
		return err
	}
	dev, err := ns.Netlink().LinkByName(from)
	if err != nil {
		return fmt.Errorf("find %s: %w", from, err)
	}
	if err := ns.Netlink().LinkSetName(dev, to); err != nil {
		return fmt.Errorf("name %s %s: %w", from, to, err)
	}
	return nil
}

// untouching is for a builder of what forwards without translation.
func untouching(build builder) builder {
	return func(ctx context.Context, t *rig, g *gateway) error {
		g.untouched = true
		return build(ctx, t, g)
	}
}

// makeRouter makes the namespace of a gateway with links, addresses and routes
// as the engine would.
func makeRouter(ctx context.Context, g *gateway, place placement) error {
	if err := createNamespace(g.namespace); err != nil {
		return err
	}
	ns, err := netns.Open(g.namespace)
	if err != nil {
		return err
	}
	defer ns.Close()
	err = ns.Set(
		netns.Sysctl{Path: "ipv4/conf/all/rp_filter", Value: "0"},
		netns.Sysctl{Path: "ipv4/conf/default/rp_filter", Value: "0"},
		netns.Sysctl{Path: "ipv4/ip_forward", Value: "1"},
	)
	if err := errors.Join(err, place(ns, g), moveAs(ns, g.outside.inner, dataplane.UplinkName)); err != nil {
		return err
	}
	nl := ns.Netlink()
	for _, l := range []struct{ name, address string }{
		{vswitchID, fmt.Sprintf("%s/%d", switchGateway, switchPrefix.Bits())},
		{dataplane.UplinkName, fmt.Sprintf("%s/%d", elasticSNAT, publicPrefix.Bits())},
	} {
		dev, err := nl.LinkByName(l.name)
		if err != nil {
			return fmt.Errorf("find %s: %w", l.name, err)
		}
		address, err := netlink.ParseAddr(l.address)
		if err != nil {
			return err
		}
		if err := errors.Join(nl.AddrAdd(dev, address), nl.LinkSetUp(dev)); err != nil {
			return fmt.Errorf("set %s up with address %s: %w", l.name, l.address, err)
		}
	}
	if err := nl.RouteAdd(&netlink.Route{Gw: publicGateway.AsSlice()}); err != nil {
		return fmt.Errorf("add the default route: %w", err)
	}
	return awaitCarrier(ctx, ns, vswitchID)
}

// redirector builds what is the least that could be done with a packet: XDP
// programs at both links send each by the other one, as it is.
func redirector() builder { return byXDP("bench_redirect", redirection) }

// redirection are the instructions that send a packet by a link.
func redirection(to int) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(to)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	}
}

// byXDP builds what forwards, without translation, by XDP programs at both
// links. Their instructions are told the other link.
func byXDP(name string, instructions func(to int) asm.Instructions) builder {
	return untouching(func(ctx context.Context, t *rig, g *gateway) error {
		if err := byHand(func() error { return nil })(ctx, t, g); err != nil {
			return err
		}
		return lab.In(g.namespace, func() error {
			return errors.Join(
				g.attachXDP(name, instructions, vswitchID, dataplane.UplinkName),
				g.attachXDP(name, instructions, dataplane.UplinkName, vswitchID))
		})
	})
}

func (g *gateway) attachXDP(name string, instructions func(to int) asm.Instructions, from, to string) error {
	var index [2]int
	for i, end := range []string{from, to} {
		dev, err := netlink.LinkByName(end)
		if err != nil {
			return fmt.Errorf("find %s: %w", end, err)
		}
		index[i] = dev.Attrs().Index
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.XDP, License: "GPL", Instructions: instructions(index[1])})
	if err != nil {
		return fmt.Errorf("load %s: %w", name, err)
	}
	defer p.Close() // its link holds it
	at, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: index[0], Flags: link.XDPDriverMode})
	if err != nil {
		return fmt.Errorf("attach %s to %s: %w", name, from, err)
	}
	g.attachment = append(g.attachment, at)
	return nil
}

// command runs a program in the namespace of the caller's thread.
func command(input, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Stdin = strings.NewReader(input)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// The rules that somebody would write who has the one address.
const (
	masqueradeRules = `table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "public" masquerade
	}
}
`
	snatRules = `table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "public" ip saddr 10.0.0.0/20 snat to 203.0.113.10
	}
}
`
	// ctCountRules limit connections as nftables can: by walking all of them.
	ctCountRules = `table ip connlimit {
	chain forward {
		type filter hook forward priority -10; policy accept;
		oifname "public" ct state new ct count over 1000000 drop
	}
}
`
)

func nftables(rules string) func() error {
	return func() error { return command(rules, "nft", "-f", "-") }
}

func iptablesMasquerade() error {
	return command("", "iptables", "-t", "nat", "-A", "POSTROUTING", "-o", dataplane.UplinkName, "-j", "MASQUERADE")
}

// installed says whether a program is, and tells whoever watches if not.
func (r *run) installed(name string) bool {
	_, err := exec.LookPath(name)
	if err != nil {
		r.say("%s is not installed: left out", name)
	}
	return err == nil
}
