package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/api/aliyun"
	"sluice/dataplane"
	"sluice/test/lab"
)

// probePause is that between two probes of a kind; there are two kinds.
const probePause = 2 * time.Millisecond

// failsClosed measures what leaves in clear, and how long nothing gets through, when
// charon is killed, the tunnel's link deleted, and the daemon away.
func failsClosed(ctx context.Context, r *run, s *site) (err error) {
	rounds := 50
	if r.quick {
		rounds = 4
	}
	c := &closing{s: s}
	if c.gateway, err = s.addNear(ctx, 28); err != nil {
		return err
	}
	if c.far, err = s.addFar(ctx, r, "closed", netip.MustParseAddr("192.168.210.1")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.far.Close()) }()
	if err := c.far.Load(ctx, swanctl(end{"sluice", c.far.IP(), c.gateway.address, c.far.block(), c.gateway.block})); err != nil {
		return err
	}
	if err := s.wayOut(ctx, c.gateway); err != nil {
		return err
	}
	host, err := s.lab.HostAdd(ctx, lab.HostOptions{Name: "closedhost", VSwitch: c.gateway.vswitch})
	if err != nil {
		return err
	}
	if c.connection, err = s.connect(ctx, c.gateway, c.far); err != nil {
		return err
	}
	// Nothing is sent before: it would leave by the NAT gateway.
	err = poll(ctx, "wait for the tunnel", func() error {
		var got aliyun.DescribeVpnConnectionResponse
		if err := s.call(ctx, "DescribeVpnConnection", &got, "VpnConnectionId", c.connection); err != nil {
			return err
		}
		if got.Status != vpnEstablished {
			return fmt.Errorf("its status is %s", got.Status)
		}
		return nil
	})
	if err != nil {
		return err
	}
	to, stop, err := echo(c.far.Host.Namespace, c.far.lan)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := awaitEcho(ctx, host.Namespace, host.IP(), to); err != nil {
		return err
	}
	wire, err := lab.CaptureOn(dataplane.Namespace(c.gateway.vpc), dataplane.UplinkName, func(p lab.Packet) bool { return p.Outgoing && p.InClear() })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, wire.Close()) }()

	r.say("taking a tunnel down %d times under traffic", rounds)
	p, err := probe(host.Namespace, to)
	if err != nil {
		return err
	}
	var gaps []time.Duration
	for i := range rounds {
		began := time.Now()
		if err := c.damage(ctx, i%4); err != nil {
			return errors.Join(err, p.end())
		}
		gap, err := p.recovered(ctx, began)
		if err != nil {
			return errors.Join(fmt.Errorf("round %d: %w", i, err), p.end())
		}
		gaps = append(gaps, gap)
	}
	if err := p.end(); err != nil {
		return err
	}
	if missed, err := wire.Dropped(); err != nil || missed > 0 {
		return fmt.Errorf("the capture on the public side missed %d packets: %w", missed, err)
	}
	what := fmt.Sprintf("%d times in turns: charon killed, the link deleted, both also while the daemon was killed and started again", rounds)
	all := milliseconds(gaps)
	return errors.Join(
		r.report.add("vpn_leaked_packets", float64(len(wire.Packets())), count, fmt.Sprintf("%s; %d packets sent, half of them new flows", what, p.sent())),
		r.report.add("vpn_charon_kill_gap_ms", quantile(all, 0.99), millis, fmt.Sprintf("p99, from the damage to the first packet that is answered again, the daemon's start included; %s; median %.3g ms", what, median(all))),
	)
}

// wayOut gives a VPC a NAT gateway that translates for all of its VSwitch: what leaves
// beside a tunnel leaves by it.
func (s *site) wayOut(ctx context.Context, w *near) error {
	var gw aliyun.CreateNatGatewayResponse
	if err := s.call(ctx, "CreateNatGateway", &gw, "VpcId", w.vpc); err != nil {
		return err
	}
	var eip aliyun.AllocateEipAddressResponse
	if err := s.call(ctx, "AllocateEipAddress", &eip); err != nil {
		return err
	}
	if err := s.settled(ctx, w.vpc, gw.NatGatewayId); err != nil {
		return err
	}
	if err := s.call(ctx, "AssociateEipAddress", nil, "AllocationId", eip.AllocationId, "InstanceId", gw.NatGatewayId, "InstanceType", "Nat"); err != nil {
		return err
	}
	if err := s.settled(ctx, w.vpc, gw.NatGatewayId); err != nil {
		return err
	}
	return s.call(ctx, "CreateSnatEntry", nil, "SnatTableId", gw.SnatTableIds.SnatTableId[0], "SourceVSwitchId", w.vswitch, "SnatIp", eip.EipAddress)
}

