package aliyun

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

// linkWorld has VPCs of Alice's, router interfaces that are connected in pairs or are not yet,
// and one of Bob's.
type linkWorld struct {
	planeWorld
	vrouter string // of 10.0.0.0/8
	table   string // its route table
	vpc     string // its VPC
	host    string // in it, 10.1.0.1
	far     string // VRouter of 172.16.0.0/12

	ready    string // initiates, at vrouter; names waiting
	waiting  string // accepts, at far; names ready
	idle     string // accepts, at vrouter; names none
	active   string // initiates, at a router of its own
	other    string // the other end of active
	twin     string // the other end of inactive
	inactive string // initiates, at a router of its own; leads its 192.168.0.0/16, whose entry is unrouted by unroute
	line     string // accepts, at vrouter, towards a border router
	theirs   string // Bob's, which names no opposite
	theirsAt string // its VRouter
}

func newLinkWorld(t *testing.T) *linkWorld {
	t.Helper()
	a := planetest.Alice
	w := &linkWorld{planeWorld: newPlaneWorld(t)}
	w.Settings.Quotas["router_interfaces"] = 20
	near, far := w.VPC(a, "10.0.0.0/8"), w.VPC(a, "172.16.0.0/12")
	w.vpc, w.vrouter, w.table, w.far = near.VPC, near.VRouter, near.RouteTable, far.VRouter
	w.host = w.Instance(w.VSwitch(a, w.vpc, "10.1.0.0/16"), "10.1.0.1", resource.Host)
	w.ready, w.waiting = w.pair(t, w.vrouter, w.far)
	w.idle = w.make(t, "RouterId", w.vrouter, "Role", "AcceptingSide", "Spec", "Negative")
	w.active, w.other = w.pair(t, w.VPC(a, "10.0.0.0/8").VRouter, w.VPC(a, "10.0.0.0/8").VRouter)
	from := w.VPC(a, "10.0.0.0/8")
	w.inactive, w.twin = w.pair(t, from.VRouter, w.VPC(a, "10.0.0.0/8").VRouter)
	for _, id := range []string{w.active, w.inactive} {
		w.must(t, "ConnectRouterInterface", w.good("ConnectRouterInterface", "RouterInterfaceId", id))
	}
	w.must(t, "DeactivateRouterInterface", w.good("DeactivateRouterInterface", "RouterInterfaceId", w.inactive))
	w.line = w.make(t, "RouterId", w.vrouter, "Role", "AcceptingSide", "Spec", "Negative", "OppositeRouterType", "VBR", "OppositeAccessPointId", "ap-1")
	w.theirsAt = w.VPC(planetest.Bob, "10.0.0.0/8").VRouter
	r, e := w.callAs(planetest.Bob, "CreateRouterInterface", w.good("CreateRouterInterface", "RouterId", w.theirsAt, "Role", "AcceptingSide", "Spec", "Negative"))
	if e != nil {
		t.Fatal(e)
	}
	w.theirs = r.(*CreateRouterInterfaceResponse).RouterInterfaceId
	return w
}

func (w *linkWorld) make(t *testing.T, change ...string) string {
	t.Helper()
	return w.must(t, "CreateRouterInterface", w.good("CreateRouterInterface", change...)).(*CreateRouterInterfaceResponse).RouterInterfaceId
}

// pair makes two interfaces that name each other; the first one initiates.
func (w *linkWorld) pair(t *testing.T, from, to string) (initiates, accepts string) {
	t.Helper()
	accepts = w.make(t, "RouterId", to, "Role", "AcceptingSide", "Spec", "Negative")
	initiates = w.make(t, "RouterId", from, "OppositeInterfaceId", accepts, "OppositeRouterId", to, "OppositeInterfaceOwnerId", planetest.Alice.Account)
	w.must(t, "ModifyRouterInterfaceAttribute", map[string]string{"RegionId": planetest.Region, "RouterInterfaceId": accepts,
		"OppositeInterfaceId": initiates, "OppositeRouterId": from, "OppositeInterfaceOwnerId": planetest.Alice.Account})
	return initiates, accepts
}

