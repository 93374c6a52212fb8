package aliyun

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// ptr returns a pointer to a copy of v.
func ptr[T any](v T) *T { return &v }

// query makes parameters of "Name=value Name=value"; a value may not hold a blank.
func query(s string) *Params {
	p := &Params{}
	for _, pair := range strings.Fields(s) {
		name, value, _ := strings.Cut(pair, "=")
		p.Add(name, value)
	}
	return p
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		action, query string
		want          any
	}{
		{"CreateVpc", "RegionId=r", &CreateVpcRequest{RegionId: "r", CidrBlock: netip.MustParsePrefix("172.16.0.0/12")}},
		{"CreateVpc", "RegionID=r CidrBlock=10.0.0.0/8 VpcName=n1 Description=dd ClientToken=t UserCidr=192.168.1.0/24,192.168.2.0/24",
			&CreateVpcRequest{RegionId: "r", CidrBlock: netip.MustParsePrefix("10.0.0.0/8"), VpcName: "n1", Description: "dd", ClientToken: ptr("t"),
				UserCidr: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("192.168.2.0/24")}}},
		{"CreateVpc", "RegionId=r CidrBlock= VpcName= UserCidr=", &CreateVpcRequest{RegionId: "r", CidrBlock: netip.MustParsePrefix("172.16.0.0/12")}},
		{"ModifyVpcAttribute", "VpcId=v", &ModifyVpcAttributeRequest{VpcId: "v"}},
		{"ModifyVpcAttribute", "VpcId=v VpcName= UserCidr=-1",
			&ModifyVpcAttributeRequest{VpcId: "v", VpcName: ptr(""), UserCidr: []netip.Prefix{}}},
		{"DescribeVpcs", "RegionId=r VpcId= IsDefault=TRUE PageSize=50",
			&DescribeVpcsRequest{RegionId: "r", IsDefault: ptr(true), PageNumber: 1, PageSize: 50}},
		{"CreateRouteEntry", "RouteTableId=t DestinationCidrBlock=1.2.3.4 NextHopId=i-1",
			&CreateRouteEntryRequest{RouteTableId: "t", DestinationCidrBlock: netip.MustParsePrefix("1.2.3.4/32"), NextHopId: ptr("i-1")}},
		{"CreateRouteEntry", "RouteTableId=t DestinationCidrBlock=0.0.0.0/0 nexthoplist.2.nexthopid=b NextHopList.1.NextHopId=a NextHopList.1.NextHopType=RouterInterface NextHopList.1.Weight=100",
			&CreateRouteEntryRequest{RouteTableId: "t", DestinationCidrBlock: netip.MustParsePrefix("0.0.0.0/0"),
				NextHopList: []CreateRouteEntryNextHopList{{NextHopId: "a", NextHopType: ptr("RouterInterface"), Weight: ptr(100)}, {NextHopId: "b"}}}},
		{"AllocateEipAddress", "RegionId=r", &AllocateEipAddressRequest{RegionId: "r", Bandwidth: 5,
			InternetChargeType: "PayByBandwidth", InstanceChargeType: "PostPaid", PricingCycle: "Month"}},
		{"AllocateEipAddress", "RegionId=r Bandwidth=100 InstanceChargeType=PrePaid Period=9 AutoPay=True",
			&AllocateEipAddressRequest{RegionId: "r", Bandwidth: 100, InternetChargeType: "PayByBandwidth",
				InstanceChargeType: "PrePaid", PricingCycle: "Month", Period: ptr(9), AutoPay: true}},
		{"AssociateEipAddress", "AllocationId=e InstanceId=ngw InstanceType=Nat",
			&AssociateEipAddressRequest{AllocationId: "e", InstanceId: "ngw", InstanceType: "Nat"}},
		{"CreateNatGateway", "RegionId=r VpcId=v BandwidthPackage.1.IpCount=1 BandwidthPackage.1.Bandwidth=5 BandwidthPackage.1.Zone=z",
			&CreateNatGatewayRequest{RegionId: "r", VpcId: "v", IsCreateDefaultRoute: true,
				BandwidthPackage: []CreateNatGatewayBandwidthPackage{{IpCount: 1, Bandwidth: 5, Zone: ptr("z")}}}},
		{"DescribeNatGateways", "RegionId=r PageSize=100", &DescribeNatGatewaysRequest{RegionId: "r", PageNumber: 1, PageSize: 100}},
		{"DeleteNatGateway", "RegionId=r NatGatewayId=n Force=true",
			&DeleteNatGatewayRequest{RegionId: "r", NatGatewayId: "n", Force: ptr(true)}},
		{"CreateForwardEntry", "RegionId=r ForwardTableId=f ExternalIp=1.2.3.4 ExternalPort=Any InternalIp=10.0.0.1 InternalPort=Any IpProtocol=Any",
			&CreateForwardEntryRequest{RegionId: "r", ForwardTableId: "f", ExternalIp: netip.MustParseAddr("1.2.3.4"), ExternalPort: "Any",
				InternalIp: netip.MustParseAddr("10.0.0.1"), InternalPort: "Any", IpProtocol: "Any"}},
		// The older document's answers have lower-case words: what was read may be sent again.
		{"CreateForwardEntry", "RegionId=r ForwardTableId=f ExternalIp=1.2.3.4 ExternalPort=any InternalIp=10.0.0.1 InternalPort=ANY IpProtocol=any",
			&CreateForwardEntryRequest{RegionId: "r", ForwardTableId: "f", ExternalIp: netip.MustParseAddr("1.2.3.4"), ExternalPort: "Any",
				InternalIp: netip.MustParseAddr("10.0.0.1"), InternalPort: "Any", IpProtocol: "Any"}},
		{"ModifyForwardEntry", "RegionId=r ForwardTableId=f ForwardEntryId=e IpProtocol=udp",
			&ModifyForwardEntryRequest{RegionId: "r", ForwardTableId: "f", ForwardEntryId: "e", IpProtocol: ptr("UDP")}},
		{"DescribeForwardTableEntries", "RegionId=r ForwardTableId=f IpProtocol=tcp ExternalPort=any",
			&DescribeForwardTableEntriesRequest{RegionId: "r", ForwardTableId: ptr("f"), IpProtocol: ptr("TCP"), ExternalPort: ptr("Any"), PageNumber: 1, PageSize: 10}},
		{"CreateSnatEntry", "RegionId=r SnatTableId=s SnatIp=1.2.3.4,1.2.3.5 SourceCIDR=10.0.0.1/32",
			&CreateSnatEntryRequest{RegionId: "r", SnatTableId: "s", SnatIp: []netip.Addr{netip.MustParseAddr("1.2.3.4"), netip.MustParseAddr("1.2.3.5")}, SourceCIDR: ptr(netip.MustParsePrefix("10.0.0.1/32"))}},
		{"DescribeRegions", "Unknown=1", &DescribeRegionsRequest{}},
	} {
		a := actions[c.action]
		got, e := a.decode(query(c.query))
		if e != nil {
			t.Errorf("%s %s: %v", c.action, c.query, e)
			continue
		}
		if d := cmp.Diff(c.want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.action, c.query, d)
		}
	}
}

