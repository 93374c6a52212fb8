package state_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/store"
	"sluice/controlplane/store/bolt"
	"sluice/controlplane/store/memory"
	"sluice/controlplane/store/storetest"
)

// content is what the store holds at a revision.
type content struct {
	entries *model
	vpcs    map[string]int64 // id → revision that made it
}

func (c content) check(t *testing.T, v *state.View) {
	t.Helper()
	c.entries.check(t, v)
	made := map[string]int64{}
	for x := range v.VPCs.All() {
		made[x.ID] = x.Created
	}
	if !maps.Equal(made, c.vpcs) {
		t.Fatalf("revision %d: VPCs %v, want %v", v.Revision, made, c.vpcs)
	}
}

// contest is two control planes that write to one store, and what has to be there at
// each revision, whoever made it.
type contest struct {
	t     *testing.T
	other *state.DB

	mu   sync.Mutex // over a commit and its content
	at   []content  // by revision
	rand *rand.Rand // the rival's

	// What the dataplane has to be told of each network: the newest revision that it
	// has to follow, and at which a DNAT entry was deleted.
	touched, deleted map[string]int64
}

// witness is a writer's store: what that commits becomes the contest's content.
type witness struct {
	store.Store
	c    *contest
	lock bool
	next content
}

func (w *witness) Commit(ctx context.Context, base int64, writes []store.Write) (int64, error) {
	if w.lock {
		w.c.mu.Lock()
		defer w.c.mu.Unlock()
	}
	rev, err := w.Store.Commit(ctx, base, writes)
	if err == nil {
		w.c.commit(w.next)
	}
	return rev, err
}

// commit notes the content of the next revision. c.mu is held.
func (c *contest) commit(next content) {
	before, rev := c.at[len(c.at)-1], int64(len(c.at))
	touch := func(m map[string]int64, network string) {
		if before.vpcs[network] != 0 || next.vpcs[network] != 0 {
			m[network] = rev
		}
	}
	for id := range before.vpcs {
		if next.vpcs[id] != before.vpcs[id] {
			touch(c.touched, id)
		}
	}
	for id, made := range next.vpcs {
		if made == rev {
			touch(c.touched, id)
		}
	}
	for _, e := range before.entries.list {
		switch i := next.entries.find(e.ID); {
		case i < 0, next.entries.list[i].Created != e.Created:
			touch(c.touched, e.VPC)
			touch(c.deleted, e.VPC)
		case next.entries.list[i].VPC != e.VPC:
			touch(c.touched, e.VPC)
		}
	}
	for _, e := range next.entries.list {
		if e.Generation == rev {
			touch(c.touched, e.VPC)
		}
	}
	c.at = append(c.at, next)
}

// change makes some random changes in a transaction, and returns what is there then.
func (c *contest) change(tx *state.Tx, r *rand.Rand, before content) content {
	before.check(c.t, tx.View)
	next := content{before.entries.clone(), maps.Clone(before.vpcs)}
	if id := fmt.Sprint("vpc-", r.IntN(2)); r.IntN(4) == 0 {
		if x, ok := tx.VPCs.Get(id); ok && r.IntN(2) == 0 {
			tx.Delete(x)
			delete(next.vpcs, id)
		} else if !ok {
			tx.Put(vpc(id))
			next.vpcs[id] = tx.Revision()
		}
	}
	next.entries.step(tx, r)
	next.check(c.t, tx.View)
	return next
}

// act is what the rival does between two steps: nothing, a change, a burst of them, or
// an entry deleted and made again as it was.
func (c *contest) act(w *witness) func(string) {
	write := func(fn func(*state.Tx, content) content) {
		if err := c.other.Update(ctx, func(tx *state.Tx) error {
			w.next = fn(tx, c.at[tx.Revision()-1])
			return nil
		}); err != nil {
			c.t.Error(err)
		}
	}
	change := func(tx *state.Tx, before content) content { return c.change(tx, c.rand, before) }
	return func(step string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if strings.Contains(step, "Watch") && c.rand.IntN(4) > 0 {
			return // else what it does would make for ever more watches
		}
		switch c.rand.IntN(8) {
		case 0, 1:
			write(change)
		case 2:
			for range c.rand.IntN(12) {
				write(change)
			}
		case 3:
			list := c.at[len(c.at)-1].entries.list
			if len(list) == 0 {
				return
			}
			e := list[c.rand.IntN(len(list))].Clone().(*resource.ForwardEntry)
			write(func(tx *state.Tx, before content) content {
				tx.Delete(e)
				next := content{before.entries.clone(), before.vpcs}
				if i := next.entries.find(e.ID); i >= 0 { // else it is decided anew
					next.entries.list = slices.Delete(next.entries.list, i, i+1)
				}
				return next
			})
			write(func(tx *state.Tx, before content) content {
				e.Created = 0
				tx.Put(e)
				next := content{before.entries.clone(), before.vpcs}
				next.entries.list = append(next.entries.list, e.Clone().(*resource.ForwardEntry))
				return next
			})
		}
	}
}

