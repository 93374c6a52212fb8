// Package tags attaches tags to resources of any kind that may have them, finds resources
// by them (VPN Gateway API reference, TagResources, UntagResources, ListTagResources), and
// moves resources from one resource group to another. Which kinds have tags and groups is
// registered in package state; a service files what it makes by change.Tx.Label, and its
// queries take state.Labelled.
package tags

import (
	"context"
	"log/slog"
	"maps"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service carries out the actions on tags. Its methods may be called concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	writer   change.Writer
}

// New returns the service over db. now is the clock that creation times and receipts
// are taken from.
func New(db *state.DB, set *settings.Settings, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, writer: change.NewWriter(db, set, now, log)}
}

// Target names resources of one kind.
type Target struct {
	Region string
	Kind   resource.Kind // one that may have tags
	IDs    []string
}

// Tag is a key and its value.
type Tag = resource.Tag

// Tag attaches tags to resources; a key that a resource has already gets the
// new value (VPN Gateway API reference, TagResources). Either all resources get
// all tags, or none any.
//
// Reasons: RegionNotFound, TagsMissing, TagDuplicate, that the resource is not
// found, QuotaTag.
func (s *Service) Tag(ctx context.Context, c identity.Caller, to Target, tags []Tag) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		if err := s.settings.CheckRegion(to.Region); err != nil {
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
		return s.retag(tx, c, to, "resources tagged", func(set *resource.TagSet) error {
			maps.Copy(set.Tags, given)
			return tx.Fits(set)
		})
	})
}

// Old says which tags are to be removed. What a resource does not have counts as
// removed.
type Old struct {
	Keys []string
	Tags []state.TagMatch // those with one of the values
	All  bool             // all tags
}

// Untag removes tags from resources (UntagResources).
//
// Reasons: RegionNotFound, TagsMissing, that the resource is not found.
func (s *Service) Untag(ctx context.Context, c identity.Caller, from Target, old Old) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		if err := s.settings.CheckRegion(from.Region); err != nil {
			return err
		}
		if len(old.Keys)+len(old.Tags) == 0 && !old.All {
			return fault.New(fault.TagsMissing, "give the key of at least one tag")
		}
		return s.retag(tx, c, from, "resources untagged", func(set *resource.TagSet) error {
			if old.All {
				clear(set.Tags)
			}
			for _, k := range old.Keys {
				delete(set.Tags, k)
			}
			for _, t := range old.Tags {
				if v, has := set.Tags[t.Key]; has && t.Values.Allows(v) {
					delete(set.Tags, t.Key)
				}
			}
			return nil
		})
	})
}

// Move puts a resource into another resource group (MoveResourceGroup). What is a part of
// a VPC is in the group of that. Reasons: RegionNotFound, ParameterInvalid for a kind
// without groups, that the resource is not found.
func (s *Service) Move(ctx context.Context, c identity.Caller, region string, kind resource.Kind, id, group string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		if err := s.settings.CheckRegion(region); err != nil {
			return err
		}
		old, err := tx.Grouped(kind, c.Account, region, id)
		if err != nil {
			return err
		}
		if old.Metadata().ResourceGroup() == group {
			return nil
		}
		r := old.Clone()
		r.Metadata().Group = group
		tx.PutAttributes(r)
		tx.Done("resource moved", "kind", kind, "id", id, "group", group)
		return nil
	})
}

// Of returns the tags of the resource of that id, which is the caller's, by key.
func (s *Service) Of(id string) []resource.Tag { return s.db.View().TagsOf(id) }

// Group returns the id of the resource group that a resource is in.
func (s *Service) Group(r resource.Resource) string { return s.db.View().ResourceGroup(r) }

// retag puts what edit makes of each resource's tags, and writes nothing where
// that is what it has.
func (s *Service) retag(tx *change.Tx, c identity.Caller, which Target, what string, edit func(*resource.TagSet) error) error {
	for _, id := range which.IDs {
		if err := tx.Taggable(which.Kind, c.Account, which.Region, id); err != nil {
			return err
		}
	}
	for _, id := range which.IDs {
		old, had := tx.TagSets.Get(id)
		set := &resource.TagSet{
			Meta: resource.Meta{ID: id, Account: c.Account, Region: which.Region, CreatedAt: s.writer.Now()},
			Of:   which.Kind,
			Tags: map[string]string{},
		}
		if had {
			set = old.Clone().(*resource.TagSet)
		}
		if err := edit(set); err != nil {
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
