package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"sluice/api/aliyun"
	"sluice/controlplane/identity"
	"sluice/controlplane/monitor"
	"sluice/controlplane/resource"
	planesettings "sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/controlplane/store/memory"
	"sluice/dataplane"
)

const (
	monitorAddresses = 10_000
	monitorDays      = 31
)

// monitorQueries measures DescribeEipMonitorData of 200 points of one elastic IP, by each
// period, out of 31 days of 10,000 elastic IPs that have something in every minute: from
// the decoded parameters to the encoded answer, without the network and the signature.
func monitorQueries(ctx context.Context, r *run) (err error) {
	addresses, days, calls := monitorAddresses, monitorDays, 2000
	if r.quick {
		addresses, days, calls = 300, 9, 100
	}
	file := filepath.Join(r.dir, "monitor.db")
	_ = os.Remove(file)
	minutes, err := monitor.Open(file, time.Second)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, minutes.Close(), os.Remove(file)) }()
	now := time.Now().Truncate(time.Hour)
	ids := make([]string, addresses)
	for i := range ids {
		ids[i] = fmt.Sprintf("eip-%05d", i)
	}
	r.say("writing %d days of %d elastic IPs", days, addresses)
	for hour := -24 * days; hour < 0; hour++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		of := make(map[string][]monitor.MinuteOf, addresses)
		for _, id := range ids {
			of[id] = busyHour()
		}
		if err := minutes.ImportHour(now.Add(time.Duration(hour)*time.Hour).Unix(), of); err != nil {
			return err
		}
	}
	db, err := state.Open(ctx, memory.New(0).Open())
	if err != nil {
		return err
	}
	caller := identity.Caller{Account: "1001"}
	err = db.Update(ctx, func(tx *state.Tx) error {
		tx.PutAttributes(&resource.Account{Meta: resource.Meta{ID: caller.Account, Account: caller.Account}, Name: "bench"})
		for _, id := range ids {
			tx.PutAttributes(&resource.ElasticIP{Meta: resource.Meta{ID: id, Account: caller.Account, CreatedAt: now.AddDate(-1, 0, 0)}})
		}
		return nil
	})
	if err != nil {
		return err
	}
	service := aliyun.NewService(nil, nil, nil, nil, monitor.New(db, &planesettings.Settings{}, minutes, time.Duration(days)*24*time.Hour, func() time.Time { return now }), nil, nil, nil, nil, nil, nil, nil)
	periods := []int{60, 300, 900, 3600}
	r.say("asking %d times", calls)
	var took []time.Duration
	for i := range calls {
		period := time.Duration(periods[i%len(periods)]) * time.Second
		first := now.Add(-time.Duration(days) * 24 * time.Hour)
		start := first.Add(time.Duration(rand.Int64N(int64(now.Sub(first)-200*period)/int64(time.Minute))) * time.Minute)
		p := aliyun.NewParams("AllocationId", ids[rand.IntN(addresses)], "Period", fmt.Sprint(int(period/time.Second)),
			"StartTime", start.UTC().Format(time.RFC3339), "EndTime", start.Add(200*period).UTC().Format(time.RFC3339))
		began := time.Now()
		answer, refused := aliyun.Dispatch(ctx, service, caller, "DescribeEipMonitorData", p)
		if refused != nil {
			return refused
		}
		var text bytes.Buffer
		if err := aliyun.Encode(&text, aliyun.FormatJSON, answer); err != nil {
			return err
		}
		took = append(took, time.Since(began))
		if n := len(answer.(*aliyun.DescribeEipMonitorDataResponse).EipMonitorDatas.EipMonitorData); n != 200 {
			return fmt.Errorf("%d points, not 200", n)
		}
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	ms := milliseconds(took)
	return r.report.add("monitor_query_ms", quantile(ms, 0.99), millis,
		fmt.Sprintf("p99 of %d calls, 200 points each, of periods of %v s, of %d elastic IPs with %d days, all busy: %d MB; median %.3g ms", calls, periods, addresses, days, info.Size()>>20, median(ms)))
}

// busyHour returns minutes that differ as real ones do.
func busyHour() []monitor.MinuteOf {
	minutes := make([]monitor.MinuteOf, 60)
	for i := range minutes {
		n := 1 + uint64(math.Exp(rand.NormFloat64()*2.5+6))
		minutes[i] = monitor.MinuteOf{Minute: uint8(i), Passed: monitor.Passed{
			Outbound: dataplane.Volume{Bytes: n * (40 + rand.Uint64N(400)), Packets: n},
			Inbound:  dataplane.Volume{Bytes: n * (40 + rand.Uint64N(1400)), Packets: n},
		}}
	}
	return minutes
}
