package ram

import (
	"context"
	"slices"
	"strings"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// CreatePolicy makes a policy of the account's own, with its first version. The name is 1
// to 128 Latin letters, digits and '-', and not that of a policy of the system. Reasons:
// ParameterInvalid, PolicyNameInvalid, PolicyMalformed, PolicyExists, QuotaPolicy.
func (s *Service) CreatePolicy(ctx context.Context, c identity.Caller, name, description, document string) (*resource.Policy, error) {
	if err := checkName(fault.PolicyNameInvalid, "policy name", name, "-", 128); err != nil {
		return nil, err
	}
	if err := checkText("description", description, 1024); err != nil {
		return nil, err
	}
	if err := parse(document); err != nil {
		return nil, err
	}
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.Policy, error) {
		_, err := own(tx.View, c.Account, name)
		if _, system := System(name); system || err == nil {
			return nil, fault.New(fault.PolicyExists, "there is a policy named %q", name)
		}
		now := s.writer.Now()
		p := &resource.Policy{
			Meta: resource.Meta{ID: tx.NewID("policy"), Account: c.Account, CreatedAt: now},
			Name: name, Description: description, Updated: now, Default: 1, Last: 1,
			Versions: []resource.PolicyVersion{{Number: 1, Document: document, CreatedAt: now}},
		}
		if err := tx.Room(p); err != nil {
			return nil, err
		}
		tx.PutAttributes(p)
		tx.Done("policy created", "policy", p.ID, "name", p.Name)
		return p, nil
	})
}

// AddVersion adds a version to a policy, which holds from now on if asked for. With
// rotate the oldest version that does not hold goes, where there is no room else.
// Reasons: PolicyMalformed, PolicyNotFound, QuotaPolicyVersion.
func (s *Service) AddVersion(ctx context.Context, c identity.Caller, name, document string, holds, rotate bool) (*resource.Policy, error) {
	if err := parse(document); err != nil {
		return nil, err
	}
	return s.changePolicy(ctx, c, name, func(tx *change.Tx, p *resource.Policy) error {
		p.Last++
		p.Versions = append(p.Versions, resource.PolicyVersion{Number: p.Last, Document: document, CreatedAt: s.writer.Now()})
		if holds {
			p.Default = p.Last
		}
		err := tx.Fits(p)
		if err != nil && rotate {
			p.Versions = slices.DeleteFunc(p.Versions, func(v resource.PolicyVersion) bool {
				oldest := err != nil && v.Number != p.Default && v.Number != p.Last
				if oldest {
					err = nil
				}
				return oldest
			})
			err = tx.Fits(p)
		}
		tx.Done("policy version created", "policy", p.ID, "name", p.Name, "version", p.Last, "holds", holds)
		return err
	})
}

// SetDefaultVersion makes a version of a policy hold. Reasons: PolicyNotFound,
// PolicyVersionNotFound.
func (s *Service) SetDefaultVersion(ctx context.Context, c identity.Caller, name string, number int) error {
	_, err := s.changePolicy(ctx, c, name, func(tx *change.Tx, p *resource.Policy) error {
		if _, ok := p.Version(number); !ok {
			return fault.New(fault.PolicyVersionNotFound, "version %d of policy %s", number, p.Name)
		}
		p.Default = number
		tx.Done("policy changed", "policy", p.ID, "name", p.Name, "version", number)
		return nil
	})
	return err
}

// DeleteVersion removes a version that does not hold. Reasons: PolicyNotFound,
// PolicyVersionNotFound, PolicyVersionInUse.
func (s *Service) DeleteVersion(ctx context.Context, c identity.Caller, name string, number int) error {
	_, err := s.changePolicy(ctx, c, name, func(tx *change.Tx, p *resource.Policy) error {
		i := slices.IndexFunc(p.Versions, func(v resource.PolicyVersion) bool { return v.Number == number })
		switch {
		case i < 0:
			return fault.New(fault.PolicyVersionNotFound, "version %d of policy %s", number, p.Name)
		case number == p.Default:
			return fault.New(fault.PolicyVersionInUse, "version %d of policy %s holds; make another one hold first", number, p.Name)
		}
		p.Versions = slices.Delete(p.Versions, i, i+1)
		tx.Done("policy version deleted", "policy", p.ID, "name", p.Name, "version", number)
		return nil
	})
	return err
}

