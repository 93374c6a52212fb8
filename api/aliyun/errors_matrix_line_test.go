package aliyun

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"sluice/controlplane/compile"
	"sluice/controlplane/leasedline"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/dataplane"
)

// lineWorld has lines of Alice's in several states, and border routers on one of them: one of
// her own, one of Bob's that he has accepted, and one of his that he has not.
type lineWorld struct {
	planeWorld
	applied, confirmed, rejected string
	line                         string // enabled
	spare                        string // enabled, with nothing on it
	own                          string // border router with VLAN 10
	accepted                     string // Bob's, with VLAN 20
	open                         string // likewise, with VLAN 30, unconfirmed
	terminated                   string // her own, with VLAN 40
	table                        string // route table of own
	port                         string // line interface of own
}

func newLineWorld(t *testing.T) *lineWorld {
	t.Helper()
	a := planetest.Alice
	w := &lineWorld{planeWorld: newPlaneWorld(t)}
	w.Settings.Quotas["physical_connections_not_enabled"] = 10
	w.Settings.Quotas["border_routers_per_physical_connection"] = 10
	w.account(t)
	ctx := context.Background()
	w.line, w.spare, w.confirmed = w.Line(a, resource.LineEnabled), w.Line(a, resource.LineEnabled), w.Line(a, resource.LineConfirmed)
	w.applied, w.rejected = w.Line(a, resource.LineApplied), w.Line(a, resource.LineApplied)
	if err := w.Lines.Reject(ctx, w.rejected); err != nil {
		t.Fatal(err)
	}
	w.own = w.router(t, "VlanId", "10")
	w.accepted, w.open = w.router(t, forBob("20")...), w.router(t, forBob("30")...)
	if err := w.Lines.ModifyBorderRouter(ctx, planetest.Bob, planetest.Region, w.accepted, leasedline.BorderRouterChange{Peering: peeringOf("10.9.0.1", "10.9.0.2")}); err != nil {
		t.Fatal(err)
	}
	w.terminated = w.router(t, "VlanId", "40")
	w.must(t, "TerminateVirtualBorderRouter", w.good("TerminateVirtualBorderRouter", "VbrId", w.terminated))
	b, _ := w.view().BorderRouters.Get(w.own)
	w.table, w.port = b.RouteTable, b.LineInterface
	return w
}

func (w *lineWorld) account(t *testing.T) {
	t.Helper()
	if _, there := w.view().Accounts.Get(planetest.Bob.Account); there {
		return
	}
	if err := w.Put(&resource.Account{Meta: resource.Meta{ID: planetest.Bob.Account}}); err != nil {
		t.Fatal(err)
	}
}

func (w *lineWorld) router(t *testing.T, change ...string) string {
	t.Helper()
	p := w.good("CreateVirtualBorderRouter", change...)
	p["ClientToken"] = "router " + p["VlanId"]
	return w.must(t, "CreateVirtualBorderRouter", p).(*CreateVirtualBorderRouterResponse).VbrId
}

// forBob are the parameters of a border router that is made for Bob.
func forBob(vlan string) []string {
	return []string{"VlanId", vlan, "VbrOwnerId", planetest.Bob.Account, "LocalGatewayIp", "", "PeerGatewayIp", "", "PeeringSubnetMask", ""}
}

func (w *lineWorld) good(action string, change ...string) map[string]string {
	p := map[string]string{"RegionId": planetest.Region}
	add := func(more ...string) {
		for i := 0; i < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
	}
	switch action {
	case "CreatePhysicalConnection":
		add("AccessPointId", planetest.AccessPoint, "LineOperator", "CT", "PeerLocation", "No 1, Office Street", "ClientToken", "t")
	case "CancelPhysicalConnection":
		add("PhysicalConnectionId", w.applied)
	case "ModifyPhysicalConnectionAttribute":
		add("PhysicalConnectionId", w.rejected, "LineOperator", "CU")
	case "EnablePhysicalConnection":
		add("PhysicalConnectionId", w.confirmed, "ClientToken", "t")
	case "TerminatePhysicalConnection":
		add("PhysicalConnectionId", w.spare)
	case "DeletePhysicalConnection":
		add("PhysicalConnectionId", w.rejected)
	case "CreateVirtualBorderRouter":
		add("PhysicalConnectionId", w.line, "VlanId", "50", "LocalGatewayIp", "192.168.50.17", "PeerGatewayIp", "192.168.50.18", "PeeringSubnetMask", "255.255.255.248", "ClientToken", "t")
	case "DeleteVirtualBorderRouter", "ModifyVirtualBorderRouterAttribute", "TerminateVirtualBorderRouter":
		add("VbrId", w.own)
	case "RecoverVirtualBorderRouter":
		add("VbrId", w.terminated)
	case "DescribePhysicalConnections":
		add("Filter.1.Key", "PhysicalConnectionId")
	case "DescribeVirtualBorderRouters":
		add("Filter.1.Key", "VbrId")
	case "DescribeVirtualBorderRoutersForPhysicalConnection":
		add("PhysicalConnectionId", w.line)
	}
	if action == "ModifyVirtualBorderRouterAttribute" {
		add("VlanId", "11", "Name", "edge")
	}
	add(change...)
	return p
}

