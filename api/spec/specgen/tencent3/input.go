package tencent3

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sluice/api/spec"
	"sluice/api/spec/specgen/gosource"
)

// kinds are how package tencent3 calls a kind of value, and its Go type.
var kinds = map[spec.Kind]struct{ name, typ string }{
	spec.Text: {"text", "string"}, spec.Number: {"number", "int"}, spec.Boolean: {"truth", "bool"},
	spec.Address: {"address", "netip.Addr"}, spec.Block: {"block", "netip.Prefix"},
}

// input makes the type of a request, or of an object in one, and returns the expression of
// what its members have to be.
func (a *action) input(name string, inputs []*spec.Input) (string, error) {
	s := &structure{Name: name}
	a.Inputs = append(a.Inputs, s)
	var rules []string
	for _, in := range inputs {
		m, err := a.member(name, in)
		if err != nil {
			return "", fmt.Errorf("parameter %s: %w", in.Path, err)
		}
		s.Members = append(s.Members, m)
		rules = append(rules, m.Rule)
	}
	return "fields{\n" + strings.Join(rules, ",\n") + ",\n}", nil
}

// Rules is the expression of what the request's parameters have to be.
func (a *action) Rules() string {
	var rules []string
	for _, m := range a.Inputs[0].Members {
		rules = append(rules, m.Rule+",\n")
	}
	return "fields{\n" + strings.Join(rules, "") + "}"
}

// singular is the name of one of a list.
func singular(name string) string {
	if strings.HasSuffix(name, "ss") {
		return name
	}
	return strings.TrimSuffix(name, "s")
}

// filter is the object by which listings are narrowed, which all of them share.
var filter = []string{"Name", "Values"}

func (a *action) member(owner string, in *spec.Input) (m member, err error) {
	m.Go = gosource.Name(in.Name)
	rule := []string{fmt.Sprintf("name: %q", in.Name)}
	list, of := in.Shape == spec.List, in
	if list {
		of = in.Item
		rule = append(rule, "list: true")
	}
	switch of.Shape {
	case spec.List:
		return m, fmt.Errorf("a list of lists is not generated so far")
	case spec.Object:
		if required(of) {
			rule = append(rule, "required: true")
		}
		if names := memberNames(of); list && slices.Equal(names, filter) {
			m.Type = "[]Filter"
			rule = append(rule, "most: maxFilters", "members: filterFields("+quoted(of.Members[0].Field.Enum)+")")
			m.Rule = "{" + strings.Join(rule, ", ") + "}"
			m.Comment = "// Nil: not given."
			return m, nil
		}
		typ := strings.TrimSuffix(owner, "Request") + singular(m.Go)
		members, err := a.input(typ, of.Members)
		if err != nil {
			return m, err
		}
		m.Type = "*" + typ
		if list {
			m.Type = "[]" + typ
		}
		m.Rule = "{" + strings.Join(append(rule, "members: "+members), ", ") + "}"
		return m, nil
	}
	f := of.Field
	k, ok := kinds[f.Kind()]
	if !ok {
		return m, fmt.Errorf("a value of format %s is not generated so far", f.Format)
	}
	rule = append(rule, "kind: "+k.name)
	rule = append(rule, valueRule(f)...)
	m.Type, m.Comment = k.typ, strings.TrimRight(f.Notes, ". ")
	if m.Comment != "" {
		m.Comment += "."
	}
	switch {
	case list:
		m.Type = "[]" + m.Type
	case !f.Required && f.Default == nil:
		m.Type, m.Pointer = "*"+m.Type, true
	}
	if list && !f.Required || m.Pointer {
		m.Comment += " Nil: not given."
	}
	m.Comment = gosource.Comment(strings.TrimSpace(m.Comment))
	m.Rule = "{" + strings.Join(rule, ", ") + "}"
	return m, nil
}

// valueRule is what a value has to be.
func valueRule(f *spec.Field) (rule []string) {
	add := func(format string, args ...any) { rule = append(rule, fmt.Sprintf(format, args...)) }
	if f.Required {
		add("required: true")
	}
	if f.Secret {
		add("secret: true")
	}
	if f.Format == "id" || f.Format == "name" || f.Format == "description" && f.Required {
		add("form: %q", f.Format)
	}
	if len(f.Enum) > 0 && f.Kind() != spec.Boolean {
		add("enum: []string{%s}", quoted(f.Enum))
	}
	if f.Min != nil {
		add("min: %d", *f.Min)
	}
	if f.Max != nil {
		add("max: %d", *f.Max)
	}
	if f.MaxLength > 0 {
		add("longest: %d", f.MaxLength)
		if f.Unit == "byte" {
			add("bytes: true")
		}
	}
	if f.MaxItems > 0 {
		add("most: %d", f.MaxItems)
	}
	if f.Default != nil {
		add("initial: %q", fmt.Sprint(f.Default))
	}
	return rule
}

// required says whether a list of objects may not be left out: one of whose members is
// required may, if it is one of several ways to ask.
func required(in *spec.Input) bool {
	return !slices.Equal(memberNames(in), filter) && len(in.Members) > 0 && in.Members[0].Field != nil && in.Members[0].Field.Required
}

func memberNames(in *spec.Input) (names []string) {
	for _, m := range in.Members {
		names = append(names, m.Name)
	}
	return names
}

func quoted(words []any) string {
	var list []string
	for _, w := range words {
		list = append(list, strconv.Quote(fmt.Sprint(w)))
	}
	return strings.Join(list, ", ")
}
