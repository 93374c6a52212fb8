package compile_test

import (
	"cmp"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/compile"
	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/dataplane"
)

var update = flag.Bool("update", false, "write the golden files anew")

// world is one VPC with everything that compilation decides about.
func gateway() *resource.NATGateway { return nattest.Gateway("ngw-a", "vpc-a") }

func vpc() []resource.Resource {
	return []resource.Resource{
		nattest.VPC("vpc-a", "10.0.0.0/16"),
		nattest.VSwitch("vsw-2", "vpc-a", "10.0.2.0/24"),
		nattest.VSwitch("vsw-1", "vpc-a", "10.0.1.0/24"),
	}
}

func nextHop(kind resource.NextHopType, id string, weight int) resource.NextHop {
	return resource.NextHop{Type: kind, ID: id, Weight: weight}
}

var defaultRoute = nattest.Route("vpc-a", "0.0.0.0/0", nextHop(resource.NextHopNATGateway, "ngw-a", 0))

func onGateway(id, ip string) *resource.ElasticIP {
	return nattest.ElasticIP(id, ip, "vpc-a", resource.BoundToNATGateway, "ngw-a")
}

// golden is a world and the name of the file that holds its network.
type golden struct {
	name      string
	network   string // empty: that of vpc-a
	resources func() []resource.Resource
	settings  func(*settings.Settings)
}

