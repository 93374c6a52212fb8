package vpn

import (
	"context"
	"net/netip"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// CustomerGateway is what a new customer gateway should be.
type CustomerGateway struct {
	Region      string
	Address     netip.Addr // IPv4
	ASN         uint32     // 0: not given
	Name        string     // empty: the customer gateway's id
	Description string
	Labels      resource.Labels
}

// CreateCustomerGateway notes the VPN device of a remote site (VPN Gateway API
// reference, CreateCustomerGateway).
//
// Reasons: RegionNotFound, CustomerGatewayAddress, CustomerGatewayExists,
// QuotaCustomerGateway, TagDuplicate, QuotaTag.
func (s *Service) CreateCustomerGateway(ctx context.Context, c identity.Caller, in CustomerGateway) (*resource.CustomerGateway, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.CustomerGateway, error) {
		if err := s.settings.CheckRegion(in.Region); err != nil {
			return nil, err
		}
		if !ofADevice(in.Address) {
			return nil, fault.New(fault.CustomerGatewayAddress, "%s; write the IPv4 address at which the device is reached", in.Address)
		}
		for other := range tx.CustomerGateways.By(state.ByAddress, state.Key(c.Account, in.Region, in.Address.String())).All() {
			return nil, fault.New(fault.CustomerGatewayExists, "customer gateway %s has address %s", other.ID, in.Address)
		}
		g := &resource.CustomerGateway{
			Meta:        resource.Meta{ID: tx.NewID("cgw"), Account: c.Account, Region: in.Region, CreatedAt: s.now()},
			Address:     in.Address,
			ASN:         in.ASN,
			Name:        in.Name,
			Description: in.Description,
		}
		if g.Name == "" {
			g.Name = g.ID
		}
		if err := tx.Room(g); err != nil {
			return nil, err
		}
		if err := tx.Label(g, in.Labels); err != nil {
			return nil, err
		}
		tx.Put(g)
		tx.Done("customer gateway created", "customerGateway", g.ID, "address", g.Address, "region", g.Region)
		return g, nil
	})
}

// ofADevice says whether a single device can be reached at an address. A
// private one counts: it may be that of a device across a private link.
func ofADevice(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && a.As4()[0] != 0 && a.As4()[0] < 240
}

// CustomerGatewayAttributes is a change of a customer gateway; nil leaves a
// thing as it is.
type CustomerGatewayAttributes struct {
	Region      string
	ID          string
	Name        *string // empty: the customer gateway's id again
	Description *string
}

// ModifyCustomerGateway changes a customer gateway's name and description, and
// returns it as it is then (ModifyCustomerGatewayAttribute).
//
// Reasons: RegionNotFound, CustomerGatewayNotFound.
func (s *Service) ModifyCustomerGateway(ctx context.Context, c identity.Caller, in CustomerGatewayAttributes) (*resource.CustomerGateway, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.CustomerGateway, error) {
		old, err := lookup.In(s.settings, c, tx.CustomerGateways, in.Region, in.ID)
		if err != nil {
			return nil, err
		}
		g := old.Clone().(*resource.CustomerGateway)
		resource.Naming{Name: in.Name, Description: in.Description}.Apply(&g.Name, &g.Description, g.ID)
		if *g == *old {
			return g, nil
		}
		tx.PutAttributes(g)
		tx.Done("customer gateway changed", "customerGateway", g.ID, "name", g.Name)
		return g, nil
	})
}

// DeleteCustomerGateway deletes a customer gateway that no connection leads to
// (DeleteCustomerGateway).
//
// Reasons: RegionNotFound, CustomerGatewayNotFound,
// CustomerGatewayHasConnections.
func (s *Service) DeleteCustomerGateway(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, err := lookup.In(s.settings, c, tx.CustomerGateways, region, id)
		if err != nil {
			return err
		}
		if err := tx.Blocked(g); err != nil {
			return err
		}
		tx.Delete(g)
		tx.Done("customer gateway deleted", "customerGateway", g.ID, "address", g.Address)
		return nil
	})
}
