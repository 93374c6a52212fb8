package aliyun

import (
	"strings"
	"testing"

	"sluice/controlplane/planetest"
)

// What an answer has to hold, in both formats, with the ids of the world in
// place of {…}.
func TestNATAnswers(t *testing.T) {
	w := newNATWorld(t)
	w.must(t, "CreateForwardEntry", w.good("CreateForwardEntry", "ExternalPort", "Any", "InternalPort", "Any", "IpProtocol", "Any", "InternalIp", "10.0.2.9", "ForwardEntryName", "all of it"))
	w.must(t, "ModifySnatEntry", w.good("ModifySnatEntry", "SnatIp", w.ip["snat"]+" , "+w.ip["free"], "SnatEntryName", "way-out"))
	w.must(t, "CreateSnatEntry", w.good("CreateSnatEntry", "SourceVSwitchId", "", "SourceCIDR", "10.0.2.9/32"))
	fill := strings.NewReplacer("{vpc}", w.vpc, "{ngw}", w.g.ID, "{ftb}", w.g.ForwardTable, "{stb}", w.g.SNATTable, "{fwd}", w.fwd, "{snat}", w.snat,
		"{vsw}", w.vswitch, "{dnat}", w.ip["dnat"], "{snatip}", w.ip["snat"], "{free}", w.ip["free"])
	for name, c := range map[string]struct {
		action    string
		change    []string
		xml, json []string
	}{
		"gateways": {"DescribeNatGateways", nil,
			[]string{"<TotalCount>1</TotalCount><PageNumber>1</PageNumber><PageSize>10</PageSize>", "<Name>{ngw}</Name>", "<CreationTime>2026-11-23T12:30:15Z</CreationTime>",
				"<IpAddress>{dnat}</IpAddress>", "<UsingStatus>UsedByForwardTable</UsingStatus>", "<ForwardTableIds><ForwardTableId>{ftb}</ForwardTableId></ForwardTableIds>",
				"<SnatTableIds><SnatTableId>{stb}</SnatTableId></SnatTableIds>", "<BandwidthPackageIds></BandwidthPackageIds>", "<Status>Available</Status>"},
			[]string{`"NatGateways":{"NatGateway":[{`, `"NatGatewayId":"{ngw}"`, `"VpcId":"{vpc}"`, `"Spec":"Small"`, `"InstanceChargeType":"PostPaid"`, `"BusinessStatus":"Normal"`,
				`"NatType":"Normal"`, `"InternetChargeType":"PayBySpec"`, `"DeletionProtection":false`, `"AutoPay":false`, `"UsingStatus":"UsedBySnatTable"`, `"BandwidthPackageId":[]`}},
		"subscriptions":   {"DescribeNatGateways", []string{"InstanceChargeType", "PrePaid"}, []string{"<TotalCount>0</TotalCount>"}, []string{`"NatGateway":[]`}},
		"enhanced":        {"DescribeNatGateways", []string{"NatType", "Enhanced"}, []string{"<TotalCount>0</TotalCount>"}, []string{`"TotalCount":0`}},
		"resource groups": {"DescribeNatGateways", []string{"ResourceGroupId", "rg-1"}, []string{"<TotalCount>0</TotalCount>"}, []string{`"TotalCount":0`}},
		"extra large":     {"DescribeNatGateways", []string{"Spec", "XLarge.1"}, []string{"<TotalCount>0</TotalCount>"}, []string{`"TotalCount":0`}},
		"pay as you go":   {"DescribeNatGateways", []string{"InstanceChargeType", "PostPaid", "NatType", "Normal"}, []string{"<TotalCount>1</TotalCount>"}, []string{`"TotalCount":1`}},
		"forward entries": {"DescribeForwardTableEntries", nil,
			[]string{"<TotalCount>2</TotalCount>", "<ForwardTableEntries><ForwardTableEntry>", "<ExternalIp>{dnat}</ExternalIp><ExternalPort>80</ExternalPort><IpProtocol>tcp</IpProtocol><InternalIp>10.0.1.5</InternalIp><InternalPort>8080</InternalPort><Status>Available</Status>"},
			[]string{`"ForwardTableEntry":[{"ForwardTableId":"{ftb}","ForwardEntryId":"{fwd}"`, `"ExternalPort":"any","IpProtocol":"any"`, `"InternalPort":"any"`, `"ForwardEntryName":"all of it"`}},
		"Any":         {"DescribeForwardTableEntries", []string{"ExternalPort", "Any"}, []string{"<TotalCount>1</TotalCount>"}, []string{`"InternalIp":"10.0.2.9"`}},
		"by port":     {"DescribeForwardTableEntries", []string{"InternalPort", "8080", "ExternalIp", w.ip["dnat"]}, []string{"<TotalCount>1</TotalCount>"}, []string{`"InternalIp":"10.0.1.5"`}},
		"by gateway":  {"DescribeForwardTableEntries", []string{"ForwardTableId", "", "NatGatewayId", w.g.ID}, []string{"<TotalCount>2</TotalCount>"}, []string{`"NatGatewayId":"{ngw}"`}},
		"by both":     {"DescribeForwardTableEntries", []string{"NatGatewayId", w.g.ID, "IpProtocol", "tcp"}, []string{"<TotalCount>1</TotalCount>"}, []string{`"IpProtocol":"tcp"`}},
		"empty table": {"DescribeForwardTableEntries", []string{"PageNumber", "9"}, []string{"<TotalCount>2</TotalCount>", "<PageNumber>9</PageNumber>"}, []string{`"ForwardTableEntry":[]`}},
		"SNAT entries": {"DescribeSnatTableEntries", nil,
			[]string{"<TotalCount>2</TotalCount>", "<SnatTableEntries><SnatTableEntry>", "<SnatIp>{snatip},{free}</SnatIp><SourceCIDR>10.0.1.0/24</SourceCIDR><SourceVSwitchId>{vsw}</SourceVSwitchId>",
				"<SourceCIDR>10.0.2.9/32</SourceCIDR><SourceVSwitchId></SourceVSwitchId>"},
			[]string{`"SnatTableEntry":[{"SnatEntryId":"{snat}","SnatTableId":"{stb}"`, `"SnatEntryName":"way-out"`, `"Status":"Available"`}},
		"SNAT by gateway": {"DescribeSnatTableEntries", []string{"SnatTableId", "", "NatGatewayId", w.g.ID}, []string{"<TotalCount>2</TotalCount>"}, []string{`"EipAffinity":"0"`}},
		"SNAT by name":    {"DescribeSnatTableEntries", []string{"SnatEntryName", "way-out"}, []string{"<TotalCount>1</TotalCount>"}, []string{`"SnatEntryId":"{snat}"`}},
		"SNAT by source":  {"DescribeSnatTableEntries", []string{"SourceCIDR", "10.0.2.9/32"}, []string{"<TotalCount>1</TotalCount>"}, []string{`"SourceVSwitchId":""`}},
		"SNAT by VSwitch": {"DescribeSnatTableEntries", []string{"SourceVSwitchId", w.vswitch}, []string{"<TotalCount>1</TotalCount>"}, []string{`"SnatEntryId":"{snat}"`}},
		"SNAT by address": {"DescribeSnatTableEntries", []string{"SnatIp", w.ip["snat"]}, []string{"<TotalCount>1</TotalCount>"}, []string{`"SnatEntryId":"{snat}"`}},
		"SNAT of nothing": {"DescribeSnatTableEntries", []string{"NetworkInterfaceIds.1", "eni-1"}, []string{"<TotalCount>0</TotalCount>"}, []string{`"SnatTableEntry":[]`}},
		"SNAT entry":      {"DescribeSnatTableEntries", []string{"SnatEntryId", w.snat}, []string{"<TotalCount>1</TotalCount>"}, []string{`"SnatEntryId":"{snat}"`}},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.must(t, c.action, w.good(c.action, c.change...))
			for format, parts := range map[Format][]string{FormatXML: c.xml, FormatJSON: c.json} {
				got := encoded(t, format, r)
				for _, part := range parts {
					if part = fill.Replace(part); !strings.Contains(got, part) {
						t.Errorf("no %s in\n%s", part, got)
					}
				}
			}
		})
	}
}

