package resource

import (
	"net/netip"
	"slices"
	"time"
)

// KindNetworkInterface is the kind of NetworkInterface.
const KindNetworkInterface Kind = "network-interface"

// NetworkInterface is a network interface of a VSwitch, with one private address or several.
// Every host of the inventory has a primary one: it comes and goes with the host, and has
// its Ethernet address and, first of its addresses, its private address (Instance.MAC,
// Instance.PrivateIP, which decide). Others are made on their own, and attached to hosts.
type NetworkInterface struct {
	Meta
	VPC         string `json:"vpc"`
	VSwitch     string `json:"vswitch"`
	MAC         string `json:"mac,omitempty"` // six bytes as 02:00:00:00:00:01; empty: that of a host of which it is not known
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	// Addresses are its private addresses, the primary one first: it has always that.
	Addresses []PrivateAddress `json:"addresses"`
	// SecurityGroups are the ids of those that hold for it, in order.
	SecurityGroups []string `json:"securityGroups,omitempty"`

	Instance   string    `json:"instance,omitempty"` // id of the host that it is attached to; empty: to none
	Primary    bool      `json:"primary,omitempty"`  // it is that one's primary interface
	Index      int       `json:"index,omitempty"`    // number of the interface in the host; that of the primary is 0
	AttachedAt time.Time `json:"attachedAt,omitzero"`
	Detaching  bool      `json:"detaching,omitempty"` // the last change took it from its host
}

// PrivateAddress is a private address of a network interface. Which elastic IP it has, the
// elastic IP's binding says.
type PrivateAddress struct {
	Address     netip.Addr `json:"address"`
	Description string     `json:"description,omitempty"`
}

// Kind implements Resource.
func (*NetworkInterface) Kind() Kind { return KindNetworkInterface }

// Network implements Resource.
func (n *NetworkInterface) Network() string { return n.VPC }

// Clone implements Resource.
func (n *NetworkInterface) Clone() Resource {
	c := *n
	c.Addresses = slices.Clone(n.Addresses)
	c.SecurityGroups = slices.Clone(n.SecurityGroups)
	return &c
}

// Find returns where in Addresses an address is, -1 if it is none of them.
func (n *NetworkInterface) Find(a netip.Addr) int {
	return slices.IndexFunc(n.Addresses, func(p PrivateAddress) bool { return p.Address == a })
}

// Further returns those of its addresses that are not its host's private address: of a
// primary interface all but the first.
func (n *NetworkInterface) Further() []PrivateAddress {
	if n.Primary {
		return n.Addresses[1:]
	}
	return n.Addresses
}

// PrimaryInterface returns the primary interface of a host, with its id.
func PrimaryInterface(i *Instance, id string) *NetworkInterface {
	m := Meta{ID: id, Account: i.Account, Region: i.Region, CreatedAt: i.CreatedAt}
	return &NetworkInterface{Meta: m, VPC: i.VPC, VSwitch: i.VSwitch, MAC: i.MAC, Addresses: []PrivateAddress{{Address: i.PrivateIP}},
		Instance: i.ID, Primary: true, AttachedAt: i.CreatedAt}
}
