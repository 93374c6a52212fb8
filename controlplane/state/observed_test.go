package state_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

func TestObserved(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	db := newDB(t)
	o := db.Observed
	if !o.Settled("vpc-a") || o.Holds("vpc-a") || o.Applied("vpc-a") != 0 {
		t.Error("a network that nobody wants is not settled")
	}
	put(t, db, vpc("vpc-a"), vswitch("vsw-a", "vpc-a"))
	if o.Settled("vpc-a") || !o.Holds("vpc-a") || o.Applied("vpc-a") != 0 {
		t.Error("a change is settled before the dataplane has answered")
	}
	o.Report("vpc-a", 1, nil, at)
	if !o.Settled("vpc-a") || o.Applied("vpc-a") != 1 {
		t.Error("followed, and not settled")
	}

	put(t, db, vswitch("vsw-b", "vpc-a"))
	o.Report("vpc-a", 1, nil, at) // an audit of the old state
	if o.Settled("vpc-a") {
		t.Error("settled by a report of an older revision")
	}
	refusal := errors.New("no such device")
	o.Report("vpc-a", 2, refusal, at)
	if !o.Settled("vpc-a") || o.Applied("vpc-a") != 1 {
		t.Error("a refusal is an answer, and applies nothing")
	}
	if s := o.Status(); len(s) != 1 || s[0] != (state.NetworkStatus{Network: "vpc-a", Wanted: 2, Applied: 1, Error: "no such device", Since: at}) {
		t.Errorf("%+v", s)
	}
	o.Report("vpc-a", 2, nil, at.Add(time.Second))
	if s := o.Status(); s[0].Error != "" || s[0].Applied != 2 || !s[0].Since.Equal(at.Add(time.Second)) {
		t.Errorf("%+v", s)
	}
	o.Report("vpc-a", 1, nil, at) // late
	if o.Applied("vpc-a") != 2 {
		t.Error("a late report takes something back")
	}

	update(t, db, func(tx *state.Tx) { x, _ := tx.VSwitches.Get("vsw-b"); tx.Delete(x) })
	if !o.Deleting("vpc-a", resource.KindVSwitch) || o.Deleting("vpc-a", resource.KindRouteEntry) || o.Deleting("vpc-b", resource.KindVSwitch) {
		t.Error("what is being deleted")
	}
	o.Report("vpc-a", 3, refusal, at)
	if !o.Deleting("vpc-a", resource.KindVSwitch) {
		t.Error("a refused deletion counts as done")
	}
	o.Report("vpc-a", 3, nil, at)
	if o.Deleting("vpc-a", resource.KindVSwitch) {
		t.Error("a deletion that has been followed counts as under way")
	}
	put(t, db, vpc("vpc-b"))
	if s := o.Status(); len(s) != 2 || s[0].Network != "vpc-a" || s[1].Network != "vpc-b" {
		t.Errorf("%+v", s)
	}
	o.Forget("vpc-b", db.View().Revision)
	if o.Holds("vpc-b") || !o.Settled("vpc-b") {
		t.Error("forgotten, and there")
	}
}

func TestSettle(t *testing.T) {
	db := newDB(t)
	put(t, db, vpc("vpc-a"))
	done := make(chan bool)
	wait := func(ctx context.Context) { go func() { done <- db.Observed.Settle(ctx, "vpc-a") }() }

	wait(ctx)
	db.Observed.Report("vpc-b", 5, nil, time.Time{}) // another network's
	db.Observed.Report("vpc-a", 1, nil, time.Time{})
	if !<-done {
		t.Error("followed, and not settled")
	}
	wait(ctx)
	if !<-done {
		t.Error("waits although there is nothing to wait for")
	}

	put(t, db, vpc("vpc-a"))
	ended, cancel := context.WithCancel(ctx)
	wait(ended)
	cancel()
	if <-done {
		t.Error("settled by giving up")
	}
	wait(ctx)
	db.Observed.Forget("vpc-a", db.View().Revision)
	if !<-done {
		t.Error("waits for a network that is gone")
	}
}

// TestRestart opens a store anew: nothing is known of the kernel then, and
// everything is wanted.
func TestRestart(t *testing.T) {
	db, s := open(t, t.TempDir()+"/store.db")
	put(t, db, vpc("vpc-a"))
	put(t, db, vswitch("vsw-a", "vpc-a"))
	db.Observed.Report("vpc-a", 2, nil, time.Time{})
	again, err := state.Open(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := again.View().VSwitches.Get("vsw-a")
	if again.Observed.Settled("vpc-a") || x.Phase(again.Observed.Applied("vpc-a")) != resource.Creating {
		t.Error("after a restart something counts as applied")
	}
	again.Observed.Report("vpc-a", 2, nil, time.Time{})
	if !again.Observed.Settled("vpc-a") || x.Phase(again.Observed.Applied("vpc-a")) != resource.Ready {
		t.Error("adopted, and not settled")
	}
}
