package link

import (
	"crypto/sha256"
	"fmt"
	"net"
	"strings"

	"sluice/dataplane"
)

// Group is the link group of the links that we make. It is set in the message
// that makes a link, so that no crash leaves one that is not known as ours.
const Group = 0x51

const (
	ours       = "sluice "
	portPrefix = "port of "
	ownName    = "-" // the daemon's namespace, in an alias
)

// switchAlias says what a link is, for whoever looks at it with ip(8).
func switchAlias(id string) string { return ours + "VSwitch " + id }

func uplinkAlias(id string) string { return ours + "uplink of " + id }

// movedAlias also says where a device came from, so that it can be given back
// by whoever finds it.
func movedAlias(role, device, namespace string) string {
	if namespace == "" {
		namespace = ownName
	}
	return fmt.Sprintf("%s, was %s in %s", role, device, namespace)
}

// parseMoved is the reverse of movedAlias.
func parseMoved(alias string) (device, namespace string, ok bool) {
	if !strings.HasPrefix(alias, ours) {
		return "", "", false
	}
	_, origin, ok := strings.Cut(alias, ", was ")
	if !ok {
		return "", "", false
	}
	device, namespace, ok = strings.Cut(origin, " in ")
	if namespace == ownName {
		namespace = ""
	}
	return device, namespace, ok
}

func portAlias(vswitch string) string { return portPrefix + vswitch }

// isOurs reports whether a link was made or moved in by this package. The
// inner end of a veth pair cannot be given a group when it is made, so the
// uplink and the link to the classic network are known by their names, too.
func isOurs(l *Link) bool {
	return l.Group == Group || strings.HasPrefix(l.Alias, ours) || l.Name == dataplane.UplinkName || l.Name == dataplane.ClassicName
}

// MAC returns the hardware address of a link that we make: locally
// administered, and always the same for the same names, so that neighbours
// need not learn a new one when the link is made again.
func MAC(names ...string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	mac := net.HardwareAddr(sum[:6])
	mac[0] = mac[0]&^0x01 | 0x02
	return mac
}
