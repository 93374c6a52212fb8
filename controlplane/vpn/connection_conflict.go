package vpn

import (
	"sluice/controlplane/compile"
	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// compiled returns what the dataplane is told of a connection, the pre-shared
// key in clear included.
func (s *Service) compiled(x *resource.VPNConnection, g *resource.VPNGateway, peer *resource.CustomerGateway) (dataplane.VPNConnection, error) {
	psk, err := s.sealer.Open(x.ID, x.IKE.PSK)
	if err != nil {
		return dataplane.VPNConnection{}, err
	}
	return compile.Connection(x, g, peer, string(psk)), nil
}

// others returns a gateway's connections but for one, as the dataplane knows
// them, in no order that means anything.
func (s *Service) others(v *state.View, x *resource.VPNConnection, g *resource.VPNGateway) ([]dataplane.VPNConnection, error) {
	var list []dataplane.VPNConnection
	for other := range v.VPNConnections.By(state.ByGateway, g.ID).All() {
		peer, ok := v.CustomerGateways.Get(other.CustomerGateway)
		if other.ID == x.ID || !ok {
			continue
		}
		c, err := s.compiled(other, g, peer)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// newKey returns the pre-shared key of a new connection that none was given for:
// that of a connection with which it has to have it in common, or else a random
// one.
func (s *Service) newKey(v *state.View, x *resource.VPNConnection, g *resource.VPNGateway, peer *resource.CustomerGateway) (string, error) {
	others, err := s.others(v, x, g)
	if err != nil {
		return "", err
	}
	c := compile.Connection(x, g, peer, "")
	for i := range others {
		if c.SharesKey(&others[i]) {
			return string(others[i].PSK), nil
		}
	}
	return s.randomKey()
}

// conflictReasons is constant; it is indexed by dataplane.VPNField.
var conflictReasons = [...]fault.Reason{
	dataplane.FieldPSK:      fault.VPNKeyConflict,
	dataplane.FieldLocalID:  fault.VPNLocalIDConflict,
	dataplane.FieldRemoteID: fault.VPNRemoteIDConflict,
}

// checkConflicts refuses a connection that IKE would take for another one of the
// gateway, or that would give a peer two keys. A change that is about something
// else is not refused for what was there before.
//
// Reasons: VPNRemoteIDConflict, VPNLocalIDConflict, VPNKeyConflict.
func (s *Service) checkConflicts(v *state.View, old, x *resource.VPNConnection, g *resource.VPNGateway, peer *resource.CustomerGateway) error {
	c, err := s.compiled(x, g, peer)
	if err != nil {
		return err
	}
	if old != nil {
		before, err := s.compiled(old, g, peer)
		if err != nil {
			return err
		}
		if c.LocalID == before.LocalID && c.RemoteID == before.RemoteID && c.PSK == before.PSK &&
			c.IKE.Version == before.IKE.Version && c.IKE.Aggressive == before.IKE.Aggressive {
			return nil
		}
	}
	others, err := s.others(v, x, g)
	if err != nil {
		return err
	}
	for i := range others {
		if conflict := c.Conflict(&others[i]); conflict != nil {
			return fault.Explained(conflictReasons[conflict.Field], "%s", conflict.Why)
		}
	}
	return nil
}
