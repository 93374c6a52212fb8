package aliyun

import (
	"strings"
	"testing"

	"sluice/controlplane/planetest"
)

// The answers are spelt as the documents' examples: names, nesting, numbers.
func TestVPNGatewayAnswers(t *testing.T) {
	w := newVGWWorld(t)
	tell := strings.NewReplacer(w.vpc, "VPC", w.vswitch, "VSW", w.gateway, "VPN", w.cgw, "CGW")
	show := func(f Format, action string, change ...string) string {
		t.Helper()
		return tell.Replace(encoded(t, f, w.must(t, action, w.good(action, change...))))
	}
	same := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
		}
	}
	ip := w.must(t, "DescribeVpnGateway", w.good("DescribeVpnGateway")).(*DescribeVpnGatewayResponse).InternetIp
	tell = strings.NewReplacer(w.vpc, "VPC", w.vswitch, "VSW", w.gateway, "VPN", w.cgw, "CGW", ip, "IP")

	const created = "1795437015000" // planetest.Now
	same("one", show(FormatJSON, "DescribeVpnGateway"),
		`{"VpnGatewayId":"VPN","VpcId":"VPC","VSwitchId":"VSW","InternetIp":"IP","CreateTime":`+created+`,"Spec":"5M","Name":"VPN","Description":"","Status":"active","BusinessStatus":"Normal","ChargeType":"PostpayByFlow","IpsecVpn":"enable","SslVpn":"disable","SslMaxConnections":0,"AutoPropagate":false,"EnableBgp":false,"NetworkType":"public","VpnType":"Normal","ResourceGroupId":"rg-5wm4aupzpozjgnu","Tags":{"Tag":[]},"RequestId":"R"}`)
	same("listed", show(FormatXML, "DescribeVpnGateways", "VpnGatewayId", w.gateway, "PageSize", "1"),
		declaration+`<DescribeVpnGatewaysResponse><VpnGateways><VpnGateway><VpnGatewayId>VPN</VpnGatewayId><VpcId>VPC</VpcId><VSwitchId>VSW</VSwitchId><InternetIp>IP</InternetIp><CreateTime>`+created+`</CreateTime><Spec>5M</Spec><Name>VPN</Name><Description></Description><Status>active</Status><BusinessStatus>Normal</BusinessStatus><ChargeType>PostpayByFlow</ChargeType><IpsecVpn>enable</IpsecVpn><SslVpn>disable</SslVpn><SslMaxConnections>0</SslMaxConnections><AutoPropagate>false</AutoPropagate><EnableBgp>false</EnableBgp><NetworkType>public</NetworkType><VpnType>Normal</VpnType><ResourceGroupId>rg-5wm4aupzpozjgnu</ResourceGroupId><Tags></Tags></VpnGateway></VpnGateways><TotalCount>1</TotalCount><PageNumber>1</PageNumber><PageSize>1</PageSize><RequestId>R</RequestId></DescribeVpnGatewaysResponse>`)
	same("changed", show(FormatJSON, "ModifyVpnGatewayAttribute", "Name", "办公室.1", "Description", "way out"),
		`{"VpnGatewayId":"VPN","VpcId":"VPC","VSwitchId":"VSW","InternetIp":"IP","CreateTime":`+created+`,"Spec":"5M","Name":"办公室.1","Description":"way out","Status":"active","BusinessStatus":"Normal","AutoPropagate":false,"EnableBgp":false,"IntranetIp":"10.0.1.253","ResourceGroupId":"rg-5wm4aupzpozjgnu","RequestId":"R"}`)
	same("tagged", show(FormatXML, "TagResources", "Tag.1.Value", "Finance team, 2nd floor", "Tag.2.Key", "Site"),
		declaration+`<TagResourcesResponse><RequestId>R</RequestId></TagResourcesResponse>`)
	same("tags", show(FormatJSON, "ListTagResources"),
		`{"TagResources":{"TagResource":[{"ResourceId":"VPC","ResourceType":"VPC","TagKey":"Dept","TagValue":"Finance team, 2nd floor"},{"ResourceId":"VPC","ResourceType":"VPC","TagKey":"Site","TagValue":""}]},"NextToken":"","RequestId":"R"}`)
	same("tags", show(FormatXML, "ListTagResources", "Tag.1.Key", "Site"),
		declaration+`<ListTagResourcesResponse><TagResources><TagResource><ResourceId>VPC</ResourceId><ResourceType>VPC</ResourceType><TagKey>Site</TagKey><TagValue></TagValue></TagResource></TagResources><NextToken></NextToken><RequestId>R</RequestId></ListTagResourcesResponse>`)
	// The document's heading has another spelling than its examples.
	same("untagged", show(FormatXML, "UntagResources"), declaration+`<UntagResourcesResponse><RequestId>R</RequestId></UntagResourcesResponse>`)
	same("untagged", encoded(t, FormatXML, w.must(t, "UnTagResources", w.good("UntagResources", "TagKey.1", "Site"))), declaration+`<UntagResourcesResponse><RequestId>R</RequestId></UntagResourcesResponse>`)
	same("no tags", show(FormatJSON, "ListTagResources"), `{"TagResources":{"TagResource":[]},"NextToken":"","RequestId":"R"}`)
	same("customer gateway", show(FormatJSON, "DescribeCustomerGateway"),
		`{"CustomerGatewayId":"CGW","Name":"CGW","Description":"","IpAddress":"198.51.100.1","CreateTime":`+created+`,"ResourceGroupId":"rg-5wm4aupzpozjgnu","Tags":{"Tag":[]},"RequestId":"R"}`)
	same("customer gateways", show(FormatXML, "DescribeCustomerGateways"),
		declaration+`<DescribeCustomerGatewaysResponse><CustomerGateways><CustomerGateway><CustomerGatewayId>CGW</CustomerGatewayId><Name>CGW</Name><Description></Description><IpAddress>198.51.100.1</IpAddress><CreateTime>`+created+`</CreateTime><ResourceGroupId>rg-5wm4aupzpozjgnu</ResourceGroupId><Tags></Tags></CustomerGateway></CustomerGateways><TotalCount>1</TotalCount><PageNumber>1</PageNumber><PageSize>10</PageSize><RequestId>R</RequestId></DescribeCustomerGatewaysResponse>`)
	same("deleted", show(FormatXML, "DeleteVpnGateway"), declaration+`<DeleteVpnGatewayResponse><RequestId>R</RequestId></DeleteVpnGatewayResponse>`)
	same("none left", show(FormatJSON, "DescribeVpnGateways", "VpcId", w.vpc), `{"VpnGateways":{"VpnGateway":[]},"TotalCount":0,"PageNumber":1,"PageSize":10,"RequestId":"R"}`)
}

