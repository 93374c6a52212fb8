package conntrack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	vishvananda "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// readBuffer takes a good part of a dump, so that the kernel need not wait for
// us with each message. It is a limit, not memory that is set aside.
const readBuffer = 4 << 20

// Sweep ends the connections of namespace ns that model m would not make as they
// are, and returns how many there were. Routes, rules and translation must be
// what m was made of. When it returns, no packet goes by an ended connection any
// more.
//
// It lists the connections once: about 10 ms, for the kernel goes through the
// table of all namespaces, and 3 µs for each connection (Linux 6.18, 262,144
// buckets), and waits twice for packets under way (Settle). Where there are no
// connections it costs next to nothing.
func Sweep(ctx context.Context, ns *netns.Namespace, m *Model) (ended int, err error) {
	if none(ns) {
		return 0, nil
	}
	// What has been routed or translated by what was before is in the table.
	Settle()
	s := &sweep{ns: ns, model: m}
	if s.conn, err = conntrack.Dial(&netlink.Config{NetNS: int(ns.Handle())}); err != nil {
		return 0, fmt.Errorf("open conntrack in %s: %w", ns, err)
	}
	defer s.conn.Close()
	if s.deleter, err = netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: int(ns.Handle())}); err != nil {
		return 0, fmt.Errorf("open conntrack in %s: %w", ns, err)
	}
	defer s.deleter.Close()
	// Without the privilege to go over the system's limit the dump is slower.
	_ = s.conn.SetReadBuffer(readBuffer)
	flows, err := s.conn.Dump(nil)
	if err != nil {
		return 0, fmt.Errorf("list connections in %s: %w", ns, err)
	}
	var errs []error
	for i := range flows {
		f, ok := fromKernel(&flows[i])
		if !ok {
			continue
		}
		if flows[i].Mark == markAbsorber {
			if hindered := m.hindered(&f); s.judge(&hindered) == Keep {
				_ = s.remove(&flows[i]) // or it ends by itself
			}
			continue
		}
		v := s.judge(&f)
		if v == Keep {
			continue
		}
		if err := ctx.Err(); err != nil {
			return s.ended, err
		}
		if err := s.end(&flows[i], &f, v); err != nil {
			errs = append(errs, fmt.Errorf("end connection %s: %w", flows[i].TupleOrig, err))
		}
	}
	if s.ended > 0 {
		Settle()
	}
	return s.ended, errors.Join(errs...)
}

// none reports whether a namespace has no connections.
func none(ns *netns.Namespace) bool {
	some, _, err := ns.Differing([]netns.Sysctl{{Path: "netfilter/nf_conntrack_count", Value: "0"}})
	return err == nil && len(some) == 0
}

type sweep struct {
	ns      *netns.Namespace
	model   *Model
	conn    *conntrack.Conn
	deleter *netlink.Conn
	ended   int
}

// judge asks the kernel, too, where a route has several next hops: it chooses one
// by a hash of the addresses that nobody else can tell.
func (s *sweep) judge(f *Flow) Verdict {
	v := s.model.Judge(f, "")
	if v != Ask {
		return v
	}
	p := s.model.packetOf(f)
	routes, err := s.ns.Netlink().RouteGetWithOptions(p.Destination.AsSlice(), &vishvananda.RouteGetOptions{
		Iif: p.From, SrcAddr: p.Source.AsSlice(), Mark: p.Mark,
	})
	if err != nil || len(routes) == 0 {
		return Keep // the next hop is gone at this moment
	}
	link, err := s.ns.Netlink().LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return Keep
	}
	if v = s.model.Judge(f, link.Attrs().Name); v == Ask {
		return Keep
	}
	return v
}

// end deletes the entry, unless another has taken its place, and puts one there
// that takes what is late for it.
func (s *sweep) end(k *conntrack.Flow, f *Flow, v Verdict) error {
	err := s.remove(k)
	if errors.Is(err, unix.ENOENT) {
		return nil // it has ended by itself
	}
	if err != nil {
		return err
	}
	s.ended++
	source, destination, ok := s.model.late(f, v)
	if !ok || f.Protocol == unix.IPPROTO_ICMP { // an answer to an echo request opens nothing
		return nil
	}
	return s.absorb(k, source, destination)
}

// absorb makes an absorber for the packets of those addresses. A late packet may
// have been faster; what it has opened goes again.
func (s *sweep) absorb(k *conntrack.Flow, source, destination netip.AddrPort) error {
	a := absorber(k, source, destination)
	var err error
	for range 10 {
		if err = s.conn.Create(a); !errors.Is(err, unix.EEXIST) {
			return err
		}
		// Else it is one of an earlier Sweep.
		if s.remove(&conntrack.Flow{TupleOrig: a.TupleOrig}) != nil {
			return nil // there is another one with its answers' addresses
		}
	}
	return err
}

// Attributes of conntrack's messages (enum ctattr_type, ctattr_tuple, ctattr_ip,
// ctattr_l4proto), and a message's own header.
const (
	deleteEntry = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2 // IPCTNL_MSG_CT_DELETE

	attrTupleOrig, attrID = 1, 12
	attrIP, attrProto     = 1, 2
	attrIPSource          = 1
	attrIPDestination     = 2
	attrProtoNumber       = 1
	attrSourcePort        = 2
	attrDestinationPort   = 3
	attrICMPID            = 4
	attrICMPType          = 5
	attrICMPCode          = 6
)

// remove deletes the entry with this id, not one that has come in its place; with
// id 0 whichever there is.
func (s *sweep) remove(k *conntrack.Flow) error {
	e := netlink.NewAttributeEncoder()
	e.ByteOrder = binary.BigEndian
	t := &k.TupleOrig
	e.Nested(attrTupleOrig, func(e *netlink.AttributeEncoder) error {
		e.Nested(attrIP, func(e *netlink.AttributeEncoder) error {
			e.Bytes(attrIPSource, t.IP.SourceAddress.AsSlice())
			e.Bytes(attrIPDestination, t.IP.DestinationAddress.AsSlice())
			return nil
		})
		e.Nested(attrProto, func(e *netlink.AttributeEncoder) error {
			e.Uint8(attrProtoNumber, t.Proto.Protocol)
			if t.Proto.Protocol == unix.IPPROTO_ICMP {
				e.Uint16(attrICMPID, t.Proto.ICMPID)
				e.Uint8(attrICMPType, t.Proto.ICMPType)
				e.Uint8(attrICMPCode, t.Proto.ICMPCode)
				return nil
			}
			e.Uint16(attrSourcePort, t.Proto.SourcePort)
			e.Uint16(attrDestinationPort, t.Proto.DestinationPort)
			return nil
		})
		return nil
	})
	if k.ID != 0 {
		e.Uint32(attrID, k.ID)
	}
	attrs, err := e.Encode()
	if err != nil {
		return err
	}
	_, err = s.deleter.Execute(netlink.Message{
		Header: netlink.Header{Type: deleteEntry, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append([]byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0}, attrs...),
	})
	return err
}
