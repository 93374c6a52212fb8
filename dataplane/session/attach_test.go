package session

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/plan"
)

// withTCX returns sessions with a folder of their own, or skips the test.
func withTCX(t *testing.T, name string, o Options) *Sessions {
	t.Helper()
	o.Dir = fmt.Sprintf("%s-%s-%d", DefaultDir, name, os.Getpid())
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if err := os.RemoveAll(s.opt.Dir); err != nil {
			t.Error(err)
		}
	})
	if !s.tcx {
		t.Skip("this kernel has no tcx")
	}
	return s
}

// A link has each of its programs once, wherever it comes from: an earlier version, which has attached them by
// tcx, a busy hour, a crash in the middle of being changed over, security groups.
func TestClsactAndTCX(t *testing.T) {
	ns := nstest.New(t)
	s := withTCX(t, "attach", Options{})
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "vsw-1"
	if err := ns.Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		t.Fatal(err)
	}
	k, err := ns.Netlink().LinkByName(attrs.Name)
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Open("vpc-attach", ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	network := &dataplane.Network{Prefix: netip.MustParsePrefix("10.0.0.0/8")}
	if err := n.Apply(network, 0); err != nil {
		t.Fatal(err)
	}
	l := Link{Name: attrs.Name, Index: k.Attrs().Index, Sessions: true, Flows: true}
	run := func() *plan.Plan {
		t.Helper()
		p := n.Plan([]Link{l}, true)
		var runner plan.Runner
		runner.Add(p.Err)
		runner.Run(t.Context(), p.Add)
		runner.Run(t.Context(), p.Remove)
		if err := runner.Err(); err != nil {
			t.Fatal(err)
		}
		return p
	}
	// What is told, whether the programs know that one may be there twice, and those by tcx and by clsact.
	is := func(by dataplane.ProgramsBy, doubled bool, linked, filtered []hook) {
		t.Helper()
		var gotLinked, gotFiltered []hook
		for _, h := range classifiers {
			w := n.ways(l)[h]
			if w.linked != 0 {
				gotLinked = append(gotLinked, h)
			}
			if w.filter != nil {
				gotFiltered = append(gotFiltered, h)
			}
		}
		if !slices.Equal(gotLinked, linked) || !slices.Equal(gotFiltered, filtered) {
			t.Errorf("by tcx %v, by clsact %v; want %v and %v", gotLinked, gotFiltered, linked, filtered)
		}
		if got := n.Attachments([]Link{l}, true); got[0].By != by {
			t.Errorf("attached by %s, want %s", got[0].By, by)
		}
		var told settings
		if err := n.maps["settings"].Lookup(uint32(0), &told); err != nil || (told.Flags&setChanging != 0) != doubled {
			t.Errorf("the programs are told that one may be there twice: %v, %v", told.Flags&setChanging != 0, err)
		}
	}
	again := func() {
		t.Helper()
		if p := run(); !p.Empty() {
			t.Errorf("once more: %v", p.Whats())
		}
	}
	all := classifiers
	run()
	is(dataplane.ByClsact, false, nil, all)
	again()

	// Busy.
	if err := n.toTCX(l); err != nil {
		t.Fatal(err)
	}
	is(dataplane.ByTCX, false, all, nil)
	if len(n.slow) != 0 {
		t.Errorf("%v may still get tcx", n.slow)
	}
	again()
	is(dataplane.ByTCX, false, all, nil)
	if err := n.toTCX(l); err != nil {
		t.Errorf("once more: %v", err)
	}
	if err := n.toTCX(Link{Name: "vsw-2", Index: 1 << 20, Sessions: true}); err != nil {
		t.Errorf("a link that is gone: %v", err)
	}

	// Compared with the kernel meanwhile, it loses no program.
	for range 5 {
		if err := n.Detach(); err != nil {
			t.Fatal(err)
		}
		run()
		changed := make(chan error, 1)
		go func() { changed <- n.toTCX(l) }()
		for busy := true; busy; {
			select {
			case err := <-changed:
				if err != nil {
					t.Fatal(err)
				}
				busy = false
			default:
			}
			run()
		}
		is(dataplane.ByTCX, false, all, nil)
		again()
	}

	// Whatever is there by both ways after a crash, with the programs told of it.
	for _, left := range [][]hook{{ingress}, {flowEgress}, {ingress, egress}, all} {
		if err := n.Detach(); err != nil {
			t.Fatal(err)
		}
		is(dataplane.ByNothing, false, nil, nil)
		run()
		if err := n.setDoubled(true); err != nil {
			t.Fatal(err)
		}
		for _, h := range left {
			if err := n.attach(l, h, true); err != nil {
				t.Fatal(err)
			}
		}
		n.Close()
		if n, err = s.Open("vpc-attach", ns); err != nil {
			t.Fatal(err)
		}
		if err := n.Apply(network, 0); err != nil {
			t.Fatal(err)
		}
		others := slices.DeleteFunc(slices.Clone(all), func(h hook) bool { return slices.Contains(left, h) })
		by := dataplane.ByClsact
		if len(others) == 0 {
			by = dataplane.ByTCX
		}
		is(by, true, left, all)
		run()
		is(by, false, left, others)
		again()
		// What was left by clsact is changed over, when it is busy.
		if err := n.toTCX(l); err != nil {
			t.Fatal(err)
		}
		is(dataplane.ByTCX, false, all, nil)
	}

	// Security groups come to a link that has its programs by clsact.
	if err := n.Detach(); err != nil {
		t.Fatal(err)
	}
	run()
	l.Held = true
	run()
	is(dataplane.ByTCX, false, all, nil)
	again()

	// Neither is wanted any more.
	l.Flows, l.Held = false, false
	run()
	is(dataplane.ByTCX, false, []hook{ingress, egress}, nil)
	if err := n.Detach(); err != nil {
		t.Fatal(err)
	}
	l.Flows = true
	run()
	l.Flows = false
	run()
	is(dataplane.ByClsact, false, nil, []hook{ingress, egress})
	if err := n.Detach(); err != nil {
		t.Fatal(err)
	}
	is(dataplane.ByNothing, false, nil, nil)
}

func TestBusy(t *testing.T) {
	idle, working, fresh, gone := Link{Name: "vsw-idle", Index: 1}, Link{Name: "vsw-busy", Index: 2}, Link{Name: "ri-new", Index: 3}, Link{Name: "ri-gone", Index: 4}
	before := map[int]uint64{1: 5, 2: 5, 4: 5}
	now := map[int]uint64{1: 5 + busyLink - 1, 2: 5 + busyLink, 3: busyLink}
	if got := busy([]Link{idle, working, fresh, gone}, before, now); !slices.Equal(got, []Link{working}) {
		t.Errorf("busy are %v", got)
	}
}
