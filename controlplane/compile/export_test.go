package compile

import (
	"fmt"
	"reflect"
	"slices"

	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Undeclared compiles each part of a network from a view that has the tables of the kinds
// only that the part names, once from nothing and once from the network before, and
// returns which part read another; nil where the network does not compile.
func Undeclared(v *state.View, s *settings.Settings, id string, open Opener) map[int]string {
	undeclared := make(map[int]string)
	of, _ := v.Network(id)
	before, err := Network(v, s, id, open)
	if err != nil {
		return nil
	}
	made, _ := new(job).made(of)
	for i, p := range made {
		for _, old := range []compiled{{}, {before, readPublic(v, id)}} {
			network := *before // what the parts before this one have made
			j := &job{Compiler: New(s, id, open), v: only(v, p.of), old: old, network: &network, read: readPublic(v, id), dirty: everything(v, p.of)}
			if _, err := j.made(of); err != nil {
				panic(err)
			}
			func() {
				defer func() {
					if cause := recover(); cause != nil {
						undeclared[i] = fmt.Sprint(cause)
					}
				}()
				if err := p.compile(j); err != nil {
					undeclared[i] = err.Error()
				}
			}()
		}
	}
	return undeclared
}

// Kinds returns the kinds that the parts name.
func Kinds() (all []resource.Kind) {
	for _, p := range slices.Concat(parts, borderParts, accelerationParts) {
		for _, k := range p.of {
			if !slices.Contains(all, k) {
				all = append(all, k)
			}
		}
	}
	return all
}

// only returns a view without the tables of other kinds: whoever reads one panics.
func only(v *state.View, kinds []resource.Kind) *state.View {
	c := *v
	fields := reflect.ValueOf(&c).Elem()
	for i := range fields.NumField() {
		f := fields.Field(i)
		if f.Kind() != reflect.Pointer {
			continue
		}
		if !slices.Contains(kinds, kindOf(f)) {
			f.SetZero()
		}
	}
	return &c
}

func kindOf(table reflect.Value) resource.Kind {
	return resource.Kind(table.Elem().FieldByName("rows").Elem().FieldByName("about").Elem().FieldByName("name").String())
}

// everything is as if each resource of some kinds had changed.
func everything(v *state.View, kinds []resource.Kind) dirty {
	var list []state.Change
	add := func(r resource.Resource) {
		if slices.Contains(kinds, r.Kind()) {
			list = append(list, state.Change{Old: r, New: r})
		}
	}
	for r := range v.ForwardEntries.All() {
		add(r)
	}
	for r := range v.ElasticIPs.All() {
		add(r)
	}
	for r := range v.Instances.All() {
		add(r)
	}
	return newDirty(list)
}
