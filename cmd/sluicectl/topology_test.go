package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/api/admin"
)

// looks are two VPCs that are linked, a border router that is not, a second apart.
func looks() (before, now *admin.Routers) {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	make := func(n uint64) *admin.Routers {
		v := func(bytes uint64) admin.Volume { return admin.Volume{Bytes: n * bytes, Packets: n} }
		return &admin.Routers{At: at.Add(time.Duration(n) * time.Second), Routers: []admin.Router{
			{ID: "vbr-1", Blocks: []netip.Prefix{prefix("192.168.50.16/29")}, Error: "device eth9 is missing",
				Switches:   []admin.RouterSwitch{{ID: "line", Block: prefix("192.168.50.16/29"), Gateway: addr("192.168.50.17")}},
				Interfaces: []admin.RouterInterface{{ID: "ri-3", Peer: "ri-4", Router: "vpc-2", Mbit: 50}}},
			{ID: "vpc-1", Name: "shop", Region: "cn-hangzhou", Blocks: []netip.Prefix{prefix("10.1.0.0/16"), prefix("172.30.0.0/16")},
				Switches:    []admin.RouterSwitch{{ID: "vsw-1", Block: prefix("10.1.1.0/24"), Gateway: addr("10.1.1.253"), Hosts: 1}},
				Public:      &admin.RouterPublic{Network: prefix("203.0.113.0/24"), Elastic: []netip.Addr{addr("203.0.113.10"), addr("203.0.113.11")}, Outbound: v(125_000), Inbound: v(250)},
				NATGateways: []admin.RouterNATGateway{{ID: "ngw-1", Elastic: []netip.Addr{addr("203.0.113.10")}}},
				VPNGateways: []admin.RouterVPNGateway{{ID: "vpn-1", Address: addr("203.0.113.11"), SSLServers: []string{"vss-1"},
					Connections: []admin.RouterConnection{{ID: "vco-1", Peer: addr("198.51.100.1"), State: admin.TunnelUp, Outbound: v(10), Inbound: v(20)},
						{ID: "vco-2", Peer: addr("198.51.100.2"), State: admin.TunnelNoIKE}}}},
				Interfaces: []admin.RouterInterface{{ID: "ri-1", Peer: "ri-2", Router: "vpc-2", Mbit: 1000, Linked: true, Reached: true, Outbound: v(5_000_000), Inbound: v(1), Dropped: 7}}},
			{ID: "vpc-2", Blocks: []netip.Prefix{prefix("10.2.0.0/16")},
				Interfaces: []admin.RouterInterface{{ID: "ri-2", Peer: "ri-1", Router: "vpc-1", Mbit: 1000, Linked: true, Reached: true, Outbound: v(1), Inbound: v(5_000_000)},
					{ID: "ri-4", Peer: "ri-3", Router: "vbr-1"}}},
		}}
	}
	return make(1), make(2)
}

func TestTopology(t *testing.T) {
	before, now := looks()
	all := &topology{now: now.Routers, rates: ratesBetween(before, now)}
	some := &topology{now: around(now.Routers, "vpc-1"), rates: all.rates}
	for name, got := range map[string]string{"topology.txt": all.text(), "topology.dot": all.graph(), "topology-one.txt": some.text()} {
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if around(now.Routers, "vpc-9") != nil {
		t.Error("a router that is not there has neighbours")
	}
	// Each link is drawn once.
	if n := strings.Count(all.graph(), "ri-1"); n != 1 {
		t.Errorf("a link is drawn %d times", n)
	}
	// What counts anew has no rate.
	now.Routers[1].Interfaces[0].Outbound.Bytes = 3
	if r, ok := ratesBetween(before, now)["ri-1"]; ok {
		t.Errorf("a counter that went back makes %v", r)
	}
}
