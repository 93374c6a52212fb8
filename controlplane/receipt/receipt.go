package receipt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// How long receipts are kept. A nonce has to outlive the clock skew that the
// signature check allows, both ways, and besides that by which the clocks of machines
// differ that share a store: one of them deletes what another has written.
const (
	TokenLifetime = 24 * time.Hour
	NonceLifetime = 2*time.Hour + 10*time.Minute
)

// Once runs fn in a transaction, unless the caller's token has been through
// with the same request: then it returns what fn returned that time. Results
// have to survive a round trip through JSON.
//
// Errors: fault.TokenMismatch for a token that came with another request,
// fault.NonceUsed for a replayed signature, and whatever fn returns.
func Once[R any](ctx context.Context, db *state.DB, c identity.Caller, now time.Time, fn func(*state.Tx) (R, error)) (R, error) {
	var result R
	err := db.Update(ctx, func(tx *state.Tx) error {
		var zero R
		result = zero
		if err := useNonce(tx, c, now); err != nil {
			return err
		}
		old, seen, err := find(tx, c, now)
		if err != nil {
			return err
		}
		if seen {
			if err := json.Unmarshal(old.Result, &result); err != nil {
				return fmt.Errorf("read the receipt of token %s: %w", c.Token, err)
			}
			return nil
		}
		if result, err = fn(tx); err != nil {
			return err
		}
		return keep(tx, c, now, result)
	})
	return result, err
}

// OnceSettled is Once for a write that has to wait for earlier ones: while fn
// refuses with a *fault.Error that has a network to await, fn is run again when
// the dataplane has followed that network, for at most patience. After that its
// refusal stands.
func OnceSettled[R any](ctx context.Context, db *state.DB, c identity.Caller, now time.Time, patience time.Duration, fn func(*state.Tx) (R, error)) (R, error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		result, err := Once(ctx, db, c, now, fn)
		var refused *fault.Error
		if err == nil || !errors.As(err, &refused) || refused.Await == "" || waiting.Err() != nil {
			return result, err
		}
		if !db.Observed.Settle(waiting, refused.Await) {
			return result, err
		}
	}
}

func tokenID(c identity.Caller) string {
	return state.Key("token", c.Account, c.Action, c.Token)
}

func find(tx *state.Tx, c identity.Caller, now time.Time) (*resource.Receipt, bool, error) {
	if c.Token == "" {
		return nil, false, nil
	}
	old, ok := tx.Receipts.Get(tokenID(c))
	if !ok || now.After(old.Expires) {
		return nil, false, nil
	}
	if old.Fingerprint != c.Fingerprint {
		return nil, false, fault.New(fault.TokenMismatch, "token %q came with another %s request; use a new token for a new request", c.Token, c.Action)
	}
	return old, true, nil
}

func keep(tx *state.Tx, c identity.Caller, now time.Time, result any) error {
	if c.Token == "" {
		return nil
	}
	value, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("write the receipt of token %s: %w", c.Token, err)
	}
	put(tx, &resource.Receipt{
		Meta:        resource.Meta{ID: tokenID(c), Account: c.Account, CreatedAt: now},
		Fingerprint: c.Fingerprint,
		Result:      value,
		Expires:     now.Add(TokenLifetime),
	})
	return nil
}

// put writes a receipt, in the place of one that has expired.
func put(tx *state.Tx, r *resource.Receipt) {
	if old, ok := tx.Receipts.Get(r.ID); ok {
		tx.Delete(old)
	}
	tx.PutAttributes(r)
}

// useNonce writes down the nonce of a write beside what it does, so that a
// captured request cannot be played again after a restart either.
func useNonce(tx *state.Tx, c identity.Caller, now time.Time) error {
	if c.Nonce == "" {
		return nil
	}
	id := state.Key("nonce", c.AccessKeyID, c.Nonce)
	if old, ok := tx.Receipts.Get(id); ok && now.Before(old.Expires) {
		return fault.New(fault.NonceUsed, "nonce %q of access key %s", c.Nonce, c.AccessKeyID)
	}
	put(tx, &resource.Receipt{
		Meta:    resource.Meta{ID: id, Account: c.Account, CreatedAt: now},
		Expires: now.Add(NonceLifetime),
	})
	return nil
}

// expired returns receipts that have expired, the oldest first, but for those of the
// minute that is not over yet.
func expired(v *state.View, now time.Time, limit int) (old []*resource.Receipt) {
	this := state.MinuteKey(now)
	for minute, receipts := range v.Receipts.Ascend(state.ByExpiry) {
		if minute >= this {
			break
		}
		for r := range receipts.All() {
			if len(old) == limit {
				return old
			}
			old = append(old, r)
		}
	}
	return old
}

// Sweep deletes receipts that have expired, at most limit of them in one
// transaction, and returns how many it deleted.
func Sweep(ctx context.Context, db *state.DB, now time.Time, limit int) (int, error) {
	old := expired(db.View(), now, limit)
	if len(old) == 0 {
		return 0, nil
	}
	swept := 0
	err := db.Update(ctx, func(tx *state.Tx) error {
		swept = 0
		for _, r := range old {
			// A token that has expired may have been taken again by now.
			if now, ok := tx.Receipts.Get(r.ID); ok && now == r {
				tx.Delete(r)
				swept++
			}
		}
		return nil
	})
	return swept, err
}
