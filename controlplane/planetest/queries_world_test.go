package planetest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"testing"

	"sluice/controlplane/identity"
	"sluice/controlplane/network"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/securitygroup"
	"sluice/controlplane/state"
	"sluice/controlplane/template"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

// newListings has some of everything, with values that repeat; and of another
// account and another region.
func newListings(t *testing.T) *planetest.Plane {
	t.Helper()
	w := planetest.New(t)
	put := func(r resource.Resource) {
		t.Helper()
		if err := w.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	meta := func(c identity.Caller, id string) resource.Meta {
		return resource.Meta{ID: id, Account: c.Account, Region: planetest.Region, CreatedAt: planetest.Now}
	}
	address := func(format string, n int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf(format, n)) }
	var vpcs []string
	for i := range 5 {
		vpcs = append(vpcs, w.VPC(planetest.Alice, "10.0.0.0/8").VPC)
		name := fmt.Sprintf("name-%d", i%2)
		if err := w.Network.ModifyVPC(context.Background(), planetest.Alice, vpcs[i], network.VPCChange{Name: &name}); err != nil {
			t.Fatal(err)
		}
	}
	theirs := w.VPC(planetest.Bob, "10.0.0.0/8").VPC
	w.VSwitch(planetest.Bob, theirs, "10.1.0.0/16")
	w.VSwitch(planetest.Alice, w.VPCIn(planetest.Alice, planetest.Elsewhere, "10.0.0.0/8").VPC, "10.1.0.0/16")
	for i := range 9 {
		id := fmt.Sprintf("pc-%d", i)
		put(&resource.PhysicalConnection{Meta: meta(planetest.Alice, id), AccessPoint: []string{planetest.AccessPoint, planetest.FullPoint}[i%2], Bandwidth: 100 * (1 + i%3),
			State: []resource.LineState{resource.LineApplied, resource.LineEnabled, resource.LineCanceled}[i%3], Carrier: []resource.Carrier{resource.ChinaTelecom, resource.Equinix}[i%2], Name: fmt.Sprintf("name-%d", i%2)})
		put(&resource.VirtualBorderRouter{Meta: meta(planetest.Alice, fmt.Sprintf("vbr-%d", i)), Line: fmt.Sprintf("pc-%d", i%3), LineOwner: planetest.Alice.Account, AccessPoint: []string{planetest.AccessPoint, planetest.FullPoint}[i%2],
			State: []resource.BorderState{resource.BorderUnconfirmed, resource.BorderEnabled, resource.BorderTerminated}[i%3], VLAN: i, Name: fmt.Sprintf("name-%d", i%2)})
	}
	var tables []string
	for i := range 3 {
		made, err := w.Network.CreateRouteTable(context.Background(), planetest.Alice, network.NewRouteTable{Region: planetest.Region, VPC: vpcs[i%2], Name: fmt.Sprintf("name-%d", i%2)})
		if err != nil {
			t.Fatal(err)
		}
		tables = append(tables, made.ID)
	}
	for i := range 7 { // the last one is another account's
		c, vpc := planetest.Alice, vpcs[i%2]
		if i == 6 {
			c, vpc = planetest.Bob, theirs
		}
		put(&resource.ClassicInstance{Meta: meta(c, fmt.Sprintf("ins-%d", i)), Address: address("10.200.0.%d", 5+i%3)})
		put(&resource.ClassicLink{Meta: meta(c, fmt.Sprintf("vcx-%d", i)), VPC: vpc, Instance: fmt.Sprintf("ins-%d", i)})
	}
	for i := range 5 {
		put(&resource.CommonPackage{Meta: meta(planetest.Alice, fmt.Sprintf("cbwp-%d", i)), Name: fmt.Sprintf("name-%d", i%2), Bandwidth: 5})
	}
	for i := range 12 {
		bound := ""
		if i%5 < 2 && i < 8 {
			bound = tables[i%5]
		}
		zone := []string{planetest.Zone, planetest.Zone2}[i%2]
		put(&resource.VSwitch{Meta: meta(planetest.Alice, fmt.Sprintf("vsw-%d", 20-i)), VPC: vpcs[i%5], Zone: zone, CIDR: netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", i)), Name: fmt.Sprintf("name-%d", i%3), RouteTable: bound})
		e := &resource.ElasticIP{Meta: meta(planetest.Alice, fmt.Sprintf("eip-%d", 20-i)), Address: address("192.0.2.%d", i+1), PublicNetwork: "internet", Bandwidth: 5, Name: fmt.Sprintf("name-%d", i%3), Prepaid: i%2 == 0}
		switch i % 4 {
		case 0:
			e.VPC, e.Binding = vpcs[i%5], &resource.Binding{Type: resource.BoundToNATGateway, ID: fmt.Sprintf("ngw-%d", i%5)}
		case 1:
			e.VPC, e.Binding = vpcs[i%5], &resource.Binding{Type: resource.BoundToHost, ID: fmt.Sprintf("i-%d", i)}
		}
		if i%3 == 1 {
			e.Package = fmt.Sprintf("cbwp-%d", i%2)
		}
		put(e)
	}
	for i := range 9 {
		put(&resource.NetworkInterface{Meta: meta(planetest.Alice, fmt.Sprintf("eni-%d", 20-i)), VPC: vpcs[i%5], VSwitch: fmt.Sprintf("vsw-%d", 20-i%5), Name: fmt.Sprintf("name-%d", i%2), Description: fmt.Sprintf("text-%d", i%3),
			Instance: []string{"", "i-1", "i-5"}[i%3], Primary: i%3 > 0, SecurityGroups: []string{fmt.Sprintf("sg-%d", i%4)}, Addresses: []resource.PrivateAddress{{Address: address("10.9.0.%d", i+1)}}})
	}
	put(&resource.NetworkInterface{Meta: meta(planetest.Bob, "eni-bob"), VPC: theirs, Addresses: []resource.PrivateAddress{{Address: address("10.9.0.%d", 100)}}})
	put(&resource.ElasticIP{Meta: meta(planetest.Bob, "eip-bob"), Address: address("192.0.2.%d", 100), PublicNetwork: "internet", Bandwidth: 5})
	for i, vpc := range vpcs {
		limits := dataplane.Limits{Connections: 10_000 * (1 + i%2), NewPerSecond: 1_000}
		put(&resource.NATGateway{Meta: meta(planetest.Alice, fmt.Sprintf("ngw-%d", i)), VPC: vpc, Limits: limits, Name: fmt.Sprintf("name-%d", i%3),
			ForwardTable: fmt.Sprintf("ftb-%d", i), SNATTable: fmt.Sprintf("stb-%d", i), VSwitch: []string{"", "vsw-20", "vsw-19"}[i%3]})
		put(&resource.VPNGateway{Meta: meta(planetest.Alice, fmt.Sprintf("vpn-%d", i)), VPC: vpc, Address: address("203.0.113.%d", 100+i), PublicNetwork: "internet", Bandwidth: 10, IPsec: true})
		put(&resource.CustomerGateway{Meta: meta(planetest.Alice, fmt.Sprintf("cgw-%d", i)), Address: address("198.51.100.%d", i+1)})
	}
	for i := range 9 {
		a := &resource.AccelerationInstance{Meta: meta(planetest.Alice, fmt.Sprintf("ga-%d", 20-i)), Address: address("192.0.2.%d", 50+i), PublicNetwork: "internet", Bandwidth: 10,
			Name: fmt.Sprintf("name-%d", i%2), Service: resource.Areas[i%3]}
		if i%3 > 0 {
			a.VPC = vpcs[i%5]
		}
		if i%3 == 1 {
			a.Backend = &resource.AccelerationBackend{Type: resource.Host, ID: fmt.Sprintf("i-%d", i%2), Region: planetest.Elsewhere, Address: address("10.0.0.%d", i+1)}
		}
		put(a)
	}
	put(&resource.AccelerationInstance{Meta: meta(planetest.Bob, "ga-bob"), Address: address("192.0.2.%d", 70), PublicNetwork: "internet", Bandwidth: 10})
	for i := range 7 {
		gateway := i % 3
		id := fmt.Sprintf("bwp-%d", i)
		put(&resource.NATPackage{Meta: meta(planetest.Alice, id), VPC: vpcs[gateway], Gateway: fmt.Sprintf("ngw-%d", gateway), Bandwidth: 5})
		// A part of the package: no listing of elastic IPs has it.
		put(&resource.ElasticIP{Meta: meta(planetest.Alice, fmt.Sprintf("nateip-%d", i)), Address: address("192.0.2.%d", 200+i), PublicNetwork: "internet", Bandwidth: 5, VPC: vpcs[gateway],
			Binding: &resource.Binding{Type: resource.BoundToNATGateway, ID: fmt.Sprintf("ngw-%d", gateway)}, NATPackage: id})
	}
	for i := range 24 {
		gateway := 0
		if i >= 20 {
			gateway = 1
		}
		protocol := []resource.Protocol{resource.TCP, resource.UDP}[i%2]
		put(&resource.ForwardEntry{Meta: meta(planetest.Alice, fmt.Sprintf("fwd-%d", 30-i)), VPC: vpcs[gateway], Gateway: fmt.Sprintf("ngw-%d", gateway), Table: fmt.Sprintf("ftb-%d", gateway), Name: fmt.Sprintf("name-%d", i%3),
			ExternalIP: address("203.0.113.%d", 1+i%4), ExternalPort: uint16(100 + i/4), Protocol: protocol, InternalIP: address("10.0.0.%d", 10+i%5), InternalPort: uint16(80 + i%6), InternalLast: uint16(90 * (i % 2))})
	}
	for i := range 8 {
		gateway := i / 6
		put(&resource.SNATEntry{Meta: meta(planetest.Alice, fmt.Sprintf("snat-%d", 10-i)), VPC: vpcs[gateway], Gateway: fmt.Sprintf("ngw-%d", gateway), Table: fmt.Sprintf("stb-%d", gateway),
			Name: fmt.Sprintf("name-%d", i%3), VSwitch: fmt.Sprintf("vsw-%d", i%2), Source: netip.PrefixFrom(address("10.0.%d.0", i), 24+8*(i%2)), Pool: []netip.Addr{address("203.0.113.%d", 50+i%3)}})
	}
	for i := range 12 {
		made, err := w.VPN.CreateConnection(context.Background(), planetest.Alice, vpn.NewConnection{
			Region: planetest.Region, Gateway: fmt.Sprintf("vpn-%d", i%3), CustomerGateway: fmt.Sprintf("cgw-%d", i%4),
			Settings: vpn.ConnectionSettings{LocalSubnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}, RemoteSubnets: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("192.168.%d.0/24", i))}},
		})
		if err != nil {
			t.Fatal(err)
		}
		gateway, destination := fmt.Sprintf("vpn-%d", i%3), netip.MustParsePrefix(fmt.Sprintf("192.168.%d.0/24", i))
		// Beside the policy route that comes with it.
		put(&resource.VPNRoute{Meta: meta(planetest.Alice, resource.VPNRouteID(gateway, netip.Prefix{}, destination, made.ID)), VPC: vpcs[i%3], Gateway: gateway, Destination: destination, Connection: made.ID})
	}
	for i := range 4 {
		put(&resource.SSLServer{Meta: meta(planetest.Alice, fmt.Sprintf("vss-%d", 9-i)), VPC: vpcs[i%3], Gateway: fmt.Sprintf("vpn-%d", i%3), Name: fmt.Sprintf("name-%d", i%2),
			Protocol: resource.UDP, Port: uint16(1194 + i), Pool: netip.MustParsePrefix(fmt.Sprintf("172.16.%d.0/24", i)), Cipher: dataplane.SSLAES128})
	}
	for i := range 9 {
		put(&resource.SSLCertificate{Meta: meta(planetest.Alice, fmt.Sprintf("vsc-%d", 9-i)), VPC: vpcs[i%3], Server: fmt.Sprintf("vss-%d", 9-i%3), Name: fmt.Sprintf("name-%d", i%2)})
	}
	for i := range 6 {
		h := &resource.HaVip{Meta: meta(planetest.Alice, fmt.Sprintf("havip-%d", 9-i)), VPC: vpcs[i%3], VSwitch: fmt.Sprintf("vsw-%d", 20-i%2), PrivateIP: address("10.9.0.%d", 1+i%4)}
		if i%2 == 1 {
			h.Instances = []string{"i-1"}
		}
		put(h)
	}
	put(&resource.HaVip{Meta: meta(planetest.Bob, "havip-bob"), VPC: theirs, VSwitch: "vsw-theirs", PrivateIP: address("10.9.0.%d", 1)})
	for i := range 11 {
		r := &resource.RouterInterface{Meta: meta(planetest.Alice, fmt.Sprintf("ri-%d", 20-i)), Name: fmt.Sprintf("name-%d", i%3), RouterKind: resource.VPCRouter, Router: fmt.Sprintf("vrt-%d", i%4), VPC: vpcs[i%4],
			Initiates: i%2 == 0, Opposite: resource.Opposite{Region: planetest.Region, RouterKind: resource.VPCRouter, Router: fmt.Sprintf("vrt-%d", i%3), Interface: fmt.Sprintf("ri-%d", 20-i^1), Account: planetest.Alice.Account}}
		if i%5 == 4 {
			r.Opposite.RouterKind, r.Opposite.Account = resource.BorderRouter, planetest.Bob.Account
		}
		if i < 8 {
			r.Link = &resource.InterfaceLink{Peer: fmt.Sprintf("ri-%d", 20-i^1), Network: vpcs[i%3], Step: []resource.LinkStep{resource.LinkConnected, resource.LinkDeactivated, resource.LinkActivated}[i%3]}
		}
		put(r)
	}
	put(&resource.RouterInterface{Meta: meta(planetest.Bob, "ri-bob"), RouterKind: resource.VPCRouter, Router: "vrt-0", VPC: theirs})
	v := w.DB.View()
	file(t, w, v.VPCs.All())
	file(t, w, v.RouterInterfaces.All())
	file(t, w, v.HaVips.All())
	file(t, w, v.VSwitches.All())
	file(t, w, v.RouteTables.All())
	file(t, w, v.ElasticIPs.All())
	file(t, w, v.CommonPackages.All())
	file(t, w, v.NATGateways.All())
	file(t, w, v.VPNGateways.All())
	file(t, w, v.CustomerGateways.All())
	file(t, w, v.VPNConnections.All())
	makeGroups(t, w)
	return w
}

