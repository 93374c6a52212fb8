package session

import (
	"fmt"
	"os"
	"testing"

	"github.com/vishvananda/netlink"

	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/plan"
)

// A link whose programs an earlier version has attached by tcx gets them by clsact, and has each once
// afterwards.
func TestFromTCXToClsact(t *testing.T) {
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
		if err != nil {
			t.Fatal(err)
		}
		found := n.filters(Link{Name: l.Name, Index: l.Index, Clsact: true})
		if len(names) != pins || len(found) != filters {
			t.Errorf("%d by tcx and %d by clsact, want %d and %d", len(names), len(found), pins, filters)
		}
	}
	run(l)
	has(2, 0)
	l.Clsact = true
	run(l)
	has(0, 2)
	if p := run(l); !p.Empty() {
		t.Errorf("once more: %v", p.Whats())
	}
	if err := n.Detach(); err != nil {
		t.Fatal(err)
	}
	if found := n.filters(l); len(found) != 0 {
		t.Errorf("detached, it has %v", found)
	}
}