// connect joins the own border router and a VPC of Alice's by router interfaces, and returns
// their ids.
func (w *lineWorld) connect(t *testing.T) (border, vpc string) {
	t.Helper()
	alice := planetest.Alice
	v := w.VPC(alice, "10.0.0.0/8")
	border = w.must(t, "CreateRouterInterface", map[string]string{"RegionId": planetest.Region, "RouterType": "VBR", "RouterId": w.own, "AccessPointId": planetest.AccessPoint, "Role": "InitiatingSide",
		"Spec": "Small.1", "OppositeRegionId": planetest.Region, "OppositeRouterType": "VRouter", "OppositeRouterId": v.VRouter}).(*CreateRouterInterfaceResponse).RouterInterfaceId
	vpc = w.must(t, "CreateRouterInterface", map[string]string{"RegionId": planetest.Region, "RouterType": "VRouter", "RouterId": v.VRouter, "Role": "AcceptingSide", "Spec": "Negative",
		"OppositeRegionId": planetest.Region, "OppositeRouterType": "VBR", "OppositeAccessPointId": planetest.AccessPoint, "OppositeRouterId": w.own, "OppositeInterfaceId": border, "OppositeInterfaceOwnerId": alice.Account}).(*CreateRouterInterfaceResponse).RouterInterfaceId
	w.must(t, "ModifyRouterInterfaceAttribute", map[string]string{"RegionId": planetest.Region, "RouterInterfaceId": border, "OppositeInterfaceId": vpc, "OppositeInterfaceOwnerId": alice.Account})
	w.must(t, "ConnectRouterInterface", map[string]string{"RegionId": planetest.Region, "RouterInterfaceId": border})
	return border, vpc
}

// lineActions are the actions that this matrix is about.
var lineActions = []string{
	"CreatePhysicalConnection", "CancelPhysicalConnection", "DescribePhysicalConnections", "ModifyPhysicalConnectionAttribute",
	"TerminatePhysicalConnection", "EnablePhysicalConnection", "DeletePhysicalConnection",
	"CreateVirtualBorderRouter", "DeleteVirtualBorderRouter", "DescribeVirtualBorderRouters", "DescribeVirtualBorderRoutersForPhysicalConnection",
	"ModifyVirtualBorderRouterAttribute", "RecoverVirtualBorderRouter", "TerminateVirtualBorderRouter",
}

func lineWith(change ...string) func(*lineWorld) []string {
	return func(*lineWorld) []string { return change }
}

func lineOf(name string, id func(*lineWorld) string, more ...string) func(*lineWorld) []string {
	return func(w *lineWorld) []string { return append([]string{name, id(w)}, more...) }
}

func lineQuotas(set func(settings.Quotas)) func(*testing.T, *lineWorld) {
	return func(_ *testing.T, w *lineWorld) { set(w.Settings.Quotas) }
}

func theApplied(w *lineWorld) string  { return w.applied }
func theLine(w *lineWorld) string     { return w.line }
func theSpare(w *lineWorld) string    { return w.spare }
func theOwn(w *lineWorld) string      { return w.own }
func theAccepted(w *lineWorld) string { return w.accepted }
func theOpen(w *lineWorld) string     { return w.open }
func peeringOf(local, peer string) leasedline.Peering {
	return leasedline.Peering{Local: netip.MustParseAddr(local), Peer: netip.MustParseAddr(peer), Bits: 30}
}

// lineIs brings a line into a state that only a past can have.
func lineIs(id func(*lineWorld) string, to resource.LineState) func(*testing.T, *lineWorld) {
	return func(t *testing.T, w *lineWorld) {
		l, _ := w.view().PhysicalConnections.Get(id(w))
		c := l.Clone().(*resource.PhysicalConnection)
		c.State = to
		if err := w.Put(c); err != nil {
			t.Fatal(err)
		}
	}
}

// reused has another border router take the VLAN of the terminated one, a week later.
func reused(t *testing.T, w *lineWorld) {
	w.Later(8 * 24 * time.Hour)
	w.router(t, "VlanId", "40")
}

// anothersLine has a border router be on a line of Bob's: what was Alice's own is then one of
// which she is not the line's owner.
func anothersLine(id func(*lineWorld) string) func(*testing.T, *lineWorld) {
	return func(t *testing.T, w *lineWorld) {
		b, _ := w.view().BorderRouters.Get(id(w))
		c := b.Clone().(*resource.VirtualBorderRouter)
		c.LineOwner = planetest.Bob.Account
		if err := w.Put(c); err != nil {
			t.Fatal(err)
		}
	}
}

func stalledRouter(t *testing.T, w *lineWorld) {
	w.Dataplane(planetest.Stalls)
	w.must(t, "ModifyVirtualBorderRouterAttribute", w.good("ModifyVirtualBorderRouterAttribute"))
}

