package nft

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
)

// buckets is the number of buckets that the hosts of a source block are hashed
// into; each bucket has one address of the pool. It is a part of the skeleton.
const buckets = 256

// bucketSeed seeds the kernel's hash of a host's address. Changing it, or the
// constants of score, moves hosts to other addresses at an update.
const bucketSeed = 0x51a1ce00

// assignBuckets gives every bucket one address of the pool, which is sorted
// and has no duplicates.
//
// It is rendezvous hashing with a bound: every address gets an equal share of
// the buckets, give or take one, and what a bucket gets depends on the pool
// alone. A changed pool therefore moves few hosts: adding one address to n
// moves little more than the 1/(n+1) of them that it must.
func assignBuckets(pool []netip.Addr) [buckets]netip.Addr {
	floor, extra := buckets/len(pool), buckets%len(pool)
	load := make([]int, len(pool))
	ids := make([]uint64, len(pool))
	for i, a := range pool {
		v := a.As4()
		ids[i] = mix(uint64(binary.BigEndian.Uint32(v[:])))
	}
	var out [buckets]netip.Addr
	for b := range out {
		best, bestScore := -1, uint64(0)
		for i := range pool {
			if load[i] > floor || load[i] == floor && extra == 0 {
				continue
			}
			if s := mix(ids[i] ^ uint64(b)); best < 0 || s > bestScore {
				best, bestScore = i, s
			}
		}
		if load[best] == floor {
			extra--
		}
		load[best]++
		out[b] = pool[best]
	}
	return out
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Ids of pools pass through the packet mark, and so do those of elastic IPs.
// They must be unlike the marks that routing rules select by, also where a
// rule looks at some low bits only: the highest bit is set, the low eight are
// clear.
const (
	idBit  = 0x8000_0000
	idMask = 0x7fff_ff00
	idStep = 0x0000_0100
)

// numberPools gives each distinct pool an id: a hash of its addresses, so that
// entries with the same pool share its elements, and an id stays when other
// pools come and go. The result is by poolKey; pools may repeat, and there
// must be fewer than eight million.
//
// Should two pools hash alike, the one that sorts first keeps the id and the
// other takes the next free one.
func numberPools(pools [][]netip.Addr) map[string]uint32 {
	keys := make([]string, 0, len(pools))
	for _, pool := range pools {
		keys = append(keys, poolKey(pool))
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	ids := make(map[string]uint32, len(keys))
	taken := make(map[uint32]bool, len(keys))
	for _, k := range keys {
		h := fnv.New32a()
		h.Write([]byte(k)) // never fails
		id := h.Sum32()&idMask | idBit
		for taken[id] {
			id = (id+idStep)&idMask | idBit
		}
		taken[id] = true
		ids[k] = id
	}
	return ids
}

// poolKey packs the addresses of a pool, 4 bytes each, for use as a map key.
func poolKey(pool []netip.Addr) string {
	b := make([]byte, 0, 4*len(pool))
	for _, a := range pool {
		v := a.As4()
		b = append(b, v[:]...)
	}
	return string(b)
}

// poolOf is the inverse of poolKey.
func poolOf(key string) []netip.Addr {
	pool := make([]netip.Addr, 0, len(key)/4)
	for ; len(key) >= 4; key = key[4:] {
		pool = append(pool, addrAt([]byte(key[:4])))
	}
	return pool
}
