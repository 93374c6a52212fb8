package session

import (
	"encoding/binary"
	"fmt"
	"structs"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/bpf"
)

type (
	entry   = bpf.GatewayEntry
	flowKey = bpf.GatewayFlowKey
)

// entriesAtOnce is how many the program sync_sessions takes in a call (ENTRIES in
// bpf/types.h).
const entriesAtOnce = 90

const ethernetHeader = 14

// syncSessions has the program look after sessions, and notice that somebody does. It runs in the network's
// namespace, whose conntrack the program asks.
func (n *Network) syncSessions(entries []entry) error {
	if len(entries) == 0 {
		// Conntrack is not asked: it may run in any namespace.
		if _, err := n.loaded("sync_sessions").Run(&ebpf.RunOptions{Data: make([]byte, ethernetHeader)}); err != nil {
			return fmt.Errorf("have the programs of network %s know that somebody is there: %w", n.id, err)
		}
		return nil
	}
	return n.ns.Do(func() error {
		for len(entries) > 0 {
			some := entries[:min(len(entries), entriesAtOnce)]
			entries = entries[len(some):]
			frame := make([]byte, ethernetHeader, ethernetHeader+len(some)*int(unsafe.Sizeof(entry{})))
			for i := range some {
				frame = append(frame, unsafe.Slice((*byte)(unsafe.Pointer(&some[i])), unsafe.Sizeof(entry{}))...)
			}
			if _, err := n.loaded("sync_sessions").Run(&ebpf.RunOptions{Data: frame}); err != nil {
				return fmt.Errorf("look after the sessions of network %s: %w", n.id, err)
			}
		}
		return nil
	})
}

// now is the programs' clock.
func (n *Network) now() (uint32, error) {
	if err := n.syncSessions(nil); err != nil {
		return 0, err
	}
	g, err := n.state()
	if err != nil {
		return 0, err
	}
	return g.Heartbeat, nil
}

// entryOf returns the entry for a conntrack flow, and whether it is one that can
// have a session: IPv4.
func entryOf(f *conntrack.Flow) (entry, bool) {
	if !f.TupleOrig.IP.SourceAddress.Is4() || !f.TupleOrig.IP.DestinationAddress.Is4() {
		return entry{}, false
	}
	e := entry{Original: keyOf(&f.TupleOrig), Reply: keyOf(&f.TupleReply), Status: uint32(f.Status.Value)}
	return e, true
}

func keyOf(t *conntrack.Tuple) flowKey {
	k := flowKey{Saddr: word(t.IP.SourceAddress), Daddr: word(t.IP.DestinationAddress), Proto: t.Proto.Protocol}
	source, destination := t.Proto.SourcePort, t.Proto.DestinationPort
	if t.Proto.Protocol == unix.IPPROTO_ICMP {
		source, destination = t.Proto.ICMPID, uint16(t.Proto.ICMPType)<<8|uint16(t.Proto.ICMPCode)
	}
	k.Sport, k.Dport = order16(source), order16(destination)
	return k
}

// order16 is a number in network order, in a host's word.
func order16(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

var _ structs.HostLayout // the entries' layout is the programs'
