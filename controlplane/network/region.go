package network

import (
	"sluice/controlplane/fault"
	"sluice/controlplane/settings"
)

// Regions returns the configured regions (DescribeRegions).
func (s *Service) Regions() []settings.Region { return s.settings.Regions }

// Zones returns the zones of a region (DescribeZones).
func (s *Service) Zones(region string) ([]settings.Zone, error) {
	r, err := s.region(region)
	return r.Zones, err
}

// AccessPoints returns the access points of a region, in the order of the configuration
// (DescribeAccessPoints). Reason: RegionNotFound.
func (s *Service) AccessPoints(region string) (list []settings.AccessPoint, err error) {
	if err := s.settings.CheckRegion(region); err != nil {
		return nil, err
	}
	for _, a := range s.settings.AccessPoints {
		if a.Region == region {
			list = append(list, a)
		}
	}
	return list, nil
}

func (s *Service) region(id string) (settings.Region, error) {
	r, ok := s.settings.Region(id)
	if !ok {
		return r, fault.New(fault.RegionNotFound, "region %q is not configured", id)
	}
	return r, nil
}
