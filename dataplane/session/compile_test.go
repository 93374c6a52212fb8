package session

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/bpf"
	"sluice/dataplane"
)

var (
	prefixOf = netip.MustParsePrefix
	addrOf   = netip.MustParseAddr
)

// desired is a network with an entry of each kind.
func desired() *dataplane.Network {
	return &dataplane.Network{
		ID: "vpc-fixture", Prefix: prefixOf("10.0.0.0/16"),
		Uplink: &dataplane.Uplink{Prefix: prefixOf("203.0.113.0/24"), Gateway: addrOf("203.0.113.1")},
		Routes: []dataplane.Route{
			{Destination: prefixOf("0.0.0.0/0"), NextHops: []dataplane.NextHop{{Uplink: true}}},
			{Destination: prefixOf("10.0.9.0/24"), NextHops: []dataplane.NextHop{{Via: addrOf("10.0.1.5")}}},
		},
		Elastic: []netip.Addr{addrOf("203.0.113.10"), addrOf("203.0.113.11"), addrOf("203.0.113.12")},
		Mappings: []dataplane.Mapping{
			{External: addrOf("203.0.113.12"), Internal: addrOf("10.0.1.9")},
			{External: addrOf("203.0.113.13"), Internal: addrOf("10.0.7.9")},
		},
		SNAT: []dataplane.SNAT{
			{Source: prefixOf("10.0.1.0/24"), Pool: []netip.Addr{addrOf("203.0.113.10")}},
			{Source: prefixOf("10.0.2.128/25"), Pool: []netip.Addr{addrOf("203.0.113.11")}},
		},
		NATGateways: []dataplane.NATGateway{
			{ID: "ngw-1", Limits: dataplane.Limits{Connections: 50000, NewPerSecond: 1000}, Elastic: []netip.Addr{addrOf("203.0.113.10")}},
			{ID: "ngw-2", Limits: dataplane.Limits{Connections: 10000}, Elastic: []netip.Addr{addrOf("203.0.113.11")}},
		},
		Shortcut: true,
	}
}

// numbers are those of desired's gateways.
var numbers = map[string]uint32{"ngw-1": 5, "ngw-2": 3, "ngw-gone": 2}

// bytesOf is a word as it is in memory.
func bytesOf(w uint32) [4]byte {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], w)
	return b
}

func TestCompile(t *testing.T) {
	r := compile(desired(), numbers)
	want := settings{
		Patience: bpf.Ticks(10 * time.Second), Unanswered: 30_000, Gateway: 3,
		Vpc: word4(10, 0, 0, 0), VpcMask: word4(255, 255, 0, 0), Public: word4(203, 0, 113, 0), PublicMask: word4(255, 255, 255, 0),
		Flags: 0x1,
	}
	if d := cmp.Diff(want, r.settings); d != "" {
		t.Errorf("settings (-want +got):\n%s", d)
	}
	// A host with an elastic IP has a longer prefix than the SNAT entry that it
	// is in.
	hosts := map[hostKey]uint32{
		{PrefixLength: 24, Addr: word4(10, 0, 1, 0)}:   1 | 5<<8,
		{PrefixLength: 25, Addr: word4(10, 0, 2, 128)}: 1 | 3<<8,
		{PrefixLength: 32, Addr: word4(10, 0, 1, 9)}:   3 | 1<<8,
		{PrefixLength: 32, Addr: word4(10, 0, 7, 9)}:   3 | 1<<8,
	}
	if d := cmp.Diff(hosts, r.hosts); d != "" {
		t.Errorf("hosts (-want +got):\n%s", d)
	}
	elastic := map[uint32]uint32{word4(203, 0, 113, 10): 5, word4(203, 0, 113, 11): 3, word4(203, 0, 113, 12): 1}
	if d := cmp.Diff(elastic, r.elastic); d != "" {
		t.Errorf("elastic IPs (-want +got):\n%s", d)
	}
	limits := map[uint32]natLimits{
		5: {Interval: uint64(time.Millisecond), Burst: 199 * uint64(time.Millisecond), Connections: 50000},
		3: {Connections: 10000},
	}
	if d := cmp.Diff(limits, r.limits); d != "" {
		t.Errorf("limits (-want +got):\n%s", d)
	}
	if r.connections != 60_000 {
		t.Errorf("%d connections in all", r.connections)
	}
}

