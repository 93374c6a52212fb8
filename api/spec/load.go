package spec

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
	"sync"
)

//go:embed catalog
var embedded embed.FS

var loadOnce = sync.OnceValues(func() (*Catalog, error) {
	sub, err := fs.Sub(embedded, "catalog")
	if err != nil {
		return nil, err
	}
	return LoadFS(sub)
})

// Load returns the catalog that is compiled into the program. It is parsed
// once; the caller must not change it.
func Load() (*Catalog, error) { return loadOnce() }

// LoadFS reads a catalog from a file tree <family>/<group>.json. It fails if a
// file is not JSON, if an action stands twice in a family, or if a ref names
// no type; Check tells all that is wrong with the form.
func LoadFS(fsys fs.FS) (*Catalog, error) {
	names, err := fs.Glob(fsys, "*/*.json")
	if err != nil {
		return nil, fmt.Errorf("list catalog files: %w", err)
	}
	sort.Strings(names)
	c := &Catalog{Families: map[string]*Family{}}
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read catalog file: %w", err)
		}
		if err := c.add(path.Dir(name), text); err != nil {
			return nil, fmt.Errorf("catalog file %s: %w", name, err)
		}
	}
	for _, f := range c.Families {
		if err := f.checkServices(); err != nil {
			return nil, fmt.Errorf("catalog family %s: %w", f.Name, err)
		}
		if err := f.resolve(); err != nil {
			return nil, fmt.Errorf("catalog family %s: %w", f.Name, err)
		}
		if err := f.checkAuthorization(); err != nil {
			return nil, fmt.Errorf("catalog family %s: %w", f.Name, err)
		}
		sort.Slice(f.Groups, func(i, j int) bool { return f.Groups[i].Name < f.Groups[j].Name })
	}
	return c, nil
}

// file is one catalog file as it is written.
type file struct {
	Family        string           `json:"family"`
	Group         string           `json:"group"`
	Service       string           `json:"service"`
	Services      ordered[Service] `json:"services"`
	Actions       rawActions       `json:"actions"`
	Types         ordered[Type]    `json:"types"`
	CommonErrors  []Error          `json:"common_errors"`
	Wire          *Wire            `json:"wire"`
	Authorization *Authorization   `json:"authorization"`
	rawExclusions
}

type rawAction struct {
	State      string   `json:"state"`
	Source     []Source `json:"source"`
	Summary    string   `json:"summary"`
	Request    Fields   `json:"request"`
	Response   Fields   `json:"response"`
	Errors     []Error  `json:"errors"`
	Rules      []string `json:"rules"`
	States     []string `json:"states"`
	DocDefects []string `json:"doc_defects"`
	Extension  bool     `json:"extension"`
	rawExclusions
}

type rawActions = ordered[rawAction]

func (c *Catalog) add(family string, text []byte) error {
	var d file
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	if d.Family != family {
		return fmt.Errorf("family is %q, but the folder is %q", d.Family, family)
	}
	f := c.Families[family]
	if f == nil {
		f = &Family{Name: family, types: map[string]*Type{}, actions: map[string]*Action{}}
		c.Families[family] = f
	}
	f.CommonErrors = append(f.CommonErrors, d.CommonErrors...)
	if d.Wire != nil {
		if f.Wire != nil {
			return fmt.Errorf("wire stands twice in the family")
		}
		f.Wire = d.Wire
	}
	if d.Authorization != nil {
		f.Authorization = d.Authorization
	}
	for _, s := range d.Services {
		s.value.Code = s.name
		f.Services = append(f.Services, *s.value)
	}
	e := d.exclusions()
	f.Unserved = append(f.Unserved, e.Unserved...)
	f.Ignored = append(f.Ignored, e.Ignored...)
	f.Absent = append(f.Absent, e.Absent...)
	for _, t := range d.Types {
		if f.types[t.name] != nil {
			return fmt.Errorf("type %s stands twice in the family", t.name)
		}
		t.value.Name = t.name
		f.types[t.name] = t.value
	}
	if len(d.Actions) == 0 {
		return nil
	}
	g := &Group{Family: family, Name: d.Group, Service: d.Service}
	for _, a := range d.Actions {
		v := a.value
		x := &Action{
			Family: family, Group: d.Group, Service: d.Service, Name: a.name, Summary: v.Summary, State: v.State,
			Source: v.Source, Request: v.Request, Response: v.Response, Errors: v.Errors,
			Rules: v.Rules, States: v.States, DocDefects: v.DocDefects,
			Extension: v.Extension, Exclusions: v.exclusions(),
		}
		if f.actions[x.Key()] != nil {
			return fmt.Errorf("action %s stands twice in the family", x.Key())
		}
		f.actions[x.Key()] = x
		g.Actions = append(g.Actions, x)
	}
	f.Groups = append(f.Groups, g)
	return nil
}

