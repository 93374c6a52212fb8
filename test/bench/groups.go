package main

import (
	"context"
	"errors"
	"net/netip"

	"sluice/dataplane"
)

// Size of the security group that is measured.
const (
	groupRules   = 1000
	groupMembers = hosts // addresses: of 100 interfaces with 10 each
)

// withGroup has a security group hold for all hosts that send: of its rules, in each direction,
// only the last one lets anything pass.
func withGroup(n *dataplane.Network) {
	p := dataplane.GroupPolicy{ID: "sg-bench"}
	for i := range groupRules - 1 {
		remote := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)}), 32)
		p.Egress = append(p.Egress, dataplane.GroupRule{Accept: i%2 == 0, Remotes: []netip.Prefix{remote},
			Services: []dataplane.GroupService{{Protocol: protocolUDP, First: uint16(1 + i), Last: uint16(1 + 2*i)}}})
	}
	p.Egress = append(p.Egress, dataplane.GroupRule{Accept: true, Remotes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, Services: []dataplane.GroupService{{}}})
	p.Ingress = p.Egress
	n.Policies = []dataplane.GroupPolicy{p}
	for i := range groupMembers {
		n.Members = append(n.Members, dataplane.GroupMember{Address: after(firstHost, i), Policy: p.ID})
	}
}

// groupRates measures what security groups cost: packets of open flows, with the shortcut, and
// connections that begin.
func groupRates(ctx context.Context, r *run) error {
	size, fresh := r.natSize(), 30_000
	if r.quick {
		fresh = 10_000
	}
	const shape = "Sluice with limits and shortcut; the VSwitch is a bridge"
	contenders := []contender{
		{"no_group", shape, ofSluice(withPrograms, 0, 1, varied(onBridge, withLimits, withShortcut))},
		{"group", shape + ", and a security group of 1,000 rules holds for 100 interfaces with 10 addresses each", ofSluice(withPrograms, 0, 1, varied(onBridge, withLimits, withShortcut, withGroup))},
	}
	r.say("security groups, %d rounds", size.rounds)
	return r.withLineup(ctx, contenders, func(l *lineup) error {
		if err := l.establish(ctx, 1000); err != nil {
			return err
		}
		rates, err := l.rates(ctx, size.rounds, size.packets)
		if err != nil {
			return err
		}
		errs := []error{r.report.addRatio("sg_pps_1k_rules_over_none", rates["no_group"], rates["group"], "1000 established SNAT flows, both ways")}
		for i, c := range contenders {
			errs = append(errs, r.report.add("pps_"+c.name, median(rates[c.name]), packets, c.what+"; "+lost(l.traffics[i])))
		}
		l.closeTraffic()
		var slots []slot
		for _, g := range l.gateways {
			t, err := newTraffic(g, reckoned(snatRequests(g.links), fresh), nil)
			if err != nil {
				return err
			}
			l.traffics = append(l.traffics, t)
			slots = append(slots, func() (float64, error) { return t.freshRate(fresh) })
		}
		values, err := alternate(ctx, size.rounds, slots...)
		if err != nil {
			return err
		}
		errs = append(errs, r.report.addRatio("sg_cps_1k_rules_over_none", values[0], values[1], "each packet opens an SNAT connection"))
		for i, c := range contenders {
			errs = append(errs, r.report.add("cps_"+c.name, median(values[i]), perSecond, c.what+"; "+lost(l.traffics[i])))
		}
		return errors.Join(errs...)
	})
}
