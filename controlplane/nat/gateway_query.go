package nat

import (
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// AddressUse says what a public address of a gateway is used for.
type AddressUse int

// An address serves SNAT or DNAT, never both.
const (
	Idle AddressUse = iota
	UsedBySNAT
	UsedByDNAT
)

// GatewayAddress is an elastic IP bound to a gateway.
type GatewayAddress struct {
	*resource.ElasticIP
	Use AddressUse
}

// GatewayStatus is a gateway with what belongs to it.
type GatewayStatus struct {
	*resource.NATGateway
	Phase     resource.Phase
	Addresses []GatewayAddress // in the order in which they were allocated
}

// GatewayQuery selects gateways of a region. Empty filters match all, others
// match whole values, and all have to match.
type GatewayQuery struct {
	Region string
	ID     string
	VPC    string
	Name   string
	Spec   resource.Spec
	None   bool // a filter that no gateway can match was given
	Page   Page
}

// Gateways lists the caller's gateways in the order in which they were made.
func (s *Service) Gateways(c identity.Caller, q GatewayQuery) (List[GatewayStatus], error) {
	if err := s.region(q.Region); err != nil {
		return List[GatewayStatus]{}, err
	}
	if q.None {
		return List[GatewayStatus]{}, nil
	}
	v := s.db.View()
	r := v.NATGateways.By(state.ByRegion, state.Key(c.Account, q.Region))
	if q.VPC != "" {
		r = v.NATGateways.By(state.ByVPC, q.VPC)
	}
	var match func(*resource.NATGateway) bool // nil: everything in the range
	if q.ID != "" || q.VPC != "" || q.Name != "" || q.Spec != "" {
		match = func(g *resource.NATGateway) bool {
			return mine(c, q.Region, &g.Meta) && (q.ID == "" || g.ID == q.ID) && (q.Name == "" || g.Name == q.Name) && (q.Spec == "" || g.Spec == q.Spec)
		}
	}
	gateways := page(r, match, q.Page)
	list := List[GatewayStatus]{Total: gateways.Total}
	for _, g := range gateways.Items {
		list.Items = append(list.Items, s.status(v, g))
	}
	return list, nil
}

func (s *Service) status(v *state.View, g *resource.NATGateway) GatewayStatus {
	st := GatewayStatus{NATGateway: g, Phase: g.Phase(s.db.Observed.Applied(g.VPC))}
	for e := range v.ElasticIPs.By(state.ByBinding, g.ID).All() {
		a := GatewayAddress{ElasticIP: e}
		key := state.AddrKey(g.VPC, e.Address)
		switch {
		case v.SNATEntries.By(state.ByExternal, key).Len() > 0:
			a.Use = UsedBySNAT
		case v.ForwardEntries.By(state.ByExternal, key).Len() > 0:
			a.Use = UsedByDNAT
		}
		st.Addresses = append(st.Addresses, a)
	}
	return st
}

// page cuts a page out of what matches in a range. Without match it costs no
// more than the page itself, however long the range is.
func page[R resource.Resource](r *state.Range[R], match func(R) bool, p Page) List[R] {
	// PageNumber may be as large as an int32 holds: no overflow on 64 bits, and
	// what lies behind the end is an empty page.
	from, to := (p.Number-1)*p.Size, p.Number*p.Size
	var list List[R]
	if match == nil {
		list.Total = r.Len()
		for i := from; i < min(to, list.Total); i++ {
			list.Items = append(list.Items, r.At(i))
		}
		return list
	}
	for e := range r.All() {
		if !match(e) {
			continue
		}
		if list.Total >= from && list.Total < to {
			list.Items = append(list.Items, e)
		}
		list.Total++
	}
	return list
}