func (w *linkWorld) good(action string, change ...string) map[string]string {
	p := map[string]string{"RegionId": planetest.Region}
	add := func(more ...string) {
		for i := 0; i < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
	}
	switch action {
	case "CreateRouterInterface":
		add("RouterType", "VRouter", "RouterId", w.vrouter, "Role", "InitiatingSide", "Spec", "Small.1", "OppositeRegionId", planetest.Region)
	case "DescribeRouterInterfaceAttribute":
		add("InstanceId", w.active)
	case "ConnectRouterInterface":
		add("RouterInterfaceId", w.ready)
	case "ActivateRouterInterface":
		add("RouterInterfaceId", w.inactive)
	case "DeactivateRouterInterface":
		add("RouterInterfaceId", w.active)
	case "ModifyRouterInterfaceSpec":
		add("RouterInterfaceId", w.active, "Spec", "Large.1")
	case "ModifyRouterInterfaceAttribute":
		add("RouterInterfaceId", w.idle, "Name", "Core")
	case "DeleteRouterInterface":
		add("RouterInterfaceId", w.inactive)
	case "CreateRouteEntry":
		delete(p, "RegionId")
		add("RouteTableId", w.table, "DestinationCidrBlock", "192.168.0.0/16")
	}
	add(change...)
	return p
}

// linkActions are the actions that this matrix is about.
var linkActions = []string{
	"CreateRouterInterface", "DescribeRouterInterfaces", "DescribeRouterInterfaceAttribute", "ConnectRouterInterface", "ActivateRouterInterface", "DeactivateRouterInterface",
	"ModifyRouterInterfaceSpec", "ModifyRouterInterfaceAttribute", "DeleteRouterInterface",
}

func linkWith(change ...string) func(*linkWorld) []string {
	return func(*linkWorld) []string { return change }
}

func linkID(of func(*linkWorld) string, change ...string) func(*linkWorld) []string {
	return func(w *linkWorld) []string { return append([]string{"RouterInterfaceId", of(w)}, change...) }
}

func readyLink(w *linkWorld) string    { return w.ready }
func idleLink(w *linkWorld) string     { return w.idle }
func activeLink(w *linkWorld) string   { return w.active }
func inactiveLink(w *linkWorld) string { return w.inactive }
func lineLink(w *linkWorld) string     { return w.line }

func linkQuota(name string, most int) func(*testing.T, *linkWorld) {
	return func(_ *testing.T, w *linkWorld) { w.Settings.Quotas[name] = most }
}

// linkStalled leaves a change of the active link that the dataplane has not got.
func linkStalled(t *testing.T, w *linkWorld) {
	t.Helper()
	w.Dataplane(planetest.Stalls)
	w.must(t, "ModifyRouterInterfaceSpec", w.good("ModifyRouterInterfaceSpec"))
}

// routed leads an entry of its route table to the inactive interface.
func routed(_ *testing.T, w *linkWorld) {
	r, _ := w.DB.View().RouterInterfaces.Get(w.inactive)
	v, _ := w.DB.View().VPCs.Get(r.VPC)
	w.Route(planetest.Alice, v.RouteTable, "192.168.0.0/16", resource.NextHopRouterInterface, w.inactive)
}

