package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	sluicelink "sluice/dataplane/link"
	"sluice/test/lab"
)

// limitRates are those at which a limit is reached, in Mbit/s.
var limitRates = []int{5, 50, 200, 1000}

// unreached is more than a rig carries, in Mbit/s.
const unreached = 100_000

// withBandwidth limits the elastic IP of the SNAT entry.
func withBandwidth(mbit int) func(*dataplane.Network) {
	return func(n *dataplane.Network) {
		n.Bandwidths = []dataplane.Bandwidth{{ID: "eip-bench", Elastic: n.Elastic[:1], Outbound: mbit, Inbound: mbit}}
	}
}

// limitOverhead measures what a limit costs that is not reached, where packets are fastest,
// and where VSwitch and public network are bridges.
func limitOverhead(ctx context.Context, r *run) error {
	size := r.natSize()
	r.say("an unreached limit, %d rounds", size.rounds)
	limited := contender{"limited", shortcutXDP.what + ", and a bandwidth out of reach", ofSluice(withPrograms, 0, 1, varied(withLimits, withShortcut, withBandwidth(unreached)))}
	err := r.withLineup(ctx, []contender{shortcutXDP, limited}, func(l *lineup) error {
		if err := l.establish(ctx, 1000); err != nil {
			return err
		}
		rates, err := l.rates(ctx, size.rounds, size.packets)
		if err != nil {
			return err
		}
		return errors.Join(
			r.addOverhead("limit_overhead_pct", rates["xdp"], rates["limited"], "1000 established SNAT flows, both ways, in XDP"),
			r.report.add("pps_limited", median(rates["limited"]), packets, limited.what+"; "+lost(l.traffics[1])))
	})
	if err != nil {
		return err
	}
	tc := bridged()[1]
	limited = contender{"limited", tc.what + ", and a bandwidth out of reach", ofSluice(withPrograms, 0, 1, varied(onBridge, withLimits, withShortcut, withBandwidth(unreached)))}
	return r.withLineup(ctx, []contender{tc, limited}, func(l *lineup) error {
		if err := l.establish(ctx, 1000); err != nil {
			return err
		}
		rates, err := l.rates(ctx, size.rounds, size.packets)
		if err != nil {
			return err
		}
		return r.addOverhead("limit_overhead_tc_pct", rates["tc"], rates["limited"], "1000 established SNAT flows, both ways; the VSwitch is a bridge")
	})
}

// onPublicBridge builds a network whose VSwitch is a bridge, and whose uplink is a port of
// a public one, as most are.
func onPublicBridge(vary func(*dataplane.Network)) builder {
	return func(ctx context.Context, t *rig, g *gateway) error {
		bridge := g.id + "b"
		if err := elsewhere(func() error { return sluicelink.EnsureBridge(t.namespace, bridge, netip.Prefix{}) }); err != nil {
			return err
		}
		port, err := netlink.LinkByName(g.outside.inner)
		if err != nil {
			return err
		}
		over, err := netlink.LinkByName(bridge)
		if err != nil {
			return err
		}
		if err := errors.Join(netlink.LinkSetMaster(port, over), netlink.LinkSetUp(port)); err != nil {
			return fmt.Errorf("make %s a port of %s: %w", g.outside.inner, bridge, err)
		}
		g.counts = t.engines[withPrograms]
		return buildWithBridge(ctx, t, g, g.counts, t.onBridge(g, vary))
	}
}

// onBridge returns the network of such a gateway.
func (t *rig) onBridge(g *gateway, vary func(*dataplane.Network)) *dataplane.Network {
	n := gatewayNetwork(g.id, vswitchID, g.inside.inner, g.id+"b", t.namespace, 0, 1)
	n.Uplink.Mode = dataplane.UplinkBridge
	varied(onBridge, withLimits, withShortcut, vary)(n)
	return n
}

// limits measures what a limit lets pass of TCP and UDP, and how long packets wait at it.
func limits(ctx context.Context, r *run) error {
	if !r.installed("iperf3") {
		return nil
	}
	seconds, rates := 6, limitRates
	if r.quick {
		seconds, rates = 2, limitRates[:2]
	}
	return r.withRig(ctx, func(t *rig) (err error) {
		p, err := t.newPeers(ctx, onPublicBridge(withBandwidth(rates[0])))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.gateway.close()) }()
		var accuracy, udp, delay worst
		idle, err := p.probe(ctx, time.Second)
		if err != nil {
			return err
		}
		for revision, mbit := range rates {
			r.say("a limit of %d Mbit/s", mbit)
			if err := t.applyLimit(ctx, p.gateway, mbit, revision+2); err != nil {
				return err
			}
			for _, c := range []load{{flows: 1}, {flows: 50}, {flows: 1, reverse: true}, {flows: 50, reverse: true}} {
				c.seconds = seconds
				got, waited, err := p.loaded(ctx, c)
				if err != nil {
					return fmt.Errorf("%d Mbit/s, %v: %w", mbit, c, err)
				}
				accuracy.note(100*math.Abs(got/(float64(mbit)*1e6)-1), "%d Mbit/s, %v: %.4g Mbit/s", mbit, c, got/1e6)
				delay.note(quantile(waited, 0.95)-median(idle), "%d Mbit/s, %v: %.4g ms", mbit, c, quantile(waited, 0.95)-median(idle))
			}
			for _, c := range []load{{udp: 2 * mbit}, {udp: 2 * mbit, reverse: true}} {
				if mbit > 200 {
					continue // more than iperf3 sends here
				}
				c.seconds = seconds
				got, _, err := p.loaded(ctx, c)
				if err != nil {
					return fmt.Errorf("%d Mbit/s, %v: %w", mbit, c, err)
				}
				got *= float64(udpSize+28) / udpSize // with the headers of UDP and IP
				udp.note(100*math.Abs(got/(float64(mbit)*1e6)-1), "%d Mbit/s, %v: %.4g Mbit/s", mbit, c, got/1e6)
			}
		}
		return errors.Join(
			r.report.add("limit_accuracy_pct_worst", accuracy.value, percent, "TCP payload; "+accuracy.String()),
			r.report.add("limit_udp_pct_worst", udp.value, percent, "UDP, twice as much sent, IP packets; "+udp.String()),
			r.report.add("limit_rtt_ms_worst", delay.value, millis, fmt.Sprintf("p95 beside TCP, less %.3g ms without; %s", median(idle), delay.String())),
		)
	})
}