func (s *Service) changePolicy(ctx context.Context, c identity.Caller, name string, fn func(*change.Tx, *resource.Policy) error) (*resource.Policy, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.Policy, error) {
		old, err := own(tx.View, c.Account, name)
		if err != nil {
			return nil, err
		}
		p := old.Clone().(*resource.Policy)
		p.Updated = s.writer.Now()
		if err := fn(tx, p); err != nil {
			return nil, err
		}
		tx.PutAttributes(p)
		return p, nil
	})
}

// Describe changes the description of a policy. Reasons: ParameterInvalid, PolicyNotFound.
func (s *Service) Describe(ctx context.Context, c identity.Caller, name, description string) (*resource.Policy, error) {
	if err := checkText("description", description, 1024); err != nil {
		return nil, err
	}
	return s.changePolicy(ctx, c, name, func(tx *change.Tx, p *resource.Policy) error {
		p.Description = description
		tx.Done("policy changed", "policy", p.ID, "name", p.Name)
		return nil
	})
}

// DeletePolicy removes a policy that is attached nowhere: one that has a single version, or,
// with versions, all that it has. Reasons: PolicyNotFound, PolicyAttached,
// PolicyHasVersions.
func (s *Service) DeletePolicy(ctx context.Context, c identity.Caller, name string, versions bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		p, err := own(tx.View, c.Account, name)
		if err != nil {
			return err
		}
		if err := tx.View.Blocked(p); err != nil {
			return err
		}
		if n := len(p.Versions); n > 1 && !versions {
			return fault.New(fault.PolicyHasVersions, "policy %s has %d versions; delete those that do not hold first", p.Name, n)
		}
		tx.Delete(p)
		s.compiled.Delete(p.ID)
		tx.Done("policy deleted", "policy", p.ID, "name", p.Name)
		return nil
	})
}

// Policy returns a policy of the account's own, or of the system. Reason: PolicyNotFound.
func (s *Service) Policy(account, name string, system bool) (*resource.Policy, error) {
	if !system {
		return own(s.db.View(), account, name)
	}
	p, ok := System(name)
	if !ok {
		return nil, fault.New(fault.PolicyNotFound, "policy %q of the system", name)
	}
	return p.Record(), nil
}

// Policies returns the policies of the account's own, by name.
func (s *Service) Policies(account string) []*resource.Policy {
	list := slices.Collect(s.db.View().Policies.By(state.ByAccount, account).All())
	slices.SortFunc(list, func(a, b *resource.Policy) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Attachments says at how many users and grants of the account a policy is attached.
func (s *Service) Attachments(account, name string, system bool) (n int) {
	v := s.db.View()
	a, err := attachable(v, account, name, system, s.writer.Now())
	if err != nil {
		return 0
	}
	if !system {
		return v.Users.By(state.ByPolicy, a.Policy).Len() + v.Grants.By(state.ByPolicy, a.Policy).Len()
	}
	for g := range v.Grants.By(state.ByAccount, account).All() {
		if same(g.Attachment, a) {
			n++
		}
	}
	return n + len(having(v, account, a))
}

// Having is a user that has a policy, since when.
type Having struct {
	*resource.User
	Since time.Time
}

// Having returns the users of the account that have a policy, by name. Reason:
// PolicyNotFound.
func (s *Service) Having(account, name string, system bool) ([]Having, error) {
	v := s.db.View()
	a, err := attachable(v, account, name, system, s.writer.Now())
	if err != nil {
		return nil, err
	}
	return having(v, account, a), nil
}

func having(v *state.View, account string, a resource.Attachment) (list []Having) {
	users := v.Users.By(state.ByAccount, account)
	if !a.System {
		users = v.Users.By(state.ByPolicy, a.Policy)
	}
	for u := range users.All() {
		for i := range attachedAs(u.Attached, a) {
			list = append(list, Having{u, u.Attached[i].At})
		}
	}
	slices.SortFunc(list, func(a, b Having) int { return strings.Compare(a.Name, b.Name) })
	return list
}
