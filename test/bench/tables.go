package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sluice/dataplane"
)

// withTables gives a network as many VSwitches, the one that is measured among them, of which
// either each has a route table of its own or all have the main one. Each table has entries of
// its own beside the way out.
func withTables(switches int, own bool) func(*dataplane.Network) {
	return func(n *dataplane.Network) {
		routes := slices.Clone(n.Routes)
		next := dataplane.NextHop{Via: after(firstHost, 1)}
		for i := range 20 {
			routes = append(routes, dataplane.Route{Destination: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 20, byte(i), 0}), 24), NextHops: []dataplane.NextHop{next}})
		}
		slices.SortFunc(routes, func(a, b dataplane.Route) int {
			return a.Destination.Addr().Compare(b.Destination.Addr())
		})
		n.Routes = routes
		for i := 1; i < switches; i++ {
			at := netip.AddrFrom4([4]byte{10, 0, byte(128 + i), 0})
			n.Switches = append(n.Switches, dataplane.Switch{ID: fmt.Sprintf("vsw-t%02d", i), Prefix: netip.PrefixFrom(at, 24), Gateway: after(at, 253),
				Attachment: dataplane.Attachment{Kind: dataplane.AttachBridge}})
		}
		for i, sw := range n.Switches {
			if own {
				// The one that is measured is the last.
				n.Tables = append(n.Tables, dataplane.RouteTable{ID: fmt.Sprintf("vtb-%02d", switches-i), Switches: []string{sw.ID}, Routes: routes})
			}
		}
		slices.SortFunc(n.Tables, func(a, b dataplane.RouteTable) int { return strings.Compare(a.ID, b.ID) })
		first := n.Switches[0]
		slices.SortFunc(n.Switches, func(a, b dataplane.Switch) int { return strings.Compare(a.ID, b.ID) })
		if n.Switches[0] != first {
			panic("the VSwitch that is measured has to be the first")
		}
	}
}

// tableRates measures open flows of a VSwitch whose route table is one of ten, beside one
// that shares the main one with nine others: by the shortcut, and without it.
func tableRates(ctx context.Context, r *run) error {
	size := r.natSize()
	const switches = 10
	of := func(what string, own bool, vary ...func(*dataplane.Network)) contender {
		return contender{what: what, build: ofSluice(withPrograms, 0, 1, varied(append(vary, withLimits, withTables(switches, own))...))}
	}
	contenders := []contender{
		of("Sluice with the shortcut, ten VSwitches of one route table", false, withShortcut),
		of("the same, each of one of its own", true, withShortcut),
		of("Sluice without the shortcut, ten VSwitches of one route table", false),
		of("the same, each of one of its own", true),
	}
	for i, name := range []string{"table_1", "tables_10", "table_1_kernel", "tables_10_kernel"} {
		contenders[i].name = name
	}
	r.say("route tables: %d gateways, %d rounds", len(contenders), size.rounds)
	return r.withLineup(ctx, contenders, func(l *lineup) error {
		if err := l.establish(ctx, 1000); err != nil {
			return err
		}
		rates, err := l.rates(ctx, size.rounds, size.packets)
		if err != nil {
			return err
		}
		const what = "1000 established SNAT flows, both ways"
		errs := []error{
			r.report.addRatio("rt_pps_10_tables_over_1", rates["table_1"], rates["tables_10"], what+", by the shortcut"),
			r.report.addRatio("rt_pps_kernel_10_tables_over_1", rates["table_1_kernel"], rates["tables_10_kernel"], what+", without the shortcut"),
		}
		for i, c := range l.contenders {
			errs = append(errs, r.report.add("pps_"+c.name, median(rates[c.name]), packets, c.what+"; "+lost(l.traffics[i])))
		}
		return errors.Join(errs...)
	})
}
