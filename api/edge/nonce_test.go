package edge

import (
	"strconv"
	"testing"
	"time"
)

func TestNonces(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := newNonceCache(100)
	yes, no := func() bool { return true }, func() bool { return false }
	for _, step := range []struct {
		what   string
		nonce  string
		signed time.Duration // from the beginning
		now    time.Duration
		allow  func() bool
		want   nonceVerdict
	}{
		{"fresh", "a", 0, 0, yes, nonceFresh},
		{"replayed", "a", 0, 0, yes, nonceUsed},
		{"replayed under another Timestamp", "a", 30 * time.Minute, 0, yes, nonceUsed},
		{"replayed beyond the quota", "a", 0, 0, no, nonceUsed},
		{"fresh beyond the quota", "b", 0, 0, no, nonceDenied},
		{"which leaves it unused", "b", 0, 0, yes, nonceFresh},
		{"signed in the future", "c", time.Hour, 0, yes, nonceFresh},
		{"replayed as late as the skew allows", "a", 0, time.Hour, yes, nonceUsed},
		{"forgotten, when its Timestamp is too old anyway", "a", 0, 62 * time.Minute, yes, nonceTooOld},
		{"the one from the future, two hours later", "c", time.Hour, 2 * time.Hour, yes, nonceUsed},
		{"the nonce may come again with a new Timestamp", "a", 2 * time.Hour, 2 * time.Hour, yes, nonceFresh},
	} {
		if got := c.use(step.nonce, now.Add(step.signed), now.Add(step.now), step.allow); got != step.want {
			t.Errorf("%s: %d, want %d", step.what, got, step.want)
		}
	}
}

func TestNoncesAreBounded(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := newNonceCache(100)
	yes := func() bool { return true }
	for i := range 1000 {
		signed := now.Add(time.Duration(i) * time.Second) // 60 in a slot
		if got := c.use(strconv.Itoa(i), signed, signed, yes); got != nonceFresh {
			t.Fatalf("nonce %d: %d", i, got)
		}
		if len(c.used) > 100 {
			t.Fatalf("%d nonces are kept, the limit is 100", len(c.used))
		}
	}
	held := 0
	for _, s := range c.slots {
		held += len(s)
	}
	if held != len(c.used) {
		t.Errorf("slots hold %d nonces, %d are known", held, len(c.used))
	}
	// Nothing that was accepted is accepted again, forgotten or not.
	end := now.Add(1000 * time.Second)
	for i := range 1000 {
		if got := c.use(strconv.Itoa(i), now.Add(time.Duration(i)*time.Second), end, yes); got != nonceUsed && got != nonceTooOld {
			t.Fatalf("replay of nonce %d: %d", i, got)
		}
	}
	// One slot alone may not outgrow the limit either.
	full := newNonceCache(3)
	for i, want := range []nonceVerdict{nonceFresh, nonceFresh, nonceFresh, nonceDenied} {
		if got := full.use(strconv.Itoa(i), now, now, yes); got != want {
			t.Errorf("nonce %d of one slot: %d, want %d", i, got, want)
		}
	}
}

func BenchmarkNonces(b *testing.B) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := newNonceCache(noncesPerKey)
	yes := func() bool { return true }
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		signed := now.Add(time.Duration(i) * 200 * time.Microsecond)
		if c.use(strconv.Itoa(i), signed, signed, yes) != nonceFresh {
			b.Fatal("refused")
		}
		i++
	}
}
