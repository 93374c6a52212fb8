package resource

import (
	"net/netip"
	"time"
)

// Kinds of the resources of leased lines.
const (
	KindPhysicalConnection Kind = "physical-connection"
	KindBorderRouter       Kind = "border-router"
)

// LineState is how far a physical connection has come, as the customer's calls and the
// operator's steps have brought it there.
type LineState string

// The states of a physical connection. What is over only its deletion follows.
const (
	LineApplied    LineState = "applied"
	LineApproved   LineState = "approved"
	LineRejected   LineState = "rejected"  // by the operator; applied for again with any change
	LineAllocated  LineState = "allocated" // has a port; the line is being built
	LineFailed     LineState = "failed"    // no port could be had; over
	LineConfirmed  LineState = "confirmed" // built; waits for the customer
	LineEnabled    LineState = "enabled"
	LineCanceled   LineState = "canceled"   // before it was enabled; over
	LineTerminated LineState = "terminated" // after that; over
)

// Carrier is who operates a leased line.
type Carrier string

// The carriers that can be told apart.
const (
	ChinaTelecom  Carrier = "china-telecom"
	ChinaUnicom   Carrier = "china-unicom"
	ChinaMobile   Carrier = "china-mobile"
	OtherInChina  Carrier = "other-in-china"
	Equinix       Carrier = "equinix"
	OtherCarriers Carrier = "other" // abroad
)

// PortType is the kind of port that a line ends in.
type PortType string

// The port types (IEEE 802.3; E1: ITU-T G.703).
const (
	PortE1         PortType = "e1"
	Port100BaseT   PortType = "100base-t"
	Port1000BaseT  PortType = "1000base-t"
	Port1000BaseLX PortType = "1000base-lx"
	Port10GBaseT   PortType = "10gbase-t"
	Port10GBaseLR  PortType = "10gbase-lr"
	PortOther      PortType = "other"
)

// PhysicalConnection is a leased line between a customer's site and an access point.
type PhysicalConnection struct {
	Meta
	AccessPoint  string    `json:"accessPoint"`
	State        LineState `json:"state"`
	Port         string    `json:"port,omitempty"` // of the access point: its number; from allocated on, until it is over
	Carrier      Carrier   `json:"carrier"`
	PeerLocation string    `json:"peerLocation"` // where the other end is
	Bandwidth    int       `json:"bandwidth"`    // Mbit/s, each way
	PortType     PortType  `json:"portType"`
	Redundant    string    `json:"redundant,omitempty"` // id of the line that this one stands in for, and the other way round; it may be gone
	CircuitCode  string    `json:"circuitCode,omitempty"`
	Name         string    `json:"name,omitempty"`
	Description  string    `json:"description,omitempty"`
	EnabledAt    time.Time `json:"enabledAt,omitzero"`
}

// HoldsPort says whether the line has a port of its access point.
func (l *PhysicalConnection) HoldsPort() bool { return l.Port != "" && !l.Over() }

// Over says whether only the line's deletion can follow.
func (l *PhysicalConnection) Over() bool {
	switch l.State {
	case LineFailed, LineCanceled, LineTerminated:
		return true
	}
	return false
}

// Kind implements Resource.
func (*PhysicalConnection) Kind() Kind { return KindPhysicalConnection }

// Network implements Resource: what follows a line are the networks of its border routers.
func (*PhysicalConnection) Network() string { return "" }

// Clone implements Resource.
func (l *PhysicalConnection) Clone() Resource { c := *l; return &c }

// BorderState is whether a border router may use its line.
type BorderState string

// The states of a border router.
const (
	BorderUnconfirmed BorderState = "unconfirmed" // made for another account, which has not accepted it
	BorderEnabled     BorderState = "enabled"
	BorderTerminated  BorderState = "terminated" // by the line's owner
)

// VirtualBorderRouter (VBR) is a router between a VLAN of a leased line and
// the networks that router interfaces lead to. It has a network of its own once it has
// addresses.
type VirtualBorderRouter struct {
	Meta                       // Account is who owns the router
	Owner         string       `json:"owner"` // name of the machine whose dataplane carries the network
	Line          string       `json:"line"`  // id of its physical connection, which may be gone
	LineOwner     string       `json:"lineOwner"`
	AccessPoint   string       `json:"accessPoint"`
	State         BorderState  `json:"state"`
	VLAN          int          `json:"vlan"` // 1 to 2999; 0 for frames without a tag
	CircuitCode   string       `json:"circuitCode,omitempty"`
	Local         netip.Addr   `json:"local,omitzero"`  // the router's address on the line
	Peer          netip.Addr   `json:"peer,omitzero"`   // that of the customer's device
	Subnet        netip.Prefix `json:"subnet,omitzero"` // that both are in, 24 to 30 bits
	RouteTable    string       `json:"routeTable"`
	LineInterface string       `json:"lineInterface"` // id of its interface to the line
	Name          string       `json:"name,omitempty"`
	Description   string       `json:"description,omitempty"`
	ActivatedAt   time.Time    `json:"activatedAt,omitzero"`
	TerminatedAt  time.Time    `json:"terminatedAt,omitzero"` // for the last time
	RecoveredAt   time.Time    `json:"recoveredAt,omitzero"`  // for the last time
	// Turned is the store revision that has terminated or recovered it last.
	Turned int64 `json:"turned,omitempty"`
}

// VLANHeld is how long a border router that was terminated keeps its VLAN (VPC API reference,
// TerminateVirtualBorderRouter).
const VLANHeld = 7 * 24 * time.Hour

// HoldsVLAN says whether nobody else may have the router's VLAN of its line at a time.
func (b *VirtualBorderRouter) HoldsVLAN(now time.Time) bool {
	return b.State != BorderTerminated || now.Before(b.TerminatedAt.Add(VLANHeld))
}

// Confirmed says whether the router's owner has accepted it.
func (b *VirtualBorderRouter) Confirmed() bool { return b.State != BorderUnconfirmed }

// Kind implements Resource.
func (*VirtualBorderRouter) Kind() Kind { return KindBorderRouter }

// Network implements Resource.
func (b *VirtualBorderRouter) Network() string {
	if !b.Confirmed() {
		return ""
	}
	return b.ID
}

// Carrier implements Networked.
func (b *VirtualBorderRouter) Carrier() string { return b.Owner }

// Clone implements Resource.
func (b *VirtualBorderRouter) Clone() Resource { c := *b; return &c }
