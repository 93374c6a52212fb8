package aliyun

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/havip"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// haVipWorld has HaVips of Alice's, and instances for them.
type haVipWorld struct {
	planeWorld
	table  string // route table of the VPC
	vsw    string // 10.1.0.0/24
	bound  string // HaVip 10.1.0.10 of host
	empty  string // HaVip 10.1.0.11
	host   string // instance 10.1.0.1
	second string // instance 10.1.0.2
	away   string // instance in another VSwitch
	db     string // database
}

func newHaVipWorld(t *testing.T) *haVipWorld {
	t.Helper()
	a := planetest.Alice
	w := &haVipWorld{planeWorld: newPlaneWorld(t)}
	p := w.Plane
	vpc := p.VPC(a, "10.0.0.0/8")
	w.table, w.vsw = vpc.RouteTable, p.VSwitch(a, vpc.VPC, "10.1.0.0/24")
	w.host, w.second = p.Instance(w.vsw, "10.1.0.1", resource.Host), p.Instance(w.vsw, "10.1.0.2", resource.Host)
	w.away, w.db = p.Instance(p.VSwitch(a, vpc.VPC, "10.8.0.0/24"), "", resource.Host), p.Instance(w.vsw, "10.1.0.3", resource.Database)
	w.bound, w.empty = p.NewHaVip(a, w.vsw, "10.1.0.10"), p.NewHaVip(a, w.vsw, "10.1.0.11")
	p.BindHaVip(a, w.bound, w.host)
	return w
}

// good returns parameters with which an action succeeds, changed by name and value; an
// empty value leaves the parameter out.
func (w *haVipWorld) good(action string, change ...string) map[string]string {
	p := map[string]string{"RegionId": planetest.Region}
	add := func(more ...string) {
		for i := 0; i < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
	}
	switch action {
	case "CreateHaVip":
		add("VSwitchId", w.vsw)
	case "DescribeHaVips":
		add("Filter.1.Key", "HaVipId", "Filter.1.Value.1", w.bound)
	case "AssociateHaVip":
		add("HaVipId", w.bound, "InstanceId", w.second)
	case "UnassociateHaVip":
		add("HaVipId", w.bound, "InstanceId", w.host)
	case "ModifyHaVipAttribute":
		add("HaVipId", w.bound, "Name", "front")
	case "DeleteHaVip":
		add("HaVipId", w.empty)
	}
	add(change...)
	return p
}

// haVipActions are the actions that this matrix is about.
var haVipActions = []string{"CreateHaVip", "DescribeHaVips", "AssociateHaVip", "UnassociateHaVip", "ModifyHaVipAttribute", "DeleteHaVip"}

func haVipWith(change ...string) func(*haVipWorld) []string {
	return func(*haVipWorld) []string { return change }
}

func ofBound(w *haVipWorld) []string { return []string{"HaVipId", w.bound} }

// changing has the dataplane not follow a change of a HaVip.
func changing(which func(*haVipWorld) string) func(*testing.T, *haVipWorld) {
	return func(_ *testing.T, w *haVipWorld) {
		w.Dataplane(planetest.Stalls)
		w.ChangeHaVip(which(w))
	}
}

func theBound(w *haVipWorld) string { return w.bound }
func theFree(w *haVipWorld) string  { return w.empty }

