package edge

import (
	"net/netip"
	"sync"
)

// bodyRoom is the memory for the bodies that are being read. A source may take no more
// than it leaves free: alone it gets half of the room, and however many sources take all
// that they may, there is room for one more. (Dynamic thresholds, as switches share
// their buffers: Choudhury and Hahne, 1998.)
type bodyRoom struct {
	mu   sync.Mutex
	free int64
	held map[netip.Addr]int64 // by source, see sourceOf
}

func newBodyRoom(size int64) *bodyRoom {
	return &bodyRoom{free: size, held: make(map[netip.Addr]int64)}
}

// take gives a source n more bytes; false if there is no room for them.
func (b *bodyRoom) take(source netip.Addr, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held[source]+n > b.free-n {
		return false
	}
	b.held[source] += n
	b.free -= n
	return true
}

// give takes n bytes back.
func (b *bodyRoom) give(source netip.Addr, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	if b.held[source] -= n; b.held[source] == 0 {
		delete(b.held, source)
	}
}
