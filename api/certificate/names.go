package certificate

import (
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
)

// hostName is a name that a certificate can be for. Machines may have others.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

// Names returns what a server is reached by that listens at an address, HOST:PORT: the
// host; where that is every address of the machine, each of those and the machine's name;
// on the loopback also localhost. What else it is called is added. The list is sorted,
// each once.
func Names(listen string, others []string) ([]string, error) {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, err
	}
	names := slices.Clone(others)
	address, err := netip.ParseAddr(host)
	local := err == nil && address.IsLoopback() || strings.EqualFold(host, "localhost")
	switch {
	case host == "" || err == nil && address.IsUnspecified():
		found, err := ofMachine()
		if err != nil {
			return nil, err
		}
		names, local = append(names, found...), true
	case err == nil:
		names = append(names, address.Unmap().WithZone("").String())
	default:
		names = append(names, host)
	}
	if local {
		names = append(names, "localhost", "127.0.0.1", "::1")
	}
	for i, name := range names {
		if a, err := netip.ParseAddr(name); err == nil {
			names[i] = a.Unmap().String()
		} else {
			names[i] = strings.ToLower(name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// ofMachine returns the machine's addresses, but for those of a single link, and its name.
func ofMachine() (names []string, _ error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
			names = append(names, p.Addr().String())
		}
	}
	if name, err := os.Hostname(); err == nil && len(name) <= 253 && hostName.MatchString(name) {
		names = append(names, name)
	}
	return names, nil
}