// The order in which a network's entries are named says nothing.
func TestCompileOrder(t *testing.T) {
	other := desired()
	for _, swap := range []func(){
		func() { other.SNAT[0], other.SNAT[1] = other.SNAT[1], other.SNAT[0] },
		func() { other.Mappings[0], other.Mappings[1] = other.Mappings[1], other.Mappings[0] },
		func() { other.Elastic[0], other.Elastic[1] = other.Elastic[1], other.Elastic[0] },
		func() { other.NATGateways[0], other.NATGateways[1] = other.NATGateways[1], other.NATGateways[0] },
		func() { other.Routes[0], other.Routes[1] = other.Routes[1], other.Routes[0] },
	} {
		swap()
		if d := cmp.Diff(compile(desired(), numbers), compile(other, numbers), cmp.AllowUnexported(rules{})); d != "" {
			t.Errorf("(-one order +another):\n%s", d)
		}
	}
}

// A host that is the whole source of an SNAT entry and has an elastic IP uses
// that.
func TestCompileHostOfBoth(t *testing.T) {
	n := desired()
	n.SNAT = append(n.SNAT, dataplane.SNAT{Source: prefixOf("10.0.7.9/32")})
	if kind := compile(n, numbers).hosts[hostKey{PrefixLength: 32, Addr: word4(10, 0, 7, 9)}]; kind != byHost(kindElastic, gatewayNone) {
		t.Errorf("kind %d", kind)
	}
}

// An SNAT entry's source may be written with a host's address.
func TestCompileMasks(t *testing.T) {
	n := desired()
	n.SNAT = []dataplane.SNAT{{Source: prefixOf("10.0.1.77/24")}}
	n.Prefix = prefixOf("10.0.1.77/20")
	r := compile(n, numbers)
	if _, ok := r.hosts[hostKey{PrefixLength: 24, Addr: word4(10, 0, 1, 0)}]; !ok {
		t.Errorf("hosts: %v", r.hosts)
	}
	if bytesOf(r.settings.Vpc) != [4]byte{10, 0, 0, 0} || bytesOf(r.settings.VpcMask) != [4]byte{255, 255, 240, 0} {
		t.Errorf("settings: %+v", r.settings)
	}
}

// Whatever the rate, a burst lets no more than a fifth of it begin at once, and
// one at least.
func TestCompileLimits(t *testing.T) {
	for _, c := range []struct {
		perSecond       int
		interval, burst time.Duration
	}{
		{0, 0, 0},
		{1, time.Second, 0},
		{5, 200 * time.Millisecond, 0},
		{9, 111111111, 0},
		{10, 100 * time.Millisecond, 100 * time.Millisecond},
		{1000, time.Millisecond, 199 * time.Millisecond},
		{10000, 100 * time.Microsecond, 1999 * 100 * time.Microsecond},
		{1000000, time.Microsecond, 199999 * time.Microsecond},
	} {
		n := desired()
		n.NATGateways[0].Limits.NewPerSecond = c.perSecond
		s := compile(n, numbers).limits[5]
		if s.Interval != uint64(c.interval) || s.Burst != uint64(c.burst) {
			t.Errorf("%d a second: interval %s, burst %s; want %s, %s",
				c.perSecond, time.Duration(s.Interval), time.Duration(s.Burst), c.interval, c.burst)
		}
	}
	n := desired()
	n.NATGateways[0].Limits = dataplane.Limits{}
	if s := compile(n, numbers).limits[5]; s.Connections != 0 || s.Interval != 0 || s.Burst != 0 {
		t.Errorf("without limits: %+v", s)
	}
}

