package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"

	"sluice/dataplane"
	"sluice/dataplane/engine"
	"sluice/dataplane/session"
	"sluice/test/lab"
)

// What the bench needs to know of Sluice's BPF programs is in this file.

// programs says which of Sluice's BPF programs an engine attaches.
type programs string

const (
	plain        programs = "plain"    // only the egress filter: translation is nftables' alone
	withPrograms programs = "programs" // all
	withoutXDP   programs = "tc"       // none in the driver
)

// allPrograms are those that a rig has an engine for.
var allPrograms = []programs{plain, withPrograms, withoutXDP}

// engine returns a dataplane that marks its networks in a directory of its own
// in the run's.
func (r *run) engine(p programs) (*engine.Engine, error) {
	return engine.New(engine.Config{
		RunDir: filepath.Join(r.dir, "run-"+string(p)), Logger: r.log, WithoutSessions: p == plain,
		// The rig's wires can be redirected to, also where the kernel does not say so. Its links have what busy
		// ones have, from the beginning.
		Sessions: session.Options{WithoutXDP: p == withoutXDP, AssumeXDP: true, TCXAtOnce: true},
	})
}

// checkXDP fails if the programs of a network are not in the drivers of all devices that it
// was handed: what is measured would be something else.
func checkXDP(ctx context.Context, e *engine.Engine, n *dataplane.Network) error {
	all, err := e.Programs(ctx, n.ID)
	if err != nil {
		return err
	}
	for _, p := range all {
		made := slices.ContainsFunc(n.Switches, func(s dataplane.Switch) bool {
			return s.Link() == p.Link && s.Attachment.Kind != dataplane.AttachDevice
		})
		if p.By != dataplane.ByXDP && !made {
			return fmt.Errorf("the programs of %s are attached by %s and not in the driver: %s", p.Link, p.By, p.Why)
		}
	}
	return nil
}

// awaitNoSessions returns when the gateway's BPF programs have forgotten the
// sessions of connections that have ended.
func (g *gateway) awaitNoSessions() error {
	if g.counts == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return lab.Await(ctx, "the end of all sessions of gateway "+g.id, func() error {
		t, err := g.counts.Traffic(ctx, g.id)
		if err != nil {
			return err
		}
		for _, s := range t.Sessions {
			if s.Open != 0 {
				return fmt.Errorf("%d sessions are open", s.Open)
			}
		}
		return nil
	})
}

// errNoSessions is returned for a gateway without a table of sessions.
var errNoSessions = errors.New("it has no table of sessions in BPF")

// pins is where a network's BPF maps are.
const pins = "/sys/fs/bpf/sluice"

// sessionMemory returns how much memory the network's BPF maps take.
func (g *gateway) sessionMemory() (bytes uint64, err error) { return networkMemory(g.id) }

// mapMemory returns what the kernel says a map takes: from Linux 6.4 what it
// has allocated, before that an upper bound.
func mapMemory(m *ebpf.Map) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", m.FD()))
	if err != nil {
		return 0, err
	}
	return parseMemlock(string(text))
}

// parseMemlock finds a map's memory in the text of its descriptor's fdinfo.
func parseMemlock(fdinfo string) (uint64, error) {
	for line := range strings.Lines(fdinfo) {
		if value, ok := strings.CutPrefix(line, "memlock:"); ok {
			return strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, errors.New("the kernel does not tell how much memory a BPF map takes")
}
