package aliyun

import (
	"context"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/eip"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// bandwidthWorld has common bandwidth packages of Alice's, and elastic IPs for them.
type bandwidthWorld struct {
	planeWorld
	vpc     string // with an instance that has elastic IP inside
	cbwp    string // common bandwidth package, 20 Mbit/s, that inside is in
	empty   string // another one
	inside  string // elastic IP in cbwp
	free    string // elastic IP in no package
	prepaid string // elastic IP
	faraway string // elastic IP of another region

	ngw       string   // NAT gateway of vpc
	bwp       string   // NAT bandwidth package of ngw, 20 Mbit/s
	addresses []string // of bwp, ids: the first in an SNAT entry, the second in a DNAT entry, the third in none
	unused    string   // NAT bandwidth package of ngw with one address
	other     string   // the address of unused, id
}

func newBandwidthWorld(t *testing.T) *bandwidthWorld {
	t.Helper()
	a := planetest.Alice
	w := &bandwidthWorld{planeWorld: newPlaneWorld(t)}
	p := w.Plane
	w.vpc = p.VPC(a, "10.0.0.0/16").VPC
	vsw := p.VSwitch(a, w.vpc, "10.0.1.0/24")
	host := p.Instance(vsw, "10.0.1.1", resource.Host)
	w.inside, w.free, w.faraway = p.NewEIP(a).ID, p.NewEIP(a).ID, p.EIPIn(a, planetest.Elsewhere).ID
	p.Bind(a, w.inside, resource.BoundToHost, host)
	bought, err := p.EIP.Allocate(context.Background(), a, eip.Request{Region: planetest.Region, Bandwidth: 5, Prepaid: true, Period: 1})
	if err != nil {
		t.Fatal(err)
	}
	w.prepaid = bought.ID
	for _, id := range []*string{&w.cbwp, &w.empty} {
		*id = w.must(t, "CreateCommonBandwidthPackage", w.good("CreateCommonBandwidthPackage")).(*CreateCommonBandwidthPackageResponse).BandwidthPackageId
	}
	w.must(t, "AddCommonBandwidthPackageIp", w.good("AddCommonBandwidthPackageIp", "IpInstanceId", w.inside))
	g := p.Gateway(a, w.vpc)
	w.ngw = g.ID
	w.bwp = w.must(t, "CreateBandwidthPackage", w.good("CreateBandwidthPackage", "IpCount", "3")).(*CreateBandwidthPackageResponse).BandwidthPackageId
	w.unused = w.must(t, "CreateBandwidthPackage", w.good("CreateBandwidthPackage")).(*CreateBandwidthPackageResponse).BandwidthPackageId
	var ip []string
	for e := range p.DB.View().ElasticIPs.By(state.ByNATPackage, w.bwp).All() {
		w.addresses, ip = append(w.addresses, e.ID), append(ip, e.Address.String())
	}
	for e := range p.DB.View().ElasticIPs.By(state.ByNATPackage, w.unused).All() {
		w.other = e.ID
	}
	w.must(t, "CreateSnatEntry", w.good("CreateSnatEntry", "SnatTableId", g.SNATTable, "SourceVSwitchId", vsw, "SnatIp", ip[0]))
	w.must(t, "CreateForwardEntry", w.good("CreateForwardEntry", "ForwardTableId", g.ForwardTable, "ExternalIp", ip[1], "ExternalPort", "80", "InternalIp", "10.0.1.9", "InternalPort", "80", "IpProtocol", "TCP"))
	return w
}

// good returns parameters with which an action succeeds, changed by name and value; an
// empty value leaves the parameter out.
func (w *bandwidthWorld) good(action string, change ...string) map[string]string {
	p := map[string]string{"RegionId": planetest.Region}
	add := func(more ...string) {
		for i := 0; i < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
	}
	switch action {
	case "CreateCommonBandwidthPackage":
		add("Bandwidth", "20")
	case "ModifyCommonBandwidthPackageAttribute":
		add("BandwidthPackageId", w.cbwp, "Name", "shared")
	case "ModifyCommonBandwidthPackageSpec":
		add("BandwidthPackageId", w.cbwp, "Bandwidth", "30")
	case "AddCommonBandwidthPackageIp":
		add("BandwidthPackageId", w.cbwp, "IpInstanceId", w.free)
	case "AddCommonBandwidthPackageIps":
		add("BandwidthPackageId", w.cbwp, "IpInstanceIds.1", w.free)
	case "RemoveCommonBandwidthPackageIp":
		add("BandwidthPackageId", w.cbwp, "IpInstanceId", w.inside)
	case "ModifyCommonBandwidthPackageIpBandwidth":
		add("BandwidthPackageId", w.cbwp, "EipId", w.inside, "Bandwidth", "7")
	case "CancelCommonBandwidthPackageIpBandwidth":
		add("BandwidthPackageId", w.cbwp, "EipId", w.inside)
	case "DeleteCommonBandwidthPackage":
		add("BandwidthPackageId", w.empty)
	case "CreateBandwidthPackage":
		add("NatGatewayId", w.ngw, "Bandwidth", "20", "IpCount", "1")
	case "ModifyBandwidthPackageAttribute":
		add("BandwidthPackageId", w.bwp, "Name", "shared")
	case "ModifyBandwidthPackageSpec":
		add("BandwidthPackageId", w.bwp, "Bandwidth", "30")
	case "AddBandwidthPackageIps":
		add("BandwidthPackageId", w.bwp, "IpCount", "5")
	case "RemoveBandwidthPackageIps":
		add("BandwidthPackageId", w.bwp, "RemovedIpAddresses.1", w.addresses[2])
	case "DeleteBandwidthPackage":
		add("BandwidthPackageId", w.unused)
	case "ConvertBandwidthPackage":
		add("BandwidthPackageId", w.bwp)
	}
	add(change...)
	return p
}

// bandwidthActions are the actions that this matrix is about.
var bandwidthActions = []string{
	"CreateCommonBandwidthPackage", "DescribeCommonBandwidthPackages", "ModifyCommonBandwidthPackageAttribute", "ModifyCommonBandwidthPackageSpec",
	"AddCommonBandwidthPackageIp", "RemoveCommonBandwidthPackageIp", "DeleteCommonBandwidthPackage",
	"AddCommonBandwidthPackageIps", "ModifyCommonBandwidthPackageIpBandwidth", "CancelCommonBandwidthPackageIpBandwidth",
	"CreateBandwidthPackage", "DescribeBandwidthPackages", "ModifyBandwidthPackageAttribute", "ModifyBandwidthPackageSpec",
	"AddBandwidthPackageIps", "RemoveBandwidthPackageIps", "DeleteBandwidthPackage", "ConvertBandwidthPackage",
}

func bandwidthWith(change ...string) func(*bandwidthWorld) []string {
	return func(*bandwidthWorld) []string { return change }
}

// bandwidthQuota sets a quota.
func bandwidthQuota(name string, most int) func(*testing.T, *bandwidthWorld) {
	return func(_ *testing.T, w *bandwidthWorld) { w.Settings.Quotas[name] = most }
}

// bandwidthErrors provokes documented errors: a code, and where an action has several
// messages for it a part of the right one.
var bandwidthErrors = []matrixCase[*bandwidthWorld]{
	{"CreateCommonBandwidthPackage", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"DescribeCommonBandwidthPackages", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},

	{"ModifyCommonBandwidthPackageAttribute", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"ModifyCommonBandwidthPackageAttribute", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "cbwp-none")},
	{"ModifyCommonBandwidthPackageAttribute", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("RegionId", planetest.Elsewhere)},
	{"ModifyCommonBandwidthPackageSpec", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"ModifyCommonBandwidthPackageSpec", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "cbwp-none")},

	{"AddCommonBandwidthPackageIp", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"AddCommonBandwidthPackageIp", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "cbwp-none")},
	{"AddCommonBandwidthPackageIp", "InvalidIpInstanceId.NotFound", "", nil, bandwidthWith("IpInstanceId", "eip-none")},
	{"AddCommonBandwidthPackageIp", "InvalidIpInstanceId.NotFound", "", nil, func(w *bandwidthWorld) []string { return []string{"IpInstanceId", w.faraway} }},
	{"AddCommonBandwidthPackageIp", "IpInstanceId.AlreadyInBandwidthPackage", "", nil, func(w *bandwidthWorld) []string { return []string{"IpInstanceId", w.inside} }},
	{"AddCommonBandwidthPackageIp", "IpInstanceId.AlreadyInBandwidthPackage", "", nil, func(w *bandwidthWorld) []string {
		return []string{"IpInstanceId", w.inside, "BandwidthPackageId", w.empty}
	}},
	{"AddCommonBandwidthPackageIp", "IpInstanceId.ChargeType.NotSupport", "", nil, func(w *bandwidthWorld) []string { return []string{"IpInstanceId", w.prepaid} }},
	{"AddCommonBandwidthPackageIp", "IpInstanceId.QuotaExceeded", "", bandwidthQuota("elastic_ips_per_package", 1), bandwidthWith()},

	{"AddCommonBandwidthPackageIps", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"AddCommonBandwidthPackageIps", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "cbwp-none")},
	{"AddCommonBandwidthPackageIps", "InvalidIpInstanceId.NotFound", "", nil, bandwidthWith("IpInstanceIds.2", "eip-none")},
	{"AddCommonBandwidthPackageIps", "IpInstanceId.AlreadyInBandwidthPackage", "", nil, func(w *bandwidthWorld) []string { return []string{"IpInstanceIds.2", w.inside} }},
	{"AddCommonBandwidthPackageIps", "IpInstanceId.ChargeType.NotSupport", "", nil, func(w *bandwidthWorld) []string { return []string{"IpInstanceIds.2", w.prepaid} }},
	{"AddCommonBandwidthPackageIps", "IpInstanceId.QuotaExceeded", "", bandwidthQuota("elastic_ips_per_package", 1), bandwidthWith()},

	{"RemoveCommonBandwidthPackageIp", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"RemoveCommonBandwidthPackageIp", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "cbwp-none")},
	{"RemoveCommonBandwidthPackageIp", "InvalidIpInstanceId.NotFound", "", nil, bandwidthWith("IpInstanceId", "eip-none")},

	{"DeleteCommonBandwidthPackage", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"DeleteCommonBandwidthPackage", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "cbwp-none")},
	{"DeleteCommonBandwidthPackage", "DependencyViolation.ip", "", nil, func(w *bandwidthWorld) []string { return []string{"BandwidthPackageId", w.cbwp} }},

	{"ModifyCommonBandwidthPackageIpBandwidth", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"ModifyCommonBandwidthPackageIpBandwidth", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "cbwp-none")},
	{"ModifyCommonBandwidthPackageIpBandwidth", "InvalidIpInstanceId.NotFound", "", nil, bandwidthWith("EipId", "eip-none")},
	{"CancelCommonBandwidthPackageIpBandwidth", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"CancelCommonBandwidthPackageIpBandwidth", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "cbwp-none")},
	{"CancelCommonBandwidthPackageIpBandwidth", "InvalidIpInstanceId.NotFound", "", nil, bandwidthWith("EipId", "eip-none")},

	{"CreateBandwidthPackage", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"CreateBandwidthPackage", "MissingParameter", "Miss mandatory", nil, bandwidthWith("Bandwidth", "")},
	{"CreateBandwidthPackage", "MissingParameter", "Miss mandatory", nil, bandwidthWith("IpCount", "")},
	{"CreateBandwidthPackage", "MissingParameter", "Miss mandatory", nil, bandwidthWith("NatGatewayId", "")},
	{"CreateBandwidthPackage", "InvalidZoneId.NotFound", "is not exists", nil, bandwidthWith("Zone", "moon-a")},
	{"CreateBandwidthPackage", "InvalidZoneId.NotFound", "is not exists", nil, bandwidthWith("Zone", planetest.ZoneThere)},
	{"CreateBandwidthPackage", "QuotaExceeded.BandwidthPackageIps", "", nil, bandwidthWith("IpCount", "51")},
	{"CreateBandwidthPackage", "QuotaExceeded.BandwidthPackageCountOnNatGateway", "", func(t *testing.T, w *bandwidthWorld) {
		for range 2 {
			w.must(t, "CreateBandwidthPackage", w.good("CreateBandwidthPackage"))
		}
	}, bandwidthWith()},
	{"CreateBandwidthPackage", "InvalidParameter.Name.Malformed", "", nil, bandwidthWith("Name", "http://x")},
	{"CreateBandwidthPackage", "InvalidParameter.Description.Malformed", "", nil, bandwidthWith("Description", "https://x")},
	{"CreateBandwidthPackage", "InvalidParameter.BandwidthPackage.Isp.ValueNotSupport", "", nil, bandwidthWith("ISP", "BGP_PRO")},
	{"CreateBandwidthPackage", "ZONE_NO_AVAILABLE_IP", "", nil, bandwidthWith("IpCount", "30")},
	{"CreateBandwidthPackage", "NATGW_NOT_EXIST", "", nil, bandwidthWith("NatGatewayId", "ngw-none")},

	{"DescribeBandwidthPackages", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},

	{"ModifyBandwidthPackageAttribute", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"ModifyBandwidthPackageAttribute", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "bwp-none")},
	{"ModifyBandwidthPackageAttribute", "InvalidParameter.Name.Malformed", "", nil, bandwidthWith("Name", "https://x")},
	{"ModifyBandwidthPackageAttribute", "InvalidParameter.Description.Malformed", "", nil, bandwidthWith("Description", "http://x")},

	{"ModifyBandwidthPackageSpec", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"ModifyBandwidthPackageSpec", "InvalidBandwidthValueNotSupported", "", nil, bandwidthWith("Bandwidth", "1001")},
	{"ModifyBandwidthPackageSpec", "InvalidBandwidthValueNotSupported", "", nil, bandwidthWith("Bandwidth", "4")},
	{"ModifyBandwidthPackageSpec", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "bwp-none")},

	{"AddBandwidthPackageIps", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"AddBandwidthPackageIps", "InvalidIpCount.ValueNotSupported", "", nil, bandwidthWith("IpCount", "3")}, // as many as there are
	{"AddBandwidthPackageIps", "InvalidIpCount.ValueNotSupported", "", nil, bandwidthWith("IpCount", "0")},
	{"AddBandwidthPackageIps", "QuotaExceeded.BandwidthPackageIps", "", nil, bandwidthWith("IpCount", "51")},
	{"AddBandwidthPackageIps", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "bwp-none")},

	{"RemoveBandwidthPackageIps", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"RemoveBandwidthPackageIps", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "bwp-none")},
	{"RemoveBandwidthPackageIps", "invalidRemovedIpAddresses.NotFound", "", nil, func(w *bandwidthWorld) []string { return []string{"RemovedIpAddresses.2", w.other} }},
	{"RemoveBandwidthPackageIps", "InvalidRemovedIpAddresses.NotFound", "natPublicIp", nil, func(w *bandwidthWorld) []string { return []string{"RemovedIpAddresses.2", w.free} }},
	{"RemoveBandwidthPackageIps", "InvalidRemovedIpAddresses.NotFound", "natPublicIp", nil, bandwidthWith("RemovedIpAddresses.1", "nateip-none")},
	{"RemoveBandwidthPackageIps", "InvalidIpCount.ValueNotSupported", "", nil, func(w *bandwidthWorld) []string {
		return []string{"RemovedIpAddresses.2", w.addresses[0], "RemovedIpAddresses.3", w.addresses[1]}
	}},
	{"RemoveBandwidthPackageIps", "DependencyViolation.ForwardEntry", "", nil, func(w *bandwidthWorld) []string { return []string{"RemovedIpAddresses.2", w.addresses[1]} }},
	{"RemoveBandwidthPackageIps", "DependencyViolation.SnatEntry", "", nil, func(w *bandwidthWorld) []string { return []string{"RemovedIpAddresses.2", w.addresses[0]} }},

	{"DeleteBandwidthPackage", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"DeleteBandwidthPackage", "DependencyViolation.ForwardEntry", "", nil, func(w *bandwidthWorld) []string { return []string{"BandwidthPackageId", w.bwp} }},
	{"DeleteBandwidthPackage", "DependencyViolation.SnateEntry", "", func(t *testing.T, w *bandwidthWorld) {
		for e := range w.DB.View().ForwardEntries.All() {
			w.must(t, "DeleteForwardEntry", w.good("DeleteForwardEntry", "ForwardTableId", e.Table, "ForwardEntryId", e.ID))
		}
	}, func(w *bandwidthWorld) []string { return []string{"BandwidthPackageId", w.bwp} }},
	{"DeleteBandwidthPackage", "MissingParameter.BandwidthPackageId", "", nil, bandwidthWith("BandwidthPackageId", "")},
}

