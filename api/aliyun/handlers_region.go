package aliyun

import (
	"context"
	"slices"

	"sluice/controlplane/identity"
	"sluice/controlplane/settings"
)

// DescribeRegions implements Actions.
func (s *Service) DescribeRegions(context.Context, identity.Caller, *DescribeRegionsRequest) (*DescribeRegionsResponse, error) {
	answer := &DescribeRegionsResponse{}
	for _, r := range s.network.Regions() {
		answer.Regions.Region = append(answer.Regions.Region, DescribeRegionsRegion{RegionId: r.ID, LocalName: r.LocalName})
	}
	return answer, nil
}

// DescribeZones implements Actions. What can be created in a zone, and the
// kinds of disk there, are those of the documents' examples: the compute
// service that they tell of is elsewhere, and its clients read them.
func (s *Service) DescribeZones(_ context.Context, _ identity.Caller, r *DescribeZonesRequest) (*DescribeZonesResponse, error) {
	zones, err := s.network.Zones(r.RegionId)
	if err != nil {
		return nil, err
	}
	answer := &DescribeZonesResponse{}
	for _, z := range zones {
		answer.Zones.Zone = append(answer.Zones.Zone, DescribeZonesZone{
			ZoneId:                    z.ID,
			LocalName:                 z.LocalName,
			AvailableResourceCreation: &DescribeZonesZoneAvailableResourceCreation{ResourceTypes: []string{"Instance", "Disk"}},
			AvailableDiskCategories:   &DescribeZonesZoneAvailableDiskCategories{DiskCategories: []string{"cloud"}},
		})
	}
	return answer, nil
}

// DescribeAccessPoints implements Actions. A page beyond the last gives the
// last one.
func (s *Service) DescribeAccessPoints(_ context.Context, _ identity.Caller, r *DescribeAccessPointsRequest) (*DescribeAccessPointsResponse, error) {
	points, err := s.network.AccessPoints(r.RegionId)
	if err != nil {
		return nil, err
	}
	wanted := func(key, value string) {
		points = slices.DeleteFunc(points, func(p settings.AccessPoint) bool { return accessPointFilters[key](p) != value })
	}
	if r.HostOperator != nil {
		wanted("HostOperator", *r.HostOperator)
	}
	if r.Name != nil {
		wanted("Name", *r.Name)
	}
	for _, f := range r.Filter {
		points = slices.DeleteFunc(points, func(p settings.AccessPoint) bool {
			return len(f.Value) > 0 && !slices.Contains(f.Value, accessPointFilters[f.Key](p))
		})
	}
	shown, page := lastOf(points, r.PageNumber, r.PageSize)
	answer := &DescribeAccessPointsResponse{TotalCount: len(points), PageNumber: page, PageSize: r.PageSize}
	for _, p := range shown {
		answer.AccessPointSet.AccessPointType = append(answer.AccessPointSet.AccessPointType, DescribeAccessPointsAccessPointType{
			AccessPointId:    p.ID,
			Type:             "VPC",
			Status:           accessPointWords.wire(p.Use),
			Name:             p.Name,
			Description:      p.Description,
			AttachedRegionId: p.Region,
			Location:         p.Location,
			HostOperator:     p.HostOperator,
		})
	}
	return answer, nil
}

// accessPointFilters say what of an access point a filter of DescribeAccessPoints is about.
var accessPointFilters = map[string]func(settings.AccessPoint) string{
	"AccessPointId": func(p settings.AccessPoint) string { return p.ID },
	"Name":          func(p settings.AccessPoint) string { return p.Name },
	"Status":        func(p settings.AccessPoint) string { return accessPointWords.wire(p.Use) },
	"HostOperator":  func(p settings.AccessPoint) string { return p.HostOperator },
	"Location":      func(p settings.AccessPoint) string { return p.Location },
}

// lastOf returns a page of list and its number; for a number beyond the last
// page, the last one.
func lastOf[T any](list []T, number, size int) ([]T, int) {
	number = min(number, max(1, (len(list)+size-1)/size))
	first := min(len(list), (number-1)*size)
	return list[first:min(len(list), first+size)], number
}
