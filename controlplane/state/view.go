package state

import (
	"net/netip"
	"strconv"
	"strings"

	"sluice/controlplane/resource"
)

// Names of indexes. A key of several parts is made with Key.
const (
	ByAccount   = "account"   // account id
	ByRegion    = "region"    // Key(account, region)
	ByVPC       = "vpc"       // VPC id
	ByVSwitch   = "vswitch"   // VSwitch id
	ByTable     = "table"     // route, DNAT or SNAT table id
	ByAddress   = "address"   // elastic IP, VPN gateway: its address; customer gateway: Key(account, region, address); instance: Key(VPC, private address)
	ByBinding   = "binding"   // id of the object that an elastic IP is bound to
	ByExternal  = "external"  // DNAT entry: Key(VPC, external IP); SNAT entry: the same for each address of its pool
	ByInternal  = "internal"  // DNAT entry: Key(VPC, internal IP)
	ByTuple     = "tuple"     // DNAT entry: ExternalTuple and InternalTuple
	ByTableID   = "tableID"   // NAT gateway: its DNAT and its SNAT table id
	ByNextHop   = "nextHop"   // route entry: id of each next hop
	ByPublicNet = "publicNet" // elastic IP, VPN gateway: name of its public network

	ByGateway         = "gateway"         // VPN connection, VPN route: VPN gateway id
	ByCustomerGateway = "customerGateway" // VPN connection: customer gateway id
	ByConnection      = "connection"      // VPN route: VPN connection id
	ByPublished       = "published"       // VPN route that is in the VPC's route table: Key(VPC, destination)
	ByTag             = "tag"             // tag set: Key(account, region, tag key)
)

// Key joins the parts of an index key.
func Key(parts ...string) string { return strings.Join(parts, "\x00") }

// AddrKey is Key for a VPC and an address in it.
func AddrKey(vpc string, a netip.Addr) string { return Key(vpc, a.String()) }

// ExternalTuple is the ByTuple key of what a DNAT entry forwards from.
func ExternalTuple(vpc string, a netip.Addr, p resource.Protocol, port uint16) string {
	return Key(vpc, "external", a.String(), string(p), strconv.Itoa(int(port)))
}

// InternalTuple is the ByTuple key of what a DNAT entry forwards to.
func InternalTuple(vpc string, a netip.Addr, p resource.Protocol, port uint16) string {
	return Key(vpc, "internal", a.String(), string(p), strconv.Itoa(int(port)))
}

// View is a consistent snapshot of all resources. It never changes.
type View struct {
	Revision int64 // of the newest commit that it shows

	VPCs             *Table[*resource.VPC]             // ByAccount, ByRegion
	VRouters         *Table[*resource.VRouter]         // ByAccount, ByRegion, ByVPC
	RouteTables      *Table[*resource.RouteTable]      // ByAccount, ByVPC
	RouteEntries     *Table[*resource.RouteEntry]      // ByTable, ByVPC, ByNextHop
	VSwitches        *Table[*resource.VSwitch]         // ByAccount, ByRegion, ByVPC
	Instances        *Table[*resource.Instance]        // ByAccount, ByVPC, ByVSwitch, ByAddress
	ElasticIPs       *Table[*resource.ElasticIP]       // ByAccount, ByRegion, ByVPC, ByAddress, ByBinding, ByPublicNet
	NATGateways      *Table[*resource.NATGateway]      // ByAccount, ByRegion, ByVPC, ByTableID
	ForwardEntries   *Table[*resource.ForwardEntry]    // ByTable, ByVPC, ByExternal, ByInternal, ByTuple
	SNATEntries      *Table[*resource.SNATEntry]       // ByTable, ByVPC, ByVSwitch, ByExternal
	VPNGateways      *Table[*resource.VPNGateway]      // ByAccount, ByRegion, ByVPC, ByAddress, ByPublicNet
	CustomerGateways *Table[*resource.CustomerGateway] // ByAccount, ByRegion, ByAddress
	VPNConnections   *Table[*resource.VPNConnection]   // ByAccount, ByRegion, ByVPC, ByGateway, ByCustomerGateway
	VPNRoutes        *Table[*resource.VPNRoute]        // ByVPC, ByGateway, ByConnection, ByPublished
	TagSets          *Table[*resource.TagSet]          // ByAccount, ByRegion, ByTag
	Accounts         *Table[*resource.Account]         // no index
	AccessKeys       *Table[*resource.AccessKey]       // ByAccount
	Receipts         *Table[*resource.Receipt]         // no index
}

