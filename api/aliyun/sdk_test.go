package aliyun

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ram"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"
)

// sdkLacks are actions that the public client has no types for, and why: it makes any
// call with its CommonRequest, and hands the answer's text on.
var sdkLacks = map[string]string{"ListNatGatewayEcsMetric": "it is younger than the client", "ModifyEipForwardMode": "it is younger than the client",
	"AssociateGlobalAccelerationInstance": "the client does not know it, though the action that undoes it",
	"ram:ListTagResources":                "it is younger than the client",
	"QueryMetricList":                     "it is the monitoring service's", "DescribeBandwidthPackagePublicIpMonitorData": "it is older than the client",
	"CreateBandwidthPackage": older, "DescribeBandwidthPackages": older, "ModifyBandwidthPackageAttribute": older, "ModifyBandwidthPackageSpec": older,
	"AddBandwidthPackageIps": older, "RemoveBandwidthPackageIps": older, "DeleteBandwidthPackage": older}

const older = "the cloud has closed them, and the client does not know them any more"

// sdkAnswers are the types that the public clients read answers into: what their methods for
// the actions return, by names in small letters, since these differ in case only. To ask a
// client for one of its thousand methods takes long.
var sdkAnswers = sync.OnceValue(func() map[string]reflect.Type {
	answers := map[string]reflect.Type{}
	for service, client := range map[string]reflect.Type{"ram": reflect.TypeFor[*ram.Client](), "vpc": reflect.TypeFor[*vpc.Client]()} {
		for m := range client.Methods() {
			if m.Type.NumOut() > 0 && m.Type.Out(0).Kind() == reflect.Pointer {
				answers[service+":"+strings.ToLower(m.Name)] = m.Type.Out(0).Elem()
			}
		}
	}
	return answers
})

// sdkResponse makes what the public client reads an action's answer into; nil if it has no
// such action.
func sdkResponse(action string) responses.AcsResponse {
	version, name := versionOf(action)
	service := "vpc"
	if services[version] == "ram" {
		service = "ram"
	}
	of, ok := sdkAnswers()[service+":"+strings.ToLower(name)]
	if !ok {
		return nil
	}
	r := reflect.New(of)
	r.Elem().FieldByName("BaseResponse").Set(reflect.ValueOf(&responses.BaseResponse{}))
	return r.Interface().(responses.AcsResponse)
}

// documentsOnly are members that the documents have and the public client does
// not read, so that one more name here is a decision.
var documentsOnly = map[string]bool{
	"AssociateVpcCidrBlock.CidrBlock":                                                                                  true, // the newer client does
	"AssociateVpcCidrBlock.IpVersion":                                                                                  true, // likewise
	"DescribeAccessPoints.AccessPointSet.AccessPointType.AttachedRegionId":                                             true, // it reads AttachedRegionNo
	"DescribeCommonBandwidthPackages.CommonBandwidthPackages.CommonBandwidthPackage.ZoneId":                            true,
	"DescribeCommonBandwidthPackages.CommonBandwidthPackages.CommonBandwidthPackage.PublicIpAddresses.PublicIpAddress": true, // it reads PublicIpAddresse
	"DescribeEipAddresses.EipAddresses.EipAddress.Descriptpion":                                                        true, // it reads Descritpion
	"DescribeEipMonitorData.EipMonitorDatas.EipMonitorData.IntranetFlow":                                               true, // in the document's example
	"DescribeEipMonitorData.EipMonitorDatas.EipMonitorData.IntranetBandwidth":                                          true, // likewise
	"DescribePhysicalConnections.PhysicalConnectionSet.PhysicalConnectionType.ADLocation":                              true, // it reads AdLocation
	"DescribeRouteTables.RouteTables.RouteTable.RouterType":                                                            true,
	"DescribeRouteTables.RouteTables.RouteTable.RouterId":                                                              true,
	"DescribeRouteTables.RouteTables.RouteTable.RouteEntrys.RouteEntry.NextHops.NextHopItem":                           true, // it reads NextHop
	"DescribeRouterInterfaces.Instances":                                                                               true, // it reads RouterInterfaceSet
	"DescribeSslVpnClientCerts.SslVpnClientCertificateKeys":                                                            true, // it reads SslVpnClientCertKeys
	"DescribeZones.Zones.Zone.AvailableResourceCreation":                                                               true,
	"DescribeZones.Zones.Zone.AvailableDiskCategories":                                                                 true,
}

