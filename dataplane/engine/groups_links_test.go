package engine

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/session"
)

// far makes two hosts, 10.0.1.5 and 10.0.2.7, at the far ends of links on one device, and has a
// network's VSwitches be the near ends. It skips the test where the kernel has no such links.
func far(t *testing.T, s *site, n *dataplane.Network, kind dataplane.AttachmentKind) (hosts [2]*netns.Namespace) {
	t.Helper()
	beyond := nstest.New(t)
	nstest.Veth(t, s.public, "under0", beyond, "under0")
	nstest.Address(t, s.public, "under0", "192.0.2.1/24")
	nstest.Address(t, beyond, "under0", "192.0.2.2/24")
	for i, address := range []string{"10.0.1.5/24", "10.0.2.7/24"} {
		hosts[i] = nstest.New(t)
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Namespace = "eth0", netlink.NsFd(hosts[i].Handle())
		number, index := 42+i, nstest.Link(t, beyond, "under0").Attrs().Index
		var l netlink.Link
		switch kind {
		case dataplane.AttachVXLAN:
			l = &netlink.Vxlan{LinkAttrs: attrs, VxlanId: number, Port: 4789, Learning: true, VtepDevIndex: index, Group: netip.MustParseAddr("192.0.2.1").AsSlice()}
			n.Switches[i].Attachment = dataplane.Attachment{Kind: kind, Device: "under0", VNI: uint32(number), Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2")}
		default:
			attrs.ParentIndex = index
			l = &netlink.Vlan{LinkAttrs: attrs, VlanId: number, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}
			n.Switches[i].Attachment = dataplane.Attachment{Kind: kind, Device: "under0", VLAN: uint16(number)}
		}
		if err := beyond.Netlink().LinkAdd(l); errors.Is(err, unix.EOPNOTSUPP) {
			t.Skipf("this kernel has no links of kind %s", kind)
		} else if err != nil {
			t.Fatal(err)
		}
		nstest.Address(t, hosts[i], "eth0", address)
		nstest.Default(t, hosts[i], n.Switches[i].Gateway.String())
	}
	return hosts
}

// grouped returns a network with a policy for 10.0.1.5.
func grouped(n *dataplane.Network, ingress, egress []dataplane.GroupRule) *dataplane.Network {
	next := *n
	next.Revision++
	next.Policies = []dataplane.GroupPolicy{{ID: "sg-a", Ingress: ingress, Egress: egress}}
	next.Members = []dataplane.GroupMember{{Address: netip.MustParseAddr("10.0.1.5"), Policy: "sg-a"}}
	return &next
}

var everything = []dataplane.GroupRule{lets(0, 0, "0.0.0.0/0")}

// A security group holds where VSwitches are VLANs or VXLANs, with the shortcut and without, also when
// the link is made anew.
func TestGroupsOnLinks(t *testing.T) {
	for _, kind := range []dataplane.AttachmentKind{dataplane.AttachVLAN, dataplane.AttachVXLAN} {
		for name, shortcut := range map[string]bool{"shortcut": true, "kernel": false} {
			t.Run(string(kind)+" "+name, func(t *testing.T) { groupsHoldOnLinks(t, kind, shortcut) })
		}
	}
}

func groupsHoldOnLinks(t *testing.T, kind dataplane.AttachmentKind, shortcut bool) {
	s := newSite(t)
	n := s.network(t)
	n.Shortcut = shortcut
	hosts := far(t, s, n, kind)
	member, other := hosts[0], hosts[1]
	e := s.engine(t)
	mustApply(t, e, n)
	for _, h := range []*netns.Namespace{member, other, s.public} {
		nstest.Listen(t, h, 8080)
		nstest.Listen(t, h, 9090)
	}
	apply := func(ingress, egress []dataplane.GroupRule) {
		t.Helper()
		n = grouped(n, ingress, egress)
		mustApply(t, e, n)
	}
	all := func(want bool) {
		t.Helper()
		answers(t, other, "tcp4", "10.0.1.5:8080", want)
		answers(t, other, "udp4", "10.0.1.5:8080", want)
		answers(t, s.public, "tcp4", "203.0.113.11:80", want)
		answers(t, member, "udp4", "10.0.2.7:8080", want)
		answers(t, member, "tcp4", "203.0.113.1:8080", want)
	}
	all(true)
	apply(nil, nil)
	all(false)
	apply(everything, everything)
	all(true)

	// A flow is cut when its rule goes, and others are not.
	apply([]dataplane.GroupRule{lets(6, 8080, "10.0.2.7/32", "203.0.113.0/24"), lets(6, 9090, "10.0.0.0/8")}, nil)
	answers(t, member, "tcp4", "10.0.2.7:8080", false)
	answers(t, other, "udp4", "10.0.1.5:8080", false)
	public, near, stays := nstest.MustDial(t, s.public, "tcp4", "203.0.113.11:80"), nstest.MustDial(t, other, "tcp4", "10.0.1.5:8080"), nstest.MustDial(t, other, "tcp4", "10.0.1.5:9090")
	for range 5 {
		goesOn(t, public, true)
		goesOn(t, near, true)
		goesOn(t, stays, true)
	}
	apply([]dataplane.GroupRule{lets(6, 9090, "10.0.0.0/8")}, everything)
	goesOn(t, public, false)
	goesOn(t, near, false)
	goesOn(t, stays, true)
	out := nstest.MustDial(t, member, "tcp4", "203.0.113.1:8080")
	for range 5 {
		goesOn(t, out, true)
	}

	// Its link goes, and comes back by an Apply: with the programs.
	nstest.Command(t, inNetwork(t, n.ID), "ip", "link", "del", "vsw-a")
	e.Invalidate(n.ID)
	mustApply(t, e, n)
	answers(t, member, "tcp4", "10.0.2.7:8080", true)
	answers(t, other, "tcp4", "10.0.1.5:9090", true)
	answers(t, other, "tcp4", "10.0.1.5:8080", false)
	answers(t, s.public, "tcp4", "203.0.113.11:80", false)
}

// Where the programs cannot be had, nothing of members passes, also not what took the shortcut before,
// the Apply says so, and what is nobody's passes. As soon as they can be had all is as it should be.
func TestGroupsThatCannotBeHeld(t *testing.T) {
	for name, kind := range map[string]dataplane.AttachmentKind{"bridge": dataplane.AttachBridge, "VXLAN": dataplane.AttachVXLAN} {
		t.Run(name, func(t *testing.T) { groupsCannotBeHeld(t, kind) })
	}
}

func groupsCannotBeHeld(t *testing.T, kind dataplane.AttachmentKind) {
	s := newSite(t)
	n := s.network(t)
	n.Shortcut = true
	var hosts [2]*netns.Namespace
	if kind != dataplane.AttachBridge {
		hosts = far(t, s, n, kind)
	}
	e := s.engine(t)
	mustApply(t, e, n)
	others := map[string]*netns.Namespace{}
	if kind == dataplane.AttachBridge {
		name := dataplane.Namespace(n.ID)
		hosts[0] = nstest.Host(t, name, "vsw-a", "10.0.1.5/24", "10.0.1.253")
		hosts[1] = nstest.Host(t, name, "vsw-b", "10.0.2.7/24", "10.0.2.253")
		others["10.0.1.6"] = nstest.Host(t, name, "vsw-a", "10.0.1.6/24", "10.0.1.253")
	}
	others["10.0.2.7"] = hosts[1]
	member := hosts[0]
	for _, h := range []*netns.Namespace{member, s.public, hosts[1], others["10.0.1.6"]} {
		if h != nil {
			nstest.Listen(t, h, 8080)
		}
	}
	all := func(want bool) {
		t.Helper()
		for address, h := range others {
			answers(t, h, "tcp4", "10.0.1.5:8080", want)
			answers(t, member, "udp4", address+":8080", want)
		}
		answers(t, s.public, "tcp4", "203.0.113.11:80", want)
		answers(t, member, "tcp4", "203.0.113.1:8080", want)
	}
	all(true)
	in, out := nstest.MustDial(t, s.public, "tcp4", "203.0.113.11:80"), nstest.MustDial(t, member, "tcp4", "203.0.113.1:8080")
	for range 5 {
		goesOn(t, in, true)
		goesOn(t, out, true)
	}

	// Something else is where the maps belong.
	if err := session.EnsureBPFFS(e.groups.Dir()); err != nil {
		t.Fatal(err)
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Pin(filepath.Join(e.groups.Dir(), n.ID)); err != nil {
		t.Fatal(err)
	}
	next := grouped(n, everything, everything)
	o, err := e.Apply(t.Context(), next)
	if err == nil || !strings.Contains(err.Error(), "cut off") || o.Revision == next.Revision {
		t.Errorf("revision %d of %d is held; the error is %v", o.Revision, next.Revision, err)
	}
	goesOn(t, in, false)
	goesOn(t, out, false)
	all(false)
	if near := others["10.0.1.6"]; near != nil {
		answers(t, near, "tcp4", "10.0.2.7:8080", true)
	}
	if o, err := e.Apply(t.Context(), next); err == nil || o.Revision == next.Revision {
		t.Errorf("once more: revision %d is held; the error is %v", o.Revision, err)
	}

	if err := m.Unpin(); err != nil {
		t.Fatal(err)
	}
	mustApply(t, e, next)
	all(true)
}

// What passes the gateway meets the programs at the VSwitch's link, whether or not the port has
// its own; those that learn paths come after them; what somebody detaches is put back.
func TestGroupsAtTheGateway(t *testing.T) {
	s := newSite(t)
	e, n := s.engine(t), s.network(t)
	n.Shortcut = true
	n = grouped(n, []dataplane.GroupRule{lets(6, 8080, "0.0.0.0/0")}, nil)
	mustApply(t, e, n)
	name := dataplane.Namespace(n.ID)
	member := nstest.Host(t, name, "vsw-a", "10.0.1.5/24", "10.0.1.253")
	other := nstest.Host(t, name, "vsw-b", "10.0.2.5/24", "10.0.2.253")
	for _, h := range []*netns.Namespace{member, other} {
		nstest.Listen(t, h, 8080)
		nstest.Listen(t, h, 9090)
	}
	check := func() {
		t.Helper()
		answers(t, other, "tcp4", "10.0.1.5:8080", true)
		answers(t, other, "tcp4", "10.0.1.5:9090", false)
		answers(t, member, "tcp4", "10.0.2.5:8080", false)
		answers(t, s.public, "tcp4", "203.0.113.11:80", true)
	}
	check() // nobody has applied since the hosts came
	mustApply(t, e, n)
	check()

	if !session.HaveTCX() {
		t.Skip("this kernel has no tcx: what follows takes programs off by its links")
	}
	ns := inNetwork(t, n.ID)
	groups, sessions := filepath.Join(e.groups.Dir(), n.ID, "links"), filepath.Join(filepath.Dir(e.groups.Dir()), n.ID, "links")
	detach := func(dir, part string) (gone int) {
		t.Helper()
		pins, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, pin := range pins {
			if !strings.Contains(pin.Name(), part) {
				continue
			}
			l, err := link.LoadPinnedLink(filepath.Join(dir, pin.Name()), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(l.(interface{ Detach() error }).Detach(), l.Close()); err != nil {
				t.Fatal(err)
			}
			gone++
		}
		return gone
	}
	order := func() (names []string) {
		t.Helper()
		err := ns.Do(func() error {
			l, err := link.QueryPrograms(link.QueryOptions{Target: nstest.Link(t, ns, "vsw-a").Attrs().Index, Attach: ebpf.AttachTCXEgress})
			if err != nil {
				return err
			}
			for _, p := range l.Programs {
				q, err := ebpf.NewProgramFromID(p.ID)
				if err != nil {
					return err
				}
				info, err := q.Info()
				if err := errors.Join(err, q.Close()); err != nil {
					return err
				}
				names = append(names, info.Name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	want := []string{bpf.GroupsProgToSwitch, bpf.GatewayProgSwitchEgress}
	if got := order(); !slices.Equal(got, want) {
		t.Errorf("at the egress are %q, want %q", got, want)
	}
	for _, what := range []struct{ dir, part string }{{groups, "vsw-"}, {groups, "p-"}, {groups, ""}, {sessions, "vsw-a-egress"}} {
		if detach(what.dir, what.part) == 0 {
			t.Errorf("nothing is at %q of %s", what.part, what.dir)
		}
		if differs, _ := e.Audit(t.Context(), n.ID, false); !differs {
			t.Errorf("an audit does not miss the programs %q of %s", what.part, what.dir)
		}
		if o := mustApply(t, e, n); o.Changes == 0 {
			t.Errorf("the programs %q of %s are not put back", what.part, what.dir)
		}
		if differs, _ := e.Audit(t.Context(), n.ID, false); differs {
			t.Error("an audit still finds something")
		}
		if got := order(); !slices.Equal(got, want) {
			t.Errorf("at the egress are %q, want %q", got, want)
		}
		check()
	}
}
