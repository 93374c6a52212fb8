package identity

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/controlplane/seal"
	"sluice/controlplane/state"
)

// DefaultAccount is the name of the account that a key gets when none is named.
const DefaultAccount = "default"

// Service keeps accounts and access keys.
type Service struct {
	db     *state.DB
	sealer *seal.Sealer
	random io.Reader
	now    func() time.Time
	// opened holds unsealed keys: id → *openedKey. An entry counts as long as
	// the stored record is the one that it was made of.
	opened sync.Map
}

type openedKey struct {
	record *resource.AccessKey
	key    Key
}

// Open returns the service over db. Its keys' secrets are sealed by sealer.
// random is crypto/rand.Reader outside tests.
func Open(db *state.DB, sealer *seal.Sealer, random io.Reader, now func() time.Time) (*Service, error) {
	// A foreign key file shows now, and not at the first request.
	for k := range db.View().AccessKeys.All() {
		if _, err := sealer.Open(k.ID, k.Sealed); err != nil {
			return nil, err
		}
	}
	return &Service{db: db, sealer: sealer, random: random, now: now}, nil
}

// CreateAccount makes an account. The name is 1 to 64 Latin letters, digits,
// '.', '_' and '-', begins with a letter, and is not taken yet.
func (s *Service) CreateAccount(ctx context.Context, name string) (*resource.Account, error) {
	var a *resource.Account
	err := s.db.Update(ctx, func(tx *state.Tx) (err error) {
		a, err = s.createAccount(tx, name)
		return err
	})
	return a, err
}

func (s *Service) createAccount(tx *state.Tx, name string) (*resource.Account, error) {
	if !isAccountName(name) {
		return nil, fault.New(fault.ParameterInvalid, "account name %q: write 1 to 64 Latin letters, digits, '.', '_' and '-', the first a letter", name)
	}
	if _, ok := findAccount(tx.View, name); ok {
		return nil, fault.New(fault.AccountExists, "there is an account named %q", name)
	}
	id, err := s.accountID(tx.View)
	if err != nil {
		return nil, err
	}
	a := &resource.Account{Meta: resource.Meta{ID: id, Account: id, CreatedAt: s.now()}, Name: name}
	tx.PutAttributes(a)
	return a, nil
}

// accountID draws an id of 16 digits that is not taken, the first of them a 1, as the
// documents' accounts have: answers name accounts by numbers, and many clients take a number
// of JSON for a double, which is exact below 2^53 (RFC 8259, section 6).
func (s *Service) accountID(v *state.View) (string, error) {
	for {
		rest, err := randomText(s.random, "0123456789", 15)
		if err != nil {
			return "", err
		}
		id := "1" + rest
		if _, taken := v.Accounts.Get(id); !taken {
			return id, nil
		}
	}
}

