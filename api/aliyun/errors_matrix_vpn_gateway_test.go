package aliyun

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/dataplane"
)

// vgwWorld is a VPC of Alice's with a VPN gateway, a customer gateway, and what
// the calls of the matrix need to go wrong.
type vgwWorld struct {
	planeWorld
	vpc     string // with gateway, 10.0.0.0/16
	vswitch string // 10.0.1.0/24 of vpc
	empty   string // a VPC without anything
	gateway string
	prepaid string // gateway of a VPC of its own, in vswitch2
	cgw     string // 198.51.100.1
}

func newVGWWorld(t *testing.T) *vgwWorld {
	t.Helper()
	a := planetest.Alice
	w := &vgwWorld{planeWorld: newPlaneWorld(t)}
	p := w.Plane
	w.vpc = p.VPC(a, "10.0.0.0/16").VPC
	w.vswitch = p.VSwitch(a, w.vpc, "10.0.1.0/24")
	w.empty = p.VPC(a, "10.0.0.0/16").VPC
	w.gateway = w.must(t, "CreateVpnGateway", w.good("CreateVpnGateway", "VpcId", w.vpc, "VSwitchId", w.vswitch)).(*CreateVpnGatewayResponse).VpnGatewayId
	prepaid := p.VPC(a, "10.0.0.0/16").VPC
	w.prepaid = w.must(t, "CreateVpnGateway", w.good("CreateVpnGateway", "VpcId", prepaid, "InstanceChargeType", "PREPAY", "Period", "1")).(*CreateVpnGatewayResponse).VpnGatewayId
	w.cgw = w.must(t, "CreateCustomerGateway", w.good("CreateCustomerGateway", "IpAddress", "198.51.100.1")).(*CreateCustomerGatewayResponse).CustomerGatewayId
	return w
}

// good returns parameters with which an action succeeds, changed by name and
// value; an empty value leaves the parameter out.
func (w *vgwWorld) good(action string, change ...string) map[string]string {
	p := map[string]string{"RegionId": planetest.Region}
	add := func(more ...string) {
		for i := 0; i < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
	}
	switch action {
	case "CreateVpnGateway":
		add("VpcId", w.empty, "Bandwidth", "5")
	case "ModifyVpnGatewayAttribute":
		add("VpnGatewayId", w.gateway, "Name", "edge")
	case "DescribeVpnGateway", "DeleteVpnGateway":
		add("VpnGatewayId", w.gateway)
	case "CreateCustomerGateway":
		add("IpAddress", "198.51.100.2")
	case "ModifyCustomerGatewayAttribute":
		add("CustomerGatewayId", w.cgw, "Name", "site")
	case "DescribeCustomerGateway", "DeleteCustomerGateway":
		add("CustomerGatewayId", w.cgw)
	case "TagResources":
		add("ResourceType", "VPC", "ResourceId.1", w.vpc, "Tag.1.Key", "Dept")
	case "ListTagResources":
		add("ResourceType", "VPC", "ResourceId.1", w.vpc)
	case "UntagResources":
		add("ResourceType", "VPC", "ResourceId.1", w.vpc, "TagKey.1", "Dept")
	case "MoveResourceGroup":
		add("ResourceType", "vpc", "ResourceId", w.vpc, "NewResourceGroupId", "rg-other")
	case "MoveVpnResourceGroup":
		add("ResourceType", "VpnGateway", "InstanceId", w.gateway, "NewResourceGroupId", "rg-other")
	}
	add(change...)
	return p
}

