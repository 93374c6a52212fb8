package state

import (
	"slices"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// Kind is what the control plane has to know of a kind of resource beside its
// struct. It is registered once, in kinds; from that follow the table and its
// indexes, the list of kinds in the store, Own, Ready, Blocked, Taggable, and the
// quotas and their configuration.
type Kind[R resource.Resource] struct {
	Name    resource.Kind
	Noun    string // for details: "NAT gateway"
	Table   func(*View) **Table[R]
	Indexes []Index[R]

	NotFound     fault.Reason // there is none of that id, or it is another account's
	InTransition fault.Reason // the dataplane is still making, changing or deleting one
	Tags         bool         // whether one may have tags, and is in a resource group
	// GroupOf returns the resource in whose resource group one is, as a part of that; nil:
	// one has a group of its own.
	GroupOf func(*View, R) resource.Resource
	Quotas  []Quota[R]
	// Bounded says why there can't be any number of them, where no quota counts them:
	// whatever a client may make has a bound.
	Bounded string

	// Decides returns the networks for which one matters: what is compiled of them may
	// depend on it. nil: its own, if it has one.
	Decides func(*View, R) []string

	// Refers calls to for each resource that there has to be while there is this one, but
	// for its account; nil: none. An empty id is none.
	Refers func(r R, to func(resource.Kind, string))

	// Blocks is what bars the deletion of a resource of another kind.
	Blocks []Block[R]
	// Barred are the reasons of the Blocks that bar the deletion of one of this
	// kind, in the order in which they are told.
	Barred []fault.Reason
}

// Block says which resources bar the deletion of one of another kind: those that
// an index has under its id, or, with Keep, some of those that it has under the id
// of its network.
type Block[R resource.Resource] struct {
	Of     resource.Kind
	Reason fault.Reason
	Index  string
	Within bool                                 // under the id of its network
	Keep   func(r R, of resource.Resource) bool // nil: all
}

// kinds are all kinds of resource.
var kinds = append([]registered{
	Kind[*resource.VPC]{
		Name: resource.KindVPC, Noun: "VPC", Table: func(v *View) **Table[*resource.VPC] { return &v.VPCs },
		Indexes:  []Index[*resource.VPC]{byAccount[*resource.VPC](), byRegion[*resource.VPC]()},
		NotFound: fault.VPCNotFound, InTransition: fault.VPCInTransition, Tags: true,
		Quotas: []Quota[*resource.VPC]{
			{Name: "vpcs", Default: 10, Counts: "VPCs of an account in a region", Reason: fault.QuotaVPC, Index: ByRegion}, // not documented
			{Name: "secondary_cidrs", Default: 5, Counts: "secondary CIDR blocks of a VPC", Reason: fault.QuotaSecondaryCIDR, // of today's API
				Parts: func(v *resource.VPC) int { return len(v.Secondary) }},
			{Name: "user_cidrs", Default: 3, Counts: "user-side networks of a VPC", Reason: fault.UserCIDRQuota, // VPC API reference, CreateVpc
				Parts: func(v *resource.VPC) int { return len(v.UserCIDRs) }}},
		Barred: []fault.Reason{fault.VPCHasRouteEntries, fault.VPCHasNATGateway, fault.VPCHasVPNGateway, fault.VPCHasRouterInterfaces, fault.VPCHasClassicLinks, fault.VPCHasInstances, fault.VPCHasVSwitches, fault.VPCHasRouteTables},
		Refers: func(v *resource.VPC, to func(resource.Kind, string)) {
			to(resource.KindVRouter, v.VRouter)
			to(resource.KindRouteTable, v.RouteTable)
		},
	},
	Kind[*resource.DeletedNetwork]{
		Name: resource.KindDeletedNetwork, Noun: "deleted network", Table: func(v *View) **Table[*resource.DeletedNetwork] { return &v.DeletedNetworks },
		Bounded: "one goes with what is left of its network",
	},
	Kind[*resource.VRouter]{
		Name: resource.KindVRouter, Noun: "VRouter", Table: func(v *View) **Table[*resource.VRouter] { return &v.VRouters },
		Indexes: []Index[*resource.VRouter]{byAccount[*resource.VRouter](), byRegion[*resource.VRouter](),
			one(ByVPC, func(r *resource.VRouter) string { return r.VPC })},
		NotFound: fault.VRouterNotFound,
		Bounded:  "one comes with each VPC",
		Refers: func(r *resource.VRouter, to func(resource.Kind, string)) {
			to(resource.KindVPC, r.VPC)
			to(resource.KindRouteTable, r.RouteTable)
		},
	},
	Kind[*resource.RouteTable]{
		Name: resource.KindRouteTable, Noun: "route table", Table: func(v *View) **Table[*resource.RouteTable] { return &v.RouteTables },
		Indexes: []Index[*resource.RouteTable]{byAccount[*resource.RouteTable](),
			one(ByVPC, func(t *resource.RouteTable) string { return t.VPC }),
			one(ByBorderRouter, func(t *resource.RouteTable) string { return t.BorderRouter })},
		NotFound: fault.RouteTableNotFound, Tags: true,
		GroupOf: func(v *View, t *resource.RouteTable) resource.Resource { return found(v.VPCs.Get(t.VPC)) },
		Quotas: []Quota[*resource.RouteTable]{
			{Name: "route_tables", Default: 9, Counts: "custom route tables of a VPC", Reason: fault.QuotaRouteTable, Index: ByVPC, // of today's API
				Only: func(t *resource.RouteTable) bool { return t.Custom }}},
		Blocks: []Block[*resource.RouteTable]{
			{Of: resource.KindVPC, Reason: fault.VPCHasRouteTables, Index: ByVPC,
				Keep: func(t *resource.RouteTable, _ resource.Resource) bool { return t.Custom }}},
		Barred: []fault.Reason{fault.RouteTableHasVSwitches, fault.RouteTableHasEntries},
		Refers: func(t *resource.RouteTable, to func(resource.Kind, string)) {
			to(resource.KindVPC, t.VPC)
			to(resource.KindVRouter, t.VRouter)
			to(resource.KindBorderRouter, t.BorderRouter)
		},
	},
	Kind[*resource.RouteEntry]{
		Name: resource.KindRouteEntry, Noun: "route entry", Table: func(v *View) **Table[*resource.RouteEntry] { return &v.RouteEntries },
		Indexes: []Index[*resource.RouteEntry]{
			one(ByTable, func(e *resource.RouteEntry) string { return e.Table }),
			one(ByVPC, func(e *resource.RouteEntry) string { return e.VPC }),
			one(ByBorderRouter, func(e *resource.RouteEntry) string { return e.BorderRouter }),
			{ByNextHop, nextHopIDs},
			one(ByEntryID, func(e *resource.RouteEntry) string { return resource.EntryID(e.Table, e.Destination, e.Created) })},
		NotFound: fault.RouteEntryNotFound, InTransition: fault.RouteInTransition,
		Quotas: []Quota[*resource.RouteEntry]{ // VPC API reference, CreateRouteEntry
			{Name: "route_entries", Default: 48, Counts: "custom entries of a route table", Reason: fault.QuotaRouteEntry, Index: ByTable,
				Only: func(e *resource.RouteEntry) bool { return !e.System }},
			{Name: "ha_vip_route_entries", Default: 5, Counts: "custom entries of a route table that lead to HaVips", Reason: fault.HaVipRouteQuota, Index: ByTable,
				Only: func(e *resource.RouteEntry) bool { return !e.System && e.LeadsTo(resource.NextHopVirtualIP) }}},
		Blocks: []Block[*resource.RouteEntry]{
			{Of: resource.KindVPC, Reason: fault.VPCHasRouteEntries, Index: ByVPC,
				Keep: func(e *resource.RouteEntry, _ resource.Resource) bool { return !e.System }},
			{Of: resource.KindRouteTable, Reason: fault.RouteTableHasEntries, Index: ByTable},
			{Of: resource.KindBorderRouter, Reason: fault.BorderRouterHasRoutes, Index: ByBorderRouter},
			{Of: resource.KindInstance, Reason: fault.InstanceHasDependents, Index: ByNextHop},
			{Of: resource.KindHaVip, Reason: fault.HaVipHasRouteEntries, Index: ByNextHop},
			{Of: resource.KindRouterInterface, Reason: fault.RouterInterfaceHasRoutes, Index: ByNextHop}},
		Refers: func(e *resource.RouteEntry, to func(resource.Kind, string)) {
			to(resource.KindVPC, e.VPC)
			to(resource.KindBorderRouter, e.BorderRouter)
			to(resource.KindRouteTable, e.Table)
			for _, h := range e.NextHops {
				if h.Type != resource.NextHopLine { // of the border router itself
					to(h.Type.Kind(), h.ID)
				}
			}
		},
	},
	Kind[*resource.RouterInterface]{
		Name: resource.KindRouterInterface, Noun: "router interface", Table: func(v *View) **Table[*resource.RouterInterface] { return &v.RouterInterfaces },
		Indexes: []Index[*resource.RouterInterface]{byAccount[*resource.RouterInterface](), byRegion[*resource.RouterInterface](),
			one(ByRouter, func(r *resource.RouterInterface) string { return r.Router }),
			one(ByVPC, func(r *resource.RouterInterface) string { return r.VPC }),
			one(ByOpposite, func(r *resource.RouterInterface) string { return r.Opposite.Interface }),
			one(ByAddress, checkSource)},
		NotFound: fault.RouterInterfaceNotFound, InTransition: fault.RouterInterfaceInTransition, Tags: true,
		Quotas: []Quota[*resource.RouterInterface]{ // VPC API reference, CreateRouterInterface
			{Name: "router_interfaces", Default: 5, Counts: "router interfaces of an account", Reason: fault.QuotaRouterInterface, Index: ByAccount},
			{Name: "router_interfaces_per_router", Default: 5, Counts: "interfaces of a router", Reason: fault.QuotaRouterOfInterfaces, Index: ByRouter}},
		Decides: func(_ *View, r *resource.RouterInterface) []string { return r.Networks() },
		Blocks: []Block[*resource.RouterInterface]{
			{Of: resource.KindVPC, Reason: fault.VPCHasRouterInterfaces, Index: ByVPC},
			{Of: resource.KindBorderRouter, Reason: fault.BorderRouterHasInterfaces, Index: ByRouter}},
		Barred: []fault.Reason{fault.RouterInterfaceHasRoutes},
		Refers: func(r *resource.RouterInterface, to func(resource.Kind, string)) {
			to(resource.KindVPC, r.VPC)
			if r.RouterKind == resource.VPCRouter {
				to(resource.KindVRouter, r.Router)
			} else {
				to(resource.KindBorderRouter, r.Router)
			}
			if r.Link != nil {
				to(resource.KindRouterInterface, r.Link.Peer)
			}
		},
	},
	Kind[*resource.VSwitch]{
		Name: resource.KindVSwitch, Noun: "VSwitch", Table: func(v *View) **Table[*resource.VSwitch] { return &v.VSwitches },
		Indexes: []Index[*resource.VSwitch]{byAccount[*resource.VSwitch](), byRegion[*resource.VSwitch](),
			one(ByVPC, func(s *resource.VSwitch) string { return s.VPC }),
			one(ByTable, func(s *resource.VSwitch) string { return s.RouteTable })},
		NotFound: fault.VSwitchNotFound, InTransition: fault.VSwitchInTransition, Tags: true,
		GroupOf: func(v *View, s *resource.VSwitch) resource.Resource { return found(v.VPCs.Get(s.VPC)) },
		Quotas: []Quota[*resource.VSwitch]{
			{Name: "vswitches_per_vpc", Default: 24, Counts: "VSwitches of a VPC", Reason: fault.QuotaVSwitch, Index: ByVPC}}, // VPC API reference, CreateVSwitch
		Blocks: []Block[*resource.VSwitch]{
			{Of: resource.KindVPC, Reason: fault.VPCHasVSwitches, Index: ByVPC},
			{Of: resource.KindRouteTable, Reason: fault.RouteTableHasVSwitches, Index: ByTable}},
		Barred: []fault.Reason{fault.VSwitchHasHaVips, fault.VSwitchHasDependents},
		Refers: func(s *resource.VSwitch, to func(resource.Kind, string)) {
			to(resource.KindVPC, s.VPC)
			to(resource.KindRouteTable, s.RouteTable)
		},
	},
	Kind[*resource.Instance]{
		Name: resource.KindInstance, Noun: "instance", Table: func(v *View) **Table[*resource.Instance] { return &v.Instances },
		Indexes: []Index[*resource.Instance]{byAccount[*resource.Instance](),
			one(ByVPC, func(i *resource.Instance) string { return i.VPC }),
			one(ByVSwitch, func(i *resource.Instance) string { return i.VSwitch }),
			one(ByAddress, func(i *resource.Instance) string { return AddrKey(i.VPC, i.PrivateIP) })},
		NotFound: fault.InstanceNotFound,
		Quotas: []Quota[*resource.Instance]{
			{Name: "instances_per_vpc", Default: 10000, Counts: "instances in the inventory of a VPC", Reason: fault.QuotaInstance, Index: ByVPC}},
		Blocks: []Block[*resource.Instance]{
			{Of: resource.KindVPC, Reason: fault.VPCHasInstances, Index: ByVPC},
			{Of: resource.KindVSwitch, Reason: fault.VSwitchHasDependents, Index: ByVSwitch}},
		Barred: []fault.Reason{fault.InstanceHasDependents},
		Refers: func(i *resource.Instance, to func(resource.Kind, string)) {
			to(resource.KindVPC, i.VPC)
			to(resource.KindVSwitch, i.VSwitch)
		},
	},
	Kind[*resource.NetworkInterface]{
		Name: resource.KindNetworkInterface, Noun: "network interface", Table: func(v *View) **Table[*resource.NetworkInterface] { return &v.NetworkInterfaces },
		Indexes: []Index[*resource.NetworkInterface]{byAccount[*resource.NetworkInterface](), byRegion[*resource.NetworkInterface](),
			one(ByVPC, func(n *resource.NetworkInterface) string { return n.VPC }),
			one(ByVSwitch, func(n *resource.NetworkInterface) string { return n.VSwitch }),
			one(ByInstance, func(n *resource.NetworkInterface) string { return n.Instance }),
			{ByAddress, interfaceAddresses},
			{ByGroup, func(n *resource.NetworkInterface) []string { return n.SecurityGroups }}},
		NotFound: fault.InterfaceNotFound, InTransition: fault.InterfaceInTransition,
		Quotas: []Quota[*resource.NetworkInterface]{ // not documented
			{Name: "network_interfaces", Default: 1000, Counts: "network interfaces of an account, besides the primary ones of instances", Reason: fault.QuotaInterface, Index: ByAccount,
				Only: func(n *resource.NetworkInterface) bool { return !n.Primary }},
			{Name: "network_interfaces_per_instance", Default: 8, Counts: "network interfaces of an instance", Reason: fault.QuotaInstanceInterfaces, Index: ByInstance},
			{Name: "addresses_per_network_interface", Default: 30, Counts: "private addresses of a network interface", Reason: fault.QuotaInterfaceAddresses,
				Parts: func(n *resource.NetworkInterface) int { return len(n.Addresses) }},
			{Name: "security_groups_per_network_interface", Default: 5, Counts: "security groups of a network interface", Reason: fault.QuotaSecurityGroupsOfCard,
				Parts: func(n *resource.NetworkInterface) int { return len(n.SecurityGroups) }}},
		Decides: interfaceDecides,
		Blocks: []Block[*resource.NetworkInterface]{
			{Of: resource.KindVPC, Reason: fault.VPCHasInstances, Index: ByVPC},
			{Of: resource.KindVSwitch, Reason: fault.VSwitchHasDependents, Index: ByVSwitch},
			{Of: resource.KindInstance, Reason: fault.InstanceHasDependents, Index: ByInstance,
				Keep: func(n *resource.NetworkInterface, _ resource.Resource) bool { return !n.Primary }},
			{Of: resource.KindSecurityGroup, Reason: fault.SecurityGroupInUse, Index: ByGroup}},
		Barred: []fault.Reason{fault.InterfaceHasElasticIP},
		Refers: func(n *resource.NetworkInterface, to func(resource.Kind, string)) {
			to(resource.KindVPC, n.VPC)
			to(resource.KindVSwitch, n.VSwitch)
			to(resource.KindInstance, n.Instance)
			for _, id := range n.SecurityGroups {
				to(resource.KindSecurityGroup, id)
			}
		},
	},
	Kind[*resource.HaVip]{
		Name: resource.KindHaVip, Noun: "HaVip", Table: func(v *View) **Table[*resource.HaVip] { return &v.HaVips },
		Indexes: []Index[*resource.HaVip]{byAccount[*resource.HaVip](), byRegion[*resource.HaVip](),
			one(ByVPC, func(h *resource.HaVip) string { return h.VPC }),
			one(ByVSwitch, func(h *resource.HaVip) string { return h.VSwitch }),
			one(ByAddress, func(h *resource.HaVip) string { return AddrKey(h.VPC, h.PrivateIP) }),
			{ByInstance, func(h *resource.HaVip) []string { return h.Instances }}},
		NotFound: fault.HaVipNotFound, InTransition: fault.HaVipStatus, Tags: true,
		Quotas: []Quota[*resource.HaVip]{ // of today's API
			{Name: "ha_vips", Default: 50, Counts: "HaVips of an account", Reason: fault.QuotaHaVip, Index: ByAccount},
			{Name: "instances_per_ha_vip", Default: 10, Counts: "instances that a HaVip is bound to", Reason: fault.QuotaHaVipInstances,
				Parts: func(h *resource.HaVip) int { return len(h.Instances) }}},
		Blocks: []Block[*resource.HaVip]{
			{Of: resource.KindVPC, Reason: fault.VPCHasInstances, Index: ByVPC},
			{Of: resource.KindVSwitch, Reason: fault.VSwitchHasHaVips, Index: ByVSwitch},
			{Of: resource.KindInstance, Reason: fault.InstanceHasDependents, Index: ByInstance}},
		Barred: []fault.Reason{fault.HaVipHasRouteEntries, fault.HaVipHasElasticIP},
		Refers: func(h *resource.HaVip, to func(resource.Kind, string)) {
			to(resource.KindVPC, h.VPC)
			to(resource.KindVSwitch, h.VSwitch)
			for _, id := range h.Instances {
				to(resource.KindInstance, id)
			}
		},
	},
	Kind[*resource.ElasticIP]{
		Name: resource.KindElasticIP, Noun: "elastic IP", Table: func(v *View) **Table[*resource.ElasticIP] { return &v.ElasticIPs },
		Indexes: []Index[*resource.ElasticIP]{byAccount[*resource.ElasticIP](), byRegion[*resource.ElasticIP](),
			one(ByVPC, func(e *resource.ElasticIP) string { return e.VPC }),
			one(ByAddress, func(e *resource.ElasticIP) string { return e.Address.String() }),
			one(ByBinding, boundTo),
			one(ByPackage, func(e *resource.ElasticIP) string { return e.Package }),
			one(ByNATPackage, func(e *resource.ElasticIP) string { return e.NATPackage }),
			one(ByPublicNet, func(e *resource.ElasticIP) string { return e.PublicNetwork })},
		NotFound: fault.ElasticIPNotFound, InTransition: fault.ElasticIPStatus, Tags: true,
		Quotas: []Quota[*resource.ElasticIP]{
			{Name: "elastic_ips", Default: 20, Counts: "elastic IPs of an account in a region", Reason: fault.QuotaElasticIP, Index: ByRegion},                              // Tencent Cloud, TOTAL_EIP_QUOTA
			{Name: "elastic_ips_per_package", Default: 100, Counts: "elastic IPs of a common bandwidth package", Reason: fault.QuotaPackageElasticIP, Index: ByPackage},     // of today's API
			{Name: "addresses_per_bandwidth_package", Default: 50, Counts: "public IPs of a NAT bandwidth package", Reason: fault.QuotaNATPackageIPs, Index: ByNATPackage}}, // NAT Gateway API reference, CreateBandwidthPackage
		Blocks: []Block[*resource.ElasticIP]{
			{Of: resource.KindInstance, Reason: fault.InstanceHasDependents, Index: ByBinding,
				Keep: func(e *resource.ElasticIP, _ resource.Resource) bool { return !e.Ordinary }},
			{Of: resource.KindNetworkInterface, Reason: fault.InterfaceHasElasticIP, Index: ByBinding},
			{Of: resource.KindHaVip, Reason: fault.HaVipHasElasticIP, Index: ByBinding},
			{Of: resource.KindCommonPackage, Reason: fault.PackageHasElasticIPs, Index: ByPackage}},
		Refers: func(e *resource.ElasticIP, to func(resource.Kind, string)) {
			to(resource.KindCommonPackage, e.Package)
			to(resource.KindNATPackage, e.NATPackage)
			if e.Binding == nil {
				return // the VPC that it worked in last may be gone
			}
			to(resource.KindVPC, e.VPC)
			to(e.Binding.Type.Kind(), e.Binding.ID)
		},
	},
	Kind[*resource.AddressUse]{
		Name: resource.KindAddressUse, Noun: "count of public addresses", Table: func(v *View) **Table[*resource.AddressUse] { return &v.AddressUses },
		Quotas: []Quota[*resource.AddressUse]{ // Tencent Cloud's AllocateAddresses, DisassociateAddress
			{Name: "elastic_ips_allocated_per_day", Default: 40, Counts: "elastic IPs that an account allocates in a region in a day, by Tencent Cloud's actions", Reason: fault.QuotaDayAllocated,
				Parts: func(u *resource.AddressUse) int { return u.Allocated }},
			{Name: "public_addresses_reassigned_per_day", Default: 10, Counts: "ordinary public addresses that instances of an account in a region are given in a day as their elastic IPs are unbound", Reason: fault.QuotaDayReassigned,
				Parts: func(u *resource.AddressUse) int { return u.Reassigned }}},
		Bounded: "there is one for an account and region",
	},
	Kind[*resource.CommonPackage]{
		Name: resource.KindCommonPackage, Noun: "common bandwidth package", Table: func(v *View) **Table[*resource.CommonPackage] { return &v.CommonPackages },
		Indexes:  []Index[*resource.CommonPackage]{byAccount[*resource.CommonPackage](), byRegion[*resource.CommonPackage]()},
		NotFound: fault.PackageNotFound, Tags: true,
		Quotas: []Quota[*resource.CommonPackage]{
			{Name: "common_bandwidth_packages", Default: 20, Counts: "common bandwidth packages of an account", Reason: fault.QuotaPackage, Index: ByAccount}}, // not documented
		Decides: func(v *View, p *resource.CommonPackage) (networks []string) {
			for e := range v.ElasticIPs.By(ByPackage, p.ID).All() {
				if e.Binding != nil && !slices.Contains(networks, e.VPC) {
					networks = append(networks, e.VPC)
				}
			}
			return networks
		},
		Barred: []fault.Reason{fault.PackageHasElasticIPs},
	},
	Kind[*resource.NATGateway]{
		Name: resource.KindNATGateway, Noun: "NAT gateway", Table: func(v *View) **Table[*resource.NATGateway] { return &v.NATGateways },
		Indexes: []Index[*resource.NATGateway]{byAccount[*resource.NATGateway](), byRegion[*resource.NATGateway](),
			one(ByVPC, func(g *resource.NATGateway) string { return g.VPC }),
			{ByTableID, func(g *resource.NATGateway) []string { return []string{g.ForwardTable, g.SNATTable} }}},
		NotFound: fault.NATGatewayNotFound, InTransition: fault.GatewayInTransition, Tags: true,
		Quotas: []Quota[*resource.NATGateway]{ // the documents allow one that is not enhanced
			{Name: "nat_gateways_per_vpc", Default: 5, Counts: "NAT gateways of a VPC", Reason: fault.GatewayExists, Index: ByVPC}},
		Blocks: []Block[*resource.NATGateway]{
			{Of: resource.KindVPC, Reason: fault.VPCHasNATGateway, Index: ByVPC},
			{Of: resource.KindVSwitch, Reason: fault.VSwitchHasDependents, Index: ByVPC, Within: true,
				Keep: func(g *resource.NATGateway, of resource.Resource) bool { return g.VSwitch == of.Metadata().ID }}},
		Refers: func(g *resource.NATGateway, to func(resource.Kind, string)) {
			to(resource.KindVPC, g.VPC)
			to(resource.KindVSwitch, g.VSwitch)
		},
	},
	Kind[*resource.NATPackage]{
		Name: resource.KindNATPackage, Noun: "NAT bandwidth package", Table: func(v *View) **Table[*resource.NATPackage] { return &v.NATPackages },
		Indexes: []Index[*resource.NATPackage]{byAccount[*resource.NATPackage](), byRegion[*resource.NATPackage](),
			one(ByVPC, func(p *resource.NATPackage) string { return p.VPC }),
			one(ByGateway, func(p *resource.NATPackage) string { return p.Gateway })},
		NotFound: fault.NATPackageNotFound,
		Quotas: []Quota[*resource.NATPackage]{
			{Name: "bandwidth_packages_per_gateway", Default: 4, Counts: "NAT bandwidth packages of a NAT gateway", Reason: fault.TooManyBandwidthPackages, Index: ByGateway}}, // NAT Gateway API reference, CreateBandwidthPackage
		Refers: func(p *resource.NATPackage, to func(resource.Kind, string)) {
			to(resource.KindVPC, p.VPC)
			to(resource.KindNATGateway, p.Gateway)
		},
	},
	Kind[*resource.ForwardEntry]{
		Name: resource.KindForwardEntry, Noun: "DNAT entry", Table: func(v *View) **Table[*resource.ForwardEntry] { return &v.ForwardEntries },
		Indexes: []Index[*resource.ForwardEntry]{
			one(ByTable, func(e *resource.ForwardEntry) string { return e.Table }),
			one(ByVPC, func(e *resource.ForwardEntry) string { return e.VPC }),
			one(ByExternal, func(e *resource.ForwardEntry) string { return AddrKey(e.VPC, e.ExternalIP) }),
			one(ByInternal, func(e *resource.ForwardEntry) string { return AddrKey(e.VPC, e.InternalIP) }),
			{ByTuple, tuples}},
		NotFound: fault.ForwardEntryNotFound, InTransition: fault.ForwardEntryInTransition,
		Quotas: []Quota[*resource.ForwardEntry]{
			{Name: "forward_entries", Default: 100, Counts: "entries of a DNAT table", Reason: fault.QuotaForwardEntry, Index: ByTable}, // NAT Gateway API reference, CreateForwardEntry
			{Name: "forward_entry_ports", Default: 1000, Counts: "ports of a DNAT entry", Reason: fault.QuotaForwardPorts, // each is an element in the kernel
				Parts: func(e *resource.ForwardEntry) int { return e.External().Len() }}},
		Blocks: []Block[*resource.ForwardEntry]{
			// An address that the inventory doesn't know is taken for an instance's.
			{Of: resource.KindVSwitch, Reason: fault.VSwitchHasDependents, Index: ByVPC, Within: true,
				Keep: func(e *resource.ForwardEntry, of resource.Resource) bool {
					return of.(*resource.VSwitch).CIDR.Contains(e.InternalIP)
				}}},
		Refers: func(e *resource.ForwardEntry, to func(resource.Kind, string)) {
			to(resource.KindVPC, e.VPC)
			to(resource.KindNATGateway, e.Gateway)
		},
	},
	Kind[*resource.SNATEntry]{
		Name: resource.KindSNATEntry, Noun: "SNAT entry", Table: func(v *View) **Table[*resource.SNATEntry] { return &v.SNATEntries },
		Indexes: []Index[*resource.SNATEntry]{
			one(ByTable, func(e *resource.SNATEntry) string { return e.Table }),
			one(ByVPC, func(e *resource.SNATEntry) string { return e.VPC }),
			one(ByVSwitch, func(e *resource.SNATEntry) string { return e.VSwitch }),
			{ByExternal, poolAddresses}},
		NotFound: fault.SNATEntryNotFound, InTransition: fault.SNATEntryInTransition,
		Quotas: []Quota[*resource.SNATEntry]{ // not documented
			{Name: "snat_entries", Default: 40, Counts: "entries of an SNAT table", Reason: fault.QuotaSNATEntry, Index: ByTable},
			{Name: "snat_pool_addresses", Default: 64, Counts: "public IPs of an SNAT entry", Reason: fault.QuotaSNATPool,
				Parts: func(e *resource.SNATEntry) int { return len(e.Pool) }}},
		Blocks: []Block[*resource.SNATEntry]{
			{Of: resource.KindVSwitch, Reason: fault.VSwitchHasDependents, Index: ByVPC, Within: true,
				Keep: func(e *resource.SNATEntry, of resource.Resource) bool {
					return e.VSwitch == of.Metadata().ID || of.(*resource.VSwitch).CIDR.Contains(e.Source.Addr())
				}}},
		Refers: func(e *resource.SNATEntry, to func(resource.Kind, string)) {
			to(resource.KindVPC, e.VPC)
			to(resource.KindNATGateway, e.Gateway)
			to(resource.KindVSwitch, e.VSwitch)
		},
	},
	Kind[*resource.VPNGateway]{
		Name: resource.KindVPNGateway, Noun: "VPN gateway", Table: func(v *View) **Table[*resource.VPNGateway] { return &v.VPNGateways },
		Indexes: []Index[*resource.VPNGateway]{byAccount[*resource.VPNGateway](), byRegion[*resource.VPNGateway](),
			one(ByVPC, func(g *resource.VPNGateway) string { return g.VPC }),
			one(ByAddress, func(g *resource.VPNGateway) string { return g.Address.String() }),
			one(ByPublicNet, func(g *resource.VPNGateway) string { return g.PublicNetwork })},
		NotFound: fault.VPNGatewayNotFound, InTransition: fault.VPNGatewayConfiguring, Tags: true,
		Bounded: "the service gives each VPC one",
		Blocks: []Block[*resource.VPNGateway]{
			{Of: resource.KindVPC, Reason: fault.VPCHasVPNGateway, Index: ByVPC},
			{Of: resource.KindVSwitch, Reason: fault.VSwitchHasDependents, Index: ByVPC, Within: true,
				Keep: func(g *resource.VPNGateway, of resource.Resource) bool { return g.VSwitch == of.Metadata().ID }}},
		Barred: []fault.Reason{fault.VPNGatewayHasConnections, fault.VPNGatewayHasSSLServers},
		Refers: func(g *resource.VPNGateway, to func(resource.Kind, string)) {
			to(resource.KindVPC, g.VPC)
			to(resource.KindVSwitch, g.VSwitch)
		},
	},
	Kind[*resource.CustomerGateway]{
		Name: resource.KindCustomerGateway, Noun: "customer gateway", Table: func(v *View) **Table[*resource.CustomerGateway] { return &v.CustomerGateways },
		Indexes: []Index[*resource.CustomerGateway]{byAccount[*resource.CustomerGateway](), byRegion[*resource.CustomerGateway](),
			one(ByAddress, func(g *resource.CustomerGateway) string { return Key(g.Account, g.Region, g.Address.String()) })},
		NotFound: fault.CustomerGatewayNotFound, Tags: true,
		Quotas: []Quota[*resource.CustomerGateway]{
			{Name: "customer_gateways", Default: 100, Counts: "customer gateways of an account", Reason: fault.QuotaCustomerGateway, Index: ByAccount}}, // not documented
		Decides: func(v *View, g *resource.CustomerGateway) (networks []string) {
			for c := range v.VPNConnections.By(ByCustomerGateway, g.ID).All() {
				networks = append(networks, c.VPC)
			}
			return networks
		},
		Barred: []fault.Reason{fault.CustomerGatewayHasConnections},
	},
	Kind[*resource.VPNConnection]{
		Name: resource.KindVPNConnection, Noun: "VPN connection", Table: func(v *View) **Table[*resource.VPNConnection] { return &v.VPNConnections },
		Indexes: []Index[*resource.VPNConnection]{byAccount[*resource.VPNConnection](), byRegion[*resource.VPNConnection](),
			one(ByVPC, func(c *resource.VPNConnection) string { return c.VPC }),
			one(ByGateway, func(c *resource.VPNConnection) string { return c.Gateway }),
			one(ByCustomerGateway, func(c *resource.VPNConnection) string { return c.CustomerGateway })},
		NotFound: fault.VPNConnectionNotFound, InTransition: fault.VPNGatewayConfiguring, Tags: true,
		GroupOf: func(v *View, c *resource.VPNConnection) resource.Resource { return found(v.VPNGateways.Get(c.Gateway)) },
		Quotas: []Quota[*resource.VPNConnection]{
			{Name: "vpn_connections_per_gateway", Default: 10, Counts: "IPsec connections of a VPN gateway", Reason: fault.QuotaVPNConnection, Index: ByGateway}}, // not documented
		Blocks: []Block[*resource.VPNConnection]{
			{Of: resource.KindVPNGateway, Reason: fault.VPNGatewayHasConnections, Index: ByGateway},
			{Of: resource.KindCustomerGateway, Reason: fault.CustomerGatewayHasConnections, Index: ByCustomerGateway}},
		Refers: func(c *resource.VPNConnection, to func(resource.Kind, string)) {
			to(resource.KindVPC, c.VPC)
			to(resource.KindVPNGateway, c.Gateway)
			to(resource.KindCustomerGateway, c.CustomerGateway)
		},
	},
	Kind[*resource.VPNRoute]{
		Name: resource.KindVPNRoute, Noun: "VPN route", Table: func(v *View) **Table[*resource.VPNRoute] { return &v.VPNRoutes },
		Indexes: []Index[*resource.VPNRoute]{
			one(ByVPC, func(r *resource.VPNRoute) string { return r.VPC }),
			one(ByGateway, func(r *resource.VPNRoute) string { return r.Gateway }),
			one(ByConnection, func(r *resource.VPNRoute) string { return r.Connection }),
			one(ByPublished, published)},
		InTransition: fault.VPNGatewayConfiguring,
		Quotas: []Quota[*resource.VPNRoute]{ // not documented
			{Name: "vpn_routes_per_gateway", Default: 20, Counts: "destination routes of a VPN gateway", Reason: fault.QuotaVPNRoute, Index: ByGateway,
				Only: func(r *resource.VPNRoute) bool { return !r.ByPolicy() }},
			{Name: "vpn_policy_routes_per_gateway", Default: 20, Counts: "policy routes of a VPN gateway", Reason: fault.QuotaVPNPolicyRoute, Index: ByGateway,
				Only: (*resource.VPNRoute).ByPolicy}},
		Refers: func(r *resource.VPNRoute, to func(resource.Kind, string)) {
			to(resource.KindVPC, r.VPC)
			to(resource.KindVPNGateway, r.Gateway)
			to(resource.KindVPNConnection, r.Connection)
		},
	},
	Kind[*resource.SSLServer]{
		Name: resource.KindSSLServer, Noun: "SSL-VPN server", Table: func(v *View) **Table[*resource.SSLServer] { return &v.SSLServers },
		Indexes: []Index[*resource.SSLServer]{byAccount[*resource.SSLServer](), byRegion[*resource.SSLServer](),
			one(ByVPC, func(s *resource.SSLServer) string { return s.VPC }),
			one(ByGateway, func(s *resource.SSLServer) string { return s.Gateway })},
		NotFound: fault.SSLServerNotFound, InTransition: fault.VPNGatewayConfiguring,
		GroupOf: func(v *View, s *resource.SSLServer) resource.Resource { return found(v.VPNGateways.Get(s.Gateway)) },
		Quotas: []Quota[*resource.SSLServer]{
			{Name: "ssl_vpn_servers_per_gateway", Default: 1, Counts: "SSL-VPN servers of a VPN gateway", Reason: fault.QuotaSSLServer, Index: ByGateway}}, // of today's API
		Blocks: []Block[*resource.SSLServer]{
			{Of: resource.KindVPNGateway, Reason: fault.VPNGatewayHasSSLServers, Index: ByGateway}},
		Refers: func(s *resource.SSLServer, to func(resource.Kind, string)) {
			to(resource.KindVPC, s.VPC)
			to(resource.KindVPNGateway, s.Gateway)
		},
	},
	Kind[*resource.SSLCertificate]{
		Name: resource.KindSSLCertificate, Noun: "SSL-VPN client certificate", Table: func(v *View) **Table[*resource.SSLCertificate] { return &v.SSLCertificates },
		Indexes: []Index[*resource.SSLCertificate]{byAccount[*resource.SSLCertificate](), byRegion[*resource.SSLCertificate](),
			one(ByVPC, func(c *resource.SSLCertificate) string { return c.VPC }),
			one(ByServer, func(c *resource.SSLCertificate) string { return c.Server })},
		NotFound: fault.SSLCertificateNotFound, InTransition: fault.VPNGatewayConfiguring,
		GroupOf: func(v *View, c *resource.SSLCertificate) resource.Resource {
			s, ok := v.SSLServers.Get(c.Server)
			if !ok {
				return nil
			}
			return found(v.VPNGateways.Get(s.Gateway))
		},
		Quotas: []Quota[*resource.SSLCertificate]{ // not documented; a client needs one of its own
			{Name: "ssl_vpn_certificates_per_server", Default: 1000, Counts: "client certificates of an SSL-VPN server", Reason: fault.QuotaSSLCertificate, Index: ByServer}},
		Refers: func(c *resource.SSLCertificate, to func(resource.Kind, string)) {
			to(resource.KindVPC, c.VPC)
			to(resource.KindSSLServer, c.Server)
		},
	},
	Kind[*resource.PhysicalConnection]{
		Name: resource.KindPhysicalConnection, Noun: "physical connection", Table: func(v *View) **Table[*resource.PhysicalConnection] { return &v.PhysicalConnections },
		Indexes: []Index[*resource.PhysicalConnection]{byAccount[*resource.PhysicalConnection](), byRegion[*resource.PhysicalConnection](),
			one(ByAccessPoint, func(l *resource.PhysicalConnection) string { return Key(l.Account, l.AccessPoint) }),
			one(ByPort, portOf)},
		NotFound: fault.LineNotFound,
		Quotas: []Quota[*resource.PhysicalConnection]{
			{Name: "physical_connections_per_access_point", Default: 20, Counts: "physical connections of an account at an access point", Reason: fault.QuotaLine, Index: ByAccessPoint}, // not documented
			{Name: "physical_connections_not_enabled", Default: 5, Counts: "physical connections of an account that are not enabled yet", Reason: fault.QuotaLineNotEnabled, Index: ByAccount, // VPC API reference, CreatePhysicalConnection
				Only: func(l *resource.PhysicalConnection) bool { return l.State != resource.LineEnabled && !l.Over() }}},
		Decides: func(v *View, l *resource.PhysicalConnection) (networks []string) {
			for b := range v.BorderRouters.By(ByLine, l.ID).All() {
				if network := b.Network(); network != "" {
					networks = append(networks, network)
				}
			}
			return networks
		},
		Barred: []fault.Reason{fault.LineHasOwnRouters, fault.LineHasOthersRouters},
	},
	Kind[*resource.VirtualBorderRouter]{
		Name: resource.KindBorderRouter, Noun: "border router", Table: func(v *View) **Table[*resource.VirtualBorderRouter] { return &v.BorderRouters },
		Indexes: []Index[*resource.VirtualBorderRouter]{byAccount[*resource.VirtualBorderRouter](), byRegion[*resource.VirtualBorderRouter](),
			one(ByLine, func(b *resource.VirtualBorderRouter) string { return b.Line })},
		NotFound: fault.BorderRouterNotFound, InTransition: fault.BorderRouterInTransition,
		Quotas: []Quota[*resource.VirtualBorderRouter]{
			{Name: "border_routers_per_physical_connection", Default: 2, Counts: "border routers of a physical connection", Reason: fault.QuotaBorderRouter, Index: ByLine}, // VPC API reference, CreateVirtualBorderRouter
			{Name: "border_routers", Default: 20, Counts: "border routers of an account", Reason: fault.QuotaBorderRouterOfAccount, Index: ByAccount}},                      // not documented
		Blocks: []Block[*resource.VirtualBorderRouter]{
			{Of: resource.KindPhysicalConnection, Reason: fault.LineHasOwnRouters, Index: ByLine,
				Keep: func(b *resource.VirtualBorderRouter, of resource.Resource) bool {
					return b.Account == of.Metadata().Account
				}},
			{Of: resource.KindPhysicalConnection, Reason: fault.LineHasOthersRouters, Index: ByLine,
				Keep: func(b *resource.VirtualBorderRouter, of resource.Resource) bool {
					return b.Account != of.Metadata().Account
				}}},
		Barred: []fault.Reason{fault.BorderRouterHasInterfaces, fault.BorderRouterHasRoutes},
		Refers: func(b *resource.VirtualBorderRouter, to func(resource.Kind, string)) {
			to(resource.KindPhysicalConnection, b.Line)
			to(resource.KindAccount, b.LineOwner)
			to(resource.KindRouteTable, b.RouteTable)
		},
	},
	Kind[*resource.AccelerationInstance]{
		Name: resource.KindAcceleration, Noun: "global acceleration instance", Table: func(v *View) **Table[*resource.AccelerationInstance] { return &v.Accelerations },
		Indexes: []Index[*resource.AccelerationInstance]{byAccount[*resource.AccelerationInstance](), byRegion[*resource.AccelerationInstance](),
			one(ByVPC, func(a *resource.AccelerationInstance) string { return a.VPC }),
			one(ByAddress, func(a *resource.AccelerationInstance) string { return a.Address.String() }),
			one(ByBackend, backendOf),
			one(ByPublicNet, func(a *resource.AccelerationInstance) string { return a.PublicNetwork })},
		NotFound: fault.AccelerationNotFound, InTransition: fault.AccelerationInTransition,
		Quotas: []Quota[*resource.AccelerationInstance]{ // not documented
			{Name: "global_acceleration_instances", Default: 10, Counts: "global acceleration instances of an account", Reason: fault.QuotaAcceleration, Index: ByAccount},
			{Name: "global_acceleration_instances_per_backend", Default: 5, Counts: "global acceleration instances of a backend server", Reason: fault.QuotaAccelerationsOfServer, Index: ByBackend}},
		// Both ends of its link follow it, also that of a backend which it has left.
		Decides: func(v *View, a *resource.AccelerationInstance) []string {
			if _, ok := v.VPCs.Get(a.VPC); !ok {
				return []string{a.ID}
			}
			return []string{a.ID, a.VPC}
		},
		Blocks: []Block[*resource.AccelerationInstance]{
			{Of: resource.KindInstance, Reason: fault.InstanceHasDependents, Index: ByBackend}},
		Refers: func(a *resource.AccelerationInstance, to func(resource.Kind, string)) {
			if a.Backend != nil { // the VPC of one that it has left may be gone
				to(resource.KindVPC, a.VPC)
				to(resource.KindInstance, a.Backend.ID)
			}
		},
	},
}, slices.Concat(groupKinds, classicKinds, accountKinds)...)
