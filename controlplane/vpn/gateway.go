package vpn

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"slices"

	"sluice/controlplane/change"
	"sluice/controlplane/eip"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// sslConnections is how many SSL-VPN clients may connect where SSL-VPN is asked
// for without a number: the least of those that can be asked for.
const sslConnections = 5

// Gateway is what a new VPN gateway should be.
type Gateway struct {
	Region         string
	VPC            string
	VSwitch        string // of the VPC; empty: none
	Name           string // empty: the gateway's id
	Bandwidth      int    // Mbit/s
	Prepaid        bool   // else by use
	Period         int    // months, if prepaid; 0: not given
	AutoRenew      bool   // if prepaid, it renews itself for as long again
	IPsec          bool
	SSL            bool
	SSLConnections int // 0: not given
	Labels         resource.Labels
}

// NewGateway is what CreateGateway made.
type NewGateway struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Order int64  `json:"order,omitempty"` // number of the order, if prepaid
}

// CreateGateway makes the VPN gateway of a VPC, with a free address of the
// region's public network, one picked at random (VPN Gateway API reference,
// CreateVpnGateway). An order of a prepaid one counts as paid at once.
//
// Reasons, in this order: RegionNotFound, VPCNotFound, VSwitchNotFound,
// PeriodMissing, VPNNothingOn, VPNGatewayExists, VPNUnavailable, SSLUnavailable,
// NoFreeElasticIP, VPCInTransition, TagDuplicate, QuotaTag.
func (s *Service) CreateGateway(ctx context.Context, c identity.Caller, in Gateway) (NewGateway, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (NewGateway, error) {
		vpc, err := lookup.In(s.settings, c, tx.VPCs, in.Region, in.VPC)
		if err != nil {
			return NewGateway{}, err
		}
		if in.VSwitch != "" {
			if x, ok := tx.VSwitches.Get(in.VSwitch); !ok || x.VPC != vpc.ID {
				return NewGateway{}, fault.New(fault.VSwitchNotFound, "VSwitch %q in VPC %s", in.VSwitch, vpc.ID)
			}
		}
		if in.Prepaid && in.Period == 0 {
			return NewGateway{}, fault.New(fault.PeriodMissing, "a prepaid gateway needs a period in months")
		}
		if !in.IPsec && !in.SSL {
			return NewGateway{}, fault.New(fault.VPNNothingOn, "a VPN gateway has IPsec, SSL-VPN or both")
		}
		for other := range tx.VPNGateways.By(state.ByVPC, vpc.ID).All() {
			if !s.rules.OneGateway {
				break
			}
			return NewGateway{}, fault.New(fault.VPNGatewayExists, "VPC %s has VPN gateway %s; a VPC has at most one", vpc.ID, other.ID)
		}
		if in.IPsec {
			if _, err := s.plane.VPNPath(); err != nil {
				return NewGateway{}, fault.Explained(fault.VPNUnavailable, "%v", err)
			}
		}
		if in.SSL {
			if err := s.plane.SSLAvailable(); err != nil {
				return NewGateway{}, fault.Explained(fault.SSLUnavailable, "%v", err)
			}
		}
		public, ok := s.settings.PublicNetworkOf(vpc.Region)
		if !ok {
			return NewGateway{}, fault.New(fault.NoFreeElasticIP, "region %s has no public network", vpc.Region)
		}
		address, err := eip.Draw(tx.View, s.db.Observed, public, s.random)
		if err != nil {
			return NewGateway{}, err
		}
		if err := state.Vacant(s.db.Observed, tx.VPNGateways, vpc); err != nil {
			return NewGateway{}, err
		}
		g := &resource.VPNGateway{
			Meta:           resource.Meta{ID: tx.NewID("vpn"), Account: c.Account, Region: vpc.Region, CreatedAt: s.now()},
			VPC:            vpc.ID,
			VSwitch:        in.VSwitch,
			Name:           in.Name,
			Address:        address,
			PublicNetwork:  public.Name,
			Bandwidth:      in.Bandwidth,
			Prepaid:        in.Prepaid,
			IPsec:          in.IPsec,
			SSL:            in.SSL,
			SSLConnections: in.SSLConnections,
		}
		if g.Name == "" {
			g.Name = g.ID
		}
		if g.SSL && g.SSLConnections == 0 {
			g.SSLConnections = sslConnections
		}
		made := NewGateway{ID: g.ID, Name: g.Name}
		if g.Prepaid {
			g.Expires = g.CreatedAt.AddDate(0, in.Period, 0)
			if in.AutoRenew {
				g.Period = in.Period
			}
			if made.Order, err = s.orderNumber(); err != nil {
				return NewGateway{}, err
			}
		}
		if err := tx.Label(g, in.Labels); err != nil {
			return NewGateway{}, err
		}
		tx.Put(g)
		tx.Done("VPN gateway created", "gateway", g.ID, "vpc", vpc.ID, "address", address, "bandwidth", g.Bandwidth)
		return made, nil
	})
}

