package aliyun

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// subject is a world of an error matrix, and parameters with which an action succeeds
// in it as Alice's.
type subject struct {
	*planetest.Plane
	s    *Service
	good map[string]string
}

// subjectOf returns the world of an action's matrix, new each time; nil for an action
// that needs another than the control plane of planetest.
func subjectOf(t *testing.T, action string) *subject {
	t.Helper()
	switch {
	case slices.Contains(vpcActions, action):
		w := newVPCWorld(t)
		good, pairs := map[string]string{}, w.good(action)
		for i := 0; i < len(pairs); i += 2 {
			good[pairs[i]] = pairs[i+1]
		}
		return &subject{w.Plane, w.s, good}
	case slices.Contains(natActions, action):
		w := newNATWorld(t)
		return &subject{w.Plane, w.s, w.good(action)}
	case slices.Contains(vgwActions, action):
		w := newVGWWorld(t)
		return &subject{w.Plane, w.s, w.good(action)}
	case slices.Contains(linkActions, action):
		w := newLinkWorld(t)
		return &subject{w.Plane, w.s, w.good(action)}
	case slices.Contains(sslActions, action):
		w := newSSLWorld(t)
		return &subject{w.Plane, w.s, w.good(action)}
	case slices.Contains(haVipActions, action):
		w := newHaVipWorld(t)
		return &subject{w.Plane, w.s, w.good(action)}
	case slices.Contains(bandwidthActions, action):
		w := newBandwidthWorld(t)
		return &subject{w.Plane, w.s, w.good(action)}
	case slices.Contains(lineActions, action):
		w := newLineWorld(t)
		return &subject{w.Plane, w.s, w.good(action)}
	case slices.Contains(accelerationActions, action):
		w := newAccelerationWorld(t)
		return &subject{w.Plane, w.s, w.good(action)}
	case slices.Contains(ramActions, action):
		w := newRAMWorld(t)
		return &subject{w.Plane, w.s, w.good(action)}
	case slices.Contains(vpnConnectionActions, action):
		w := newVPNWorld(t)
		return &subject{w.Plane, w.s, w.good(action)}
	}
	if !slices.Contains(monitorActions, action) { // errors_matrix_monitor_test.go asks for another's gateway, and nothing is written
		t.Errorf("%s is in no error matrix", action)
	}
	return nil
}

func (w *subject) call(action string, change ...string) (Response, *Error) {
	params := maps.Clone(w.good)
	for i := 0; i < len(change); i += 2 {
		params[change[i]] = change[i+1]
	}
	p := NewParams()
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if params[name] != "" {
			p.Add(name, params[name])
		}
	}
	return Dispatch(context.Background(), w.s, planetest.Alice, action, p)
}

// owners returns what an id is looked up by, with an account: the resource itself, and
// of a DNAT or SNAT table or an entry the gateway.
func (w *subject) owners(id string) (found []resource.Resource) {
	v := w.DB.View()
	add := func(r resource.Resource, ok bool) {
		if ok {
			found = append(found, r)
		}
	}
	add(get(v.VPCs, id))
	add(get(v.VRouters, id))
	add(get(v.RouteTables, id))
	add(get(v.VSwitches, id))
	add(get(v.Instances, id))
	add(get(v.HaVips, id))
	add(get(v.ElasticIPs, id))
	add(get(v.CommonPackages, id))
	add(get(v.NATPackages, id))
	add(get(v.NATGateways, id))
	add(get(v.VPNGateways, id))
	add(get(v.CustomerGateways, id))
	add(get(v.VPNConnections, id))
	add(get(v.RouterInterfaces, id))
	add(get(v.Accelerations, id))
	add(get(v.SSLServers, id))
	add(get(v.PhysicalConnections, id))
	add(get(v.BorderRouters, id))
	add(get(v.SSLCertificates, id))
	for g := range v.NATGateways.By(state.ByTableID, id).All() {
		add(g, true)
	}
	return found
}

func get[R resource.Resource](t *state.Table[R], id string) (resource.Resource, bool) {
	r, ok := t.Get(id)
	return r, ok
}

