package main

import (
	"context"
	"errors"
	"fmt"
)

// forwardSize says how much is sent.
type forwardSize struct {
	rounds  int // of two slots for each side
	packets int // a slot and direction
	fresh   int // new flows, a slot and direction
}

// forwarding measures the packets that a network with many entries forwards,
// over those of a network with one entry of each kind. Both are up all the
// time and have their turns; a ratio is taken of slots that follow one another.
//
// Each slot sends packets of 500 SNAT flows and 500 DNAT flows, both ways. In
// the second part every packet is the first of a new flow.
func forwarding(ctx context.Context, r *run) error {
	size := forwardSize{rounds: 20, packets: 40_000, fresh: 30_000}
	if r.quick {
		size = forwardSize{rounds: 3, packets: 20_000, fresh: 10_000}
	}
	r.say("building networks with %d and %d DNAT entries", 1, manyDNAT)
	return r.withRig(ctx, func(t *rig) (err error) {
		var sides []*gateway
		defer func() { err = errors.Join(err, closeAll(sides)) }()
		for _, build := range []builder{ofSluice(withPrograms, 1, 1, nil), ofSluice(withPrograms, manyDNAT, manySNAT, nil)} {
			g, err := t.newGateway(ctx, build)
			if err != nil {
				return err
			}
			sides = append(sides, g)
		}
		release, err := r.pinSender()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
		r.say("forwarding packets, %d rounds of each kind", size.rounds)
		if err := openFlowRates(ctx, r, size, sides); err != nil {
			return err
		}
		return newFlowRates(ctx, r, size, sides)
	})
}

// openFlowRates measures packets of connections that are established.
func openFlowRates(ctx context.Context, r *run, size forwardSize, sides []*gateway) error {
	var slots []slot
	var all []*traffic
	for _, g := range sides {
		out, in := openFlows(g.links, g.entries)
		t, err := newTraffic(g, stored(out), stored(in))
		if err != nil {
			return err
		}
		defer t.close()
		t.inFirst = true
		if err := t.establish(ctx); err != nil {
			return err
		}
		all = append(all, t)
		slots = append(slots, func() (float64, error) { return t.rate(size.packets) })
	}
	return reportEntries(ctx, r, size, slots, all, "pps", packets, "established flows, 500 SNAT and 500 DNAT")
}

// newFlowRates measures connections that begin. The connections of a slot are
// forgotten before the next one, outside the time that counts.
func newFlowRates(ctx context.Context, r *run, size forwardSize, sides []*gateway) error {
	var slots []slot
	var all []*traffic
	for _, g := range sides {
		out, in := newFlows(g.links, size.fresh, g.entries)
		t, err := newTraffic(g, stored(out), stored(in))
		if err != nil {
			return err
		}
		defer t.close()
		all = append(all, t)
		slots = append(slots, func() (float64, error) { return t.freshRate(size.fresh) })
	}
	return reportEntries(ctx, r, size, slots, all, "cps", perSecond, "each packet opens a connection, half SNAT and half DNAT")
}

// freshRate sends n packets each way, each the first of a flow, and returns how
// many came through in a second. Before and after, the gateway is without
// connections.
func (t *traffic) freshRate(n int) (float64, error) {
	if err := t.gateway.forget(); err != nil {
		return 0, err
	}
	for _, g := range []*generator{t.out, t.in} {
		if g == nil {
			continue
		}
		if err := g.rewind(); err != nil {
			return 0, err
		}
	}
	v, err := t.rate(n)
	return v, errors.Join(err, t.gateway.forget())
}

func reportEntries(ctx context.Context, r *run, size forwardSize, slots []slot, all []*traffic, name, unit, what string) error {
	values, err := alternate(ctx, size.rounds, slots...)
	if err != nil {
		return err
	}
	return errors.Join(
		r.report.addRatio(name+"_10k_over_1", values[0], values[1], what),
		r.report.add(name+"_1", median(values[0]), unit, "1 DNAT and 1 SNAT entry; "+lost(all...)),
		r.report.add(name+"_10k", median(values[1]), unit, fmt.Sprintf("%d DNAT and %d SNAT entries", manyDNAT, manySNAT)),
	)
}

// lost says how many packets were, in the worst slot of any.
func lost(all ...*traffic) string {
	worst := 0.0
	for _, t := range all {
		worst = max(worst, t.loss)
	}
	return fmt.Sprintf("at most %.2f %% lost", 100*worst)
}
