package vpn

import (
	"context"
	"fmt"
	"slices"

	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Negotiation is how far a connection's negotiation has come.
type Negotiation int

// The states of a negotiation.
const (
	NoIKE    Negotiation = iota // no IKE_SA
	IKE                         // an IKE_SA, no CHILD_SA yet
	NoChild                     // an IKE_SA, and the CHILD_SA has failed
	Complete                    // a CHILD_SA
)

// ConnectionStatus is a connection as it is: with its pre-shared key in clear,
// which is never to be logged or stored, and as the dataplane reports it at the
// time of asking.
type ConnectionStatus struct {
	*resource.VPNConnection
	PSK   dataplane.Secret // hidden from some callers
	Local *resource.VPNGateway
	Peer  *resource.CustomerGateway
	Live  dataplane.VPNStatus
	Phase resource.Phase // how far the gateway has followed its settings; what Live says is another matter
}

// Negotiation returns how far the negotiation has come.
func (c *ConnectionStatus) Negotiation() Negotiation {
	switch {
	case c.Live.Child:
		return Complete
	case c.Live.IKE && c.Live.Error != "":
		return NoChild
	case c.Live.IKE:
		return IKE
	}
	return NoIKE
}

// Whole says whether every pair of subnets is carried, as far as has been seen.
func (c *ConnectionStatus) Whole() bool {
	return len(c.Live.Pairs) > 0 && !slices.ContainsFunc(c.Live.Pairs, func(p dataplane.VPNPair) bool { return !p.Up })
}

// Connection returns one of the caller's connections (DescribeVpnConnection,
// DownloadVpnConnectionConfig). Reasons: RegionNotFound, VPNConnectionNotFound.
func (s *Service) Connection(ctx context.Context, c identity.Caller, region, id string) (ConnectionStatus, error) {
	v := s.db.View()
	x, _, _, err := s.connection(v, c, region, id)
	if err != nil {
		return ConnectionStatus{}, err
	}
	return s.statusFor(c, v, x, s.live(ctx, x.VPC))
}

// ConnectionQuery selects connections of a region. Gateways that are not there
// are refused, unless they may be.
type ConnectionQuery struct {
	Region           string
	IDs              state.OneOf[string]
	Gateways         state.OneOf[string]
	CustomerGateways state.OneOf[string]
	Absent           bool // gateways that are not there may be asked for
	VPCs             state.OneOf[string]
	Names            state.OneOf[string]
	state.Labelled
	Page state.Page
}

// Connections lists the caller's connections in the order in which they were
// made (DescribeVpnConnections). Reasons: RegionNotFound, VPNGatewayNotFound,
// CustomerGatewayNotFound.
func (s *Service) Connections(ctx context.Context, c identity.Caller, q ConnectionQuery) (state.Listing[ConnectionStatus], error) {
	var none state.Listing[ConnectionStatus]
	if err := s.settings.CheckRegion(q.Region); err != nil {
		return none, err
	}
	v := s.db.View()
	for _, id := range q.CustomerGateways {
		if q.Absent {
			break
		}
		if _, err := lookup.In(s.settings, c, v.CustomerGateways, q.Region, id); err != nil {
			return none, err
		}
	}
	for _, id := range q.Gateways {
		if q.Absent {
			break
		}
		if _, err := lookup.In(s.settings, c, v.VPNGateways, q.Region, id); err != nil {
			return none, err
		}
	}
	var keep func(x *resource.VPNConnection) bool
	if len(q.Gateways)+len(q.CustomerGateways)+len(q.VPCs)+len(q.Names) > 0 {
		keep = func(x *resource.VPNConnection) bool {
			return q.Gateways.Allows(x.Gateway) && q.CustomerGateways.Allows(x.CustomerGateway) && q.VPCs.Allows(x.VPC) && q.Names.Allows(x.Name)
		}
	}
	page := state.SelectOwn(v.VPNConnections, c.Account, q.Region, q.Page, state.Filed(v, q.Labelled, keep), state.Itself,
		state.Under{Index: state.ByID, Keys: q.IDs}, state.Under{Index: state.ByCustomerGateway, Keys: q.CustomerGateways}, state.Under{Index: state.ByGateway, Keys: q.Gateways})
	out := state.Listing[ConnectionStatus]{Total: page.Total}
	live := map[string]map[string]dataplane.VPNStatus{} // asked for once a network
	for _, x := range page.Items {
		if _, ok := live[x.VPC]; !ok {
			live[x.VPC] = s.live(ctx, x.VPC)
		}
		st, err := s.statusFor(c, v, x, live[x.VPC])
		if err != nil {
			return none, err
		}
		out.Items = append(out.Items, st)
	}
	return out, nil
}

// hidden stands for a pre-shared key that the caller may not see.
const hidden = "********"

// statusFor returns what a caller is told.
func (s *Service) statusFor(c identity.Caller, v *state.View, x *resource.VPNConnection, live map[string]dataplane.VPNStatus) (ConnectionStatus, error) {
	st, err := s.status(v, x, live)
	if c.DescribeOnly && s.settings.HidePSKs {
		st.PSK = hidden
	}
	return st, err
}

func (s *Service) status(v *state.View, x *resource.VPNConnection, live map[string]dataplane.VPNStatus) (ConnectionStatus, error) {
	psk, err := s.sealer.Open(x.ID, x.IKE.PSK)
	if err != nil {
		return ConnectionStatus{}, err
	}
	st := ConnectionStatus{VPNConnection: x, PSK: dataplane.Secret(psk), Live: live[x.ID], Phase: x.Phase(s.db.Observed.Applied(x.VPC))}
	var ok bool
	if st.Local, ok = v.VPNGateways.Get(x.Gateway); !ok {
		return ConnectionStatus{}, fmt.Errorf("VPN connection %s: its VPN gateway %s is gone", x.ID, x.Gateway)
	}
	if st.Peer, ok = v.CustomerGateways.Get(x.CustomerGateway); !ok {
		return ConnectionStatus{}, fmt.Errorf("VPN connection %s: its customer gateway %s is gone", x.ID, x.CustomerGateway)
	}
	return st, nil
}

// live asks the dataplane. What it can't tell counts as not established: a
// network that is not there has no tunnels, and queries are answered in every
// state.
func (s *Service) live(ctx context.Context, network string) map[string]dataplane.VPNStatus {
	all, err := s.plane.VPN(ctx, network)
	if err != nil {
		s.writer.Log.Debug("the state of VPN connections can't be read", "vpc", network, "error", err)
		return nil
	}
	return all
}
