package aliyun

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/identity"
	"sluice/controlplane/network"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

// vpcWorld is what the calls of the matrix need to go wrong: a VPC of Alice's
// with a VSwitch, instances of every kind, a route entry and elastic IPs, and
// others that are empty, elsewhere or Bob's.
type vpcWorld struct {
	*planetest.Plane
	s       *Service
	vpc     network.CreatedVPC // 10.0.0.0/8
	vsw     string             // 10.1.0.0/16 of vpc
	ecs     string             // in vsw; next hop of 192.168.0.0/16
	ecs2    string             // in vsw
	slb     string             // in vsw
	vip     string             // in vsw
	empty   network.CreatedVPC // 10.0.0.0/8
	theirs  network.CreatedVPC // Bob's
	free    string             // elastic IP, bound to nothing
	bound   string             // elastic IP of ecs
	faraway string             // elastic IP of another region
	ngw     string             // of empty
	tables  *routeTables       // see withTables
}

func newVPCWorld(t *testing.T) *vpcWorld {
	t.Helper()
	p := planetest.New(t)
	a := planetest.Alice
	w := &vpcWorld{Plane: p, s: NewService(p.Network, p.EIP, p.NAT, nil, p.VPN, p.Tags)}
	w.vpc = p.VPC(a, "10.0.0.0/8")
	w.vsw = p.VSwitch(a, w.vpc.VPC, "10.1.0.0/16")
	w.ecs = p.Instance(w.vsw, "10.1.0.1", resource.Host)
	w.ecs2 = p.Instance(w.vsw, "10.1.0.2", resource.Host)
	w.slb = p.Instance(w.vsw, "10.1.0.3", resource.LoadBalancer)
	w.vip = p.Instance(w.vsw, "10.1.0.4", resource.VirtualIP)
	p.Route(a, w.vpc.RouteTable, "192.168.0.0/16", resource.NextHopHost, w.ecs)
	w.empty = p.VPC(a, "10.0.0.0/8")
	w.ngw = p.Gateway(a, w.empty.VPC).ID
	w.theirs = p.VPC(planetest.Bob, "10.0.0.0/8")
	w.free, w.bound = p.NewEIP(a).ID, p.NewEIP(a).ID
	p.Bind(a, w.bound, resource.BoundToHost, w.ecs)
	w.faraway = p.EIPIn(a, planetest.Elsewhere).ID
	return w
}

// routeTables are custom route tables of a VPC, 10.0.0.0/8 and 172.16.0.0/16.
type routeTables struct {
	vpc    string
	vsw    string // 10.1.0.0/16
	bound  string // VSwitch 10.2.0.0/16, bound to table
	ecs    string // in vsw
	table  string // leads 192.168.0.0/16 to ecs
	unused string
}

// withTables makes a VPC of Alice's with custom route tables, at the first call.
func (w *vpcWorld) withTables() *routeTables {
	if w.tables != nil {
		return w.tables
	}
	a, ctx := planetest.Alice, context.Background()
	vpc := w.VPC(a, "10.0.0.0/8").VPC
	r := &routeTables{vpc: vpc, vsw: w.VSwitch(a, vpc, "10.1.0.0/16"), bound: w.VSwitch(a, vpc, "10.2.0.0/16")}
	for _, table := range []*string{&r.table, &r.unused} {
		made, err := w.Network.CreateRouteTable(ctx, a, network.NewRouteTable{Region: planetest.Region, VPC: vpc})
		if err != nil {
			panic(err)
		}
		*table = made.ID
	}
	if err := w.Network.AssociateRouteTable(ctx, a, "", r.table, r.bound); err != nil {
		panic(err)
	}
	if err := w.Network.AssociateCIDR(ctx, a, "", vpc, netip.MustParsePrefix("172.16.0.0/16")); err != nil {
		panic(err)
	}
	r.ecs = w.Instance(r.vsw, "10.1.0.1", resource.Host)
	w.Route(a, r.table, "192.168.0.0/16", resource.NextHopHost, r.ecs)
	w.tables = r
	return r
}