const forward = "RegionId=r ForwardTableId=f ExternalIp=1.2.3.4 ExternalPort=80 InternalIp=10.0.0.1 InternalPort=80 IpProtocol=TCP "

// The first spelling of a parameter counts, so a test puts the bad one before.
func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ action, query, code, message string }{
		{"CreateVpc", "", "MissingParameter", `The input parameter "RegionId" that is mandatory for processing this request is not supplied.`},
		{"CreateVpc", "RegionId=", "MissingParameter", `"RegionId"`},
		{"CreateVpc", "RegionId=r CidrBlock=10.0.0.1/8", "InvalidParameter", "Specified CIDR block is not valid ."},
		{"CreateVpc", "RegionId=r VpcName=http://1x", "InvalidVpcName.Malformed", "Specified VPC name is not valid."},
		{"CreateVpc", "RegionId=r VpcName=HTTPS://a.b", "InvalidVpcName.Malformed", ""},
		{"CreateVpc", "RegionId=r Description=http://x", "InvalidVpcDescription.Malformed", ""},
		{"CreateVpc", "RegionId=r UserCidr=x", "InvalidParameter", "Specified UserCidr invalid format."},
		{"CreateVpc", "RegionId=r UserCidr=-1", "InvalidParameter", "Specified UserCidr invalid format."},
		{"CreateVpc", "RegionId=r UserCidr=10.0.0.0/8,10.1.0.0/16,10.2.0.0/16,10.3.0.0/16", "InvalidUserCidr.Quota", ""},
		{"CreateVpc", "RegionId=r ClientToken=" + strings.Repeat("x", 65), "InvalidParameter", `The specified parameter "ClientToken" is not valid.`},
		{"ModifyVpcAttribute", "VpcId=v UserCidr=-1,10.0.0.0/8", "InvalidParameter", "UserCidr invalid format"},
		{"DescribeVpcs", "RegionId=r PageSize=51", "InvalidParameter", `"PageSize"`},
		{"DescribeVpcs", "RegionId=r PageSize=0", "InvalidParameter", `"PageSize"`},
		{"DescribeVpcs", "RegionId=r PageNumber=0", "InvalidParameter", `"PageNumber"`},
		{"DescribeVpcs", "RegionId=r PageNumber=99999999999", "InvalidParameter", `"PageNumber"`},
		{"DescribeVpcs", "RegionId=r IsDefault=yes", "InvalidParameter", `"IsDefault"`},
		{"ModifyVRouterAttribute", "VRouterId=v VRouterName=http://", "InvalidVRouterName.Malformed", ""},
		{"ModifyVRouterAttribute", "VRouterId=v Description=https://x", "InvalidVRouterDiscription.Malformed", ""},
		{"CreateVSwitch", "ZoneId=z VpcId=v CidrBlock=10.0.0.0", "InvalidCidrBlock.Malformed", ""},
		{"CreateVSwitch", "ZoneId=z VpcId=v", "MissingParameter", `"CidrBlock"`},
		{"ModifyVSwitchAttribute", "VSwitchId=v VSwitchName=http://-x", "InvalidVSwitchName.Malformed", ""},
		{"CreateRouteEntry", "RouteTableId=t", "MissingParameter", "Miss mandatory parameter."},
		{"CreateRouteEntry", "RouteTableId=t DestinationCidrBlock=x", "InvalidCidrBlock.Malformed", ""},
		{"CreateRouteEntry", "RouteTableId=t DestinationCidrBlock=1.2.3.4 NextHopType=instance", "InvalidParameter", `"NextHopType"`},
		{"CreateRouteEntry", "RouteTableId=t DestinationCidrBlock=1.2.3.4 NextHopList.2.NextHopId=a", "InvalidParameter", `"NextHopList"`},
		{"CreateRouteEntry", "RouteTableId=t DestinationCidrBlock=1.2.3.4 NextHopList.1.NextHopType=RouterInterface", "MissingParameter", "Miss mandatory"},
		{"CreateRouteEntry", "RouteTableId=t DestinationCidrBlock=1.2.3.4 NextHopList.1.NextHopId=a NextHopList.1.NextHopType=Instance", "InvalidOppositeRouterType", ""},
		{"CreateRouteEntry", "RouteTableId=t DestinationCidrBlock=1.2.3.4 NextHopList.1.NextHopId=a NextHopList.2.NextHopId=a NextHopList.3.NextHopId=a NextHopList.4.NextHopId=a NextHopList.5.NextHopId=a", "InvalidNexthopListSize", ""},
		{"AllocateEipAddress", "RegionId=r Bandwidth=fast", "InvalidParameter", `Specified value of "Bandwidth" is not valid.`},
		{"AllocateEipAddress", "RegionId=r InternetChargeType=Free", "InvalidParameter", `Specified value of "InternetChargeType" is not valid`},
		{"AllocateEipAddress", "RegionId=r Period=10", "InvalidParameter", `The specified parameter "Period" is not valid.`},
		{"AllocateEipAddress", "RegionId=r AutoPay=maybe", "InvalidParameter", `"AutoPay"`},
		{"ModifyEipAddressAttribute", "AllocationId=e Bandwidth=0", "InvalidParameter", `Specified value of "Bandwidth" is not supported.`},
		{"AssociateEipAddress", "AllocationId=e InstanceId=i InstanceType=nat", "InvalidInstanceType.ValueNotSupported", ""},
		{"AssociateEipAddress", "AllocationId=e", "MissingParameter", `"InstanceId"`},
		{"UnassociateEipAddress", "AllocationId=e InstanceId=i InstanceType=x", "InvalidInstanceType.ValueNotSupported", ""},
		{"DescribeEipAddresses", "RegionId=r AssociatedInstanceType=x", "InvalidAssociatedInstanceType.ValueNotSupported", ""},
		{"DescribeEipAddresses", "RegionId=r Status=Broken", "InvalidParameter", `"Status"`},
		{"DescribeEipAddresses", "RegionId=r EipAddress=1.2.3", "InvalidParameter", `"EipAddress"`},
		{"CreateNatGateway", "RegionId=r VpcId=v Spec=Huge", "InvalidParameter.Spec.ValueNotSupported", ""},
		{"CreateNatGateway", "RegionId=r VpcId=v Name=http://x", "InvalidParameter.Name.Malformed", ""},
		{"CreateNatGateway", "RegionId=r VpcId=v Description=https://x", "InvalidParameter.Description.Malformed", ""},
		{"CreateNatGateway", "RegionId=r VpcId=v BandwidthPackage.1.IpCount=1 BandwidthPackage.1.Bandwidth=5 BandwidthPackage.2.Bandwidth=5",
			"MissingParameter.BandwidthPackage.2.IpCount", "Missing parameter IpCount in Bandwidth 2."},
		{"CreateNatGateway", "RegionId=r VpcId=v BandwidthPackage.1.IpCount=1", "MissingParameter.BandwidthPackage.1.Bandwidth", "Missing parameter Bandwidth in BandwidthPackage 1."},
		{"CreateNatGateway", "RegionId=r VpcId=v BandwidthPackage.1.IpCount=51 BandwidthPackage.1.Bandwidth=5", "InvalidParameter", `"BandwidthPackage.1.IpCount"`},
		{"CreateNatGateway", "RegionId=r VpcId=v BandwidthPackage.1.Zone=a BandwidthPackage.2.Zone=a BandwidthPackage.3.Zone=a BandwidthPackage.4.Zone=a BandwidthPackage.5.Zone=a", "TooManyBandwidthPackages", ""},
		{"ModifyNatGatewaySpec", "RegionId=r NatGatewayId=n Spec=small", "InvalidParameter.Spec.ValueNotSupported", ""},
		{"ModifyNatGatewayAttribute", "RegionId=r NatGatewayId=n Description=http://x", "InvalidParameter.Description.Malformed", ""},
		{"DeleteNatGateway", "RegionId=r", "MissingParameter.NatGatewayId", `"NatGatewayId"`},
		{"DescribeNatGateways", "RegionId=r PageSize=101", "InvalidParameter", `"PageSize"`},
		{"CreateForwardEntry", "RegionId=r", "MissingParameter", "Missing mandatory parameter"},
		{"CreateForwardEntry", "ExternalIp=1.2.3 " + forward, "InvalidExternalIp.Malformed", ""},
		{"CreateForwardEntry", "ExternalPort=0 " + forward, "InvalidExternalPort.Malformed", "The specified ExternalPort is not a valid port."},
		{"CreateForwardEntry", "ExternalPort=all " + forward, "InvalidExternalPort.Malformed", ""},
		{"CreateForwardEntry", "InternalIp=x " + forward, "InvalidInternalIp.Malformed", ""},
		{"CreateForwardEntry", "InternalPort=65536 " + forward, "InvalidInternalPort.Malformed", ""},
		{"CreateForwardEntry", "IpProtocol=ICMP " + forward, "InvalidProtocol.ValueNotSupported", ""},
		{"CreateForwardEntry", "ForwardEntryName=http://x " + forward, "InvalidParameter.Name.Malformed", ""},
		{"ModifyForwardEntry", "RegionId=r ForwardTableId=f ForwardEntryId=e ForwardEntryName=http://x", "InvalidParameter.Name.Malformed", ""},
		{"ModifyForwardEntry", "RegionId=r ForwardTableId=f", "MissingParameter", `"ForwardEntryId"`},
		{"CreateSnatEntry", "RegionId=r SnatTableId=s SnatIp=1.2.3.4,x", "InvalidSnatIp.Malformed", ""},
		{"CreateSnatEntry", "RegionId=r SnatTableId=s SnatIp=1.2.3.4 SourceCIDR=116.62.222.28/33", "INVALID_PARAMETER", ""},
		{"ModifySnatEntry", "RegionId=r SnatTableId=s SnatEntryId=e SnatIp=1.2.3.4,", "InvalidSnatIp.Malformed", ""},
		{"DescribeZones", "", "MissingParameter", `The input parameter "RegionId" that is mandatory for processing this request is not supplied.`},
		{"DescribeAccessPoints", "RegionId=r Type=X", "InvalidParameter", `"Type"`},
	} {
		a := actions[c.action]
		got, e := a.decode(query(c.query))
		if e == nil {
			t.Errorf("%s %s: accepted as %+v", c.action, c.query, got)
			continue
		}
		if e.Code != c.code || !strings.Contains(e.Message, c.message) {
			t.Errorf("%s %s: %v, want %s %s", c.action, c.query, e, c.code, c.message)
		}
		if e.HTTP < 400 || e.HTTP > 499 {
			t.Errorf("%s %s: HTTP status %d", c.action, c.query, e.HTTP)
		}
	}
}

