package dataplane

import (
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strconv"
	"strings"
)

// UplinkName is the name of the uplink inside a network's namespace.
const UplinkName = "public"

// How the names of links begin that stand for no id, but for a charon with a
// namespace of its own; a number follows. No id's link has such a name.
const (
	CharonLinks = "ike"   // leads to that charon
	TUNLinks    = "ipsec" // the TUN device by which it carries packets; so it calls one itself
)

// CharonLink and TUNLink return the names of the links of the charon with that number,
// 0 or more.
func CharonLink(slot int) string { return CharonLinks + strconv.Itoa(slot) }

// TUNLink: see CharonLink.
func TUNLink(slot int) string { return TUNLinks + strconv.Itoa(slot) }

const (
	linkNameSize = 15  // bytes that a link's name may have (IFNAMSIZ, with a zero at the end)
	hashedName   = "+" // how the name begins that stands for an id that cannot be one
)

// hashedNames writes 5 bits of a hash as a character.
var hashedNames = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// LinkName returns the name of the link that is made for an id: for a VSwitch, a VPN
// connection, an SSL-VPN server, or a network, of whose uplink it is the outer end. It has 15 bytes at most.
//
// It is the id itself where that can be a link's name. Else, mostly since it is longer,
// it is a + and 70 bits of its SHA-256; an id that begins with + has such a name, too, so
// that no id has the name of another by being written like it. Two ids of one network
// with the same hash are refused by the engine. What a link is for says its alias.
func LinkName(id string) string {
	if canName(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hashedName + hashedNames.EncodeToString(sum[:])[:linkNameSize-len(hashedName)]
}

// Names that are taken: by the kernel, in sysctl's directories of links, by the uplink and by
// the link to the classic network.
var takenNames = []string{"lo", "all", "default", UplinkName, ClassicName}

// Devices at which the bandwidth of what comes out of a VPN gateway's tunnels, and goes
// into them, is held; a number may follow. No id's link has such a name.
const (
	ShapedInbound  = "vpn-in"
	ShapedOutbound = "vpn-out"
)

// How the names of devices begin at which the bandwidths of elastic IPs are held that
// cross a public device, to the outside and from there. No id's link has such a name.
const (
	BandwidthOutbound = "bw-out-"
	BandwidthInbound  = "bw-in-"
)

// How the names of devices begin at which the bandwidth of a leased line is held, both ways.
// No id's link has such a name.
const (
	LineOutbound = "ln-out-"
	LineInbound  = "ln-in-"
)

// BandwidthLink returns the name of such a device, which begins with one of them, for a
// public device or that of a line: its name, or a hash of it where there is no room for that.
func BandwidthLink(begin, device string) string {
	if len(begin)+len(device) <= linkNameSize && !strings.HasPrefix(device, hashedName) {
		return begin + device
	}
	sum := sha256.Sum256([]byte(device))
	return begin + hashedName + hashedNames.EncodeToString(sum[:])[:linkNameSize-len(begin)-len(hashedName)]
}

func canName(id string) bool {
	return len(id) >= 1 && len(id) <= linkNameSize && id[0] != '.' && !strings.HasPrefix(id, hashedName) &&
		!strings.HasPrefix(id, CharonLinks) && !strings.HasPrefix(id, TUNLinks) &&
		!strings.HasPrefix(id, BandwidthOutbound) && !strings.HasPrefix(id, BandwidthInbound) &&
		!strings.HasPrefix(id, LineOutbound) && !strings.HasPrefix(id, LineInbound) &&
		!strings.HasPrefix(id, ShapedInbound) && !strings.HasPrefix(id, ShapedOutbound) && !slices.Contains(takenNames, id) &&
		!strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("/:%*", c) })
}

// Link returns the name of the VSwitch's link.
func (s *Switch) Link() string { return LinkName(s.ID) }

// Link returns the name that the connection's link has where it has one of its own.
func (c *VPNConnection) Link() string { return LinkName(c.ID) }
