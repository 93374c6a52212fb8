package eip

import (
	"net/netip"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// ElasticIP is an elastic IP as a listing shows it.
type ElasticIP struct {
	*resource.ElasticIP
	Status Status
	Shares *resource.CommonPackage // whose bandwidth it shares; nil: its own holds
	Bound  Bound
}

// Bound is what an elastic IP is bound to; all is empty for what is no address of a host's.
type Bound struct {
	Instance  string     // id of the instance; of an interface that is attached to none, none
	Interface string     // id of the network interface
	Address   netip.Addr // the private address
}

// bound looks up what an elastic IP is bound to.
func bound(v *state.View, e *resource.ElasticIP) (b Bound) {
	if e.Binding == nil {
		return b
	}
	b.Address, _ = v.BoundAddress(e.VPC, e.Binding)
	switch e.Binding.Type {
	case resource.BoundToHost, resource.BoundToLoadBalancer:
		b.Instance = e.Binding.ID
		if n, ok := v.PrimaryInterface(e.Binding.ID); ok {
			b.Interface = n.ID
		}
	case resource.BoundToInterface:
		if n, ok := v.NetworkInterfaces.Get(e.Binding.ID); ok {
			b.Instance, b.Interface = n.Instance, n.ID
		}
	}
	return b
}

// Holds returns how many Mbit/s it may send.
func (e ElasticIP) Holds() int {
	switch {
	case e.Shares == nil:
		return e.Bandwidth
	case e.Cap > 0:
		return min(e.Cap, e.Shares.Bandwidth)
	}
	return e.Shares.Bandwidth
}

// Filter says which elastic IPs a listing shows. All conditions apply at once.
type Filter struct {
	Region    string
	Names     state.OneOf[string]
	Prepaid   state.OneOf[bool]
	Statuses  state.OneOf[Status]
	Addresses state.OneOf[netip.Addr]
	IDs       state.OneOf[string]
	// What it is bound to. The documents want an id only beside a type; alone it
	// counts too, since a filter that is silently ignored would show what was not
	// asked for.
	BoundTypes state.OneOf[resource.BindingType]
	BoundIDs   state.OneOf[string]
	// Those of an address of a host: its instance, its interface, and the address.
	Instances, Interfaces state.OneOf[string]
	Private               state.OneOf[netip.Addr]
	Packages              state.OneOf[string] // ids of the common bandwidth packages that it is in
	state.Labelled
	Where func(ElasticIP) bool // what is shown has to meet it; nil: nothing
	None  bool                 // a filter that no elastic IP can match was given
	Since time.Time            // allocated then or later; the zero time: whenever
}

// List returns one page of the caller's elastic IPs, in order of creation (VPC
// API reference, DescribeEipAddresses). Reason: RegionNotFound.
func (s *Service) List(c identity.Caller, f Filter, p state.Page) (state.Listing[ElasticIP], error) {
	if err := s.settings.CheckRegion(f.Region); err != nil {
		return state.Listing[ElasticIP]{}, err
	}
	if f.None {
		return state.Listing[ElasticIP]{}, nil
	}
	v := s.db.View()
	item := func(e *resource.ElasticIP) ElasticIP {
		x := ElasticIP{ElasticIP: e, Status: StatusOf(s.db.Observed, e), Bound: bound(v, e)}
		if p, ok := v.CommonPackages.Get(e.Package); ok {
			x.Shares = p
		}
		return x
	}
	var addresses []string
	for _, a := range f.Addresses {
		addresses = append(addresses, a.String())
	}
	var keep func(e *resource.ElasticIP) bool
	if len(f.Addresses)+len(f.BoundTypes)+len(f.BoundIDs)+len(f.Packages)+len(f.Statuses)+len(f.Names)+len(f.Prepaid)+len(f.Instances)+len(f.Interfaces)+len(f.Private) > 0 || f.Where != nil || !f.Since.IsZero() {
		keep = func(e *resource.ElasticIP) bool {
			return f.Addresses.Allows(e.Address) && f.Names.Allows(e.Name) && f.Prepaid.Allows(e.Prepaid) && f.Packages.Allows(e.Package) && !e.CreatedAt.Before(f.Since) && f.hosts(v, e) && (f.Where == nil || f.Where(item(e))) &&
				(len(f.BoundTypes) == 0 || e.Binding != nil && f.BoundTypes.Allows(e.Binding.Type)) &&
				(len(f.BoundIDs) == 0 || e.Binding != nil && f.BoundIDs.Allows(e.Binding.ID)) &&
				(len(f.Statuses) == 0 || f.Statuses.Allows(StatusOf(s.db.Observed, e)))
		}
	}
	return state.SelectOwn(v.ElasticIPs, c.Account, f.Region, p, state.Filed(v, f.Labelled, keep), item,
		state.Under{Index: state.ByID, Keys: f.IDs}, state.Under{Index: state.ByAddress, Keys: addresses}, state.Under{Index: state.ByBinding, Keys: f.BoundIDs},
		state.Under{Index: state.ByPackage, Keys: f.Packages}), nil
}

// hosts says whether an elastic IP is bound as the conditions on hosts want it.
func (f Filter) hosts(v *state.View, e *resource.ElasticIP) bool {
	if len(f.Instances)+len(f.Interfaces)+len(f.Private) == 0 {
		return true
	}
	b := bound(v, e)
	return f.Instances.Allows(b.Instance) && f.Interfaces.Allows(b.Interface) && f.Private.Allows(b.Address)
}