// bandwidthUnprovoked says why nothing provokes a code of an action, or one of its messages.
var bandwidthUnprovoked = map[[3]string]string{
	{"AddCommonBandwidthPackageIp", "IpInstanceId.BizStatusInvalid", ""}:       "nothing is locked here, for unpaid bills or otherwise",
	{"AddCommonBandwidthPackageIp", "BandwidthPackageId.InvalidBizStatus", ""}: "nothing is locked here, for unpaid bills or otherwise",

	{"CreateBandwidthPackage", "InvalidZoneId.NotFound", "allocated ip"}:                "addresses are of a region, not of a zone",
	{"CreateBandwidthPackage", "InvalidNatGatewayId.NotFound", ""}:                      "older document; the newer one answers NATGW_NOT_EXIST",
	{"CreateBandwidthPackage", "MissingParameter.IpCount", ""}:                          "older document; the newer one answers MissingParameter",
	{"CreateBandwidthPackage", "MissingParameter.Bandwidth", ""}:                        "older document; the newer one answers MissingParameter",
	{"ModifyBandwidthPackageSpec", "BandwidthPackage.FinancialLocked", ""}:              "nothing is locked here, for unpaid bills or otherwise",
	{"ModifyBandwidthPackageSpec", "InvalidBandwidth.ValueNotSupported", ""}:            "older document; the newer one answers InvalidBandwidthValueNotSupported",
	{"AddBandwidthPackageIps", "BandwidthPackage.FinancialLocked", ""}:                  "nothing is locked here, for unpaid bills or otherwise",
	{"RemoveBandwidthPackageIps", "BandwidthPackage.FinancialLocked", ""}:               "nothing is locked here, for unpaid bills or otherwise",
	{"RemoveBandwidthPackageIps", "InvalidRemovedIpAddresses.NotFound", "not found in"}: "older document; the newer one answers invalidRemovedIpAddresses.NotFound",
	{"RemoveBandwidthPackageIps", "Forbidden.RemoveAllIps", ""}:                         "older document; the newer one answers InvalidIpCount.ValueNotSupported",
	{"RemoveBandwidthPackageIps", "Forbidden.SomeIpReferredByForwardEntry", ""}:         "older document; the newer one answers DependencyViolation.ForwardEntry",
	{"DeleteBandwidthPackage", "Invalid.RegionId", ""}:                                  "older document; the newer one answers InvalidRegionId.NotFound",
	{"DeleteBandwidthPackage", "Forbidden.SomeIpReferredByForwardEntry", ""}:            "older document; the newer one answers DependencyViolation.ForwardEntry",
	{"ConvertBandwidthPackage", "InternalServerError", ""}:                              "for failures of the server; those are answered with InternalError, as by all actions",
}

