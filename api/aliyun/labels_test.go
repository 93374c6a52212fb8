package aliyun

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sluice/api/spec"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

// labelledKinds are the actions that make something that may have tags: what the id of it is
// called, which listing shows it, and its type for ListTagResources.
var labelledKinds = map[string]struct{ id, listing, kind string }{
	"CreateVpc":                    {"VpcId", "DescribeVpcs", "vpc"},
	"CreateVSwitch":                {"VSwitchId", "DescribeVSwitches", "VSwitch"},
	"CreateRouteTable":             {"RouteTableId", "DescribeRouteTableList", "RouteTable"},
	"AllocateEipAddress":           {"AllocationId", "DescribeEipAddresses", "Eip"},
	"CreateHaVip":                  {"HaVipId", "DescribeHaVips", "HaVip"}, // whose listing has Tags in the place of Tag
	"CreateCommonBandwidthPackage": {"BandwidthPackageId", "DescribeCommonBandwidthPackages", "CommonBandwidthPackage"},
	"CreateRouterInterface":        {"RouterInterfaceId", "DescribeRouterInterfaces", "RouterInterface"},
	"CreateNatGateway":             {"NatGatewayId", "DescribeNatGateways", "NatGateway"},
	"CreateVpnGateway":             {"VpnGatewayId", "DescribeVpnGateways", "VpnGateWay"},
	"CreateCustomerGateway":        {"CustomerGatewayId", "DescribeCustomerGateways", "CustomerGateway"},
	"CreateVpnConnection":          {"VpnConnectionId", "DescribeVpnConnections", "VpnConnection"},
}

// TestLabels files something of every kind that can be filed under tags and a resource
// group as it is made, finds it by them, and reads them back in the spelling sent.
func TestLabels(t *testing.T) {
	c, err := spec.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range c.Family(spec.Aliyun).Actions() {
		name := ""
		for _, f := range a.Request {
			if f.Name == "Tag.N.Key" || f.Name == "Tags.N.Key" {
				name = strings.TrimSuffix(f.Name, ".N.Key")
			}
		}
		if !a.Supported() || !a.Writes() || name == "" || a.Name == "TagResources" || a.Name == "UntagResources" {
			continue
		}
		kind, ok := labelledKinds[a.Name]
		if !ok {
			t.Errorf("%s takes tags, and nobody looks whether they are kept", a.Name)
			continue
		}
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			w := subjectOf(t, a.Name)
			for _, refused := range [][]string{
				{name + ".1.Key", "Dept", name + ".2.Key", "Dept"},
				{name + ".1.Key", "acs:x"}, {name + ".1.Value", "x"}, {name + ".1.Key", strings.Repeat("x", 129)},
				numberedParams(name+".%.Key", "key", 21),
			} {
				before := w.DB.View()
				if _, e := w.call(a.Name, refused...); e == nil || w.DB.View() != before {
					t.Errorf("%v: %v", refused, e)
				}
			}
			params := []string{name + ".1.Key", "9 部门/Dept.", name + ".1.Value", "10.0.0.0/8, a=b", name + ".2.Key", "empty"}
			group := a.Request.Get("ResourceGroupId") != nil
			if group {
				if _, e := w.call(a.Name, "ResourceGroupId", "Engineering"); e == nil || e.Code != "InvalidParameter" {
					t.Errorf("a resource group without rg-: %v", e)
				}
				params = append(params, "ResourceGroupId", "rg-Team1")
			}
			made, e := w.call(a.Name, params...)
			if e != nil {
				t.Fatal(e)
			}
			id := member(t, made, kind.id).(string)
			list := func(change ...string) Response {
				t.Helper()
				p := NewParams()
				p.Add("RegionId", planetest.Region)
				for i := 0; i < len(change); i += 2 {
					name := change[i]
					if rest, ok := strings.CutPrefix(name, "Tag."); ok && kind.listing == "DescribeHaVips" {
						name = "Tags." + rest
					}
					p.Add(name, change[i+1])
				}
				r, e := Dispatch(context.Background(), w.s, planetest.Alice, kind.listing, p)
				if e != nil {
					t.Fatal(e)
				}
				return r
			}
			tag := "Tag"
			if of := actionOf(c, kind.listing); of.Request.Get("Tags.N.Key") != nil {
				tag = "Tags"
			}
			found := func(want int, change ...string) {
				t.Helper()
				for i := range change {
					if of, ok := strings.CutPrefix(change[i], "Tag."); ok {
						change[i] = tag + "." + of
					}
				}
				if n := int(member(t, list(change...), "TotalCount").(float64)); n != want {
					t.Errorf("%v: %d, want %d", change, n, want)
				}
			}
			found(1, "Tag.1.Key", "9 部门/Dept.")
			found(1, "Tag.1.Key", "9 部门/Dept.", "Tag.1.Value", "10.0.0.0/8, a=b", "Tag.2.Key", "empty")
			found(0, "Tag.1.Key", "9 部门/Dept.", "Tag.1.Value", "a=b")
			found(0, "Tag.1.Key", "9 部门/Dept.", "Tag.2.Key", "nothing has it")
			text := encoded(t, FormatJSON, list(tag+".1.Key", "empty"))
			if !strings.Contains(text, id) || !strings.Contains(text, `Key":"9 部门/Dept."`) || !strings.Contains(text, `Value":"10.0.0.0/8, a=b"`) {
				t.Errorf("%s is not shown with its tags: %s", id, text)
			}
			want := resource.DefaultGroup(planetest.Alice.Account)
			if group {
				want = "rg-Team1"
				found(1, "ResourceGroupId", "rg-Team1")
			}
			found(1, "ResourceGroupId", want, "Tag.1.Key", "empty")
			found(0, "ResourceGroupId", "rg-none")
			if !strings.Contains(text, fmt.Sprintf(`"ResourceGroupId":%q`, want)) {
				t.Errorf("%s is not shown in its resource group %s: %s", id, want, text)
			}
			tags, e := w.plain("ListTagResources", "RegionId", planetest.Region, "ResourceType", kind.kind, "ResourceId.1", id)
			if text := encoded(t, FormatJSON, tags); e != nil || strings.Count(text, "TagKey") != 2 {
				t.Errorf("ListTagResources: %v %s", e, text)
			}
		})
	}
}

