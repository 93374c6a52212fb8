package nft

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// deadline bounds every wait of a test; none is expected to come near it.
const deadline = 10 * time.Second

// lab is a gateway between three VSwitches and a public network:
//
//	hosts a 10.0.1.0/24 ──┐
//	hosts b 10.0.2.0/24 ──┤ gateway ── public 203.0.113.0/24 ── internet 203.0.113.1, 198.51.100.1
//	hosts c 10.0.3.0/24 ──┘
//
// The hosts of one VSwitch share a namespace and differ by address.
type lab struct {
	gateway, a, b, c, internet netns.NsHandle
	table                      *Table
	current                    *Ruleset
	elastic                    map[netip.Addr]bool
	wire                       *wire
	fences                     uint32
}

// labNetwork is the network that the lab's gateway starts with.
func labNetwork() *dataplane.Network {
	n := sample()
	n.Elastic = append(n.Elastic, addr("203.0.113.19")) // not on the link
	n.DNAT = n.DNAT.With(
		dataplane.DNAT{External: addr("203.0.113.10"), Protocol: 17, ExternalPort: 99, Internal: addr("10.0.1.10"), InternalPort: 99})
	return n
}

func newLab(t *testing.T) *lab {
	l := &lab{gateway: newNamespace(t), a: newNamespace(t), b: newNamespace(t), c: newNamespace(t), internet: newNamespace(t)}
	plug(t, l.gateway, "vsw-a", []string{"10.0.1.1/24"}, l.a, hostAddresses("10.0.1", 10, 11, 20, 100))
	plug(t, l.gateway, "vsw-b", []string{"10.0.2.1/24"}, l.b, append(hostAddresses("10.0.2", 30), poolHosts()...))
	plug(t, l.gateway, "vsw-c", []string{"10.0.3.1/24"}, l.c, hostAddresses("10.0.3", 40))
	plug(t, l.gateway, dataplane.UplinkName,
		[]string{"203.0.113.10/24", "203.0.113.11/32", "203.0.113.12/32", "203.0.113.13/32", "203.0.113.14/32"},
		l.internet, []string{"203.0.113.1/24", "198.51.100.1/32"})
	route(t, l.a, "", "10.0.1.1", 0)
	route(t, l.b, "", "10.0.2.1", 0)
	route(t, l.c, "", "10.0.3.1", 0)
	route(t, l.gateway, "", "203.0.113.1", 0)
	route(t, l.gateway, "", "203.0.113.1", 200)
	for _, mark := range []uint32{MarkPublic, MarkMapped} {
		rule := netlink.NewRule()
		rule.Family, rule.Mark, rule.Table, rule.Priority = unix.AF_INET, mark, 200, 100*int(mark)
		if mark == MarkMapped {
			// After what the VPC itself routes: hosts of VSwitches, here.
			local := netlink.NewRule()
			local.Family, local.Mark, local.Table, local.Priority, local.SuppressPrefixlen = unix.AF_INET, mark, unix.RT_TABLE_MAIN, 150, 0
			must(t, handle(t, l.gateway).RuleAdd(local))
		}
		must(t, handle(t, l.gateway).RuleAdd(rule))
	}
	inNamespace(t, l.gateway, func() error {
		for name, value := range map[string]string{
			"ip_forward": "1", "conf/all/rp_filter": "0", "icmp_ratelimit": "0",
			"conf/all/send_redirects": "0", "conf/vsw-a/send_redirects": "0",
		} {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
	n := labNetwork()
	l.elastic = map[netip.Addr]bool{}
	for _, a := range n.Elastic {
		l.elastic[a] = true
	}
	l.table = newTable(t, l.gateway)
	l.current = mustCompile(t, n)
	mustApply(t, l.table, nil, l.current)
	l.wire = tap(t, l.internet)
	t.Cleanup(func() { l.noPrivateSource(t) })
	return l
}

func hostAddresses(net string, last ...int) []string {
	out := make([]string, len(last))
	for i, n := range last {
		out[i] = fmt.Sprintf("%s.%d/24", net, n)
	}
	return out
}

// poolHosts are hosts whose source block has a pool of two addresses.
func poolHosts() []string {
	var out []string
	for i := 100; i < 164; i++ {
		out = append(out, fmt.Sprintf("10.0.2.%d/24", i))
	}
	return out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func handle(t testing.TB, ns netns.NsHandle) *netlink.Handle {
	t.Helper()
	h, err := netlink.NewHandleAt(ns)
	must(t, err)
	t.Cleanup(h.Close)
	return h
}

// plug joins two namespaces by a veth pair, named name in the first and eth0
// in the second.
func plug(t *testing.T, gateway netns.NsHandle, name string, inner []string, host netns.NsHandle, outer []string) {
	t.Helper()
	gh, hh := handle(t, gateway), handle(t, host)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	must(t, gh.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(host)}))
	for _, end := range []struct {
		h     *netlink.Handle
		name  string
		addrs []string
	}{{gh, name, inner}, {hh, "eth0", outer}} {
		for _, up := range []string{"lo", end.name} {
			link, err := end.h.LinkByName(up)
			must(t, err)
			must(t, end.h.LinkSetUp(link))
		}
		link, err := end.h.LinkByName(end.name)
		must(t, err)
		for _, a := range end.addrs {
			must(t, end.h.AddrAdd(link, linkAddr(t, a)))
		}
	}
}

func linkAddr(t testing.TB, s string) *netlink.Addr {
	t.Helper()
	a, err := netlink.ParseAddr(s)
	must(t, err)
	return a
}

// route adds a route, the default route if to is empty.
func route(t testing.TB, ns netns.NsHandle, to, via string, table int) {
	t.Helper()
	must(t, handle(t, ns).RouteAdd(routeOf(t, to, via, table)))
}

func routeOf(t testing.TB, to, via string, table int) *netlink.Route {
	t.Helper()
	if to == "" {
		to = "0.0.0.0/0"
	}
	dst, err := netlink.ParseIPNet(to)
	must(t, err)
	return &netlink.Route{Dst: dst, Gw: addr(via).AsSlice(), Table: table}
}

// countsAbove waits until a counter is above a value.
func (l *lab) countsAbove(t testing.TB, name string, above uint64) {
	t.Helper()
	for end := time.Now().Add(deadline); ; {
		if got := l.count(t, name); got > above {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("counter %s stays at %d", name, above)
		}
	}
}

func (l *lab) count(t testing.TB, name string) uint64 {
	t.Helper()
	counters, err := l.table.Counters(t.Context())
	must(t, err)
	return counters[name].Packets
}

// fence sends a packet out and waits for it on the wire: whatever was sent
// before has passed the wire by then, or never will.
func (l *lab) fence(t testing.TB) {
	t.Helper()
	l.fences++
	port := 40000 + l.fences
	conn := dialUDP(t, l.a, "10.0.1.100", fmt.Sprintf("198.51.100.1:%d", port))
	_, err := conn.Write([]byte("fence"))
	must(t, err)
	l.wire.waitFor(t, func(p packet) bool { return p.protocol == unix.IPPROTO_UDP && uint32(p.dstPort) == port })
}

// noPrivateSource checks all that the gateway ever sent to the public side.
func (l *lab) noPrivateSource(t testing.TB) {
	t.Helper()
	for _, p := range l.wire.all() {
		if !l.elastic[p.src] {
			t.Errorf("on the public side: %s", p)
		}
	}
}
