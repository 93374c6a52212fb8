package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"sluice/api/aliyun"
	"sluice/dataplane"
	"sluice/test/lab"
)

// network is a VPC of a test, with what the test has put into it. Everything
// is deleted through the API when the test ends, which has to work too.
type network struct {
	g                            *gateway
	region                       string
	vpc, routeTable              string
	switches                     []string
	nat, forwardTable, snatTable string
	hosts                        int
	unwatch                      func() // ends watchUplink
}

// host is a host of a network.
type host struct {
	endpoint
	name, instance string
}

// newNetwork makes a VPC with VSwitches and waits until they are there.
func (g *gateway) newNetwork(t *testing.T, cidr string, vswitches ...string) *network {
	t.Helper()
	return g.newNetworkIn(t, lab.DefaultRegion, cidr, vswitches...)
}

// newNetworkIn is newNetwork in one of the lab's regions.
func (g *gateway) newNetworkIn(t *testing.T, region, cidr string, vswitches ...string) *network {
	t.Helper()
	n := &network{g: g, region: region}
	made := n.call(t, "CreateVpc", "CidrBlock", cidr)
	n.vpc, n.routeTable = made["VpcId"].(string), made["RouteTableId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteVpc", "VpcId", n.vpc) })
	n.settled(t)
	for _, block := range vswitches {
		id := n.call(t, "CreateVSwitch", "VpcId", n.vpc, "ZoneId", region+"-a", "CidrBlock", block)["VSwitchId"].(string)
		n.switches = append(n.switches, id)
		t.Cleanup(func() { n.call(t, "DeleteVSwitch", "VSwitchId", id) })
	}
	n.settled(t)
	return n
}

// host adds a host to the i-th VSwitch.
func (n *network) host(t *testing.T, i int, ip string) *host {
	t.Helper()
	n.hosts++
	return n.g.plugHost(t, lab.HostOptions{Name: fmt.Sprintf("%s-%d", strings.TrimPrefix(n.vpc, "vpc-"), n.hosts), VSwitch: n.switches[i], Region: n.region, IP: netip.MustParseAddr(ip)})
}

// gateway makes the NAT gateway.
func (n *network) gateway(t *testing.T) {
	t.Helper()
	n.nat = n.call(t, "CreateNatGateway", "VpcId", n.vpc)["NatGatewayId"].(string)
	t.Cleanup(func() { n.try("DeleteNatGateway", "NatGatewayId", n.nat, "Force", "true") })
	n.settled(t)
	var list aliyun.DescribeNatGatewaysResponse
	n.into(t, &list, "DescribeNatGateways", "NatGatewayId", n.nat)
	g := list.NatGateways.NatGateway[0]
	n.forwardTable, n.snatTable = g.ForwardTableIds.ForwardTableId[0], g.SnatTableIds.SnatTableId[0]
}

// eip allocates an elastic IP.
func (n *network) eip(t *testing.T) (id string, address netip.Addr) {
	t.Helper()
	got := n.call(t, "AllocateEipAddress")
	id = got["AllocationId"].(string)
	t.Cleanup(func() { n.call(t, "ReleaseEipAddress", "AllocationId", id) })
	return id, netip.MustParseAddr(got["EipAddress"].(string))
}

// bind associates an elastic IP until the test ends.
func (n *network) bind(t *testing.T, id, kind, object string) {
	t.Helper()
	n.call(t, "AssociateEipAddress", "AllocationId", id, "InstanceType", kind, "InstanceId", object)
	t.Cleanup(func() {
		n.try("UnassociateEipAddress", "AllocationId", id, "InstanceType", kind, "InstanceId", object)
		n.settled(t)
	})
	n.settled(t)
}

// gatewayIP allocates an elastic IP and binds it to the NAT gateway.
func (n *network) gatewayIP(t *testing.T) netip.Addr {
	t.Helper()
	id, address := n.eip(t)
	n.bind(t, id, "Nat", n.nat)
	return address
}

// snat adds an SNAT entry until the test ends and waits for it.
func (n *network) snat(t *testing.T, sourceName, source string, pool ...netip.Addr) string {
	t.Helper()
	var ips []string
	for _, a := range pool {
		ips = append(ips, a.String())
	}
	id := n.call(t, "CreateSnatEntry", "SnatTableId", n.snatTable, sourceName, source, "SnatIp", strings.Join(ips, ","))["SnatEntryId"].(string)
	t.Cleanup(func() { n.try("DeleteSnatEntry", "SnatTableId", n.snatTable, "SnatEntryId", id) })
	n.settled(t)
	return id
}

// dnat adds a DNAT entry until the test ends and waits for it.
func (n *network) dnat(t *testing.T, ip netip.Addr, port, protocol, internal, internalPort string) string {
	t.Helper()
	id := n.call(t, "CreateForwardEntry", "ForwardTableId", n.forwardTable, "ExternalIp", ip.String(), "ExternalPort", port, "IpProtocol", protocol, "InternalIp", internal, "InternalPort", internalPort)["ForwardEntryId"].(string)
	t.Cleanup(func() { n.try("DeleteForwardEntry", "ForwardTableId", n.forwardTable, "ForwardEntryId", id) })
	n.settled(t)
	return id
}