// file gives some of Alice's resources names, tags and other resource groups than the default
// one.
func file[R resource.Resource](t *testing.T, w *planetest.Plane, all iter.Seq[R]) {
	t.Helper()
	i := 0
	for r := range all {
		m := r.Metadata()
		if !state.Owned(r, planetest.Alice.Account, "") {
			continue
		}
		i++
		if i%2 == 0 {
			set := resource.NewTagSet(r)
			set.Tags["dept"] = fmt.Sprint(i % 3)
			if i%4 == 0 {
				set.Tags["site"] = ""
			}
			if err := w.Put(set); err != nil {
				t.Fatal(err)
			}
		}
		if i%3 > 0 && slices.Contains(state.GroupedKinds(), r.Kind()) {
			if err := w.Tags.Move(context.Background(), planetest.Alice, m.Region, r.Kind(), m.ID, fmt.Sprintf("rg-%d", i%3)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// makeGroups makes templates, groups of them and security groups, of two accounts.
func makeGroups(t *testing.T, w *planetest.Plane) {
	t.Helper()
	ctx := context.Background()
	for i := range 10 {
		c := []identity.Caller{planetest.Alice, planetest.Bob}[i%2]
		name := fmt.Sprintf("n-%d", i%3)
		_, err := w.Templates.Create(ctx, c, template.Wanted{Region: planetest.Region, Of: resource.AddressTemplate, Name: name, List: []string{"10.0.0.1"}})
		s, err2 := w.Templates.Create(ctx, c, template.Wanted{Region: planetest.Region, Of: resource.ServiceTemplate, Name: name, List: []string{"icmp"}})
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		_, err = w.Templates.CreateGroup(ctx, c, template.Wanted{Region: planetest.Region, Of: resource.ServiceTemplate, Name: name, List: []string{s.ID}})
		_, err2 = w.SecurityGroups.Create(ctx, c, securitygroup.Wanted{Region: planetest.Region, Project: fmt.Sprint(i % 4), Name: name})
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
	}
}
