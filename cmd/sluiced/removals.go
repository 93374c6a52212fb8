package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"sluice/config"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// refuseRemovals keeps a store that has lost networks, or that of another machine, from
// taking them down: what is marked and not wanted is removed, and of a data_dir that is
// not mounted, or a backup from before they were made, nothing is wanted. What was
// deleted the store knows. Whoever means to give the others up says so on the command
// line. Nor is a daemon started by another machine's name than that by which it has made
// what is here: nobody would look after it.
func refuseRemovals(v *state.View, dp kernel, c *config.Config) error {
	marked, err := dp.Networks()
	if err != nil {
		return err
	}
	var lost []string
	for _, id := range marked {
		n, there := v.Network(id)
		if there && n.Carrier() != c.Settings.Machine {
			return fmt.Errorf("network %s is on this machine, and in the store it belongs to machine %q, while the configuration calls this one %q; set machine to %[2]q",
				id, n.Carrier(), c.Settings.Machine)
		}
		if _, deleted := v.DeletedNetworks.Get(id); !there && !deleted {
			lost = append(lost, id)
		}
	}
	if len(lost) == 0 || c.AllowRemoval {
		return nil
	}
	store := "knows nothing of"
	if v.Revision <= 1 { // the first commit to a new store is its schema
		store = "is new, and knows nothing of"
	}
	return fmt.Errorf("the store in data_dir %s %s %d networks that %s/networks lists (%s, ...), not even that they were deleted: they would all be removed; mount the right data_dir, or restore the store from a newer backup, or, to give the networks up, start with --allow-removal once",
		c.DataDir, store, len(lost), c.RunDir, lost[0])
}

// deletedSweep forgets networks whose resources were deleted, and of which nothing is left
// on this machine.
type deletedSweep struct {
	db      *state.DB
	marked  func() ([]string, error) // networks of which there is something
	machine string
	log     *slog.Logger
	every   time.Duration
}

// String names the task.
func (s *deletedSweep) String() string { return "deleted network sweep" }

// Run sweeps until ctx ends. A sweep that fails is tried again at the next turn.
func (s *deletedSweep) Run(ctx context.Context) error {
	return repeat(ctx, s.every, func() {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("networks that were deleted cannot be forgotten", "error", err)
		}
	})
}

func (s *deletedSweep) sweep(ctx context.Context) error {
	if s.db.View().DeletedNetworks.Len() == 0 {
		return nil
	}
	marked, err := s.marked()
	if err != nil {
		return err
	}
	return s.db.Update(ctx, func(tx *state.Tx) error {
		var over []*resource.DeletedNetwork
		for d := range tx.DeletedNetworks.All() {
			// Of what this process is removing Observed knows, of what an earlier one has
			// left the marks tell.
			if d.Owner == s.machine && !s.db.Observed.Holds(d.ID) && !slices.Contains(marked, d.ID) && len(over) < sweepBatch {
				over = append(over, d)
			}
		}
		for _, d := range over {
			tx.Delete(d)
		}
		return nil
	})
}
