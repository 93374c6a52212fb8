package aliyun

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"
)

// sdkResponses makes the public client's answer types.
var sdkResponses = map[string]func() responses.AcsResponse{
	"AllocateEipAddress":          func() responses.AcsResponse { return vpc.CreateAllocateEipAddressResponse() },
	"AssociateEipAddress":         func() responses.AcsResponse { return vpc.CreateAssociateEipAddressResponse() },
	"CreateForwardEntry":          func() responses.AcsResponse { return vpc.CreateCreateForwardEntryResponse() },
	"CreateNatGateway":            func() responses.AcsResponse { return vpc.CreateCreateNatGatewayResponse() },
	"CreateRouteEntry":            func() responses.AcsResponse { return vpc.CreateCreateRouteEntryResponse() },
	"CreateSnatEntry":             func() responses.AcsResponse { return vpc.CreateCreateSnatEntryResponse() },
	"CreateVSwitch":               func() responses.AcsResponse { return vpc.CreateCreateVSwitchResponse() },
	"CreateVpc":                   func() responses.AcsResponse { return vpc.CreateCreateVpcResponse() },
	"DeleteForwardEntry":          func() responses.AcsResponse { return vpc.CreateDeleteForwardEntryResponse() },
	"DeleteNatGateway":            func() responses.AcsResponse { return vpc.CreateDeleteNatGatewayResponse() },
	"DeleteRouteEntry":            func() responses.AcsResponse { return vpc.CreateDeleteRouteEntryResponse() },
	"DeleteSnatEntry":             func() responses.AcsResponse { return vpc.CreateDeleteSnatEntryResponse() },
	"DeleteVSwitch":               func() responses.AcsResponse { return vpc.CreateDeleteVSwitchResponse() },
	"DeleteVpc":                   func() responses.AcsResponse { return vpc.CreateDeleteVpcResponse() },
	"DescribeAccessPoints":        func() responses.AcsResponse { return vpc.CreateDescribeAccessPointsResponse() },
	"DescribeEipAddresses":        func() responses.AcsResponse { return vpc.CreateDescribeEipAddressesResponse() },
	"DescribeForwardTableEntries": func() responses.AcsResponse { return vpc.CreateDescribeForwardTableEntriesResponse() },
	"DescribeNatGateways":         func() responses.AcsResponse { return vpc.CreateDescribeNatGatewaysResponse() },
	"DescribeRegions":             func() responses.AcsResponse { return vpc.CreateDescribeRegionsResponse() },
	"DescribeRouteTables":         func() responses.AcsResponse { return vpc.CreateDescribeRouteTablesResponse() },
	"DescribeSnatTableEntries":    func() responses.AcsResponse { return vpc.CreateDescribeSnatTableEntriesResponse() },
	"DescribeVRouters":            func() responses.AcsResponse { return vpc.CreateDescribeVRoutersResponse() },
	"DescribeVSwitches":           func() responses.AcsResponse { return vpc.CreateDescribeVSwitchesResponse() },
	"DescribeVpcs":                func() responses.AcsResponse { return vpc.CreateDescribeVpcsResponse() },
	"DescribeZones":               func() responses.AcsResponse { return vpc.CreateDescribeZonesResponse() },
	"ModifyEipAddressAttribute":   func() responses.AcsResponse { return vpc.CreateModifyEipAddressAttributeResponse() },
	"ModifyForwardEntry":          func() responses.AcsResponse { return vpc.CreateModifyForwardEntryResponse() },
	"ModifyNatGatewayAttribute":   func() responses.AcsResponse { return vpc.CreateModifyNatGatewayAttributeResponse() },
	"ModifyNatGatewaySpec":        func() responses.AcsResponse { return vpc.CreateModifyNatGatewaySpecResponse() },
	"ModifySnatEntry":             func() responses.AcsResponse { return vpc.CreateModifySnatEntryResponse() },
	"ModifyVRouterAttribute":      func() responses.AcsResponse { return vpc.CreateModifyVRouterAttributeResponse() },
	"ModifyVSwitchAttribute":      func() responses.AcsResponse { return vpc.CreateModifyVSwitchAttributeResponse() },
	"ModifyVpcAttribute":          func() responses.AcsResponse { return vpc.CreateModifyVpcAttributeResponse() },
	"ReleaseEipAddress":           func() responses.AcsResponse { return vpc.CreateReleaseEipAddressResponse() },
	"UnassociateEipAddress":       func() responses.AcsResponse { return vpc.CreateUnassociateEipAddressResponse() },

	"CreateCustomerGateway":          func() responses.AcsResponse { return vpc.CreateCreateCustomerGatewayResponse() },
	"CreateVpnGateway":               func() responses.AcsResponse { return vpc.CreateCreateVpnGatewayResponse() },
	"DeleteCustomerGateway":          func() responses.AcsResponse { return vpc.CreateDeleteCustomerGatewayResponse() },
	"DeleteVpnGateway":               func() responses.AcsResponse { return vpc.CreateDeleteVpnGatewayResponse() },
	"DescribeCustomerGateway":        func() responses.AcsResponse { return vpc.CreateDescribeCustomerGatewayResponse() },
	"DescribeCustomerGateways":       func() responses.AcsResponse { return vpc.CreateDescribeCustomerGatewaysResponse() },
	"DescribeVpnGateway":             func() responses.AcsResponse { return vpc.CreateDescribeVpnGatewayResponse() },
	"DescribeVpnGateways":            func() responses.AcsResponse { return vpc.CreateDescribeVpnGatewaysResponse() },
	"ListTagResources":               func() responses.AcsResponse { return vpc.CreateListTagResourcesResponse() },
	"ModifyCustomerGatewayAttribute": func() responses.AcsResponse { return vpc.CreateModifyCustomerGatewayAttributeResponse() },
	"ModifyVpnGatewayAttribute":      func() responses.AcsResponse { return vpc.CreateModifyVpnGatewayAttributeResponse() },
	"TagResources":                   func() responses.AcsResponse { return vpc.CreateTagResourcesResponse() },
	"UntagResources":                 func() responses.AcsResponse { return vpc.CreateUnTagResourcesResponse() },
	"CreateVpnConnection":            func() responses.AcsResponse { return vpc.CreateCreateVpnConnectionResponse() },
	"ModifyVpnConnectionAttribute":   func() responses.AcsResponse { return vpc.CreateModifyVpnConnectionAttributeResponse() },
	"DescribeVpnConnections":         func() responses.AcsResponse { return vpc.CreateDescribeVpnConnectionsResponse() },
	"DescribeVpnConnection":          func() responses.AcsResponse { return vpc.CreateDescribeVpnConnectionResponse() },
	"DownloadVpnConnectionConfig":    func() responses.AcsResponse { return vpc.CreateDownloadVpnConnectionConfigResponse() },
	"DeleteVpnConnection":            func() responses.AcsResponse { return vpc.CreateDeleteVpnConnectionResponse() },
	"CreateVpnRouteEntry":            func() responses.AcsResponse { return vpc.CreateCreateVpnRouteEntryResponse() },
	"CreateVpnPbrRouteEntry":         func() responses.AcsResponse { return vpc.CreateCreateVpnPbrRouteEntryResponse() },
	"PublishVpnRouteEntry":           func() responses.AcsResponse { return vpc.CreatePublishVpnRouteEntryResponse() },
	"DescribeVpnRouteEntries":        func() responses.AcsResponse { return vpc.CreateDescribeVpnRouteEntriesResponse() },
	"DescribeVpnPbrRouteEntries":     func() responses.AcsResponse { return vpc.CreateDescribeVpnPbrRouteEntriesResponse() },
	"ModifyVpnRouteEntryWeight":      func() responses.AcsResponse { return vpc.CreateModifyVpnRouteEntryWeightResponse() },
	"ModifyVpnPbrRouteEntryWeight":   func() responses.AcsResponse { return vpc.CreateModifyVpnPbrRouteEntryWeightResponse() },
	"DeleteVpnRouteEntry":            func() responses.AcsResponse { return vpc.CreateDeleteVpnRouteEntryResponse() },
	"DeleteVpnPbrRouteEntry":         func() responses.AcsResponse { return vpc.CreateDeleteVpnPbrRouteEntryResponse() },
}

