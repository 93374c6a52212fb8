package network

import (
	"sluice/controlplane/fault"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// AccessPoint is a place where a physical connection may end. A machine on its
// own has none: the type is there for the listing's form.
type AccessPoint struct {
	ID, Type, Status, Name, Description, AttachedRegion, Location, HostOperator string
}

// Regions returns the configured regions (DescribeRegions).
func (s *Service) Regions() []settings.Region { return s.settings.Regions }

// Zones returns the zones of a region (DescribeZones).
func (s *Service) Zones(region string) ([]settings.Zone, error) {
	r, err := s.region(region)
	return r.Zones, err
}

// AccessPoints returns the access points of a region: none (DescribeAccessPoints).
func (s *Service) AccessPoints(region string, _ state.Page) (state.Listing[AccessPoint], error) {
	_, err := s.region(region)
	return state.Listing[AccessPoint]{}, err
}

func (s *Service) region(id string) (settings.Region, error) {
	r, ok := s.settings.Region(id)
	if !ok {
		return r, fault.New(fault.RegionNotFound, "region %q is not configured", id)
	}
	return r, nil
}
