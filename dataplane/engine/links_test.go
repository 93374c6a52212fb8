package engine

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// Packets pass by every kind of link that this kernel has, not only by
// bridges: a device and a VXLAN as VSwitches, a macvlan and a device as uplinks.
func TestTrafficOverOtherLinks(t *testing.T) {
	t.Parallel()
	for _, mode := range []dataplane.UplinkMode{dataplane.UplinkMacvlan, dataplane.UplinkDevice} {
		t.Run(string(mode), func(t *testing.T) {
			onAndOff(t, func(t *testing.T, on bool) { trafficOverOtherLinks(t, mode, on) })
		})
	}
}

func trafficOverOtherLinks(t *testing.T, mode dataplane.UplinkMode, shortcut bool) {
	s := newSite(t)
	addr := netip.MustParseAddr

	// The uplink's device, and its other end on the public network.
	nstest.Veth(t, s.public, "wan0", s.public, "pub-port")
	nstest.Command(t, s.public, "ip", "link", "set", "pub-port", "master", "pub0")
	nstest.Up(t, s.public, "pub-port")
	nstest.Up(t, s.public, "wan0")

	// A host at the other end of a device.
	server := nstest.New(t)
	nstest.Veth(t, s.public, "lan0", server, "eth0")
	nstest.Address(t, server, "eth0", "10.0.1.5/24")
	nstest.Default(t, server, "10.0.1.253")

	// A host behind a VXLAN.
	far := nstest.New(t)
	nstest.Veth(t, s.public, "under0", far, "under0")
	nstest.Address(t, s.public, "under0", "192.0.2.1/24")
	nstest.Address(t, far, "under0", "192.0.2.2/24")
	vxlan := &netlink.Vxlan{LinkAttrs: netlink.NewLinkAttrs(), VxlanId: 42, Port: 4789, Learning: true,
		VtepDevIndex: nstest.Link(t, far, "under0").Attrs().Index, Group: addr("192.0.2.1").AsSlice()}
	vxlan.Name = "eth0"
	if err := far.Netlink().LinkAdd(vxlan); err != nil {
		t.Fatal(err)
	}
	nstest.Address(t, far, "eth0", "10.0.2.7/24")
	nstest.Default(t, far, "10.0.2.253")

	n := s.network(t)
	n.Shortcut = shortcut
	n.Uplink.Mode, n.Uplink.Device = mode, "wan0"
	n.Switches[0].Attachment = dataplane.Attachment{Kind: dataplane.AttachDevice, Device: "lan0"}
	n.Switches[1].Attachment = dataplane.Attachment{Kind: dataplane.AttachVXLAN, Device: "under0", VNI: 42, Local: addr("192.0.2.1"), Remote: addr("192.0.2.2")}
	for _, protocol := range []uint8{6, 17} {
		n.DNAT = n.DNAT.With(dataplane.DNAT{External: addr("203.0.113.11"), Protocol: protocol, ExternalPort: 81, Internal: addr("10.0.1.5"), InternalPort: 8081})
	}
	n.Elastic = append(n.Elastic, addr("203.0.113.12"))
	n.Mappings = []dataplane.Mapping{{External: addr("203.0.113.12"), Internal: addr("10.0.2.7")}}
	e := s.engine(t)
	mustApply(t, e, n)

	leaked := privateSources(t, s.public, "pub-port")
	nstest.Listen(t, s.public, 9000)
	nstest.Listen(t, server, 8080)
	nstest.Listen(t, far, 22)
	for _, network := range []string{"tcp4", "udp4"} {
		nstest.Eventually(t, seenAs(server, network, "203.0.113.1:9000", "203.0.113.10"))
		nstest.Eventually(t, seenAs(far, network, "203.0.113.1:9000", "203.0.113.12"))
	}
	nstest.Eventually(t, seenAs(s.public, "tcp4", "203.0.113.11:80", "203.0.113.1"))
	nstest.Eventually(t, seenAs(s.public, "tcp4", "203.0.113.12:22", "203.0.113.1"))
	nstest.Eventually(t, seenAs(far, "tcp4", "203.0.113.11:80", "203.0.113.12")) // hairpin
	nstest.Eventually(t, seenAs(far, "tcp4", "10.0.1.5:8080", "10.0.2.7"))       // between VSwitches

	// From each link to each other open connections take the shortcut.
	nstest.Echo(t, s.public, 9001)
	nstest.Echo(t, server, 8081)
	nstest.Echo(t, far, 23)
	p := &populated{site: s, e: e, n: n}
	for _, network := range []string{"tcp4", "udp4"} {
		p.flow(t, server, network, "203.0.113.1:9001")
		p.flow(t, far, network, "203.0.113.1:9001")
		p.flow(t, s.public, network, "203.0.113.11:81")
		p.flow(t, s.public, network, "203.0.113.12:23")
	}

	e.Invalidate(n.ID)
	if o := mustApply(t, e, n); o.Changes != 0 {
		t.Errorf("an audit changed %d objects", o.Changes)
	}
	if n := leaked(); n > 0 {
		t.Errorf("%d packets left with a private source", n)
	}

	// What was handed over is given back under its name.
	if err := e.Remove(t.Context(), n.ID); err != nil {
		t.Fatal(err)
	}
	nstest.Link(t, s.public, "lan0")
	nstest.Link(t, s.public, "wan0")
}
