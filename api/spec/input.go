package spec

import (
	"fmt"
	"strings"
)

// Shape is how an input is put together.
type Shape int

// The shapes of inputs.
const (
	Value Shape = iota
	List
	Object
)

// Input is a parameter of a request as it is meant: a value, a list of inputs,
// or an object with inputs as its members. In a form body, and in the catalog,
// it is spelled out in names (Filters.N.Values.N); a JSON body has it as it is.
type Input struct {
	Name    string // within what it is a part of; empty for an item of a list
	Path    string // its name in the catalog
	Shape   Shape
	Field   *Field   // what the catalog says of it; nil of a list or object that it says nothing of itself
	Item    *Input   // of a list, what each of its items is
	Members []*Input // of an object, in the document's order
}

// Member returns the member of that name, or nil.
func (in *Input) Member(name string) *Input {
	for _, m := range in.Members {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Inputs returns the parameters as they are meant, in the document's order. It
// fails where a name is used as two things: as a value and as a list, say.
func (f Fields) Inputs() ([]*Input, error) {
	root := &Input{Shape: Object}
	for _, x := range f {
		if err := root.add(x, strings.Split(x.Name, "."), ""); err != nil {
			return nil, fmt.Errorf("%s: %w", x.Name, err)
		}
	}
	return root.Members, nil
}

// add puts a field where the rest of its name leads from an object.
func (in *Input) add(f *Field, path []string, at string) error {
	name, rest := path[0], path[1:]
	if name == "" || name == "N" {
		return fmt.Errorf("a part of the name is missing")
	}
	at = strings.TrimPrefix(at+"."+name, ".")
	m := in.Member(name)
	fresh := m == nil
	if fresh {
		m = &Input{Name: name, Path: at}
		in.Members = append(in.Members, m)
	}
	return m.lead(f, rest, fresh)
}

// lead follows the rest of a field's name from an input, which gets the shape
// that the name asks for.
func (in *Input) lead(f *Field, rest []string, fresh bool) error {
	switch {
	case len(rest) == 0 && f.List:
		if err := in.shape(List, fresh); err != nil {
			return err
		}
		in.Item = &Input{Path: in.Path + ".N"}
		return in.Item.end(f)
	case len(rest) == 0:
		if !fresh {
			return fmt.Errorf("%s is something else already", in.Path)
		}
		return in.end(f)
	case rest[0] == "N":
		if err := in.shape(List, fresh); err != nil {
			return err
		}
		first := in.Item == nil
		if first {
			in.Item = &Input{Path: in.Path + ".N"}
		}
		return in.Item.lead(f, rest[1:], first)
	}
	if err := in.shape(Object, fresh); err != nil {
		return err
	}
	return in.add(f, rest, in.Path)
}

func (in *Input) shape(s Shape, fresh bool) error {
	if !fresh && in.Shape != s && !in.announces() {
		return fmt.Errorf("%s is something else already", in.Path)
	}
	in.Shape = s
	return nil
}

// announces says whether an input is the document's line about a list or an
// object, of which the lines that follow are the members.
func (in *Input) announces() bool {
	return in.Shape == Value && (strings.EqualFold(in.Field.Type, "Array") || strings.EqualFold(in.Field.Type, "Object"))
}

// end makes an input of a field's own content: a value, or the object that its
// nested fields are.
func (in *Input) end(f *Field) error {
	in.Shape, in.Field = Value, f
	if len(f.Fields) == 0 {
		return nil
	}
	in.Shape = Object
	for _, x := range f.Fields {
		if err := in.add(x, strings.Split(x.Name, "."), in.Path); err != nil {
			return err
		}
	}
	return nil
}
