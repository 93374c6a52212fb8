package tencent3

import (
	"strings"
	"testing"

	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"

	"sluice/controlplane/planetest"
	"sluice/controlplane/settings"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

// TestSDKVPN: the public client makes, changes, lists, asks the prices of, downloads and
// deletes what a VPN is made of.
func TestSDKVPN(t *testing.T) {
	w := newWorld(t)
	w.Settings.Prices = map[int]settings.VPNGatewayPrice{5: {Month: 380, Hour: 0.48, Traffic: 0.8}, 10: {Month: 760, Hour: 0.96, Traffic: 0.8}}
	c := w.client("AKIDalice", "POST", "TC3-HMAC-SHA256")
	vpc := w.VPC(planetest.Alice, "10.8.0.0/16").VPC

	ask := vpcsdk.NewInquiryPriceCreateVpnGatewayRequest()
	ask.InternetMaxBandwidthOut = ptr(uint64(5))
	if p := must[*vpcsdk.InquiryPriceCreateVpnGatewayResponse](t)(c.InquiryPriceCreateVpnGateway(ask)).Response.Price; *p.InstancePrice.UnitPrice != 0.48 || *p.InstancePrice.ChargeUnit != "HOUR" || *p.BandwidthPrice.UnitPrice != 0.8 || *p.BandwidthPrice.ChargeUnit != "GB" {
		t.Errorf("price by use %+v", p)
	}
	ask.InstanceChargeType, ask.InstanceChargePrepaid = ptr("PREPAID"), &vpcsdk.InstanceChargePrepaid{Period: ptr(uint64(2))}
	if p := must[*vpcsdk.InquiryPriceCreateVpnGatewayResponse](t)(c.InquiryPriceCreateVpnGateway(ask)).Response.Price; *p.InstancePrice.OriginalPrice != 760 || *p.InstancePrice.DiscountPrice != 760 {
		t.Errorf("prepaid price %+v", p)
	}
	create := vpcsdk.NewCreateVpnGatewayRequest()
	create.VpcId, create.VpnGatewayName, create.InternetMaxBandwidthOut = &vpc, ptr("TEST_POSTPAID"), ptr(uint64(5))
	g := must[*vpcsdk.CreateVpnGatewayResponse](t)(c.CreateVpnGateway(create)).Response.VpnGateway
	if !strings.HasPrefix(*g.VpnGatewayId, "vpngw-") || len(*g.VpnGatewayId) != len("vpngw-rn2yn85v") || *g.Type != "IPSEC" || *g.InstanceChargeType != "POSTPAID_BY_HOUR" || *g.ExpiredTime != "0000-00-00 00:00:00" {
		t.Errorf("made was %+v", g)
	}
	create.VpnGatewayName, create.InstanceChargeType, create.InstanceChargePrepaid = ptr("paid"), ptr("PREPAID"), &vpcsdk.InstanceChargePrepaid{Period: ptr(uint64(1)), RenewFlag: ptr("NOTIFY_AND_AUTO_RENEW")}
	paid := must[*vpcsdk.CreateVpnGatewayResponse](t)(c.CreateVpnGateway(create)).Response.VpnGateway
	renewal := vpcsdk.NewInquiryPriceRenewVpnGatewayRequest()
	renewal.VpnGatewayId, renewal.InstanceChargePrepaid = paid.VpnGatewayId, &vpcsdk.InstanceChargePrepaid{Period: ptr(uint64(3))}
	if p := must[*vpcsdk.InquiryPriceRenewVpnGatewayResponse](t)(c.InquiryPriceRenewVpnGateway(renewal)).Response.Price; *p.InstancePrice.DiscountPrice != 1140 {
		t.Errorf("price of three months %+v", p.InstancePrice)
	}
	wider := vpcsdk.NewInquiryPriceResetVpnGatewayInternetMaxBandwidthRequest()
	wider.VpnGatewayId, wider.InternetMaxBandwidthOut = paid.VpnGatewayId, ptr(uint64(10))
	if p := must[*vpcsdk.InquiryPriceResetVpnGatewayInternetMaxBandwidthResponse](t)(c.InquiryPriceResetVpnGatewayInternetMaxBandwidth(wider)).Response.Price; *p.InstancePrice.DiscountPrice < 340 || *p.InstancePrice.DiscountPrice > 400 {
		t.Errorf("price of 5 Mbit/s more for a month: %+v", p.InstancePrice)
	}
	renew := vpcsdk.NewRenewVpnGatewayRequest()
	renew.VpnGatewayId, renew.InstanceChargePrepaid = paid.VpnGatewayId, renewal.InstanceChargePrepaid
	must[*vpcsdk.RenewVpnGatewayResponse](t)(c.RenewVpnGateway(renew))
	resize := vpcsdk.NewResetVpnGatewayInternetMaxBandwidthRequest()
	resize.VpnGatewayId, resize.InternetMaxBandwidthOut = paid.VpnGatewayId, ptr(uint64(20))
	must[*vpcsdk.ResetVpnGatewayInternetMaxBandwidthResponse](t)(c.ResetVpnGatewayInternetMaxBandwidth(resize))
	plan := vpcsdk.NewModifyVpnGatewayAttributeRequest()
	plan.VpnGatewayId, plan.VpnGatewayName, plan.InstanceChargeType = paid.VpnGatewayId, ptr("renamed"), ptr("POSTPAID_BY_HOUR")
	must[*vpcsdk.ModifyVpnGatewayAttributeResponse](t)(c.ModifyVpnGatewayAttribute(plan))
	list := vpcsdk.NewDescribeVpnGatewaysRequest()
	list.Filters = []*vpcsdk.FilterObject{{Name: ptr("vpn-gateway-name"), Values: []*string{ptr("NAM")}}}
	shown := must[*vpcsdk.DescribeVpnGatewaysResponse](t)(c.DescribeVpnGateways(list)).Response
	if *shown.TotalCount != 1 || *shown.VpnGatewaySet[0].NewPurchasePlan != "PREPAID_TO_POSTPAID" || *shown.VpnGatewaySet[0].InternetMaxBandwidthOut != 20 ||
		*shown.VpnGatewaySet[0].RenewFlag != "NOTIFY_AND_MANUAL_RENEW" || *shown.VpnGatewaySet[0].PublicIpAddress == "" {
		t.Fatalf("gateways listed: %s", list.ToJsonString())
	}

	site := vpcsdk.NewCreateCustomerGatewayRequest()
	site.CustomerGatewayName, site.IpAddress = ptr("test-cgw"), ptr("58.211.1.12")
	cgw := must[*vpcsdk.CreateCustomerGatewayResponse](t)(c.CreateCustomerGateway(site)).Response.CustomerGateway
	rename := vpcsdk.NewModifyCustomerGatewayAttributeRequest()
	rename.CustomerGatewayId, rename.CustomerGatewayName = cgw.CustomerGatewayId, ptr("NewName")
	must[*vpcsdk.ModifyCustomerGatewayAttributeResponse](t)(c.ModifyCustomerGatewayAttribute(rename))
	sites := vpcsdk.NewDescribeCustomerGatewaysRequest()
	sites.Filters = []*vpcsdk.Filter{{Name: ptr("ip-address"), Values: []*string{ptr("58.211.1.12")}}, {Name: ptr("customer-gateway-id"), Values: []*string{cgw.CustomerGatewayId, ptr("cgw-none")}}}
	if l := must[*vpcsdk.DescribeCustomerGatewaysResponse](t)(c.DescribeCustomerGateways(sites)).Response; *l.TotalCount != 1 || *l.CustomerGatewaySet[0].CustomerGatewayName != "NewName" {
		t.Errorf("customer gateways listed: %+v", l)
	}
	w.connection(c, vpc, *g.VpnGatewayId, *cgw.CustomerGatewayId)

	noSite := vpcsdk.NewDeleteCustomerGatewayRequest()
	noSite.CustomerGatewayId = cgw.CustomerGatewayId
	must[*vpcsdk.DeleteCustomerGatewayResponse](t)(c.DeleteCustomerGateway(noSite))
	gone := vpcsdk.NewDeleteVpnGatewayRequest()
	gone.VpnGatewayId = g.VpnGatewayId
	must[*vpcsdk.DeleteVpnGatewayResponse](t)(c.DeleteVpnGateway(gone))
	gone.VpnGatewayId = paid.VpnGatewayId
	if _, err := c.DeleteVpnGateway(gone); !refusedWith(err, "UnsupportedOperation") {
		t.Errorf("a prepaid gateway: %v", err)
	}
}

// connection makes a connection of two pairs, and all that can be done with one.
func (w *world) connection(c *vpcsdk.Client, vpc, gateway, customer string) {
	t := w.t
	t.Helper()
	create := vpcsdk.NewCreateVpnConnectionRequest()
	create.VpcId, create.VpnGatewayId, create.CustomerGatewayId, create.VpnConnectionName, create.PreShareKey = &vpc, &gateway, &customer, ptr("TEST_CONN"), ptr("654321")
	create.SecurityPolicyDatabases = []*vpcsdk.SecurityPolicyDatabase{
		{LocalCidrBlock: ptr("10.8.4.0/24"), RemoteCidrBlock: []*string{ptr("58.211.1.0/24"), ptr("58.211.2.0/24")}},
		{LocalCidrBlock: ptr("10.8.5.0/24"), RemoteCidrBlock: []*string{ptr("58.211.2.0/24")}},
	}
	create.IKEOptionsSpecification = &vpcsdk.IKEOptionsSpecification{PropoEncryAlgorithm: ptr("AES-CBC-256"), DhGroupName: ptr("GROUP14"), RemoteIdentity: ptr("FQDN"), RemoteFqdnName: ptr("site.example"), IKEVersion: ptr("IKEV2")}
	create.IPSECOptionsSpecification = &vpcsdk.IPSECOptionsSpecification{EncryptAlgorithm: ptr("AES-CBC-192"), IntegrityAlgorithm: ptr("SHA1"), PfsDhGroup: ptr("DH-GROUP5"), IPSECSaLifetimeTraffic: ptr(uint64(2560))}
	made := must[*vpcsdk.CreateVpnConnectionResponse](t)(c.CreateVpnConnection(create)).Response.VpnConnection
	if !strings.HasPrefix(*made.VpnConnectionId, "vpnx-") || *made.NetStatus != "UNAVAILABLE" {
		t.Errorf("made was %+v", made)
	}
	list := vpcsdk.NewDescribeVpnConnectionsRequest()
	list.VpnConnectionIds = []*string{made.VpnConnectionId}
	show := func() *vpcsdk.VpnConnection {
		return must[*vpcsdk.DescribeVpnConnectionsResponse](t)(c.DescribeVpnConnections(list)).Response.VpnConnectionSet[0]
	}
	x := show()
	i, p := x.IKEOptionsSpecification, x.IPSECOptionsSpecification
	if *x.PreShareKey != "654321" || len(x.SecurityPolicyDatabaseSet) != 2 || len(x.SecurityPolicyDatabaseSet[0].RemoteCidrBlock) != 2 || *x.SecurityPolicyDatabaseSet[1].LocalCidrBlock != "10.8.5.0/24" ||
		*i.PropoEncryAlgorithm != "AES-CBC-256" || *i.PropoAuthenAlgorithm != "MD5" || *i.DhGroupName != "GROUP14" || *i.ExchangeMode != "MAIN" || *i.IKESaLifetimeSeconds != 86400 || *i.IKEVersion != "IKEV2" ||
		*i.LocalIdentity != "ADDRESS" || *i.LocalAddress == "" || *i.RemoteIdentity != "FQDN" || *i.RemoteFqdnName != "site.example" ||
		*p.EncryptAlgorithm != "AES-CBC-192" || *p.IntegrityAlgorithm != "SHA1" || *p.PfsDhGroup != "DH-GROUP5" || *p.IPSECSaLifetimeSeconds != 3600 || *p.IPSECSaLifetimeTraffic != 2560 {
		t.Errorf("shown is %+v, %+v, %+v", x, i, p)
	}
	// One pair that is not carried is a tunnel that is not there.
	stored, _ := w.DB.View().VPNConnections.Get(*made.VpnConnectionId)
	status := dataplane.VPNStatus{Connection: stored.ID, IKE: true, Child: true}
	for l, r := range stored.Policies.Pairs() {
		status.Pairs = append(status.Pairs, dataplane.VPNPair{Local: l, Remote: r, Up: true})
	}
	w.Tunnels.Set(status)
	if s := *show().NetStatus; s != "AVAILABLE" {
		t.Errorf("with all pairs: %s", s)
	}
	status.Pairs[2].Up = false
	w.Tunnels.Set(status)
	if s := *show().NetStatus; s != "UNAVAILABLE" {
		t.Errorf("without one pair: %s", s)
	}
	if routes := w.DB.View().VPNRoutes.Len(); routes != 3 {
		t.Errorf("%d routes for three pairs", routes)
	}
	// The other cloud's actions see it, and do not make more pairs of it by a change of one side.
	other, err := w.VPN.Connection(ctx, planetest.Alice, planetest.Region, stored.ID)
	if err != nil || len(other.Policies.Locals()) != 2 || len(other.Policies.Remotes()) != 2 {
		t.Errorf("%+v, %v", other, err)
	}
	if _, err := w.VPN.ModifyConnection(ctx, planetest.Alice, vpn.ConnectionChange{Region: planetest.Region, ID: stored.ID, Settings: vpn.ConnectionSettings{LocalSubnets: stored.Policies.Locals()[:1]}}); err == nil {
		t.Error("one side of several pairs was changed alone")
	}

	change := vpcsdk.NewModifyVpnConnectionAttributeRequest()
	change.VpnConnectionId, change.VpnConnectionName = made.VpnConnectionId, ptr("other")
	change.IKEOptionsSpecification = &vpcsdk.IKEOptionsSpecification{RemoteIdentity: ptr("ADDRESS")}
	must[*vpcsdk.ModifyVpnConnectionAttributeResponse](t)(c.ModifyVpnConnectionAttribute(change))
	if x = show(); *x.VpnConnectionName != "other" || *x.IKEOptionsSpecification.PropoEncryAlgorithm != "AES-CBC-256" || *x.IKEOptionsSpecification.RemoteAddress != "58.211.1.12" || len(x.SecurityPolicyDatabaseSet) != 2 {
		t.Errorf("changed is %+v", x)
	}
	reset := vpcsdk.NewResetVpnConnectionRequest()
	reset.VpnGatewayId, reset.VpnConnectionId = &gateway, made.VpnConnectionId
	must[*vpcsdk.ResetVpnConnectionResponse](t)(c.ResetVpnConnection(reset))
	if stored, _ = w.DB.View().VPNConnections.Get(stored.ID); stored.Resets != 1 {
		t.Errorf("reset %d times", stored.Resets)
	}
	vendors := must[*vpcsdk.DescribeCustomerGatewayVendorsResponse](t)(c.DescribeCustomerGatewayVendors(vpcsdk.NewDescribeCustomerGatewayVendorsRequest())).Response.CustomerGatewayVendorSet
	for _, v := range vendors {
		get := vpcsdk.NewDownloadCustomerGatewayConfigurationRequest()
		get.VpnGatewayId, get.VpnConnectionId, get.CustomerGatewayVendor, get.InterfaceName = &gateway, made.VpnConnectionId, v, ptr("eth0")
		if text := *must[*vpcsdk.DownloadCustomerGatewayConfigurationResponse](t)(c.DownloadCustomerGatewayConfiguration(get)).Response.CustomerGatewayConfiguration; !strings.Contains(text, "58.211.1.0") && !strings.Contains(text, "58.211.1.0/24") {
			t.Errorf("%s: %s", *v.VendorName, text)
		}
	}
	if len(vendors) < 2 {
		t.Errorf("vendors %d", len(vendors))
	}
	gone := vpcsdk.NewDeleteVpnConnectionRequest()
	gone.VpnGatewayId, gone.VpnConnectionId = &gateway, made.VpnConnectionId
	must[*vpcsdk.DeleteVpnConnectionResponse](t)(c.DeleteVpnConnection(gone))
	if _, err := c.DescribeVpnConnections(list); !refusedWith(err, "ResourceNotFound") {
		t.Errorf("a connection that is gone: %v", err)
	}
}
