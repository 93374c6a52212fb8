package routerinterface

import (
	"cmp"
	"context"
	"net/netip"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/inventory"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// NewInterface is what a router interface is made of.
type NewInterface struct {
	Region      string
	RouterKind  resource.RouterKind
	Router      string
	AccessPoint string // of a border router, which has to be there
	Initiates   bool
	Bandwidth   int // Mbit/s, of one that initiates; else 0
	Opposite    resource.Opposite
	Name        string // empty: the interface's id
	Description string
	Check       Check
	Labels      resource.Labels
}

// Check is a health check: both addresses, or neither.
type Check struct{ Source, Target *netip.Addr }

// Create makes a router interface, which is not connected yet, and returns its id (VPC API
// reference, CreateRouterInterface).
//
// Reasons, in this order: RegionNotFound, OppositeRegionNotFound, RouterInterfaceNotAllowed,
// those of checkKinds, RouterNotFound, RouterInterfaceSpec, those of checked,
// QuotaRouterInterface, QuotaRouterOfInterfaces, TagDuplicate, QuotaTag.
func (s *Service) Create(ctx context.Context, c identity.Caller, in NewInterface) (string, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (string, error) {
		if err := s.settings.CheckRegion(in.Region); err != nil {
			return "", err
		}
		if err := s.oppositeRegion(in.Opposite.Region); err != nil {
			return "", err
		}
		if !s.settings.MayConnect(c.Account) {
			return "", fault.New(fault.RouterInterfaceNotAllowed, "account %s; router_interfaces.accounts of the configuration names those that may", c.Account)
		}
		if err := checkKinds(in); err != nil {
			return "", err
		}
		r := &resource.RouterInterface{
			Meta: resource.Meta{ID: tx.NewID("ri"), Account: c.Account, Region: in.Region, CreatedAt: s.writer.Now()},
			Name: in.Name, Description: in.Description, RouterKind: in.RouterKind, Router: in.Router, AccessPoint: in.AccessPoint,
			Initiates: in.Initiates, Bandwidth: in.Bandwidth, Opposite: in.Opposite,
		}
		r.Name = cmp.Or(r.Name, r.ID)
		if err := s.atRouter(tx.View, c, r); err != nil {
			return "", err
		}
		if in.Initiates != (in.Bandwidth > 0) {
			return "", fault.Explained(fault.RouterInterfaceSpec, "the interface that initiates a connection has a bandwidth, the one that accepts it has not")
		}
		var err error
		if r.Check, err = checked(tx.View, r, in.Check); err != nil {
			return "", err
		}
		if err := tx.Room(r); err != nil {
			return "", err
		}
		if err := tx.Label(r, in.Labels); err != nil {
			return "", err
		}
		tx.PutAttributes(r) // nothing of it is in the kernel before it is connected
		tx.Done("router interface created", "routerInterface", r.ID, "router", r.Router, "initiates", r.Initiates, "bandwidth", r.Bandwidth)
		return r.ID, nil
	})
}

func (s *Service) oppositeRegion(id string) error {
	if _, ok := s.settings.Region(id); !ok {
		return fault.New(fault.OppositeRegionNotFound, "region %q is not configured", id)
	}
	return nil
}

// checkKinds refuses roles and access points that do not go with the kinds of the two routers:
// a border router initiates, towards a VPC's router, and alone has an access point.
//
// Reasons: OppositeRouterKind, RouterInterfaceRole, RouterInterfaceAccessPoint,
// OppositeAccessPoint, AccessPointMissing, OppositeAccessPointMissing.
func checkKinds(in NewInterface) error {
	border, opposite := in.RouterKind == resource.BorderRouter, in.Opposite.RouterKind == resource.BorderRouter
	switch {
	case border && opposite:
		return fault.New(fault.OppositeRouterKind, "a border router is connected with a VPC's router only")
	case border && !in.Initiates:
		return fault.New(fault.RouterInterfaceRole, "the interface of a border router initiates the connection")
	case opposite && in.Initiates:
		return fault.New(fault.RouterInterfaceRole, "an interface whose opposite is of a border router accepts the connection")
	case !border && in.AccessPoint != "":
		return fault.New(fault.RouterInterfaceAccessPoint, "access point %s", in.AccessPoint)
	case !opposite && in.Opposite.AccessPoint != "":
		return fault.New(fault.OppositeAccessPoint, "access point %s", in.Opposite.AccessPoint)
	case border && in.AccessPoint == "":
		return fault.New(fault.AccessPointMissing, "name the access point of the border router")
	case opposite && in.Opposite.AccessPoint == "":
		return fault.New(fault.OppositeAccessPointMissing, "name the access point of the opposite border router")
	}
	return nil
}

