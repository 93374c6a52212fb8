package tencent3

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"sluice/api/audit"
)

// Audit implements edge.Call: parameters that are not secret, by the names that they have in
// a form, and of the answer what may be recorded.
func (c *call) Audit(e *audit.Event) {
	e.Name = c.name
	if c.action == nil {
		return
	}
	e.Parameters = c.action.parameters.record(nil, c.params, "")
	if c.region != "" {
		e.Parameters = append(e.Parameters, audit.Member{Name: "Region", Value: c.region})
	}
	if c.answer != nil && e.ErrorCode == "" {
		e.Elements = elements(c.action.elements, c.answer)
	}
}

// record appends what of an object may be recorded.
func (fs fields) record(list []audit.Member, in object, at string) []audit.Member {
	for _, f := range fs {
		v, ok := in[f.name]
		if !ok || f.secret {
			continue
		}
		items, several := v.([]any)
		if !several {
			list = f.recordOne(list, v, at+f.name)
			continue
		}
		for i, x := range items {
			list = f.recordOne(list, x, at+f.name+"."+strconv.Itoa(i))
		}
	}
	return list
}

func (f *field) recordOne(list []audit.Member, v any, name string) []audit.Member {
	switch v := v.(type) {
	case string:
		if f.members == nil {
			return append(list, audit.Member{Name: name, Value: v})
		}
	case object:
		if f.members != nil {
			return f.members.record(list, v, name+".")
		}
	}
	return list // it is not what it has to be: nobody knows what is in it
}

// elements returns members of an answer, by their names with dots, that are there.
func elements(names []string, of Response) (list []audit.Member) {
	if len(names) == 0 {
		return nil
	}
	var all map[string]any
	if text, err := json.Marshal(of); err != nil || json.Unmarshal(text, &all) != nil {
		return nil
	}
	for _, name := range names {
		at, parts := any(all), strings.Split(name, ".")
		for _, part := range parts {
			m, _ := at.(map[string]any)
			at = m[part]
		}
		if v := audit.Text(at); v != "" {
			list = append(list, audit.Member{Name: name, Value: v})
		}
	}
	return slices.Clip(list)
}
