package main

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
)

// natMillion measures the shortcut with a million open flows, of which each
// packet is another one's, over a thousand; and how much memory they take.
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
	few, many := shortcutXDP, shortcutXDP
	few.name, many.name = "few", "many"
	r.say("NAT: opening %d flows, then %d rounds", flows, size.rounds)
	return r.withLineup(ctx, []contender{few, many}, func(l *lineup) error {
		empty, sessionErr := l.gateways[1].sessionMemory()
		if err := l.establish(ctx, 1000, flows); err != nil {
			return err
		}
		rates, err := l.rates(ctx, size.rounds, size.packets)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("%d established SNAT flows over 1000, both ways", flows)
		errs := []error{
			r.report.addRatio("nat_pps_xdp_1m_over_1k", rates["few"], rates["many"], what),
			r.report.add("pps_xdp_1m", median(rates["many"]), packets, many.what+"; "+lost(l.traffics[1])),
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
