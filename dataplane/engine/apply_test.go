package engine

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/sorted"
)

const wantState = `link public: veth mtu 1500 alias "sluice uplink of vpc-id"
	address 203.0.113.10/32
	address 203.0.113.11/32
link vsw-a: bridge mtu 1500 alias "sluice VSwitch vsw-a"
	address 10.0.1.253/24
link vsw-b: bridge mtu 1500 alias "sluice VSwitch vsw-b"
	address 10.0.2.253/24
rule 0: lookup local
rule 1000: lookup main
rule 1005: fwmark 0x8 iif lo lookup 200
rule 1010: fwmark 0x1 lookup 200
rule 2220: lookup 100 suppress_prefixlength 0
rule 2230: fwmark 0x2 lookup 200
rule 2240: lookup 100
rule 2250: iif lo lookup 200
rule 32766: lookup main
rule 32767: lookup 253
route table 100  10.9.0.0/16 nexthop via 10.0.1.5 dev vsw-a weight 2 nexthop via 10.0.2.5 dev vsw-b weight 1
route table 100  203.0.113.0/24 dev public
route table 100  default via 203.0.113.1 dev public onlink
route table 200  203.0.113.0/24 dev public
route table 200  default via 203.0.113.1 dev public onlink
route table main 10.0.1.0/24 dev vsw-a src 10.0.1.253
route table main 10.0.2.0/24 dev vsw-b src 10.0.2.253
`

func TestBuildAdoptRemove(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e := s.engine(t)
	if o := mustApply(t, e, n); o.Changes == 0 {
		t.Error("building a network changed nothing")
	}
	if diff := cmp.Diff(wantState, dump(t, n.ID)); diff != "" {
		t.Errorf("built state (-want +got):\n%s", diff)
	}
	if o := mustApply(t, e, n); o.Changes != 0 {
		t.Errorf("a second Apply changed %d objects", o.Changes)
	}
	e.Invalidate(n.ID)
	if o := mustApply(t, e, n); o.Changes != 0 {
		t.Errorf("an audit changed %d objects\n%s", o.Changes, s.log)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantState, dump(t, n.ID)); diff != "" {
		t.Errorf("state after Close (-want +got):\n%s", diff)
	}

	next := s.engine(t)
	if ids, err := next.Networks(); err != nil || !slices.Equal(ids, []string{n.ID}) {
		t.Errorf("Networks() = %v, %v, want %s", ids, err, n.ID)
	}
	if o := mustApply(t, next, n); o.Changes != 0 {
		t.Errorf("adoption changed %d objects\n%s", o.Changes, s.log)
	}
	if err := next.Remove(t.Context(), n.ID); err != nil {
		t.Fatal(err)
	}
	if left := s.traces(n.ID); left != "" {
		t.Errorf("Remove left: %s", left)
	}
	if err := next.Remove(t.Context(), n.ID); err != nil {
		t.Errorf("a second Remove: %v", err)
	}
	if ids, err := next.Networks(); err != nil || len(ids) != 0 {
		t.Errorf("Networks() after Remove = %v, %v", ids, err)
	}
}

func TestChangeStepByStep(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	full := s.network(t)
	e := s.engine(t)
	addr := netip.MustParseAddr
	version := func(change func(*dataplane.Network)) *dataplane.Network {
		c := *full
		c.Revision++
		change(&c)
		return &c
	}
	steps := []struct {
		name string
		n    *dataplane.Network
		want int // changes; -1 for some
	}{
		{"nothing", &dataplane.Network{ID: full.ID, Prefix: full.Prefix, Timeouts: full.Timeouts}, -1},
		{"everything", full, -1},
		{"one DNAT entry more", version(func(n *dataplane.Network) {
			n.DNAT = n.DNAT.With(dataplane.DNAT{External: addr("203.0.113.11"), Protocol: 17, ExternalPort: 53, Internal: addr("10.0.1.5"), InternalPort: 53})
		}), 1},
		{"without", full, 1},
		{"another gateway address", version(func(n *dataplane.Network) {
			n.Switches = slices.Clone(n.Switches)
			n.Switches[1].Gateway = addr("10.0.2.1")
		}), -1},
		{"one elastic IP less", version(func(n *dataplane.Network) { n.Elastic = n.Elastic[:1]; n.DNAT = sorted.Set[dataplane.DNAT]{} }), -1},
		{"no uplink", version(func(n *dataplane.Network) {
			n.Elastic, n.DNAT, n.SNAT, n.Uplink = nil, sorted.Set[dataplane.DNAT]{}, nil, nil
		}), -1},
		{"longer timeouts", version(func(n *dataplane.Network) { n.Timeouts.UDP *= 2 }), -1},
		{"everything again", full, -1},
	}
	for _, step := range steps {
		o := mustApply(t, e, step.n)
		if o.Changes != step.want && (step.want >= 0 || o.Changes == 0) {
			t.Errorf("%s: %d changes, want %d", step.name, o.Changes, step.want)
		}
		// What a change leads to is what building from nothing leads to.
		e.Invalidate(full.ID)
		if o := mustApply(t, e, step.n); o.Changes != 0 {
			t.Errorf("%s: an audit afterwards changed %d objects\n%s", step.name, o.Changes, s.log)
		}
	}
	if diff := cmp.Diff(wantState, dump(t, full.ID)); diff != "" {
		t.Errorf("final state (-want +got):\n%s", diff)
	}
}

// Networks with the same addresses do not meet.
func TestOverlappingNetworksInParallel(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	const count = 4
	networks := make([]*dataplane.Network, count)
	errs := make(chan error, count)
	for i := range networks {
		networks[i] = s.network(t)
		networks[i].Elastic = nil
		networks[i].DNAT, networks[i].SNAT = sorted.Set[dataplane.DNAT]{}, nil
		go func() {
			_, err := e.Apply(t.Context(), networks[i])
			errs <- err
		}()
	}
	for range networks {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	a := nstest.Host(t, dataplane.Namespace(networks[0].ID), "vsw-a", "10.0.1.5/24", "10.0.1.253")
	b := nstest.Host(t, dataplane.Namespace(networks[1].ID), "vsw-b", "10.0.2.5/24", "10.0.2.253")
	c := nstest.Host(t, dataplane.Namespace(networks[0].ID), "vsw-b", "10.0.2.5/24", "10.0.2.253")
	nstest.Listen(t, b, 7)
	if seen, err := nstest.Seen(a, "tcp4", "10.0.2.5:7"); err == nil {
		t.Errorf("a host of one network reached one of another, which saw it as %s", seen)
	}
	nstest.Listen(t, c, 7)
	nstest.Eventually(t, func() error {
		_, err := nstest.Seen(a, "tcp4", "10.0.2.5:7")
		return err
	})
}

func TestNamesThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	for _, id := range []string{"", "..", "a/b", "a b", "public", strings.Repeat("x", mostID+1)} {
		if _, err := e.Apply(t.Context(), &dataplane.Network{ID: id}); err == nil {
			t.Errorf("Apply took id %q", id)
		}
		if err := e.Remove(t.Context(), id); err == nil {
			t.Errorf("Remove took id %q", id)
		}
	}
}