// filters are id parameters that no good call has: with them a listing is asked for what
// is there of the kind.
var filters = map[string]map[string]func(*state.View) string{
	"DescribeVpcs":                        {"VpcId": oldest(func(v *state.View) *state.Table[*resource.VPC] { return v.VPCs })},
	"DescribeVRouters":                    {"VRouterId": oldest(func(v *state.View) *state.Table[*resource.VRouter] { return v.VRouters })},
	"DescribeVSwitches":                   {"VSwitchId": oldest(vswitches), "VpcId": oldest(vpcs)},
	"DescribeRouteTables":                 {"RouteTableId": oldest(tables)},
	"DescribeRouteTableList":              {"RouteTableId": oldest(tables), "VpcId": oldest(vpcs)},
	"DescribeEipAddresses":                {"AllocationId": oldest(func(v *state.View) *state.Table[*resource.ElasticIP] { return v.ElasticIPs })},
	"DescribeCommonBandwidthPackages":     {"BandwidthPackageId": oldest(func(v *state.View) *state.Table[*resource.CommonPackage] { return v.CommonPackages })},
	"DescribeBandwidthPackages":           {"BandwidthPackageId": oldest(func(v *state.View) *state.Table[*resource.NATPackage] { return v.NATPackages }), "NatGatewayId": oldest(func(v *state.View) *state.Table[*resource.NATGateway] { return v.NATGateways })},
	"DescribeNatGateways":                 {"NatGatewayId": oldest(func(v *state.View) *state.Table[*resource.NATGateway] { return v.NATGateways }), "VpcId": oldest(vpcs)},
	"DescribeForwardTableEntries":         {"NatGatewayId": oldest(func(v *state.View) *state.Table[*resource.NATGateway] { return v.NATGateways })},
	"DescribeSnatTableEntries":            {"NatGatewayId": oldest(func(v *state.View) *state.Table[*resource.NATGateway] { return v.NATGateways })},
	"DescribePhysicalConnections":         {"Filter.1.Value.1": oldest(func(v *state.View) *state.Table[*resource.PhysicalConnection] { return v.PhysicalConnections })},
	"DescribeVirtualBorderRouters":        {"Filter.1.Value.1": oldest(func(v *state.View) *state.Table[*resource.VirtualBorderRouter] { return v.BorderRouters })},
	"DescribeVpnGateways":                 {"VpcId": oldest(vpcs)},
	"DescribeCustomerGateways":            {"CustomerGatewayId": oldest(func(v *state.View) *state.Table[*resource.CustomerGateway] { return v.CustomerGateways })},
	"DescribeSslVpnServers":               {"SslVpnServerId": oldest(sslServers), "VpnGatewayId": oldest(vpnGateways)},
	"DescribeGlobalAccelerationInstances": {"GlobalAccelerationInstanceId": oldest(func(v *state.View) *state.Table[*resource.AccelerationInstance] { return v.Accelerations })},
	"DescribeSslVpnClientCerts": {"SslVpnServerId": oldest(sslServers),
		"SslVpnClientCertId": oldest(func(v *state.View) *state.Table[*resource.SSLCertificate] { return v.SSLCertificates })},
	"DescribeVpnConnections": {"VpnGatewayId": oldest(func(v *state.View) *state.Table[*resource.VPNGateway] { return v.VPNGateways }),
		"CustomerGatewayId": oldest(func(v *state.View) *state.Table[*resource.CustomerGateway] { return v.CustomerGateways })},
}

func sslServers(v *state.View) *state.Table[*resource.SSLServer]   { return v.SSLServers }
func vpnGateways(v *state.View) *state.Table[*resource.VPNGateway] { return v.VPNGateways }
func tables(v *state.View) *state.Table[*resource.RouteTable]      { return v.RouteTables }
func vpcs(v *state.View) *state.Table[*resource.VPC]               { return v.VPCs }
func vswitches(v *state.View) *state.Table[*resource.VSwitch]      { return v.VSwitches }

// oldest returns what gives the id of Alice's oldest resource of a kind.
func oldest[R resource.Resource](table func(*state.View) *state.Table[R]) func(*state.View) string {
	return func(v *state.View) string {
		r, _ := table(v).By(state.ByAccount, planetest.Alice.Account).First()
		return r.Metadata().ID
	}
}

