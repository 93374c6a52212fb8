package nat

import (
	"net/netip"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// ForwardEntryQuery selects entries of a DNAT table. Empty and nil filters
// match all, others match whole values, and all have to match.
type ForwardEntryQuery struct {
	Region       string
	Table        string
	ID           string
	Name         string
	ExternalIP   netip.Addr
	ExternalPort *uint16 // 0: Any
	Protocol     *resource.Protocol
	InternalIP   netip.Addr
	InternalPort *uint16 // 0: Any
	Page         state.Page
}

// Entries is a page of a DNAT or SNAT table.
type Entries[T resource.Resource] struct {
	state.Listing[T]
	Gateway string // id of the gateway that the table belongs to
	Applied int64  // revision up to which the dataplane has followed, for the entries' Phase
}

// ForwardEntries lists the entries of a DNAT table in the order in which they
// were made. Without filters, or with one address as the only filter, a page
// costs the same however long the table is.
func (s *Service) ForwardEntries(c identity.Caller, q ForwardEntryQuery) (Entries[*resource.ForwardEntry], error) {
	v := s.db.View()
	g, err := s.forwardTable(v, c, q.Region, q.Table)
	if err != nil {
		return Entries[*resource.ForwardEntry]{}, err
	}
	out := Entries[*resource.ForwardEntry]{Gateway: g.ID, Applied: s.db.Observed.Applied(g.VPC)}
	if q.ID != "" {
		e, err := forwardEntry(v, g, q.ID)
		out.Listing = state.Single(e, err == nil && q.matches(e), q.Page, itself)
		return out, nil
	}
	r, match := q.candidates(v, g)
	out.Listing = state.Select(r, q.Page, match, itself)
	return out, nil
}

func itself[R resource.Resource](r R) R { return r }

// candidates returns the shortest range that an index gives, and what is still
// to be matched in it. A VPC has one gateway, so that what an index knows of
// the VPC is of this table.
func (q ForwardEntryQuery) candidates(v *state.View, g *resource.NATGateway) (*state.Range[*resource.ForwardEntry], func(*resource.ForwardEntry) bool) {
	r, rest := v.ForwardEntries.By(state.ByTable, g.ForwardTable), q
	if q.ExternalIP.IsValid() {
		r = v.ForwardEntries.By(state.ByExternal, state.AddrKey(g.VPC, q.ExternalIP))
		rest.ExternalIP = netip.Addr{}
	}
	if q.InternalIP.IsValid() {
		if in := v.ForwardEntries.By(state.ByInternal, state.AddrKey(g.VPC, q.InternalIP)); in.Len() <= r.Len() {
			r, rest = in, q
			rest.InternalIP = netip.Addr{}
		}
	}
	if rest.Name == "" && !rest.ExternalIP.IsValid() && !rest.InternalIP.IsValid() && rest.ExternalPort == nil && rest.InternalPort == nil && rest.Protocol == nil {
		return r, nil
	}
	return r, q.matches
}

func (q ForwardEntryQuery) matches(e *resource.ForwardEntry) bool {
	return (q.Name == "" || e.Name == q.Name) &&
		(!q.ExternalIP.IsValid() || e.ExternalIP == q.ExternalIP) &&
		(q.ExternalPort == nil || e.ExternalPort == *q.ExternalPort) &&
		(q.Protocol == nil || e.Protocol == *q.Protocol) &&
		(!q.InternalIP.IsValid() || e.InternalIP == q.InternalIP) &&
		(q.InternalPort == nil || e.InternalPort == *q.InternalPort)
}
