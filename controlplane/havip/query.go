package havip

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Status is the state of a HaVip.
type Status int

// The states of a HaVip (DescribeHaVips, of today's API).
const (
	Creating      Status = iota // the dataplane does not have it yet
	Available                   // bound to no instance
	InUse                       // bound
	Associating                 // bound to an instance, and the dataplane does not know it yet
	Unassociating               // unbound from one, and the dataplane may still let it have the address
)

// StatusOf returns the state of a HaVip.
func StatusOf(o *state.Observed, h *resource.HaVip) Status {
	switch phase := h.Phase(o.Applied(h.VPC)); {
	case phase == resource.Creating:
		return Creating
	case phase == resource.Changing && h.Unbinding:
		return Unassociating
	case phase == resource.Changing:
		return Associating
	case len(h.Instances) > 0:
		return InUse
	}
	return Available
}

// Holder is who was seen to have a HaVip's address.
type Holder struct {
	Instance string    // id of the bound instance that this is; empty: none of those
	MAC      string    // empty: nobody was seen
	Since    time.Time // when it was first seen there
}

// HaVip is a HaVip as a listing shows it.
type HaVip struct {
	*resource.HaVip
	Status  Status
	Master  Holder
	Elastic []netip.Addr // elastic IPs that are bound to it
}

// Query selects HaVips of a region. All conditions apply at once.
type Query struct {
	Region    string
	IDs       state.OneOf[string]
	VPCs      state.OneOf[string]
	VSwitches state.OneOf[string]
	Addresses state.OneOf[string]
	Statuses  state.OneOf[Status]
	None      bool // a filter that none can match was given
	state.Labelled
	Page state.Page
}

// List returns the caller's HaVips in the order in which they were made (DescribeHaVips).
// Reason: RegionNotFound.
func (s *Service) List(c identity.Caller, q Query) (state.Listing[HaVip], error) {
	if err := s.settings.CheckRegion(q.Region); err != nil {
		return state.Listing[HaVip]{}, err
	}
	if q.None {
		return state.Listing[HaVip]{}, nil
	}
	v := s.db.View()
	var keep func(*resource.HaVip) bool
	if len(q.VPCs)+len(q.VSwitches)+len(q.Addresses)+len(q.Statuses)+len(q.IDs) > 0 {
		keep = func(h *resource.HaVip) bool {
			return q.IDs.Allows(h.ID) && q.VPCs.Allows(h.VPC) && q.VSwitches.Allows(h.VSwitch) && q.Addresses.Allows(h.PrivateIP.String()) &&
				(len(q.Statuses) == 0 || q.Statuses.Allows(StatusOf(s.db.Observed, h)))
		}
	}
	return state.SelectOwn(v.HaVips, c.Account, q.Region, q.Page, state.Filed(v, q.Labelled, keep), func(h *resource.HaVip) HaVip { return s.show(v, h) },
		state.Under{Index: state.ByID, Keys: q.IDs}, state.Under{Index: state.ByVSwitch, Keys: q.VSwitches}, state.Under{Index: state.ByVPC, Keys: q.VPCs}), nil
}

// All returns the HaVips of all accounts, in the order in which they were made. It is for
// the operator.
func (s *Service) All() (list []HaVip) {
	v := s.db.View()
	for h := range v.HaVips.All() {
		list = append(list, s.show(v, h))
	}
	slices.SortFunc(list, func(a, b HaVip) int { return cmp.Compare(a.Created, b.Created) })
	return list
}

func (s *Service) show(v *state.View, h *resource.HaVip) HaVip {
	out := HaVip{HaVip: h, Status: StatusOf(s.db.Observed, h), Master: s.holder(v, h)}
	for e := range v.ElasticIPs.By(state.ByBinding, h.ID).All() {
		out.Elastic = append(out.Elastic, e.Address)
	}
	return out
}

// holder says who was seen to have a HaVip's address. An instance that is not bound any
// more has it no longer, whatever it announces.
func (s *Service) holder(v *state.View, h *resource.HaVip) Holder {
	seen, ok := s.plane.HaVips(h.VPC)[h.PrivateIP]
	if !ok {
		return Holder{}
	}
	out := Holder{MAC: seen.MAC, Since: seen.Since}
	for _, id := range h.Instances {
		if i, ok := v.Instances.Get(id); ok && seen.Host.IsValid() && i.PrivateIP == seen.Host {
			out.Instance = id
		}
	}
	return out
}
