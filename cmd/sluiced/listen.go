package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// listen listens on host:port of TCP. The address need not be one of this machine's yet
// (IP_FREEBIND, ip(7)): those of a tunnel, or of VRRP, come and go, and the gateway goes
// on meanwhile. Then the log says so.
func listen(ctx context.Context, address string, log *slog.Logger) (net.Listener, error) {
	free := net.ListenConfig{Control: func(network, _ string, c syscall.RawConn) error {
		var err error
		done := c.Control(func(fd uintptr) {
			if network == "tcp6" {
				err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
			} else {
				err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
			}
		})
		return errors.Join(done, err)
	}}
	l, err := free.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	if absent(l.Addr().String()) {
		log.Warn("an address to listen on is not this machine's yet; nobody reaches it until it is", "address", l.Addr().String())
	}
	return l, nil
}

// absent reports whether host:port is of an address that this machine does not have now.
func absent(address string) bool {
	a, err := netip.ParseAddrPort(address)
	if err != nil || a.Addr().IsUnspecified() || a.Addr().IsLoopback() {
		return false
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, there := range all {
		if p, err := netip.ParsePrefix(there.String()); err == nil && p.Addr() == a.Addr().Unmap().WithZone("") {
			return false
		}
	}
	return true
}
