package main

import (
	"context"
	"errors"
	"fmt"
)

// contender is one of the gateways that are compared.
type contender struct {
	name  string // in the names of figures
	what  string
	build builder
}

// Contenders that several measurements have.
var (
	plainNFT = contender{"nft_sluice", "nftables alone, as Sluice programs it, without its BPF programs but the egress filter",
		ofSluice(plain, 0, 1, nil)}
	shortcutXDP = contender{"xdp", "Sluice with limits and shortcut, VSwitch and uplink are devices",
		ofSluice(withPrograms, 0, 1, varied(withLimits, withShortcut))}
)

// lineup is a set of gateways with their traffic, in the order of contenders.
type lineup struct {
	contenders []contender
	gateways   []*gateway
	traffics   []*traffic
}

// newLineup builds the contenders' gateways.
func (t *rig) newLineup(ctx context.Context, contenders ...contender) (_ *lineup, err error) {
	l := &lineup{contenders: contenders}
	for _, c := range contenders {
		g, err := t.newGateway(ctx, c.build)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", c.name, err), l.close())
		}
		l.gateways = append(l.gateways, g)
	}
	return l, nil
}

// establish gives each gateway its number of open SNAT flows, the only one for
// all of them.
func (l *lineup) establish(ctx context.Context, flows ...int) error {
	l.closeTraffic()
	for i, g := range l.gateways {
		t, err := snatTraffic(g, flows[min(i, len(flows)-1)])
		if err != nil {
			return err
		}
		l.traffics = append(l.traffics, t)
		if err := t.establish(ctx); err != nil {
			return fmt.Errorf("%s: %w", l.contenders[i].name, err)
		}
	}
	return nil
}

// rates measures the gateways in turns by slots of n packets each way. The
// result is by the contenders' names.
func (l *lineup) rates(ctx context.Context, rounds, n int) (map[string][]float64, error) {
	var slots []slot
	for _, t := range l.traffics {
		slots = append(slots, func() (float64, error) { return t.rate(n) })
	}
	values, err := alternate(ctx, rounds, slots...)
	if err != nil {
		return nil, err
	}
	byName := map[string][]float64{}
	for i, c := range l.contenders {
		byName[c.name] = values[i]
	}
	return byName, nil
}

func (l *lineup) closeTraffic() {
	for _, t := range l.traffics {
		t.close()
	}
	l.traffics = nil
}

func (l *lineup) close() error {
	l.closeTraffic()
	return closeAll(l.gateways)
}

// natSize says how much is sent.
type natSize struct {
	rounds  int // of two slots for each side
	packets int // a slot and direction
}

func (r *run) natSize() natSize {
	if r.quick {
		return natSize{rounds: 2, packets: 20_000}
	}
	return natSize{rounds: 15, packets: 50_000}
}

// withLineup builds the contenders, binds the thread to a processor and has fn
// measure.
func (r *run) withLineup(ctx context.Context, contenders []contender, fn func(l *lineup) error) error {
	return r.withRig(ctx, func(t *rig) (err error) {
		l, err := t.newLineup(ctx, contenders...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.close()) }()
		release, err := r.pinSender()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
		return fn(l)
	})
}

// natContenders are those of natRates: plain nftables, the shortcut, what
// either is made of and the floors of that, and what somebody would have in
// place of Sluice.
func (r *run) natContenders() []contender {
	all := []contender{
		plainNFT,
		shortcutXDP,
		{"redirect", "an XDP program that sends each packet by the other link, as it is: the rig's own limit", redirector()},
		hashFloor, lineFloor,
		{"counted", "Sluice with counting and limits, without the shortcut", ofSluice(withPrograms, 0, 1, withLimits)},
	}
	if r.haveTCX() {
		all = append(all, emptyFloor, tallyFloor)
	}
	all = append(all, contender{"router", "the kernel's forwarding, no translation and no connections", untouching(byHand(func() error { return nil }))})
	if r.installed("nft") {
		all = append(all,
			contender{"nft_snat", "nftables with one snat rule", byHand(nftables(snatRules))},
			contender{"nft_masquerade", "nftables with one masquerade rule", byHand(nftables(masqueradeRules))})
	}
	if r.installed("iptables") {
		all = append(all, contender{"iptables_masquerade", "iptables with one MASQUERADE rule", byHand(iptablesMasquerade)})
	}
	return all
}