// good returns parameters, name and value in turn, with which an action
// succeeds.
func (w *vpcWorld) good(action string) []string {
	switch action {
	case "CreateVpc", "DescribeVpcs", "DescribeVRouters", "DescribeVSwitches", "DescribeEipAddresses", "DescribeZones", "DescribeAccessPoints", "AllocateEipAddress":
		return []string{"RegionId", planetest.Region}
	case "ModifyVpcAttribute":
		return []string{"VpcId", w.vpc.VPC, "VpcName", "Office"}
	case "DeleteVpc":
		return []string{"VpcId", w.VPC(planetest.Alice, "10.0.0.0/8").VPC}
	case "DescribeVpcAttribute":
		return []string{"VpcId", w.vpc.VPC, "RegionId", planetest.Region}
	case "AssociateVpcCidrBlock":
		return []string{"VpcId", w.withTables().vpc, "SecondaryCidrBlock", "172.17.0.0/16"}
	case "UnassociateVpcCidrBlock":
		return []string{"VpcId", w.withTables().vpc, "SecondaryCidrBlock", "172.16.0.0/16"}
	case "DescribeVSwitchAttributes":
		return []string{"VSwitchId", w.vsw, "RegionId", planetest.Region}
	case "CreateRouteTable":
		return []string{"VpcId", w.vpc.VPC, "RegionId", planetest.Region}
	case "ModifyRouteTableAttributes":
		return []string{"RouteTableId", w.withTables().table, "RouteTableName", "3rd floor"}
	case "DeleteRouteTable":
		return []string{"RouteTableId", w.withTables().unused, "RegionId", planetest.Region}
	case "AssociateRouteTable":
		return []string{"RouteTableId", w.withTables().unused, "VSwitchId", w.withTables().vsw, "RegionId", planetest.Region}
	case "UnassociateRouteTable":
		return []string{"RouteTableId", w.withTables().table, "VSwitchId", w.withTables().bound, "RegionId", planetest.Region}
	case "DescribeRouteTableList":
		return []string{"RegionId", planetest.Region}
	case "DescribeRouteEntryList":
		return []string{"RouteTableId", w.withTables().table, "RegionId", planetest.Region}
	case "ModifyRouteEntry":
		return []string{"RouteTableId", w.withTables().table, "DestinationCidrBlock", "192.168.0.0/16", "RouteEntryName", "1", "NewNextHopId", w.withTables().ecs}
	case "ModifyVRouterAttribute":
		return []string{"VRouterId", w.vpc.VRouter, "VRouterName", "Core"}
	case "CreateVSwitch":
		return []string{"VpcId", w.vpc.VPC, "ZoneId", planetest.Zone, "CidrBlock", "10.2.0.0/16"}
	case "DeleteVSwitch":
		return []string{"VSwitchId", w.VSwitch(planetest.Alice, w.vpc.VPC, "10.3.0.0/16")}
	case "ModifyVSwitchAttribute":
		return []string{"VSwitchId", w.vsw, "VSwitchName", "Desks"}
	case "CreateRouteEntry":
		return []string{"RouteTableId", w.vpc.RouteTable, "DestinationCidrBlock", "172.16.0.0/12", "NextHopId", w.ecs}
	case "DeleteRouteEntry":
		return []string{"RouteTableId", w.vpc.RouteTable, "DestinationCidrBlock", "192.168.0.0/16", "NextHopId", w.ecs}
	case "AssociateEipAddress":
		return []string{"AllocationId", w.free, "InstanceId", w.ecs2}
	case "UnassociateEipAddress":
		return []string{"AllocationId", w.bound, "InstanceId", w.ecs}
	case "ModifyEipAddressAttribute":
		return []string{"AllocationId", w.free, "Bandwidth", "10"}
	case "ReleaseEipAddress":
		return []string{"AllocationId", w.free}
	case "ModifyEipForwardMode":
		return []string{"RegionId", planetest.Region, "InstanceId", w.free, "Mode", "NAT"}
	case "DescribeHighDefinitionMonitorLogAttribute":
		return []string{"RegionId", planetest.Region, "InstanceId", w.free}
	case "SetHighDefinitionMonitorLogStatus":
		return []string{"RegionId", planetest.Region, "InstanceId", w.free, "Status", "OFF"}
	}
	return nil // DescribeRegions, DescribeRouteTables
}

// call makes a call of Alice's with the good parameters, changed by name and
// value; an empty value leaves the parameter out.
func (w *vpcWorld) call(action string, change ...string) (Response, *Error) {
	return w.callAs(planetest.Alice, action, append(w.good(action), change...)...)
}

func (w *vpcWorld) callAs(c identity.Caller, action string, namesAndValues ...string) (Response, *Error) {
	values := map[string]string{}
	var names []string
	for i := 0; i < len(namesAndValues); i += 2 {
		names = append(names, namesAndValues[i])
		values[namesAndValues[i]] = namesAndValues[i+1]
	}
	p := NewParams()
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if values[name] != "" {
			p.Add(name, values[name])
		}
	}
	return Dispatch(context.Background(), w.s, c, action, p)
}

