package securitygroup

import (
	"testing"

	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/session"
)

// Programs that are attached one way are replaced by those that are attached the other way: by an earlier
// version, on an earlier kernel, or when there were fewer ports.
func TestAttachments(t *testing.T) {
	if !session.HaveTCX() {
		t.Skip("this kernel has no tcx")
	}
	n := open(t)
	ns, err := netns.Open(n.ns.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	nstest.Veth(t, ns, "one", ns, "two")
	for name, p := range map[string]Port{"one": {}, "two": {link: true, bridge: true}} {
		p.Name, p.Index = name, nstest.Link(t, ns, name).Attrs().Index
		attach := func(tcx bool, ports int, byLink bool) {
			t.Helper()
			n.f.tcx = tcx
			if err := n.Attach(p, ports); err != nil {
				t.Fatal(err)
			}
			if !n.Attached(p) {
				t.Errorf("the programs of %s are not attached", name)
			}
			for _, s := range sides {
				if filter := filterAt(n.ns, p, s) != nil; n.linked(p, s) != byLink || filter == byLink {
					t.Errorf("%s at %s: by link is %t, want %t; by filter is %t", s, name, n.linked(p, s), byLink, filter)
				}
			}
		}
		if n.Attached(p) {
			t.Errorf("something is at %s", name)
		}
		attach(false, 1, false)
		n.f.tcx = true
		// At a VSwitch's link a filter would come after the programs of the shortcut.
		if n.Attached(p) == p.link {
			t.Errorf("a filter at %s suffices: %t", name, !p.link)
		}
		attach(true, 1, true)
		attach(true, manyPorts, true)
		attach(true, manyPorts+1, p.link)
		attach(false, 1, false)
		attach(true, 1, true)
	}
	places := &Places{Ports: []Port{{Name: "one", Index: nstest.Link(t, ns, "one").Attrs().Index}}}
	if err := n.Tidy(places); err != nil {
		t.Fatal(err)
	}
	if changes, err := n.f.Detach(n.id, n.ns); changes != len(sides) || err != nil {
		t.Errorf("after those of a link that is gone were tidied away %d programs are detached, want %d: %v", changes, len(sides), err)
	}
	if n.Attached(places.Ports[0]) {
		t.Error("programs are attached after they were detached")
	}
}
