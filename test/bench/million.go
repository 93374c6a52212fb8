package main

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
)

// natMillion measures the shortcut and its floors with a million open flows, of
// which each packet is another one's, over a thousand; and how much memory the
// shortcut takes for them.
func natMillion(ctx context.Context, r *run) (err error) {
	size, flows := r.natSize(), 1_000_000
	if r.quick {
		flows = 200_000
	}
	// Tables of sessions are made for as many: the next power of two is what
	// the kernel makes of their buckets anyway.
	if err := r.roomForConnections(1 << bits.Len(uint(flows))); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.restoreSettings()) }()
	kinds := []contender{shortcutXDP, hashFloor, lineFloor}
	var contenders []contender
	var open []int // flows, in the order of contenders
	for _, c := range kinds {
		few, many := c, c
		few.name, many.name = c.name+"_1k", c.name+"_1m"
		contenders, open = append(contenders, few, many), append(open, 1000, flows)
	}
	r.say("NAT: opening %d flows, then %d rounds", flows, size.rounds)
	return r.withLineup(ctx, contenders, func(l *lineup) error {
		empty, sessionErr := l.gateways[1].sessionMemory()
		if err := l.establish(ctx, open...); err != nil {
			return err
		}
		rates, err := l.rates(ctx, size.rounds, size.packets)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("%d established SNAT flows over 1000, both ways", flows)
		var errs []error
		for i, c := range kinds {
			many, note := rates[c.name+"_1m"], what
			if i > 0 {
				note = floored(what)
			}
			errs = append(errs,
				r.report.addRatio("nat_pps_"+c.name+"_1m_over_1k", rates[c.name+"_1k"], many, note),
				r.report.add("pps_"+c.name+"_1m", median(many), packets, c.what+"; "+lost(l.traffics[2*i+1])))
		}
		if errors.Is(sessionErr, errNoSessions) {
			r.say("session_bytes: left out: %v", sessionErr)
			return errors.Join(errs...)
		}
		full, err := l.gateways[1].sessionMemory()
		return errors.Join(append(errs, sessionErr, err, r.report.add("session_bytes", float64(full)/float64(flows), octets,
			fmt.Sprintf("all BPF maps of the gateway at %d open sessions, %d bytes; %d bytes with none", flows, full, empty)))...)
	})
}
