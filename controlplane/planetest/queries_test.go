package planetest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/acceleration"
	"sluice/controlplane/bandwidth"
	"sluice/controlplane/classic"
	"sluice/controlplane/eip"
	"sluice/controlplane/havip"
	"sluice/controlplane/leasedline"
	"sluice/controlplane/nat"
	"sluice/controlplane/network"
	"sluice/controlplane/networkinterface"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/routerinterface"
	"sluice/controlplane/securitygroup"
	"sluice/controlplane/state"
	"sluice/controlplane/template"
	"sluice/controlplane/vpn"
)

// TestQueries: every query takes several values for each of its filters, in any
// combination, and any part of the listing; whatever is asked for is what a look
// at each item of the whole listing gives.
func TestQueries(t *testing.T) {
	w := newListings(t)
	alice := planetest.Alice
	filed = func(r resource.Resource) (string, []resource.Tag) {
		v := w.DB.View()
		return v.ResourceGroup(r), v.TagsOf(r.Metadata().ID)
	}
	check(t, "Network.VPCs", network.VPCFilter{Region: planetest.Region}, 5,
		func(f network.VPCFilter, p state.Page) (state.Listing[network.VPC], error) {
			return w.Network.VPCs(alice, f, p)
		},
		func(v network.VPC) string { return v.ID },
		map[string]func(network.VPC) any{
			"IDs":   func(v network.VPC) any { return v.ID },
			"Names": func(v network.VPC) any { return v.Name },
		})
	check(t, "Network.VRouters", network.VRouterFilter{Region: planetest.Region}, 5,
		func(f network.VRouterFilter, p state.Page) (state.Listing[network.VRouter], error) {
			return w.Network.VRouters(alice, f, p)
		},
		func(v network.VRouter) string { return v.ID },
		map[string]func(network.VRouter) any{"IDs": func(v network.VRouter) any { return v.ID }})
	check(t, "Network.VSwitches", network.VSwitchFilter{Region: planetest.Region}, 12,
		func(f network.VSwitchFilter, p state.Page) (state.Listing[network.VSwitch], error) {
			return w.Network.VSwitches(alice, f, p)
		},
		func(v network.VSwitch) string { return v.ID },
		map[string]func(network.VSwitch) any{
			"IDs":    func(v network.VSwitch) any { return v.ID },
			"VPCs":   func(v network.VSwitch) any { return v.VPC },
			"Zones":  func(v network.VSwitch) any { return v.Zone },
			"Names":  func(v network.VSwitch) any { return v.Name },
			"Tables": func(v network.VSwitch) any { return v.Table.ID },
		})
	check(t, "Network.RouteTables", network.RouteTableFilter{}, 9,
		func(f network.RouteTableFilter, p state.Page) (state.Listing[network.RouteTable], error) {
			return w.Network.RouteTables(alice, f, p)
		},
		func(x network.RouteTable) string { return x.ID },
		map[string]func(network.RouteTable) any{
			"IDs":      func(x network.RouteTable) any { return x.ID },
			"VRouters": func(x network.RouteTable) any { return x.VRouter },
			"Routers":  func(x network.RouteTable) any { return x.Router() },
			"VBR":      func(x network.RouteTable) any { return x.BorderRouter != "" },
			"VPCs":     func(x network.RouteTable) any { return x.VPC },
			"Names":    func(x network.RouteTable) any { return x.Name },
			"Custom":   func(x network.RouteTable) any { return x.Custom },
		})
	check(t, "Links.List", routerinterface.Query{Region: planetest.Region}, 11,
		func(q routerinterface.Query, p state.Page) (state.Listing[routerinterface.Status], error) {
			q.Page = p
			return w.Links.List(alice, q)
		},
		func(x routerinterface.Status) string { return x.ID },
		map[string]func(routerinterface.Status) any{
			"IDs":                func(x routerinterface.Status) any { return x.ID },
			"Routers":            func(x routerinterface.Status) any { return x.Router },
			"RouterKinds":        func(x routerinterface.Status) any { return x.RouterKind },
			"Accounts":           func(x routerinterface.Status) any { return x.Account },
			"OppositeInterfaces": func(x routerinterface.Status) any { return x.Opposite.Interface },
			"OppositeRouters":    func(x routerinterface.Status) any { return x.Opposite.Router },
			"OppositeKinds":      func(x routerinterface.Status) any { return x.Opposite.RouterKind },
			"OppositeAccounts":   func(x routerinterface.Status) any { return x.Opposite.Account },
			"States":             func(x routerinterface.Status) any { return x.State },
			"Names":              func(x routerinterface.Status) any { return x.Name },
		})
	check(t, "Lines.Lines", leasedline.LineFilter{Region: planetest.Region}, 9,
		func(f leasedline.LineFilter, p state.Page) (state.Listing[leasedline.Line], error) {
			return w.Lines.Lines(alice, f, p)
		},
		func(l leasedline.Line) string { return l.ID },
		map[string]func(leasedline.Line) any{
			"IDs":          func(l leasedline.Line) any { return l.ID },
			"AccessPoints": func(l leasedline.Line) any { return l.AccessPoint },
			"Carriers":     func(l leasedline.Line) any { return l.Carrier },
			"Bandwidths":   func(l leasedline.Line) any { return l.Bandwidth },
			"States":       func(l leasedline.Line) any { return l.Shown },
			"Names":        func(l leasedline.Line) any { return l.Name },
		})
	check(t, "Lines.BorderRouters", leasedline.BorderRouterFilter{Region: planetest.Region}, 9,
		func(f leasedline.BorderRouterFilter, p state.Page) (state.Listing[leasedline.BorderRouter], error) {
			return w.Lines.BorderRouters(alice, f, p)
		},
		func(b leasedline.BorderRouter) string { return b.ID },
		map[string]func(leasedline.BorderRouter) any{
			"IDs":          func(b leasedline.BorderRouter) any { return b.ID },
			"Lines":        func(b leasedline.BorderRouter) any { return b.VirtualBorderRouter.Line },
			"AccessPoints": func(b leasedline.BorderRouter) any { return b.AccessPoint },
			"States":       func(b leasedline.BorderRouter) any { return b.Shown },
			"Names":        func(b leasedline.BorderRouter) any { return b.Name },
		})
	check(t, "HaVip.List", havip.Query{Region: planetest.Region}, 6,
		func(q havip.Query, p state.Page) (state.Listing[havip.HaVip], error) {
			q.Page = p
			return w.HaVip.List(alice, q)
		},
		func(h havip.HaVip) string { return h.ID },
		map[string]func(havip.HaVip) any{
			"IDs":       func(h havip.HaVip) any { return h.ID },
			"VPCs":      func(h havip.HaVip) any { return h.VPC },
			"VSwitches": func(h havip.HaVip) any { return h.VSwitch },
			"Addresses": func(h havip.HaVip) any { return h.PrivateIP.String() },
			"Statuses":  func(h havip.HaVip) any { return h.Status },
		})
	check(t, "Interfaces.List", networkinterface.Filter{Region: planetest.Region}, 9,
		func(f networkinterface.Filter, p state.Page) (state.Listing[networkinterface.Interface], error) {
			return w.Interfaces.List(alice, f, p)
		},
		func(n networkinterface.Interface) string { return n.ID },
		map[string]func(networkinterface.Interface) any{
			"IDs":       func(n networkinterface.Interface) any { return n.ID },
			"VPCs":      func(n networkinterface.Interface) any { return n.VPC },
			"VSwitches": func(n networkinterface.Interface) any { return n.VSwitch },
			"Instances": func(n networkinterface.Interface) any {
				if n.Instance == "" {
					return nil
				}
				return n.Instance
			},
			"Names":        func(n networkinterface.Interface) any { return n.Name },
			"Descriptions": func(n networkinterface.Interface) any { return n.Description },
			"InGroups":     func(n networkinterface.Interface) any { return n.SecurityGroups[0] },
		})
	check(t, "EIP.List", eip.Filter{Region: planetest.Region}, 12,
		func(f eip.Filter, p state.Page) (state.Listing[eip.ElasticIP], error) { return w.EIP.List(alice, f, p) },
		func(e eip.ElasticIP) string { return e.ID },
		map[string]func(eip.ElasticIP) any{
			"IDs":       func(e eip.ElasticIP) any { return e.ID },
			"Addresses": func(e eip.ElasticIP) any { return e.Address },
			"Statuses":  func(e eip.ElasticIP) any { return e.Status },
			"Names":     func(e eip.ElasticIP) any { return e.Name },
			"Prepaid":   func(e eip.ElasticIP) any { return e.Prepaid },
			"BoundTypes": func(e eip.ElasticIP) any {
				if e.Binding == nil {
					return nil
				}
				return e.Binding.Type
			},
			"BoundIDs": func(e eip.ElasticIP) any {
				if e.Binding == nil {
					return nil
				}
				return e.Binding.ID
			},
			"Instances":  func(e eip.ElasticIP) any { return e.Bound.Instance },
			"Interfaces": func(e eip.ElasticIP) any { return e.Bound.Interface },
			"Private":    func(e eip.ElasticIP) any { return e.Bound.Address },
			"Packages": func(e eip.ElasticIP) any {
				if e.Shares == nil {
					return nil
				}
				return e.Shares.ID
			},
		})
	check(t, "Bandwidth.List", bandwidth.Query{Region: planetest.Region}, 5,
		func(q bandwidth.Query, p state.Page) (state.Listing[bandwidth.Status], error) {
			q.Page = p
			return w.Bandwidth.List(alice, q)
		},
		func(p bandwidth.Status) string { return p.ID },
		map[string]func(bandwidth.Status) any{
			"IDs":   func(p bandwidth.Status) any { return p.ID },
			"Names": func(p bandwidth.Status) any { return p.Name },
		})
	check(t, "Acceleration.List", acceleration.Query{Region: planetest.Region}, 9,
		func(q acceleration.Query, p state.Page) (state.Listing[acceleration.Instance], error) {
			q.Page = p
			return w.Acceleration.List(alice, q)
		},
		func(a acceleration.Instance) string { return a.ID },
		map[string]func(acceleration.Instance) any{
			"IDs":       func(a acceleration.Instance) any { return a.ID },
			"Names":     func(a acceleration.Instance) any { return a.Name },
			"Statuses":  func(a acceleration.Instance) any { return a.Status },
			"Services":  func(a acceleration.Instance) any { return a.Service },
			"Addresses": func(a acceleration.Instance) any { return a.Address },
			"Backends": func(a acceleration.Instance) any {
				if a.Backend == nil {
					return nil
				}
				return a.Backend.ID
			},
		})
	check(t, "NAT.Packages", nat.PackageQuery{Region: planetest.Region}, 7,
		func(q nat.PackageQuery, p state.Page) (state.Listing[nat.PackageStatus], error) {
			q.Page = p
			return w.NAT.Packages(alice, q)
		},
		func(p nat.PackageStatus) string { return p.ID },
		map[string]func(nat.PackageStatus) any{
			"IDs":      func(p nat.PackageStatus) any { return p.ID },
			"Gateways": func(p nat.PackageStatus) any { return p.Gateway },
		})
	check(t, "NAT.Gateways", nat.GatewayQuery{Region: planetest.Region}, 5,
		func(q nat.GatewayQuery, p state.Page) (state.Listing[nat.GatewayStatus], error) {
			q.Page = p
			return w.NAT.Gateways(alice, q)
		},
		func(g nat.GatewayStatus) string { return g.ID },
		map[string]func(nat.GatewayStatus) any{
			"IDs":      func(g nat.GatewayStatus) any { return g.ID },
			"VPCs":     func(g nat.GatewayStatus) any { return g.VPC },
			"Names":    func(g nat.GatewayStatus) any { return g.Name },
			"Limits":   func(g nat.GatewayStatus) any { return g.Limits },
			"Phases":   func(g nat.GatewayStatus) any { return g.Phase },
			"Enhanced": func(g nat.GatewayStatus) any { return g.Enhanced() },
			"VSwitches": func(g nat.GatewayStatus) any {
				if g.Within == nil {
					return nil
				}
				return g.Within.ID
			},
			"Zones": func(g nat.GatewayStatus) any {
				if g.Within == nil {
					return nil
				}
				return g.Within.Zone
			},
		})
	check(t, "NAT.ForwardEntries", nat.ForwardEntryQuery{Region: planetest.Region, Table: "ftb-0"}, 20,
		func(q nat.ForwardEntryQuery, p state.Page) (state.Listing[*resource.ForwardEntry], error) {
			q.Page = p
			l, err := w.NAT.ForwardEntries(alice, q)
			return l.Listing, err
		},
		func(e *resource.ForwardEntry) string { return e.ID },
		map[string]func(*resource.ForwardEntry) any{
			"IDs":           func(e *resource.ForwardEntry) any { return e.ID },
			"Names":         func(e *resource.ForwardEntry) any { return e.Name },
			"ExternalIPs":   func(e *resource.ForwardEntry) any { return e.ExternalIP },
			"ExternalPorts": func(e *resource.ForwardEntry) any { return e.External() },
			"Protocols":     func(e *resource.ForwardEntry) any { return e.Protocol },
			"InternalIPs":   func(e *resource.ForwardEntry) any { return e.InternalIP },
			"InternalPorts": func(e *resource.ForwardEntry) any { return e.Internal() },
		})
	check(t, "NAT.SNATEntries", nat.SNATEntryQuery{Region: planetest.Region, Table: "stb-0"}, 6,
		func(q nat.SNATEntryQuery, p state.Page) (state.Listing[*resource.SNATEntry], error) {
			q.Page = p
			l, err := w.NAT.SNATEntries(alice, q)
			return l.Listing, err
		},
		func(e *resource.SNATEntry) string { return e.ID },
		map[string]func(*resource.SNATEntry) any{
			"IDs":     func(e *resource.SNATEntry) any { return e.ID },
			"Names":   func(e *resource.SNATEntry) any { return e.Name },
			"Sources": func(e *resource.SNATEntry) any { return e.Source },
			"VSwitches": func(e *resource.SNATEntry) any {
				if v := e.WholeVSwitch(); v != "" {
					return v
				}
				return nil
			},
			"Addresses": func(e *resource.SNATEntry) any { return e.Pool[0] },
		})
	check(t, "VPN.Gateways", vpn.GatewayQuery{Region: planetest.Region}, 5,
		func(q vpn.GatewayQuery, p state.Page) (state.Listing[vpn.GatewayStatus], error) {
			q.Page = p
			return w.VPN.Gateways(alice, q)
		},
		func(g vpn.GatewayStatus) string { return g.ID },
		map[string]func(vpn.GatewayStatus) any{
			"IDs":       func(g vpn.GatewayStatus) any { return g.ID },
			"VPCs":      func(g vpn.GatewayStatus) any { return g.VPC },
			"Phases":    func(g vpn.GatewayStatus) any { return g.Phase },
			"Addresses": func(g vpn.GatewayStatus) any { return g.Address.String() },
			"IPsec":     func(g vpn.GatewayStatus) any { return g.IPsec },
			"Renews":    func(g vpn.GatewayStatus) any { return g.Period > 0 },
		})
	check(t, "VPN.CustomerGateways", vpn.CustomerGatewayQuery{Region: planetest.Region}, 5,
		func(q vpn.CustomerGatewayQuery, p state.Page) (state.Listing[*resource.CustomerGateway], error) {
			q.Page = p
			return w.VPN.CustomerGateways(alice, q)
		},
		func(g *resource.CustomerGateway) string { return g.ID },
		map[string]func(*resource.CustomerGateway) any{
			"IDs":       func(g *resource.CustomerGateway) any { return g.ID },
			"Names":     func(g *resource.CustomerGateway) any { return g.Name },
			"Addresses": func(g *resource.CustomerGateway) any { return g.Address.String() },
		})
	check(t, "VPN.Connections", vpn.ConnectionQuery{Region: planetest.Region}, 12,
		func(q vpn.ConnectionQuery, p state.Page) (state.Listing[vpn.ConnectionStatus], error) {
			q.Page = p
			return w.VPN.Connections(context.Background(), alice, q)
		},
		func(x vpn.ConnectionStatus) string { return x.ID },
		map[string]func(vpn.ConnectionStatus) any{
			"IDs":              func(x vpn.ConnectionStatus) any { return x.ID },
			"Gateways":         func(x vpn.ConnectionStatus) any { return x.Gateway },
			"CustomerGateways": func(x vpn.ConnectionStatus) any { return x.CustomerGateway },
			"VPCs":             func(x vpn.ConnectionStatus) any { return x.VPC },
			"Names":            func(x vpn.ConnectionStatus) any { return x.Name },
		})
	check(t, "VPN.SSLServers", vpn.SSLServerQuery{Region: planetest.Region}, 4,
		func(q vpn.SSLServerQuery, p state.Page) (state.Listing[vpn.SSLServerStatus], error) {
			q.Page = p
			return w.VPN.SSLServers(context.Background(), alice, q)
		},
		func(x vpn.SSLServerStatus) string { return x.ID },
		map[string]func(vpn.SSLServerStatus) any{
			"IDs":      func(x vpn.SSLServerStatus) any { return x.ID },
			"Gateways": func(x vpn.SSLServerStatus) any { return x.Gateway },
			"Names":    func(x vpn.SSLServerStatus) any { return x.Name },
		})
	check(t, "VPN.SSLCertificates", vpn.SSLCertificateQuery{Region: planetest.Region}, 9,
		func(q vpn.SSLCertificateQuery, p state.Page) (state.Listing[vpn.SSLCertificateStatus], error) {
			q.Page = p
			return w.VPN.SSLCertificates(alice, q)
		},
		func(x vpn.SSLCertificateStatus) string { return x.ID },
		map[string]func(vpn.SSLCertificateStatus) any{
			"IDs":     func(x vpn.SSLCertificateStatus) any { return x.ID },
			"Servers": func(x vpn.SSLCertificateStatus) any { return x.Server },
			"Names":   func(x vpn.SSLCertificateStatus) any { return x.Name },
		})
	for _, kind := range []vpn.RouteKind{vpn.ByDestination, vpn.ByPolicy} {
		check(t, "VPN.Routes", kind, 4,
			func(k vpn.RouteKind, p state.Page) (state.Listing[*resource.VPNRoute], error) {
				return w.VPN.Routes(alice, planetest.Region, "vpn-0", k, p)
			},
			func(r *resource.VPNRoute) string { return r.ID }, nil)
	}
	check(t, "Templates.Templates", template.Query{Region: planetest.Region, Of: resource.AddressTemplate}, 5,
		func(q template.Query, p state.Page) (state.Listing[*resource.Template], error) {
			return w.Templates.Templates(alice, q, p)
		},
		func(x *resource.Template) string { return x.ID },
		map[string]func(*resource.Template) any{
			"IDs":   func(x *resource.Template) any { return x.ID },
			"Names": func(x *resource.Template) any { return x.Name },
		})
	check(t, "Templates.Groups", template.Query{Region: planetest.Region, Of: resource.ServiceTemplate}, 5,
		func(q template.Query, p state.Page) (state.Listing[*resource.TemplateGroup], error) {
			return w.Templates.Groups(alice, q, p)
		},
		func(x *resource.TemplateGroup) string { return x.ID },
		map[string]func(*resource.TemplateGroup) any{
			"IDs":   func(x *resource.TemplateGroup) any { return x.ID },
			"Names": func(x *resource.TemplateGroup) any { return x.Name },
		})
	check(t, "SecurityGroups.Groups", securitygroup.Query{Region: planetest.Region}, 5,
		func(q securitygroup.Query, p state.Page) (state.Listing[*resource.SecurityGroup], error) {
			return w.SecurityGroups.Groups(alice, q, p)
		},
		func(x *resource.SecurityGroup) string { return x.ID },
		map[string]func(*resource.SecurityGroup) any{
			"IDs":      func(x *resource.SecurityGroup) any { return x.ID },
			"Names":    func(x *resource.SecurityGroup) any { return x.Name },
			"Projects": func(x *resource.SecurityGroup) any { return x.Project },
		})
	check(t, "Classic.Links", classic.Filter{Region: planetest.Region}, 6,
		func(f classic.Filter, p state.Page) (state.Listing[classic.Link], error) {
			return w.Classic.Links(alice, f, p)
		},
		func(x classic.Link) string { return x.ID },
		map[string]func(classic.Link) any{
			"VPCs":      func(x classic.Link) any { return x.VPC },
			"Addresses": func(x classic.Link) any { return x.Address },
		})
	for _, name := range listings() {
		if why := otherwise[name]; checked[name] == (why != "") {
			t.Errorf("%s: checked is %t, and not to be checked because %q", name, checked[name], why)
		}
		delete(checked, name)
	}
	if len(checked) > 0 {
		t.Errorf("no services have %v", checked)
	}
}