var haVipErrors = []matrixCase[*haVipWorld]{
	{"CreateHaVip", "InvalidDescription.Malformed", "", nil, haVipWith("Description", "http://x")},
	{"CreateHaVip", "InvalidIPAddress.Malformed", "", nil, haVipWith("IpAddress", "10.1.0")},
	{"CreateHaVip", "InvalidIPAddress.OutOfRange", "", nil, haVipWith("IpAddress", "10.2.0.1")},
	{"CreateHaVip", "InvalidIPAddress.NotAvailable", "", nil, haVipWith("IpAddress", "10.1.0.253")},
	{"CreateHaVip", "InvalidIPAddress.AlreadyUsed", "", nil, haVipWith("IpAddress", "10.1.0.1")},
	{"CreateHaVip", "InvalidIPAddress.AlreadyUsed", "", nil, haVipWith("IpAddress", "10.1.0.10")},
	{"CreateHaVip", "InvalidRegionId.NotFound", "", nil, haVipWith("RegionId", "mars")},
	{"CreateHaVip", "InvalidVSwitchId.NotFound", "", nil, haVipWith("VSwitchId", "vsw-none")},

	{"DescribeHaVips", "InvalidRegionId.NotFound", "", nil, haVipWith("RegionId", "mars")},

	{"AssociateHaVip", "InvalidRegionId.NotFound", "", nil, haVipWith("RegionId", "mars")},
	{"AssociateHaVip", "InvalidHaVipId.NotFound", "", nil, haVipWith("HaVipId", "havip-none")},
	{"AssociateHaVip", "InvalidInstanceId.NotFound", "", nil, haVipWith("InstanceId", "i-none")},
	{"AssociateHaVip", "IncorrectHaVipStatus", "", changing(theBound), haVipWith()},
	{"AssociateHaVip", "IncorrectInstanceStatus", "", func(_ *testing.T, w *haVipWorld) { w.InstanceState(w.second, resource.Starting) }, haVipWith()},
	{"AssociateHaVip", "CountLimitExceed.HaVipOnInstance", "", func(_ *testing.T, w *haVipWorld) {
		for range havip.MostPerInstance {
			w.BindHaVip(planetest.Alice, w.NewHaVip(planetest.Alice, w.vsw, ""), w.second)
		}
	}, haVipWith()},
	{"AssociateHaVip", "CountLimitExceeded.HaVipOnECSInstance", "", func(_ *testing.T, w *haVipWorld) { w.Settings.Quotas["instances_per_ha_vip"] = 1 }, haVipWith()},

	{"UnassociateHaVip", "InvalidRegionId.NotFound", "", nil, haVipWith("RegionId", "mars")},
	{"UnassociateHaVip", "InvalidHaVipId.NotFound", "", nil, haVipWith("HaVipId", "havip-none")},
	{"UnassociateHaVip", "InvalidInstanceId.NotFound", "", nil, haVipWith("InstanceId", "i-none")},
	{"UnassociateHaVip", "IncorrectHaVipStatus", "", changing(theBound), haVipWith()},
	{"UnassociateHaVip", "IncorrectHaVipStatus", "", nil, func(w *haVipWorld) []string { return []string{"HaVipId", w.empty} }},
	{"UnassociateHaVip", "IncorrectInstanceStatus", "", func(_ *testing.T, w *haVipWorld) { w.InstanceState(w.host, resource.Stopping) }, haVipWith()},
	{"UnassociateHaVip", "ResourceNotAssociated", "", nil, func(w *haVipWorld) []string { return []string{"InstanceId", w.second} }},
	{"UnassociateHaVip", "Forbidden.UnassociateMaster", "", func(_ *testing.T, w *haVipWorld) {
		w.Holders.Set(netip.MustParseAddr("10.1.0.10"), dataplane.HaVipHolder{MAC: "02:00:00:00:00:01", Host: netip.MustParseAddr("10.1.0.1")})
	}, haVipWith("Force", "false")},

	{"ModifyHaVipAttribute", "InvalidDescription.Malformed", "", nil, haVipWith("Description", "https://x")},
	{"ModifyHaVipAttribute", "InvalidRegionId.NotFound", "", nil, haVipWith("RegionId", "mars")},
	{"ModifyHaVipAttribute", "InvalidHaVipId.NotFound", "", nil, haVipWith("HaVipId", "havip-none")},

	{"DeleteHaVip", "InvalidRegionId.NotFound", "", nil, haVipWith("RegionId", "mars")},
	{"DeleteHaVip", "InvalidHaVipId.NotFound", "", nil, haVipWith("HaVipId", "havip-none")},
	{"DeleteHaVip", "IncorrectStatus", "", nil, ofBound},
	{"DeleteHaVip", "DependencyViolation.HaVipReferedByRouteEntry", "", func(_ *testing.T, w *haVipWorld) {
		w.Route(planetest.Alice, w.table, "192.168.0.0/16", resource.NextHopVirtualIP, w.empty)
	}, haVipWith()},
	{"DeleteHaVip", "DependencyViolation.HaVipAssociatedWithEIP", "", func(_ *testing.T, w *haVipWorld) {
		w.Bind(planetest.Alice, w.NewEIP(planetest.Alice).ID, resource.BoundToVirtualIP, w.empty)
	}, haVipWith()},
	{"DeleteHaVip", "IncorrectHaVipStatus", "", changing(theFree), haVipWith()},
}

