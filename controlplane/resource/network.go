package resource

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sluice/dataplane"
)

// Kinds of the network resources.
const (
	KindVPC            Kind = "vpc"
	KindDeletedNetwork Kind = "deleted-vpc" // what stores call it, from when only VPCs had a network
	KindVRouter        Kind = "vrouter"
	KindRouteTable     Kind = "route-table"
	KindRouteEntry     Kind = "route-entry"
	KindVSwitch        Kind = "vswitch"
	KindInstance       Kind = "instance"
)

// VPC is a private network with a CIDR block, and others beside it, one router and a
// route table that its VSwitches have unless they are bound to another.
type VPC struct {
	Meta
	Owner       string         `json:"owner"` // name of the machine whose dataplane carries the network
	CIDR        netip.Prefix   `json:"cidr"`
	Secondary   []netip.Prefix `json:"secondaryCidrs,omitempty"` // further CIDR blocks, in the order in which they came; no two blocks overlap
	Name        string         `json:"name,omitempty"`
	Description string         `json:"description,omitempty"`
	UserCIDRs   []netip.Prefix `json:"userCidrs,omitempty"`
	VRouter     string         `json:"vrouter"`
	RouteTable  string         `json:"routeTable"`
	Default     bool           `json:"default,omitempty"`    // the account's default one in its region
	DNSServers  []netip.Addr   `json:"dnsServers,omitempty"` // that its hosts are to ask, the first one first
	DomainName  string         `json:"domainName,omitempty"` // of its hosts
	Multicast   bool           `json:"multicast,omitempty"`  // was asked for; shown, and nothing else
	// ClassicAddress is that of its router in the classic network of its region; invalid before
	// an instance there was linked for the first time.
	ClassicAddress netip.Addr `json:"classicAddress,omitzero"`
}

// Kind implements Resource.
func (*VPC) Kind() Kind { return KindVPC }

// Network implements Resource.
func (v *VPC) Network() string { return v.ID }

// Carrier implements Networked.
func (v *VPC) Carrier() string { return v.Owner }

// Clone implements Resource.
func (v *VPC) Clone() Resource {
	c := *v
	c.Secondary = slices.Clone(v.Secondary)
	c.UserCIDRs = slices.Clone(v.UserCIDRs)
	c.DNSServers = slices.Clone(v.DNSServers)
	return &c
}

// Blocks returns all CIDR blocks of the VPC, the first one first.
func (v *VPC) Blocks() []netip.Prefix { return append([]netip.Prefix{v.CIDR}, v.Secondary...) }

// Contains says whether an address lies in one of the VPC's CIDR blocks.
func (v *VPC) Contains(a netip.Addr) bool {
	return slices.ContainsFunc(v.Blocks(), func(p netip.Prefix) bool { return p.Contains(a) })
}

// DeletedNetwork says that there was a resource with a network of its own, until nothing of
// that is left on the machine that carried it. It is written with the deletion: a network
// that the store does not know, and of which it does not know this, was lost.
type DeletedNetwork struct {
	Meta         // ID is that of the resource
	Owner string `json:"owner"` // name of the machine that carried the network
}

// Kind implements Resource.
func (*DeletedNetwork) Kind() Kind { return KindDeletedNetwork }

// Network implements Resource: what follows the deletion is the network itself.
func (*DeletedNetwork) Network() string { return "" }

// Clone implements Resource.
func (d *DeletedNetwork) Clone() Resource { c := *d; return &c }

// VRouter is the virtual router of a VPC.
type VRouter struct {
	Meta
	VPC         string `json:"vpc"`
	RouteTable  string `json:"routeTable"`
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
}

// Kind implements Resource.
func (*VRouter) Kind() Kind { return KindVRouter }

// Network implements Resource: a router has nothing of its own in the kernel.
func (*VRouter) Network() string { return "" }

// Clone implements Resource.
func (r *VRouter) Clone() Resource { c := *r; return &c }

// RouteTable is a route table of a VPC's router: the one that comes with the VPC, or a
// custom one, which VSwitches are bound to; or the one of a border router.
type RouteTable struct {
	Meta
	VPC          string `json:"vpc"`     // empty: a border router's
	VRouter      string `json:"vrouter"` // likewise
	BorderRouter string `json:"borderRouter,omitempty"`
	Name         string `json:"name,omitempty"`
	Description  string `json:"description,omitempty"`
	Custom       bool   `json:"custom,omitempty"`
}

// Router returns the id of the router whose table it is.
func (t *RouteTable) Router() string { return cmp.Or(t.VRouter, t.BorderRouter) }

// Kind implements Resource.
func (*RouteTable) Kind() Kind { return KindRouteTable }

// Network implements Resource.
func (*RouteTable) Network() string { return "" }

// Clone implements Resource.
func (t *RouteTable) Clone() Resource { c := *t; return &c }

// NextHopType is the kind of thing that a route leads to.
type NextHopType string

// The next-hop types.
const (
	NextHopHost            NextHopType = "host"
	NextHopTunnel          NextHopType = "tunnel"
	NextHopVirtualIP       NextHopType = "virtual-ip"
	NextHopRouterInterface NextHopType = "router-interface"
	NextHopVPNGateway      NextHopType = "vpn-gateway"
	NextHopNATGateway      NextHopType = "nat-gateway" // of a NAT gateway's own route
	NextHopLine            NextHopType = "line"        // of a border router: its interface to the line, by that the customer's device
)

// Kind returns the kind of resource that a next hop of that type is; empty for those that
// there are none of yet.
func (t NextHopType) Kind() Kind {
	switch t {
	case NextHopHost:
		return KindInstance
	case NextHopVirtualIP:
		return KindHaVip
	case NextHopRouterInterface:
		return KindRouterInterface
	case NextHopVPNGateway:
		return KindVPNGateway
	case NextHopNATGateway:
		return KindNATGateway
	}
	return ""
}