// otherwise are the listings that are no queries of this form.
var otherwise = map[string]string{
	"Network.Regions":       "it shows the settings, all of them",
	"Network.Zones":         "it shows the settings, all of them",
	"Network.AccessPoints":  "it shows the settings, all of them",
	"SecurityGroups.Uses":   "it counts what uses the groups that it is asked about",
	"Lines.All":             "the operator's: it has no pages",
	"Lines.OnLine":          "the operator's: it has no pages",
	"Lines.Ports":           "the operator's: it has no pages",
	"Lines.BorderRoutersOf": "its only condition is the line",
	"Acceleration.OfServer": "it has no pages",
	"Inventory.List":        "the operator's: it has no pages",
	"Inventory.Classic":     "the operator's: it has no pages",
	"Inventory.Interfaces":  "the operator's: it has no pages",
	"Interfaces.Assign":     "what it has made",
	"EIP.AllocateSome":      "what it has made",
	"HaVip.All":             "the operator's: it has no pages",
	"VPN.Tunnels":           "the operator's: it has no pages",
	"VPN.SSLClients":        "what servers say, not resources: see TestSSLClientsAreListed of package aliyun",
	"VPN.SSLEnds":           "the operator's: it has no pages",
	"VPN.SSLServerLog":      "lines of a log, not resources: see TestSSLServerLog of package vpn",
	"VPN.ClientConfig":      "the bytes of a file",
	"Network.RouteEntries":  "its pages follow one another by tokens, see TestRouteEntryPages of package network",
	"Tags.Of":               "the tags of one resource",
	"Tags.List":             "its pages follow one another by tokens, see TestTagPages of package tags",
	"Keys.Accounts":         "the operator's: it has no pages",
	"Keys.Keys":             "the operator's: it has no pages",
	"RAM.Grants":            "of RAM, whose listings have markers of their own at the edge",
	"RAM.Having":            "of RAM, whose listings have markers of their own at the edge",
	"RAM.Keys":              "of RAM, whose listings have markers of their own at the edge",
	"RAM.Policies":          "of RAM, whose listings have markers of their own at the edge",
	"RAM.PoliciesOf":        "of RAM, whose listings have markers of their own at the edge",
	"RAM.Users":             "of RAM, whose listings have markers of their own at the edge",
}

