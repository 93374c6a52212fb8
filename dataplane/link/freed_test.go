package link_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/link"
)

// What only one link can have goes from one VSwitch to another, or to the uplink,
// and back, in one step each, in whatever order they are named.
func TestLinksChangePlaces(t *testing.T) {
	self, far := nstest.New(t), nstest.New(t)
	const switches = 4
	for i := range switches {
		nstest.Veth(t, self, fmt.Sprintf("eth%d", i), far, fmt.Sprintf("eth%d", i))
	}
	nstest.Veth(t, self, "under0", far, "under0")
	nstest.Address(t, self, "under0", "192.0.2.1/24")
	device := func(i int) dataplane.Attachment {
		return dataplane.Attachment{Kind: dataplane.AttachDevice, Device: fmt.Sprintf("eth%d", i)}
	}
	vxlan := func(under string, vni int, port uint16) dataplane.Attachment {
		return dataplane.Attachment{Kind: dataplane.AttachVXLAN, Device: under, VNI: uint32(vni), Port: port,
			Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2")}
	}
	id := randomID()
	ns := namespaceOf(t, id)
	seed := uint64(20261128)
	random := rand.New(rand.NewPCG(seed, 0))
	var last *dataplane.Network
	for step := range 60 {
		n := network(id)
		devices, vnis := random.Perm(switches), random.Perm(2*switches)
		for i := range switches {
			a := dataplane.Attachment{Kind: dataplane.AttachBridge}
			switch random.IntN(8) {
			case 0: // it is not there
				continue
			case 1: // remains a bridge
			case 2, 3:
				a = device(devices[0])
				devices = devices[1:]
			case 4: // over a device that another one may have had
				a = vxlan(fmt.Sprintf("eth%d", devices[0]), 100+vnis[0], 4789)
				devices, vnis = devices[1:], vnis[1:]
			default:
				a = vxlan("under0", 1+vnis[0]%switches, 4789+uint16(vnis[0]/switches))
				vnis = vnis[1:]
			}
			n.Switches = append(n.Switches, vswitch(fmt.Sprintf("vsw-%d", i), fmt.Sprintf("10.0.%d.0/24", i), fmt.Sprintf("10.0.%d.253", i), a))
		}
		if random.IntN(2) == 0 && len(devices) > 0 {
			n.Uplink = uplink(dataplane.UplinkDevice, fmt.Sprintf("eth%d", devices[0]), "")
		}
		random.Shuffle(len(n.Switches), func(i, j int) { n.Switches[i], n.Switches[j] = n.Switches[j], n.Switches[i] })
		changes, err := apply(t, ns, self, n)
		if err == nil {
			changes, err = apply(t, ns, self, n)
		}
		if err != nil || changes != 0 {
			t.Fatalf("step %d, a second time %d changes, %v; it was\n%+v\nand is to be\n%+v", step, changes, err, last, n)
		}
		last = n
	}
	if err := link.New(ns, self).RemoveAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range switches {
		nstest.Link(t, self, fmt.Sprintf("eth%d", i)) // given back
	}
}
