package ram

import (
	"cmp"
	"context"
	"net/mail"
	"slices"
	"strings"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// UserSettings are what may be said of a user. Of nil nothing is said: it stays as it is.
type UserSettings struct {
	Name, DisplayName, Comments, Email, MobilePhone *string
}

func (o UserSettings) check() error {
	for _, f := range []struct {
		what string
		text *string
		most int
	}{
		{"DisplayName", o.DisplayName, 128}, {"Comments", o.Comments, 128}, {"Email", o.Email, 128}, {"MobilePhone", o.MobilePhone, 64},
	} {
		if f.text != nil {
			if err := checkText(f.what, *f.text, f.most); err != nil {
				return err
			}
		}
	}
	if o.Email != nil && *o.Email != "" {
		// As it stands in an address's header, but without a name in front.
		if a, err := mail.ParseAddress(*o.Email); err != nil || a.Address != *o.Email {
			return fault.Explained(fault.UserEmail, "e-mail address %q: write one such as zhangqiang@example.com", *o.Email)
		}
	}
	if o.MobilePhone != nil && *o.MobilePhone != "" {
		if country, number, ok := strings.Cut(*o.MobilePhone, "-"); !ok || !isNumber(country) || !isNumber(number) {
			return fault.Explained(fault.UserMobilePhone, "mobile phone %q: write the country's code, a hyphen and the number, such as 86-18688888888", *o.MobilePhone)
		}
	}
	if o.Name != nil {
		return checkName(fault.UserNameInvalid, "user name", *o.Name, "._-", 64)
	}
	return nil
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func (o UserSettings) apply(u *resource.User) {
	for _, f := range []struct{ from, to *string }{
		{o.Name, &u.Name}, {o.DisplayName, &u.DisplayName}, {o.Comments, &u.Comments}, {o.Email, &u.Email}, {o.MobilePhone, &u.MobilePhone},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
}

// CreateUser makes a user without keys and without rights. The name is 1 to 64 Latin
// letters, digits, '.', '_' and '-'. Reasons: ParameterInvalid, UserNameInvalid, UserEmail,
// UserMobilePhone, UserExists, QuotaUser.
func (s *Service) CreateUser(ctx context.Context, c identity.Caller, o UserSettings) (*resource.User, error) {
	if o.Name == nil {
		o.Name = new(string)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.User, error) {
		if _, err := user(tx.View, c.Account, *o.Name); err == nil {
			return nil, fault.New(fault.UserExists, "there is a user named %q", *o.Name)
		}
		var failed error
		id := tx.Tx.NewID(func() string {
			id, err := digits(s.random, "2", 18)
			failed = err
			return id
		})
		if failed != nil {
			return nil, failed
		}
		u := &resource.User{Meta: resource.Meta{ID: id, Account: c.Account, CreatedAt: s.writer.Now()}}
		o.apply(u)
		u.Updated = u.CreatedAt
		if err := tx.Room(u); err != nil {
			return nil, err
		}
		tx.PutAttributes(u)
		tx.Done("user created", "user", u.ID, "name", u.Name)
		return u, nil
	})
}

// ChangeUser changes what is known of a user. Reasons: those of CreateUser but QuotaUser,
// UserNotFound.
func (s *Service) ChangeUser(ctx context.Context, c identity.Caller, name string, o UserSettings) (*resource.User, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return s.changeUser(ctx, c, name, func(tx *change.Tx, u *resource.User) error {
		if o.Name != nil {
			if other, err := user(tx.View, c.Account, *o.Name); err == nil && other.ID != u.ID {
				return fault.New(fault.UserExists, "there is a user named %q", *o.Name)
			}
		}
		o.apply(u)
		u.Updated = s.writer.Now()
		tx.Done("user changed", "user", u.ID, "name", u.Name)
		return nil
	})
}

func (s *Service) changeUser(ctx context.Context, c identity.Caller, name string, fn func(*change.Tx, *resource.User) error) (*resource.User, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.User, error) {
		old, err := user(tx.View, c.Account, name)
		if err != nil {
			return nil, err
		}
		u := old.Clone().(*resource.User)
		if err := fn(tx, u); err != nil {
			return nil, err
		}
		tx.PutAttributes(u)
		return u, nil
	})
}

