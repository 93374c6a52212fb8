package aliyun

import (
	"fmt"
	"strings"

	"sluice/api/spec"
	"sluice/api/spec/specgen/gosource"
)

// structType is one Go type of a response.
type structType struct {
	Name    string
	Root    string // name of the XML root element, for the response itself
	Members []*memberField
	needs   bool // its fill method has something to do
}

// Fills says whether the type's fill method has something to do.
func (s *structType) Fills() bool { return s.needs }

// NeedsFill says whether the type has a fill method.
func (s *structType) NeedsFill() bool { return s.needs || s.Root != "" }

// memberField is one field of a response type.
type memberField struct {
	*spec.Field
	Go   string
	Type string // Go type of the struct field
	JSON string // struct tag
	XML  string

	list     bool
	itemFill bool   // items have a fill method
	itemType string // of a list
	structs  bool   // a pointer to a nested structure
	wrapper  string // type of the element around the items of a list
}

type structBuilder struct {
	action  string
	structs []*structType
}

func (b *structBuilder) build(name string, fields spec.Fields) (*structType, error) {
	for _, s := range b.structs {
		if s.Name == name {
			return nil, fmt.Errorf("two structures would be called %s", name)
		}
	}
	s := &structType{Name: name}
	b.structs = append(b.structs, s)
	for _, f := range fields {
		m, err := b.member(strings.TrimSuffix(name, "Response"), f)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		s.Members = append(s.Members, m)
		s.needs = s.needs || m.list || m.structs && m.itemFill || len(f.WireAliases) > 0 || len(f.XMLAliases) > 0
	}
	return s, nil
}

func (b *structBuilder) member(owner string, f *spec.Field) (*memberField, error) {
	m := &memberField{Field: f, Go: gosource.Name(f.Name), JSON: f.Name, XML: f.Name, list: f.List}
	if f.OmitEmpty {
		m.JSON, m.XML = m.JSON+",omitempty", m.XML+",omitempty"
	}
	if !f.List {
		if len(f.Fields) == 0 {
			var err error
			m.Type, err = scalar(f.Type)
			return m, err
		}
		s, err := b.build(owner+m.Go, f.Fields)
		if err != nil {
			return nil, err
		}
		m.Type, m.structs, m.itemFill = "*"+s.Name, true, s.needs
		m.JSON, m.XML = f.Name+",omitempty", f.Name+",omitempty"
		return m, nil
	}
	item := f.Item
	m.itemType = "string"
	if len(f.Fields) > 0 {
		name := item
		if name == "" {
			name = strings.TrimSuffix(f.Name, "s")
		}
		if name == f.Name {
			name += "Item"
		}
		s, err := b.build(owner+gosource.Name(name), f.Fields)
		if err != nil {
			return nil, err
		}
		m.itemType, m.itemFill = s.Name, s.needs
	}
	if item == "" {
		m.Type = "[]" + m.itemType
		return m, nil
	}
	m.wrapper = owner + m.Go
	m.Type = m.wrapper
	return m, nil
}

func scalar(word string) (string, error) {
	switch strings.ToLower(word) {
	case "string":
		return "string", nil
	case "integer":
		return "int", nil
	case "long":
		return "int64", nil
	case "double":
		return "float64", nil
	case "boolean":
		return "bool", nil
	}
	return "", fmt.Errorf("no Go type for %q", word)
}

// Comment describes the struct field.
func (m *memberField) Comment() string {
	var s []string
	if m.Notes != "" {
		s = append(s, strings.TrimRight(m.Notes, ". ")+".")
	}
	if m.Extension {
		s = append(s, "Not in the documents.")
	}
	return gosource.Comment(strings.Join(s, " "))
}

// Wrapper returns the declaration of the element around the items of a list,
// or nothing.
func (m *memberField) Wrapper() string {
	if m.wrapper == "" {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "// %s is the element around the items of a list.\ntype %s struct {\n", m.wrapper, m.wrapper)
	fmt.Fprintf(&b, "%s []%s `json:%q xml:%q`\n", gosource.Name(m.Item), m.itemType, m.Item, m.Item)
	for _, a := range m.ItemAliases {
		fmt.Fprintf(&b, "%s []%s `json:%q xml:%q` // set by fill; clients depend on this spelling\n", gosource.Name(a), m.itemType, a, a)
	}
	b.WriteString("}\n")
	return b.String()
}

// Aliases returns the further struct fields that repeat this one.
func (m *memberField) Aliases() string {
	var b strings.Builder
	for _, a := range m.WireAliases {
		fmt.Fprintf(&b, "%s %s `json:%q xml:%q` // set by fill; clients depend on this spelling\n", gosource.Name(a), m.Type, a, a)
	}
	for _, a := range m.XMLAliases {
		fmt.Fprintf(&b, "%s %s `json:\"-\" xml:%q` // set by fill; the documents' XML example has this spelling\n", gosource.Name(a), m.Type, a)
	}
	return b.String()
}

// Fill returns the statements of the fill method for this field.
func (m *memberField) Fill() string {
	var b strings.Builder
	at := "r." + m.Go
	if m.structs && m.itemFill {
		fmt.Fprintf(&b, "if %s != nil {\n%s.fill()\n}\n", at, at)
	}
	if m.list {
		items := at
		if m.wrapper != "" {
			items += "." + gosource.Name(m.Item)
		}
		fmt.Fprintf(&b, "if %s == nil {\n%s = []%s{}\n}\n", items, items, m.itemType)
		if m.itemFill {
			fmt.Fprintf(&b, "for i := range %s {\n%s[i].fill()\n}\n", items, items)
		}
		for _, a := range m.ItemAliases {
			fmt.Fprintf(&b, "%s.%s = %s\n", at, gosource.Name(a), items)
		}
	}
	for _, a := range append(append([]string{}, m.WireAliases...), m.XMLAliases...) {
		fmt.Fprintf(&b, "r.%s = %s\n", gosource.Name(a), at)
	}
	return b.String()
}