var cases = []golden{
	{name: "bare", resources: vpc},
	{name: "instances", resources: func() []resource.Resource {
		known := func(id, vswitch, ip string, kind resource.InstanceKind, mac string, own *dataplane.Limits) *resource.Instance {
			i := nattest.Instance(id, "vpc-a", vswitch, ip, kind)
			i.MAC, i.Limits = mac, own
			return i
		}
		return append(vpc(),
			known("i-1", "vsw-1", "10.0.1.9", resource.Host, "02:00:00:00:00:09", &dataplane.Limits{Connections: 500, NewPerSecond: 50}),
			known("i-2", "vsw-1", "10.0.1.8", resource.Host, "02:00:00:00:00:08", nil),
			known("i-3", "vsw-1", "10.0.1.7", resource.Host, "", &dataplane.Limits{}),
			known("i-4", "vsw-2", "10.0.2.5", resource.Host, "02:00:00:00:00:05", nil), // may move
			nattest.HaVip("havip-1", "vpc-a", "vsw-1", "10.0.1.6", "i-2", "i-1"),
			nattest.HaVip("havip-2", "vpc-a", "vsw-1", "10.0.1.5", "i-1", "i-3"), // of i-3 it is not known where it is
			nattest.HaVip("havip-3", "vpc-a", "vsw-1", "10.0.1.4"),
			nattest.HaVip("havip-4", "vpc-a", "vsw-2", "10.0.2.6", "i-4"),
			nattest.HaVip("havip-5", "vpc-a", "vsw-2", "10.0.9.6", "i-4"), // in no VSwitch
		)
	}, settings: func(s *settings.Settings) {
		s.PortSecurity, s.SourceCheck, s.HostShare = true, true, 50
		s.Attachments = append(s.Attachments, settings.Attachment{VSwitch: "vsw-2", MovesAddresses: true, Link: dataplane.Attachment{Kind: dataplane.AttachBridge}})
	}},
	{name: "dhcp", resources: func() []resource.Resource {
		at := func(x *resource.NetworkInterface, instance, mac string) *resource.NetworkInterface {
			x.Instance, x.MAC = instance, mac
			return x
		}
		list := append(vpc(),
			at(nattest.Interface("eni-1", "vpc-a", "vsw-1", "10.0.1.9", "10.0.1.3"), "i-1", "02:00:00:00:00:09"), // the first one is told
			at(nattest.Interface("eni-2", "vpc-a", "vsw-2", "10.0.2.4"), "i-1", "02:00:00:00:00:0a"),
			at(nattest.Interface("eni-3", "vpc-a", "vsw-1", "10.0.1.4"), "", "02:00:00:00:00:0b"), // at no host
			at(nattest.Interface("eni-4", "vpc-a", "vsw-1", "10.0.1.5"), "i-2", ""),               // not known where
		)
		list[0].(*resource.VPC).DNSServers, list[0].(*resource.VPC).DomainName = []netip.Addr{netip.MustParseAddr("10.0.0.53")}, "office.example"
		return list
	}, settings: func(s *settings.Settings) { s.DHCP = true }},
	{name: "classic", resources: func() []resource.Resource {
		list := slices.Concat(vpc(), nattest.ClassicLink("ins-b", "vpc-a", "10.200.0.9", "02:00:00:00:00:09"), nattest.ClassicLink("ins-a", "vpc-a", "10.200.0.5", ""),
			nattest.ClassicLink("ins-c", "vpc-b", "10.200.0.6", ""))
		list[0].(*resource.VPC).ClassicAddress = netip.MustParseAddr("10.200.0.250")
		return list
	}},
	{name: "accelerated", resources: accelerated},
	{name: "acceleration", network: "ga-5", resources: accelerated, settings: func(s *settings.Settings) { s.SourceCheck, s.HostShare, s.PortSecurity = true, 50, true }},
	{name: "acceleration-not-held", network: "ga-4", resources: accelerated, settings: func(s *settings.Settings) { s.Bandwidth.Held = false }},
	{name: "acceleration-without-backend", network: "ga-1", resources: accelerated},
	{name: "acceleration-without-public-network", network: "ga-5", resources: accelerated, settings: func(s *settings.Settings) { s.Public[0].Regions = []string{"cn-beijing"} }},
	{name: "vpc-without-vswitch", resources: func() []resource.Resource {
		return []resource.Resource{nattest.VPC("vpc-a", "192.168.0.0/16")}
	}},
	{name: "gateway-alone", resources: func() []resource.Resource {
		return append(vpc(), gateway(), defaultRoute)
	}},
	{name: "no-public-network", resources: func() []resource.Resource {
		return append(vpc(), gateway(), defaultRoute, onGateway("eip-1", "203.0.113.10"),
			nattest.SNAT("snat-1", gateway(), "vsw-1", "10.0.1.0/24", "203.0.113.10"))
	}, settings: func(s *settings.Settings) { s.Public[0].Regions = []string{"cn-beijing"} }},
	{name: "snat", resources: func() []resource.Resource {
		return append(vpc(), gateway(), defaultRoute,
			onGateway("eip-1", "203.0.113.12"), onGateway("eip-2", "203.0.113.11"), onGateway("eip-3", "203.0.113.13"),
			nattest.SNAT("snat-1", gateway(), "vsw-2", "10.0.2.0/24", "203.0.113.12", "203.0.113.11"),
			nattest.SNAT("snat-2", gateway(), "vsw-1", "10.0.1.7/32", "203.0.113.12"),
			nattest.SNAT("snat-3", gateway(), "vsw-1", "10.0.1.9/32", "203.0.113.99")) // no longer on the gateway
	}},
	{name: "two-gateways", resources: func() []resource.Resource {
		other := nattest.Gateway("ngw-c", "vpc-a")
		other.Limits, other.ByUse, other.EchoReply = dataplane.Limits{}, true, true
		inTable := func(table string, e *resource.RouteEntry) *resource.RouteEntry {
			e.Table, e.ID = table, resource.RouteEntryID(table, e.Destination)
			return e
		}
		others := nattest.VSwitch("vsw-2", "vpc-a", "10.0.2.0/24")
		others.RouteTable = "vtb-x"
		return append(vpc()[:1], nattest.VSwitch("vsw-1", "vpc-a", "10.0.1.0/24"), others, gateway(), other, defaultRoute,
			inTable("vtb-x", nattest.Route("vpc-a", "0.0.0.0/0", nextHop(resource.NextHopNATGateway, "ngw-c", 0))),
			nattest.SNAT("snat-3", gateway(), "vsw-2", "10.0.2.0/24", "203.0.113.12"), // its route table leads to the other one
			nattest.SNAT("snat-4", other, "vsw-1", "10.0.1.0/24", "203.0.113.13"),     // likewise
			onGateway("eip-1", "203.0.113.12"), onGateway("eip-2", "203.0.113.11"),
			nattest.ElasticIP("eip-3", "203.0.113.14", "vpc-a", resource.BoundToNATGateway, "ngw-c"),
			nattest.ElasticIP("eip-4", "203.0.113.13", "vpc-a", resource.BoundToNATGateway, "ngw-c"),
			nattest.SNAT("snat-1", gateway(), "vsw-1", "10.0.1.0/24", "203.0.113.12"),
			nattest.SNAT("snat-2", other, "vsw-2", "10.0.2.0/24", "203.0.113.13", "203.0.113.12"), // the latter is not on it
			nattest.Forward("fwd-1", gateway(), resource.TCP, "203.0.113.11:80", "10.0.1.5:80"),
			nattest.Forward("fwd-2", other, resource.TCP, "203.0.113.14:80", "10.0.1.5:80"),
			nattest.Forward("fwd-3", other, resource.TCP, "203.0.113.11:81", "10.0.1.5:80")) // likewise
	}},
	{name: "dnat", resources: func() []resource.Resource {
		return append(vpc(), gateway(), defaultRoute, onGateway("eip-1", "203.0.113.12"), onGateway("eip-2", "203.0.113.11"),
			nattest.Instance("i-slb", "vpc-a", "vsw-1", "10.0.1.50", resource.LoadBalancer),
			nattest.HaVip("i-ha", "vpc-a", "vsw-1", "10.0.1.51"),
			nattest.Instance("i-rds", "vpc-a", "vsw-1", "10.0.1.52", resource.Database),
			nattest.Instance("i-ecs", "vpc-a", "vsw-1", "10.0.1.53", resource.Host),
			nattest.Forward("fwd-1", gateway(), resource.TCP, "203.0.113.12:80", "10.0.1.5:8080"),
			nattest.Forward("fwd-2", gateway(), resource.UDP, "203.0.113.12:53", "10.0.2.5:53"),
			nattest.Forward("fwd-3", gateway(), resource.TCP, "203.0.113.12:22", "10.0.1.53:22"),
			nattest.Forward("fwd-4", gateway(), resource.AnyProtocol, "203.0.113.12:0", "10.0.1.6:0"),
			nattest.Forward("fwd-5", gateway(), resource.AnyProtocol, "203.0.113.11:0", "10.0.1.7:0"),
			// Without effect: no ECS instance can be there.
			nattest.Forward("fwd-6", gateway(), resource.TCP, "203.0.113.12:1", "10.0.1.50:1"),
			nattest.Forward("fwd-7", gateway(), resource.TCP, "203.0.113.12:2", "10.0.1.51:1"),
			nattest.HaVip("i-ha2", "vpc-a", "vsw-1", "10.0.1.54", "i-ecs"), // one can
			nattest.Forward("fwd-90", gateway(), resource.TCP, "203.0.113.12:9", "10.0.1.54:9"),
			nattest.Forward("fwd-8", gateway(), resource.TCP, "203.0.113.12:3", "10.0.1.52:1"),
			nattest.Forward("fwd-9", gateway(), resource.TCP, "203.0.113.12:4", "10.0.3.1:1"),   // no VSwitch
			nattest.Forward("fwd-a", gateway(), resource.TCP, "203.0.113.12:5", "10.0.1.253:1"), // the VSwitch's gateway
			nattest.Forward("fwd-b", gateway(), resource.TCP, "203.0.113.12:6", "10.0.1.0:1"),
			nattest.Forward("fwd-c", gateway(), resource.TCP, "203.0.113.12:7", "10.0.1.255:1"),
			nattest.Forward("fwd-d", gateway(), resource.TCP, "203.0.113.99:8", "10.0.1.8:1")) // no longer on the gateway
	}},
	{name: "dnat-ports", resources: func() []resource.Resource {
		ports := func(e *resource.ForwardEntry, last, lastInside uint16, shares bool) *resource.ForwardEntry {
			e.ExternalLast, e.InternalLast, e.Shares = last, lastInside, shares
			return e
		}
		return append(vpc(), gateway(), defaultRoute, onGateway("eip-1", "203.0.113.12"),
			ports(nattest.Forward("fwd-1", gateway(), resource.UDP, "203.0.113.12:10000", "10.0.1.5:80"), 10003, 83, true),
			ports(nattest.Forward("fwd-2", gateway(), resource.TCP, "203.0.113.12:10001", "10.0.1.6:80"), 10001, 80, true),
			ports(nattest.Forward("fwd-3", gateway(), resource.TCP, "203.0.113.12:10002", "10.0.1.50:80"), 10003, 81, false), // without effect: nobody is there
			nattest.Instance("i-slb", "vpc-a", "vsw-1", "10.0.1.50", resource.LoadBalancer),
			nattest.SNAT("snat-1", gateway(), "vsw-1", "10.0.1.0/24", "203.0.113.12"))
	}},
	{name: "elastic-ip-wins", resources: func() []resource.Resource {
		return append(vpc(), gateway(), defaultRoute, onGateway("eip-1", "203.0.113.12"), onGateway("eip-2", "203.0.113.11"),
			nattest.Instance("i-1", "vpc-a", "vsw-1", "10.0.1.5", resource.Host),
			nattest.Instance("i-2", "vpc-a", "vsw-2", "10.0.2.5", resource.Host),
			nattest.HaVip("i-ha", "vpc-a", "vsw-2", "10.0.2.6"),
			nattest.ElasticIP("eip-own", "203.0.113.30", "vpc-a", resource.BoundToHost, "i-1"),
			nattest.ElasticIP("eip-own2", "203.0.113.20", "vpc-a", resource.BoundToHost, "i-2"),
			nattest.ElasticIP("eip-ha", "203.0.113.25", "vpc-a", resource.BoundToVirtualIP, "i-ha"),
			nattest.ElasticIP("eip-gone", "203.0.113.40", "vpc-a", resource.BoundToHost, "i-gone"),
			nattest.ElasticIP("eip-was", "203.0.113.41", "vpc-a", "", ""),
			nattest.ElasticIP("eip-other", "203.0.113.42", "vpc-a", resource.BoundToNATGateway, "ngw-other"),
			nattest.Forward("fwd-1", gateway(), resource.TCP, "203.0.113.12:80", "10.0.1.5:80"),
			nattest.Forward("fwd-2", gateway(), resource.TCP, "203.0.113.12:81", "10.0.1.6:80"),
			nattest.SNAT("snat-1", gateway(), "vsw-1", "10.0.1.0/24", "203.0.113.11"),
			nattest.SNAT("snat-2", gateway(), "vsw-2", "10.0.2.5/32", "203.0.113.11"))
	}},
	{name: "elastic-ip-without-gateway", resources: func() []resource.Resource {
		return append(vpc(),
			nattest.Instance("i-1", "vpc-a", "vsw-1", "10.0.1.5", resource.Host),
			nattest.ElasticIP("eip-own", "203.0.113.30", "vpc-a", resource.BoundToHost, "i-1"))
	}},
	{name: "bandwidths", resources: func() []resource.Resource {
		with := func(mbit int, e *resource.ElasticIP) *resource.ElasticIP { e.Bandwidth = mbit; return e }
		part := func(id string, e *resource.ElasticIP) *resource.ElasticIP { e.NATPackage = id; return e }
		in := func(id string, most int, e *resource.ElasticIP) *resource.ElasticIP {
			e.Package, e.Cap = id, most
			return e
		}
		return append(vpc(), gateway(), defaultRoute, vpnGateway(),
			with(200, onGateway("eip-2", "203.0.113.12")), with(11, onGateway("eip-1", "203.0.113.13")),
			nattest.Instance("i-1", "vpc-a", "vsw-1", "10.0.1.5", resource.Host),
			with(1, nattest.ElasticIP("eip-own", "203.0.113.30", "vpc-a", resource.BoundToHost, "i-1")),
			with(7, nattest.ElasticIP("eip-was", "203.0.113.41", "vpc-a", "", "")),
			nattest.CommonPackage("cbwp-1", 40), nattest.CommonPackage("cbwp-2", 15), nattest.CommonPackage("cbwp-3", 50),
			in("cbwp-1", 0, onGateway("eip-4", "203.0.113.15")), in("cbwp-1", 0, onGateway("eip-3", "203.0.113.14")), in("cbwp-1", 3, onGateway("eip-5", "203.0.113.16")),
			nattest.NATPackage("bwp-1", gateway(), 33), part("bwp-1", onGateway("nateip-1", "203.0.113.19")), part("bwp-1", onGateway("nateip-2", "203.0.113.18")),
			in("cbwp-2", 30, onGateway("eip-6", "203.0.113.17")),
			in("cbwp-3", 0, nattest.ElasticIP("eip-7", "203.0.113.42", "vpc-a", "", "")))
	}, settings: func(s *settings.Settings) { s.Bandwidth.InboundLeast = 20 }},
	{name: "bandwidths-not-held", resources: func() []resource.Resource {
		return append(vpc(), gateway(), defaultRoute, onGateway("eip-1", "203.0.113.12"))
	}, settings: func(s *settings.Settings) { s.Bandwidth.Held = false }},
	{name: "routes", resources: func() []resource.Resource {
		return append(vpc(), gateway(), defaultRoute,
			nattest.Instance("i-1", "vpc-a", "vsw-1", "10.0.1.5", resource.Host),
			nattest.Instance("i-2", "vpc-a", "vsw-2", "10.0.2.4", resource.Host),
			nattest.HaVip("i-ha", "vpc-a", "vsw-2", "10.0.2.6"),
			nattest.Instance("i-lost", "vpc-a", "vsw-9", "10.0.9.6", resource.Host),
			nattest.Route("vpc-a", "172.16.0.0/12", nextHop(resource.NextHopHost, "i-1", 0)),
			nattest.Route("vpc-a", "172.16.0.0/16", nextHop(resource.NextHopVirtualIP, "i-ha", 0)),
			nattest.Route("vpc-a", "192.168.0.0/16", nextHop(resource.NextHopHost, "i-2", 30), nextHop(resource.NextHopHost, "i-1", 10), nextHop(resource.NextHopHost, "i-gone", 5)),
			nattest.Route("vpc-a", "192.168.9.0/24", nextHop(resource.NextHopHost, "i-gone", 0)),
			nattest.Route("vpc-a", "192.168.8.0/24", nextHop(resource.NextHopHost, "i-lost", 0)),
			nattest.Route("vpc-a", "192.168.7.0/24", nextHop(resource.NextHopTunnel, "tun-1", 0)))
	}},
	{name: "route-tables", resources: func() []resource.Resource {
		inTable := func(table string, e *resource.RouteEntry) *resource.RouteEntry {
			e.Table, e.ID = table, resource.RouteEntryID(table, e.Destination)
			return e
		}
		bound := func(id, cidr, table string) *resource.VSwitch {
			x := nattest.VSwitch(id, "vpc-a", cidr)
			x.RouteTable = table
			return x
		}
		return append(vpc(), gateway(), defaultRoute,
			bound("vsw-9", "10.0.9.0/24", "vtb-x"), bound("vsw-8", "10.0.8.0/24", "vtb-x"), bound("vsw-7", "10.0.7.0/24", "vtb-lonely"), bound("vsw-6", "10.0.6.0/24", "vtb-a"),
			nattest.Instance("i-1", "vpc-a", "vsw-1", "10.0.1.5", resource.Host),
			nattest.Route("vpc-a", "192.168.0.0/16", nextHop(resource.NextHopHost, "i-1", 0)),
			inTable("vtb-x", nattest.Route("vpc-a", "0.0.0.0/0", nextHop(resource.NextHopHost, "i-1", 0))),
			inTable("vtb-x", nattest.Route("vpc-a", "172.16.0.0/12", nextHop(resource.NextHopNATGateway, "ngw-a", 0))),
			inTable("vtb-unused", nattest.Route("vpc-a", "172.16.0.0/12", nextHop(resource.NextHopHost, "i-1", 0))))
	}},
	{name: "secondary-cidr", resources: func() []resource.Resource {
		all := append(vpc(), gateway(), defaultRoute, onGateway("eip-1", "203.0.113.12"), onGateway("eip-2", "203.0.113.13"),
			nattest.VSwitch("vsw-3", "vpc-a", "192.168.64.0/24"),
			nattest.SNAT("snat-1", gateway(), "vsw-3", "192.168.64.0/24", "203.0.113.12"),
			nattest.Forward("fwd-1", gateway(), resource.TCP, "203.0.113.13:80", "192.168.64.5:80"))
		all[0].(*resource.VPC).Secondary = []netip.Prefix{netip.MustParsePrefix("192.168.64.0/20"), netip.MustParsePrefix("172.16.0.0/16")}
		return all
	}},
	{name: "attachments", resources: func() []resource.Resource {
		named := nattest.VSwitch("vsw-3", "vpc-a", "10.0.3.0/29")
		named.Name = "dmz"
		return append(vpc(), named, nattest.VSwitch("vsw-4", "vpc-a", "10.0.4.0/24"))
	}, settings: func(s *settings.Settings) {
		s.Attachments = []settings.Attachment{
			{VSwitch: "vsw-1", Link: dataplane.Attachment{Kind: dataplane.AttachVLAN, Device: "eth1", VLAN: 42}},
			{Account: "someone-else", VSwitch: "dmz", Link: dataplane.Attachment{Kind: dataplane.AttachDevice, Device: "theirs"}},
			{VSwitch: "dmz", CIDR: netip.MustParsePrefix("10.9.9.0/24"), Link: dataplane.Attachment{Kind: dataplane.AttachDevice, Device: "wrong"}},
			{Account: nattest.Account, VSwitch: "dmz", Link: dataplane.Attachment{Kind: dataplane.AttachDevice, Device: "eth2"}},
			{CIDR: netip.MustParsePrefix("10.0.4.0/24"), Link: dataplane.Attachment{Kind: dataplane.AttachVXLAN, Device: "eth3", VNI: 7, Remote: netip.MustParseAddr("198.51.100.7"), MTU: 1450}},
		}
		s.Timeouts = dataplane.Timeouts{} // none set: the RFCs' own
	}},
}

