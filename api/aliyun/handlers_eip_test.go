package aliyun

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/controlplane/planetest"
	"sluice/controlplane/state"
)

// eips asks for Alice's elastic IPs.
func (w *vpcWorld) eips(t *testing.T, filter ...string) []DescribeEipAddressesEipAddress {
	t.Helper()
	return w.must(t, "DescribeEipAddresses", filter...).(*DescribeEipAddressesResponse).EipAddresses.EipAddress
}

// What today's clients send with an elastic IP is what they read.
func TestEIPReadBack(t *testing.T) {
	w := newVPCWorld(t)
	address := "203.0.113.20"
	for w.DB.View().ElasticIPs.By(state.ByAddress, address).Len() > 0 {
		address = netip.MustParseAddr(address).Next().String() // the world's own, whoever has them, are any of the pool
	}
	made := w.must(t, "AllocateEipAddress", "Name", "1 edge", "Description", "in front", "ISP", "BGP", "Netmode", "public", "IpAddress", address,
		"InternetChargeType", "PayByTraffic", "InstanceChargeType", "PostPaid", "Bandwidth", "7").(*AllocateEipAddressResponse)
	if made.EipAddress != address {
		t.Errorf("%s was allocated, %s asked for", made.EipAddress, address)
	}
	e := w.eips(t, "AllocationId", made.AllocationId)[0]
	if e.Name != "1 edge" || e.Descriptpion != "in front" || e.ISP != "BGP" || e.Netmode != "public" || e.InternetChargeType != "PayByTraffic" || e.ChargeType != "PostPaid" || e.Bandwidth != 7 || e.EipBandwidth != "7" {
		t.Errorf("%+v", e)
	}
	w.must(t, "ModifyEipAddressAttribute", "AllocationId", made.AllocationId, "Bandwidth", "", "Name", "9")
	if e = w.eips(t, "AllocationId", made.AllocationId)[0]; e.Name != "9" || e.Descriptpion != "in front" || e.Bandwidth != 7 {
		t.Errorf("after a new name: %+v", e)
	}
	w.must(t, "ModifyEipAddressAttribute", "AllocationId", made.AllocationId, "Description", "elsewhere")
	if e = w.eips(t, "AllocationId", made.AllocationId)[0]; e.Name != "9" || e.Descriptpion != "elsewhere" || e.Bandwidth != 10 {
		t.Errorf("after a new description: %+v", e)
	}
}

