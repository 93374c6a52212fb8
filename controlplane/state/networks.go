package state

import (
	"iter"

	"sluice/controlplane/resource"
)

// networkKinds are the kinds of which a resource may have a network of its own.
var networkKinds = func() (list []registered) {
	for _, k := range kinds {
		if k.networked() {
			list = append(list, k)
		}
	}
	return list
}()

// networked says whether resources of the kind may have a network of their own.
func (k Kind[R]) networked() bool {
	var none R
	_, ok := any(none).(resource.Networked)
	return ok
}

// ownNetwork returns a resource as one that has a network of its own, if it has one.
func ownNetwork(r resource.Resource) (resource.Networked, bool) {
	if r == nil || r.Network() != r.Metadata().ID {
		return nil, false
	}
	n, ok := r.(resource.Networked)
	return n, ok
}

// Networks iterates over all resources that have a network of their own, kind by kind and
// by id.
func (v *View) Networks() iter.Seq[resource.Networked] {
	return func(yield func(resource.Networked) bool) {
		for _, k := range networkKinds {
			for r := range k.rows(v).all() {
				if n, ok := ownNetwork(r); ok && !yield(n) {
					return
				}
			}
		}
	}
}

// Network returns the resource whose network has that id.
func (v *View) Network(id string) (resource.Networked, bool) {
	for _, k := range networkKinds {
		if r, ok := k.rows(v).get(id); ok {
			return ownNetwork(r)
		}
	}
	return nil, false
}
