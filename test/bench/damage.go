package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"sluice/controlplane/resource"
	"sluice/controlplane/schema"
	"sluice/controlplane/state"
	"sluice/controlplane/store/bolt"
	"sluice/controlplane/store/bolt/damage"
)

// storedFile is a store with resources of every kind, from the repository's root.
const storedFile = "controlplane/schema/testdata/2/store.db"

// corruptRecords counts the random changes of records with which a daemon would start.
func corruptRecords(ctx context.Context, r *run) (err error) {
	changes := 10_000
	if r.quick {
		changes = 500
	}
	dir, err := os.MkdirTemp("", "bench-damage")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	open := func(path string, then func(*state.DB) error) (err error) {
		s, err := bolt.Open(path, time.Second)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		backup := func(int) (string, error) { return "", nil }
		if err := schema.Upgrade(ctx, s, "bench", backup, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
		db, err := state.Open(ctx, s)
		if err != nil {
			return err
		}
		return then(db)
	}
	rename := func(db *state.DB) error {
		return db.Update(ctx, func(tx *state.Tx) error {
			for vpc := range db.View().VPCs.All() {
				named := vpc.Clone().(*resource.VPC)
				named.Name += "x"
				tx.PutAttributes(named)
			}
			return nil
		})
	}
	seed := uint64(time.Now().UnixNano())
	r.say("changing records of a store behind its back, %d times", changes)
	believed, err := damage.Believed(dir, storedFile, changes, seed,
		func(path string) error { return open(path, rename) },
		func(path string) error { return open(path, func(db *state.DB) error { return db.View().Check() }) })
	if err != nil {
		return err
	}
	for _, what := range believed[:min(len(believed), 5)] {
		r.say("believed: %s", what)
	}
	return r.report.add("corrupt_records_believed", float64(len(believed)), count,
		fmt.Sprintf("of %d random changes of a record each (bytes, places, missing, again, as it was before), with which a start went on; seed %d", changes, seed))
}