func TestPrepaidVPNGateway(t *testing.T) {
	w := newVGWWorld(t)
	made := w.must(t, "CreateVpnGateway", w.good("CreateVpnGateway", "InstanceChargeType", "PREPAY", "Period", "12", "EnableSsl", "true", "EnableIpsec", "false", "Name", "My_vpn", "Bandwidth", "200")).(*CreateVpnGatewayResponse)
	if made.Name != "My_vpn" || made.OrderId < 1e13 || made.OrderId >= 1e14 {
		t.Errorf("made %+v", made)
	}
	g := w.must(t, "DescribeVpnGateway", w.good("DescribeVpnGateway", "VpnGatewayId", made.VpnGatewayId)).(*DescribeVpnGatewayResponse)
	if want := planetest.Now.AddDate(1, 0, 0).UnixMilli(); g.EndTime != want || g.ChargeType != "Prepay" || g.Spec != "200M" {
		t.Errorf("prepaid: %+v, want it to end at %d", g, want)
	}
	if g.IpsecVpn != "disable" || g.SslVpn != "enable" || g.SslMaxConnections != 5 {
		t.Errorf("what it serves: %+v", g)
	}
}

func TestDescribeVpnGatewaysFilters(t *testing.T) {
	w := newVGWWorld(t)
	total := func(change ...string) int {
		t.Helper()
		return w.must(t, "DescribeVpnGateways", w.good("DescribeVpnGateways", change...)).(*DescribeVpnGatewaysResponse).TotalCount
	}
	w.Stalled(func() {
		w.must(t, "CreateVpnGateway", w.good("CreateVpnGateway"))
		w.must(t, "ModifyVpnGatewayAttribute", w.good("ModifyVpnGatewayAttribute", "AutoPropagate", "true"))
		for status, want := range map[string]int{"init": 0, "provisioning": 1, "updating": 1, "active": 1, "deleting": 0} {
			if n := total("Status", status); n != want {
				t.Errorf("%d gateways are %s, want %d", n, status, want)
			}
		}
	})
	for _, c := range []struct {
		want   int
		change []string
	}{
		{3, nil},
		{3, []string{"Status", "active", "BusinessStatus", "Normal"}},
		{0, []string{"Status", "active", "BusinessStatus", "FinancialLocked"}},
		{1, []string{"VpcId", w.vpc}},
		{1, []string{"VpcId", w.vpc, "VpnGatewayId", w.gateway}},
		{0, []string{"VpcId", w.empty, "VpnGatewayId", w.gateway}},
		{0, []string{"VpnGatewayId", "vpn-none"}},
		{0, []string{"RegionId", planetest.Elsewhere}},
	} {
		if n := total(c.change...); n != c.want {
			t.Errorf("%v: %d gateways, want %d", c.change, n, c.want)
		}
	}
}
