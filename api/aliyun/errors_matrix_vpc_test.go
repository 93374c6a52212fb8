package aliyun

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

// longName is a name or description that is too long.
var longName = strings.Repeat("x", 300)

// vpcErrors provokes documented errors: a code, and where an action has several
// messages for it a part of the right one.
var vpcErrors = []struct {
	action, code, message string
	happened              happening
	change                change
}{
	{"CreateVpc", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"CreateVpc", "InvalidParameter", "CIDR block", nil, fixed("CidrBlock", "11.0.0.0/8")},
	{"CreateVpc", "InvalidParameter", "CIDR block", nil, fixed("CidrBlock", "10.0.0.0/25")},
	{"CreateVpc", "InvalidParameter", "CIDR block", nil, fixed("CidrBlock", "172.16.1.5/16")},
	{"CreateVpc", "InvalidParameter", "CIDR block", nil, fixed("CidrBlock", "ten")},
	{"CreateVpc", "ResourceNotAvailable", "", nil, fixed("RegionId", planetest.Zoneless)},
	{"CreateVpc", "InvalidVpcName.Malformed", "", nil, fixed("VpcName", "http://x")},
	{"CreateVpc", "InvalidVpcDescription.Malformed", "", nil, fixed("Description", longName)},
	{"CreateVpc", "QuotaExceeded.Vpc", "", func(_ *testing.T, w *vpcWorld) { w.Settings.Quotas["vpcs"] = 2 }, fixed()},
	{"CreateVpc", "InvalidParameter", "UserCidr invalid format", nil, fixed("UserCidr", "1.2.3.4/8")},
	{"CreateVpc", "InvalidParameter", "Subnet mask", nil, fixed("UserCidr", "0.0.0.0/1")},
	{"CreateVpc", "InvalidUserCidr.Quota", "", nil, fixed("UserCidr", "1.0.0.0/8,2.0.0.0/8,3.0.0.0/8,4.0.0.0/8")},
	{"CreateVpc", "InvalidUserCidr.Malformed", "", nil, fixed("UserCidr", "100.100.0.0/16")},

	{"DeleteVpc", "IncorrectVpcStatus", "", and(stalled, newVPC), theVPC},
	{"DeleteVpc", "DependencyViolation.RouteEntry", "", nil, theVPC},
	{"DeleteVpc", "DependencyViolation.Instance", "", unroute, theVPC},
	{"DeleteVpc", "DependencyViolation.Instance", "", nil, theEmpty}, // it has a NAT gateway
	{"DeleteVpc", "DependencyViolation.VSwitch", "", and(newVPC, newVSwitch), theVPC},

	{"DescribeVpcs", "Forbidden.RegionNotFound", "", nil, fixed("RegionId", "cn-nowhere")},

	{"ModifyVpcAttribute", "InvalidVpcId.NotFound", "", nil, fixed("VpcId", "vpc-none")},
	{"ModifyVpcAttribute", "InvalidVpcId.NotFound", "", nil, func(w *vpcWorld) []string { return []string{"VpcId", w.theirs.VPC} }},
	{"ModifyVpcAttribute", "InvalidVpcName.Malformed", "", nil, fixed("VpcName", longName)},
	{"ModifyVpcAttribute", "InvalidVpcDescription.Malformed", "", nil, fixed("Description", "https://x")},
	{"ModifyVpcAttribute", "InvalidParameter", "invalid format", nil, fixed("UserCidr", "none")},
	{"ModifyVpcAttribute", "InvalidParameter", "Subnet mask", nil, fixed("UserCidr", "1.0.0.0/8,2.0.0.0/7")},
	{"ModifyVpcAttribute", "InvalidUserCidr.Quota", "", nil, fixed("UserCidr", "1.0.0.0/8,2.0.0.0/8,3.0.0.0/8,4.0.0.0/8")},
	{"ModifyVpcAttribute", "InvalidUserCidr.Malformed", "overlapping", nil, fixed("UserCidr", "100.0.0.0/8")},
	{"ModifyVpcAttribute", "InvalidUserCidr.Malformed", "status is wrong", and(stalled, newVPC), func(w *vpcWorld) []string {
		return []string{"VpcId", w.vpc.VPC, "UserCidr", "1.0.0.0/8"}
	}},

	{"DescribeVRouters", "Forbidden.RegionNotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"ModifyVRouterAttribute", "InvalidVRouterId.NotFound", "", nil, fixed("VRouterId", "vrt-none")},
	{"ModifyVRouterAttribute", "InvalidVRouterName.Malformed", "", nil, fixed("VRouterName", "two\nlines")},
	{"ModifyVRouterAttribute", "InvalidVRouterDiscription.Malformed", "", nil, fixed("Description", longName)},

	{"CreateVSwitch", "InvalidZoneId.NotFound", "", nil, fixed("ZoneId", "cn-nowhere-a")},
	{"CreateVSwitch", "InvalidVpcId.NotFound", "", nil, fixed("VpcId", "vpc-none")},
	{"CreateVSwitch", "InvalidCidrBlock.Malformed", "", nil, fixed("CidrBlock", "10.2.0.1/16")},
	{"CreateVSwitch", "InvalidVSwitchName.Malformed", "", nil, fixed("VSwitchName", longName)},
	{"CreateVSwitch", "InvalidVSwitchDiscription.Malformed", "", nil, fixed("Description", longName)},
	{"CreateVSwitch", "ResourceNotAvailable", "", nil, fixed("ZoneId", planetest.ZoneThere)},
	{"CreateVSwitch", "InvalidParameter", "", nil, fixed("CidrBlock", "192.168.0.0/24")},
	{"CreateVSwitch", "InvalidCidrBlock.Overlapped", "other subnets", nil, fixed("CidrBlock", "10.1.2.0/24")},
	{"CreateVSwitch", "InvalidCidrBlock.Overlapped", "other entry", newRouteEntry, fixed("CidrBlock", "10.8.0.0/16")},
	{"CreateVSwitch", "QuotaExceeded.VSwitch", "", func(_ *testing.T, w *vpcWorld) { w.Settings.Quotas["vswitches_per_vpc"] = 1 }, fixed()},
	{"CreateVSwitch", "IncorrectRouteEntryStatus", "", and(stalled, newRouteEntry), fixed()},
	{"CreateVSwitch", "IncorrectVSwitchStatus", "", and(stalled, newVSwitch), fixed()},
	{"CreateVSwitch", "InvalidCidrBlock.MaskLength", "", nil, fixed("CidrBlock", "10.2.0.0/30")},
	{"CreateVSwitch", "IncorrectVpcStatus", "", and(stalled, newVPC), theVPC},

	{"DeleteVSwitch", "IncorrectVSwitchStatus", "", and(unusedVSwitch, stalled, newVSwitch), theVSW},
	{"DeleteVSwitch", "DependencyViolation", "", func(t *testing.T, w *vpcWorld) {
		if err := w.HaVip.Delete(context.Background(), planetest.Alice, planetest.Region, w.vip); err != nil {
			t.Fatal(err)
		}
	}, theVSW},
	{"DeleteVSwitch", "DependencyViolation.HaVip", "", nil, theVSW},
	{"DeleteVSwitch", "IncorrectRouteEntryStatus", "", and(unusedVSwitch, stalled, newRouteEntry), theVSW},

	{"DescribeVSwitches", "Forbidden.VpcNotFound", "", nil, fixed("VpcId", "vpc-none")},
	{"DescribeVSwitches", "Forbidden.VpcNotFound", "", nil, func(w *vpcWorld) []string { return []string{"VpcId", w.theirs.VPC} }},

	{"ModifyVSwitchAttribute", "InvalidVSwitchId.NotFound", "", nil, fixed("VSwitchId", "vsw-none")},
	{"ModifyVSwitchAttribute", "InvalidVSwitchName.Malformed", "", nil, fixed("VSwitchName", "http://x")},
	{"ModifyVSwitchAttribute", "InvalidVSwitchDiscription.Malformed", "", nil, fixed("Description", "http://x")},

	{"CreateRouteEntry", "MissingParameter", "", nil, fixed("RouteTableId", "")},
	{"CreateRouteEntry", "MissingParameter", "", nil, fixed("DestinationCidrBlock", "")},
	{"CreateRouteEntry", "MissingParameter", "", nil, fixed("NextHopId", "", "NextHopType", "Instance")},
	{"CreateRouteEntry", "InvalidCidrBlock.Malformed", "", nil, fixed("DestinationCidrBlock", "172.16.0.1/12")},
	{"CreateRouteEntry", "InvalidNextHopId.NotFound", "", nil, fixed("NextHopType", "VpnGateway", "NextHopId", "vpn-none")},
	{"CreateRouteEntry", "InvalidNextHopId.NotFound", "", nil, fixed("NextHopType", "RouterInterface", "NextHopId", "ri-none")},
	{"CreateRouteEntry", "InvalidNextHopId.NotFound", "", nil, fixed("NextHopType", "Tunnel", "NextHopId", "tun-none")},
	{"CreateRouteEntry", "InvalidInstanceId.NotFound", "", nil, fixed("NextHopId", "i-none")},
	{"CreateRouteEntry", "InvalidRouteTableId.NotFound", "", nil, fixed("RouteTableId", "vtb-none")},
	{"CreateRouteEntry", "InvalidRouteTableId.NotFound", "", nil, func(w *vpcWorld) []string { return []string{"RouteTableId", w.theirs.RouteTable} }},
	{"CreateRouteEntry", "InvalidCIDRBlock.Duplicate", "", nil, func(w *vpcWorld) []string {
		return []string{"DestinationCidrBlock", "192.168.0.0/16", "NextHopId", w.ecs2}
	}},
	{"CreateRouteEntry", "IncorrectVpcStatus", "", changedVPCStalls, func(w *vpcWorld) []string { return []string{"RouteTableId", w.vpc.RouteTable, "NextHopId", w.ecs} }},
	{"CreateRouteEntry", "QuotaExceeded", "", func(_ *testing.T, w *vpcWorld) { w.Settings.Quotas["route_entries"] = 1 }, fixed()},
	{"CreateRouteEntry", "IncorretRouteEntryStatus", "", and(stalled, newRouteEntry), fixed()},
	{"CreateRouteEntry", "IncorretRouteEntryStatus", "", and(stalled, newVSwitch), fixed()},
	{"CreateRouteEntry", "InvalidCidrBlock", "", nil, fixed("DestinationCidrBlock", "10.1.2.0/24")},
	{"CreateRouteEntry", "InvalidCidrBlock", "", nil, fixed("DestinationCidrBlock", "100.64.0.0/10")},
	{"CreateRouteEntry", "InvalidCidrBlock", "", nil, fixed("DestinationCidrBlock", "100.100.2.136")},
	{"CreateRouteEntry", "InvalidNextHop.NotFound", "", nil, hops("ri-1", "ri-2")},
	{"CreateRouteEntry", "InvalidNexthopTypeAndList.BothNull", "", nil, fixed("NextHopId", "")},
	{"CreateRouteEntry", "InvalidHaViNpId.NotFound", "", nil, fixed("NextHopType", "HaVip", "NextHopId", "havip-none")},
	{"CreateRouteEntry", "InvalidRouterInterface", "", nil, hops("ri-1", "ri-1")},
	{"CreateRouteEntry", "InvalidOppositeRouterType", "", nil, func(w *vpcWorld) []string { return hops("ri-1", w.ecs)(w) }},
	{"CreateRouteEntry", "InvalidNexthopListSize", "", nil, hops("ri-1")},
	{"CreateRouteEntry", "InvalidNexthopListSize", "", nil, hops("ri-1", "ri-2", "ri-3", "ri-4", "ri-5")},
	{"CreateRouteEntry", "CountLimitExceed.HaVipRouteEntry", "", func(_ *testing.T, w *vpcWorld) {
		for i := range 5 {
			w.add(fmt.Sprintf("10.8.%d.0/24", i), resource.NextHopVirtualIP, w.vip)
		}
	}, func(w *vpcWorld) []string { return []string{"NextHopType", "HaVip", "NextHopId", w.vip} }},
	{"CreateRouteEntry", "IncorrectHaVipStatus", "", vipChanges, func(w *vpcWorld) []string {
		return []string{"NextHopType", "HaVip", "NextHopId", w.vip}
	}},
	{"CreateRouteEntry", "InvalidRouteEntry.Duplicate", "", nil, fixed("DestinationCidrBlock", "192.168.0.0/16")},
	{"CreateRouteEntry", "IncorrectInstanceStatus", "", instanceIs(ecs, resource.Starting), fixed()},

	{"DeleteRouteEntry", "IncorrectRouteEntryStatus", "", and(stalled, newRouteEntry), fixed()},
	{"DeleteRouteEntry", "IncorrectRouteEntryStatus", "", and(stalled, newVSwitch), fixed()},
	{"DeleteRouteEntry", "MissingParameter", "", nil, fixed("RouteTableId", "")},
	{"DeleteRouteEntry", "MissingParameter", "", nil, fixed("NextHopId", "")},
	{"DeleteRouteEntry", "InvalidCidrBlock.Malformed", "", nil, fixed("DestinationCidrBlock", "192.168.0.1/16")},
	{"DeleteRouteEntry", "InvalidRouteTableId.NotFound", "", nil, fixed("RouteTableId", "vtb-none")},
	{"DeleteRouteEntry", "OperationDenied", "", nil, fixed("DestinationCidrBlock", "100.64.0.0/10")},
	{"DeleteRouteEntry", "OperationDenied", "", nil, func(w *vpcWorld) []string {
		return []string{"RouteTableId", w.empty.RouteTable, "DestinationCidrBlock", "0.0.0.0/0", "NextHopId", w.ngw}
	}},

	{"DescribeVpcAttribute", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"DescribeVpcAttribute", "InvalidVpcId.NotFound", "", nil, fixed("VpcId", "vpc-none")},
	{"DescribeVpcAttribute", "InvalidVpcId.NotFound", "", nil, fixed("RegionId", planetest.Elsewhere)},
	{"AssociateVpcCidrBlock", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"AssociateVpcCidrBlock", "InvalidVpcId.NotFound", "", nil, fixed("VpcId", "vpc-none")},
	{"AssociateVpcCidrBlock", "InvalidCidrBlock.Malformed", "", nil, fixed("SecondaryCidrBlock", "8.0.0.0/8")},
	{"AssociateVpcCidrBlock", "InvalidCidrBlock.Malformed", "", nil, fixed("SecondaryCidrBlock", "172.17.0.1/16")},
	{"AssociateVpcCidrBlock", "InvalidCidrBlock.Overlapped", "", nil, fixed("SecondaryCidrBlock", "10.0.0.0/16")},
	{"AssociateVpcCidrBlock", "InvalidCidrBlock.Overlapped", "", nil, fixed("SecondaryCidrBlock", "172.16.0.0/12")},
	{"AssociateVpcCidrBlock", "IncorrectVpcStatus", "", changedVPCThereStalls, fixed()},
	{"UnassociateVpcCidrBlock", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"UnassociateVpcCidrBlock", "InvalidVpcId.NotFound", "", nil, fixed("VpcId", "vpc-none")},
	{"UnassociateVpcCidrBlock", "InvalidCidrBlock.Malformed", "", nil, fixed("SecondaryCidrBlock", "all")},
	{"UnassociateVpcCidrBlock", "IncorrectVpcStatus", "", changedVPCThereStalls, fixed()},
	{"DescribeVSwitchAttributes", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"DescribeVSwitchAttributes", "InvalidVSwitchId.NotFound", "", nil, fixed("VSwitchId", "vsw-none")},

	{"CreateRouteTable", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"CreateRouteTable", "InvalidVpcId.NotFound", "", nil, fixed("VpcId", "vpc-none")},
	{"ModifyRouteTableAttributes", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"ModifyRouteTableAttributes", "InvalidRouteTableId.NotFound", "", nil, fixed("RouteTableId", "vtb-none")},
	{"DeleteRouteTable", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"DeleteRouteTable", "InvalidRouteTableId.NotFound", "", nil, fixed("RouteTableId", "vtb-none")},
	{"DeleteRouteTable", "IncorrectRouteTableType", "", nil, func(w *vpcWorld) []string { return []string{"RouteTableId", w.vpc.RouteTable} }},
	{"DeleteRouteTable", "IncorrectRouteTableStatus.RouteEntryExist", "", func(t *testing.T, w *vpcWorld) { w.must(t, "UnassociateRouteTable") }, func(w *vpcWorld) []string {
		return []string{"RouteTableId", w.withTables().table}
	}},
	{"DeleteRouteTable", "IncorrectVSwitchStatus", "", and(stalled, newVSwitchThere), fixed()},
	{"DeleteRouteTable", "IncorrectRouteEntryStatus", "", and(stalled, newRouteEntryThere), fixed()},
	{"AssociateRouteTable", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"AssociateRouteTable", "InvalidRouteTableId.NotFound", "", nil, fixed("RouteTableId", "vtb-none")},
	{"AssociateRouteTable", "InvalidVSwitchId.NotFound", "", nil, fixed("VSwitchId", "vsw-none")},
	{"AssociateRouteTable", "ResourceAlreadyAssociated.RouteTable", "", nil, func(w *vpcWorld) []string { return []string{"VSwitchId", w.withTables().bound} }},
	{"AssociateRouteTable", "IncorrectVSwitchStatus", "", and(stalled, newVSwitchThere), fixed()},
	{"AssociateRouteTable", "IncorrectRouteEntryStatus", "", and(stalled, newRouteEntryThere), fixed()},
	{"UnassociateRouteTable", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"UnassociateRouteTable", "InvalidRouteTableId.NotFound", "", nil, fixed("RouteTableId", "vtb-none")},
	{"UnassociateRouteTable", "InvalidVSwitchId.NotFound", "", nil, fixed("VSwitchId", "vsw-none")},
	{"UnassociateRouteTable", "IncorrectVSwitchStatus", "", and(stalled, newVSwitchThere), fixed()},
	{"UnassociateRouteTable", "IncorrectRouteEntryStatus", "", and(stalled, newRouteEntryThere), fixed()},
	{"DescribeRouteTableList", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"DescribeRouteEntryList", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"DescribeRouteEntryList", "InvalidRouteTableId.NotFound", "", nil, fixed("RouteTableId", "vtb-none")},
	{"ModifyRouteEntry", "InvalidRouteTableId.NotFound", "", nil, fixed("RouteTableId", "vtb-none")},
	{"ModifyRouteEntry", "OperationDenied", "", nil, fixed("DestinationCidrBlock", "100.64.0.0/10")},

	{"AllocateEipAddress", "QuotaExceeded.Eip", "", func(_ *testing.T, w *vpcWorld) { w.Settings.Quotas["elastic_ips"] = 1 }, fixed()},
	{"AllocateEipAddress", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"AllocateEipAddress", "InvalidParameter", "InternetChargeType", nil, fixed("InternetChargeType", "PayByWeather")},
	{"AllocateEipAddress", "InvalidParameter", "Bandwidth", nil, fixed("Bandwidth", "0")},
	{"AllocateEipAddress", "InvalidParameter", "Bandwidth", nil, fixed("Bandwidth", "fast")},
	{"AllocateEipAddress", "InsufficientEipCapacity", "", nil, fixed("RegionId", planetest.Unserved)},
	{"AllocateEipAddress", "InsufficientEipCapacity", "", func(_ *testing.T, w *vpcWorld) { w.Settings.Public[0].Pool = nil }, fixed()},

	{"AssociateEipAddress", "InvalidAssociation.Duplicated", "", nil, func(w *vpcWorld) []string { return []string{"InstanceId", w.ecs} }},
	{"AssociateEipAddress", "InvalidParameter.Mismatch", "", nil, func(w *vpcWorld) []string { return []string{"AllocationId", w.faraway} }},
	{"AssociateEipAddress", "IncorrectEipStatus", "", nil, func(w *vpcWorld) []string { return []string{"AllocationId", w.bound} }},
	{"AssociateEipAddress", "InvalidAllocationId.NotFound", "", nil, fixed("AllocationId", "eip-none")},
	{"AssociateEipAddress", "InvalidInstanId.NotFound", "", nil, fixed("InstanceId", "i-none")},
	{"AssociateEipAddress", "InvalidInstanId.NotFound", "", nil, fixed("InstanceType", "Nat", "InstanceId", "ngw-none")},
	{"AssociateEipAddress", "InvalidInstanId.NotFound", "", nil, fixed("InstanceType", "SlbInstance", "InstanceId", "lb-none")},
	{"AssociateEipAddress", "IncorrectInstanceStatus", "", instanceIs(ecs2, resource.Stopping), fixed()},
	{"AssociateEipAddress", "InvalidInstanceType.ValueNotSupported", "", nil, fixed("InstanceType", "Toaster")},
	{"AssociateEipAddress", "InvalidHaVip.NotFound", "", nil, fixed("InstanceType", "HaVip", "InstanceId", "havip-none")},
	{"AssociateEipAddress", "CountLimitExceed.EIPOnHaVip", "", func(_ *testing.T, w *vpcWorld) {
		w.Bind(planetest.Alice, w.NewEIP(planetest.Alice).ID, resource.BoundToVirtualIP, w.vip)
	}, func(w *vpcWorld) []string { return []string{"InstanceType", "HaVip", "InstanceId", w.vip} }},
	{"AssociateEipAddress", "IncorrectHaVipStatus", "", vipChanges, func(w *vpcWorld) []string {
		return []string{"InstanceType", "HaVip", "InstanceId", w.vip}
	}},

	{"UnassociateEipAddress", "IncorrectEipStatus", "", nil, func(w *vpcWorld) []string { return []string{"AllocationId", w.free} }},
	{"UnassociateEipAddress", "InvalidAllocationId.NotFound", "", nil, fixed("AllocationId", "eip-none")},
	{"UnassociateEipAddress", "InvalidInstanceId.NotFound", "", nil, fixed("InstanceId", "i-none")},
	{"UnassociateEipAddress", "InvalidInstanceId.NotFound", "", nil, fixed("InstanceType", "Nat", "InstanceId", "ngw-none")},
	{"UnassociateEipAddress", "IncorrectInstanceStatus", "", instanceIs(ecs, resource.Stopping), fixed()},
	{"UnassociateEipAddress", "InvalidInstanceType.ValueNotSupported", "", nil, fixed("InstanceType", "ecsinstance")},
	{"UnassociateEipAddress", "InvalidHaVip.NotFound", "", nil, fixed("InstanceType", "HaVip", "InstanceId", "havip-none")},
	{"UnassociateEipAddress", "ResourceNotAssociated", "", nil, func(w *vpcWorld) []string { return []string{"InstanceId", w.ecs2} }},
	{"UnassociateEipAddress", "IncorrectHaVipStatus", "", vipChanges, func(w *vpcWorld) []string {
		return []string{"InstanceType", "HaVip", "InstanceId", w.vip}
	}},

	{"DescribeEipAddresses", "Forbidden.RegionNotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"DescribeEipAddresses", "InvalidAssociatedInstanceType.ValueNotSupported", "", nil, fixed("AssociatedInstanceType", "Toaster")},

	{"ModifyEipAddressAttribute", "InvalidParameter", "", nil, fixed("Bandwidth", "-5")},
	{"ModifyEipAddressAttribute", "InvalidParameter", "", nil, fixed("Bandwidth", "5001")},
	{"ModifyEipAddressAttribute", "InvalidAllocationId.NotFound", "", nil, fixed("AllocationId", "eip-none")},

	{"ModifyEipForwardMode", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"ModifyEipForwardMode", "InvalidAllocationId.NotFound", "", nil, fixed("InstanceId", "eip-none")},
	{"DescribeHighDefinitionMonitorLogAttribute", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"DescribeHighDefinitionMonitorLogAttribute", "InvalidAllocationId.NotFound", "", nil, fixed("InstanceId", "eip-none")},
	{"SetHighDefinitionMonitorLogStatus", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
	{"SetHighDefinitionMonitorLogStatus", "InvalidAllocationId.NotFound", "", nil, fixed("InstanceId", "eip-none")},

	{"ReleaseEipAddress", "IncorrectEipStatus", "", nil, func(w *vpcWorld) []string { return []string{"AllocationId", w.bound} }},

	{"DescribeZones", "MissingParameter", "", nil, fixed("RegionId", "")},
	{"DescribeAccessPoints", "InvalidRegionId.NotFound", "", nil, fixed("RegionId", "cn-nowhere")},
}

// unroute takes the instance's route entry away.
func unroute(t *testing.T, w *vpcWorld) {
	t.Helper()
	w.must(t, "DeleteRouteEntry")
}

// changedVPCStalls lets the dataplane fall behind a change of the VPC itself.
func changedVPCStalls(t *testing.T, w *vpcWorld) {
	t.Helper()
	w.Dataplane(planetest.Stalls)
	w.must(t, "ModifyVpcAttribute", "UserCidr", "1.0.0.0/8")
}

// newVSwitchThere, newRouteEntryThere and changedVPCThereStalls are of the VPC of withTables.
func newVSwitchThere(_ *testing.T, w *vpcWorld) {
	w.VSwitch(planetest.Alice, w.withTables().vpc, "10.9.0.0/16")
}

func newRouteEntryThere(_ *testing.T, w *vpcWorld) {
	w.Route(planetest.Alice, w.withTables().table, "10.8.0.0/16", resource.NextHopHost, w.withTables().ecs)
}

func changedVPCThereStalls(t *testing.T, w *vpcWorld) {
	t.Helper()
	w.Dataplane(planetest.Stalls)
	w.must(t, "ModifyVpcAttribute", "VpcId", w.withTables().vpc, "UserCidr", "1.0.0.0/8")
}

// hops is a list of next hops in place of one.
func hops(ids ...string) change {
	list := []string{"NextHopId", ""}
	for i, id := range ids {
		list = append(list, fmt.Sprintf("NextHopList.%d.NextHopId", i+1), id)
	}
	return fixed(list...)
}

// vpcNotProvokable lists the documented errors that nothing provokes, by action
// and code, with the reason.
var vpcNotProvokable = map[string]string{
	"CreateVpc Forbidden":                                      "there are no rights to single resources: a key that may only describe is refused with the common errors",
	"DeleteVpc DependencyViolation.SecurityGroup":              "a group is of a region and a project, and of no VPC; what is in it, an interface, is in a VSwitch, which is what keeps the VPC",
	"DeleteVSwitch InvalidRegionId.NotFound":                   "the action has no parameter RegionId",
	"CreateRouteEntry InvalidVBRStatus":                        "of the route table of a border router: TestBorderRoutes",
	"CreateRouteEntry InvalidPhysicalConnectionBusinessStatus": "nothing is paid here, so no physical connection is locked",
	"CreateRouteEntry InvalidRouterType":                       "of the route table of a border router: TestBorderRoutes",
	"AllocateEipAddress Forbbiden":                             "every account may have elastic IPs, within its quota",
	"AllocateEipAddress InsufficientBalance":                   "nothing is charged",
	"AssociateEipAddress OperationDenied":                      "every instance of the inventory is in a VPC",
	"AssociateEipAddress CountLimitExceeded.EIPOnECSInstance":  "the same case as InvalidAssociation.Duplicated, which is answered",
	"ModifyEipAddressAttribute InsufficientBalance":            "nothing is charged",
}