// What today's clients send with DNAT and SNAT entries is what they read.
func TestNATReadBack(t *testing.T) {
	w := newNATWorld(t)
	forward := func() DescribeForwardTableEntriesForwardTableEntry {
		t.Helper()
		list := w.must(t, "DescribeForwardTableEntries", w.good("DescribeForwardTableEntries", "ForwardEntryId", w.fwd)).(*DescribeForwardTableEntriesResponse)
		return list.ForwardTableEntries.ForwardTableEntry[0]
	}
	w.fwd = w.must(t, "CreateForwardEntry", w.good("CreateForwardEntry", "ExternalPort", "10000/10010", "InternalPort", "80/90", "IpProtocol", "udp", "ForwardEntryName", "1 ")).(*CreateForwardEntryResponse).ForwardEntryId
	if e := forward(); e.ExternalPort != "10000/10010" || e.InternalPort != "80/90" || e.IpProtocol != "udp" || e.ForwardEntryName != "1 " {
		t.Errorf("%+v", e)
	}
	w.must(t, "ModifyForwardEntry", w.good("ModifyForwardEntry", "ExternalPort", "7", "InternalPort", "8", "ForwardEntryName", "2"))
	if e := forward(); e.ExternalPort != "7" || e.InternalPort != "8" || e.IpProtocol != "udp" || e.ForwardEntryName != "2" {
		t.Errorf("after one port in place of eleven: %+v", e)
	}
	w.must(t, "ModifyForwardEntry", w.good("ModifyForwardEntry", "ExternalPort", "any", "InternalPort", "any", "IpProtocol", "any"))
	if e := forward(); e.ExternalPort != "any" || e.InternalPort != "any" || e.IpProtocol != "any" {
		t.Errorf("after all ports: %+v", e)
	}
	for _, affinity := range []string{"1", "0"} {
		w.must(t, "ModifySnatEntry", w.good("ModifySnatEntry", "EipAffinity", affinity))
		list := w.must(t, "DescribeSnatTableEntries", w.good("DescribeSnatTableEntries", "SnatEntryId", w.snat)).(*DescribeSnatTableEntriesResponse)
		if e := list.SnatTableEntries.SnatTableEntry[0]; e.EipAffinity != affinity {
			t.Errorf("affinity %s is read as %s", affinity, e.EipAffinity)
		}
	}
}