// haVipOthers are refusals for which today's reference has no code: common ones, and ours.
var haVipOthers = []matrixCase[*haVipWorld]{
	{"CreateHaVip", "MissingParameter", `"VSwitchId"`, nil, haVipWith("VSwitchId", "")},
	{"CreateHaVip", "InvalidParameter", `"Name"`, nil, haVipWith("Name", "http://x")},
	{"CreateHaVip", "QuotaExceeded.HaVip", "", func(_ *testing.T, w *haVipWorld) { w.Settings.Quotas["ha_vips"] = 2 }, haVipWith()},
	{"CreateHaVip", "IncorrectVSwitchStatus", "", func(_ *testing.T, w *haVipWorld) {
		w.Dataplane(planetest.Stalls)
		w.vsw = w.VSwitch(planetest.Alice, vpcOf(w), "10.9.0.0/24")
	}, func(w *haVipWorld) []string { return []string{"VSwitchId", w.vsw} }},
	{"CreateHaVip", "InsufficientIPAddress", "", func(_ *testing.T, w *haVipWorld) {
		w.Settings.Quotas["ha_vips"] = 300
		w.vsw = w.VSwitch(planetest.Alice, vpcOf(w), "10.9.0.0/29")
		for range 4 {
			w.NewHaVip(planetest.Alice, w.vsw, "")
		}
	}, func(w *haVipWorld) []string { return []string{"VSwitchId", w.vsw} }},
	{"AssociateHaVip", "UnsupportedParameter", `"InstanceType"`, nil, haVipWith("InstanceType", "NetworkInterface")},
	{"AssociateHaVip", "InvalidAssociation.Duplicated", "", nil, func(w *haVipWorld) []string { return []string{"InstanceId", w.host} }},
	{"AssociateHaVip", "InvalidParameter.Mismatch", "", nil, func(w *haVipWorld) []string { return []string{"InstanceId", w.away} }},
	{"AssociateHaVip", "InvalidInstanceId.NotFound", "", nil, func(w *haVipWorld) []string { return []string{"InstanceId", w.db} }},
	{"DescribeHaVips", "MissingParameter", `"Filter.1.Key"`, nil, haVipWith("Filter.1.Key", "")},
	{"DescribeHaVips", "InvalidParameter", `"Filter.1.Key"`, nil, haVipWith("Filter.1.Key", "Colour", "Filter.1.Value.1", "x")},
	{"DescribeHaVips", "InvalidParameter", `"PageSize"`, nil, haVipWith("PageSize", "51")},
	{"UnassociateHaVip", "InvalidParameter", `"Force"`, nil, haVipWith("Force", "perhaps")},
}

func vpcOf(w *haVipWorld) string {
	x, _ := w.DB.View().VSwitches.Get(w.vsw)
	return x.VPC
}

func TestHaVipErrors(t *testing.T) { provokeAll(t, haVipErrors, newHaVipWorld, true) }

func TestHaVipRefusalsWithoutACode(t *testing.T) { provokeAll(t, haVipOthers, newHaVipWorld, false) }

func TestHaVipErrorsAreComplete(t *testing.T) {
	for _, action := range haVipActions {
		for _, e := range documentedErrors[action] {
			if !slices.ContainsFunc(haVipErrors, func(c matrixCase[*haVipWorld]) bool { return c.documents(action, e) }) {
				t.Errorf("%s: %s (%s) has to be provoked", action, e.Code, e.Message)
			}
		}
	}
}

// The parameters that the matrix changes work unchanged.
func TestHaVipActionsSucceed(t *testing.T) { succeed(t, haVipActions, newHaVipWorld) }

