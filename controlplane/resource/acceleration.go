package resource

import "net/netip"

// KindAcceleration is the kind of AccelerationInstance.
const KindAcceleration Kind = "global-acceleration"

// Area is a part of the world in which regions lie.
type Area string

// The areas that global acceleration knows (VPC API reference,
// CreateGlobalAccelerationInstance).
const (
	ChinaMainland Area = "china-mainland"
	NorthAmerica  Area = "north-america"
	AsiaPacific   Area = "asia-pacific"
	Europe        Area = "europe"
)

// Areas are all areas.
var Areas = []Area{ChinaMainland, NorthAmerica, AsiaPacific, Europe}

// AccelerationInstance is a global acceleration instance: a public address in its own
// region that leads to a backend in another one. It has a network of its own, between the
// public network and that of the backend's VPC.
type AccelerationInstance struct {
	Meta
	Owner         string     `json:"owner"` // name of the machine whose dataplane carries the network
	Address       netip.Addr `json:"address"`
	PublicNetwork string     `json:"publicNetwork"` // name of the public network that the address is of
	Service       Area       `json:"service"`       // in which its backends are
	Bandwidth     int        `json:"bandwidth"`     // Mbit/s in each direction
	Name          string     `json:"name,omitempty"`
	Description   string     `json:"description,omitempty"`
	// VPC is the id of the backend's VPC; without a backend, that of the one that it had
	// last, which may hold its end of the link still, and may be gone.
	VPC     string               `json:"vpc,omitempty"`
	Backend *AccelerationBackend `json:"backend,omitempty"` // nil: there is none
}

// AccelerationBackend is what an acceleration instance leads to: an instance of the
// inventory, which stays there while it is one.
type AccelerationBackend struct {
	Type    InstanceKind `json:"type"` // a host or a load balancer
	ID      string       `json:"id"`
	Region  string       `json:"region"`
	Address netip.Addr   `json:"address"` // in its VPC
}

// Ends returns the ids of the two ends of the link to the backend's VPC: that in the
// instance's own network, and that in the VPC's.
func (a *AccelerationInstance) Ends() (own, vpc string) { return a.ID + "-out", a.ID + "-in" }

// PublicAddress implements Addressed.
func (a *AccelerationInstance) PublicAddress() netip.Addr { return a.Address }

// Kind implements Resource.
func (*AccelerationInstance) Kind() Kind { return KindAcceleration }

// Network implements Resource.
func (a *AccelerationInstance) Network() string { return a.ID }

// Carrier implements Networked.
func (a *AccelerationInstance) Carrier() string { return a.Owner }

// Clone implements Resource.
func (a *AccelerationInstance) Clone() Resource {
	c := *a
	if a.Backend != nil {
		b := *a.Backend
		c.Backend = &b
	}
	return &c
}
