package aliyun

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/nat"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// natWorld is a VPC of Alice's with a NAT gateway, one DNAT and one SNAT entry,
// and what the calls of the matrix need to go wrong.
type natWorld struct {
	*planetest.Plane
	s        *Service
	vpc      string            // 10.0.0.0/16
	vswitch  string            // 10.0.1.0/24, with the SNAT entry
	vswitch2 string            // 10.0.2.0/24
	haSwitch string            // 10.0.3.0/24, with a HaVip
	empty    string            // a VPC without anything
	routed   string            // a VPC with a route of its own for 0.0.0.0/0
	g        nat.NewGateway    // of vpc
	ip       map[string]string // public addresses: dnat, snat, free on the gateway; own of an instance; loose of nothing
	fwd      string            // TCP dnat:80 → 10.0.1.5:8080
	snat     string            // vswitch → snat
	owned    string            // private address of the instance with an elastic IP
}

func (w *natWorld) view() *state.View { return w.DB.View() }

func newNATWorld(t *testing.T) *natWorld {
	t.Helper()
	p := planetest.New(t)
	a := planetest.Alice
	w := &natWorld{Plane: p, s: NewService(p.Network, p.EIP, p.Bandwidth, p.NAT, nil, p.VPN, p.Links, p.Tags, p.RAM, p.HaVip, p.Lines, p.Acceleration), ip: map[string]string{}, owned: "10.0.1.20"}
	w.vpc = p.VPC(a, "10.0.0.0/16").VPC
	w.vswitch, w.vswitch2 = p.VSwitch(a, w.vpc, "10.0.1.0/24"), p.VSwitch(a, w.vpc, "10.0.2.0/24")
	w.haSwitch = p.VSwitch(a, w.vpc, "10.0.3.0/24")
	p.NewHaVip(planetest.Alice, w.haSwitch, "")
	w.empty = p.VPC(a, "10.0.0.0/16").VPC
	routed := p.VPC(a, "10.0.0.0/16")
	w.routed = routed.VPC
	router := p.Instance(p.VSwitch(a, routed.VPC, "10.0.1.0/24"), "", resource.Host)
	p.Route(a, routed.RouteTable, "0.0.0.0/0", resource.NextHopHost, router)
	w.g = p.Gateway(a, w.vpc)
	for _, name := range []string{"dnat", "snat", "free", "own", "loose"} {
		e := p.NewEIP(a)
		w.ip[name] = e.Address.String()
		switch name {
		case "own":
			p.Bind(a, e.ID, resource.BoundToHost, p.Instance(w.vswitch, w.owned, resource.Host))
		case "loose":
		default:
			p.Bind(a, e.ID, resource.BoundToNATGateway, w.g.ID)
		}
	}
	w.fwd = w.must(t, "CreateForwardEntry", w.good("CreateForwardEntry", "ExternalIp", w.ip["dnat"], "ExternalPort", "80", "InternalIp", "10.0.1.5", "InternalPort", "8080")).(*CreateForwardEntryResponse).ForwardEntryId
	w.snat = w.must(t, "CreateSnatEntry", w.good("CreateSnatEntry", "SourceVSwitchId", w.vswitch, "SnatIp", w.ip["snat"])).(*CreateSnatEntryResponse).SnatEntryId
	return w
}

