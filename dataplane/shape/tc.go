package shape

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// Attributes of traffic control (linux/pkt_sched.h, linux/pkt_cls.h).
const (
	tcaKind, tcaOptions, tcaStats2, tcaStab = 1, 2, 7, 8

	statsBasic, statsQueue, statsPackets = 1, 3, 8 // TCA_STATS_
	stabBase                             = 1

	htbParms, htbInit, htbRate64, htbCeil64        = 1, 2, 6, 7
	tbfParms, tbfRate64, tbfBurst                  = 1, 4, 6
	bpfAct, bpfFD, bpfName, bpfTag, bpfID          = 1, 6, 7, 10, 11
	actKind, actOptions, mirredParms               = 1, 2, 2
	linkLayerEthernet                              = 1
	redirect, stolen                               = 1, 4 // TCA_EGRESS_REDIR, TC_ACT_STOLEN
	rootHandle                              uint32 = 1 << 16
)

// tick is the unit of the times that the kernel takes for buckets.
const tick = 64 * time.Nanosecond

// object is what traffic control has at a link.
type object struct {
	ifindex        int
	handle, parent uint32
	info           uint32 // a filter's priority and protocol
	kind           string
	options        []byte
	stab           []byte
	sent           dataplane.Volume
	drops          uint32
}

// control speaks to traffic control in a namespace.
type control struct {
	ns   *netns.Namespace
	conn *netlink.Conn
}

func newControl(ns *netns.Namespace) (*control, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: int(ns.Handle())})
	if err != nil {
		return nil, fmt.Errorf("open netlink socket in %s: %w", ns, err)
	}
	return &control{ns, conn}, nil
}

func (c *control) close() { c.conn.Close() }

func header(o *object) []byte {
	b := make([]byte, 20) // struct tcmsg
	binary.NativeEndian.PutUint32(b[4:], uint32(o.ifindex))
	binary.NativeEndian.PutUint32(b[8:], o.handle)
	binary.NativeEndian.PutUint32(b[12:], o.parent)
	binary.NativeEndian.PutUint32(b[16:], o.info)
	return b
}

// do sends one request. options writes an object's own attributes; nil for none.
func (c *control) do(kind netlink.HeaderType, flags netlink.HeaderFlags, o *object, attributes func(*netlink.AttributeEncoder) error) error {
	data := header(o)
	if attributes != nil {
		e := netlink.NewAttributeEncoder()
		e.String(tcaKind, o.kind)
		if err := attributes(e); err != nil {
			return err
		}
		more, err := e.Encode()
		if err != nil {
			return err
		}
		data = append(data, more...)
	}
	_, err := c.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Acknowledge | flags}, Data: data,
	})
	return err
}

// list returns the objects of a kind of request, at one link or, for queueing
// disciplines, at all. With parent, only those of it.
func (c *control) list(kind netlink.HeaderType, ifindex int, parent uint32) ([]object, error) {
	messages, err := c.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Dump}, Data: header(&object{ifindex: ifindex, parent: parent}),
	})
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil, nil // the link, or what would hold such objects, is gone
	}
	if err != nil {
		return nil, err
	}
	out := make([]object, 0, len(messages))
	for _, m := range messages {
		if len(m.Data) < 20 {
			continue
		}
		o := object{
			ifindex: int(int32(binary.NativeEndian.Uint32(m.Data[4:]))), handle: binary.NativeEndian.Uint32(m.Data[8:]),
			parent: binary.NativeEndian.Uint32(m.Data[12:]), info: binary.NativeEndian.Uint32(m.Data[16:]),
		}
		d, err := netlink.NewAttributeDecoder(m.Data[20:])
		if err != nil {
			return nil, err
		}
		for d.Next() {
			switch d.Type() {
			case tcaKind:
				o.kind = d.String()
			case tcaOptions:
				o.options = d.Bytes()
			case tcaStab:
				o.stab = d.Bytes()
			case tcaStats2:
				d.Nested(o.readStats)
			}
		}
		if err := d.Err(); err != nil {
			return nil, err
		}
		if ifindex == 0 || o.ifindex == ifindex {
			out = append(out, o)
		}
	}
	return out, nil
}

func (o *object) readStats(d *netlink.AttributeDecoder) error {
	for d.Next() {
		switch b := d.Bytes(); {
		case d.Type() == statsBasic && len(b) >= 12:
			o.sent.Bytes, o.sent.Packets = binary.NativeEndian.Uint64(b), uint64(binary.NativeEndian.Uint32(b[8:]))
		case d.Type() == statsPackets && len(b) >= 8:
			o.sent.Packets = binary.NativeEndian.Uint64(b)
		case d.Type() == statsQueue && len(b) >= 12:
			o.drops = binary.NativeEndian.Uint32(b[8:])
		}
	}
	return nil
}

