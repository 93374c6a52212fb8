package state_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/store"
	"sluice/controlplane/store/bolt"
)

var ctx = context.Background()

func open(t testing.TB, path string) (*state.DB, store.Store) {
	t.Helper()
	s, err := bolt.Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	db, err := state.Open(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	return db, s
}

func newDB(t testing.TB) *state.DB {
	t.Helper()
	db, _ := open(t, filepath.Join(t.TempDir(), "store.db"))
	return db
}

// model is what a table should hold, kept in the simplest way: the resources in
// order of creation.
type model struct {
	list []*resource.ForwardEntry
}

func (m *model) find(id string) int {
	return slices.IndexFunc(m.list, func(e *resource.ForwardEntry) bool { return e.ID == id })
}

func (m *model) clone() *model {
	c := &model{}
	for _, e := range m.list {
		c.list = append(c.list, e.Clone().(*resource.ForwardEntry))
	}
	return c
}

// step makes some random changes in a transaction, in the model too.
func (m *model) step(tx *state.Tx, r *rand.Rand) {
	for range 1 + r.IntN(6) {
		id := fmt.Sprintf("fwd-%02d", r.IntN(40))
		i := m.find(id)
		if i >= 0 && r.IntN(3) == 0 {
			old, _ := tx.ForwardEntries.Get(id)
			tx.Delete(old)
			m.list = slices.Delete(m.list, i, i+1)
			continue
		}
		e := &resource.ForwardEntry{
			Meta:         resource.Meta{ID: id, Account: "a"},
			VPC:          fmt.Sprintf("vpc-%d", r.IntN(2)),
			Table:        fmt.Sprintf("ftb-%d", r.IntN(3)),
			ExternalIP:   netip.AddrFrom4([4]byte{203, 0, 113, byte(r.IntN(3))}),
			ExternalPort: uint16(r.IntN(4)),
			Protocol:     resource.TCP,
			InternalIP:   netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(3))}),
			InternalPort: uint16(r.IntN(4)),
		}
		c := e.Clone().(*resource.ForwardEntry)
		if tx.Taken(e.ID) {
			e.Created = tx.Revision() // it is no new one
		}
		if r.IntN(4) == 0 {
			tx.PutAttributes(e)
		} else {
			tx.Put(e)
			c.Generation = tx.Revision()
		}
		c.Revision = tx.Revision()
		if i >= 0 {
			c.Created = m.list[i].Created
			if c.Generation == 0 {
				c.Generation = e.Generation
			}
			m.list[i] = c
		} else {
			c.Created = tx.Revision()
			m.list = append(m.list, c)
			// Those of one transaction are in order of their ids.
			slices.SortStableFunc(m.list, func(a, b *resource.ForwardEntry) int {
				if a.Created != b.Created {
					return int(a.Created - b.Created)
				}
				if a.ID < b.ID {
					return -1
				}
				return 1
			})
		}
	}
}

// check compares every index of a view with the model.
func (m *model) check(t *testing.T, v *state.View) {
	t.Helper()
	table := v.ForwardEntries
	if table.Len() != len(m.list) {
		t.Fatalf("revision %d: %d entries, want %d", v.Revision, table.Len(), len(m.list))
	}
	for _, e := range m.list {
		if got, ok := table.Get(e.ID); !ok || *got != *e {
			t.Fatalf("revision %d: %+v, want %+v", v.Revision, got, e)
		}
	}
	var last string
	for e := range table.All() {
		if e.ID <= last {
			t.Fatalf("%s after %s", e.ID, last)
		}
		last = e.ID
	}
	indexes := map[string]func(*resource.ForwardEntry) []string{
		state.ByTable:    func(e *resource.ForwardEntry) []string { return []string{e.Table} },
		state.ByVPC:      func(e *resource.ForwardEntry) []string { return []string{e.VPC} },
		state.ByExternal: func(e *resource.ForwardEntry) []string { return []string{state.AddrKey(e.VPC, e.ExternalIP)} },
		state.ByInternal: func(e *resource.ForwardEntry) []string { return []string{state.AddrKey(e.VPC, e.InternalIP)} },
		state.ByTuple: func(e *resource.ForwardEntry) []string {
			var keys []string
			for i := uint16(0); i == 0 || e.ExternalPort+i <= e.ExternalLast; i++ {
				keys = append(keys, state.ExternalTuple(e.VPC, e.ExternalIP, e.Protocol, e.ExternalPort+i), state.InternalTuple(e.VPC, e.InternalIP, e.Protocol, e.InternalPort+i))
			}
			return keys
		},
	}
	for name, keys := range indexes {
		want := make(map[string][]string)
		for _, e := range m.list {
			for _, k := range keys(e) {
				want[k] = append(want[k], e.ID)
			}
		}
		want["no such key"] = nil
		for k, ids := range want {
			r := table.By(name, k)
			var got []string
			for e := range r.All() {
				got = append(got, e.ID)
			}
			if !slices.Equal(got, ids) || r.Len() != len(ids) {
				t.Fatalf("revision %d: index %s, key %q: %d of %v, want %v", v.Revision, name, k, r.Len(), got, ids)
			}
			for i, id := range ids {
				if r.At(i).ID != id {
					t.Fatalf("revision %d: index %s, key %q: place %d is %s, want %s", v.Revision, name, k, i, r.At(i).ID, id)
				}
			}
		}
	}
}

// TestModel makes random transactions, some of which fail, and compares every
// view, also the older ones and those after a restart, with a naive model.
func TestModel(t *testing.T) {
	seeds := uint64(6)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testModel(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func testModel(t *testing.T, r *rand.Rand) {
	path := filepath.Join(t.TempDir(), "store.db")
	db, s := open(t, path)
	m := &model{}
	type snapshot struct {
		view  *state.View
		model *model
	}
	var snapshots []snapshot
	given := errors.New("given up")
	for step := range 120 {
		next := m.clone()
		fail := r.IntN(5) == 0
		err := db.Update(ctx, func(tx *state.Tx) error {
			next.step(tx, r)
			next.check(t, tx.View) // writes show in the transaction at once
			if fail {
				return given
			}
			return nil
		})
		switch {
		case fail && !errors.Is(err, given):
			t.Fatalf("%v, want the function's own error", err)
		case !fail && err != nil:
			t.Fatal(err)
		case !fail:
			m = next
		}
		m.check(t, db.View())
		snapshots = append(snapshots, snapshot{db.View(), m.clone()})
		if step%40 == 39 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			db, s = open(t, path)
			m.check(t, db.View())
		}
	}
	for _, x := range snapshots {
		x.model.check(t, x.view)
	}
}
