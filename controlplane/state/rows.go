package state

import (
	"encoding/json"
	"fmt"

	"sluice/controlplane/resource"
)

// rows is a Table without its type, for what works on any kind.
type rows interface {
	get(id string) (resource.Resource, bool)
	put(r resource.Resource, touched map[string]bool)
	remove(id string, touched map[string]bool)
	decode(value []byte) (resource.Resource, error)
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

func (t *Table[R]) put(r resource.Resource, touched map[string]bool) {
	t.replace(r.Metadata().ID, r.(R), true, touched)
}

func (t *Table[R]) remove(id string, touched map[string]bool) {
	var none R
	t.replace(id, none, false, touched)
}

func (t *Table[R]) decode(value []byte) (resource.Resource, error) {
	var r R
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, fmt.Errorf("decode %s: %w", t.kind.Name, err)
	}
	return r, nil
}

func (t *Table[R]) noun() string { return t.kind.Noun }

func (t *Table[R]) owned(account, region, id string) error {
	_, err := t.Own(account, region, id)
	return err
}
