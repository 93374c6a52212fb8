package resource_test

import (
	"net/netip"
	"testing"

	"sluice/controlplane/resource"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		plan                 resource.AddressPlan
		cidr, gateway, first string
		usable               int
		reserved, free       []string
	}{
		{"", "192.168.1.0/24", "192.168.1.253", "192.168.1.1", 252,
			[]string{"192.168.1.0", "192.168.1.253", "192.168.1.254", "192.168.1.255"}, []string{"192.168.1.1", "192.168.1.252", "192.168.2.0"}},
		{"", "10.0.0.8/29", "10.0.0.13", "10.0.0.9", 4,
			[]string{"10.0.0.8", "10.0.0.13", "10.0.0.14", "10.0.0.15"}, []string{"10.0.0.9", "10.0.0.12", "10.0.0.7", "10.0.0.16"}},
		{"", "172.16.0.0/16", "172.16.255.253", "172.16.0.1", 65532,
			[]string{"172.16.0.0", "172.16.255.254"}, []string{"172.16.0.253", "172.16.0.255", "172.16.255.252"}},
		{resource.GatewayFirst, "10.8.0.0/24", "10.8.0.1", "10.8.0.2", 253,
			[]string{"10.8.0.0", "10.8.0.1", "10.8.0.255"}, []string{"10.8.0.2", "10.8.0.253", "10.8.0.254", "10.8.1.0", "10.8.1.1"}},
		{resource.GatewayFirst, "10.8.0.16/28", "10.8.0.17", "10.8.0.18", 13,
			[]string{"10.8.0.16", "10.8.0.17", "10.8.0.31"}, []string{"10.8.0.18", "10.8.0.30", "10.8.0.32"}},
	} {
		p := netip.MustParsePrefix(c.cidr)
		if got := c.plan.Gateway(p).String(); got != c.gateway {
			t.Errorf("gateway of %s: %s, want %s", p, got, c.gateway)
		}
		if got := c.plan.First(p).String(); got != c.first {
			t.Errorf("first address of %s: %s, want %s", p, got, c.first)
		}
		if got := c.plan.Usable(p); got != c.usable {
			t.Errorf("%s has %d addresses for instances, want %d", p, got, c.usable)
		}
		if got := resource.PlanOf(p, c.plan.Gateway(p)); got != c.plan {
			t.Errorf("the plan of %s with gateway %s is %q, want %q", p, c.gateway, got, c.plan)
		}
		for _, a := range c.reserved {
			if !c.plan.Reserved(p, netip.MustParseAddr(a)) {
				t.Errorf("%s of %s is not reserved", a, p)
			}
		}
		for _, a := range c.free {
			if c.plan.Reserved(p, netip.MustParseAddr(a)) {
				t.Errorf("%s of %s is reserved", a, p)
			}
		}
	}
}
