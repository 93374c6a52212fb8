// Package aliyun writes the Go code of the Alibaba Cloud RPC family: request
// and response types, decoding, the interface of handlers and the table of
// documented errors of package api/aliyun.
package aliyun

import (
	"fmt"
	"slices"
	"strings"
	"text/template"

	"sluice/api/spec"
	"sluice/api/spec/specgen/gosource"
)

// Emitter writes the files of package api/aliyun.
type Emitter struct{}

// Family is the name of the family in the catalog.
func (Emitter) Family() string { return spec.Aliyun }

// Dir is the package that is written.
func (Emitter) Dir() string { return "api/aliyun" }

// Files returns a file for each group of actions that has a supported one,
// and those about all actions. It refuses a wire that package api/aliyun does
// not read.
func (Emitter) Files(f *spec.Family) (map[string][]byte, error) {
	if w := f.Wire; w.Action != (spec.Place{In: spec.InParameter, Name: "Action"}) || !slices.Equal(w.Parameters, []string{spec.Form}) || w.FirstIndex != 1 {
		return nil, fmt.Errorf("only requests whose parameters are a form, with the action in Action and indexes from 1, are generated so far: %+v", *w)
	}
	files := map[string][]byte{}
	all := tables{Family: f}
	for _, g := range f.Groups {
		group := groupModel{Name: g.Name}
		for _, a := range g.Actions {
			if !a.Supported() {
				all.Unsupported = append(all.Unsupported, a)
				continue
			}
			m, err := newAction(f, a)
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
	slices.SortFunc(all.Unsupported, func(a, b *spec.Action) int { return strings.Compare(a.Key(), b.Key()) })
	for name, t := range map[string]*template.Template{"actions.go": actionsTemplate, "errors.go": errorsTemplate, "recordable.go": recordableTemplate} {
		text, err := gosource.Render(t, all)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = text
	}
	checked, err := rules(f)
	if err == nil && len(checked) > 0 {
		files["authorization.go"], err = gosource.Render(authorizationTemplate, checked)
	}
	if err != nil {
		return nil, err
	}
	return files, nil
}

// tables is what the files about all actions are made of.
type tables struct {
	Family      *spec.Family
	Groups      []groupModel
	Unsupported []*spec.Action
}

type groupModel struct {
	Name    string
	Actions []*actionModel
}

// Imports returns the packages that the group's file uses, sorted.
func (g groupModel) Imports() []string {
	list := []string{"encoding/xml"}
	if slices.ContainsFunc(g.Actions, (*actionModel).usesNetip) {
		list = append(list, "net/netip")
	}
	if slices.ContainsFunc(g.Actions, func(m *actionModel) bool { return len(m.Lists) > 0 }) {
		list = append(list, "strconv")
	}
	return list
}
