package state

import (
	"maps"
	"slices"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/controlplane/store"
)

// Quota limits how many resources of a kind there may be under one key of an index, or
// how many parts one of them may have. It is registered with its kind, once: what the
// configuration accepts, what it defaults to, and that no transaction of a service goes
// beyond it, follow from that.
type Quota[R resource.Resource] struct {
	Name    string // in the configuration
	Default int    // from the documents, or one that suits a single gateway machine
	Counts  string // what is counted: "VSwitches of a VPC"
	Reason  fault.Reason

	Index string       // a resource counts with those that have its key of this index
	Only  func(R) bool // which of them count; nil: all

	Parts func(R) int // in place of Index: how many parts a resource has
}

// QuotaInfo is what the configuration has to know of a quota.
type QuotaInfo struct {
	Name    string
	Default int
	Counts  string
}

// Limits returns what is allowed to an account, by the names of quotas. Of what has no
// entry nothing is allowed.
type Limits func(account string) map[string]int

// quota is a Quota without its type.
type quota struct {
	QuotaInfo
	reason fault.Reason
	parts  func(resource.Resource) int                // nil: resources are counted
	key    func(resource.Resource) (string, bool)     // under which a resource counts, if it does
	count  func(v *View, r resource.Resource) (n int) // how many count under its key
}

// quotas returns the quotas of the kind.
func (k Kind[R]) quotas() []quota {
	var list []quota
	for _, q := range k.Quotas {
		e := quota{QuotaInfo: QuotaInfo{q.Name, q.Default, q.Counts}, reason: q.Reason}
		if q.Parts != nil {
			e.parts = func(r resource.Resource) int { return q.Parts(r.(R)) }
			list = append(list, e)
			continue
		}
		keys := k.index(q.Index).Keys
		e.key = func(r resource.Resource) (string, bool) {
			if q.Only != nil && !q.Only(r.(R)) {
				return "", false
			}
			under := keys(r.(R))
			if len(under) == 0 {
				return "", false
			}
			return under[0], true
		}
		e.count = func(v *View, r resource.Resource) (n int) {
			under := (*k.Table(v)).By(q.Index, keys(r.(R))[0])
			if q.Only == nil {
				return under.Len()
			}
			for x := range under.All() {
				if q.Only(x) {
					n++
				}
			}
			return n
		}
		list = append(list, e)
	}
	return list
}

// quotasOf are the quotas of each kind, in the order in which they are registered.
var quotasOf = func() map[resource.Kind][]quota {
	m := make(map[resource.Kind][]quota)
	for _, k := range kinds {
		m[k.name()] = k.quotas()
	}
	return m
}()

// Quotas returns all quotas, in the order in which they are registered.
func Quotas() (list []QuotaInfo) {
	for _, k := range kinds {
		for _, q := range quotasOf[k.name()] {
			list = append(list, q.QuotaInfo)
		}
	}
	return list
}

// DefaultQuotas returns what is allowed where the operator says nothing else, by the
// names of quotas.
func DefaultQuotas() map[string]int {
	m := make(map[string]int)
	for _, q := range Quotas() {
		m[q.Name] = q.Default
	}
	return m
}

func (q quota) exceeded(have, more, most int) error {
	return fault.New(q.reason, "%d %s, %d more; quota %s allows %d", have, q.Counts, more, q.Name, most).Exceeds(have, more, most)
}

// Room refuses new resources for which a quota of their accounts has no room, once
// others are gone. Reasons: those of the quotas.
func (v *View) Room(allowed Limits, gone []resource.Resource, put ...resource.Resource) error {
	asked := make(map[string]bool)
	for _, r := range put {
		for _, q := range quotasOf[r.Kind()] {
			if q.parts != nil {
				continue
			}
			key, counts := q.key(r)
			if !counts || asked[Key(q.Name, key)] {
				continue
			}
			asked[Key(q.Name, key)] = true
			among := func(list []resource.Resource) (n int) {
				for _, x := range list {
					if x.Kind() != r.Kind() {
						continue
					}
					if k, counts := q.key(x); counts && k == key {
						n++
					}
				}
				return n
			}
			have, more, most := q.count(v, r)-among(gone), among(put), allowed(r.Metadata().Account)[q.Name]
			if have+more > most {
				return q.exceeded(have, more, most)
			}
		}
	}
	return nil
}

// Fits refuses a resource that has more parts than a quota of its account allows.
// Reasons: those of the quotas.
func Fits(allowed Limits, r resource.Resource) error {
	for _, q := range quotasOf[r.Kind()] {
		if q.parts == nil {
			continue
		}
		if n, most := q.parts(r), allowed(r.Metadata().Account)[q.Name]; n > most {
			return q.exceeded(0, n, most)
		}
	}
	return nil
}

// Exceeded refuses a transaction that has gone beyond a quota, or further beyond it than
// it was gone before, whatever has been asked of Room and Fits. Reasons: those of the
// quotas.
func (tx *Tx) Exceeded(allowed Limits) error {
	for _, key := range slices.SortedFunc(maps.Keys(tx.changes), store.Key.Compare) {
		c := tx.changes[key]
		if c.New == nil {
			continue
		}
		for _, q := range quotasOf[resource.Kind(key.Kind)] {
			now, before := 0, 0
			if q.parts != nil {
				now = q.parts(c.New)
				if c.Old != nil {
					before = q.parts(c.Old)
				}
			} else if _, counts := q.key(c.New); counts {
				now, before = q.count(tx.View, c.New), q.count(tx.base, c.New)
			}
			if most := allowed(c.New.Metadata().Account)[q.Name]; now > before && now > most {
				return q.exceeded(before, now-before, most)
			}
		}
	}
	return nil
}

// Unprotected refuses a transaction that deletes what is protected from it, by whichever
// call. Reason: DeletionProtected.
func (tx *Tx) Unprotected() error {
	for _, key := range slices.SortedFunc(maps.Keys(tx.changes), store.Key.Compare) {
		if c := tx.changes[key]; c.New == nil && c.Old != nil && c.Old.Metadata().Protected {
			return fault.New(fault.DeletionProtected, "%s %s is protected from deletion", key.Kind, c.Old.Metadata().ID)
		}
	}
	return nil
}
