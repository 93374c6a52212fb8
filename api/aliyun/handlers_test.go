package aliyun

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

// shown encodes an answer as JSON, indented, with the ids of the world replaced
// by names.
func (w *vpcWorld) shown(t *testing.T, r Response) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(encoded(t, FormatJSON, r)), &v); err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{w.vpc.VPC, "{vpc}", w.vpc.VRouter, "{vrt}", w.vpc.RouteTable, "{vtb}", w.vsw, "{vsw}", w.ecs, "{ecs}", w.ecs2, "{ecs2}", w.vip, "{vip}",
		w.empty.VPC, "{vpc2}", w.empty.VRouter, "{vrt2}", w.empty.RouteTable, "{vtb2}", w.ngw, "{ngw}", w.free, "{free}", w.bound, "{bound}"}
	for e := range w.DB.View().ElasticIPs.All() {
		if e.ID == w.free {
			names = append(names, e.Address.String(), "{free address}")
		}
		if e.ID == w.bound {
			names = append(names, e.Address.String(), "{bound address}")
		}
	}
	return entryIDs.ReplaceAllString(strings.NewReplacer(names...).Replace(string(text)), `"{rte}"`)
}

var entryIDs = regexp.MustCompile(`"rte-[a-z2-7]{16}"`)

func (w *vpcWorld) expect(t *testing.T, want, action string, change ...string) {
	t.Helper()
	if got := w.shown(t, w.must(t, action, change...)); got != want {
		t.Errorf("%s answers\n%s\nwant\n%s", action, got, want)
	}
}

