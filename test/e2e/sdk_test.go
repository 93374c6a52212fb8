package e2e

import (
	"encoding/xml"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"
)

// sdkClient is the public Go client, unmodified, pointed at the lab's gateway.
type sdkClient struct {
	*vpc.Client
	g      *gateway
	t      *testing.T
	format string
}

func newSDKClient(t *testing.T, g *gateway, format string) *sdkClient {
	t.Helper()
	env := g.Credentials()
	c, err := vpc.NewClientWithOptions(env.Region, sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false), credentials.NewAccessKeyCredential(env.AccessKeyID, env.AccessKeySecret))
	if err != nil {
		t.Fatal(err)
	}
	c.Domain = env.Host()
	return &sdkClient{Client: c, g: g, t: t, format: format}
}

// try sends a request in the test's format and returns the error's code, or "".
func (c *sdkClient) try(rpc *requests.RpcRequest, req requests.AcsRequest, resp responses.AcsResponse) string {
	c.t.Helper()
	rpc.AcceptFormat = c.format
	rpc.Scheme = "http"
	err := c.DoAction(req, resp)
	if err == nil {
		return ""
	}
	var server *sdkerrors.ServerError
	if errors.As(err, &server) {
		if code := server.ErrorCode(); code != "" {
			return code
		}
		// The client looks for the code in JSON only.
		var body struct{ Code string }
		if err := xml.Unmarshal(resp.GetHttpContentBytes(), &body); err != nil || body.Code == "" {
			c.t.Fatalf("%s: a refusal without a code: %v\n%s", req.GetActionName(), err, resp.GetHttpContentString())
		}
		return body.Code
	}
	c.t.Fatalf("%s: %v\n%s", req.GetActionName(), err, resp.GetHttpContentString())
	return ""
}

// do sends a request that has to succeed.
func (c *sdkClient) do(rpc *requests.RpcRequest, req requests.AcsRequest, resp responses.AcsResponse) {
	c.t.Helper()
	if code := c.try(rpc, req, resp); code != "" {
		c.t.Fatalf("%s: %s\n%s", req.GetActionName(), code, resp.GetHttpContentString())
	}
}

// eventually repeats check until it returns "", and fails with what it said last.
func eventually(t *testing.T, what string, check func() string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute) // an emulated processor is slow
	for {
		began := time.Now()
		said := check()
		if said == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s", what, said)
		}
		// Between probes; longer ones are made less often, as they take from the
		// daemon the processor that it needs to get there.
		time.Sleep(min(max(10*time.Millisecond, 3*time.Since(began)), 100*time.Millisecond))
	}
}

// TestPublicSDK runs the unmodified public client through every resource:
// create, describe, modify, delete, in both formats. That client is not for use
// by several goroutines, so this is done on one gateway after the other.
func TestPublicSDK(t *testing.T) {
	for _, g := range gateways {
		for _, format := range []string{"JSON", "XML"} {
			t.Run(g.way()+"/"+format, func(t *testing.T) { publicSDK(t, newSDKClient(t, g, format)) })
		}
	}
}