// orderNumber draws a number of 14 digits, as the document's example has it.
func (s *Service) orderNumber() (int64, error) {
	const low, span = 10_000_000_000_000, 90_000_000_000_000
	n, err := rand.Int(s.random, big.NewInt(span))
	if err != nil {
		return 0, fmt.Errorf("draw an order number: %w", err)
	}
	return low + n.Int64(), nil
}

// GatewayAttributes is a change of a gateway; nil leaves a thing as it is.
type GatewayAttributes struct {
	Region        string
	ID            string
	Name          *string // empty: the gateway's id again
	Description   *string
	AutoPropagate *bool
	ByUseNext     bool // a prepaid one is charged by use when its term ends
}

// ModifyGateway changes a gateway's name, description, how it is charged next and whether
// routes that it learns go into the VPC's route table, and returns it as it is then
// (ModifyVpnGatewayAttribute). The dataplane has a part in the last alone.
//
// Reasons: RegionNotFound, VPNGatewayNotFound, VPNGatewayByUse, VPNGatewayConfiguring.
func (s *Service) ModifyGateway(ctx context.Context, c identity.Caller, in GatewayAttributes) (GatewayStatus, error) {
	g, err := change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.VPNGateway, error) {
		old, err := lookup.In(s.settings, c, tx.VPNGateways, in.Region, in.ID)
		if err != nil {
			return nil, err
		}
		g := old.Clone().(*resource.VPNGateway)
		resource.Naming{Name: in.Name, Description: in.Description}.Apply(&g.Name, &g.Description, g.ID)
		if in.AutoPropagate != nil {
			g.AutoPropagate = *in.AutoPropagate
		}
		if in.ByUseNext {
			prepaid, expires := old.Charge(s.now())
			if !prepaid {
				return nil, fault.New(fault.VPNGatewayByUse, "VPN gateway %s", g.ID)
			}
			g.Expires, g.Period, g.ByUseNext = expires, 0, true
		}
		switch {
		case *g == *old:
			return g, nil
		case g.AutoPropagate == old.AutoPropagate:
			tx.PutAttributes(g)
		default:
			if err := s.gatewayReady(tx.View, old); err != nil {
				return nil, err
			}
			tx.Put(g)
		}
		tx.Done("VPN gateway changed", "gateway", g.ID, "vpc", g.VPC, "name", g.Name, "autoPropagate", g.AutoPropagate)
		return g, nil
	})
	if err != nil {
		return GatewayStatus{}, err
	}
	return s.gatewayStatus(s.db.View(), g), nil
}

// DeleteGateway deletes a gateway without connections and SSL-VPN servers, with its
// routes (DeleteVpnGateway). Its public address goes back to the pool.
//
// Reasons, in this order: RegionNotFound, VPNGatewayNotFound, VPNGatewaySSLOnly,
// VPNGatewayHasConnections, VPNGatewayHasSSLServers, VPNGatewayPrepaid, VPNGatewayConfiguring.
func (s *Service) DeleteGateway(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, err := lookup.In(s.settings, c, tx.VPNGateways, region, id)
		if err != nil {
			return err
		}
		if s.rules.IPsecOnly && !g.IPsec {
			return fault.New(fault.VPNGatewaySSLOnly, "VPN gateway %s", g.ID)
		}
		if err := tx.Blocked(g); err != nil {
			return err
		}
		if prepaid, expires := g.Charge(s.now()); prepaid && s.now().Before(expires) {
			return fault.New(fault.VPNGatewayPrepaid, "VPN gateway %s is prepaid until %s", g.ID, expires)
		}
		if err := s.gatewayReady(tx.View, g); err != nil {
			return err
		}
		// Collected before the first change: ranges don't stand still under it.
		routes := slices.Collect(tx.VPNRoutes.By(state.ByGateway, g.ID).All())
		entries := slices.Collect(tx.RouteEntries.By(state.ByNextHop, g.ID).All())
		for _, r := range routes {
			tx.Delete(r)
		}
		for _, e := range entries {
			tx.Delete(e)
		}
		tx.Delete(g)
		tx.Done("VPN gateway deleted", "gateway", g.ID, "vpc", g.VPC, "address", g.Address, "routes", len(routes))
		return nil
	})
}
