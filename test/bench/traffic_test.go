package main

import (
	"net"
	"net/netip"
	"testing"
)

func testLinks() links {
	mac := func(last byte) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, last} }
	return links{host: mac(1), vswitch: mac(2), uplink: mac(3), router: mac(4)}
}

// Each flow is alone with its addresses and ports, before and after
// translation: else the gateway would change a source port, and the replies
// that are known beforehand would be wrong.
func TestFlowsDoNotCollide(t *testing.T) {
	l := testLinks()
	for _, entries := range []int{1, manyDNAT} {
		for _, n := range []int{flowsEach, sourcePorts + 100} {
			type ends struct{ a, b netip.AddrPort }
			seen := map[ends]int{}
			add := func(i int, a, b netip.AddrPort) {
				t.Helper()
				if j, twice := seen[ends{a, b}]; twice {
					t.Fatalf("%d entries: flows %d and %d are both %s to %s", entries, j, i, a, b)
				}
				seen[ends{a, b}] = i
			}
			for i := range n {
				q, r := snatRequest(l, i), snatReply(l, i)
				add(i, q.source, q.dest)
				add(i, r.dest, r.source) // as translated
				if q.source.Port() != r.dest.Port() || q.dest != r.source {
					t.Fatalf("SNAT flow %d: request %v, reply %v", i, q, r)
				}
				q, r = dnatRequest(l, i, entries), dnatReply(l, i, entries)
				add(i, q.source, q.dest)
				add(i, r.dest, r.source)
				if q.dest.Port() != r.source.Port() || q.source != r.dest {
					t.Fatalf("DNAT flow %d: request %v, reply %v", i, q, r)
				}
			}
		}
	}
}

// The flows use the entries that there are, and as many as they can.
func TestFlowsUseTheEntries(t *testing.T) {
	l := testLinks()
	n := gatewayNetwork("vpc", "vsw", "a", "b", "ns", manyDNAT, manySNAT)
	dnat, snat := map[netip.AddrPort]bool{}, map[netip.Addr]bool{}
	for e := range n.DNAT.All() {
		dnat[netip.AddrPortFrom(e.External, e.ExternalPort)] = true
	}
	for _, e := range n.SNAT {
		snat[e.Source.Addr()] = true
	}
	if len(dnat) != manyDNAT || len(snat) != manySNAT {
		t.Fatalf("%d DNAT and %d SNAT entries", len(dnat), len(snat))
	}
	usedDNAT, usedSNAT := map[netip.AddrPort]bool{}, map[netip.Addr]bool{}
	for i := range manyDNAT {
		to, from := dnatRequest(l, i, manyDNAT).dest, snatRequest(l, i).source.Addr()
		if !dnat[to] || !snat[from] {
			t.Fatalf("flow %d: no entry for %s or %s", i, to, from)
		}
		usedDNAT[to], usedSNAT[from] = true, true
	}
	if len(usedDNAT) != manyDNAT || len(usedSNAT) != manySNAT {
		t.Errorf("%d flows use %d DNAT and %d SNAT entries", manyDNAT, len(usedDNAT), len(usedSNAT))
	}
	one := gatewayNetwork("vpc", "vsw", "a", "b", "ns", 1, 1)
	if one.DNAT.Len() != 1 || len(one.SNAT) != 1 {
		t.Fatalf("%d DNAT and %d SNAT entries in the small network", one.DNAT.Len(), len(one.SNAT))
	}
	for i := range hosts {
		if a := snatRequest(l, i).source.Addr(); !one.SNAT[0].Source.Contains(a) {
			t.Fatalf("%s is not in the small network's SNAT entry %s", a, one.SNAT[0].Source)
		}
		if p := dnatRequest(l, i, 1).dest.Port(); p != one.DNAT.Slice()[0].ExternalPort {
			t.Fatalf("flow %d goes to port %d, not to that of the only entry", i, p)
		}
	}
}
