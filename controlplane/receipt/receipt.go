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

// How many receipts are kept, of those that have not expired: of an account's tokens, and
// of an access key's nonces. The oldest beyond a number go, at most forget of them with
// one write.
const (
	TokensPerAccount = 10_000
	NoncesPerKey     = 50_000
	forget           = 100
)

// Once runs fn in a transaction, unless the caller's token has been through
// with the same request: then it returns what fn returned that time. Results
// have to survive a round trip through JSON.
//
// Errors: fault.TokenMismatch for a token that came with another request,
// fault.NonceUsed for a replayed signature, or one from before the nonces that are kept,
// and whatever fn returns.
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

func tokenID(c identity.Caller) string { return resource.TokenID(c.Account, c.Action, c.Token) }

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
	for range forget {
		own := tx.Receipts.By(state.ByAccount, c.Account)
		if own.Len() <= TokensPerAccount {
			break
		}
		tx.Delete(own.At(0))
	}
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
	id, floor := resource.NonceID(c.AccessKeyID, c.Nonce), resource.NonceFloorID(c.AccessKeyID)
	for _, id := range []string{id, resource.OldNonceID(c.AccessKeyID, c.Nonce)} {
		if old, ok := tx.Receipts.Get(id); ok && now.Before(old.Expires) {
			return fault.New(fault.NonceUsed, "nonce %q of access key %s", c.Nonce, c.AccessKeyID)
		}
	}
	last, forgotten := tx.Receipts.Get(floor)
	if forgotten && now.Before(last.Expires) && !c.Signed.After(last.Signed) {
		return fault.New(fault.NonceUsed, "nonces of access key %s that were signed until %s are not kept any more: it has signed more than %d writes since; sign anew",
			c.AccessKeyID, last.Signed.UTC().Format(time.RFC3339), NoncesPerKey)
	}
	put(tx, &resource.Receipt{
		Meta:    resource.Meta{ID: id, CreatedAt: now},
		Signed:  c.Signed,
		Expires: now.Add(NonceLifetime),
	})
	forgetNonces(tx, c.AccessKeyID, floor, now)
	return nil
}

// forgetNonces deletes the oldest nonces of an access key where it has too many, and
// notes the time up to which signatures can't be told from replays from then on.
func forgetNonces(tx *state.Tx, key, floor string, now time.Time) {
	if tx.Receipts.By(state.ByAccessKey, key).Len() <= NoncesPerKey {
		return
	}
	var until time.Time
	if last, ok := tx.Receipts.Get(floor); ok {
		until = last.Signed
	}
	for range forget {
		r := tx.Receipts.By(state.ByAccessKey, key).At(0)
		if r.Signed.IsZero() {
			break // of a version that did not note it; it expires by itself
		}
		if r.Signed.After(until) {
			until = r.Signed
		}
		tx.Delete(r)
	}
	if until.IsZero() {
		return
	}
	put(tx, &resource.Receipt{
		Meta:    resource.Meta{ID: floor, CreatedAt: now},
		Signed:  until,
		Expires: now.Add(NonceLifetime),
	})
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
