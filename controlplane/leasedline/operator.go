package leasedline

import (
	"context"
	"strings"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// The steps of the operator, of whom the documents' actions know only what comes of them.
// Each has the reasons LineNotFound and LineWrongState.

// Approve accepts an application.
func (s *Service) Approve(ctx context.Context, id string) error {
	return s.operatorStep(ctx, id, resource.LineApproved, nil, resource.LineApplied)
}

// Reject turns an application down. The customer may change it, which is applying again.
func (s *Service) Reject(ctx context.Context, id string) error {
	return s.operatorStep(ctx, id, resource.LineRejected, nil, resource.LineApplied, resource.LineApproved)
}

// Fail notes that there is no port for an approved line: it is over.
func (s *Service) Fail(ctx context.Context, id string) error {
	return s.operatorStep(ctx, id, resource.LineFailed, func(_ *change.Tx, l *resource.PhysicalConnection) error {
		l.Port = ""
		return nil
	}, resource.LineApproved, Allocating)
}

// Confirm notes that a line is built: it waits for its customer to enable it.
func (s *Service) Confirm(ctx context.Context, id string) error {
	return s.operatorStep(ctx, id, resource.LineConfirmed, nil, resource.LineAllocated)
}

// Allocate gives an approved line a port of its access point: the one of that number, or, if
// that is empty, the first that is free, rather one that lies elsewhere than the port of the
// line that it stands in for. While the port's device is not there the line is being
// allocated, and may get another port.
//
// Further reasons: LinePortUnknown, LinePortTaken.
func (s *Service) Allocate(ctx context.Context, id, number string) (port settings.Port, err error) {
	err = s.operatorStep(ctx, id, resource.LineAllocated, func(tx *change.Tx, l *resource.PhysicalConnection) (err error) {
		port, err = s.choosePort(tx.View, l, number)
		l.Port = port.Number
		return err
	}, resource.LineApproved, Allocating)
	return port, err
}

func (s *Service) operatorStep(ctx context.Context, id string, to resource.LineState, check func(*change.Tx, *resource.PhysicalConnection) error, from ...resource.LineState) error {
	return s.operate(ctx, func(tx *change.Tx) error {
		l, ok := tx.PhysicalConnections.Get(id)
		if !ok {
			return notFound(id)
		}
		return s.turn(tx, l, to, check, from...)
	})
}

// choosePort returns the port that a line gets.
func (s *Service) choosePort(v *state.View, l *resource.PhysicalConnection, number string) (settings.Port, error) {
	point, ok := s.settings.AccessPoint(l.AccessPoint)
	if !ok {
		return settings.Port{}, fault.New(fault.LinePortUnknown, "the configuration has no access point %s any more", l.AccessPoint)
	}
	if number != "" {
		p, ok := point.Port(number)
		if !ok {
			return p, fault.New(fault.LinePortUnknown, "access point %s has no port %q; it has %s", point.ID, number, numbers(point.Ports))
		}
		return p, s.vacant(v, l, p)
	}
	elsewhere := func(settings.Port) bool { return true }
	if other, ok := v.PhysicalConnections.Get(l.Redundant); ok && other.AccessPoint == point.ID {
		if taken, ok := point.Port(other.Port); ok {
			elsewhere = func(p settings.Port) bool { return p.Location != taken.Location }
		}
	}
	var any *settings.Port
	for i, p := range point.Ports {
		if s.vacant(v, l, p) != nil {
			continue
		}
		if elsewhere(p) {
			return p, nil
		}
		if any == nil {
			any = &point.Ports[i]
		}
	}
	if any == nil {
		return settings.Port{}, fault.New(fault.LinePortTaken, "access point %s has no port that is free; it has %s", point.ID, numbers(point.Ports))
	}
	return *any, nil
}

// vacant refuses a port that has another line, or whose device still carries one that is over.
func (s *Service) vacant(v *state.View, l *resource.PhysicalConnection, p settings.Port) error {
	for other := range v.PhysicalConnections.By(state.ByPort, state.PortKey(l.AccessPoint, p.Number)).All() {
		if other.ID != l.ID {
			return fault.New(fault.LinePortTaken, "port %s of access point %s has physical connection %s", p.Number, l.AccessPoint, other.ID)
		}
	}
	if used := s.plane.Line(p.Device).Networks; len(used) > 0 {
		return fault.New(fault.LinePortTaken, "device %s of port %s still carries %s", p.Device, p.Number, strings.Join(used, ", "))
	}
	return nil
}

func numbers(ports []settings.Port) string {
	if len(ports) == 0 {
		return "none"
	}
	list := make([]string, 0, len(ports))
	for _, p := range ports {
		list = append(list, p.Number)
	}
	return strings.Join(list, ", ")
}

func words(states []resource.LineState) string {
	list := make([]string, 0, len(states))
	for _, x := range states {
		list = append(list, string(x))
	}
	return strings.Join(list, " or ")
}

func notFound(id string) error { return fault.New(fault.LineNotFound, "physical connection %q", id) }