// actionOf returns the action of that name.
func actionOf(c *spec.Catalog, name string) *spec.Action {
	for _, a := range c.Family(spec.Aliyun).Actions() {
		if a.Key() == name {
			return a
		}
	}
	return nil
}

// plain makes a call of Alice's with just these parameters.
func (w *subject) plain(action string, namesAndValues ...string) (Response, *Error) {
	w.good = map[string]string{}
	return w.call(action, namesAndValues...)
}

// member returns a member of an answer as JSON has it.
func member(t *testing.T, r Response, name string) any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(encoded(t, FormatJSON, r)), &m); err != nil {
		t.Fatal(err)
	}
	return m[name]
}

// TestMoveResourceGroup: what moves takes along what is a part of it, and nothing else.
func TestMoveResourceGroup(t *testing.T) {
	w := newVPNWorld(t)
	groups := func(listing string) (list []string) {
		t.Helper()
		r, e := w.call(listing, map[string]string{"RegionId": planetest.Region})
		if e != nil {
			t.Fatal(e)
		}
		var m any
		if err := json.Unmarshal([]byte(encoded(t, FormatJSON, r)), &m); err != nil {
			t.Fatal(err)
		}
		var walk func(any)
		walk = func(x any) {
			switch x := x.(type) {
			case map[string]any:
				for name, v := range x {
					if name == "ResourceGroupId" {
						list = append(list, v.(string))
					}
					walk(v)
				}
			case []any:
				for _, v := range x {
					walk(v)
				}
			}
		}
		walk(m)
		slices.Sort(list)
		return slices.Compact(list)
	}
	home := []string{resource.DefaultGroup(planetest.Alice.Account)}
	listings := []string{"DescribeVpcs", "DescribeVSwitches", "DescribeVpnGateways", "DescribeVpnConnections", "DescribeCustomerGateways"}
	check := func(after string, want map[string][]string) {
		t.Helper()
		for _, l := range listings {
			expected := home
			if x, ok := want[l]; ok {
				expected = x
			}
			if got := groups(l); !reflect.DeepEqual(got, expected) {
				t.Errorf("after %s: %s has groups %v, want %v", after, l, got, expected)
			}
		}
	}
	check("nothing", nil)
	v := w.DB.View()
	for vpc := range v.VPCs.All() {
		if vpc.Account != planetest.Alice.Account {
			continue
		}
		if _, e := w.call("MoveResourceGroup", map[string]string{"RegionId": planetest.Region, "ResourceType": "VPC", "ResourceId": vpc.ID, "NewResourceGroupId": "rg-a"}); e != nil {
			t.Fatal(e)
		}
	}
	check("the VPCs moved", map[string][]string{"DescribeVpcs": {"rg-a"}, "DescribeVSwitches": {"rg-a"}})
	for g := range v.VPNGateways.All() {
		if _, e := w.call("MoveVpnResourceGroup", map[string]string{"RegionId": planetest.Region, "ResourceType": "VPNGATEWAY", "InstanceId": g.ID, "NewResourceGroupId": "rg-b"}); e != nil {
			t.Fatal(e)
		}
	}
	check("the VPN gateways moved", map[string][]string{"DescribeVpcs": {"rg-a"}, "DescribeVSwitches": {"rg-a"}, "DescribeVpnGateways": {"rg-b"}, "DescribeVpnConnections": {"rg-b"}})
	before := w.DB.View()
	for g := range before.VPNGateways.All() {
		if _, e := w.call("MoveResourceGroup", map[string]string{"RegionId": planetest.Region, "ResourceType": "VpnGateway", "ResourceId": g.ID, "NewResourceGroupId": "rg-b"}); e != nil {
			t.Fatal(e)
		}
	}
	if w.DB.View() != before {
		t.Error("a move to where it is was written")
	}
}