// DeleteUser removes a user that has neither keys nor policies. Reasons: UserNotFound,
// UserHasAccessKeys, UserHasPolicies.
func (s *Service) DeleteUser(ctx context.Context, c identity.Caller, name string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		u, err := user(tx.View, c.Account, name)
		if err != nil {
			return err
		}
		if err := tx.View.Blocked(u); err != nil {
			return err
		}
		if len(u.Attached) > 0 {
			return fault.New(fault.UserHasPolicies, "user %s has policy %s; detach it first", u.Name, title(tx.View, u.Attached[0]))
		}
		tx.Delete(u)
		tx.Done("user deleted", "user", u.ID, "name", u.Name)
		return nil
	})
}

// User returns the user of that name. Reason: UserNotFound.
func (s *Service) User(account, name string) (*resource.User, error) {
	return user(s.db.View(), account, name)
}

// Users returns the users of an account, by name.
func (s *Service) Users(account string) []*resource.User {
	list := slices.Collect(s.db.View().Users.By(state.ByAccount, account).All())
	slices.SortFunc(list, func(a, b *resource.User) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// CreateKey makes an access key of a user. Its secret is told this once. Reasons:
// UserNotFound, QuotaAccessKey, ParameterInvalid.
func (s *Service) CreateKey(ctx context.Context, c identity.Caller, name string, o identity.KeyOptions) (identity.Key, error) {
	return change.Do(ctx, s.writer, once(c), func(tx *change.Tx) (identity.Key, error) {
		u, err := user(tx.View, c.Account, name)
		if err != nil {
			return identity.Key{}, err
		}
		o := o
		o.User = u.ID
		owner, ok := tx.Accounts.Get(c.Account)
		if !ok {
			return identity.Key{}, fault.New(fault.AccountNotFound, "account %s", c.Account)
		}
		if err := tx.Room(&resource.AccessKey{Meta: resource.Meta{Account: c.Account}, User: u.ID}); err != nil {
			return identity.Key{}, err
		}
		k, err := s.keys.PutKey(tx.Tx, owner, o)
		if err == nil {
			tx.Done("access key created", "user", u.ID, "name", u.Name, "key", k.ID)
		}
		return k, err
	})
}

// Keys returns the access keys of a user, the oldest first. Reason: UserNotFound.
func (s *Service) Keys(account, name string) ([]*resource.AccessKey, error) {
	v := s.db.View()
	u, err := user(v, account, name)
	if err != nil {
		return nil, err
	}
	keys := slices.Collect(v.AccessKeys.By(state.ByUser, u.ID).All())
	slices.SortFunc(keys, func(a, b *resource.AccessKey) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return keys, nil
}

// DisableKey makes signatures by a user's key be refused, or no longer. Reasons:
// UserNotFound, AccessKeyNotFound.
func (s *Service) DisableKey(ctx context.Context, c identity.Caller, name, id string, disabled bool) error {
	return s.changeKey(ctx, c, name, id, func(tx *change.Tx, k *resource.AccessKey) {
		k.Disabled = disabled
		tx.PutAttributes(k)
		tx.Done("access key changed", "user", k.User, "key", id, "disabled", disabled)
	})
}

// DeleteKey removes a user's key for good. Reasons: UserNotFound, AccessKeyNotFound.
func (s *Service) DeleteKey(ctx context.Context, c identity.Caller, name, id string) error {
	return s.changeKey(ctx, c, name, id, func(tx *change.Tx, k *resource.AccessKey) {
		tx.Delete(k)
		tx.Done("access key deleted", "user", k.User, "key", id)
	})
}

func (s *Service) changeKey(ctx context.Context, c identity.Caller, name, id string, fn func(*change.Tx, *resource.AccessKey)) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		u, err := user(tx.View, c.Account, name)
		if err != nil {
			return err
		}
		k, ok := tx.AccessKeys.Get(id)
		if !ok || k.User != u.ID {
			return fault.New(fault.AccessKeyNotFound, "access key %q of user %s", id, u.Name)
		}
		fn(tx, k.Clone().(*resource.AccessKey))
		return nil
	})
}
