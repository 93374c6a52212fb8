package aliyun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	sdk "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"

	"sluice/controlplane/identity"
	"sluice/controlplane/monitor"
	"sluice/controlplane/planetest"
	"sluice/dataplane"
)

// monitorActions are the actions that this matrix is about.
var monitorActions = []string{"ListNatGatewayEcsMetric", "DescribeEipMonitorData", "DescribeBandwidthPackagePublicIpMonitorData", "QueryMetricList"}

// monitorWorld is a gateway of Alice's with a minute of traffic of 25 hosts, an
// hour before now.
type monitorWorld struct {
	*planetest.Plane
	s      *Service
	ngw    string
	theirs string // a gateway of Bob's
	minute int64

	minutes *monitor.Minutes
	eip     string // one of Alice's, alone
	inside  string // one in the package
	cbwp    string // a package of 5 Mbit/s
	theirIP string
	theirBP string
	bwp     string // a NAT bandwidth package of Alice's
	part    string // an address of it
}

func newMonitorWorld(t *testing.T) *monitorWorld {
	t.Helper()
	minutes, err := monitor.Open(filepath.Join(t.TempDir(), "minutes.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = minutes.Close() })
	p := planetest.New(t)
	now := func() time.Time { return planetest.Now }
	w := &monitorWorld{Plane: p, minutes: minutes, s: NewService(p.Network, p.EIP, p.Bandwidth, p.NAT, monitor.New(p.DB, p.Settings, minutes, 24*time.Hour, now), p.VPN, p.Links, p.Tags, p.RAM, p.HaVip, p.Lines, p.Acceleration)}
	w.ngw = p.Gateway(planetest.Alice, p.VPC(planetest.Alice, "192.168.0.0/16").VPC).ID
	w.theirs = p.Gateway(planetest.Bob, p.VPC(planetest.Bob, "192.168.0.0/16").VPC).ID
	w.minute = planetest.Now.Truncate(time.Minute).Add(-time.Hour).Unix()
	var rows []monitor.Row
	for i := range uint64(25) {
		rows = append(rows, monitor.Row{Address: netip.AddrFrom4([4]byte{192, 168, 0, byte(30 + i)}), Counts: monitor.Counts{
			// 192.168.0.48 has what the document's example shows.
			Outbound: dataplane.Volume{Bytes: 8700 + 8*(i%23), Packets: 120}, Inbound: dataplane.Volume{Bytes: 341930 + i, Packets: 240 + 60*(i%18)},
			Open: 24 - i, Opened: 29 + (i % 18),
		}})
	}
	for _, r := range []struct {
		end  int64
		rows []monitor.Row
	}{{w.minute, nil}, {w.minute + 60, rows}} {
		err := minutes.Record(r.end, []monitor.Reading{{Gateway: w.ngw, Rows: r.rows}}, func(string) bool { return true }, 0)
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// call makes a call of Alice's with good parameters, changed by name and value;
// an empty value leaves the parameter out.
func (w *monitorWorld) call(change ...string) (*ListNatGatewayEcsMetricResponse, *Error) {
	values := map[string]string{"RegionId": planetest.Region, "NatGatewayId": w.ngw, "TimePoint": strconv.FormatInt(w.minute, 10)}
	for i := 0; i < len(change); i += 2 {
		values[change[i]] = change[i+1]
	}
	p := NewParams()
	for name, v := range values {
		if v != "" {
			p.Add(name, v)
		}
	}
	r, e := Dispatch(context.Background(), w.s, planetest.Alice, "ListNatGatewayEcsMetric", p)
	if e != nil {
		return nil, e
	}
	return r.(*ListNatGatewayEcsMetricResponse), nil
}

func (w *monitorWorld) must(t *testing.T, change ...string) *ListNatGatewayEcsMetricResponse {
	t.Helper()
	r, e := w.call(change...)
	if e != nil {
		t.Fatalf("%v: %v", change, e)
	}
	return r
}

func TestMetricErrors(t *testing.T) {
	w := newMonitorWorld(t)
	next := w.must(t).NextToken
	at := func(d time.Duration) string {
		return strconv.FormatInt(planetest.Now.Truncate(time.Minute).Add(d).Unix(), 10)
	}
	bad := func(name string) Error { return *invalidParameter(name) }
	gone := Error{404, "InvalidNatGatewayId.NotFound", "The specified NatGatewayId does not exist in our records."}
	for _, c := range []struct {
		change []string
		want   Error // the zero Error: none
	}{
		{[]string{"RegionId", ""}, *missingParameter("RegionId")},
		{[]string{"NatGatewayId", ""}, *missingParameter("NatGatewayId")},
		{[]string{"TimePoint", ""}, *missingParameter("TimePoint")},
		{[]string{"RegionId", "mars"}, Error{404, "InvalidRegionId.NotFound", `Specified value of "RegionId" is not supported.`}},
		{[]string{"RegionId", planetest.Elsewhere}, gone},
		{[]string{"NatGatewayId", "ngw-none"}, gone},
		{[]string{"NatGatewayId", w.theirs}, gone},
		{[]string{"TimePoint", "noon"}, bad("TimePoint")},
		{[]string{"TimePoint", "-60"}, bad("TimePoint")},
		{[]string{"TimePoint", "1602653760.5"}, bad("TimePoint")},
		{[]string{"TimePoint", "9223372036854775807"}, bad("TimePoint")},
		{[]string{"TimePoint", "9223372036854775808"}, bad("TimePoint")},
		{[]string{"TimePoint", strconv.FormatInt(w.minute+1, 10)}, bad("TimePoint")},
		{[]string{"TimePoint", at(time.Minute)}, bad("TimePoint")},
		{[]string{"TimePoint", at(0)}, Error{}},
		{[]string{"TimePoint", at(-24*time.Hour + time.Minute)}, Error{}},
		{[]string{"TimePoint", at(-24 * time.Hour)}, bad("TimePoint")},
		{[]string{"DryRun", "perhaps"}, bad("DryRun")},
		{[]string{"OrderKey", "PrivateIpAddress"}, bad("OrderKey")},
		{[]string{"OrderKey", "NatGatewayId"}, bad("OrderKey")},
		{[]string{"OrderKey", "rxbps"}, bad("OrderKey")},
		{[]string{"OrderType", "down"}, bad("OrderType")},
		{[]string{"PrivateIpAddress", "192.168.0.0/24"}, bad("PrivateIpAddress")},
		{[]string{"PrivateIpAddress", "host"}, bad("PrivateIpAddress")},
		{[]string{"NextToken", "caeba0bbb2be03f84eb48b699f0a4883"}, bad("NextToken")},
		{[]string{"NextToken", "next"}, bad("NextToken")},
		{[]string{"NextToken", next, "OrderType", "asc"}, bad("NextToken")},
		{[]string{"NextToken", next, "OrderKey", "RxBps"}, bad("NextToken")},
		{[]string{"NextToken", next, "MaxResults", "10"}, Error{}},
		{[]string{"MaxResults", "9"}, bad("MaxResults")},
		{[]string{"MaxResults", "21"}, bad("MaxResults")},
		{[]string{"MaxResults", "ten"}, bad("MaxResults")},
	} {
		for _, dry := range []bool{false, true} {
			change, want := c.change, c.want
			if dry && c.change[0] != "DryRun" {
				change = append([]string{"DryRun", "true"}, change...)
				if want == (Error{}) {
					want = *dryRunOperation()
				}
			}
			_, e := w.call(change...)
			if e == nil {
				e = &Error{}
			}
			if withoutReason(e) != withoutReason(&want) {
				t.Errorf("%v: %v\nwant %v", change, e, &want)
			}
		}
	}
	if _, e := w.call("DryRun", "True"); e == nil || *e != (Error{400, "DryRunOperation", "Request validation has been passed with DryRun flag set."}) {
		t.Errorf("dry run: %v", e)
	}
}

// TestMetricAnswer: the answer of the document's example, but for the ids and
// MaxResults.
func TestMetricAnswer(t *testing.T) {
	w := newMonitorWorld(t)
	r := w.must(t, "PrivateIpAddress", "192.168.0.48")
	item := fmt.Sprintf(`"NatGatewayId":"%s","Timestamp":%d`, w.ngw, w.minute)
	for format, want := range map[Format]string{
		FormatJSON: `{"RequestId":"R","NextToken":"","MaxResults":20,"MetricDataList":[{"PrivateIpAddress":"192.168.0.48","RxBps":1179,"TxBps":45593,"RxPps":2,"TxPps":4,"ActiveSessionNum":6,"NewSessionRate":0,` + item + `}]}`,
		FormatXML: declaration + `<ListNatGatewayEcsMetricResponse><RequestId>R</RequestId><NextToken></NextToken><MaxResults>20</MaxResults><MetricDataList><PrivateIpAddress>192.168.0.48</PrivateIpAddress>` +
			`<RxBps>1179</RxBps><TxBps>45593</TxBps><RxPps>2</RxPps><TxPps>4</TxPps><ActiveSessionNum>6</ActiveSessionNum><NewSessionRate>0</NewSessionRate><NatGatewayId>` + w.ngw + `</NatGatewayId><Timestamp>` + strconv.FormatInt(w.minute, 10) + `</Timestamp></MetricDataList></ListNatGatewayEcsMetricResponse>`,
	} {
		if got := encoded(t, format, r); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	r = w.must(t, "PrivateIpAddress", "10.0.0.1")
	if got, want := encoded(t, FormatJSON, r), `{"RequestId":"R","NextToken":"","MaxResults":20,"MetricDataList":[]}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := encoded(t, FormatXML, r), declaration+`<ListNatGatewayEcsMetricResponse><RequestId>R</RequestId><NextToken></NextToken><MaxResults>20</MaxResults></ListNatGatewayEcsMetricResponse>`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestMetricOrder: every order goes by its own member, in both directions.
func TestMetricOrder(t *testing.T) {
	w := newMonitorWorld(t)
	value := map[string]func(ListNatGatewayEcsMetricMetricDataListItem) int64{
		"":                 func(x ListNatGatewayEcsMetricMetricDataListItem) int64 { return x.ActiveSessionNum },
		"ActiveSessionNum": func(x ListNatGatewayEcsMetricMetricDataListItem) int64 { return x.ActiveSessionNum },
		"NewSessionRate":   func(x ListNatGatewayEcsMetricMetricDataListItem) int64 { return x.NewSessionRate },
		"RxBps":            func(x ListNatGatewayEcsMetricMetricDataListItem) int64 { return x.RxBps },
		"TxBps":            func(x ListNatGatewayEcsMetricMetricDataListItem) int64 { return x.TxBps },
		"RxPps":            func(x ListNatGatewayEcsMetricMetricDataListItem) int64 { return x.RxPps },
		"TxPps":            func(x ListNatGatewayEcsMetricMetricDataListItem) int64 { return x.TxPps },
		"Timestamp":        func(x ListNatGatewayEcsMetricMetricDataListItem) int64 { return x.Timestamp },
	}
	for key := range metricOrders {
		if value[key] == nil {
			t.Errorf("%s is not tested", key)
		}
	}
	for key, of := range value {
		for _, direction := range []string{"", "desc", "asc"} {
			var all []ListNatGatewayEcsMetricMetricDataListItem
			seen := map[string]bool{}
			for token, pages := "", 0; pages == 0 || token != ""; pages++ {
				r := w.must(t, "OrderKey", key, "OrderType", direction, "MaxResults", "10", "NextToken", token)
				if r.MaxResults != 10 || len(r.MetricDataList) > 10 || pages > 2 {
					t.Fatalf("page %d: %+v", pages, r)
				}
				for _, x := range r.MetricDataList {
					seen[x.PrivateIpAddress] = true
				}
				all, token = append(all, r.MetricDataList...), r.NextToken
			}
			for i := 1; i < len(all); i++ {
				if a, b := of(all[i-1]), of(all[i]); direction == "asc" && a > b || direction != "asc" && a < b {
					t.Errorf("%s %s: %d before %d", key, direction, a, b)
				}
			}
			if len(seen) != 25 || len(all) != 25 {
				t.Errorf("%s %s: %d rows, %d addresses of 25", key, direction, len(all), len(seen))
			}
		}
	}
}

// asAlice makes calls of whoever calls Alice's.
type asAlice struct{ Actions }

func (a asAlice) QueryMetricList(ctx context.Context, _ identity.Caller, r *QueryMetricListRequest) (*QueryMetricListResponse, error) {
	return a.Actions.QueryMetricList(ctx, planetest.Alice, r)
}

func (a asAlice) ListNatGatewayEcsMetric(ctx context.Context, c identity.Caller, r *ListNatGatewayEcsMetricRequest) (*ListNatGatewayEcsMetricResponse, error) {
	c.Account = planetest.Alice.Account
	return a.Actions.ListNatGatewayEcsMetric(ctx, c, r)
}

// TestPublicClientAsksForMetrics: the public client has no type for the action,
// and calls it as it does any such.
func TestPublicClientAsksForMetrics(t *testing.T) {
	w := newMonitorWorld(t)
	site := httptest.NewServer(realServer(asAlice{w.s}))
	defer site.Close()
	client, err := vpc.NewClientWithAccessKey(planetest.Region, "id", "secret")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(params map[string]string) (got ListNatGatewayEcsMetricResponse, err error) {
		r := requests.NewCommonRequest()
		r.Scheme, r.Domain, r.Version, r.ApiName = "http", site.Listener.Addr().String(), Version, "ListNatGatewayEcsMetric"
		r.QueryParams = map[string]string{"RegionId": planetest.Region, "NatGatewayId": w.ngw, "TimePoint": strconv.FormatInt(w.minute, 10)}
		for name, v := range params {
			r.QueryParams[name] = v
		}
		answer, err := client.ProcessCommonRequest(r)
		if err != nil {
			return got, err
		}
		return got, json.Unmarshal(answer.GetHttpContentBytes(), &got)
	}
	got, err := ask(nil)
	if err != nil || len(got.MetricDataList) != 20 || got.NextToken == "" {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err = ask(map[string]string{"NextToken": got.NextToken}); err != nil || len(got.MetricDataList) != 5 || got.NextToken != "" {
		t.Errorf("second page: %+v, %v", got, err)
	}
	_, err = ask(map[string]string{"DryRun": "true"})
	var refused *sdk.ServerError
	if !errors.As(err, &refused) || refused.ErrorCode() != "DryRunOperation" || refused.HttpStatus() != 400 {
		t.Errorf("dry run: %v", err)
	}
}
