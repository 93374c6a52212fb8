package engine

import (
	"context"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/link"
	"sluice/dataplane/netns"
	"sluice/dataplane/nft"
)

// Ids may be longer than a link's name, and begin as they like.
func TestLongIDs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	n := s.network(t)
	n.ID = "network-" + nstest.Random(9) + "-of-a-family-with-long-ids"
	t.Cleanup(func() { s.remove(t, n.ID) })
	n.Switches[0].ID, n.Switches[1].ID = "subnet-with-an-id-that-no-link-can-have", "ipsec0"
	mustApply(t, e, n)
	ns := inNetwork(t, n.ID)
	host := nstest.Host(t, dataplane.Namespace(n.ID), n.Switches[0].ID, "10.0.1.5/24", "10.0.1.253")
	other := nstest.Host(t, dataplane.Namespace(n.ID), n.Switches[1].ID, "10.0.2.5/24", "10.0.2.253")
	nstest.Listen(t, s.public, 7)
	nstest.Listen(t, other, 7)
	nstest.Listen(t, host, 8080)
	see := func(from *netns.Namespace, to, want string) {
		t.Helper()
		nstest.Eventually(t, func() error { _, err := nstest.Seen(from, "tcp4", to); return err })
		if got, err := nstest.Seen(from, "tcp4", to); err != nil || got != want {
			t.Errorf("seen from %s, %v; want %s", got, err, want)
		}
	}
	see(host, "203.0.113.1:7", "203.0.113.10")
	see(host, "10.0.2.5:7", "10.0.1.5")
	see(s.public, "203.0.113.11:80", "203.0.113.1")
	text := nstest.Command(t, ns, "ip", "link", "show") + nstest.Command(t, s.public, "ip", "link", "show")
	for _, id := range []string{"alias sluice VSwitch " + n.Switches[0].ID, "alias sluice VSwitch " + n.Switches[1].ID, "alias sluice uplink of " + n.ID} {
		if !strings.Contains(text, id) {
			t.Errorf("no %s in\n%s", id, text)
		}
	}
	e.Invalidate(n.ID)
	if o := mustApply(t, e, n); o.Changes != 0 {
		t.Errorf("%d changes by the same again:\n%s", o.Changes, s.log)
	}
	e = s.engine(t)
	if o := mustApply(t, e, n); o.Changes != 0 {
		t.Errorf("%d changes by another engine:\n%s", o.Changes, s.log)
	}
	if err := e.Remove(t.Context(), n.ID); err != nil {
		t.Fatal(err)
	}
	if l, err := s.public.Netlink().LinkByName(dataplane.LinkName(n.ID)); err == nil {
		t.Errorf("%s is left", l.Attrs().Name)
	}
}

// Two ids that would have one link are refused, and an outer end that is another
// network's is left alone.
func TestOneNameForTwo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	n := s.network(t)
	n.Switches[1].ID = n.Switches[0].ID
	if _, err := e.Apply(t.Context(), n); err == nil || !strings.Contains(err.Error(), "both have the link vsw-a") {
		t.Errorf("two VSwitches with one link: %v", err)
	}
	n = s.network(t)
	nstest.Veth(t, s.public, dataplane.LinkName(n.ID), nstest.New(t), "far")
	nstest.Command(t, s.public, "ip", "link", "set", n.ID, "group", "0x51", "alias", "sluice uplink of vpc-another")
	if _, err := e.Apply(t.Context(), n); err == nil || !strings.Contains(err.Error(), "is not ours") {
		t.Errorf("the name of the uplink's end is taken: %v", err)
	}
	if err := link.RemoveOuterEnd(s.public, "", n.ID); err != nil {
		t.Error(err)
	}
	other := nstest.Link(t, s.public, n.ID)
	// Not left to the far namespace, which the kernel takes down when it finds the time.
	if err := s.public.Netlink().LinkDel(other); err != nil {
		t.Error(err)
	}
}

// linkSets returns the names in the sets of table ip sluice.
func linkSets(ctx context.Context, table *nft.Table) (map[string]bool, error) {
	r, err := table.Read(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, id := range []nft.SetID{nft.SetSwitches, nft.SetTunnels} {
		for e := range r.Sets[id].All() {
			out[id.String()+" "+strings.TrimRight(string(e.Key[:]), "\x00")] = true
		}
	}
	return out, nil
}

// A link that is a VSwitch's, or leads into a tunnel, is in the set of such links as long
// as it is up.
func TestLinksAreKnownWhileTheyAreThere(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	n := s.network(t)
	n.Routes = n.Routes[:1]
	mustApply(t, e, n)
	ns := inNetwork(t, n.ID)
	table := nft.New(ns.Handle())
	defer table.Close()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done, looks, seen := make(chan struct{}), 0, map[string]bool{}
	go func() {
		defer close(done)
		before := map[string]int{}
		for ctx.Err() == nil {
			known, err := linkSets(ctx, table)
			if err != nil {
				continue // it changes all the time, or this is over
			}
			links, err := ns.Netlink().LinkList()
			if err != nil {
				continue
			}
			now := map[string]int{}
			for _, l := range links {
				a := l.Attrs()
				set := map[string]string{"bridge": "switches", "xfrm": "tunnels", "tuntap": "tunnels"}[l.Type()]
				if set == "" || a.RawFlags&1 == 0 {
					continue
				}
				is := set + " " + a.Name
				now[is] = a.Index
				// It was up before the sets were read, and still is.
				if before[is] == a.Index && !known[is] {
					t.Errorf("%s is up, and not among %v", is, known)
				}
				seen[is] = true
			}
			before = now
			looks++
		}
	}()

	change := func(f func(n *dataplane.Network)) {
		t.Helper()
		other := *n
		other.Revision++
		f(&other)
		n = &other
		mustApply(t, e, n)
		known, err := linkSets(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for i := range n.Switches {
			want["switches "+n.Switches[i].ID] = true
		}
		if len(n.VPNGateways) > 0 {
			want["tunnels ipsec0"] = true
		}
		if !maps.Equal(known, want) {
			t.Errorf("links %v, want %v", known, want)
		}
	}
	const rounds = 3
	all := n.Switches
	for range rounds {
		change(func(n *dataplane.Network) { n.Switches = n.Switches[:1] })
		change(func(n *dataplane.Network) { n.Switches = all })
	}
	if _, err := e.VPNPath(); err == nil {
		with := withVPN(t, e, n)
		for range rounds {
			change(func(n *dataplane.Network) { n.VPNGateways = with.VPNGateways })
			nstest.Eventually(t, func() error { _, err := ns.Netlink().LinkByName("ipsec0"); return err })
			change(func(n *dataplane.Network) { n.VPNGateways = nil })
		}
		// Another peer has another charon, and so another link for a while.
		change(func(n *dataplane.Network) { n.VPNGateways = with.VPNGateways })
		moved := with.VPNGateways[0]
		moved.Connections = append([]dataplane.VPNConnection{}, moved.Connections...)
		moved.Connections[0].Remote = netip.MustParseAddr("203.0.113.78")
		change(func(n *dataplane.Network) { n.VPNGateways = []dataplane.VPNGateway{moved} })
		change(func(n *dataplane.Network) { n.VPNGateways = nil })
	}
	cancel()
	<-done
	if looks < 10 || !seen["switches vsw-b"] {
		t.Errorf("only %d looks at %v", looks, seen)
	}
}
