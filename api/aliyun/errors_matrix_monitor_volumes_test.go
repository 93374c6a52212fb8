package aliyun

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/monitor"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// volumes gives the world elastic IPs and a package, through which 1,000 packets of 100
// bytes went out and 2,000 came in in each minute of the last 5 hours, but for one.
func (w *monitorWorld) volumes(t *testing.T) {
	t.Helper()
	w.eip, w.inside = w.NewEIP(planetest.Alice).ID, w.NewEIP(planetest.Alice).ID
	w.theirIP = w.NewEIP(planetest.Bob).ID
	pack := func(c identity.Caller) string {
		p, e := Dispatch(context.Background(), w.s, c, "CreateCommonBandwidthPackage", NewParams("RegionId", planetest.Region, "Bandwidth", "5"))
		if e != nil {
			t.Fatal(e)
		}
		return p.(*CreateCommonBandwidthPackageResponse).BandwidthPackageId
	}
	w.cbwp, w.theirBP = pack(planetest.Alice), pack(planetest.Bob)
	if _, e := Dispatch(context.Background(), w.s, planetest.Alice, "AddCommonBandwidthPackageIp", NewParams("RegionId", planetest.Region, "BandwidthPackageId", w.cbwp, "IpInstanceId", w.inside)); e != nil {
		t.Fatal(e)
	}
	now := planetest.Now.Truncate(time.Minute)
	v := w.DB.View()
	for _, id := range []string{w.eip, w.inside, w.cbwp} {
		var r resource.Resource
		if e, ok := v.ElasticIPs.Get(id); ok {
			r = e.Clone()
		} else if p, ok := v.CommonPackages.Get(id); ok {
			r = p.Clone()
		}
		r.Metadata().CreatedAt = now.Add(-6 * time.Hour)
		if err := w.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	g, _ := v.NATGateways.Get(w.ngw)
	w.bwp, w.part = "bwp-1", "nateip-1"
	old := resource.Meta{ID: w.bwp, Account: planetest.Alice.Account, Region: planetest.Region, CreatedAt: now.Add(-6 * time.Hour)}
	if err := w.Put(&resource.NATPackage{Meta: old, VPC: g.VPC, Gateway: g.ID, Bandwidth: 5}); err != nil {
		t.Fatal(err)
	}
	alone, _ := v.ElasticIPs.Get(w.eip)
	part := alone.Clone().(*resource.ElasticIP)
	old.ID = w.part
	part.Meta, part.NATPackage, part.Address = old, w.bwp, part.Address.Next().Next().Next().Next()
	if err := w.Put(part); err != nil {
		t.Fatal(err)
	}
	n := uint64(0)
	for at := now.Add(-5 * time.Hour); !at.After(now); at = at.Add(time.Minute) {
		n += 1000
		if at.Equal(now.Add(-150 * time.Minute)) {
			continue // nobody reads: two minutes are absent
		}
		passed := monitor.Passed{Outbound: dataplane.Volume{Bytes: 100 * n, Packets: n}, Inbound: dataplane.Volume{Bytes: 400 * n, Packets: 2 * n}}
		var all []monitor.Volume
		for _, id := range []string{w.eip, w.inside, w.cbwp, w.theirIP, w.theirBP, w.bwp, w.part} {
			all = append(all, monitor.Volume{ID: id, Passed: passed})
		}
		if err := w.minutes.RecordVolumes(at.Unix(), all, false, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// ago is a time so long before now, in whole minutes.
func ago(d time.Duration) time.Time { return planetest.Now.UTC().Truncate(time.Minute).Add(-d) }

func iso(t time.Time) string { return t.Format(timestampLayout) }

// good are parameters with which an action succeeds: of the hour before the last one.
func (w *monitorWorld) good(action string) map[string]string {
	good := map[string]string{"StartTime": iso(ago(2 * time.Hour)), "EndTime": iso(ago(time.Hour))}
	switch action {
	case "ListNatGatewayEcsMetric":
		return map[string]string{"RegionId": planetest.Region, "NatGatewayId": w.ngw, "TimePoint": strconv.FormatInt(w.minute, 10), "OrderKey": "RxBps"}
	case "DescribeEipMonitorData":
		good["AllocationId"] = w.eip
	case "DescribeBandwidthPackagePublicIpMonitorData":
		good["AllocationId"], good["RegionId"] = w.inside, planetest.Region
	case "QueryMetricList":
		good["Project"], good["Metric"], good["Dimensions"] = "acs_nat_gateway", "net_tx.rate", `[{"instanceId":"`+w.cbwp+`"}]`
		good["StartTime"], good["EndTime"] = ago(2*time.Hour).In(beijing).Format(metricLayout), ago(time.Hour).In(beijing).Format(metricLayout)
	}
	return good
}

// volume makes a good call, changed.
func (w *monitorWorld) volume(action string, change ...string) (Response, *Error) {
	params := w.good(action)
	for i := 0; i < len(change); i += 2 {
		params[change[i]] = change[i+1]
	}
	p := NewParams()
	for name, v := range params {
		if v != "" {
			p.Add(name, v)
		}
	}
	return Dispatch(context.Background(), w.s, planetest.Alice, action, p)
}

// TestVolumeErrors: every documented error of these actions, and what the documents leave
// open.
func TestVolumeErrors(t *testing.T) {
	w := newMonitorWorld(t)
	w.volumes(t)
	const eip, public, metric = "DescribeEipMonitorData", "DescribeBandwidthPackagePublicIpMonitorData", "QueryMetricList"
	bad := func(name string) Error { return *invalidParameter(name) }
	none := Error{400, "InvalidAllocationId.NotFound", "Specified allocation id is not found."}
	start, end := Error{400, "InvalidStartTime.Malformed", "Specified start time is malformed."}, Error{400, "InvalidEndTime.Malformed", "Specified end time is malformed."}
	many := Error{400, "OperationDenied.ToManyDataQueried", "Specified operation is denied as too many data to return."}
	notKept := Error{400, "InvalidParameter", `The specified parameter "StartTime" or "EndTime" is not valid.`}
	noAllocation := Error{404, "InvalidAllocationId.NotFound", ""}
	seen := map[string]bool{}
	for _, c := range []struct {
		action string
		change []string
		want   Error // the zero Error: none; without a message: any
	}{
		{eip, nil, Error{}},
		{eip, []string{"AllocationId", ""}, *missingParameter("AllocationId")},
		{eip, []string{"AllocationId", "eip-none"}, none},
		{eip, []string{"AllocationId", w.theirIP}, none},
		{eip, []string{"AllocationId", w.part}, none},
		{eip, []string{"StartTime", ""}, *missingParameter("StartTime")},
		{eip, []string{"StartTime", "yesterday"}, start},
		{eip, []string{"StartTime", "2026-01-01 00:00:00"}, start},
		{eip, []string{"EndTime", ""}, *missingParameter("EndTime")},
		{eip, []string{"EndTime", "2026-13-01T00:00:00Z"}, end},
		{eip, []string{"EndTime", iso(ago(3 * time.Hour))}, end},
		{eip, []string{"Period", "600"}, Error{400, "InvalidParameter", `Specified value of "Period" is not valid`}},
		{eip, []string{"Period", "-60"}, Error{400, "InvalidParameter", `Specified value of "Period" is not valid`}},
		{eip, []string{"StartTime", iso(ago(260 * time.Minute))}, Error{}},
		{eip, []string{"StartTime", iso(ago(261 * time.Minute))}, many},
		{eip, []string{"StartTime", iso(ago(261 * time.Minute)), "Period", "300"}, Error{}},
		{eip, []string{"StartTime", "0001-01-01T00:00:00Z", "EndTime", "9999-12-31T23:59:59Z"}, many},
		{eip, []string{"StartTime", iso(ago(-time.Hour)), "EndTime", iso(ago(-2 * time.Hour))}, Error{}},
		{public, nil, Error{}},
		{public, []string{"AllocationId", w.part}, Error{}},
		{public, []string{"RegionId", ""}, *missingParameter("RegionId")},
		{public, []string{"AllocationId", w.eip}, noAllocation},
		{public, []string{"AllocationId", w.theirIP}, noAllocation},
		{public, []string{"RegionId", planetest.Elsewhere}, noAllocation},
		{public, []string{"StartTime", "x"}, bad("StartTime")},
		{public, []string{"EndTime", "x"}, bad("EndTime")},
		{public, []string{"EndTime", iso(ago(3 * time.Hour))}, bad("EndTime")},
		{public, []string{"EndTime", iso(ago(-2 * time.Minute))}, notKept},
		{public, []string{"StartTime", iso(ago(25 * time.Hour)), "EndTime", iso(ago(24 * time.Hour))}, notKept},
		{public, []string{"Period", "300"}, bad("Period")},
		{public, []string{"StartTime", iso(ago(261 * time.Minute))}, many},
		{public, []string{"StartTime", iso(ago(261 * time.Minute)), "Period", "600"}, Error{}},
		{metric, nil, Error{}},
		{metric, []string{"Dimensions", `[{"instanceId":"` + w.bwp + `"}]`}, Error{}},
		{metric, []string{"Project", ""}, *missingParameter("Project")},
		{metric, []string{"Project", "acs_ecs"}, bad("Project")},
		{metric, []string{"Metric", ""}, *missingParameter("Metric")},
		{metric, []string{"Metric", "cpu"}, bad("Metric")},
		{metric, []string{"Dimensions", ""}, *missingParameter("Dimensions")},
		{metric, []string{"Dimensions", "[]"}, bad("Dimensions")},
		{metric, []string{"Dimensions", `{"instanceId":"` + w.cbwp + `"}`}, bad("Dimensions")},
		{metric, []string{"Dimensions", `[{"instanceId":"a"},{"instanceId":"b"}]`}, bad("Dimensions")},
		{metric, []string{"Dimensions", `[{"userId":"1"}]`}, *unsupportedParameter("Dimensions.userId")},
		{metric, []string{"Dimensions", `[{}]`}, *missingParameter("Dimensions")},
		{metric, []string{"Dimensions", `[{"instanceId":"` + w.theirBP + `"}]`}, Error{404, "InvalidBandwidthPackageId.NotFound", ""}},
		{metric, []string{"StartTime", iso(ago(time.Hour))}, bad("StartTime")},
		{metric, []string{"EndTime", ""}, *missingParameter("EndTime")},
		{metric, []string{"EndTime", "2017-10-15 00:05"}, bad("EndTime")},
		{metric, []string{"EndTime", "2017-10-15 00:05:00"}, bad("EndTime")},
		{metric, []string{"Period", "300"}, bad("Period")},
		{metric, []string{"StartTime", "2017-10-15 00:05:00"}, many},
	} {
		_, e := w.volume(c.action, c.change...)
		if e == nil {
			e = &Error{}
		}
		got := withoutReason(e)
		seen[c.action+" "+got.Code+" "+got.Message] = true
		if c.want.Message == "" {
			got.Message = ""
		}
		if want := withoutReason(&c.want); got != want {
			t.Errorf("%s %v: %v\nwant %v", c.action, c.change, e, &c.want)
		}
	}
	for _, action := range []string{eip, public, metric} {
		for _, e := range documentedErrors[action] {
			if !seen[action+" "+e.Code+" "+e.Message] {
				t.Errorf("%s: %s is documented, and not provoked", action, e.Code)
			}
		}
	}
}

// TestVolumePoints: each action's points, by period, and where something is absent.
func TestVolumePoints(t *testing.T) {
	w := newMonitorWorld(t)
	w.volumes(t)
	eip := func(change ...string) []DescribeEipMonitorDataEipMonitorData {
		t.Helper()
		r, e := w.volume("DescribeEipMonitorData", change...)
		if e != nil {
			t.Fatal(e)
		}
		return r.(*DescribeEipMonitorDataResponse).EipMonitorDatas.EipMonitorData
	}
	for i, p := range eip() {
		want := DescribeEipMonitorDataEipMonitorData{EipRX: 400_000, EipTX: 100_000, EipFlow: 500_000, EipBandwidth: 500_000 / 60, EipPackets: 3000,
			TimeStamp: iso(ago(2*time.Hour - time.Duration(i)*time.Minute)), IntranetFlow: 500_000, IntranetBandwidth: 500_000 / 60}
		if p != want {
			t.Errorf("point %d: %+v, want %+v", i, p, want)
		}
	}
	for _, c := range []struct {
		start, end time.Duration // ago
		period     string
		points     int
		sum        int // of packets, in thousands
	}{
		{2 * time.Hour, time.Hour, "60", 60, 180},
		{2*time.Hour + 30*time.Second, time.Hour + time.Second, "60", 60, 180}, // both are rounded up
		{2 * time.Hour, time.Hour, "900", 4, 180},
		{2 * time.Hour, time.Hour - 10*time.Minute, "900", 4, 180}, // what does not end by the end is none
		{2 * time.Hour, 2*time.Hour - time.Minute, "300", 1, 15},   // but the first one
		{2 * time.Hour, 2 * time.Hour, "3600", 1, 180},
		{160 * time.Minute, 140 * time.Minute, "60", 18, 54}, // two minutes are absent
		{160 * time.Minute, 140 * time.Minute, "300", 4, 54}, // of a period what there is
		{6 * time.Hour, 5 * time.Hour, "60", 0, 0},           // nobody counted
		{5 * time.Minute, -10 * time.Minute, "60", 5, 15},    // the future has none
		{1000 * time.Hour, 999 * time.Hour, "3600", 0, 0},    // long ago
	} {
		points := eip("StartTime", iso(planetest.Now.UTC().Truncate(time.Minute).Add(-c.start)), "EndTime", iso(planetest.Now.UTC().Truncate(time.Minute).Add(-c.end)), "Period", c.period)
		sum := 0
		for _, p := range points {
			sum += p.EipPackets
		}
		if len(points) != c.points || sum != c.sum*1000 {
			t.Errorf("%+v: %d points, %d packets", c, len(points), sum)
		}
	}
	r, e := w.volume("DescribeBandwidthPackagePublicIpMonitorData", "Period", "600")
	if e != nil {
		t.Fatal(e)
	}
	list := r.(*DescribeBandwidthPackagePublicIpMonitorDataResponse).MonitorDatas.MonitorData
	want := DescribeBandwidthPackagePublicIpMonitorDataMonitorData{RX: 4_000_000, TX: 1_000_000, Flow: 5_000_000, ReceivedBandwidth: 6666, TransportedBandwidth: 1666,
		Bandwidth: 8333, Packets: 30_000, TimeStamp: iso(ago(2 * time.Hour))}
	if len(list) != 6 || list[0] != want {
		t.Errorf("%+v, want 6 of %+v", list, want)
	}
	for name, value := range map[string]string{"net_rx.rate": "53333.33", "net_tx.rate": "13333.33", "net_rx.Pkgs": "33.33", "net_tx.Pkgs": "16.67", "net_tx.ratePercent": "0.27"} {
		r, e := w.volume("QueryMetricList", "Metric", name)
		if e != nil {
			t.Fatal(e)
		}
		points := r.(*QueryMetricListResponse).Datapoints.Datapoints
		if len(points) != 60 || points[0].InstanceId != w.cbwp || points[0].UserId != planetest.Alice.Account || points[0].Timestamp != ago(119*time.Minute).UnixMilli() {
			t.Fatalf("%+v", points)
		}
		if got := fmt.Sprint(points[0].Value); got != value {
			t.Errorf("%s: %s, want %s", name, got, value)
		}
	}
	r, e = w.volume("QueryMetricList", "EndTime", ago(119*time.Minute).In(beijing).Format(metricLayout))
	if e != nil {
		t.Fatal(e)
	}
	answer := `{"Period":60,"Datapoints":{"Datapoints":[{"timestamp":` + strconv.FormatInt(ago(119*time.Minute).UnixMilli(), 10) + `,"Value":13333.33,"userId":"` + planetest.Alice.Account + `","instanceId":"` + w.cbwp + `"}]},"RequestId":"R","Success":true,"Code":200}`
	if got := encoded(t, FormatJSON, r); got != answer {
		t.Errorf("got  %s\nwant %s", got, answer)
	}
}

// TestQueryMetricListOfItsService: the monitoring service's version leads to it, too.
func TestQueryMetricListOfItsService(t *testing.T) {
	w := newMonitorWorld(t)
	w.volumes(t)
	s := newSite(t, nil)
	s.actions.Actions = asAlice{w.s}
	params := w.good("QueryMetricList")
	params["Version"] = "2017-03-01"
	body, err := s.client("id").Call(t.Context(), "QueryMetricList", params)
	if err != nil {
		t.Fatal(err)
	}
	var got QueryMetricListResponse
	if err := json.Unmarshal(body, &got); err != nil || len(got.Datapoints.Datapoints) != 60 || !got.Success {
		t.Errorf("%s, %v", body, err)
	}
}
