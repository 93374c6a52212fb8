package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"sluice/dataplane"
)

// limitsApply measures what the dataplane takes to follow another bandwidth of an elastic
// IP, of which there are a thousand.
func limitsApply(ctx context.Context, r *run) error {
	const limited = 1000
	changes := 500
	if r.quick {
		changes = 50
	}
	r.say("another bandwidth of one of %d elastic IPs, %d times", limited, changes)
	return r.withRig(ctx, func(t *rig) (err error) {
		revision := int64(1)
		network := func(changed int) func(*dataplane.Network) {
			return func(n *dataplane.Network) {
				n.Elastic, n.Revision = nil, revision
				n.NATGateways = []dataplane.NATGateway{{ID: "ngw"}}
				first := netip.MustParseAddr("198.18.0.1")
				for i := range limited {
					a := after(first, i)
					n.Elastic = append(n.Elastic, a)
					n.Bandwidths = append(n.Bandwidths, dataplane.Bandwidth{ID: fmt.Sprintf("eip-%04d", i), Elastic: []netip.Addr{a}, Outbound: 5, Inbound: 10})
				}
				n.NATGateways[0].Elastic = n.Elastic
				n.SNAT = []dataplane.SNAT{{Source: switchPrefix, Pool: n.Elastic[:1]}}
				n.Uplink.Prefix = netip.MustParsePrefix("198.18.0.0/15")
				n.Uplink.Gateway = netip.MustParseAddr("198.19.255.254")
				if changed > 0 {
					n.Bandwidths[changed%limited].Outbound = 5 + changed/limited + changed%7
				}
			}
		}
		began := time.Now()
		g, err := t.newWiredGateway(ctx, onPublicBridge(network(0)))
		if err != nil {
			return err
		}
		first := time.Since(began)
		defer func() { err = g.close() }()
		var took []time.Duration
		for i := 1; i <= changes; i++ {
			revision++
			n := t.onBridge(g, network(i*37))
			began := time.Now()
			if err := elsewhere(func() error { _, err := g.counts.Apply(ctx, n); return err }); err != nil {
				return err
			}
			took = append(took, time.Since(began))
		}
		ms := milliseconds(took)
		return r.report.add("limits_1000_apply_ms", quantile(ms, 0.99), millis,
			fmt.Sprintf("p99 of %d, of the dataplane alone; median %.3g ms; all %d at first took %.3g s with the network", changes, median(ms), limited, first.Seconds()))
	})
}
