package nft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ErrOutdated is returned by Apply when the kernel refused a change because it
// held something else than the Ruleset that the change started from. Nothing
// was changed; Read again and Apply from there.
var ErrOutdated = errors.New("the kernel's ruleset is not the one that the change started from")

// chunkSize is the number of kernel elements in one message: their netlink
// attribute has a 16-bit length, and an element takes 52 bytes at most.
const chunkSize = 1000

// Table is table ip sluice of one network namespace. Its methods may be called
// from several goroutines.
type Table struct {
	ns   netns.NsHandle
	mu   sync.Mutex // one batch, or one consistent read, at a time
	conn *conn      // nil until it is needed
	at   uint32     // generation of what was read or made last; 0 where it is not known

	dialed func(port uint32) error // hears of the connection that changes are made by, 0: none any more; may be nil
}

// New returns the table of namespace ns, which stays open and owned by the
// caller as long as the Table is used. It does not touch the kernel. The
// caller closes the Table before it gives up the namespace.
func New(ns netns.NsHandle) *Table { return &Table{ns: ns} }

func kernelTable() *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName}
}

// Apply makes the kernel hold want, given that it holds have, in one batch:
// packets meet the old state or the new one, and after an error the kernel
// still holds the old. It sends only what differs and reads nothing, so that
// the cost is that of the difference. Where have is nil, it reads first.
//
// What an SNAT entry refers to, or moves to, is there in a batch before the one
// that changes the entry, and goes in one after it: see stages.
//
// Where the chains of have are damaged, they are built anew around the sets,
// which stay, after sets that are missing; where sets are damaged or the table is absent, the whole
// table is built, and its counters start from zero. Each is one batch.
//
// It returns the number of kernel objects added, changed or removed. The error
// is ErrOutdated where have turns out to be wrong; it then names an element
// that is different.
func (t *Table) Apply(ctx context.Context, have, want *Ruleset) (changes int, err error) {
	if want == nil || want.Skeleton != skeletonHash() {
		return 0, errors.New("apply nftables ruleset: the wanted ruleset must come from RulesetOf of the same version")
	}
	if have == nil {
		if have, err = t.Read(ctx); err != nil {
			return 0, err
		}
	}
	if have.Equal(want) {
		return 0, ctx.Err()
	}
	err = t.do(ctx, func(c *conn) (err error) {
		switch {
		case have.Skeleton == want.Skeleton:
			changes, err = update(c, have, want)
			return err
		case have.salvage != nil:
			if changes, err = complete(c, have.salvage); err == nil {
				n := 0
				n, err = update(c, have, want)
				changes += n
			}
			if err == nil {
				n, err := restore(c, have)
				if changes += n; err == nil {
					return nil
				}
			}
			// Something foreign holds on to a chain or set of the table.
		}
		changes, err = rebuild(c, want)
		return err
	})
	switch {
	case err == nil:
		return changes, nil
	case have.Skeleton != want.Skeleton:
		return 0, fmt.Errorf("build nftables table %s with %d elements: %w", tableName, want.Len(), err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EEXIST):
		if now, rerr := t.Read(ctx); rerr == nil {
			if what := firstDifference(have, now); what != "" {
				return 0, fmt.Errorf("change nftables table %s: %w: %s (%w)", tableName, ErrOutdated, what, err)
			}
		}
	}
	return 0, fmt.Errorf("change nftables table %s: %w", tableName, err)
}

// update sends the differences between the elements of have and want.
func update(c *conn, have, want *Ruleset) (changes int, err error) {
	var diffs [setCount]setDiff
	for id := range setCount {
		diffs[id] = diffSet(have.Sets[id], want.Sets[id])
		changes += diffs[id].changes()
	}
	before, after := stages(&diffs)
	if err := changeSets(c, before); err != nil {
		return 0, err
	}
	if err := changeSets(c, &diffs); err != nil {
		// If what came before stays, it does no harm: entries do not lead to
		// it, or lead where they will. The next change takes it away.
		for id := range setCount {
			before[id].add, before[id].del = nil, before[id].add
		}
		changeSets(c, before)
		return 0, err
	}
	return changes, changeSets(c, after)
}

// stages takes out of diffs what must be there before the rest changes, and
// what must stay until then.
//
// A batch is atomic for each lookup, but a packet under way makes several:
// where its source block is in one map before the batch and in another after
// it, or leads to another pool, one lookup may still see the old state, the
// next one the new, and nothing fits. So pools are made before and broken
// after. A block that moves between snat_addr and snat_pool is in both for a
// moment; either answer is right, and snat_addr, asked first, decides.
//
// Most changes need one batch: both stages are then empty.
func stages(diffs *[setCount]setDiff) (before, after *[setCount]setDiff) {
	before, after = &[setCount]setDiff{}, &[setCount]setDiff{}
	if pools := &diffs[SetPool]; pools.replaced == 0 {
		before[SetPool].add, after[SetPool].del = pools.add, pools.del
		*pools = setDiff{}
	}
	for _, move := range []struct{ from, to SetID }{{SetSNAT, SetSNATPool}, {SetSNATPool, SetSNAT}} {
		leaving := make(map[[40]byte]bool)
		for i := range diffs[move.from].del {
			leaving[diffs[move.from].del[i].Key] = true
		}
		to := &diffs[move.to]
		to.add = slices.DeleteFunc(to.add, func(e Element) bool {
			if leaving[e.Key] {
				before[move.to].add = append(before[move.to].add, e)
			}
			return leaving[e.Key]
		})
	}
	return before, after
}

