package vpn

import (
	"context"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// NewConnection is what a new connection should be.
type NewConnection struct {
	Region          string
	Gateway         string
	CustomerGateway string
	Settings        ConnectionSettings // LocalSubnets and RemoteSubnets are needed
	Labels          resource.Labels    // without a group: a connection is in its gateway's
}

// CreatedConnection is what CreateConnection made. It holds no secret: it is
// kept for the client's token.
type CreatedConnection struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
}

// notAsked is what the dataplane can carry, where that is not asked for.
var notAsked = &dataplane.VPNAbilities{NotKnownYet: true}

// CreateConnection makes an IPsec connection between a VPN gateway and a
// customer gateway, and with AutoConfigRoute its policy routes (VPN Gateway API
// reference, CreateVpnConnection).
//
// Reasons, in this order: RegionNotFound, VPNGatewayNotFound,
// CustomerGatewayNotFound, VPNIPsecOff, those of check, QuotaVPNConnection,
// those of autoRoutes, TagDuplicate, QuotaTag, VPNGatewayConfiguring.
func (s *Service) CreateConnection(ctx context.Context, c identity.Caller, in NewConnection) (CreatedConnection, error) {
	// Not for what is refused anyhow: it may wait.
	able := notAsked
	v := s.db.View()
	if _, err := lookup.In(s.settings, c, v.VPNGateways, in.Region, in.Gateway); err == nil {
		if _, err := lookup.In(s.settings, c, v.CustomerGateways, in.Region, in.CustomerGateway); err == nil {
			able = s.plane.VPNAbilities(ctx)
		}
	}
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (CreatedConnection, error) {
		g, err := lookup.In(s.settings, c, tx.VPNGateways, in.Region, in.Gateway)
		if err != nil {
			return CreatedConnection{}, err
		}
		peer, err := lookup.In(s.settings, c, tx.CustomerGateways, in.Region, in.CustomerGateway)
		if err != nil {
			return CreatedConnection{}, err
		}
		if !g.IPsec {
			return CreatedConnection{}, fault.New(fault.VPNIPsecOff, "VPN gateway %s has IPsec off", g.ID)
		}
		x := s.newConnection(g, peer)
		x.Meta = resource.Meta{ID: tx.NewID("vco"), Account: c.Account, Region: g.Region, CreatedAt: s.now()}
		if err := s.apply(x, in.Settings); err != nil {
			return CreatedConnection{}, err
		}
		if in.Settings.IKE.PSK == nil {
			key, err := s.newKey(tx.View, x, g, peer)
			if err != nil {
				return CreatedConnection{}, err
			}
			if err := s.setKey(x, &key); err != nil {
				return CreatedConnection{}, err
			}
		}
		if err := s.check(tx.View, nil, x, g, peer, able); err != nil {
			return CreatedConnection{}, err
		}
		if err := tx.Room(x); err != nil {
			return CreatedConnection{}, err
		}
		routes, err := s.autoRoutes(tx, nil, x)
		if err != nil {
			return CreatedConnection{}, err
		}
		if err := tx.Label(x, in.Labels); err != nil {
			return CreatedConnection{}, err
		}
		if err := s.configured(tx.View, g); err != nil {
			return CreatedConnection{}, err
		}
		tx.Put(x)
		routes.write(tx)
		tx.Done("VPN connection created", append(connectionAttrs(x), "routes", len(routes.put))...)
		return CreatedConnection{ID: x.ID, Name: x.Name, CreatedAt: x.CreatedAt}, nil
	})
}

// ConnectionChange changes a connection.
type ConnectionChange struct {
	Region   string
	ID       string
	Settings ConnectionSettings
}