// good returns parameters with which an action succeeds, changed by name and
// value; an empty value leaves the parameter out.
func (w *natWorld) good(action string, change ...string) map[string]string {
	p := map[string]string{"RegionId": planetest.Region}
	add := func(more ...string) {
		for i := 0; i < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
	}
	switch action {
	case "CreateNatGateway":
		add("VpcId", w.empty)
	case "ModifyNatGatewaySpec":
		add("NatGatewayId", w.g.ID, "Spec", "Large")
	case "ModifyNatGatewayAttribute":
		add("NatGatewayId", w.g.ID, "Name", "edge")
	case "GetNatGatewayAttribute":
		add("NatGatewayId", w.g.ID)
	case "UpdateNatGatewayNatType":
		add("NatGatewayId", w.g.ID, "NatType", "Enhanced", "VSwitchId", w.vswitch)
	case "DeletionProtection":
		add("InstanceId", w.g.ID, "Type", "NATGW", "ProtectionEnable", "true")
	case "DeleteNatGateway":
		add("NatGatewayId", w.g.ID, "Force", "true")
	case "CreateForwardEntry":
		add("ForwardTableId", w.g.ForwardTable, "ExternalIp", w.ip["dnat"], "ExternalPort", "81", "InternalIp", "10.0.1.6", "InternalPort", "80", "IpProtocol", "TCP")
	case "ModifyForwardEntry":
		add("ForwardTableId", w.g.ForwardTable, "ForwardEntryId", w.fwd, "InternalPort", "8081")
	case "DescribeForwardTableEntries":
		add("ForwardTableId", w.g.ForwardTable)
	case "DeleteForwardEntry":
		add("ForwardTableId", w.g.ForwardTable, "ForwardEntryId", w.fwd)
	case "CreateSnatEntry":
		add("SnatTableId", w.g.SNATTable, "SourceVSwitchId", w.vswitch2, "SnatIp", w.ip["free"])
	case "ModifySnatEntry":
		add("SnatTableId", w.g.SNATTable, "SnatEntryId", w.snat, "SnatIp", w.ip["free"])
	case "DescribeSnatTableEntries":
		add("SnatTableId", w.g.SNATTable)
	case "DeleteSnatEntry":
		add("SnatTableId", w.g.SNATTable, "SnatEntryId", w.snat)
	}
	add(change...)
	return p
}

func (w *natWorld) call(action string, params map[string]string) (Response, *Error) {
	p := NewParams()
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if params[name] != "" {
			p.Add(name, params[name])
		}
	}
	return Dispatch(context.Background(), w.s, planetest.Alice, action, p)
}

func (w *natWorld) must(t *testing.T, action string, params map[string]string) Response {
	t.Helper()
	r, err := w.call(action, params)
	if err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	return r
}

var natActions = []string{
	"CreateNatGateway", "DescribeNatGateways", "ModifyNatGatewaySpec", "ModifyNatGatewayAttribute", "DeleteNatGateway",
	"CreateForwardEntry", "ModifyForwardEntry", "DescribeForwardTableEntries", "DeleteForwardEntry",
	"CreateSnatEntry", "ModifySnatEntry", "DescribeSnatTableEntries", "DeleteSnatEntry",
	"GetNatGatewayAttribute", "UpdateNatGatewayNatType", "ListEnhanhcedNatGatewayAvailableZones", "DeletionProtection",
}

