package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"structs"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"sluice/bpf"
)

// A host whose connection found no port of the elastic IP free is told, where
// the network says so (RFC 5508 REQ-8). The kernel has dropped its packet when
// that is known, so the answer is not the kernel's.

// Answers of a network, at most: what the kernel allows itself, too
// (net.ipv4.icmp_msgs_per_sec, icmp_msgs_burst).
const (
	answersPerSecond = 1000
	answersBurst     = 50
)

// ICMP (RFC 792, RFC 1812 section 5.2.7.1).
const (
	icmpUnreachable     = 3
	icmpAdminProhibited = 13
)

// refusal is a packet that was dropped, as its host sent it.
type refusal struct {
	network uint32
	host    netip.Addr
	quote   []byte // its IP header, and 8 bytes of what followed
}

// refusalOf reads what the program says, and undoes the translation. It returns
// false for a packet with IP options, of which the program does not say enough.
func refusalOf(sample []byte) (refusal, bool) {
	var r bpf.PortsRefusal
	if len(sample) < int(unsafe.Sizeof(r)) || binary.Size(r) != len(sample) {
		return refusal{}, false
	}
	if _, err := binary.Decode(sample, binary.NativeEndian, &r); err != nil || r.Ip[0] != 0x45 {
		return refusal{}, false
	}
	ip, l4 := r.Ip[:], r.L4[:]
	binary.NativeEndian.PutUint32(ip[12:], r.Saddr)
	binary.NativeEndian.PutUint32(ip[16:], r.Daddr)
	binary.BigEndian.PutUint16(ip[10:], 0)
	binary.BigEndian.PutUint16(ip[10:], ^onesSum(ip))
	at := 0
	if ip[9] == unix.IPPROTO_ICMP {
		at = 4 // the identifier
	}
	binary.NativeEndian.PutUint16(l4[at:], r.Sport)
	return refusal{r.Network, address(r.Saddr), append(append([]byte(nil), ip...), l4...)}, true
}

// onesSum is a one's complement sum (RFC 1071) of an even number of bytes.
func onesSum(b []byte) uint16 {
	var s uint32
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// answers sends what hosts are told.
type answers struct {
	mu     sync.Mutex
	socket int // 0 while there is none
	limit  *rate.Limiter
}

// tell tells a host that its connection is refused: destination unreachable,
// communication administratively prohibited. What cannot be sent is not: a host
// that is not told waits.
func (n *Network) tell(r refusal) {
	a := &n.answers
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limit == nil {
		a.limit = rate.NewLimiter(answersPerSecond, answersBurst)
	}
	if !a.limit.AllowN(time.Now(), 1) {
		return
	}
	if a.socket == 0 {
		if err := n.ns.Do(func() (err error) { a.socket, err = icmpSocket(); return err }); err != nil {
			n.s.opt.Logger.Debug("a host is not told that there was no port for it", "network", n.id, "host", r.host, "error", err)
			return
		}
	}
	m := append([]byte{icmpUnreachable, icmpAdminProhibited, 0, 0, 0, 0, 0, 0}, r.quote...)
	binary.BigEndian.PutUint16(m[2:], ^onesSum(m))
	if err := unix.Sendto(a.socket, m, 0, &unix.SockaddrInet4{Addr: r.host.As4()}); err != nil {
		n.s.opt.Logger.Debug("a host is not told that there was no port for it", "network", n.id, "host", r.host, "error", err)
	}
}

// icmpSocket opens a socket that sends, and takes nothing in.
func icmpSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMP)
	if err != nil {
		return 0, fmt.Errorf("open a socket for ICMP: %w", err)
	}
	// struct icmp_filter (linux/icmp.h): a bit for each type that is not wanted.
	const icmpFilter = 1
	if err := unix.SetsockoptString(fd, unix.SOL_RAW, icmpFilter, "\xff\xff\xff\xff"); err != nil {
		return 0, errors.Join(fmt.Errorf("close the socket for what comes: %w", err), unix.Close(fd))
	}
	return fd, nil
}

func (a *answers) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.socket != 0 {
		unix.Close(a.socket)
		a.socket = 0
	}
}

var _ structs.HostLayout // a refusal's layout is the program's
