package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sluice/test/lab"
)

const (
	// honestOpens is how many connections a second the honest host opens: less than
	// half of what a Small gateway allows.
	honestOpens = 400
	// floodOpens is how many the other one tries to open: almost all of that. By the
	// time that is measured it has all the connections that it may have.
	floodOpens = 950
	floodFills = 12 * time.Second

	fairSlot = 4 * time.Second
)

// opensFairly measures how many connections a host opens through a Small gateway beside
// another host that floods it, over those that it opens alone.
func opensFairly(ctx context.Context, r *run) (err error) {
	rounds, fills, took := 4, floodFills, fairSlot
	if r.quick {
		rounds, fills, took = 1, 2*time.Second, time.Second
	}
	s, err := r.siteFor(ctx, "a host that floods its gateway", func(s *site) (err error) {
		if s.natVPC, err = s.addNATVPC(ctx); err != nil {
			return err
		}
		for _, name := range []string{"honest", "floods"} {
			if _, err := s.lab.HostAdd(ctx, lab.HostOptions{Name: name, VSwitch: s.vswitch}); err != nil {
				return err
			}
		}
		return errors.Join(
			s.call(ctx, "CreateSnatEntry", nil, "SnatTableId", s.snat, "SourceVSwitchId", s.vswitch, "SnatIp", s.ip),
			s.settled(ctx, s.vpc, s.gateway))
	})
	if err != nil {
		return err
	}
	server, err := s.lab.Listen(ctx, lab.InternetHost, "tcp4", ":0")
	if err != nil {
		return err
	}
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	internet, err := s.lab.Host(lab.InternetHost)
	if err != nil {
		return err
	}
	at := netip.AddrPortFrom(internet.Address.Addr(), uint16(server.Addr().(*net.TCPAddr).Port))
	r.say("connections of a host alone and beside one that floods, %d rounds", rounds)
	opens := func() (float64, error) { return s.opens(ctx, "honest", at, took) }
	values, err := alternate(ctx, rounds,
		opens,
		func() (float64, error) {
			flooding, stop := context.WithCancel(ctx)
			var failed error
			var flood sync.WaitGroup
			flood.Go(func() { failed = s.flood(flooding, "floods", at.Addr()) })
			err := pause(ctx, fills)
			var n float64
			if err == nil {
				n, err = opens()
			}
			stop()
			flood.Wait()
			return n, errors.Join(err, failed)
		})
	if err != nil {
		return err
	}
	what := fmt.Sprintf("TCP connections of a host through a Small gateway beside another that sends %d datagrams a second to ever new ports, over those alone; %d a second are tried", floodOpens, honestOpens)
	return errors.Join(
		r.report.addRatio("fair_open_share", values[0], values[1], what),
		r.report.add("honest_opens", median(values[1]), perSecond, "beside the flood; "+fmt.Sprintf("%.4g alone", median(values[0]))))
}

// opens has a host open connections for a time, and returns how many it opened a second.
func (s *site) opens(ctx context.Context, host string, to netip.AddrPort, d time.Duration) (float64, error) {
	var opened atomic.Int64
	var all sync.WaitGroup
	ticker := time.NewTicker(time.Second / honestOpens)
	defer ticker.Stop()
	began := time.Now()
	for tries := 0; time.Since(began) < d; tries++ {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-ticker.C:
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 900*time.Millisecond)
			defer cancel()
			c, err := s.lab.Dial(ctx, host, "tcp4", to.String())
			if err != nil {
				return
			}
			opened.Add(1)
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		})
	}
	all.Wait()
	if opened.Load() == 0 {
		return 0, fmt.Errorf("%s opened no connection to %s", host, to)
	}
	return float64(opened.Load()) / d.Seconds(), nil
}

// flood has a host send datagrams to one port after the other of an address, until ctx
// ends.
func (s *site) flood(ctx context.Context, host string, to netip.Addr) error {
	c, err := s.lab.ListenPacket(ctx, host, "udp4", ":0")
	if err != nil {
		return err
	}
	defer c.Close()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	port, began := 0, time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for due := int(time.Since(began).Seconds() * floodOpens); port < due; port++ {
			// What the kernel refuses to send is sent no more: the next one is due.
			_, _ = c.WriteTo([]byte("flood"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, uint16(1024+port%60000))))
		}
	}
}
