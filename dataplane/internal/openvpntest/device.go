package openvpntest

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// Device makes a server's TUN device, persistent, as the engine does, or gives it another
// address.
func Device(t testing.TB, ns *netns.Namespace, s *dataplane.SSLServer) {
	t.Helper()
	nl := ns.Netlink()
	if _, err := nl.LinkByName(s.Link()); err != nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = s.Link()
		// It is made by an ioctl, in the namespace of whoever calls.
		err := ns.Do(func() error {
			return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TUN, Flags: netlink.TUNTAP_NO_PI})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	l := nstest.Link(t, ns, s.Link())
	if err := nl.LinkSetMTU(l, s.MTU()); err != nil {
		t.Fatal(err)
	}
	has, err := nl.AddrList(l, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	own := netip.PrefixFrom(s.Own(), s.Pool.Bits()).String()
	for i := range has {
		if has[i].IPNet.String() == own {
			return
		}
		if err := nl.AddrDel(l, &has[i]); err != nil {
			t.Fatal(err)
		}
	}
	nstest.Address(t, ns, s.Link(), own)
}
