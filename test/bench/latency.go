package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"sluice/test/lab"
)

// latency measures round trips of a request and its answer over TCP: through
// the shortcut where the VSwitch is a bridge, and where it is a device, over
// plain nftables there.
func latency(ctx context.Context, r *run) error {
	rounds, trips := 15, 4000
	if r.quick {
		rounds, trips = 2, 500
	}
	bridge := bridged()
	for _, c := range []struct {
		contenders []contender
		ratio      string
		figures    [2]string
		what       string
	}{
		{bridge, "latency_p50_over_nft", [2]string{"latency_p50_nft_us", "latency_p50_us"}, "the VSwitch is a bridge"},
		{[]contender{plainNFT, shortcutXDP}, "latency_p50_xdp_over_nft", [2]string{"latency_p50_nft_device_us", "latency_p50_xdp_us"},
			"VSwitch and uplink are devices"},
	} {
		r.say("round trips, %s, %d rounds", c.what, rounds)
		err := r.withRig(ctx, func(t *rig) (err error) {
			closePeers, all, err := t.newPeersOf(ctx, c.contenders)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closePeers()) }()
			var slots []slot
			for i, p := range all {
				conn, err := p.connect()
				if err != nil {
					return fmt.Errorf("%s: %w", c.contenders[i].name, err)
				}
				defer func() { err = errors.Join(err, conn.close()) }()
				slots = append(slots, func() (float64, error) { return conn.roundTrips(trips) })
			}
			release, err := pin()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, release()) }()
			values, err := alternate(ctx, rounds, slots...)
			if err != nil {
				return err
			}
			what := fmt.Sprintf("medians of %d round trips over TCP; %s", trips, c.what)
			return errors.Join(
				r.report.addRatio(c.ratio, values[0], values[1], what),
				r.report.add(c.figures[0], median(values[0]), micros, c.contenders[0].what),
				r.report.add(c.figures[1], median(values[1]), micros, c.contenders[1].what),
			)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
	}
	return nil
}

// messageSize is the length of a request and of an answer, in bytes.
const messageSize = 64

// pingPong is a connection to a server that sends back what it gets. Both ends
// read and write by blocking system calls on threads that are bound to the same
// processor: what is timed is the way, and neither a scheduler's nor Go's
// choice where to wake somebody up.
type pingPong struct {
	client, server int // descriptors of sockets
	served         chan error
}

// connect opens a connection from the host to the server, and serves it.
func (p *peers) connect() (_ *pingPong, err error) {
	c := &pingPong{client: -1, server: -1}
	listener := -1
	defer func() {
		if listener >= 0 {
			unix.Close(listener)
		}
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	address := &unix.SockaddrInet4{Port: 7, Addr: publicGateway.As4()}
	err = lab.In(p.server, func() (err error) {
		if listener, err = timedSocket(); err != nil {
			return err
		}
		return errors.Join(unix.Bind(listener, address), unix.Listen(listener, 1))
	})
	if err != nil {
		return nil, fmt.Errorf("listen for round trips: %w", err)
	}
	err = lab.In(p.host, func() (err error) {
		if c.client, err = timedSocket(); err != nil {
			return err
		}
		return unix.Connect(c.client, address)
	})
	if err != nil {
		return nil, fmt.Errorf("connect through the gateway: %w", err)
	}
	if c.server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC); err != nil {
		return nil, fmt.Errorf("accept the connection through the gateway: %w", err)
	}
	for _, fd := range []int{c.client, c.server} {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return nil, fmt.Errorf("turn off Nagle's algorithm: %w", err)
		}
	}
	c.served = make(chan error, 1)
	go func() { c.served <- c.serve() }()
	return c, nil
}

// timedSocket returns a blocking TCP socket on which nothing takes longer than
// ten seconds: a gateway may lose a connection.
func timedSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	limit := unix.NsecToTimeval((10 * time.Second).Nanoseconds())
	return fd, errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit),
	)
}

// serve sends back what comes, until the connection ends.
func (c *pingPong) serve() error {
	// Its reads wait as long as there is nothing to do.
	if err := unix.SetsockoptTimeval(c.server, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{}); err != nil {
		return err
	}
	release, err := pin()
	if err != nil {
		return err
	}
	var buffer [messageSize]byte
	for {
		err := readFull(c.server, buffer[:])
		if errors.Is(err, errEnded) {
			return release()
		}
		if err == nil {
			_, err = unix.Write(c.server, buffer[:])
		}
		if err != nil {
			return errors.Join(err, release())
		}
	}
}

// roundTrips makes n round trips and returns their median in microseconds.
func (c *pingPong) roundTrips(n int) (float64, error) {
	var buffer [messageSize]byte
	times := make([]float64, n)
	for i := range times {
		began := time.Now()
		if _, err := unix.Write(c.client, buffer[:]); err != nil {
			return 0, fmt.Errorf("send a request through the gateway: %w", err)
		}
		if err := readFull(c.client, buffer[:]); err != nil {
			return 0, fmt.Errorf("wait for an answer through the gateway: %w", err)
		}
		times[i] = float64(time.Since(began)) / float64(time.Microsecond)
	}
	return median(times), nil
}

func (c *pingPong) close() error {
	var errs []error
	if c.served != nil {
		// The end of the client may not come through.
		_ = unix.Shutdown(c.server, unix.SHUT_RDWR)
		errs = append(errs, <-c.served)
	}
	for _, fd := range []int{c.client, c.server} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}

// errEnded is returned when the connection was ended in good order.
var errEnded = errors.New("the connection has ended")

func readFull(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Read(fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return errEnded
		}
		b = b[n:]
	}
	return nil
}
