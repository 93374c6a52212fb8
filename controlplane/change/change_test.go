package change_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/controlplane/store/bolt"
)

func newDB(t *testing.T) *state.DB {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	db, err := state.Open(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// TestLog writes one line for a change, and none for a call that changes
// nothing.
func TestLog(t *testing.T) {
	db := newDB(t)
	var log bytes.Buffer
	w := change.Writer{IDs: resource.IDs{Alphabet: "0123456789", Length: 9}, DB: db, Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))}
	lines := func() string { defer log.Reset(); return log.String() }
	c := identity.Caller{Account: "a1", RequestID: "r1", Action: "Make", Token: "t1"}
	make := func() (string, error) {
		return change.Do(context.Background(), w, c, func(tx *change.Tx) (string, error) {
			id := tx.NewID("a")
			tx.PutAttributes(&resource.Account{Meta: resource.Meta{ID: id}})
			tx.Done("account made", "id", id)
			return id, nil
		})
	}
	first, err := make()
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `msg="account made" account=a1 request=r1 id=`+first) {
		t.Errorf("logged %q", got)
	}
	if again, err := make(); err != nil || again != first {
		t.Errorf("%q, %v", again, err)
	}
	if got := lines(); got != "" {
		t.Errorf("a repeated call logs %q", got)
	}
	no := errors.New("no")
	err = change.Run(context.Background(), w, identity.Caller{}, func(tx *change.Tx) error { tx.Done("half"); return no })
	if !errors.Is(err, no) {
		t.Error(err)
	}
	if err := change.Run(context.Background(), w, identity.Caller{}, func(*change.Tx) error { return nil }); err != nil {
		t.Error(err)
	}
	if got := lines(); got != "" {
		t.Errorf("calls that change nothing log %q", got)
	}
}

// TestNewID checks the form of ids: those that name links have to fit (15 bytes).
func TestNewID(t *testing.T) {
	db := newDB(t)
	w := change.NewWriter(db, &settings.Settings{}, time.Now, slog.New(slog.DiscardHandler))
	err := change.Run(context.Background(), w, identity.Caller{}, func(tx *change.Tx) error {
		seen := make(map[string]bool)
		for range 100 {
			id := tx.NewID("snat")
			if !regexp.MustCompile(`^snat-[0-9a-z]{9}$`).MatchString(id) || len(id) > 15 || seen[id] {
				t.Fatalf("id %q", id)
			}
			seen[id] = true
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
