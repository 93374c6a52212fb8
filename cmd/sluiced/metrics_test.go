package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/api/admin"
	"sluice/api/aliyun"
)

// awaitMetrics probes until the metrics listen and returns their address.
func (r *running) awaitMetrics(t *testing.T) string {
	t.Helper()
	c := r.admin(t)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if i, err := c.Info(t.Context()); err != nil {
			t.Fatal(err)
		} else if !strings.HasSuffix(i.Metrics, ":0") {
			return i.Metrics
		}
	}
	t.Fatal("no metrics in time")
	return ""
}

// scrape returns what is at the daemon's /metrics.
func (r *running) scrape(t *testing.T) string {
	t.Helper()
	answer, err := http.Get("http://" + r.awaitMetrics(t) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v: %s", answer.StatusCode, err, text)
	}
	return string(text)
}

func TestMetrics(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	c := testConfig(t, t.TempDir())
	c.Metrics.Listen = "127.0.0.1:0"
	k := newFakeKernel()
	r := startDaemon(t, c, k)
	address := r.await(t)
	key, err := r.admin(t).CreateAccessKey(t.Context(), admin.NewAccessKey{})
	if err != nil {
		t.Fatal(err)
	}
	client := aliyun.NewClient(address, key.ID, key.Secret)
	t.Cleanup(client.HTTP.CloseIdleConnections)
	var vpc aliyun.CreateVpcResponse
	if err := client.CallInto(t.Context(), "CreateVpc", map[string]string{"RegionId": "cn-hangzhou", "CidrBlock": "10.0.0.0/16"}, &vpc); err != nil {
		t.Fatal(err)
	}
	// The dataplane follows a call a moment later.
	shows := func(want string) (text string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
			if text = r.scrape(t); strings.Contains(text, want) {
				break
			}
		}
		return text
	}
	if text := shows(`sluice_traffic_packets_total{direction="out",gateway="",vpc="` + vpc.VpcId); !strings.Contains(text, `sluice_traffic_packets_total{direction="out",gateway="",vpc="`+vpc.VpcId+`"}`) {
		t.Errorf("a VPC without a gateway:\n%s", text)
	}
	var gateway aliyun.CreateNatGatewayResponse
	if err := client.CallInto(t.Context(), "CreateNatGateway", map[string]string{"RegionId": "cn-hangzhou", "VpcId": vpc.VpcId, "Name": "office"}, &gateway); err != nil {
		t.Fatal(err)
	}
	text := shows(`sluice_traffic_packets_total{direction="out",gateway="` + gateway.NatGatewayId)
	for _, want := range []string{
		`sluice_traffic_packets_total{direction="out",gateway="` + gateway.NatGatewayId + `",vpc="` + vpc.VpcId + `"}`,
		`sluice_gateway_info{account="`, `name="office",region="cn-hangzhou",spec="Small"`,
		`sluice_networks{state="failed"} 0`, `sluice_build_info{`,
		`sluice_api_calls_total{action="CreateNatGateway",code="OK",family="aliyun"} 1`,
		`sluice_api_call_seconds_count{family="aliyun",writes="yes"} 2`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing:\n%s", want, text)
		}
	}

	// The same by the admin socket.
	networks, err := r.admin(t).Networks(t.Context())
	if err != nil || len(networks) != 1 || !slices.Equal(networks[0].Gateways, []string{gateway.NatGatewayId}) {
		t.Errorf("networks: %+v, %v", networks, err)
	}
	if got, err := r.admin(t).Traffic(t.Context(), vpc.VpcId); err != nil || got.Outbound.Packets == 0 {
		t.Errorf("traffic: %+v, %v", got, err)
	}
	if got, err := r.admin(t).Programs(t.Context(), vpc.VpcId); err != nil || len(got) != 1 || got[0].By != "tcx" {
		t.Errorf("programs: %+v, %v", got, err)
	}
	if got, err := r.admin(t).Programs(t.Context(), "vpc-none"); err != nil || len(got) != 0 {
		t.Errorf("programs of no VPC: %+v, %v", got, err)
	}
	_, err = r.admin(t).Traffic(t.Context(), "vpc-none")
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Reason != admin.NotCounted {
		t.Errorf("traffic of no VPC: %v", err)
	}

	listens := r.awaitMetrics(t)
	http.DefaultClient.CloseIdleConnections()
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", listens); err == nil {
		t.Error("the metrics still listen")
	}
}

// TestMetricsWhileStarting: what the daemon is still adopting can be watched.
func TestMetricsWhileStarting(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	c := testConfig(t, t.TempDir())
	c.Metrics.Listen = "127.0.0.1:0"
	r := startDaemon(t, c, newFakeKernel())
	address := r.await(t)
	key, err := r.admin(t).CreateAccessKey(t.Context(), admin.NewAccessKey{})
	if err != nil {
		t.Fatal(err)
	}
	client := aliyun.NewClient(address, key.ID, key.Secret)
	t.Cleanup(client.HTTP.CloseIdleConnections)
	if _, err := client.Call(t.Context(), "CreateVpc", map[string]string{"RegionId": "cn-hangzhou"}); err != nil {
		t.Fatal(err)
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	k := newFakeKernel()
	k.hold = make(chan struct{})
	r = startDaemon(t, c, k)
	if text := r.scrape(t); !strings.Contains(text, `sluice_networks{state="pending"} 1`) || strings.Contains(text, "sluice_traffic") {
		t.Errorf("while starting:\n%s", text)
	}
	close(k.hold)
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

func TestMetricsPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := testConfig(t, t.TempDir())
	c.Metrics.Listen = taken.Addr().String()
	r := startDaemon(t, c, newFakeKernel())
	err = <-r.ended
	if err == nil || !strings.HasPrefix(err.Error(), "metrics: listen on "+c.Metrics.Listen+": ") || !strings.Contains(err.Error(), "address already in use") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a port that is taken: %v", err)
	}
}
