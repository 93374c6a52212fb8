package config

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// decoder puts a YAML syntax tree into the structs of document.go. It is
// stricter than a general decoder: what it does not know or expect is an
// error, and every error names its line and field.
type decoder struct{ places }

var (
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// decode reads data over what into, a pointer to a struct, holds already.
func decode(file string, data []byte, into any) (*places, error) {
	d := &decoder{places{file: file, lines: map[string]int{}}}
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, d.syntax(err)
	}
	all := bodies(tree)
	switch {
	case len(all) == 0:
		return &d.places, nil
	case len(all) > 1:
		return nil, &Error{File: file, Line: all[1].GetToken().Position.Line, Text: "a second document begins here; write one document"}
	}
	if err := d.value(all[0], "", reflect.ValueOf(into).Elem()); err != nil {
		return nil, err
	}
	return &d.places, nil
}

// bodies are the documents of a file that say anything.
func bodies(tree *ast.File) (all []ast.Node) {
	for _, doc := range tree.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.NullType && doc.Body.Type() != ast.CommentType {
			all = append(all, doc.Body)
		}
	}
	return all
}

func (d *decoder) syntax(err error) error {
	e := &Error{File: d.file, Text: err.Error()}
	if y, ok := errors.AsType[yaml.Error](err); ok {
		e.Text = "not YAML: " + y.GetMessage()
		if t := y.GetToken(); t != nil && t.Position != nil {
			e.Line = t.Position.Line
		}
	}
	return e
}

// value decodes one node. Its error is an *Error; the result is declared as
// error so that nil stays nil.
func (d *decoder) value(n ast.Node, path string, into reflect.Value) error {
	if _, ok := d.lines[path]; !ok && path != "" {
		d.lines[path] = n.GetToken().Position.Line
	}
	switch n.Type() {
	case ast.NullType:
		return d.errorf(path, "has no value; give it one, or leave the field out")
	case ast.AnchorType, ast.AliasType, ast.MergeKeyType, ast.TagType:
		return d.errorf(path, "anchors, aliases and tags are not supported; write the value out")
	}
	switch {
	case into.Kind() == reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return d.value(n, path, into.Elem())
	case into.Type() == durationType:
		return d.duration(n, path, into)
	case into.Addr().Type().Implements(textType):
		return d.text(n, path, into)
	}
	switch into.Kind() {
	case reflect.Struct:
		return d.mapping(n, path, into)
	case reflect.Map:
		return d.table(n, path, into)
	case reflect.Slice:
		return d.sequence(n, path, into)
	default:
		return d.scalar(n, path, into)
	}
}

func (d *decoder) entries(n ast.Node, path string) ([]*ast.MappingValueNode, error) {
	m, ok := n.(ast.MapNode)
	if !ok {
		e := d.errorf(path, "is %s; a mapping of fields is expected", kindOf(n))
		e.Line = n.GetToken().Position.Line
		return nil, e
	}
	var list []*ast.MappingValueNode
	for it := m.MapRange(); it.Next(); {
		list = append(list, it.KeyValue())
	}
	return list, nil
}

func (d *decoder) mapping(n ast.Node, path string, into reflect.Value) error {
	entries, err := d.entries(n, path)
	if err != nil {
		return err
	}
	fields := map[string]reflect.Value{}
	var names []string
	for i := range into.NumField() {
		name := into.Type().Field(i).Tag.Get("yaml")
		fields[name] = into.Field(i)
		names = append(names, name)
	}
	for _, e := range entries {
		name := e.Key.GetToken().Value
		at := join(path, name)
		d.lines[at] = e.Key.GetToken().Position.Line
		field, ok := fields[name]
		if !ok {
			return d.errorf(at, "unknown field; %s", suggest(name, names))
		}
		if err := d.value(e.Value, at, field); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) table(n ast.Node, path string, into reflect.Value) error {
	entries, err := d.entries(n, path)
	if err != nil {
		return err
	}
	into.Set(reflect.MakeMap(into.Type()))
	for _, e := range entries {
		name := e.Key.GetToken().Value
		at := join(path, name)
		d.lines[at] = e.Key.GetToken().Position.Line
		v := reflect.New(into.Type().Elem()).Elem()
		if err := d.value(e.Value, at, v); err != nil {
			return err
		}
		into.SetMapIndex(reflect.ValueOf(name), v)
	}
	return nil
}

func (d *decoder) sequence(n ast.Node, path string, into reflect.Value) error {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		return d.errorf(path, "is %s; a list is expected", kindOf(n))
	}
	list := reflect.MakeSlice(into.Type(), len(s.Values), len(s.Values))
	for i, item := range s.Values {
		if err := d.value(item, fmt.Sprintf("%s[%d]", path, i), list.Index(i)); err != nil {
			return err
		}
	}
	into.Set(list)
	return nil
}

