package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"

	"sluice/controlplane/resource"
)

// rows is a Table without its type, for what works on any kind.
type rows interface {
	get(id string) (resource.Resource, bool)
	all() iter.Seq[resource.Resource] // by id
	put(r resource.Resource, touched map[string]bool)
	remove(id string, touched map[string]bool)
	// decode reads the record of an id.
	decode(id string, value []byte) (resource.Resource, error)
	noun() string
	owned(account, region, id string) error
}

func (t *Table[R]) get(id string) (resource.Resource, bool) {
	r, ok := t.byID.Get(id)
	if !ok {
		return nil, false
	}
	return r, true
}

func (t *Table[R]) all() iter.Seq[resource.Resource] {
	return func(yield func(resource.Resource) bool) {
		t.byID.Scan(func(_ string, r R) bool { return yield(r) })
	}
}

func (t *Table[R]) put(r resource.Resource, touched map[string]bool) {
	t.replace(r.Metadata().ID, r.(R), true, touched)
}

func (t *Table[R]) remove(id string, touched map[string]bool) {
	var none R
	t.replace(id, none, false, touched)
}

func (t *Table[R]) decode(id string, value []byte) (resource.Resource, error) {
	var r R
	d := json.NewDecoder(bytes.NewReader(value))
	// What this version does not know of a resource it would leave out, and then lose.
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("record %s %q: %w", t.kind.Name, id, err)
	}
	if len(bytes.TrimSpace(value[d.InputOffset():])) > 0 {
		return nil, fmt.Errorf("record %s %q: there is more than one value in it", t.kind.Name, id)
	}
	if any(r) == any(*new(R)) {
		return nil, fmt.Errorf("record %s %q: it is empty", t.kind.Name, id)
	}
	if r.Metadata().ID != id {
		return nil, fmt.Errorf("record %s %q: it is that of %q", t.kind.Name, id, r.Metadata().ID)
	}
	return r, nil
}

func (t *Table[R]) noun() string { return t.kind.Noun }

func (t *Table[R]) owned(account, region, id string) error {
	_, err := t.Own(account, region, id)
	return err
}
