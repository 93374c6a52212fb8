package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"sluice/dataplane/link"
	"sluice/dataplane/networktest"
)

// appliesAgain counts what a second Apply changes: random networks, each over the one
// before, are applied, and then once more with everything read from the kernel.
func appliesAgain(ctx context.Context, r *run) (err error) {
	size := 2000
	if r.quick {
		size = 40
	}
	outside := networktest.Outside{Namespace: r.name("net"), Bridge: "net0", Prefix: netip.MustParsePrefix("203.0.113.0/24")}
	if err := createNamespace(outside.Namespace); err != nil {
		return err
	}
	if err := link.EnsureBridge(outside.Namespace, outside.Bridge, netip.MustParsePrefix("203.0.113.1/24")); err != nil {
		return err
	}
	e, err := r.engine(withPrograms)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close(), r.removeForwarding(context.WithoutCancel(ctx))) }()
	_, noVPN := e.VPNPath()
	const seed = 2
	random := rand.New(rand.NewPCG(seed, 0))
	r.say("applying %d random networks twice", size)
	first, again, worst, gateways := 0, 0, "", 0
	for i := range size {
		n := networktest.Random(random, r.name("again"), outside, noVPN == nil)
		if len(n.VPNGateways) > 0 {
			gateways++
		}
		made, err := e.Apply(ctx, n)
		if err != nil {
			return fmt.Errorf("network %d of seed %d: %w", i, seed, err)
		}
		first += made.Changes
		e.Invalidate(n.ID)
		more, err := e.Apply(ctx, n)
		if err != nil {
			return fmt.Errorf("network %d of seed %d, again: %w", i, seed, err)
		}
		if again += more.Changes; more.Changes > 0 && worst == "" {
			worst = fmt.Sprintf("; the first in network %d of seed %d", i, seed)
		}
	}
	return r.report.add("apply_again_changes", float64(again), count,
		fmt.Sprintf("%d networks, %d with a VPN gateway; the first Apply of each changed %d kernel objects in all%s", size, gateways, first, worst))
}