// natErrors provokes a documented code: by parameters other than good ones, on
// a world that something has happened to.
var natErrors = []struct {
	action, code string
	happened     func(*testing.T, *natWorld)
	change       func(*natWorld) []string
}{
	{"CreateNatGateway", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"CreateNatGateway", "InvalidZoneId.NotFound", nil, with("BandwidthPackage.1.IpCount", "1", "BandwidthPackage.1.Bandwidth", "5", "BandwidthPackage.1.Zone", "moon-a")},
	{"CreateNatGateway", "InvalidVpcId.NotFound", nil, with("VpcId", "vpc-none")},
	{"CreateNatGateway", "MissingParameter.BandwidthPackage.1.IpCount", nil, with("BandwidthPackage.1.Bandwidth", "5")},
	{"CreateNatGateway", "MissingParameter.BandwidthPackage.2.Bandwidth", nil, with("BandwidthPackage.1.IpCount", "1", "BandwidthPackage.1.Bandwidth", "5", "BandwidthPackage.2.IpCount", "1")},
	{"CreateNatGateway", "QuotaExceeded.NatGatewayCountInOneVpc", nil, func(w *natWorld) []string { return []string{"VpcId", w.vpc} }},
	{"CreateNatGateway", "RouterEntryConflict.Duplicated", nil, func(w *natWorld) []string { return []string{"VpcId", w.routed} }},
	{"CreateNatGateway", "InvalidParameter.Name.Malformed", nil, with("Name", "http://x")},
	{"CreateNatGateway", "InvalidParameter.Description.Malformed", nil, with("Description", "http://example.com")},
	{"CreateNatGateway", "InvalidParameter.Spec.ValueNotSupported", nil, with("Spec", "Huge")},
	{"CreateNatGateway", "TooManyBandwidthPackages", nil, with("BandwidthPackage.1.IpCount", "1", "BandwidthPackage.2.IpCount", "1", "BandwidthPackage.3.IpCount", "1", "BandwidthPackage.4.IpCount", "1", "BandwidthPackage.5.IpCount", "1")},

	{"DescribeNatGateways", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},

	{"ModifyNatGatewaySpec", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"ModifyNatGatewaySpec", "InvalidNatGatewayId.NotFound", nil, with("NatGatewayId", "ngw-none")},
	{"ModifyNatGatewaySpec", "NATGW_MODIFY_SPEC_SAME", nil, with("Spec", "Small")},
	{"ModifyNatGatewaySpec", "InvalidParameter.Spec.ValueNotSupported", nil, with("Spec", "XLarge.2")},

	{"ModifyNatGatewayAttribute", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"ModifyNatGatewayAttribute", "InvalidNatGatewayId.NotFound", nil, with("NatGatewayId", "ngw-none")},
	{"ModifyNatGatewayAttribute", "InvalidParameter.Name.Malformed", nil, with("Name", "a\nb")},
	{"ModifyNatGatewayAttribute", "InvalidParameter.Description.Malformed", nil, with("Description", "https://example.com")},

	{"GetNatGatewayAttribute", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"GetNatGatewayAttribute", "InvalidNatGatewayId.NotFound", nil, with("NatGatewayId", "ngw-none")},
	{"UpdateNatGatewayNatType", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"UpdateNatGatewayNatType", "InvalidNatGatewayId.NotFound", nil, with("NatGatewayId", "ngw-none")},
	{"UpdateNatGatewayNatType", "InvalidVSwitchId.NotFound", nil, with("VSwitchId", "vsw-none")},
	{"ListEnhanhcedNatGatewayAvailableZones", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"DeletionProtection", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"DeletionProtection", "InvalidNatGatewayId.NotFound", nil, with("InstanceId", "ngw-none")},
	{"DeletionProtection", "InvalidAllocationId.NotFound", nil, with("Type", "eip")},

	{"DeleteNatGateway", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"DeleteNatGateway", "InvalidNatGatewayId.NotFound", nil, with("NatGatewayId", "ngw-none")},
	{"DeleteNatGateway", "DependencyViolation.BandwidthPackages", nil, with("Force", "false")},
	{"DeleteNatGateway", "MissingParameter.NatGatewayId", nil, with("NatGatewayId", "")},

	{"CreateForwardEntry", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"CreateForwardEntry", "InvalidExternalIp.Malformed", nil, with("ExternalIp", "1.2.3")},
	{"CreateForwardEntry", "InvalidInternalIp.Malformed", nil, with("InternalIp", "fe80::1")},
	{"CreateForwardEntry", "InvalidExternalPort.Malformed", nil, with("ExternalPort", "65536")},
	{"CreateForwardEntry", "InvalidInternalPort.Malformed", nil, with("InternalPort", "0")},
	{"CreateForwardEntry", "InvalidExternalPort.Malformed", nil, with("ExternalPort", "90/80")},
	{"CreateForwardEntry", "InvalidInternalPort.Malformed", nil, with("ExternalPort", "81/90", "InternalPort", "80")},
	{"CreateForwardEntry", "Forbidden.DestinationIpOutOfVpcCIDR", nil, with("InternalIp", "192.168.0.1")},
	{"CreateForwardEntry", "InvalidProtocol.ValueNotSupported", nil, with("IpProtocol", "ICMP")},
	{"CreateForwardEntry", "IncorretForwardEntryStatus", forwardPending, with()},
	{"CreateForwardEntry", "InvalidForwardTableId.NotFound", nil, with("ForwardTableId", "ftb-none")},
	{"CreateForwardEntry", "InvalidExternalIp.NotFound", nil, with("ExternalIp", "203.0.113.250")},
	{"CreateForwardEntry", "Forbidden.ExternalIp.UsedInSnatTable", nil, ip("ExternalIp", "snat")},
	{"CreateForwardEntry", "Forbindden", nil, func(w *natWorld) []string { return []string{"InternalIp", w.owned} }},
	{"CreateForwardEntry", "InvalidIp.NotInNatgw", nil, ip("ExternalIp", "loose")},
	{"CreateForwardEntry", "MissingParameter", nil, with("InternalIp", "")},
	{"CreateForwardEntry", "InvalidParameter.Name.Malformed", nil, with("ForwardEntryName", "http://x")},
	{"CreateForwardEntry", "QuotaExceeded.ForwardEntry", quotas(func(q settings.Quotas) { q["forward_entries"] = 1 }), with()},
	{"CreateForwardEntry", "Forbidden.PortsAndIpProtocol", nil, with("ExternalPort", "Any")},
	{"CreateForwardEntry", "ForwardEntry.Duplicated.Source", nil, with("ExternalPort", "80")},
	{"CreateForwardEntry", "ForwardEntry.Duplicated.Destination", nil, with("InternalIp", "10.0.1.5", "InternalPort", "8080")},

	{"ModifyForwardEntry", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"ModifyForwardEntry", "InvalidExternalIp.Malformed", nil, with("ExternalIp", "example.com")},
	{"ModifyForwardEntry", "InvalidInternalIp.Malformed", nil, with("InternalIp", "10.0.0.0/8")},
	{"ModifyForwardEntry", "InvalidExternalPort.Malformed", nil, with("ExternalPort", "-1")},
	{"ModifyForwardEntry", "InvalidInternalPort.Malformed", nil, with("InternalPort", "http")},
	{"ModifyForwardEntry", "InvalidInternalPort.Malformed", nil, with("ExternalPort", "81/90")},
	{"ModifyForwardEntry", "Forbidden.DestinationIpOutOfVpcCIDR", nil, with("InternalIp", "192.168.0.1")},
	{"ModifyForwardEntry", "InvalidProtocol.ValueNotSupported", nil, with("IpProtocol", "GRE")},
	{"ModifyForwardEntry", "IncorretForwardEntryStatus", forwardPending, with()},
	{"ModifyForwardEntry", "InvalidForwardEntryId.NotFound", nil, with("ForwardEntryId", "fwd-none")},
	{"ModifyForwardEntry", "InvalidExternalIp.NotFound", nil, ip("ExternalIp", "loose")},
	{"ModifyForwardEntry", "InvalidForwardTableId.NotFound", nil, with("ForwardTableId", "ftb-none")},
	{"ModifyForwardEntry", "Forbidden.ExternalIpUsedInSnatTable", nil, ip("ExternalIp", "snat")},
	{"ModifyForwardEntry", "Forbidden.Already.Bounded", nil, func(w *natWorld) []string { return []string{"InternalIp", w.owned} }},
	{"ModifyForwardEntry", "ForwardEntry.Duplicated", anotherForward, with("ExternalPort", "81")},
	{"ModifyForwardEntry", "Forbidden.InternalIpAndInternalPortDuplicate", anotherForward, with("InternalIp", "10.0.1.6", "InternalPort", "80")},
	{"ModifyForwardEntry", "Forbidden.PortsAndIpProtocol", nil, with("IpProtocol", "Any")},

	{"DescribeForwardTableEntries", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"DescribeForwardTableEntries", "InvalidForwardTableId.NotFound", nil, with("ForwardTableId", "ftb-none")},
	{"DescribeForwardTableEntries", "MissingParameter.VRouterIdOrForwardTableId", nil, with("ForwardTableId", "")},

	{"DeleteForwardEntry", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"DeleteForwardEntry", "InvalidForwardTableId.NotFound", nil, with("ForwardTableId", "ftb-none")},
	{"DeleteForwardEntry", "IncorrectForwardEntryStatus", forwardPending, with()},
	{"DeleteForwardEntry", "InvalidForwardEntryId.NotFound", nil, with("ForwardEntryId", "fwd-none")},

	{"CreateSnatEntry", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"CreateSnatEntry", "InvalidSnatTableId.NotFound", nil, with("SnatTableId", "stb-none")},
	{"CreateSnatEntry", "Forbidden.SourceVSwitchId.IncludeHaVip", nil, func(w *natWorld) []string { return []string{"SourceVSwitchId", w.haSwitch} }},
	{"CreateSnatEntry", "InvalidSnatIp.Malformed", nil, with("SnatIp", "203.0.113.10,nonsense")},
	{"CreateSnatEntry", "SNAT_IP_POOL_COUNT_TOO_MANY", quotas(func(q settings.Quotas) { q["snat_pool_addresses"] = 1 }), func(w *natWorld) []string { return []string{"SnatIp", w.ip["free"] + "," + w.ip["snat"]} }},
	{"CreateSnatEntry", "Forbidden.SnatEntryCountLimited", quotas(func(q settings.Quotas) { q["snat_entries"] = 1 }), with()},
	{"CreateSnatEntry", "NOT_ALLOW_USE_SOURCECIDR", nil, with("SourceVSwitchId", "", "SourceCIDR", "192.168.0.0/24")},
	{"CreateSnatEntry", "InvalidVSwitchId.NotFound", nil, with("SourceVSwitchId", "vsw-none")},
	{"CreateSnatEntry", "INVALID_PARAMETER", nil, with("SourceCIDR", "10.0.2.0/24")}, // beside SourceVSwitchId
	{"CreateSnatEntry", "Forbidden.SourceVSwitchId.Duplicated", nil, func(w *natWorld) []string { return []string{"SourceVSwitchId", w.vswitch} }},
	{"CreateSnatEntry", "InvalidSnatIp.NotFound", nil, ip("SnatIp", "loose")},
	{"CreateSnatEntry", "Forbidden.IpUsedInForwardTable", nil, ip("SnatIp", "dnat")},
	{"CreateSnatEntry", "Forbidden", nil, func(w *natWorld) []string { return []string{"SourceVSwitchId", "", "SourceCIDR", w.owned + "/32"} }},
	{"CreateSnatEntry", "OperationUnsupported.CidrConflict", nil, with("SourceVSwitchId", "", "SourceCIDR", "10.0.1.7/32")},
	{"CreateSnatEntry", "InvalidParameter.Name.Malformed", nil, with("SnatEntryName", "http://x")},
	{"CreateSnatEntry", "IncorrectSnatEntryStatus", snatPending, with()},

	{"ModifySnatEntry", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"ModifySnatEntry", "InvalidSnatTableId.NotFound", nil, with("SnatTableId", "stb-none")},
	{"ModifySnatEntry", "InvalidSnatIp.Malformed", nil, with("SnatIp", "1.2.3.4.5")},
	{"ModifySnatEntry", "InvalidSnatEntryId.NotFound", nil, with("SnatEntryId", "snat-none")},
	{"ModifySnatEntry", "InvalidSnatIp.NotFound", nil, ip("SnatIp", "own")},
	{"ModifySnatEntry", "Forbidden.IpUsedInForwardTable", nil, ip("SnatIp", "dnat")},
	{"ModifySnatEntry", "InvalidParameter.Name.Malformed", nil, with("SnatEntryName", "https://x")},
	{"ModifySnatEntry", "IncorretSnatEntryStatus", snatPending, with()},

	{"DescribeSnatTableEntries", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"DescribeSnatTableEntries", "InvalidSnatTableId.NotFound", nil, with("SnatTableId", "stb-none")},

	{"DeleteSnatEntry", "InvalidRegionId.NotFound", nil, with("RegionId", "mars")},
	{"DeleteSnatEntry", "IncorretSnatEntryStatus", snatPending, with()},
	{"DeleteSnatEntry", "InvalidSnatEntryId.NotFound", nil, with("SnatEntryId", "snat-none")},
	{"DeleteSnatEntry", "InvalidSnatTableId.NotFound", nil, with("SnatTableId", "stb-none")},
}