// lineErrors provokes documented errors.
var lineErrors = []matrixCase[*lineWorld]{
	{"CreatePhysicalConnection", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},
	{"CreatePhysicalConnection", "InvalidAccessPointId.NotFound", "", nil, lineWith("AccessPointId", "ap-none")},
	{"CreatePhysicalConnection", "InvalidAccessPointId.NotFound", "", nil, lineWith("AccessPointId", planetest.PointThere)},
	{"CreatePhysicalConnection", "InvalidAccessPointId.NotEnabled", "", nil, lineWith("AccessPointId", planetest.FullPoint)},
	{"CreatePhysicalConnection", "InvalidType.Malformed", "", nil, lineWith("Type", "Classic")},
	{"CreatePhysicalConnection", "InvalidPeerLocation.Malformed", "", nil, lineWith("PeerLocation", "http://x")},
	{"CreatePhysicalConnection", "InvalidLineOperator.Malformed", "", nil, lineWith("LineOperator", "XX")},
	{"CreatePhysicalConnection", "InvalidPortType.Malformed", "", nil, lineWith("PortType", "E1")},
	{"CreatePhysicalConnection", "InvalidDescription.Malformed", "", nil, lineWith("Description", "https://x")},
	{"CreatePhysicalConnection", "InvalidRedundantPhysicalConnectionId.NotFound", "", nil, lineWith("RedundantPhysicalConnectionId", "pc-none")},
	{"CreatePhysicalConnection", "InvalidName.Malformed", "", nil, lineWith("Name", "http://x")},
	{"CreatePhysicalConnection", "QuotaExceeded.pConnPerAP", "", lineQuotas(func(q settings.Quotas) { q["physical_connections_per_access_point"] = 5 }), lineWith()},
	{"CreatePhysicalConnection", "InvalidBandwidth", "", nil, lineWith("Bandwidth", "10001")},
	{"CreatePhysicalConnection", "InvalidRedundantPhysicalConnectionStatus", "", nil, lineOf("RedundantPhysicalConnectionId", theApplied)},
	{"CreatePhysicalConnection", "InvalidCircuitCode.Malformed", "", nil, lineWith("CircuitCode", "7\x01")},
	{"CreatePhysicalConnection", "QuotaExceeded.freePconnPerAP", "", lineQuotas(func(q settings.Quotas) { q["physical_connections_not_enabled"] = 3 }), lineWith()},

	{"CancelPhysicalConnection", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},
	{"CancelPhysicalConnection", "InvalidPhysicalConnectionId.NotFound", "", nil, lineWith("PhysicalConnectionId", "pc-none")},
	{"CancelPhysicalConnection", "Forbidden.NotAllowedInState", "", nil, lineOf("PhysicalConnectionId", theLine)},

	{"DescribePhysicalConnections", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},
	{"DescribePhysicalConnections", "InvalidFilterKey.ValueNotSupported", "", nil, lineWith("Filter.1.Key", "Colour", "Filter.1.Value.1", "red")},

	{"ModifyPhysicalConnectionAttribute", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},
	{"ModifyPhysicalConnectionAttribute", "InvalidPhysicalConnectionId.NotFound", "", nil, lineWith("PhysicalConnectionId", "pc-none")},
	{"ModifyPhysicalConnectionAttribute", "InvalidLineOperator.Malformed", "", nil, lineWith("LineOperator", "XX")},
	{"ModifyPhysicalConnectionAttribute", "InvalidPeerLocation.Malformed", "", nil, lineWith("PeerLocation", "x")},
	{"ModifyPhysicalConnectionAttribute", "InvalidPortType.Malformed", "", nil, lineWith("PortType", "USB")},
	{"ModifyPhysicalConnectionAttribute", "InvalidDescription.Malformed", "", nil, lineWith("Description", "http://x")},
	{"ModifyPhysicalConnectionAttribute", "InvalidRedundantPhysicalConnectionId.NotFound", "", nil, lineWith("RedundantPhysicalConnectionId", "pc-none")},
	{"ModifyPhysicalConnectionAttribute", "InvalidName.Malformed", "", nil, lineWith("Name", "http://x")},
	{"ModifyPhysicalConnectionAttribute", "InvalidStatus", "", lineIs(theApplied, resource.LineCanceled), lineOf("PhysicalConnectionId", theApplied)},
	{"ModifyPhysicalConnectionAttribute", "InvalidStatus", "", nil, lineOf("PhysicalConnectionId", theLine, "RedundantPhysicalConnectionId", "pc-none")},
	{"ModifyPhysicalConnectionAttribute", "InvalidBandwidth", "", nil, lineWith("bandwidth", "1")},
	{"ModifyPhysicalConnectionAttribute", "InvalidRedundantPhysicalConnectionStatus", "", nil, lineOf("RedundantPhysicalConnectionId", theApplied)},
	{"ModifyPhysicalConnectionAttribute", "InvalidCircuitCode.Malformed", "", nil, lineWith("CircuitCode", "7\x01")},

	{"TerminatePhysicalConnection", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},
	{"TerminatePhysicalConnection", "InvalidPhysicalConnectionId.NotFound", "", nil, lineWith("PhysicalConnectionId", "pc-none")},
	{"TerminatePhysicalConnection", "Forbidden.NotAllowedInState", "", nil, lineOf("PhysicalConnectionId", theApplied)},
	{"TerminatePhysicalConnection", "Forbidden.VbrAttached", "", nil, lineOf("PhysicalConnectionId", theLine)},

	{"EnablePhysicalConnection", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},
	{"EnablePhysicalConnection", "InvalidPhysicalConnectionId.NotFound", "", nil, lineWith("PhysicalConnectionId", "pc-none")},
	{"EnablePhysicalConnection", "Forbidden.NotAllowedInState", "", nil, lineOf("PhysicalConnectionId", theApplied)},

	{"DeletePhysicalConnection", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},
	{"DeletePhysicalConnection", "InvalidPhysicalConnectionId.NotFound", "", nil, lineWith("PhysicalConnectionId", "pc-none")},
	{"DeletePhysicalConnection", "Forbidden.NotAllowedInState", "", nil, lineOf("PhysicalConnectionId", theSpare)},
	{"DeletePhysicalConnection", "Forbidden.VBRExists", "physical connection owner's", lineIs(theLine, resource.LineTerminated), lineOf("PhysicalConnectionId", theLine)},
	{"DeletePhysicalConnection", "Forbidden.VBRExists", "vbr owner's", func(t *testing.T, w *lineWorld) {
		for _, id := range []string{w.own, w.terminated} {
			w.must(t, "DeleteVirtualBorderRouter", w.good("DeleteVirtualBorderRouter", "VbrId", id))
		}
		lineIs(theLine, resource.LineTerminated)(t, w)
	}, lineOf("PhysicalConnectionId", theLine)},

	{"CreateVirtualBorderRouter", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},
	{"CreateVirtualBorderRouter", "InvalidPhysicalConnectionId.NotFound", "", nil, lineWith("PhysicalConnectionId", "pc-none")},
	{"CreateVirtualBorderRouter", "InvalidVlanId.Used", "", nil, lineWith("VlanId", "10")},
	{"CreateVirtualBorderRouter", "InvalidVlanId.Used", "", nil, lineWith("VlanId", "40")},
	{"CreateVirtualBorderRouter", "MissingParameter", "'PhysicalConnectionId'", nil, lineWith("PhysicalConnectionId", "")},
	{"CreateVirtualBorderRouter", "InvalidPhysicalConnectionId.NotEnabled", "", nil, lineOf("PhysicalConnectionId", theApplied)},
	{"CreateVirtualBorderRouter", "InvalidVbrOwnerId.NotFound", "", nil, lineWith("VbrOwnerId", "9", "LocalGatewayIp", "", "PeerGatewayIp", "", "PeeringSubnetMask", "")},
	{"CreateVirtualBorderRouter", "MissingParameter", "'VlanId'", nil, lineWith("VlanId", "")},
	{"CreateVirtualBorderRouter", "InvalidVlanId.Malformed", "", nil, lineWith("VlanId", "3000")},
	{"CreateVirtualBorderRouter", "InvalidCircuitCode.Malformed", "", nil, lineWith("CircuitCode", "7\x01")},
	{"CreateVirtualBorderRouter", "MissingParameter", "'LocalGatewayIp'", nil, lineWith("LocalGatewayIp", "")},
	{"CreateVirtualBorderRouter", "InvalidLocalGatewayIp.Malformed", "", nil, lineWith("LocalGatewayIp", "x")},
	{"CreateVirtualBorderRouter", "MissingParameter", "'PeerGatewayIp'", nil, lineWith("PeerGatewayIp", "")},
	{"CreateVirtualBorderRouter", "InvalidPeerGatewayIp.Malformed", "", nil, lineWith("PeerGatewayIp", "x")},
	{"CreateVirtualBorderRouter", "MissingParameter", "'PeeringSubnetMask'", nil, lineWith("PeeringSubnetMask", "")},
	{"CreateVirtualBorderRouter", "InvalidPeeringSubnetMask.Malformed", "", nil, lineWith("PeeringSubnetMask", "255.255.0.0")},
	{"CreateVirtualBorderRouter", "InvalidPeeringSubnetMask.Malformed", "", nil, lineWith("PeeringSubnetMask", "255.255.255.249")},
	{"CreateVirtualBorderRouter", "Forbidden.LocalGatewayIpNotAllowedByCaller", "", nil, lineWith(append(forBob("50"), "LocalGatewayIp", "10.0.0.1")...)},
	{"CreateVirtualBorderRouter", "Forbidden.PeerGatewayIpNotAllowedByCaller", "", nil, lineWith(append(forBob("50"), "PeerGatewayIp", "10.0.0.1")...)},
	{"CreateVirtualBorderRouter", "Forbidden.PeeringSubnetMaskNotAllowedByCaller", "", nil, lineWith(append(forBob("50"), "PeeringSubnetMask", "255.255.255.0")...)},
	{"CreateVirtualBorderRouter", "Forbidden.NameNotAllowedByCaller", "", nil, lineWith(append(forBob("50"), "Name", "x")...)},
	{"CreateVirtualBorderRouter", "Forbidden.DescriptionNotAllowedByCaller", "", nil, lineWith(append(forBob("50"), "Description", "x")...)},
	{"CreateVirtualBorderRouter", "InvalidName.Malformed", "", nil, lineWith("Name", "http://x")},
	{"CreateVirtualBorderRouter", "InvalidDescription.Malformed", "", nil, lineWith("Description", "http://x")},
	{"CreateVirtualBorderRouter", "QuotaExceeded.vbrPerConn", "", lineQuotas(func(q settings.Quotas) { q["border_routers_per_physical_connection"] = 4 }), lineWith()},
	{"CreateVirtualBorderRouter", "QuotaExceeded.freevbr", "", lineQuotas(func(q settings.Quotas) { q["border_routers"] = 2 }), lineWith()},
	{"CreateVirtualBorderRouter", "InvalidIP.Malformed", "", nil, lineWith("LocalGatewayIp", "192.168.50.16")},
	{"CreateVirtualBorderRouter", "InvalidIP.Malformed", "", nil, lineWith("PeerGatewayIp", "192.168.50.17")},
	{"CreateVirtualBorderRouter", "MissingParameter", "must not be null", nil, lineWith("LocalGatewayIp", "", "PeerGatewayIp", "", "PeeringSubnetMask", "")},
	{"CreateVirtualBorderRouter", "InvalidIp.NotSameSubnet", "", nil, lineWith("PeerGatewayIp", "192.168.50.26")},

	{"DeleteVirtualBorderRouter", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},
	{"DeleteVirtualBorderRouter", "InvalidVbrId.NotFound", "", nil, lineWith("VbrId", "vbr-none")},
	{"DeleteVirtualBorderRouter", "InvalidOperation.OperationNotAllowedInState", "", stalledRouter, lineWith()},
	{"DeleteVirtualBorderRouter", "Forbidden.OperationNotAllowedByUser", "", nil, lineOf("VbrId", theAccepted)},
	{"DeleteVirtualBorderRouter", "InvalidOperation.RouterInterfaceNotDeleted", "", func(t *testing.T, w *lineWorld) { w.connect(t) }, lineWith()},

	{"DescribeVirtualBorderRouters", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},
	{"DescribeVirtualBorderRouters", "InvalidFilterKey.ValueNotSupported", "", nil, lineWith("Filter.1.Key", "Colour", "Filter.1.Value.1", "red")},
	{"DescribeVirtualBorderRoutersForPhysicalConnection", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},

	{"ModifyVirtualBorderRouterAttribute", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},
	{"ModifyVirtualBorderRouterAttribute", "InvalidVbrId.NotFound", "", nil, lineWith("VbrId", "vbr-none")},
	{"ModifyVirtualBorderRouterAttribute", "InvalidVlanId.Used", "", nil, lineWith("VlanId", "20")},
	{"ModifyVirtualBorderRouterAttribute", "InvalidCircuitCode.Malformed", "", nil, lineWith("CircuitCode", "7\x01")},
	{"ModifyVirtualBorderRouterAttribute", "InvalidVlanId.Malformed", "", nil, lineWith("VlanId", "3000")},
	{"ModifyVirtualBorderRouterAttribute", "InvalidIp.Malformed", "", nil, lineWith("LocalGatewayIp", "x")},
	{"ModifyVirtualBorderRouterAttribute", "InvalidIp.Malformed", "", nil, lineWith("LocalGatewayIp", "192.168.50.23")},
	{"ModifyVirtualBorderRouterAttribute", "InvalidPeeringSubnetMask.Malformed", "", nil, lineWith("PeeringSubnetMask", "23")},
	{"ModifyVirtualBorderRouterAttribute", "Forbidden.CircuitCodeNotAllowedByCaller", "CircuitCode parameter", anothersLine(theOwn), lineWith("VlanId", "", "CircuitCode", "7")},
	{"ModifyVirtualBorderRouterAttribute", "Forbidden.LocalGatewayIpNotAllowedByCaller", "", nil, lineOf("VbrId", theAccepted, "Name", "", "LocalGatewayIp", "10.9.0.1")},
	{"ModifyVirtualBorderRouterAttribute", "Forbidden.PeerGatewayIpNotAllowedByCaller", "", nil, lineOf("VbrId", theAccepted, "Name", "", "PeerGatewayIp", "10.9.0.1")},
	{"ModifyVirtualBorderRouterAttribute", "Forbidden.PeeringSubnetMaskNotAllowedByCaller", "", nil, lineOf("VbrId", theAccepted, "Name", "", "PeeringSubnetMask", "24")},
	{"ModifyVirtualBorderRouterAttribute", "Forbidden.VlanIdNotAllowedByCaller", "", anothersLine(theOwn), lineWith()},
	{"ModifyVirtualBorderRouterAttribute", "Forbidden.NameNotAllowedByCaller", "", nil, lineOf("VbrId", theAccepted)},
	{"ModifyVirtualBorderRouterAttribute", "Forbidden.DescriptionNotAllowedByCaller", "", nil, lineOf("VbrId", theAccepted, "Name", "", "Description", "x")},
	{"ModifyVirtualBorderRouterAttribute", "InvalidName.Malformed", "", nil, lineWith("Name", "http://x")},
	{"ModifyVirtualBorderRouterAttribute", "InvalidDescription.Malformed", "", nil, lineWith("Description", "http://x")},
	{"ModifyVirtualBorderRouterAttribute", "MissingParameter", "must not be null", func(t *testing.T, w *lineWorld) {
		b, _ := w.view().BorderRouters.Get(w.open)
		c := b.Clone().(*resource.VirtualBorderRouter)
		c.Account = planetest.Alice.Account
		if err := w.Put(c); err != nil {
			t.Fatal(err)
		}
	}, lineOf("VbrId", theOpen, "VlanId", "", "LocalGatewayIp", "10.0.0.1")},
	{"ModifyVirtualBorderRouterAttribute", "InvalidIp.NotSameSubnet", "", nil, lineWith("PeerGatewayIp", "192.168.50.26")},

	{"RecoverVirtualBorderRouter", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},
	{"RecoverVirtualBorderRouter", "InvalidVbrId.NotFound", "", nil, lineWith("VbrId", "vbr-none")},
	{"RecoverVirtualBorderRouter", "InvalidOperation.OperationNotAllowedInState", "", nil, lineOf("VbrId", theOwn)},
	{"RecoverVirtualBorderRouter", "InvalidOperation.OperationNotAllowedInState", "", lineIs(theLine, resource.LineTerminated), lineWith()},
	{"RecoverVirtualBorderRouter", "OperationFailed.VlanIdAlreadyInUse", "", reused, lineWith()},
	{"RecoverVirtualBorderRouter", "Forbidden.OperationNotAllowedByUser", "", func(t *testing.T, w *lineWorld) {
		anothersLine(func(w *lineWorld) string { return w.terminated })(t, w)
	}, lineWith()},

	{"TerminateVirtualBorderRouter", "InvalidRegionId.NotFound", "", nil, lineWith("RegionId", "mars")},
	{"TerminateVirtualBorderRouter", "InvalidVbrId.NotFound", "", nil, lineWith("VbrId", "vbr-none")},
	{"TerminateVirtualBorderRouter", "InvalidOperation.OperationNotAllowedInState", "", nil, lineOf("VbrId", theOpen)},
	{"TerminateVirtualBorderRouter", "InvalidOperation.OperationNotAllowedInState", "", stalledRouter, lineWith()},
	{"TerminateVirtualBorderRouter", "Forbidden.OperationNotAllowedByUser", "", anothersLine(theOwn), lineWith()},
}

