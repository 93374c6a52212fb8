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
		"resource groups": {"DescribeNatGateways", []string{"ResourceGroupId", "rg-1"}, []string{"<TotalCount>0</TotalCount>"}, []string{`"TotalCount":0`}},
		"extra large":     {"DescribeNatGateways", []string{"Spec", "XLarge.1"}, []string{"<TotalCount>0</TotalCount>"}, []string{`"TotalCount":0`}},
		"pay as you go":   {"DescribeNatGateways", []string{"InstanceChargeType", "PostPaid", "NatType", "Normal"}, []string{"<TotalCount>1</TotalCount>"}, []string{`"TotalCount":1`}},
		"forward entries": {"DescribeForwardTableEntries", nil,
			[]string{"<TotalCount>2</TotalCount>", "<ForwardTableEntries><ForwardTableEntry>", "<ExternalIp>{dnat}</ExternalIp><ExternalPort>80</ExternalPort><IpProtocol>TCP</IpProtocol><InternalIp>10.0.1.5</InternalIp><InternalPort>8080</InternalPort><Status>Available</Status>"},
			[]string{`"ForwardTableEntry":[{"ForwardTableId":"{ftb}","ForwardEntryId":"{fwd}"`, `"ExternalPort":"Any","IpProtocol":"Any"`, `"InternalPort":"Any"`, `"ForwardEntryName":"all of it"`}},
		"Any":         {"DescribeForwardTableEntries", []string{"ExternalPort", "Any"}, []string{"<TotalCount>1</TotalCount>"}, []string{`"InternalIp":"10.0.2.9"`}},
		"by port":     {"DescribeForwardTableEntries", []string{"InternalPort", "8080", "ExternalIp", w.ip["dnat"]}, []string{"<TotalCount>1</TotalCount>"}, []string{`"InternalIp":"10.0.1.5"`}},
		"empty table": {"DescribeForwardTableEntries", []string{"PageNumber", "9"}, []string{"<TotalCount>2</TotalCount>", "<PageNumber>9</PageNumber>"}, []string{`"ForwardTableEntry":[]`}},
		"SNAT entries": {"DescribeSnatTableEntries", nil,
			[]string{"<TotalCount>2</TotalCount>", "<SnatTableEntries><SnatTableEntry>", "<SnatIp>{snatip},{free}</SnatIp><SourceCIDR>10.0.1.0/24</SourceCIDR><SourceVSwitchId>{vsw}</SourceVSwitchId>",
				"<SourceCIDR>10.0.2.9/32</SourceCIDR><SourceVSwitchId></SourceVSwitchId>"},
			[]string{`"SnatTableEntry":[{"SnatEntryId":"{snat}","SnatTableId":"{stb}"`, `"SnatEntryName":"way-out"`, `"Status":"Available"`}},
		"SNAT entry": {"DescribeSnatTableEntries", []string{"SnatEntryId", w.snat}, []string{"<TotalCount>1</TotalCount>"}, []string{`"SnatEntryId":"{snat}"`}},
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
	_, err := w.call("CreateNatGateway", w.good("CreateNatGateway", "BandwidthPackage.1.IpCount", "5", "BandwidthPackage.1.Bandwidth", "150"))
	if err == nil || *err != *unsupportedParameter("BandwidthPackage.1.IpCount") {
		t.Errorf("%v, want UnsupportedParameter", err)
	}
}