// linked are the two ends of a link from vpc-a to vpc-b: the first initiates with 50 Mbit/s, if
// that is said, else the second.
func linked(id, peer string, initiates bool, here, there resource.LinkStep) []resource.Resource {
	ends := []*resource.RouterInterface{nattest.RouterInterface(id, "vpc-a"), nattest.RouterInterface(peer, "vpc-b")}
	for i, step := range []resource.LinkStep{here, there} {
		r := ends[i]
		if r.Initiates = initiates == (i == 0); r.Initiates {
			r.Bandwidth = 50
		}
		if step != "" {
			r.Link = &resource.InterfaceLink{Peer: ends[1-i].ID, Network: ends[1-i].VPC, Step: step}
		}
	}
	return []resource.Resource{ends[0], ends[1]}
}

func init() {
	const up, down = resource.LinkConnected, resource.LinkDeactivated
	cases = append(cases, golden{name: "router-interfaces", resources: func() []resource.Resource {
		list := append(vpc(), nattest.Route("vpc-a", "192.168.0.0/16", nextHop(resource.NextHopRouterInterface, "ri-up", 0)),
			nattest.Route("vpc-a", "192.168.1.0/24", nextHop(resource.NextHopRouterInterface, "ri-down", 0)),
			nattest.Route("vpc-a", "192.168.2.0/24", nextHop(resource.NextHopRouterInterface, "ri-idle", 3), nextHop(resource.NextHopRouterInterface, "ri-accepts", 2)),
			nattest.Route("vpc-a", "192.168.3.0/24", nextHop(resource.NextHopRouterInterface, "ri-gone", 0)))
		list = append(list, linked("ri-up", "ri-up-b", true, up, resource.LinkActivated)...)
		list = append(list, linked("ri-accepts", "ri-accepts-b", false, up, up)...)
		list = append(list, linked("ri-down", "ri-down-b", true, down, up)...)
		list = append(list, linked("ri-peer-down", "ri-peer-down-b", true, up, down)...)
		list = append(list, linked("ri-idle", "ri-idle-b", true, "", "")...)
		list = append(list, linked("ri-one-sided", "ri-one-sided-b", true, up, "")...)
		for _, r := range list {
			if r, ok := r.(*resource.RouterInterface); ok && r.ID == "ri-accepts" {
				r.Check = &resource.InterfaceCheck{Source: netip.MustParseAddr("10.0.1.99"), Target: netip.MustParseAddr("192.168.2.1")}
			}
		}
		return list
	}})
}

