package resource

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"sluice/dataplane"
)

// Kinds of the NAT resources.
const (
	KindElasticIP    Kind = "eip"
	KindNATGateway   Kind = "nat-gateway"
	KindForwardEntry Kind = "forward-entry"
	KindSNATEntry    Kind = "snat-entry"
)

// BindingType is the kind of object that an elastic IP is bound to.
type BindingType string

// The kinds of object that an elastic IP may be bound to.
const (
	BoundToHost         BindingType = "host"
	BoundToLoadBalancer BindingType = "load-balancer"
	BoundToNATGateway   BindingType = "nat-gateway"
	BoundToVirtualIP    BindingType = "virtual-ip"
	BoundToInterface    BindingType = "network-interface"
)

// Kind returns the kind of resource that an object of that type is; empty for an unknown one.
func (t BindingType) Kind() Kind {
	switch t {
	case BoundToHost, BoundToLoadBalancer:
		return KindInstance
	case BoundToVirtualIP:
		return KindHaVip
	case BoundToNATGateway:
		return KindNATGateway
	case BoundToInterface:
		return KindNetworkInterface
	}
	return ""
}

// Binding says what an elastic IP is bound to: an object with one address, or with Address
// one of those of a network interface. Of an address that is its instance's private address
// the instance is the object, not the interface.
type Binding struct {
	Type    BindingType `json:"type"`
	ID      string      `json:"id"`
	Address netip.Addr  `json:"address,omitzero"`
}

// ElasticIP is a public address of an account.
type ElasticIP struct {
	Meta
	Name          string     `json:"name,omitempty"`
	Description   string     `json:"description,omitempty"`
	Address       netip.Addr `json:"address"`
	PublicNetwork string     `json:"publicNetwork"`    // name of the configured public network that it comes from
	Bandwidth     int        `json:"bandwidth"`        // Mbit/s
	ByTraffic     bool       `json:"byTraffic"`        // charged by traffic, else by bandwidth; nothing is charged here
	Prepaid       bool       `json:"prepaid"`          // else by use
	Expires       time.Time  `json:"expires,omitzero"` // until when it is paid for; shown only
	Binding       *Binding   `json:"binding,omitempty"`
	// VPC is the network that the address works in, or, once unbound, the one
	// that it worked in last: whose dataplane has to let it go.
	VPC string `json:"vpc,omitempty"`
	// Package is the common bandwidth package whose bandwidth holds in place of its own;
	// empty: none.
	Package      string `json:"package,omitempty"`
	PackageSince int64  `json:"packageSince,omitempty"` // revision of the transaction that put it there
	Cap          int    `json:"cap,omitempty"`          // Mbit/s that it may have of the package's; 0: all
	// NATPackage is the NAT bandwidth package that it is a part of; empty: none. Then it is
	// bound to that one's gateway as long as it is there, and no elastic IP to clients.
	NATPackage string `json:"natPackage,omitempty"`
	// Ordinary says that it is the ordinary public address of the instance that it is bound
	// to, and a part of that: it goes with the instance, and is no elastic IP to clients.
	Ordinary bool `json:"ordinary,omitempty"`
}

// PublicAddress implements Addressed.
func (e *ElasticIP) PublicAddress() netip.Addr {
	if e.Binding == nil {
		return netip.Addr{}
	}
	return e.Address
}

// Kind implements Resource.
func (*ElasticIP) Kind() Kind { return KindElasticIP }

// Network implements Resource.
func (e *ElasticIP) Network() string { return e.VPC }

// Clone implements Resource.
func (e *ElasticIP) Clone() Resource {
	c := *e
	if e.Binding != nil {
		b := *e.Binding
		c.Binding = &b
	}
	return &c
}

// NATGateway is a NAT gateway of a VPC, with its DNAT and its SNAT table.
type NATGateway struct {
	Meta
	VPC          string           `json:"vpc"`
	Limits       dataplane.Limits `json:"limits"` // on both; with ByUse zeros, and those of the settings hold
	Name         string           `json:"name,omitempty"`
	Description  string           `json:"description,omitempty"`
	ForwardTable string           `json:"forwardTable"`
	SNATTable    string           `json:"snatTable"`
	// VSwitch is the one that an enhanced gateway is in: of those a VPC may have several.
	// Empty: an ordinary one.
	VSwitch   string `json:"vswitch,omitempty"`
	ByUse     bool   `json:"byUse,omitempty"`     // charged by what goes through, else by its specification
	EchoReply bool   `json:"echoReply,omitempty"` // whether its elastic IPs answer ICMP echo requests
	// AddressEach says that a private address was asked for beside each elastic IP. It is
	// shown; elastic IPs are bound alike.
	AddressEach bool `json:"addressEach,omitempty"`
}