// ModifyConnection changes a connection and returns it as it is then
// (ModifyVpnConnectionAttribute). What is not given stays as it is, single
// members of the settings included; what it comes to has to be acceptable as a
// whole. Auto routes follow the subnets.
//
// Reasons, in this order: RegionNotFound, VPNConnectionNotFound, those of
// check, those of autoRoutes, VPNGatewayConfiguring.
func (s *Service) ModifyConnection(ctx context.Context, c identity.Caller, in ConnectionChange) (ConnectionStatus, error) {
	able := notAsked
	if in.Settings.negotiation() {
		able = s.plane.VPNAbilities(ctx)
	}
	err := change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, g, peer, err := s.connection(tx.View, c, in.Region, in.ID)
		if err != nil {
			return err
		}
		x := old.Clone().(*resource.VPNConnection)
		if err := s.apply(x, in.Settings); err != nil {
			return err
		}
		kind := compare(old, x)
		if kind == unchanged {
			return nil
		}
		if kind == renamed {
			tx.PutAttributes(x)
			tx.Done("VPN connection renamed", connectionAttrs(x)...)
			return nil
		}
		if err := s.check(tx.View, old, x, g, peer, able); err != nil {
			return err
		}
		routes, err := s.autoRoutes(tx, old, x)
		if err != nil {
			return err
		}
		if err := s.configured(tx.View, g); err != nil {
			return err
		}
		tx.Put(x)
		routes.write(tx)
		tx.Done("VPN connection changed", append(connectionAttrs(x), "newRoutes", len(routes.put), "oldRoutes", len(routes.drop))...)
		return nil
	})
	if err != nil {
		return ConnectionStatus{}, err
	}
	// The answer holds the pre-shared key, which must not get into the receipt:
	// it is made of what is there, and so it is when the call is repeated.
	return s.Connection(ctx, c, in.Region, in.ID)
}

// ResetConnection takes a connection down, with its peer's knowledge, and negotiates it anew
// (Tencent Cloud's API 3.0, ResetVpnConnection). What has been asked for is done once, also
// where the daemon or charon is started anew meanwhile.
//
// Reasons, in this order: RegionNotFound, VPNConnectionNotFound, VPNGatewayConfiguring.
func (s *Service) ResetConnection(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, g, _, err := s.connection(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if err := s.configured(tx.View, g); err != nil {
			return err
		}
		x := old.Clone().(*resource.VPNConnection)
		x.Resets++
		tx.Put(x)
		tx.Done("VPN connection reset", connectionAttrs(x)...)
		return nil
	})
}

// DeleteConnection deletes a connection with all routes that lead to it: the
// documents have no error for routes that would be left.
//
// Reasons, in this order: RegionNotFound, VPNConnectionNotFound,
// VPNGatewayConfiguring.
func (s *Service) DeleteConnection(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		x, g, _, err := s.connection(tx.View, c, region, id)
		if err != nil {
			return err
		}
		if err := s.configured(tx.View, g); err != nil {
			return err
		}
		// Collected before the first change: ranges don't stand still under it.
		var gone []resource.Resource
		for r := range tx.VPNRoutes.By(state.ByConnection, x.ID).All() {
			gone = append(gone, r)
		}
		tx.Done("VPN connection deleted", append(connectionAttrs(x), "routes", len(gone))...)
		for _, r := range gone {
			tx.Delete(r)
		}
		tx.Delete(x)
		return nil
	})
}

// connection returns one of the caller's connections with its gateways.
func (s *Service) connection(v *state.View, c identity.Caller, region, id string) (*resource.VPNConnection, *resource.VPNGateway, *resource.CustomerGateway, error) {
	x, err := lookup.In(s.settings, c, v.VPNConnections, region, id)
	if err != nil {
		return nil, nil, nil, err
	}
	g, err := lookup.In(s.settings, c, v.VPNGateways, region, x.Gateway)
	if err != nil {
		return nil, nil, nil, err
	}
	peer, err := lookup.In(s.settings, c, v.CustomerGateways, region, x.CustomerGateway)
	if err != nil {
		return nil, nil, nil, err
	}
	return x, g, peer, nil
}

func connectionAttrs(x *resource.VPNConnection) []any {
	return []any{"connection", x.ID, "gateway", x.Gateway, "customerGateway", x.CustomerGateway, "vpc", x.VPC}
}