// must is call for a call that succeeds.
func (w *vpcWorld) must(t *testing.T, action string, change ...string) Response {
	t.Helper()
	r, e := w.call(action, change...)
	if e != nil {
		t.Fatalf("%s: %v", action, e)
	}
	return r
}

// vpcActions are the actions that this matrix is about.
var vpcActions = []string{
	"CreateVpc", "DeleteVpc", "DescribeVpcs", "ModifyVpcAttribute",
	"DescribeVRouters", "ModifyVRouterAttribute",
	"CreateVSwitch", "DeleteVSwitch", "DescribeVSwitches", "ModifyVSwitchAttribute",
	"DescribeVpcAttribute", "AssociateVpcCidrBlock", "UnassociateVpcCidrBlock", "DescribeVSwitchAttributes",
	"CreateRouteTable", "ModifyRouteTableAttributes", "DeleteRouteTable", "AssociateRouteTable", "UnassociateRouteTable", "DescribeRouteTableList",
	"CreateRouteEntry", "ModifyRouteEntry", "DeleteRouteEntry", "DescribeRouteTables", "DescribeRouteEntryList",
	"AllocateEipAddress", "AssociateEipAddress", "UnassociateEipAddress", "DescribeEipAddresses", "ModifyEipAddressAttribute", "ReleaseEipAddress",
	"ModifyEipForwardMode", "DescribeHighDefinitionMonitorLogAttribute", "SetHighDefinitionMonitorLogStatus",
	"DescribeRegions", "DescribeZones", "DescribeAccessPoints",
}

// Parts of cases: something that has happened to the world, and parameters.
type (
	happening func(*testing.T, *vpcWorld)
	change    func(*vpcWorld) []string
)

func fixed(namesAndValues ...string) change {
	return func(*vpcWorld) []string { return namesAndValues }
}

// stalled is a dataplane that does not answer from now on.
func stalled(_ *testing.T, w *vpcWorld) { w.Dataplane(planetest.Stalls) }

// and does one thing after the other.
func and(all ...happening) happening {
	return func(t *testing.T, w *vpcWorld) {
		for _, h := range all {
			h(t, w)
		}
	}
}

// unusedVSwitch puts one that nothing is in in place of the usual one.
func unusedVSwitch(_ *testing.T, w *vpcWorld) {
	w.vsw = w.VSwitch(planetest.Alice, w.vpc.VPC, "10.7.0.0/16")
}

func newVSwitch(_ *testing.T, w *vpcWorld)    { w.VSwitch(planetest.Alice, w.vpc.VPC, "10.9.0.0/16") }
func newRouteEntry(_ *testing.T, w *vpcWorld) { w.add("10.8.0.0/16", resource.NextHopHost, w.ecs) }

func (w *vpcWorld) add(destination string, kind resource.NextHopType, hop string) {
	w.Route(planetest.Alice, w.vpc.RouteTable, destination, kind, hop)
}

func newVPC(_ *testing.T, w *vpcWorld) { w.vpc = w.VPC(planetest.Alice, "10.0.0.0/8") }

// instanceIs puts one of the instances into a state.
func instanceIs(which func(*vpcWorld) string, state string) happening {
	return func(_ *testing.T, w *vpcWorld) { w.InstanceState(which(w), state) }
}

func ecs(w *vpcWorld) string  { return w.ecs }
func ecs2(w *vpcWorld) string { return w.ecs2 }
func vip(w *vpcWorld) string  { return w.vip }