// linkErrors provokes documented errors.
var linkErrors = []matrixCase[*linkWorld]{
	{"CreateRouterInterface", "InvalidRegionId.NotFound", "", nil, linkWith("RegionId", "mars")},
	{"CreateRouterInterface", "InvalidOppositeRegionId.NotFound", "", nil, linkWith("OppositeRegionId", "mars")},
	{"CreateRouterInterface", "InvalidRole.ValueNotSupported", "", nil, linkWith("Role", "Bystander")},
	{"CreateRouterInterface", "InvalidRole.ValueNotSupported", "", nil, linkWith("RouterType", "VBR", "AccessPointId", "ap-1", "Role", "AcceptingSide", "Spec", "Negative")},
	{"CreateRouterInterface", "InvalidRole.ValueNotSupported", "", nil, linkWith("OppositeRouterType", "VBR", "OppositeAccessPointId", "ap-1")},
	{"CreateRouterInterface", "InvalidSpec.ValueNotSupported", "", nil, linkWith("Spec", "Tiny.1")},
	{"CreateRouterInterface", "InvalidRouterType.ValueNotSupported", "", nil, linkWith("RouterType", "Bridge")},
	{"CreateRouterInterface", "InvalidRouterId.NotFound", "", nil, linkWith("RouterId", "vrt-none")},
	{"CreateRouterInterface", "InvalidRouterId.NotFound", "", nil, func(w *linkWorld) []string { return []string{"RouterId", w.theirsAt} }},
	{"CreateRouterInterface", "InvalidOppositeRouterType.ValueNotSupported", "", nil, linkWith("OppositeRouterType", "Bridge")},
	{"CreateRouterInterface", "InvalidOppositeRouterType.ValueNotSupported", "", nil, linkWith("RouterType", "VBR", "AccessPointId", "ap-1", "OppositeRouterType", "VBR", "OppositeAccessPointId", "ap-1")},
	{"CreateRouterInterface", "ParameterMismatch.Role-Spec", "", nil, linkWith("Spec", "Negative")},
	{"CreateRouterInterface", "ParameterMismatch.Role-Spec", "", nil, linkWith("Role", "AcceptingSide")},
	{"CreateRouterInterface", "InvalidName.Malformed", "", nil, linkWith("Name", "http://x")},
	{"CreateRouterInterface", "InvalidDescription.Malformed", "", nil, linkWith("Description", "https://x")},
	{"CreateRouterInterface", "QuotaExceed.RouterInterface", "", linkQuota("router_interfaces", 3), linkWith()},
	{"CreateRouterInterface", "LimitationExceed.InterfaceNumberOnRouter", "", linkQuota("router_interfaces_per_router", 2), linkWith()},
	{"CreateRouterInterface", "Forbidden.NotInRouterInterfaceCreateWhitelist", "", func(_ *testing.T, w *linkWorld) { w.Settings.RouterInterfaces = []string{planetest.Bob.Account} }, linkWith()},
	{"CreateRouterInterface", "InvalidAccessPoint.ValueNotAllowed", "The non-vbr router", nil, linkWith("AccessPointId", "ap-1")},
	{"CreateRouterInterface", "InvalidAccessPoint.ValueNotAllowed", "opposite", nil, linkWith("OppositeAccessPointId", "ap-1")},
	{"CreateRouterInterface", "InvalidParam.NotFound", "", nil, linkWith("RouterId", "")},
	{"CreateRouterInterface", "InvalidParam.NotFound", "", nil, linkWith("OppositeRegionId", "")},
	{"CreateRouterInterface", "InvalidAccessPoint.NotExist", "", nil, linkWith("RouterType", "VBR", "AccessPointId", "ap-none")},

	{"DescribeRouterInterfaces", "InvalidRegionId.NotFound", "", nil, linkWith("RegionId", "mars")},
	{"DescribeRouterInterfaces", "InvalidFilterKey.ValueNotSupported", "", nil, linkWith("Filter.1.Key", "Colour", "Filter.1.Value.1", "red")},
	{"DescribeRouterInterfaceAttribute", "InvalidRegionId.NotFound", "", nil, linkWith("RegionId", "mars")},

	{"ConnectRouterInterface", "InvalidRegionId.NotFound", "", nil, linkWith("RegionId", "mars")},
	{"ConnectRouterInterface", "InvalidRouterInterfaceId.NotFound", "", nil, linkWith("RouterInterfaceId", "ri-none")},
	{"ConnectRouterInterface", "InvalidRouterInterfaceId.NotFound", "", nil, linkWith("RegionId", planetest.Elsewhere)},
	{"ConnectRouterInterface", "IncorrectRole.NotInitiatingSide", "", nil, linkID(idleLink)},
	{"ConnectRouterInterface", "IncorrectStatus", "", nil, linkID(activeLink)},
	{"ConnectRouterInterface", "IncorrectOppositeInterfaceInfo.NotSet", "", func(t *testing.T, w *linkWorld) { w.ready = w.make(t) }, linkID(readyLink)},
	{"ConnectRouterInterface", "IncorrectOppositeInterfaceInfo", "", func(t *testing.T, w *linkWorld) {
		w.must(t, "ModifyRouterInterfaceAttribute", w.good("ModifyRouterInterfaceAttribute", "RouterInterfaceId", w.ready, "OppositeInterfaceId", "ri-none"))
	}, linkWith()},
	{"ConnectRouterInterface", "RejectedByOppositeInterface", "", func(t *testing.T, w *linkWorld) {
		w.must(t, "ModifyRouterInterfaceAttribute", w.good("ModifyRouterInterfaceAttribute", "RouterInterfaceId", w.ready,
			"OppositeInterfaceId", w.theirs, "OppositeRouterId", w.theirsAt, "OppositeInterfaceOwnerId", planetest.Bob.Account))
	}, linkWith()},

	{"ActivateRouterInterface", "InvalidRegionId.NotFound", "", nil, linkWith("RegionId", "mars")},
	{"ActivateRouterInterface", "InvalidRouterInterfaceId.NotFound", "", nil, linkWith("RouterInterfaceId", "ri-none")},
	{"ActivateRouterInterface", "IncorrectStatus", "", nil, linkID(activeLink)},
	{"ActivateRouterInterface", "IncorrectStatus", "", nil, linkID(idleLink)},
	{"DeactivateRouterInterface", "InvalidRegionId.NotFound", "", nil, linkWith("RegionId", "mars")},
	{"DeactivateRouterInterface", "InvalidRouterInterfaceId.NotFound", "", nil, linkWith("RouterInterfaceId", "ri-none")},
	{"DeactivateRouterInterface", "IncorrectStatus", "", nil, linkID(inactiveLink)},
	{"DeactivateRouterInterface", "IncorrectStatus", "", nil, linkID(idleLink)},
	{"DeactivateRouterInterface", "IncorrectStatus", "", linkStalled, linkWith()},

	{"ModifyRouterInterfaceSpec", "InvalidSpec.ValueNotSupported", "", nil, linkWith("Spec", "Tiny.1")},
	{"ModifyRouterInterfaceSpec", "InvalidSpec.ValueNotSupported", "", nil, linkWith("Spec", "")},
	{"ModifyRouterInterfaceSpec", "InvalidRouterInterfaceId.NotFound", "", nil, linkWith("RouterInterfaceId", "ri-none")},
	{"ModifyRouterInterfaceSpec", "InvalidParam.NotFound", "", nil, linkWith("RegionId", "")},
	{"ModifyRouterInterfaceSpec", "InvalidOppositeRegionId.NotFound", "", func(t *testing.T, w *linkWorld) {
		w.ready = w.make(t, "OppositeRegionId", planetest.Elsewhere)
		w.Settings.Regions = w.Settings.Regions[:1]
	}, linkID(readyLink)},

	{"ModifyRouterInterfaceAttribute", "InvalidRegionId.NotFound", "", nil, linkWith("RegionId", "mars")},
	{"ModifyRouterInterfaceAttribute", "InvalidRouterInterfaceId.NotFound", "", nil, linkWith("RouterInterfaceId", "ri-none")},
	{"ModifyRouterInterfaceAttribute", "InvalidName.Malformed", "", nil, linkWith("Name", "http://x")},
	{"ModifyRouterInterfaceAttribute", "InvalidDescription.Malformed", "", nil, linkWith("Description", "http://x")},
	{"ModifyRouterInterfaceAttribute", "InvalidOppositeRouterType.ValueNotSupported", "", nil, linkWith("OppositeRouterType", "Bridge")},
	{"ModifyRouterInterfaceAttribute", "InvalidOppositeRouterType.ValueNotSupported", "", nil, linkWith("OppositeRouterType", "VBR")},
	{"ModifyRouterInterfaceAttribute", "IncorrectStatus", "", nil, linkID(activeLink, "OppositeInterfaceId", "ri-other")},
	{"ModifyRouterInterfaceAttribute", "IncorrectStatus", "", linkStalled, linkID(activeLink)},
	{"ModifyRouterInterfaceAttribute", "LinkRole.NotSupport", "", nil, linkID(readyLink, "HealthCheckSourceIp", "10.9.0.1", "HealthCheckTargetIp", "192.168.0.1")},
	{"ModifyRouterInterfaceAttribute", "Forbbiden.ModifyIdAndType", "", nil, linkID(lineLink, "OppositeRouterType", "VRouter")},
	{"ModifyRouterInterfaceAttribute", "InvalidParam.ModifyRouterInterface", "", nil, linkID(lineLink, "HealthCheckSourceIp", "10.1.0.1", "HealthCheckTargetIp", "192.168.0.1")},
	{"ModifyRouterInterfaceAttribute", "InvalidParam.ModifyRouterInterface", "", nil, linkID(lineLink, "HealthCheckSourceIp", "10.9.0.1")},
	{"ModifyRouterInterfaceAttribute", "InvalidParam.ModifyRouterInterface", "", nil, linkID(lineLink, "HealthCheckSourceIp", "here", "HealthCheckTargetIp", "192.168.0.1")},

	{"DeleteRouterInterface", "InvalidRegionId.NotFound", "", nil, linkWith("RegionId", "mars")},
	{"DeleteRouterInterface", "IncorrectStatus", "", nil, linkID(activeLink)},
	{"DeleteRouterInterface", "DependencyViolation.RouterInterfaceReferedByRouteEntry", "", routed, linkWith()},
	{"DeleteRouterInterface", "InvalidInstanceId.NotFound", "", nil, linkWith("RouterInterfaceId", "ri-none")},
}