func publicSDK(t *testing.T, c *sdkClient) {
	g := c.g
	region := g.Credentials().Region

	regions, regionsResp := vpc.CreateDescribeRegionsRequest(), vpc.CreateDescribeRegionsResponse()
	c.do(regions.RpcRequest, regions, regionsResp)
	if len(regionsResp.Regions.Region) == 0 || regionsResp.Regions.Region[0].RegionId == "" {
		t.Fatalf("no region: %s", regionsResp.GetHttpContentString())
	}
	zones, zonesResp := vpc.CreateDescribeZonesRequest(), vpc.CreateDescribeZonesResponse()
	zones.RegionId = region
	c.do(zones.RpcRequest, zones, zonesResp)
	if len(zonesResp.Zones.Zone) == 0 {
		t.Fatalf("no zone: %s", zonesResp.GetHttpContentString())
	}
	zone := zonesResp.Zones.Zone[0].ZoneId

	// VPC, with its router and route table.
	create, created := vpc.CreateCreateVpcRequest(), vpc.CreateCreateVpcResponse()
	create.RegionId, create.CidrBlock, create.VpcName, create.Description = region, "172.20.0.0/16", "sdk-vpc", "made by the SDK"
	create.UserCidr = "192.168.0.0/24"
	create.ClientToken = "sdk-" + c.format + fmt.Sprint(time.Now().UnixNano())
	c.do(create.RpcRequest, create, created)
	again := vpc.CreateCreateVpcResponse()
	c.do(create.RpcRequest, create, again)
	if again.VpcId != created.VpcId || created.VRouterId == "" || created.RouteTableId == "" {
		t.Fatalf("the same token made %s and %s (%+v)", created.VpcId, again.VpcId, created)
	}
	vpcID := created.VpcId
	describeVPC := func() vpc.Vpc {
		t.Helper()
		req, resp := vpc.CreateDescribeVpcsRequest(), vpc.CreateDescribeVpcsResponse()
		req.RegionId, req.VpcId = region, vpcID
		c.do(req.RpcRequest, req, resp)
		if resp.TotalCount != 1 || len(resp.Vpcs.Vpc) != 1 {
			t.Fatalf("DescribeVpcs: %s", resp.GetHttpContentString())
		}
		return resp.Vpcs.Vpc[0]
	}
	eventually(t, "VPC", func() string { return unless("Available", describeVPC().Status) })
	modify, modified := vpc.CreateModifyVpcAttributeRequest(), vpc.CreateModifyVpcAttributeResponse()
	modify.VpcId, modify.VpcName = vpcID, "sdk-renamed"
	c.do(modify.RpcRequest, modify, modified)
	if v := describeVPC(); v.VpcName != "sdk-renamed" || v.CidrBlock != "172.20.0.0/16" || v.Description != "made by the SDK" || len(v.UserCidrs.UserCidr) != 1 || v.VRouterId != created.VRouterId {
		t.Errorf("DescribeVpcs after the change: %+v", v)
	}

	// VRouter.
	modifyRouter, modifiedRouter := vpc.CreateModifyVRouterAttributeRequest(), vpc.CreateModifyVRouterAttributeResponse()
	modifyRouter.VRouterId, modifyRouter.VRouterName = created.VRouterId, "sdk-router"
	c.do(modifyRouter.RpcRequest, modifyRouter, modifiedRouter)
	routers, routersResp := vpc.CreateDescribeVRoutersRequest(), vpc.CreateDescribeVRoutersResponse()
	routers.RegionId, routers.VRouterId = region, created.VRouterId
	c.do(routers.RpcRequest, routers, routersResp)
	if r := routersResp.VRouters.VRouter; len(r) != 1 || r[0].VRouterName != "sdk-router" || r[0].VpcId != vpcID || len(r[0].RouteTableIds.RouteTableId) != 1 {
		t.Errorf("DescribeVRouters: %s", routersResp.GetHttpContentString())
	}

	// VSwitch.
	createSwitch, createdSwitch := vpc.CreateCreateVSwitchRequest(), vpc.CreateCreateVSwitchResponse()
	createSwitch.VpcId, createSwitch.ZoneId, createSwitch.CidrBlock, createSwitch.VSwitchName = vpcID, zone, "172.20.1.0/24", "sdk-switch"
	c.do(createSwitch.RpcRequest, createSwitch, createdSwitch)
	switchID := createdSwitch.VSwitchId
	describeSwitch := func() vpc.VSwitch {
		t.Helper()
		req, resp := vpc.CreateDescribeVSwitchesRequest(), vpc.CreateDescribeVSwitchesResponse()
		req.RegionId, req.VSwitchId = region, switchID
		c.do(req.RpcRequest, req, resp)
		if len(resp.VSwitches.VSwitch) != 1 {
			t.Fatalf("DescribeVSwitches: %s", resp.GetHttpContentString())
		}
		return resp.VSwitches.VSwitch[0]
	}
	eventually(t, "VSwitch", func() string { return unless("Available", describeSwitch().Status) })
	modifySwitch, modifiedSwitch := vpc.CreateModifyVSwitchAttributeRequest(), vpc.CreateModifyVSwitchAttributeResponse()
	modifySwitch.VSwitchId, modifySwitch.Description = switchID, "renamed by the SDK"
	c.do(modifySwitch.RpcRequest, modifySwitch, modifiedSwitch)
	if s := describeSwitch(); s.Description != "renamed by the SDK" || s.CidrBlock != "172.20.1.0/24" || s.VSwitchName != "sdk-switch" || s.AvailableIpAddressCount != 252 {
		t.Errorf("DescribeVSwitches after the change: %+v", s)
	}

	// A route entry to an instance.
	instance := g.addInstance(t, switchID, "172.20.1.10")
	createRoute, createdRoute := vpc.CreateCreateRouteEntryRequest(), vpc.CreateCreateRouteEntryResponse()
	createRoute.RouteTableId, createRoute.DestinationCidrBlock, createRoute.NextHopType, createRoute.NextHopId = created.RouteTableId, "192.168.77.0/24", "Instance", instance
	c.do(createRoute.RpcRequest, createRoute, createdRoute)
	routes := func() map[string]vpc.RouteEntry {
		t.Helper()
		req, resp := vpc.CreateDescribeRouteTablesRequest(), vpc.CreateDescribeRouteTablesResponse()
		req.RouteTableId = created.RouteTableId
		c.do(req.RpcRequest, req, resp)
		if len(resp.RouteTables.RouteTable) != 1 {
			t.Fatalf("DescribeRouteTables: %s", resp.GetHttpContentString())
		}
		out := make(map[string]vpc.RouteEntry)
		for _, e := range resp.RouteTables.RouteTable[0].RouteEntrys.RouteEntry {
			out[e.DestinationCidrBlock] = e
		}
		return out
	}
	eventually(t, "route entry", func() string { return unless("Available", routes()["192.168.77.0/24"].Status) })
	if e := routes()["192.168.77.0/24"]; e.Type != "Custom" || e.InstanceId != instance || e.NextHopType != "Instance" {
		t.Errorf("route entry: %+v", e)
	}
	if e := routes()["172.20.1.0/24"]; e.Type != "System" {
		t.Errorf("route entry of the VSwitch: %+v", e)
	}
	deleteRoute, deletedRoute := vpc.CreateDeleteRouteEntryRequest(), vpc.CreateDeleteRouteEntryResponse()
	deleteRoute.RouteTableId, deleteRoute.DestinationCidrBlock, deleteRoute.NextHopId = created.RouteTableId, "192.168.77.0/24", instance
	c.do(deleteRoute.RpcRequest, deleteRoute, deletedRoute)
	if e, ok := routes()["192.168.77.0/24"]; ok {
		t.Errorf("deleted route entry is still there: %+v", e)
	}

	// NAT gateway.
	createNAT, createdNAT := vpc.CreateCreateNatGatewayRequest(), vpc.CreateCreateNatGatewayResponse()
	createNAT.RegionId, createNAT.VpcId, createNAT.Name, createNAT.Spec = region, vpcID, "sdk-nat", "Small"
	c.do(createNAT.RpcRequest, createNAT, createdNAT)
	natID := createdNAT.NatGatewayId
	describeNAT := func() vpc.NatGateway {
		t.Helper()
		req, resp := vpc.CreateDescribeNatGatewaysRequest(), vpc.CreateDescribeNatGatewaysResponse()
		req.RegionId, req.NatGatewayId = region, natID
		c.do(req.RpcRequest, req, resp)
		if len(resp.NatGateways.NatGateway) != 1 {
			t.Fatalf("DescribeNatGateways: %s", resp.GetHttpContentString())
		}
		return resp.NatGateways.NatGateway[0]
	}
	eventually(t, "NAT gateway", func() string { return unless("Available", describeNAT().Status) })
	forwardTable, snatTable := describeNAT().ForwardTableIds.ForwardTableId[0], describeNAT().SnatTableIds.SnatTableId[0]
	if e := routes()["0.0.0.0/0"]; e.InstanceId != natID {
		t.Errorf("automatic route: %+v", e)
	}
	modifyNAT, modifiedNAT := vpc.CreateModifyNatGatewayAttributeRequest(), vpc.CreateModifyNatGatewayAttributeResponse()
	modifyNAT.RegionId, modifyNAT.NatGatewayId, modifyNAT.Name = region, natID, "sdk.nat"
	c.do(modifyNAT.RpcRequest, modifyNAT, modifiedNAT)
	spec, specResp := vpc.CreateModifyNatGatewaySpecRequest(), vpc.CreateModifyNatGatewaySpecResponse()
	spec.RegionId, spec.NatGatewayId, spec.Spec = region, natID, "Large"
	c.do(spec.RpcRequest, spec, specResp)
	if code := c.try(spec.RpcRequest, spec, vpc.CreateModifyNatGatewaySpecResponse()); code != "NATGW_MODIFY_SPEC_SAME" {
		t.Errorf("the same specification again: %q", code)
	}
	if n := describeNAT(); n.Name != "sdk.nat" || n.Spec != "Large" || n.VpcId != vpcID || n.BusinessStatus != "Normal" {
		t.Errorf("DescribeNatGateways after the changes: %+v", n)
	}

	// Elastic IPs: one for SNAT, one for DNAT.
	allocate := func() (id, address string) {
		t.Helper()
		req, resp := vpc.CreateAllocateEipAddressRequest(), vpc.CreateAllocateEipAddressResponse()
		req.RegionId, req.Bandwidth, req.InternetChargeType = region, "10", "PayByTraffic"
		c.do(req.RpcRequest, req, resp)
		return resp.AllocationId, resp.EipAddress
	}
	describeEIP := func(id string) vpc.EipAddress {
		t.Helper()
		req, resp := vpc.CreateDescribeEipAddressesRequest(), vpc.CreateDescribeEipAddressesResponse()
		req.RegionId, req.AllocationId = region, id
		c.do(req.RpcRequest, req, resp)
		if len(resp.EipAddresses.EipAddress) != 1 {
			t.Fatalf("DescribeEipAddresses: %s", resp.GetHttpContentString())
		}
		return resp.EipAddresses.EipAddress[0]
	}
	eips := make(map[string]string)
	var ids, addresses []string
	for range 2 {
		id, address := allocate()
		eips[id] = address
		ids, addresses = append(ids, id), append(addresses, address)
		req, resp := vpc.CreateAssociateEipAddressRequest(), vpc.CreateAssociateEipAddressResponse()
		req.AllocationId, req.InstanceType, req.InstanceId = id, "Nat", natID
		c.do(req.RpcRequest, req, resp)
		eventually(t, "elastic IP", func() string { return unless("InUse", describeEIP(id).Status) })
	}
	modifyEIP, modifiedEIP := vpc.CreateModifyEipAddressAttributeRequest(), vpc.CreateModifyEipAddressAttributeResponse()
	modifyEIP.AllocationId, modifyEIP.Bandwidth = ids[0], "20"
	c.do(modifyEIP.RpcRequest, modifyEIP, modifiedEIP)
	if e := describeEIP(ids[0]); e.Bandwidth != "20" || e.IpAddress != addresses[0] || e.InstanceId != natID || e.InstanceType != "Nat" || e.InternetChargeType != "PayByTraffic" {
		t.Errorf("DescribeEipAddresses after the change: %+v", e)
	}

	// SNAT entry.
	createSNAT, createdSNAT := vpc.CreateCreateSnatEntryRequest(), vpc.CreateCreateSnatEntryResponse()
	createSNAT.RegionId, createSNAT.SnatTableId, createSNAT.SourceVSwitchId, createSNAT.SnatIp, createSNAT.SnatEntryName = region, snatTable, switchID, addresses[0], "sdk-snat"
	c.do(createSNAT.RpcRequest, createSNAT, createdSNAT)
	describeSNAT := func() []vpc.SnatTableEntry {
		t.Helper()
		req, resp := vpc.CreateDescribeSnatTableEntriesRequest(), vpc.CreateDescribeSnatTableEntriesResponse()
		req.RegionId, req.SnatTableId = region, snatTable
		c.do(req.RpcRequest, req, resp)
		return resp.SnatTableEntries.SnatTableEntry
	}
	eventually(t, "SNAT entry", func() string {
		if e := describeSNAT(); len(e) == 1 {
			return unless("Available", e[0].Status)
		}
		return "not there"
	})
	modifySNAT, modifiedSNAT := vpc.CreateModifySnatEntryRequest(), vpc.CreateModifySnatEntryResponse()
	modifySNAT.RegionId, modifySNAT.SnatTableId, modifySNAT.SnatEntryId, modifySNAT.SnatIp = region, snatTable, createdSNAT.SnatEntryId, addresses[0]
	modifySNAT.SnatEntryName = "sdk-snat-2"
	c.do(modifySNAT.RpcRequest, modifySNAT, modifiedSNAT)
	if e := describeSNAT()[0]; e.SnatIp != addresses[0] || e.SourceCIDR != "172.20.1.0/24" || e.SourceVSwitchId != switchID || e.SnatEntryName != "sdk-snat-2" {
		t.Errorf("DescribeSnatTableEntries after the change: %+v", e)
	}

	// DNAT entry.
	createDNAT, createdDNAT := vpc.CreateCreateForwardEntryRequest(), vpc.CreateCreateForwardEntryResponse()
	createDNAT.RegionId, createDNAT.ForwardTableId, createDNAT.ExternalIp, createDNAT.ExternalPort = region, forwardTable, addresses[1], "8080"
	createDNAT.InternalIp, createDNAT.InternalPort, createDNAT.IpProtocol, createDNAT.ForwardEntryName = "172.20.1.10", "80", "TCP", "sdk-dnat"
	c.do(createDNAT.RpcRequest, createDNAT, createdDNAT)
	describeDNAT := func() []vpc.ForwardTableEntry {
		t.Helper()
		req, resp := vpc.CreateDescribeForwardTableEntriesRequest(), vpc.CreateDescribeForwardTableEntriesResponse()
		req.RegionId, req.ForwardTableId = region, forwardTable
		c.do(req.RpcRequest, req, resp)
		if resp.TotalCount != len(resp.ForwardTableEntries.ForwardTableEntry) {
			t.Errorf("TotalCount %d of %d", resp.TotalCount, len(resp.ForwardTableEntries.ForwardTableEntry))
		}
		return resp.ForwardTableEntries.ForwardTableEntry
	}
	eventually(t, "DNAT entry", func() string {
		if e := describeDNAT(); len(e) == 1 {
			return unless("Available", e[0].Status)
		}
		return "not there"
	})
	modifyDNAT, modifiedDNAT := vpc.CreateModifyForwardEntryRequest(), vpc.CreateModifyForwardEntryResponse()
	modifyDNAT.RegionId, modifyDNAT.ForwardTableId, modifyDNAT.ForwardEntryId, modifyDNAT.ExternalPort = region, forwardTable, createdDNAT.ForwardEntryId, "8081"
	c.do(modifyDNAT.RpcRequest, modifyDNAT, modifiedDNAT)
	if e := describeDNAT()[0]; e.ExternalPort != "8081" || e.InternalPort != "80" || e.ExternalIp != addresses[1] || e.ForwardEntryName != "sdk-dnat" {
		t.Errorf("DescribeForwardTableEntries after the change: %+v", e)
	}

	// And everything away again, dependants first; what still has some refuses.
	deleteVPC := vpc.CreateDeleteVpcRequest()
	deleteVPC.VpcId = vpcID
	if code := c.try(deleteVPC.RpcRequest, deleteVPC, vpc.CreateDeleteVpcResponse()); code == "" {
		t.Fatal("a VPC with dependants was deleted")
	}
	deleteDNAT := vpc.CreateDeleteForwardEntryRequest()
	deleteDNAT.RegionId, deleteDNAT.ForwardTableId, deleteDNAT.ForwardEntryId = region, forwardTable, createdDNAT.ForwardEntryId
	c.do(deleteDNAT.RpcRequest, deleteDNAT, vpc.CreateDeleteForwardEntryResponse())
	deleteSNAT := vpc.CreateDeleteSnatEntryRequest()
	deleteSNAT.RegionId, deleteSNAT.SnatTableId, deleteSNAT.SnatEntryId = region, snatTable, createdSNAT.SnatEntryId
	c.do(deleteSNAT.RpcRequest, deleteSNAT, vpc.CreateDeleteSnatEntryResponse())
	if len(describeDNAT())+len(describeSNAT()) != 0 {
		t.Error("deleted entries are still listed")
	}
	for _, id := range ids {
		req := vpc.CreateUnassociateEipAddressRequest()
		req.AllocationId, req.InstanceType, req.InstanceId = id, "Nat", natID
		c.do(req.RpcRequest, req, vpc.CreateUnassociateEipAddressResponse())
		eventually(t, "elastic IP", func() string { return unless("Available", describeEIP(id).Status) })
		release := vpc.CreateReleaseEipAddressRequest()
		release.AllocationId = id
		c.do(release.RpcRequest, release, vpc.CreateReleaseEipAddressResponse())
	}
	deleteNAT := vpc.CreateDeleteNatGatewayRequest()
	deleteNAT.RegionId, deleteNAT.NatGatewayId = region, natID
	c.do(deleteNAT.RpcRequest, deleteNAT, vpc.CreateDeleteNatGatewayResponse())
	g.removeInstance(t, instance)
	deleteSwitch := vpc.CreateDeleteVSwitchRequest()
	deleteSwitch.VSwitchId = switchID
	c.do(deleteSwitch.RpcRequest, deleteSwitch, vpc.CreateDeleteVSwitchResponse())
	c.do(deleteVPC.RpcRequest, deleteVPC, vpc.CreateDeleteVpcResponse())
	gone, goneResp := vpc.CreateDescribeVpcsRequest(), vpc.CreateDescribeVpcsResponse()
	gone.RegionId, gone.VpcId = region, vpcID
	c.do(gone.RpcRequest, gone, goneResp)
	if goneResp.TotalCount != 0 {
		t.Errorf("the deleted VPC is still there: %s", goneResp.GetHttpContentString())
	}
}

// unless says what a status is when it is not the one wanted.
func unless(want, got string) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("is %q, not %q", got, want)
}