// lineUnprovoked says why nothing provokes an error.
var lineUnprovoked = map[string]string{
	"CreatePhysicalConnection InvalidRedundantPhysicalConnection":                       "another account's line is none that there is, whatever it is named for",
	"ModifyPhysicalConnectionAttribute InvalidRedundantPhysicalConnection":              "likewise",
	"ModifyVirtualBorderRouterAttribute Forbidden.CircuitCodeNotAllowedByCaller modify": "the document has two messages for one case; the other is told",
}

// lineOthers are refusals for which the action's document has no code.
var lineOthers = []matrixCase[*lineWorld]{
	{"CreateVirtualBorderRouter", "OperationUnsupported", "802.1Q", func(_ *testing.T, w *lineWorld) { w.Devices.WithoutVLANs() }, lineWith()},
	{"CreateVirtualBorderRouter", "UnsupportedParameter", "EnableIpv6", nil, lineWith("EnableIpv6", "true")},
	{"CreatePhysicalConnection", "MissingParameter", `"PeerLocation"`, nil, lineWith("PeerLocation", "")},
	{"DeleteVirtualBorderRouter", "DependencyViolation.RouteEntry", "", func(t *testing.T, w *lineWorld) {
		w.must(t, "CreateRouteEntry", map[string]string{"RouteTableId": w.table, "DestinationCidrBlock": "10.20.0.0/16", "NextHopType": "RouterInterface", "NextHopId": w.port})
	}, lineWith()},
	{"ModifyVirtualBorderRouterAttribute", "DependencyViolation.RouteEntry", "", func(t *testing.T, w *lineWorld) {
		w.must(t, "CreateRouteEntry", map[string]string{"RouteTableId": w.table, "DestinationCidrBlock": "192.168.50.128/25", "NextHopType": "RouterInterface", "NextHopId": w.port})
	}, lineWith("PeeringSubnetMask", "24")},
	{"DescribeVirtualBorderRoutersForPhysicalConnection", "InvalidPhysicalConnectionId.NotFound", "", nil, lineWith("PhysicalConnectionId", "pc-none")},
}

