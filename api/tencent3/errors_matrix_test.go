package tencent3

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sluice/controlplane/network"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

// scene is a world with one of everything that the actions are about, of Alice, and a VPC of
// Bob.
type scene struct {
	*world
	vpc, subnet, spare, main, table string
	route                           string // number of an entry of table, to 192.168.0.0/24
	host                            string
	theirs                          network.CreatedVPC
	theirSubnet                     string
	tunnels                         vpnScene
	named                           map[string]string // ids, by what stands for them in the matrix
}

// Groups of actions with a file of their own add to these: what they put into a scene, the
// good parameters of their actions, and of parameters the ids that are Bob's.
var (
	moreScene  []func(*scene)
	moreGood   []func(s *scene, action string) map[string]string
	moreTheirs = map[string]func(*scene) string{}
)

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{world: newWorld(t)}
	n := s.Network.Under(Rules)
	made := s.VPC(planetest.Alice, "10.8.0.0/16")
	s.vpc, s.main = made.VPC, made.RouteTable
	s.subnet, s.spare = s.VSwitch(planetest.Alice, s.vpc, "10.8.1.0/24"), s.VSwitch(planetest.Alice, s.vpc, "10.8.2.0/24")
	s.host = s.Instance(s.subnet, "10.8.1.10", resource.Host)
	custom, err := n.CreateRouteTable(ctx, planetest.Alice, network.NewRouteTable{Region: planetest.Region, VPC: s.vpc, Name: "special"})
	if err != nil {
		t.Fatal(err)
	}
	s.table = custom.ID
	s.add("192.168.0.0/24")
	for e := range s.DB.View().RouteEntries.All() {
		s.route = strconv.FormatInt(resource.EntryNumber(e.Table, e.Destination, e.Created), 10)
	}
	s.theirs = s.VPC(planetest.Bob, "10.8.0.0/16")
	s.theirSubnet = s.VSwitch(planetest.Bob, s.theirs.VPC, "10.8.1.0/24")
	s.makeGroups()
	for _, more := range moreScene {
		more(s)
	}
	return s
}

func (s *scene) add(destination string) {
	s.t.Helper()
	err := s.Network.ChangeRoutes(ctx, planetest.Alice, network.RouteChanges{Table: s.table, Add: []network.NewRouteEntry{
		{Destination: netip.MustParsePrefix(destination), NextHopType: resource.NextHopHost, NextHopID: s.host}}})
	if err != nil {
		s.t.Fatal(err)
	}
}

