package schema_test

import (
	"errors"
	"flag"
	"testing"
	"time"

	"sluice/controlplane/resource"
	"sluice/controlplane/schema"
	"sluice/controlplane/state"
	"sluice/controlplane/store/bolt"
	"sluice/controlplane/store/bolt/damage"
)

var damages = flag.Int("damages", 500, "how many random changes of records are made")

// opened does with a store what a start does.
func opened(path string) (err error) {
	s, err := bolt.Open(path, time.Second)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := schema.Upgrade(ctx, s, "here", func(int) (string, error) { return "", nil }, quiet); err != nil {
		return err
	}
	db, err := state.Open(ctx, s)
	if err != nil {
		return err
	}
	return db.View().Check()
}

// grown changes a store as a client does.
func grown(path string) (err error) {
	s, err := bolt.Open(path, time.Second)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	db, err := state.Open(ctx, s)
	if err != nil {
		return err
	}
	return db.Update(ctx, func(tx *state.Tx) error {
		for vpc := range db.View().VPCs.All() {
			named := vpc.Clone().(*resource.VPC)
			named.Name += "x"
			tx.PutAttributes(named)
		}
		for e := range db.View().ForwardEntries.All() {
			tx.Delete(e)
		}
		return nil
	})
}

// Whatever becomes of a record, a start does not believe it.
func TestDamagedRecords(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	believed, err := damage.Believed(t.TempDir(), "testdata/2/store.db", *damages, seed, grown, opened)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range believed[:min(len(believed), 10)] {
		t.Errorf("believed: %s", what)
	}
	if len(believed) > 0 {
		t.Errorf("%d of %d changes were believed (seed %d)", len(believed), *damages, seed)
	}
}
