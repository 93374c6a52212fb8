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

// vendors are constant. The first two are those of the document's example.
var vendors = []vendor{
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
	x := &end{VPNConnection: c, Gateway: gateway, Interface: link}
	if err := x.possible(vendors[i].template); err != nil {
		return "", err
	}
	text, err := x.write(vendors[i].template)
	if err == nil && vendors[i].device {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text, err
}
