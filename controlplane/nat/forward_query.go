package nat

import (
	"net/netip"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// ForwardEntryQuery selects entries of a DNAT table. The table is named by its own id, by
// that of its gateway, or by both.
type ForwardEntryQuery struct {
	Region        string
	Table         string
	Gateway       string
	IDs           state.OneOf[string]
	Names         state.OneOf[string]
	ExternalIPs   state.OneOf[netip.Addr]
	ExternalPorts state.OneOf[resource.Ports]
	Protocols     state.OneOf[resource.Protocol]
	InternalIPs   state.OneOf[netip.Addr]
	InternalPorts state.OneOf[resource.Ports]
	Page          state.Page
}

// Entries is a page of a DNAT or SNAT table.
type Entries[T resource.Resource] struct {
	state.Listing[T]
	Gateway string // id of the gateway that the table belongs to
	Applied int64  // revision up to which the dataplane has followed, for the entries' Phase
}

// ForwardEntries lists the entries of a DNAT table in the order in which they
// were made. Without filters, or with addresses of one kind as the only filter, a page
// costs the same however long the table is, if the VPC has no other gateway.
func (s *Service) ForwardEntries(c identity.Caller, q ForwardEntryQuery) (Entries[*resource.ForwardEntry], error) {
	v := s.db.View()
	g, err := s.tableOf(v, c, q.Region, q.Table, q.Gateway, s.forwardTable)
	if err != nil {
		return Entries[*resource.ForwardEntry]{}, err
	}
	out := Entries[*resource.ForwardEntry]{Gateway: g.ID, Applied: s.db.Observed.Applied(g.VPC)}
	if len(q.IDs) > 0 {
		match := func(e *resource.ForwardEntry) bool { return e.Table == g.ForwardTable && q.matches(e) }
		out.Listing = state.Select(v.ForwardEntries.ByID(q.IDs...), q.Page, match, itself)
		return out, nil
	}
	r, match := q.candidates(v, g)
	out.Listing = state.Select(r, q.Page, match, itself)
	return out, nil
}

func itself[R resource.Resource](r R) R { return r }

// candidates returns the shortest range that an index gives, and what is still
// to be matched in it. An index by address knows of the VPC, which may have other gateways
// with tables of their own.
func (q ForwardEntryQuery) candidates(v *state.View, g *resource.NATGateway) (state.Range[*resource.ForwardEntry], func(*resource.ForwardEntry) bool) {
	r, rest := v.ForwardEntries.By(state.ByTable, g.ForwardTable), q
	if len(q.ExternalIPs) > 0 {
		r = v.ForwardEntries.ByAny(state.ByExternal, addrKeys(g.VPC, q.ExternalIPs)...)
		rest.ExternalIPs = nil
	}
	if len(q.InternalIPs) > 0 {
		if in := v.ForwardEntries.ByAny(state.ByInternal, addrKeys(g.VPC, q.InternalIPs)...); in.Len() <= r.Len() {
			r, rest = in, q
			rest.InternalIPs = nil
		}
	}
	byAddress := len(rest.ExternalIPs) < len(q.ExternalIPs) || len(rest.InternalIPs) < len(q.InternalIPs)
	alone := !byAddress || v.NATGateways.By(state.ByVPC, g.VPC).Len() == 1
	if alone && len(rest.Names)+len(rest.ExternalIPs)+len(rest.InternalIPs)+len(rest.ExternalPorts)+len(rest.InternalPorts)+len(rest.Protocols) == 0 {
		return r, nil
	}
	return r, func(e *resource.ForwardEntry) bool { return e.Table == g.ForwardTable && q.matches(e) }
}

func addrKeys(vpc string, list []netip.Addr) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = state.AddrKey(vpc, a)
	}
	return out
}

func (q ForwardEntryQuery) matches(e *resource.ForwardEntry) bool {
	return q.Names.Allows(e.Name) && q.Protocols.Allows(e.Protocol) &&
		q.ExternalIPs.Allows(e.ExternalIP) && q.ExternalPorts.Allows(e.External()) &&
		q.InternalIPs.Allows(e.InternalIP) && q.InternalPorts.Allows(e.Internal())
}