// What is made is what is shown, by each filter; the master is what was seen.
func TestHaVipsAreShown(t *testing.T) {
	w := newHaVipWorld(t)
	made := w.must(t, "CreateHaVip", w.good("CreateHaVip", "IpAddress", "10.1.0.20", "Name", "front", "Description", "of the shop",
		"Tag.1.Key", "team", "Tag.1.Value", "web")).(*CreateHaVipResponse)
	if made.IpAddress != "10.1.0.20" {
		t.Errorf("%+v", made)
	}
	for _, i := range []string{w.host, w.second} {
		w.must(t, "AssociateHaVip", w.good("AssociateHaVip", "HaVipId", made.HaVipId, "InstanceId", i))
	}
	e := w.NewEIP(planetest.Alice)
	w.must(t, "AssociateEipAddress", w.good("AssociateEipAddress", "AllocationId", e.ID, "InstanceType", "HaVip", "InstanceId", made.HaVipId))
	w.Holders.Set(netip.MustParseAddr("10.1.0.20"), dataplane.HaVipHolder{MAC: "02:00:00:00:00:02", Host: netip.MustParseAddr("10.1.0.2")})
	list := func(params ...string) []string {
		var ids []string
		for _, h := range w.must(t, "DescribeHaVips", w.good("", params...)).(*DescribeHaVipsResponse).HaVips.HaVip {
			ids = append(ids, h.HaVipId)
		}
		return ids
	}
	for _, c := range []struct {
		params []string
		want   []string
	}{
		{nil, []string{w.bound, w.empty, made.HaVipId}},
		{[]string{"Filter.1.Key", "HaVipId", "Filter.1.Value.1", made.HaVipId}, []string{made.HaVipId}},
		{[]string{"Filter.1.Key", "HaVipId", "Filter.1.Value.1", made.HaVipId, "Filter.1.Value.2", w.bound}, []string{w.bound, made.HaVipId}},
		{[]string{"Filter.1.Key", "HaVipAddress", "Filter.1.Value.1", "10.1.0.11"}, []string{w.empty}},
		{[]string{"Filter.1.Key", "Status", "Filter.1.Value.1", "InUse"}, []string{w.bound, made.HaVipId}},
		{[]string{"Filter.1.Key", "Status", "Filter.1.Value.1", "Deleting"}, nil},
		{[]string{"Filter.1.Key", "VpcId", "Filter.1.Value.1", vpcOf(w)}, []string{w.bound, w.empty, made.HaVipId}},
		{[]string{"Filter.1.Key", "VSwitchId", "Filter.1.Value.1", "vsw-none"}, nil},
		{[]string{"Filter.1.Key", "VSwitchId", "Filter.1.Value.1", w.vsw, "Filter.2.Key", "Status", "Filter.2.Value.1", "Available"}, []string{w.empty}},
		{[]string{"Filter.1.Key", "HaVipId", "Filter.1.Value.1", w.bound, "Filter.2.Key", "HaVipId", "Filter.2.Value.1", w.empty}, nil},
		{[]string{"Tags.1.Key", "team"}, []string{made.HaVipId}},
		{[]string{"Tags.1.Key", "team", "Tags.1.Value", "ops"}, nil},
		{[]string{"PageSize", "1", "PageNumber", "2"}, []string{w.empty}},
	} {
		if got := list(c.params...); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.params, got, c.want)
		}
	}
	r := w.must(t, "DescribeHaVips", w.good("DescribeHaVips", "Filter.1.Key", "HaVipId", "Filter.1.Value.1", made.HaVipId))
	for _, want := range []string{`"Status":"InUse"`, `"Name":"front"`, `"Description":"of the shop"`, `"AssociatedInstanceType":"EcsInstance"`,
		fmt.Sprintf(`"MasterInstanceId":%q`, w.second), `"IpAddress":"10.1.0.20"`, e.Address.String(), w.host, `"Value":"web"`, `"ChargeType":"PostPaid"`} {
		if text := encoded(t, FormatJSON, r); !strings.Contains(text, want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
}
