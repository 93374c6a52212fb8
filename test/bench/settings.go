package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Settings of the machine that limit how many connections there may be. Both
// are the first network namespace's and hold for all.
const (
	conntrackMax     = "/proc/sys/net/netfilter/nf_conntrack_max"
	conntrackBuckets = "/proc/sys/net/netfilter/nf_conntrack_buckets"
)

// settingsFile keeps the values from before the run, a path and a value a line.
const settingsFile = "settings"

// roomForConnections makes room for n connections in each namespace, with a
// bucket for each of the two tuples of every one, until restoreSettings.
func (r *run) roomForConnections(n int) error {
	before, err := readSettings(conntrackMax, conntrackBuckets)
	if err != nil {
		return err
	}
	// Written before the change: the next run restores what a killed one has not.
	if err := os.WriteFile(filepath.Join(r.dir, settingsFile), []byte(before.String()), 0o600); err != nil {
		return err
	}
	var want settings
	for i, value := range []int{n, 2 * n} {
		var has int
		if _, err := fmt.Sscan(before[i].value, &has); err != nil {
			return fmt.Errorf("%s is %q, which is not a number", before[i].path, before[i].value)
		}
		if has < value {
			want = append(want, setting{before[i].path, fmt.Sprint(value)})
		}
	}
	return want.write()
}

// restoreSettings undoes roomForConnections, of this run or an earlier one.
func (r *run) restoreSettings() error {
	path := filepath.Join(r.dir, settingsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	before, err := parseSettings(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	slices.Reverse(before) // the last one first
	if err := before.write(); err != nil {
		return err
	}
	return os.Remove(path)
}

type setting struct{ path, value string }

type settings []setting

func readSettings(paths ...string) (settings, error) {
	var s settings
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, fmt.Errorf("read a setting: %w", err)
		}
		s = append(s, setting{p, strings.TrimSpace(string(text))})
	}
	return s, nil
}

func (s settings) write() error {
	var errs []error
	for _, x := range s {
		if err := os.WriteFile(x.path, []byte(x.value), 0); err != nil {
			errs = append(errs, fmt.Errorf("set %s to %s (only the machine's first network namespace may): %w", x.path, x.value, err))
		}
	}
	return errors.Join(errs...)
}

func (s settings) String() string {
	var b strings.Builder
	for _, x := range s {
		fmt.Fprintln(&b, x.path, x.value)
	}
	return b.String()
}

func parseSettings(text string) (settings, error) {
	var s settings
	for line := range strings.Lines(text) {
		path, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || !strings.HasPrefix(path, "/proc/sys/") {
			return nil, fmt.Errorf("%q is not a setting and its value", line)
		}
		s = append(s, setting{path, value})
	}
	return s, nil
}