// within are id parameters that are looked up in something of the caller's own, so that
// what they name cannot be another account's, and why.
var within = map[string]string{
	"ModifyVpnRouteEntryWeight NextHop":           "names a route of the gateway",
	"ModifyVpnPbrRouteEntryWeight NextHop":        "names a route of the gateway",
	"DeleteVpnRouteEntry NextHop":                 "names a route of the gateway",
	"DeleteVpnPbrRouteEntry NextHop":              "names a route of the gateway",
	"PublishVpnRouteEntry NextHop":                "names a route of the gateway",
	"DeleteRouteEntry NextHopId":                  "names an entry of the route table",
	"DescribeVpnRouteEntries NextHop":             "is no parameter of it",
	"DescribeVpnSslServerLogs SslVpnClientCertId": "chooses among the lines of a server's log",
	"DescribeVpnPbrRouteEntries NextHop":          "is no parameter of it",
}

// withoutID are the actions whose parameters name no resource, or are given one elsewhere.
var withoutID = map[string]string{
	"CreateVpc":                                   "its parameters name no resource",
	"AllocateEipAddress":                          "its parameters name no resource",
	"CreateCommonBandwidthPackage":                "its parameters name no resource",
	"CreateCustomerGateway":                       "its parameters name no resource",
	"CreatePhysicalConnection":                    "its parameters name no resource",
	"CreateGlobalAccelerationInstance":            "its parameters name no resource",
	"DescribeRegions":                             "its parameters name no resource",
	"DescribeEipMonitorData":                      "TestVolumeErrors gives another account's elastic IP",
	"DescribeBandwidthPackagePublicIpMonitorData": "TestVolumeErrors gives another account's elastic IP",
	"QueryMetricList":                             "TestVolumeErrors gives another account's package",
	"DescribeRouterInterfaces":                    "TestLinkFilters gives another account's interface",
	"DescribeZones":                               "its parameters name no resource",
	"DescribeAccessPoints":                        "its parameters name no resource",
	"ListEnhanhcedNatGatewayAvailableZones":       "its parameters name no resource",
	"ListNatGatewayEcsMetric":                     "TestMetricErrors gives another account's gateway",
}

// inside returns what a VPC has of a kind.
func inside[R resource.Resource](t *state.Table[R], vpc string) iter.Seq[resource.Resource] {
	return under(t, state.ByVPC, vpc)
}

// packages returns the NAT bandwidth packages of a NAT gateway.
func packages(v *state.View, gateway string) iter.Seq[resource.Resource] {
	return under(v.NATPackages, state.ByGateway, gateway)
}

// under returns what an index has under a key.
func under[R resource.Resource](t *state.Table[R], index, key string) iter.Seq[resource.Resource] {
	return func(yield func(resource.Resource) bool) {
		for r := range t.By(index, key).All() {
			if !yield(r) {
				return
			}
		}
	}
}

// theirs returns a resource as another account would have it: in networks of its own.
func theirs(r resource.Resource) resource.Resource {
	c := r.Clone()
	c.Metadata().Account = planetest.Bob.Account
	switch c := c.(type) {
	case *resource.Instance:
		c.VPC, c.VSwitch = "vpc-theirs", "vsw-theirs"
	case *resource.VPNConnection:
		c.VPC, c.Gateway, c.CustomerGateway = "vpc-theirs", "vpn-theirs", "cgw-theirs"
	case *resource.VirtualBorderRouter:
		c.LineOwner, c.Line = planetest.Bob.Account, "pc-theirs"
	case *resource.SSLServer:
		c.VPC, c.Gateway = "vpc-theirs", "vpn-theirs"
	case *resource.SSLCertificate:
		c.VPC, c.Server = "vpc-theirs", "vss-theirs"
	}
	return c
}

