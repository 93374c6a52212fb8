package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kernel is a kernel that was unpacked, not installed.
type kernel struct {
	image   string // the file that is booted
	modules string // the directory that is /lib/modules/VERSION in there
}

// errNoKernel says that no kernel was fetched.
var errNoKernel = errors.New("no kernel to boot: make setup fetches Debian 12's")

// findKernel returns the kernel in a directory, or, if none is given, the one
// that scripts/kernel.sh has fetched.
func findKernel(dir string) (kernel, error) {
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return kernel{}, err
		}
		fetched, err := filepath.Glob(filepath.Join(cache, "sluice", "kernel", "6.1.*"))
		if err != nil {
			return kernel{}, err
		}
		if len(fetched) == 0 {
			return kernel{}, errNoKernel
		}
		dir = fetched[len(fetched)-1]
	}
	// The machine sees it by the same name, whatever its working directory.
	dir, err := filepath.Abs(dir)
	if err != nil {
		return kernel{}, err
	}
	var k kernel
	if k.image, err = only(filepath.Join(dir, "boot", "vmlinu[xz]-*")); err != nil {
		return kernel{}, err
	}
	k.modules, err = only(filepath.Join(dir, "lib", "modules", "*"))
	return k, err
}

func only(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s: %d files, want one", pattern, len(found))
	}
	return found[0], nil
}

func (k kernel) version() string { return filepath.Base(k.modules) }

// loading returns the files of modules and of all that they need, in the order
// in which they have to be loaded, as modules.dep has them.
func (k kernel) loading(names ...string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(k.modules, "modules.dep"))
	if err != nil {
		return nil, err
	}
	needs := make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		file, deps, _ := strings.Cut(line, ":")
		// What is needed first is last.
		files := append([]string{file}, strings.Fields(deps)...)
		slices.Reverse(files)
		needs[strings.TrimSuffix(filepath.Base(file), ".ko")] = files
	}
	var order []string
	for _, n := range names {
		if needs[n] == nil {
			return nil, fmt.Errorf("%s: no module %s", k.modules, n)
		}
		for _, file := range needs[n] {
			if path := filepath.Join(k.modules, file); !slices.Contains(order, path) {
				order = append(order, path)
			}
		}
	}
	return order, nil
}