// An address serves SNAT and DNAT where the DNAT entries of ports say so.
func TestPortBreak(t *testing.T) {
	w := newNATWorld(t)
	if _, e := w.call("CreateForwardEntry", w.good("CreateForwardEntry", "ExternalIp", w.ip["snat"])); e == nil || e.Code != "Forbidden.ExternalIp.UsedInSnatTable" {
		t.Errorf("without PortBreak: %v", e)
	}
	w.must(t, "CreateForwardEntry", w.good("CreateForwardEntry", "ExternalIp", w.ip["snat"], "PortBreak", "true"))
	shown := encoded(t, FormatJSON, w.must(t, "DescribeNatGateways", w.good("DescribeNatGateways", "NatGatewayId", w.g.ID)))
	if !strings.Contains(shown, `"UsingStatus":"UsedByForwardSnatTable"`) {
		t.Errorf("no address is used by both: %s", shown)
	}
}

// The states are the dataplane's word, and nothing else.
func TestNATStates(t *testing.T) {
	w := newNATWorld(t)
	describe := map[string]func() string{
		"gateway": func() string {
			return encoded(t, FormatJSON, w.must(t, "DescribeNatGateways", w.good("DescribeNatGateways", "VpcId", w.empty)))
		},
		"forward entry": func() string {
			return encoded(t, FormatJSON, w.must(t, "DescribeForwardTableEntries", w.good("DescribeForwardTableEntries", "ForwardEntryId", w.fwd)))
		},
		"SNAT entry": func() string {
			return encoded(t, FormatJSON, w.must(t, "DescribeSnatTableEntries", w.good("DescribeSnatTableEntries", "SnatEntryId", w.snat)))
		},
	}
	expect := func(what, state string) {
		t.Helper()
		if got := describe[what](); !strings.Contains(got, `"Status":"`+state+`"`) {
			t.Errorf("%s is not %s: %s", what, state, got)
		}
	}
	w.Stalled(func() {
		w.must(t, "CreateNatGateway", w.good("CreateNatGateway"))
		expect("gateway", "Initiating")
	})
	expect("gateway", "Available")
	made, _ := w.call("DescribeNatGateways", w.good("DescribeNatGateways", "VpcId", w.empty))
	id := made.(*DescribeNatGatewaysResponse).NatGateways.NatGateway[0].NatGatewayId
	w.Stalled(func() {
		w.must(t, "ModifyNatGatewaySpec", w.good("ModifyNatGatewaySpec", "NatGatewayId", id))
		expect("gateway", "Pending")
	})
	expect("gateway", "Available")
	w.Stalled(func() {
		w.must(t, "ModifyForwardEntry", w.good("ModifyForwardEntry"))
		expect("forward entry", "Modifying")
		expect("SNAT entry", "Available")
		w.must(t, "ModifySnatEntry", w.good("ModifySnatEntry"))
		expect("SNAT entry", "Modifying")
	})
	expect("forward entry", "Available")
	// A dataplane that refuses leaves an entry Pending, and lets the next change
	// through.
	w.Dataplane(planetest.Refuses)
	w.fwd = w.must(t, "CreateForwardEntry", w.good("CreateForwardEntry")).(*CreateForwardEntryResponse).ForwardEntryId
	expect("forward entry", "Pending")
	w.must(t, "ModifyForwardEntry", w.good("ModifyForwardEntry"))
}

