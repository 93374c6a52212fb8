package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// HaVips are followed also where the VSwitch is no bridge of this machine: two hosts with Debian's
// keepalived are behind a switch at the far end of a device, and of a VXLAN. The first is master,
// dies without a word, and the second is followed; what is sent to the address arrives there.
func TestHaVipOverOtherLinks(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("keepalived"); err != nil {
		t.Skip(err)
	}
	s := newSite(t)
	addr := netip.MustParseAddr

	// The hosts' switches: a bridge in a namespace of its own, with a port to this machine.
	device, vxlan := nstest.New(t), nstest.New(t)
	nstest.Veth(t, s.public, "lan0", device, "port0")
	nstest.Veth(t, s.public, "under0", vxlan, "under0")
	nstest.Address(t, s.public, "under0", "192.0.2.1/24")
	nstest.Address(t, vxlan, "under0", "192.0.2.2/24")
	far := &netlink.Vxlan{LinkAttrs: netlink.NewLinkAttrs(), VxlanId: 42, Port: 4789, Learning: true,
		VtepDevIndex: nstest.Link(t, vxlan, "under0").Attrs().Index, Group: addr("192.0.2.1").AsSlice()}
	far.Name = "port0"
	if err := vxlan.Netlink().LinkAdd(far); err != nil {
		t.Fatal(err)
	}
	for _, ns := range []*netns.Namespace{device, vxlan} {
		nstest.Command(t, ns, "ip", "link", "add", "sw0", "type", "bridge")
		nstest.Command(t, ns, "ip", "link", "set", "port0", "master", "sw0")
		nstest.Up(t, ns, "port0")
		nstest.Up(t, ns, "sw0")
	}

	n := s.network(t)
	n.Switches[0].Attachment = dataplane.Attachment{Kind: dataplane.AttachDevice, Device: "lan0"}
	n.Switches[1].Attachment = dataplane.Attachment{Kind: dataplane.AttachVXLAN, Device: "under0", VNI: 42, Local: addr("192.0.2.1"), Remote: addr("192.0.2.2")}
	e := s.engine(t)
	for i, ns := range []*netns.Namespace{device, vxlan} {
		t.Run(string(n.Switches[i].Attachment.Kind), func(t *testing.T) { n = followsMaster(t, e, n, i, ns) })
	}
}

// HaVips are followed likewise behind 802.1Q.
func TestHaVipOverVLAN(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("keepalived"); err != nil {
		t.Skip(err)
	}
	s := newSite(t)
	far := nstest.New(t)
	nstest.Veth(t, s.public, "trunk0", far, "trunk0")
	nstest.Up(t, s.public, "trunk0")
	nstest.Up(t, far, "trunk0")
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = "port0", nstest.Link(t, far, "trunk0").Attrs().Index
	err := far.Netlink().LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: 12, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("this kernel has no 802.1Q links (CONFIG_VLAN_8021Q, module 8021q)")
	}
	if err != nil {
		t.Fatal(err)
	}
	nstest.Command(t, far, "ip", "link", "add", "sw0", "type", "bridge")
	nstest.Command(t, far, "ip", "link", "set", "port0", "master", "sw0")
	nstest.Up(t, far, "port0")
	nstest.Up(t, far, "sw0")
	n := s.network(t)
	n.Switches[0].Attachment = dataplane.Attachment{Kind: dataplane.AttachVLAN, Device: "trunk0", VLAN: 12}
	followsMaster(t, s.engine(t), n, 0, far)
}

// followsMaster plugs two hosts into the bridge sw0 of a namespace, behind one of a network's
// VSwitches, kills the master's keepalived, and returns the network with their HaVip.
func followsMaster(t *testing.T, e *Engine, n *dataplane.Network, vswitch int, ns *netns.Namespace) *dataplane.Network {
	t.Helper()
	at := func(host int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", vswitch+1, host)) }
	vip := at(100)
	var kill [2]func()
	h := dataplane.HaVip{Address: vip}
	for k := range 2 {
		host := nstest.New(t)
		nstest.Veth(t, host, "eth0", ns, fmt.Sprint("host", k))
		nstest.Command(t, ns, "ip", "link", "set", fmt.Sprint("host", k), "master", "sw0")
		nstest.Up(t, ns, fmt.Sprint("host", k))
		nstest.Address(t, host, "eth0", at(11+k).String()+"/24")
		nstest.Default(t, host, at(253).String())
		nstest.Listen(t, host, 8080)
		h.Hosts = append(h.Hosts, dataplane.HaVipHost{Address: at(11 + k), MAC: nstest.Link(t, host, "eth0").Attrs().HardwareAddr.String()})
		kill[k] = keepalived(t, host, 150-50*k, vip)
	}
	next := *n
	next.Revision++
	next.HaVips = append(next.HaVips, h)
	mustApply(t, e, &next)
	inside := inNetwork(t, next.ID)
	seen := func(k int) {
		t.Helper()
		nstest.Eventually(t, func() error {
			if got := e.HaVips(next.ID)[vip]; got.Host != at(11+k) || got.MAC != h.Hosts[k].MAC {
				return fmt.Errorf("it is seen at %+v, not at %s", got, at(11+k))
			}
			c, err := nstest.Dial(inside, "tcp4", vip.String()+":8080")
			if err != nil {
				return err
			}
			return c.Close()
		})
	}
	seen(0)
	kill[0]()
	// It has the address still, as a host that hangs has.
	seen(1)
	return &next
}

// keepalived runs Debian's keepalived in a host, which has an address as long as no other one
// with a higher priority says that it has, until the function that it returns kills it.
func keepalived(t *testing.T, host *netns.Namespace, priority int, vip netip.Addr) (kill func()) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "keepalived.conf")
	conf := fmt.Sprintf(`global_defs {
	vrrp_version 3
}
vrrp_instance web {
	state BACKUP
	interface eth0
	virtual_router_id 51
	priority %d
	advert_int 0.2
	virtual_ipaddress {
		%s/24
	}
}
`, priority, vip)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("keepalived", "--dont-fork", "--vrrp", "--log-console", "--use-file", file,
		"--pid", filepath.Join(dir, "pid"), "--vrrp_pid", filepath.Join(dir, "vrrp.pid"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := host.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	kill = func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); <-ended }
	t.Cleanup(kill)
	return kill
}