// Enhanced says whether the VPC may have further gateways.
func (g *NATGateway) Enhanced() bool { return g.VSwitch != "" }

// Kind implements Resource.
func (*NATGateway) Kind() Kind { return KindNATGateway }

// Network implements Resource.
func (g *NATGateway) Network() string { return g.VPC }

// Clone implements Resource.
func (g *NATGateway) Clone() Resource { c := *g; return &c }

// Protocol is the protocol of a DNAT entry, by its IANA number.
type Protocol uint8

// The protocols of a DNAT entry.
const (
	AnyProtocol Protocol = 0 // every protocol and port
	TCP         Protocol = 6
	UDP         Protocol = 17
)

// String returns the protocol's name.
func (p Protocol) String() string {
	switch p {
	case AnyProtocol:
		return "any"
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	}
	return fmt.Sprint(uint8(p))
}

// Ports are a port, or several in a row, as a DNAT entry gives them.
type Ports struct {
	First uint16 // 0: all, with AnyProtocol
	Last  uint16 // of several; 0: there is only the first
}

// Len returns how many ports there are, 1 for all.
func (p Ports) Len() int {
	if p.Last == 0 {
		return 1
	}
	return int(p.Last) - int(p.First) + 1
}

// String returns the ports as 80 or 80/90.
func (p Ports) String() string {
	if p.Last == 0 {
		return fmt.Sprint(p.First)
	}
	return fmt.Sprintf("%d/%d", p.First, p.Last)
}

// ForwardEntry is a DNAT entry. Of several ports each leads to the one in its place: there
// are as many internal as external ones.
type ForwardEntry struct {
	Meta
	VPC          string     `json:"vpc"`
	Gateway      string     `json:"gateway"`
	Table        string     `json:"table"`
	Name         string     `json:"name,omitempty"`
	ExternalIP   netip.Addr `json:"externalIp"`
	ExternalPort uint16     `json:"externalPort,omitempty"` // the first, if there are several; 0 with AnyProtocol
	ExternalLast uint16     `json:"externalLast,omitempty"` // 0: there is one
	Protocol     Protocol   `json:"protocol"`
	InternalIP   netip.Addr `json:"internalIp"`
	InternalPort uint16     `json:"internalPort,omitempty"` // the first, if there are several; 0 with AnyProtocol
	InternalLast uint16     `json:"internalLast,omitempty"` // 0: there is one
	// Shares says that SNAT entries may use the external address, too.
	Shares bool `json:"shares,omitempty"`
}

// External returns the ports that are forwarded.
func (e *ForwardEntry) External() Ports { return Ports{e.ExternalPort, e.ExternalLast} }

// Internal returns the ports that they are forwarded to.
func (e *ForwardEntry) Internal() Ports { return Ports{e.InternalPort, e.InternalLast} }

// LeavesPorts says whether the entry lets SNAT entries use its external address: it is of
// definite ports, and says so.
func (e *ForwardEntry) LeavesPorts() bool { return e.Shares && e.Protocol != AnyProtocol }

// Kind implements Resource.
func (*ForwardEntry) Kind() Kind { return KindForwardEntry }

// Network implements Resource.
func (e *ForwardEntry) Network() string { return e.VPC }

// Clone implements Resource.
func (e *ForwardEntry) Clone() Resource { c := *e; return &c }

// SNATEntry is an SNAT entry: a VSwitch, or one address, and its public IPs.
type SNATEntry struct {
	Meta
	VPC     string       `json:"vpc"`
	Gateway string       `json:"gateway"`
	Table   string       `json:"table"`
	Name    string       `json:"name,omitempty"`
	VSwitch string       `json:"vswitch,omitempty"` // VSwitch that the source is, or, if it is a /32, lies in
	Source  netip.Prefix `json:"source"`            // the VSwitch's CIDR block, or one address
	Pool    []netip.Addr `json:"pool"`              // as given, without duplicates
	// Affinity says that a host's connections are to have one address of the pool. It is
	// shown; all entries have it so (RFC 4787 REQ-2).
	Affinity bool `json:"affinity,omitempty"`
}

// WholeVSwitch returns the VSwitch whose block is the source; empty where it is one address.
func (e *SNATEntry) WholeVSwitch() string {
	if e.Source.IsSingleIP() {
		return ""
	}
	return e.VSwitch
}

// Kind implements Resource.
func (*SNATEntry) Kind() Kind { return KindSNATEntry }

// Network implements Resource.
func (e *SNATEntry) Network() string { return e.VPC }

// Clone implements Resource.
func (e *SNATEntry) Clone() Resource {
	c := *e
	c.Pool = slices.Clone(e.Pool)
	return &c
}