func TestBandwidthPackagesAreNamedInTheRefusal(t *testing.T) {
	w := newNATWorld(t)
	w.Settings.Bandwidth.NATPackages = nil // of an account that may not
	_, err := w.call("CreateNatGateway", w.good("CreateNatGateway", "BandwidthPackage.1.IpCount", "5", "BandwidthPackage.1.Bandwidth", "150"))
	if err == nil || *err != *unsupportedParameter("BandwidthPackage.1.IpCount") {
		t.Errorf("%v, want UnsupportedParameter", err)
	}
}

// What today's clients send with a NAT gateway is what they read, in both queries.
func TestNATGatewayReadBack(t *testing.T) {
	w := newNATWorld(t)
	read := func(id string) (DescribeNatGatewaysNatGateway, *GetNatGatewayAttributeResponse) {
		t.Helper()
		list := w.must(t, "DescribeNatGateways", w.good("DescribeNatGateways", "NatGatewayId", id)).(*DescribeNatGatewaysResponse).NatGateways.NatGateway
		if len(list) != 1 {
			t.Fatalf("%d gateways %s", len(list), id)
		}
		return list[0], w.must(t, "GetNatGatewayAttribute", w.good("GetNatGatewayAttribute", "NatGatewayId", id)).(*GetNatGatewayAttributeResponse)
	}
	made := func(change ...string) string {
		t.Helper()
		return w.must(t, "CreateNatGateway", w.good("CreateNatGateway", append([]string{"VpcId", w.vpc, "VSwitchId", w.vswitch2}, change...)...)).(*CreateNatGatewayResponse).NatGatewayId
	}
	for name, c := range map[string]struct {
		send                      []string
		charge, spec, mode        string
		replies                   bool
		connections, newPerSecond int
	}{
		"by use":           {[]string{"NatType", "Enhanced", "InternetChargeType", "PayByLcu", "InstanceChargeType", "PostPaid", "NetworkType", "internet"}, "PayByLcu", "", "MULTI_BINDED", true, 500_000, 20_000},
		"VSwitch alone":    {nil, "PayByLcu", "", "MULTI_BINDED", true, 500_000, 20_000},
		"by specification": {[]string{"NatType", "Enhanced", "InternetChargeType", "PayBySpec", "IcmpReplyEnabled", "false"}, "PayBySpec", "Small", "MULTI_BINDED", false, 10_000, 1_000},
		"extra large":      {[]string{"NatType", "Enhanced", "Spec", "XLarge.1", "EipBindMode", "NAT"}, "PayBySpec", "XLarge.1", "NAT", true, 1_000_000, 30_000},
	} {
		t.Run(name, func(t *testing.T) {
			id := made(c.send...)
			g, a := read(id)
			p := g.NatGatewayPrivateInfo
			if g.NatType != "Enhanced" || g.InternetChargeType != c.charge || g.Spec != c.spec || g.EipBindMode != c.mode || g.IcmpReplyEnabled != c.replies || g.NetworkType != "internet" || g.InstanceChargeType != "PostPaid" {
				t.Errorf("%+v", g)
			}
			if p.VswitchId != w.vswitch2 || p.PrivateIpAddress != "10.0.2.253" || p.IzNo != planetest.Zone || p.MaxSessionQuota != c.connections || p.MaxSessionEstablishRate != c.newPerSecond {
				t.Errorf("%+v", p)
			}
			if a.NatType != "Enhanced" || a.BillingConfig.InternetChargeType != c.charge || a.BillingConfig.Spec != c.spec || a.PrivateInfo.VswitchId != w.vswitch2 || a.VpcId != w.vpc || a.Status != g.Status {
				t.Errorf("%+v", a)
			}
			w.must(t, "DeleteNatGateway", w.good("DeleteNatGateway", "NatGatewayId", id))
		})
	}
	g, a := read(w.g.ID)
	if g.NatType != "Normal" || g.NatGatewayPrivateInfo == nil || *g.NatGatewayPrivateInfo != (DescribeNatGatewaysNatGatewayNatGatewayPrivateInfo{}) || g.IcmpReplyEnabled {
		t.Errorf("an ordinary gateway: %+v, %+v", g, g.NatGatewayPrivateInfo)
	}
	if a.ForwardTable.ForwardEntryCount != 1 || a.SnatTable.SnatEntryCount != 1 || len(a.IpList) != 3 {
		t.Errorf("%+v, %+v, %+v", a.ForwardTable, a.SnatTable, a.IpList)
	}
	w.must(t, "ModifyNatGatewayAttribute", w.good("ModifyNatGatewayAttribute", "Name", "1 edge", "IcmpReplyEnabled", "true"))
	w.must(t, "DeletionProtection", w.good("DeletionProtection"))
	if g, a = read(w.g.ID); g.Name != "1 edge" || !g.IcmpReplyEnabled || !g.DeletionProtection || !a.DeletionProtectionInfo.Enabled {
		t.Errorf("after the changes: %+v", g)
	}
	if _, e := w.call("DeleteNatGateway", w.good("DeleteNatGateway")); e == nil || e.Code != "OperationDenied.DeletionProtection" {
		t.Errorf("a protected gateway: %v", e)
	}
	w.must(t, "DeletionProtection", w.good("DeletionProtection", "ProtectionEnable", "false"))
	if _, e := w.call("UpdateNatGatewayNatType", w.good("UpdateNatGatewayNatType", "DryRun", "true")); e == nil || e.Code != "DryRunOperation" {
		t.Errorf("a try: %v", e)
	}
	if g, _ = read(w.g.ID); g.NatType != "Normal" {
		t.Error("a try has changed the type")
	}
	w.must(t, "UpdateNatGatewayNatType", w.good("UpdateNatGatewayNatType"))
	if g, _ = read(w.g.ID); g.NatType != "Enhanced" || g.InternetChargeType != "PayBySpec" || g.Spec != "Small" || g.NatGatewayPrivateInfo.VswitchId != w.vswitch {
		t.Errorf("enhanced: %+v", g)
	}
}