// natUnprovoked are the documented codes that no request brings about, and why.
var natUnprovoked = map[string]map[string]string{
	"CreateNatGateway": {
		"MissingParameter.BandwidthPackage": "a gateway needs no bandwidth package: elastic IPs are bound to it",
	},
	"DeleteNatGateway": {
		"Invalid.RegionId": "older document; the newer one answers InvalidRegionId.NotFound",
	},
	"CreateForwardEntry": {
		"Forbidden.InternalIpOutOfVpcCIDR":    "the documents don't tell it from Forbidden.DestinationIpOutOfVpcCIDR, which both list",
		"Invalid.natgwNotExist":               "the request names a table, and a table goes with its gateway: InvalidForwardTableId.NotFound",
		"InternalServerError":                 "an unknown failure; the common InternalError is answered for all actions alike",
		"IncorrectForwardEntryStatus":         "older document's spelling of IncorretForwardEntryStatus",
		"Forbidden.ExternalIpUsedInSnatTable": "older document's spelling of Forbidden.ExternalIp.UsedInSnatTable",
	},
	"ModifyForwardEntry": {
		"QuotaExceeded":                     "a modification adds no entry",
		"InvalidProtocal.ValueNotSupported": "older document's spelling of InvalidProtocol.ValueNotSupported",
	},
	"DescribeForwardTableEntries": {
		"IncorretForwardEntryStatus":   "a query is answered in every state; it shows the states",
		"InvalidVRouterId.NotFound":    "a user is not told whether what it has no right on is there: Forbidden.RAM",
		"InvalidForwardTable.NotFound": "a user is not told whether what it has no right on is there: Forbidden.RAM",
	},
	"ModifySnatEntry": {
		"Forbidden.SourceVSwitchId.Duplicated": "the source of an entry can't be changed",
	},
}

