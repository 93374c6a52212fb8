package sequence

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
	mdlayher "github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// gateway is one of the two, with what is at the ends of its wires.
type gateway struct {
	id              string
	ns              *netns.Namespace
	inside, outside *end
	tracked         *conntrack.Conn
	query           *query
	sessions        *ebpf.Map // nil without programs
}

func openGateway(ends *netns.Namespace, id string) (_ *gateway, err error) {
	g := &gateway{id: id}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if g.ns, err = netns.Open(dataplane.Namespace(id)); err != nil {
		return nil, err
	}
	if g.inside, err = newEnd(ends, id+"h"); err != nil {
		return nil, err
	}
	if g.outside, err = newEnd(ends, id+"r"); err != nil {
		return nil, err
	}
	if g.tracked, err = conntrack.Dial(&mdlayher.Config{NetNS: int(g.ns.Handle())}); err != nil {
		return nil, err
	}
	if g.query, err = newQuery(g.ns); err != nil {
		return nil, err
	}
	if err := g.introduce(g.inside, switchID, client, server, mapped, markInside.Addr()); err != nil {
		return nil, err
	}
	return g, g.introduce(g.outside, dataplane.UplinkName, nextHop)
}

// openSessions opens the map of the sessions that there are now.
func (g *gateway) openSessions() error {
	m, err := ebpf.LoadPinnedMap(filepath.Join(pins(g.id), "sessions"), nil)
	if err != nil {
		return fmt.Errorf("the gateway has no session programs: %w", err)
	}
	if g.sessions != nil {
		g.sessions.Close()
	}
	g.sessions = m
	return nil
}

// introduce makes an end and the gateway's link to it neighbours.
func (g *gateway) introduce(e *end, link string, addrs ...netip.Addr) error {
	l, err := g.ns.Netlink().LinkByName(link)
	if err != nil {
		return err
	}
	e.to = l.Attrs().HardwareAddr
	for _, a := range addrs {
		err := g.ns.Netlink().NeighSet(&netlink.Neigh{
			LinkIndex: l.Attrs().Index, Family: netlink.FAMILY_V4, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: e.own,
		})
		if err != nil {
			return fmt.Errorf("make %s a neighbour on %s: %w", a, link, err)
		}
	}
	return nil
}

func (g *gateway) close() error {
	var errs []error
	if g.sessions != nil {
		errs = append(errs, g.sessions.Close())
	}
	if g.tracked != nil {
		errs = append(errs, g.tracked.Close())
	}
	if g.query != nil {
		errs = append(errs, g.query.close())
	}
	for _, e := range []*end{g.inside, g.outside} {
		if e != nil && e.socket >= 0 {
			errs = append(errs, unix.Close(e.socket))
		}
	}
	if g.ns != nil {
		errs = append(errs, g.ns.Close())
	}
	return errors.Join(errs...)
}

// await waits until the gateway forwards, by opening the flow that marks the order
// of packets.
func (g *gateway) await() error {
	for range 100 {
		if err := g.inside.send(Packet{Protocol: unix.IPPROTO_UDP, From: markInside, To: markOutside}); err != nil {
			return err
		}
		if _, ok, err := g.outside.receive(100 * time.Millisecond); err != nil || ok {
			return err
		}
	}
	return errors.New("the gateway does not forward")
}

// pass sends a packet from one side and returns what came out at either, in order.
func (g *gateway) pass(p Packet, fromInside bool) (inside, outside []Packet, err error) {
	from, to := g.inside, g.outside
	mark, seen := Packet{Protocol: unix.IPPROTO_UDP, From: markInside, To: markOutside}, markOutside
	if !fromInside {
		from, to = to, from
		mark, seen = Packet{Protocol: unix.IPPROTO_UDP, From: markOutside, To: markNAT}, markInside
	}
	if err := errors.Join(from.send(p), from.send(mark)); err != nil {
		return nil, nil, err
	}
	var there []Packet
	for {
		got, ok, err := to.receive(5 * time.Second)
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			return nil, nil, fmt.Errorf("a packet that should go through did not: %s", mark)
		}
		if got.Protocol == unix.IPPROTO_UDP && got.To == seen {
			break
		}
		there = append(there, got)
	}
	var back []Packet
	for {
		got, ok, err := from.receive(0)
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			break
		}
		back = append(back, got)
	}
	if fromInside {
		return back, there, nil
	}
	return there, back, nil
}

// entry is what conntrack has of a connection, and the session.
type entry struct {
	original, reply string
	status          uint32
	state           uint8         // of TCP
	timeout         time.Duration // of which is left
	reset           bool          // the session was reset for good
}

// look returns conntrack's entry for the connection of a tuple, or nil.
func (g *gateway) look(protocol uint8, from, to netip.AddrPort) (*entry, error) {
	f, err := g.query.get(protocol, from, to)
	if f == nil {
		return nil, err
	}
	e := &entry{
		original: f.TupleOrig.String(), reply: f.TupleReply.String(), status: uint32(f.Status.Value),
		timeout: time.Duration(f.Timeout) * time.Second,
	}
	if f.ProtoInfo.TCP != nil {
		e.state = f.ProtoInfo.TCP.State
	}
	var s bpf.GatewaySession
	if k := key(f.TupleOrig); g.sessions != nil && g.sessions.Lookup(&k, &s) == nil {
		e.reset = s.State&stateReset != 0
	}
	return e, nil
}

const stateReset = 0x10 // STATE_RESET in bpf/types.h

// age makes the entry of a connection older, and its paths. It returns false if
// there is none left.
func (g *gateway) age(protocol uint8, from, to netip.AddrPort, by time.Duration) (bool, error) {
	f, err := g.query.get(protocol, from, to)
	if f == nil {
		return false, err
	}
	left := time.Duration(f.Timeout)*time.Second - by
	for _, t := range []conntrack.Tuple{f.TupleOrig, f.TupleReply} {
		var s bpf.GatewaySession
		k := key(t)
		if g.sessions == nil {
			break
		}
		if err := g.sessions.Lookup(&k, &s); err == nil {
			s.Until -= ticks(by)
			if err := g.sessions.Put(&k, &s); err != nil {
				return false, err
			}
		}
	}
	if left <= 0 {
		return false, g.tracked.Delete(*f)
	}
	change := conntrack.Flow{TupleOrig: f.TupleOrig, Timeout: uint32(left / time.Second)}
	return true, g.tracked.Update(change)
}

// key is a tuple as the programs have it (struct flow_key in bpf/types.h).
func key(t conntrack.Tuple) bpf.GatewayFlowKey {
	word := func(a netip.Addr) uint32 { b := a.As4(); return native.Uint32(b[:]) }
	port := func(p uint16) uint16 { return native.Uint16([]byte{byte(p >> 8), byte(p)}) }
	return bpf.GatewayFlowKey{
		Saddr: word(t.IP.SourceAddress), Daddr: word(t.IP.DestinationAddress),
		Sport: port(t.Proto.SourcePort), Dport: port(t.Proto.DestinationPort), Proto: t.Proto.Protocol,
	}
}

// ticks are the programs' unit of time: the kernel's jiffies.
func ticks(d time.Duration) uint32 {
	var tick unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &tick); err != nil || tick.Nano() == 0 {
		return uint32(d / (4 * time.Millisecond))
	}
	return uint32(d.Nanoseconds() / tick.Nano())
}
