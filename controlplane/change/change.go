// Package change is the one way in which the domain services write: in a
// transaction, once per client token, after earlier changes that bar it have
// reached the kernel, within the quotas, and with one line in the log once it is
// committed.
//
// It takes a function that checks the rules and changes resources. It knows no
// rule itself.
package change

import (
	"context"
	"log/slog"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/receipt"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Writer is what writes need beside the caller.
type Writer struct {
	DB       *state.DB
	Now      func() time.Time // clock of creation times and receipts
	Log      *slog.Logger
	Patience time.Duration // how long a write waits for the dataplane, see fault.Error.Await
	IDs      resource.IDs  // what the ids look like that are given
	Allowed  state.Limits  // what the quotas of an account allow
}

// NewWriter returns what the services need that carry out the documents' actions: ids
// have nine lower-case letters and digits, as in the documents' examples. now is the
// clock that creation times and receipts are taken from.
func NewWriter(db *state.DB, set *settings.Settings, now func() time.Time, log *slog.Logger) Writer {
	return Writer{DB: db, Now: now, Log: log, Patience: set.Settle, Allowed: set.Allowed,
		IDs: resource.IDs{Alphabet: "0123456789abcdefghijklmnopqrstuvwxyz", Length: 9}}
}

// Tx is a transaction with its line for the log.
type Tx struct {
	*state.Tx
	ids     resource.IDs
	allowed state.Limits
	what    string
	attrs   []any
}

// Room refuses new resources for which a quota has no room. A transaction that goes
// beyond a quota is refused in any case; to ask before decides which of several reasons
// the client is told.
func (tx *Tx) Room(put ...resource.Resource) error { return tx.View.Room(tx.allowed, nil, put...) }

// RoomWithout is Room once others are gone, which have not been deleted yet.
func (tx *Tx) RoomWithout(gone []resource.Resource, put ...resource.Resource) error {
	return tx.View.Room(tx.allowed, gone, put...)
}

// Fits refuses a resource that has more parts than a quota allows. Unlike a transaction
// that leaves it no larger than it was, it refuses one that has been too large before.
func (tx *Tx) Fits(r resource.Resource) error { return state.Fits(tx.allowed, r) }

// Label files a new resource, which has not been put yet, under what its maker asked for:
// the resource group, and the tags, which are put in the same transaction. Reasons:
// TagDuplicate, QuotaTag.
func (tx *Tx) Label(r resource.Resource, l resource.Labels) error {
	r.Metadata().Group = l.Group
	if len(l.Tags) == 0 {
		return nil
	}
	set := resource.NewTagSet(r)
	for _, t := range l.Tags {
		if _, twice := set.Tags[t.Key]; twice {
			return fault.New(fault.TagDuplicate, "key %q; the keys of a resource are unique", t.Key)
		}
		set.Tags[t.Key] = t.Value
	}
	if err := tx.Fits(set); err != nil {
		return err
	}
	tx.PutAttributes(set)
	return nil
}

// NewID returns an id that nothing has yet, for example vpc-257gq642n for the prefix
// vpc. It names network links in the kernel, which have 15 bytes at most.
func (tx *Tx) NewID(prefix string) string {
	return tx.Tx.NewID(func() string { return tx.ids.Draw(prefix) })
}

// Done says what the transaction does, for the log. A call that only repeats
// an earlier answer never gets here, and is not logged as a change.
func (tx *Tx) Done(what string, attrs ...any) { tx.what, tx.attrs = what, attrs }

// Do runs fn in one transaction. fn may be run several times; only what its
// last run wrote counts.
func Do[R any](ctx context.Context, w Writer, c identity.Caller, fn func(*Tx) (R, error)) (R, error) {
	var last *Tx
	result, err := receipt.OnceSettled(ctx, w.DB, c, w.Now(), w.Patience, func(tx *state.Tx) (R, error) {
		last = &Tx{Tx: tx, ids: w.IDs, allowed: w.Allowed}
		result, err := fn(last)
		if err == nil {
			err = tx.Unprotected()
		}
		if err == nil {
			err = tx.Exceeded(w.Allowed)
		}
		return result, err
	})
	if err == nil && last != nil && last.what != "" {
		w.Log.Info(last.what, append([]any{"account", c.Account, "request", c.RequestID}, last.attrs...)...)
	}
	return result, err
}

// Run is Do for a change without a result.
func Run(ctx context.Context, w Writer, c identity.Caller, fn func(*Tx) error) error {
	_, err := Do(ctx, w, c, func(tx *Tx) (struct{}, error) { return struct{}{}, fn(tx) })
	return err
}

// Protect protects the resource that find finds from deletion, or no longer. Whoever deletes
// it is refused: see state.Tx.Unprotected. Reasons: those of find.
func Protect[R resource.Resource](ctx context.Context, w Writer, c identity.Caller, find func(*Tx) (R, error), on bool) error {
	return Run(ctx, w, c, func(tx *Tx) error {
		old, err := find(tx)
		if err != nil || old.Metadata().Protected == on {
			return err
		}
		r := old.Clone()
		r.Metadata().Protected = on
		tx.PutAttributes(r)
		tx.Done("deletion protection changed", "kind", r.Kind(), "id", r.Metadata().ID, "on", on)
		return nil
	})
}