// good are parameters with which an action succeeds in a scene.
func (s *scene) good(action string) map[string]string {
	if params := s.vpnGood(action); params != nil {
		return params
	}
	route := map[string]string{"RouteTableId": s.table, "Routes.0.DestinationCidrBlock": "192.168.7.0/24", "Routes.0.GatewayType": "NORMAL_CVM", "Routes.0.GatewayId": "10.8.1.10"}
	with := func(more ...string) map[string]string {
		m := maps.Clone(route)
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	if params := s.goodGroups(action); params != nil {
		return params
	}
	switch action {
	case "CreateVpc":
		return map[string]string{"VpcName": "net", "CidrBlock": "172.16.0.0/16"}
	case "DeleteVpc":
		return map[string]string{"VpcId": s.VPC(planetest.Alice, "10.9.0.0/16").VPC}
	case "ModifyVpcAttribute":
		return map[string]string{"VpcId": s.vpc, "VpcName": "other"}
	case "CreateSubnet":
		return map[string]string{"VpcId": s.vpc, "SubnetName": "new", "CidrBlock": "10.8.9.0/24", "Zone": planetest.Zone}
	case "DeleteSubnet":
		return map[string]string{"SubnetId": s.spare}
	case "ModifySubnetAttribute":
		return map[string]string{"SubnetId": s.subnet, "SubnetName": "other"}
	case "CreateRouteTable":
		return map[string]string{"VpcId": s.vpc, "RouteTableName": "new"}
	case "DeleteRouteTable":
		made, err := s.Network.CreateRouteTable(ctx, planetest.Alice, network.NewRouteTable{Region: planetest.Region, VPC: s.vpc})
		if err != nil {
			s.t.Fatal(err)
		}
		return map[string]string{"RouteTableId": made.ID}
	case "ModifyRouteTableAttribute":
		return map[string]string{"RouteTableId": s.table, "RouteTableName": "other"}
	case "ReplaceRouteTableAssociation":
		return map[string]string{"SubnetId": s.subnet, "RouteTableId": s.table}
	case "CreateRoutes":
		return route
	case "DeleteRoutes":
		return map[string]string{"RouteTableId": s.table, "Routes.0.RouteId": s.route}
	case "ReplaceRoutes":
		return with("Routes.0.RouteId", s.route)
	case "ResetRoutes":
		return with("RouteTableName", "reset")
	case "DescribeVpcs":
		return map[string]string{"VpcIds.0": s.vpc}
	case "DescribeSubnets":
		return map[string]string{"SubnetIds.0": s.subnet}
	case "DescribeRouteTables":
		return map[string]string{"RouteTableIds.0": s.table}
	}
	for _, more := range moreGood {
		if good := more(s, action); good != nil {
			return good
		}
	}
	return map[string]string{} // CreateDefaultVpc, DescribeAccountAttributes
}

// try calls an action with its good parameters but for some changes; an empty value leaves a
// parameter out.
func (s *scene) try(action string, change ...string) (code, message string) {
	s.t.Helper()
	params := s.good(action)
	for i := 0; i < len(change); i += 2 {
		params[change[i]] = change[i+1]
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if params[name] != "" {
			list = append(list, name, params[name])
		}
	}
	code, message, _ = s.call(action, list...)
	return code, message
}

// provoked is a case of an error: what is changed of a scene, and of the good parameters.
type provoked struct {
	action, code string
	before       func(*scene)
	change       []string
}

func quota(name string) func(*scene) {
	return func(s *scene) { s.Settings.Quotas[name] = 1 }
}

// filtersOf are so many filters by name, of so many values each.
func filtersOf(filters, values int) (params []string) {
	for i := range filters {
		params = append(params, fmt.Sprintf("Filters.%d.Name", i), "vpc-name")
		for j := range values {
			params = append(params, fmt.Sprintf("Filters.%d.Values.%d", i, j), "x")
		}
	}
	return params
}

func idsOf(name string, n int) (params []string) {
	for i := range n {
		params = append(params, fmt.Sprintf("%s.%d", name, i), fmt.Sprintf("vpc-%d", i))
	}
	return params
}

var matrix = []provoked{
	{"CreateVpc", "InvalidParameterValue", nil, []string{"CidrBlock", "10.0.0.0/8"}},
	{"CreateVpc", "InvalidParameterValue", nil, []string{"CidrBlock", "10.0.0.0/29"}},
	{"CreateVpc", "InvalidParameterValue", nil, []string{"CidrBlock", "8.8.0.0/16"}},
	{"CreateVpc", "InvalidParameterValue", nil, []string{"VpcName", strings.Repeat("名", 21)}},
	{"CreateVpc", "InvalidParameterValue.Malformed", nil, []string{"CidrBlock", "10.8.0.1/16"}},
	{"CreateVpc", "InvalidParameterValue.Malformed", nil, []string{"DnsServers.0", "dns"}},
	{"CreateVpc", "InvalidParameter", nil, []string{"EnableMulticast", "yes"}},
	{"CreateVpc", "InvalidParameterValue", nil, []string{"DnsServers.0", "1.1.1.1", "DnsServers.1", "1.1.1.2", "DnsServers.2", "1.1.1.3", "DnsServers.3", "1.1.1.4", "DnsServers.4", "1.1.1.5"}},
	{"CreateVpc", "LimitExceeded", quota("vpcs"), nil},
	{"CreateVpc", "MissingParameter", nil, []string{"VpcName", ""}},
	{"CreateVpc", "UnsupportedOperation", nil, []string{"EnableRouteVpcPublish", "true"}},
	{"CreateVpc", "UnknownParameter", nil, []string{"VpcNames", "x"}},
	{"CreateVpc", "UnsupportedRegion", nil, []string{"Region", "ap-nowhere"}},
	{"CreateVpc", "ResourceUnavailable", nil, []string{"Region", planetest.Zoneless}},

	{"DeleteVpc", "InvalidParameterValue.Malformed", nil, []string{"VpcId", "vpc"}},
	{"DeleteVpc", "ResourceNotFound", nil, []string{"VpcId", "vpc-none"}},
	{"DeleteVpc", "ResourceNotFound", nil, []string{"Region", planetest.Elsewhere}},
	{"DeleteVpc", "ResourceInUse", nil, []string{"VpcId", "<vpc>"}},

	{"ModifyVpcAttribute", "InvalidParameterValue.Malformed", nil, []string{"VpcId", "VPC-1"}},
	{"ModifyVpcAttribute", "UnsupportedOperation", nil, []string{"EnableRouteVpcPublishIpv6", "true"}},
	{"ModifyVpcAttribute", "ResourceNotFound", nil, []string{"VpcId", "vpc-none"}},

	{"DescribeVpcs", "InvalidParameter.Coexist", nil, []string{"Filters.0.Name", "vpc-name", "Filters.0.Values.0", "x"}},
	{"DescribeVpcs", "InvalidParameterValue.Malformed", nil, []string{"VpcIds.0", "?"}},
	{"DescribeVpcs", "ResourceNotFound", nil, []string{"VpcIds.1", "vpc-none"}},
	{"DescribeVpcs", "InvalidParameterValue", nil, []string{"VpcIds.0", "", "Filters.0.Name", "colour", "Filters.0.Values.0", "x"}},
	{"DescribeVpcs", "InvalidParameterValue", nil, []string{"VpcIds.0", "", "Filters.0.Name", "is-default", "Filters.0.Values.0", "x"}},
	{"DescribeVpcs", "MissingParameter", nil, []string{"VpcIds.0", "", "Filters.0.Name", "vpc-name"}},
	{"DescribeVpcs", "InvalidParameterValue", nil, append([]string{"VpcIds.0", ""}, filtersOf(maxFilters+1, 1)...)},
	{"DescribeVpcs", "InvalidParameterValue", nil, append([]string{"VpcIds.0", ""}, filtersOf(1, maxFilterValues+1)...)},
	{"DescribeVpcs", "InvalidParameterValue", nil, idsOf("VpcIds", 101)},
	{"DescribeVpcs", "InvalidParameterValue", nil, []string{"Limit", "101"}},
	{"DescribeVpcs", "InvalidParameterValue", nil, []string{"Offset", "-1"}},
	{"DescribeVpcs", "InvalidParameter", nil, []string{"Offset", "x"}},

	{"CreateDefaultVpc", "InvalidParameterValue", nil, []string{"Zone", planetest.ZoneThere}},
	{"CreateDefaultVpc", "LimitExceeded", quota("vpcs"), nil},
	{"CreateDefaultVpc", "ResourceUnavailable", nil, []string{"Region", planetest.Zoneless}},

	{"CreateSubnet", "InvalidParameterValue.SubnetConflict", nil, []string{"CidrBlock", "10.8.1.128/25"}},
	{"CreateSubnet", "InvalidParameterValue.SubnetRange", nil, []string{"CidrBlock", "10.9.0.0/24"}},
	{"CreateSubnet", "InvalidParameterValue.SubnetRange", nil, []string{"CidrBlock", "10.8.9.0/29"}},
	{"CreateSubnet", "LimitExceeded", quota("vswitches_per_vpc"), nil},
	{"CreateSubnet", "ResourceNotFound", nil, []string{"VpcId", "vpc-none"}},
	{"CreateSubnet", "InvalidParameterValue", nil, []string{"Zone", "ap-nowhere-1"}},
	{"CreateSubnet", "ResourceUnavailable", nil, []string{"Zone", planetest.ZoneThere}},
	{"CreateSubnet", "ResourceUnavailable", func(s *scene) {
		s.Dataplane(planetest.Stalls)
		s.VSwitch(planetest.Alice, s.vpc, "10.8.77.0/24")
	}, nil},

	{"DeleteSubnet", "InvalidParameterValue.Malformed", nil, []string{"SubnetId", "subnet"}},
	{"DeleteSubnet", "ResourceInUse", nil, []string{"SubnetId", "<subnet>"}},
	{"DeleteSubnet", "ResourceNotFound", nil, []string{"SubnetId", "subnet-none"}},

	{"DescribeSubnets", "InvalidParameter.Coexist", nil, []string{"Filters.0.Name", "zone", "Filters.0.Values.0", "x"}},
	{"DescribeSubnets", "InvalidParameterValue.Malformed", nil, []string{"SubnetIds.0", "?"}},
	{"DescribeSubnets", "ResourceNotFound", nil, []string{"SubnetIds.1", "subnet-none"}},

	{"ModifySubnetAttribute", "InvalidParameterValue.Malformed", nil, []string{"SubnetId", "subnet"}},
	{"ModifySubnetAttribute", "ResourceNotFound", nil, []string{"SubnetId", "subnet-none"}},

	{"CreateRouteTable", "InvalidParameterValue.Malformed", nil, []string{"VpcId", "vpc"}},
	{"CreateRouteTable", "ResourceNotFound", nil, []string{"VpcId", "vpc-none"}},
	{"CreateRouteTable", "LimitExceeded", quota("route_tables"), nil},

	{"DeleteRouteTable", "InvalidParameterValue.Malformed", nil, []string{"RouteTableId", "rtb"}},
	{"DeleteRouteTable", "ResourceNotFound", nil, []string{"RouteTableId", "rtb-none"}},
	{"DeleteRouteTable", "UnsupportedOperation", nil, []string{"RouteTableId", "<main>"}},
	{"DeleteRouteTable", "ResourceInUse", nil, []string{"RouteTableId", "<table>"}},

	{"ModifyRouteTableAttribute", "InvalidParameterValue.Malformed", nil, []string{"RouteTableId", "rtb"}},
	{"ModifyRouteTableAttribute", "ResourceNotFound", nil, []string{"RouteTableId", "rtb-none"}},

	{"DescribeRouteTables", "InvalidParameter.Coexist", nil, []string{"Filters.0.Name", "vpc-id", "Filters.0.Values.0", "x"}},
	{"DescribeRouteTables", "InvalidParameterValue.Malformed", nil, []string{"RouteTableIds.0", "?"}},
	{"DescribeRouteTables", "ResourceNotFound", nil, []string{"RouteTableIds.1", "rtb-none"}},

	{"ReplaceRouteTableAssociation", "InvalidParameterValue.Malformed", nil, []string{"SubnetId", "subnet"}},
	{"ReplaceRouteTableAssociation", "ResourceNotFound", nil, []string{"SubnetId", "subnet-none"}},
	{"ReplaceRouteTableAssociation", "ResourceNotFound", nil, []string{"RouteTableId", "<their table>"}},
	{"ReplaceRouteTableAssociation", "ResourceNotFound", func(s *scene) { s.VPC(planetest.Alice, "10.9.0.0/16") }, []string{"RouteTableId", "<other table>"}},

	{"DeleteRoutes", "InvalidParameterValue.Malformed", nil, []string{"RouteTableId", "rtb"}},
	{"DeleteRoutes", "ResourceNotFound", nil, []string{"Routes.0.RouteId", "17"}},
	{"DeleteRoutes", "ResourceNotFound", nil, []string{"Routes.1.RouteId", "<route>"}}, // twice
}

func init() {
	for _, action := range []string{"CreateRoutes", "ReplaceRoutes", "ResetRoutes"} {
		matrix = append(matrix,
			provoked{action, "InvalidParameterValue", nil, []string{"Routes.0.GatewayType", "CARRIER"}},
			provoked{action, "InvalidParameterValue.VpcCidrConflict", nil, []string{"Routes.0.DestinationCidrBlock", "10.8.1.0/24"}},
			provoked{action, "InvalidParameterValue.Duplicate", nil, []string{
				"Routes.1.DestinationCidrBlock", "192.168.7.0/24", "Routes.1.GatewayType", "NORMAL_CVM", "Routes.1.GatewayId", "10.8.1.10", "Routes.1.RouteId", "<route 2>"}},
			provoked{action, "LimitExceeded", quota("route_entries"), []string{
				"Routes.1.DestinationCidrBlock", "192.168.8.0/24", "Routes.1.GatewayType", "NORMAL_CVM", "Routes.1.GatewayId", "10.8.1.10", "Routes.1.RouteId", "<route 2>"}},
			provoked{action, "UnsupportedOperation", nil, []string{"Routes.0.GatewayType", "SSLVPN"}},
			provoked{action, "UnsupportedOperation", nil, []string{"Routes.0.Enabled", "false"}},
			provoked{action, "ResourceNotFound", nil, []string{"Routes.0.GatewayId", "10.8.1.99"}},
			provoked{action, "ResourceNotFound", nil, []string{"Routes.0.GatewayType", "NAT", "Routes.0.GatewayId", "ngw-none"}},
			provoked{action, "ResourceNotFound", nil, []string{"RouteTableId", "<their table>"}},
			provoked{action, "ResourceUnavailable", func(s *scene) {
				s.Dataplane(planetest.Stalls)
				s.VSwitch(planetest.Alice, s.vpc, "10.8.77.0/24")
			}, nil},
		)
	}
}

// explained are documented errors that nothing here answers, and why.
var explained = map[string]string{
	"CreateRoutes InvalidParameterValue.CidrNotInPeerVpc":  "a router interface leads on to what its peer's routes say, not to its block alone",
	"ReplaceRoutes InvalidParameterValue.CidrNotInPeerVpc": "likewise",
	"ResetRoutes InvalidParameterValue.CidrNotInPeerVpc":   "likewise",
}

// TestErrorMatrix provokes every documented error of every supported action, but for those
// that are explained; and the answer is one line that says more than the code.
func TestErrorMatrix(t *testing.T) {
	seen := map[string]bool{}
	untouched := map[string]*scene{} // by action: a refused call leaves it as it is
	for _, p := range matrix {
		alone := p.before != nil || p.code == "OK" || slices.Contains(p.change, "<route 2>")
		s := untouched[p.action]
		if s == nil || alone {
			s = newScene(t)
			s.vpnGood(p.action) // makes what it is about
		}
		if !alone {
			untouched[p.action] = s
		}
		second := ""
		if slices.Contains(p.change, "<route 2>") {
			s.add("192.168.1.0/24")
			for e := range s.DB.View().RouteEntries.All() {
				if e.Destination.String() == "192.168.1.0/24" {
					second = strconv.FormatInt(resource.EntryNumber(e.Table, e.Destination, e.Created), 10)
				}
			}
		}
		if p.before != nil {
			p.before(s)
		}
		other := s.main
		for x := range s.DB.View().RouteTables.All() {
			if x.Account == planetest.Alice.Account && x.VPC != s.vpc {
				other = x.ID
			}
		}
		names := map[string]string{"<vpc>": s.vpc, "<subnet>": s.subnet, "<main>": s.main, "<table>": s.table, "<their table>": s.theirs.RouteTable, "<other table>": other, "<route>": s.route, "<route 2>": second}
		maps.Copy(names, s.named)
		change := slices.Clone(p.change)
		for i, v := range change {
			if id, ok := names[v]; ok {
				change[i] = id
			} else if id := s.vpnName(v); id != "" {
				change[i] = id
			}
		}
		code, message := s.try(p.action, change...)
		if code != p.code || len(message) < 10 || strings.Contains(message, "\n") {
			t.Errorf("%s %q: %s %q, want %s", p.action, p.change, code, message, p.code)
		}
		seen[p.action+" "+p.code] = true
	}
	for _, action := range slices.Sorted(maps.Keys(actions)) {
		for _, code := range documentedErrors[action] {
			key := action + " " + code
			if !seen[key] && explained[key] == "" {
				t.Errorf("%s is neither provoked nor explained", key)
			}
			if seen[key] && explained[key] != "" {
				t.Errorf("%s is provoked, and explained", key)
			}
		}
	}
}

// TestFilters: filters have all to hold, also two of one name, and of each filter one value.
func TestFilters(t *testing.T) {
	s := newScene(t)
	second := s.VPC(planetest.Alice, "10.9.0.0/16").VPC
	for _, c := range []struct {
		filters [][]string // name and values
		want    []string
	}{
		{nil, []string{s.vpc, second}},
		{[][]string{{"vpc-id", s.vpc, second}}, []string{s.vpc, second}},
		{[][]string{{"vpc-id", s.vpc, second}, {"cidr-block", "10.9.0.0"}}, []string{second}},
		{[][]string{{"vpc-id", s.vpc, second}, {"vpc-id", second, "vpc-none"}}, []string{second}},
		{[][]string{{"vpc-id", s.vpc}, {"vpc-id", second}}, nil},
		{[][]string{{"vpc-id", s.theirs.VPC}}, nil},
		{[][]string{{"is-default", "true"}}, nil},
		{[][]string{{"is-default", "false"}}, []string{s.vpc, second}},
		{[][]string{{"is-default", "true", "false"}}, []string{s.vpc, second}},
	} {
		var params []string
		for i, f := range c.filters {
			params = append(params, fmt.Sprintf("Filters.%d.Name", i), f[0])
			for j, v := range f[1:] {
				params = append(params, fmt.Sprintf("Filters.%d.Values.%d", i, j), v)
			}
		}
		code, message, answer := s.call("DescribeVpcs", params...)
		var got DescribeVpcsResponse
		if err := json.Unmarshal(answer, &got); code != "OK" || err != nil {
			t.Fatalf("%v: %s %s %v", c.filters, code, message, err)
		}
		var ids []string
		for _, v := range got.VpcSet {
			ids = append(ids, v.VpcId)
		}
		if !slices.Equal(ids, c.want) || got.TotalCount != int64(len(c.want)) {
			t.Errorf("%v: %v of %d, want %v", c.filters, ids, got.TotalCount, c.want)
		}
	}
}

// TestGood: every action does its work, by parameters of a form.
func TestGood(t *testing.T) {
	for action := range actions {
		s := newScene(t)
		if code, message := s.try(action); code != "OK" {
			t.Errorf("%s: %s %s", action, code, message)
		}
	}
}

// TestOwnAccountOnly: an id of another account is answered as one that is not there, in every
// place of every action where an id may stand.
func TestOwnAccountOnly(t *testing.T) {
	for _, action := range slices.Sorted(maps.Keys(actions)) {
		s := newScene(t) // for all of the action: none of its calls is carried out
		names := slices.Sorted(maps.Keys(s.good(action)))
		for _, name := range names {
			theirs := map[string]func(*scene) string{
				"VpcId": func(s *scene) string { return s.theirs.VPC }, "VpcIds.0": func(s *scene) string { return s.theirs.VPC },
				"SubnetId": func(s *scene) string { return s.theirSubnet }, "SubnetIds.0": func(s *scene) string { return s.theirSubnet },
				"RouteTableId": func(s *scene) string { return s.theirs.RouteTable }, "RouteTableIds.0": func(s *scene) string { return s.theirs.RouteTable },
				"SecurityGroupId": func(s *scene) string { return s.named["<their sg>"] }, "SecurityGroupIds.0": func(s *scene) string { return s.named["<their sg>"] },
				"AddressTemplateId": func(s *scene) string { return s.named["<their ipm>"] }, "AddressTemplateIds.0": func(s *scene) string { return s.named["<their ipm>"] },
			}[name]
			if s.vpnForeign(name) != "" {
				theirs = func(s *scene) string { return s.vpnForeign(name) }
			}
			if theirs == nil {
				theirs = moreTheirs[name]
			}
			if theirs == nil {
				continue
			}
			prefix, _, _ := strings.Cut(theirs(s), "-")
			code, message := s.try(action, name, theirs(s))
			wantCode, wantMessage := s.try(action, name, prefix+"-none")
			if action == "DescribeAddresses" { // leaves out what is not there
				if code == "OK" && wantCode == "OK" && s.addresses(theirs(s)) == 0 {
					continue
				}
			}
			if code != wantCode || code == "OK" || strings.ReplaceAll(message, theirs(s), "X") != strings.ReplaceAll(wantMessage, prefix+"-none", "X") {
				t.Errorf("%s with %s of another account: %s %q; one that is not there: %s %q", action, name, code, message, wantCode, wantMessage)
			}
		}
	}
}

// addresses is how many elastic IPs a listing by an id has.
func (s *scene) addresses(id string) int {
	s.t.Helper()
	_, _, answer := s.call("DescribeAddresses", "AddressIds.0", id)
	var list struct{ TotalCount int }
	if err := json.Unmarshal(answer, &list); err != nil {
		s.t.Fatal(err)
	}
	return list.TotalCount
}

// TestCanceled: what takes too long is to be tried again, and is no internal error.
func TestCanceled(t *testing.T) {
	if e := faultError("CreateVpc", context.DeadlineExceeded); e.Code != "ResourceUnavailable" {
		t.Errorf("%v", e)
	}
}