func newView() *View {
	return &View{
		VPCs:             newTable(resource.KindVPC, byAccount[*resource.VPC](), byRegion[*resource.VPC]()),
		VRouters:         newTable(resource.KindVRouter, byAccount[*resource.VRouter](), byRegion[*resource.VRouter](), one(ByVPC, func(r *resource.VRouter) string { return r.VPC })),
		RouteTables:      newTable(resource.KindRouteTable, byAccount[*resource.RouteTable](), one(ByVPC, func(t *resource.RouteTable) string { return t.VPC })),
		RouteEntries:     newTable(resource.KindRouteEntry, one(ByTable, func(e *resource.RouteEntry) string { return e.Table }), one(ByVPC, func(e *resource.RouteEntry) string { return e.VPC }), Index[*resource.RouteEntry]{ByNextHop, nextHopIDs}),
		VSwitches:        newTable(resource.KindVSwitch, byAccount[*resource.VSwitch](), byRegion[*resource.VSwitch](), one(ByVPC, func(s *resource.VSwitch) string { return s.VPC })),
		Instances:        newTable(resource.KindInstance, byAccount[*resource.Instance](), one(ByVPC, func(i *resource.Instance) string { return i.VPC }), one(ByVSwitch, func(i *resource.Instance) string { return i.VSwitch }), one(ByAddress, func(i *resource.Instance) string { return AddrKey(i.VPC, i.PrivateIP) })),
		ElasticIPs:       newTable(resource.KindElasticIP, byAccount[*resource.ElasticIP](), byRegion[*resource.ElasticIP](), one(ByVPC, func(e *resource.ElasticIP) string { return e.VPC }), one(ByAddress, func(e *resource.ElasticIP) string { return e.Address.String() }), one(ByBinding, boundTo), one(ByPublicNet, func(e *resource.ElasticIP) string { return e.PublicNetwork })),
		NATGateways:      newTable(resource.KindNATGateway, byAccount[*resource.NATGateway](), byRegion[*resource.NATGateway](), one(ByVPC, func(g *resource.NATGateway) string { return g.VPC }), Index[*resource.NATGateway]{ByTableID, func(g *resource.NATGateway) []string { return []string{g.ForwardTable, g.SNATTable} }}),
		ForwardEntries:   newTable(resource.KindForwardEntry, one(ByTable, func(e *resource.ForwardEntry) string { return e.Table }), one(ByVPC, func(e *resource.ForwardEntry) string { return e.VPC }), one(ByExternal, func(e *resource.ForwardEntry) string { return AddrKey(e.VPC, e.ExternalIP) }), one(ByInternal, func(e *resource.ForwardEntry) string { return AddrKey(e.VPC, e.InternalIP) }), Index[*resource.ForwardEntry]{ByTuple, tuples}),
		SNATEntries:      newTable(resource.KindSNATEntry, one(ByTable, func(e *resource.SNATEntry) string { return e.Table }), one(ByVPC, func(e *resource.SNATEntry) string { return e.VPC }), one(ByVSwitch, func(e *resource.SNATEntry) string { return e.VSwitch }), Index[*resource.SNATEntry]{ByExternal, poolAddresses}),
		VPNGateways:      newTable(resource.KindVPNGateway, byAccount[*resource.VPNGateway](), byRegion[*resource.VPNGateway](), one(ByVPC, func(g *resource.VPNGateway) string { return g.VPC }), one(ByAddress, func(g *resource.VPNGateway) string { return g.Address.String() }), one(ByPublicNet, func(g *resource.VPNGateway) string { return g.PublicNetwork })),
		CustomerGateways: newTable(resource.KindCustomerGateway, byAccount[*resource.CustomerGateway](), byRegion[*resource.CustomerGateway](), one(ByAddress, func(g *resource.CustomerGateway) string { return Key(g.Account, g.Region, g.Address.String()) })),
		VPNConnections:   newTable(resource.KindVPNConnection, byAccount[*resource.VPNConnection](), byRegion[*resource.VPNConnection](), one(ByVPC, func(c *resource.VPNConnection) string { return c.VPC }), one(ByGateway, func(c *resource.VPNConnection) string { return c.Gateway }), one(ByCustomerGateway, func(c *resource.VPNConnection) string { return c.CustomerGateway })),
		VPNRoutes:        newTable(resource.KindVPNRoute, one(ByVPC, func(r *resource.VPNRoute) string { return r.VPC }), one(ByGateway, func(r *resource.VPNRoute) string { return r.Gateway }), one(ByConnection, func(r *resource.VPNRoute) string { return r.Connection }), one(ByPublished, published)),
		TagSets:          newTable(resource.KindTagSet, byAccount[*resource.TagSet](), byRegion[*resource.TagSet](), Index[*resource.TagSet]{ByTag, tagKeys}),
		Accounts:         newTable[*resource.Account](resource.KindAccount),
		AccessKeys:       newTable(resource.KindAccessKey, byAccount[*resource.AccessKey]()),
		Receipts:         newTable[*resource.Receipt](resource.KindReceipt),
	}
}

