package applied_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/controlplane/applied"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/store"
	"sluice/controlplane/store/memory"
	"sluice/controlplane/store/storetest"
)

var ctx = context.Background()

// machine is a control plane of one machine, on stores that several share.
type machine struct {
	t       *testing.T
	name    string
	db      *state.DB
	log     bytes.Buffer
	records *counted
	stop    func()
}

// counted is a store whose commits are counted, and fail when they are told to.
type counted struct {
	store.Store
	commits atomic.Int64
	fail    atomic.Bool
}

func (c *counted) Commit(ctx context.Context, base int64, w []store.Write) (int64, error) {
	if c.fail.Load() {
		return 0, errors.New("disk full")
	}
	rev, err := c.Store.Commit(ctx, base, w)
	if err == nil {
		c.commits.Add(1)
	}
	return rev, err
}

// start starts a machine. act is what others do between two steps of its records.
func start(t *testing.T, name string, resources, records *memory.Space, act func(string)) *machine {
	t.Helper()
	m := &machine{t: t, name: name, records: &counted{Store: records.Open()}}
	db, err := state.Open(ctx, resources.Open())
	if err != nil {
		t.Fatal(err)
	}
	m.db = db
	if act == nil {
		act = func(string) {}
	}
	r := applied.NewRecorder(db, &storetest.Rival{Store: m.records, Act: act}, name, applied.Every, slog.New(slog.NewTextHandler(&m.log, nil)))
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 2)
	go func() { ended <- db.Follow(running) }()
	go func() { ended <- r.Run(running) }()
	m.stop = func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		m.stop = func() {}
	}
	t.Cleanup(func() { m.stop() })
	synctest.Wait()
	return m
}

// crash ends a machine without a last word.
func (m *machine) crash() {
	m.records.fail.Store(true)
	m.stop()
}

func (m *machine) put(id string) {
	m.t.Helper()
	if err := m.db.Update(ctx, func(tx *state.Tx) error {
		v := &resource.VPC{Meta: resource.Meta{ID: id}, Owner: m.name}
		if old, ok := tx.VPCs.Get(id); ok {
			v.Owner, v.Created = old.Owner, old.Created
		}
		tx.Put(v)
		return nil
	}); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) drop(id string) {
	m.t.Helper()
	if err := m.db.Update(ctx, func(tx *state.Tx) error {
		if v, ok := tx.VPCs.Get(id); ok {
			tx.Delete(v)
		}
		return nil
	}); err != nil {
		m.t.Fatal(err)
	}
}

// of returns what a machine says of a network.
func (m *machine) of(id string) (s state.NetworkStatus) {
	for _, n := range m.db.Observed.Status() {
		if n.Network == id {
			return n
		}
	}
	return state.NetworkStatus{}
}

