package network

import (
	"sluice/controlplane/fault"
	"sluice/controlplane/settings"
)

// AccessPoint is a place where a physical connection may end.
type AccessPoint struct {
	ID             string
	Status         string // Recommended, Hot or Full
	Name           string
	Description    string
	AttachedRegion string
	Location       string
	HostOperator   string
}

// Regions returns the configured regions (DescribeRegions).
func (s *Service) Regions() []settings.Region { return s.settings.Regions }

// Zones returns the zones of a region (DescribeZones).
func (s *Service) Zones(region string) ([]settings.Zone, error) {
	r, err := s.region(region)
	return r.Zones, err
}

// AccessPoints returns the access points of a region (DescribeAccessPoints):
// none, since physical connections end in machine rooms, and this is a machine.
func (s *Service) AccessPoints(region string) ([]AccessPoint, error) {
	return nil, s.settings.CheckRegion(region)
}

func (s *Service) region(id string) (settings.Region, error) {
	r, ok := s.settings.Region(id)
	if !ok {
		return r, fault.New(fault.RegionNotFound, "region %q is not configured", id)
	}
	return r, nil
}
