package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Queues of a connection that is being repaired (linux/tcp.h).
const (
	recvQueue = 1
	sendQueue = 2
)

// carry opens a connection to a HaVip's address at its first host.
func (l *haVipLab) carry(t *testing.T, to netip.AddrPort, address netip.Addr) *carried {
	t.Helper()
	for _, h := range []*host{l.a, l.b} {
		// Its state is then no more than two numbers.
		inNamespace(t, h.namespace, func() error {
			for _, name := range []string{"tcp_timestamps", "tcp_sack", "tcp_window_scaling"} {
				if err := writeSysctl("net/ipv4/"+name, "0"); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var listener net.Listener
	inNamespace(t, l.a.namespace, func() (err error) {
		listener, err = net.Listen("tcp4", netip.AddrPortFrom(address, to.Port()).String())
		return err
	})
	defer listener.Close()
	c := &carried{}
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			accepted <- conn
		}
	}()
	var err error
	if c.client, err = l.g.internet.dial("tcp", netip.Addr{}, to, answerTimeout); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.client.Close() })
	c.reader = bufio.NewReader(c.client)
	select {
	case conn := <-accepted:
		c.server = conn.(*net.TCPConn)
	case <-time.After(answerTimeout):
		t.Fatal("the connection does not get to the host")
	}
	t.Cleanup(func() { c.server.Close() })
	return c
}

// works sends a line both ways, which has to arrive, however often it is sent.
func (c *carried) works(t *testing.T) {
	t.Helper()
	for range 5 {
		c.n++
		line := fmt.Sprintf("line %d\n", c.n)
		_ = c.client.SetDeadline(time.Now().Add(time.Minute))
		_ = c.server.SetDeadline(time.Now().Add(time.Minute))
		if _, err := c.client.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64)
		n, err := c.server.Read(buf)
		if err != nil || string(buf[:n]) != line {
			t.Fatalf("%q arrives as %q: %v", line, buf[:n], err)
		}
		if _, err := c.server.Write(buf[:n]); err != nil {
			t.Fatal(err)
		}
		if got, err := c.reader.ReadString('\n'); err != nil || got != line {
			t.Fatalf("%q comes back as %q: %v", line, got, err)
		}
	}
}

// moveTo carries the server's end to another host, by what the kernel has for that
// (TCP_REPAIR): nothing is sent, and the connection goes on there with the next packet.
func (c *carried) moveTo(t *testing.T, h *host) {
	t.Helper()
	local, remote := c.server.LocalAddr().(*net.TCPAddr).AddrPort(), c.server.RemoteAddr().(*net.TCPAddr).AddrPort()
	raw, err := c.server.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	seqs := map[int]int{}
	var windows [20]byte // struct tcp_repair_window
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	var failed error
	check("control", raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, 1)
		for _, q := range []int{recvQueue, sendQueue} {
			if failed == nil {
				failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR_QUEUE, q)
			}
			if failed == nil {
				seqs[q], failed = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ)
			}
		}
		size := uint32(len(windows))
		if failed == nil {
			_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_REPAIR_WINDOW, uintptr(unsafe.Pointer(&windows)), uintptr(unsafe.Pointer(&size)), 0)
			if errno != 0 {
				failed = errno
			}
		}
	}))
	check("read the connection", failed)
	check("close it here", c.server.Close()) // in silence, as it is being repaired
	inNamespace(t, h.namespace, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		file := os.NewFile(uintptr(fd), "carried")
		defer file.Close()
		set := func(level, name, value int) {
			if err == nil {
				err = unix.SetsockoptInt(fd, level, name, value)
			}
		}
		set(unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1)
		set(unix.IPPROTO_TCP, unix.TCP_REPAIR, 1)
		if err == nil {
			err = unix.Bind(fd, sockaddr(local))
		}
		for _, q := range []int{sendQueue, recvQueue} {
			set(unix.IPPROTO_TCP, unix.TCP_REPAIR_QUEUE, q)
			set(unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ, seqs[q])
		}
		if err == nil {
			err = unix.Connect(fd, sockaddr(remote))
		}
		if err == nil {
			err = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR_WINDOW, string(windows[:]))
		}
		set(unix.IPPROTO_TCP, unix.TCP_REPAIR, -1) // on, without a probe
		if err != nil {
			return err
		}
		conn, err := net.FileConn(file)
		if err == nil {
			c.server = conn.(*net.TCPConn)
		}
		return err
	})
	server := c.server
	t.Cleanup(func() { server.Close() })
}

func sockaddr(a netip.AddrPort) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}
