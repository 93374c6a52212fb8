package nft

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/google/nftables"

	"sluice/dataplane/sorted"
)

// readAttempts is how often Read starts over because the ruleset changed while
// it was read.
const readAttempts = 10

// Read returns what the kernel holds now. A table that is absent or damaged is
// a valid answer (Ruleset.Skeleton is empty, Ruleset.Damage says why), not an
// error. Its elements are left out where Apply must build the sets anew too.
//
// The answer is consistent: a change by someone else in the meantime makes
// Read start over. Where other programs change other tables without pause, so that
// there is always one, two answers that agree are taken for what is there.
func (t *Table) Read(ctx context.Context) (*Ruleset, error) {
	var r *Ruleset
	err := t.do(ctx, func(c *conn) (err error) {
		r, t.at, err = readConsistent(ctx, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read nftables table %s: %w", tableName, err)
	}
	return r, nil
}

// readConsistent also returns the generation that it has read, 0 where there were several,
// or with an error.
func readConsistent(ctx context.Context, c *conn) (r *Ruleset, at uint32, err error) {
	before, err := c.generation()
	if err != nil {
		return nil, 0, err
	}
	var previous *Ruleset
	for range readAttempts {
		r, readErr := readOnce(c)
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		after, err := c.generation()
		switch {
		case err != nil:
			return nil, 0, err
		case before == after && readErr != nil:
			return nil, 0, readErr
		case before == after:
			return r, after, nil
		case readErr == nil && previous != nil && previous.same(r):
			return r, 0, nil
		}
		before, previous = after, nil
		if readErr == nil {
			previous = r
		}
	}
	return nil, 0, errors.New("the table keeps changing while it is read; another program writes to it without pause")
}

// same reports whether two Rulesets that were read say the same.
func (r *Ruleset) same(o *Ruleset) bool {
	return r.Damage == o.Damage && r.Equal(o) && reflect.DeepEqual(r.salvage, o.salvage)
}

func readOnce(c *conn) (*Ruleset, error) {
	table, err := findTable(c)
	if err != nil || table == nil {
		return &Ruleset{}, err
	}
	if table.Flags != 0 {
		return &Ruleset{Damage: fmt.Sprintf("table has flags %#x (dormant or owned by another program)", table.Flags)}, nil
	}
	var s salvage
	if damage, err := inspectSets(c, table, &s); damage != "" || err != nil {
		return &Ruleset{Damage: damage}, err
	}
	if err := inspectCounters(c, table, &s); err != nil {
		return nil, err
	}
	r := &Ruleset{}
	for id := range setCount {
		if slices.Contains(s.noSets, id) || setSpecs[id].learned > 0 {
			continue
		}
		elements, malformed, err := readSet(c, table, id)
		if err != nil {
			return nil, fmt.Errorf("read elements of %s: %w", id, err)
		}
		r.Sets[id] = sorted.Of(elements...)
		if malformed != "" {
			return &Ruleset{Damage: malformed}, nil
		}
	}
	if r.Damage, err = inspectChains(c, table, &s); err != nil {
		return nil, err
	}
	foreign, err := foreignSets(c, table, &s)
	if err != nil {
		return nil, err
	}
	r.Damage = cmp.Or(s.lacks(), r.Damage, foreign)
	if r.Damage != "" {
		r.salvage = &s
	} else {
		r.Skeleton = skeletonHash()
	}
	return r, nil
}

// readSet reads the elements of one set.
//
// The kernel resizes its hash tables some time after a batch has filled or
// emptied them, and a listing of the set that this happens to leaves elements
// out or has them twice; the generation does not tell. So it reads until two
// listings agree.
func readSet(c *conn, table *nftables.Table, id SetID) (elements []Element, malformed string, err error) {
	var previous []Element
	for range readAttempts {
		listing, err := c.GetSetElements(kernelSet(table, id))
		if err != nil {
			return nil, "", err
		}
		elements, err := fromKernel(id, listing)
		switch {
		case errors.Is(err, errTwice):
			previous = nil
			continue
		case err != nil:
			return nil, err.Error(), nil
		case setSpecs[id].single(): // a tree, not a hash table
			return elements, "", nil
		case previous != nil && slices.Equal(elements, previous):
			return elements, "", nil
		}
		previous = elements
	}
	return nil, "", errors.New("no two listings of its elements agree")
}

func findTable(c *conn) (*nftables.Table, error) {
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	for _, t := range tables {
		if t.Name == tableName {
			return t, nil
		}
	}
	return nil, nil
}

// inspectSets compares the sets with setSpecs and returns what differs first,
// or "". Those that are missing are added to s.
func inspectSets(c *conn, table *nftables.Table, s *salvage) (string, error) {
	sets, err := c.GetSets(table)
	if err != nil {
		// As with rules below: a foreign set may be of a type unknown to the library.
		return fmt.Sprintf("sets cannot be read: %v", err), nil
	}
	found := make(map[string]*nftables.Set, len(sets))
	for _, s := range sets {
		found[s.Name] = s
	}
	for id := range setCount {
		want, got := kernelSet(table, id), found[id.String()]
		switch {
		case got == nil:
			s.noSets = append(s.noSets, id)
		case got.IsMap != want.IsMap, got.Interval != want.Interval, got.HasTimeout != want.HasTimeout, got.Dynamic != want.Dynamic, got.Constant, got.Anonymous,
			got.KeyType.Name != want.KeyType.Name, got.DataType.Name != want.DataType.Name:
			return fmt.Sprintf("set %s is of another type", id), nil
		}
	}
	return "", nil
}

// foreignSets adds the sets that are not ours to s and names one, or "".
func foreignSets(c *conn, table *nftables.Table, s *salvage) (damage string, err error) {
	sets, err := c.GetSets(table)
	if err != nil {
		return "", fmt.Errorf("list sets: %w", err)
	}
	for _, set := range sets {
		// An anonymous set belongs to a rule and goes with it.
		if !set.Anonymous && !slices.ContainsFunc(setSpecs[:], func(s setSpec) bool { return s.name == set.Name }) {
			s.sets = append(s.sets, set.Name)
			damage = fmt.Sprintf("set %s does not belong here", set.Name)
		}
	}
	return damage, nil
}

// inspectChains compares the chains and their rules with chains(), returns
// what differs first, or "", and adds the names of all chains to s.
func inspectChains(c *conn, table *nftables.Table, s *salvage) (string, error) {
	list, err := c.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return "", fmt.Errorf("list chains: %w", err)
	}
	found := make(map[string]*nftables.Chain, len(list))
	for _, ch := range list {
		if ch.Table != nil && ch.Table.Name == tableName {
			found[ch.Name] = ch
			s.chains = append(s.chains, ch.Name)
		}
	}
	specs := chains()
	for i := range specs {
		want, got := &specs[i], found[specs[i].name]
		if got == nil {
			return fmt.Sprintf("chain %s is missing", want.name), nil
		}
		if !sameHook(want, got) {
			return fmt.Sprintf("chain %s has another type, hook, priority or policy", want.name), nil
		}
		rules, err := c.GetRules(table, got)
		if err != nil {
			// The library cannot read some expressions; we use none of those.
			// If the kernel is at fault, then building anew fails too.
			return fmt.Sprintf("chain %s cannot be read: %v", want.name, err), nil
		}
		if damage := compareRules(want, rules); damage != "" {
			return damage, nil
		}
		delete(found, want.name)
	}
	for name := range found {
		return fmt.Sprintf("chain %s does not belong here", name), nil
	}
	return "", nil
}

func sameHook(want *chainSpec, got *nftables.Chain) bool {
	if want.hook == nil {
		return got.Hooknum == nil
	}
	return got.Hooknum != nil && *got.Hooknum == *want.hook &&
		got.Priority != nil && *got.Priority == *want.priority &&
		got.Policy != nil && *got.Policy == want.policy &&
		got.Type == want.kind
}

// compareRules checks that a chain holds exactly our rules in our order: each
// has our tag, and still says what we wrote.
func compareRules(want *chainSpec, got []*nftables.Rule) string {
	for i, r := range want.rules {
		if i >= len(got) || !bytes.Equal(got[i].UserData, ruleTag(want.name, i)) {
			return fmt.Sprintf("chain %s: rule %d (%s) is missing or not in its place", want.name, i+1, r.text)
		}
		same := len(got[i].Exprs) == len(r.exprs)
		for n := 0; same && n < len(r.exprs); n++ {
			same = fingerprint(got[i].Exprs[n]) == fingerprint(r.exprs[n])
		}
		if !same {
			return fmt.Sprintf("chain %s: rule %d (%s) was altered", want.name, i+1, r.text)
		}
	}
	if len(got) > len(want.rules) {
		return fmt.Sprintf("chain %s has %d rules that do not belong here", want.name, len(got)-len(want.rules))
	}
	return ""
}

// inspectCounters adds the counters that are missing to s.
func inspectCounters(c *conn, table *nftables.Table, s *salvage) error {
	counters, err := readCounters(c, table)
	if err != nil {
		return err
	}
	for _, name := range counterNames() {
		if _, ok := counters[name]; !ok {
			s.noCounters = append(s.noCounters, name)
		}
	}
	return nil
}

// lacks says what is missing besides chains, or "".
func (s *salvage) lacks() string {
	switch {
	case len(s.noSets) > 0:
		return fmt.Sprintf("set %s is missing", s.noSets[0])
	case len(s.noCounters) > 0:
		return fmt.Sprintf("counter %s is missing", s.noCounters[0])
	}
	return ""
}
