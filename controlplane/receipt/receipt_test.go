package receipt_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/receipt"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/store/bolt"
)

var (
	ctx   = context.Background()
	start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

type world struct {
	t     *testing.T
	path  string
	db    *state.DB
	close func() error
	runs  int // of the write
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, path: filepath.Join(t.TempDir(), "store.db")}
	w.open()
	t.Cleanup(func() { w.close() })
	return w
}

func (w *world) open() {
	w.t.Helper()
	s, err := bolt.Open(w.path, time.Second)
	if err != nil {
		w.t.Fatal(err)
	}
	w.close = s.Close
	if w.db, err = state.Open(ctx, s); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) reopen() {
	w.t.Helper()
	if err := w.close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

type result struct {
	ID    string `json:"id"`
	Count int    `json:"count"`
}

// write makes an account, so that there is something to be done twice.
func (w *world) write(c identity.Caller, at time.Time) (result, error) {
	return receipt.Once(ctx, w.db, c, at, func(tx *state.Tx) (result, error) {
		w.runs++
		id := fmt.Sprintf("a-%d", w.runs)
		tx.PutAttributes(&resource.Account{Meta: resource.Meta{ID: id, Account: id}})
		return result{id, tx.Accounts.Len()}, nil
	})
}

func call(token, fingerprint, nonce string) identity.Caller {
	return identity.Caller{Account: "a1", AccessKeyID: "k1", Action: "Make", Token: token, Fingerprint: fingerprint, Nonce: nonce}
}

func refused(t *testing.T, err error, reason fault.Reason) {
	t.Helper()
	if !errors.Is(err, &fault.Error{Reason: reason}) {
		t.Errorf("%v, want a refusal: %s", err, reason)
	}
}

func TestToken(t *testing.T) {
	w := newWorld(t)
	first, err := w.write(call("t1", "this", "n1"), start)
	if err != nil {
		t.Fatal(err)
	}
	check := func(nonce string, at time.Time) {
		t.Helper()
		again, err := w.write(call("t1", "this", nonce), at)
		if err != nil || again != first {
			t.Errorf("again: %+v, %v; the first time %+v", again, err, first)
		}
	}
	check("n2", start.Add(time.Minute))
	_, err = w.write(call("t1", "that", "n3"), start)
	refused(t, err, fault.TokenMismatch)
	w.reopen()
	check("n4", start.Add(time.Hour))
	check("n5", start.Add(receipt.TokenLifetime))
	_, err = w.write(call("t1", "that", "n6"), start)
	refused(t, err, fault.TokenMismatch)
	if w.runs != 1 || w.db.View().Accounts.Len() != 1 {
		t.Errorf("carried out %d times", w.runs)
	}

	// Whose token it is, and for what, is part of it.
	for _, c := range []identity.Caller{
		{Account: "a2", Action: "Make", Token: "t1", Fingerprint: "that"},
		{Account: "a1", Action: "Break", Token: "t1", Fingerprint: "that"},
		{Account: "a1", Action: "Make", Token: "t2", Fingerprint: "that"},
		{Account: "a1", Action: "Make", Fingerprint: "this"},
		{Account: "a1", Action: "Make", Fingerprint: "this"},
	} {
		before := w.runs
		if _, err := w.write(c, start); err != nil || w.runs != before+1 {
			t.Errorf("%+v was not carried out: %v", c, err)
		}
	}
	// After its time a token may be used again.
	before := w.runs
	if _, err := w.write(call("t1", "that", "n7"), start.Add(receipt.TokenLifetime+time.Second)); err != nil || w.runs != before+1 {
		t.Errorf("an expired token was not taken: %v", err)
	}
}

func TestRefusedWritesLeaveNoReceipt(t *testing.T) {
	w := newWorld(t)
	no := fault.New(fault.QuotaVPC, "no")
	_, err := receipt.Once(ctx, w.db, call("t1", "this", "n1"), start, func(tx *state.Tx) (result, error) {
		tx.PutAttributes(&resource.Account{Meta: resource.Meta{ID: "half"}})
		return result{}, no
	})
	if !errors.Is(err, no) {
		t.Fatal(err)
	}
	if v := w.db.View(); v.Receipts.Len()+v.Accounts.Len() != 0 {
		t.Error("a refused write has left something")
	}
	if _, err := w.write(call("t1", "another", "n1"), start); err != nil {
		t.Errorf("the token of a refused write cannot be used: %v", err)
	}
}

func TestNonce(t *testing.T) {
	w := newWorld(t)
	if _, err := w.write(call("", "", "n1"), start); err != nil {
		t.Fatal(err)
	}
	_, err := w.write(call("", "", "n1"), start.Add(time.Minute))
	refused(t, err, fault.NonceUsed)
	w.reopen()
	_, err = w.write(call("t1", "x", "n1"), start.Add(2*time.Hour))
	refused(t, err, fault.NonceUsed)
	other := call("", "", "n1")
	other.AccessKeyID = "k2"
	if _, err := w.write(other, start); err != nil {
		t.Errorf("another key's nonce: %v", err)
	}
	if _, err := w.write(call("", "", "n1"), start.Add(receipt.NonceLifetime)); err != nil {
		t.Errorf("an old nonce: %v", err)
	}
}

func TestSweep(t *testing.T) {
	w := newWorld(t)
	for _, n := range []string{"1", "2", "3"} {
		if _, err := w.write(call("t"+n, "x", "n"+n), start); err != nil {
			t.Fatal(err)
		}
	}
	sweep := func(at time.Time, limit, want, left int) {
		t.Helper()
		n, err := receipt.Sweep(ctx, w.db, at, limit)
		if got := w.db.View().Receipts.Len(); err != nil || n != want || got != left {
			t.Errorf("swept %d, %v, and %d are left; want %d and %d", n, err, got, want, left)
		}
	}
	sweep(start.Add(time.Hour), 10, 0, 6)
	sweep(start.Add(3*time.Hour), 2, 2, 4)
	sweep(start.Add(3*time.Hour), 10, 1, 3)
	sweep(start.Add(25*time.Hour), 10, 3, 0)
	sweep(start.Add(25*time.Hour), 10, 0, 0)
}

// TestOnceSettled is refused until the dataplane has followed.
func TestOnceSettled(t *testing.T) {
	w := newWorld(t)
	put := func(tx *state.Tx) error {
		old, _ := tx.VPCs.Get("vpc-1")
		vpc := &resource.VPC{Meta: resource.Meta{ID: "vpc-1"}}
		if old != nil {
			vpc.Created = old.Created
		}
		tx.Put(vpc)
		return nil
	}
	if err := w.db.Update(ctx, put); err != nil {
		t.Fatal(err)
	}
	attempts := make(chan bool, 10)
	try := func(ctx context.Context, patience time.Duration) error {
		_, err := receipt.OnceSettled(ctx, w.db, call("", "", ""), start, patience, func(*state.Tx) (result, error) {
			attempts <- true
			if !w.db.Observed.Settled("vpc-1") {
				return result{}, fault.InTransition(fault.VPCInTransition, "vpc-1", "not yet")
			}
			return result{}, nil
		})
		return err
	}
	refused(t, try(ctx, 0), fault.VPCInTransition)
	<-attempts
	refused(t, try(ctx, time.Millisecond), fault.VPCInTransition)
	<-attempts

	done := make(chan error)
	go func() { done <- try(ctx, time.Minute) }()
	<-attempts
	w.db.Observed.Report("vpc-1", w.db.View().Revision, nil, start)
	if err := <-done; err != nil {
		t.Error(err)
	}

	// Other refusals are not waited on, and neither is a caller who has gone.
	_, err := receipt.OnceSettled(ctx, w.db, call("", "", ""), start, time.Minute, func(*state.Tx) (result, error) {
		return result{}, fault.New(fault.QuotaVPC, "no")
	})
	refused(t, err, fault.QuotaVPC)
	if err := w.db.Update(ctx, put); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(ctx)
	go func() { done <- try(gone, time.Hour) }()
	<-attempts
	<-attempts // the one that succeeded above
	cancel()
	if err := <-done; err == nil {
		t.Error("a caller who has gone got an answer")
	}
}
