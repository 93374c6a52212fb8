package vpn_test

import (
	"testing"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/vpn"
)

// A term ends, is renewed, renews itself, or turns into use, at the times that are asked about.
func TestCharge(t *testing.T) {
	at := func(text string) time.Time {
		x, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, c := range []struct {
		g       resource.VPNGateway
		now     string
		prepaid bool
		expires string
	}{
		{resource.VPNGateway{}, "2026-01-01", false, ""},
		{resource.VPNGateway{Prepaid: true, Expires: at("2026-02-01")}, "2026-01-01", true, "2026-02-01"},
		{resource.VPNGateway{Prepaid: true, Expires: at("2026-02-01")}, "2026-03-01", true, "2026-02-01"},
		{resource.VPNGateway{Prepaid: true, Expires: at("2026-02-01"), Period: 1}, "2026-01-31", true, "2026-02-01"},
		{resource.VPNGateway{Prepaid: true, Expires: at("2026-02-01"), Period: 1}, "2026-02-01", true, "2026-03-01"},
		{resource.VPNGateway{Prepaid: true, Expires: at("2026-01-31"), Period: 2}, "2026-08-15", true, "2026-10-01"},
		{resource.VPNGateway{Prepaid: true, Expires: at("2026-02-01"), ByUseNext: true}, "2026-01-31", true, "2026-02-01"},
		{resource.VPNGateway{Prepaid: true, Expires: at("2026-02-01"), ByUseNext: true}, "2026-02-01", false, ""},
	} {
		prepaid, expires := c.g.Charge(at(c.now))
		want := time.Time{}
		if c.expires != "" {
			want = at(c.expires)
		}
		if prepaid != c.prepaid || !expires.Equal(want) {
			t.Errorf("%+v at %s: %t, until %s, want %t, %s", c.g, c.now, prepaid, expires, c.prepaid, c.expires)
		}
	}
}

// Renewing adds to the term, or begins another after its end; what is by use has none.
func TestRenew(t *testing.T) {
	w := newWorld(t)
	w.Settings.Prices = map[int]settings.VPNGatewayPrice{5: {Month: 100, Hour: 1, Traffic: 2}, 10: {Month: 300}}
	vpc := w.VPC(planetest.Alice, "172.20.0.0/16").VPC
	made, err := w.VPN.CreateGateway(ctx, planetest.Alice, vpn.Gateway{Region: planetest.Region, VPC: vpc, Bandwidth: 5, IPsec: true, Prepaid: true, Period: 1})
	if err != nil {
		t.Fatal(err)
	}
	show := func() vpn.GatewayStatus {
		g, err := w.VPN.Gateway(planetest.Alice, planetest.Region, made.ID)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	before := show().Expires
	if err := w.VPN.RenewGateway(ctx, planetest.Alice, planetest.Region, made.ID, 2, true); err != nil {
		t.Fatal(err)
	}
	if g := show(); !g.Expires.Equal(before.AddDate(0, 2, 0)) || g.Period != 2 {
		t.Errorf("renewed: until %s, by itself for %d months; was %s", g.Expires, g.Period, before)
	}
	if _, err := w.VPN.ModifyGateway(ctx, planetest.Alice, vpn.GatewayAttributes{Region: planetest.Region, ID: made.ID, ByUseNext: true}); err != nil {
		t.Fatal(err)
	}
	if g := show(); !g.ByUseNext || g.Period != 0 || !g.Prepaid {
		t.Errorf("by use next: %+v", g)
	}
	if p, err := w.VPN.PriceOfRenewal(planetest.Alice, planetest.Region, made.ID, 3); err != nil || p.Total != 300 {
		t.Errorf("price %+v, %v", p, err)
	}
	if err := w.VPN.ResizeGateway(ctx, planetest.Alice, planetest.Region, made.ID, 10); err != nil || show().Bandwidth != 10 {
		t.Errorf("bandwidth %d, %v", show().Bandwidth, err)
	}
	planetest.Refused(t, w.VPN.RenewGateway(ctx, planetest.Alice, planetest.Region, "vpn-1", 1, false), fault.VPNGatewayByUse)
	if p, err := w.VPN.PriceOfBandwidth(planetest.Alice, planetest.Region, "vpn-1", 5); err != nil || p != (vpn.Price{Hour: 1, Traffic: 2}) {
		t.Errorf("price by use %+v, %v", p, err)
	}
}