// TestAnswers holds every member of the describing actions' answers.
func TestAnswers(t *testing.T) {
	w := newVPCWorld(t)
	w.must(t, "ModifyVpcAttribute", "VpcName", "Office", "Description", "All of it", "UserCidr", "1.0.0.0/8, 2.0.0.0/16")
	w.must(t, "ModifyVRouterAttribute", "VRouterName", "Core", "Description", "In the cellar")
	w.must(t, "ModifyVSwitchAttribute", "VSwitchName", "Desks", "Description", "Second floor")

	w.expect(t, `{
 "PageNumber": 1,
 "PageSize": 10,
 "RequestId": "R",
 "TotalCount": 1,
 "Vpcs": {
  "Vpc": [
   {
    "CidrBlock": "10.0.0.0/8",
    "CreationTime": "2026-11-23T12:30:15Z",
    "Description": "All of it",
    "EnabledIpv6": false,
    "IsDefault": false,
    "NatGatewayIds": {
     "NatGatewayIds": []
    },
    "OwnerId": 1000000000000001,
    "RegionId": "cn-beijing",
    "ResourceGroupId": "rg-5wm4aupzpozjgnu",
    "RouterTableIds": {
     "RouterTableIds": [
      "{vtb}"
     ]
    },
    "SecondaryCidrBlocks": {
     "SecondaryCidrBlock": []
    },
    "Status": "Available",
    "Tags": {
     "Tag": []
    },
    "UserCidrs": {
     "UserCidr": [
      "1.0.0.0/8",
      "2.0.0.0/16"
     ]
    },
    "VRouterId": "{vrt}",
    "VSwitchIds": {
     "VSwitchId": [
      "{vsw}"
     ]
    },
    "VpcId": "{vpc}",
    "VpcName": "Office"
   }
  ]
 }
}`, "DescribeVpcs", "VpcId", w.vpc.VPC)

	w.expect(t, `{
 "PageNumber": 1,
 "PageSize": 1,
 "RequestId": "R",
 "TotalCount": 2,
 "VRouters": {
  "VRouter": [
   {
    "CreationTime": "2026-11-23T12:30:15Z",
    "Description": "In the cellar",
    "RegionId": "cn-beijing",
    "RouteTableIds": {
     "RouteTableId": [
      "{vtb}"
     ]
    },
    "VRouterId": "{vrt}",
    "VRouterName": "Core",
    "VpcId": "{vpc}"
   }
  ]
 }
}`, "DescribeVRouters", "PageSize", "1")

	w.expect(t, `{
 "PageNumber": 1,
 "PageSize": 10,
 "RequestId": "R",
 "TotalCount": 1,
 "VSwitches": {
  "VSwitch": [
   {
    "AvailableIpAddressCount": 65528,
    "CidrBlock": "10.1.0.0/16",
    "CreationTime": "2026-11-23T12:30:15Z",
    "Description": "Second floor",
    "EnabledIpv6": false,
    "IsDefault": false,
    "OwnerId": 1000000000000001,
    "ResourceGroupId": "rg-5wm4aupzpozjgnu",
    "RouteTable": {
     "RouteTableId": "{vtb}",
     "RouteTableType": "System"
    },
    "Status": "Available",
    "Tags": {
     "Tag": []
    },
    "VSwitchId": "{vsw}",
    "VSwitchName": "Desks",
    "VpcId": "{vpc}",
    "ZoneId": "cn-beijing-a"
   }
  ]
 }
}`, "DescribeVSwitches", "VpcId", w.vpc.VPC)

	w.expect(t, `{
 "RequestId": "R",
 "Zones": {
  "Zone": [
   {
    "AvailableDiskCategories": {
     "DiskCategories": [
      "cloud"
     ]
    },
    "AvailableResourceCreation": {
     "ResourceTypes": [
      "Instance",
      "Disk"
     ]
    },
    "LocalName": "",
    "ZoneId": "cn-hangzhou-d"
   }
  ]
 }
}`, "DescribeZones", "RegionId", planetest.Elsewhere)

	w.expect(t, `{
 "AccessPointSet": {
  "AccessPointType": [
   {
    "AccessPointId": "ap-west",
    "AttachedRegionId": "cn-beijing",
    "AttachedRegionNo": "cn-beijing",
    "Description": "",
    "HostOperator": "",
    "Location": "",
    "Name": "West gate",
    "Status": "Full",
    "Type": "VPC"
   }
  ]
 },
 "PageNumber": 2,
 "PageSize": 1,
 "RequestId": "R",
 "TotalCount": 2
}`, "DescribeAccessPoints", "Type", "VPC", "PageNumber", "7", "PageSize", "1")
	for _, filter := range [][]string{{"Name", "East gate"}, {"HostOperator", "Telehouse"}, {"Filter.1.Key", "Status", "Filter.1.Value.1", "Recommended", "Filter.2.Key", "Location", "Filter.2.Value.1", "hall 1"}} {
		if got := w.shown(t, w.must(t, "DescribeAccessPoints", filter...)); !strings.Contains(got, "ap-east") || strings.Contains(got, "ap-west") {
			t.Errorf("%v: %s", filter, got)
		}
	}

	if got := w.shown(t, w.must(t, "DescribeRegions")); !strings.Contains(got, `"LocalName": "North",
    "RegionId": "cn-beijing"`) {
		t.Errorf("regions %s", got)
	}
}

// entry is a route entry of an answer as JSON.
func entry(destination, kind, id, typ string) string {
	return `     {
      "Description": "",
      "DestinationCidrBlock": "` + destination + `",
      "InstanceId": "` + id + `",
      "NextHopType": "` + kind + `",
      "NextHops": {
       "NextHop": [],
       "NextHopItem": []
      },
      "RouteEntryId": "{rte}",
      "RouteEntryName": "",
      "RouteTableId": "{vtb}",
      "Status": "Available",
      "Type": "` + typ + `"
     }`
}