// bandwidthOthers are refusals for which the action's document has no code: common ones,
// and ours.
var bandwidthOthers = []matrixCase[*bandwidthWorld]{
	{"CreateCommonBandwidthPackage", "MissingParameter", `"Bandwidth"`, nil, bandwidthWith("Bandwidth", "")},
	{"CreateCommonBandwidthPackage", "InvalidParameter", `"Bandwidth"`, nil, bandwidthWith("Bandwidth", "0")},
	{"CreateCommonBandwidthPackage", "InvalidParameter", `"Bandwidth"`, nil, bandwidthWith("Bandwidth", "5001")},
	{"CreateCommonBandwidthPackage", "InvalidParameter", `"InternetChargeType"`, nil, bandwidthWith("InternetChargeType", "PayByGoodWill")},
	{"CreateCommonBandwidthPackage", "InvalidParameter", `"Ratio"`, nil, bandwidthWith("Ratio", "9")},
	{"CreateCommonBandwidthPackage", "InvalidParameter", `"Ratio"`, nil, bandwidthWith("Ratio", "20")},
	{"CreateCommonBandwidthPackage", "InvalidParameter", `"Name"`, nil, bandwidthWith("Name", "http://x")},
	{"CreateCommonBandwidthPackage", "InvalidParameter", `"Description"`, nil, bandwidthWith("Description", "https://x")},
	{"CreateCommonBandwidthPackage", "UnsupportedParameter", `"ISP"`, nil, bandwidthWith("ISP", "BGP_PRO")},
	{"CreateCommonBandwidthPackage", "UnsupportedParameter", `"Zone"`, nil, bandwidthWith("Zone", planetest.Zone)},
	{"CreateCommonBandwidthPackage", "QuotaExceeded.CommonBandwidthPackage", "", bandwidthQuota("common_bandwidth_packages", 2), bandwidthWith()},
	{"ModifyCommonBandwidthPackageSpec", "InvalidParameter", `"Bandwidth"`, nil, bandwidthWith("Bandwidth", "5001")},
	{"AddCommonBandwidthPackageIp", "UnsupportedParameter", `"IpType"`, nil, bandwidthWith("IpType", "NAT")},
	{"AddCommonBandwidthPackageIps", "UnsupportedParameter", `"IpType"`, nil, bandwidthWith("IpType", "NAT")},
	{"AddCommonBandwidthPackageIps", "MissingParameter", `"IpInstanceIds.1"`, nil, bandwidthWith("IpInstanceIds.1", "")},
	{"AddCommonBandwidthPackageIps", "InvalidParameter", "IpInstanceIds", nil, bandwidthWith("IpInstanceIds.11", "eip-11")},
	{"RemoveCommonBandwidthPackageIp", "OperationUnsupported.IpNotInCbwp", "", nil, func(w *bandwidthWorld) []string { return []string{"IpInstanceId", w.free} }},
	{"RemoveCommonBandwidthPackageIp", "OperationUnsupported.IpNotInCbwp", "", nil, func(w *bandwidthWorld) []string { return []string{"BandwidthPackageId", w.empty} }},
	{"ModifyCommonBandwidthPackageIpBandwidth", "InvalidParameter", "package", nil, bandwidthWith("Bandwidth", "21")},
	{"ModifyCommonBandwidthPackageIpBandwidth", "InvalidParameter", `"Bandwidth"`, nil, bandwidthWith("Bandwidth", "0")},
	{"ModifyCommonBandwidthPackageIpBandwidth", "OperationUnsupported.IpNotInCbwp", "", nil, func(w *bandwidthWorld) []string { return []string{"EipId", w.free} }},
	{"DescribeCommonBandwidthPackages", "InvalidParameter", `"PageSize"`, nil, bandwidthWith("PageSize", "51")},
	{"CreateBandwidthPackage", "Forbidden.BandwidthPackage", "", func(_ *testing.T, w *bandwidthWorld) { w.Settings.Bandwidth.NATPackages = []string{"another"} }, bandwidthWith()},
	{"CreateBandwidthPackage", "InvalidParameter", `"Bandwidth"`, nil, bandwidthWith("Bandwidth", "1001")},
	{"CreateBandwidthPackage", "InvalidParameter", `"IpCount"`, nil, bandwidthWith("IpCount", "0")},
	{"CreateBandwidthPackage", "InvalidParameter", `"InternetChargeType"`, nil, bandwidthWith("InternetChargeType", "PayBy95")},
	{"CreateBandwidthPackage", "IncorrectStatus.NatGateway", "", func(t *testing.T, w *bandwidthWorld) {
		w.Dataplane(planetest.Stalls)
		w.must(t, "ModifyNatGatewayAttribute", w.good("ModifyNatGatewayAttribute", "NatGatewayId", w.ngw, "IcmpReplyEnabled", "true"))
	}, bandwidthWith()},
	{"AddBandwidthPackageIps", "InsufficientEipCapacity", "", nil, bandwidthWith("IpCount", "40")},
	{"RemoveBandwidthPackageIps", "MissingParameter", `"RemovedIpAddresses.1"`, nil, bandwidthWith("RemovedIpAddresses.1", "")},
	{"DeleteBandwidthPackage", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "bwp-none")},
	{"ConvertBandwidthPackage", "InvalidBandwidthPackageId.NotFound", "", nil, bandwidthWith("BandwidthPackageId", "bwp-none")},
	{"ConvertBandwidthPackage", "InvalidRegionId.NotFound", "", nil, bandwidthWith("RegionId", "mars")},
	{"ConvertBandwidthPackage", "QuotaExceeded.Eip", "", bandwidthQuota("elastic_ips", 4), bandwidthWith()},
	{"ConvertBandwidthPackage", "QuotaExceeded.CommonBandwidthPackage", "", bandwidthQuota("common_bandwidth_packages", 2), bandwidthWith()},
	{"DeleteNatGateway", "DependencyViolation.BandwidthPackages", "", nil, func(w *bandwidthWorld) []string { return []string{"NatGatewayId", w.ngw} }},
	{"AssociateEipAddress", "InvalidAllocationId.NotFound", "", nil, func(w *bandwidthWorld) []string {
		return []string{"AllocationId", w.other, "InstanceId", w.ngw, "InstanceType", "Nat"}
	}},
	{"ReleaseEipAddress", "InvalidAllocationId.NotFound", "", nil, func(w *bandwidthWorld) []string { return []string{"AllocationId", w.other} }},
	{"TagResources", "InvalidAllocationId.NotFound", "", nil, func(w *bandwidthWorld) []string {
		return []string{"ResourceType", "EIP", "ResourceId.1", w.other, "Tag.1.Key", "Dept"}
	}},
	{"MoveResourceGroup", "InvalidAllocationId.NotFound", "", nil, func(w *bandwidthWorld) []string {
		return []string{"ResourceType", "eip", "ResourceId", w.other, "NewResourceGroupId", "rg-x"}
	}},
	{"AddCommonBandwidthPackageIp", "InvalidIpInstanceId.NotFound", "", nil, func(w *bandwidthWorld) []string { return []string{"IpInstanceId", w.other} }},
	{"DeleteCommonBandwidthPackage", "OperationDenied.DeletionProtection", "", func(t *testing.T, w *bandwidthWorld) {
		w.must(t, "DeletionProtection", map[string]string{"RegionId": planetest.Region, "Type": "CBWP", "InstanceId": w.empty, "ProtectionEnable": "true"})
	}, bandwidthWith()},
}