// filed returns what a resource is filed under: its group and its tags.
var filed func(resource.Resource) (group string, tags []resource.Tag)

// resourceOf is the resource that an item of a listing is, or shows.
func resourceOf(item any) resource.Resource {
	if v := reflect.ValueOf(item); v.Kind() == reflect.Struct {
		item = v.Field(0).Interface()
	}
	return item.(resource.Resource)
}

// checked are the listings that check has been called for.
var checked = map[string]bool{}

// listings are the methods of all services that return several of something.
func listings() (names []string) {
	plane := reflect.TypeFor[planetest.Plane]()
	for i := range plane.NumField() {
		f := plane.Field(i)
		if f.Type.Kind() != reflect.Pointer || f.Type.Elem().Name() != "Service" {
			continue
		}
		for j := range f.Type.NumMethod() {
			m := f.Type.Method(j)
			if m.Type.NumOut() > 0 && several(m.Type.Out(0)) {
				names = append(names, f.Name+"."+m.Name)
			}
		}
	}
	return names
}

// several says whether a result is a list, or has one: state.Listing, or what is made
// of it.
func several(r reflect.Type) bool {
	if r.Kind() == reflect.Slice {
		return true
	}
	if r.Kind() != reflect.Struct {
		return false
	}
	total, ok := r.FieldByName("Total")
	_, items := r.FieldByName("Items")
	return ok && items && total.Type.Kind() == reflect.Int
}