// linkUnprovoked says why nothing provokes a code; by action and code, or by code.
var linkUnprovoked = map[string]string{
	"InvalidRegionPair.NotReachable":                            "all configured regions are on this machine",
	"ParameterMismatch.RegionId-OppositeRegionId-Spec":          "every bandwidth can be had between any two regions",
	"Forbidden.BillsOutstanding":                                "nothing is paid here",
	"Forbidden.FinancileLocked":                                 "nothing is paid here",
	"Forbidden.FinancialLocked":                                 "nothing is paid here",
	"RI_CREATE_ONE_LIMIT_BY_SYNC":                               "one call does not bar another: they come one after the other",
	"InvalidAccessPoint.NotMatch":                               "of a border router at another access point: TestBorderRouterIsConnected",
	"DescribeRouterInterfaces InvalidOppositeRegionId.NotFound": "no opposite region can be asked for",
	"ModifyRouterInterfaceSpec InvalidInstanceOwner.Error":      "another account's interface is not found",
	"ModifyRouterInterfaceSpec InvalidOpposite.NotFound":        "what is connected has its opposite; before, what is named is looked for only when it is connected",
	"ModifyRouterInterfaceAttribute Forbbiden":                  "another account's interface is not found",
}

// linkOthers are refusals for which the action's document has no code.
var linkOthers = []matrixCase[*linkWorld]{
	{"CreateRouterInterface", "MissingParameter", `"AccessPointId"`, nil, linkWith("RouterType", "VBR")},
	{"CreateRouterInterface", "MissingParameter", `"OppositeAccessPointId"`, nil, linkWith("OppositeRouterType", "VBR", "Role", "AcceptingSide", "Spec", "Negative")},
	{"CreateRouterInterface", "InvalidParameter", `"HealthCheckSourceIp"`, nil, linkWith("HealthCheckSourceIp", "10.9.0.1", "HealthCheckTargetIp", "192.168.0.1")},
	{"CreateRouterInterface", "InvalidParameter", `is in use`, nil, linkWith("OppositeRouterType", "VBR", "OppositeAccessPointId", "ap-1", "Role", "AcceptingSide", "Spec", "Negative",
		"HealthCheckSourceIp", "10.1.0.1", "HealthCheckTargetIp", "192.168.0.1")},
	{"CreateRouterInterface", "UnsupportedParameter", "InstanceChargeType", nil, linkWith("InstanceChargeType", "PrePaid")},
	{"ModifyRouterInterfaceSpec", "ParameterMismatch.Role-Spec", "", nil, linkWith("Spec", "Negative")},
	{"ModifyRouterInterfaceSpec", "InvalidRegionId.NotFound", "", nil, linkWith("RegionId", "mars")},
	{"DeleteVpc", "DependencyViolation.Instance", "", nil, func(w *linkWorld) []string {
		r, _ := w.DB.View().RouterInterfaces.Get(w.waiting)
		return []string{"VpcId", r.VPC}
	}},
	{"CreateRouteEntry", "InvalidNextHopId.NotFound", "", nil, func(w *linkWorld) []string { return []string{"NextHopType", "RouterInterface", "NextHopId", w.active} }},
	{"CreateRouteEntry", "InvalidOppositeRouterType", "", nil, func(w *linkWorld) []string {
		return []string{"NextHopList.1.NextHopId", w.line, "NextHopList.2.NextHopId", w.ready}
	}},
	{"CreateRouteEntry", "InvalidNextHop.NotFound", "", nil, func(w *linkWorld) []string {
		return []string{"NextHopList.1.NextHopId", w.line, "NextHopList.2.NextHopId", w.active}
	}},
	{"CreateRouteEntry", "InvalidParameter", "Weight", nil, func(w *linkWorld) []string {
		return []string{"NextHopList.1.NextHopId", w.line, "NextHopList.1.Weight", "256", "NextHopList.2.NextHopId", w.ready}
	}},
}

