package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Authorization is what the documents say of the resources on which an action needs a
// right.
type Authorization struct {
	Rules map[string]*Rule `json:"actions"` // by action
	// FullAccess are actions that no rule is documented for, with why: they need the right
	// on everything.
	FullAccess map[string]string `json:"full_access"`
}

// Rule is the row of one action: on all of the resources it needs the right.
type Rule struct {
	Checked    []string        `json:"checked"`
	Variants   []CheckVariant  `json:"variants"`   // which replace Checked in their case
	Conditions []ConditionRule `json:"conditions"` // condition keys that have a value
	// Variables says which parameter a variable's value is, where that has another name.
	Variables map[string]string `json:"variables"`
}

// Case says when something holds: if a parameter has a value, is given, or is not.
type Case struct {
	Parameter string `json:"parameter"`
	Is        string `json:"is"`
	Given     string `json:"given"`
	Missing   string `json:"missing"`
}

// CheckVariant are the resources that are checked in one case.
type CheckVariant struct {
	Case
	Checked []string `json:"checked"`
}

// ConditionRule is the value of a condition key in one case.
type ConditionRule struct {
	Case
	Key     string `json:"key"`
	Value   string `json:"value"`
	Through string `json:"through"` // type of the resource whose VPC the variable is
}

// Pattern is one resource of a rule, in its parts:
// acs:<service>:<$regionid, or *>:<$accountid, or system>:<type>/<variable, or *>.
type Pattern struct {
	Service   string
	System    bool // it is the system's, and no account's
	Type      string
	Parameter string // that has the id; empty: all, written *
}

// Pattern reads a resource that a rule of an action checks.
func (r *Rule) Pattern(a *Action, text string) (p Pattern, err error) {
	fields := strings.SplitN(text, ":", 5)
	region := "$regionid"
	if a.Service != "" {
		region = "*" // what such a service keeps is in no region
	}
	if len(fields) != 5 || fields[0] != "acs" || fields[2] != region || fields[3] != "$accountid" && fields[3] != "system" {
		return p, fmt.Errorf("%s is not acs:<service>:%s:<$accountid, or system>:<type>/<id>", text, region)
	}
	kind, id, ok := strings.Cut(fields[4], "/")
	if !ok {
		return p, fmt.Errorf("%s has no id", text)
	}
	p = Pattern{Service: fields[1], System: fields[3] == "system", Type: kind}
	if id == "*" {
		return p, nil
	}
	variable := strings.TrimPrefix(id, "$")
	name, ok := r.Variables[variable]
	for _, f := range a.Request {
		if !ok && strings.EqualFold(f.Name, variable) || f.Name == name {
			p.Parameter = f.Name
			return p, nil
		}
	}
	return p, fmt.Errorf("%s: no parameter of %s has %s; name it in variables", text, a.Name, id)
}

// checkAuthorization refuses a supported action that has no rule and is not said to need
// full access, and one that has both.
func (f *Family) checkAuthorization() error {
	if f.Authorization == nil {
		return nil
	}
	for _, a := range f.Actions() {
		_, ruled := f.Authorization.Rules[a.Key()]
		_, full := f.Authorization.FullAccess[a.Key()]
		switch {
		case a.Supported() && !ruled && !full:
			return fmt.Errorf("action %s: ram.json has no rule for it; write its documented one, or why there is none under full_access", a.Key())
		case ruled && full:
			return fmt.Errorf("action %s: ram.json has a rule for it, and says that it needs full access", a.Key())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Authorization.FullAccess)) {
		if f.Authorization.FullAccess[name] == "" {
			return fmt.Errorf("action %s: full_access does not say why", name)
		}
	}
	return nil
}
