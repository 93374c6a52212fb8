package link_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/link"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
)

// apply does what the engine does, without the other facilities.
func apply(t testing.TB, ns, self *netns.Namespace, n *dataplane.Network) (changes int, err error) {
	t.Helper()
	l := link.New(ns, self)
	s, err := l.Read(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	p := l.Plan(s, n)
	var r plan.Runner
	r.Add(p.Err)
	r.Run(t.Context(), p.Make)
	r.Run(t.Context(), p.Start)
	r.Run(t.Context(), p.Remove)
	return r.Done, r.Err()
}

func mustApply(t testing.TB, ns, self *netns.Namespace, n *dataplane.Network) {
	t.Helper()
	if _, err := apply(t, ns, self, n); err != nil {
		t.Fatal(err)
	}
	if changes, err := apply(t, ns, self, n); err != nil || changes != 0 {
		t.Fatalf("a second time: %d changes, %v", changes, err)
	}
}

func state(t testing.TB, ns *netns.Namespace) string {
	t.Helper()
	s, err := link.New(ns, ns).Read(t.Context(), &dataplane.Network{})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func vswitch(id, prefix, gateway string, a dataplane.Attachment) dataplane.Switch {
	return dataplane.Switch{ID: id, Prefix: netip.MustParsePrefix(prefix), Gateway: netip.MustParseAddr(gateway), Attachment: a}
}

func network(id string, switches ...dataplane.Switch) *dataplane.Network {
	return &dataplane.Network{ID: id, Prefix: netip.MustParsePrefix("10.0.0.0/8"), Switches: switches}
}

// namespaceOf makes the namespace of a network.
func namespaceOf(t testing.TB, id string) *netns.Namespace {
	t.Helper()
	ns, _, err := netns.Create(dataplane.Namespace(id))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(ns.Name()); err != nil {
			t.Error(err)
		}
	})
	return ns
}

func randomID() string { return "vpc-t" + nstest.Random(9) }

func TestDeviceIsMovedAndGivenBack(t *testing.T) {
	self, far := nstest.New(t), nstest.New(t)
	nstest.Veth(t, self, "eth7", far, "eth0")
	nstest.Address(t, far, "eth0", "10.0.1.5/24")
	idA, idB := randomID(), randomID()
	a, b := namespaceOf(t, idA), namespaceOf(t, idB)
	device := dataplane.Attachment{Kind: dataplane.AttachDevice, Device: "eth7", MTU: 1400}
	na := network(idA, vswitch("vsw-a", "10.0.1.0/24", "10.0.1.253", device))
	mustApply(t, a, self, na)
	want := "link vsw-a: veth mtu 1400 alias \"sluice VSwitch vsw-a, was eth7 in -\"\n\taddress 10.0.1.253/24\n"
	if diff := cmp.Diff(want, state(t, a)); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}

	_, err := apply(t, b, self, network(idB, vswitch("vsw-b", "10.0.1.0/24", "10.0.1.253", device)))
	if err == nil || !strings.Contains(err.Error(), "eth7 is used by network "+idA+" as VSwitch vsw-a already") {
		t.Errorf("a second network takes the device: %v", err)
	}

	// The VSwitch becomes a bridge: the device goes home.
	mustApply(t, a, self, network(idA, vswitch("vsw-a", "10.0.1.0/24", "10.0.1.253", dataplane.Attachment{Kind: dataplane.AttachBridge})))
	if back := nstest.Link(t, self, "eth7"); back.Attrs().Alias != "" {
		t.Errorf("the device came back with alias %q", back.Attrs().Alias)
	}
	mustApply(t, b, self, network(idB, vswitch("vsw-b", "10.0.1.0/24", "10.0.1.253", device)))
	if err := link.New(b, self).RemoveAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	nstest.Link(t, self, "eth7")

	// With its name taken it stays, and the error says why.
	mustApply(t, b, self, network(idB, vswitch("vsw-b", "10.0.1.0/24", "10.0.1.253", device)))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth7"
	if err := self.Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		t.Fatal(err)
	}
	if err := link.New(b, self).RemoveAll(t.Context()); err == nil || !strings.Contains(err.Error(), "a link of that name is there") {
		t.Errorf("give back under a name that is taken: %v", err)
	}
	nstest.Link(t, b, "vsw-b")
}

