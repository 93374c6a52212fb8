package vpn

import (
	"context"
	"slices"
	"strings"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Tunnel is a connection as it is, with the routes that lead to it.
type Tunnel struct {
	*resource.VPNConnection
	Local  *resource.VPNGateway
	Peer   *resource.CustomerGateway
	Routes []*resource.VPNRoute // by ID
	Live   dataplane.VPNStatus
}

// Tunnels returns how a connection is, or, if connection is empty, all of them, by
// id. It is for the operator: whose they are does not count. Reason:
// VPNConnectionNotFound.
func (s *Service) Tunnels(ctx context.Context, connection string) ([]Tunnel, error) {
	v := s.db.View()
	var all []*resource.VPNConnection
	if connection == "" {
		all = slices.Collect(v.VPNConnections.All())
	} else {
		x, ok := v.VPNConnections.Get(connection)
		if !ok {
			return nil, fault.New(fault.VPNConnectionNotFound, "VPN connection %q", connection)
		}
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b *resource.VPNConnection) int { return strings.Compare(a.ID, b.ID) })
	live := map[string]map[string]dataplane.VPNStatus{} // asked for once a network
	out := make([]Tunnel, 0, len(all))
	for _, x := range all {
		if _, ok := live[x.VPC]; !ok {
			live[x.VPC] = s.live(ctx, x.VPC)
		}
		t := Tunnel{VPNConnection: x, Routes: slices.Collect(v.VPNRoutes.By(state.ByConnection, x.ID).All()), Live: live[x.VPC][x.ID]}
		slices.SortFunc(t.Routes, func(a, b *resource.VPNRoute) int { return strings.Compare(a.ID, b.ID) })
		st, err := s.status(v, x, nil) // that both ends are there
		if err != nil {
			return nil, err
		}
		t.Local, t.Peer = st.Local, st.Peer
		out = append(out, t)
	}
	return out, nil
}
