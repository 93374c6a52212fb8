package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/vishvananda/netns"

	"sluice/test/lab"
)

// forwardSize says how much is sent.
type forwardSize struct {
	rounds  int // of four slots each, in the order A B B A
	packets int // a slot and direction
	fresh   int // new flows, a slot and direction
}

// forwarding measures the packets that a network with many entries forwards,
// over those of a network with one entry of each kind. Both are up all the
// time and have their turns; a ratio is taken of slots that follow one another.
//
// Each slot sends packets of 500 SNAT flows and 500 DNAT flows, both ways. In
// the second part every packet is the first of a new flow.
func forwarding(ctx context.Context, r *run) (err error) {
	size := forwardSize{rounds: 20, packets: 40_000, fresh: 30_000}
	if r.quick {
		size = forwardSize{rounds: 3, packets: 20_000, fresh: 10_000}
	}
	e, err := r.engine()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close(), r.removeForwarding(context.WithoutCancel(ctx))) }()
	root, err := netns.Get()
	if err != nil {
		return fmt.Errorf("find the network namespace of this process: %w", err)
	}
	defer root.Close()
	r.say("building networks with %d and %d DNAT entries", 1, manyDNAT)
	rig := r.name("rig")
	if err := createNamespace(rig); err != nil {
		return err
	}
	return lab.In(rig, func() (err error) {
		one, err := newGateway(ctx, e, root, rig, r.name("a"), 1, 1)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, one.close()) }()
		many, err := newGateway(ctx, e, root, rig, r.name("b"), manyDNAT, manySNAT)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, many.close()) }()
		release, err := pin()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
		r.say("forwarding packets, %d rounds of each kind", size.rounds)
		if err := openFlowRates(ctx, r, size, one, many); err != nil {
			return err
		}
		return newFlowRates(ctx, r, size, one, many)
	})
}

// openFlowRates measures packets of connections that are established.
func openFlowRates(ctx context.Context, r *run, size forwardSize, one, many *gateway) error {
	var sides [2]*traffic
	for i, g := range []*gateway{one, many} {
		out, in := openFlows(g.links, g.entries)
		t, err := newTraffic(g, out, in)
		if err != nil {
			return err
		}
		defer t.close()
		sides[i] = t
		if err := t.establish(); err != nil {
			return err
		}
	}
	rates, err := alternate(ctx, size.rounds, sides, func(t *traffic) (passed, error) { return t.send(size.packets) })
	if err != nil {
		return err
	}
	return rates.report(r.report, "pps", packets, "established flows, 500 SNAT and 500 DNAT")
}

// newFlowRates measures connections that begin. The connections of a slot are
// forgotten before the next one, outside the time that counts.
func newFlowRates(ctx context.Context, r *run, size forwardSize, one, many *gateway) error {
	var sides [2]*traffic
	for i, g := range []*gateway{one, many} {
		out, in := newFlows(g.links, size.fresh, g.entries)
		t, err := newTraffic(g, out, in)
		if err != nil {
			return err
		}
		defer t.close()
		sides[i] = t
	}
	rates, err := alternate(ctx, size.rounds, sides, func(t *traffic) (passed, error) {
		if err := errors.Join(t.gateway.forget(), t.out.rewind(), t.in.rewind()); err != nil {
			return passed{}, err
		}
		p, err := t.send(size.fresh)
		return p, errors.Join(err, t.gateway.forget())
	})
	if err != nil {
		return err
	}
	return rates.report(r.report, "cps", perSecond, "each packet opens a connection, half SNAT and half DNAT")
}

// establish makes the connections of all flows, and sees that packets then
// come through both ways.
func (t *traffic) establish() error {
	if err := t.gateway.forget(); err != nil {
		return err
	}
	// Requests from outside are first: a reply ahead of its request would open
	// a connection of its own, while one from outside is dropped.
	for _, g := range []*generator{t.in, t.out, t.in} {
		if err := g.run(2 * flowsEach); err != nil {
			return err
		}
	}
	p, err := t.send(2 * flowsEach)
	if err != nil {
		return err
	}
	if p.other != 0 || p.wanted == 0 || p.loss() > 0.01 {
		return fmt.Errorf("network %s: of %d packets %d came through translated and %d untranslated, which is not what a gateway does",
			t.gateway.id, p.sent, p.wanted, p.other)
	}
	return nil
}

// rates are the slots of a comparison, pairs at equal index.
type rates struct {
	of    [2][]float64
	loss  float64 // the greatest
	pairs int
}

// alternate measures two sides in the order A B B A, again and again.
func alternate(ctx context.Context, rounds int, sides [2]*traffic, slot func(*traffic) (passed, error)) (*rates, error) {
	r := &rates{}
	// The first of each is for the caches.
	for _, t := range sides {
		if _, err := slot(t); err != nil {
			return nil, err
		}
	}
	for range rounds {
		for _, side := range []int{0, 1, 1, 0} {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			p, err := slot(sides[side])
			if err != nil {
				return nil, err
			}
			if p.other > 0 {
				return nil, fmt.Errorf("network %s: %d packets came through untranslated", sides[side].gateway.id, p.other)
			}
			r.of[side] = append(r.of[side], p.rate())
			r.loss = math.Max(r.loss, p.loss())
		}
	}
	r.pairs = len(r.of[0])
	return r, nil
}

func (r *rates) report(to *report, name, unit, what string) error {
	ratios := pairRatios(r.of[0], r.of[1])
	return errors.Join(
		to.add(name+"_10k_over_1", median(ratios), ratio,
			fmt.Sprintf("median of %d pairs, quartiles %.3f to %.3f; %s", r.pairs, quantile(ratios, 0.25), quantile(ratios, 0.75), what)),
		to.add(name+"_1", median(r.of[0]), unit, fmt.Sprintf("1 DNAT and 1 SNAT entry; at most %.2f %% lost", 100*r.loss)),
		to.add(name+"_10k", median(r.of[1]), unit, fmt.Sprintf("%d DNAT and %d SNAT entries", manyDNAT, manySNAT)),
	)
}