// HoldsSecrets says whether there is anything sealed.
func (v *View) HoldsSecrets() bool { return v.AccessKeys.Len() > 0 || v.VPNConnections.Len() > 0 }

// one is an index with a single key; a resource whose key is empty is not in it.
func one[R resource.Resource](name string, key func(R) string) Index[R] {
	return Index[R]{name, func(r R) []string {
		if k := key(r); k != "" {
			return []string{k}
		}
		return nil
	}}
}

func byAccount[R resource.Resource]() Index[R] {
	return one(ByAccount, func(r R) string { return r.Metadata().Account })
}

func byRegion[R resource.Resource]() Index[R] {
	return one(ByRegion, func(r R) string { m := r.Metadata(); return Key(m.Account, m.Region) })
}

func boundTo(e *resource.ElasticIP) string {
	if e.Binding == nil {
		return ""
	}
	return e.Binding.ID
}

func nextHopIDs(e *resource.RouteEntry) []string {
	ids := make([]string, 0, len(e.NextHops))
	for _, h := range e.NextHops {
		ids = append(ids, h.ID)
	}
	return ids
}

func tuples(e *resource.ForwardEntry) []string {
	return []string{
		ExternalTuple(e.VPC, e.ExternalIP, e.Protocol, e.ExternalPort),
		InternalTuple(e.VPC, e.InternalIP, e.Protocol, e.InternalPort),
	}
}

func poolAddresses(e *resource.SNATEntry) []string {
	keys := make([]string, 0, len(e.Pool))
	for _, a := range e.Pool {
		keys = append(keys, AddrKey(e.VPC, a))
	}
	return keys
}

// PublishedKey is the ByPublished key of a destination in a VPC.
func PublishedKey(vpc string, destination netip.Prefix) string {
	return Key(vpc, destination.String())
}

func published(r *resource.VPNRoute) string {
	if !r.Published {
		return ""
	}
	return PublishedKey(r.VPC, r.Destination)
}

func tagKeys(t *resource.TagSet) []string {
	keys := make([]string, 0, len(t.Tags))
	for k := range t.Tags {
		keys = append(keys, Key(t.Account, t.Region, k))
	}
	return keys
}
