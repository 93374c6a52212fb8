package engine

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// lets is a rule that accepts what is of a protocol, to or from ports, and of some blocks.
func lets(protocol uint8, port uint16, remotes ...string) dataplane.GroupRule {
	r := dataplane.GroupRule{Accept: true, Services: []dataplane.GroupService{{Protocol: protocol, First: port, Last: port}}}
	if port == 0 {
		r.Services[0].Last = 65535
	}
	for _, p := range remotes {
		r.Remotes = append(r.Remotes, netip.MustParsePrefix(p))
	}
	return r
}

// answers fails the test unless a server answers, or, with want false, if it does.
func answers(t *testing.T, from *netns.Namespace, network, address string, want bool) {
	t.Helper()
	if want {
		nstest.Eventually(t, func() error {
			_, err := nstest.Seen(from, network, address)
			return err
		})
		return
	}
	if got, err := nstest.Seen(from, network, address); err == nil {
		t.Errorf("%s %s answers %s, and nothing lets it", network, address, got)
	}
}

// goesOn fails the test unless an open connection is answered, or, with want false, if it is.
func goesOn(t *testing.T, c net.Conn, want bool) {
	t.Helper()
	_, err := nstest.Ask(c)
	if want && err != nil {
		nstest.Eventually(t, func() error {
			_, err = nstest.Ask(c)
			return err
		})
	}
	if !want && err == nil {
		t.Errorf("a connection from %s to %s goes on, and its rule is gone", c.LocalAddr(), c.RemoteAddr())
	}
}

// A security group holds within a VSwitch, between VSwitches, and for what comes from and goes
// to the Internet, with the shortcut and without.
func TestGroups(t *testing.T) {
	t.Parallel()
	for name, shortcut := range map[string]bool{"shortcut": true, "kernel": false} {
		t.Run(name, func(t *testing.T) { groupsHold(t, shortcut) })
	}
}

func groupsHold(t *testing.T, shortcut bool) {
	s := newSite(t)
	e, n := s.engine(t), s.network(t)
	n.Shortcut = shortcut
	n.Mappings = []dataplane.Mapping{{External: netip.MustParseAddr("203.0.113.10"), Internal: netip.MustParseAddr("10.0.1.6")}}
	n.SNAT = nil
	n.NATGateways[0].Elastic = n.Elastic[1:]
	mustApply(t, e, n)
	name := dataplane.Namespace(n.ID)
	member := nstest.Host(t, name, "vsw-a", "10.0.1.5/24", "10.0.1.253")
	near := nstest.Host(t, name, "vsw-a", "10.0.1.6/24", "10.0.1.253")
	far := nstest.Host(t, name, "vsw-b", "10.0.2.5/24", "10.0.2.253")
	for _, h := range []*netns.Namespace{member, near, far, s.public} {
		nstest.Listen(t, h, 8080)
		nstest.Listen(t, h, 9090)
	}
	answers(t, near, "tcp4", "10.0.1.5:8080", true)
	before := nstest.MustDial(t, near, "tcp4", "10.0.1.5:8080")
	goesOn(t, before, true)

	apply := func(ingress, egress []dataplane.GroupRule) {
		t.Helper()
		next := *n
		next.Revision++
		next.Policies = []dataplane.GroupPolicy{{ID: "sg-a", Ingress: ingress, Egress: egress}}
		next.Members = []dataplane.GroupMember{{Address: netip.MustParseAddr("10.0.1.5"), Policy: "sg-a"}}
		n = &next
		mustApply(t, e, n)
	}
	all := func(want bool) {
		t.Helper()
		answers(t, near, "tcp4", "10.0.1.5:8080", want)
		answers(t, far, "udp4", "10.0.1.5:8080", want)
		answers(t, s.public, "tcp4", "203.0.113.11:80", want)
		answers(t, member, "tcp4", "10.0.1.6:8080", want)
		answers(t, member, "udp4", "10.0.2.5:8080", want)
	}
	apply(nil, nil)
	all(false)
	goesOn(t, before, false)
	answers(t, near, "tcp4", "10.0.2.5:8080", true) // no group is for these two
	everything := []dataplane.GroupRule{lets(0, 0, "0.0.0.0/0")}
	apply(everything, everything)
	all(true)
	goesOn(t, before, true) // what was open before is taken up

	// A flow is let pass in both directions by the rule for the one that it began in.
	apply([]dataplane.GroupRule{lets(6, 8080, "10.0.1.6/32"), lets(6, 9090, "10.0.0.0/8", "203.0.113.0/24")}, nil)
	answers(t, near, "tcp4", "10.0.1.5:8080", true)
	answers(t, near, "udp4", "10.0.1.5:8080", false)
	answers(t, far, "tcp4", "10.0.1.5:8080", false)
	answers(t, member, "tcp4", "10.0.1.6:8080", false)
	nearOpen, farOpen := nstest.MustDial(t, near, "tcp4", "10.0.1.5:8080"), nstest.MustDial(t, far, "tcp4", "10.0.1.5:9090")
	for range 5 {
		goesOn(t, nearOpen, true)
		goesOn(t, farOpen, true)
	}
	// Its rule goes: it is cut, and the other is not touched. The group lets its host begin
	// whatever it likes now, but not go on with what was begun from outside.
	apply([]dataplane.GroupRule{lets(6, 9090, "10.0.0.0/8")}, everything)
	goesOn(t, nearOpen, false)
	goesOn(t, farOpen, true)
	if drops := e.GroupDrops(n.ID); drops["cut"] == 0 || drops["ingress"] == 0 || drops["egress"] == 0 {
		t.Errorf("dropped was %v", drops)
	}
	answers(t, member, "tcp4", "10.0.1.6:8080", true)

	// To the Internet by an elastic IP, and from there.
	two := *n
	two.Revision++
	two.Policies = []dataplane.GroupPolicy{{ID: "sg-a", Egress: everything}}
	two.Members = append(slices.Clone(n.Members), dataplane.GroupMember{Address: netip.MustParseAddr("10.0.1.6"), Policy: "sg-a"})
	n = &two
	mustApply(t, e, n)
	out := nstest.MustDial(t, near, "tcp4", "203.0.113.1:8080")
	for range 5 {
		goesOn(t, out, true)
	}
	answers(t, s.public, "tcp4", "203.0.113.10:8080", false)
	next := *n
	next.Revision++
	next.Policies = []dataplane.GroupPolicy{{ID: "sg-a", Ingress: everything}}
	mustApply(t, e, &next)
	goesOn(t, out, false)
	in := nstest.MustDial(t, s.public, "tcp4", "203.0.113.10:8080")
	for range 5 {
		goesOn(t, in, true)
	}

	// The next process finds all as it is, and what is open goes on. Where groups hold,
	// sessions' programs are changed over to tcx when links are compared the next time.
	e.Invalidate(n.ID)
	mustApply(t, e, &next)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	second := s.engine(t)
	if o := mustApply(t, second, &next); o.Changes != 0 {
		t.Errorf("the next process has made %d changes", o.Changes)
	}
	goesOn(t, in, true)

	// Without members all passes, and nothing is left.
	last := next
	last.Revision++
	last.Policies, last.Members = nil, nil
	mustApply(t, second, &last)
	answers(t, near, "tcp4", "10.0.1.5:8080", true)
	if second.groups.Exists(n.ID) {
		t.Error("maps of a network without members are left")
	}
}

