package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sluice/dataplane"
)

// marks is the directory under RunDir with one file for each network. It holds
// the name of the namespace that the outer end of the uplink is in, so that a
// later process finds it where the network's own namespace is gone already.
const marks = "networks"

func (e *Engine) markPath(id string) string { return filepath.Join(e.cfg.RunDir, marks, id) }

// mark makes the mark, or notes where the uplink ends.
func (e *Engine) mark(n *dataplane.Network) error {
	outer := ""
	if n.Uplink != nil {
		outer = n.Uplink.Namespace
	}
	if known, err := e.marked(n.ID); err == nil && (known == outer || n.Uplink == nil) {
		return nil
	}
	if err := os.WriteFile(e.markPath(n.ID), []byte(outer), 0o644); err != nil {
		return fmt.Errorf("mark the network as ours: %w", err)
	}
	return nil
}

// marked returns the namespace that a mark notes.
func (e *Engine) marked(id string) (outer string, err error) {
	b, err := os.ReadFile(e.markPath(id))
	return strings.TrimSpace(string(b)), err
}

func (e *Engine) unmark(id string) error {
	if err := os.Remove(e.markPath(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the mark of ownership: %w", err)
	}
	return nil
}

// Networks returns the ids of the networks that are there, whole or in part,
// also those that an earlier process made; ascending.
func (e *Engine) Networks() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(e.cfg.RunDir, marks))
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	ids := make([]string, 0, len(entries))
	for _, entry := range entries {
		ids = append(ids, entry.Name())
	}
	return ids, nil
}
