package session

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"sluice/bpf"
	"sluice/dataplane/internal/nstest"
)

// What an earlier process has attached, and pinned where this one does not find it, is taken off; what is pinned and
// what is somebody else's stays.
func TestStrays(t *testing.T) {
	ns, far := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "vsw-1", far, "far")
	nstest.Up(t, ns, "vsw-1")
	s := withTCX(t, "strays", Options{TCXAtOnce: true})
	n, err := s.Open("vpc-strays", ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	l := Link{Name: "vsw-1", Index: nstest.Link(t, ns, "vsw-1").Attrs().Index, Sessions: true, Flows: true}
	detach := func(want ...string) {
		t.Helper()
		got, err := s.DetachStrays("vpc-strays", ns)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("taken off: %v, want %v", got, want)
		}
	}
	at := func() (names []string) {
		t.Helper()
		err := ns.Do(func() error {
			attached, err := s.attachedAt(nstest.Link(t, ns, "vsw-1").Attrs())
			for _, a := range attached {
				names = append(names, programName(a.program))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	detach()
	nstest.NewMeter(t, ns, "vsw-1", true) // somebody else's
	for _, h := range append(slices.Clone(classifiers), xdp) {
		if err := n.attach(l, h, true); err != nil {
			t.Fatal(err)
		}
	}
	detach() // all are pinned
	all := at()
	if len(all) != len(classifiers)+2 {
		t.Fatalf("attached are %v", all)
	}
	// Held open, as by the pins of a file system that is mounted over.
	for _, pin := range []string{n.pin(l, egress), n.pin(l, flowIngress), n.pin(l, xdp)} {
		held, err := link.LoadPinnedLink(pin, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { held.Close() })
		if err := os.Remove(pin); err != nil {
			t.Fatal(err)
		}
	}
	detach("flow_ingress at vsw-1", "switch_egress at vsw-1", "switch_xdp at vsw-1")
	left := at()
	for _, name := range []string{"flow_egress", "switch_ingress"} {
		if !slices.Contains(left, name) {
			t.Errorf("%s was taken off, too", name)
		}
	}
	if len(left) != 3 {
		t.Errorf("left are %v", left)
	}
	detach()
	for name := range s.spec.Programs {
		if len(name) >= 16 {
			t.Errorf("the kernel cuts the name of program %s short", name)
		}
	}
	names, err := bpf.ProgramNames()
	if err != nil || !names["switch_xdp"] || !names[bpf.GroupsProgToSwitch] {
		t.Errorf("%v, %v", names, err)
	}

	// Pins of others that belong to the network count, too.
	elsewhere := filepath.Join(s.opt.Dir, "groups")
	if err := mkdir(elsewhere); err != nil {
		t.Fatal(err)
	}
	err = ns.Do(func() error {
		made, err := link.AttachTCX(link.TCXOptions{Interface: l.Index, Program: n.loaded("switch_egress"), Attach: ebpf.AttachTCXEgress})
		if err != nil {
			return err
		}
		defer made.Close()
		return made.Pin(filepath.Join(elsewhere, "vsw-1-egress"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.DetachStrays("vpc-strays", ns, elsewhere); err != nil || len(got) != 0 {
		t.Errorf("taken off: %v, %v", got, err)
	}
	detach("switch_egress at vsw-1")
}