// Every filter that today's clients know of finds what it says.
func TestEIPFilters(t *testing.T) {
	w := newVPCWorld(t)
	w.must(t, "ModifyEipAddressAttribute", "AllocationId", w.free, "Bandwidth", "", "Name", "edge")
	w.must(t, "AllocateEipAddress", "InstanceChargeType", "PrePaid", "Period", "1")
	all := w.eips(t)
	if len(all) != 3 {
		t.Fatalf("%d elastic IPs, want 3", len(all))
	}
	var prepaid string
	for _, e := range all {
		if e.ChargeType == "PrePaid" {
			prepaid = e.AllocationId
		}
	}
	free := w.eips(t, "AllocationId", w.free)[0].IpAddress
	bound := w.eips(t, "AllocationId", w.bound)[0].IpAddress
	at := planetest.Now.UTC()
	everything := []string{w.free, w.bound, prepaid}
	for _, c := range []struct {
		filter []string
		want   []string
	}{
		{[]string{"EipName", "edge"}, []string{w.free}},
		{[]string{"EipName", "edg"}, nil},
		{[]string{"ISP", "BGP"}, everything},
		{[]string{"ISP", "BGP_PRO"}, nil},
		{[]string{"ChargeType", "PrePaid"}, []string{prepaid}},
		{[]string{"ChargeType", "PostPaid"}, []string{w.free, w.bound}},
		{[]string{"AllocationId", w.free + "," + prepaid}, []string{w.free, prepaid}},
		{[]string{"EipAddress", free + "," + bound}, []string{w.free, w.bound}},
		{[]string{"EipAddress", free + "," + bound, "AllocationId", w.free}, []string{w.free}},
		{[]string{"Status", "Releasing"}, nil},
		{[]string{"Status", "InUse"}, []string{w.bound}},
		{[]string{"LockReason", "financial"}, nil},
		{[]string{"BandwidthPackageId", "cbwp-1"}, nil},
		{[]string{"PublicIpAddressPoolId", "pippool-1"}, nil},
		{[]string{"SegmentInstanceId", "eipsg-1"}, nil},
		{[]string{"SecurityProtectionEnabled", "true"}, nil},
		{[]string{"SecurityProtectionEnabled", "false"}, everything},
		{[]string{"ServiceManaged", "true"}, nil},
		{[]string{"ServiceManaged", "false"}, everything},
		{[]string{"IncludeReservationData", "true"}, everything},
		{[]string{"PageSize", "100"}, everything},
		{[]string{"Filter.1.Key", "CreationStartTime", "Filter.1.Value", at.Add(-time.Hour).Format(filterMinutes)}, everything},
		{[]string{"Filter.1.Key", "CreationStartTime", "Filter.1.Value", at.Add(time.Hour).Format(time.RFC3339)}, nil},
	} {
		var got []string
		for _, e := range w.eips(t, c.filter...) {
			got = append(got, e.AllocationId)
		}
		slices.Sort(got)
		want := slices.Clone(c.want)
		slices.Sort(want)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %v, want %v", c.filter, got, want)
		}
	}
	for _, bad := range [][]string{
		{"Filter.1.Key", "Weather", "Filter.1.Value", "fine"}, {"Filter.1.Key", "CreationStartTime", "Filter.1.Value", "noon"},
		{"EipAddress", "203.0.113.300"}, {"AllocationId", strings.Repeat("eip-1,", 50) + "eip-1"},
	} {
		if _, e := w.call("DescribeEipAddresses", bad...); e == nil || e.Code != "InvalidParameter" {
			t.Errorf("%v: %v", bad, e)
		}
	}
}

// What asks for something that is not done is refused, and does nothing.
func TestEIPUnserved(t *testing.T) {
	w := newVPCWorld(t)
	for _, c := range [][]string{
		{"AllocateEipAddress", "ISP", "ChinaTelecom"}, {"AllocateEipAddress", "Zone", planetest.Zone}, {"AllocateEipAddress", "SecurityProtectionTypes.1", "AntiDDoS_Enhanced"},
		{"AssociateEipAddress", "Mode", "BINDED"}, {"AssociateEipAddress", "PrivateIpAddress", "10.1.0.2"}, {"UnassociateEipAddress", "PrivateIpAddress", "10.1.0.1"},
	} {
		before := w.DB.View().Revision
		if _, e := w.call(c[0], c[1:]...); e == nil || e.Code != "UnsupportedParameter" || !strings.Contains(e.Message, c[1]) {
			t.Errorf("%v: %v", c, e)
		}
		if w.DB.View().Revision != before {
			t.Errorf("%v changed something", c)
		}
	}
}

// A protected elastic IP shows that, and is not released.
func TestEIPProtection(t *testing.T) {
	w := newVPCWorld(t)
	protect := func(on string) {
		t.Helper()
		w.must(t, "DeletionProtection", "RegionId", planetest.Region, "InstanceId", w.free, "Type", "Eip", "ProtectionEnable", on)
	}
	protect("true")
	if e := w.eips(t, "AllocationId", w.free)[0]; !e.DeletionProtection {
		t.Errorf("%+v", e)
	}
	if _, e := w.call("ReleaseEipAddress"); e == nil || e.Code != "OperationDenied.DeletionProtection" {
		t.Errorf("it is released: %v", e)
	}
	protect("false")
	w.must(t, "ReleaseEipAddress")
	if _, e := w.call("DescribeHighDefinitionMonitorLogAttribute", "InstanceId", w.free); e == nil || e.Code != "InvalidAllocationId.NotFound" {
		t.Errorf("one that is gone: %v", e)
	}
	for _, c := range [][]string{{"ModifyEipForwardMode", "Mode", "BINDED"}, {"SetHighDefinitionMonitorLogStatus", "Status", "ON"}} {
		if _, e := w.call(c[0], append(c[1:], "InstanceId", w.bound)...); e == nil || e.Code != "UnsupportedParameter" {
			t.Errorf("%v: %v", c, e)
		}
	}
}