func TestLineErrors(t *testing.T) { provokeAll(t, lineErrors, newLineWorld, true) }

func TestLineRefusalsWithoutACode(t *testing.T) { provokeAll(t, lineOthers, newLineWorld, false) }

func TestLineActionsSucceed(t *testing.T) { succeed(t, lineActions, newLineWorld) }

func TestLineErrorsAreComplete(t *testing.T) {
	for _, action := range lineActions {
		for _, e := range documentedErrors[action] {
			provoked := slices.ContainsFunc(lineErrors, func(c matrixCase[*lineWorld]) bool { return c.documents(action, e) })
			key := action + " " + e.Code
			if e.Message == "The caller is not allowed to modify." {
				key += " modify"
			}
			if excused := lineUnprovoked[key] != ""; provoked == excused {
				t.Errorf("%s: %s (%s) has to be either provoked or excused", action, e.Code, e.Message)
			}
		}
	}
}

// A line goes the documented way, and is read back as it was applied for; what its device and
// the dataplane do is seen in its status.
func TestLineIsReadBack(t *testing.T) {
	w := newLineWorld(t)
	ctx := context.Background()
	id := w.must(t, "CreatePhysicalConnection", w.good("CreatePhysicalConnection", "Bandwidth", "200", "PortType", "10GBase-LR", "CircuitCode", "C-7", "Name", "north", "Description", "first",
		"RedundantPhysicalConnectionId", w.line)).(*CreatePhysicalConnectionResponse).PhysicalConnectionId
	get := func() DescribePhysicalConnectionsPhysicalConnectionType {
		t.Helper()
		r := w.must(t, "DescribePhysicalConnections", w.good("DescribePhysicalConnections", "Filter.1.Key", "PhysicalConnectionId", "Filter.1.Value.1", id)).(*DescribePhysicalConnectionsResponse)
		if len(r.PhysicalConnectionSet.PhysicalConnectionType) != 1 {
			t.Fatalf("%+v", r)
		}
		return r.PhysicalConnectionSet.PhysicalConnectionType[0]
	}
	is := func(want string, step error) {
		t.Helper()
		if step != nil {
			t.Fatal(step)
		}
		if x := get(); x.Status != want {
			t.Errorf("%s, want %s", x.Status, want)
		}
	}
	x := get()
	if x.Bandwidth != "200" || x.Spec != "200" || x.PortType != "10GBase-LR" || x.LineOperator != "CT" || x.CircuitCode != "C-7" || x.Name != "north" || x.Description != "first" ||
		x.RedundantPhysicalConnectionId != w.line || x.AccessPointId != planetest.AccessPoint || x.Type != "VPC" || x.BusinessStatus != "Normal" || x.EnabledTime != "" || x.PortNumber != "" {
		t.Errorf("%+v", x)
	}
	is("Initial", nil)
	is("Approved", w.Lines.Approve(ctx, id))
	// Every port has a line already: one has to go before this gets its place.
	if _, err := w.Lines.Allocate(ctx, id, ""); err == nil {
		t.Error("a port that another line has is given away")
	}
	w.must(t, "CancelPhysicalConnection", w.good("CancelPhysicalConnection", "PhysicalConnectionId", w.confirmed))
	w.Devices.Set(dataplane.LineStatus{Device: "eth3"})
	_, err := w.Lines.Allocate(ctx, id, "3")
	is("Allocating", err)
	if err := w.Lines.Confirm(ctx, id); err == nil {
		t.Error("a line without a device is confirmed")
	}
	w.Devices.Set(dataplane.LineStatus{Device: "eth3", Present: true})
	is("Allocated", nil)
	if x := get(); x.PortNumber != "3" || x.ADLocation != "rack 2" {
		t.Errorf("%+v", x)
	}
	is("Confirmed", w.Lines.Confirm(ctx, id))
	w.must(t, "EnablePhysicalConnection", w.good("EnablePhysicalConnection", "PhysicalConnectionId", id))
	is("Enabled", nil)
	if x := get(); x.EnabledTime == "" {
		t.Errorf("%+v", x)
	}
	w.Devices.Set(dataplane.LineStatus{Device: "eth3", Present: true, Networks: []string{"vbr-gone"}})
	w.must(t, "TerminatePhysicalConnection", w.good("TerminatePhysicalConnection", "PhysicalConnectionId", id))
	is("Terminating", nil)
	if _, e := w.call("DeletePhysicalConnection", w.good("DeletePhysicalConnection", "PhysicalConnectionId", id)); e == nil || e.Code != "Forbidden.NotAllowedInState" {
		t.Errorf("a line that the dataplane still has is deleted: %v", e)
	}
	w.Devices.Set(dataplane.LineStatus{Device: "eth3", Present: true})
	is("Terminated", nil)
	w.must(t, "DeletePhysicalConnection", w.good("DeletePhysicalConnection", "PhysicalConnectionId", id))

	// Turned down, it is applied for again with any change.
	w.must(t, "ModifyPhysicalConnectionAttribute", w.good("ModifyPhysicalConnectionAttribute"))
	id = w.rejected
	is("Initial", nil)
	is("Approved", w.Lines.Approve(ctx, id))
	is("AllocationFailed", w.Lines.Fail(ctx, id))
}

