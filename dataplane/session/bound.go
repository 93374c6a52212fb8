package session

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"sluice/bpf"
	"sluice/dataplane"
)

// What a counter of bounds counts (OF_ in bpf/types.h).
const (
	ofEntry = iota
	ofElasticIP
	ofHost
)

type bound = bpf.GatewayBound

// entryTraffic reads what was counted of DNAT entries and elastic IPs.
func (n *Network) entryTraffic() ([]dataplane.EntryTraffic, error) {
	var out []dataplane.EntryTraffic
	err := every(n.maps["bounds"], func(k boundKey, b bound) {
		if k.Of != ofEntry {
			return
		}
		out = append(out, dataplane.EntryTraffic{
			External: address(k.Addr), Protocol: k.Proto, Port: order16(k.Port), Open: uint64(max(0, int64(b.Open))), Refused: b.Refused,
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read what was counted of the entries of network %s: %w", n.id, err)
	}
	slices.SortFunc(out, func(a, b dataplane.EntryTraffic) int {
		return cmp.Or(a.External.Compare(b.External), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	return out, nil
}

// dropBounds removes the counters of entries, elastic IPs and hosts that are not
// there any more, when no session counts with them.
func (n *Network) dropBounds() error {
	n.mu.Lock()
	rules, done := n.rules, n.boundsDropped
	n.mu.Unlock()
	if rules == nil || rules == done {
		return nil
	}
	var gone []boundKey
	left := false
	err := every(n.maps["bounds"], func(k boundKey, b bound) {
		if rules.has(k) {
			return
		}
		if b.Open == 0 {
			gone = append(gone, k)
		} else {
			left = true
		}
	})
	for _, k := range gone {
		if e := n.maps["bounds"].Delete(&k); e != nil && !errors.Is(e, ebpf.ErrKeyNotExist) {
			err = errors.Join(err, e)
		}
	}
	if err == nil && !left {
		n.mu.Lock()
		n.boundsDropped = rules
		n.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("remove what was counted of entries of network %s that are gone: %w", n.id, err)
	}
	return nil
}

// has reports whether sessions may count with a counter.
func (r *rules) has(k boundKey) bool {
	switch k.Of {
	case ofElasticIP:
		_, ok := r.elastic[k.Addr]
		return ok
	case ofHost:
		return r.hosts[hostKey{PrefixLength: 32, Addr: k.Addr}] == byHost(kindElastic, gatewayNone)
	}
	if _, ok := r.mapped[k.Addr]; ok && k.Proto == 0 {
		return true
	}
	_, ok := r.dnat.Get(dataplane.DNAT{External: address(k.Addr), Protocol: k.Proto, ExternalPort: order16(k.Port)})
	return ok
}
