package settings_test

import (
	"maps"
	"testing"

	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

func TestSettings(t *testing.T) {
	own := state.DefaultQuotas()
	own["vpcs"] = 99
	s := &settings.Settings{
		Regions: []settings.Region{
			{ID: "r1", Zones: []settings.Zone{{ID: "r1-a"}, {ID: "r1-b"}}},
			{ID: "r2", Zones: []settings.Zone{{ID: "r2-a"}}},
			{ID: "r3"},
		},
		Public:   []settings.PublicNetwork{{Name: "one", Regions: []string{"r1"}}, {Name: "two", Regions: []string{"r4", "r2"}}},
		Quotas:   state.DefaultQuotas(),
		Accounts: map[string]settings.Quotas{"a": own},
	}
	if got := s.Allowed("a")["vpcs"]; got != 99 {
		t.Errorf("an account's own quota is %d", got)
	}
	if got := s.Allowed("b"); !maps.Equal(got, state.DefaultQuotas()) {
		t.Errorf("another account's quotas are %+v", got)
	}
	if r, ok := s.Region("r2"); !ok || r.ID != "r2" {
		t.Errorf("%+v, %v", r, ok)
	}
	if _, ok := s.Region("r9"); ok {
		t.Error("found a region that is not there")
	}
	for zone, want := range map[string]string{"r1-a": "r1", "r1-b": "r1", "r2-a": "r2", "r1": "", "": ""} {
		if got, ok := s.ZoneRegion(zone); got != want || ok != (want != "") {
			t.Errorf("zone %q is in %q, %v; want %q", zone, got, ok, want)
		}
	}
	for region, want := range map[string]string{"r1": "one", "r2": "two", "r3": "", "r4": "two"} {
		if got, ok := s.PublicNetworkOf(region); got.Name != want || ok != (want != "") {
			t.Errorf("region %s has public network %q, %v; want %q", region, got.Name, ok, want)
		}
	}
	s.Public = append(s.Public, settings.PublicNetwork{Name: "rest"})
	if got, _ := s.PublicNetworkOf("r3"); got.Name != "rest" {
		t.Errorf("a network of all regions is not r3's: %q", got.Name)
	}
}