// Hosts behind a VXLAN, on another machine, reach the gateway.
func TestVXLAN(t *testing.T) {
	self, far := nstest.New(t), nstest.New(t)
	nstest.Veth(t, self, "under0", far, "under0")
	nstest.Address(t, self, "under0", "192.0.2.1/24")
	nstest.Address(t, far, "under0", "192.0.2.2/24")
	vxlan := &netlink.Vxlan{LinkAttrs: netlink.NewLinkAttrs(), VxlanId: 42, Port: 4789, Learning: true,
		VtepDevIndex: nstest.Link(t, far, "under0").Attrs().Index, Group: netip.MustParseAddr("192.0.2.1").AsSlice()}
	vxlan.Name = "vx0"
	if err := far.Netlink().LinkAdd(vxlan); err != nil {
		t.Fatal(err)
	}
	nstest.Address(t, far, "vx0", "10.0.1.5/24")

	id := randomID()
	ns := namespaceOf(t, id)
	attachment := dataplane.Attachment{Kind: dataplane.AttachVXLAN, Device: "under0", VNI: 42,
		Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2")}
	n := network(id, vswitch("vsw-x", "10.0.1.0/24", "10.0.1.253", attachment))
	mustApply(t, ns, self, n)
	nstest.Listen(t, far, 7)
	reach := func() {
		t.Helper()
		nstest.Eventually(t, func() error {
			_, err := nstest.Seen(ns, "tcp4", "10.0.1.5:7")
			return err
		})
	}
	reach()

	// Another VNI is another link.
	other := *n
	other.Switches = []dataplane.Switch{n.Switches[0]}
	other.Switches[0].Attachment.VNI = 43
	mustApply(t, ns, self, &other)
	mustApply(t, ns, self, n)
	reach()

	id2 := randomID()
	_, err := apply(t, namespaceOf(t, id2), self, network(id2, vswitch("vsw-y", "10.0.1.0/24", "10.0.1.253", attachment)))
	if err == nil || !strings.Contains(err.Error(), "VNI 42 with UDP port 4789 is in use") {
		t.Errorf("the same VNI twice: %v", err)
	}
	attachment.Device = "under9"
	_, err = apply(t, ns, self, network(id, vswitch("vsw-x", "10.0.1.0/24", "10.0.1.253", attachment)))
	if err == nil || !strings.Contains(err.Error(), "the vxlan's device under9 is missing") {
		t.Errorf("missing underlay: %v", err)
	}
}

// A VLAN is made, or the error says what this kernel lacks.
func TestVLAN(t *testing.T) {
	self, far := nstest.New(t), nstest.New(t)
	nstest.Veth(t, self, "trunk0", far, "trunk0")
	id := randomID()
	ns := namespaceOf(t, id)
	n := network(id,
		vswitch("vsw-a", "10.0.1.0/24", "10.0.1.253", dataplane.Attachment{Kind: dataplane.AttachBridge}),
		vswitch("vsw-v", "10.0.2.0/24", "10.0.2.253", dataplane.Attachment{Kind: dataplane.AttachVLAN, Device: "trunk0", VLAN: 12}))
	if _, err := apply(t, ns, self, n); err != nil {
		if !strings.Contains(err.Error(), "this kernel has no 802.1Q links") {
			t.Errorf("error %q does not say what the kernel lacks", err)
		}
		nstest.Link(t, ns, "vsw-a") // the other one is there all the same
		return
	}
	mustApply(t, ns, self, n)
}

func uplink(mode dataplane.UplinkMode, device, namespace string) *dataplane.Uplink {
	return &dataplane.Uplink{Mode: mode, Device: device, Namespace: namespace, Prefix: netip.MustParsePrefix("203.0.113.0/24")}
}

func TestUplinkModes(t *testing.T) {
	self, out, far := nstest.New(t), nstest.New(t), nstest.New(t)
	nstest.Veth(t, out, "eth1", far, "eth1")
	nstest.Address(t, far, "eth1", "203.0.113.1/24")
	nstest.Veth(t, out, "eth2", far, "eth2")
	nstest.Up(t, out, "eth1")
	if err := link.EnsureBridge(out.Name(), "pub0", netip.Prefix{}); err != nil {
		t.Fatal(err)
	}
	nstest.Listen(t, far, 7)
	id := randomID()
	ns := namespaceOf(t, id)
	n := network(id)
	n.Elastic = []netip.Addr{netip.MustParseAddr("203.0.113.9")}
	addresses := "\taddress 203.0.113.9/32\n"
	for _, test := range []struct {
		uplink *dataplane.Uplink
		want   string
	}{
		{uplink(dataplane.UplinkBridge, "pub0", out.Name()), "link public: veth mtu 1500 alias \"sluice uplink of " + id + "\"\n" + addresses},
		{uplink(dataplane.UplinkMacvlan, "eth1", out.Name()), "link public: macvlan mtu 1500 alias \"sluice uplink of " + id + "\"\n" + addresses},
		{uplink(dataplane.UplinkDevice, "eth2", out.Name()), "link public: veth mtu 1500 alias \"sluice uplink of " + id + ", was eth2 in " + out.Name() + "\"\n" + addresses},
		{uplink(dataplane.UplinkMacvlan, "eth1", out.Name()), "link public: macvlan mtu 1500 alias \"sluice uplink of " + id + "\"\n" + addresses},
	} {
		n.Uplink = test.uplink
		mustApply(t, ns, self, n)
		if diff := cmp.Diff(test.want, state(t, ns)); diff != "" {
			t.Errorf("uplink by %s (-want +got):\n%s", test.uplink.Mode, diff)
		}
	}
	nstest.Link(t, out, "eth2") // given back on the way
	if _, err := out.Netlink().LinkByName(id); err == nil {
		t.Error("the outer end of the pair is left")
	}
	if mac := nstest.Link(t, ns, "public").Attrs().HardwareAddr.String(); mac != link.MAC(id, "public").String() {
		t.Errorf("hardware address %s is not the network's own", mac)
	}
	nstest.Command(t, ns, "ip", "route", "add", "203.0.113.0/24", "dev", "public")
	nstest.Command(t, ns, "ip", "link", "set", "lo", "up")
	nstest.Eventually(t, func() error {
		_, err := nstest.Seen(ns, "tcp4", "203.0.113.1:7")
		return err
	})

	for device, want := range map[*dataplane.Uplink]string{
		uplink(dataplane.UplinkBridge, "pub9", out.Name()):  "the public bridge pub9 is missing in network namespace " + out.Name(),
		uplink(dataplane.UplinkMacvlan, "eth9", out.Name()): "the public device eth9 is missing",
		uplink(dataplane.UplinkDevice, "eth9", ""):          "the device eth9 is missing in the daemon's network namespace",
		uplink(dataplane.UplinkBridge, "pub0", "slt-none"):  "slt-none",
		uplink(dataplane.UplinkBridge, "eth1", out.Name()):  "must be a bridge",
		uplink("tunnel", "eth1", out.Name()):                "uplink mode \"tunnel\" is not known",
	} {
		n.Uplink = device
		if _, err := apply(t, ns, self, n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("uplink %s on %s in %q: error %v, want one with %q", device.Mode, device.Device, device.Namespace, err, want)
		}
	}
	n.Uplink = nil
	if _, err := apply(t, ns, self, n); err == nil || !strings.Contains(err.Error(), "no uplink") {
		t.Errorf("elastic IPs without an uplink: %v", err)
	}
}

// A bridge that is made again keeps its hardware address and gets its ports
// back, and only those.
func TestPortsComeBack(t *testing.T) {
	self := nstest.New(t)
	id := randomID()
	ns := namespaceOf(t, id)
	n := network(id, vswitch("vsw-a", "10.0.1.0/24", "10.0.1.253", dataplane.Attachment{Kind: dataplane.AttachBridge}))
	mustApply(t, ns, self, n)
	host := nstest.Host(t, ns.Name(), "vsw-a", "10.0.1.5/24", "")
	nstest.Veth(t, ns, "foreign", self, "foreign")
	mac := nstest.Link(t, ns, "vsw-a").Attrs().HardwareAddr.String()
	nstest.Command(t, ns, "ip", "link", "del", "vsw-a")
	mustApply(t, ns, self, n)
	if got := nstest.Link(t, ns, "vsw-a").Attrs().HardwareAddr.String(); got != mac {
		t.Errorf("hardware address %s became %s", mac, got)
	}
	nstest.Listen(t, host, 7)
	nstest.Eventually(t, func() error {
		_, err := nstest.Seen(ns, "tcp4", "10.0.1.5:7")
		return err
	})
	if foreign := nstest.Link(t, ns, "foreign").Attrs(); foreign.MasterIndex != 0 {
		t.Error("a link that is no port became one")
	}
	if err := link.New(ns, self).RemoveAll(context.Background()); err != nil {
		t.Fatal(err)
	}
	nstest.Link(t, ns, "foreign")
}

// The name of a link that is to be made is free for it, whatever else has it as a second one.
func TestSecondNames(t *testing.T) {
	self := nstest.New(t)
	id := randomID()
	ns := namespaceOf(t, id)
	nstest.Command(t, self, "ip", "link", "add", "br-public", "type", "bridge")
	n := network(id, vswitch("vsw-a", "10.0.1.0/24", "10.0.1.253", dataplane.Attachment{Kind: dataplane.AttachBridge}))
	n.Uplink = uplink(dataplane.UplinkBridge, "br-public", self.Name())
	mustApply(t, ns, self, n)
	nstest.Veth(t, ns, "foreign", self, "foreign")
	for _, name := range []string{"vsw-a", dataplane.UplinkName} {
		for _, holder := range []string{"foreign", "lo", map[string]string{"vsw-a": dataplane.UplinkName, dataplane.UplinkName: "vsw-a"}[name]} {
			nstest.Command(t, ns, "ip", "link", "del", name)
			nstest.Command(t, ns, "ip", "link", "property", "add", "dev", holder, "altname", name)
			mustApply(t, ns, self, n)
			if got := nstest.Link(t, ns, name).Attrs().Name; got != name {
				t.Errorf("%s is a second name of %s", name, got)
			}
			nstest.Link(t, ns, holder)
		}
	}
}

func TestPlugRefuses(t *testing.T) {
	self := nstest.New(t)
	nstest.Veth(t, self, "a", self, "b")
	for _, test := range []struct{ namespace, vswitch, ifname, want string }{
		{"slt-none", "vsw-a", "a", "slt-none"},
		{self.Name(), "vsw-a", "a", "has no bridge for it"},
		{self.Name(), "b", "a", "has no bridge for it"},
	} {
		if err := link.Plug(test.namespace, test.vswitch, test.ifname); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Plug(%q, %q, %q) = %v, want an error with %q", test.namespace, test.vswitch, test.ifname, err, test.want)
		}
	}
	if err := link.EnsureBridge(self.Name(), "br0", netip.MustParsePrefix("192.0.2.1/24")); err != nil {
		t.Fatal(err)
	}
	if err := link.EnsureBridge(self.Name(), "br0", netip.MustParsePrefix("192.0.2.1/24")); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if err := link.Plug(self.Name(), "br0", "c"); err == nil || !strings.Contains(err.Error(), "no link of that name") {
		t.Errorf("Plug of a missing link: %v", err)
	}
	if err := link.EnsureBridge(self.Name(), "a", netip.Prefix{}); err == nil || !strings.Contains(err.Error(), "of kind veth") {
		t.Errorf("EnsureBridge on a veth: %v", err)
	}
}