// sdkLacks are actions that the public client has no types for: it makes any
// call with its CommonRequest, and hands the answer's text on.
var sdkLacks = map[string]bool{"ListNatGatewayEcsMetric": true}

// documentsOnly are members that the documents have and the public client does
// not read, so that one more name here is a decision.
var documentsOnly = map[string]bool{
	"DescribeAccessPoints.AccessPointSet.AccessPointType.AttachedRegionId":                   true, // it reads AttachedRegionNo
	"DescribeEipAddresses.EipAddresses.EipAddress.Descriptpion":                              true, // it reads Descritpion
	"DescribeRouteTables.RouteTables.RouteTable.RouterType":                                  true,
	"DescribeRouteTables.RouteTables.RouteTable.RouterId":                                    true,
	"DescribeRouteTables.RouteTables.RouteTable.RouteEntrys.RouteEntry.NextHops.NextHopItem": true, // it reads NextHop
	"DescribeZones.Zones.Zone.AvailableResourceCreation":                                     true,
	"DescribeZones.Zones.Zone.AvailableDiskCategories":                                       true,
}

// TestPublicClientReadsEveryMember gives every member of every answer a value
// of its own and lets the unmodified public client read it, as JSON and XML.
func TestPublicClientReadsEveryMember(t *testing.T) {
	used := map[string]bool{}
	for name, r := range emptyAnswers() {
		makeSDK := sdkResponses[name]
		if sdkLacks[name] {
			continue
		}
		if makeSDK == nil {
			t.Errorf("the test has no client type for %s", name)
			continue
		}
		var n int
		populate(reflect.ValueOf(r), &n)
		if order, ok := r.(*AllocateEipAddressResponse); ok {
			order.OrderId = "12345" // a string in the document, a number to the client, which reads either
		}
		var want map[string]any
		if err := json.Unmarshal([]byte(encoded(t, FormatJSON, r)), &want); err != nil {
			t.Fatal(err)
		}
		for label, f := range map[string]Format{"JSON": FormatJSON, "XML": FormatXML} {
			got := makeSDK()
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
		if sdkLacks[name] || sdkResponses[name] == nil { // which the test above tells of
			continue
		}
		for label, f := range map[string]Format{"JSON": FormatJSON, "XML": FormatXML} {
			body := io.NopCloser(bytes.NewReader([]byte(encoded(t, f, r))))
			if err := responses.Unmarshal(sdkResponses[name](), &http.Response{StatusCode: 200, Body: body}, label); err != nil {
				t.Errorf("%s as %s: %v", name, label, err)
			}
		}
	}
}
