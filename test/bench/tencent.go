package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/api/tencent3"
)

const (
	tencentVPCs = 1000
	tencentPage = 20
)

// tencentDescribes measures how many calls of Tencent Cloud's DescribeVpcs a second are
// answered, signed by TC3-HMAC-SHA256, each with a page of 20 of 1,000 VPCs. The clients run
// in this process, on the same processors as the service.
func tencentDescribes(ctx context.Context, r *run) error {
	s, err := r.siteFor(ctx, "a thousand VPCs", func(s *site) error { return s.addVPCs(ctx, tencentVPCs) })
	if err != nil {
		return err
	}
	slots, length := 7, 2*time.Second
	if r.quick {
		slots, length = 2, 500*time.Millisecond
	}
	clients := make([]*tencent3.Client, describeConns)
	for i := range clients {
		if clients[i], err = s.lab.TencentClient(); err != nil {
			return err
		}
		defer clients[i].HTTP.CloseIdleConnections()
	}
	r.say("reading them for %v", time.Duration(slots)*length)
	var rates []float64
	for i := range slots + 1 {
		rate, err := tencentSlot(ctx, clients, length)
		if err != nil {
			return err
		}
		if i > 0 { // the first one is for the caches and connections
			rates = append(rates, rate)
		}
	}
	return r.report.add("tencent_describe_rps", median(rates), perSecond,
		fmt.Sprintf("%d connections, page of %d of %d VPCs, TC3-HMAC-SHA256, clients on the same processors; %d slots of %v, worst %.0f, best %.0f",
			describeConns, tencentPage, tencentVPCs, slots, length, quantile(rates, 0.001), quantile(rates, 1)))
}

// tencentSlot lets all clients call for a time and returns their rate. Of each answer the
// VPCs are counted, of one in 512 all is read.
func tencentSlot(ctx context.Context, clients []*tencent3.Client, length time.Duration) (float64, error) {
	var calls atomic.Int64
	marker := []byte(`"VpcId":`)
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range clients {
		g.Go(func() error {
			for n := 0; time.Since(began) < length; n++ {
				offset := tencentPage * rand.IntN(tencentVPCs/tencentPage)
				body, err := c.Send(ctx, "DescribeVpcs", fmt.Appendf(nil, `{"Offset":"%d","Limit":"%d"}`, offset, tencentPage))
				if err != nil {
					return err
				}
				if got := bytes.Count(body, marker); got != tencentPage {
					return fmt.Errorf("the page from %d has %d VPCs, not %d: %.300s", offset, got, tencentPage, body)
				}
				if n%decodeEach == 0 {
					var answer struct{ Response tencent3.DescribeVpcsResponse }
					if err := json.Unmarshal(body, &answer); err != nil || answer.Response.TotalCount != tencentVPCs || len(answer.Response.VpcSet) != tencentPage {
						return fmt.Errorf("%d of %d VPCs, %w", len(answer.Response.VpcSet), answer.Response.TotalCount, err)
					}
				}
				calls.Add(1)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return float64(calls.Load()) / time.Since(began).Seconds(), nil
}

// addVPCs makes VPCs by the actions that are measured.
func (s *site) addVPCs(ctx context.Context, n int) error {
	c, err := s.lab.TencentClient()
	if err != nil {
		return err
	}
	defer c.HTTP.CloseIdleConnections()
	for i := range n {
		if _, err := c.Call(ctx, "CreateVpc", map[string]string{"VpcName": fmt.Sprint("vpc-", i), "CidrBlock": "10.0.0.0/16"}); err != nil {
			return err
		}
	}
	return nil
}
