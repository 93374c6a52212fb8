package securitygroup

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service carries out the actions on security groups. Its methods may be called concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	writer   change.Writer
}

// New returns the service over db. now is the clock of creation times and receipts.
func New(db *state.DB, set *settings.Settings, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, writer: change.NewWriter(db, set, now, log)}
}

// Under returns the service with ids of another form.
func (s *Service) Under(ids resource.IDs) *Service {
	c := *s
	c.writer.IDs = ids
	return &c
}

// Wanted is what a new security group should be.
type Wanted struct {
	Region, Project   string // Project: a number; empty: 0
	Name, Description string
}

// Create makes a security group without rules, which lets nothing pass (CreateSecurityGroup).
//
// Reasons: RegionNotFound, SecurityGroupName, SecurityGroupProject, QuotaSecurityGroup.
func (s *Service) Create(ctx context.Context, c identity.Caller, in Wanted) (*resource.SecurityGroup, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.SecurityGroup, error) {
		if err := s.settings.CheckRegion(in.Region); err != nil {
			return nil, err
		}
		if in.Name == "" {
			return nil, fault.New(fault.SecurityGroupName, "")
		}
		project := uint64(0)
		if in.Project != "" {
			var err error
			if project, err = strconv.ParseUint(in.Project, 10, 63); err != nil {
				return nil, fault.New(fault.SecurityGroupProject, "%.20q", in.Project)
			}
		}
		g := &resource.SecurityGroup{Meta: resource.Meta{ID: tx.NewID("sg"), Account: c.Account, Region: in.Region, CreatedAt: s.writer.Now()},
			Project: strconv.FormatUint(project, 10), Name: in.Name, Description: in.Description}
		if err := tx.Room(g); err != nil {
			return nil, err
		}
		tx.Put(g)
		tx.Done("security group created", "securityGroup", g.ID, "name", g.Name, "project", g.Project)
		return g, nil
	})
}

// Change is a change of a group's attributes; nil leaves a thing as it is.
type Change struct {
	Region, ID        string
	Name, Description *string
}

// Modify changes a group's name and description (ModifySecurityGroupAttribute).
//
// Reasons: RegionNotFound, SecurityGroupNotFound, SecurityGroupName.
func (s *Service) Modify(ctx context.Context, c identity.Caller, in Change) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := lookup.In(s.settings, c, tx.SecurityGroups, in.Region, in.ID)
		if err != nil {
			return err
		}
		g := old.Clone().(*resource.SecurityGroup)
		if in.Name != nil {
			if *in.Name == "" {
				return fault.New(fault.SecurityGroupName, "")
			}
			g.Name = *in.Name
		}
		if in.Description != nil {
			g.Description = *in.Description
		}
		tx.PutAttributes(g)
		tx.Done("security group changed", "securityGroup", g.ID, "name", g.Name)
		return nil
	})
}

// Delete deletes a group that holds for no interface, and that no other group's rules name
// (DeleteSecurityGroup).
//
// Reasons: RegionNotFound, SecurityGroupNotFound, SecurityGroupInUse, SecurityGroupNamed.
func (s *Service) Delete(ctx context.Context, c identity.Caller, region, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, err := lookup.In(s.settings, c, tx.SecurityGroups, region, id)
		if err != nil {
			return err
		}
		if err := tx.Blocked(g); err != nil {
			return err
		}
		tx.Delete(g)
		tx.Done("security group deleted", "securityGroup", g.ID)
		return nil
	})
}

// Query selects security groups of a region.
type Query struct {
	Region   string
	IDs      state.OneOf[string]
	Names    state.OneOf[string]
	Projects state.OneOf[string]
	None     bool // nothing can meet the filters
}

// Groups lists the caller's security groups in order of creation (DescribeSecurityGroups).
// Reason: RegionNotFound.
func (s *Service) Groups(c identity.Caller, q Query, p state.Page) (state.Listing[*resource.SecurityGroup], error) {
	if err := s.settings.CheckRegion(q.Region); err != nil || q.None {
		return state.Listing[*resource.SecurityGroup]{}, err
	}
	return state.SelectOwn(s.db.View().SecurityGroups, c.Account, q.Region, p, func(g *resource.SecurityGroup) bool {
		return q.IDs.Allows(g.ID) && q.Names.Allows(g.Name) && q.Projects.Allows(g.Project)
	}, state.Itself, state.Under{Index: state.ByID, Keys: q.IDs}), nil
}

// Group returns one of the caller's security groups, with its rules
// (DescribeSecurityGroupPolicies). Reasons: RegionNotFound, SecurityGroupNotFound.
func (s *Service) Group(c identity.Caller, region, id string) (*resource.SecurityGroup, error) {
	return lookup.In(s.settings, c, s.db.View().SecurityGroups, region, id)
}

// Uses counts what uses a security group.
type Uses struct {
	Group      string
	Instances  int // with an interface that it holds for, as their primary one
	Interfaces int // that it holds for, besides primary ones
	Groups     int // whose rules name it
}

// Uses counts what uses security groups (DescribeSecurityGroupAssociationStatistics).
//
// Reasons: RegionNotFound, SecurityGroupNotFound.
func (s *Service) Uses(c identity.Caller, region string, ids []string) (list []Uses, err error) {
	v := s.db.View()
	for _, id := range ids {
		if _, err := lookup.In(s.settings, c, v.SecurityGroups, region, id); err != nil {
			return nil, err
		}
		u := Uses{Group: id, Groups: v.SecurityGroups.By(state.ByGroup, id).Len()}
		for n := range v.NetworkInterfaces.By(state.ByGroup, id).All() {
			if n.Primary {
				u.Instances++
			} else {
				u.Interfaces++
			}
		}
		list = append(list, u)
	}
	return list, nil
}
