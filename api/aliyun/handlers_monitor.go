package aliyun

import (
	"context"

	"sluice/controlplane/identity"
	"sluice/controlplane/monitor"
)

// metricOrders are the fields that metrics can be sorted by. Rx is what the
// gateway receives from the host, outbound traffic in the document's table, and
// Tx what it sends to it.
var metricOrders = map[string]monitor.Order{
	"ActiveSessionNum": monitor.ByOpen,
	"NewSessionRate":   monitor.ByOpened,
	"RxBps":            monitor.ByOutboundBytes,
	"TxBps":            monitor.ByInboundBytes,
	"RxPps":            monitor.ByOutboundPackets,
	"TxPps":            monitor.ByInboundPackets,
	"Timestamp":        monitor.ByTime,
}

// ListNatGatewayEcsMetric implements Actions.
func (s *Service) ListNatGatewayEcsMetric(_ context.Context, c identity.Caller, r *ListNatGatewayEcsMetricRequest) (*ListNatGatewayEcsMetricResponse, error) {
	q := monitor.Query{
		Region:    r.RegionId,
		Gateway:   r.NatGatewayId,
		TimePoint: int64(r.TimePoint),
		Order:     metricOrders[r.OrderKey],
		Ascending: r.OrderType == "asc",
		Addresses: one(r.PrivateIpAddress),
		Token:     given(r.NextToken),
		Size:      r.MaxResults,
	}
	if r.DryRun {
		if err := s.monitor.Check(c, q); err != nil {
			return nil, err
		}
		return nil, dryRunOperation()
	}
	page, err := s.monitor.List(c, q)
	if err != nil {
		return nil, err
	}
	out := &ListNatGatewayEcsMetricResponse{NextToken: page.Next, MaxResults: r.MaxResults}
	for _, x := range page.Rates {
		out.MetricDataList = append(out.MetricDataList, ListNatGatewayEcsMetricMetricDataListItem{
			PrivateIpAddress: x.Address.String(),
			RxBps:            int64(x.OutboundBits),
			TxBps:            int64(x.InboundBits),
			RxPps:            int64(x.OutboundPackets),
			TxPps:            int64(x.InboundPackets),
			ActiveSessionNum: int64(x.Open),
			NewSessionRate:   int64(x.Opened),
			NatGatewayId:     r.NatGatewayId,
			Timestamp:        q.TimePoint,
		})
	}
	return out, nil
}
