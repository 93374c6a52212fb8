package peer

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/dataplane"
)

var update = flag.Bool("update", false, "write the golden files anew")

var gateway = netip.MustParseAddr("203.0.113.45")

func plain() dataplane.VPNConnection {
	p := dataplane.Proposal{Encryption: dataplane.AES128, Integrity: dataplane.SHA1, Group: 5}
	return dataplane.VPNConnection{
		ID: "vco-1", Remote: netip.MustParseAddr("198.51.100.1"), LocalID: "203.0.113.45", RemoteID: "branch.example.com", PSK: `0x"quoted" key`,
		IKE:      dataplane.IKE{Version: 1, Proposal: p, Lifetime: 86400},
		ESP:      dataplane.ESP{Proposal: p, Lifetime: 3600},
		Policies: dataplane.Product([]netip.Prefix{netip.MustParsePrefix("10.0.1.0/24"), netip.MustParsePrefix("10.0.2.0/24")}, []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")}),
		DPD:      true, NATTraversal: true,
	}
}

func routed() dataplane.VPNConnection {
	c := plain()
	c.IKE = dataplane.IKE{Version: 2, Proposal: dataplane.Proposal{Encryption: dataplane.AES256, Integrity: dataplane.SHA256, Group: 14}}
	c.ESP = dataplane.ESP{Proposal: dataplane.Proposal{Encryption: dataplane.AES256, Integrity: dataplane.SHA512}}
	c.Policies = dataplane.Product([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")})
	c.DPD, c.NATTraversal = false, false
	c.BGP = &dataplane.VPNBGP{Tunnel: netip.MustParsePrefix("169.254.11.0/30"), LocalIP: netip.MustParseAddr("169.254.11.1"), LocalASN: 45104, PeerASN: 65010}
	return c
}

// several has more than one subnet with IKEv2.
func several() dataplane.VPNConnection {
	c := plain()
	c.IKE.Version = 2
	c.Policies = dataplane.Product(c.Policies.Locals(), append(c.Policies.Remotes(), netip.MustParsePrefix("192.168.2.0/24")))
	return c
}

func TestGolden(t *testing.T) {
	for name, c := range map[string]dataplane.VPNConnection{"plain": plain(), "routed": routed(), "several": several()} {
		for _, format := range Formats() {
			if format == "frr-strongswan" && c.BGP == nil {
				continue
			}
			got, err := Render(format, c, gateway)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+"."+format+".golden")
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
				t.Errorf("%s:\n%s\nwant:\n%s", file, got, want)
			}
		}
	}
}

// uneven has subnets of which not each may talk to each, and addresses for identities.
func uneven() dataplane.VPNConnection {
	c := several()
	c.RemoteID, c.PSK, c.ESP.Traffic = c.Remote.String(), "s3cret-key", 2560
	c.Policies[1].Remotes = c.Policies[1].Remotes[1:]
	return c
}

// TestVendors: each vendor's configuration of a connection with IKEv1 and with IKEv2, in
// the syntax of its manuals; of pairs of subnets those alone that there are.
func TestVendors(t *testing.T) {
	aggressive := plain()
	aggressive.PSK, aggressive.IKE.Aggressive = "s3cret-key", true
	for name, c := range map[string]dataplane.VPNConnection{"ikev1": aggressive, "uneven": uneven()} {
		for _, v := range Vendors() {
			got, err := Configure(v, c, gateway, "GigabitEthernet0/1")
			if err != nil {
				t.Fatal(err)
			}
			device := v.Platform != "linux"
			if strings.Contains(got, "\r\n") != device || strings.Contains(strings.ReplaceAll(got, "\r\n", ""), "\n") == device {
				t.Errorf("%s: ends of lines", v.Name)
			}
			file := filepath.Join("testdata", name+".vendor-"+v.Name+".golden")
			got = strings.ReplaceAll(got, "\r\n", "\n")
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
				t.Errorf("%s:\n%s\nwant:\n%s", file, got, want)
			}
		}
	}
	for _, v := range Vendors() {
		c := plain() // its key has spaces and quotes
		if _, err := Configure(v, c, gateway, "eth0"); (err != nil) != (v.Platform != "linux") {
			t.Errorf("%s with a strange key: %v", v.Name, err)
		}
	}
	if _, err := Configure(Vendor{"cisco", "ios", "V1"}, uneven(), gateway, "eth0"); err == nil {
		t.Error("a vendor that there is none of")
	}
}

func TestImpossible(t *testing.T) {
	weak := plain()
	weak.IKE.Proposal.Group = 2
	des := plain()
	des.ESP.Proposal.Encryption = dataplane.DES
	for _, c := range []struct {
		format, want string
		c            dataplane.VPNConnection
	}{
		{"juniper", "none of frr-strongswan", plain()},
		{"frr-strongswan", "no BGP", plain()},
		{"libreswan", "neither DES", des},
		{"libreswan", "group14", weak},
	} {
		if text, err := Render(c.format, c.c, gateway); err == nil || !strings.Contains(err.Error(), c.want) || text != "" {
			t.Errorf("%s: %q, %v", c.format, text, err)
		}
	}
}
