package session

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/plan"
)

// A router interface has each of its programs once, wherever it comes from: an earlier version, which has
// attached them by tcx, a busy hour, a crash.
func TestClsactAndTCX(t *testing.T) {
	ns := nstest.New(t)
	s, err := New(Options{Dir: fmt.Sprintf("%s-attach-%d", DefaultDir, os.Getpid())})
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
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "ri-1"
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
	t.Cleanup(n.Close)
	if err := n.Load(false, true); err != nil {
		t.Fatal(err)
	}
	l := Link{Name: attrs.Name, Index: k.Attrs().Index, Flows: true}
	run := func(l Link) *plan.Plan {
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
	has := func(pins, filters int) {
		t.Helper()
		names, err := os.ReadDir(n.links())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		found := n.filters(Link{Name: l.Name, Index: l.Index, Clsact: true})
		if len(names) != pins || len(found) != filters {
			t.Errorf("%d by tcx and %d by clsact, want %d and %d", len(names), len(found), pins, filters)
		}
	}
	again := func() {
		t.Helper()
		if p := run(l); !p.Empty() {
			t.Errorf("once more: %v", p.Whats())
		}
	}
	run(l)
	has(2, 0)
	l.Clsact = true
	run(l)
	has(1, 1) // as one that has been busy
	again()
	if err := n.Detach(); err != nil {
		t.Fatal(err)
	}
	run(l)
	has(0, 2)
	again()
	if err := n.toTCX(l.Name); err != nil {
		t.Fatal(err)
	}
	has(1, 1)
	again()
	if err := n.attach(l, flowIngress); err != nil {
		t.Fatal(err)
	}
	has(1, 2) // what a crash leaves
	run(l)
	has(1, 1)
	again()
	if err := n.toTCX("ri-2"); err != nil {
		t.Errorf("a link that is gone: %v", err)
	}
	if err := n.Detach(); err != nil {
		t.Fatal(err)
	}
	if found := n.filters(l); len(found) != 0 {
		t.Errorf("detached, it has %v", found)
	}
}

func TestBusyInterfaces(t *testing.T) {
	before := map[string]dataplane.Volume{"ri-idle": {Packets: 5}, "ri-busy": {Packets: 5}}
	now := map[string]dataplane.Volume{
		"ri-idle": {Packets: 5 + busyInterface - 1}, "ri-busy": {Packets: 5 + busyInterface}, "ri-new": {Packets: busyInterface},
	}
	if got := busyInterfaces(before, now); !slices.Equal(got, []string{"ri-busy"}) {
		t.Errorf("busy are %v", got)
	}
}
