package tencent3

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	sdkerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"

	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

func nonce() string { return strconv.Itoa(1 + rand.IntN(1<<30)) }

func seconds10(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// secretOf is the secret that a list of parameters is signed with.
func secretOf(list []pair) (secret string, method func() hash.Hash) {
	method = sha1.New
	for _, p := range list {
		switch {
		case p.name == "SecretId":
			secret = testKeys[p.value].Secret
		case p.name == "SignatureMethod" && p.value == "HmacSHA256":
			method = sha256.New
		}
	}
	return secret, method
}

// signed is a form of the parameters with their signature of version 1.
func signed(method, host string, list []pair) string {
	secret, mac := secretOf(list)
	list = append(list, pair{"Signature", base64.StdEncoding.EncodeToString(sum(mac, []byte(secret), signedV1(method, host, list)))})
	var parts []string
	for _, p := range list {
		parts = append(parts, url.QueryEscape(p.name)+"="+url.QueryEscape(p.value))
	}
	return strings.Join(parts, "&")
}

// refusedWith says whether the public client was refused with a code.
func refusedWith(err error, code string) bool {
	e, ok := errors.AsType[*sdkerrors.TencentCloudSDKError](err)
	return ok && e.Code == code && e.RequestId != "" && e.Message != ""
}

// TestSDK: the public client, as it is, makes, changes, lists and deletes what there is, by
// each of the ways in which it sends and signs.
func TestSDK(t *testing.T) {
	for _, how := range []struct{ method, signature string }{
		{"POST", "TC3-HMAC-SHA256"}, {"GET", "TC3-HMAC-SHA256"}, {"GET", "HmacSHA1"}, {"GET", "HmacSHA256"}, {"POST", "HmacSHA1"}, {"POST", "HmacSHA256"},
	} {
		t.Run(how.method+" "+how.signature, func(t *testing.T) {
			w := newWorld(t)
			w.round(w.client("AKIDalice", how.method, how.signature))
		})
	}
}

// must fails the test for an error of the client.
func must[R any](t *testing.T) func(r R, err error) R {
	return func(r R, err error) R {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

func (w *world) round(c *vpcsdk.Client) {
	t := w.t
	t.Helper()
	made := vpcsdk.NewCreateVpcRequest()
	made.VpcName, made.CidrBlock = ptr("产品 & co"), ptr("10.8.0.0/16")
	made.DnsServers, made.DomainName = []*string{ptr("10.8.0.2"), ptr("183.60.82.98")}, ptr("example.com")
	vpc := must[*vpcsdk.CreateVpcResponse](t)(c.CreateVpc(made)).Response.Vpc
	if *vpc.VpcName != "产品 & co" || *vpc.CidrBlock != "10.8.0.0/16" || *vpc.IsDefault || !strings.HasPrefix(*vpc.VpcId, "vpc-") || len(*vpc.VpcId) != len("vpc-4tboefn3") {
		t.Errorf("made was %+v", vpc)
	}

	sub := vpcsdk.NewCreateSubnetRequest()
	sub.VpcId, sub.SubnetName, sub.CidrBlock, sub.Zone = vpc.VpcId, ptr("front"), ptr("10.8.1.0/24"), ptr(planetest.Zone)
	subnet := must[*vpcsdk.CreateSubnetResponse](t)(c.CreateSubnet(sub)).Response.Subnet
	if *subnet.AvailableIpAddressCount != 253 || !strings.HasPrefix(*subnet.SubnetId, "subnet-") || *subnet.RouteTableId == "" {
		t.Errorf("made was %+v", subnet)
	}
	main := *subnet.RouteTableId
	host := w.Instance(*subnet.SubnetId, "10.8.1.10", resource.Host)

	table := vpcsdk.NewCreateRouteTableRequest()
	table.VpcId, table.RouteTableName = vpc.VpcId, ptr("special")
	rtb := must[*vpcsdk.CreateRouteTableResponse](t)(c.CreateRouteTable(table)).Response.RouteTable
	if *rtb.Main || len(rtb.RouteSet) != 0 || len(rtb.AssociationSet) != 0 {
		t.Errorf("made was %+v", rtb)
	}
	replace := vpcsdk.NewReplaceRouteTableAssociationRequest()
	replace.SubnetId, replace.RouteTableId = subnet.SubnetId, rtb.RouteTableId
	must[*vpcsdk.ReplaceRouteTableAssociationResponse](t)(c.ReplaceRouteTableAssociation(replace))

	routes := vpcsdk.NewCreateRoutesRequest()
	routes.RouteTableId = rtb.RouteTableId
	for i := range 3 {
		routes.Routes = append(routes.Routes, &vpcsdk.Route{DestinationCidrBlock: ptr(fmt.Sprintf("192.168.%d.0/24", i)), GatewayType: ptr("NORMAL_CVM"), GatewayId: ptr("10.8.1.10"), RouteDescription: ptr("a way")})
	}
	must[*vpcsdk.CreateRoutesResponse](t)(c.CreateRoutes(routes))
	shown := w.table(c, rtb.RouteTableId)
	if len(shown.RouteSet) != 3 || len(shown.AssociationSet) != 1 || *shown.AssociationSet[0].SubnetId != *subnet.SubnetId {
		t.Fatalf("the table is %+v", shown)
	}
	if r := shown.RouteSet[1]; *r.DestinationCidrBlock != "192.168.1.0/24" || *r.GatewayId != "10.8.1.10" || *r.GatewayType != "NORMAL_CVM" || *r.RouteDescription != "a way" {
		t.Errorf("a route is %+v", r)
	}
	swap := vpcsdk.NewReplaceRoutesRequest()
	swap.RouteTableId = rtb.RouteTableId
	swap.Routes = []*vpcsdk.Route{{RouteId: shown.RouteSet[1].RouteId, DestinationCidrBlock: ptr("192.168.9.0/24"), GatewayType: ptr("NORMAL_CVM"), GatewayId: &host}}
	must[*vpcsdk.ReplaceRoutesResponse](t)(c.ReplaceRoutes(swap))
	drop := vpcsdk.NewDeleteRoutesRequest()
	drop.RouteTableId = rtb.RouteTableId
	drop.Routes = []*vpcsdk.Route{{RouteId: shown.RouteSet[0].RouteId}}
	must[*vpcsdk.DeleteRoutesResponse](t)(c.DeleteRoutes(drop))
	if got := destinations(w.table(c, rtb.RouteTableId)); got != "192.168.2.0/24 192.168.9.0/24" {
		t.Errorf("the routes are %s", got)
	}
	reset := vpcsdk.NewResetRoutesRequest()
	reset.RouteTableId, reset.RouteTableName = rtb.RouteTableId, ptr("other")
	reset.Routes = []*vpcsdk.Route{{DestinationCidrBlock: ptr("0.0.0.0/0"), GatewayType: ptr("NORMAL_CVM"), GatewayId: ptr("10.8.1.10")}}
	must[*vpcsdk.ResetRoutesResponse](t)(c.ResetRoutes(reset))
	if shown = w.table(c, rtb.RouteTableId); destinations(shown) != "0.0.0.0/0" || *shown.RouteTableName != "other" {
		t.Errorf("the table is %+v", shown)
	}

	filter := vpcsdk.NewDescribeSubnetsRequest()
	filter.Filters = []*vpcsdk.Filter{{Name: ptr("vpc-id"), Values: []*string{vpc.VpcId}}, {Name: ptr("cidr-block"), Values: []*string{ptr("10.8.1.0"), ptr("10.9.0.0/24")}}}
	if list := must[*vpcsdk.DescribeSubnetsResponse](t)(c.DescribeSubnets(filter)).Response; *list.TotalCount != 1 || *list.SubnetSet[0].SubnetId != *subnet.SubnetId {
		t.Errorf("subnets listed: %+v", list)
	}
	filter.SubnetIds = []*string{subnet.SubnetId}
	if _, err := c.DescribeSubnets(filter); !refusedWith(err, "InvalidParameter.Coexist") {
		t.Errorf("ids and filters: %v", err)
	}

	change := vpcsdk.NewModifyVpcAttributeRequest()
	change.VpcId, change.VpcName, change.DnsServers = vpc.VpcId, ptr("renamed"), []*string{ptr("8.8.8.8")}
	must[*vpcsdk.ModifyVpcAttributeResponse](t)(c.ModifyVpcAttribute(change))
	list := vpcsdk.NewDescribeVpcsRequest()
	list.VpcIds = []*string{vpc.VpcId}
	if v := must[*vpcsdk.DescribeVpcsResponse](t)(c.DescribeVpcs(list)).Response.VpcSet[0]; *v.VpcName != "renamed" || len(v.DnsServerSet) != 1 || *v.DomainName != "example.com" {
		t.Errorf("changed is %+v", v)
	}
	rename := vpcsdk.NewModifySubnetAttributeRequest()
	rename.SubnetId, rename.SubnetName, rename.EnableBroadcast = subnet.SubnetId, ptr("back"), ptr("true")
	must[*vpcsdk.ModifySubnetAttributeResponse](t)(c.ModifySubnetAttribute(rename))

	gone := vpcsdk.NewDeleteVpcRequest()
	gone.VpcId = vpc.VpcId
	if _, err := c.DeleteVpc(gone); !refusedWith(err, "ResourceInUse") {
		t.Errorf("a VPC with a subnet: %v", err)
	}
	back := vpcsdk.NewReplaceRouteTableAssociationRequest()
	back.SubnetId, back.RouteTableId = subnet.SubnetId, &main
	must[*vpcsdk.ReplaceRouteTableAssociationResponse](t)(c.ReplaceRouteTableAssociation(back))
	empty := vpcsdk.NewDeleteRoutesRequest()
	empty.RouteTableId = rtb.RouteTableId
	empty.Routes = []*vpcsdk.Route{{RouteId: shown.RouteSet[0].RouteId}}
	must[*vpcsdk.DeleteRoutesResponse](t)(c.DeleteRoutes(empty))
	noTable := vpcsdk.NewDeleteRouteTableRequest()
	noTable.RouteTableId = rtb.RouteTableId
	must[*vpcsdk.DeleteRouteTableResponse](t)(c.DeleteRouteTable(noTable))
	if err := w.Inventory.Remove(ctx, host); err != nil {
		t.Fatal(err)
	}
	noSubnet := vpcsdk.NewDeleteSubnetRequest()
	noSubnet.SubnetId = subnet.SubnetId
	must[*vpcsdk.DeleteSubnetResponse](t)(c.DeleteSubnet(noSubnet))
	must[*vpcsdk.DeleteVpcResponse](t)(c.DeleteVpc(gone))
	if _, err := c.DescribeVpcs(list); !refusedWith(err, "ResourceNotFound") {
		t.Errorf("a VPC that is gone: %v", err)
	}

	def := must[*vpcsdk.CreateDefaultVpcResponse](t)(c.CreateDefaultVpc(vpcsdk.NewCreateDefaultVpcRequest())).Response.Vpc
	again := must[*vpcsdk.CreateDefaultVpcResponse](t)(c.CreateDefaultVpc(vpcsdk.NewCreateDefaultVpcRequest())).Response.Vpc
	if *def.VpcId != *again.VpcId || *def.SubnetId != *again.SubnetId {
		t.Errorf("default VPCs %+v and %+v", def, again)
	}
	only := vpcsdk.NewDescribeVpcsRequest()
	only.Filters = []*vpcsdk.Filter{{Name: ptr("is-default"), Values: []*string{ptr("true")}}}
	if l := must[*vpcsdk.DescribeVpcsResponse](t)(c.DescribeVpcs(only)).Response; *l.TotalCount != 1 || *l.VpcSet[0].VpcId != *def.VpcId {
		t.Errorf("default VPCs listed: %+v", l)
	}
}

func (w *world) table(c *vpcsdk.Client, id *string) *vpcsdk.RouteTable {
	w.t.Helper()
	r := vpcsdk.NewDescribeRouteTablesRequest()
	r.RouteTableIds = []*string{id}
	return must[*vpcsdk.DescribeRouteTablesResponse](w.t)(c.DescribeRouteTables(r)).Response.RouteTableSet[0]
}

func destinations(t *vpcsdk.RouteTable) string {
	var list []string
	for _, r := range t.RouteSet {
		list = append(list, *r.DestinationCidrBlock)
	}
	return strings.Join(list, " ")
}