// What is not done is refused, and makes no gateway.
func TestNATGatewayUnserved(t *testing.T) {
	w := newNATWorld(t)
	for _, c := range [][]string{
		{"NetworkType", "intranet"}, {"InstanceChargeType", "PrePaid"}, {"PrivateLinkEnabled", "true"}, {"AccessMode.ModeValue", "route"}, {"SecurityProtectionEnabled", "true"},
		{"InternetChargeType", "PayByLcu"}, {"VSwitchId", w.vswitch, "NatType", "Normal"}, {"IsCreateDefaultRoute", "false"}, {"NatType", "Enhanced", "VSwitchId", w.vswitch, "InternetChargeType", "PayByLcu", "Spec", "Small"},
	} {
		before := w.DB.View().Revision
		if _, e := w.call("CreateNatGateway", w.good("CreateNatGateway", c...)); e == nil || e.Code != "UnsupportedParameter" {
			t.Errorf("%v: %v", c, e)
		}
		if w.DB.View().Revision != before {
			t.Errorf("%v: something was made", c)
		}
	}
	if _, e := w.call("CreateNatGateway", w.good("CreateNatGateway", "NatType", "Enhanced")); e == nil || e.Code != "MissingParameter" || !strings.Contains(e.Message, "VSwitchId") {
		t.Errorf("without a VSwitch: %v", e)
	}
	// Every zone may have one, and none has PrivateLink.
	zones := func(change ...string) int {
		return len(w.must(t, "ListEnhanhcedNatGatewayAvailableZones", w.good("ListEnhanhcedNatGatewayAvailableZones", change...)).(*ListEnhanhcedNatGatewayAvailableZonesResponse).Zones)
	}
	if zones() != 2 || zones("Filter.1.Key", "PrivateLinkEnabled", "Filter.1.Value", "true") != 0 || zones("Filter.1.Key", "PrivateLinkEnabled", "Filter.1.Value", "false") != 2 {
		t.Errorf("zones: %d", zones())
	}
}
