package template

import (
	"context"
	"slices"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// CreateGroup makes a group of templates (CreateAddressTemplateGroup, CreateServiceTemplateGroup).
//
// Reasons: RegionNotFound, TemplateName, TemplateEmpty, TemplateNotFound, TemplateItemTwice,
// QuotaGroupedTemplates, QuotaTemplateGroup.
func (s *Service) CreateGroup(ctx context.Context, c identity.Caller, in Wanted) (*resource.TemplateGroup, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.TemplateGroup, error) {
		if err := s.settings.CheckRegion(in.Region); err != nil {
			return nil, err
		}
		g := &resource.TemplateGroup{Meta: resource.Meta{ID: tx.NewID(prefixes[in.Of][1]), Account: c.Account, Region: in.Region, CreatedAt: s.writer.Now()}, Of: in.Of, Name: in.Name}
		if err := checkName(in.Name); err != nil {
			return nil, err
		}
		var err error
		if g.Templates, err = s.templates(c, tx.View, in.Region, in.Of, in.List); err != nil {
			return nil, err
		}
		if err := tx.Fits(g); err != nil {
			return nil, err
		}
		if err := tx.Room(g); err != nil {
			return nil, err
		}
		tx.Put(g)
		tx.Done("group of templates created", "group", g.ID, "of", g.Of, "templates", len(g.Templates))
		return g, nil
	})
}

// templates checks the members of a group.
func (s *Service) templates(c identity.Caller, v *state.View, region string, of resource.TemplateKind, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, fault.New(fault.TemplateEmpty, "a group has one template or more")
	}
	for i, id := range ids {
		if _, err := s.find(c, v, region, of, id); err != nil {
			return nil, err
		}
		if slices.Contains(ids[:i], id) {
			return nil, fault.New(fault.TemplateItemTwice, "%s", id)
		}
	}
	return slices.Clone(ids), nil
}

func (s *Service) findGroup(c identity.Caller, v *state.View, region string, of resource.TemplateKind, id string) (*resource.TemplateGroup, error) {
	g, err := lookup.In(s.settings, c, v.TemplateGroups, region, id)
	if err == nil && g.Of != of {
		return nil, fault.New(fault.TemplateGroupNotFound, "%s", id)
	}
	return g, err
}

// ModifyGroup changes a group of templates (ModifyAddressTemplateGroupAttribute,
// ModifyServiceTemplateGroupAttribute).
//
// Reasons: RegionNotFound, TemplateGroupNotFound, TemplateName, TemplateNotFound,
// TemplateItemTwice, QuotaGroupedTemplates.
func (s *Service) ModifyGroup(ctx context.Context, c identity.Caller, in Change) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := s.findGroup(c, tx.View, in.Region, in.Of, in.ID)
		if err != nil {
			return err
		}
		g := old.Clone().(*resource.TemplateGroup)
		if in.Name != nil {
			if err := checkName(*in.Name); err != nil {
				return err
			}
			g.Name = *in.Name
		}
		if in.List != nil {
			if g.Templates, err = s.templates(c, tx.View, in.Region, in.Of, in.List); err != nil {
				return err
			}
		}
		if err := tx.Fits(g); err != nil {
			return err
		}
		if slices.Equal(g.Templates, old.Templates) {
			tx.PutAttributes(g)
		} else {
			tx.Put(g)
		}
		tx.Done("group of templates changed", "group", g.ID, "name", g.Name, "templates", len(g.Templates))
		return nil
	})
}

// DeleteGroup deletes a group of templates that no rule names (DeleteAddressTemplateGroup,
// DeleteServiceTemplateGroup).
//
// Reasons: RegionNotFound, TemplateGroupNotFound, TemplateNamed.
func (s *Service) DeleteGroup(ctx context.Context, c identity.Caller, region string, of resource.TemplateKind, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, err := s.findGroup(c, tx.View, region, of, id)
		if err != nil {
			return err
		}
		if err := tx.Blocked(g); err != nil {
			return err
		}
		tx.Delete(g)
		tx.Done("group of templates deleted", "group", g.ID)
		return nil
	})
}

// Groups lists the caller's groups of templates in order of creation
// (DescribeAddressTemplateGroups, DescribeServiceTemplateGroups). Reason: RegionNotFound.
func (s *Service) Groups(c identity.Caller, q Query, p state.Page) (state.Listing[*resource.TemplateGroup], error) {
	if err := s.settings.CheckRegion(q.Region); err != nil || q.None {
		return state.Listing[*resource.TemplateGroup]{}, err
	}
	return state.SelectOwn(s.db.View().TemplateGroups, c.Account, q.Region, p, func(g *resource.TemplateGroup) bool {
		return g.Of == q.Of && q.IDs.Allows(g.ID) && q.Names.Allows(g.Name)
	}, state.Itself, state.Under{Index: state.ByID, Keys: q.IDs}), nil
}