// changeSets sends differences in one batch, if there are any: first everything that goes, then
// everything that comes, so that a key or an interval is free before it is
// taken again.
func changeSets(c *conn, diffs *[setCount]setDiff) error {
	if !slices.ContainsFunc(diffs[:], func(d setDiff) bool { return len(d.add)+len(d.del) > 0 }) {
		return nil // the library would send no batch
	}
	for id := range setCount {
		if err := changeSet(c, id, diffs[id].del, c.SetDeleteElements); err != nil {
			return err
		}
	}
	for id := range setCount {
		if err := changeSet(c, id, diffs[id].add, c.SetAddElements); err != nil {
			return err
		}
	}
	return c.Flush()
}

// changeSet queues elements for one set, in messages that they fit into. The
// chunk is even, so that the two halves of an interval stay together, unless
// one reaches the end of the address space and has no second half; the order
// of messages keeps them neighbours all the same.
func changeSet(c *conn, id SetID, elements []Element, queue func(*nftables.Set, []nftables.SetElement) error) error {
	set := kernelSet(kernelTable(), id)
	for chunk := range slices.Chunk(kernelElements(id, elements), chunkSize) {
		if err := queue(set, chunk); err != nil {
			return fmt.Errorf("encode elements of %s: %w", id, err)
		}
	}
	return nil
}

// complete adds the sets and counters that are missing.
func complete(c *conn, s *salvage) (int, error) {
	table := kernelTable()
	for _, name := range s.noCounters {
		c.AddObj(&nftables.CounterObj{Table: table, Name: name})
	}
	for _, id := range s.noSets {
		if err := c.AddSet(kernelSet(table, id), nil); err != nil {
			return 0, fmt.Errorf("add set %s: %w", id, err)
		}
	}
	return len(s.noCounters) + len(s.noSets), c.Flush()
}

// restore replaces the chains of a table whose sets are in order. Unlike
// rebuild it loses no packet: one that is on its way through the old chains
// still finds what it looks up, because the elements stay.
func restore(c *conn, have *Ruleset) (changes int, err error) {
	table := kernelTable()
	c.FlushTable(table) // all rules: some jump to chains, or use foreign sets
	for _, name := range have.salvage.sets {
		c.DelSet(&nftables.Set{Table: table, Name: name})
	}
	for _, name := range have.salvage.chains {
		c.DelChain(&nftables.Chain{Table: table, Name: name})
	}
	return len(have.salvage.sets) + addChains(c, table), c.Flush()
}

// rebuild replaces the whole table.
func rebuild(c *conn, want *Ruleset) (int, error) {
	table := kernelTable()
	tables, err := c.ListTablesOfFamily(table.Family)
	if err != nil {
		return 0, fmt.Errorf("list tables: %w", err)
	}
	for _, old := range tables {
		if old.Name == table.Name {
			c.DelTable(table)
		}
	}
	changes := 1
	c.AddTable(table)
	for _, name := range counterNames() {
		c.AddObj(&nftables.CounterObj{Table: table, Name: name})
		changes++
	}
	for id := range setCount {
		if err := c.AddSet(kernelSet(table, id), nil); err != nil {
			return 0, fmt.Errorf("add set %s: %w", id, err)
		}
		if err := changeSet(c, id, want.Sets[id].Slice(), c.SetAddElements); err != nil {
			return 0, err
		}
		changes += 1 + want.Sets[id].Len()
	}
	changes += addChains(c, table)
	return changes, c.Flush()
}

// addChains queues all chains and rules and returns their number.
func addChains(c *conn, table *nftables.Table) (n int) {
	specs := chains()
	for i := range specs {
		c.AddChain(kernelChain(table, &specs[i]))
		n++
	}
	// Rules come after all chains: some jump.
	for i := range specs {
		for k, r := range specs[i].rules {
			c.AddRule(&nftables.Rule{
				Table: table, Chain: &nftables.Chain{Name: specs[i].name, Table: table},
				Exprs: r.exprs, UserData: ruleTag(specs[i].name, k),
			})
			n++
		}
	}
	return n
}

func kernelChain(t *nftables.Table, s *chainSpec) *nftables.Chain {
	c := &nftables.Chain{Name: s.name, Table: t}
	if s.hook != nil {
		c.Hooknum, c.Priority, c.Type, c.Policy = s.hook, s.priority, s.kind, &s.policy
	}
	return c
}

// firstDifference names one element that a has and b has not, or the other
// way, or another value for its key; or what is wrong with b's fixed part.
func firstDifference(a, b *Ruleset) string {
	if b.Skeleton != a.Skeleton {
		if b.Damage != "" {
			return b.Damage
		}
		return "table is absent"
	}
	for id := range setCount {
		d := diffSet(a.Sets[id], b.Sets[id])
		switch {
		case len(d.del) > 0:
			return fmt.Sprintf("%s has no element %s", id, elementText(id, &d.del[0]))
		case len(d.add) > 0:
			return fmt.Sprintf("%s has an element %s", id, elementText(id, &d.add[0]))
		}
	}
	return ""
}