// connect puts a connection between the gateway and the customer gateway.
func connect(t *testing.T, w *vgwWorld) {
	t.Helper()
	proposal := dataplane.Proposal{Encryption: dataplane.AES128, Integrity: dataplane.SHA1, Group: 2}
	err := w.Put(&resource.VPNConnection{
		IKE: resource.IKEConfig{IKE: dataplane.IKE{Proposal: proposal}}, IPsec: dataplane.ESP{Proposal: proposal},
		Meta: resource.Meta{ID: "vco-1", Account: planetest.Alice.Account, Region: planetest.Region, CreatedAt: planetest.Now},
		VPC:  w.vpc, Gateway: w.gateway, CustomerGateway: w.cgw,
		Policies: dataplane.Product([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}, []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12")}),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// beingChanged leaves a change of the gateway that the dataplane has not got.
func beingChanged(t *testing.T, w *vgwWorld) {
	t.Helper()
	w.Dataplane(planetest.Stalls)
	w.must(t, "ModifyVpnGatewayAttribute", w.good("ModifyVpnGatewayAttribute", "AutoPropagate", "true"))
}

func vgwQuotas(set func(settings.Quotas)) func(*testing.T, *vgwWorld) {
	return func(_ *testing.T, w *vgwWorld) { set(w.Settings.Quotas) }
}

func vgwWith(change ...string) func(*vgwWorld) []string {
	return func(*vgwWorld) []string { return change }
}

// vgwActions are the actions that this matrix is about.
var vgwActions = []string{
	"CreateVpnGateway", "ModifyVpnGatewayAttribute", "DescribeVpnGateways", "DescribeVpnGateway", "DeleteVpnGateway",
	"TagResources", "ListTagResources", "UntagResources", "MoveResourceGroup", "MoveVpnResourceGroup",
	"CreateCustomerGateway", "ModifyCustomerGatewayAttribute", "DescribeCustomerGateways", "DescribeCustomerGateway", "DeleteCustomerGateway",
}

// vgwErrors provokes documented errors: a code, and where an action has several
// messages for it a part of the right one.
var vgwErrors = []matrixCase[*vgwWorld]{
	{"CreateVpnGateway", "Resource.QuotaFull", "", nil, func(w *vgwWorld) []string { return []string{"VpcId", w.vpc} }},

	{"ModifyVpnGatewayAttribute", "InvalidRegionId.NotFound", "", nil, vgwWith("RegionId", "mars")},
	{"ModifyVpnGatewayAttribute", "InvalidVpnGatewayInstanceId.NotFound", "", nil, vgwWith("VpnGatewayId", "vpn-none")},
	{"ModifyVpnGatewayAttribute", "InvalidVpnGatewayInstanceId.NotFound", "", nil, vgwWith("RegionId", planetest.Elsewhere)},
	{"ModifyVpnGatewayAttribute", "InvalidName", "", nil, vgwWith("Name", "http://1st")},
	{"ModifyVpnGatewayAttribute", "InvalidName", "", nil, vgwWith("Name", longName)},
	{"ModifyVpnGatewayAttribute", "InvalidDescription", "", nil, vgwWith("Description", "http://example.com")},
	{"ModifyVpnGatewayAttribute", "InvalidDescription", "", nil, vgwWith("Description", longName)},

	{"DescribeVpnGateways", "InvalidRegionId.NotFound", "", nil, vgwWith("RegionId", "mars")},
	{"DescribeVpnGateways", "InvalidParameter", "pageSize", nil, vgwWith("PageSize", "51")},
	{"DescribeVpnGateways", "InvalidParameter", "pageSize", nil, vgwWith("PageSize", "0")},
	{"DescribeVpnGateways", "InvalidParameter", "pageNumber", nil, vgwWith("PageNumber", "0")},

	{"DescribeVpnGateway", "InvalidRegionId.NotFound", "", nil, vgwWith("RegionId", "mars")},
	{"DescribeVpnGateway", "InvalidVpnGatewayInstanceId.NotFound", "", nil, vgwWith("VpnGatewayId", "vpn-none")},

	{"DeleteVpnGateway", "InvalidRegionId.NotFound", "", nil, vgwWith("RegionId", "mars")},
	{"DeleteVpnGateway", "InvalidVpnGatewayInstanceId.NotFound", "", nil, vgwWith("VpnGatewayId", "vpn-none")},
	{"DeleteVpnGateway", "ForbiddenRelease", "", nil, func(w *vgwWorld) []string { return []string{"VpnGatewayId", w.prepaid} }},
	{"DeleteVpnGateway", "VpnGateway.Configuring", "", beingChanged, vgwWith()},
	{"DeleteVpnGateway", "DependencyViolation.VpnConnection", "", connect, vgwWith()},

	{"CreateCustomerGateway", "InvalidIpAddress.AlreadyExist", "", nil, vgwWith("IpAddress", "198.51.100.1")},
	{"CreateCustomerGateway", "InvalidIpAddress.WrongFormat", "", nil, vgwWith("IpAddress", "198.51.100")},
	{"CreateCustomerGateway", "InvalidIpAddress.WrongFormat", "", nil, vgwWith("IpAddress", "2001:db8::1")},
	{"CreateCustomerGateway", "InvalidIpAddress.WrongFormat", "", nil, vgwWith("IpAddress", "224.0.0.5")},
	{"CreateCustomerGateway", "InvalidName", "", nil, vgwWith("Name", "two\nlines")},
	{"CreateCustomerGateway", "InvalidDescription", "", nil, vgwWith("Description", "https://example.com")},
	{"CreateCustomerGateway", "Resource.QuotaFull", "", vgwQuotas(func(q settings.Quotas) { q["customer_gateways"] = 1 }), vgwWith()},

	{"ModifyCustomerGatewayAttribute", "InvalidCustomerGatewayInstanceId.NotFound", "", nil, vgwWith("CustomerGatewayId", "cgw-none")},
	{"ModifyCustomerGatewayAttribute", "InvalidName", "", nil, vgwWith("Name", "http://x")},
	{"ModifyCustomerGatewayAttribute", "InvalidDescription", "", nil, vgwWith("Description", longName)},

	{"DescribeCustomerGateways", "InvalidCustomerGatewayId.NotFound", "", nil, vgwWith("CustomerGatewayId", "cgw-none")},
	{"DescribeCustomerGateways", "InvalidPageSize", "", nil, vgwWith("PageSize", "51")},
	{"DescribeCustomerGateways", "InvalidPageNumber", "", nil, vgwWith("PageNumber", "first")},

	{"DescribeCustomerGateway", "InvalidCustomerGatewayInstanceId.NotFound", "", nil, vgwWith("CustomerGatewayId", "cgw-none")},

	{"DeleteCustomerGateway", "InvalidCustomerGatewayInstanceId.NotFound", "", nil, vgwWith("CustomerGatewayId", "cgw-none")},
	{"DeleteCustomerGateway", "DependencyViolation.VpnConnection", "", connect, vgwWith()},
}

// vgwUnprovoked says why nothing provokes a code, for one action, or with an
// empty action for all.
var vgwUnprovoked = map[[2]string]string{
	{"", "Forbidden.SubUser"}: "of who has no right: TestForbidden",
	{"", "Forbbiden.SubUser"}: "of who has no right: TestForbidden",
	{"", "Forbidden"}:         "of who has no right: TestForbidden",

	{"CreateCustomerGateway", "InvalidIpAddress.AlreadyExsit"}:              "older document's spelling of InvalidIpAddress.AlreadyExist",
	{"ModifyCustomerGatewayAttribute", "InvalidCustomerGatewayId.NotFound"}: "older document; the newer one answers InvalidCustomerGatewayInstanceId.NotFound",
	{"DescribeCustomerGateway", "InvalidCustomerGatewayId.NotFound"}:        "older document; the newer one answers InvalidCustomerGatewayInstanceId.NotFound",
	{"DeleteCustomerGateway", "InvalidCustomerGatewayId.NotFound"}:          "older document; the newer one answers InvalidCustomerGatewayInstanceId.NotFound",
}

// vgwOthers are refusals for which the action's document has no code: those of
// other actions, and common ones, which name the parameter.
var vgwOthers = []matrixCase[*vgwWorld]{
	{"CreateVpnGateway", "InvalidRegionId.NotFound", "", nil, vgwWith("RegionId", "mars")},
	{"CreateVpnGateway", "InvalidVpcId.NotFound", "", nil, vgwWith("VpcId", "vpc-none")},
	{"CreateVpnGateway", "InvalidVSwitchId.NotFound", "", nil, vgwWith("VSwitchId", "vsw-none")},
	{"CreateVpnGateway", "InvalidVSwitchId.NotFound", "", nil, func(w *vgwWorld) []string { return []string{"VSwitchId", w.vswitch} }},
	{"CreateVpnGateway", "InvalidParameter", `"Bandwidth"`, nil, vgwWith("Bandwidth", "15")},
	{"CreateVpnGateway", "InvalidParameter", `"SslConnections"`, nil, vgwWith("SslConnections", "7")},
	{"CreateVpnGateway", "InvalidParameter", `"Period"`, nil, vgwWith("InstanceChargeType", "PREPAY", "Period", "10")},
	{"CreateVpnGateway", "InvalidParameter", `"InstanceChargeType"`, nil, vgwWith("InstanceChargeType", "PostPaid")},
	{"CreateVpnGateway", "InvalidParameter", `"Name"`, nil, vgwWith("Name", "HTTPS://a.b")},
	{"CreateVpnGateway", "MissingParameter", `"Bandwidth"`, nil, vgwWith("Bandwidth", "")},
	{"CreateVpnGateway", "MissingParameter", `"Period"`, nil, vgwWith("InstanceChargeType", "PREPAY")},
	{"CreateVpnGateway", "InsufficientEipCapacity", "", func(_ *testing.T, w *vgwWorld) { w.Settings.Public[0].Pool = nil }, vgwWith()},
	{"CreateVpnGateway", "OperationUnsupported", "A VPN gateway cannot be made here: charon is missing.", func(_ *testing.T, w *vgwWorld) {
		w.Tunnels.Unable(errors.New("charon is missing"))
	}, vgwWith()},
	{"CreateVpnGateway", "IncorrectVpcStatus", "", func(_ *testing.T, w *vgwWorld) {
		w.Dataplane(planetest.Stalls)
		w.empty = w.VPC(planetest.Alice, "10.0.0.0/16").VPC
	}, func(w *vgwWorld) []string { return []string{"VpcId", w.empty} }},
	{"ModifyVpnGatewayAttribute", "VpnGateway.Configuring", "", beingChanged, vgwWith("AutoPropagate", "false")},

	{"CreateCustomerGateway", "InvalidRegionId.NotFound", "", nil, vgwWith("RegionId", "mars")},
	{"CreateCustomerGateway", "InvalidParameter", `"Asn"`, nil, vgwWith("Asn", "0")},
	{"CreateCustomerGateway", "InvalidParameter", `"Asn"`, nil, vgwWith("Asn", "4294967296")},
	{"CreateCustomerGateway", "InvalidParameter", `"Asn"`, nil, vgwWith("Asn", "1.10")},

	{"TagResources", "InvalidRegionId.NotFound", "", nil, vgwWith("RegionId", "mars")},
	{"TagResources", "MissingParameter", `"ResourceId.1"`, nil, vgwWith("ResourceId.1", "")},
	{"TagResources", "MissingParameter", `"Tag.1.Key"`, nil, vgwWith("Tag.1.Key", "")},
	{"TagResources", "MissingParameter", `"Tag.1.Key"`, nil, vgwWith("Tag.1.Key", "", "Tag.1.Value", "x")},
	{"TagResources", "InvalidParameter", `"Tag.1.Key"`, nil, vgwWith("Tag.1.Key", strings.Repeat("x", 129))},
	{"TagResources", "InvalidParameter", `"Tag.1.Key"`, nil, vgwWith("Tag.1.Key", "aliyunDept")},
	{"TagResources", "InvalidParameter", `"Tag.1.Key"`, nil, vgwWith("Tag.1.Key", "acs:Dept")},
	{"TagResources", "InvalidParameter", `"Tag.1.Key"`, nil, vgwWith("Tag.1.Key", "a-http://b")},
	{"TagResources", "InvalidParameter", `"Tag.1.Key"`, nil, vgwWith("Tag.1.Key", "two\nlines")},
	{"TagResources", "InvalidParameter", `"Tag.1.Value"`, nil, vgwWith("Tag.1.Value", strings.Repeat("x", 129))},
	{"TagResources", "InvalidParameter", `"Tag.1.Value"`, nil, vgwWith("Tag.1.Value", "see https://example.com")},
	{"TagResources", "InvalidParameter", `"Tag"`, nil, vgwWith("Tag.2.Key", "Dept")}, // a second time
	{"TagResources", "InvalidParameter", `"Tag"`, nil, vgwWith("Tag.3.Key", "Site")}, // without a second
	{"TagResources", "InvalidParameter", `"Tag"`, nil, func(*vgwWorld) []string { return numberedParams("Tag.%.Key", "key", 21) }},
	{"TagResources", "InvalidParameter", `"ResourceId"`, nil, func(*vgwWorld) []string { return numberedParams("ResourceId.%", "vpc-", 21) }},
	{"TagResources", "InvalidParameter", `"ResourceType"`, nil, vgwWith("ResourceType", "Toaster")},
	{"TagResources", "InvalidVpcId.NotFound", "", nil, vgwWith("ResourceId.2", "vpc-none")},
	{"TagResources", "InvalidVSwitchId.NotFound", "", nil, vgwWith("ResourceType", "VSWITCH")},
	{"TagResources", "InvalidRouteTableId.NotFound", "", nil, vgwWith("ResourceType", "ROUTETABLE")},
	{"TagResources", "InvalidAllocationId.NotFound", "", nil, vgwWith("ResourceType", "EIP")},
	{"TagResources", "InvalidVpnGatewayInstanceId.NotFound", "", nil, vgwWith("ResourceType", "VpnGateway")},
	{"TagResources", "Resource.QuotaFull", "", func(t *testing.T, w *vgwWorld) {
		w.Settings.Quotas["tags"] = 1
		w.must(t, "TagResources", w.good("TagResources", "Tag.1.Key", "Site"))
	}, vgwWith()},

	{"ListTagResources", "MissingParameter", `"ResourceId.1"`, nil, vgwWith("ResourceId.1", "")},
	{"ListTagResources", "MissingParameter", `"Tag.1.Key"`, nil, vgwWith("Tag.1.Value", "x")},
	{"ListTagResources", "InvalidParameter", `"MaxResults"`, nil, vgwWith("MaxResults", "19")},
	{"ListTagResources", "InvalidParameter", `"MaxResults"`, nil, vgwWith("MaxResults", "101")},
	{"ListTagResources", "InvalidParameter", `"NextToken"`, nil, vgwWith("NextToken", "caeba0bbb2be03f84eb48b699f0a4883")},
	{"UntagResources", "MissingParameter", `"TagKey.1"`, nil, vgwWith("TagKey.1", "")},
	{"UntagResources", "InvalidVpcId.NotFound", "", nil, vgwWith("ResourceId.1", "vpc-none")},

	{"MoveResourceGroup", "InvalidRegionId.NotFound", "", nil, vgwWith("RegionId", "mars")},
	{"MoveResourceGroup", "InvalidParameter", `"ResourceType"`, nil, vgwWith("ResourceType", "vswitch")},
	{"MoveResourceGroup", "InvalidParameter", `"NewResourceGroupId"`, nil, vgwWith("NewResourceGroupId", "rg-")},
	{"MoveResourceGroup", "MissingParameter", `"NewResourceGroupId"`, nil, vgwWith("NewResourceGroupId", "")},
	{"MoveResourceGroup", "InvalidVpcId.NotFound", "", nil, vgwWith("ResourceId", "vpc-none")},
	{"MoveVpnResourceGroup", "InvalidVpnGatewayInstanceId.NotFound", "", nil, vgwWith("InstanceId", "vpn-none")},
	{"MoveVpnResourceGroup", "InvalidCustomerGatewayInstanceId.NotFound", "", nil, vgwWith("ResourceType", "customergateway")},
	{"MoveVpnResourceGroup", "InvalidParameter", `"ResourceType"`, nil, vgwWith("ResourceType", "vpc")},

	{"DeleteVpc", "DependencyViolation.Instance", "", nil, func(w *vgwWorld) []string { return []string{"VpcId", w.vpc} }},
	{"DeleteVSwitch", "DependencyViolation", "", nil, func(w *vgwWorld) []string { return []string{"VSwitchId", w.vswitch} }},
}

// numberedParams are n parameters that differ in their number.
func numberedParams(name, value string, n int) []string {
	var list []string
	for i := range n {
		number := string(rune('a'+i)) + "x"
		list = append(list, strings.Replace(name, "%", strconv.Itoa(i+1), 1), value+number)
	}
	return list
}

func TestVPNGatewayErrors(t *testing.T) { provokeAll(t, vgwErrors, newVGWWorld, true) }

func TestVPNGatewayRefusalsWithoutACode(t *testing.T) { provokeAll(t, vgwOthers, newVGWWorld, false) }

func TestVPNGatewayErrorsAreComplete(t *testing.T) {
	used := map[[2]string]bool{}
	for _, action := range vgwActions {
		for _, e := range documentedErrors[action] {
			provoked := slices.ContainsFunc(vgwErrors, func(c matrixCase[*vgwWorld]) bool { return c.documents(action, e) })
			excused := false
			for _, key := range [][2]string{{action, e.Code}, {"", e.Code}} {
				if _, ok := vgwUnprovoked[key]; ok {
					excused, used[key] = true, true
				}
			}
			if provoked == excused {
				t.Errorf("%s: %s (%s) has to be either provoked or excused", action, e.Code, e.Message)
			}
		}
	}
	for key := range vgwUnprovoked {
		if !used[key] {
			t.Errorf("%v is excused and not documented", key)
		}
	}
}

// Another account sees none of it.
func TestVPNGatewaysOfOthersAreNotFound(t *testing.T) {
	w := newVGWWorld(t)
	for action, code := range map[string]string{
		"CreateVpnGateway":               "InvalidVpcId.NotFound",
		"ModifyVpnGatewayAttribute":      "InvalidVpnGatewayInstanceId.NotFound",
		"DescribeVpnGateway":             "InvalidVpnGatewayInstanceId.NotFound",
		"DeleteVpnGateway":               "InvalidVpnGatewayInstanceId.NotFound",
		"TagResources":                   "InvalidVpcId.NotFound",
		"UntagResources":                 "InvalidVpcId.NotFound",
		"MoveResourceGroup":              "InvalidVpcId.NotFound",
		"MoveVpnResourceGroup":           "InvalidVpnGatewayInstanceId.NotFound",
		"ModifyCustomerGatewayAttribute": "InvalidCustomerGatewayInstanceId.NotFound",
		"DescribeCustomerGateway":        "InvalidCustomerGatewayInstanceId.NotFound",
		"DeleteCustomerGateway":          "InvalidCustomerGatewayInstanceId.NotFound",
	} {
		if _, err := w.callAs(planetest.Bob, action, w.good(action)); err == nil || err.Code != code {
			t.Errorf("%s: %v, want %s", action, err, code)
		}
	}
	w.must(t, "TagResources", w.good("TagResources"))
	for _, action := range []string{"DescribeVpnGateways", "DescribeCustomerGateways", "ListTagResources"} {
		r, err := w.callAs(planetest.Bob, action, w.good(action))
		if err != nil {
			t.Fatalf("%s: %v", action, err)
		}
		if text := encoded(t, FormatJSON, r); strings.Contains(text, w.gateway) || strings.Contains(text, w.cgw) || strings.Contains(text, w.vpc) {
			t.Errorf("%s shows Bob what is Alice's: %s", action, text)
		}
	}
}

// The parameters that the matrix changes work unchanged.
func TestVPNGatewayActionsSucceed(t *testing.T) { succeed(t, vgwActions, newVGWWorld) }