// atRouter finds the caller's router that a new interface is at. A border router is used only
// while it is enabled.
//
// Reasons, in this order: AccessPointNotFound, RouterNotFound, AccessPointMismatch,
// BorderRouterWrongState.
func (s *Service) atRouter(v *state.View, c identity.Caller, r *resource.RouterInterface) error {
	if r.RouterKind == resource.BorderRouter {
		return s.atBorderRouter(v, c, r)
	}
	router, err := lookup.In(s.settings, c, v.VRouters, r.Region, r.Router)
	if err != nil {
		return fault.New(fault.RouterNotFound, "router %q of region %s", r.Router, r.Region)
	}
	r.VPC = router.VPC
	return nil
}

func (s *Service) atBorderRouter(v *state.View, c identity.Caller, r *resource.RouterInterface) error {
	if _, ok := s.settings.AccessPoint(r.AccessPoint); !ok {
		return fault.New(fault.AccessPointNotFound, "access point %q", r.AccessPoint)
	}
	b, err := lookup.In(s.settings, c, v.BorderRouters, r.Region, r.Router)
	if err != nil {
		return fault.New(fault.RouterNotFound, "border router %q of region %s", r.Router, r.Region)
	}
	if b.AccessPoint != r.AccessPoint {
		return fault.New(fault.AccessPointMismatch, "border router %s is at access point %s", b.ID, b.AccessPoint)
	}
	if b.State != resource.BorderEnabled {
		return fault.New(fault.BorderRouterWrongState, "border router %s is %s", b.ID, b.State)
	}
	return nil
}

// checked returns the health check that an interface is to have, nil for none. It has one in
// a VPC whose opposite is a border router.
//
// Reasons: InterfaceCheckRole, InterfaceCheckInvalid.
func checked(v *state.View, r *resource.RouterInterface, in Check) (*resource.InterfaceCheck, error) {
	switch {
	case in.Source == nil && in.Target == nil:
		return nil, nil
	case r.Initiates:
		return nil, fault.New(fault.InterfaceCheckRole, "an interface with a health check accepts the connection of a border router")
	case in.Source == nil || in.Target == nil:
		return nil, fault.Explained(fault.InterfaceCheckInvalid, "a health check has a source and a target address")
	case r.RouterKind != resource.VPCRouter || r.Opposite.RouterKind != resource.BorderRouter:
		return nil, fault.Explained(fault.InterfaceCheckInvalid, "an interface has a health check if its router is a VPC's and the opposite one a border router")
	}
	source := *in.Source
	if vpc, ok := v.VPCs.Get(r.VPC); !ok || !vpc.Contains(source) {
		return nil, fault.Explained(fault.InterfaceCheckInvalid, "the source %s is not an address of VPC %s", source, r.VPC)
	}
	if what, used := user(v, r, source); used {
		return nil, fault.Explained(fault.InterfaceCheckInvalid, "the source %s is in use: %s", source, what)
	}
	if !target(*in.Target) {
		return nil, fault.Explained(fault.InterfaceCheckInvalid, "the target %s is not the address of a device", *in.Target)
	}
	return &resource.InterfaceCheck{Source: source, Target: *in.Target}, nil
}

// user says who has an address of the VPC that an interface is at, but for itself.
func user(v *state.View, r *resource.RouterInterface, a netip.Addr) (what string, used bool) {
	if id, ok := inventory.Holder(v, r.VPC, a); ok && id != r.ID {
		return "it is " + id + "'s", true
	}
	for x := range v.VSwitches.By(state.ByVPC, r.VPC).All() {
		if x.Reserved(a) {
			return "VSwitch " + x.ID + " has no such address for others", true
		}
	}
	return "", false
}

// target says whether an echo request can be sent to an address.
func target(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && a.As4()[0] != 0 && a.As4()[0] < 240
}
