package planetest

import (
	"maps"
	"net/netip"
	"sync"

	"sluice/dataplane"
)

// Holders is who was seen to have the addresses of HaVips, in every network; the zero value
// has seen nobody. It implements havip.Plane.
type Holders struct {
	mu   sync.Mutex
	seen map[netip.Addr]dataplane.HaVipHolder
}

// Set has the dataplane have seen who has an address.
func (h *Holders) Set(address netip.Addr, by dataplane.HaVipHolder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		h.seen = map[netip.Addr]dataplane.HaVipHolder{}
	}
	h.seen[address] = by
}

// HaVips implements havip.Plane.
func (h *Holders) HaVips(string) map[netip.Addr]dataplane.HaVipHolder {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.seen)
}
