package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/api/aliyun"
	"sluice/test/lab"
)

const (
	describePage  = 50
	describeConns = 8   // clients, each with a connection of its own
	decodeEach    = 512 // of so many answers one is looked at in full
)

// describes measures how many signed calls of DescribeForwardTableEntries a
// second are answered, over the whole table. The clients run in this process,
// on the same processors as the service.
func describes(ctx context.Context, r *run) error {
	s, err := r.theSite(ctx)
	if err != nil {
		return err
	}
	if err := s.full(ctx, r); err != nil {
		return err
	}
	slots, length := 7, 2*time.Second
	if r.quick {
		slots, length = 2, 500*time.Millisecond
	}
	r.say("reading the table for %v", time.Duration(slots)*length)
	clients := make([]*describer, describeConns)
	for i := range clients {
		if clients[i], err = newDescriber(s); err != nil {
			return err
		}
		defer clients[i].client.HTTP.CloseIdleConnections()
	}
	var rates []float64
	for i := range slots + 1 {
		rate, err := describeSlot(ctx, clients, length)
		if err != nil {
			return err
		}
		if i > 0 { // the first one is for the caches and connections
			rates = append(rates, rate)
		}
	}
	return r.report.add("api_describe_rps", median(rates), perSecond,
		fmt.Sprintf("%d connections, page of %d of %d entries, clients on the same processors; %d slots of %v, worst %.0f, best %.0f",
			describeConns, describePage, tableSize, slots, length, quantile(rates, 0.001), quantile(rates, 1)))
}

// describeSlot lets all clients call for a time and returns their rate.
func describeSlot(ctx context.Context, clients []*describer, length time.Duration) (float64, error) {
	var calls atomic.Int64
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range clients {
		g.Go(func() error {
			n := 0
			for time.Since(began) < length {
				if err := c.call(ctx); err != nil {
					return err
				}
				n++
			}
			calls.Add(int64(n))
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return float64(calls.Load()) / time.Since(began).Seconds(), nil
}

// describer is a client that reads page after page, in an order of its own.
type describer struct {
	client *aliyun.Client
	params map[string]string
	pages  []int
	calls  int
	marker []byte // in every answer
	small  bool   // the table may have one page alone
}

func newDescriber(s *site) (*describer, error) {
	c, err := s.lab.Client()
	if err != nil {
		return nil, err
	}
	return &describer{
		client: c,
		params: map[string]string{"RegionId": lab.DefaultRegion, "ForwardTableId": s.table, "PageSize": strconv.Itoa(describePage)},
		pages:  rand.Perm(tableSize / describePage),
		marker: []byte(`"ForwardEntryId":`),
	}, nil
}

func (d *describer) call(ctx context.Context) error {
	page := 1 + d.pages[d.calls%len(d.pages)]
	d.params["PageNumber"] = strconv.Itoa(page)
	body, err := d.client.Call(ctx, "DescribeForwardTableEntries", d.params)
	if err != nil {
		return err
	}
	d.calls++
	// Decoding is the client's affair and not what is measured, but an answer
	// with other than a full page does not count.
	if n := bytes.Count(body, d.marker); n != describePage {
		return fmt.Errorf("page %d has %d entries, not %d", page, n, describePage)
	}
	if d.calls%decodeEach != 1 {
		return nil
	}
	var answer aliyun.DescribeForwardTableEntriesResponse
	if err := decode(body, &answer); err != nil {
		return err
	}
	if answer.PageNumber != page || answer.TotalCount < tableSize && !d.small || len(answer.ForwardTableEntries.ForwardTableEntry) != describePage {
		return fmt.Errorf("page %d: the answer has page %d of %d entries, with %d", page,
			answer.PageNumber, answer.TotalCount, len(answer.ForwardTableEntries.ForwardTableEntry))
	}
	return nil
}
