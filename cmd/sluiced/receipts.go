package main

import (
	"context"
	"log/slog"
	"time"

	"sluice/controlplane/receipt"
	"sluice/controlplane/state"
)

// receiptSweep deletes receipts that have expired.
type receiptSweep struct {
	db    *state.DB
	log   *slog.Logger
	now   func() time.Time
	every time.Duration
}

// sweepBatch is how many receipts one transaction deletes, so that writes of
// clients don't have to wait long for it.
const sweepBatch = 500

// String names the task.
func (s *receiptSweep) String() string { return "receipt sweep" }

// Run sweeps until ctx ends. A sweep that fails is tried again at the next turn.
func (s *receiptSweep) Run(ctx context.Context) error {
	return repeat(ctx, s.every, func() {
		total := 0
		for n := sweepBatch; n == sweepBatch && ctx.Err() == nil; total += n {
			var err error
			if n, err = receipt.Sweep(ctx, s.db, s.now(), sweepBatch); err != nil {
				if ctx.Err() == nil {
					s.log.Warn("expired receipts cannot be deleted", "error", err)
				}
				break
			}
		}
		if total > 0 {
			s.log.Debug("expired receipts deleted", "number", total)
		}
	})
}

// repeat does something at each turn until ctx ends.
func repeat(ctx context.Context, every time.Duration, do func()) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			do()
		}
	}
}