// natRates measures established SNAT flows through the shortcut in XDP, beside
// plain nftables, the limit of the rig, and what else there is.
func natRates(ctx context.Context, r *run) error {
	size := r.natSize()
	contenders := r.natContenders()
	r.say("NAT: %d gateways, %d rounds", len(contenders), size.rounds)
	err := r.withLineup(ctx, contenders, func(l *lineup) error {
		if err := l.establish(ctx, 1000); err != nil {
			return err
		}
		rates, err := l.rates(ctx, size.rounds, size.packets)
		if err != nil {
			return err
		}
		const what = "1000 established SNAT flows, both ways"
		errs := []error{
			r.report.addRatio("nat_pps_xdp_over_nft", rates["nft_sluice"], rates["xdp"], what),
			r.report.addRatio("nat_pps_xdp_over_redirect", rates["redirect"], rates["xdp"], what),
			r.report.addRatio("nat_pps_hash_over_redirect", rates["redirect"], rates["hash"], floored(what)),
			r.report.addRatio("nat_pps_line_over_redirect", rates["redirect"], rates["line"], floored(what)),
			r.addOverhead("count_overhead_pct", rates["nft_sluice"], rates["counted"], what),
		}
		for _, name := range []string{"empty", "tally"} {
			if floor, ok := rates[name]; ok {
				errs = append(errs, r.addOverhead("count_"+name+"_pct", rates["nft_sluice"], floor, floored(what)))
			}
		}
		for i, c := range l.contenders {
			errs = append(errs, r.report.add("pps_"+c.name, median(rates[c.name]), packets, c.what+"; "+lost(l.traffics[i])))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return err
	}
	return r.withLineup(ctx, contenders[:2], func(l *lineup) error {
		const flows = 50_000
		if err := l.establish(ctx, flows); err != nil {
			return err
		}
		rates, err := l.rates(ctx, size.rounds, size.packets)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("%d established SNAT flows, both ways", flows)
		return errors.Join(
			r.report.addRatio("nat_pps_xdp_over_nft_50k", rates["nft_sluice"], rates["xdp"], what),
			r.report.add("pps_nft_sluice_50k", median(rates["nft_sluice"]), packets, what+"; "+lost(l.traffics[0])),
			r.report.add("pps_xdp_50k", median(rates["xdp"]), packets, what+"; "+lost(l.traffics[1])),
		)
	})
}

// addOverhead takes the share of the rate that is lost, in percent.
func (r *run) addOverhead(name string, without, with []float64, what string) error {
	ratios := pairRatios(without, with)
	return r.report.add(name, 100*(1-median(ratios)), percent, "of the rate; ratio "+compared(ratios, what))
}

// natTC measures the same where hosts are plugged into a bridge, which XDP does
// not serve.
func natTC(ctx context.Context, r *run) error {
	size := r.natSize()
	r.say("NAT with a bridge as VSwitch, %d rounds", size.rounds)
	return r.withLineup(ctx, bridged(), func(l *lineup) error {
		if err := l.establish(ctx, 1000); err != nil {
			return err
		}
		rates, err := l.rates(ctx, size.rounds, size.packets)
		if err != nil {
			return err
		}
		errs := []error{r.report.addRatio("nat_pps_tc_over_nft", rates["nft_bridge"], rates["tc"],
			"1000 established SNAT flows, both ways; the VSwitch is a bridge")}
		for i, c := range l.contenders {
			errs = append(errs, r.report.add("pps_"+c.name, median(rates[c.name]), packets, c.what+"; "+lost(l.traffics[i])))
		}
		return errors.Join(errs...)
	})
}

// bridged are plain nftables and the shortcut where the VSwitch is a bridge.
func bridged() []contender {
	return []contender{
		{"nft_bridge", plainNFT.what + "; the VSwitch is a bridge", ofSluice(plain, 0, 1, onBridge)},
		{"tc", "Sluice with limits and shortcut; the VSwitch is a bridge",
			ofSluice(withPrograms, 0, 1, varied(onBridge, withLimits, withShortcut))},
	}
}
