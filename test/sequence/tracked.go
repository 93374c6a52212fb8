package sequence

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// query is a socket that asks conntrack for single entries. The answers are marked as
// parts of several (NLM_F_MULTI) with none to end them, for which package netlink
// would wait.
type query struct{ socket int }

func newQuery(ns *netns.Namespace) (*query, error) {
	q := &query{socket: -1}
	err := ns.Do(func() (err error) {
		q.socket, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		return err
	})
	return q, err
}

func (q *query) close() error {
	if q.socket < 0 {
		return nil
	}
	return unix.Close(q.socket)
}

// get returns the entry one of whose tuples is that of packets from one address to
// another, or nil.
func (q *query) get(protocol uint8, from, to netip.AddrPort) (*conntrack.Flow, error) {
	const (
		get = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1 // IPCTNL_MSG_CT_GET

		tuple, ip, proto              = 1, 1, 2 // CTA_TUPLE_ORIG, CTA_TUPLE_IP, CTA_TUPLE_PROTO
		source, destination           = 1, 2    // CTA_IP_V4_SRC, CTA_IP_V4_DST
		number, sourcePort, otherPort = 1, 2, 3 // CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT
	)
	attrs := netlink.NewAttributeEncoder()
	attrs.ByteOrder = binary.BigEndian
	attrs.Nested(tuple, func(t *netlink.AttributeEncoder) error {
		t.Nested(ip, func(e *netlink.AttributeEncoder) error {
			e.Bytes(source, from.Addr().AsSlice())
			e.Bytes(destination, to.Addr().AsSlice())
			return nil
		})
		t.Nested(proto, func(e *netlink.AttributeEncoder) error {
			e.Uint8(number, protocol)
			e.Uint16(sourcePort, from.Port())
			e.Uint16(otherPort, to.Port())
			return nil
		})
		return nil
	})
	data, err := attrs.Encode()
	if err != nil {
		return nil, err
	}
	m := netlink.Message{
		Header: netlink.Header{Type: get, Flags: netlink.Request, Length: uint32(unix.NLMSG_HDRLEN + 4 + len(data))},
		Data:   append([]byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0}, data...),
	}
	request, err := m.MarshalBinary()
	if err != nil {
		return nil, err
	}
	if err := unix.Sendto(q.socket, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	buf := make([]byte, 1<<13)
	n, _, err := unix.Recvfrom(q.socket, buf, 0)
	if err != nil {
		return nil, err
	}
	answers, err := syscall.ParseNetlinkMessage(buf[:n])
	if err != nil || len(answers) == 0 {
		return nil, fmt.Errorf("conntrack answers %d messages: %w", len(answers), err)
	}
	a := answers[0]
	if a.Header.Type == unix.NLMSG_ERROR {
		errno := unix.Errno(-int32(native.Uint32(a.Data)))
		if errno == unix.ENOENT {
			return nil, nil
		}
		return nil, fmt.Errorf("ask conntrack: %w", errno)
	}
	var event conntrack.Event
	err = event.Unmarshal(netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(a.Header.Type), Flags: netlink.HeaderFlags(a.Header.Flags)}, Data: a.Data})
	if err != nil {
		return nil, err
	}
	return event.Flow, nil
}
