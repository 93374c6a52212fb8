package resource

import (
	"net/netip"
	"time"
)

// KindRouterInterface is the kind of RouterInterface.
const KindRouterInterface Kind = "router-interface"

// RouterKind is what kind of router a router interface belongs to.
type RouterKind string

// The kinds of router.
const (
	VPCRouter    RouterKind = "vpc"    // a VPC's virtual router
	BorderRouter RouterKind = "border" // a virtual border router, at the end of a leased line
)

// RouterInterface is a router's end of a point-to-point link to another router, or of one
// that is to be made: its owner says with whom, and only when both have named each other
// they are connected.
type RouterInterface struct {
	Meta
	Name        string     `json:"name,omitempty"`
	Description string     `json:"description,omitempty"`
	RouterKind  RouterKind `json:"routerKind"`
	Router      string     `json:"router"`                // id of the router that it belongs to
	VPC         string     `json:"vpc,omitempty"`         // whose router that is; empty of a border router
	AccessPoint string     `json:"accessPoint,omitempty"` // of a border router
	Initiates   bool       `json:"initiates"`             // else it accepts
	Bandwidth   int        `json:"bandwidth,omitempty"`   // Mbit/s, of one that initiates: what crosses the link in each direction
	Opposite    Opposite   `json:"opposite"`
	// Check is a health check of what is behind the other end; nil: there is none.
	Check *InterfaceCheck `json:"check,omitempty"`
	Link  *InterfaceLink  `json:"link,omitempty"` // nil while it is not connected
}

// Opposite says with which router interface one may be connected. What is empty has not been
// said yet.
type Opposite struct {
	Region      string     `json:"region"`
	RouterKind  RouterKind `json:"routerKind"`
	AccessPoint string     `json:"accessPoint,omitempty"` // of a border router
	Router      string     `json:"router,omitempty"`
	Interface   string     `json:"interface,omitempty"`
	Account     string     `json:"account,omitempty"` // id of the account that owns it
}

// InterfaceCheck is a health check by ICMP.
type InterfaceCheck struct {
	Source netip.Addr `json:"source"` // an address of the VPC that nothing else has
	Target netip.Addr `json:"target"`
}

// InterfaceLink is what connects a router interface with its peer. Either end has one.
type InterfaceLink struct {
	Peer    string    `json:"peer"`    // id of the router interface at the other end
	Network string    `json:"network"` // that has the other end
	Since   time.Time `json:"since"`   // when it was asked for
	Step    LinkStep  `json:"step"`    // the last one at this end
}

// LinkStep is what was asked of an end of a link.
type LinkStep string

// The steps of an end. A link carries packets while neither end is deactivated.
const (
	LinkConnected   LinkStep = "connected"
	LinkActivated   LinkStep = "activated" // after it was inactive, or with another bandwidth
	LinkDeactivated LinkStep = "deactivated"
)

// Up says whether the interface is connected, and wants packets to cross.
func (r *RouterInterface) Up() bool { return r.Link != nil && r.Link.Step != LinkDeactivated }

// Connects says whether two interfaces are the ends of one link.
func (r *RouterInterface) Connects(peer *RouterInterface) bool {
	return r.Link != nil && peer.Link != nil && r.Link.Peer == peer.ID && peer.Link.Peer == r.ID
}

// Networks returns the ids of the networks that have the ends of its link; without one that
// of its router alone.
func (r *RouterInterface) Networks() []string {
	if r.Link == nil {
		return []string{r.Network()}
	}
	return []string{r.Network(), r.Link.Network}
}

// Kind implements Resource.
func (*RouterInterface) Kind() Kind { return KindRouterInterface }

// Network implements Resource.
func (r *RouterInterface) Network() string {
	if r.RouterKind == BorderRouter {
		return r.Router
	}
	return r.VPC
}

// Clone implements Resource.
func (r *RouterInterface) Clone() Resource {
	c := *r
	if r.Check != nil {
		check := *r.Check
		c.Check = &check
	}
	if r.Link != nil {
		link := *r.Link
		c.Link = &link
	}
	return &c
}
