package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	"sluice/api/aliyun"
	"sluice/controlplane/monitor"
	"sluice/dataplane"
	"sluice/test/lab"
)

const (
	metricHosts = 10_000 // with traffic in the minute
	metricPage  = 20     // the largest that the action allows
)

// metrics measures ListNatGatewayEcsMetric for a minute with many hosts: one
// call after the other, each for the next page of one of the orders, which are
// read in turns by chance.
func metrics(ctx context.Context, r *run) error {
	size := 4000
	if r.quick {
		size = 200
	}
	s, err := r.theSite(ctx)
	if err != nil {
		return err
	}
	r.say("recording a minute of %d hosts", metricHosts)
	minute := time.Now().Add(-time.Hour).Truncate(time.Minute).Unix()
	if err := s.recordMinute(ctx, minute); err != nil {
		return err
	}
	client, err := s.lab.Client()
	if err != nil {
		return err
	}
	defer client.HTTP.CloseIdleConnections()
	var lists []*metricList
	for _, key := range []string{"ActiveSessionNum", "NewSessionRate", "RxBps", "TxBps", "RxPps", "TxPps", "Timestamp"} {
		for _, direction := range []string{"desc", "asc"} {
			lists = append(lists, &metricList{client: client, params: map[string]string{
				"RegionId": lab.DefaultRegion, "NatGatewayId": s.gateway, "TimePoint": strconv.FormatInt(minute, 10),
				"OrderKey": key, "OrderType": direction, "MaxResults": strconv.Itoa(metricPage),
			}})
		}
	}
	r.say("reading %d pages", size)
	var calls []time.Duration
	for i := range size + len(lists) {
		l := lists[rand.IntN(len(lists))]
		if i < len(lists) {
			l = lists[i] // once each, for the caches
		}
		took, err := l.next(ctx)
		if err != nil {
			return err
		}
		if i >= len(lists) {
			calls = append(calls, took)
		}
	}
	ms := milliseconds(calls)
	return r.report.add("ecs_metric_10k_ms", quantile(ms, 0.99), millis,
		fmt.Sprintf("p99 of %d calls, pages of %d of %d hosts in %d orders; median %.3g ms", size, metricPage, metricHosts, len(lists), median(ms)))
}

// recordMinute stops the daemon, puts a minute into its file, and starts it
// again.
func (s *site) recordMinute(ctx context.Context, begin int64) (err error) {
	if err := s.lab.StopDaemon(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.lab.StartDaemon(ctx)) }()
	minutes, err := monitor.Open(filepath.Join(s.lab.DataDir(), "minutes.db"), time.Second)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(minutes.Close(), err) }()
	all := func(string) bool { return true }
	for i, rows := range [][]monitor.Row{nil, busyHosts()} {
		reading := monitor.Reading{Gateway: s.gateway, Rows: rows, Fresh: i == 0}
		if err := minutes.Record(begin+int64(i)*monitor.Minute, []monitor.Reading{reading}, all, 0); err != nil {
			return err
		}
	}
	return nil
}

// busyHosts returns hosts that differ as real ones do: few do most.
func busyHosts() []monitor.Row {
	rows := make([]monitor.Row, metricHosts)
	for i := range rows {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 10<<24+16+uint32(i))
		packets := 1 + uint64(math.Exp(rand.NormFloat64()*2.5+6))
		rows[i] = monitor.Row{Address: netip.AddrFrom4(a), Counts: monitor.Counts{
			Outbound: dataplane.Volume{Bytes: packets * (40 + rand.Uint64N(400)), Packets: packets},
			Inbound:  dataplane.Volume{Bytes: packets * (40 + rand.Uint64N(1400)), Packets: packets},
			Open:     rand.Uint64N(1 + packets/100), Opened: rand.Uint64N(1 + packets/20),
		}}
	}
	return rows
}

// metricList is a client that reads the hosts in one order, page after page,
// and begins anew after the last.
type metricList struct {
	client *aliyun.Client
	params map[string]string
	seen   int // hosts so far
}

// next reads the next page, and returns how long the call took.
func (l *metricList) next(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	body, err := l.client.Call(ctx, "ListNatGatewayEcsMetric", l.params)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	var answer aliyun.ListNatGatewayEcsMetricResponse
	if err := decode(body, &answer); err != nil {
		return 0, err
	}
	l.seen += len(answer.MetricDataList)
	if len(answer.MetricDataList) != metricPage || l.seen > metricHosts || (answer.NextToken == "") != (l.seen == metricHosts) {
		return 0, fmt.Errorf("by %s: a page of %d, %d of %d hosts so far, and the next is %q",
			l.params["OrderKey"], len(answer.MetricDataList), l.seen, metricHosts, answer.NextToken)
	}
	if l.params["NextToken"] = answer.NextToken; answer.NextToken == "" {
		delete(l.params, "NextToken")
		l.seen = 0
	}
	return took, nil
}