// NextHop is one next hop of a route entry.
type NextHop struct {
	Type   NextHopType `json:"type"`
	ID     string      `json:"id"`
	Weight int         `json:"weight,omitempty"` // ECMP share; 0 means 1
}

// RouteEntry is a stored entry of a route table: a custom one, or the NAT
// gateway's 0.0.0.0/0. Entries for VSwitches are derived, not stored.
type RouteEntry struct {
	Meta                      // ID is RouteEntryID(table, destination)
	VPC          string       `json:"vpc"` // empty: a border router's
	BorderRouter string       `json:"borderRouter,omitempty"`
	Table        string       `json:"table"`
	Destination  netip.Prefix `json:"destination"`
	NextHops     []NextHop    `json:"nextHops"` // more than one: ECMP
	System       bool         `json:"system,omitempty"`
	Name         string       `json:"name,omitempty"`
	Description  string       `json:"description,omitempty"`
}

// RouteEntryID returns the id of the entry of a table for a destination.
func RouteEntryID(table string, destination netip.Prefix) string {
	return table + "/" + destination.String()
}

// EntryID returns the id under which clients know the entry of a table for a destination
// that was made at a store revision: rte- and 16 letters and digits. It follows from these,
// so that entries have one that are not stored.
func EntryID(table string, destination netip.Prefix, created int64) string {
	sum := entrySum(table, destination, created)
	return "rte-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// EntryNumber returns a number under which clients know such an entry, where ids are
// numbers: from 0 to 2^48 - 1, which every reader of JSON can hold.
func EntryNumber(table string, destination netip.Prefix, created int64) int64 {
	sum := entrySum(table, destination, created)
	return int64(binary.BigEndian.Uint64(sum[24:]) >> 16)
}

func entrySum(table string, destination netip.Prefix, created int64) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s/%d", RouteEntryID(table, destination), created))
}

// LeadsTo says whether one of the next hops is of a type.
func (e *RouteEntry) LeadsTo(t NextHopType) bool {
	return slices.ContainsFunc(e.NextHops, func(h NextHop) bool { return h.Type == t })
}

// Kind implements Resource.
func (*RouteEntry) Kind() Kind { return KindRouteEntry }

// Network implements Resource.
func (e *RouteEntry) Network() string { return cmp.Or(e.VPC, e.BorderRouter) }

// Clone implements Resource.
func (e *RouteEntry) Clone() Resource {
	c := *e
	c.NextHops = slices.Clone(e.NextHops)
	return &c
}

// VSwitch is a subnet of a VPC, in one zone.
type VSwitch struct {
	Meta
	VPC         string       `json:"vpc"`
	Zone        string       `json:"zone"`
	CIDR        netip.Prefix `json:"cidr"`
	Name        string       `json:"name,omitempty"`
	Description string       `json:"description,omitempty"`
	RouteTable  string       `json:"routeTable,omitempty"` // that it is bound to; empty: the VPC's own
	Plan        AddressPlan  `json:"addressPlan,omitempty"`
	Default     bool         `json:"default,omitempty"`   // the one of a default VPC
	Broadcast   bool         `json:"broadcast,omitempty"` // was asked for; shown, and nothing else
}

// Gateway returns the address of the gateway.
func (s *VSwitch) Gateway() netip.Addr { return s.Plan.Gateway(s.CIDR) }

// Reserved says whether an address of the VSwitch is not for instances.
func (s *VSwitch) Reserved(a netip.Addr) bool { return s.Plan.Reserved(s.CIDR, a) }

// Kind implements Resource.
func (*VSwitch) Kind() Kind { return KindVSwitch }

// Network implements Resource.
func (s *VSwitch) Network() string { return s.VPC }

// Clone implements Resource.
func (s *VSwitch) Clone() Resource { c := *s; return &c }

// InstanceKind is what holds a private address.
type InstanceKind string

// The kinds of instance that rules tell apart.
const (
	Host         InstanceKind = "host" // a machine, virtual or not
	LoadBalancer InstanceKind = "load-balancer"
	Database     InstanceKind = "database"
)

// Instance is an entry of the operator's inventory: who holds an address.
type Instance struct {
	Meta
	VPC       string       `json:"vpc"`
	VSwitch   string       `json:"vswitch"`
	PrivateIP netip.Addr   `json:"privateIp"`
	MAC       string       `json:"mac,omitempty"`
	Type      InstanceKind `json:"type"`
	// Limits are what it may have of its NAT gateway's; nil: what each host may have. Zeros
	// are no limit but the gateway's.
	Limits *dataplane.Limits `json:"limits,omitempty"`
	State  string            `json:"state"` // Running, Stopped, Starting or Stopping
}

// The states of an instance.
const (
	Running  = "Running"
	Stopped  = "Stopped"
	Starting = "Starting"
	Stopping = "Stopping"
)

// InstanceStates returns the states that an instance may be in, the one of a new
// instance first.
func InstanceStates() []string { return []string{Running, Stopped, Starting, Stopping} }

// Usable says whether the instance is in a state in which elastic IPs may be
// bound to it and routes may lead to it.
func (i *Instance) Usable() bool {
	return i.State == Running || i.State == Stopped
}

// Kind implements Resource.
func (*Instance) Kind() Kind { return KindInstance }

// Network implements Resource.
func (i *Instance) Network() string { return i.VPC }

// Clone implements Resource.
func (i *Instance) Clone() Resource {
	c := *i
	if i.Limits != nil {
		own := *i.Limits
		c.Limits = &own
	}
	return &c
}
