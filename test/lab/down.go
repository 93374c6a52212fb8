package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/engine"
	"sluice/dataplane/netns"
)

// Down removes every trace of the lab: its processes, namespaces, the networks
// that its sluiced made, and its directory. It works whatever state the lab is
// in, and succeeds if there is none. A step that fails does not keep the others
// from being done; the directory is then kept, so that Down can be called again.
func (l *Lab) Down(ctx context.Context) error {
	lock, err := acquire(l.Dir)
	if errors.Is(err, ErrDown) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take down lab %s: %w", l.Name, err)
	}
	defer lock.release()
	if err := l.down(ctx); err != nil {
		return fmt.Errorf("take down lab %s: %w", l.Name, err)
	}
	return nil
}

// Remove takes down the lab that the options name, whatever is left of it.
func Remove(ctx context.Context, o Options) error {
	o, err := o.complete()
	if err != nil {
		return err
	}
	return (&Lab{Name: o.Name, Dir: o.Dir}).Down(ctx)
}

func (l *Lab) down(ctx context.Context) error {
	s, err := load(l.Dir)
	if errors.Is(err, ErrDown) {
		s, err = new(state), nil // ended before its first record
	}
	if err != nil {
		return err
	}
	// The processes first: the daemon would put back what is removed.
	if err := l.endProcesses(ctx, s); err != nil {
		return err
	}
	// The networks before the Internet, to which they are connected.
	errs := []error{l.removeNetworks(ctx)}
	for _, h := range s.Hosts {
		errs = append(errs, netns.Delete(h.Namespace))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return l.removeDir()
}

// endProcesses ends the daemon, so that it can put away what it likes, and then
// whatever else carries the lab's mark.
func (l *Lab) endProcesses(ctx context.Context, s *state) error {
	if s.Daemon != nil {
		if err := s.Daemon.Stop(5 * time.Second); err != nil {
			return err
		}
	}
	// Again and again, since one that is killed may just have started another.
	return Await(ctx, "end the lab's processes", func() error {
		running, err := marked(l.Dir)
		if err != nil || len(running) == 0 {
			return err
		}
		var errs []error
		for _, p := range running {
			errs = append(errs, p.Kill())
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		if running, err = marked(l.Dir); err == nil && len(running) > 0 {
			err = fmt.Errorf("%d processes keep running", len(running))
		}
		return err
	})
}

// removeNetworks removes what the lab's daemon made of its VPCs, and gives back
// what it was handed.
func (l *Lab) removeNetworks(ctx context.Context) error {
	// An engine makes its run directory, which is not wanted here.
	if _, err := os.Stat(l.RunDir()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	e, err := engine.New(engine.Config{RunDir: l.RunDir()})
	if err != nil {
		return err
	}
	defer e.Close()
	ids, err := e.Networks()
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		if err := e.Remove(ctx, id); err != nil {
			// Nothing is to remain, even where it cannot be given back in order.
			errs = append(errs, err, netns.Delete(dataplane.Namespace(id)))
		}
	}
	return errors.Join(errs...)
}

// removeDir removes the lab's directory, its record last: until then Down can
// be called again.
func (l *Lab) removeDir() error {
	entries, err := os.ReadDir(l.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == stateFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(l.Dir, e.Name())); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(l.Dir); err != nil {
		return err
	}
	if l.Dir == DefaultDir(l.Name) {
		// The parent too, if no other lab is in it.
		_ = os.Remove(filepath.Dir(l.Dir))
	}
	return nil
}
