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
)

// Kind returns the kind of resource that an object of that type is; empty for an unknown one.
func (t BindingType) Kind() Kind {
	switch t {
	case BoundToHost, BoundToLoadBalancer, BoundToVirtualIP:
		return KindInstance
	case BoundToNATGateway:
		return KindNATGateway
	}
	return ""
}

// Binding says what an elastic IP is bound to.
type Binding struct {
	Type BindingType `json:"type"`
	ID   string      `json:"id"`
}

// ElasticIP is a public address of an account.
type ElasticIP struct {
	Meta
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

// NATGateway is the NAT gateway of a VPC, with its DNAT and its SNAT table.
type NATGateway struct {
	Meta
	VPC          string           `json:"vpc"`
	Limits       dataplane.Limits `json:"limits"` // on both
	Name         string           `json:"name,omitempty"`
	Description  string           `json:"description,omitempty"`
	ForwardTable string           `json:"forwardTable"`
	SNATTable    string           `json:"snatTable"`
}

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

// ForwardEntry is a DNAT entry.
type ForwardEntry struct {
	Meta
	VPC          string     `json:"vpc"`
	Gateway      string     `json:"gateway"`
	Table        string     `json:"table"`
	Name         string     `json:"name,omitempty"`
	ExternalIP   netip.Addr `json:"externalIp"`
	ExternalPort uint16     `json:"externalPort,omitempty"` // 0 with AnyProtocol
	Protocol     Protocol   `json:"protocol"`
	InternalIP   netip.Addr `json:"internalIp"`
	InternalPort uint16     `json:"internalPort,omitempty"` // 0 with AnyProtocol
}

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