// A border router for another account is that account's once it has accepted it.
func TestBorderRouterIsReadBack(t *testing.T) {
	w := newLineWorld(t)
	list := func(all ...string) (statuses []string) {
		t.Helper()
		r := w.must(t, "DescribeVirtualBorderRouters", w.good("DescribeVirtualBorderRouters", all...)).(*DescribeVirtualBorderRoutersResponse)
		for _, b := range r.VirtualBorderRouterSet.VirtualBorderRouterType {
			statuses = append(statuses, b.Status)
		}
		return statuses
	}
	if got := list(); !slices.Equal(got, []string{"active", "terminated"}) {
		t.Errorf("Alice's own are %v", got)
	}
	if got := list("Filter.1.Key", "Status", "Filter.1.Value.1", "Terminated", "Filter.1.Value.2", "Recovering", "Filter.2.Key", "PhysicalConnectionId", "Filter.2.Value.1", w.line); len(got) != 1 {
		t.Errorf("terminated are %v", got)
	}
	r := w.must(t, "DescribeVirtualBorderRouters", w.good("DescribeVirtualBorderRouters", "Filter.1.Key", "VbrId", "Filter.1.Value.1", w.own)).(*DescribeVirtualBorderRoutersResponse)
	b := r.VirtualBorderRouterSet.VirtualBorderRouterType[0]
	if b.VlanId != "10" || b.LocalGatewayIp != "192.168.50.17" || b.PeerGatewayIp != "192.168.50.18" || b.PeeringSubnetMask != "255.255.255.248" || b.RouteTableId != w.table || b.VlanInterfaceId != w.port ||
		b.PhysicalConnectionId != w.line || b.PhysicalConnectionStatus != "Enabled" || b.PhysicalConnectionOwnerUid != planetest.Alice.Account || b.AccessPointId != planetest.AccessPoint || b.ActivationTime == "" {
		t.Errorf("%+v", b)
	}
	of := w.must(t, "DescribeVirtualBorderRoutersForPhysicalConnection", w.good("DescribeVirtualBorderRoutersForPhysicalConnection")).(*DescribeVirtualBorderRoutersForPhysicalConnectionResponse)
	var owners []string
	for _, x := range of.VirtualBorderRouterForPhysicalConnectionSet.VirtualBorderRouterForPhysicalConnectionType {
		owners = append(owners, x.VbrOwnerUid+" "+x.Status)
	}
	bob := planetest.Bob.Account
	if !slices.Equal(owners, []string{" active", bob + " active", bob + " unconfirmed", " terminated"}) {
		t.Errorf("%q", owners)
	}
	// What is on its way is shown so, until the dataplane has followed.
	w.Stalled(func() {
		w.must(t, "TerminateVirtualBorderRouter", w.good("TerminateVirtualBorderRouter"))
		w.must(t, "RecoverVirtualBorderRouter", w.good("RecoverVirtualBorderRouter"))
		if got := list(); !slices.Equal(got, []string{"terminating", "recovering"}) {
			t.Errorf("while the dataplane follows: %v", got)
		}
	})
	if got := list(); !slices.Equal(got, []string{"terminated", "active"}) {
		t.Errorf("%v", got)
	}
}

