package main

import (
	"context"
	"fmt"
	"time"

	"sluice/api/aliyun"
)

// describesByACS3 compares how many describing calls a second are answered that are
// signed by ACS3-HMAC-SHA256 with how many by HMAC-SHA1: the same clients and pages, in
// turns.
func describesByACS3(ctx context.Context, r *run) error {
	s, err := r.theSite(ctx)
	if err != nil {
		return err
	}
	if err := s.full(ctx, r); err != nil {
		return err
	}
	rounds, length := 6, time.Second
	if r.quick {
		rounds, length = 2, 300*time.Millisecond
	}
	r.say("reading the table by two signatures for %v", time.Duration(4*rounds)*length)
	side := func(a aliyun.Algorithm) (slot, func(), error) {
		clients := make([]*describer, describeConns)
		for i := range clients {
			if clients[i], err = newDescriber(s); err != nil {
				return nil, nil, err
			}
			clients[i].client.Algorithm = a
		}
		end := func() {
			for _, c := range clients {
				c.client.HTTP.CloseIdleConnections()
			}
		}
		return func() (float64, error) { return describeSlot(ctx, clients, length) }, end, nil
	}
	older, endOlder, err := side(aliyun.HMACSHA1)
	if err != nil {
		return err
	}
	defer endOlder()
	newer, endNewer, err := side(aliyun.ACS3)
	if err != nil {
		return err
	}
	defer endNewer()
	rates, err := alternate(ctx, rounds, older, newer)
	if err != nil {
		return err
	}
	return r.report.addRatio("acs3_describe_over_hmac", rates[1], rates[0],
		fmt.Sprintf("%d connections, slots of %v; by HMAC-SHA1 %.0f/s, by ACS3 %.0f/s; clients, which sign, on the same processors", describeConns, length, median(rates[0]), median(rates[1])))
}