// rateSpec is struct tc_ratespec; what does not fit into it goes into an attribute of its own.
func rateSpec(rate uint64) []byte {
	b := make([]byte, 12)
	b[1] = linkLayerEthernet
	binary.NativeEndian.PutUint32(b[8:], uint32(min(rate, 1<<32-1)))
	return b
}

func specRate(b []byte) uint64 { return uint64(binary.NativeEndian.Uint32(b[8:])) }

// addRoot makes HTB a link's queueing discipline. What is counted are packets without
// their Ethernet headers.
func (c *control) addRoot(ifindex int) error {
	o := &object{ifindex: ifindex, handle: rootHandle, parent: 0xffffffff, kind: "htb"}
	return c.do(unix.RTM_NEWQDISC, netlink.Create|netlink.Replace, o, func(e *netlink.AttributeEncoder) error {
		e.Nested(tcaOptions, func(e *netlink.AttributeEncoder) error {
			e.Bytes(htbInit, words(3, 10, 0, 0, 0)) // version, r2q
			return nil
		})
		e.Nested(tcaStab, func(e *netlink.AttributeEncoder) error {
			e.Bytes(stabBase, sizeSpec)
			return nil
		})
		return nil
	})
}

// sizeSpec is struct tc_sizespec.
var sizeSpec = append([]byte{0, 0, 0, 0}, words(^uint32(etherHeader)+1, linkLayerEthernet, 0, 0, 0)...)

