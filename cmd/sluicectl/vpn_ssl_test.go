package main

import (
	"bytes"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/api/admin"
)

// TestSSLStatus compares what is printed of SSL-VPN servers and their clients.
func TestSSLStatus(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	list := []admin.SSLServer{{
		ID: "vss-a", Name: "staff", Protocol: "UDP", Address: netip.MustParseAddr("203.0.113.20"), Port: 1194, State: admin.SSLRunning, Since: now.Add(-26 * time.Hour),
		Limit: 20, Refused: 3, Failures: map[string]uint64{"revoked": 2, "cipher": 1, "certificate": 0}, Inbound: admin.Volume{Bytes: 1_234_567}, Outbound: admin.Volume{Bytes: 2_345},
		Expires:      now.AddDate(9, 0, 0),
		Certificates: []admin.SSLCertificate{{ID: "vsc-1", Name: "laptop", State: "normal"}, {ID: "vsc-2", State: "expiring-soon"}, {ID: "vsc-3", State: "expired"}},
		Clients: []admin.SSLClient{{
			Certificate: "vsc-1", Name: "laptop", Remote: netip.MustParseAddrPort("198.51.100.7:40000"), Address: netip.MustParseAddr("192.168.100.2"), Cipher: "AES-256-GCM",
			Since: now.Add(-90 * time.Second), Inbound: admin.Volume{Bytes: 1_000}, Outbound: admin.Volume{Bytes: 2_000},
		}},
	}, {
		ID: "vss-b", Protocol: "TCP", Address: netip.MustParseAddr("203.0.113.21"), Port: 4433, State: admin.SSLDown, Since: now.Add(-time.Minute), Limit: 5,
		Error: "OpenVPN ends: the port is taken", Expires: now.Add(-time.Hour),
	}}
	var out bytes.Buffer
	for _, l := range [][]admin.SSLServer{list, nil} {
		for _, print := range []func() error{func() error { return printSSLServers(&out, l, now) }, func() error { return printSSLClients(&out, l, now) }} {
			if err := print(); err != nil {
				t.Fatal(err)
			}
			out.WriteString("---\n")
		}
	}
	const file = "testdata/vpn-ssl.golden"
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), out.String()); d != "" {
		t.Error(d)
	}
}
