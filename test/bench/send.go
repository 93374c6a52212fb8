package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
)

// traffic is what is sent through a gateway: packets of flows that leave, and,
// where there are any, of flows that come in.
type traffic struct {
	gateway *gateway
	out, in *generator
	// inFirst is for flows that are opened from outside. Whose packet comes
	// first matters: a reply ahead of its request would be a connection of its
	// own, or dropped.
	inFirst bool
	loss    float64 // the greatest share of the packets of a slot that did not arrive
}

// packetsOf is a generator that has yet to be given a link.
type packetsOf func(ifindex int) (*generator, error)

func stored(flows []flow) packetsOf {
	return func(ifindex int) (*generator, error) { return newGenerator(flows, ifindex) }
}

func reckoned(s series, count int) packetsOf {
	return func(ifindex int) (*generator, error) { return newSeriesGenerator(s, count, ifindex) }
}

// newTraffic makes the generators of a gateway's traffic; in may be nil.
func newTraffic(g *gateway, out, in packetsOf) (_ *traffic, err error) {
	t := &traffic{gateway: g}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	for _, side := range []struct {
		generator **generator
		packets   packetsOf
		wire      *wire
	}{{&t.out, out, g.inside}, {&t.in, in, g.outside}} {
		if side.packets == nil {
			continue
		}
		dev, err := netlink.LinkByName(side.wire.outer)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", side.wire.outer, err)
		}
		if *side.generator, err = side.packets(dev.Attrs().Index); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// snatTraffic returns the traffic of the first n SNAT flows, both ways.
func snatTraffic(g *gateway, n int) (*traffic, error) {
	replies := snatReplies(g.links)
	if g.untouched {
		replies = plainReplies(g.links)
	}
	return newTraffic(g, reckoned(snatRequests(g.links), n), reckoned(replies, n))
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

// send sends n packets each way, and counts what comes through.
func (t *traffic) send(n int) (passed, error) {
	before, err := t.counts()
	if err != nil {
		return passed{}, err
	}
	began, sent := time.Now(), 0
	for _, g := range []*generator{t.out, t.in} {
		if g == nil {
			continue
		}
		if err := g.run(n); err != nil {
			return passed{}, err
		}
		sent += n
	}
	took := time.Since(began)
	now, err := t.counts()
	if err != nil {
		return passed{}, err
	}
	return passed{now.wanted - before.wanted, now.other - before.other, sent, took.Seconds()}, nil
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

// rate sends n packets each way and returns how many came through in a second.
func (t *traffic) rate(n int) (float64, error) {
	p, err := t.send(n)
	if err != nil {
		return 0, err
	}
	if p.other > 0 {
		return 0, fmt.Errorf("gateway %s: %d packets came through untranslated", t.gateway.id, p.other)
	}
	t.loss = max(t.loss, p.loss())
	return p.rate(), nil
}

// establishBatch is how many flows are made between two looks at the context.
const establishBatch = 100_000

// establish makes the connections of all flows anew, by two packets each way,
// and sees that packets then come through both ways.
func (t *traffic) establish(ctx context.Context) error {
	if err := t.gateway.forget(); err != nil {
		return err
	}
	turns := []*generator{t.out, t.in, t.out, t.in}
	if t.inFirst {
		turns = []*generator{t.in, t.out, t.in, t.out}
	}
	for start := 0; start < t.out.count; start += establishBatch {
		n := min(establishBatch, t.out.count-start)
		for _, g := range turns {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := errors.Join(g.goTo(start), g.run(n)); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(t.out.rewind(), t.in.rewind()); err != nil {
		return err
	}
	p, err := t.send(min(t.out.count, establishBatch))
	if err != nil {
		return err
	}
	if p.other != 0 || p.wanted == 0 || p.loss() > 0.01 {
		return fmt.Errorf("gateway %s: of %d packets %d came through as they should and %d otherwise, which is not what a gateway does",
			t.gateway.id, p.sent, p.wanted, p.other)
	}
	return nil
}