func with(change ...string) func(*natWorld) []string {
	return func(*natWorld) []string { return change }
}

func ip(parameter, name string) func(*natWorld) []string {
	return func(w *natWorld) []string { return []string{parameter, w.ip[name]} }
}

func quotas(set func(settings.Quotas)) func(*testing.T, *natWorld) {
	return func(_ *testing.T, w *natWorld) { set(w.Settings.Quotas) }
}

// forwardPending leaves an entry of the DNAT table that the dataplane has not
// got.
func forwardPending(t *testing.T, w *natWorld) {
	w.Dataplane(planetest.Stalls)
	w.must(t, "CreateForwardEntry", w.good("CreateForwardEntry", "ExternalPort", "99", "InternalIp", "10.0.1.99"))
}

func snatPending(t *testing.T, w *natWorld) {
	w.Dataplane(planetest.Stalls)
	w.must(t, "CreateSnatEntry", w.good("CreateSnatEntry", "SourceVSwitchId", "", "SourceCIDR", "10.0.3.99/32"))
}

func anotherForward(t *testing.T, w *natWorld) {
	w.must(t, "CreateForwardEntry", w.good("CreateForwardEntry"))
}

func TestNATErrors(t *testing.T) {
	worlds := &shared[*natWorld]{t: t, world: newNATWorld}
	for _, c := range natErrors {
		t.Run(c.action+"/"+c.code, func(t *testing.T) {
			t.Parallel() // each waits for its own store's disk
			w, back := worlds.take(t, c.happened != nil)
			defer back()
			if c.happened != nil {
				c.happened(t, w)
			}
			before := w.DB.View()
			_, err := w.call(c.action, w.good(c.action, c.change(w)...))
			if err == nil {
				t.Fatal("no error")
			}
			if err.Code != c.code {
				t.Fatalf("%v, want %s", err, c.code)
			}
			if !natDocumented(c.action, err) {
				t.Errorf("%v is not as documented: %+v", err, documentedErrors[c.action])
			}
			if w.DB.View() != before {
				t.Error("a refused call changed something")
			}
		})
	}
}