func params(kv []string) map[string]string {
	p := map[string]string{"RegionId": lab.DefaultRegion}
	for i := 0; i < len(kv); i += 2 {
		p[kv[i]] = kv[i+1]
	}
	return p
}

// params are those of an action in the network's region, unless they name another one.
func (n *network) params(kv []string) map[string]string {
	if n.region == "" {
		return params(kv)
	}
	return params(append([]string{"RegionId", n.region}, kv...))
}

func (n *network) try(action string, kv ...string) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	body, err := n.g.client.Call(ctx, action, n.params(kv))
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	return answer, json.Unmarshal(body, &answer)
}

// call sends an action that has to succeed.
func (n *network) call(t *testing.T, action string, kv ...string) map[string]any {
	t.Helper()
	answer, err := n.try(action, kv...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func (n *network) into(t *testing.T, result any, action string, kv ...string) {
	t.Helper()
	if err := n.g.client.CallInto(context.Background(), action, n.params(kv), result); err != nil {
		t.Fatal(err)
	}
}

// refused sends an action that has to be refused and returns the code.
func (n *network) refused(t *testing.T, action string, kv ...string) string {
	t.Helper()
	answer, err := n.try(action, kv...)
	var refusal *aliyun.Error
	if !errors.As(err, &refusal) {
		t.Fatalf("%s was not refused: %v, %v", action, answer, err)
	}
	return refusal.Code
}

// settled waits until nothing of the network is in transition.
func (n *network) settled(t *testing.T) {
	t.Helper()
	eventually(t, "network "+n.vpc, func() string {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		status, err := n.g.networkStatus(ctx, n.vpc)
		switch {
		case err != nil:
			return err.Error()
		case status.Error != "":
			return status.Error
		case status.Applied < status.Wanted:
			return fmt.Sprintf("applied %d of %d", status.Applied, status.Wanted)
		}
		return ""
	})
}

// shortened checks that at least so many packets took the shortcut, or none
// where it is off.
func (n *network) shortened(t *testing.T, least uint64) {
	t.Helper()
	got := n.g.traffic(t, n.vpc)
	switch {
	case n.g.shortcut && got.Hits < least:
		t.Errorf("only %d packets took the shortcut, not %d: %+v", got.Hits, least, got)
	case !n.g.shortcut && got.Hits > 0:
		t.Errorf("%d packets took the shortcut, which is off", got.Hits)
	}
}

// addAddr gives a host one more address.
func (h *host) addAddr(t *testing.T, a netip.Addr) {
	t.Helper()
	inNamespace(t, h.namespace, func() error {
		link, err := netlink.LinkByName(lab.HostInterface)
		if err != nil {
			return err
		}
		return netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, 32))})
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}

func inNamespace(t *testing.T, namespace string, fn func() error) {
	t.Helper()
	if err := lab.In(namespace, fn); err != nil {
		t.Fatal(err)
	}
}

// short is a name that is the network's own, and fits into a link's.
func (n *network) short(name string) string { return strings.TrimPrefix(n.vpc, "vpc-")[:4] + name }

// machine adds a machine on the Internet until the test ends.
func (n *network) machine(t *testing.T, name string) *endpoint {
	t.Helper()
	return n.machineAt(t, name, netip.Addr{})
}

// machineAt is machine with an address.
func (n *network) machineAt(t *testing.T, name string, a netip.Addr) *endpoint {
	t.Helper()
	name = n.short(name)
	h, err := n.g.InternetAdd(t.Context(), name, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.g.HostRemove(context.Background(), name); err != nil {
			t.Error(err)
		}
	})
	return &endpoint{g: n.g, namespace: h.Namespace, addr: h.IP()}
}

// unplug takes a machine's link to the Internet, or to its VSwitch, down.
func (e *endpoint) unplug(t *testing.T) {
	t.Helper()
	inNamespace(t, e.namespace, func() error {
		link, err := netlink.LinkByName(lab.HostInterface)
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(link)
	})
}

// plug is one end of a cable: a link in a namespace, with an address.
type plug struct {
	namespace, name string
	address         netip.Prefix
}

// cable connects two machines by a link.
func cable(t *testing.T, one, other plug) {
	t.Helper()
	inNamespace(t, one.namespace, func() error {
		far, err := netns.GetFromName(other.namespace)
		if err != nil {
			return err
		}
		defer far.Close()
		attrs := netlink.NewLinkAttrs()
		attrs.Name = one.name
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: other.name, PeerNamespace: netlink.NsFd(far)})
	})
	for _, p := range []plug{one, other} {
		inNamespace(t, p.namespace, func() error {
			link, err := netlink.LinkByName(p.name)
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(p.address)}); err != nil {
				return err
			}
			return netlink.LinkSetUp(link)
		})
	}
}

// listen serves on a free port of the endpoint until the test ends.
func (e *endpoint) listen(t *testing.T, proto string) netip.AddrPort {
	t.Helper()
	return e.serve(t, proto, e.addr.String()+":0")
}

