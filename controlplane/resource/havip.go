package resource

import (
	"net/netip"
	"slices"
)

// KindHaVip is the kind of HaVip.
const KindHaVip Kind = "ha-vip"

// HaVip is a private address of a VSwitch that moves between instances: the one that
// announces it last has it.
type HaVip struct {
	Meta
	VPC         string     `json:"vpc"`
	VSwitch     string     `json:"vswitch"`
	PrivateIP   netip.Addr `json:"privateIp"`
	Name        string     `json:"name,omitempty"`
	Description string     `json:"description,omitempty"`
	// Instances are the ids of those that may have it, in the order in which they were bound.
	Instances []string `json:"instances,omitempty"`
	Unbinding bool     `json:"unbinding,omitempty"` // the last change of Instances took one away
	// AnyHost lets every host of the VSwitch have it, bound or not.
	AnyHost bool `json:"anyHost,omitempty"`
}

// Kind implements Resource.
func (*HaVip) Kind() Kind { return KindHaVip }

// Network implements Resource.
func (h *HaVip) Network() string { return h.VPC }

// Clone implements Resource.
func (h *HaVip) Clone() Resource {
	c := *h
	c.Instances = slices.Clone(h.Instances)
	return &c
}

// BoundTo says whether an instance may have the address.
func (h *HaVip) BoundTo(instance string) bool { return slices.Contains(h.Instances, instance) }