func TestRouteTableAnswers(t *testing.T) {
	w := newVPCWorld(t)
	table := func(entries ...string) string {
		return `{
 "PageNumber": 1,
 "PageSize": 10,
 "RequestId": "R",
 "RouteTables": {
  "RouteTable": [
   {
    "CreationTime": "2026-11-23T12:30:15Z",
    "ResourceGroupId": "` + resource.DefaultGroup(planetest.Alice.Account) + `",
    "RouteEntrys": {
     "RouteEntry": [
` + regexp.MustCompile(`(?m)^`).ReplaceAllString(strings.Join(entries, ",\n"), " ") + `
     ]
    },
    "RouteTableId": "{vtb}",
    "RouteTableType": "System",
    "RouterId": "{vrt}",
    "RouterType": "VRouter",
    "Status": "Available",
    "VRouterId": "{vrt}",
    "VSwitchIds": {
     "VSwitchId": [
      "{vsw}"
     ]
    }
   }
  ]
 },
 "TotalCount": 1
}`
	}
	custom := entry("192.168.0.0/16", "Instance", "{ecs}", "Custom")
	system := []string{entry("10.1.0.0/16", "", "", "System"), entry("100.64.0.0/10", "", "", "System")}
	for _, filter := range [][]string{
		{"RouteTableId", w.vpc.RouteTable}, {"VRouterId", w.vpc.VRouter}, {"RouterId", w.vpc.VRouter, "RouterType", "VRouter"},
		{"VRouterId", w.vpc.VRouter, "RouterType", "VBR"}, // VRouterId decides
	} {
		w.expect(t, table(append([]string{custom}, system...)...), "DescribeRouteTables", filter...)
	}
	if r := w.must(t, "DescribeRouteTables").(*DescribeRouteTablesResponse); r.TotalCount != 2 {
		t.Errorf("%d route tables, want Alice's two", r.TotalCount)
	}
	if r := w.must(t, "DescribeRouteTables", "RouterType", "VBR").(*DescribeRouteTablesResponse); r.TotalCount != 0 {
		t.Errorf("%d route tables of VBRs", r.TotalCount)
	}

	// A single address is a /32, and the NAT gateway's own entry a system one.
	w.must(t, "CreateRouteEntry", "DestinationCidrBlock", "8.8.8.8", "NextHopType", "HaVip", "NextHopId", w.vip)
	w.Gateway(planetest.Alice, w.vpc.VPC)
	got := w.shown(t, w.must(t, "DescribeRouteTables", "RouteTableId", w.vpc.RouteTable))
	for _, want := range []string{`"DestinationCidrBlock": "8.8.8.8/32",
       "InstanceId": "{vip}",
       "NextHopType": "HaVip"`, `"DestinationCidrBlock": "0.0.0.0/0",
       "InstanceId": "ngw-`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	w.must(t, "DeleteRouteEntry", "DestinationCidrBlock", "8.8.8.8", "NextHopId", w.vip)

	// Several next hops, as a later version may have stored them.
	d := netip.MustParsePrefix("3.0.0.0/8")
	err := w.Put(&resource.RouteEntry{
		Meta: resource.Meta{ID: resource.RouteEntryID(w.vpc.RouteTable, d), Account: planetest.Alice.Account}, VPC: w.vpc.VPC, Table: w.vpc.RouteTable, Destination: d,
		NextHops: []resource.NextHop{{Type: resource.NextHopRouterInterface, ID: "ri-1", Weight: 2}, {Type: resource.NextHopRouterInterface, ID: "ri-2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	x := encoded(t, FormatXML, w.must(t, "DescribeRouteTables", "RouteTableId", w.vpc.RouteTable))
	if want := "<NextHopItem><NextHopType>RouterInterface</NextHopType><NextHopId>ri-1</NextHopId><Enabled>0</Enabled><Weight>2</Weight></NextHopItem>"; !strings.Contains(x, want) {
		t.Errorf("no %s in %s", want, x)
	}
	w.must(t, "DeleteRouteEntry", "DestinationCidrBlock", "3.0.0.0/8", "NextHopId", "", "NextHopList.1.NextHopId", "ri-1", "NextHopList.2.NextHopId", "ri-2")
}

func TestElasticIPAnswers(t *testing.T) {
	w := newVPCWorld(t)
	w.expect(t, `{
 "EipAddresses": {
  "EipAddress": [
   {
    "AllocationId": "{bound}",
    "AllocationTime": "2026-11-23T12:30:15Z",
    "AvailableRegions": {
     "AvailableRegion": [
      "cn-beijing"
     ]
    },
    "Bandwidth": 5,
    "BandwidthPackageBandwidth": "",
    "BandwidthPackageId": "",
    "BandwidthPackageType": "",
    "BusinessStatus": "Normal",
    "ChargeType": "PostPaid",
    "DeletionProtection": false,
    "Description": "",
    "Descriptpion": "",
    "Descritpion": "",
    "EipBandwidth": "5",
    "ExpiredTime": "",
    "HDMonitorStatus": "OFF",
    "HasReservationData": "false",
    "ISP": "BGP",
    "InstanceId": "{ecs}",
    "InstanceRegionId": "cn-beijing",
    "InstanceType": "EcsInstance",
    "InternetChargeType": "PayByBandwidth",
    "IpAddress": "{bound address}",
    "Mode": "NAT",
    "Name": "",
    "Netmode": "public",
    "OperationLocks": {
     "LockReason": []
    },
    "RegionId": "cn-beijing",
    "ResourceGroupId": "rg-5wm4aupzpozjgnu",
    "SecondLimited": false,
    "ServiceManaged": 0,
    "Status": "InUse",
    "Tags": {
     "Tag": []
    }
   }
  ]
 },
 "PageNumber": 1,
 "PageSize": 10,
 "RequestId": "R",
 "TotalCount": 1
}`, "DescribeEipAddresses", "AllocationId", w.bound)

	count := func(want int, filter ...string) {
		t.Helper()
		if r := w.must(t, "DescribeEipAddresses", filter...).(*DescribeEipAddressesResponse); r.TotalCount != want {
			t.Errorf("%v finds %d, want %d", filter, r.TotalCount, want)
		}
	}
	e, _ := w.DB.View().ElasticIPs.Get(w.free)
	count(2)
	count(1, "EipAddress", e.Address.String())
	count(1, "AssociatedInstanceType", "EcsInstance", "AssociatedInstanceId", w.ecs)
	count(1, "AssociatedInstanceId", w.ecs)
	count(0, "AssociatedInstanceType", "Nat")
	count(1, "Status", "Available")
	count(1, "Status", "InUse")
	count(0, "Status", "Unassociating")
	w.Stalled(func() {
		w.must(t, "AssociateEipAddress")
		count(1, "Status", "Associating")
		w.must(t, "UnassociateEipAddress")
		count(1, "Status", "Unassociating")
	})
	count(1, "Status", "Available")

	r := w.must(t, "AllocateEipAddress", "InstanceChargeType", "PrePaid", "PricingCycle", "Year", "Period", "2", "AutoPay", "true", "Bandwidth", "100", "InternetChargeType", "PayByTraffic").(*AllocateEipAddressResponse)
	if r.OrderId == "" || r.EipAddress == "" {
		t.Errorf("%+v", r)
	}
	got := w.must(t, "DescribeEipAddresses", "AllocationId", r.AllocationId).(*DescribeEipAddressesResponse).EipAddresses.EipAddress[0]
	if got.ExpiredTime != "2028-11-23T12:30:15Z" || got.ChargeType != "PrePaid" || got.Bandwidth != 100 || got.InternetChargeType != "PayByTraffic" || got.IpAddress != r.EipAddress {
		t.Errorf("%+v", got)
	}
	w.must(t, "ModifyEipAddressAttribute", "AllocationId", r.AllocationId, "Bandwidth", "7")
	w.must(t, "ReleaseEipAddress", "AllocationId", r.AllocationId)
	count(0, "AllocationId", r.AllocationId)
	for _, bad := range [][]string{{"InstanceChargeType", "PrePaid"}, {"InstanceChargeType", "PrePaid", "PricingCycle", "Year", "Period", "4"}} {
		if _, e := w.call("AllocateEipAddress", bad...); e == nil || e.HTTP != 400 {
			t.Errorf("%v: %v", bad, e)
		}
	}
}

// TestStates says what stalls and what changes in the documents' words.
func TestStates(t *testing.T) {
	w := newVPCWorld(t)
	w.Stalled(func() {
		vpc := w.must(t, "CreateVpc").(*CreateVpcResponse)
		if r := w.must(t, "DescribeVpcs", "VpcId", vpc.VpcId).(*DescribeVpcsResponse); r.Vpcs.Vpc[0].Status != "Pending" {
			t.Errorf("a new VPC is %s", r.Vpcs.Vpc[0].Status)
		}
		tables := w.must(t, "DescribeRouteTables", "RouteTableId", vpc.RouteTableId).(*DescribeRouteTablesResponse)
		if s := tables.RouteTables.RouteTable[0].RouteEntrys.RouteEntry[0].Status; s != "Pending" {
			t.Errorf("a new VPC's route entry is %s", s)
		}
		sw := w.must(t, "CreateVSwitch").(*CreateVSwitchResponse)
		if r := w.must(t, "DescribeVSwitches", "VSwitchId", sw.VSwitchId).(*DescribeVSwitchesResponse); r.VSwitches.VSwitch[0].Status != "Pending" {
			t.Errorf("a new VSwitch is %s", r.VSwitches.VSwitch[0].Status)
		}
	})
	for phase, want := range map[resource.Phase]string{resource.Creating: "Pending", resource.Changing: "Modifying", resource.Ready: "Available"} {
		if got := entryStatus(phase); got != want {
			t.Errorf("phase %d is %s, want %s", phase, got, want)
		}
	}
	if got := pendingOrAvailable(resource.Changing); got != "Pending" {
		t.Errorf("what is changing is %s", got)
	}
}

func TestUserCidrIsCleared(t *testing.T) {
	w := newVPCWorld(t)
	cidrs := func() []string {
		return w.must(t, "DescribeVpcs", "VpcId", w.vpc.VPC).(*DescribeVpcsResponse).Vpcs.Vpc[0].UserCidrs.UserCidr
	}
	w.must(t, "ModifyVpcAttribute", "UserCidr", "1.0.0.0/8")
	w.must(t, "ModifyVpcAttribute", "VpcName", "Office")
	if got := cidrs(); len(got) != 1 {
		t.Errorf("a call without UserCidr leaves %v", got)
	}
	w.must(t, "ModifyVpcAttribute", "UserCidr", "-1")
	if got := cidrs(); len(got) != 0 {
		t.Errorf("-1 leaves %v", got)
	}
}

func TestClientToken(t *testing.T) {
	w := newVPCWorld(t)
	first := w.must(t, "CreateVpc", "ClientToken", "t1").(*CreateVpcResponse)
	again := w.must(t, "CreateVpc", "ClientToken", "t1").(*CreateVpcResponse)
	if *first != *again {
		t.Errorf("%+v, then %+v", first, again)
	}
	_, e := w.call("CreateVpc", "ClientToken", "t1", "CidrBlock", "192.168.0.0/16")
	if e == nil || e.Code != "IdempotentParameterMismatch" {
		t.Errorf("%v", e)
	}
}

func TestLastOf(t *testing.T) {
	list := []int{1, 2, 3, 4, 5}
	for _, c := range []struct{ number, size, page, first, len int }{
		{1, 2, 1, 1, 2}, {3, 2, 3, 5, 1}, {4, 2, 3, 5, 1}, {1 << 30, 2, 3, 5, 1}, {2, 5, 1, 1, 5}, {1, 10, 1, 1, 5},
	} {
		got, page := lastOf(list, c.number, c.size)
		if page != c.page || len(got) != c.len || got[0] != c.first {
			t.Errorf("page %d of %d: %v, page %d", c.number, c.size, got, page)
		}
	}
	if got, page := lastOf([]int{}, 7, 10); len(got) != 0 || page != 1 {
		t.Errorf("of nothing: %v, page %d", got, page)
	}
}
