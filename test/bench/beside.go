package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"sluice/api/aliyun"
)

// writesBesideVPN measures CreateForwardEntry in one VPC, in turns alone and while
// a VPN gateway and its connections are made in another one.
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
	var alone, beside []time.Duration
	var making time.Duration
	for i := range rounds {
		made, err := s.writeWhileVPNIsMade(ctx, v, 26+i, remote, &beside)
		if err != nil {
			return err
		}
		making += made
		// As long as that, but for the last round not so short that it has no tail.
		until := time.Now().Add(made)
		for time.Now().Before(until) {
			if err := v.timeWrite(ctx, &alone); err != nil {
				return err
			}
		}
	}
	a, b := milliseconds(alone), milliseconds(beside)
	return r.report.add("write_beside_vpn_over_alone", quantile(b, 0.99)/quantile(a, 0.99), ratio,
		fmt.Sprintf("p99 of %d calls beside %d VPN gateways with %d connections each, made in %.2g s each, %.3g ms, over that of %d alone, %.3g ms; medians %.3g and %.3g ms",
			len(b), rounds, connections, making.Seconds()/float64(rounds), quantile(b, 0.99), len(a), quantile(a, 0.99), median(b), median(a)))
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
	made := make(chan error, 1)
	began := time.Now()
	go func() {
		made <- func() error {
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
		}()
	}()
	for {
		if err := v.timeWrite(ctx, calls); err != nil {
			return 0, errors.Join(err, <-made)
		}
		select {
		case err := <-made:
			return time.Since(began), err
		default:
		}
	}
}
