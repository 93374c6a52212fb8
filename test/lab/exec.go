package lab

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// Exec replaces the running program by another one in the namespace of a host,
// so that terminal, signals and exit code are the other program's own. It
// returns only if that fails.
func (l *Lab) Exec(host string, argv ...string) error {
	h, err := l.Host(host)
	if err != nil {
		return err
	}
	if len(argv) == 0 {
		return fmt.Errorf("no command to run in %s", host)
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	ns, err := netns.Open(h.Namespace)
	if err != nil {
		return err
	}
	defer ns.Close()
	// execve makes the calling thread the new program's first.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setns(int(ns.Handle()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", h.Namespace, err)
	}
	return fmt.Errorf("run %s: %w", path, syscall.Exec(path, argv, markedEnvironment(l.Dir)))
}

// Start starts a command in the namespace of a host, with the lab's mark in its
// environment, so that Down ends it if nobody else does.
func (l *Lab) Start(host string, cmd *exec.Cmd) error {
	h, err := l.Host(host)
	if err != nil {
		return err
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, markVariable+"="+l.Dir)
	return In(h.Namespace, cmd.Start)
}

// Run runs a command in the namespace of a host and returns what it wrote. The
// error of a command that fails holds its standard error.
func (l *Lab) Run(ctx context.Context, host string, argv ...string) (string, error) {
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := l.Start(host, cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return out.String(), fmt.Errorf("%v in %s: %w: %s", argv, host, err, bytes.TrimSpace(errOut.Bytes()))
	}
	return out.String(), nil
}

// In runs fn in the namespace of a host, as the function In does.
func (l *Lab) In(host string, fn func() error) error {
	h, err := l.Host(host)
	if err != nil {
		return err
	}
	return In(h.Namespace, fn)
}

// Dial connects from a host. Addresses are numeric: names are not resolved in
// the host's namespace.
func (l *Lab) Dial(ctx context.Context, host, network, address string) (net.Conn, error) {
	return l.DialFrom(ctx, host, nil, network, address)
}

// DialFrom connects from a host and a local address of it.
func (l *Lab) DialFrom(ctx context.Context, host string, local net.Addr, network, address string) (c net.Conn, err error) {
	err = l.In(host, func() (err error) {
		c, err = (&net.Dialer{LocalAddr: local}).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// dialer returns a function that dials from a namespace.
func dialer(namespace string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (c net.Conn, err error) {
		err = In(namespace, func() (err error) {
			c, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return c, err
	}
}

// Listen listens on a host; the listener may be used from anywhere.
func (l *Lab) Listen(ctx context.Context, host, network, address string) (ln net.Listener, err error) {
	err = l.In(host, func() (err error) {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false)
		ln, err = lc.Listen(ctx, network, address)
		return err
	})
	return ln, err
}

// ListenPacket opens a packet socket on a host, for example "udp4" or
// "ip4:icmp".
func (l *Lab) ListenPacket(ctx context.Context, host, network, address string) (c net.PacketConn, err error) {
	err = l.In(host, func() (err error) {
		c, err = new(net.ListenConfig).ListenPacket(ctx, network, address)
		return err
	})
	return c, err
}

// Get asks an HTTP server from a host, over a new connection.
func (l *Lab) Get(ctx context.Context, host, url string) (Answer, error) {
	h, err := l.Host(host)
	if err != nil {
		return Answer{}, err
	}
	return Get(ctx, dialer(h.Namespace), url)
}

// Capture starts a capture on an interface of a host.
func (l *Lab) Capture(host, ifname string, keep func(Packet) bool) (*Capture, error) {
	h, err := l.Host(host)
	if err != nil {
		return nil, err
	}
	return CaptureOn(h.Namespace, ifname, keep)
}
