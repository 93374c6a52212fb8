package aliyun

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

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

// admit takes one call from the key's limit and notes its nonce. It returns
// why the call is refused: SignatureNonceUsed, IllegalTimestamp, or Throttling,
// which leaves the nonce unused.
func (s *keyState) admit(nonce string, signed, now time.Time) *Error {
	switch s.nonces.use(nonce, signed, now, func() bool { return s.limiter.AllowN(now, 1) }) {
	case nonceUsed:
		return documented("", "SignatureNonceUsed", "")
	case nonceTooOld:
		return documented("", "IllegalTimestamp", "")
	case nonceDenied:
		return documented("", "Throttling", "")
	}
	return nil
}
