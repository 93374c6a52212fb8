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

// marksDir is the directory under RunDir with one file for each network. It holds
// the name of the namespace that the outer end of the uplink is in, and in a second line that of
// the link to the classic network, so that a later process finds them where the network's own
// namespace is gone already.
const marksDir = "networks"

// openMarks opens that directory. What is read, written and removed there is meant by
// its name in it: no symbolic link leads out of it, and it is none itself.
func openMarks(runDir string) (*os.Root, error) {
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return nil, err
	}
	run, err := os.OpenRoot(runDir)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	if err := run.MkdirAll(marksDir, 0o755); err != nil {
		return nil, err
	}
	info, err := run.Lstat(marksDir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is a symbolic link; it must be a directory", filepath.Join(runDir, marksDir))
	}
	return run.OpenRoot(marksDir)
}

// outer are the namespaces that the outer ends of a network's links are in, by name; empty: the
// daemon's own.
type outer struct{ uplink, classic string }

// mark makes the mark, or notes where the uplink and the link to the classic network end.
func (e *Engine) mark(n *dataplane.Network) error {
	known, err := e.marked(n.ID)
	ends := known
	if n.Uplink != nil {
		ends.uplink = n.Uplink.Namespace
	}
	if n.Classic != nil {
		ends.classic = n.Classic.Namespace
	}
	if err == nil && known == ends {
		return nil
	}
	text := ends.uplink
	if ends.classic != "" {
		text += "\n" + ends.classic
	}
	if err := e.marks.WriteFile(n.ID, []byte(text), 0o644); err != nil {
		return fmt.Errorf("mark the network as ours: %w", err)
	}
	return nil
}

// marked returns the namespaces that a mark notes.
func (e *Engine) marked(id string) (outer, error) {
	b, err := e.marks.ReadFile(id)
	uplink, classic, _ := strings.Cut(string(b), "\n")
	return outer{strings.TrimSpace(uplink), strings.TrimSpace(classic)}, err
}

func (e *Engine) unmark(id string) error {
	info, err := e.marks.Lstat(id)
	if err == nil {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("the mark of ownership %s is no regular file; remove it", filepath.Join(e.marks.Name(), id))
		}
		err = e.marks.Remove(id)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the mark of ownership: %w", err)
	}
	return nil
}

// Networks returns the ids of the networks that are there, whole or in part,
// also those that an earlier process made; ascending. What is no mark is passed over,
// and told of once.
func (e *Engine) Networks() ([]string, error) {
	entries, err := fs.ReadDir(e.marks.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	ids := make([]string, 0, len(entries))
	for _, entry := range entries {
		name := entry.Name()
		err := checkNames(&dataplane.Network{ID: name})
		if err == nil && !entry.Type().IsRegular() {
			err = errors.New("it is no regular file")
		}
		if err == nil {
			ids = append(ids, name)
		} else if _, told := e.noMarks.LoadOrStore(name, true); !told {
			e.log.Warn("passed over what is no mark of a network", "file", filepath.Join(e.marks.Name(), name), "error", err)
		}
	}
	return ids, nil
}
