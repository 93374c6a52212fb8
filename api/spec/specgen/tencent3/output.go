package tencent3

import (
	"fmt"
	"strings"

	"sluice/api/spec"
	"sluice/api/spec/specgen/gosource"
)

// outputs returns the members of a structure of an answer. The types of those that are
// structures themselves are made, once for all actions where the document has a name for
// them.
func (t *tables) outputs(a *action, owner string, fields spec.Fields) (list []member, err error) {
	for _, f := range fields {
		m, err := t.output(a, owner, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		list = append(list, m)
	}
	return list, nil
}

func (t *tables) output(a *action, owner string, f *spec.Field) (m member, err error) {
	m = member{Go: gosource.Name(f.Name), JSON: f.Name, Comment: gosource.Comment(f.Notes)}
	if f.OmitEmpty {
		m.JSON += ",omitempty"
	}
	if len(f.Fields) == 0 {
		if m.Type, err = scalar(f.Type); err != nil {
			return m, err
		}
		if f.List {
			m.Items, m.Type = m.Type, "[]"+m.Type
		}
		return m, nil
	}
	s := &structure{Name: f.Ref}
	if f.Ref == "" {
		s.Name = owner + strings.TrimSuffix(m.Go, "s")
		a.Outputs = append(a.Outputs, s)
	} else if known := t.shared[f.Ref]; known != nil {
		s = known
	} else {
		t.shared[f.Ref] = s
	}
	if s.Members == nil {
		if s.Members, err = t.outputs(a, s.Name, f.Fields); err != nil {
			return m, err
		}
	}
	m.Nested = s.Lists()
	m.Type = s.Name
	if f.List {
		m.Items, m.Type = s.Name, "[]"+s.Name
	}
	return m, nil
}

// Lists says whether a list is somewhere in the structure.
func (s *structure) Lists() bool {
	for _, m := range s.Members {
		if m.Items != "" || m.Nested {
			return true
		}
	}
	return false
}

func scalar(word string) (string, error) {
	switch strings.TrimPrefix(word, "Array of ") {
	case "String", "Timestamp":
		return "string", nil
	case "Integer":
		return "int64", nil
	case "Float":
		return "float64", nil
	case "Boolean":
		return "bool", nil
	}
	return "", fmt.Errorf("no Go type for %q", word)
}
