package openvpn

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sample() dataplane.SSLServer {
	return dataplane.SSLServer{
		ID: "vss-1", Protocol: unix.IPPROTO_UDP, Port: 1194, Pool: netip.MustParsePrefix("10.99.0.0/24"), Cipher: dataplane.SSLAES128, Clients: 5,
		Reach: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("172.16.5.0/24")},
		CA:    "the CA", Certificate: "the certificate", Key: "the key", TLSCrypt: "the tls-crypt key",
		Certificates: []dataplane.SSLCertificate{{ID: "vsc-1", Serial: "1"}},
	}
}

func TestSettings(t *testing.T) {
	for name, change := range map[string]func(*dataplane.SSLServer){
		"udp": func(*dataplane.SSLServer) {},
		"tcp": func(s *dataplane.SSLServer) { s.Protocol, s.Port, s.Cipher = unix.IPPROTO_TCP, 443, dataplane.SSLNone },
		// Its name, and so its device's, is a hash; its pool has fewer addresses than it may
		// have clients.
		"small": func(s *dataplane.SSLServer) {
			s.ID, s.Pool, s.Clients = "vss-with-a-long-name-1", netip.MustParsePrefix("10.99.0.8/29"), 100
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := sample()
			change(&s)
			if err := check(&s); err != nil {
				t.Fatal(err)
			}
			got := settings(`/run/with "quotes" and \`, netip.MustParseAddr("192.0.2.1"), &s, "nogroup") + "\n# a client's\n" + clientFile(&s)
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("settings are\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// What OpenVPN would not take, or take for something else, is refused.
func TestCheck(t *testing.T) {
	for want, change := range map[string]func(*dataplane.SSLServer){
		"protocol 1":          func(s *dataplane.SSLServer) { s.Protocol = 1 },
		"port 0":              func(s *dataplane.SSLServer) { s.Port = 0 },
		"/16 to /29":          func(s *dataplane.SSLServer) { s.Pool = netip.MustParsePrefix("10.0.0.0/30") },
		"pool 10.0.0.1/24":    func(s *dataplane.SSLServer) { s.Pool = netip.MustParsePrefix("10.0.0.1/24") },
		"pool fd00::/24":      func(s *dataplane.SSLServer) { s.Pool = netip.MustParsePrefix("fd00::/24") },
		"pool invalid Prefix": func(s *dataplane.SSLServer) { s.Pool = netip.Prefix{} },
		"0 clients":           func(s *dataplane.SSLServer) { s.Clients = 0 },
		`cipher "x"`:          func(s *dataplane.SSLServer) { s.Cipher = "x" },
		"CA: ":                func(s *dataplane.SSLServer) { s.CA = "" },
		"key: ":               func(s *dataplane.SSLServer) { s.Key = "x\n</key>\nscript-security 2" },
		`certificate "DEFAULT"`: func(s *dataplane.SSLServer) {
			s.Certificates = []dataplane.SSLCertificate{{ID: "DEFAULT"}}
		},
		`certificate "../x"`: func(s *dataplane.SSLServer) {
			s.Certificates = []dataplane.SSLCertificate{{ID: "../x"}}
		},
		`serial number "1f"`: func(s *dataplane.SSLServer) { s.Revoked = []dataplane.SSLSerial{"1f"} },
	} {
		s := sample()
		change(&s)
		if err := check(&s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v", want, err)
		}
	}
}

// Which settings need a restart is said by their names, and never by what they are.
func TestDiffers(t *testing.T) {
	of := func(s dataplane.SSLServer) string {
		return settings("/run", netip.MustParseAddr("192.0.2.1"), &s, "nogroup")
	}
	before := sample()
	for want, change := range map[string]func(*dataplane.SSLServer){
		"settings: port": func(s *dataplane.SSLServer) { s.Port = 1195 },
		"settings: proto, push, socket-flags, tun-mtu":  func(s *dataplane.SSLServer) { s.Protocol = unix.IPPROTO_TCP },
		"settings: data-ciphers, data-ciphers-fallback": func(s *dataplane.SSLServer) { s.Cipher = dataplane.SSLNone },
		"settings: ifconfig-pool, server":               func(s *dataplane.SSLServer) { s.Pool = netip.MustParsePrefix("10.98.0.0/24") },
		"settings: ifconfig-pool, max-clients":          func(s *dataplane.SSLServer) { s.Clients = 6 },
		"other keys, or it runs elsewhere":              func(s *dataplane.SSLServer) { s.Key = "another" },
	} {
		after := before
		change(&after)
		if got := differs(of(before), of(after), true); got != want {
			t.Errorf("it differs in %q, want %q", got, want)
		}
	}
	for _, change := range []func(*dataplane.SSLServer){
		func(s *dataplane.SSLServer) { s.Reach = nil },
		func(s *dataplane.SSLServer) { s.Certificates = nil },
		func(s *dataplane.SSLServer) { s.Revoked = []dataplane.SSLSerial{"1"} },
	} {
		after := before
		change(&after)
		if of(before) != of(after) {
			t.Errorf("it would be started anew: %s", differs(of(before), of(after), true))
		}
	}
}
