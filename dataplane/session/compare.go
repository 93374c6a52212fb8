package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/bpf"
)

// Bits of a conntrack entry's status, states of a TCP connection, and bits of a
// session that comparing goes by (bpf/kernel.h and bpf/types.h).
const (
	statusSeenReply = 1 << 1
	statusSourceNAT = 1 << 4
	statusDestNAT   = 1 << 5

	tcpTimeWait = 7
	tcpClose    = 8

	flowReply      = 0x1
	stateClosed    = 0x1
	stateConfirmed = 0x8
)

// Compare makes the sessions agree with conntrack's table: those of connections
// that are not there go, those that are missing come, and those whose end was
// not seen are closed. It also counts the ports in use. It costs about 3 µs for
// each connection.
func (n *Network) Compare(ctx context.Context) error {
	n.compared.Store(nil)
	n.mu.Lock()
	n.boundsDropped = nil // a packet under way may have made one
	n.mu.Unlock()
	began, err := n.now()
	if err != nil {
		return err
	}
	found := &comparison{at: time.Now(), ended: n.ended.Load()}
	flows, err := n.conntrackFlows()
	if err != nil {
		return err
	}
	if err := n.note(found, flows); err != nil {
		return err
	}
	known := make(map[flowKey]*conntrack.Flow, 2*len(flows))
	ports := newPortCount()
	var amiss []entry
	for i := range flows {
		f := &flows[i]
		e, ok := entryOf(f)
		if !ok || e.Status&(statusSourceNAT|statusDestNAT) == 0 {
			continue
		}
		known[e.Original], known[e.Reply] = f, f
		ports.add(f, e.Status)
		if outstays(f) {
			amiss = append(amiss, entry{Original: e.Original, Unanswered: 1})
		}
	}
	n.ports.set(ports)
	if err := ctx.Err(); err != nil {
		return err
	}

	err = n.each(func(k flowKey, s *bpf.GatewaySession) {
		f := known[k]
		switch {
		case s.Flow&flowReply != 0:
			if f == nil {
				// One that was made meanwhile is made again by the next packet.
				amiss = append(amiss, entry{Reply: k, Ended: 1})
			}
		case f == nil:
			// What began since the list was made is not amiss; conntrack can
			// be asked for TCP and UDP again, and is.
			if hasPorts(k.Proto) || int32(s.Until-began) < 0 {
				amiss = append(amiss, entry{Original: k})
			}
		case closedOf(f) && s.State&stateClosed == 0 || s.State&stateConfirmed == 0:
			e, _ := entryOf(f)
			amiss = append(amiss, e)
		}
		if s.Flow&flowReply == 0 {
			delete(known, k)
		}
	})
	if err != nil {
		return err
	}
	for k, f := range known {
		if e, _ := entryOf(f); e.Original == k {
			amiss = append(amiss, e)
		}
	}
	if err := n.syncSessions(amiss); err != nil {
		return err
	}
	n.compared.Store(found)
	return nil
}

// outstays reports whether conntrack keeps UDP from outside that nobody has answered
// for too long: that of a host which is not there leaves by no link, where the
// programs would have seen it.
func outstays(f *conntrack.Flow) bool {
	return unansweredFromOutside(f) && time.Duration(f.Timeout)*time.Second > unanswered
}

func unansweredFromOutside(f *conntrack.Flow) bool {
	return f.TupleOrig.Proto.Protocol == unix.IPPROTO_UDP && f.Status.Value&(statusSeenReply|statusSourceNAT|statusDestNAT) == statusDestNAT
}

// closedOf reports whether conntrack has seen a connection closed. It keeps one
// that was reset out of its window ESTABLISHED, for a short time: the session
// knows better then.
func closedOf(f *conntrack.Flow) bool {
	t := f.ProtoInfo.TCP
	return t != nil && (t.State == tcpTimeWait || t.State == tcpClose)
}

func hasPorts(protocol uint8) bool {
	return protocol == unix.IPPROTO_TCP || protocol == unix.IPPROTO_UDP
}

// dropPending removes the sessions of packets that never got as far as
// conntrack, or that it did not keep, if they are older than a moment.
func (n *Network) dropPending() error {
	now, err := n.now()
	if err != nil {
		return err
	}
	moment := int32(bpf.Ticks(500 * time.Millisecond))
	var gone []entry
	err = n.each(func(k flowKey, s *bpf.GatewaySession) {
		// One that was made since has a time after now.
		if s.Flow&flowReply == 0 && s.State&stateConfirmed == 0 && int32(now-s.Until) > moment {
			gone = append(gone, entry{Original: k})
		}
	})
	if err != nil {
		return err
	}
	return n.syncSessions(gone)
}

// each calls f for each element of the sessions' map. Elements that come or go
// meanwhile may be left out or, rarely, seen twice.
func (n *Network) each(f func(flowKey, *bpf.GatewaySession)) error {
	err := every(n.maps["sessions"], func(k flowKey, s bpf.GatewaySession) { f(k, &s) })
	if err != nil {
		return fmt.Errorf("list the sessions of network %s: %w", n.id, err)
	}
	return nil
}

// every calls f for each element of a hash map.
func every[K, V any](m *ebpf.Map, f func(K, V)) error {
	const most = 1 << 12
	keys, values := make([]K, most), make([]V, most)
	var at ebpf.MapBatchCursor
	for {
		got, err := m.BatchLookup(&at, keys, values, nil)
		for i := range got {
			f(keys[i], values[i])
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
