package engine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/session"
	"sluice/dataplane/sorted"
)

// wantPrograms compares how programs are attached: "link by: part of why".
func wantPrograms(t *testing.T, e *Engine, id string, want map[string]string) {
	t.Helper()
	got, err := e.Programs(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("got %+v, want %d links", got, len(want))
	}
	for _, p := range got {
		by, why, _ := strings.Cut(want[p.Link], ": ")
		if string(p.By) != by || !strings.Contains(p.Why, why) || (p.Why == "") != (p.By == dataplane.ByXDP) {
			t.Errorf("got %+v, want %s", p, want[p.Link])
		}
	}
}

// What is told of the programs is what the kernel has.
func TestPrograms(t *testing.T) {
	t.Parallel()
	for _, by := range []dataplane.ProgramsBy{dataplane.ByTCX, dataplane.ByClsact} {
		t.Run(string(by), func(t *testing.T) {
			s := newSite(t)
			nstest.Veth(t, s.public, "wan0", s.public, "pub-port")
			n := s.network(t)
			n.Uplink.Mode, n.Uplink.Device, n.Shortcut = dataplane.UplinkDevice, "wan0", true
			e, err := New(Config{RunDir: s.runDir, Namespace: s.public.Name(),
				Sessions: session.Options{TCXAtOnce: by == dataplane.ByTCX}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { e.Close() })
			if _, err := e.Programs(t.Context(), n.ID); !errors.Is(err, ErrNotCounted) {
				t.Errorf("before there is a network: %v", err)
			}
			mustApply(t, e, n)
			got, err := e.Programs(t.Context(), n.ID)
			if err == nil && by == dataplane.ByTCX && got[0].By == dataplane.ByClsact {
				t.Skip("this kernel has no tcx")
			}
			wantPrograms(t, e, n.ID, map[string]string{
				"public": string(by) + ": ", "vsw-a": string(by) + ": not a device that was handed over", "vsw-b": string(by) + ": not a device",
			})

			if by == dataplane.ByClsact {
				nstest.Command(t, inNetwork(t, n.ID), "tc", "qdisc", "del", "dev", "vsw-a", "clsact")
				wantPrograms(t, e, n.ID, map[string]string{"public": "clsact", "vsw-a": "none: not attached", "vsw-b": "clsact"})
				e.Invalidate(n.ID)
				mustApply(t, e, n)
				wantPrograms(t, e, n.ID, map[string]string{"public": "clsact", "vsw-a": "clsact", "vsw-b": "clsact"})
			}
		})
	}
}

func TestProgramsThatAreGone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e := s.engineWith(t, session.Options{TCXAtOnce: true})
	mustApply(t, e, n)
	off := string(dataplane.ByTCX) + ": the shortcut is off"
	got, err := e.Programs(t.Context(), n.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got[0].By != dataplane.ByTCX {
		t.Skip("this kernel has no tcx")
	}
	wantPrograms(t, e, n.ID, map[string]string{"public": off, "vsw-a": off, "vsw-b": off})
	if err := os.Remove(filepath.Join(session.DefaultDir, n.ID, "links", "vsw-a-egress")); err != nil {
		t.Fatal(err)
	}
	wantPrograms(t, e, n.ID, map[string]string{"public": off, "vsw-a": "none: not attached", "vsw-b": off})
	e.Invalidate(n.ID)
	mustApply(t, e, n)
	wantPrograms(t, e, n.ID, map[string]string{"public": off, "vsw-a": off, "vsw-b": off})

	// Without a public side there are no sessions.
	inside := *n
	inside.Revision++
	inside.Uplink, inside.Elastic, inside.DNAT, inside.SNAT, inside.Routes = nil, nil, sorted.Set[dataplane.DNAT]{}, nil, nil
	mustApply(t, e, &inside)
	if _, err := e.Programs(t.Context(), n.ID); !errors.Is(err, ErrNotCounted) {
		t.Errorf("without a public side: %v", err)
	}
}

// Packets from the outside are looked at with and without the shortcut: they may
// say that a connection ends.
func TestUplinkIngress(t *testing.T) {
	t.Parallel()
	for _, by := range []dataplane.ProgramsBy{dataplane.ByTCX, dataplane.ByClsact} {
		t.Run(string(by), func(t *testing.T) {
			s := newSite(t)
			e, err := New(Config{RunDir: s.runDir, Namespace: s.public.Name(),
				Sessions: session.Options{TCXAtOnce: by == dataplane.ByTCX}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { e.Close() })
			n := s.network(t)
			for revision, shortcut := range []bool{false, true, false} {
				changed := *n
				changed.Revision, changed.Shortcut = int64(revision+1), shortcut
				mustApply(t, e, &changed)
				got, err := e.Programs(t.Context(), n.ID)
				if err == nil && by == dataplane.ByTCX && got[0].By == dataplane.ByClsact {
					t.Skip("this kernel has no tcx")
				}
				for _, hook := range []string{"ingress", "egress"} {
					if !classifies(t, n.ID, by, "public", hook) {
						t.Errorf("shortcut %v: no program at the %s of the uplink", shortcut, hook)
					}
				}
			}
		})
	}
}

// classifies reports whether one of our programs is at a hook of a link.
func classifies(t *testing.T, id string, by dataplane.ProgramsBy, link, hook string) bool {
	t.Helper()
	if by == dataplane.ByTCX {
		_, err := os.Stat(filepath.Join(session.DefaultDir, id, "links", link+"-"+hook))
		return err == nil
	}
	out := nstest.Command(t, inNetwork(t, id), "tc", "filter", "show", "dev", link, hook)
	return strings.Contains(out, "sluice-session")
}

// Of the programs those are loaded that a network has links for, and are there when it gets others; a later
// process takes them over as they are.
func TestProgramsAsNeeded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	a, b := s.vpc(t, e, 1, true), s.vpc(t, e, 2, true)
	connect(a, b, "x", 0)
	for _, v := range []*vpc{a, b, a} {
		mustApply(t, e, v.Network)
	}
	loaded := func(want ...string) {
		t.Helper()
		pins, err := filepath.Glob(filepath.Join(session.DefaultDir, a.ID, "programs-*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, pin := range pins {
			names = append(names, filepath.Base(pin))
		}
		slices.Sort(names)
		slices.Sort(want)
		if !slices.Equal(names, want) {
			t.Errorf("loaded are %v, want %v", names, want)
		}
	}
	crossing := []string{"flow_egress", "flow_ingress", "locate", "sync_sessions"}
	loaded(crossing...)
	for _, hook := range []string{"ingress", "egress"} {
		if !classifies(t, a.ID, dataplane.ByClsact, "ri-x-a", hook) {
			t.Errorf("no program at the %s of the router interface", hook)
		}
	}
	public := a.renew()
	public.Uplink = s.network(t).Uplink
	mustApply(t, e, public)
	translating := append(slices.Clone(crossing), "switch_egress", "switch_ingress", "uplink_egress", "uplink_ingress")
	loaded(translating...)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if got := mustApply(t, s.engine(t), public); got.Changes != 0 {
		t.Errorf("a later process changed %d objects", got.Changes)
	}
	loaded(translating...)
}

// Programs that an earlier process has pinned where this one does not find them are replaced, and not left beside its own.
func TestProgramsPinnedElsewhere(t *testing.T) {
	t.Parallel()
	if !session.HaveTCX() {
		t.Skip("this kernel has no tcx")
	}
	s := newSite(t)
	n := s.network(t)
	e := s.engineWith(t, session.Options{TCXAtOnce: true})
	mustApply(t, e, n)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	// As behind a file system that was mounted over: held, and not to be found.
	dir := filepath.Join(session.DefaultDir, n.ID)
	pins, err := filepath.Glob(filepath.Join(dir, "links", "*"))
	if err != nil || len(pins) != 6 {
		t.Fatalf("%v, %v", pins, err)
	}
	for _, pin := range pins {
		held, err := link.LoadPinnedLink(pin, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { held.Close() })
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	later := s.engine(t)
	mustApply(t, later, n)
	if log := s.log.String(); !strings.Contains(log, "switch_egress at vsw-a") || !strings.Contains(log, "uplink_ingress at public") {
		t.Errorf("nothing is said of them: %s", log)
	}
	wantPrograms(t, later, n.ID, map[string]string{"public": "clsact", "vsw-a": "clsact", "vsw-b": "clsact"})
	err = inNetwork(t, n.ID).Do(func() error {
		for _, name := range []string{"public", "vsw-a", "vsw-b"} {
			for _, side := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
				list, err := link.QueryPrograms(link.QueryOptions{Target: nstest.Link(t, inNetwork(t, n.ID), name).Attrs().Index, Attach: side})
				if err != nil {
					return err
				}
				if len(list.Programs) > 0 {
					t.Errorf("%s still has %v", name, list.Programs)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