func words(all ...uint32) (b []byte) {
	for _, w := range all {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return b
}

// class is a class of HTB.
type class struct {
	parent          uint32
	rate, ceil      uint64 // bytes a second
	buffer, cbuffer uint32 // ticks
	quantum         uint32 // bytes
}

func (c *control) setClass(ifindex int, minor uint16, k class) error {
	o := &object{ifindex: ifindex, handle: rootHandle | uint32(minor), parent: k.parent, kind: "htb"}
	return c.do(unix.RTM_NEWTCLASS, netlink.Create, o, func(e *netlink.AttributeEncoder) error {
		e.Nested(tcaOptions, func(e *netlink.AttributeEncoder) error {
			parms := append(append(rateSpec(k.rate), rateSpec(k.ceil)...), words(k.buffer, k.cbuffer, k.quantum, 0, 0)...)
			e.Bytes(htbParms, parms)
			if k.rate >= 1<<32 {
				e.Uint64(htbRate64, k.rate)
			}
			if k.ceil >= 1<<32 {
				e.Uint64(htbCeil64, k.ceil)
			}
			return nil
		})
		return nil
	})
}

func (o *object) class() (k class, ok bool) {
	k.parent = o.parent
	if o.parent == 0xffffffff {
		k.parent = rootHandle // as the kernel says of those at the top
	}
	ok = o.kind == "htb" && eachAttribute(o.options, func(t uint16, b []byte) {
		switch {
		case t == htbParms && len(b) >= 36:
			k.rate, k.ceil = specRate(b), specRate(b[12:])
			k.buffer, k.cbuffer, k.quantum = binary.NativeEndian.Uint32(b[24:]), binary.NativeEndian.Uint32(b[28:]), binary.NativeEndian.Uint32(b[32:])
		case t == htbRate64 && len(b) >= 8:
			k.rate = binary.NativeEndian.Uint64(b)
		case t == htbCeil64 && len(b) >= 8:
			k.ceil = binary.NativeEndian.Uint64(b)
		}
	})
	return k, ok
}

func eachAttribute(data []byte, f func(t uint16, b []byte)) bool {
	d, err := netlink.NewAttributeDecoder(data)
	if err != nil {
		return false
	}
	for d.Next() {
		f(d.Type(), d.Bytes())
	}
	return d.Err() == nil
}

func (c *control) removeClass(ifindex int, minor uint16) error {
	return gone(c.do(unix.RTM_DELTCLASS, 0, &object{ifindex: ifindex, handle: rootHandle | uint32(minor)}, nil))
}

// queue is a token bucket filter in a leaf, with so many tokens that it only splits what
// is larger than packet.
type queue struct {
	limit  uint32 // bytes that wait
	packet uint32 // bytes
}

// splitRate is so high that no packet takes longer than the kernel to come for the next.
const splitRate = 1 << 40

func (c *control) setQueue(ifindex int, minor uint16, q queue) error {
	o := &object{ifindex: ifindex, handle: uint32(minor) << 16, parent: rootHandle | uint32(minor), kind: "tbf"}
	return c.do(unix.RTM_NEWQDISC, netlink.Create|netlink.Replace, o, func(e *netlink.AttributeEncoder) error {
		e.Nested(tcaOptions, func(e *netlink.AttributeEncoder) error {
			e.Bytes(tbfParms, append(append(rateSpec(splitRate), make([]byte, 12)...), words(q.limit, q.ticks(), 0)...))
			e.Uint64(tbfRate64, splitRate)
			e.Uint32(tbfBurst, q.packet)
			return nil
		})
		return nil
	})
}

func (q queue) ticks() uint32 {
	return uint32(uint64(q.packet) * uint64(time.Second) / splitRate / uint64(tick))
}

// queue returns the queue that an object is; the zero queue for another kind. The kernel
// tells of the size of a packet in ticks.
func (o *object) queue() (q queue) {
	var rate uint64
	var ticks uint32
	ok := o.kind == "tbf" && eachAttribute(o.options, func(t uint16, b []byte) {
		switch {
		case t == tbfParms && len(b) >= 32:
			rate, q.limit, ticks = max(rate, specRate(b)), binary.NativeEndian.Uint32(b[24:]), binary.NativeEndian.Uint32(b[28:])
		case t == tbfRate64 && len(b) >= 8:
			rate = binary.NativeEndian.Uint64(b)
		}
	})
	if !ok || rate != splitRate {
		return queue{}
	}
	q.packet = uint32(uint64(ticks) * uint64(tick) * splitRate / uint64(time.Second))
	return q
}

// like reports whether two queues are the same, as far as the kernel tells.
func (q queue) like(o queue) bool {
	return q.limit == o.limit && q.ticks() <= o.ticks()+1 && o.ticks() <= q.ticks()+1
}

// filter is a BPF classifier, which leads what it matches to a link if that is not 0.
type filter struct {
	parent   uint32
	priority uint16
	name     string
	program  int // descriptor
	to       int // index of a link
}

const filterHandle = 1

func (f *filter) info() uint32 { return uint32(f.priority)<<16 | uint32(htons(unix.ETH_P_ALL)) }

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func (c *control) setFilter(ifindex int, f filter) error {
	o := &object{ifindex: ifindex, handle: filterHandle, parent: f.parent, info: f.info(), kind: "bpf"}
	return c.do(unix.RTM_NEWTFILTER, netlink.Create, o, func(e *netlink.AttributeEncoder) error {
		e.Nested(tcaOptions, func(e *netlink.AttributeEncoder) error {
			e.Uint32(bpfFD, uint32(f.program))
			e.String(bpfName, f.name)
			if f.to == 0 {
				return nil
			}
			e.Nested(bpfAct, func(e *netlink.AttributeEncoder) error {
				e.Nested(1, func(e *netlink.AttributeEncoder) error {
					e.String(actKind, "mirred")
					e.Nested(actOptions, func(e *netlink.AttributeEncoder) error {
						e.Bytes(mirredParms, words(0, 0, stolen, 0, 0, redirect, uint32(f.to)))
						return nil
					})
					return nil
				})
				return nil
			})
			return nil
		})
		return nil
	})
}

func (c *control) removeFilter(ifindex int, parent uint32, priority uint16) error {
	f := filter{priority: priority}
	return gone(c.do(unix.RTM_DELTFILTER, 0, &object{ifindex: ifindex, parent: parent, info: f.info()}, nil))
}

// held is a BPF classifier as the kernel has it.
type held struct {
	parent   uint32
	priority uint16
	handle   uint32
	name     string
	id       uint32 // program
	to       int    // index of the link that what matches is led to; 0 for none
}

func (c *control) filters(ifindex int, parent uint32) ([]held, error) {
	list, err := c.list(unix.RTM_GETTFILTER, ifindex, parent)
	if err != nil {
		return nil, fmt.Errorf("list traffic filters of link %d in %s: %w", ifindex, c.ns, err)
	}
	var out []held
	for _, o := range list {
		if o.kind != "bpf" || o.handle == 0 {
			continue
		}
		h := held{parent: o.parent, priority: uint16(o.info >> 16), handle: o.handle}
		eachAttribute(o.options, func(t uint16, b []byte) {
			switch {
			case t == bpfName:
				h.name = cstring(b)
			case t == bpfID && len(b) >= 4:
				h.id = binary.NativeEndian.Uint32(b)
			case t == bpfAct:
				h.to = ledTo(b)
			}
		})
		out = append(out, h)
	}
	return out, nil
}

// ledTo returns the index of the link to which a filter's only action leads; 0 where it is
// something else.
func ledTo(actions []byte) (to int) {
	n := 0
	eachAttribute(actions, func(_ uint16, action []byte) {
		n++
		kind := ""
		eachAttribute(action, func(t uint16, b []byte) {
			switch t {
			case actKind:
				kind = cstring(b)
			case actOptions:
				eachAttribute(b, func(t uint16, p []byte) {
					if t == mirredParms && len(p) >= 28 && kind == "mirred" &&
						binary.NativeEndian.Uint32(p[8:]) == stolen && binary.NativeEndian.Uint32(p[20:]) == redirect {
						to = int(int32(binary.NativeEndian.Uint32(p[24:])))
					}
				})
			}
		})
	})
	if n != 1 {
		return 0
	}
	return to
}

func cstring(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
