package lab

import (
	"net/netip"
	"testing"

	"sluice/controlplane/resource"
)

func addrs(text ...string) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, a := range text {
		out[netip.MustParseAddr(a)] = true
	}
	return out
}

func TestPickPrivate(t *testing.T) {
	for _, c := range []struct {
		block, ip string
		used      map[netip.Addr]bool
		want      string // empty: refused
	}{
		{"10.0.1.0/24", "", nil, "10.0.1.1"},
		{"10.0.1.0/24", "", addrs("10.0.1.1", "10.0.1.2"), "10.0.1.3"},
		{"10.0.1.0/24", "10.0.1.10", nil, "10.0.1.10"},
		{"10.0.1.0/24", "10.0.1.10", addrs("10.0.1.10"), ""},
		{"10.0.1.0/24", "10.0.1.0", nil, ""},
		{"10.0.1.0/24", "10.0.1.252", nil, "10.0.1.252"},
		{"10.0.1.0/24", "10.0.1.253", nil, ""},
		{"10.0.1.0/24", "10.0.1.255", nil, ""},
		{"10.0.1.0/24", "10.0.2.1", nil, ""},
		{"10.0.1.0/29", "", addrs("10.0.1.1", "10.0.1.2", "10.0.1.3"), "10.0.1.4"},
		{"10.0.1.0/29", "", addrs("10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4"), ""},
	} {
		var ip netip.Addr
		if c.ip != "" {
			ip = netip.MustParseAddr(c.ip)
		}
		got, err := pickPrivate(netip.MustParsePrefix(c.block), resource.GatewayThirdLast, ip, c.used)
		if (err != nil) != (c.want == "") || err == nil && got != netip.MustParseAddr(c.want) {
			t.Errorf("%s of %s, used %v: %v, %v; want %q", c.ip, c.block, c.used, got, err, c.want)
		}
	}
}

func TestGateway(t *testing.T) {
	for block, want := range map[string]string{"10.0.1.0/24": "10.0.1.253", "192.168.0.0/16": "192.168.255.253", "10.0.0.16/29": "10.0.0.21"} {
		if got := resource.GatewayThirdLast.Gateway(netip.MustParsePrefix(block)); got != netip.MustParseAddr(want) {
			t.Errorf("gateway of %s is %s, want %s", block, got, want)
		}
	}
}

func TestPickPublic(t *testing.T) {
	used := addrs("203.0.113.1", "203.0.113.2")
	got, err := pickPublic(netip.Addr{}, used)
	if err != nil || got != netip.MustParseAddr("203.0.113.3") {
		t.Errorf("next free is %v, %v", got, err)
	}
	for _, ip := range []string{"203.0.113.0", "203.0.113.1", "203.0.113.10", "203.0.113.250", "203.0.113.255", "198.51.100.1"} {
		if _, err := pickPublic(netip.MustParseAddr(ip), used); err == nil {
			t.Errorf("%s was accepted", ip)
		}
	}
	if _, err := pickPublic(netip.MustParseAddr("203.0.113.251"), used); err != nil {
		t.Error(err)
	}
	for a := PublicPrefix.Addr(); PublicPrefix.Contains(a); a = a.Next() {
		used[a] = true
	}
	if _, err := pickPublic(netip.Addr{}, used); err == nil {
		t.Error("found a free address where there is none")
	}
}

func TestPortNames(t *testing.T) {
	seen := map[string]bool{}
	for _, host := range []string{"web", "a-long-host-name", "a-long-host-name2", "0123456789", "01234567890"} {
		p := portName(host)
		if len(p) > 15 || seen[p] {
			t.Errorf("port of %s is %s", host, p)
		}
		seen[p] = true
	}
}
