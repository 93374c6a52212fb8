package openvpn

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// checkDevice says what is wrong with a server's TUN device, which others make, and
// whether a process has it open.
func checkDevice(ns *netns.Namespace, s *dataplane.SSLServer) (open bool, err error) {
	name := s.Link()
	l, err := ns.Netlink().LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return false, fmt.Errorf("there is no TUN device %s in %s", name, ns)
	}
	if err != nil {
		return false, fmt.Errorf("TUN device %s in %s: %w", name, ns, err)
	}
	if tun, ok := l.(*netlink.Tuntap); !ok || tun.Mode != netlink.TUNTAP_MODE_TUN {
		return false, fmt.Errorf("link %s in %s is no TUN device", name, ns)
	}
	return l.Attrs().RawFlags&unix.IFF_RUNNING != 0, nil
}

// carried returns what a server's TUN device has carried so far: from clients, and to
// them.
func carried(ns *netns.Namespace, name string) (inbound, outbound dataplane.Volume) {
	l, err := ns.Netlink().LinkByName(name)
	if err != nil || l.Attrs().Statistics == nil {
		return inbound, outbound
	}
	s := l.Attrs().Statistics
	return dataplane.Volume{Bytes: s.RxBytes, Packets: s.RxPackets}, dataplane.Volume{Bytes: s.TxBytes, Packets: s.TxPackets}
}
