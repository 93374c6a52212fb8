package state

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sluice/controlplane/resource"
)

// Names of indexes. A key of several parts is made with Key.
const (
	ByID         = ""           // in a query: id, which is no index of its own
	ByAccount    = "account"    // account id, but of parts; of receipts, those of tokens
	ByRegion     = "region"     // Key(account, region), but of parts
	ByVPC        = "vpc"        // VPC id; of a global acceleration instance without a backend, that of the last one's
	ByVSwitch    = "vswitch"    // VSwitch id
	ByGroup      = "group"      // network interface: id of each security group that holds for it; security group: id of each other one that its rules name
	ByTemplate   = "template"   // group of templates: id of each; security group: id of each template, or group of them, that its rules name
	ByProject    = "project"    // security group: Key(account, region, project)
	ByTable      = "table"      // route, DNAT or SNAT table id; VSwitch: id of the custom route table that it is bound to
	ByAddress    = "address"    // elastic IP, VPN gateway, global acceleration instance: its address; customer gateway: Key(account, region, address); instance, HaVip: Key(VPC, private address); classic instance: ClassicKey; network interface: the same for each of its addresses; router interface: Key(VPC, source address of its health check)
	ByBinding    = "binding"    // id of the object that an elastic IP is bound to
	ByExternal   = "external"   // DNAT entry: Key(VPC, external IP); SNAT entry: the same for each address of its pool
	ByInternal   = "internal"   // DNAT entry: Key(VPC, internal IP)
	ByTuple      = "tuple"      // DNAT entry: ExternalTuple and InternalTuple of each of its ports
	ByTableID    = "tableID"    // NAT gateway: its DNAT and its SNAT table id
	ByNextHop    = "nextHop"    // route entry: id of each next hop
	ByRouter     = "router"     // router interface: id of its router
	ByOpposite   = "opposite"   // router interface: id of the one that it is to be connected with, which may not be there
	ByEntryID    = "entryID"    // route entry: resource.EntryID
	ByPackage    = "package"    // elastic IP: id of the common bandwidth package that it is in
	ByNATPackage = "natPackage" // elastic IP: id of the NAT bandwidth package that it is a part of
	ByPublicNet  = "publicNet"  // elastic IP, VPN gateway, global acceleration instance: name of its public network
	ByBackend    = "backend"    // global acceleration instance: id of its backend

	ByGateway         = "gateway"         // VPN connection, VPN route, SSL-VPN server: VPN gateway id; NAT bandwidth package: NAT gateway id
	ByCustomerGateway = "customerGateway" // VPN connection: customer gateway id
	ByConnection      = "connection"      // VPN route: VPN connection id
	ByServer          = "server"          // SSL-VPN client certificate: SSL-VPN server id
	ByPublished       = "published"       // VPN route that is in the VPC's route table: Key(VPC, destination)
	ByAccessPoint     = "accessPoint"     // physical connection: Key(account, access point id)
	ByPort            = "port"            // physical connection that has a port: Key(access point id, number)
	ByLine            = "line"            // border router: physical connection id
	ByBorderRouter    = "borderRouter"    // route table, route entry: border router id
	ByTag             = "tag"             // tag set: Key(account, region, tag key)
	ByInstance        = "instance"        // HaVip: id of each instance that may have it; network interface: id of the instance that it is attached to; classic link: id of the classic instance
	ByUser            = "user"            // access key: id of the user whose it is
	ByName            = "name"            // user, policy: NameKey
	ByPolicy          = "policy"          // user, grant: id of each policy of an account's own that is attached
	ByGrantee         = "grantee"         // grant: Key(account, account that is let)
	ByExpiry          = "expiry"          // receipt: MinuteKey of when it expires
	ByAccessKey       = "accessKey"       // receipt of a nonce: access key id
)

// Key joins the parts of an index key.
func Key(parts ...string) string { return strings.Join(parts, "\x00") }

// NameKey is a key by a name of which case makes no difference.
func NameKey(account, name string) string { return Key(account, strings.ToLower(name)) }

// MinuteKey is a key by time: those of later minutes come later.
func MinuteKey(at time.Time) string { return fmt.Sprintf("%016x", at.Unix()/60) }

// AddrKey is Key for a VPC and an address in it.
func AddrKey(vpc string, a netip.Addr) string { return Key(vpc, a.String()) }

// ExternalTuple is the ByTuple key of a port that a DNAT entry forwards from.
func ExternalTuple(vpc string, a netip.Addr, p resource.Protocol, port uint16) string {
	return Key(vpc, "external", a.String(), p.String(), strconv.Itoa(int(port)))
}

// InternalTuple is the ByTuple key of a port that a DNAT entry forwards to.
func InternalTuple(vpc string, a netip.Addr, p resource.Protocol, port uint16) string {
	return Key(vpc, "internal", a.String(), p.String(), strconv.Itoa(int(port)))
}

