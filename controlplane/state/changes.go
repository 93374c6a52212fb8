package state

import (
	"cmp"
	"slices"
	"sync"

	"sluice/controlplane/resource"
)

// Change is what a commit has made of a resource: Old is nil of one that is new, New
// of one that is deleted.
type Change struct {
	Old, New resource.Resource
}

// changesKept is how many changes of a network are remembered, at least.
const changesKept = 1024

// changes are the newest changes of each network, so that what follows a network need
// not look at all of it.
type changes struct {
	mu       sync.Mutex
	known    int64 // of networks without a log nothing has changed since this revision
	networks map[string]*changeLog
}

// changeLog has what was changed in a network after a revision.
type changeLog struct {
	after int64
	list  []logged
}

type logged struct {
	revision int64
	Change
}

// Changes returns what was changed of a network after one revision and until another,
// in order of the commits. known is false if that is not remembered, or more has changed
// than the network's own resources: then anything may be another.
func (db *DB) Changes(network string, after, until int64) (list []Change, known bool) {
	c := &db.changes
	c.mu.Lock()
	defer c.mu.Unlock()
	log := c.networks[network]
	if log == nil {
		return nil, after >= c.known
	}
	if after < log.after {
		return nil, false
	}
	first, _ := slices.BinarySearchFunc(log.list, after+1, func(l logged, r int64) int { return cmp.Compare(l.revision, r) })
	for _, l := range log.list[first:] {
		if l.revision <= until {
			list = append(list, l.Change)
		}
	}
	return list, true
}

// note takes in what a transaction has changed by a revision.
func (c *changes) note(tx *Tx, revision int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, change := range tx.changes {
		networks := make(map[string]bool, 1)
		for _, r := range []resource.Resource{change.Old, change.New} {
			if r == nil {
				continue
			}
			for _, network := range byName[r.Kind()].decides(tx.View, r) {
				networks[network] = true
			}
		}
		for network := range networks {
			c.log(network).add(logged{revision, change})
		}
	}
	for _, change := range tx.changes {
		n, now := ownNetwork(change.New)
		if _, before := ownNetwork(change.Old); now && !before {
			*c.log(n.Network()) = changeLog{after: revision} // nobody knows it by an earlier one
		}
	}
	for network := range tx.dirty {
		*c.log(network) = changeLog{after: revision}
	}
	for network := range tx.networks {
		if _, ok := tx.Network(network); !ok {
			delete(c.networks, network)
		}
	}
}

// forget says that anything may have been changed by a revision.
func (c *changes) forget(revision int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.networks = revision, make(map[string]*changeLog)
}

func (c *changes) log(network string) *changeLog {
	log := c.networks[network]
	if log == nil {
		log = &changeLog{after: c.known}
		c.networks[network] = log
	}
	return log
}

func (l *changeLog) add(change logged) {
	l.list = append(l.list, change)
	if len(l.list) < 2*changesKept {
		return
	}
	l.after = l.list[len(l.list)-changesKept-1].revision
	l.list = slices.Clone(l.list[len(l.list)-changesKept:])
}
