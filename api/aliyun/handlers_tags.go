package aliyun

import (
	"context"

	"sluice/controlplane/identity"
	"sluice/controlplane/tags"
)

func tagged(region, kind string, ids []string) tags.Target {
	return tags.Target{Region: region, Kind: *taggedWords.of(&kind), IDs: ids}
}

// TagResources implements Actions.
func (s *Service) TagResources(ctx context.Context, c identity.Caller, r *TagResourcesRequest) (*TagResourcesResponse, error) {
	var list []tags.Tag
	for _, t := range r.Tag {
		list = append(list, tags.Tag{Key: t.Key, Value: given(t.Value)})
	}
	return &TagResourcesResponse{}, s.tags.Tag(ctx, c, tagged(r.RegionId, r.ResourceType, r.ResourceId), list)
}

// ListTagResources implements Actions.
func (s *Service) ListTagResources(_ context.Context, c identity.Caller, r *ListTagResourcesRequest) (*ListTagResourcesResponse, error) {
	q := tags.Query{Target: tagged(r.RegionId, r.ResourceType, r.ResourceId), Token: given(r.NextToken), Size: r.MaxResults}
	for _, t := range r.Tag {
		q.Filters = append(q.Filters, tags.Match{Key: t.Key, Values: one(t.Value)})
	}
	page, next, err := s.tags.List(c, q)
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
	return &UntagResourcesResponse{}, s.tags.Untag(ctx, c, tagged(r.RegionId, r.ResourceType, r.ResourceId), r.TagKey)
}