// TestMachines has two machines make, apply, fail to apply and remove networks, and
// crash. What one says of the other's is never more than what that has seen, is the same
// a moment later, and costs a write a second however much happens.
func TestMachines(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testMachines(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func testMachines(t *testing.T, r *rand.Rand) {
	resources, records := memory.New(0), memory.New(0)
	ms := []*machine{start(t, "a", resources, records, nil), start(t, "b", resources, records, nil)}
	began, written := time.Now(), int64(0)
	starts := int64(len(ms))
	check := func(same bool) {
		t.Helper()
		synctest.Wait()
		for i, m := range ms {
			other := ms[1-i]
			for _, n := range m.db.Observed.Status() {
				if n.Owner != m.name {
					continue
				}
				o := other.of(n.Network)
				vpc, there := m.db.View().VPCs.Get(n.Network)
				if there && vpc.Phase(o.Applied) > vpc.Phase(n.Applied) {
					t.Fatalf("%s says of %s's %s (%+v) that %d is applied, which that has not seen: %d", other.name, m.name, n.Network, vpc.Meta, o.Applied, n.Applied)
				}
				if same && (o.Owner != n.Owner || o.Applied != n.Applied || o.Error != n.Error) {
					t.Fatalf("%s says of %s's %s %+v, and that says %+v", other.name, m.name, n.Network, o, n)
				}
			}
			if same && len(m.db.Observed.Status()) != len(other.db.Observed.Status()) {
				t.Fatalf("%s knows of %v, %s of %v", m.name, m.db.Observed.Status(), other.name, other.db.Observed.Status())
			}
		}
	}
	for range 400 {
		m := ms[r.IntN(2)]
		id := fmt.Sprint("vpc-", m.name, r.IntN(3))
		switch r.IntN(8) {
		case 0, 1:
			m.put(id)
		case 2:
			m.drop(id)
		case 3, 4: // its own dataplane follows
			if v := m.db.View(); v.VPCs.Len() > 0 {
				if _, ok := v.VPCs.Get(id); ok {
					m.db.Observed.Report(id, v.Revision, nil, time.Now())
				} else {
					m.db.Observed.Forget(id, v.Revision)
				}
			}
		case 5:
			if _, ok := m.db.View().VPCs.Get(id); ok {
				m.db.Observed.Report(id, m.db.View().Revision, errors.New("no such device"), time.Now())
			}
		case 6:
			if r.IntN(8) > 0 {
				break
			}
			written += m.records.commits.Load()
			starts++
			which := 0
			if m == ms[1] {
				which = 1
			}
			for _, n := range m.db.Observed.Status() {
				if _, there := m.db.View().VPCs.Get(n.Network); n.Owner == m.name && !there {
					m.db.Observed.Forget(n.Network, m.db.View().Revision) // the next one would find its mark
				}
			}
			m.crash()
			ms[which] = start(t, m.name, resources, records, nil)
		case 7:
			time.Sleep(time.Duration(r.IntN(int(applied.Every))))
		}
		check(false)
		if r.IntN(10) == 0 {
			time.Sleep(2 * applied.Every)
			check(true)
		}
	}
	for _, m := range ms {
		written += m.records.commits.Load()
	}
	if most := starts + 2*int64(time.Since(began)/applied.Every+1); written > most {
		t.Errorf("%d writes in %v with %d starts", written, time.Since(began), starts)
	}
}

// Who waits for another machine's network is woken by its record.
func TestSettleElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resources, records := memory.New(0), memory.New(0)
		// Between any two steps of a's, somebody else writes a record.
		third, n := records.Open(), 0
		a := start(t, "a", resources, records, func(string) {
			if n++; n%3 == 0 {
				return // else a would never be the first
			}
			rev, _ := third.Load(ctx, func(store.Record) error { return nil })
			w := store.Write{Key: store.Key{Kind: "network", ID: "vpc-c"}, Value: []byte(fmt.Sprintf(`{"owner":"c","applied":%d}`, n))}
			if _, err := third.Commit(ctx, rev, []store.Write{w}); err != nil {
				t.Error(err)
			}
		})
		b := start(t, "b", resources, records, nil)
		a.put("vpc-a")
		synctest.Wait()
		if b.db.Observed.Settled("vpc-a") || b.db.Observed.Owner("vpc-a") != "a" {
			t.Errorf("%+v", b.of("vpc-a"))
		}
		settled := make(chan bool)
		go func() { settled <- b.db.Observed.Settle(ctx, "vpc-a") }()
		a.db.Observed.Report("vpc-a", 1, nil, time.Now())
		if !<-settled || b.db.Observed.Applied("vpc-a") != 1 {
			t.Errorf("%+v", b.of("vpc-a"))
		}
		if b.of("vpc-c").Owner != "c" || b.of("vpc-c").Applied == 0 {
			t.Errorf("%+v", b.of("vpc-c"))
		}
		// A daemon that starts anew has seen nothing yet, whatever is recorded.
		a.crash()
		a = start(t, "a", resources, records, nil)
		if a.db.Observed.Applied("vpc-a") != 0 || b.db.Observed.Applied("vpc-a") != 0 || b.db.Observed.Settled("vpc-a") {
			t.Errorf("a restart: %+v, %+v", a.of("vpc-a"), b.of("vpc-a"))
		}
	})
}

// Records that can't be written don't end anything, and are written when they can be.
func TestFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resources, records := memory.New(0), memory.New(0)
		a, b := start(t, "a", resources, records, nil), start(t, "b", resources, records, nil)
		a.records.fail.Store(true)
		a.put("vpc-a")
		a.db.Observed.Report("vpc-a", 1, nil, time.Now())
		time.Sleep(10 * applied.Every)
		synctest.Wait()
		if b.db.Observed.Applied("vpc-a") != 0 || strings.Count(a.log.String(), "disk full") != 1 {
			t.Errorf("%+v\n%s", b.of("vpc-a"), a.log.String())
		}
		a.records.fail.Store(false)
		time.Sleep(2 * applied.Every)
		synctest.Wait()
		if b.db.Observed.Applied("vpc-a") != 1 || !strings.Contains(a.log.String(), "recorded again") {
			t.Errorf("%+v\n%s", b.of("vpc-a"), a.log.String())
		}
		// Nothing new, nothing written.
		before := a.records.commits.Load()
		for range 5 {
			a.db.Observed.Report("vpc-a", 1, nil, time.Now())
			time.Sleep(2 * applied.Every)
		}
		if n := a.records.commits.Load(); n != before {
			t.Errorf("%d writes of what was recorded already", n-before)
		}
	})
}
