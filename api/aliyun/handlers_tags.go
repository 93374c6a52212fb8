package aliyun

import (
	"context"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/vpn"
)

// taggedKinds are what the documents' words for resources with tags mean.
var taggedKinds = map[string]resource.Kind{
	"VPC":        resource.KindVPC,
	"VSWITCH":    resource.KindVSwitch,
	"ROUTETABLE": resource.KindRouteTable,
	"EIP":        resource.KindElasticIP,
	"VpnGateway": resource.KindVPNGateway,
}

func tagged(region, kind string, ids []string) vpn.Tagged {
	return vpn.Tagged{Region: region, Kind: taggedKinds[kind], IDs: ids}
}

// TagResources implements Actions.
func (s *Service) TagResources(ctx context.Context, c identity.Caller, r *TagResourcesRequest) (*TagResourcesResponse, error) {
	var tags []vpn.Tag
	for _, t := range r.Tag {
		tags = append(tags, vpn.Tag{Key: t.Key, Value: given(t.Value)})
	}
	return &TagResourcesResponse{}, s.vpn.Tag(ctx, c, tagged(r.RegionId, r.ResourceType, r.ResourceId), tags)
}

// ListTagResources implements Actions.
func (s *Service) ListTagResources(_ context.Context, c identity.Caller, r *ListTagResourcesRequest) (*ListTagResourcesResponse, error) {
	q := vpn.TagQuery{Tagged: tagged(r.RegionId, r.ResourceType, r.ResourceId), Token: given(r.NextToken), Size: r.MaxResults}
	for _, t := range r.Tag {
		q.Filters = append(q.Filters, vpn.TagMatch{Key: t.Key, Value: t.Value})
	}
	page, next, err := s.vpn.Tags(c, q)
	if err != nil {
		return nil, err
	}
	out := &ListTagResourcesResponse{NextToken: next}
	for _, t := range page {
		out.TagResources.TagResource = append(out.TagResources.TagResource, ListTagResourcesTagResource{
			ResourceId:   t.Resource,
			ResourceType: r.ResourceType,
			TagKey:       t.Key,
			TagValue:     t.Value,
		})
	}
	return out, nil
}

// UntagResources implements Actions.
func (s *Service) UntagResources(ctx context.Context, c identity.Caller, r *UntagResourcesRequest) (*UntagResourcesResponse, error) {
	return &UntagResourcesResponse{}, s.vpn.Untag(ctx, c, tagged(r.RegionId, r.ResourceType, r.ResourceId), r.TagKey)
}