// The route table of a border router takes plain entries to the line.
func TestBorderRoutes(t *testing.T) {
	w := newLineWorld(t)
	entry := func(change ...string) map[string]string {
		p := map[string]string{"RouteTableId": w.table, "DestinationCidrBlock": "10.20.0.0/16", "NextHopType": "RouterInterface", "NextHopId": w.port}
		for i := 0; i < len(change); i += 2 {
			p[change[i]] = change[i+1]
		}
		return p
	}
	for _, c := range []struct {
		code   string
		change []string
	}{
		{"InvalidRouterType", []string{"NextHopType", "", "NextHopId", "", "NextHopList.1.NextHopType", "RouterInterface", "NextHopList.1.NextHopId", w.port, "NextHopList.2.NextHopType", "RouterInterface", "NextHopList.2.NextHopId", "ri-2"}},
		{"InvalidNextHopId.NotFound", []string{"NextHopType", ""}},
		{"InvalidNextHopId.NotFound", []string{"NextHopId", "ri-none"}},
		{"InvalidCidrBlock", []string{"DestinationCidrBlock", "192.168.50.16/29"}},
		{"InvalidCidrBlock", []string{"DestinationCidrBlock", "100.64.0.0/16"}},
	} {
		if _, e := w.call("CreateRouteEntry", entry(c.change...)); e == nil || e.Code != c.code {
			t.Errorf("%v: %v, want %s", c.change, e, c.code)
		}
	}
	w.must(t, "CreateRouteEntry", entry())
	w.must(t, "CreateRouteEntry", entry("DestinationCidrBlock", "0.0.0.0/0"))
	if _, e := w.call("CreateRouteEntry", entry()); e == nil || e.Code != "InvalidRouteEntry.Duplicate" {
		t.Errorf("the same entry again: %v", e)
	}
	r := w.must(t, "DescribeRouteTables", map[string]string{"RouterType": "VBR", "RouterId": w.own}).(*DescribeRouteTablesResponse)
	if len(r.RouteTables.RouteTable) != 1 {
		t.Fatalf("%+v", r)
	}
	x := r.RouteTables.RouteTable[0]
	if x.RouterType != "VBR" || x.RouterId != w.own || x.RouteTableId != w.table || len(x.RouteEntrys.RouteEntry) != 3 {
		t.Fatalf("%+v", x)
	}
	if e := x.RouteEntrys.RouteEntry[0]; e.NextHopType != "RouterInterface" || e.InstanceId != w.port || e.Status != "Available" {
		t.Errorf("%+v", e)
	}
	w.must(t, "DeleteRouteEntry", map[string]string{"RouteTableId": w.table, "DestinationCidrBlock": "0.0.0.0/0", "NextHopId": w.port})
	w.must(t, "TerminateVirtualBorderRouter", w.good("TerminateVirtualBorderRouter"))
	if _, e := w.call("CreateRouteEntry", entry("DestinationCidrBlock", "10.30.0.0/16")); e == nil || e.Code != "InvalidVBRStatus" {
		t.Errorf("an entry of a router that was terminated: %v", e)
	}
	if _, e := w.call("DeleteVirtualBorderRouter", w.good("DeleteVirtualBorderRouter")); e == nil {
		t.Error("a router with routes is deleted")
	}
	w.must(t, "DeleteRouteEntry", map[string]string{"RouteTableId": w.table, "DestinationCidrBlock": "10.20.0.0/16", "NextHopId": w.port})
	w.must(t, "DeleteVirtualBorderRouter", w.good("DeleteVirtualBorderRouter"))
	if _, there := w.view().RouteTables.Get(w.table); there {
		t.Error("its route table is left")
	}
}

