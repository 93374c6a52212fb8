package tencent3

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
)

// A request's parameters are a tree: a value is a text, a list of values, or an object. What
// a form spells out in names (Filters.0.Values.1), JSON has as it is.
type object map[string]any // string, []any or object

// Bounds on what a request may hold, whatever its action.
const (
	maxParameters = 2000
	maxDepth      = 8 // of names: Filters.0.Values.1 has four
)

// pair is a parameter as it stands in a query or a form.
type pair struct{ name, value string }

// parseForm reads a query or a form body, in its order. It fails on a malformed percent
// encoding, on a name that comes twice, and on a semicolon used as a separator, which would
// read differently in different programs.
func parseForm(text string) (list []pair, err error) {
	seen := map[string]bool{}
	for text != "" {
		var part string
		part, text, _ = strings.Cut(text, "&")
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		name, err1 := url.QueryUnescape(k)
		value, err2 := url.QueryUnescape(v)
		switch {
		case err1 != nil || err2 != nil || strings.Contains(part, ";"):
			return nil, fmt.Errorf("parameter %.64q is not encoded as in a URL", k)
		case seen[name]:
			return nil, fmt.Errorf("parameter %.64q comes twice", name)
		case len(list) == maxParameters:
			return nil, fmt.Errorf("it has more than %d parameters", maxParameters)
		}
		seen[name] = true
		list = append(list, pair{name, value})
	}
	return list, nil
}

// tree puts parameters of a form together. It fails where a name is used as two things, as a
// value and as a list, say, and where a list's indexes are not 0, 1, 2 and so on.
func tree(list []pair) (object, error) {
	root := object{}
	for _, p := range list {
		parts := strings.Split(p.name, ".")
		if len(parts) > maxDepth {
			return nil, fmt.Errorf("parameter %.64q has more than %d parts", p.name, maxDepth)
		}
		at, last := root, len(parts)-1
		for i, part := range parts {
			if part == "" {
				return nil, fmt.Errorf("the name %.64q lacks a part", p.name)
			}
			if i == last {
				if _, ok := at[part]; ok {
					return nil, fmt.Errorf("parameter %.64q is something else already", p.name)
				}
				at[part] = p.value
				break
			}
			if at[part] == nil {
				at[part] = object{}
			}
			next, ok := at[part].(object)
			if !ok {
				return nil, fmt.Errorf("parameter %.64q is something else already", p.name)
			}
			at = next
		}
	}
	for name, v := range root {
		x, err := lists(v, name)
		if err != nil {
			return nil, err
		}
		root[name] = x
	}
	return root, nil
}

// lists makes lists of the objects of a form whose members are numbers.
func lists(v any, at string) (any, error) {
	o, ok := v.(object)
	if !ok {
		return v, nil
	}
	numbers := 0
	for name, m := range o {
		x, err := lists(m, at+"."+name)
		if err != nil {
			return nil, err
		}
		o[name] = x
		if isIndex(name) {
			numbers++
		}
	}
	if numbers == 0 {
		return o, nil
	}
	list := make([]any, len(o))
	for i := range list {
		x, ok := o[strconv.Itoa(i)]
		if !ok {
			return nil, fmt.Errorf("the indexes of list %.64q are not 0, 1, 2 and so on", at)
		}
		list[i] = x
	}
	return list, nil
}

func isIndex(s string) bool {
	return s != "" && len(s) < 5 && strings.Trim(s, "0123456789") == ""
}

// parseJSON reads a JSON object. Numbers and truth values become their texts; null is as if
// it were not there.
func parseJSON(text []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	r := jsonReader{Decoder: d}
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	o, ok := v.(object)
	if _, err := d.Token(); !ok || err != io.EOF {
		return nil, errors.New("it is not one JSON object")
	}
	return o, nil
}

// jsonReader reads values one token after the other: encoding/json takes the last one of
// two members of one name in silence.
type jsonReader struct {
	*json.Decoder
	values int
}

func (r *jsonReader) value(depth int) (any, error) {
	token, err := r.Token()
	if err != nil {
		return nil, errors.New("it is not JSON")
	}
	if r.values++; r.values > maxParameters || depth > maxDepth {
		return nil, fmt.Errorf("it has more than %d values, or one within more than %d others", maxParameters, maxDepth)
	}
	switch t := token.(type) {
	case string:
		return t, nil
	case json.Number:
		return t.String(), nil
	case bool:
		return strconv.FormatBool(t), nil
	case json.Delim:
		if t == '[' {
			return r.list(depth)
		}
		return r.object(depth)
	}
	return nil, nil
}

func (r *jsonReader) list(depth int) (any, error) {
	list := []any{}
	for r.More() {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return nil, errors.New("an item of a list is null")
		}
		list = append(list, v)
	}
	_, err := r.Token()
	return list, err
}

func (r *jsonReader) object(depth int) (any, error) {
	o := object{}
	for r.More() {
		token, err := r.Token()
		if err != nil {
			return nil, errors.New("it is not JSON")
		}
		name := token.(string) // the decoder takes nothing else there
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if _, twice := o[name]; twice {
			return nil, fmt.Errorf("the member %.64q comes twice", name)
		}
		if v != nil {
			o[name] = v
		}
	}
	_, err := r.Token()
	return o, err
}
