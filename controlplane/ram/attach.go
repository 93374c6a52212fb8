package ram

import (
	"context"
	"iter"
	"slices"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

func same(a, b resource.Attachment) bool { return a.Policy == b.Policy && a.System == b.System }

// attachedAs returns where in a list a policy is.
func attachedAs(list []resource.Attachment, a resource.Attachment) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, x := range list {
			if same(x, a) && !yield(i) {
				return
			}
		}
	}
}

// Attach gives a user the rights of a policy. Reasons: UserNotFound, PolicyNotFound,
// AttachmentExists, QuotaAttachedPolicy.
func (s *Service) Attach(ctx context.Context, c identity.Caller, userName, policyName string, system bool) error {
	_, err := s.changeUser(ctx, c, userName, func(tx *change.Tx, u *resource.User) error {
		a, err := attachable(tx.View, c.Account, policyName, system, s.writer.Now())
		if err != nil {
			return err
		}
		for range attachedAs(u.Attached, a) {
			return fault.New(fault.AttachmentExists, "user %s has policy %s already", u.Name, policyName)
		}
		u.Attached = append(u.Attached, a)
		tx.Done("policy attached", "user", u.ID, "name", u.Name, "policy", policyName)
		return tx.Fits(u)
	})
	return err
}

// Detach takes the rights of a policy from a user. Reasons: UserNotFound, PolicyNotFound,
// AttachmentNotFound.
func (s *Service) Detach(ctx context.Context, c identity.Caller, userName, policyName string, system bool) error {
	_, err := s.changeUser(ctx, c, userName, func(tx *change.Tx, u *resource.User) error {
		a, err := attachable(tx.View, c.Account, policyName, system, s.writer.Now())
		if err != nil {
			return err
		}
		for i := range attachedAs(u.Attached, a) {
			u.Attached = slices.Delete(u.Attached, i, i+1)
			tx.Done("policy detached", "user", u.ID, "name", u.Name, "policy", policyName)
			return nil
		}
		return fault.New(fault.AttachmentNotFound, "user %s does not have policy %s", u.Name, policyName)
	})
	return err
}

// Grant lets another account work on the resources of the caller's, as far as a policy of
// the latter, or of the system, allows. Reasons: AccountNotFound, PolicyNotFound,
// AttachmentExists, ParameterInvalid.
func (s *Service) Grant(ctx context.Context, c identity.Caller, to, policyName string, system bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		if _, ok := tx.Accounts.Get(to); !ok {
			return fault.New(fault.AccountNotFound, "account %q", to)
		}
		if to == c.Account {
			return fault.New(fault.ParameterInvalid, "an account has all rights on what is its own")
		}
		a, err := attachable(tx.View, c.Account, policyName, system, s.writer.Now())
		if err != nil {
			return err
		}
		for g := range tx.Grants.By(state.ByGrantee, state.Key(c.Account, to)).All() {
			if same(g.Attachment, a) {
				return fault.New(fault.AttachmentExists, "account %s has policy %s already", to, policyName)
			}
		}
		g := &resource.Grant{Meta: resource.Meta{ID: tx.NewID("grant"), Account: c.Account, CreatedAt: s.writer.Now()}, To: to, Attachment: a}
		tx.PutAttributes(g)
		tx.Done("another account was let", "grant", g.ID, "to", to, "policy", policyName)
		return nil
	})
}

// Revoke undoes Grant. Reasons: PolicyNotFound, AttachmentNotFound.
func (s *Service) Revoke(ctx context.Context, c identity.Caller, to, policyName string, system bool) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		a, err := attachable(tx.View, c.Account, policyName, system, s.writer.Now())
		if err != nil {
			return err
		}
		for g := range tx.Grants.By(state.ByGrantee, state.Key(c.Account, to)).All() {
			if same(g.Attachment, a) {
				tx.Delete(g)
				tx.Done("another account is let no longer", "grant", g.ID, "to", to, "policy", policyName)
				return nil
			}
		}
		return fault.New(fault.AttachmentNotFound, "account %s does not have policy %s", to, policyName)
	})
}

// Attached is a policy that a user, or another account, has.
type Attached struct {
	resource.Attachment
	Name        string
	Description string
	Default     int // number of the version that holds
}

func (s *Service) attached(v *state.View, a resource.Attachment) Attached {
	x := Attached{Attachment: a, Name: title(v, a)}
	if p, ok := System(a.Policy); ok && a.System {
		x.Description, x.Default = p.Description, 1
	} else if p, ok := v.Policies.Get(a.Policy); ok {
		x.Description, x.Default = p.Description, p.Default
	}
	return x
}

// PoliciesOf returns the policies of a user. Reason: UserNotFound.
func (s *Service) PoliciesOf(account, name string) (list []Attached, err error) {
	v := s.db.View()
	u, err := user(v, account, name)
	if err != nil {
		return nil, err
	}
	for _, a := range u.Attached {
		list = append(list, s.attached(v, a))
	}
	return list, nil
}

// Granted is what another account has been let do.
type Granted struct {
	To string // id of the account
	Attached
}

// Grants returns what other accounts have been let do on the resources of one.
func (s *Service) Grants(account string) (list []Granted) {
	v := s.db.View()
	for g := range v.Grants.By(state.ByAccount, account).All() {
		list = append(list, Granted{g.To, s.attached(v, g.Attachment)})
	}
	return list
}
