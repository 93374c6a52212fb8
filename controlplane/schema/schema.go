// Package schema brings the records of a store to the form that this version of
// Sluice reads. The form has a number, the schema, which is a record of its own; a
// store without it is of schema 0.
//
// A step to the next schema works on the records as they are stored, and knows no
// type of today: those change.
package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"sluice/controlplane/store"
)

// Version is the schema of this version of Sluice.
const Version = 5

// key is where the schema stands in the store.
var key = store.Key{Kind: store.KindSchema, ID: "version"}

// steps lead from one schema to the next: steps[0] from 0 to 1. machine is the name of
// this machine. A step returns the kind that the record is of then.
var steps = [Version]func(machine, kind string, r record) (string, error){
	func(_, kind string, r record) (string, error) { return kind, fieldWords(kind, r) },
	func(machine, kind string, r record) (string, error) { return kind, owners(machine, kind, r) },
	func(_, kind string, r record) (string, error) { return haVips(kind, r) },
	func(_, kind string, _ record) (string, error) { return kind, nil },
	func(_, kind string, r record) (string, error) { return kind, policies(kind, r) },
}

// adds are the records that come with a schema, beside those that are there: adds[0] with
// schema 1. Each is called with a record that is of that schema already, and says of which
// kind and id the one is that comes with it; nil: none does. taken says whether there is a
// record of an id.
var adds = [Version]func(kind string, r record, taken func(id string) bool) (of, id string, made record, err error){
	3: primaryInterfaces,
}

// record is a record's members, as they are stored.
type record map[string]json.RawMessage

// Upgrade brings a store to Version, in one commit. A store with records of an older
// schema is backed up before. machine is the name of this machine. It fails on a store
// of a newer schema. If another writer of
// the store was faster, what that has made of it is looked at anew.
func Upgrade(ctx context.Context, s store.Store, machine string, backup func(schema int) (path string, err error), log *slog.Logger) error {
	for {
		if err := upgrade(ctx, s, machine, backup, log); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func upgrade(ctx context.Context, s store.Store, machine string, backup func(schema int) (path string, err error), log *slog.Logger) error {
	// Most stores are of this version, and their records need not be looked into.
	if have, known, err := schemaOf(ctx, s); err != nil || known && have == Version {
		return err
	}
	have, known := 0, false // another writer may be at it
	type stored struct {
		store.Key
		record
	}
	var records []stored
	ids := map[string]bool{}
	revision, err := s.Load(ctx, func(r store.Record) error {
		if r.Key == key {
			known = true
			return json.Unmarshal(r.Value, &have)
		}
		x := stored{Key: r.Key}
		if err := json.Unmarshal(r.Value, &x.record); err != nil {
			return fmt.Errorf("record %s %q: %w; restore the store from a backup", r.Kind, r.ID, err)
		}
		records = append(records, x)
		ids[r.ID] = true
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("read the store's schema: %w", err)
	case have > Version:
		return fmt.Errorf("the store has schema %d, and this version of Sluice knows those up to %d: use the version that has written it, or a backup", have, Version)
	case known && have == Version:
		return nil
	}
	writes := []store.Write{{Key: key, Value: []byte(fmt.Sprint(Version))}}
	if len(records) > 0 {
		for _, x := range records {
			kind := x.Kind
			for at := have; at < Version; at++ {
				if kind, err = steps[at](machine, kind, x.record); err != nil {
					return fmt.Errorf("bring record %s %q to schema %d: %w", x.Kind, x.ID, at+1, err)
				}
				if adds[at] == nil {
					continue
				}
				of, id, made, err := adds[at](kind, x.record, func(id string) bool { return ids[id] })
				if err != nil {
					return fmt.Errorf("add to record %s %q what it has in schema %d: %w", x.Kind, x.ID, at+1, err)
				}
				if made == nil {
					continue
				}
				ids[id] = true
				value, err := json.Marshal(made)
				if err != nil {
					return err
				}
				writes = append(writes, store.Write{Key: store.Key{Kind: of, ID: id}, Value: value})
			}
			value, err := json.Marshal(x.record)
			if err != nil {
				return err
			}
			if kind != x.Kind {
				writes = append(writes, store.Write{Key: x.Key})
			}
			writes = append(writes, store.Write{Key: store.Key{Kind: kind, ID: x.ID}, Value: value})
		}
		// Last: a store that cannot be brought over is not copied at each start.
		path, err := backup(have)
		if err != nil {
			return fmt.Errorf("back up the store before it is brought to schema %d: %w", Version, err)
		}
		log.Info("the store is brought to another schema", "from", have, "to", Version, "records", len(records), "backup", path)
	}
	if _, err := s.Commit(ctx, revision, writes); err != nil {
		return fmt.Errorf("write the store in schema %d: %w", Version, err)
	}
	return nil
}

// schemaOf returns the schema that a store says it has, if it does.
func schemaOf(ctx context.Context, s store.Store) (have int, known bool, err error) {
	_, err = s.Load(ctx, func(r store.Record) error {
		if r.Key != key {
			return nil
		}
		known = true
		return json.Unmarshal(r.Value, &have)
	})
	if err != nil {
		return 0, false, fmt.Errorf("read the store's schema: %w", err)
	}
	return have, known, nil
}

// take removes a member and returns it; what is not there leaves value as it is.
func (r record) take(name string, value any) error {
	text, ok := r[name]
	if !ok {
		return nil
	}
	delete(r, name)
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// put sets a member.
func (r record) put(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	r[name] = text
	return nil
}

// reword replaces a member's word by what stands for it in a table, under another name
// or the same. An absent member stays so.
func reword[T any](r record, name, to string, table map[string]T) error {
	if _, ok := r[name]; !ok {
		return nil
	}
	var word string
	if err := r.take(name, &word); err != nil {
		return err
	}
	value, ok := table[word]
	if !ok {
		return fmt.Errorf("%s: %q is none of the words that schema 0 has there", name, word)
	}
	return r.put(to, value)
}

// within changes a member that is an object; another stays as it is.
func (r record) within(name string, change func(record) error) error {
	if _, ok := r[name]; !ok {
		return nil
	}
	var inner record
	if text := bytes.TrimSpace(r[name]); len(text) == 0 || text[0] != '{' {
		return nil // a text, a number, or null
	}
	if err := r.take(name, &inner); err != nil {
		return err
	}
	if err := change(inner); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return r.put(name, inner)
}

// each changes the objects of a list that is a member.
func (r record) each(name string, change func(record) error) error {
	if _, ok := r[name]; !ok {
		return nil
	}
	var list []record
	if err := r.take(name, &list); err != nil {
		return err
	}
	for i := range list {
		if err := change(list[i]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return r.put(name, list)
}

// all makes of several things, and stops at the first error.
func all(changes ...func() error) error {
	for _, change := range changes {
		if err := change(); err != nil {
			return err
		}
	}
	return nil
}
