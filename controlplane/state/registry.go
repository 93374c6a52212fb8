package state

import (
	"fmt"
	"slices"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// registered is a Kind without its type, for what works on any kind.
type registered interface {
	name() resource.Kind
	tags() bool
	networked() bool
	// grouped says whether one has a resource group of its own; groupOf returns the
	// resource whose group it is in, nil if that is its own.
	grouped() bool
	groupOf(v *View, r resource.Resource) resource.Resource
	barred() []fault.Reason
	// empty gives v an empty table, share the one of another view, to be changed.
	empty(v *View)
	share(v, from *View)
	rows(v *View) *rows
	quotas() []quota
	bounded() string
	bars() map[resource.Kind][]fault.Reason
	decides(v *View, r resource.Resource) []string
	// dangling returns what a resource of this kind refers to that is not there.
	dangling(v *View) error
	// blocker returns the first resource of this kind that bars the deletion of
	// another for a reason, and what it is called.
	blocker(v *View, of resource.Resource, why fault.Reason) (what string, found bool)
}

var byName = func() map[resource.Kind]registered {
	m := make(map[resource.Kind]registered, len(kinds))
	for _, k := range kinds {
		m[k.name()] = k
	}
	return m
}()

func (k Kind[R]) name() resource.Kind    { return k.Name }
func (k Kind[R]) tags() bool             { return k.Tags }
func (k Kind[R]) grouped() bool          { return k.Tags && k.GroupOf == nil }
func (k Kind[R]) bounded() string        { return k.Bounded }
func (k Kind[R]) barred() []fault.Reason { return k.Barred }
func (k Kind[R]) rows(v *View) *rows     { return (*k.Table(v)).rows }
func (k Kind[R]) empty(v *View)          { *k.Table(v) = newTable(k) }
func (k Kind[R]) share(v, from *View)    { *k.Table(v) = &Table[R]{(*k.Table(from)).rows.share()} }

// index returns the index of that name. It panics if there is none: that is a mistake
// in the program.
func (k Kind[R]) index(name string) Index[R] {
	for _, i := range k.Indexes {
		if i.Name == name {
			return i
		}
	}
	panic(fmt.Sprintf("state: table %s has no index %q", k.Name, name))
}

func (k Kind[R]) groupOf(v *View, r resource.Resource) resource.Resource {
	if k.GroupOf == nil {
		return nil
	}
	return k.GroupOf(v, r.(R))
}

// decides returns the networks for which a resource of this kind matters.
func (k Kind[R]) decides(v *View, r resource.Resource) []string {
	if k.Decides != nil {
		return k.Decides(v, r.(R))
	}
	if network := r.Network(); network != "" {
		return []string{network}
	}
	return nil
}

func (k Kind[R]) dangling(v *View) (err error) {
	for r := range (*k.Table(v)).All() {
		to := func(kind resource.Kind, id string) {
			if id == "" || err != nil {
				return
			}
			to, unknown := v.rows(kind)
			if unknown == nil {
				if _, ok := to.get(id); ok {
					return
				}
			}
			err = fmt.Errorf("record %s %q refers to %s %q, which is not there", k.Name, r.Metadata().ID, kind, id)
		}
		to(resource.KindAccount, r.Metadata().Account)
		if k.Refers != nil {
			k.Refers(r, to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bars says which kinds' deletion this one bars, and for what reasons.
func (k Kind[R]) bars() map[resource.Kind][]fault.Reason {
	m := make(map[resource.Kind][]fault.Reason)
	for _, b := range k.Blocks {
		m[b.Of] = append(m[b.Of], b.Reason)
	}
	return m
}

func (k Kind[R]) blocker(v *View, of resource.Resource, why fault.Reason) (string, bool) {
	for _, b := range k.Blocks {
		if b.Of != of.Kind() || b.Reason != why {
			continue
		}
		key := of.Metadata().ID
		if b.Within {
			key = of.Network()
		}
		for r := range (*k.Table(v)).By(b.Index, key).All() {
			if b.Keep == nil || b.Keep(r, of) {
				return fmt.Sprintf("%s %s", k.Noun, r.Metadata().ID), true
			}
		}
	}
	return "", false
}

func newView() *View {
	v := &View{}
	for _, k := range kinds {
		k.empty(v)
	}
	return v
}

// clone returns a view of its own for a transaction.
func (v *View) clone() *View {
	c := &View{Revision: v.Revision}
	for _, k := range kinds {
		k.share(c, v)
	}
	return c
}

// rows returns the table of a kind, or an error for a kind that this version
// does not know: a store written by a newer one must not be half-understood.
func (v *View) rows(kind resource.Kind) (*rows, error) {
	if k, ok := byName[kind]; ok {
		return k.rows(v), nil
	}
	return nil, fmt.Errorf("the store holds records of the unknown kind %q: it was written by a newer version", kind)
}

// Check says which resource refers to one that is not there, if any does. The services
// let none do so: such a store was not written by them alone.
func (v *View) Check() error {
	for _, k := range kinds {
		if err := k.dangling(v); err != nil {
			return err
		}
	}
	return nil
}

// Blocked refuses to delete a resource while another bars that, with the first of
// the reasons that its kind lists; nil if nothing does.
func (v *View) Blocked(r resource.Resource) error {
	k, ok := byName[r.Kind()]
	if !ok {
		return nil
	}
	for _, why := range k.barred() {
		for _, other := range kinds {
			if what, found := other.blocker(v, r, why); found {
				t := k.rows(v)
				return fault.New(why, "%s %s has %s; delete or unbind it first", t.noun, r.Metadata().ID, what)
			}
		}
	}
	return nil
}

// Taggable refuses a resource that may not have tags, or is not there, or not the
// account's in that region. Reasons: ParameterInvalid, or that of the kind.
func (v *View) Taggable(kind resource.Kind, account, region, id string) error {
	k, ok := byName[kind]
	if !ok || !k.tags() {
		return fault.New(fault.ParameterInvalid, "a %s has no tags", kind)
	}
	_, err := k.rows(v).own(account, region, id)
	return err
}

// TaggedKinds returns the kinds of which a resource may have tags, sorted.
func TaggedKinds() (list []resource.Kind) {
	for _, k := range kinds {
		if k.tags() {
			list = append(list, k.name())
		}
	}
	slices.Sort(list)
	return list
}

// Find returns the resource of a kind and id, whoever owns it.
func (v *View) Find(kind resource.Kind, id string) (resource.Resource, bool) {
	k, ok := byName[kind]
	if !ok {
		return nil, false
	}
	return k.rows(v).get(id)
}

// Taken says whether something has an id already.
func (v *View) Taken(id string) bool {
	for _, k := range kinds {
		if _, ok := k.rows(v).get(id); ok {
			return true
		}
	}
	return v.NATGateways.By(ByTableID, id).Len() > 0
}