// View is a consistent snapshot of all resources. It never changes.
type View struct {
	Revision int64 // of the newest commit that it shows

	// A table each, with the indexes that kinds.go gives it.
	VPCs                *Table[*resource.VPC]
	DeletedNetworks     *Table[*resource.DeletedNetwork]
	VRouters            *Table[*resource.VRouter]
	RouteTables         *Table[*resource.RouteTable]
	RouteEntries        *Table[*resource.RouteEntry]
	VSwitches           *Table[*resource.VSwitch]
	RouterInterfaces    *Table[*resource.RouterInterface]
	Instances           *Table[*resource.Instance]
	ClassicInstances    *Table[*resource.ClassicInstance]
	ClassicLinks        *Table[*resource.ClassicLink]
	NetworkInterfaces   *Table[*resource.NetworkInterface]
	HaVips              *Table[*resource.HaVip]
	ElasticIPs          *Table[*resource.ElasticIP]
	AddressUses         *Table[*resource.AddressUse]
	CommonPackages      *Table[*resource.CommonPackage]
	NATPackages         *Table[*resource.NATPackage]
	NATGateways         *Table[*resource.NATGateway]
	ForwardEntries      *Table[*resource.ForwardEntry]
	SNATEntries         *Table[*resource.SNATEntry]
	VPNGateways         *Table[*resource.VPNGateway]
	CustomerGateways    *Table[*resource.CustomerGateway]
	VPNConnections      *Table[*resource.VPNConnection]
	VPNRoutes           *Table[*resource.VPNRoute]
	SSLServers          *Table[*resource.SSLServer]
	SSLCertificates     *Table[*resource.SSLCertificate]
	PhysicalConnections *Table[*resource.PhysicalConnection]
	BorderRouters       *Table[*resource.VirtualBorderRouter]
	Accelerations       *Table[*resource.AccelerationInstance]
	Templates           *Table[*resource.Template]
	TemplateGroups      *Table[*resource.TemplateGroup]
	SecurityGroups      *Table[*resource.SecurityGroup]
	TagSets             *Table[*resource.TagSet]
	Accounts            *Table[*resource.Account]
	AccessKeys          *Table[*resource.AccessKey]
	Users               *Table[*resource.User]
	Policies            *Table[*resource.Policy]
	Grants              *Table[*resource.Grant]
	Receipts            *Table[*resource.Receipt]
}

// HoldsSecrets says whether there is anything sealed.
func (v *View) HoldsSecrets() bool {
	return v.AccessKeys.Len() > 0 || v.VPNConnections.Len() > 0 || v.SSLServers.Len() > 0
}

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
	return one(ByAccount, func(r R) string { return whole(r, r.Metadata().Account) })
}

func byRegion[R resource.Resource]() Index[R] {
	return one(ByRegion, func(r R) string { m := r.Metadata(); return whole(r, Key(m.Account, m.Region)) })
}

// whole returns the key of a resource, none of one that is a part of another.
func whole(r resource.Resource, key string) string {
	if p, ok := r.(resource.Part); ok && p.IsPart() {
		return ""
	}
	return key
}

func boundTo(e *resource.ElasticIP) string {
	if e.Binding == nil {
		return ""
	}
	return e.Binding.ID
}

// checkSource is the ByAddress key of a router interface.
func checkSource(r *resource.RouterInterface) string {
	if r.Check == nil {
		return ""
	}
	return AddrKey(r.VPC, r.Check.Source)
}

// PortKey is the ByPort key of a port of an access point.
func PortKey(accessPoint, number string) string { return Key(accessPoint, number) }

func portOf(l *resource.PhysicalConnection) string {
	if !l.HoldsPort() {
		return ""
	}
	return PortKey(l.AccessPoint, l.Port)
}

// interfaceAddresses are the ByAddress keys of a network interface.
func interfaceAddresses(n *resource.NetworkInterface) []string {
	keys := make([]string, 0, len(n.Addresses))
	for _, a := range n.Addresses {
		keys = append(keys, AddrKey(n.VPC, a.Address))
	}
	return keys
}

func backendOf(a *resource.AccelerationInstance) string {
	if a.Backend == nil {
		return ""
	}
	return a.Backend.ID
}

func nextHopIDs(e *resource.RouteEntry) []string {
	ids := make([]string, 0, len(e.NextHops))
	for _, h := range e.NextHops {
		ids = append(ids, h.ID)
	}
	return ids
}

func tuples(e *resource.ForwardEntry) []string {
	keys := make([]string, 0, e.External().Len()+e.Internal().Len())
	for i := range e.External().Len() {
		keys = append(keys, ExternalTuple(e.VPC, e.ExternalIP, e.Protocol, e.ExternalPort+uint16(i)))
	}
	for i := range e.Internal().Len() {
		keys = append(keys, InternalTuple(e.VPC, e.InternalIP, e.Protocol, e.InternalPort+uint16(i)))
	}
	return keys
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

// ownPolicies returns the ids of those policies that are an account's own.
func ownPolicies(attached ...resource.Attachment) (ids []string) {
	for _, a := range attached {
		if !a.System {
			ids = append(ids, a.Policy)
		}
	}
	return ids
}
