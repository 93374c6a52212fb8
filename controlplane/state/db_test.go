package state_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/store"
	"sluice/controlplane/store/memory"
)

func vpc(id string) *resource.VPC {
	return &resource.VPC{Meta: resource.Meta{ID: id, Account: "a", Region: "r"}, CIDR: netip.MustParsePrefix("10.0.0.0/8")}
}

func vswitch(id, of string) *resource.VSwitch {
	return &resource.VSwitch{Meta: resource.Meta{ID: id, Account: "a", Region: "r"}, VPC: of}
}

func update(t testing.TB, db *state.DB, fn func(*state.Tx)) {
	t.Helper()
	if err := db.Update(ctx, func(tx *state.Tx) error { fn(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

// put writes resources, also in the place of others.
func put(t testing.TB, db *state.DB, rs ...resource.Resource) {
	t.Helper()
	update(t, db, func(tx *state.Tx) {
		for _, r := range rs {
			if m := r.Metadata(); tx.Taken(m.ID) {
				m.Created = tx.Revision()
			}
			tx.Put(r)
		}
	})
}

// TestNetworks says which networks a transaction makes follow.
func TestNetworks(t *testing.T) {
	db := newDB(t)
	var got []state.Commit
	db.Listen(func(c state.Commit) { got = append(got, c) })
	last := func() string {
		if len(got) == 0 {
			return "nothing"
		}
		c := got[len(got)-1]
		got = nil
		return strings.Join(c.Networks, " ")
	}
	put(t, db, vpc("vpc-b"), vpc("vpc-a"), vswitch("vsw-a", "vpc-a"))
	if s := last(); s != "vpc-a vpc-b" {
		t.Errorf("creation: %s", s)
	}
	eip := &resource.ElasticIP{Meta: resource.Meta{ID: "eip-1"}}
	put(t, db, eip)
	if s := last(); s != "" {
		t.Errorf("a resource of no network: %s", s)
	}
	move := func(to string) {
		e, _ := db.View().ElasticIPs.Get("eip-1")
		e = e.Clone().(*resource.ElasticIP)
		e.VPC = to
		put(t, db, e)
	}
	move("vpc-a")
	if s := last(); s != "vpc-a" {
		t.Errorf("into a network: %s", s)
	}
	move("vpc-b")
	if s := last(); s != "vpc-a vpc-b" {
		t.Errorf("from one to another: %s", s)
	}
	update(t, db, func(tx *state.Tx) {
		x, _ := tx.VSwitches.Get("vsw-a")
		c := x.Clone().(*resource.VSwitch)
		c.Name = "new"
		tx.PutAttributes(c)
	})
	if s := last(); s != "" {
		t.Errorf("attributes: %s", s)
	}
	update(t, db, func(tx *state.Tx) {
		x, _ := tx.VSwitches.Get("vsw-a")
		tx.Delete(x)
		tx.Dirty("vpc-b")
	})
	if s := last(); s != "vpc-a vpc-b" {
		t.Errorf("deletion, and another network by name: %s", s)
	}
	update(t, db, func(tx *state.Tx) { x, _ := tx.VPCs.Get("vpc-b"); tx.Delete(x) })
	if s := last(); s != "vpc-b" {
		t.Errorf("deletion of a network: %s", s)
	}
	db.Observed.Forget("vpc-b", db.View().Revision)
	move("vpc-a") // out of a network that is gone
	if s := last(); s != "vpc-a" || db.Observed.Holds("vpc-b") {
		t.Errorf("from a network that is gone: %s", s)
	}
	update(t, db, func(*state.Tx) {})
	if s := last(); s != "nothing" {
		t.Errorf("an empty transaction: %s", s)
	}
}

func TestMetadata(t *testing.T) {
	db := newDB(t)
	put(t, db, vpc("vpc-a"))
	get := func() resource.Meta { v, _ := db.View().VPCs.Get("vpc-a"); return v.Meta }
	if m := get(); m.Created != 1 || m.Generation != 1 || m.Revision != 1 || db.View().Revision != 1 {
		t.Errorf("%+v", m)
	}
	update(t, db, func(tx *state.Tx) { v, _ := tx.VPCs.Get("vpc-a"); tx.PutAttributes(v.Clone()) })
	if m := get(); m.Created != 1 || m.Generation != 1 || m.Revision != 2 {
		t.Errorf("%+v", m)
	}
	update(t, db, func(tx *state.Tx) { v, _ := tx.VPCs.Get("vpc-a"); tx.Put(v.Clone()) })
	if m := get(); m.Created != 1 || m.Generation != 3 || m.Revision != 3 {
		t.Errorf("%+v", m)
	}
	for _, c := range []struct {
		created, generation, applied int64
		want                         resource.Phase
	}{
		{5, 5, 4, resource.Creating}, {5, 5, 5, resource.Ready}, {5, 7, 4, resource.Creating},
		{5, 7, 5, resource.Changing}, {5, 7, 6, resource.Changing}, {5, 7, 7, resource.Ready}, {5, 7, 9, resource.Ready},
	} {
		m := resource.Meta{Created: c.created, Generation: c.generation}
		if got := m.Phase(c.applied); got != c.want {
			t.Errorf("made at %d, changed at %d, applied up to %d: phase %d, want %d", c.created, c.generation, c.applied, got, c.want)
		}
	}
}

// TestSharedStore lets two control planes write to one store: whoever is late
// takes in what the other has done, and decides anew.
func TestSharedStore(t *testing.T) {
	one, s := open(t, filepath.Join(t.TempDir(), "store.db"))
	two, err := state.Open(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		for _, db := range []*state.DB{one, two} {
			runs := 0
			update(t, db, func(tx *state.Tx) {
				runs++
				tx.Put(vpc(fmt.Sprintf("vpc-%d", tx.VPCs.Len())))
			})
			if late := i > 0 || db == two; runs != 1 && !late || runs != 2 && late {
				t.Errorf("round %d: decided %d times", i, runs)
			}
		}
	}
	if n := two.View().VPCs.Len(); n != 10 {
		t.Errorf("%d VPCs, want 10", n)
	}
	if two.Observed.Settled("vpc-0") {
		t.Error("what another control plane has written is not wanted")
	}
}

// refusing is a store that cannot commit.
type refusing struct {
	store.Store
	err error
}

func (r *refusing) Commit(ctx context.Context, base int64, w []store.Write) (int64, error) {
	if r.err != nil {
		return 0, r.err
	}
	return r.Store.Commit(ctx, base, w)
}

func TestFailedCommit(t *testing.T) {
	_, s := open(t, filepath.Join(t.TempDir(), "store.db"))
	r := &refusing{Store: s}
	db, err := state.Open(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	put(t, db, vpc("vpc-a"))
	db.Observed.Report("vpc-a", 1, nil, time.Time{})
	heard := 0
	db.Listen(func(state.Commit) { heard++ })
	r.err = errors.New("disk full")
	before := db.View()
	err = db.Update(ctx, func(tx *state.Tx) error { tx.Put(vswitch("vsw-a", "vpc-a")); return nil })
	if !errors.Is(err, r.err) {
		t.Errorf("%v, want the store's error", err)
	}
	if db.View() != before || db.View().VSwitches.Len() != 0 || !db.Observed.Settled("vpc-a") || heard != 0 {
		t.Error("a failed commit shows")
	}
	r.err = nil
	put(t, db, vswitch("vsw-a", "vpc-a"))
	if db.View().VSwitches.Len() != 1 || heard != 1 {
		t.Error("no commit after a failed one")
	}
}

func TestUnknownKind(t *testing.T) {
	_, s := open(t, filepath.Join(t.TempDir(), "store.db"))
	if _, err := s.Commit(ctx, 0, []store.Write{{Key: store.Key{Kind: "time-machine", ID: "1"}, Value: []byte("{}")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(ctx, s); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("%v, want an error about a newer version", err)
	}
}

// A record that cannot be read is named, wherever it stands among those that can be.
func TestBrokenRecord(t *testing.T) {
	var good []store.Write
	for i := range 1500 {
		id := fmt.Sprintf("vpc-%04d", i)
		space := "\n "[:i%3]
		good = append(good, store.Write{Key: store.Key{Kind: "vpc", ID: id}, Value: fmt.Appendf(nil, `%s{"id":%q,"cidr":"10.0.0.0/8"}%s`, space, id, space)})
	}
	for _, id := range []string{"vpc-", "vpc-0255x", "vpc-0256x", "vpc-0700x", "vpc-1499x"} {
		for text, why := range map[string]string{
			`{"cidr":"10.0.0`: "unexpected EOF", ``: "EOF", `null`: "it is empty", `{"id":"` + id + `"`: "unexpected EOF",
			`{"id":"` + id + `"}{`: "more than one value", `{"id":"` + id + `"} {"id":"` + id + `"}`: "more than one value",
			`{"id":"vpc-other"}`: `it is that of "vpc-other"`, `{"id":"` + id + `","colour":"red"}`: "unknown field", `7`: "cannot unmarshal",
		} {
			s := memory.New(0).Open()
			broken := store.Write{Key: store.Key{Kind: "vpc", ID: id}, Value: []byte(text)}
			if _, err := s.Commit(ctx, 0, append([]store.Write{broken}, good...)); err != nil {
				t.Fatal(err)
			}
			if _, err := state.Open(ctx, s); err == nil || !strings.Contains(err.Error(), strconv.Quote(id)) || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: %v, want an error that names record %s and says %q", text, err, id, why)
			}
		}
	}
	s := memory.New(0).Open()
	if _, err := s.Commit(ctx, 0, good); err != nil {
		t.Fatal(err)
	}
	db, err := state.Open(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for v := range db.View().VPCs.All() {
		if want := fmt.Sprintf("vpc-%04d", at); v.ID != want {
			t.Fatalf("%s, want %s", v.ID, want)
		}
		at++
	}
	if at != len(good) {
		t.Errorf("%d of %d records", at, len(good))
	}
	ended, end := context.WithCancel(ctx)
	end()
	if _, err := state.Open(ended, s); !errors.Is(err, context.Canceled) {
		t.Errorf("%v from an ended context", err)
	}
}

// A resource that an index lists twice under a key takes nothing else from there when it goes.
func TestListedTwice(t *testing.T) {
	db := newDB(t)
	address := netip.MustParseAddr("203.0.113.1")
	entry := func(id string, pool ...netip.Addr) *resource.SNATEntry {
		return &resource.SNATEntry{Meta: resource.Meta{ID: id, Account: "a", Region: "r"}, VPC: "vpc-a", Table: "stb-a", Pool: pool}
	}
	ids := func() (ids []string) {
		for e := range db.View().SNATEntries.By(state.ByExternal, state.AddrKey("vpc-a", address)).All() {
			ids = append(ids, e.ID)
		}
		return ids
	}
	put(t, db, entry("snat-a", address, address))
	put(t, db, entry("snat-b", address))
	before := db.View()
	put(t, db, entry("snat-a", address, address)) // in the place of itself
	if got := ids(); !slices.Equal(got, []string{"snat-a", "snat-b"}) {
		t.Errorf("%v after it was replaced", got)
	}
	put(t, db, entry("snat-a"))
	if got := ids(); !slices.Equal(got, []string{"snat-b"}) {
		t.Errorf("%v after it has left", got)
	}
	if n := before.SNATEntries.By(state.ByExternal, state.AddrKey("vpc-a", address)).Len(); n != 2 {
		t.Errorf("%d in the view before, want 2", n)
	}
}

// A record that could not be read again is not written: it would bar every later start.
func TestUnreadable(t *testing.T) {
	db := newDB(t)
	err := db.Update(ctx, func(tx *state.Tx) error {
		tx.Put(&resource.VPNConnection{Meta: resource.Meta{ID: "vco-a"}}) // without algorithms
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "vco-a") || db.View().Revision != 0 {
		t.Errorf("revision %d: %v", db.View().Revision, err)
	}
}

// TestViewsBesideWriters reads views while others write: each is consistent,
// and they follow one another.
func TestViewsBesideWriters(t *testing.T) {
	db := newDB(t)
	put(t, db, vpc("vpc-a"))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var last int64
			for {
				select {
				case <-done:
					return
				default:
				}
				v := db.View()
				if v.Revision < last {
					t.Errorf("revision %d after %d", v.Revision, last)
				}
				last = v.Revision
				// Every transaction keeps as many VSwitches as route entries.
				a, b := v.VSwitches.By(state.ByVPC, "vpc-a"), v.RouteEntries.By(state.ByVPC, "vpc-a")
				if a.Len() != b.Len() || v.VSwitches.Len() != a.Len() || v.RouteEntries.Len() != b.Len() {
					t.Errorf("%d VSwitches and %d route entries in one view", a.Len(), b.Len())
					return
				}
				n := 0
				for x := range a.All() {
					if got, ok := v.VSwitches.Get(x.ID); !ok || got != x {
						t.Errorf("%s is in the index and not in the table", x.ID)
					}
					n++
				}
				if n != a.Len() {
					t.Errorf("%d of %d", n, a.Len())
				}
			}
		})
	}
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for i := range 40 {
				id := fmt.Sprintf("%d-%d", w, i%5)
				err := db.Update(ctx, func(tx *state.Tx) error {
					if x, ok := tx.VSwitches.Get(id); ok {
						e, _ := tx.RouteEntries.Get(id)
						tx.Delete(x)
						tx.Delete(e)
						return nil
					}
					tx.Put(vswitch(id, "vpc-a"))
					tx.Put(&resource.RouteEntry{Meta: resource.Meta{ID: id}, VPC: "vpc-a", Table: "t"})
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	wg.Wait()
}

func TestSelect(t *testing.T) {
	db := newDB(t)
	const n = 1000
	update(t, db, func(tx *state.Tx) {
		for i := range n {
			tx.Put(vswitch(fmt.Sprintf("vsw-%04d", i), "vpc-a"))
		}
	})
	r := db.View().VSwitches.By(state.ByVPC, "vpc-a")
	for _, c := range []struct {
		page  state.Page
		first int
		len   int
	}{
		{state.Page{Limit: 10}, 0, 10}, {state.Page{Offset: 990, Limit: 10}, 990, 10}, {state.Page{Offset: 700, Limit: 700}, 700, 300},
		{state.Page{Offset: 1000, Limit: 10}, 0, 0}, {state.Page{Offset: (1<<31 - 1 - 1) * 50, Limit: 50}, 0, 0},
	} {
		made := 0
		item := func(x *resource.VSwitch) string { made++; return x.ID }
		all := state.Select(r, c.page, nil, item)
		if made != c.len {
			t.Errorf("page %+v: %d items were made, want %d", c.page, made, c.len)
		}
		var want []string
		for i := range c.len {
			want = append(want, fmt.Sprintf("vsw-%04d", c.first+i))
		}
		if all.Total != n || !slices.Equal(all.Items, want) {
			t.Errorf("page %+v: %d in total, %v", c.page, all.Total, all.Items)
		}
		kept := state.Select(r, c.page, func(*resource.VSwitch) bool { return true }, item)
		if kept.Total != n || !slices.Equal(kept.Items, want) {
			t.Errorf("page %+v, filtered: %d in total, %v", c.page, kept.Total, kept.Items)
		}
	}
	odd := func(x *resource.VSwitch) bool { return x.ID[len(x.ID)-1]%2 == 1 }
	l := state.Select(r, state.Page{Offset: 4, Limit: 2}, odd, func(x *resource.VSwitch) string { return x.ID })
	if l.Total != n/2 || !slices.Equal(l.Items, []string{"vsw-0009", "vsw-0011"}) {
		t.Errorf("%+v", l)
	}
	none := state.Select(db.View().VSwitches.By(state.ByVPC, "vpc-none"), state.Page{Limit: 2}, nil, func(x *resource.VSwitch) string { return x.ID })
	if none.Total != 0 || none.Items != nil {
		t.Errorf("%+v", none)
	}
}

func TestUnknownIndex(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an index that is not there was read")
		}
	}()
	newDB(t).View().VPCs.By("colour", "blue")
}

// BenchmarkPage reads pages of a table of 10,000: the last costs what the first
// does.
func BenchmarkPage(b *testing.B) {
	db := newDB(b)
	update(b, db, func(tx *state.Tx) {
		for i := range 10_000 {
			tx.Put(vswitch(fmt.Sprintf("vsw-%05d", i), "vpc-a"))
		}
	})
	r := db.View().VSwitches.By(state.ByVPC, "vpc-a")
	for _, number := range []int{1, 100, 200} {
		b.Run(fmt.Sprint(number), func(b *testing.B) {
			for b.Loop() {
				l := state.Select(r, state.Page{Offset: (number - 1) * 50, Limit: 50}, nil, func(x *resource.VSwitch) *resource.VSwitch { return x })
				if len(l.Items) != 50 {
					b.Fatal(len(l.Items))
				}
			}
		})
	}
}

// BenchmarkUpdate writes one resource beside 10,000.
func BenchmarkUpdate(b *testing.B) {
	db := newDB(b)
	update(b, db, func(tx *state.Tx) {
		for i := range 10_000 {
			tx.Put(vswitch(fmt.Sprintf("vsw-%05d", i), "vpc-a"))
		}
	})
	for b.Loop() {
		put(b, db, vswitch("vsw-05000", "vpc-a"))
	}
}

// An id is given once, whatever has it, and nothing is overwritten in silence.
func TestIDsAreNotGivenTwice(t *testing.T) {
	db := newDB(t)
	gateway := &resource.NATGateway{Meta: resource.Meta{ID: "x-1"}, VPC: "vpc-a", ForwardTable: "x-2", SNATTable: "x-3"}
	put(t, db, vpc("x-0"), gateway)
	next := 0
	draw := func() string { next++; return fmt.Sprintf("x-%d", next-1) }
	update(t, db, func(tx *state.Tx) {
		if id := tx.NewID(draw); id != "x-4" {
			t.Errorf("got %s, which is taken or not the first that is free", id)
		}
	})
	before := db.View()
	err := db.Update(ctx, func(tx *state.Tx) error {
		id := tx.NewID(func() string { return "x-0" })
		tx.Put(vpc(id))
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "x-0") || db.View() != before {
		t.Errorf("a new VPC took the place of another: %v", err)
	}
	// What was there is changed, and what was deleted is made again.
	update(t, db, func(tx *state.Tx) {
		v, _ := tx.VPCs.Get("x-0")
		tx.Put(v.Clone())
		tx.Delete(v)
		tx.Put(vpc("x-0"))
	})
}

// Who waits for a network is woken by reports of it, not by those of another.
func TestSettleOfOneNetwork(t *testing.T) {
	db := newDB(t)
	put(t, db, vpc("vpc-a"), vpc("vpc-b"))
	now := time.Now()
	settled := make(chan bool)
	go func() { settled <- db.Observed.Settle(ctx, "vpc-a") }()
	for i := range int64(100) {
		db.Observed.Report("vpc-b", i+1, nil, now)
	}
	select {
	case <-settled:
		t.Error("vpc-a has settled by reports of vpc-b")
	default:
	}
	db.Observed.Report("vpc-a", 1, errors.New("no"), now) // an attempt is an answer
	if !<-settled {
		t.Error("vpc-a has not settled")
	}
	put(t, db, vpc("vpc-c"))
	go func() { settled <- db.Observed.Settle(ctx, "vpc-c") }()
	db.Observed.Forget("vpc-c", db.View().Revision)
	if !<-settled {
		t.Error("a network that is gone is waited for")
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	put(t, db, vpc("vpc-d"))
	if db.Observed.Settle(over, "vpc-d") {
		t.Error("vpc-d has settled")
	}
}

// What another writer of a shared store does is seen when it does it, as by its own view,
// and listeners are told which networks it is about.
func TestFollow(t *testing.T) {
	one, s := open(t, filepath.Join(t.TempDir(), "store.db"))
	two, err := state.Open(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	commits := make(chan state.Commit, 100)
	two.Listen(func(c state.Commit) { commits <- c })
	following, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- two.Follow(following) }()
	seen := func(want string) {
		t.Helper()
		c := <-commits
		if got := strings.Join(c.Networks, " "); got != want || c.Revision != one.View().Revision || two.View().Revision != c.Revision {
			t.Errorf("revision %d of networks %q, want %d of %q", c.Revision, got, one.View().Revision, want)
		}
	}
	put(t, one, vpc("vpc-a"), vpc("vpc-b"))
	seen("vpc-a vpc-b")
	put(t, one, vswitch("vsw-a", "vpc-a"))
	seen("vpc-a")
	if x, ok := two.View().VSwitches.Get("vsw-a"); !ok || x.VPC != "vpc-a" || two.View().VSwitches.By(state.ByVPC, "vpc-a").Len() != 1 || two.Observed.Settled("vpc-a") {
		t.Errorf("%+v, %v", x, ok)
	}
	// Each decides on what the other has done, without a conflict.
	runs := 0
	update(t, two, func(tx *state.Tx) {
		runs++
		x, _ := tx.VSwitches.Get("vsw-a")
		tx.Delete(x)
	})
	if c := <-commits; runs != 1 || strings.Join(c.Networks, " ") != "vpc-a" {
		t.Errorf("decided %d times, %+v", runs, c)
	}
	update(t, one, func(tx *state.Tx) { x, _ := tx.VPCs.Get("vpc-b"); tx.Delete(x) })
	seen("vpc-b")
	if two.View().VPCs.Len() != 1 || !two.Observed.Deleting("vpc-b", resource.KindVPC) {
		t.Errorf("%d VPCs", two.View().VPCs.Len())
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
