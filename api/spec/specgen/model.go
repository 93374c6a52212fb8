package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"sluice/api/spec"
)

// actionModel is what the templates need to know of one action.
type actionModel struct {
	*spec.Action
	Params    []*param      // of the request, without the indexed ones
	Lists     []*paramList  // indexed parameters
	Values    []*jsonValue  // JSON-valued parameters
	Structs   []*structType // of the response; the first is the response itself
	HasToken  bool
	HasDryRun bool
}

func newAction(f *spec.Family, a *spec.Action) (*actionModel, error) {
	m := &actionModel{Action: a}
	r := &resolver{family: f, action: a}
	for _, x := range a.Request {
		list, member, indexed := x.Indexed()
		p, err := newParam(r, x, indexed)
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", x.Name, err)
		}
		if p.kind == structure {
			v, err := newJSONValue(r, p)
			if err != nil {
				return nil, fmt.Errorf("parameter %s: %w", x.Name, err)
			}
			m.Values = append(m.Values, v)
		}
		switch x.Name {
		case "ClientToken":
			m.HasToken = true
		case "DryRun":
			m.HasDryRun = true
		}
		if !indexed {
			m.Params = append(m.Params, p)
			continue
		}
		if strings.Contains(member, ".") {
			return nil, fmt.Errorf("parameter %s: only the forms List.N and List.N.Member are generated so far", x.Name)
		}
		l := m.list(a.Name, list)
		if member == "" {
			if err := l.plain(p); err != nil {
				return nil, fmt.Errorf("parameter %s: %w", x.Name, err)
			}
		} else {
			p.Go, p.Member = goName(member), member
		}
		l.Params = append(l.Params, p)
		if x.MaxItems > 0 {
			l.MaxItems = x.MaxItems
		}
		if x.Excess != "" {
			if l.Excess, err = r.errorExpr(x.Excess, "", ""); err != nil {
				return nil, err
			}
		}
	}
	for _, l := range m.Lists {
		if l.Excess == "" {
			l.Excess = fmt.Sprintf("invalidParameter(%q)", l.Wire)
		}
	}
	b := &structBuilder{action: a.Name}
	if _, err := b.build(a.Name+"Response", a.Response); err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	m.Structs = b.structs
	m.Structs[0].Root = a.Name + "Response"
	return m, nil
}

func (m *actionModel) list(action, wire string) *paramList {
	for _, l := range m.Lists {
		if l.Wire == wire {
			return l
		}
	}
	l := &paramList{Wire: wire, Go: goName(wire), Type: action + goName(wire)}
	m.Lists = append(m.Lists, l)
	return l
}

// usesNetip says whether the request has a type of package netip.
func (m *actionModel) usesNetip() bool {
	has := func(list []*param) bool {
		return slices.ContainsFunc(list, func(p *param) bool { return p.kind.netip() })
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
	if p.kind != text && p.kind != address && p.kind != block {
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
		q = append(q, strconv.Quote(p.Member))
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

// lists says whether the action itself documents a code.
func (r *resolver) lists(code string) bool {
	for _, e := range r.action.Errors {
		if e.Code == code {
			return true
		}
	}
	return false
}

// errorExpr returns a Go expression for the documented error of a code. With a
// fragment, the message must hold it; a code with several messages needs one.
// index is the expression of an item's number, where the code has one.
func (r *resolver) errorExpr(code, fragment, index string) (string, error) {
	lists := [][]spec.Error{r.action.Errors, r.family.CommonErrors}
	for _, a := range r.family.Actions() {
		if a.Supported() {
			lists = append(lists, a.Errors)
		}
	}
	for _, list := range lists {
		var found []spec.Error
		for _, e := range list {
			if e, ok := filled(e, code); ok && strings.Contains(e.Message, fragment) {
				found = append(found, e)
			}
		}
		if len(found) == 0 {
			continue
		}
		for _, e := range found[1:] {
			if e.Message != found[0].Message {
				return "", fmt.Errorf("code %s has several messages; choose one by malformed_message", code)
			}
		}
		e := found[0]
		expr := fmt.Sprintf("&Error{%d, %q, %q}", e.HTTP, e.Code, e.Message)
		if strings.Contains(code, ".n.") {
			if index == "" {
				return "", fmt.Errorf("code %s belongs to an indexed parameter", code)
			}
			expr = fmt.Sprintf("numbered(%s, %s)", expr, index)
		}
		return expr, nil
	}
	return "", fmt.Errorf("code %s with a message holding %q is documented nowhere", code, fragment)
}

// filled returns a documented error as it is under a code. A document may leave
// a part of a code open, and repeat it in the message: InvalidParam.%s. What
// stands in its place in the code that is asked for is put into both.
func filled(e spec.Error, code string) (spec.Error, bool) {
	head, tail, open := strings.Cut(e.Code, "%s")
	if !open {
		return e, e.Code == code
	}
	if !strings.HasPrefix(code, head) || !strings.HasSuffix(code, tail) || len(code) <= len(head)+len(tail) {
		return e, false
	}
	e.Message = strings.ReplaceAll(e.Message, "%s", code[len(head):len(code)-len(tail)])
	e.Code = code
	return e, true
}

// goName makes an exported Go name of a wire name.
func goName(wire string) string {
	r := []rune(strings.ReplaceAll(wire, ".", ""))
	r[0] = unicode.ToUpper(r[0])
	return string(r)
}

// comment makes a doc comment of the catalog's words; nothing of nothing.
func comment(text string) string {
	if text == "" {
		return ""
	}
	return "// " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n// ")
}
