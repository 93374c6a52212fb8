package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sluice/api/spec"
	"sluice/api/spec/specgen/aliyun"
	"sluice/api/spec/specgen/tencent3"
)

// prefix begins the name of every generated file of an emitter.
const prefix = "zz_generated_"

// Emitter writes what follows from the catalog for one family.
type Emitter interface {
	// Family is the name of the family, as the catalog has it.
	Family() string
	// Dir is the package of the family, from the source root. All files in it that
	// begin with zz_generated_ are the emitter's.
	Dir() string
	// Files returns the content of the files, by what follows zz_generated_ in
	// their names. It depends on the family's part of the catalog alone, and fails
	// where that asks for what is not generated.
	Files(f *spec.Family) (map[string][]byte, error)
}

// emitters has one for each family that is spoken.
var emitters = []Emitter{aliyun.Emitter{}, tencent3.Emitter{}}

// Generate returns all generated files: path from the source root to content.
func Generate(c *spec.Catalog, emitters []Emitter) (map[string][]byte, error) {
	files := map[string][]byte{"docs/actions.md": actionsPage(c)}
	left := supported(c)
	for _, e := range emitters {
		family := c.Family(e.Family())
		if family == nil {
			return nil, fmt.Errorf("the catalog has no family %s", e.Family())
		}
		if family.Wire == nil {
			return nil, fmt.Errorf("the catalog does not say how requests of family %s are written (wire)", e.Family())
		}
		made, err := e.Files(family)
		if err != nil {
			return nil, fmt.Errorf("family %s: %w", e.Family(), err)
		}
		for name, text := range made {
			files[path.Join(e.Dir(), prefix+name)] = text
		}
		delete(left, e.Family())
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		return nil, fmt.Errorf("family %s has supported actions (%s), and nothing that emits it", name, left[name])
	}
	return files, nil
}

// supported names a supported action of each family that has one.
func supported(c *spec.Catalog) map[string]string {
	out := map[string]string{}
	for _, f := range c.Families {
		for _, a := range f.Actions() {
			if a.Supported() {
				out[f.Name] = a.Name
			}
		}
	}
	return out
}

// Stale names the files under root that differ from what is generated, are
// missing, or are generated files that nothing generates any more.
func Stale(root string, emitters []Emitter, files map[string][]byte) ([]string, error) {
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
	for _, e := range emitters {
		old, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(e.Dir()), prefix+"*.go"))
		if err != nil {
			return nil, err
		}
		for _, p := range old {
			name := path.Join(e.Dir(), filepath.Base(p))
			if _, ok := files[name]; !ok {
				stale = append(stale, name)
			}
		}
	}
	slices.SortFunc(stale, strings.Compare)
	return stale, nil
}
