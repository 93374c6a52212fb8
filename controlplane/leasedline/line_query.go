package leasedline

import (
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// States in which a line is shown though none of the kind is stored: what is seen in the
// dataplane decides.
const (
	Allocating  resource.LineState = "allocating"  // allocated, and its device is not there
	Terminating resource.LineState = "terminating" // terminated, and its device still carries something
)

// shown returns the state that a line is shown in.
func (s *Service) shown(v *state.View, l *resource.PhysicalConnection) resource.LineState {
	switch l.State {
	case resource.LineAllocated:
		if !s.link(l).Present {
			return Allocating
		}
	case resource.LineTerminated:
		// Another line may have the port since.
		if v.PhysicalConnections.By(state.ByPort, state.PortKey(l.AccessPoint, l.Port)).Len() == 0 && len(s.link(l).Networks) > 0 {
			return Terminating
		}
	}
	return l.State
}

// link returns how the device of a line is.
func (s *Service) link(l *resource.PhysicalConnection) dataplane.LineStatus {
	device := s.settings.LineDevice(l.AccessPoint, l.Port)
	if device == "" {
		return dataplane.LineStatus{}
	}
	return s.plane.Line(device)
}

// Line is a physical connection as a listing shows it.
type Line struct {
	*resource.PhysicalConnection
	Shown    resource.LineState // State, Allocating or Terminating
	Location string             // of the access device that its port is at
	Link     dataplane.LineStatus
}

func (s *Service) line(v *state.View, l *resource.PhysicalConnection) Line {
	out := Line{PhysicalConnection: l, Shown: s.shown(v, l)}
	if point, ok := s.settings.AccessPoint(l.AccessPoint); ok && l.HoldsPort() {
		p, _ := point.Port(l.Port)
		out.Location, out.Link = p.Location, s.link(l)
	}
	return out
}

// LineFilter says which physical connections a listing shows. All conditions apply at once.
type LineFilter struct {
	Region       string
	IDs          state.OneOf[string]
	AccessPoints state.OneOf[string]
	Carriers     state.OneOf[resource.Carrier]
	Bandwidths   state.OneOf[int]                // Mbit/s
	States       state.OneOf[resource.LineState] // as shown
	Names        state.OneOf[string]
	None         bool // a filter that none can match was given
}

// Lines returns one page of the caller's physical connections, in order of creation
// (DescribePhysicalConnections). Reason: RegionNotFound.
func (s *Service) Lines(c identity.Caller, f LineFilter, p state.Page) (state.Listing[Line], error) {
	if err := s.settings.CheckRegion(f.Region); err != nil {
		return state.Listing[Line]{}, err
	}
	if f.None {
		return state.Listing[Line]{}, nil
	}
	v := s.db.View()
	keep := func(l *resource.PhysicalConnection) bool {
		return f.AccessPoints.Allows(l.AccessPoint) && f.Carriers.Allows(l.Carrier) && f.Names.Allows(l.Name) && f.Bandwidths.Allows(l.Bandwidth) && f.States.Allows(s.shown(v, l))
	}
	return state.SelectOwn(v.PhysicalConnections, c.Account, f.Region, p, keep, func(l *resource.PhysicalConnection) Line { return s.line(v, l) },
		state.Under{Index: state.ByID, Keys: f.IDs}), nil
}

// All returns the physical connections of all accounts, by id: for the operator.
func (s *Service) All() (list []Line) {
	v := s.db.View()
	for l := range v.PhysicalConnections.All() {
		list = append(list, s.line(v, l))
	}
	return list
}

// Get returns a physical connection of any account: for the operator. Reason: LineNotFound.
func (s *Service) Get(id string) (Line, error) {
	v := s.db.View()
	l, ok := v.PhysicalConnections.Get(id)
	if !ok {
		return Line{}, notFound(id)
	}
	return s.line(v, l), nil
}

// Port is a port of an access point as it is.
type Port struct {
	AccessPoint string
	settings.Port
	Line    string // id of the physical connection that has it; empty: it is free
	Account string // whose that is
	Link    dataplane.LineStatus
}

// Ports returns all ports, in the order of the configuration: for the operator.
func (s *Service) Ports() (list []Port) {
	v := s.db.View()
	for _, a := range s.settings.AccessPoints {
		for _, p := range a.Ports {
			x := Port{AccessPoint: a.ID, Port: p, Link: s.plane.Line(p.Device)}
			if l, ok := v.PhysicalConnections.By(state.ByPort, state.PortKey(a.ID, p.Number)).First(); ok {
				x.Line, x.Account = l.ID, l.Account
			}
			list = append(list, x)
		}
	}
	return list
}
