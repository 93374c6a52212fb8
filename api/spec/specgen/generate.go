package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"text/template"

	"sluice/api/spec"
)

const (
	wireDir = "api/aliyun"
	prefix  = "zz_generated_"
)

// Generate returns all generated files: path from the source root to content.
func Generate(c *spec.Catalog) (map[string][]byte, error) {
	files := map[string][]byte{}
	family := c.Family(spec.Aliyun)
	if family == nil {
		return nil, fmt.Errorf("the catalog has no family %s", spec.Aliyun)
	}
	all := tables{Family: family}
	for _, g := range family.Groups {
		group := groupModel{Name: g.Name}
		for _, a := range g.Actions {
			if !a.Supported() {
				all.Unsupported = append(all.Unsupported, a)
				continue
			}
			m, err := newAction(family, a)
			if err != nil {
				return nil, fmt.Errorf("action %s: %w", a.Name, err)
			}
			group.Actions = append(group.Actions, m)
		}
		if len(group.Actions) == 0 {
			continue
		}
		all.Groups = append(all.Groups, group)
		name := path.Join(wireDir, prefix+strings.ReplaceAll(g.Name, "-", "_")+".go")
		text, err := render(groupTemplate, group)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = text
	}
	sort.Slice(all.Unsupported, func(i, j int) bool { return all.Unsupported[i].Name < all.Unsupported[j].Name })
	for name, t := range map[string]*template.Template{"actions": actionsTemplate, "errors": errorsTemplate} {
		text, err := render(t, all)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[path.Join(wireDir, prefix+name+".go")] = text
	}
	files["docs/actions.md"] = actionsPage(c)
	return files, nil
}

// tables is what the files about all actions are made of.
type tables struct {
	Family      *spec.Family
	Groups      []groupModel
	Unsupported []*spec.Action
}

type groupModel struct {
	Name    string
	Actions []*actionModel
}

// Imports returns the packages that the group's file uses, sorted.
func (g groupModel) Imports() []string {
	list := []string{"encoding/xml"}
	if slices.ContainsFunc(g.Actions, (*actionModel).usesNetip) {
		list = append(list, "net/netip")
	}
	if slices.ContainsFunc(g.Actions, func(m *actionModel) bool { return len(m.Lists) > 0 }) {
		list = append(list, "strconv")
	}
	return list
}

func render(t *template.Template, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return nil, err
	}
	text, err := format.Source(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("generated code does not parse: %w\n%s", err, b.Bytes())
	}
	return format.Source(tidy(text))
}

// tidy drops the empty lines that templates leave, and sets one between the
// declarations. It expects formatted code, where only the end of a declaration
// stands at the left edge.
func tidy(text []byte) []byte {
	var out []string
	imports := false
	for _, line := range strings.Split(string(text), "\n") {
		imports = line == "import (" || imports && line != ")"
		if strings.TrimSpace(line) == "" && !imports {
			continue
		}
		out = append(out, line)
		oneLine := strings.HasPrefix(line, "func ") && strings.HasSuffix(line, "}")
		if line == "}" || line == ")" || oneLine || strings.HasPrefix(line, "package ") || strings.HasPrefix(line, "// Code generated") {
			out = append(out, "")
		}
	}
	return []byte(strings.Join(out, "\n"))
}

// Stale names the files under root that differ from what is generated, are
// missing, or are generated files that nothing generates any more.
func Stale(root string, files map[string][]byte) ([]string, error) {
	var stale []string
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err != nil || !bytes.Equal(got, want) {
			stale = append(stale, name)
		}
	}
	old, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(wireDir), prefix+"*.go"))
	if err != nil {
		return nil, err
	}
	for _, p := range old {
		name := path.Join(wireDir, filepath.Base(p))
		if _, ok := files[name]; !ok {
			stale = append(stale, name)
		}
	}
	sort.Strings(stale)
	return stale, nil
}