// accelerated returns a VPC with the backends of global acceleration instances, of
// which the last has left its one, and the one before that has never had any.
func accelerated() []resource.Resource {
	out := append(vpc(), nattest.Instance("i-1", "vpc-a", "vsw-1", "10.0.1.9", resource.Host), nattest.Instance("lb-1", "vpc-a", "vsw-2", "10.0.2.9", resource.LoadBalancer))
	for i, backend := range []*resource.AccelerationBackend{
		{Type: resource.Host, ID: "i-1", Region: nattest.Region, Address: netip.MustParseAddr("10.0.1.9")},
		{Type: resource.LoadBalancer, ID: "lb-1", Region: nattest.Region, Address: netip.MustParseAddr("10.0.2.9")},
		{Type: resource.Host, ID: "i-1", Region: nattest.Region, Address: netip.MustParseAddr("10.0.1.9")},
		nil, nil,
	} {
		a := nattest.Acceleration(fmt.Sprintf("ga-%d", 5-i), fmt.Sprintf("203.0.113.%d", 100+i))
		if a.Backend = backend; i != 3 {
			a.VPC = "vpc-a"
		}
		out = append(out, a)
	}
	return out
}

func TestGolden(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := nattest.New(t)
			if c.settings != nil {
				c.settings(w.Settings)
			}
			w.Put(c.resources()...)
			// Another VPC with the same addresses leaves no trace.
			w.Put(nattest.VPC("vpc-b", "10.0.0.0/16"), nattest.VSwitch("vsw-b", "vpc-b", "10.0.1.0/24"), nattest.Gateway("ngw-b", "vpc-b"),
				nattest.Instance("i-b", "vpc-b", "vsw-b", "10.0.1.6", resource.Database))
			id := cmp.Or(c.network, "vpc-a")
			n, err := compile.Network(w.DB.View(), w.Settings, id, unseal)
			if err != nil {
				t.Fatal(err)
			}
			if n.Revision != 2 {
				t.Errorf("revision %d, want that of the view, 2", n.Revision)
			}
			file := filepath.Join("testdata", c.name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(text(n)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := text(n); got != string(want) {
				t.Errorf("network:\n%s\nwant:\n%s", got, want)
			}

			// The same again from a store that was loaded anew, in whatever order.
			w.Reopen()
			again, err := compile.Network(w.DB.View(), w.Settings, id, unseal)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(n, again) {
				t.Errorf("another network from the same resources:\n%s", text(again))
			}
		})
	}
}

