package state

import (
	"reflect"
	"slices"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// TestKinds holds what the registrations of all kinds have to agree on.
func TestKinds(t *testing.T) {
	v := newView()
	tables := 0
	for i := range reflect.TypeFor[View]().NumField() {
		f := reflect.ValueOf(v).Elem().Field(i)
		if f.Kind() != reflect.Pointer {
			continue
		}
		tables++
		if f.IsNil() {
			t.Errorf("nothing is registered for %s", reflect.TypeFor[View]().Field(i).Name)
		}
	}
	if tables != len(kinds) || len(byName) != len(kinds) {
		t.Errorf("%d tables, %d kinds with %d names", tables, len(kinds), len(byName))
	}
	told := map[resource.Kind][]fault.Reason{}
	for _, k := range kinds {
		for of, reasons := range k.bars() {
			if byName[of] == nil {
				t.Errorf("%s bars the deletion of %q, which is no kind", k.name(), of)
				continue
			}
			for _, r := range reasons {
				if !slices.Contains(byName[of].barred(), r) {
					t.Errorf("%s bars the deletion of a %s by %q, which that does not list", k.name(), of, r)
				}
			}
			told[of] = append(told[of], reasons...)
		}
	}
	for _, k := range kinds {
		for _, r := range k.barred() {
			if !slices.Contains(told[k.name()], r) {
				t.Errorf("nothing bars the deletion of a %s by %q", k.name(), r)
			}
		}
		// The table and the struct are of one kind, and a record that was written is read.
		r, err := k.rows(v).decode("x", []byte(`{"id":"x"}`))
		if err != nil {
			t.Errorf("%s: %v", k.name(), err)
		} else if r.Kind() != k.name() || r.Metadata().ID != "x" {
			t.Errorf("%s: a %s %q was read", k.name(), r.Kind(), r.Metadata().ID)
		}
		if err := v.Taggable(k.name(), "a", "r", "x"); err == nil {
			t.Errorf("a %s that is not there may have tags", k.name())
		}
	}
}
