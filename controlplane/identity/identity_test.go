package identity_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/seal"
	"sluice/controlplane/state"
	"sluice/controlplane/store/bolt"
)

var ctx = context.Background()

// place is a data directory.
type place struct {
	t     *testing.T
	dir   string
	close func()
	clock time.Time
}

func newPlace(t *testing.T) *place {
	p := &place{t: t, dir: t.TempDir(), clock: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	t.Cleanup(func() {
		if p.close != nil {
			p.close()
		}
	})
	return p
}

// db opens the store, closing it first if it is open.
func (p *place) db() *state.DB {
	p.t.Helper()
	if p.close != nil {
		p.close()
	}
	s, err := bolt.Open(filepath.Join(p.dir, "store.db"), time.Second)
	if err != nil {
		p.t.Fatal(err)
	}
	p.close = func() { s.Close() }
	db, err := state.Open(ctx, s)
	if err != nil {
		p.t.Fatal(err)
	}
	return db
}

func (p *place) now() time.Time { p.clock = p.clock.Add(time.Second); return p.clock }

func (p *place) open() (*identity.Service, error) {
	p.t.Helper()
	db := p.db()
	sealer, err := seal.Open(p.dir, !db.View().HoldsSecrets(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return identity.Open(db, sealer, rand.Reader, p.now)
}

func (p *place) mustOpen() *identity.Service {
	p.t.Helper()
	s, err := p.open()
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

func refused(t *testing.T, err error, reason fault.Reason) {
	t.Helper()
	if !errors.Is(err, &fault.Error{Reason: reason}) {
		t.Errorf("%v, want a refusal: %s", err, reason)
	}
}

func TestAccounts(t *testing.T) {
	p := newPlace(t)
	s := p.mustOpen()
	if n := len(s.Accounts()); n != 0 {
		t.Errorf("%d accounts at the start", n)
	}
	b, err := s.CreateAccount(ctx, "beta")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^1[0-9]{15}$`).MatchString(b.ID) || b.Name != "beta" || b.Account != b.ID {
		t.Errorf("%+v", b)
	}
	a, err := s.CreateAccount(ctx, "Alpha.1_x-y")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateAccount(ctx, "beta")
	refused(t, err, fault.AccountExists)
	for _, bad := range []string{"", "1st", "a b", "é", "a/b", strings.Repeat("a", 65)} {
		_, err := s.CreateAccount(ctx, bad)
		refused(t, err, fault.ParameterInvalid)
	}
	s = p.mustOpen()
	if l := s.Accounts(); len(l) != 2 || l[0].ID != a.ID || l[1].ID != b.ID {
		t.Errorf("%+v", l)
	}
	for _, by := range []string{b.ID, "beta"} {
		if got, ok := s.Account(by); !ok || got.ID != b.ID {
			t.Errorf("by %q: %+v, %v", by, got, ok)
		}
	}
	if _, ok := s.Account("gamma"); ok {
		t.Error("found an account that is not there")
	}
}

func TestKeys(t *testing.T) {
	p := newPlace(t)
	s := p.mustOpen()
	k, err := s.CreateKey(ctx, "", identity.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^LTAI[A-Za-z0-9]{20}$`).MatchString(k.ID) || !regexp.MustCompile(`^[A-Za-z0-9]{30}$`).MatchString(k.Secret) ||
		k.AccountName != identity.DefaultAccount || k.Disabled || k.DescribeOnly {
		t.Errorf("%+v", k)
	}
	reader, err := s.CreateKey(ctx, identity.DefaultAccount, identity.KeyOptions{DescribeOnly: true})
	if err != nil || !reader.DescribeOnly || reader.Account != k.Account || reader.Secret == k.Secret {
		t.Errorf("%+v, %v", reader, err)
	}
	other, err := s.CreateAccount(ctx, "other")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := s.CreateKey(ctx, other.ID, identity.KeyOptions{})
	if err != nil || theirs.Account != other.ID || theirs.AccountName != "other" {
		t.Errorf("%+v, %v", theirs, err)
	}
	_, err = s.CreateKey(ctx, "nobody", identity.KeyOptions{})
	refused(t, err, fault.AccountNotFound)

	for _, reopened := range []bool{false, true} {
		if reopened {
			s = p.mustOpen()
		}
		for range 2 { // the second time from the cache
			if got, ok := s.Key(k.ID); !ok || got.Secret != k.Secret || got.Account != k.Account || got.AccountName != k.AccountName {
				t.Errorf("reopened %v: %+v, %v", reopened, got, ok)
			}
		}
	}
	if _, ok := s.Key("LTAInone"); ok {
		t.Error("found a key that is not there")
	}

	list, err := s.Keys("")
	if err != nil || len(list) != 3 || list[0].ID != k.ID || list[1].ID != reader.ID || list[2].ID != theirs.ID {
		t.Errorf("%+v, %v", list, err)
	}
	for _, x := range list {
		if x.Secret != "" {
			t.Error("a list shows secrets")
		}
	}
	if list, err := s.Keys("other"); err != nil || len(list) != 1 || list[0].ID != theirs.ID {
		t.Errorf("%+v, %v", list, err)
	}
	_, err = s.Keys("nobody")
	refused(t, err, fault.AccountNotFound)
}

func TestChosenKey(t *testing.T) {
	s := newPlace(t).mustOpen()
	k, err := s.CreateKey(ctx, "", identity.KeyOptions{ID: "testid", Secret: "testsecret"})
	if err != nil || k.ID != "testid" || k.Secret != "testsecret" {
		t.Fatalf("%+v, %v", k, err)
	}
	if got, ok := s.Key("testid"); !ok || got.Secret != "testsecret" {
		t.Errorf("%+v, %v", got, ok)
	}
	for _, bad := range []identity.KeyOptions{{ID: "testid"}, {ID: "abc"}, {ID: "with blank"}, {Secret: "short"}, {Secret: "with blank in it"}} {
		_, err := s.CreateKey(ctx, "", bad)
		refused(t, err, fault.ParameterInvalid)
	}
}

func TestDisabling(t *testing.T) {
	p := newPlace(t)
	s := p.mustOpen()
	k, err := s.CreateKey(ctx, "", identity.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	disabled := func() bool {
		t.Helper()
		got, ok := s.Key(k.ID)
		if !ok || got.Secret != k.Secret {
			t.Fatalf("%+v, %v", got, ok)
		}
		return got.Disabled
	}
	if disabled() {
		t.Error("a new key is disabled")
	}
	if err := s.DisableKey(ctx, k.ID); err != nil || !disabled() {
		t.Errorf("not disabled: %v", err)
	}
	s = p.mustOpen()
	if !disabled() {
		t.Error("enabled by a restart")
	}
	if err := s.EnableKey(ctx, k.ID); err != nil || disabled() {
		t.Errorf("not enabled: %v", err)
	}
	if err := s.DeleteKey(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Key(k.ID); ok {
		t.Error("a deleted key is there")
	}
	for _, f := range []func(context.Context, string) error{s.DisableKey, s.EnableKey, s.DeleteKey} {
		refused(t, f(ctx, k.ID), fault.AccessKeyNotFound)
	}
}

func TestSecretsAreSealed(t *testing.T) {
	p := newPlace(t)
	s := p.mustOpen()
	k, err := s.CreateKey(ctx, "", identity.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.close()
	p.close = nil
	stored, err := os.ReadFile(filepath.Join(p.dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(stored, []byte(k.Secret)) {
		t.Error("the secret stands in the store")
	}
	if !bytes.Contains(stored, []byte(k.ID)) {
		t.Error("the key's id does not stand in the store: this test looks at the wrong file")
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("key", "key", k)
	if strings.Contains(logged.String(), k.Secret) || !strings.Contains(logged.String(), k.ID) {
		t.Errorf("logged as %s", &logged)
	}
}

func TestSealFile(t *testing.T) {
	p := newPlace(t)
	k, err := p.mustOpen().CreateKey(ctx, "", identity.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.dir, seal.File)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 32 {
		t.Fatalf("%v, %v", info, err)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(b []byte, mode os.FileMode) func() error {
		return func() error { return errors.Join(os.WriteFile(path, b, 0o600), os.Chmod(path, mode)) }
	}
	foreign := bytes.Repeat([]byte{7}, 32)
	for _, c := range []struct {
		name string
		make func() error
		want string
	}{
		{"missing", func() error { return os.Remove(path) }, "is missing"},
		{"short", write(key[:31], 0o600), "has 31 bytes, not 32"},
		{"long", write(append(bytes.Clone(key), '\n'), 0o600), "has 33 bytes, not 32"},
		{"empty", write(nil, 0o600), "has 0 bytes"},
		{"open to the group", write(key, 0o640), "mode 0640"},
		{"open to all", write(key, 0o604), "mode 0604"},
		{"of another store", write(foreign, 0o600), "does not open"},
		{"a directory", func() error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, "not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.make(); err != nil {
				t.Fatal(err)
			}
			_, err := p.open()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want an error with %q", err, c.want)
			}
		})
	}
	if err := errors.Join(os.Remove(path), write(key, 0o400)()); err != nil {
		t.Fatal(err)
	}
	if got, ok := p.mustOpen().Key(k.ID); !ok || got.Secret != k.Secret {
		t.Errorf("%+v, %v", got, ok)
	}
}

// TestExchangedRecords puts one key's sealed secret under another's id.
func TestExchangedRecords(t *testing.T) {
	p := newPlace(t)
	s := p.mustOpen()
	a, err := s.CreateKey(ctx, "", identity.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.CreateKey(ctx, "", identity.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	db := p.db()
	err = db.Update(ctx, func(tx *state.Tx) error {
		from, _ := tx.AccessKeys.Get(a.ID)
		to, _ := tx.AccessKeys.Get(b.ID)
		changed := *to
		changed.Sealed = from.Sealed
		tx.PutAttributes(&changed)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.open(); err == nil || !strings.Contains(err.Error(), b.ID) {
		t.Errorf("%v, want an error that names %s", err, b.ID)
	}
}

func TestNoRandomness(t *testing.T) {
	p := newPlace(t)
	if _, err := seal.Open(p.dir, true, bytes.NewReader(nil)); err == nil {
		t.Error("a key file was made of nothing")
	}
	if _, err := os.Stat(filepath.Join(p.dir, seal.File)); !os.IsNotExist(err) {
		t.Errorf("key file: %v", err)
	}
	random := bytes.NewReader(make([]byte, 32))
	sealer, err := seal.Open(p.dir, true, random)
	if err != nil {
		t.Fatal(err)
	}
	s, err := identity.Open(p.db(), sealer, random, p.now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateKey(ctx, "", identity.KeyOptions{}); err == nil {
		t.Error("an access key was made of nothing")
	}
	if n := len(s.Accounts()); n != 0 {
		t.Errorf("%d accounts after a failure", n)
	}
}

// TestReadersAndWriters looks keys up while others are made, disabled and
// deleted.
func TestReadersAndWriters(t *testing.T) {
	s := newPlace(t).mustOpen()
	k, err := s.CreateKey(ctx, "", identity.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if got, ok := s.Key(k.ID); !ok || got.Secret != k.Secret {
					t.Errorf("%+v, %v", got, ok)
					return
				}
			}
		})
	}
	for i := range 20 {
		extra, err := s.CreateKey(ctx, "", identity.KeyOptions{})
		if err == nil && i%2 == 0 {
			err = s.DisableKey(ctx, k.ID)
		} else if err == nil {
			err = s.EnableKey(ctx, k.ID)
		}
		if got, _ := s.Key(k.ID); got.Disabled != (i%2 == 0) {
			t.Errorf("the change shows late: %+v", got)
		}
		if err = errors.Join(err, s.DeleteKey(ctx, extra.ID)); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	wg.Wait()
}

func BenchmarkKey(b *testing.B) {
	dir := b.TempDir()
	st, err := bolt.Open(filepath.Join(dir, "store.db"), time.Second)
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	db, err := state.Open(ctx, st)
	if err != nil {
		b.Fatal(err)
	}
	sealer, err := seal.Open(dir, true, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	s, err := identity.Open(db, sealer, rand.Reader, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	k, err := s.CreateKey(ctx, "", identity.KeyOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.Key(k.ID); !ok {
			b.Fatalf("no key %s", k.ID)
		}
	}
}
