package resource

import "net/netip"

// The kinds of what is about the classic network.
const (
	KindClassicInstance Kind = "classic-instance"
	KindClassicLink     Kind = "classic-link"
)

// ClassicInstance is an entry of the operator's inventory that is in no VPC, but on the classic
// network of its region.
type ClassicInstance struct {
	Meta
	Address netip.Addr `json:"address"`
	MAC     string     `json:"mac,omitempty"` // six bytes; empty: not known
}

// Kind implements Resource.
func (*ClassicInstance) Kind() Kind { return KindClassicInstance }

// Network implements Resource: it is its link that a network follows.
func (*ClassicInstance) Network() string { return "" }

// Clone implements Resource.
func (i *ClassicInstance) Clone() Resource { c := *i; return &c }

// ClassicLink lets an instance of the classic network and a VPC of its region reach each
// other. An instance has one at most.
type ClassicLink struct {
	Meta
	VPC      string `json:"vpc"`
	Instance string `json:"instance"`
}

// Kind implements Resource.
func (*ClassicLink) Kind() Kind { return KindClassicLink }

// Network implements Resource.
func (l *ClassicLink) Network() string { return l.VPC }

// Clone implements Resource.
func (l *ClassicLink) Clone() Resource { c := *l; return &c }