// check asks a query for random values of its filters and random parts, and
// compares with the whole listing, of n items. attribute tells what a filter is
// about; nil: the item has no such thing. A filter that is not in it fails.
func check[Q, T any](t *testing.T, name string, base Q, n int, list func(Q, state.Page) (state.Listing[T], error), id func(T) string, attribute map[string]func(T) any) {
	checked[name] = true
	t.Run(name, func(t *testing.T) {
		all, err := list(base, state.Page{Limit: 1000})
		if err != nil || all.Total != n || len(all.Items) != n {
			t.Fatalf("the whole listing: %d of %d, want %d, %v", len(all.Items), all.Total, n, err)
		}
		var filters []string
		var fields []reflect.StructField
		if q := reflect.TypeFor[Q](); q.Kind() == reflect.Struct {
			fields = reflect.VisibleFields(q)
		}
		labelled := false
		for _, f := range fields {
			if f.Type == reflect.TypeFor[state.Labelled]() {
				labelled = true
				attribute["Groups"] = func(x T) any { group, _ := filed(resourceOf(x)); return group }
			}
			if strings.HasPrefix(f.Type.Name(), "OneOf[") {
				filters = append(filters, f.Name)
				if attribute[f.Name] == nil {
					t.Fatalf("nobody says what the filter %s is about", f.Name)
				}
			}
		}
		if len(filters) != len(attribute) {
			t.Fatalf("filters %v, attributes of %d", filters, len(attribute))
		}
		rnd := rand.New(rand.NewPCG(1, uint64(n)))
		for range 300 {
			q, want := base, all.Items
			var said []string
			for _, f := range filters {
				if rnd.IntN(len(filters)) > 1 {
					continue
				}
				values := some(rnd, all.Items, attribute[f])
				field := reflect.ValueOf(&q).Elem().FieldByName(f)
				for _, v := range values {
					field.Set(reflect.Append(field, reflect.ValueOf(v)))
				}
				said = append(said, fmt.Sprintf("%s=%v", f, values))
				want = slices.DeleteFunc(slices.Clone(want), func(x T) bool { return len(values) > 0 && !slices.Contains(values, attribute[f](x)) })
			}
			if labelled && rnd.IntN(3) == 0 {
				match, has := someTag(rnd)
				field := reflect.ValueOf(&q).Elem().FieldByName("Tags")
				field.Set(reflect.Append(field, reflect.ValueOf(match)))
				said = append(said, fmt.Sprintf("Tags=%v", match))
				want = slices.DeleteFunc(slices.Clone(want), func(x T) bool { _, tags := filed(resourceOf(x)); return !slices.ContainsFunc(tags, has) })
			}
			p := state.Page{Offset: rnd.IntN(n + 2), Limit: rnd.IntN(n + 2)}
			if rnd.IntN(3) == 0 {
				p = state.Page{Limit: n}
			}
			got, err := list(q, p)
			if err != nil {
				t.Fatalf("%v: %v", said, err)
			}
			first := min(p.Offset, len(want))
			if a, b := ids(got.Items, id), ids(want[first:min(first+p.Limit, len(want))], id); got.Total != len(want) || !slices.Equal(a, b) {
				t.Fatalf("%v, %+v: %v of %d, want %v of %d", said, p, a, got.Total, b, len(want))
			}
		}
	})
}

// someTag is a condition on a tag, and whether a tag meets it.
func someTag(rnd *rand.Rand) (match state.TagMatch, has func(resource.Tag) bool) {
	match.Key = []string{"dept", "site", "nothing has it"}[rnd.IntN(3)]
	for range rnd.IntN(3) {
		match.Values = append(match.Values, []string{"", "0", "1", "2"}[rnd.IntN(4)])
	}
	return match, func(t resource.Tag) bool {
		return t.Key == match.Key && (len(match.Values) == 0 || slices.Contains(match.Values, t.Value))
	}
}

// some are up to 3 values that items have, one of them twice now and then.
func some[T any](rnd *rand.Rand, items []T, of func(T) any) (values []any) {
	for range rnd.IntN(4) {
		if v := of(items[rnd.IntN(len(items))]); v != nil {
			values = append(values, v)
		}
	}
	return values
}

func ids[T any](items []T, id func(T) string) []string {
	out := []string{}
	for _, x := range items {
		out = append(out, id(x))
	}
	return out
}
