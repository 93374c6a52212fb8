package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"

	"sluice/dataplane"
	"sluice/test/lab"
)

// errNoFlowtable says that nftables did not take the rules with a flowtable.
var errNoFlowtable = errors.New("this kernel has no flowtables")

// flowtable is nftables with its own shortcut.
var flowtable = contender{"nft_flowtable", "nftables with one masquerade rule and a flowtable in software", withFlowtable(byHand, false)}

// The gateways that are compared with it: with devices, and with a bridge as
// VSwitch.
var (
	flowtableContenders = []contender{
		flowtable, // the first, since it may be that the kernel has none
		plainNFT,
		shortcutXDP,
		{"tc_device", "Sluice with limits and shortcut, but not in the driver; VSwitch and uplink are devices",
			ofSluice(withoutXDP, 0, 1, varied(withLimits, withShortcut))},
	}
	bridgedFlowtableContenders = append(bridged(),
		contender{"nft_flowtable_bridge", flowtable.what + "; the VSwitch is a bridge, and in the flowtable", withFlowtable(bridgedByHand, false)},
		contender{"nft_flowtable_port", flowtable.what + "; the VSwitch is a bridge, whose port is in the flowtable", withFlowtable(bridgedByHand, true)})
)

// natFlowtable measures nftables' own shortcut, where the kernel has it.
func natFlowtable(ctx context.Context, r *run) error {
	if !r.installed("nft") {
		return nil
	}
	size := r.natSize()
	const what = "1000 established SNAT flows, both ways"
	r.say("flowtables, %d rounds", size.rounds)
	err := r.withFlowtables(ctx, flowtableContenders, size, func(rates map[string][]float64) error {
		return errors.Join(
			r.report.addRatio("nat_pps_flowtable_over_nft", rates["nft_sluice"], rates["nft_flowtable"], what),
			r.report.addRatio("nat_pps_xdp_over_flowtable", rates["nft_flowtable"], rates["xdp"], what),
			r.report.addRatio("nat_pps_tc_device_over_flowtable", rates["nft_flowtable"], rates["tc_device"], what),
		)
	})
	if errors.Is(err, errNoFlowtable) {
		r.say("flowtable: left out: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	r.say("flowtables with a bridge as VSwitch, %d rounds", size.rounds)
	return r.withFlowtables(ctx, bridgedFlowtableContenders, size, func(rates map[string][]float64) error {
		const what = what + "; the VSwitch is a bridge"
		return errors.Join(
			r.report.addRatio("nat_pps_flowtable_over_nft_bridge", rates["nft_bridge"], rates["nft_flowtable_bridge"], what),
			r.report.addRatio("nat_pps_tc_over_flowtable", rates["nft_flowtable_bridge"], rates["tc"], what),
			r.report.addRatio("nat_pps_tc_over_flowtable_port", rates["nft_flowtable_port"], rates["tc"], what),
		)
	})
}

// withFlowtables measures the contenders' rates, reports them, and has fn
// compare them.
func (r *run) withFlowtables(ctx context.Context, contenders []contender, size natSize, fn func(rates map[string][]float64) error) error {
	return r.withLineup(ctx, contenders, func(l *lineup) error {
		const flows = 1000
		if err := l.establish(ctx, flows); err != nil {
			return err
		}
		if err := l.checkOffloaded(flows); err != nil {
			return err
		}
		rates, err := l.rates(ctx, size.rounds, size.packets)
		if err != nil {
			return err
		}
		errs := []error{fn(rates)}
		for i, c := range l.contenders {
			if _, measured := r.report.figures["pps_"+c.name]; measured {
				continue // by another, where it has its part in ratios
			}
			errs = append(errs, r.report.add("pps_"+c.name, median(rates[c.name]), packets, c.what+"; "+lost(l.traffics[i])))
		}
		return errors.Join(errs...)
	})
}

// withFlowtable builds a router with a masquerade rule, and a flowtable with its
// uplink and its VSwitch, or the VSwitch's port.
func withFlowtable(router func(setUp func() error) builder, port bool) builder {
	return func(ctx context.Context, t *rig, g *gateway) error {
		if err := router(nftables(masqueradeRules))(ctx, t, g); err != nil {
			return err
		}
		inside := vswitchID
		if port {
			inside = g.port
		}
		err := lab.In(g.namespace, nftables(fmt.Sprintf(flowtableRules, inside, dataplane.UplinkName)))
		if err != nil {
			return fmt.Errorf("%w: %w", errNoFlowtable, err)
		}
		return nil
	}
}

// flowtableRules have two links.
const flowtableRules = `table ip fast {
	flowtable established {
		hook ingress priority filter; devices = { "%s", "%s" };
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established meta l4proto { tcp, udp } flow add @established
	}
}
`

// checkOffloaded fails unless conntrack has left all flows to a flowtable where
// there is one, and none where there is none.
func (l *lineup) checkOffloaded(flows int) error {
	for i, c := range l.contenders {
		// What was not used for half a minute is there again with the next packet.
		if _, err := l.traffics[i].send(flows); err != nil {
			return err
		}
		got, err := l.gateways[i].offloaded()
		if err != nil {
			return err
		}
		want := 0
		if strings.Contains(c.name, "flowtable") {
			want = flows
		}
		if got != want {
			return fmt.Errorf("%s: %d flows are in a flowtable, not %d", c.name, got, want)
		}
	}
	return nil
}

// offloaded counts the connections of a gateway that are in a flowtable.
func (g *gateway) offloaded() (n int, err error) {
	const statusOffload = 1 << 14 // IPS_OFFLOAD, linux/netfilter/nf_conntrack_common.h
	c, err := conntrack.Dial(&netlink.Config{NetNS: int(g.ns)})
	if err != nil {
		return 0, fmt.Errorf("open conntrack of gateway %s: %w", g.id, err)
	}
	defer c.Close()
	all, err := c.Dump(nil)
	if err != nil {
		return 0, fmt.Errorf("list the connections of gateway %s: %w", g.id, err)
	}
	for _, f := range all {
		if f.Status.Value&statusOffload != 0 {
			n++
		}
	}
	return n, nil
}
