package aliyun

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/monitor"
)

// spanOf reads a span of time, whose ends are written by a layout in a time zone; bad
// makes the refusal of one that is not.
func spanOf(start, end, layout string, zone *time.Location, period int, bad func(name string) *Error) (span monitor.Span, refusal *Error) {
	span.Period = time.Duration(period) * time.Second
	for _, x := range []struct {
		name, text string
		into       *time.Time
	}{{"StartTime", start, &span.Start}, {"EndTime", end, &span.End}} {
		var err error
		if *x.into, err = time.ParseInLocation(layout, x.text, zone); err != nil {
			return span, bad(x.name)
		}
	}
	return span, nil
}

// DescribeEipMonitorData implements Actions.
func (s *Service) DescribeEipMonitorData(_ context.Context, c identity.Caller, r *DescribeEipMonitorDataRequest) (*DescribeEipMonitorDataResponse, error) {
	span, refusal := spanOf(r.StartTime, r.EndTime, timestampLayout, time.UTC, r.Period, func(name string) *Error {
		return documented("DescribeEipMonitorData", "Invalid"+name+".Malformed", "")
	})
	if refusal != nil {
		return nil, refusal
	}
	points, err := s.monitor.ElasticIP(c, r.AllocationId, span)
	if err != nil {
		return nil, err
	}
	out := &DescribeEipMonitorDataResponse{}
	for _, p := range points {
		flow := int(p.Inbound.Bytes + p.Outbound.Bytes)
		out.EipMonitorDatas.EipMonitorData = append(out.EipMonitorDatas.EipMonitorData, DescribeEipMonitorDataEipMonitorData{
			EipRX: int(p.Inbound.Bytes), EipTX: int(p.Outbound.Bytes), EipFlow: flow, EipBandwidth: flow / r.Period,
			EipPackets: int(p.Inbound.Packets + p.Outbound.Packets), TimeStamp: timestamp(p.Time),
			IntranetFlow: flow, IntranetBandwidth: flow / r.Period,
		})
	}
	return out, nil
}

// DescribeBandwidthPackagePublicIpMonitorData implements Actions.
func (s *Service) DescribeBandwidthPackagePublicIpMonitorData(_ context.Context, c identity.Caller, r *DescribeBandwidthPackagePublicIpMonitorDataRequest) (*DescribeBandwidthPackagePublicIpMonitorDataResponse, error) {
	period, _ := strconv.Atoi(r.Period) // one of those that the decoder takes
	span, refusal := spanOf(r.StartTime, r.EndTime, timestampLayout, time.UTC, period, invalidParameter)
	if refusal != nil {
		return nil, refusal
	}
	points, err := s.monitor.PackageAddress(c, r.RegionId, r.AllocationId, span)
	if err != nil {
		return nil, err
	}
	out := &DescribeBandwidthPackagePublicIpMonitorDataResponse{}
	for _, p := range points {
		rx, tx := int(p.Inbound.Bytes), int(p.Outbound.Bytes)
		out.MonitorDatas.MonitorData = append(out.MonitorDatas.MonitorData, DescribeBandwidthPackagePublicIpMonitorDataMonitorData{
			RX: rx, TX: tx, Flow: rx + tx, ReceivedBandwidth: rx / period, TransportedBandwidth: tx / period, Bandwidth: (rx + tx) / period,
			Packets: int(p.Inbound.Packets + p.Outbound.Packets), TimeStamp: timestamp(p.Time),
		})
	}
	return out, nil
}

// beijing is the time zone of the monitoring service's times.
var beijing = time.FixedZone("", 8*60*60)

// metricLayout is the form of these.
const metricLayout = "2006-01-02 15:04:05"

// packageMetrics are the metrics of a bandwidth package, of so many seconds, at a
// bandwidth in Mbit/s.
var packageMetrics = map[string]func(p monitor.Passed, seconds, mbit float64) float64{
	"net_rx.rate": func(p monitor.Passed, seconds, _ float64) float64 { return float64(p.Inbound.Bytes) * 8 / seconds },
	"net_tx.rate": func(p monitor.Passed, seconds, _ float64) float64 { return float64(p.Outbound.Bytes) * 8 / seconds },
	"net_rx.Pkgs": func(p monitor.Passed, seconds, _ float64) float64 { return float64(p.Inbound.Packets) / seconds },
	"net_tx.Pkgs": func(p monitor.Passed, seconds, _ float64) float64 { return float64(p.Outbound.Packets) / seconds },
	"net_tx.ratePercent": func(p monitor.Passed, seconds, mbit float64) float64 {
		return float64(p.Outbound.Bytes) * 8 / seconds / (mbit * 1e6) * 100
	},
}

// QueryMetricList implements Actions. A point is named by its end.
func (s *Service) QueryMetricList(_ context.Context, c identity.Caller, r *QueryMetricListRequest) (*QueryMetricListResponse, error) {
	span, refusal := spanOf(r.StartTime, r.EndTime, metricLayout, beijing, r.Period, invalidParameter)
	switch {
	case refusal != nil:
		return nil, refusal
	case r.Dimensions == nil || given(r.Dimensions.InstanceId) == "":
		return nil, missingParameter("Dimensions")
	}
	id := *r.Dimensions.InstanceId
	points, mbit, err := s.monitor.Package(c, id, span)
	if err != nil {
		return nil, err
	}
	out := &QueryMetricListResponse{Period: r.Period, Success: true, Code: http.StatusOK}
	for _, p := range points {
		value := packageMetrics[r.Metric](p.Passed, span.Period.Seconds(), float64(mbit))
		out.Datapoints.Datapoints = append(out.Datapoints.Datapoints, QueryMetricListDatapointsItem{
			Timestamp: p.Time.Add(span.Period).UnixMilli(), Value: math.Round(value*100) / 100, UserId: c.Account, InstanceId: id,
		})
	}
	return out, nil
}
