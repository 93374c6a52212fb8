package e2e

import (
	"net/netip"
	"strconv"
	"testing"
	"time"

	"sluice/api/aliyun"
)

// TestMetric: what a host sends in a minute is in ListNatGatewayEcsMetric to
// the byte, although the daemon is killed in the middle of it. It takes up to
// two minutes, which have to pass: so it is only there with the shortcut, and
// beside other tests, on a gateway of its own.
func TestMetric(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	t.Parallel()
	g := gateways[0].another(t, "metric", "\nbandwidth: {limits: on}\n")
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	n.gateway(t)
	allocation, public := n.eip(t)
	n.call(t, "ModifyEipAddressAttribute", "AllocationId", allocation, "Bandwidth", "100") // more than is sent: nothing waits
	n.bind(t, allocation, "Nat", n.nat)
	n.snat(t, "SourceVSwitchId", n.switches[0], public)
	metric := func(minute time.Time) (got aliyun.ListNatGatewayEcsMetricResponse) {
		t.Helper()
		n.into(t, &got, "ListNatGatewayEcsMetric", "NatGatewayId", n.nat, "TimePoint", strconv.FormatInt(minute.Unix(), 10))
		return got
	}

	// The first whole minute of the gateway; by the fifth second of it, its
	// beginning has been read.
	minute := time.Now().Truncate(time.Minute).Add(time.Minute)
	<-time.After(time.Until(minute.Add(5 * time.Second)))
	const datagrams, payload, headers = 600, 1000, 28
	answered := 0
	c, err := h.dial("udp", netip.Addr{}, g.internet.echo(t, "udp"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for i := range datagrams {
		switch i {
		case datagrams / 3:
			g.killDaemon(t)
		case datagrams * 2 / 3:
			g.startDaemon(t)
		}
		// Each is answered before the next one is sent: what is sent before the
		// first answer has no shortcut.
		if _, err := c.Write(make([]byte, payload)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(make([]byte, 2*payload))
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		answered += n + headers
	}

	if got := metric(minute); len(got.MetricDataList) != 0 {
		t.Errorf("before the minute has ended: %+v", got)
	}
	<-time.After(time.Until(minute.Add(time.Minute)))
	eventually(t, "the minute", func() string {
		if len(metric(minute).MetricDataList) == 0 {
			return "it is not recorded"
		}
		return ""
	})
	got := metric(minute)
	if len(got.MetricDataList) != 1 {
		t.Fatalf("%+v", got)
	}
	x := got.MetricDataList[0]
	const length = payload + headers
	if x.PrivateIpAddress != "172.16.1.10" || x.RxPps != datagrams/60 || x.RxBps != datagrams*length*8/60 || x.TxPps != x.RxPps || x.TxBps != int64(answered)*8/60 || x.ActiveSessionNum != 1 || x.NewSessionRate != 0 || x.Timestamp != minute.Unix() {
		t.Errorf("%+v; %d packets of %d bytes were sent, and answered with %d bytes", x, datagrams, length, answered)
	}
	// All of it passed by the one elastic IP.
	var passed aliyun.DescribeEipMonitorDataResponse
	eventually(t, "the elastic IP's minute", func() string {
		n.into(t, &passed, "DescribeEipMonitorData", "AllocationId", allocation, "StartTime", minute.UTC().Format(time.RFC3339), "EndTime", minute.Add(time.Minute).UTC().Format(time.RFC3339))
		if len(passed.EipMonitorDatas.EipMonitorData) == 0 {
			return "it is not recorded"
		}
		return ""
	})
	if p := passed.EipMonitorDatas.EipMonitorData; len(p) != 1 || p[0].EipTX != datagrams*length || p[0].EipRX != answered || p[0].EipPackets != 2*datagrams {
		t.Errorf("of the elastic IP: %+v", p)
	}
	n.shortened(t, datagrams)
	if got := metric(minute.Add(-time.Minute)); len(got.MetricDataList) != 0 {
		t.Errorf("the minute in which the gateway was made: %+v", got)
	}
}