// checkServices refuses a group of a service that the family does not have, and services
// that could not be told apart.
func (f *Family) checkServices() error {
	versions := map[string]string{}
	if f.Wire != nil {
		versions[f.Wire.Version] = "the family's own"
	}
	for _, s := range f.Services {
		if s.Version == "" || s.Title == "" {
			return fmt.Errorf("service %s has no version, or no title", s.Code)
		}
		if other := versions[s.Version]; other != "" {
			return fmt.Errorf("service %s has the version %s, which is that of %s", s.Code, s.Version, other)
		}
		versions[s.Version] = s.Code
	}
	for _, g := range f.Groups {
		if _, ok := f.Service(g.Service); g.Service != "" && !ok {
			return fmt.Errorf("group %s is of the service %s, which services does not have", g.Name, g.Service)
		}
	}
	return nil
}

// resolve puts the fields of shared structures where a ref names them. A
// structure that contains itself is followed once.
func (f *Family) resolve() error {
	for _, g := range f.Groups {
		for _, a := range g.Actions {
			for _, fs := range []Fields{a.Request, a.Response} {
				if err := f.resolveFields(fs, nil); err != nil {
					return fmt.Errorf("action %s: %w", a.Name, err)
				}
			}
		}
	}
	return nil
}

func (f *Family) resolveFields(fs Fields, seen []string) error {
	for _, x := range fs {
		inner := seen
		if x.Ref != "" && len(x.Fields) == 0 {
			t, err := f.deref(x.Ref)
			if err != nil {
				return fmt.Errorf("field %s: %w", x.Name, err)
			}
			if contains(seen, t.Name) {
				continue
			}
			x.Fields = t.Fields.clone()
			inner = append(append([]string{}, seen...), t.Name)
		}
		if err := f.resolveFields(x.Fields, inner); err != nil {
			return fmt.Errorf("field %s: %w", x.Name, err)
		}
		if err := f.resolveFields(x.Members, inner); err != nil {
			return fmt.Errorf("field %s: %w", x.Name, err)
		}
	}
	return nil
}

// deref follows list types to the structure of their items.
func (f *Family) deref(name string) (*Type, error) {
	for range 8 {
		t := f.types[name]
		if t == nil {
			return nil, fmt.Errorf("ref %s names no type of the family", name)
		}
		if t.Ref == "" {
			return t, nil
		}
		name = t.Ref
	}
	return nil, fmt.Errorf("ref %s does not end", name)
}

func (f Fields) clone() Fields {
	out := make(Fields, len(f))
	for i, x := range f {
		y := *x
		y.Fields = x.Fields.clone()
		y.Members = x.Members.clone()
		out[i] = &y
	}
	return out
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// UnmarshalJSON keeps the order of the members, which is the document's.
func (f *Fields) UnmarshalJSON(text []byte) error {
	var o ordered[Field]
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	*f = make(Fields, 0, len(o))
	for _, x := range o {
		x.value.Name = strings.ReplaceAll(x.name, ".n", ".N")
		*f = append(*f, x.value)
	}
	return nil
}

// ordered is a JSON object whose members keep their order.
type ordered[T any] []member[T]

type member[T any] struct {
	name  string
	value *T
}

func (o *ordered[T]) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t == nil {
		return nil
	}
	if t != json.Delim('{') {
		return fmt.Errorf("found %v where an object should stand", t)
	}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := k.(string)
		v := new(T)
		if err := d.Decode(v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		*o = append(*o, member[T]{name, v})
	}
	return nil
}
