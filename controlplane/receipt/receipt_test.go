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

// fill puts receipts into the store as writes would have left them.
func (w *world) fill(n int, make func(i int) *resource.Receipt) {
	w.t.Helper()
	err := w.db.Update(ctx, func(tx *state.Tx) error {
		for i := range n {
			tx.PutAttributes(make(i))
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestTokensAreBounded: an account's oldest tokens go beyond a number, and nobody else's.
func TestTokensAreBounded(t *testing.T) {
	w := newWorld(t)
	if _, err := w.write(identity.Caller{Account: "a2", Action: "Make", Token: "theirs", Fingerprint: "x"}, start); err != nil {
		t.Fatal(err)
	}
	first, err := w.write(call("first", "x", ""), start)
	if err != nil {
		t.Fatal(err)
	}
	w.fill(receipt.TokensPerAccount-1, func(i int) *resource.Receipt {
		return &resource.Receipt{Meta: resource.Meta{ID: resource.TokenID("a1", "Make", fmt.Sprint(i)), Account: "a1"}, Result: []byte("{}"), Expires: start.Add(time.Hour)}
	})
	if again, err := w.write(call("first", "x", ""), start); err != nil || again != first {
		t.Errorf("the oldest, while there are as many as there may be: %+v, %v", again, err)
	}
	for i := range 3 {
		if _, err := w.write(call(fmt.Sprintf("new-%d", i), "x", ""), start); err != nil {
			t.Fatal(err)
		}
		if n := w.db.View().Receipts.By(state.ByAccount, "a1").Len(); n != receipt.TokensPerAccount {
			t.Errorf("%d receipts of tokens, want %d", n, receipt.TokensPerAccount)
		}
	}
	if again, err := w.write(call("first", "y", ""), start); err != nil || again == first {
		t.Errorf("the oldest is still there: %+v, %v", again, err)
	}
	before := w.runs
	for _, c := range []identity.Caller{call("new-0", "x", ""), {Account: "a2", Action: "Make", Token: "theirs", Fingerprint: "x"}} {
		if _, err := w.write(c, start); err != nil || w.runs != before {
			t.Errorf("%+v was carried out again: %v", c, err)
		}
	}
}

// TestNoncesAreBounded: an access key's oldest nonces go beyond a number, and then what
// was signed when they were is refused: no request passes twice.
func TestNoncesAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	w := newWorld(t)
	at := func(i int) time.Time { return start.Add(time.Duration(i) * time.Millisecond) }
	w.fill(receipt.NoncesPerKey, func(i int) *resource.Receipt {
		return &resource.Receipt{Meta: resource.Meta{ID: resource.NonceID("k1", fmt.Sprint(i))}, Signed: at(i), Expires: start.Add(receipt.NonceLifetime)}
	})
	signed := func(nonce string, i int) identity.Caller {
		c := call("", "", nonce)
		c.Signed = at(i)
		return c
	}
	_, err := w.write(signed("0", 0), start)
	refused(t, err, fault.NonceUsed)
	for i := receipt.NoncesPerKey; i < receipt.NoncesPerKey+3; i++ {
		if _, err := w.write(signed(fmt.Sprint(i), i), start); err != nil {
			t.Fatal(err)
		}
		if n := w.db.View().Receipts.By(state.ByAccessKey, "k1").Len(); n > receipt.NoncesPerKey {
			t.Errorf("%d receipts of nonces, at most %d", n, receipt.NoncesPerKey)
		}
	}
	w.reopen()
	for i := range receipt.NoncesPerKey + 3 {
		if i%1000 > 20 {
			continue
		}
		_, err := w.write(signed(fmt.Sprint(i), i), start)
		refused(t, err, fault.NonceUsed)
	}
	if _, err := w.write(signed("fresh", receipt.NoncesPerKey+4), start); err != nil {
		t.Errorf("a fresh nonce: %v", err)
	}
	other := signed("fresh", 0)
	other.AccessKeyID = "k2"
	if _, err := w.write(other, start); err != nil {
		t.Errorf("another key's, signed long ago: %v", err)
	}
	for n := 1; n > 0; {
		if n, err = receipt.Sweep(ctx, w.db, start.Add(receipt.NonceLifetime+time.Minute), 10_000); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.db.View().Receipts.Len(); n != 0 {
		t.Errorf("%d receipts are left when all have expired", n)
	}
}

// TestNonceOfAnOlderVersion: what a version before has kept of nonces holds.
func TestNonceOfAnOlderVersion(t *testing.T) {
	w := newWorld(t)
	w.fill(1, func(int) *resource.Receipt {
		return &resource.Receipt{Meta: resource.Meta{ID: resource.OldNonceID("k1", "n1"), Account: "a1"}, Expires: start.Add(receipt.NonceLifetime)}
	})
	_, err := w.write(call("", "", "n1"), start)
	refused(t, err, fault.NonceUsed)
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
