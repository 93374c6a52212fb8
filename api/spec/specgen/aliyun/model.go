package aliyun

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sluice/api/spec"
	"sluice/api/spec/specgen/gosource"
)

// actionModel is what the templates need to know of one action.
type actionModel struct {
	*spec.Action
	Go       string        // name of its types and of its method
	Params   []*param      // of the request, without the indexed ones
	Lists    []*paramList  // indexed parameters
	Values   []*jsonValue  // JSON-valued parameters
	Structs  []*structType // of the response; the first is the response itself
	Refused  []spec.Unserved
	HasToken bool
}

func newAction(f *spec.Family, a *spec.Action) (*actionModel, error) {
	inputs, err := a.Request.Inputs()
	if err != nil {
		return nil, fmt.Errorf("parameter %w", err)
	}
	m := &actionModel{Action: a, Go: goName(a), Refused: f.Refused(a)}
	r := &resolver{family: f, action: a}
	for _, in := range inputs {
		switch in.Shape {
		case spec.Value:
			err = m.addParam(r, in.Field)
		case spec.List:
			err = m.addList(r, in)
		default:
			err = fmt.Errorf("only values and lists are generated so far")
		}
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", in.Path, err)
		}
	}
	b := &structBuilder{action: a.Name}
	if _, err := b.build(m.Go+"Response", a.Response); err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	m.Structs = b.structs
	m.Structs[0].Root = a.Name + "Response"
	return m, nil
}

// goName is the action's name in Go: services have actions of the same name.
func goName(a *spec.Action) string { return strings.ToUpper(a.Service) + a.Name }

// addParam adds a parameter that is a value.
func (m *actionModel) addParam(r *resolver, f *spec.Field) error {
	p, err := newParam(r, f, false)
	if err != nil {
		return err
	}
	if p.kind == spec.JSONObject {
		v, err := newJSONValue(r, p)
		if err != nil {
			return err
		}
		m.Values = append(m.Values, v)
	}
	if f.Name == "ClientToken" {
		m.HasToken = true
	}
	m.Params = append(m.Params, p)
	return nil
}

// addList adds a list of values, or of objects whose members are values or lists of texts.
func (m *actionModel) addList(r *resolver, in *spec.Input) error {
	l := &paramList{Wire: in.Name, Go: gosource.Name(in.Name), Type: m.Go + gosource.Name(in.Name), Excess: fmt.Sprintf("invalidParameter(%q)", in.Name)}
	members := in.Item.Members
	if in.Item.Shape == spec.Value {
		members = []*spec.Input{in.Item}
	}
	for _, x := range members {
		several := x.Shape == spec.List && x.Item.Shape == spec.Value
		if several {
			x.Field = x.Item.Field
		} else if x.Shape != spec.Value {
			return fmt.Errorf("only the forms List.N, List.N.Member and List.N.Member.N are generated so far")
		}
		p, err := newParam(r, x.Field, true)
		if err != nil {
			return fmt.Errorf("%s: %w", x.Path, err)
		}
		if several {
			if err := p.several(); err != nil {
				return fmt.Errorf("%s: %w", x.Path, err)
			}
		}
		l.Params = append(l.Params, p)
		if x == in.Item {
			if err := l.plain(p); err != nil {
				return err
			}
		} else {
			p.Go, p.Member = gosource.Name(x.Name), x.Name
		}
		if x.Field.MaxItems > 0 && !several {
			l.MaxItems = x.Field.MaxItems
		}
		if x.Field.Excess != "" {
			if l.Excess, err = r.errorExpr(x.Field.Excess, "", ""); err != nil {
				return err
			}
		}
	}
	m.Lists = append(m.Lists, l)
	return nil
}

// usesNetip says whether the request has a type of package netip.
func (m *actionModel) usesNetip() bool {
	has := func(list []*param) bool {
		return slices.ContainsFunc(list, func(p *param) bool { return isNetip(p.kind) })
	}
	return has(m.Params) ||
		slices.ContainsFunc(m.Lists, func(l *paramList) bool { return has(l.Params) }) ||
		slices.ContainsFunc(m.Values, func(v *jsonValue) bool { return has(v.Params) })
}

// paramList is a list of structures sent as List.1.Member, List.2.Member, …, or
// a plain one of values sent as List.1, List.2, …
type paramList struct {
	Wire, Go, Type string
	MaxItems       int
	Excess         string // expression of the error for too many items
	Params         []*param
	Plain          bool
	Missing        string // of a plain one: expression of the error for no item at all; empty: optional
}

// plain makes l a list of values, each checked as p.
func (l *paramList) plain(p *param) error {
	if p.kind != spec.Text && p.kind != spec.Address && p.kind != spec.Block {
		return fmt.Errorf("a list of anything but texts, addresses and CIDR blocks is not generated so far")
	}
	l.Plain, l.Type = true, goTypes[p.kind]
	if p.Required {
		l.Missing = fmt.Sprintf("missingParameter(%q)", l.Wire+".1")
	}
	return nil
}

// Names returns the quoted member names, for the search of indexes.
func (l *paramList) Names() string {
	var q []string
	for _, p := range l.Params {
		name := p.Member
		if p.Several {
			name += "."
		}
		q = append(q, strconv.Quote(name))
	}
	return strings.Join(q, ", ")
}

// Defaults returns the members of the request's literal that are not zero.
func (m *actionModel) Defaults() string { return defaults(m.Params) }

// resolver finds the documented errors that checks answer.
type resolver struct {
	family *spec.Family
	action *spec.Action
}

// errorExpr returns a Go expression for the documented error of a code. With a
// fragment, the message must hold it; a code with several messages needs one.
// index is the expression of an item's number, where the code has one.
func (r *resolver) errorExpr(code, fragment, index string) (string, error) {
	e, err := r.family.ErrorFor(r.action, code, fragment)
	if err != nil {
		return "", err
	}
	expr := fmt.Sprintf("&Error{%d, %q, %q}", e.HTTP, e.Code, e.Message)
	if strings.Contains(code, ".n.") {
		if index == "" {
			return "", fmt.Errorf("code %s belongs to an indexed parameter", code)
		}
		expr = fmt.Sprintf("numbered(%s, %s)", expr, index)
	}
	return expr, nil
}
