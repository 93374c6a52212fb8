package nft

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/nftables"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/sorted"
)

// Whatever happens to the ruleset, in whatever order, Changed tells exactly whether
// somebody else has changed it since the table was read or made.
func TestChanged(t *testing.T) {
	ns := nstest.New(t)
	table := New(ns.Handle())
	t.Cleanup(func() { table.Close() })
	r := rand.New(rand.NewPCG(1, 2))
	n := sample()
	apply := func(have, want *Ruleset) {
		t.Helper()
		if _, err := table.Apply(t.Context(), have, want); err != nil {
			t.Fatal(err)
		}
	}
	have, foreign := (*Ruleset)(nil), true // nothing is known at first
	for i := range 300 {
		var what string
		switch r.IntN(6) {
		case 0, 1:
			what = "an Apply of ours"
			if k := r.IntN(8); k == 0 {
				n.DNAT = sorted.Set[dataplane.DNAT]{}
			} else {
				n.DNAT = n.DNAT.With(dataplane.DNAT{External: addr("203.0.113.10"), Protocol: 17, ExternalPort: uint16(10000 + i), Internal: addr("10.0.1.5"), InternalPort: 53})
			}
			want := mustCompile(t, n)
			if have == nil {
				foreign = false // it reads first
			}
			apply(have, want)
			have = want
		case 2:
			what = "an Apply that changes nothing"
			if have != nil {
				apply(have, have)
			}
		case 3:
			what = "a Read"
			mustRead(t, table)
			foreign = false
		case 4:
			what = "a new connection"
			must(t, table.Close())
			foreign = true // what happened meanwhile is not known
		case 5:
			what = "a change of another table"
			tamper(t, ns.Handle(), func(c *nftables.Conn, _ *nftables.Table) {
				c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: fmt.Sprint("other", i)})
			})
			foreign = true
		}
		// An Apply after a foreign change does not hide it.
		if changed, err := table.Changed(t.Context()); err != nil || changed != foreign {
			t.Fatalf("step %d, %s: changed is %v, %v; want %v", i, what, changed, err, foreign)
		}
	}
}
