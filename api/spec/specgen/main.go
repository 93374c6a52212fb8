// Command specgen writes what follows from the catalog of actions: of each wire
// family that is spoken, by an emitter of its own, request and response types,
// decoding, the interface of handlers and the table of documented errors; and
// docs/actions.md. Package spec reads and checks the catalog.
//
//	go run ./api/spec/specgen          writes the files that differ
//	go run ./api/spec/specgen -check   writes nothing; exits 1 and names what is stale
//
// Its output depends on the catalog alone.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"sluice/api/spec"
)

func main() {
	root := flag.String("root", ".", "root of the source tree")
	check := flag.Bool("check", false, "report stale files and write nothing")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "specgen:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	files, err := generate()
	if err != nil {
		return err
	}
	return update(root, files, check)
}

// generate returns what the catalog says, by file.
func generate() (map[string][]byte, error) {
	catalog, err := spec.Load()
	if err != nil {
		return nil, err
	}
	return Generate(catalog, emitters)
}

// update writes those of the files that differ, and removes what is no longer
// generated; with check set it writes nothing, and fails if it would.
func update(root string, files map[string][]byte, check bool) error {
	stale, err := Stale(root, emitters, files)
	if err != nil {
		return err
	}
	if check {
		for _, name := range stale {
			fmt.Fprintln(os.Stderr, "stale:", name)
		}
		if len(stale) > 0 {
			return fmt.Errorf("%d generated files do not match the catalog; run: go run ./api/spec/specgen", len(stale))
		}
		return nil
	}
	for _, name := range stale {
		path := filepath.Join(root, filepath.FromSlash(name))
		text, wanted := files[name]
		if !wanted {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("remove a file that is no longer generated: %w", err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
