package resource_test

import (
	"net/netip"
	"testing"

	"sluice/controlplane/resource"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		cidr, gateway, first string
		usable               int
		reserved, free       []string
	}{
		{"192.168.1.0/24", "192.168.1.253", "192.168.1.1", 252,
			[]string{"192.168.1.0", "192.168.1.253", "192.168.1.254", "192.168.1.255"}, []string{"192.168.1.1", "192.168.1.252", "192.168.2.0"}},
		{"10.0.0.8/29", "10.0.0.13", "10.0.0.9", 4,
			[]string{"10.0.0.8", "10.0.0.13", "10.0.0.14", "10.0.0.15"}, []string{"10.0.0.9", "10.0.0.12", "10.0.0.7", "10.0.0.16"}},
		{"172.16.0.0/16", "172.16.255.253", "172.16.0.1", 65532,
			[]string{"172.16.0.0", "172.16.255.254"}, []string{"172.16.0.253", "172.16.0.255", "172.16.255.252"}},
	} {
		p := netip.MustParsePrefix(c.cidr)
		if got := resource.GatewayAddress(p).String(); got != c.gateway {
			t.Errorf("gateway of %s: %s, want %s", p, got, c.gateway)
		}
		if got := resource.FirstUsableAddress(p).String(); got != c.first {
			t.Errorf("first address of %s: %s, want %s", p, got, c.first)
		}
		if got := resource.UsableAddresses(p); got != c.usable {
			t.Errorf("%s has %d addresses for instances, want %d", p, got, c.usable)
		}
		for _, a := range c.reserved {
			if !resource.ReservedAddress(p, netip.MustParseAddr(a)) {
				t.Errorf("%s of %s is not reserved", a, p)
			}
		}
		for _, a := range c.free {
			if resource.ReservedAddress(p, netip.MustParseAddr(a)) {
				t.Errorf("%s of %s is reserved", a, p)
			}
		}
	}
}