// Accounts returns all accounts, by name.
func (s *Service) Accounts() []*resource.Account {
	list := slices.Collect(s.db.View().Accounts.All())
	slices.SortFunc(list, func(a, b *resource.Account) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Account returns the account of that id or name.
func (s *Service) Account(idOrName string) (*resource.Account, bool) {
	return findAccount(s.db.View(), idOrName)
}

func findAccount(v *state.View, idOrName string) (*resource.Account, bool) {
	if a, ok := v.Accounts.Get(idOrName); ok {
		return a, true
	}
	for a := range v.Accounts.All() {
		if a.Name == idOrName {
			return a, true
		}
	}
	return nil, false
}

// CreateKey makes an access key for the account of that id or name. An empty
// account means DefaultAccount, which is made if there is none. The secret is
// 30 characters; it can be read again only through Key.
func (s *Service) CreateKey(ctx context.Context, account string, o KeyOptions) (Key, error) {
	name := account
	if name == "" {
		name = DefaultAccount
	}
	var made Key
	err := s.db.Update(ctx, func(tx *state.Tx) error {
		owner, ok := findAccount(tx.View, name)
		if !ok && account != "" {
			return fault.New(fault.AccountNotFound, "account %q", account)
		}
		if !ok {
			var err error
			if owner, err = s.createAccount(tx, name); err != nil {
				return err
			}
		}
		var err error
		made, err = s.PutKey(tx, owner, o)
		return err
	})
	return made, err
}

// PutKey makes an access key of an account, or of a user of it, in a transaction. The
// quota of a user's keys is for the caller to ask for.
func (s *Service) PutKey(tx *state.Tx, owner *resource.Account, o KeyOptions) (Key, error) {
	if err := checkKeyOptions(tx.View, o); err != nil {
		return Key{}, err
	}
	record, secret, err := s.newKey(owner.ID, o)
	if err != nil {
		return Key{}, err
	}
	tx.PutAttributes(record)
	k := describe(tx.View, record)
	k.Secret = secret
	return k, nil
}

// checkKeyOptions checks an id and a secret that were chosen by the operator.
func checkKeyOptions(v *state.View, o KeyOptions) error {
	if o.ID != "" {
		if n := len(o.ID); n < 4 || n > 64 || strings.Trim(o.ID, alphanumeric+"._-") != "" {
			return fault.New(fault.ParameterInvalid, "access key id %q: write 4 to 64 Latin letters, digits, '.', '_' and '-'", o.ID)
		}
		if _, taken := v.AccessKeys.Get(o.ID); taken {
			return fault.New(fault.ParameterInvalid, "access key id %q is taken; write another", o.ID)
		}
	}
	if o.Secret != "" {
		unprintable := func(r rune) bool { return r <= ' ' || r > '~' }
		if n := len(o.Secret); n < 8 || n > 128 || strings.ContainsFunc(o.Secret, unprintable) {
			return fault.New(fault.ParameterInvalid, "access key secret of %d bytes: write 8 to 128 printable ASCII characters without blanks", n)
		}
	}
	return nil
}

func (s *Service) newKey(account string, o KeyOptions) (*resource.AccessKey, string, error) {
	id, secret := o.ID, o.Secret
	if id == "" {
		drawn, err := randomText(s.random, alphanumeric, 20)
		if err != nil {
			return nil, "", err
		}
		id = "LTAI" + drawn
	}
	if secret == "" {
		drawn, err := randomText(s.random, alphanumeric, 30)
		if err != nil {
			return nil, "", err
		}
		secret = drawn
	}
	sealed, err := s.sealer.Seal(id, []byte(secret))
	if err != nil {
		return nil, "", err
	}
	return &resource.AccessKey{
		Meta:         resource.Meta{ID: id, Account: account, CreatedAt: s.now()},
		User:         o.User,
		Sealed:       sealed,
		DescribeOnly: o.DescribeOnly,
	}, secret, nil
}

// describe returns the key of a record, without its secret.
func describe(v *state.View, k *resource.AccessKey) Key {
	d := Key{ID: k.ID, Account: k.Account, User: k.User, Disabled: k.Disabled, DescribeOnly: k.DescribeOnly, CreatedAt: k.CreatedAt}
	if a, ok := v.Accounts.Get(k.Account); ok {
		d.AccountName = a.Name
	}
	d.UserName = userName(v, k.User)
	return d
}

func userName(v *state.View, id string) string {
	if u, ok := v.Users.Get(id); ok {
		return u.Name
	}
	return ""
}

// Keys returns the access keys of the account of that id or name, or of all
// accounts if account is empty, in order of creation and without their secrets.
// Error: fault.AccountNotFound.
func (s *Service) Keys(account string) ([]Key, error) {
	v := s.db.View()
	var list []Key
	of := func(a *resource.Account) {
		for k := range v.AccessKeys.By(state.ByAccount, a.ID).All() {
			list = append(list, describe(v, k))
		}
	}
	if account != "" {
		a, ok := findAccount(v, account)
		if !ok {
			return nil, fault.New(fault.AccountNotFound, "account %q", account)
		}
		of(a)
		return list, nil
	}
	for a := range v.Accounts.All() {
		of(a)
	}
	slices.SortStableFunc(list, func(a, b Key) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return list, nil
}

// DisableKey makes signatures by the key be refused, until EnableKey.
func (s *Service) DisableKey(ctx context.Context, id string) error {
	return s.changeKey(ctx, id, func(tx *state.Tx, k *resource.AccessKey) { k.Disabled = true; tx.PutAttributes(k) })
}

// EnableKey undoes DisableKey.
func (s *Service) EnableKey(ctx context.Context, id string) error {
	return s.changeKey(ctx, id, func(tx *state.Tx, k *resource.AccessKey) { k.Disabled = false; tx.PutAttributes(k) })
}

// DeleteKey removes the key for good.
func (s *Service) DeleteKey(ctx context.Context, id string) error {
	err := s.changeKey(ctx, id, func(tx *state.Tx, k *resource.AccessKey) { tx.Delete(k) })
	if err == nil {
		s.opened.Delete(id)
	}
	return err
}

func (s *Service) changeKey(ctx context.Context, id string, change func(*state.Tx, *resource.AccessKey)) error {
	return s.db.Update(ctx, func(tx *state.Tx) error {
		k, ok := tx.AccessKeys.Get(id)
		if !ok {
			return fault.New(fault.AccessKeyNotFound, "access key %q", id)
		}
		change(tx, k.Clone().(*resource.AccessKey))
		return nil
	})
}

// Key returns the access key of that id, with its secret. It takes no lock, and
// unseals a secret only the first time after the key has changed.
func (s *Service) Key(id string) (Key, bool) {
	v := s.db.View()
	record, ok := v.AccessKeys.Get(id)
	if !ok {
		return Key{}, false
	}
	// Records are never changed, only replaced: the same pointer is the same record.
	if o, ok := s.opened.Load(id); ok && o.(*openedKey).record == record {
		k := o.(*openedKey).key
		if k.User != "" {
			k.UserName = userName(v, k.User) // which may have changed
		}
		return k, true
	}
	secret, err := s.sealer.Open(id, record.Sealed)
	if err != nil {
		slog.Error("access key cannot be used", "key", id, "error", err)
		return Key{}, false
	}
	k := describe(v, record)
	k.Secret = string(secret)
	s.opened.Store(id, &openedKey{record: record, key: k})
	return k, true
}

func isAccountName(name string) bool {
	if name == "" || len(name) > 64 || !strings.ContainsRune(letters, rune(name[0])) {
		return false
	}
	return strings.Trim(name, alphanumeric+"._-") == ""
}

const (
	letters      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	alphanumeric = letters + "0123456789"
)

// randomText draws n characters of the alphabet (at most 256 characters),
// every one equally likely.
func randomText(random io.Reader, alphabet string, n int) (string, error) {
	limit := 256 - 256%len(alphabet) // bytes from here on would favour the first characters
	text := make([]byte, 0, n)
	buf := make([]byte, 2*n)
	for len(text) < n {
		if _, err := io.ReadFull(random, buf); err != nil {
			return "", fmt.Errorf("draw random characters: %w", err)
		}
		for _, b := range buf {
			if int(b) < limit && len(text) < n {
				text = append(text, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(text), nil
}
