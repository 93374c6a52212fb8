package compile

import (
	"fmt"
	"reflect"
	"slices"

	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Undeclared compiles each part of a VPC from a view that has the tables of the kinds
// only that the part names, once from nothing and once from the network before, and
// returns which part read another; nil where the VPC does not compile.
func Undeclared(v *state.View, s *settings.Settings, vpc string, open Opener) map[int]string {
	undeclared := make(map[int]string)
	r, _ := v.VPCs.Get(vpc)
	before, err := Network(v, s, vpc, open)
	if err != nil {
		return nil
	}
	for i, p := range parts {
		for _, old := range []compiled{{}, {before, readPublic(v, vpc)}} {
			network := *before // what the parts before this one have made
			j := &job{Compiler: New(s, vpc, open), v: only(v, p.of), vpc: r, old: old, network: &network, read: readPublic(v, vpc), dirty: everything(v, p.of)}
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
	for _, p := range parts {
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
	return resource.Kind(table.Elem().FieldByName("kind").FieldByName("Name").String())
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