func TestCompileFlags(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*dataplane.Network)
		want   uint32
	}{
		{"as it is", func(*dataplane.Network) {}, setShortcut},
		{"no shortcut", func(n *dataplane.Network) { n.Shortcut = false }, 0},
		{"drop", func(n *dataplane.Network) { n.Refusal = dataplane.RefuseDrop }, setShortcut},
		{"reject", func(n *dataplane.Network) { n.Refusal = dataplane.RefuseReject }, setShortcut | setReject},
		{"a route to a host, beyond the VPC", func(n *dataplane.Network) {
			n.Routes = append(n.Routes, dataplane.Route{Destination: prefixOf("192.0.2.0/24"), NextHops: []dataplane.NextHop{{Via: addrOf("10.0.1.5")}}})
		}, setShortcut | setRoutes},
		{"a route to a host, around the VPC", func(n *dataplane.Network) {
			n.Routes = append(n.Routes, dataplane.Route{Destination: prefixOf("10.0.0.0/8"), NextHops: []dataplane.NextHop{{Via: addrOf("10.0.1.5")}}})
		}, setShortcut | setRoutes},
		{"a route to a host, all of the VPC", func(n *dataplane.Network) {
			n.Routes = append(n.Routes, dataplane.Route{Destination: n.Prefix, NextHops: []dataplane.NextHop{{Via: addrOf("10.0.1.5")}}})
		}, setShortcut},
		{"a further block of the VPC", func(n *dataplane.Network) { n.Secondary = []netip.Prefix{prefixOf("172.16.0.0/16")} }, setShortcut | setRoutes},
		{"default route to a host", func(n *dataplane.Network) {
			n.Routes[0].NextHops = []dataplane.NextHop{{Via: addrOf("10.0.1.5")}}
		}, setShortcut | setRoutes},
		{"default route by both", func(n *dataplane.Network) {
			n.Routes[0].NextHops = append(n.Routes[0].NextHops, dataplane.NextHop{Via: addrOf("10.0.1.5")})
		}, setShortcut | setRoutes},
		{"another route by the uplink", func(n *dataplane.Network) {
			n.Routes = append(n.Routes, dataplane.Route{Destination: prefixOf("192.0.2.0/24"), NextHops: []dataplane.NextHop{{Uplink: true}}})
		}, setShortcut},
	} {
		n := desired()
		c.change(n)
		if got := compile(n, numbers).settings.Flags; got != c.want {
			t.Errorf("%s: flags %#x, want %#x", c.name, got, c.want)
		}
	}
}

// A network without a public side has nobody to translate.
func TestCompileWithoutUplink(t *testing.T) {
	r := compile(&dataplane.Network{ID: "vpc-fixture", Prefix: prefixOf("10.0.0.0/16")}, nil)
	if len(r.hosts)+len(r.elastic) != 0 || r.settings.Public != 0 || r.settings.PublicMask != 0 || r.settings.Flags != 0 {
		t.Errorf("%+v", r)
	}
}

func TestPrefix(t *testing.T) {
	for p, want := range map[string][2][4]byte{
		"0.0.0.0/0":       {{}, {}},
		"128.0.0.0/1":     {{128}, {128}},
		"10.1.2.3/31":     {{10, 1, 2, 2}, {255, 255, 255, 254}},
		"203.0.113.10/32": {{203, 0, 113, 10}, {255, 255, 255, 255}},
	} {
		a, m := prefix(prefixOf(p))
		if got := [2][4]byte{bytesOf(a), bytesOf(m)}; got != want {
			t.Errorf("%s: %v, want %v", p, got, want)
		}
	}
	if a := addrOf("203.0.113.10"); address(word(a)) != a {
		t.Errorf("%s became %s", a, address(word(a)))
	}
}