// natDocumented says whether code, message and status stand in the action's
// table of errors.
func natDocumented(action string, err *Error) bool {
	words := withoutReason(err)
	err = &words
	return slices.ContainsFunc(documentedErrors[action], func(d Error) bool {
		if strings.Contains(d.Code, ".n.") {
			for n := range 4 {
				numberedError := d
				if *numbered(&numberedError, n+1) == *err {
					return true
				}
			}
		}
		return d == *err
	})
}

func TestNATErrorsAreComplete(t *testing.T) {
	for _, action := range natActions {
		provoked := map[string]bool{}
		for _, c := range natErrors {
			if c.action == action {
				provoked[strings.NewReplacer(".1.", ".n.", ".2.", ".n.").Replace(c.code)] = true
			}
		}
		documented := map[string]bool{}
		for _, e := range documentedErrors[action] {
			documented[e.Code] = true
			_, excused := natUnprovoked[action][e.Code]
			if provoked[e.Code] == excused {
				t.Errorf("%s: %s has to be either provoked or excused", action, e.Code)
			}
		}
		for code := range natUnprovoked[action] {
			if !documented[code] {
				t.Errorf("%s: %s is excused and not documented", action, code)
			}
		}
	}
}

// The parameters that the matrix changes work unchanged.
func TestNATActionsSucceed(t *testing.T) {
	for _, action := range natActions {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			w := newNATWorld(t)
			w.must(t, action, w.good(action))
		})
	}
}
