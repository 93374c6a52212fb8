package session

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cilium/ebpf"

	"sluice/bpf"
	ct "sluice/dataplane/conntrack"
)

// A slot in which a private address is counted is taken back when the address has been
// silent for a while and no session is left: else a host that sends from forged addresses
// would take all slots for good. That goes in steps, between which packets that were
// under way are gone:
//
//	retired  the address does not lead to the slot any more; what comes from it now gets
//	         another slot, and is told of together with this one
//	hidden   the address is not told of, also if it is back, until a reader who reads each
//	         minute has seen it gone: what is told of it then began at 0 again
//	free     its counts are in the map returned, where those of the gateway are
//
// Each slot is of an address and of the gateway that it goes by: what is said here of an
// address holds for it and one gateway.
const (
	sweepEvery = 30 * time.Second

	silentFor     = time.Hour       // before a slot is retired
	silentForFull = 2 * time.Minute // the same, when more than half of the slots are taken
	retiredFor    = time.Minute     // longer than packets wait for a neighbour's hardware address
	hiddenFor     = 70 * time.Second
)

// slots is what is known of a network's slots.
type slots struct {
	mu      sync.Mutex            // held to read or change what is kept by slot
	known   map[uint32]*slotState // those that have an address
	volumes []*ebpf.Map           // by slot / chunkSlots
}

// slotState is what was seen of one.
type slotState struct {
	counted uint64    // packets and sessions, as of the last look
	silent  time.Time // since when that has not changed
	retired bool
	hidden  time.Time // since when; zero if it is not
}

// slotted is what the maps hold of the slots. Of slot i, volumes 2 i and 2 i + 1 for each
// CPU are what it has sent and received.
type slotted struct {
	addresses []bpf.GatewayAddress
	volumes   []bpf.GatewayVolume
	cpus      int
}

func (n *Network) readSlots() (s slotted, err error) {
	g, err := n.state()
	if err != nil {
		return s, err
	}
	if s.cpus, err = ebpf.PossibleCPU(); err != nil {
		return s, err
	}
	// The first are for addresses beyond those that have one.
	count := min(gatewayNumbers+int(g.Slots), int(n.maps["addresses"].MaxEntries()))
	s.addresses = make([]bpf.GatewayAddress, count)
	if err := batch(n.maps["addresses"], s.addresses, 1); err != nil {
		return s, err
	}
	s.volumes, err = n.readVolumes(count, s.cpus)
	return s, err
}

// volume returns what a slot has sent or received.
func (s *slotted) volume(i int, inbound bool) (v bpf.GatewayVolume) {
	at := 2 * i
	if inbound {
		at++
	}
	for _, each := range s.volumes[at*s.cpus : (at+1)*s.cpus] {
		addVolume(&v, each)
	}
	return v
}

// gateway returns the number of the gateway that a slot is of.
func (s *slotted) gateway(i int) uint32 {
	if i < gatewayNumbers {
		return uint32(i)
	}
	return uint32(s.addresses[i].Gateway)
}

func addVolume(to *bpf.GatewayVolume, v bpf.GatewayVolume) {
	to.Bytes += v.Bytes
	to.Packets += v.Packets
	to.Hits += v.Hits
}

type slotKey = bpf.GatewaySlotKey

// slotKeyOf is what leads to a slot.
func slotKeyOf(a *bpf.GatewayAddress) slotKey {
	return slotKey{Addr: a.Addr, Gateway: uint32(a.Gateway)}
}

// slotOf returns the slot that a private address leads to, 0 for none.
func (n *Network) slotOf(k slotKey) (slot uint32, err error) {
	err = n.maps["slots"].Lookup(&k, &slot)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		err = nil
	}
	return slot, err
}

// sweepSlots takes the slots of silent addresses back, or goes on with it.
func (n *Network) sweepSlots(now time.Time) error {
	gone := n.goneGateways()
	n.slots.mu.Lock()
	defer n.slots.mu.Unlock()
	s, err := n.readSlots()
	if err != nil {
		return err
	}
	taken := n.lookAtSlots(&s, now)
	patience := silentFor
	if 2*taken > n.s.addresses() {
		patience = silentForFull
	}
	var ripe []uint32
	for i, k := range n.slots.known {
		enough := patience
		if gone[s.gateway(int(i))] {
			enough = silentForFull
		}
		switch idle := now.Sub(k.silent); {
		case !k.retired && s.addresses[i].Open == 0 && idle >= enough,
			k.retired && k.hidden.IsZero() && idle >= retiredFor,
			k.retired && !k.hidden.IsZero() && now.Sub(k.hidden) >= hiddenFor:
			ripe = append(ripe, i)
		}
	}
	if len(ripe) == 0 {
		return nil
	}
	used, err := n.slotsInUse()
	if err != nil {
		return err
	}
	for _, i := range ripe {
		if used[i] {
			continue
		}
		if err := n.stepSlot(&s, i, used, now); err != nil {
			return fmt.Errorf("take slot %d of network %s back: %w", i, n.id, err)
		}
	}
	return nil
}

// goneGateways returns the numbers of the gateways that are not there any more.
func (n *Network) goneGateways() map[uint32]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	gone := map[uint32]bool{}
	for id, number := range n.numbers {
		if n.rules != nil {
			_, there := n.rules.gateways[id]
			gone[number] = !there
		}
	}
	return gone
}

