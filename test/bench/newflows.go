package main

import (
	"context"
	"errors"
	"fmt"

	"sluice/test/lab"
)

// natNewFlows measures SNAT connections that begin: every packet is the first of
// one.
func natNewFlows(ctx context.Context, r *run) error {
	rounds, fresh := 15, 30_000
	if r.quick {
		rounds, fresh = 2, 10_000
	}
	r.say("new connections, %d rounds", rounds)
	limited := contender{"limits", "Sluice with limits out of reach, without the shortcut", ofSluice(withPrograms, 0, 1, withLimits)}
	contenders := []contender{plainNFT, limited, shortcutXDP}
	if r.haveTCX() {
		contenders = append(contenders, insertFloor, keepFloor, emptyFloor)
	}
	return r.withLineup(ctx, contenders, func(l *lineup) error {
		var slots []slot
		for _, g := range l.gateways {
			t, err := newTraffic(g, reckoned(snatRequests(g.links), fresh), nil)
			if err != nil {
				return err
			}
			l.traffics = append(l.traffics, t)
			slots = append(slots, func() (float64, error) { return t.freshRate(fresh) })
		}
		values, err := alternate(ctx, rounds, slots...)
		if err != nil {
			return err
		}
		const what = "each packet opens an SNAT connection"
		errs := []error{
			r.report.addRatio("cps_limits_over_none", values[0], values[1], what),
			r.report.addRatio("cps_xdp_over_none", values[0], values[2], what),
		}
		for i, c := range l.contenders[3:] {
			errs = append(errs, r.report.addRatio("cps_"+c.name+"_over_none", values[0], values[3+i], floored(what)))
		}
		for i, c := range l.contenders {
			errs = append(errs, r.report.add("cps_"+c.name, median(values[i]), perSecond, c.what+"; "+lost(l.traffics[i])))
		}
		return errors.Join(errs...)
	})
}

// natCount measures connections that begin while 20,000 are open and nftables
// watches how many there are, and of Sluice, and of what watches nothing.
func natCount(ctx context.Context, r *run) error {
	if !r.installed("nft") {
		return nil
	}
	limited := contender{"limits", "Sluice with limits out of reach, without the shortcut", ofSluice(withPrograms, 0, 1, withLimits)}
	const what = "each packet opens an SNAT connection beside those that are open"
	values, notes, err := r.besideCount(ctx, limited)
	if err != nil {
		return err
	}
	err = errors.Join(
		r.report.addRatio("cps_over_ct_count_20k", values[0], values[1], what),
		r.report.add("cps_ct_count_20k", median(values[0]), perSecond, notes[0]),
		r.report.add("cps_limits_20k", median(values[1]), perSecond, notes[1]),
	)
	if err != nil {
		return err
	}
	// Not in the same turns: conntrack has one table for all, where connections of
	// a third gateway slow the other two down, and not by the same share.
	values, notes, err = r.besideCount(ctx, plainNFT)
	if err != nil {
		return err
	}
	return errors.Join(
		r.report.addRatio("cps_none_over_ct_count_20k", values[0], values[1], floored(what)),
		r.report.add("cps_nft_sluice_20k", median(values[1]), perSecond, notes[1]),
	)
}

// besideCount measures nftables' rule and a contender, and returns the rates and
// how they came about. None of the new connections is forgotten: they are few
// beside those that were open.
func (r *run) besideCount(ctx context.Context, c contender) (values [][]float64, notes []string, err error) {
	const open = 20_000
	// So many that nftables counts all connections dozens of times in a slot (it
	// does so once a timer tick), and the other takes long enough to be timed.
	rounds, fresh := 4, []int{500, 5000}
	if r.quick {
		rounds = 1
	}
	counted := contender{"ct_count", "Sluice's translation by nftables, and a rule with ct count", countingBuilder}
	r.say("new connections beside %d open ones, %d rounds", open, rounds)
	err = r.withLineup(ctx, []contender{counted, c}, func(l *lineup) error {
		if err := l.establish(ctx, open); err != nil {
			return err
		}
		l.closeTraffic()
		var slots []slot
		for i, g := range l.gateways {
			t, err := newTraffic(g, reckoned(snatRequests(g.links), 1_000_000), nil)
			if err != nil {
				return err
			}
			l.traffics = append(l.traffics, t)
			if err := t.out.goTo(open); err != nil {
				return err
			}
			slots = append(slots, func() (float64, error) { return t.rate(fresh[i]) })
		}
		values, err = alternate(ctx, rounds, slots...)
		for i, c := range l.contenders {
			notes = append(notes, fmt.Sprintf("%s; %d open, %d in the end; %s",
				c.what, open, open+(2*rounds+1)*fresh[i], lost(l.traffics[i])))
		}
		return err
	})
	return values, notes, err
}

// countingBuilder builds what somebody would add to nftables for a limit.
func countingBuilder(ctx context.Context, t *rig, g *gateway) error {
	if err := ofSluice(plain, 0, 1, nil)(ctx, t, g); err != nil {
		return err
	}
	return lab.In(g.namespace, nftables(ctCountRules))
}
