package aliyun

import (
	"context"

	"sluice/controlplane/identity"
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
	shown, page := lastOf(points, r.PageNumber, r.PageSize)
	answer := &DescribeAccessPointsResponse{TotalCount: len(points), PageNumber: page, PageSize: r.PageSize}
	for _, p := range shown {
		answer.AccessPointSet.AccessPointType = append(answer.AccessPointSet.AccessPointType, DescribeAccessPointsAccessPointType{
			AccessPointId:    p.ID,
			Type:             "VPC",
			Status:           p.Status,
			Name:             p.Name,
			Description:      p.Description,
			AttachedRegionId: p.AttachedRegion,
			Location:         p.Location,
			HostOperator:     p.HostOperator,
		})
	}
	return answer, nil
}

// lastOf returns a page of list and its number; for a number beyond the last
// page, the last one.
func lastOf[T any](list []T, number, size int) ([]T, int) {
	number = min(number, max(1, (len(list)+size-1)/size))
	first := min(len(list), (number-1)*size)
	return list[first:min(len(list), first+size)], number
}