func TestContradictionsAreRefused(t *testing.T) {
	base := append(vpc(), gateway(), onGateway("eip-1", "203.0.113.12"), onGateway("eip-2", "203.0.113.11"))
	for name, c := range map[string]struct {
		resources []resource.Resource
		want      string
	}{
		"same tuple": {[]resource.Resource{
			nattest.Forward("fwd-1", gateway(), resource.TCP, "203.0.113.12:80", "10.0.1.5:80"),
			nattest.Forward("fwd-2", gateway(), resource.TCP, "203.0.113.12:80", "10.0.1.6:80"),
		}, "two DNAT entries for 203.0.113.12"},
		"overlapping sources": {[]resource.Resource{
			nattest.SNAT("snat-1", gateway(), "vsw-1", "10.0.1.0/24", "203.0.113.12"),
			nattest.SNAT("snat-2", gateway(), "vsw-1", "10.0.1.9/32", "203.0.113.12"),
		}, "SNAT sources 10.0.1.0/24 and 10.0.1.9/32 overlap"},
		"SNAT and DNAT": {[]resource.Resource{
			nattest.Forward("fwd-1", gateway(), resource.TCP, "203.0.113.12:80", "10.0.1.5:80"),
			nattest.SNAT("snat-1", gateway(), "vsw-1", "10.0.1.0/24", "203.0.113.12"),
		}, "203.0.113.12 is used by SNAT entry snat-1 and by a DNAT entry"},
	} {
		t.Run(name, func(t *testing.T) {
			w := nattest.New(t)
			w.Put(base...)
			w.Put(c.resources...)
			n, err := compile.Network(w.DB.View(), w.Settings, "vpc-a", nil)
			if err == nil || n != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v; want an error with %q", n, err, c.want)
			}
		})
	}
	w := nattest.New(t)
	if _, err := compile.Network(w.DB.View(), w.Settings, "vpc-a", nil); err == nil {
		t.Error("no error for a VPC that isn't there")
	}
}
