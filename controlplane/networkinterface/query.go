package networkinterface

import (
	"net/netip"

	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Status is the state of a network interface.
type Status int

// The states (Tencent Cloud's structure NetworkInterface). One that is being deleted is
// gone for clients at once.
const (
	Pending   Status = iota // made, and the dataplane does not have it yet
	Available               // attached or not, and the dataplane has it so
	Attaching               // attached, and the dataplane does not have it so yet
	Detaching               // attached to nothing, and the dataplane may still have it where it was
)

// Interface is a network interface as a listing shows it.
type Interface struct {
	*resource.NetworkInterface
	Status  Status
	Zone    string
	Elastic map[netip.Addr]*resource.ElasticIP // by the address that has it
}

// Filter says which interfaces a listing shows. All conditions apply at once.
type Filter struct {
	Region       string
	IDs          state.OneOf[string]
	VPCs         state.OneOf[string]
	VSwitches    state.OneOf[string]
	Instances    state.OneOf[string]
	InGroups     state.OneOf[string] // security groups
	Names        state.OneOf[string]
	Descriptions state.OneOf[string]
	None         bool // a filter that none can match was given
}

// List returns one page of the caller's interfaces, in order of creation
// (DescribeNetworkInterfaces). Reason: RegionNotFound.
func (s *Service) List(c identity.Caller, f Filter, p state.Page) (state.Listing[Interface], error) {
	if err := s.settings.CheckRegion(f.Region); err != nil || f.None {
		return state.Listing[Interface]{}, err
	}
	v := s.db.View()
	var keep func(*resource.NetworkInterface) bool
	if len(f.VPCs)+len(f.VSwitches)+len(f.Instances)+len(f.InGroups)+len(f.Names)+len(f.Descriptions) > 0 {
		keep = func(n *resource.NetworkInterface) bool {
			return f.VPCs.Allows(n.VPC) && f.VSwitches.Allows(n.VSwitch) && f.Instances.Allows(n.Instance) &&
				f.Names.Allows(n.Name) && f.Descriptions.Allows(n.Description) && f.inGroup(n)
		}
	}
	return state.SelectOwn(v.NetworkInterfaces, c.Account, f.Region, p, keep, func(n *resource.NetworkInterface) Interface { return s.show(v, n) },
		state.Under{Index: state.ByID, Keys: f.IDs}, state.Under{Index: state.ByInstance, Keys: f.Instances}, state.Under{Index: state.ByGroup, Keys: f.InGroups},
		state.Under{Index: state.ByVSwitch, Keys: f.VSwitches}, state.Under{Index: state.ByVPC, Keys: f.VPCs}), nil
}

func (f Filter) inGroup(n *resource.NetworkInterface) bool {
	if len(f.InGroups) == 0 {
		return true
	}
	for _, id := range n.SecurityGroups {
		if f.InGroups.Allows(id) {
			return true
		}
	}
	return false
}

// ByID returns an interface of the caller's in a region. Reasons: RegionNotFound,
// InterfaceNotFound.
func (s *Service) ByID(c identity.Caller, region, id string) (Interface, error) {
	v := s.db.View()
	n, err := lookup.In(s.settings, c, v.NetworkInterfaces, region, id)
	if err != nil {
		return Interface{}, err
	}
	return s.show(v, n), nil
}

func (s *Service) show(v *state.View, n *resource.NetworkInterface) Interface {
	x := Interface{NetworkInterface: n, Status: s.status(n), Zone: zoneOf(v, n.VSwitch), Elastic: map[netip.Addr]*resource.ElasticIP{}}
	for _, a := range n.Addresses {
		if e, ok := v.ElasticOf(n.VPC, a.Address); ok {
			x.Elastic[a.Address] = e
		}
	}
	return x
}

func (s *Service) status(n *resource.NetworkInterface) Status {
	switch phase := n.Phase(s.db.Observed.Applied(n.VPC)); {
	case phase == resource.Ready:
		return Available
	case phase == resource.Creating:
		return Pending
	case n.Detaching && n.Instance == "":
		return Detaching
	}
	return Attaching
}
