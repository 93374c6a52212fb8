package main

import (
	"context"
	"fmt"
	"time"

	"sluice/test/terraform"
)

// terraformWorkers is how many resources Terraform works on at the same time, unless it
// is told another number.
const terraformWorkers = 10

// appliesForty measures how long it takes to make what Terraform's provider made of a
// configuration of forty resources, by its calls, without its own pauses between them.
func appliesForty(ctx context.Context, r *run) error {
	rounds := 7
	if r.quick {
		rounds = 1
	}
	recording, err := terraform.Forty()
	if err != nil {
		return err
	}
	s, err := r.theSite(ctx)
	if err != nil {
		return err
	}
	apply := recording.Step("apply")
	calls := 0
	for _, x := range apply.Resources {
		calls += len(x.Calls)
	}
	r.say("making the forty resources of a Terraform configuration, %d times", rounds)
	var took []float64
	for range rounds {
		replay := &terraform.Replay{Call: s.client.Call, Workers: terraformWorkers, StatesOnly: true, Patience: time.Minute}
		began := time.Now()
		if err := replay.Run(ctx, apply); err != nil {
			return err
		}
		took = append(took, time.Since(began).Seconds())
		replay.Workers = 0 // the recording's order has what depends on what
		for _, next := range []string{"update", "destroy"} {
			if err := replay.Run(ctx, recording.Step(next)); err != nil {
				return err
			}
		}
	}
	return r.report.add("tofu_apply_40_s", median(took), seconds,
		fmt.Sprintf("%d calls of the provider for %d resources, %d of them at the same time, to the last one Available; median of %d, worst %.2f",
			calls, len(apply.Resources), terraformWorkers, rounds, quantile(took, 1)))
}
