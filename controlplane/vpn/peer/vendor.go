package peer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sluice/dataplane"
)

// Vendor is a kind of device, or a program, that Configure writes for.
type Vendor struct {
	Name     string
	Platform string
	Version  string
}

// vendor is one with its template.
type vendor struct {
	Vendor
	template string
	device   bool // its lines end with CR and LF, as in the document's example
}

// vendors are constant. Cisco and H3C are those of the document's example.
var vendors = []vendor{
	{Vendor{"cisco", "ios", "V15.4"}, "cisco-ios", true},
	{Vendor{"h3c", "comware", "V1.0"}, "h3c-comware", true},
	{Vendor{"huawei", "vrp", "V2.0"}, "huawei-vrp", true},
	{Vendor{"fortinet", "fortios", "V6.0"}, "fortinet-fortios", true},
	{Vendor{"strongswan", "linux", "V5.9"}, "strongswan", false},
	{Vendor{"libreswan", "linux", "V4.2"}, "libreswan", false},
}

// Vendors returns all of them.
func Vendors() []Vendor {
	var out []Vendor
	for _, v := range vendors {
		out = append(out, v.Vendor)
	}
	return out
}

// Configure writes the configuration of c's peer for a device of a vendor. gateway is the VPN
// gateway's public address, and link the name of the device's interface to the Internet. It
// fails for an unknown vendor, and for what a device has no way to say.
func Configure(v Vendor, c dataplane.VPNConnection, gateway netip.Addr, link string) (string, error) {
	i := slices.IndexFunc(vendors, func(x vendor) bool { return x.Vendor == v })
	if i < 0 {
		return "", fmt.Errorf("there is no vendor %s with platform %s and version %s: DescribeCustomerGatewayVendors lists them", v.Name, v.Platform, v.Version)
	}
	x := &end{VPNConnection: c, Gateway: gateway, Interface: link, words: deviceWords[vendors[i].template]}
	if vendors[i].device && strings.ContainsFunc(x.Clear(), func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"\\?'!#", r) }) {
		return "", fmt.Errorf("the pre-shared key of connection %s has characters that a device does not take: only printable ones of ASCII, without spaces, quotes, and any of \\?!#", c.ID)
	}
	if err := x.possible(vendors[i].template); err != nil {
		return "", err
	}
	text, err := x.write(vendors[i].template)
	if err == nil && vendors[i].device {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text, err
}

// deviceWords are the devices' words for algorithms where they are others than ours, by
// template, by what the template asks for. An encryption and a hash are of the kind that the
// name of what is asked for ends with, of ESP if it begins with that, else of IKE.
var deviceWords = map[string]map[string]map[string]string{
	"cisco-ios": {
		"ike-encryption":   {"aes128": "aes", "aes192": "aes 192", "aes256": "aes 256"},
		"ike-hash":         {"sha1": "sha"},
		"ikev2-encryption": {"aes128": "aes-cbc-128", "aes192": "aes-cbc-192", "aes256": "aes-cbc-256"},
		"esp-encryption":   {"aes128": "esp-aes", "aes192": "esp-aes 192", "aes256": "esp-aes 256", "3des": "esp-3des", "des": "esp-des", "null": "esp-null"},
		"esp-hash":         {"md5": "esp-md5-hmac", "sha1": "esp-sha-hmac", "sha256": "esp-sha256-hmac", "sha384": "esp-sha384-hmac", "sha512": "esp-sha512-hmac"},
	},
	"h3c-comware": {
		"encryption":     {"aes128": "aes-cbc-128", "aes192": "aes-cbc-192", "aes256": "aes-cbc-256", "3des": "3des-cbc", "des": "des-cbc"},
		"ike-hash":       {"sha1": "sha"},
		"esp-encryption": {"aes128": "aes-cbc-128", "aes192": "aes-cbc-192", "aes256": "aes-cbc-256", "3des": "3des-cbc", "des": "des-cbc"},
	},
	"huawei-vrp": {
		"encryption":     {"aes128": "aes-128", "aes192": "aes-192", "aes256": "aes-256"},
		"esp-encryption": {"aes128": "aes-128", "aes192": "aes-192", "aes256": "aes-256"},
		"ike-hash":       {"sha256": "sha2-256", "sha384": "sha2-384", "sha512": "sha2-512"},
		"esp-hash":       {"sha256": "sha2-256", "sha384": "sha2-384", "sha512": "sha2-512"},
		"hmac":           {"md5": "hmac-md5-96", "sha1": "hmac-sha1-96", "sha256": "hmac-sha2-256", "sha384": "hmac-sha2-384", "sha512": "hmac-sha2-512"},
		"prf":            {"md5": "hmac-md5", "sha1": "hmac-sha1", "sha256": "hmac-sha2-256", "sha384": "hmac-sha2-384", "sha512": "hmac-sha2-512"},
	},
}

// Word returns a device's word for an algorithm of the connection.
func (e *end) Word(what string) string {
	p := e.IKE.Proposal
	if strings.HasPrefix(what, "esp") {
		p = e.ESP.Proposal
	}
	ours := string(p.Integrity)
	if strings.HasSuffix(what, "encryption") {
		ours = string(p.Encryption)
	}
	if word, ok := e.words[what][ours]; ok {
		return word
	}
	return ours
}

// Named says whether an identity is a name, and no address.
func (e *end) Named(id string) bool {
	_, err := netip.ParseAddr(id)
	return err != nil
}

// PairList are the pairs of subnets, as this end sees them.
func (e *end) PairList() (list []struct{ Own, Other netip.Prefix }) {
	for l, r := range e.Policies.Pairs() {
		list = append(list, struct{ Own, Other netip.Prefix }{r, l})
	}
	return list
}

// Wild writes a subnet with the bits that are free; Mask with those that are not.
func (e *end) Wild(p netip.Prefix) string { return p.Addr().String() + " " + bits(^mask(p)) }

// Mask is the other one.
func (e *end) Mask(p netip.Prefix) string { return p.Addr().String() + " " + bits(mask(p)) }

func mask(p netip.Prefix) uint32 { return ^uint32(0) << (32 - p.Bits()) }

func bits(b uint32) string {
	return netip.AddrFrom4([4]byte{byte(b >> 24), byte(b >> 16), byte(b >> 8), byte(b)}).String()
}
