package vpn

import (
	"context"
	"math"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
)

// Price is what a VPN gateway costs by the operator's list, in the list's currency. Nothing is
// charged here.
type Price struct {
	Prepaid bool
	Total   float64 // of what is prepaid
	Hour    float64 // of use
	Traffic float64 // of a gigabyte, by use
}

// PriceOfGateway returns the price of a new VPN gateway (Tencent Cloud's API 3.0,
// InquiryPriceCreateVpnGateway). Reasons: RegionNotFound, PeriodMissing.
func (s *Service) PriceOfGateway(region string, prepaid bool, months, bandwidth int) (Price, error) {
	if err := s.settings.CheckRegion(region); err != nil {
		return Price{}, err
	}
	if prepaid && months == 0 {
		return Price{}, fault.New(fault.PeriodMissing, "a prepaid gateway needs a period in months")
	}
	return s.price(prepaid, float64(months), bandwidth), nil
}

// PriceOfRenewal returns the price of further months of a prepaid gateway
// (InquiryPriceRenewVpnGateway). Reasons: RegionNotFound, VPNGatewayNotFound,
// VPNGatewaySSLOnly, VPNGatewayByUse.
func (s *Service) PriceOfRenewal(c identity.Caller, region, id string, months int) (Price, error) {
	g, err := lookup.In(s.settings, c, s.db.View().VPNGateways, region, id)
	if err != nil {
		return Price{}, err
	}
	if err := s.renewable(g); err != nil {
		return Price{}, err
	}
	return s.price(true, float64(months), g.Bandwidth), nil
}

// PriceOfBandwidth returns the price of another bandwidth: what it costs more until the end
// of a prepaid gateway's term, or by use (InquiryPriceResetVpnGatewayInternetMaxBandwidth).
// Reasons: RegionNotFound, VPNGatewayNotFound, VPNGatewayExpired.
func (s *Service) PriceOfBandwidth(c identity.Caller, region, id string, bandwidth int) (Price, error) {
	g, err := lookup.In(s.settings, c, s.db.View().VPNGateways, region, id)
	if err != nil {
		return Price{}, err
	}
	prepaid, left, err := s.term(g)
	if err != nil || !prepaid {
		return s.price(false, 0, bandwidth), err
	}
	const month = 30 * 24 * time.Hour
	months := float64(left) / float64(month)
	was, is := s.price(true, months, g.Bandwidth), s.price(true, months, bandwidth)
	is.Total = max(0, cents(is.Total-was.Total))
	return is, nil
}

func (s *Service) price(prepaid bool, months float64, bandwidth int) Price {
	of := s.settings.Prices[bandwidth]
	if prepaid {
		return Price{Prepaid: true, Total: cents(of.Month * months)}
	}
	return Price{Hour: of.Hour, Traffic: of.Traffic}
}

// cents rounds to hundredths.
func cents(v float64) float64 { return math.Round(v*100) / 100 }

// term returns what is left of a prepaid gateway's term. Reason: VPNGatewayExpired.
func (s *Service) term(g *resource.VPNGateway) (prepaid bool, left time.Duration, err error) {
	now := s.now()
	prepaid, expires := g.Charge(now)
	if prepaid && !now.Before(expires) {
		return true, 0, fault.New(fault.VPNGatewayExpired, "VPN gateway %s was prepaid until %s; renew it first", g.ID, expires)
	}
	return prepaid, expires.Sub(now), nil
}

// renewable refuses to renew what cannot be. Reasons: VPNGatewaySSLOnly, VPNGatewayByUse.
func (s *Service) renewable(g *resource.VPNGateway) error {
	if !g.IPsec {
		return fault.New(fault.VPNGatewaySSLOnly, "VPN gateway %s", g.ID)
	}
	if prepaid, _ := g.Charge(s.now()); !prepaid {
		return fault.New(fault.VPNGatewayByUse, "VPN gateway %s; there is no term to renew", g.ID)
	}
	return nil
}

// RenewGateway adds months to a prepaid gateway's term, or begins a new one now where it has
// ended, and says whether it renews itself from then on (RenewVpnGateway). One that does is
// not charged by use at the end of the term.
//
// Reasons, in this order: RegionNotFound, VPNGatewayNotFound, VPNGatewaySSLOnly,
// VPNGatewayByUse.
func (s *Service) RenewGateway(ctx context.Context, c identity.Caller, region, id string, months int, auto bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.VPNGateways, region, id)
		if err != nil {
			return err
		}
		if err := s.renewable(old); err != nil {
			return err
		}
		now := s.now()
		g := old.Clone().(*resource.VPNGateway)
		if _, g.Expires = old.Charge(now); now.After(g.Expires) {
			g.Expires = now
		}
		g.Expires, g.Period = g.Expires.AddDate(0, months, 0), 0
		if auto {
			g.Period, g.ByUseNext = months, false
		}
		tx.PutAttributes(g)
		tx.Done("VPN gateway renewed", "gateway", g.ID, "vpc", g.VPC, "until", g.Expires)
		return nil
	})
}

// ResizeGateway gives a gateway another bandwidth, in Mbit/s, at once
// (ResetVpnGatewayInternetMaxBandwidth).
//
// Reasons, in this order: RegionNotFound, VPNGatewayNotFound, VPNGatewayExpired,
// VPNGatewayConfiguring.
func (s *Service) ResizeGateway(ctx context.Context, c identity.Caller, region, id string, bandwidth int) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.VPNGateways, region, id)
		if err != nil {
			return err
		}
		if _, _, err := s.term(old); err != nil {
			return err
		}
		if old.Bandwidth == bandwidth {
			return nil
		}
		if err := s.gatewayReady(tx.View, old); err != nil {
			return err
		}
		g := old.Clone().(*resource.VPNGateway)
		g.Bandwidth = bandwidth
		tx.Put(g)
		tx.Done("VPN gateway's bandwidth changed", "gateway", g.ID, "vpc", g.VPC, "bandwidth", bandwidth)
		return nil
	})
}
