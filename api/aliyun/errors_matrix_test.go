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
	"sluice/controlplane/state"
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

func (w *vpcWorld) view() *state.View { return w.DB.View() }

func newVPCWorld(t *testing.T) *vpcWorld {
	t.Helper()
	p := planetest.New(t)
	a := planetest.Alice
	w := &vpcWorld{Plane: p, s: NewService(p.Network, p.EIP, p.Bandwidth, p.NAT, nil, p.VPN, p.Links, p.Tags, p.RAM, p.HaVip, p.Lines, p.Acceleration)}
	w.vpc = p.VPC(a, "10.0.0.0/8")
	w.vsw = p.VSwitch(a, w.vpc.VPC, "10.1.0.0/16")
	w.ecs = p.Instance(w.vsw, "10.1.0.1", resource.Host)
	w.ecs2 = p.Instance(w.vsw, "10.1.0.2", resource.Host)
	w.slb = p.Instance(w.vsw, "10.1.0.3", resource.LoadBalancer)
	w.vip = p.NewHaVip(a, w.vsw, "10.1.0.4")
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

// vipChanges is a HaVip that the dataplane has not followed yet.
func vipChanges(t *testing.T, w *vpcWorld) {
	stalled(t, w)
	w.ChangeHaVip(w.vip)
}

func theVPC(w *vpcWorld) []string   { return []string{"VpcId", w.vpc.VPC} }
func theEmpty(w *vpcWorld) []string { return []string{"VpcId", w.empty.VPC} }
func theVSW(w *vpcWorld) []string   { return []string{"VSwitchId", w.vsw} }

func TestErrorMatrix(t *testing.T) {
	worlds := &shared[*vpcWorld]{t: t, world: newVPCWorld}
	for i, c := range vpcErrors {
		t.Run(fmt.Sprintf("%s %s %d", c.action, c.code, i), func(t *testing.T) {
			w, back := worlds.take(t, c.happened != nil)
			defer back()
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
			if e == nil || withoutReason(e) != *want {
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
	matrices := map[string][]string{"vpcActions": vpcActions, "natActions": natActions, "monitorActions": monitorActions, "vgwActions": vgwActions, "bandwidthActions": bandwidthActions, "haVipActions": haVipActions, "vpnConnectionActions": vpnConnectionActions, "sslActions": sslActions, "linkActions": linkActions, "ramActions": ramActions, "lineActions": lineActions, "accelerationActions": accelerationActions}
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