func TestLinkErrors(t *testing.T) { provokeAll(t, linkErrors, newLinkWorld, true) }

func TestLinkRefusalsWithoutACode(t *testing.T) { provokeAll(t, linkOthers, newLinkWorld, false) }

func TestLinkActionsSucceed(t *testing.T) { succeed(t, linkActions, newLinkWorld) }

func TestLinkErrorsAreComplete(t *testing.T) {
	used := map[string]bool{}
	for _, action := range linkActions {
		for _, e := range documentedErrors[action] {
			provoked := slices.ContainsFunc(linkErrors, func(c matrixCase[*linkWorld]) bool { return c.documents(action, e) })
			key := action + " " + e.Code
			if linkUnprovoked[key] == "" {
				key = e.Code
			}
			if used[key] = true; provoked == (linkUnprovoked[key] != "") {
				t.Errorf("%s: %s (%s) has to be either provoked or excused", action, e.Code, e.Message)
			}
		}
	}
	for key := range linkUnprovoked {
		if !used[key] {
			t.Errorf("%s is excused, and not documented", key)
		}
	}
}

// TestLinkIsReadBack: what was sent is what is read back, by either of the actions that show an
// interface, and the other end's owner sees what it may.
func TestLinkIsReadBack(t *testing.T) {
	w := newLinkWorld(t)
	id := w.make(t, "Name", "to the line", "Description", "1st floor", "Role", "AcceptingSide", "Spec", "Negative", "OppositeRouterType", "VBR", "OppositeAccessPointId", "ap-1",
		"OppositeRegionId", planetest.Elsewhere, "OppositeRouterId", "vbr-1", "OppositeInterfaceId", "ri-1", "OppositeInterfaceOwnerId", "42",
		"HealthCheckSourceIp", "10.9.0.1", "HealthCheckTargetIp", "192.168.0.1")
	want := DescribeRouterInterfacesRouterInterfaceType{
		RouterInterfaceId: id, Name: "to the line", Description: "1st floor", Role: "AcceptingSide", Spec: "Negative", RouterId: w.vrouter, RouterType: "VRouter", VpcInstanceId: w.vpc,
		OppositeRouterType: "VBR", OppositeAccessPointId: "ap-1", OppositeRegionId: planetest.Elsewhere, OppositeRouterId: "vbr-1", OppositeInterfaceId: "ri-1", OppositeInterfaceOwnerId: "42",
		HealthCheckSourceIp: "10.9.0.1", HealthCheckTargetIp: "192.168.0.1",
		CreationTime: "2026-11-23T12:30:15Z", Status: "Idle", BusinessStatus: "Normal", ChargeType: "AfterPay", HasReservationData: "false", ResourceGroupId: resource.DefaultGroup(planetest.Alice.Account),
	}
	w.shows(t, id, want)
	w.shows(t, w.active, DescribeRouterInterfacesRouterInterfaceType{
		RouterInterfaceId: w.active, Name: w.active, Role: "InitiatingSide", Spec: "Small.1", Bandwidth: 10, RouterType: "VRouter",
		OppositeRouterType: "VRouter", OppositeRegionId: planetest.Region, OppositeInterfaceId: w.other, OppositeInterfaceOwnerId: planetest.Alice.Account,
		OppositeInterfaceSpec: "Negative", OppositeInterfaceStatus: "Active", OppositeInterfaceBusinessStatus: "Normal", ConnectedTime: "2026-11-23T12:30:15Z",
		CreationTime: "2026-11-23T12:30:15Z", Status: "Active", BusinessStatus: "Normal", ChargeType: "AfterPay", HasReservationData: "false", ResourceGroupId: resource.DefaultGroup(planetest.Alice.Account),
	})
	for _, spec := range []string{"Mini.2", "Mini.5", "Small.1", "Small.2", "Small.5", "Middle.1", "Middle.2", "Middle.5", "Large.1", "Large.2", "Large.5", "Xlarge.1"} {
		if r := w.must(t, "ModifyRouterInterfaceSpec", w.good("ModifyRouterInterfaceSpec", "Spec", spec)); r.(*ModifyRouterInterfaceSpecResponse).Spec != spec {
			t.Errorf("%s: %+v", spec, r)
		}
		if got := w.listed(t, "Filter.1.Key", "RouterInterfaceId", "Filter.1.Value.1", w.active); got[0].Spec != spec {
			t.Errorf("%s is read back as %s", spec, got[0].Spec)
		}
	}
	none := w.must(t, "DescribeRouterInterfaceAttribute", w.good("DescribeRouterInterfaceAttribute", "InstanceId", "ri-none"))
	if r := none.(*DescribeRouterInterfaceAttributeResponse); r.RouterInterfaceId != "" || r.Status != "" {
		t.Errorf("%+v", r)
	}
}

