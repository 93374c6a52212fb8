package resource

import (
	"fmt"

	gonanoid "github.com/matoous/go-nanoid/v2"
)

// ids are short enough, prefix included, to serve as names of network links
// (15 bytes), which is how they turn up in the kernel.
const (
	idAlphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	idLength   = 9
)

// NewID returns a fresh id of the documents' form: the kind's prefix, a hyphen
// and nine lower-case letters and digits, for example vpc-257gq642n.
func NewID(prefix string) string {
	return fmt.Sprintf("%s-%s", prefix, gonanoid.MustGenerate(idAlphabet, idLength))
}

// Prefixes of ids, as the documents' examples have them.
const (
	PrefixVPC          = "vpc"
	PrefixVRouter      = "vrt"
	PrefixRouteTable   = "vtb"
	PrefixVSwitch      = "vsw"
	PrefixElasticIP    = "eip"
	PrefixNATGateway   = "ngw"
	PrefixForwardTable = "ftb"
	PrefixSNATTable    = "stb"
	PrefixForwardEntry = "fwd"
	PrefixSNATEntry    = "snat"
	PrefixInstance     = "i"

	PrefixVPNGateway      = "vpn"
	PrefixCustomerGateway = "cgw"
	PrefixVPNConnection   = "vco"
)