// FuzzDecode: no parameters make a decoder panic; a refusal has a 4xx status,
// a code and a message; what is accepted is accepted again.
func FuzzDecode(f *testing.F) {
	f.Add("CreateVpc", "RegionId=r&VpcName=%E4%B8%AD%E5%9B%BD&UserCidr=10.0.0.0/8,-1")
	f.Add("CreateNatGateway", "RegionId=r&VpcId=v&BandwidthPackage.1.IpCount=1&BandwidthPackage.1.Bandwidth=5")
	f.Add("CreateRouteEntry", "RouteTableId=t&DestinationCidrBlock=1.2.3.4&NextHopList.1.NextHopId=a&NextHopList.2.NextHopId=b")
	f.Add("CreateForwardEntry", strings.ReplaceAll(strings.TrimSpace(forward), " ", "&"))
	f.Add("CreateSnatEntry", "RegionId=r&SnatTableId=s&SnatIp=1.2.3.4,1.2.3.5&SourceCIDR=10.0.0.0/24&DryRun=true")
	f.Add("AllocateEipAddress", "RegionId=r&Bandwidth=5&Period=%00&AutoPay=TRUE")
	f.Add("DescribeForwardTableEntries", "regionid=r&FORWARDTABLEID=f&PageSize=50&ExternalPort=Any")
	f.Fuzz(func(t *testing.T, name, q string) {
		p, err := ParseParams(q)
		if err != nil {
			return
		}
		_, a, e := lookupAction(name)
		if e == nil {
			_, e = a.decode(p)
		}
		if e == nil {
			if _, e := a.decode(p); e != nil {
				t.Fatalf("refused the second time: %v", e)
			}
			return
		}
		if e.HTTP < 400 || e.HTTP > 499 || e.Code == "" || e.Message == "" {
			t.Fatalf("refused with %+v", e)
		}
	})
}