// shows checks what is shown of an interface; routers and VPCs that want leaves out may be any.
func (w *linkWorld) shows(t *testing.T, id string, want DescribeRouterInterfacesRouterInterfaceType) {
	t.Helper()
	list := w.listed(t, "Filter.1.Key", "RouterInterfaceId", "Filter.1.Value.1", id)
	if len(list) != 1 {
		t.Fatalf("%d of id %s", len(list), id)
	}
	got := list[0]
	if want.RouterId == "" {
		want.RouterId, want.VpcInstanceId, want.OppositeRouterId, want.OppositeVpcInstanceId = got.RouterId, got.VpcInstanceId, got.OppositeRouterId, got.OppositeVpcInstanceId
	}
	one := w.must(t, "DescribeRouterInterfaceAttribute", w.good("DescribeRouterInterfaceAttribute", "InstanceId", id))
	text := func(v any) map[string]any {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]any{}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Tags", "FastLinkMode", "CrossBorder", "RequestId"} {
			delete(m, name)
		}
		return m
	}
	a, b, c := text(want), text(got), text(one)
	for name := range a {
		if a[name] != b[name] || a[name] != c[name] {
			t.Errorf("%s: %v in the listing, %v alone, want %v", name, b[name], c[name], a[name])
		}
	}
}

