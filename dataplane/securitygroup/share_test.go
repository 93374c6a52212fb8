package securitygroup

import (
	"testing"

	"sluice/bpf"
	"sluice/dataplane"
)

// crowded opens the groups of a network with two members that may do everything, and room for 64 flows
// of each and some more.
func crowded(t *testing.T) *Network {
	t.Helper()
	n := openWith(t, func(f *Filters) {
		f.spec.Maps[bpf.GroupsMapFlows].MaxEntries = 128
		f.spec.Maps[bpf.GroupsMapCrowd].MaxEntries = 256
	})
	everything := []dataplane.GroupRule{{Accept: true, Remotes: blocks("0.0.0.0/0"), Services: []dataplane.GroupService{{}}}}
	mustApplyGroups(t, n, &dataplane.Network{
		Policies: []dataplane.GroupPolicy{{ID: "sg", Egress: everything, Ingress: everything}},
		Members:  []dataplane.GroupMember{{Address: addr("10.0.0.1"), Policy: "sg"}, {Address: addr("10.0.0.2"), Policy: "sg"}},
	})
	n.settle(t)
	return n
}

// opens has a member begin a TCP connection to a port, or be called from there, and the other end answer
// unless it is silent.
func (n *Network) opens(t *testing.T, member string, out bool, port uint16, silent bool) {
	t.Helper()
	p := packet{out: out, local: addr(member), remote: addr("198.51.100.1"), protocol: tcp, lport: 5000, rport: port, flags: syn}
	if !n.passes(t, &p) {
		t.Fatalf("%s cannot open a connection, port %d", member, port)
	}
	if p.out, p.flags = !out, syn|ack; !silent && !n.passes(t, &p) {
		t.Fatalf("the answer to %s is not let pass, port %d", member, port)
	}
}

// goOn counts those of so many connections of a member whose packets pass, when all that was let pass a
// moment ago is forgotten.
func (n *Network) goOn(t *testing.T, member string, first, count uint16) (passing int) {
	t.Helper()
	n.settings.Generation++
	if err := n.maps[bpf.GroupsMapSettings].Put(uint32(0), n.settings); err != nil {
		t.Fatal(err)
	}
	for port := first; port < first+count; port++ {
		p := packet{out: true, local: addr(member), remote: addr("198.51.100.1"), protocol: tcp, lport: 5000, rport: port, flags: ack}
		q := p
		q.out = false
		if n.passes(t, &p) && n.passes(t, &q) {
			passing++
		}
	}
	return passing
}

func (n *Network) share(member string) (count uint32) {
	_ = n.maps[bpf.GroupsMapShares].Lookup(addressKey(addr(member)), &count) // none: 0
	return count
}

// Whatever a member opens or is called by, answered or not, open connections of others go on, and so
// do its own of before.
func TestFloodTakesOnlyItsShare(t *testing.T) {
	const others, own, flood, second = 60, 20, 3000, 20000
	for name, f := range map[string]struct{ out, silent bool }{
		"opened": {out: true}, "opened in vain": {out: true, silent: true}, "called": {}, "called in vain": {silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			n := crowded(t)
			for i := range uint16(others) {
				n.opens(t, "10.0.0.2", i%2 == 0, 1000+i, false)
			}
			for i := range uint16(own) {
				n.opens(t, "10.0.0.1", i%2 == 0, 1000+i, false)
			}
			for i := range uint16(flood) {
				n.opens(t, "10.0.0.1", f.out, second+i, f.silent)
			}
			if got := n.goOn(t, "10.0.0.2", 1000, others); got != others {
				t.Errorf("of %d connections of another member %d go on", others, got)
			}
			if got := n.goOn(t, "10.0.0.1", 1000, own); got != own {
				t.Errorf("of %d of its own %d go on", own, got)
			}
			if got := n.goOn(t, "10.0.0.1", second, flood); got > 64+256 {
				t.Errorf("of the flood %d connections are known, more than there is room for", got)
			}
			drops, err := n.Drops()
			if err != nil || drops["cut"] == 0 {
				t.Errorf("nothing of the flood was forgotten: dropped was %v, %v", drops, err)
			}
		})
	}
}

// Connections that are over make room in their member's share, those that are not stay.
func TestSharesAreGivenBack(t *testing.T) {
	n := crowded(t)
	for i := range uint16(100) {
		n.opens(t, "10.0.0.1", true, 1000+i, false)
	}
	n.opens(t, "10.0.0.2", false, 1000, false)
	if a, b := n.share("10.0.0.1"), n.share("10.0.0.2"); a != 64 || b != 1 {
		t.Errorf("the shares hold %d and %d flows, want 64 and 1", a, b)
	}
	if err := n.Expire(); err != nil {
		t.Fatal(err)
	}
	if a, b := n.share("10.0.0.1"), n.share("10.0.0.2"); a != 64 || b != 1 {
		t.Errorf("after what is over is gone they hold %d and %d, want the same", a, b)
	}
	flows := n.maps[bpf.GroupsMapFlows]
	held, err := contents[bpf.GroupsGroupFlow, bpf.GroupsGroupState](flows)
	if err != nil || len(held) != 65 {
		t.Fatalf("%d flows are held: %v", len(held), err)
	}
	for k, s := range held {
		if k.Local != addressKey(addr("10.0.0.1")) {
			continue
		}
		s.Expires = 0
		if err := flows.Put(k, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Expire(); err != nil {
		t.Fatal(err)
	}
	if a, b := n.share("10.0.0.1"), n.share("10.0.0.2"); a != 0 || b != 1 {
		t.Errorf("when those of the one are over, %d and %d flows are held", a, b)
	}
	if got := n.goOn(t, "10.0.0.2", 1000, 1); got != 1 {
		t.Error("what is not over does not go on")
	}
	n.opens(t, "10.0.0.1", true, 3000, false)
	if got := n.share("10.0.0.1"); got != 1 {
		t.Errorf("a new connection is not in the share: %d are", got)
	}
}
