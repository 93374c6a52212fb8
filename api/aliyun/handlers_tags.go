package aliyun

import (
	"context"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/tags"
)

// tagGiven is a tag as a request has it, whatever the name of its type; without a value it
// is empty where a tag is made, and any where one is looked for.
type tagGiven interface {
	~struct {
		Key   string
		Value *string
	}
}

// labels are what a request files a new resource under.
func labels[T tagGiven](group *string, tags []T) resource.Labels {
	l := resource.Labels{Group: given(group)}
	for _, t := range tags {
		x := struct {
			Key   string
			Value *string
		}(t)
		l.Tags = append(l.Tags, resource.Tag{Key: x.Key, Value: given(x.Value)})
	}
	return l
}

// labelled is the condition that a query makes on what resources are filed under.
func labelled[T tagGiven](group *string, tags []T) state.Labelled {
	l := state.Labelled{Groups: one(group)}
	for _, t := range tags {
		x := struct {
			Key   string
			Value *string
		}(t)
		l.Tags = append(l.Tags, state.TagMatch{Key: x.Key, Values: one(x.Value)})
	}
	return l
}

// groupGiven is the resource group that a new resource of the caller's is in.
func groupGiven(c identity.Caller, group *string) string {
	m := resource.Meta{Account: c.Account, Group: given(group)}
	return m.ResourceGroup()
}

// tagShown is a tag as an answer has it.
type tagShown interface {
	~struct {
		Key   string `json:"Key" xml:"Key"`
		Value string `json:"Value" xml:"Value"`
	}
}

// showTags returns tags as an answer has them.
func showTags[T tagShown](tags []resource.Tag) (list []T) {
	for _, t := range tags {
		list = append(list, T(struct {
			Key   string `json:"Key" xml:"Key"`
			Value string `json:"Value" xml:"Value"`
		}{t.Key, t.Value}))
	}
	return list
}

func tagged(region, kind string, ids []string) tags.Target {
	return tags.Target{Region: region, Kind: *taggedWords.of(&kind), IDs: ids}
}

// TagResources implements Actions.
func (s *Service) TagResources(ctx context.Context, c identity.Caller, r *TagResourcesRequest) (*TagResourcesResponse, error) {
	return &TagResourcesResponse{}, s.tags.Tag(ctx, c, tagged(r.RegionId, r.ResourceType, r.ResourceId), labels(nil, r.Tag).Tags)
}

// ListTagResources implements Actions.
func (s *Service) ListTagResources(_ context.Context, c identity.Caller, r *ListTagResourcesRequest) (*ListTagResourcesResponse, error) {
	q := tags.Query{Target: tagged(r.RegionId, r.ResourceType, r.ResourceId), Filters: labelled(nil, r.Tag).Tags, Token: given(r.NextToken), Size: r.MaxResults}
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
	old := tags.Old{Keys: r.TagKey, Tags: labelled(nil, r.Tag).Tags, All: r.All}
	return &UntagResourcesResponse{}, s.tags.Untag(ctx, c, tagged(r.RegionId, r.ResourceType, r.ResourceId), old)
}

// MoveResourceGroup implements Actions.
func (s *Service) MoveResourceGroup(ctx context.Context, c identity.Caller, r *MoveResourceGroupRequest) (*MoveResourceGroupResponse, error) {
	return &MoveResourceGroupResponse{}, s.tags.Move(ctx, c, r.RegionId, *groupedWords.of(&r.ResourceType), r.ResourceId, r.NewResourceGroupId)
}

// MoveVpnResourceGroup implements Actions.
func (s *Service) MoveVpnResourceGroup(ctx context.Context, c identity.Caller, r *MoveVpnResourceGroupRequest) (*MoveVpnResourceGroupResponse, error) {
	return &MoveVpnResourceGroupResponse{}, s.tags.Move(ctx, c, r.RegionId, *groupedWords.of(&r.ResourceType), r.InstanceId, r.NewResourceGroupId)
}