// lookAtSlots notes which addresses are silent, and returns how many slots are taken.
func (n *Network) lookAtSlots(s *slotted, now time.Time) (taken int) {
	if n.slots.known == nil {
		n.slots.known = map[uint32]*slotState{}
	}
	for i := gatewayNumbers; i < len(s.addresses); i++ {
		a := &s.addresses[i]
		if a.Addr == 0 {
			delete(n.slots.known, uint32(i))
			continue
		}
		taken++
		counted := a.Opened + s.volume(i, false).Packets + s.volume(i, true).Packets
		k := n.slots.known[uint32(i)]
		if k == nil {
			k = &slotState{}
			n.slots.known[uint32(i)] = k
			// An earlier process may have begun to take it back.
			to, err := n.slotOf(slotKeyOf(a))
			k.retired = err == nil && to != uint32(i)
			if a.Hidden != 0 {
				k.hidden = now
			}
			k.silent, k.counted = now, counted
		}
		if counted != k.counted {
			k.counted, k.silent = counted, now
		}
	}
	return taken
}

// slotsInUse returns the slots that sessions count in.
func (n *Network) slotsInUse() (map[uint32]bool, error) {
	used := map[uint32]bool{}
	return used, n.each(func(_ flowKey, s *bpf.GatewaySession) { used[uint32(s.Slot)] = true })
}

// stepSlot does the next step with a slot that is ripe for it, and in which no session
// counts.
func (n *Network) stepSlot(s *slotted, i uint32, used map[uint32]bool, now time.Time) error {
	k, key := n.slots.known[i], slotKeyOf(&s.addresses[i])
	switch {
	case !k.retired:
		// Nothing but this takes an address away from its slot.
		if err := n.maps["slots"].Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
		k.retired, k.silent = true, now
		return nil
	case k.hidden.IsZero():
		return n.hide(s, key, used, now)
	}
	return n.freeSlot(s, i)
}

// hide hides all slots of an address at once, as soon as all are ripe for it.
func (n *Network) hide(s *slotted, key slotKey, used map[uint32]bool, now time.Time) error {
	var all []uint32
	for i, k := range n.slots.known {
		if slotKeyOf(&s.addresses[i]) != key || !k.hidden.IsZero() {
			continue
		}
		if used[i] || !k.retired || now.Sub(k.silent) < retiredFor {
			return nil
		}
		all = append(all, i)
	}
	if to, err := n.slotOf(key); err != nil || to != 0 {
		return err
	}
	for _, i := range all {
		n.slots.known[i].hidden = now
		a := s.addresses[i]
		a.Hidden = 1
		if err := n.maps["addresses"].Put(i, &a); err != nil {
			return err
		}
	}
	return nil
}

// untold returns the addresses that are not told of, since a slot of theirs is hidden.
func (s *slotted) untold() map[slotKey]bool {
	out := map[slotKey]bool{}
	for i := range s.addresses {
		if s.addresses[i].Hidden != 0 {
			out[slotKeyOf(&s.addresses[i])] = true
		}
	}
	return out
}

// freeSlot moves the counts of a slot to where those of its gateway are, and gives it
// back. A crash in between is made up for by recoverSlots.
func (n *Network) freeSlot(s *slotted, i uint32) error {
	var r bpf.GatewayReturnedCounts
	gateway := s.gateway(int(i))
	if err := n.maps["returned"].Lookup(gateway, &r); err != nil {
		return err
	}
	addVolume(&r.Outbound, s.volume(int(i), false))
	addVolume(&r.Inbound, s.volume(int(i), true))
	r.Slot = i
	if err := n.maps["returned"].Put(gateway, &r); err != nil {
		return err
	}
	if err := n.clearReturned(gateway, r); err != nil {
		return err
	}
	delete(n.slots.known, i)
	return n.maps["free_slots"].Put(nil, i)
}

// clearReturned clears the slot of a gateway whose counts were returned last.
func (n *Network) clearReturned(gateway uint32, r bpf.GatewayReturnedCounts) error {
	if err := n.clearVolumes(r.Slot); err != nil {
		return err
	}
	if err := n.maps["addresses"].Put(r.Slot, &bpf.GatewayAddress{}); err != nil {
		return err
	}
	r.Slot = 0
	return n.maps["returned"].Put(gateway, &r)
}

// recoverSlots ends what an earlier process has begun with a slot, and finds those that
// nothing has: they are free.
func (n *Network) recoverSlots() error {
	returned := make([]bpf.GatewayReturnedCounts, gatewayNumbers)
	if err := batch(n.maps["returned"], returned, 1); err != nil {
		return fmt.Errorf("read what slots of network %s have counted: %w", n.id, err)
	}
	for gateway, r := range returned {
		if r.Slot == 0 {
			continue
		}
		if err := n.clearReturned(uint32(gateway), r); err != nil {
			return fmt.Errorf("clear slot %d of network %s: %w", r.Slot, n.id, err)
		}
	}
	g, err := n.state()
	if err != nil || g.Slots == 0 {
		return err
	}
	// In this order: what a program has taken from the queue it has put to use by then, and
	// what it takes later is not among these.
	for {
		var i uint32
		err := n.maps["free_slots"].LookupAndDelete(nil, &i)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			break
		}
		if err != nil {
			return fmt.Errorf("list the free slots of network %s: %w", n.id, err)
		}
	}
	ct.Settle()
	addresses := make([]bpf.GatewayAddress, min(gatewayNumbers+int(g.Slots), int(n.maps["addresses"].MaxEntries())))
	if err := batch(n.maps["addresses"], addresses, 1); err != nil {
		return fmt.Errorf("list the slots of network %s: %w", n.id, err)
	}
	for i := gatewayNumbers; i < len(addresses); i++ {
		if addresses[i].Addr != 0 {
			continue
		}
		if err := n.maps["free_slots"].Put(nil, uint32(i)); err != nil {
			return fmt.Errorf("give slot %d of network %s back: %w", i, n.id, err)
		}
	}
	return nil
}
