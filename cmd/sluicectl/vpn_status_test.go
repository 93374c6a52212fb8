package main

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/api/admin"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestVPNStatus compares what is printed of connections in several states.
func TestVPNStatus(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	prefix := netip.MustParsePrefix
	list := []admin.Tunnel{{
		Connection: "vco-a", Name: "branch", Account: "default", VPC: "vpc-1", Gateway: "vpn-1", GatewayAddress: netip.MustParseAddr("203.0.113.20"),
		CustomerGateway: "cgw-1", PeerAddress: netip.MustParseAddr("198.51.100.7"), State: admin.TunnelUp, Since: before(26 * time.Hour), Path: "libipsec",
		Error: "the ends do not agree", Health: "passing", BGP: "established",
		SAs: []admin.IKESA{{
			ID: "5", State: "ESTABLISHED", Version: 2, Initiator: true, NATRemote: true,
			Local: netip.MustParseAddrPort("203.0.113.20:4500"), Remote: netip.MustParseAddrPort("198.51.100.7:34567"), LocalID: "203.0.113.20", RemoteID: "branch.example",
			Algorithms: "AES_CBC-256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048", Established: before(3 * time.Hour),
			Children: []admin.ChildSA{{
				ID: "9", State: "INSTALLED", Local: []string{"10.0.1.0/24"}, Remote: []string{"192.168.0.0/24"}, Algorithms: "AES_CBC-256/HMAC_SHA2_256_128",
				SPIIn: "c0ffee01", SPIOut: "c0ffee02", UDP: true, Installed: before(11 * time.Minute), RekeyIn: 2940, EndsIn: 3540,
				Inbound: admin.Volume{Bytes: 1_000, Packets: 10}, Outbound: admin.Volume{Bytes: 2_000, Packets: 20},
			}},
		}},
		Pairs:   []admin.TunnelPair{{Local: prefix("10.0.1.0/24"), Remote: prefix("192.168.0.0/24"), Up: true}, {Local: prefix("10.0.1.0/24"), Remote: prefix("192.168.1.0/24")}},
		Routes:  []admin.TunnelRoute{{Destination: prefix("192.168.0.0/24"), Published: true}, {Source: prefix("10.0.1.0/24"), Destination: prefix("192.168.1.0/24"), Standby: true}},
		Inbound: admin.Volume{Bytes: 1_234_567, Packets: 1_234}, Outbound: admin.Volume{Bytes: 2_345_678, Packets: 2_345}, LastIn: before(2 * time.Second), LastOut: before(time.Second),
		Rekeys: 3, DeadPeers: 1, Failures: 4,
		Fault: &admin.TunnelFault{
			Kind: "subnets", Text: "the peer refused the subnets (TS_UNACCEPTABLE)", Detail: "this end offered 10.0.1.0/24 === 192.168.0.0/24 192.168.1.0/24",
			Side: "one of both ends", First: before(12 * time.Minute), Last: before(90 * time.Second), Count: 4,
		},
	}, {
		Connection: "vco-b", Account: "default", VPC: "vpc-2", Gateway: "vpn-2", GatewayAddress: netip.MustParseAddr("203.0.113.21"),
		CustomerGateway: "cgw-2", PeerAddress: netip.MustParseAddr("198.51.100.8"), State: admin.TunnelNoIKE, Since: before(40 * time.Second), Path: "xfrm",
		Error:    "the peer does not answer",
		SAs:      []admin.IKESA{{ID: "1", State: "CONNECTING", Version: 1, Initiator: true, Local: netip.MustParseAddrPort("203.0.113.21:500"), Remote: netip.MustParseAddrPort("198.51.100.8:500"), LocalID: "%any", RemoteID: "%any"}},
		Failures: 1,
		Fault:    &admin.TunnelFault{Kind: "no answer", Text: "the peer does not answer", Side: "the path between", First: before(30 * time.Second), Last: before(6 * time.Second), Count: 1},
	}, {
		Connection: "vco-c", Account: "a", VPC: "vpc-3", Gateway: "vpn-3", GatewayAddress: netip.MustParseAddr("203.0.113.22"),
		CustomerGateway: "cgw-3", PeerAddress: netip.MustParseAddr("198.51.100.9"), State: admin.TunnelUnknown,
	}}
	var out bytes.Buffer
	if err := printTunnels(&out, list, now); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		out.WriteString("\n")
		printTunnel(&out, &list[i], now)
	}
	const golden = "testdata/vpn-status.golden"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), out.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	out.Reset()
	if err := printTunnels(&out, nil, now); err != nil || out.String() != "There is no IPsec connection.\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