func theVPC(w *vpcWorld) []string   { return []string{"VpcId", w.vpc.VPC} }
func theEmpty(w *vpcWorld) []string { return []string{"VpcId", w.empty.VPC} }
func theVSW(w *vpcWorld) []string   { return []string{"VSwitchId", w.vsw} }

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
	{"DeleteVSwitch", "DependencyViolation", "", func(t *testing.T, w *vpcWorld) { remove(t, w, w.vip) }, theVSW},
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
	{"CreateRouteEntry", "IncorrectHaVipStatus", "", instanceIs(vip, resource.Pending), func(w *vpcWorld) []string {
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

	{"AllocateEipAddress", "QuotaExceeded.Eip", "", func(_ *testing.T, w *vpcWorld) { w.Settings.Quotas["elastic_ips"] = 3 }, fixed()},
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
	{"AssociateEipAddress", "IncorrectHaVipStatus", "", instanceIs(vip, resource.Pending), func(w *vpcWorld) []string {
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
	{"UnassociateEipAddress", "IncorrectHaVipStatus", "", instanceIs(vip, resource.Pending), func(w *vpcWorld) []string {
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

// remove takes an instance out of the inventory.
func remove(t *testing.T, w *vpcWorld, id string) {
	t.Helper()
	if err := w.Inventory.Remove(context.Background(), id); err != nil {
		t.Fatal(err)
	}
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
	"DeleteVpc DependencyViolation.SecurityGroup":              "there are no security groups",
	"DeleteVSwitch InvalidRegionId.NotFound":                   "the action has no parameter RegionId",
	"CreateRouteEntry InvalidVBRStatus":                        "there are no virtual border routers yet",
	"CreateRouteEntry InvalidPhysicalConnectionBusinessStatus": "there are no physical connections yet",
	"CreateRouteEntry InvalidRouterType":                       "there are no virtual border routers yet, so no route table is one's",
	"AllocateEipAddress Forbbiden":                             "every account may have elastic IPs, within its quota",
	"AllocateEipAddress InsufficientBalance":                   "nothing is charged",
	"AssociateEipAddress OperationDenied":                      "every instance of the inventory is in a VPC",
	"AssociateEipAddress CountLimitExceeded.EIPOnECSInstance":  "the same case as InvalidAssociation.Duplicated, which is answered",
	"ModifyEipAddressAttribute InsufficientBalance":            "nothing is charged",
}

func TestErrorMatrix(t *testing.T) {
	for i, c := range vpcErrors {
		t.Run(fmt.Sprintf("%s %s %d", c.action, c.code, i), func(t *testing.T) {
			w := newVPCWorld(t)
			good := w.good(c.action)
			if c.happened != nil {
				c.happened(t, w)
			}
			before := w.DB.View().Revision
			_, e := w.callAs(planetest.Alice, c.action, append(good, c.change(w)...)...)
			want := choose(documentedErrors[c.action], c.code, c.message)
			if want == nil || !strings.Contains(want.Message, c.message) {
				t.Fatalf("%s does not document %s with %q", c.action, c.code, c.message)
			}
			if e == nil || *e != *want {
				t.Errorf("got %+v\nwant %+v", e, want)
			}
			if w.DB.View().Revision != before {
				t.Error("a refused call has changed something")
			}
		})
	}
}

// TestErrorsAreProvokedOrExplained compares the matrix with the catalog.
func TestErrorsAreProvokedOrExplained(t *testing.T) {
	provoked := map[string]bool{}
	for _, c := range vpcErrors {
		if e := choose(documentedErrors[c.action], c.code, c.message); e != nil {
			provoked[c.action+" "+e.Code+" "+e.Message] = true
		}
	}
	explained := map[string]bool{}
	for _, action := range vpcActions {
		for _, e := range documentedErrors[action] {
			why, listed := vpcNotProvokable[action+" "+e.Code]
			explained[action+" "+e.Code] = true
			switch seen := provoked[action+" "+e.Code+" "+e.Message]; {
			case seen && listed:
				t.Errorf("%s: %s is provoked, and said not to be", action, e.Code)
			case !seen && why == "":
				t.Errorf("%s: %s (%s) is neither provoked nor explained", action, e.Code, e.Message)
			}
		}
	}
	for key := range vpcNotProvokable {
		if !explained[key] {
			t.Errorf("%s is explained, but not documented", key)
		}
	}
}

// TestGoodCalls makes the calls that the matrix changes, unchanged.
func TestGoodCalls(t *testing.T) {
	for _, action := range vpcActions {
		t.Run(action, func(t *testing.T) {
			w := newVPCWorld(t)
			r := w.must(t, action)
			for _, f := range []Format{FormatXML, FormatJSON} {
				encoded(t, f, r)
			}
		})
	}
}

// TestEveryActionIsInAMatrix keeps a new action from being forgotten.
func TestEveryActionIsInAMatrix(t *testing.T) {
	matrices := map[string][]string{"vpcActions": vpcActions, "natActions": natActions, "monitorActions": monitorActions, "vgwActions": vgwActions, "vpnConnectionActions": vpnConnectionActions}
	for action := range actions {
		n := 0
		for _, list := range matrices {
			if slices.Contains(list, action) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s has to be in one of the lists %v, of an error matrix each, and is in %d", action, slices.Sorted(maps.Keys(matrices)), n)
		}
	}
}
