package portsecurity

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// ErrUnsupported says that the kernel has not the family of tables that would be needed.
var ErrUnsupported = errors.New("the kernel cannot filter by nftables there")

// chunkSize is how many elements go into one message.
const chunkSize = 1000

func with(ns *netns.Namespace, f func(c *nftables.Conn) error) error {
	c, err := nftables.New(nftables.WithNetNSFd(int(ns.Handle())), nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("open netlink socket in %s: %w", ns, err)
	}
	defer func() { _ = c.CloseLasting() }()
	return f(c)
}

// Read returns what the tables of a namespace hold.
func Read(ns *netns.Namespace) (*Holding, error) {
	h := &Holding{tables: map[nftables.TableFamily]*content{}}
	err := with(ns, func(c *nftables.Conn) error {
		for _, f := range families {
			t, err := find(c, f.family)
			if err != nil {
				return err
			}
			if t == nil {
				continue
			}
			if h.tables[f.family], err = read(c, t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read port security of %s: %w", ns, err)
	}
	return h, nil
}

func find(c *nftables.Conn, family nftables.TableFamily) (*nftables.Table, error) {
	list, err := c.ListTablesOfFamily(family)
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", err)
	}
	for _, t := range list {
		if t.Name == tableName {
			return t, nil
		}
	}
	return nil, nil
}

func read(c *nftables.Conn, t *nftables.Table) (*content, error) {
	out := &content{form: "damaged"}
	list, err := c.ListChainsOfTableFamily(t.Family)
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	var names []string
	for _, k := range list {
		if k.Table == nil || k.Table.Name != tableName {
			continue
		}
		names = append(names, k.Name)
		if t.Family == nftables.TableFamilyNetdev && k.Hooknum != nil && len(k.Name) > len(linkPrefix) {
			out.links = append(out.links, k.Name[len(linkPrefix):])
		}
	}
	slices.Sort(out.links)
	if t.Flags != 0 {
		return out, nil
	}
	want := slices.Collect(maps.Keys(bases(t.Family, out.links)))
	for _, k := range chains() {
		want = append(want, k.name)
	}
	if !slices.Equal(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(names))) {
		return out, nil
	}
	for _, name := range want {
		n := 1 // that of a base chain
		if i := slices.IndexFunc(chains(), func(k chain) bool { return k.name == name }); i >= 0 {
			n = len(chains()[i].rules)
		}
		rules, err := c.GetRules(t, &nftables.Chain{Table: t, Name: name})
		if err != nil || len(rules) != n || slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return string(r.UserData) != form }) {
			return out, nil
		}
	}
	for id := range setCount {
		if out.elements[id], err = readSet(c, kernelSet(t, id)); err != nil {
			return out, nil // it is missing, or of another type
		}
	}
	out.form = form
	return out, nil
}

// readSet lists a set until two listings agree: one of a table that the kernel gives
// another size just then leaves elements out, or has them twice.
func readSet(c *nftables.Conn, s *nftables.Set) ([]string, error) {
	var last []string
	for range 10 {
		list, err := c.GetSetElements(s)
		if err != nil {
			return nil, err
		}
		keys := make([]string, 0, len(list))
		for _, e := range list {
			keys = append(keys, string(e.Key))
		}
		slices.Sort(keys)
		if last != nil && slices.Equal(last, keys) {
			return keys, nil
		}
		last = keys
	}
	return nil, fmt.Errorf("no two listings of %s agree", s.Name)
}

// Apply makes the tables hold want, given that they hold have: each table in one batch, so
// that a frame meets the old state or the new one. It returns how many kernel objects it
// has changed. ErrUnsupported says that the kernel cannot have one of the tables.
func Apply(ns *netns.Namespace, have, want *Holding) (changes int, err error) {
	for _, f := range families {
		n, err := applyTable(ns, f.family, have.tables[f.family], want.tables[f.family])
		changes += n
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) {
			err = errors.Join(err, ErrUnsupported)
		}
		if err != nil {
			return changes, fmt.Errorf("hold addresses by nftables table %s %s in %s: %w", f.name, tableName, ns, err)
		}
	}
	return changes, nil
}

func applyTable(ns *netns.Namespace, family nftables.TableFamily, have, want *content) (changes int, err error) {
	t := &nftables.Table{Family: family, Name: tableName}
	if have == nil && want == nil {
		return 0, nil
	}
	return changes, with(ns, func(c *nftables.Conn) error {
		switch {
		case want == nil:
			c.DelTable(t)
			changes = 1
		case have == nil || !have.sameFrame(want):
			if have != nil {
				c.DelTable(t)
			}
			if changes, err = build(c, t, want); err != nil {
				return err
			}
		default:
			for id, d := range have.diff(want) {
				for elements := range slices.Chunk(keys(d.del), chunkSize) {
					if err := c.SetDeleteElements(kernelSet(t, set(id)), elements); err != nil {
						return err
					}
				}
				if err := add(c, kernelSet(t, set(id)), d.add); err != nil {
					return err
				}
				changes += len(d.del) + len(d.add)
			}
			if changes == 0 {
				return nil
			}
		}
		return c.Flush()
	})
}

func build(c *nftables.Conn, t *nftables.Table, want *content) (changes int, err error) {
	c.AddTable(t)
	for _, name := range reasons {
		c.AddObj(&nftables.CounterObj{Table: t, Name: name})
	}
	if err := c.AddSet(kernelClaims(t), nil); err != nil {
		return 0, err
	}
	for id := range setCount {
		if err := c.AddSet(kernelSet(t, id), nil); err != nil {
			return 0, err
		}
		if err := add(c, kernelSet(t, id), want.elements[id]); err != nil {
			return 0, err
		}
		changes += 1 + len(want.elements[id])
	}
	for _, k := range chains() {
		in := c.AddChain(&nftables.Chain{Table: t, Name: k.name})
		for _, exprs := range k.rules {
			c.AddRule(&nftables.Rule{Table: t, Chain: in, Exprs: exprs, UserData: []byte(form)})
			changes++
		}
	}
	for name, link := range bases(t.Family, want.links) {
		base := &nftables.Chain{Table: t, Name: name, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw}
		if link != "" {
			base.Hooknum, base.Device = nftables.ChainHookIngress, link
		}
		c.AddChain(base)
		c.AddRule(&nftables.Rule{Table: t, Chain: base, UserData: []byte(form), Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: "check"}}})
		changes++
	}
	return changes, nil
}

func add(c *nftables.Conn, s *nftables.Set, list []string) error {
	for elements := range slices.Chunk(keys(list), chunkSize) {
		if err := c.SetAddElements(s, elements); err != nil {
			return err
		}
	}
	return nil
}

func keys(list []string) []nftables.SetElement {
	out := make([]nftables.SetElement, len(list))
	for i, k := range list {
		out[i].Key = []byte(k)
	}
	return out
}