func TestBandwidthErrors(t *testing.T) { provokeAll(t, bandwidthErrors, newBandwidthWorld, true) }

func TestBandwidthRefusalsWithoutACode(t *testing.T) {
	provokeAll(t, bandwidthOthers, newBandwidthWorld, false)
}

func TestBandwidthErrorsAreComplete(t *testing.T) {
	used := map[[3]string]bool{}
	for _, action := range bandwidthActions {
		for _, e := range documentedErrors[action] {
			provoked := slices.ContainsFunc(bandwidthErrors, func(c matrixCase[*bandwidthWorld]) bool { return c.documents(action, e) })
			excused := false
			for key := range bandwidthUnprovoked {
				if key[0] == action && key[1] == e.Code && strings.Contains(e.Message, key[2]) {
					excused, used[key] = true, true
				}
			}
			if provoked == excused {
				t.Errorf("%s: %s (%s) has to be either provoked or excused", action, e.Code, e.Message)
			}
		}
	}
	for key := range bandwidthUnprovoked {
		if !used[key] {
			t.Errorf("%v is excused and not documented", key)
		}
	}
}

// The parameters that the matrix changes work unchanged.
func TestBandwidthActionsSucceed(t *testing.T) { succeed(t, bandwidthActions, newBandwidthWorld) }