// TestRemoveBridge: only a bridge that EnsureBridge has made is removed, and only without
// ports.
func TestRemoveBridge(t *testing.T) {
	self := nstest.New(t)
	nl := self.Netlink()
	if err := link.EnsureBridge(self.Name(), "ours", netip.MustParsePrefix("192.0.2.1/24")); err != nil {
		t.Fatal(err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "theirs"
	if err := nl.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		t.Fatal(err)
	}
	// One that was there before is not made theirs by being used.
	if err := link.EnsureBridge(self.Name(), "theirs", netip.Prefix{}); err != nil {
		t.Fatal(err)
	}
	nstest.Veth(t, self, "a", self, "b")
	ours, err := nl.LinkByName("ours")
	if err != nil {
		t.Fatal(err)
	}
	port, err := nl.LinkByName("a")
	if err != nil {
		t.Fatal(err)
	}
	there := func(want ...string) {
		t.Helper()
		for _, name := range []string{"ours", "theirs", "none"} {
			if err := link.RemoveBridge(self.Name(), name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, name := range []string{"ours", "theirs"} {
			if _, err := nl.LinkByName(name); (err == nil) != slices.Contains(want, name) {
				t.Errorf("%s: %v; there should be %v", name, err, want)
			}
		}
	}
	if err := nl.LinkSetMaster(port, ours); err != nil {
		t.Fatal(err)
	}
	there("ours", "theirs")
	if err := nl.LinkSetNoMaster(port); err != nil {
		t.Fatal(err)
	}
	there("theirs")
	if err := link.RemoveBridge("slt-none", "ours"); err != nil {
		t.Errorf("in a namespace that is not there: %v", err)
	}
}
