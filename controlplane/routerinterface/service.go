package routerinterface

import (
	"log/slog"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service carries out the actions on router interfaces. Its methods may be called
// concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	writer   change.Writer
}

// New returns the service over db. now is the clock that creation times and receipts are
// taken from.
func New(db *state.DB, set *settings.Settings, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, writer: change.NewWriter(db, set, now, log)}
}

// State is how far a router interface has come.
type State int

// The states of a router interface (VPC API reference, the actions on router interfaces).
const (
	Idle         State = iota // not connected
	Connecting                // it is the one that initiates, and the link is being made
	Accepting                 // it is the one that accepts, and the link is being made
	Active                    // both networks have the link, if the other end is active, too
	Deactivating              // the link is being taken out of service
	Inactive                  // neither network has the link
	Activating                // the link is being put back into service, or gets another bandwidth
)

// State returns the state of a router interface. It follows from what was asked of this end
// last, and whether both networks have followed.
func (s *Service) State(r *resource.RouterInterface) State {
	if r.Link == nil {
		return Idle
	}
	ready := s.ready(r)
	switch {
	case r.Link.Step == resource.LinkDeactivated && ready:
		return Inactive
	case r.Link.Step == resource.LinkDeactivated:
		return Deactivating
	case ready:
		return Active
	case r.Link.Step == resource.LinkActivated:
		return Activating
	case r.Initiates:
		return Connecting
	}
	return Accepting
}

// ready says whether all networks that have an end of its link have followed the newest change
// of a router interface.
func (s *Service) ready(r *resource.RouterInterface) bool {
	for _, network := range r.Networks() {
		if r.Phase(s.db.Observed.Applied(network)) != resource.Ready {
			return false
		}
	}
	return true
}

// settled refuses a change of a router interface that a dataplane is still following. One that
// has refused the newest change does not bar the way to the change that mends it. Reason:
// RouterInterfaceInTransition.
func (s *Service) settled(r *resource.RouterInterface) error {
	if s.ready(r) {
		return nil
	}
	for _, network := range r.Networks() {
		if !s.db.Observed.Settled(network) {
			return fault.InTransition(fault.RouterInterfaceInTransition, network, "the link of router interface %s is still being made or changed; try again when that is done", r.ID)
		}
	}
	return nil
}

// own returns one of the caller's router interfaces. Reasons: RegionNotFound,
// RouterInterfaceNotFound.
func (s *Service) own(v *state.View, c identity.Caller, region, id string) (*resource.RouterInterface, error) {
	return lookup.In(s.settings, c, v.RouterInterfaces, region, id)
}
