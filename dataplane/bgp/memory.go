package bgp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// memory is what the peers of a network have told of and not withdrawn, whether their
// sessions are there or not. It is in a file as well, so that a daemon knows what one
// before it was told.
type memory struct {
	file string

	mu   sync.Mutex
	told map[string]map[netip.Prefix]bool // by connection that is remembered
	back map[string]time.Time             // when the session of a connection was established
}

const memorySuffix = ".told"

func openMemory(dir, network string) *memory {
	m := &memory{file: filepath.Join(dir, network+memorySuffix), told: map[string]map[netip.Prefix]bool{}, back: map[string]time.Time{}}
	var kept map[string][]netip.Prefix
	if b, err := os.ReadFile(m.file); err == nil && json.Unmarshal(b, &kept) == nil {
		for c, list := range kept {
			m.told[c] = setOf(list)
		}
	}
	return m
}

func setOf(list []netip.Prefix) map[netip.Prefix]bool {
	set := make(map[netip.Prefix]bool, len(list))
	for _, p := range list {
		set[p] = true
	}
	return set
}

// remember makes it hold what peers of these connections tell, and forget others.
func (m *memory) remember(connections []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.told {
		if !slices.Contains(connections, c) {
			delete(m.told, c)
			delete(m.back, c)
		}
	}
	for _, c := range connections {
		if m.told[c] == nil {
			m.told[c] = map[netip.Prefix]bool{}
		}
	}
	return m.write()
}

// take takes in how things have changed. It returns whether a session is there that
// was not: what that peer does not tell again is let go after a while.
func (m *memory) take(before, now *report, at time.Time) (back bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := false
	for c, told := range m.told {
		if !now.Sessions[c] {
			delete(m.back, c)
			continue
		}
		if m.back[c].IsZero() {
			m.back[c], back = at, true
		} else if before.Sessions[c] { // it has withdrawn them
			learned := setOf(now.Routes[c])
			for _, p := range before.Routes[c] {
				if told[p] && !learned[p] {
					delete(told, p)
					changed = true
				}
			}
		}
		for _, p := range now.Routes[c] {
			if !told[p] {
				told[p], changed = true, true
			}
		}
	}
	if !changed {
		return back, nil
	}
	return back, m.write()
}

// settle lets go what peers have not told again whose sessions are there since long
// enough.
func (m *memory) settle(now *report, since time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.told {
		if at := m.back[c]; now.Sessions[c] && !at.IsZero() && !at.After(since) {
			m.told[c] = setOf(now.Routes[c])
		}
	}
	return m.write()
}

// held returns what was told and is not learned now from anybody, ascending.
func (m *memory) held(learned map[string][]netip.Prefix) map[string][]netip.Prefix {
	known := map[netip.Prefix]bool{}
	for _, list := range learned {
		for _, p := range list {
			known[p] = true
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string][]netip.Prefix{}
	for c, told := range m.told {
		for p := range told {
			if !known[p] {
				out[c] = append(out[c], p)
			}
		}
		slices.SortFunc(out[c], netip.Prefix.Compare)
	}
	return out
}

// write puts the file in its place; there is none where nothing is remembered. The
// caller holds m.mu.
func (m *memory) write() error {
	if len(m.told) == 0 {
		if err := os.Remove(m.file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("forget what BGP peers have told: %w", err)
		}
		return nil
	}
	kept := make(map[string][]netip.Prefix, len(m.told))
	for c, told := range m.told {
		kept[c] = make([]netip.Prefix, 0, len(told))
		for p := range told {
			kept[c] = append(kept[c], p)
		}
		slices.SortFunc(kept[c], netip.Prefix.Compare)
	}
	b, err := json.Marshal(kept)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(m.file), 0o700)
	}
	if err == nil {
		err = os.WriteFile(m.file+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(m.file+".new", m.file)
	}
	if err != nil {
		return fmt.Errorf("remember what BGP peers have told: %w", err)
	}
	return nil
}
