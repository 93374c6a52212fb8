package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"sluice/dataplane"
	"sluice/dataplane/lineport"
	"sluice/dataplane/shape"
)

// linesDir is the directory under RunDir with one file for each network that is on a leased
// line. It holds the name of the line's device, so that a later process finds what is held
// there, and for whom.
const linesDir = "lines"

// lines are the leased lines of the machine.
type lines struct {
	ports *lineport.Watcher

	mu    sync.Mutex
	marks *os.Root
	on    map[string]string // device by network
}

// openLines reads what an earlier process has left, and watches the devices.
func (e *Engine) openLines(ctx context.Context) error {
	run, err := os.OpenRoot(e.cfg.RunDir)
	if err != nil {
		return err
	}
	defer run.Close()
	if err := run.MkdirAll(linesDir, 0o755); err != nil {
		return err
	}
	l := &lines{on: map[string]string{}, ports: lineport.New(e.self, e.cfg.LineDevices, e.log)}
	if l.marks, err = run.OpenRoot(linesDir); err != nil {
		return err
	}
	entries, err := fs.ReadDir(l.marks.FS(), ".")
	if err != nil {
		return errors.Join(err, l.marks.Close())
	}
	for _, f := range entries {
		if device, err := l.marks.ReadFile(f.Name()); err == nil && f.Type().IsRegular() {
			l.on[f.Name()] = string(device)
		}
	}
	e.lines = l
	e.done.Go(func() { l.ports.Run(ctx) })
	return nil
}

// networks returns the ids of the networks on a device, ascending. l.mu is held.
func (l *lines) networks(device string) (ids []string) {
	for id, d := range l.on {
		if d == device {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// raiseLine sets the device of a network's line up: a VLAN's link cannot be up before it is.
// If that fails holdLine says so.
func (j *job) raiseLine() {
	if j.want.Line != nil {
		_ = j.e.lines.ports.SetUp(j.want.Line.Device)
	}
}

// holdLine sets the device of a network's line up and holds what passes there to the line's
// bandwidth. All networks on it want the same; while that is being changed, the last one's
// word counts. A crash after the mark leaves nothing else.
func (j *job) holdLine(ctx context.Context) {
	l, id, want := j.e.lines, j.n.id, j.want.Line
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, was := l.on[id]; was && (want == nil || old != want.Device) {
		if err := j.e.leaveLine(ctx, id); err != nil {
			j.runner.Add(err)
			return
		}
	}
	if want == nil {
		return
	}
	if l.on[id] != want.Device {
		if err := l.marks.WriteFile(id, []byte(want.Device), 0o644); err != nil {
			j.runner.Add(fmt.Errorf("note which line the network is on: %w", err))
			return
		}
		l.on[id] = want.Device
	} else if j.n.applied != nil && sameLine(j.n.applied.Line, want) && j.stale&(staleBandwidths|staleLinks) == 0 {
		return
	}
	if err := l.ports.SetUp(want.Device); err != nil {
		j.runner.Add(err)
		return
	}
	p := shape.PlanLine(j.e.self, want.Device, want.Bandwidth)
	j.runner.Add(p.Err)
	j.runner.Run(ctx, p.Add)
	j.runner.Run(ctx, p.Remove)
	if j.repairing() {
		j.logRepairs(p.Whats())
	}
}

// leaveLine takes away what is held at the device of a network's line, if no other network is
// on it. It succeeds where there is nothing. lines.mu is held.
func (e *Engine) leaveLine(ctx context.Context, id string) error {
	l := e.lines
	device, is := l.on[id]
	if !is {
		return nil
	}
	if len(l.networks(device)) == 1 {
		p := shape.PlanLine(e.self, device, 0)
		err := p.Err
		for _, c := range p.Remove {
			err = errors.Join(err, c.Do(ctx))
		}
		if err != nil {
			return fmt.Errorf("hold the bandwidth of line %s no longer: %w", device, err)
		}
	}
	if err := l.marks.Remove(id); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("note that the network is on no line any more: %w", err)
	}
	delete(l.on, id)
	return nil
}

// withdrawLine is leaveLine for a network that goes.
func (e *Engine) withdrawLine(ctx context.Context, id string) error {
	e.lines.mu.Lock()
	defer e.lines.mu.Unlock()
	return e.leaveLine(ctx, id)
}

// Line returns how the device of a line is: of one that Config does not name, as it is now.
func (e *Engine) Line(device string) dataplane.LineStatus {
	s := e.lines.ports.Status(device)
	e.lines.mu.Lock()
	s.Networks = e.lines.networks(device)
	e.lines.mu.Unlock()
	return s
}

// LineTraffic returns what has passed the device of a line since its bandwidth is held.
func (e *Engine) LineTraffic(device string) (dataplane.LineTraffic, error) {
	return shape.LineTraffic(e.self, device)
}

// LineAvailable says why there can be no network on a line with frames that have a VLAN, or
// with those that have none; nil if there can.
func (e *Engine) LineAvailable(tagged bool) error { return e.lines.ports.Available(tagged) }
