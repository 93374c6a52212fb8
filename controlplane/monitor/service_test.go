package monitor

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/planetest"
	"sluice/controlplane/store/boltfile"
)

// answering is a service over a gateway of Alice's, an hour and a second after
// begin, that keeps minutes for an hour and a half.
type answering struct {
	*planetest.Plane
	*Service
	minutes *Minutes
	gateway string
	now     time.Time
}

func newAnswering(t testing.TB) *answering {
	t.Helper()
	a := &answering{Plane: planetest.New(t), minutes: newFile(t), now: time.Unix(begin+3601, 0)}
	a.gateway = a.Gateway(planetest.Alice, a.VPC(planetest.Alice, "10.0.0.0/8").VPC).ID
	a.Service = New(a.DB, a.Settings, a.minutes, 90*time.Minute, func() time.Time { return a.now })
	return a
}

// happened records a minute in which these rows happened.
func (a *answering) happened(t testing.TB, at int64, rows []Row) {
	t.Helper()
	for _, r := range []struct {
		end  int64
		rows []Row
	}{{at, nil}, {at + Minute, rows}} {
		if err := a.minutes.Record(r.end, []Reading{{Gateway: a.gateway, Epoch: uint64(at), Rows: r.rows}}, all, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func (a *answering) query() Query {
	return Query{Region: planetest.Region, Gateway: a.gateway, TimePoint: begin, Size: 20}
}

func (a *answering) list(t testing.TB, q Query) Page {
	t.Helper()
	p, err := a.List(planetest.Alice, q)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestList(t *testing.T) {
	a := newAnswering(t)
	a.happened(t, begin, []Row{
		row("10.0.0.1", 8835, 120, 341948, 240, 6, 29),
		row("10.0.0.2", 3, 29, 4, 30, 0, 30),
		row("10.0.0.3", 0, 0, 0, 0, 7, 0),
	})
	want := Page{Rates: []Rate{
		{Address: netip.MustParseAddr("10.0.0.3"), Open: 7},
		{Address: netip.MustParseAddr("10.0.0.1"), OutboundBits: 1178, InboundBits: 45593, OutboundPackets: 2, InboundPackets: 4, Open: 6},
		{Address: netip.MustParseAddr("10.0.0.2"), InboundBits: 1, InboundPackets: 1, Opened: 1},
	}}
	if d := gocmp.Diff(want, a.list(t, a.query()), equalRows); d != "" {
		t.Error(d)
	}
	q := a.query()
	for address, n := range map[string]int{"10.0.0.2": 1, "10.0.0.4": 0} {
		q.Addresses = []netip.Addr{netip.MustParseAddr(address)}
		if p := a.list(t, q); len(p.Rates) != n || n == 1 && p.Rates[0].Address != q.Addresses[0] || p.Next != "" {
			t.Errorf("only %s: %+v", address, p)
		}
	}
	for _, absent := range []int64{begin - Minute, begin + Minute, begin + 3600} {
		q := a.query()
		q.TimePoint = absent
		if p := a.list(t, q); len(p.Rates) != 0 || p.Next != "" {
			t.Errorf("minute %d, which is not there: %+v", absent, p)
		}
	}
}

func TestRounding(t *testing.T) {
	for n, want := range map[uint64]uint64{0: 0, 29: 0, 30: 1, 89: 1, 90: 2, 6000: 100, math.MaxUint64: math.MaxUint64 / 60} {
		if got := perSecond(n); got != want {
			t.Errorf("%d a minute are %d a second, want %d", n, got, want)
		}
	}
	for bytes, want := range map[uint64]uint64{0: 0, 3: 0, 4: 1, 8835: 1178, 341948: 45593, 1 << 62: 614891469123651721} {
		if got := bitsPerSecond(bytes); got != want {
			t.Errorf("%d bytes a minute are %d bits a second, want %d", bytes, got, want)
		}
	}
}

// TestPages reads random minutes page by page, in every order, and compares
// with all of it sorted at once. Between the pages, time goes on.
func TestPages(t *testing.T) {
	a := newAnswering(t)
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 10, 11, 20, 21, 137} {
		rows := randomRows(r, n)
		for i := range rows { // with many that are the same
			rows[i].Opened /= 50
			rows[i].Open /= 10
		}
		a.minutes = newFile(t)
		a.Service.minutes = a.minutes
		a.happened(t, begin, rows)
		rows = slices.DeleteFunc(rows, func(r Row) bool { return r.silent() })
		later := begin + 2*Minute
		for order := ByOpen; order <= ByTime; order++ {
			for _, ascending := range []bool{false, true} {
				q := a.query()
				q.Order, q.Ascending = order, ascending
				var got []netip.Addr
				for pages := 0; ; pages++ {
					q.Size = 10 + r.IntN(11)
					p := a.list(t, q)
					for _, x := range p.Rates {
						got = append(got, x.Address)
					}
					if len(p.Rates) != min(q.Size, n-len(got)+len(p.Rates)) || (p.Next == "") != (len(got) == n) {
						t.Fatalf("page %d of %d rows has %d, next %q", pages, n, len(p.Rates), p.Next)
					}
					if q.Token = p.Next; p.Next == "" {
						break
					}
					if later < begin+3600-Minute {
						a.happened(t, later, rows[:1])
						later += 2 * Minute
					}
				}
				want := slices.Clone(rows)
				slices.SortFunc(want, func(x, y Row) int {
					c := cmp.Compare(order.figure(x), order.figure(y))
					if !ascending {
						c = -c
					}
					return cmp.Or(c, x.Address.Compare(y.Address))
				})
				if !slices.EqualFunc(got, want, func(a netip.Addr, r Row) bool { return a == r.Address }) {
					t.Errorf("%d rows by %d, ascending %t: %v", n, order, ascending, got)
				}
			}
		}
	}
}

// TestOrders: each order goes by its own figure.
func TestOrders(t *testing.T) {
	a := newAnswering(t)
	var rows []Row
	for i := range uint64(6) {
		c := make([]uint64, 6)
		c[i] = 6000
		rows = append(rows, row("10.0.0."+string(rune('1'+i)), c...))
	}
	a.happened(t, begin, rows)
	for order, want := range map[Order]string{ByOutboundBytes: "10.0.0.1", ByOutboundPackets: "10.0.0.2", ByInboundBytes: "10.0.0.3", ByInboundPackets: "10.0.0.4", ByOpen: "10.0.0.5", ByOpened: "10.0.0.6", ByTime: "10.0.0.1"} {
		q := a.query()
		q.Order = order
		if got := a.list(t, q).Rates[0].Address.String(); got != want {
			t.Errorf("first by %d: %s, want %s", order, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	a := newAnswering(t)
	a.happened(t, begin, randomRows(rand.New(rand.NewPCG(1, 1)), 50))
	next := a.list(t, a.query()).Next
	if len(next) != 32 {
		t.Fatalf("token %q", next)
	}
	theirs := a.Gateway(planetest.Bob, a.VPC(planetest.Bob, "10.0.0.0/8").VPC).ID
	another := a.Gateway(planetest.Alice, a.VPC(planetest.Alice, "10.0.0.0/8").VPC).ID
	oldestKept := begin + 3601 - 90*60 + 59 // 90 minutes ago, rounded up to the minute
	for name, c := range map[string]struct {
		change func(*Query)
		want   fault.Reason // empty: accepted
	}{
		"nothing wrong":         {func(*Query) {}, ""},
		"unknown region":        {func(q *Query) { q.Region = "mars" }, fault.RegionNotFound},
		"another region":        {func(q *Query) { q.Region = planetest.Elsewhere }, fault.NATGatewayNotFound},
		"no such gateway":       {func(q *Query) { q.Gateway = "ngw-none" }, fault.NATGatewayNotFound},
		"another's gateway":     {func(q *Query) { q.Gateway = theirs }, fault.NATGatewayNotFound},
		"no whole minute":       {func(q *Query) { q.TimePoint++ }, fault.TimePointInvalid},
		"this minute":           {func(q *Query) { q.TimePoint = begin + 3600 }, ""},
		"the next minute":       {func(q *Query) { q.TimePoint = begin + 3660 }, fault.TimePointInvalid},
		"milliseconds":          {func(q *Query) { q.TimePoint *= 1000 }, fault.TimePointInvalid},
		"the oldest minute":     {func(q *Query) { q.TimePoint = floor(oldestKept) }, ""},
		"one older":             {func(q *Query) { q.TimePoint = floor(oldestKept) - Minute }, fault.TimePointInvalid},
		"before 1970":           {func(q *Query) { q.TimePoint = -60 }, fault.TimePointInvalid},
		"a token":               {func(q *Query) { q.Token = next }, ""},
		"a token, smaller page": {func(q *Query) { q.Token, q.Size = next, 10 }, ""},
		"no token":              {func(q *Query) { q.Token = "caeba0bbb2be03f84eb48b699f0a4883" }, fault.PageTokenInvalid},
		"a short token":         {func(q *Query) { q.Token = next[2:] }, fault.PageTokenInvalid},
		"a long token":          {func(q *Query) { q.Token = next + "00" }, fault.PageTokenInvalid},
		"another alphabet":      {func(q *Query) { q.Token = strings.Repeat("z", 32) }, fault.PageTokenInvalid},
		"of another order":      {func(q *Query) { q.Token, q.Order = next, ByOpened }, fault.PageTokenInvalid},
		"of another direction":  {func(q *Query) { q.Token, q.Ascending = next, true }, fault.PageTokenInvalid},
		"of another minute":     {func(q *Query) { q.Token, q.TimePoint = next, begin+Minute }, fault.PageTokenInvalid},
		"of another gateway":    {func(q *Query) { q.Token, q.Gateway = next, another }, fault.PageTokenInvalid},
		"of another filter":     {func(q *Query) { q.Token, q.Addresses = next, []netip.Addr{netip.MustParseAddr("10.0.0.1")} }, fault.PageTokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			q := a.query()
			c.change(&q)
			for _, call := range []func(identity.Caller, Query) error{
				a.Check, func(c identity.Caller, q Query) error { _, err := a.List(c, q); return err },
			} {
				err := call(planetest.Alice, q)
				if c.want == "" {
					if err != nil {
						t.Error(err)
					}
					continue
				}
				planetest.Refused(t, err, c.want)
			}
		})
	}
}

// TestListTellsOfDamage: a minute that is not what was written is no empty one.
func TestListTellsOfDamage(t *testing.T) {
	a := newAnswering(t)
	a.happened(t, begin, []Row{row("10.0.0.1", 1, 1, 1, 1, 1, 1)})
	tx, err := a.minutes.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	err = tx.Bucket(minutesBucket).Bucket([]byte(a.gateway)).Put(stamp(begin), []byte{blockVersion, 0, 0, 0, 0, 0})
	if err := errors.Join(err, tx.Commit()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.List(planetest.Alice, a.query()); !errors.Is(err, boltfile.ErrDamaged) || !strings.Contains(err.Error(), a.minutes.path) {
		t.Errorf("%v", err)
	}
}

func BenchmarkList(b *testing.B) {
	a := newAnswering(b)
	a.happened(b, begin, randomRows(rand.New(rand.NewPCG(1, 2)), 10_000))
	q := a.query()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		q.Order = Order(i % int(ByTime+1))
		q.Token = ""
		if p := a.list(b, q); len(p.Rates) != 20 {
			b.Fatal(p)
		}
	}
}
