// Package tencent3 writes the Go code of Tencent Cloud's API 3.0: request and response
// types, what their parameters have to be, the interface of handlers and the codes of
// documented errors of package api/tencent3.
package tencent3

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"

	"sluice/api/spec"
	"sluice/api/spec/specgen/gosource"
)

// Emitter writes the files of package api/tencent3.
type Emitter struct{}

// Family is the name of the family in the catalog.
func (Emitter) Family() string { return spec.Tencent3 }

// Dir is the package that is written.
func (Emitter) Dir() string { return "api/tencent3" }

// Files returns a file for each group of actions that has a supported one, one for the
// structures that answers share, and those about all actions. It refuses a wire that package
// api/tencent3 does not read.
func (Emitter) Files(f *spec.Family) (map[string][]byte, error) {
	if w := f.Wire; w.Action != (spec.Place{In: spec.InParameter, Name: "Action"}) || !slices.Equal(w.Parameters, []string{spec.Form, spec.JSON}) || w.FirstIndex != 0 {
		return nil, fmt.Errorf("only requests whose parameters are a form or JSON, with the action in Action and indexes from 0, are generated so far: %+v", *w)
	}
	files := map[string][]byte{}
	all := tables{Family: f, shared: map[string]*structure{}}
	for _, g := range f.Groups {
		group := group{Name: g.Name}
		for _, a := range g.Actions {
			if !a.Supported() {
				all.Unsupported = append(all.Unsupported, a)
				continue
			}
			m, err := all.newAction(a)
			if err != nil {
				return nil, fmt.Errorf("action %s: %w", a.Key(), err)
			}
			group.Actions = append(group.Actions, m)
		}
		if len(group.Actions) == 0 {
			continue
		}
		all.Groups = append(all.Groups, group)
		name := strings.ReplaceAll(g.Name, "-", "_") + ".go"
		text, err := gosource.Render(groupTemplate, group)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = text
	}
	slices.SortFunc(all.Unsupported, func(a, b *spec.Action) int { return strings.Compare(a.Name, b.Name) })
	for name, t := range map[string]*template.Template{"actions.go": actionsTemplate, "errors.go": errorsTemplate, "types.go": typesTemplate} {
		text, err := gosource.Render(t, &all)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = text
	}
	return files, nil
}

// tables is what the files about all actions are made of.
type tables struct {
	Family      *spec.Family
	Groups      []group
	Unsupported []*spec.Action
	shared      map[string]*structure // of the documents' data structures, by name
}

// Shared returns the structures that answers share, by name.
func (t *tables) Shared() (list []*structure) {
	for _, name := range slices.Sorted(maps.Keys(t.shared)) {
		list = append(list, t.shared[name])
	}
	return list
}

type group struct {
	Name    string
	Actions []*action
}

// UsesNetip says whether a request of the group has a type of package netip.
func (g group) UsesNetip() bool {
	return slices.ContainsFunc(g.Actions, func(a *action) bool {
		return slices.ContainsFunc(a.Inputs, func(s *structure) bool {
			return slices.ContainsFunc(s.Members, func(m member) bool { return strings.Contains(m.Type, "netip.") })
		})
	})
}

// action is what the templates need to know of one action.
type action struct {
	*spec.Action
	Inputs   []*structure // of the request; the first is the request itself
	Outputs  []*structure // likewise, of the answer, without those that answers share
	Elements []string     // of the answer, that may be recorded
}

func (t *tables) newAction(a *spec.Action) (*action, error) {
	inputs, err := a.Request.Inputs()
	if err != nil {
		return nil, fmt.Errorf("parameter %w", err)
	}
	m := &action{Action: a, Elements: a.RecordableElements()}
	if _, err := m.input(a.Name+"Request", inputs); err != nil {
		return nil, err
	}
	m.Outputs = append(m.Outputs, &structure{Name: a.Name + "Response"})
	if m.Outputs[0].Members, err = t.outputs(m, a.Name, a.Response); err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	return m, nil
}

// structure is a Go type of a request or an answer.
type structure struct {
	Name    string
	Members []member
}

// member is a field of one.
type member struct {
	Go, Type, Comment string
	JSON              string // name, and options, of an answer's
	Rule              string // of a request's: the expression of what it has to be
	Items             string // of an answer's list: the type of an item
	Nested            bool   // the structure has lists of its own, or is one
	Pointer           bool
}
