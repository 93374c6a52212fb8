package edge

import (
	"hash/maphash"
	"sync"
	"time"
)

// MaxSkew is how far the time of a signature may be from the server's clock,
// both ways, and how long nonces are remembered.
const MaxSkew = time.Hour

// MaxNonce is how many bytes a nonce may have.
const MaxNonce = 256

const (
	nonceSlot    = time.Minute // nonces are forgotten slot by slot
	noncesPerKey = 1 << 20     // some 30 MB at most
)

// nonceCache remembers which nonces an access key has used, for as long as a
// request that carries one could still pass the check of its time. It is
// safe for concurrent use.
//
// It is the fast check, in memory; writes are protected across restarts too,
// by the receipt that is kept of their nonce.
type nonceCache struct {
	seed maphash.Seed
	most int

	mu    sync.Mutex
	used  map[uint64]struct{} // hashes of nonces
	slots map[int64][]uint64  // slot of the time → hashes of its nonces
	floor int64               // no time of an earlier slot is accepted any more
}

func newNonceCache(most int) *nonceCache {
	return &nonceCache{seed: maphash.MakeSeed(), most: most, used: map[uint64]struct{}{}, slots: map[int64][]uint64{}}
}

// nonceVerdict is what the cache says of a request.
type nonceVerdict int

const (
	nonceFresh  nonceVerdict = iota
	nonceUsed                // the nonce came before
	nonceTooOld              // the time is of a slot that had to be forgotten
	nonceDenied              // not noted: there is no room, or the caller of use refused
)

// use notes a nonce that came with the time of its signature. Memory is bounded without
// letting any request through twice: when the cache is full it forgets its
// oldest slot, and from then on refuses the times of that slot. A key that
// signs more than noncesPerKey requests within MaxSkew so has less skew
// allowed.
//
// allow is asked before a fresh nonce is noted: whether there is quota left for
// the request. A replayed request does not get that far, and so cannot use up
// its victim's quota; and a request beyond the quota takes no memory.
func (c *nonceCache) use(nonce string, signed, now time.Time, allow func() bool) nonceVerdict {
	slot := slotOf(signed)
	// The nonce alone is the identity, whatever time it came with. Two
	// nonces out of a million have the same hash once in 10^7 keys; the client
	// then tries again with another.
	h := maphash.String(c.seed, nonce)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetBefore(slotOf(now.Add(-MaxSkew)))
	if slot < c.floor {
		return nonceTooOld
	}
	if _, ok := c.used[h]; ok {
		return nonceUsed
	}
	if !allow() {
		return nonceDenied
	}
	if len(c.used) >= c.most {
		oldest := slot
		for s := range c.slots {
			oldest = min(oldest, s)
		}
		if oldest == slot {
			return nonceDenied
		}
		c.forgetBefore(oldest + 1)
	}
	c.used[h] = struct{}{}
	c.slots[slot] = append(c.slots[slot], h)
	return nonceFresh
}

func slotOf(t time.Time) int64 { return t.Unix() / int64(nonceSlot/time.Second) }

// forgetBefore drops the slots before one.
func (c *nonceCache) forgetBefore(slot int64) {
	if slot <= c.floor {
		return
	}
	c.floor = slot
	for s, hashes := range c.slots {
		if s < slot {
			for _, h := range hashes {
				delete(c.used, h)
			}
			delete(c.slots, s)
		}
	}
}
