package nft

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
)

// poolOfSize returns n addresses; different first values give different pools.
func poolOfSize(n int, first uint32) []netip.Addr {
	pool := make([]netip.Addr, n)
	for i := range pool {
		pool[i] = addrAt(binary.BigEndian.AppendUint32(nil, first+uint32(i)*7))
	}
	return pool
}

func TestBucketsAreSharedEqually(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 16, 64, 255, 256, 300} {
		share := map[netip.Addr]int{}
		for _, a := range assignBuckets(poolOfSize(n, 0xcb007100)) {
			share[a]++
		}
		for _, a := range poolOfSize(n, 0xcb007100) {
			if got := share[a]; got != buckets/n && got != buckets/n+1 {
				t.Errorf("pool of %d: %s has %d of %d buckets", n, a, got, buckets)
			}
		}
	}
}

// A changed pool moves hosts that need not move only within bounds. (The order
// of the addresses plays no part: pools are sorted.)
func TestChangedPoolMovesFewBuckets(t *testing.T) {
	for n := 1; n <= 20; n++ {
		moved, must := 0, 0
		for first := range uint32(20) {
			pool := poolOfSize(n+1, 0xcb007100+first*1000)
			out := int(first) % (n + 1)
			without := assignBuckets(slices.Delete(slices.Clone(pool), out, out+1))
			for b, a := range assignBuckets(pool) {
				if a != without[b] {
					moved++
				}
				if a == pool[out] {
					must++
				}
			}
		}
		if moved > 2*must+must/4 {
			t.Errorf("from %d addresses to %d and back: %d buckets moved where %d must", n, n+1, moved, must)
		}
		if n == 1 && moved != must {
			t.Errorf("from 1 address to 2: %d buckets moved where %d must", moved, must)
		}
	}
}

func TestPoolIDs(t *testing.T) {
	var pools [][]netip.Addr
	for i := range uint32(3000) {
		pools = append(pools, poolOfSize(2, 0x0a000000+i*131))
	}
	ids := numberPools(append(pools, pools...))
	if len(ids) != len(pools) {
		t.Fatalf("%d pools have %d ids", len(pools), len(ids))
	}
	seen := map[uint32]bool{}
	for key, id := range ids {
		if seen[id] {
			t.Fatalf("id %#x is given twice", id)
		}
		seen[id] = true
		if id&idBit == 0 || id&0xff != 0 {
			t.Errorf("id %#x may be taken for a routing mark", id)
		}
		if poolKey(poolOf(key)) != key {
			t.Errorf("pool %v does not come back from its key", poolOf(key))
		}
	}
	slices.Reverse(pools)
	for key, id := range numberPools(pools) {
		if ids[key] != id {
			t.Fatal("ids depend on the order of pools")
		}
	}
}
