package state_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// TestChanges makes of each version of a network a later one by what is told of the
// changes between them.
func TestChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	db := newDB(t)
	const network = "vpc-0"
	if err := db.Update(ctx, func(tx *state.Tx) error {
		tx.Put(&resource.VPC{Meta: resource.Meta{ID: network}})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	m := &model{}
	views := []*state.View{db.View()}
	step := func() {
		next := m.clone()
		if err := db.Update(ctx, func(tx *state.Tx) error { next.step(tx, r); return nil }); err != nil {
			t.Fatal(err)
		}
		m = next
		views = append(views, db.View())
	}
	steps := 100
	if testing.Short() {
		steps = 40
	}
	for range steps {
		step()
	}
	of := func(v *state.View) map[string]*resource.ForwardEntry {
		all := map[string]*resource.ForwardEntry{}
		for e := range v.ForwardEntries.By(state.ByVPC, network).All() {
			all[e.ID] = e
		}
		return all
	}
	known := 0
	compare := func(a, b *state.View) {
		list, ok := db.Changes(network, a.Revision, b.Revision)
		if !ok {
			return
		}
		known++
		have, want := of(a), of(b)
		for _, c := range list {
			if old, ok := c.Old.(*resource.ForwardEntry); ok && old.VPC == network {
				if have[old.ID] != old {
					t.Fatalf("%s was %+v, not %+v", old.ID, have[old.ID], old)
				}
				delete(have, old.ID)
			}
			if e, ok := c.New.(*resource.ForwardEntry); ok && e.VPC == network {
				have[e.ID] = e
			}
		}
		if len(have) != len(want) {
			t.Fatalf("the changes from %d to %d make %d entries, want %d", a.Revision, b.Revision, len(have), len(want))
		}
		for id, e := range want {
			if have[id] != e {
				t.Fatalf("the changes from %d to %d make %s %+v, want %+v", a.Revision, b.Revision, id, have[id], e)
			}
		}
	}
	for i := range views {
		for _, b := range views[i:] {
			compare(views[i], b)
		}
	}
	if want := len(views) * (len(views) + 1) / 2; known != want {
		t.Errorf("the changes between %d of %d pairs of versions are known", known, want)
	}

	// What is not remembered any more is not known; the newest always is.
	for range 1500 {
		step()
	}
	if _, ok := db.Changes(network, views[0].Revision, db.View().Revision); ok {
		t.Error("1,600 commits are remembered")
	}
	known = 0
	for _, a := range views[len(views)-200:] {
		compare(a, views[len(views)-1])
	}
	if known != 200 {
		t.Errorf("%d of the newest 200 versions are known", known)
	}

	// A change of something else may change anything.
	before := db.View().Revision
	if err := db.Update(ctx, func(tx *state.Tx) error {
		tx.PutAttributes(&resource.Account{Meta: resource.Meta{ID: "1"}})
		tx.Dirty(network)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, ok := db.Changes(network, before, db.View().Revision); ok {
		t.Error("the changes of a dirty network are known")
	}
	if list, ok := db.Changes(network, db.View().Revision, db.View().Revision); !ok || len(list) > 0 {
		t.Errorf("nothing has changed since: %v, %v", list, ok)
	}
}

// TestChangesOfAnotherVPC shows that nobody is told half of the changes of a VPC that
// was deleted, and made again.
func TestChangesOfAnotherVPC(t *testing.T) {
	db := newDB(t)
	update := func(f func(*state.Tx)) int64 {
		if err := db.Update(ctx, func(tx *state.Tx) error { f(tx); return nil }); err != nil {
			t.Fatal(err)
		}
		return db.View().Revision
	}
	vpc := func(tx *state.Tx) { tx.Put(&resource.VPC{Meta: resource.Meta{ID: "vpc-0"}}) }
	entry := func(tx *state.Tx) {
		tx.Put(&resource.ForwardEntry{Meta: resource.Meta{ID: fmt.Sprint("fwd-", tx.Revision())}, VPC: "vpc-0"})
	}
	first := update(func(tx *state.Tx) { vpc(tx); entry(tx) })
	update(func(tx *state.Tx) {
		for e := range tx.ForwardEntries.All() {
			tx.Delete(e)
			break
		}
		x, _ := tx.VPCs.Get("vpc-0")
		tx.Delete(x)
	})
	again := update(vpc)
	last := update(entry)
	if _, ok := db.Changes("vpc-0", first, last); ok {
		t.Error("the changes since before it was deleted are known")
	}
	if list, ok := db.Changes("vpc-0", again, last); !ok || len(list) != 1 {
		t.Errorf("since it was made again: %v, %v", list, ok)
	}
}

// TestLiveChange has the dataplane follow a change that leaves a resource as it is to its
// clients, and is told what has changed.
func TestLiveChange(t *testing.T) {
	db := newDB(t)
	e := &resource.ElasticIP{Meta: resource.Meta{ID: "eip-1"}, VPC: "vpc-0", Bandwidth: 5}
	update := func(f func(*state.Tx)) {
		t.Helper()
		if err := db.Update(ctx, func(tx *state.Tx) error { f(tx); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	update(func(tx *state.Tx) { tx.Put(&resource.VPC{Meta: resource.Meta{ID: "vpc-0"}}); tx.Put(e) })
	before := db.View().Revision
	db.Observed.Report("vpc-0", before, nil, time.Time{})
	faster := e.Clone().(*resource.ElasticIP)
	faster.Bandwidth = 6
	update(func(tx *state.Tx) { tx.PutLive(faster) })
	list, known := db.Changes("vpc-0", before, db.View().Revision)
	if !known || len(list) != 1 || list[0].Old != e || list[0].New != faster {
		t.Errorf("changes %v, known %t", list, known)
	}
	if db.Observed.Settled("vpc-0") || faster.Phase(before) != resource.Ready {
		t.Errorf("settled %t, phase %v", db.Observed.Settled("vpc-0"), faster.Phase(before))
	}
}