func (w *linkWorld) listed(t *testing.T, change ...string) []DescribeRouterInterfacesRouterInterfaceType {
	t.Helper()
	return w.must(t, "DescribeRouterInterfaces", w.good("DescribeRouterInterfaces", change...)).(*DescribeRouterInterfacesResponse).Instances.RouterInterfaceType
}

// TestLinkFilters: several values of a filter are alternatives, and several filters hold all.
func TestLinkFilters(t *testing.T) {
	w := newLinkWorld(t)
	for _, c := range []struct {
		filter []string // key and values, key after key by "/"
		want   []string
	}{
		{[]string{"Status", "Active"}, []string{w.other, w.active, w.twin}},
		{[]string{"Status", "Active", "Inactive", "/", "OppositeInterfaceId", w.other}, []string{w.active}},
		{[]string{"Status", "Active", "/", "Status", "Idle", "Active", "/", "RouterInterfaceId", w.active, w.ready}, []string{w.active}},
		{[]string{"Status", "Active", "/", "Status", "Idle"}, nil},
		{[]string{"Status", "Asleep"}, nil},
		{[]string{"OppositeRouterType", "VBR"}, []string{w.line}},
		{[]string{"RouterType", "VBR"}, nil},
		{[]string{"RouterId", w.vrouter, "/", "OppositeRouterId", w.far}, []string{w.ready}},
		{[]string{"RouterInterfaceOwnerId", planetest.Bob.Account}, nil},
		{[]string{"RouterInterfaceId", w.theirs}, nil},
		{[]string{"Name", w.idle, w.line, "/", "RouterInterfaceOwnerId", planetest.Alice.Account}, []string{w.idle, w.line}},
		{[]string{"OppositeInterfaceOwnerId", planetest.Alice.Account, "/", "Status", "Idle"}, []string{w.waiting, w.ready}},
	} {
		var params []string
		n, m := "1", 0
		for i, x := range c.filter {
			switch {
			case x == "/":
				n, m = string(rune(n[0]+1)), 0
			case i == 0 || c.filter[i-1] == "/":
				params = append(params, "Filter."+n+".Key", x)
			default:
				m++
				params = append(params, "Filter."+n+".Value."+string(rune('0'+m)), x)
			}
		}
		var got []string
		for _, x := range w.listed(t, params...) {
			got = append(got, x.RouterInterfaceId)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.filter, got, c.want)
		}
	}
	// A page after the last one is the last one.
	r := w.must(t, "DescribeRouterInterfaces", w.good("DescribeRouterInterfaces", "PageSize", "4", "PageNumber", "9")).(*DescribeRouterInterfacesResponse)
	if r.TotalCount != 8 || r.PageNumber != 2 || len(r.Instances.RouterInterfaceType) != 4 {
		t.Errorf("%+v", r)
	}
}