// TestPublicClientReadsEveryMember gives every member of every answer a value
// of its own and lets the unmodified public client read it, as JSON and XML.
func TestPublicClientReadsEveryMember(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	used := map[string]bool{}
	for name, r := range emptyAnswers() {
		switch why, has := sdkLacks[name], sdkResponse(name) != nil; {
		case has && why != "":
			t.Errorf("the client has a type for %s, of which is said that %s", name, why)
		case !has && why == "":
			t.Errorf("the client has no type for %s", name)
		}
		if sdkResponse(name) == nil {
			continue
		}
		var n int
		populate(reflect.ValueOf(r), &n)
		if order, ok := r.(*AllocateEipAddressResponse); ok {
			order.OrderId = "12345" // a string in the document, a number to the client, which reads either
		}
		asNumbers(r)
		var want map[string]any
		if err := json.Unmarshal([]byte(encoded(t, FormatJSON, r)), &want); err != nil {
			t.Fatal(err)
		}
		for label, f := range map[string]Format{"JSON": FormatJSON, "XML": FormatXML} {
			got := sdkResponse(name)
			body := io.NopCloser(bytes.NewReader([]byte(encoded(t, f, r))))
			if err := responses.Unmarshal(got, &http.Response{StatusCode: 200, Body: body}, label); err != nil {
				t.Errorf("%s as %s: %v", name, label, err)
				continue
			}
			compare(t, name, label, want, reflect.ValueOf(got).Elem(), used)
		}
	}
	for at := range documentsOnly {
		if !used[at] {
			t.Errorf("%s is read by the client, or not sent", at)
		}
	}
}

// asNumbers puts numbers where the documents have texts that are some, and the client reads
// numbers.
func asNumbers(r Response) {
	switch r := r.(type) {
	case *DescribePhysicalConnectionsResponse:
		for i := range r.PhysicalConnectionSet.PhysicalConnectionType {
			r.PhysicalConnectionSet.PhysicalConnectionType[i].Bandwidth = "100"
		}
	case *DescribeVirtualBorderRoutersResponse:
		for i := range r.VirtualBorderRouterSet.VirtualBorderRouterType {
			r.VirtualBorderRouterSet.VirtualBorderRouterType[i].VlanId = "7"
		}
	case *DescribeVirtualBorderRoutersForPhysicalConnectionResponse:
		all := r.VirtualBorderRouterForPhysicalConnectionSet.VirtualBorderRouterForPhysicalConnectionType
		for i := range all {
			all[i].VlanId, all[i].VbrOwnerUid = "7", "1000000000000002"
		}
	}
}

// compare checks that the client's value holds what was sent.
func compare(t *testing.T, at, label string, want any, got reflect.Value, used map[string]bool) {
	t.Helper()
	switch w := want.(type) {
	case map[string]any:
		if got.Kind() != reflect.Struct {
			t.Errorf("%s as %s: an object is read as %s", at, label, got.Type())
			return
		}
		for name, x := range w {
			inner := at + "." + name
			field, ok := fieldByTag(got, name)
			switch {
			case ok:
				compare(t, inner, label, x, field, used)
			case documentsOnly[inner]:
				used[inner] = true
			default:
				t.Errorf("%s as %s: the client does not read it", inner, label)
			}
		}
	case []any:
		if got.Kind() != reflect.Slice || got.Len() != len(w) {
			t.Errorf("%s as %s: a list of %d is read as %v", at, label, len(w), got)
			return
		}
		for i, x := range w {
			compare(t, at, label, x, got.Index(i), used)
		}
	default:
		if fmt.Sprint(want) != fmt.Sprint(got) {
			t.Errorf("%s as %s: sent %v, read %v", at, label, want, got)
		}
	}
}

func fieldByTag(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("json") == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// TestPublicClientReadsEmptyLists lets the client read answers without items.
func TestPublicClientReadsEmptyLists(t *testing.T) {
	for name, r := range emptyAnswers() {
		if sdkResponse(name) == nil { // which the test above tells of
			continue
		}
		for label, f := range map[string]Format{"JSON": FormatJSON, "XML": FormatXML} {
			body := io.NopCloser(bytes.NewReader([]byte(encoded(t, f, r))))
			if err := responses.Unmarshal(sdkResponse(name), &http.Response{StatusCode: 200, Body: body}, label); err != nil {
				t.Errorf("%s as %s: %v", name, label, err)
			}
		}
	}
}