// worst is the largest of some values, with all of them as text.
type worst struct {
	value float64
	all   []string
}

func (w *worst) note(v float64, format string, args ...any) {
	w.value = max(w.value, v)
	w.all = append(w.all, fmt.Sprintf(format, args...))
}

func (w *worst) String() string { return strings.Join(w.all, "; ") }

// applyLimit gives a gateway another limit.
func (t *rig) applyLimit(ctx context.Context, g *gateway, mbit, revision int) error {
	n := t.onBridge(g, withBandwidth(mbit))
	n.Revision = int64(revision)
	return elsewhere(func() error { _, err := g.counts.Apply(ctx, n); return err })
}

// load is what iperf3 sends.
type load struct {
	flows   int  // of TCP
	udp     int  // Mbit/s; 0 for TCP
	reverse bool // from the outside to the host
	seconds int
}

const udpSize = 1400 // bytes of payload

func (l load) String() string {
	way := "out"
	if l.reverse {
		way = "in"
	}
	if l.udp > 0 {
		return "UDP " + way
	}
	return fmt.Sprintf("%d TCP %s", l.flows, way)
}

// loaded has the host and the server exchange a load, and returns the bits of payload that arrived in a
// second, and how long datagrams took meanwhile to the server and back, in ms.
func (p *peers) loaded(ctx context.Context, l load) (float64, []float64, error) {
	args := []string{"-O", "1", "-t", strconv.Itoa(l.seconds)}
	if l.udp > 0 {
		args = append(args, "-u", "-b", fmt.Sprintf("%dM", l.udp), "-l", strconv.Itoa(udpSize))
	} else {
		args = append(args, "-P", strconv.Itoa(l.flows))
	}
	if l.reverse {
		args = append(args, "-R")
	}
	type echoes struct {
		ms  []float64
		err error
	}
	done := make(chan echoes, 1)
	go func() {
		ms, err := p.probe(ctx, time.Duration(l.seconds)*time.Second)
		done <- echoes{ms, err}
	}()
	got, err := iperfWith(ctx, p.host, p.server, publicGateway, l.seconds+2, startIn, args...)
	e := <-done
	return got, e.ms, errors.Join(err, e.err)
}

// probe sends datagrams from the host to the server, which returns them, 50 a second, and
// returns how long each took that came back, in ms.
func (p *peers) probe(ctx context.Context, d time.Duration) (ms []float64, err error) {
	var server, client net.PacketConn
	listen := func(conn *net.PacketConn, address string) func() error {
		return func() (err error) { *conn, err = net.ListenPacket("udp4", address); return err }
	}
	if err := lab.In(p.server, listen(&server, publicGateway.String()+":0")); err != nil {
		return nil, err
	}
	defer server.Close()
	if err := lab.In(p.host, listen(&client, ":0")); err != nil {
		return nil, err
	}
	go func() {
		b := make([]byte, 8)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(b[:n], from)
		}
	}()
	took := make(chan []float64)
	go func() {
		var ms []float64
		b := make([]byte, 8)
		for {
			if _, _, err := client.ReadFrom(b); err != nil {
				took <- ms
				return
			}
			ms = append(ms, float64(time.Since(time.Unix(0, int64(binary.NativeEndian.Uint64(b)))))/float64(time.Millisecond))
		}
	}()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for over := time.After(d); err == nil; {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-over:
			err = errOver
		case <-again.C:
			_, err = client.WriteTo(binary.NativeEndian.AppendUint64(nil, uint64(time.Now().UnixNano())), server.LocalAddr())
		}
	}
	client.Close()
	ms = <-took
	if errors.Is(err, errOver) {
		err = nil
	}
	if err == nil && len(ms) == 0 {
		err = errors.New("no datagram came back")
	}
	return ms, err
}

var errOver = errors.New("the time is over")

// startIn starts a program in a namespace.
func startIn(namespace string, c *exec.Cmd) error { return lab.In(namespace, c.Start) }
