package aliyun

import (
	"fmt"
	"strings"
	"testing"

	"sluice/controlplane/planetest"
)

// TestCommonBandwidthPackageAnswers reads back what was sent, and how a package shows in
// the elastic IP that is in it.
func TestCommonBandwidthPackageAnswers(t *testing.T) {
	w := newBandwidthWorld(t)
	id := w.must(t, "CreateCommonBandwidthPackage", w.good("CreateCommonBandwidthPackage", "Bandwidth", "50", "Name", "Büro", "Description", "a, b", "InternetChargeType", "PayBy95", "Ratio", "20",
		"ResourceGroupId", "rg-team", "Tag.1.Key", "Dept", "Tag.1.Value", "IT")).(*CreateCommonBandwidthPackageResponse).BandwidthPackageId
	w.must(t, "AddCommonBandwidthPackageIp", w.good("AddCommonBandwidthPackageIp", "BandwidthPackageId", id, "IpType", "EIP"))
	w.must(t, "DeletionProtection", map[string]string{"RegionId": planetest.Region, "Type": "cbwp", "InstanceId": id, "ProtectionEnable": "true"})
	e, _ := w.DB.View().ElasticIPs.Get(w.free)
	names := strings.NewReplacer(id, "PACKAGE", w.free, "EIP", e.Address.String(), "ADDRESS")
	show := func() string {
		t.Helper()
		return names.Replace(encoded(t, FormatJSON, w.must(t, "DescribeCommonBandwidthPackages", w.good("DescribeCommonBandwidthPackages", "BandwidthPackageId", id))))
	}
	address := func(relation string) string {
		x := `[{"IpAddress":"ADDRESS","AllocationId":"EIP","BandwidthPackageIpRelationStatus":"` + relation + `"}]`
		return `{"PublicIpAddress":` + x + `,"PublicIpAddresse":` + x + `}`
	}
	want := `{"CommonBandwidthPackages":{"CommonBandwidthPackage":[{"BandwidthPackageId":"PACKAGE","Name":"Büro","Description":"a, b","Bandwidth":50,"InternetChargeType":"PayBy95","Ratio":20,` +
		`"RegionId":"cn-beijing","ZoneId":"","Status":"Available","CreationTime":"2026-11-23T12:30:15Z","InstanceChargeType":"PostPaid","BusinessStatus":"Normal",` +
		`"PublicIpAddresses":` + address("BINDED") + `,"ISP":"BGP","DeletionProtection":true,"ExpiredTime":"","HasReservationData":false,"ServiceManaged":0,` +
		`"ResourceGroupId":"rg-team","Tags":{"Tag":[{"Key":"Dept","Value":"IT"}]}}]},"TotalCount":1,"PageNumber":1,"PageSize":10,"RequestId":"R"}`
	if got := show(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	holds := func(id, holds, own, shared string) {
		t.Helper()
		got := encoded(t, FormatJSON, w.must(t, "DescribeEipAddresses", map[string]string{"RegionId": planetest.Region, "AllocationId": id}))
		for _, x := range []string{`"Bandwidth":` + holds + `,`, `"EipBandwidth":"` + own + `"`, `"BandwidthPackageBandwidth":"` + shared + `"`} {
			if !strings.Contains(got, x) {
				t.Errorf("no %s in %s", x, got)
			}
		}
	}
	holds(w.free, "50", "5", "50")
	w.must(t, "ModifyCommonBandwidthPackageIpBandwidth", w.good("ModifyCommonBandwidthPackageIpBandwidth", "BandwidthPackageId", id, "EipId", w.free, "Bandwidth", "7"))
	holds(w.free, "7", "5", "50")
	w.must(t, "CancelCommonBandwidthPackageIpBandwidth", w.good("CancelCommonBandwidthPackageIpBandwidth", "BandwidthPackageId", id, "EipId", w.free))
	holds(w.free, "50", "5", "50")
	holds(w.prepaid, "5", "5", "")
	for filter, total := range map[string]string{id: "1", w.empty: "0"} {
		got := encoded(t, FormatJSON, w.must(t, "DescribeEipAddresses", map[string]string{"RegionId": planetest.Region, "BandwidthPackageId": filter}))
		if !strings.Contains(got, `"TotalCount":`+total) {
			t.Errorf("in %s: %s", filter, got)
		}
	}

	// While the dataplane does not follow.
	w.Stalled(func() {
		w.must(t, "ModifyCommonBandwidthPackageSpec", w.good("ModifyCommonBandwidthPackageSpec"))
		got := encoded(t, FormatJSON, w.must(t, "DescribeCommonBandwidthPackages", w.good("DescribeCommonBandwidthPackages", "BandwidthPackageId", w.cbwp)))
		if !strings.Contains(got, `"Status":"Modifying"`) || !strings.Contains(got, `"BINDED"`) {
			t.Error(got)
		}
		w.must(t, "RemoveCommonBandwidthPackageIp", w.good("RemoveCommonBandwidthPackageIp"))
		w.must(t, "AddCommonBandwidthPackageIp", w.good("AddCommonBandwidthPackageIp", "BandwidthPackageId", w.empty, "IpInstanceId", w.inside))
		got = encoded(t, FormatXML, w.must(t, "DescribeCommonBandwidthPackages", w.good("DescribeCommonBandwidthPackages", "BandwidthPackageId", w.empty)))
		if !strings.Contains(got, `<Status>Available</Status>`) || !strings.Contains(got, `<BandwidthPackageIpRelationStatus>BINDING</BandwidthPackageIpRelationStatus>`) {
			t.Error(got)
		}
	})
}

// TestAddCommonBandwidthPackageIps adds all, or none where one cannot be added.
func TestAddCommonBandwidthPackageIps(t *testing.T) {
	w := newBandwidthWorld(t)
	other := w.must(t, "AllocateEipAddress", map[string]string{"RegionId": planetest.Region}).(*AllocateEipAddressResponse).AllocationId
	within := func() string {
		var in []string
		for _, id := range []string{w.free, other} {
			if e, ok := w.DB.View().ElasticIPs.Get(id); ok && e.Package == w.empty {
				in = append(in, id)
			}
		}
		return strings.Join(in, " ")
	}
	add := func(ids ...string) *Error {
		p := w.good("AddCommonBandwidthPackageIps", "BandwidthPackageId", w.empty, "IpType", "EIP", "IpInstanceIds.1", "")
		for i, id := range ids {
			p[fmt.Sprintf("IpInstanceIds.%d", i+1)] = id
		}
		_, e := w.call("AddCommonBandwidthPackageIps", p)
		return e
	}
	if err := add(w.free, other, w.prepaid); err == nil || within() != "" {
		t.Errorf("with one that cannot be added: %v; there are %q", err, within())
	}
	if err := add(w.free, other, w.free); err != nil || within() != w.free+" "+other {
		t.Errorf("%v; there are %q", err, within())
	}
}
