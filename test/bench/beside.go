package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"sluice/api/aliyun"
)

// writesBesideVPN measures CreateForwardEntry in one VPC, in turns alone, while a VPN
// gateway and its connections are made in another one, and while somebody makes as much
// by hand, with which Sluice has nothing to do: what that costs the calls is the
// machine's, whose processors they share.
func writesBesideVPN(ctx context.Context, r *run, s *site) error {
	rounds, connections := 5, 10
	if r.quick {
		rounds, connections = 1, 3
	}
	v, err := s.addNATVPC(ctx)
	if err != nil {
		return err
	}
	var remote []*far
	for i := range connections {
		f, err := s.addSilent(ctx, byte(i))
		if err != nil {
			return err
		}
		remote = append(remote, f)
	}
	r.say("creating entries of one VPC while another one gets a VPN gateway and %d connections, %d times", connections, rounds)
	var alone, beside, hand []time.Duration
	var making time.Duration
	for i := range rounds {
		made, err := s.writeWhileVPNIsMade(ctx, v, 26+i, remote, &beside)
		if err != nil {
			return err
		}
		making += made
		for until, n := time.Now().Add(made), 0; time.Now().Before(until); n++ {
			if err := s.writeWhileMadeByHand(ctx, r, v, fmt.Sprintf("hand%d-%d", i, n), connections, &hand); err != nil {
				return err
			}
		}
		// As long as that, but for the last round not so short that it has no tail.
		until := time.Now().Add(made)
		for time.Now().Before(until) {
			if err := v.timeWrite(ctx, &alone); err != nil {
				return err
			}
		}
	}
	a, b, h := milliseconds(alone), milliseconds(beside), milliseconds(hand)
	return errors.Join(
		r.report.add("write_beside_vpn_over_alone", quantile(b, 0.99)/quantile(a, 0.99), ratio,
			fmt.Sprintf("p99 of %d calls beside %d VPN gateways with %d connections each, made in %.2g s each, %.3g ms, over that of %d alone, %.3g ms; medians %.3g and %.3g ms",
				len(b), rounds, connections, making.Seconds()/float64(rounds), quantile(b, 0.99), len(a), quantile(a, 0.99), median(b), median(a))),
		r.report.add("write_beside_hand_over_alone", quantile(h, 0.99)/quantile(a, 0.99), ratio,
			fmt.Sprintf("p99 of %d calls beside strongSwans being started by hand for as long, and given as many connections by swanctl, %.3g ms, over that of %d alone; median %.3g ms",
				len(h), quantile(h, 0.99), len(a), median(h))),
		r.report.add("write_beside_vpn_over_hand", quantile(b, 0.99)/quantile(h, 0.99), ratio, "the one over the other"),
	)
}

// addSilent makes a customer gateway of an address where nobody answers.
func (s *site) addSilent(ctx context.Context, n byte) (*far, error) {
	f := &far{lan: netip.AddrFrom4([4]byte{192, 168, 200 + n, 1})}
	var answer aliyun.CreateCustomerGatewayResponse
	err := s.call(ctx, "CreateCustomerGateway", &answer, "IpAddress", fmt.Sprintf("198.51.100.%d", 1+n), "Name", fmt.Sprintf("silent%d", n))
	f.customer = answer.CustomerGatewayId
	return f, err
}

// timeWrite creates an entry and deletes it again, and keeps how long the creation
// took.
func (v *natVPC) timeWrite(ctx context.Context, calls *[]time.Duration) error {
	e, began, ended, err := v.create(ctx, v.nextPort())
	if err != nil {
		return err
	}
	*calls = append(*calls, ended.Sub(began))
	return v.remove(ctx, e)
}

// writeWhileVPNIsMade writes to a VPC until another one has a VPN gateway with
// connections, which are then deleted. It returns how long they took to make.
func (s *site) writeWhileVPNIsMade(ctx context.Context, v *natVPC, n int, remote []*far, calls *[]time.Duration) (took time.Duration, err error) {
	m := &mesh{}
	defer func() { err = errors.Join(err, m.remove(context.WithoutCancel(ctx), s)) }()
	return v.writeWhile(ctx, calls, func() error {
		w, err := s.addNear(ctx, n)
		if err != nil {
			return err
		}
		m.gateways = append(m.gateways, w)
		for _, f := range remote {
			id, err := s.connect(ctx, w, f)
			if err != nil {
				return err
			}
			m.connections = append(m.connections, id)
		}
		return nil
	})
}

// writeWhileMadeByHand writes to a VPC until a strongSwan in a namespace of its own, which
// Sluice does not know, has connections, as swanctl loads them one after the other.
func (s *site) writeWhileMadeByHand(ctx context.Context, r *run, v *natVPC, name string, connections int, calls *[]time.Duration) (err error) {
	var f *far
	defer func() {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	_, err = v.writeWhile(ctx, calls, func() error {
		made, err := s.startFar(ctx, r, name, netip.AddrFrom4([4]byte{192, 168, 199, 1}))
		if err != nil {
			return err
		}
		f = made
		var ends []end
		for i := range connections {
			there := fmt.Sprintf("192.168.%d.0/24", 200+i)
			ends = append(ends, end{fmt.Sprintf("silent%d", i), f.IP(), netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}), f.block(), there})
			if err := f.Load(ctx, swanctl(ends...)); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// writeWhile writes to a VPC until do has ended, and returns how long that took.
func (v *natVPC) writeWhile(ctx context.Context, calls *[]time.Duration, do func() error) (time.Duration, error) {
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- do() }()
	for {
		if err := v.timeWrite(ctx, calls); err != nil {
			return 0, errors.Join(err, <-done)
		}
		select {
		case err := <-done:
			return time.Since(began), err
		default:
		}
	}
}
