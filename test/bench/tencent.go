package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
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
// in this process, on the same processors as the service; each writes and reads a connection of
// its own, without the goroutines of net/http's client, which cost more than half of what the service does.
//
// In turns with it the same clients call a server of net/http that answers with such a page and
// looks at nothing: more is not to be had from this machine.
func tencentDescribes(ctx context.Context, r *run) error {
	s, err := r.siteFor(ctx, "a thousand VPCs", func(s *site) error { return s.addVPCs(ctx, tencentVPCs) })
	if err != nil {
		return err
	}
	slots, length := 7, 2*time.Second
	if r.quick {
		slots, length = 2, 500*time.Millisecond
	}
	var page atomic.Pointer[[]byte]
	floor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(*page.Load())
	}))
	defer floor.Close()
	var service, nothing []*tencent3.Client
	for range describeConns {
		c, err := s.lab.TencentClient()
		if err != nil {
			return err
		}
		one := &connection{}
		defer one.close()
		c.HTTP = &http.Client{Transport: one}
		other := *c
		two := &connection{}
		defer two.close()
		other.Endpoint, other.HTTP = floor.URL, &http.Client{Transport: two}
		service, nothing = append(service, c), append(nothing, &other)
	}
	answer, err := service[0].Send(ctx, "DescribeVpcs", tencentRequest(0))
	if err != nil {
		return err
	}
	page.Store(&answer)
	r.say("reading them for %v", 2*time.Duration(slots)*length)
	var rates, most []float64
	for i := range slots + 1 {
		rate, err := tencentSlot(ctx, service, length)
		if err != nil {
			return err
		}
		limit, err := tencentSlot(ctx, nothing, length)
		if err != nil {
			return err
		}
		if i > 0 { // the first one is for the caches and connections
			rates, most = append(rates, rate), append(most, limit)
		}
	}
	return errors.Join(
		r.report.add("tencent_describe_rps", median(rates), perSecond,
			fmt.Sprintf("%d connections, page of %d of %d VPCs, TC3-HMAC-SHA256, clients on the same processors; %d slots of %v, worst %.0f, best %.0f",
				describeConns, tencentPage, tencentVPCs, slots, length, quantile(rates, 0.001), quantile(rates, 1))),
		r.report.add("tencent_describe_floor_rps", median(most), perSecond,
			fmt.Sprintf("the same clients and a server of net/http that answers with a page of %d bytes and looks at nothing, in turns with it", len(answer))))
}

// tencentRequest is the body of a request for the page from an offset.
func tencentRequest(offset int) []byte {
	return fmt.Appendf(nil, `{"Offset":"%d","Limit":"%d"}`, offset, tencentPage)
}

// connection is an http.RoundTripper over one connection, for one client at a time, whose
// requests are written and answers read by whoever calls.
type connection struct {
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
}

// RoundTrip implements http.RoundTripper.
func (c *connection) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.conn == nil {
		conn, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.URL.Host)
		if err != nil {
			return nil, err
		}
		c.conn, c.r, c.w = conn, bufio.NewReader(conn), bufio.NewWriter(conn)
	}
	if err := errors.Join(r.Write(c.w), c.w.Flush()); err != nil {
		return nil, err
	}
	return http.ReadResponse(c.r, r)
}

func (c *connection) close() {
	if c.conn != nil {
		c.conn.Close()
	}
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
				body, err := c.Send(ctx, "DescribeVpcs", tencentRequest(offset))
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