// TestOwnAccountOnly gives what each id parameter names to another account: the answer
// is the same, but for the id, as if there were nothing of that id, and nothing changes.
func TestOwnAccountOnly(t *testing.T) {
	for action := range actions {
		w := subjectOf(t, action)
		names := map[string]bool{}
		if w != nil {
			for name, id := range w.good {
				if len(w.owners(id)) > 0 {
					names[name] = true
				}
			}
			for name := range filters[action] {
				names[name] = true
			}
		}
		if len(names) > 0 == (withoutID[action] != "") && !slices.Contains(ramActions, action) { // TestRAMOtherAccounts: they have names
			t.Errorf("%s: the ids %v are given, and why there are none: %q", action, names, withoutID[action])
		}
		for name := range names {
			if within[action+" "+name] == "" {
				first := w // as it was made: nobody else changes it
				t.Run(action+" "+name, func(t *testing.T) { testOwnAccountOnly(t, action, name, first) })
				w = nil
			}
		}
	}
}

// testOwnAccountOnly does so with one parameter, in world w, or in one of its own.
func testOwnAccountOnly(t *testing.T, action, name string, w *subject) {
	t.Parallel()
	if w == nil {
		w = subjectOf(t, action)
	}
	named := func() string {
		if f := filters[action][name]; f != nil {
			return f(w.DB.View())
		}
		return w.good[name]
	}
	id, made := named(), w.DB.View().Revision
	absent := []byte(id)
	for i := strings.IndexByte(id, '-') + 1; i < len(absent); i++ {
		absent[i] = 'z'
	}
	none, noneErr := w.call(action, name, string(absent))
	if w.DB.View().Revision != made {
		w = subjectOf(t, action)
		id = named()
	}
	given := w.owners(id)
	for vpc := range w.DB.View().VPCs.All() {
		if vpc.ID == id { // with what is in it
			given = append(given, slices.Collect(inside(w.DB.View().NATGateways, id))...)
			given = append(given, slices.Collect(inside(w.DB.View().VPNGateways, id))...)
			given = append(given, slices.Collect(inside(w.DB.View().VSwitches, id))...)
			given = append(given, slices.Collect(inside(w.DB.View().RouteTables, id))...)
		}
	}
	given = append(given, slices.Collect(packages(w.DB.View(), id))...)
	given = append(given, slices.Collect(under(w.DB.View().SSLServers, state.ByGateway, id))...)
	given = append(given, slices.Collect(under(w.DB.View().SSLCertificates, state.ByServer, id))...)
	for _, r := range given {
		if err := w.Put(theirs(r)); err != nil {
			t.Fatal(err)
		}
	}
	before := w.DB.View().Revision
	other, otherErr := w.call(action, name, id)
	if w.DB.View().Revision != before {
		t.Error("something was changed")
	}
	switch {
	case (noneErr == nil) != (otherErr == nil):
		t.Errorf("another's: %v, none: %v", otherErr, noneErr)
	case noneErr != nil:
		if *otherErr != *noneErr {
			t.Errorf("another's:\n%+v\nnone:\n%+v", otherErr, noneErr)
		}
	default:
		a, b := encoded(t, FormatJSON, other), encoded(t, FormatJSON, none)
		if strings.ReplaceAll(a, id, "X") != strings.ReplaceAll(b, string(absent), "X") {
			t.Errorf("another's:\n%s\nnone:\n%s", a, b)
		}
	}
}

// TestReplay makes each call that takes a token twice with one: the second time it is
// answered as the first one was, and nothing is written; with other parameters it is
// refused as the documents say.
func TestReplay(t *testing.T) {
	replayed := 0
	for action, a := range actions {
		if !a.token {
			continue
		}
		replayed++
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			w := subjectOf(t, action)
			if w == nil {
				t.Fatal("a call that takes a token, and no world to make it in")
			}
			first, e := w.call(action, "ClientToken", "t")
			if e != nil {
				t.Fatal(e)
			}
			before := w.DB.View().Revision
			again, e := w.call(action, "ClientToken", "t")
			if e != nil {
				t.Fatalf("again: %v", e)
			}
			if a, b := encoded(t, FormatJSON, first), encoded(t, FormatJSON, again); a != b {
				t.Errorf("%s\nthen\n%s", a, b)
			}
			_, e = w.call(action, "ClientToken", "t", "OwnerAccount", "another@example.com")
			if e == nil || e.Code != "IdempotentParameterMismatch" {
				t.Errorf("another request with the same token: %v", e)
			}
			if w.DB.View().Revision != before {
				t.Error("it was carried out twice")
			}
		})
	}
	if replayed == 0 {
		t.Error("no action takes a token")
	}
}
