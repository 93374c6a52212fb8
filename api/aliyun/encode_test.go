package aliyun

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"sluice/api/spec"
)

func encoded(t testing.TB, f Format, r Response) string {
	t.Helper()
	var b bytes.Buffer
	if err := Encode(&b, f, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The expected texts follow the documents' examples: names, nesting, JSON
// types, spelling. The order of members is that of the documents' tables.
func TestEncode(t *testing.T) {
	for _, c := range []struct {
		name     string
		r        Response
		xml, jsn string
	}{
		{"CreateVpc",
			&CreateVpcResponse{VpcId: "vpc-257gq642n", VRouterId: "vrt-25bezkd03", RouteTableId: "vtb-25wm68mnh", RequestId: "461D0C42"},
			`<CreateVpcResponse><VpcId>vpc-257gq642n</VpcId><VRouterId>vrt-25bezkd03</VRouterId><RouteTableId>vtb-25wm68mnh</RouteTableId><ResourceGroupId></ResourceGroupId><RequestId>461D0C42</RequestId></CreateVpcResponse>`,
			`{"VpcId":"vpc-257gq642n","VRouterId":"vrt-25bezkd03","RouteTableId":"vtb-25wm68mnh","ResourceGroupId":"","RequestId":"461D0C42"}`},
		{"DescribeVpcs",
			&DescribeVpcsResponse{Vpcs: DescribeVpcsVpcs{Vpc: []DescribeVpcsVpc{{VpcId: "vpc-257gq642n", RegionId: "cn-beijing", Status: "Available",
				CidrBlock: "172.16.0.0/16", VRouterId: "vrt-25bezkd03", CreationTime: "2014-10-29T13:30:19Z"}}},
				TotalCount: 1, PageNumber: 1, PageSize: 10, RequestId: "DA1DAE87"},
			`<DescribeVpcsResponse><Vpcs><Vpc><VpcId>vpc-257gq642n</VpcId><RegionId>cn-beijing</RegionId><Status>Available</Status><VpcName></VpcName><VSwitchIds></VSwitchIds><CidrBlock>172.16.0.0/16</CidrBlock><VRouterId>vrt-25bezkd03</VRouterId><Description></Description><CreationTime>2014-10-29T13:30:19Z</CreationTime><IsDefault>false</IsDefault><UserCidrs></UserCidrs><ResourceGroupId></ResourceGroupId><Tags></Tags><SecondaryCidrBlocks></SecondaryCidrBlocks><RouterTableIds></RouterTableIds><NatGatewayIds></NatGatewayIds><OwnerId>0</OwnerId><EnabledIpv6>false</EnabledIpv6></Vpc></Vpcs><TotalCount>1</TotalCount><PageNumber>1</PageNumber><PageSize>10</PageSize><RequestId>DA1DAE87</RequestId></DescribeVpcsResponse>`,
			`{"Vpcs":{"Vpc":[{"VpcId":"vpc-257gq642n","RegionId":"cn-beijing","Status":"Available","VpcName":"","VSwitchIds":{"VSwitchId":[]},"CidrBlock":"172.16.0.0/16","VRouterId":"vrt-25bezkd03","Description":"","CreationTime":"2014-10-29T13:30:19Z","IsDefault":false,"UserCidrs":{"UserCidr":[]},"ResourceGroupId":"","Tags":{"Tag":[]},"SecondaryCidrBlocks":{"SecondaryCidrBlock":[]},"RouterTableIds":{"RouterTableIds":[]},"NatGatewayIds":{"NatGatewayIds":[]},"OwnerId":0,"EnabledIpv6":false}]},"TotalCount":1,"PageNumber":1,"PageSize":10,"RequestId":"DA1DAE87"}`},
		{"DescribeForwardTableEntries",
			&DescribeForwardTableEntriesResponse{RequestId: "D15864E1", TotalCount: 1, PageNumber: 1, PageSize: 10,
				ForwardTableEntries: DescribeForwardTableEntriesForwardTableEntries{ForwardTableEntry: []DescribeForwardTableEntriesForwardTableEntry{{
					ForwardTableId: "ftb-1", ForwardEntryId: "fwd-1", ExternalIp: "47.96.1.184", ExternalPort: "80", IpProtocol: "TCP",
					InternalIp: "192.168.1.39", InternalPort: "25", Status: "Available", ForwardEntryName: "vmeixme", NatGatewayId: "ngw-1"}}}},
			`<DescribeForwardTableEntriesResponse><RequestId>D15864E1</RequestId><TotalCount>1</TotalCount><PageNumber>1</PageNumber><PageSize>10</PageSize><ForwardTableEntries><ForwardTableEntry><ForwardTableId>ftb-1</ForwardTableId><ForwardEntryId>fwd-1</ForwardEntryId><ExternalIp>47.96.1.184</ExternalIp><ExternalPort>80</ExternalPort><IpProtocol>TCP</IpProtocol><InternalIp>192.168.1.39</InternalIp><InternalPort>25</InternalPort><Status>Available</Status><ForwardEntryName>vmeixme</ForwardEntryName><NatGatewayId>ngw-1</NatGatewayId></ForwardTableEntry></ForwardTableEntries></DescribeForwardTableEntriesResponse>`,
			`{"RequestId":"D15864E1","TotalCount":1,"PageNumber":1,"PageSize":10,"ForwardTableEntries":{"ForwardTableEntry":[{"ForwardTableId":"ftb-1","ForwardEntryId":"fwd-1","ExternalIp":"47.96.1.184","ExternalPort":"80","IpProtocol":"TCP","InternalIp":"192.168.1.39","InternalPort":"25","Status":"Available","ForwardEntryName":"vmeixme","NatGatewayId":"ngw-1"}]}}`},
		{"CreateNatGateway",
			&CreateNatGatewayResponse{NatGatewayId: "ngw-1", ForwardTableIds: CreateNatGatewayForwardTableIds{ForwardTableId: []string{"ftb-1"}}, RequestId: "R"},
			`<CreateNatGatewayResponse><NatGatewayId>ngw-1</NatGatewayId><ForwardTableIds><ForwardTableId>ftb-1</ForwardTableId></ForwardTableIds><SnatTableIds></SnatTableIds><BandwidthPackageIds></BandwidthPackageIds><RequestId>R</RequestId></CreateNatGatewayResponse>`,
			`{"NatGatewayId":"ngw-1","ForwardTableIds":{"ForwardTableId":["ftb-1"]},"SnatTableIds":{"SnatTableId":[]},"BandwidthPackageIds":{"BandwidthPackageId":[]},"RequestId":"R"}`},
		{"AllocateEipAddress",
			&AllocateEipAddressResponse{EipAddress: "123.56.0.206", AllocationId: "eip-1", RequestId: "R"},
			`<AllocateEipAddressResponse><EipAddress>123.56.0.206</EipAddress><IpAddress>123.56.0.206</IpAddress><AllocationId>eip-1</AllocationId><ResourceGroupId></ResourceGroupId><RequestId>R</RequestId></AllocateEipAddressResponse>`,
			`{"EipAddress":"123.56.0.206","AllocationId":"eip-1","ResourceGroupId":"","RequestId":"R"}`},
		{"escaping",
			&DescribeRegionsResponse{Regions: DescribeRegionsRegions{Region: []DescribeRegionsRegion{{RegionId: "a<b&\"c\"", LocalName: "中"}}}, RequestId: "R"},
			`<DescribeRegionsResponse><Regions><Region><RegionId>a&lt;b&amp;&#34;c&#34;</RegionId><LocalName>中</LocalName></Region></Regions><RequestId>R</RequestId></DescribeRegionsResponse>`,
			`{"Regions":{"Region":[{"RegionId":"a<b&\"c\"","LocalName":"中"}]},"RequestId":"R"}`},
	} {
		if got, want := encoded(t, FormatXML, c.r), declaration+c.xml; got != want {
			t.Errorf("%s as XML:\n got %s\nwant %s", c.name, got, want)
		}
		if got := encoded(t, FormatJSON, c.r); got != c.jsn {
			t.Errorf("%s as JSON:\n got %s\nwant %s", c.name, got, c.jsn)
		}
	}
}

func TestEncodeError(t *testing.T) {
	var b bytes.Buffer
	if err := EncodeError(&b, FormatXML, unsupportedOperation(), "8906582E", "vpc.example.org"); err != nil {
		t.Fatal(err)
	}
	want := `<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>8906582E</RequestId><HostId>vpc.example.org</HostId><Code>UnsupportedOperation</Code><Message>The specified action is not supported.</Message></Error>`
	if b.String() != want {
		t.Errorf("got  %s\nwant %s", b.String(), want)
	}
	b.Reset()
	if err := EncodeError(&b, FormatJSON, unsupportedOperation(), "8906582E", "vpc.example.org"); err != nil {
		t.Fatal(err)
	}
	want = `{"RequestId":"8906582E","HostId":"vpc.example.org","Code":"UnsupportedOperation","Message":"The specified action is not supported."}`
	if b.String() != want {
		t.Errorf("got  %s\nwant %s", b.String(), want)
	}
}

func TestParseFormat(t *testing.T) {
	for v, want := range map[string]Format{"": FormatXML, "xml": FormatXML, "XML": FormatXML, "json": FormatJSON, "Json": FormatJSON} {
		if got, e := ParseFormat(v); e != nil || got != want {
			t.Errorf("%q: %v %v", v, got, e)
		}
	}
	if _, e := ParseFormat("yaml"); e == nil || e.Code != "InvalidParameter" || !strings.Contains(e.Message, `"Format"`) {
		t.Errorf("yaml: %v", e)
	}
}

// emptyAnswers makes one empty answer of every supported action.
func emptyAnswers() map[string]Response {
	out := map[string]Response{}
	methods := reflect.TypeFor[Actions]()
	for action := range actions {
		service, name, ok := strings.Cut(action, ":")
		if !ok {
			service, name = "", action
		}
		if m, ok := methods.MethodByName(strings.ToUpper(service) + name); ok {
			out[action] = reflect.New(m.Type.Out(0).Elem()).Interface().(Response)
		}
	}
	return out
}

// populate puts one item into every list of structures, and with sample set a
// value of its own into every scalar.
func populate(v reflect.Value, sample *int) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		populate(v.Elem(), sample)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "XMLName" {
				populate(v.Field(i), sample)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct || sample != nil {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			populate(v.Index(0), sample)
		}
	case reflect.String:
		if sample != nil {
			*sample++
			v.SetString("s" + strconv.Itoa(*sample))
		}
	case reflect.Int, reflect.Int64:
		if sample != nil {
			*sample++
			v.SetInt(int64(*sample))
		}
	case reflect.Bool:
		v.SetBool(sample != nil)
	}
}

// Every list of the catalog must be there as [] when it has no items, and every
// member that is not marked as left out must be there at all.
func TestEveryMemberIsEncoded(t *testing.T) {
	c, err := spec.Load()
	if err != nil {
		t.Fatal(err)
	}
	all := emptyAnswers()
	for _, a := range c.Family(spec.Aliyun).Actions() {
		if !a.Supported() {
			continue
		}
		r := all[a.Key()]
		if r == nil {
			t.Errorf("no response type for %s", a.Key())
			continue
		}
		checkMembers(t, a.Key()+" empty", a.Response, encoded(t, FormatJSON, r), false)
		populate(reflect.ValueOf(r), nil)
		checkMembers(t, a.Key()+" with empty items", a.Response, encoded(t, FormatJSON, r), true)
	}
}

func checkMembers(t *testing.T, where string, fields spec.Fields, text string, items bool) {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	checkObject(t, where, fields, v, items)
}

func checkObject(t *testing.T, where string, fields spec.Fields, v map[string]any, items bool) {
	t.Helper()
	for _, f := range fields {
		at := where + " " + f.Name
		x, present := v[f.Name]
		if !f.List {
			nested := len(f.Fields) > 0
			if !present && !f.OmitEmpty && (!nested || items) {
				t.Errorf("%s is left out", at)
			}
			if m, ok := x.(map[string]any); ok {
				checkObject(t, at, f.Fields, m, items)
			}
			continue
		}
		if f.Item != "" {
			m, ok := x.(map[string]any)
			if !ok {
				t.Errorf("%s is %v, not an object around %s", at, x, f.Item)
				continue
			}
			for _, alias := range f.ItemAliases {
				if !reflect.DeepEqual(m[alias], m[f.Item]) {
					t.Errorf("%s.%s differs from %s", at, alias, f.Item)
				}
			}
			x = m[f.Item]
		}
		list, ok := x.([]any)
		if !ok {
			t.Errorf("%s is %v, not a list", at, x)
			continue
		}
		wantItems := items && len(f.Fields) > 0
		if wantItems != (len(list) == 1) {
			t.Errorf("%s has %d items", at, len(list))
		}
		for _, i := range list {
			checkObject(t, at+"[]", f.Fields, i.(map[string]any), items)
		}
	}
}

func page(n int) *DescribeForwardTableEntriesResponse {
	r := &DescribeForwardTableEntriesResponse{RequestId: "D15864E1-6068-4CF9-AC3D-653D2143E269", TotalCount: 10000, PageNumber: 1, PageSize: n}
	for i := range n {
		r.ForwardTableEntries.ForwardTableEntry = append(r.ForwardTableEntries.ForwardTableEntry, DescribeForwardTableEntriesForwardTableEntry{
			ForwardTableId: "ftb-bp1mbjubq34hlcqpa", ForwardEntryId: "fwd-bp1yjpsk36ojv9rrz" + strconv.Itoa(i), ExternalIp: "203.0.113.7",
			ExternalPort: strconv.Itoa(1000 + i), IpProtocol: "TCP", InternalIp: "192.168.1." + strconv.Itoa(i), InternalPort: "80",
			Status: "Available", ForwardEntryName: "entry", NatGatewayId: "ngw-bp1uewa15k4iy5770"})
	}
	return r
}

func BenchmarkEncode(b *testing.B) {
	r := page(50)
	for name, f := range map[string]Format{"JSON": FormatJSON, "XML": FormatXML} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			buf := new(bytes.Buffer)
			for range b.N {
				buf.Reset()
				if err := Encode(buf, f, r); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(buf.Len()))
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	q := "Action=DescribeForwardTableEntries&Version=2016-04-28&Format=JSON&AccessKeyId=k&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&SignatureNonce=n&Timestamp=2016-02-23T12%3A46%3A24Z&Signature=CT9X0VtwR86fNWSnsc6v8YGOjuE%3D&RegionId=r&ForwardTableId=ftb-1&PageSize=50"
	b.ReportAllocs()
	for range b.N {
		p, err := ParseParams(q)
		if err != nil {
			b.Fatal(err)
		}
		if _, e := decodeDescribeForwardTableEntries(p); e != nil {
			b.Fatal(e)
		}
	}
}