// closing is a tunnel that is damaged.
type closing struct {
	s          *site
	gateway    *near
	far        *far
	connection string
}

// damage does one of four things to the tunnel.
func (c *closing) damage(ctx context.Context, kind int) error {
	away := kind >= 2
	if away {
		if err := c.s.lab.KillDaemon(); err != nil {
			return err
		}
	}
	var err error
	if kind%2 == 0 {
		err = killProcess(filepath.Join(c.s.lab.RunDir(), "vpn", c.gateway.vpc, "charon.pid"))
	} else {
		err = c.deleteLink()
	}
	if away {
		err = errors.Join(err, c.s.lab.StartDaemon(ctx))
	}
	return err
}

func killProcess(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return unix.Kill(pid, unix.SIGKILL)
}

// deleteLink deletes the link that leads into the tunnel.
func (c *closing) deleteLink() error {
	return lab.In(dataplane.Namespace(c.gateway.vpc), func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			if l.Attrs().Name == c.connection || l.Type() == "tuntap" {
				return netlink.LinkDel(l)
			}
		}
		return errors.New("the tunnel has no link")
	})
}

// prober sends through a tunnel all the time: numbered packets of one flow, which are
// answered, and as many that are new flows each.
type prober struct {
	conn net.Conn
	stop chan struct{}
	done chan error

	mu       sync.Mutex
	times    []time.Time   // when the numbered packets were sent
	answered []int         // numbers, in the order of their answers
	news     chan struct{} // there is another answer; holds one
	packets  int           // sent, of both kinds
}

// probe begins to send from a namespace to a service that echoes.
func probe(namespace string, to netip.AddrPort) (*prober, error) {
	p := &prober{stop: make(chan struct{}), done: make(chan error, 2), news: make(chan struct{}, 1)}
	err := lab.In(namespace, func() (err error) {
		p.conn, err = net.Dial("udp4", to.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	go func() { p.done <- lab.In(namespace, func() error { return p.send(to) }) }()
	go func() { p.done <- p.receive() }()
	return p, nil
}

func (p *prober) send(to netip.AddrPort) error {
	tick := time.NewTicker(probePause)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return nil
		case now := <-tick.C:
			p.mu.Lock()
			number := len(p.times)
			p.times = append(p.times, now)
			p.packets += 2
			p.mu.Unlock()
			// Errors are told of packets before, where there was no way.
			_, _ = p.conn.Write([]byte(strconv.Itoa(number)))
			if c, err := net.Dial("udp4", to.String()); err == nil {
				_, _ = c.Write([]byte("new"))
				c.Close()
			}
		}
	}
}

func (p *prober) receive() error {
	buf := make([]byte, 64)
	for {
		n, err := p.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			continue // an ICMP error
		}
		number, err := strconv.Atoi(string(buf[:n]))
		if err != nil {
			return fmt.Errorf("an answer that was not asked for: %q", buf[:n])
		}
		p.mu.Lock()
		p.answered = append(p.answered, number)
		p.mu.Unlock()
		select {
		case p.news <- struct{}{}:
		default:
		}
	}
}

// A tunnel is back when packets of so long have been answered since the largest gap
// among those that were sent after the damage: the first of these may still have got
// through.
const steady = time.Second

// recovered waits until packets get through again that were sent after a time, and
// returns how long after that time the first of them was sent.
func (p *prober) recovered(ctx context.Context, since time.Time) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if took, over := p.gap(since); over {
			return took, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("nothing got through again: %w", ctx.Err())
		case <-p.news:
		}
	}
}

// gap returns how long after a time the largest gap among answered packets ended, and
// whether that is long enough ago for there to be no larger one.
func (p *prober) gap(since time.Time) (took time.Duration, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	largest, last := time.Duration(0), since
	for _, n := range p.answered {
		at := p.times[n]
		if at.Before(since) {
			continue
		}
		if g := at.Sub(last); g > largest {
			largest, took = g, at.Sub(since)
		}
		last = at
	}
	return took, last.Sub(since) >= took+steady
}

func (p *prober) sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.packets
}

func (p *prober) end() error {
	close(p.stop)
	err := <-p.done // of send, unless receive has failed before
	p.conn.Close()
	return errors.Join(err, <-p.done)
}
