package edge

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sluice/controlplane/identity"
)

// Keys finds access keys. Key is called for every request and must be fast and
// safe for concurrent use.
type Keys interface {
	Key(id string) (identity.Key, bool)
}

// Rate is a limit on calls: PerSecond on average, Burst at once. PerSecond 0
// sets no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

func (r Rate) limiter() *rate.Limiter {
	if r.PerSecond <= 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(r.PerSecond), max(r.Burst, 1))
}

// spare is how much of the burst those leave who may not use it up; of no limit nothing.
func (r Rate) spare() float64 {
	if r.PerSecond <= 0 {
		return 0
	}
	return float64(r.Burst / 2)
}

// keyState is what the edge keeps of an access key: how often it calls, and
// the nonces that it has used. Only a key whose signature has been verified
// gets one, so their number is that of the existing keys.
type keyState struct {
	limiter *rate.Limiter
	nonces  *nonceCache
}

// keyStates holds the state of each access key. It is safe for concurrent use.
type keyStates struct {
	perKey Rate
	nonces int // limit of each key's nonce cache

	mu   sync.RWMutex
	byID map[string]*keyState
}

func newKeyStates(perKey Rate, nonces int) *keyStates {
	return &keyStates{perKey: perKey, nonces: nonces, byID: map[string]*keyState{}}
}

func (k *keyStates) of(id string) *keyState {
	k.mu.RLock()
	s := k.byID[id]
	k.mu.RUnlock()
	if s != nil {
		return s
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s = k.byID[id]; s == nil {
		s = &keyState{limiter: k.perKey.limiter(), nonces: newNonceCache(k.nonces)}
		k.byID[id] = s
	}
	return s
}

// admit takes one call from the key's limit and notes its nonce, if it has one.
// ok is false if the call is refused, for NonceUsed, NotInTime, or Throttled,
// which leaves the nonce unused.
func (s *keyState) admit(nonce string, signed, now time.Time) (refused Reason, ok bool) {
	allow := func() bool { return s.limiter.AllowN(now, 1) }
	if nonce == "" {
		return Throttled, allow()
	}
	switch s.nonces.use(nonce, signed, now, allow) {
	case nonceUsed:
		return NonceUsed, false
	case nonceTooOld:
		return NotInTime, false
	case nonceDenied:
		return Throttled, false
	}
	return 0, true
}