// TestRoutesToLinks: an entry leads to one interface, or to several with their shares.
func TestRoutesToLinks(t *testing.T) {
	w := newLinkWorld(t)
	second := w.make(t, "RouterId", w.vrouter, "Role", "AcceptingSide", "Spec", "Negative", "OppositeRouterType", "VBR", "OppositeAccessPointId", "ap-2")
	w.must(t, "CreateRouteEntry", w.good("CreateRouteEntry", "NextHopType", "RouterInterface", "NextHopId", w.ready))
	w.must(t, "CreateRouteEntry", w.good("CreateRouteEntry", "DestinationCidrBlock", "172.16.0.0/12",
		"NextHopList.1.NextHopType", "RouterInterface", "NextHopList.1.NextHopId", w.line, "NextHopList.1.Weight", "3", "NextHopList.2.NextHopId", second))
	e, ok := w.DB.View().RouteEntries.Get(resource.RouteEntryID(w.table, netip.MustParsePrefix("172.16.0.0/12")))
	if want := []resource.NextHop{{Type: resource.NextHopRouterInterface, ID: w.line, Weight: 3}, {Type: resource.NextHopRouterInterface, ID: second}}; !ok || !slices.Equal(e.NextHops, want) {
		t.Errorf("%+v, want %+v", e, want)
	}
	text := encoded(t, FormatXML, w.must(t, "DescribeRouteTables", map[string]string{"RouteTableId": w.table}))
	for _, want := range []string{
		"<NextHopType>RouterInterface</NextHopType><InstanceId>" + w.ready + "</InstanceId>",
		"<NextHopItem><NextHopType>RouterInterface</NextHopType><NextHopId>" + w.line + "</NextHopId><Enabled>0</Enabled><Weight>3</Weight></NextHopItem>",
		"<NextHopItem><NextHopType>RouterInterface</NextHopType><NextHopId>" + second + "</NextHopId><Enabled>0</Enabled><Weight>1</Weight></NextHopItem>",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	w.must(t, "DeleteRouteEntry", map[string]string{"RouteTableId": w.table, "DestinationCidrBlock": "172.16.0.0/12", "NextHopList.1.NextHopId": second, "NextHopList.2.NextHopId": w.line})
}
