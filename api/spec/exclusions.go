package spec

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Exclusions say of parameters and members that no document has, and that today's
// public clients know, why they are not served: each of them is either in the action's
// request or answer, with "extension", or here. A name stands for all that is below it:
// Tag for Tag.N.Key.
type Exclusions struct {
	// Unserved are parameters that ask for what this program does not do: refused,
	// unless their value asks for what it does anyway.
	Unserved []Unserved
	// Ignored are parameters that change nothing here, whatever they say.
	Ignored []Reason
	// Absent are members that are not in the answer.
	Absent []Reason
}

// Unserved is a parameter that is refused.
type Unserved struct {
	Name   string
	Served []string // values that ask for what is done anyway; compared without regard to case
	Why    string   // half a sentence: what is not done
}

// Reason is a name, and why nothing is done about it, as half a sentence.
type Reason struct{ Name, Why string }

// Allows says whether a value asks for nothing that is not done.
func (u Unserved) Allows(value string) bool {
	for _, s := range append(u.Served, "") {
		if strings.EqualFold(s, value) {
			return true
		}
	}
	return false
}

// rawExclusions are the keys as they stand in a file.
type rawExclusions struct {
	Unserved ordered[rawUnserved] `json:"unserved"`
	Ignored  ordered[string]      `json:"ignored"`
	Absent   ordered[string]      `json:"absent"`
}

type rawUnserved struct {
	Served []string `json:"served"`
	Why    string   `json:"why"`
}

// UnmarshalJSON takes a mere reason, too, where no value is served.
func (u *rawUnserved) UnmarshalJSON(text []byte) error {
	if err := json.Unmarshal(text, &u.Why); err == nil {
		return nil
	}
	type plain rawUnserved
	return json.Unmarshal(text, (*plain)(u))
}

func (r rawExclusions) exclusions() Exclusions {
	var e Exclusions
	for _, x := range r.Unserved {
		e.Unserved = append(e.Unserved, Unserved{x.name, x.value.Served, x.value.Why})
	}
	for _, x := range r.Ignored {
		e.Ignored = append(e.Ignored, Reason{x.name, *x.value})
	}
	for _, x := range r.Absent {
		e.Absent = append(e.Absent, Reason{x.name, *x.value})
	}
	return e
}

// check returns what is wrong with the lists.
func (e Exclusions) check() []string {
	var lines []string
	seen := map[string]bool{}
	for _, list := range [][]Reason{reasonsOf(e.Unserved), e.Ignored} {
		for _, x := range list {
			if seen[x.Name] {
				lines = append(lines, fmt.Sprintf("parameter %s is excluded twice", x.Name))
			}
			seen[x.Name] = true
		}
	}
	for _, list := range [][]Reason{reasonsOf(e.Unserved), e.Ignored, e.Absent} {
		for _, x := range list {
			if strings.TrimSpace(x.Why) == "" {
				lines = append(lines, fmt.Sprintf("%s is excluded without a reason", x.Name))
			}
		}
	}
	return lines
}

func reasonsOf(list []Unserved) []Reason {
	out := make([]Reason, len(list))
	for i, u := range list {
		out[i] = Reason{u.Name, u.Why}
	}
	return out
}

// Refused returns the parameters that the action refuses: its own, and those that the
// family's actions refuse where they do not take them.
func (f *Family) Refused(a *Action) []Unserved {
	out := append([]Unserved{}, a.Unserved...)
	for _, u := range f.Unserved {
		if !a.Request.has(u.Name) && !names(a.Ignored, u.Name) && !names(reasonsOf(a.Unserved), u.Name) {
			out = append(out, u)
		}
	}
	return out
}

// Unexplained returns the parameters and members, of those that a client knows of an
// action, that are neither served, be it with every request, nor excluded: paths with the parts that the catalog
// gives them (Tag.N.Key, Vpcs.Vpc.VpcId). Names are compared without regard to case in
// parameters, exactly in members.
func (f *Family) Unexplained(a *Action, parameters, members []string) (unknownParameters, unknownMembers []string) {
	var common Fields
	if t := f.types["CommonRequest"]; t != nil {
		common = t.Fields
	}
	for _, p := range parameters {
		if !a.Request.has(p) && !common.has(p) && !names(a.Ignored, p) && !names(reasonsOf(a.Unserved), p) &&
			!names(f.Ignored, p) && !names(reasonsOf(f.Unserved), p) {
			unknownParameters = append(unknownParameters, p)
		}
	}
	answered := map[string]bool{}
	a.Response.paths("", answered)
	for _, m := range members {
		last := m[strings.LastIndex(m, ".")+1:]
		if !answered[m] && !names(a.Absent, m) && !names(f.Absent, last) {
			unknownMembers = append(unknownMembers, m)
		}
	}
	return unknownParameters, unknownMembers
}

// has says whether a parameter of that path is among the fields, or one of which it is a
// part, or which is a part of it.
func (f Fields) has(path string) bool {
	for _, x := range f {
		if within(path, x.Name) || within(x.Name, path) {
			return true
		}
	}
	return false
}

// names says whether a path or one above it is in a list.
func names(list []Reason, path string) bool {
	for _, x := range list {
		if within(path, x.Name) {
			return true
		}
	}
	return false
}

// within says whether a path is another, or below it.
func within(path, above string) bool {
	return len(path) >= len(above) && strings.EqualFold(path[:len(above)], above) && (len(path) == len(above) || path[len(above)] == '.')
}

// paths puts the paths of all members into a set, under all the names that they have.
func (f Fields) paths(at string, into map[string]bool) {
	for _, x := range f {
		for _, name := range append(append([]string{x.Name}, x.WireAliases...), x.XMLAliases...) {
			path := at + name
			into[path] = true
			if x.Item == "" {
				x.Fields.paths(path+".", into)
				continue
			}
			for _, item := range append([]string{x.Item}, x.ItemAliases...) {
				into[path+"."+item] = true
				x.Fields.paths(path+"."+item+".", into)
			}
		}
	}
}