// echo is listen, for tests that need any one service.
func (e *endpoint) echo(t *testing.T, proto string) netip.AddrPort { return e.listen(t, proto) }

// linkMTU is that of hosts' links.
const linkMTU = 1500

// narrowMTU is that of the path to the host that behind makes.
const narrowMTU = 1300

// behind makes a host behind the Internet host, over a path of a smaller MTU.
func (e *endpoint) behind(t *testing.T) *endpoint {
	t.Helper()
	h, err := e.g.InternetAdd(context.Background(), "narrow", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.g.HostRemove(context.Background(), "narrow"); err != nil {
			t.Error(err)
		}
	})
	far := netip.MustParseAddr("198.51.100.9")
	// The Internet host routes to it and refuses to fragment.
	inNamespace(t, e.namespace, func() error {
		if err := writeSysctl("net/ipv4/ip_forward", "1"); err != nil {
			return err
		}
		link, err := netlink.LinkByName(lab.PublicBridge)
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Dst: ipNet(netip.PrefixFrom(far, 32)), Gw: h.IP().AsSlice(), LinkIndex: link.Attrs().Index, MTU: narrowMTU})
	})
	t.Cleanup(func() {
		inNamespace(t, e.namespace, func() error {
			return errors.Join(netlink.RouteDel(&netlink.Route{Dst: ipNet(netip.PrefixFrom(far, 32))}), writeSysctl("net/ipv4/ip_forward", "0"))
		})
	})
	inNamespace(t, h.Namespace, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(lo, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(far, 32))})
	})
	return &endpoint{g: e.g, namespace: h.Namespace, addr: far}
}

// pathMTU sends packets of size bytes that must not be fragmented until a
// smaller MTU of the path has been learned from an ICMP error, and returns it.
func (e *endpoint) pathMTU(t *testing.T, to netip.AddrPort, size int) int {
	t.Helper()
	c, err := e.dial("udp", e.addr, to, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	mtu := 0
	onSocket := func(fn func(fd int) error) {
		var inner error
		if err := errors.Join(raw.Control(func(fd uintptr) { inner = fn(int(fd)) }), inner); err != nil {
			t.Fatal(err)
		}
	}
	onSocket(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	})
	eventually(t, "path MTU", func() string {
		// Refused once the error has come.
		if _, err := c.Write(make([]byte, size-28)); errors.Is(err, syscall.EMSGSIZE) {
			onSocket(func(fd int) (err error) {
				mtu, err = unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU)
				return err
			})
			return ""
		}
		return "no error has come back"
	})
	return mtu
}

// What others might do to a network's namespace.

func (n *network) in(t *testing.T, fn func() error) {
	t.Helper()
	inNamespace(t, dataplane.Namespace(n.vpc), fn)
}

func (n *network) flushRuleset(t *testing.T) {
	n.in(t, func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		c.FlushRuleset()
		return c.Flush()
	})
}

func (n *network) hasTable() error {
	return lab.In(dataplane.Namespace(n.vpc), func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		_, err = c.ListTableOfFamily("sluice", nftables.TableFamilyIPv4)
		return err
	})
}

func (n *network) deleteAddress(t *testing.T, on string, a netip.Addr) {
	n.in(t, func() error {
		link, err := netlink.LinkByName(on)
		if err != nil {
			return err
		}
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		for _, have := range addrs {
			if have.IP.String() == a.String() {
				return netlink.AddrDel(link, &have)
			}
		}
		return fmt.Errorf("%s has no address %s to delete", on, a)
	})
}

func (n *network) deleteDefaultRoutes(t *testing.T) {
	n.in(t, func() error {
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return err
		}
		deleted := 0
		for _, r := range routes {
			if r.Dst == nil || r.Dst.IP.IsUnspecified() {
				if err := netlink.RouteDel(&r); err != nil {
					return err
				}
				deleted++
			}
		}
		if deleted == 0 {
			return errors.New("there is no default route to delete")
		}
		return nil
	})
}

func (n *network) deleteRules(t *testing.T) {
	n.in(t, func() error {
		rules, err := netlink.RuleList(netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		deleted := 0
		for _, r := range rules {
			if r.Priority > 0 && r.Priority < 32766 {
				if err := netlink.RuleDel(&r); err != nil {
					return err
				}
				deleted++
			}
		}
		if deleted == 0 {
			return errors.New("there is no routing rule to delete")
		}
		return nil
	})
}

func (n *network) linkDown(t *testing.T, name string) {
	n.in(t, func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(link)
	})
}

func (n *network) deleteLink(t *testing.T, name string) {
	n.in(t, func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	})
}

func (n *network) deleteNamespace(t *testing.T) {
	t.Helper()
	if err := netns.DeleteNamed(dataplane.Namespace(n.vpc)); err != nil {
		t.Fatal(err)
	}
}

// writeSysctl sets one in the thread's namespace.
func writeSysctl(path, value string) error {
	return os.WriteFile("/proc/sys/"+path, []byte(value), 0)
}
