package vpn

import (
	"context"
	"maps"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Tagged names resources of one kind.
type Tagged struct {
	Region string
	Kind   resource.Kind // one that may have tags
	IDs    []string
}

// Tag is a key and its value.
type Tag struct{ Key, Value string }

// Tag attaches tags to resources; a key that a resource has already gets the
// new value (VPN Gateway API reference, TagResources). Either all resources get
// all tags, or none any.
//
// Reasons: RegionNotFound, TagsMissing, TagDuplicate, that the resource is not
// found, QuotaTag.
func (s *Service) Tag(ctx context.Context, c identity.Caller, to Tagged, tags []Tag) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		if err := s.region(to.Region); err != nil {
			return err
		}
		if len(tags) == 0 {
			return fault.New(fault.TagsMissing, "give at least one tag")
		}
		given := make(map[string]string, len(tags))
		for _, t := range tags {
			if _, twice := given[t.Key]; twice {
				return fault.New(fault.TagDuplicate, "key %q; the keys of a resource are unique", t.Key)
			}
			given[t.Key] = t.Value
		}
		most := s.settings.For(c.Account).Tags
		return s.retag(tx, c, to, "resources tagged", func(id string, has map[string]string) error {
			maps.Copy(has, given)
			if len(has) > most {
				return fault.New(fault.QuotaTag, "%s would have %d tags, at most %d", id, len(has), most)
			}
			return nil
		})
	})
}

// Untag removes tags from resources by their keys; what a resource does not
// have counts as removed (UntagResources).
//
// Reasons: RegionNotFound, TagsMissing, that the resource is not found.
func (s *Service) Untag(ctx context.Context, c identity.Caller, from Tagged, keys []string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		if err := s.region(from.Region); err != nil {
			return err
		}
		if len(keys) == 0 {
			return fault.New(fault.TagsMissing, "give the key of at least one tag")
		}
		return s.retag(tx, c, from, "resources untagged", func(_ string, has map[string]string) error {
			for _, k := range keys {
				delete(has, k)
			}
			return nil
		})
	})
}

// retag puts what edit makes of each resource's tags, and writes nothing where
// that is what it has.
func (s *Service) retag(tx *change.Tx, c identity.Caller, which Tagged, what string, edit func(id string, has map[string]string) error) error {
	for _, id := range which.IDs {
		if err := taggable(tx.View, c, which.Region, which.Kind, id); err != nil {
			return err
		}
	}
	for _, id := range which.IDs {
		old, had := tx.TagSets.Get(id)
		set := &resource.TagSet{
			Meta: resource.Meta{ID: id, Account: c.Account, Region: which.Region, CreatedAt: s.now()},
			Of:   which.Kind,
			Tags: map[string]string{},
		}
		if had {
			set = old.Clone().(*resource.TagSet)
		}
		if err := edit(id, set.Tags); err != nil {
			return err
		}
		switch {
		case !had && len(set.Tags) == 0, had && maps.Equal(set.Tags, old.Tags):
			continue
		case len(set.Tags) == 0:
			tx.Delete(old)
		default:
			tx.PutAttributes(set)
		}
		tx.Done(what, "kind", which.Kind, "ids", which.IDs)
	}
	return nil
}

// taggable refuses a resource that is not the caller's, or of a kind without
// tags.
func taggable(v *state.View, c identity.Caller, region string, kind resource.Kind, id string) error {
	check := func(m *resource.Meta, ok bool, reason fault.Reason) error {
		if !ok || !mine(c, region, m) {
			return fault.New(reason, "%s %q in region %s", kind, id, region)
		}
		return nil
	}
	switch kind {
	case resource.KindVPC:
		r, ok := v.VPCs.Get(id)
		return check(meta(r, ok), ok, fault.VPCNotFound)
	case resource.KindVSwitch:
		r, ok := v.VSwitches.Get(id)
		return check(meta(r, ok), ok, fault.VSwitchNotFound)
	case resource.KindRouteTable:
		r, ok := v.RouteTables.Get(id)
		return check(meta(r, ok), ok, fault.RouteTableNotFound)
	case resource.KindElasticIP:
		r, ok := v.ElasticIPs.Get(id)
		return check(meta(r, ok), ok, fault.ElasticIPNotFound)
	case resource.KindVPNGateway:
		r, ok := v.VPNGateways.Get(id)
		return check(meta(r, ok), ok, fault.VPNGatewayNotFound)
	}
	return fault.New(fault.ParameterInvalid, "a %s has no tags", kind)
}

func meta(r resource.Resource, ok bool) *resource.Meta {
	if !ok {
		return nil
	}
	return r.Metadata()
}
