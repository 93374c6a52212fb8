package spec

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// formats are the values of the key "format".
var formats = set("ipv4", "cidr", "cidr-list", "ip-list", "port", "port-range", "name", "description",
	"id", "iso8601", "epoch-ms", "epoch-s", "json", "client-token", "tag", "resource-group", "printable", "ike-id", "text")

// fieldKeys are the keys that a field may carry, with the JSON type of each.
var fieldKeys = map[string]string{
	"type": "string", "required": "boolean", "default": "any", "enum": "array", "min": "number", "max": "number",
	"minLength": "number", "maxLength": "number", "maxItems": "number", "format": "string", "unit": "string",
	"example": "any", "notes": "string", "members": "object", "fields": "object", "list": "boolean",
	"item": "string", "ref": "string",
	"missing": "string", "malformed": "string", "malformed_message": "string", "excess": "string",
	"literals": "array", "any_case": "boolean", "bare_address": "boolean",
	"explicit": "boolean", "extension": "boolean", "secret": "boolean",
	"wire_aliases": "array", "xml_aliases": "array", "item_aliases": "array", "omit_empty": "boolean",
}

var actionKeys = set("source", "summary", "state", "request", "response", "errors", "rules", "states", "doc_defects",
	"extension", "unserved", "ignored", "absent")

func set(s ...string) map[string]bool {
	m := map[string]bool{}
	for _, x := range s {
		m[x] = true
	}
	return m
}

// CheckEmbedded checks the catalog that is compiled into the program.
func CheckEmbedded() []string {
	sub, err := fs.Sub(embedded, "catalog")
	if err != nil {
		return []string{err.Error()}
	}
	return Check(sub)
}

// Check compares every file of a catalog with the form that README.md gives,
// and returns one line for each departure, none if all is well.
func Check(fsys fs.FS) []string {
	c := &checker{types: map[string]bool{}, actions: map[string]string{}}
	names, err := fs.Glob(fsys, "*/*.json")
	if err != nil {
		return []string{err.Error()}
	}
	if len(names) == 0 {
		return []string{"no catalog file <family>/<group>.json found"}
	}
	sort.Strings(names)
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			c.bad("%s: %v", name, err)
			continue
		}
		var d map[string]any
		if err := json.Unmarshal(text, &d); err != nil {
			c.bad("%s: %v", name, err)
			continue
		}
		c.file(name, d)
	}
	if len(c.lines) == 0 {
		c.inputs(fsys)
	}
	for _, r := range c.refs {
		if !c.types[r.family+"/"+r.name] {
			c.bad("%s: ref %s has no type", r.where, r.name)
		}
	}
	return c.lines
}

type ref struct{ where, family, name string }

type checker struct {
	lines   []string
	types   map[string]bool
	actions map[string]string
	refs    []ref
}

func (c *checker) bad(format string, args ...any) {
	c.lines = append(c.lines, fmt.Sprintf(format, args...))
}

func (c *checker) file(name string, d map[string]any) {
	family := path.Dir(name)
	if d["family"] != family {
		c.bad("%s: family is %v, the folder is %s", name, d["family"], family)
	}
	if want := strings.TrimSuffix(path.Base(name), ".json"); d["group"] != want {
		c.bad("%s: group is %v, the file is %s", name, d["group"], want)
	}
	if w, ok := d["wire"]; ok {
		c.wire(name, object(w))
	}
	for t, v := range object(d["types"]) {
		c.types[family+"/"+t] = true
		x := object(v)
		c.fields(family, name+":"+t, object(x["fields"]))
		if r, ok := x["ref"].(string); ok {
			c.refs = append(c.refs, ref{name + ":" + t, family, r})
		}
	}
	for a, v := range object(d["actions"]) {
		w := name + ":" + a
		x := object(v)
		for k := range x {
			if !actionKeys[k] {
				c.bad("%s: unknown key %s", w, k)
			}
		}
		for _, k := range []string{"source", "summary", "request", "response", "errors"} {
			if _, ok := x[k]; !ok {
				c.bad("%s: no %s", w, k)
			}
		}
		if s, ok := x["state"]; ok && s != Supported {
			c.bad("%s: state is %v; it may only be %s, or be left out", w, s, Supported)
		}
		for _, s := range array(x["source"]) {
			if m := object(s); m["document"] == nil || len(m) != 1 {
				c.bad("%s: a source is not {\"document\": …}", w)
			}
		}
		c.fields(family, w+".request", object(x["request"]))
		c.fields(family, w+".response", object(x["response"]))
		for _, e := range array(x["errors"]) {
			if _, ok := object(e)["code"].(string); !ok {
				c.bad("%s: error without code", w)
			}
		}
		key := fmt.Sprintf("%s/%v:%s", family, d["service"], a)
		if other, ok := c.actions[key]; ok {
			c.bad("%s: stands in %s too", w, other)
		}
		c.actions[key] = name
	}
}

func (c *checker) fields(family, where string, fs map[string]any) {
	for name, v := range fs {
		w := where + "." + name
		f, ok := v.(map[string]any)
		if !ok {
			c.bad("%s: not an object", w)
			continue
		}
		for k, x := range f {
			want, known := fieldKeys[k]
			if !known {
				c.bad("%s: unknown key %s", w, k)
			} else if want != "any" && jsonType(x) != want {
				c.bad("%s: %s is no %s", w, k, want)
			}
		}
		if f["type"] == nil && f["ref"] == nil && f["fields"] == nil {
			c.bad("%s: no type", w)
		}
		if s, ok := f["format"].(string); ok && !formats[s] {
			c.bad("%s: unknown format %s", w, s)
		}
		if f["malformed_message"] != nil && f["malformed"] == nil {
			c.bad("%s: malformed_message without malformed", w)
		}
		if r, ok := f["ref"].(string); ok {
			c.refs = append(c.refs, ref{w, family, r})
		}
		c.fields(family, w, object(f["members"]))
		c.fields(family, w, object(f["fields"]))
	}
}

// inputs checks that the names of parameters fit together, in families of which
// something is generated.
func (c *checker) inputs(fsys fs.FS) {
	catalog, err := LoadFS(fsys)
	if err != nil {
		return // said already, or of a ref
	}
	for _, f := range catalog.Families {
		if f.Wire == nil {
			continue
		}
		for _, line := range f.Exclusions.check() {
			c.bad("%s: %s", f.Name, line)
		}
		for _, a := range f.Actions() {
			if _, err := a.Request.Inputs(); err != nil {
				c.bad("%s/%s.json:%s: parameter %v", a.Family, a.Group, a.Name, err)
			}
			for _, line := range a.Exclusions.check() {
				c.bad("%s/%s.json:%s: %s", a.Family, a.Group, a.Name, line)
			}
			for _, x := range append(reasonsOf(a.Unserved), a.Ignored...) {
				if a.Request.has(x.Name) {
					c.bad("%s/%s.json:%s: parameter %s is in the request, and excluded", a.Family, a.Group, a.Name, x.Name)
				}
			}
		}
	}
}

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }

func array(v any) []any { a, _ := v.([]any); return a }

func jsonType(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "null"
}