// A border router and a VPC that are connected are in the dataplane's input as one link, and
// the router's routes lead over it and to the line.
func TestBorderRouterIsConnected(t *testing.T) {
	w := newLineWorld(t)
	border, vpc := w.connect(t)
	w.Settings.AccessPoints = append(w.Settings.AccessPoints, settings.AccessPoint{ID: "ap-other", Region: planetest.Region})
	if _, e := w.call("CreateRouterInterface", map[string]string{"RegionId": planetest.Region, "RouterType": "VBR", "RouterId": w.own, "AccessPointId": "ap-other", "Role": "InitiatingSide",
		"Spec": "Small.1", "OppositeRegionId": planetest.Region, "OppositeRouterType": "VRouter"}); e == nil || e.Code != "InvalidAccessPoint.NotMatch" {
		t.Errorf("an interface of a border router at another access point: %v", e)
	}
	for destination, hop := range map[string]string{"10.0.0.0/8": border, "172.16.0.0/12": w.port} {
		w.must(t, "CreateRouteEntry", map[string]string{"RouteTableId": w.table, "DestinationCidrBlock": destination, "NextHopType": "RouterInterface", "NextHopId": hop})
	}
	n, err := compile.Network(w.view(), w.Settings, w.own, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := w.view().BorderRouters.Get(w.own)
	peer, _ := w.view().RouterInterfaces.Get(vpc)
	want := dataplane.Network{
		ID: w.own, Revision: w.view().Revision, Prefix: b.Subnet, Timeouts: w.Settings.Timeouts, Line: &dataplane.Line{Device: "eth1", Bandwidth: 100},
		Switches:         []dataplane.Switch{{ID: w.port, Prefix: b.Subnet, Gateway: b.Local, Attachment: dataplane.Attachment{Kind: dataplane.AttachVLAN, Device: "eth1", VLAN: 10}}},
		RouterInterfaces: []dataplane.RouterInterface{{ID: border, Peer: vpc, Network: peer.VPC, Bandwidth: 10}},
		Routes: []dataplane.Route{
			{Destination: netip.MustParsePrefix("10.0.0.0/8"), NextHops: []dataplane.NextHop{{Interface: border}}},
			{Destination: netip.MustParsePrefix("172.16.0.0/12"), NextHops: []dataplane.NextHop{{Via: b.Peer}}},
		},
	}
	if !reflect.DeepEqual(*n, want) {
		t.Errorf("%+v\nwant\n%+v", *n, want)
	}
	there, err := compile.Network(w.view(), w.Settings, peer.VPC, nil)
	if err != nil || len(there.RouterInterfaces) != 1 || there.RouterInterfaces[0].Network != w.own || there.RouterInterfaces[0].Peer != border {
		t.Errorf("%+v, %v", there, err)
	}
	// Terminated, it keeps all but the line.
	w.must(t, "TerminateVirtualBorderRouter", w.good("TerminateVirtualBorderRouter"))
	if n, err = compile.Network(w.view(), w.Settings, w.own, nil); err != nil || n.Line != nil || len(n.Switches) != 0 || len(n.RouterInterfaces) != 1 || len(n.Routes) != 1 {
		t.Errorf("%+v, %v", n, err)
	}
}