func (d *decoder) scalar(n ast.Node, path string, into reflect.Value) error {
	switch into.Kind() {
	case reflect.String:
		v, ok := scalarText(n)
		if !ok {
			return d.errorf(path, "is %s; text is expected", kindOf(n))
		}
		into.SetString(v)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			return d.errorf(path, "is %s; true or false is expected", kindOf(n))
		}
		into.SetBool(b.Value)
	case reflect.Int:
		i, ok := n.(*ast.IntegerNode)
		if !ok {
			return d.errorf(path, "is %s; a whole number is expected", kindOf(n))
		}
		switch v := i.Value.(type) {
		case int64:
			into.SetInt(v)
		case uint64:
			if v > 1<<62 {
				return d.errorf(path, "%s is too large a number", i.GetToken().Value)
			}
			into.SetInt(int64(v))
		}
	case reflect.Float64:
		switch v := n.(type) {
		case *ast.FloatNode:
			into.SetFloat(v.Value)
		case *ast.IntegerNode:
			switch v := v.Value.(type) {
			case int64:
				into.SetFloat(float64(v))
			case uint64:
				into.SetFloat(float64(v))
			}
		default:
			return d.errorf(path, "is %s; a number is expected", kindOf(n))
		}
	default:
		panic("config: no decoding for " + into.Type().String())
	}
	return nil
}

func (d *decoder) text(n ast.Node, path string, into reflect.Value) error {
	v, ok := scalarText(n)
	if !ok {
		// A type may have a short form, a text, beside its mapping.
		if into.Kind() == reflect.Struct && into.NumField() > 0 && into.Type().Field(0).Tag.Get("yaml") != "" {
			return d.mapping(n, path, into)
		}
		return d.errorf(path, "is %s; text is expected", kindOf(n))
	}
	if err := into.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(v)); err != nil || v == "" {
		switch into.Addr().Interface().(type) {
		case *netip.Addr:
			return d.errorf(path, "%q is not an address; write for example 203.0.113.1", v)
		case *netip.Prefix:
			return d.errorf(path, "%q is not a network; write for example 203.0.113.0/24", v)
		}
		return d.errorf(path, "%q is not valid: %v", v, err)
	}
	return nil
}

func (d *decoder) duration(n ast.Node, path string, into reflect.Value) error {
	v, _ := scalarText(n)
	t, err := time.ParseDuration(v)
	if err != nil {
		return d.errorf(path, "%q is not a duration; write a number and a unit, for example 300s, 5m or 2h4m", v)
	}
	into.SetInt(int64(t))
	return nil
}

// scalarText returns a scalar as it is written.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func kindOf(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	case ast.SequenceType:
		return "a list"
	}
	return fmt.Sprintf("%q", n.GetToken().Value)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// suggest names the known field that is most like the unknown one.
func suggest(name string, known []string) string {
	slices.Sort(known)
	best, least := "", len(name)/2+1
	for _, k := range known {
		if n := distance(strings.ToLower(strings.ReplaceAll(name, "-", "_")), k); n < least {
			best, least = k, n
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %s?", best)
	}
	return "known here: " + strings.Join(known, ", ")
}

// distance is the Levenshtein distance: how many letters to put in, take out
// or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
