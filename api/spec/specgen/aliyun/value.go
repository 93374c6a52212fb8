package aliyun

import (
	"fmt"
	"strconv"
	"strings"
)

// jsonValue is the Go type of a JSON-valued parameter, and what checks its
// members.
type jsonValue struct {
	Wire, Type string
	InList     bool   // it is the only item of a JSON list
	Invalid    string // expression of the error for what is no such object
	Params     []*param
}

// newJSONValue makes the type of a parameter's members. A member is checked as
// a parameter of its name would be; where it has no code of its own, the error
// names it as Parameter.Member.
func newJSONValue(r *resolver, p *param) (*jsonValue, error) {
	v := &jsonValue{Wire: p.Name, Type: p.value, InList: p.MaxItems == 1, Invalid: p.refusal()}
	for _, f := range p.Members {
		if f.Required || f.Missing != "" || strings.Contains(f.Name, ".") || len(f.Members) > 0 {
			return nil, fmt.Errorf("member %s: only optional members without members are generated so far", f.Name)
		}
		m, err := newParam(r, f, false)
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", f.Name, err)
		}
		if f.Malformed == "" {
			m.invalid = fmt.Sprintf("invalidParameter(%q)", p.Name+"."+f.Name)
			m.excess = m.invalid
		}
		v.Params = append(v.Params, m)
	}
	return v, nil
}

// Defaults returns the members of the value's literal that are not zero.
func (v *jsonValue) Defaults() string { return defaults(v.Params) }

// Names are the members' names, as arguments.
func (v *jsonValue) Names() string {
	var q []string
	for _, p := range v.Params {
		q = append(q, strconv.Quote(p.Name))
	}
	return strings.Join(q, ", ")
}

func defaults(params []*param) string {
	var q []string
	for _, p := range params {
		if p.Initial != "" {
			q = append(q, p.Go+": "+p.Initial)
		}
	}
	return strings.Join(q, ", ")
}