// TestRival has another control plane write between any two steps of this one's store:
// before and after each load and commit, single changes, bursts, entries deleted and
// made again, with watches that break off and answers that are lost. Every view has to
// be that of its revision; without a write of its own this one sees the newest; it says
// of each network that it has to follow, and of what has been deleted that it may be
// there still, until the dataplane has followed.
func TestRival(t *testing.T) {
	shared := func(keep int) func(*testing.T) (store.Store, store.Store) {
		return func(*testing.T) (store.Store, store.Store) {
			space := memory.New(keep)
			return space.Open(), space.Open()
		}
	}
	for name, fresh := range map[string]func(*testing.T) (one, two store.Store){
		"memory":            shared(0),
		"memory that keeps": shared(2), // next to nothing: watches are compacted
		"bbolt": func(t *testing.T) (store.Store, store.Store) {
			s, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s, s
		},
	} {
		t.Run(name, func(t *testing.T) {
			one, two := fresh(t)
			rounds := 80
			if name == "bbolt" {
				rounds = 20 // each commit is synced to disk
			}
			if testing.Short() {
				rounds /= 4
			}
			testRival(t, one, two, rounds, name != "memory that keeps")
		})
	}
}

func testRival(t *testing.T, one, two store.Store, rounds int, exact bool) {
	c := &contest{t: t, at: []content{{&model{}, map[string]int64{}}}, rand: rand.New(rand.NewPCG(3, 1)),
		touched: map[string]int64{}, deleted: map[string]int64{}}
	r := rand.New(rand.NewPCG(3, 2))
	theirs, ours := &witness{Store: two, c: c}, &witness{Store: one, c: c, lock: true}
	var err error
	if c.other, err = state.Open(ctx, theirs); err != nil {
		t.Fatal(err)
	}
	var lost, cuts int
	rival := &storetest.Rival{Store: ours, Act: c.act(theirs), Lose: func() bool {
		if r.IntN(10) > 0 {
			return false
		}
		lost++
		return true
	}}
	var cutting sync.Mutex
	cut := rand.New(rand.NewPCG(3, 3))
	rival.Cut = func() bool {
		cutting.Lock()
		defer cutting.Unlock()
		if cut.IntN(10) > 0 {
			return false
		}
		cuts++
		return true
	}
	db, err := state.Open(ctx, rival)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan struct{}, 1)
	var hearing sync.Mutex
	told := map[string]int64{}
	last := db.View().Revision
	db.Listen(func(commit state.Commit) {
		hearing.Lock()
		defer hearing.Unlock()
		if commit.Revision <= last || db.View().Revision != commit.Revision {
			t.Errorf("told of revision %d after %d, with the view of %d", commit.Revision, last, db.View().Revision)
		}
		last = commit.Revision
		for _, id := range commit.Networks {
			told[id] = commit.Revision
		}
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	following, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- db.Follow(following); close(ended) }()
	defer func() { rival.Quiet(); stop(); <-ended }()
	applied := map[string]int64{}
	for range rounds {
		before := lost
		err := db.Update(ctx, func(tx *state.Tx) error {
			c.mu.Lock()
			base := c.at[tx.Revision()-1]
			c.mu.Unlock()
			ours.next = c.change(tx, r, base)
			return nil
		})
		if lost == before && err != nil || lost > before && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v, with %d answers lost", err, lost-before)
		}
		// Whoever made them, all revisions come, without a write of ours.
		deadline := time.After(20 * time.Second)
		for {
			c.mu.Lock()
			head := int64(len(c.at) - 1)
			hearing.Lock()
			all := last == head
			hearing.Unlock()
			if all {
				break // with the lock: the rival has to wait
			}
			c.mu.Unlock()
			select {
			case <-heard:
			case err := <-ended:
				t.Fatalf("nothing is followed any more: %v", err)
			case <-deadline:
				t.Fatalf("at revision %d, the store is at %d", db.View().Revision, head)
			}
		}
		head := int64(len(c.at) - 1)
		c.at[head].check(t, db.View())
		hearing.Lock()
		for id, rev := range c.touched {
			if x, there := db.View().VPCs.Get(id); !exact && (!there || c.deleted[id] < x.Created) {
				continue // it may have been made and deleted while nothing was seen
			}
			if told[id] < rev {
				t.Errorf("network %s: told of revision %d, changed at %d", id, told[id], rev)
			}
			if rev > applied[id] && db.Observed.Settled(id) {
				t.Errorf("network %s has settled, changed at %d and applied up to %d", id, rev, applied[id])
			}
			deleting := db.Observed.Deleting(id, resource.KindForwardEntry)
			if want := c.deleted[id] > applied[id]; deleting != want && (want || exact) {
				t.Errorf("network %s: deleting %v, deleted at %d and applied up to %d", id, deleting, c.deleted[id], applied[id])
			}
		}
		hearing.Unlock()
		// The dataplane follows now and then.
		for id := range c.touched {
			switch _, there := db.View().VPCs.Get(id); {
			case r.IntN(3) > 0:
			case there:
				db.Observed.Report(id, head, nil, time.Time{})
				applied[id] = head
			default:
				db.Observed.Forget(id, head)
				delete(applied, id)
				delete(c.deleted, id)
				delete(c.touched, id)
			}
		}
		c.mu.Unlock()
		if t.Failed() {
			return
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	t.Logf("%d revisions, %d answers lost, %d watches cut", len(c.at), lost, cuts)
}