// A port that has only just come carries nothing of members until it has its programs.
func TestGroupsFailClosed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e, n := s.engine(t), s.network(t)
	everything := []dataplane.GroupRule{lets(0, 0, "0.0.0.0/0")}
	n.Policies = []dataplane.GroupPolicy{{ID: "sg-a", Ingress: everything, Egress: everything}}
	n.Members = []dataplane.GroupMember{{Address: netip.MustParseAddr("10.0.1.5"), Policy: "sg-a"}}
	mustApply(t, e, n)
	name := dataplane.Namespace(n.ID)
	member := nstest.Host(t, name, "vsw-a", "10.0.1.5/24", "10.0.1.253")
	near := nstest.Host(t, name, "vsw-a", "10.0.1.6/24", "10.0.1.253")
	nstest.Listen(t, member, 8080)
	nstest.Listen(t, near, 8080)
	answers(t, near, "tcp4", "10.0.1.5:8080", false)
	answers(t, member, "tcp4", "10.0.1.6:8080", false)
	// The event of the port has the network applied.
	nstest.Eventually(t, func() error {
		select {
		case id := <-e.Changed():
			if id != n.ID {
				return fmt.Errorf("network %s has changed", id)
			}
		default:
			return fmt.Errorf("nobody has heard of the ports")
		}
		return nil
	})
	mustApply(t, e, n)
	answers(t, near, "tcp4", "10.0.1.5:8080", true)
	answers(t, member, "tcp4", "10.0.1.6:8080", true)

	// What somebody takes away is put back.
	ns := inNetwork(t, n.ID)
	nstest.Command(t, ns, "nft", "delete", "table", "bridge", "sluice-groups")
	nstest.Eventually(t, func() error {
		select {
		case <-e.Changed():
			return nil
		default:
			return fmt.Errorf("nobody has heard of the table")
		}
	})
	if o := mustApply(t, e, n); o.Changes == 0 {
		t.Error("the table was not put back")
	}
}
