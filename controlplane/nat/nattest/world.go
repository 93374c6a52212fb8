package nattest

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/controlplane/store/memory"
	"sluice/dataplane"
)

// What everything in a world has in common.
const (
	Account = "1000000000000001"
	Region  = "cn-hangzhou"
	Zone    = "cn-hangzhou-a"

	AccessPoint = "ap-a" // with two ports, 1 and 2
)

// Time is when everything in a world is made.
var Time = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// World is a control plane without services.
type World struct {
	t        testing.TB
	Store    *Store
	DB       *state.DB
	Settings *settings.Settings
}

// New returns an empty world.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{t: t, Store: &Store{Store: memory.New(0).Open()}, Settings: Settings()}
	w.Reopen()
	return w
}

// Reopen loads the store anew, as a daemon that starts does.
func (w *World) Reopen() {
	w.t.Helper()
	db, err := state.Open(context.Background(), w.Store)
	if err != nil {
		w.t.Fatal(err)
	}
	w.DB = db
}

// Settings returns settings with one region, another one without anything, and
// the public network 203.0.113.0/24.
func Settings() *settings.Settings {
	return &settings.Settings{
		Regions: []settings.Region{
			{ID: Region, Zones: []settings.Zone{{ID: Zone}}},
			{ID: "cn-beijing", Zones: []settings.Zone{{ID: "cn-beijing-a"}}},
		},
		Public: []settings.PublicNetwork{{
			Name: "internet",
			Uplink: dataplane.Uplink{
				Mode:    dataplane.UplinkBridge,
				Device:  "br-public",
				Prefix:  netip.MustParsePrefix("203.0.113.0/24"),
				Gateway: netip.MustParseAddr("203.0.113.1"),
			},
			Pool: []settings.Range{{First: netip.MustParseAddr("203.0.113.10"), Last: netip.MustParseAddr("203.0.113.250")}},
		}},
		AccessPoints: []settings.AccessPoint{{ID: AccessPoint, Region: Region, Ports: []settings.Port{{Number: "1", Device: "line1"}, {Number: "2", Device: "line2"}}}},
		Classic: []settings.ClassicNetwork{{Region: Region, Device: "classic1", Prefix: netip.MustParsePrefix("10.200.0.0/24"),
			Pool: []settings.Range{{First: netip.MustParseAddr("10.200.0.250"), Last: netip.MustParseAddr("10.200.0.254")}}}},

		Quotas:   state.DefaultQuotas(),
		Timeouts: dataplane.DefaultTimeouts(),
		ByUse:    dataplane.Limits{Connections: 500_000, NewPerSecond: 20_000},
		Refusal:  dataplane.RefuseDrop,
		Shortcut: true,
		Settle:   time.Second,

		Bandwidth: settings.Bandwidth{Held: true, InboundLeast: 10},
	}
}

// Limits of NAT gateways.
var (
	Small  = dataplane.Limits{Connections: 10_000, NewPerSecond: 1_000}
	Middle = dataplane.Limits{Connections: 50_000, NewPerSecond: 5_000}
	Large  = dataplane.Limits{Connections: 200_000, NewPerSecond: 10_000}
)

// Caller returns a call of the world's account.
func Caller() identity.Caller {
	return identity.Caller{Account: Account, AccessKeyID: "testid", RequestID: "test-request", Action: "Test"}
}

// Put writes resources in one transaction, also in the place of others.
func (w *World) Put(rs ...resource.Resource) {
	w.t.Helper()
	w.update(func(tx *state.Tx) {
		for _, r := range rs {
			if m := r.Metadata(); tx.Taken(m.ID) {
				m.Created = tx.Revision()
			}
			tx.Put(r)
		}
	})
}

// Delete deletes resources in one transaction.
func (w *World) Delete(rs ...resource.Resource) {
	w.t.Helper()
	w.update(func(tx *state.Tx) {
		for _, r := range rs {
			tx.Delete(r)
		}
	})
}

func (w *World) update(fn func(*state.Tx)) {
	w.t.Helper()
	if err := w.DB.Update(context.Background(), func(tx *state.Tx) error { fn(tx); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

// Follow reports that the dataplane has followed every network.
func (w *World) Follow() {
	v := w.DB.View()
	for vpc := range v.VPCs.All() {
		w.DB.Observed.Report(vpc.ID, v.Revision, nil, Time)
	}
}

func meta(id string) resource.Meta {
	return resource.Meta{ID: id, Account: Account, Region: Region, CreatedAt: Time}
}

// VPC returns a VPC; its router and table are vrt-x and vtb-x for vpc-x.
func VPC(id, cidr string) *resource.VPC {
	x := strings.TrimPrefix(id, "vpc-")
	return &resource.VPC{Meta: meta(id), CIDR: netip.MustParsePrefix(cidr), VRouter: "vrt-" + x, RouteTable: "vtb-" + x}
}

// ClassicLink returns a link of an instance of the classic network to a VPC, and the instance.
func ClassicLink(id, vpc, address, mac string) []resource.Resource {
	return []resource.Resource{
		&resource.ClassicInstance{Meta: meta(id), Address: netip.MustParseAddr(address), MAC: mac},
		&resource.ClassicLink{Meta: meta("vcx-" + id), VPC: vpc, Instance: id},
	}
}

// VSwitch returns a VSwitch.
func VSwitch(id, vpc, cidr string) *resource.VSwitch {
	return &resource.VSwitch{Meta: meta(id), VPC: vpc, Zone: Zone, CIDR: netip.MustParsePrefix(cidr)}
}

// Instance returns an instance of the inventory.
func Instance(id, vpc, vswitch, ip string, kind resource.InstanceKind) *resource.Instance {
	return &resource.Instance{Meta: meta(id), VPC: vpc, VSwitch: vswitch, PrivateIP: netip.MustParseAddr(ip), Type: kind, State: "Running"}
}

// HaVip returns a HaVip, bound to instances.
func HaVip(id, vpc, vswitch, ip string, instances ...string) *resource.HaVip {
	return &resource.HaVip{Meta: meta(id), VPC: vpc, VSwitch: vswitch, PrivateIP: netip.MustParseAddr(ip), Instances: instances}
}

// Gateway returns the NAT gateway ngw-x with the tables ftb-x and stb-x.
func Gateway(id, vpc string) *resource.NATGateway {
	x := strings.TrimPrefix(id, "ngw-")
	return &resource.NATGateway{Meta: meta(id), VPC: vpc, Limits: Small, Name: id, ForwardTable: "ftb-" + x, SNATTable: "stb-" + x}
}

// Interface returns a network interface with these private addresses, attached to nothing.
func Interface(id, vpc, vswitch string, addresses ...string) *resource.NetworkInterface {
	n := &resource.NetworkInterface{Meta: meta(id), VPC: vpc, VSwitch: vswitch}
	for _, a := range addresses {
		n.Addresses = append(n.Addresses, resource.PrivateAddress{Address: netip.MustParseAddr(a)})
	}
	return n
}

// ElasticIP returns an elastic IP, bound to what to names if it isn't empty.
func ElasticIP(id, ip, vpc string, kind resource.BindingType, to string) *resource.ElasticIP {
	e := &resource.ElasticIP{Meta: meta(id), Address: netip.MustParseAddr(ip), PublicNetwork: "internet", Bandwidth: 5, VPC: vpc}
	if to != "" {
		e.Binding = &resource.Binding{Type: kind, ID: to}
	}
	return e
}

// CommonPackage returns a common bandwidth package.
func CommonPackage(id string, mbit int) *resource.CommonPackage {
	return &resource.CommonPackage{Meta: meta(id), Bandwidth: mbit, Charge: resource.ByBandwidth, Ratio: 100}
}

// NATPackage returns a NAT bandwidth package of a gateway, without addresses.
func NATPackage(id string, g *resource.NATGateway, mbit int) *resource.NATPackage {
	return &resource.NATPackage{Meta: meta(id), VPC: g.VPC, Gateway: g.ID, Bandwidth: mbit}
}

// Route returns a route entry of table vtb-x of vpc-x.
func Route(vpc, destination string, hops ...resource.NextHop) *resource.RouteEntry {
	table := "vtb-" + strings.TrimPrefix(vpc, "vpc-")
	d := netip.MustParsePrefix(destination)
	return &resource.RouteEntry{Meta: meta(resource.RouteEntryID(table, d)), VPC: vpc, Table: table, Destination: d, NextHops: hops}
}

// RouterInterface returns an interface of a VPC's router that accepts a connection, and is not
// connected.
func RouterInterface(id, vpc string) *resource.RouterInterface {
	return &resource.RouterInterface{Meta: meta(id), RouterKind: resource.VPCRouter, Router: "vrt-" + strings.TrimPrefix(vpc, "vpc-"), VPC: vpc,
		Opposite: resource.Opposite{Region: Region, RouterKind: resource.VPCRouter}}
}

// Acceleration returns a global acceleration instance without a backend.
func Acceleration(id, address string) *resource.AccelerationInstance {
	return &resource.AccelerationInstance{Meta: meta(id), Address: netip.MustParseAddr(address), PublicNetwork: "internet", Service: resource.AsiaPacific, Bandwidth: 10}
}

// Forward returns a DNAT entry of a gateway; "0.0.0.0:0" style pairs, port 0
// being Any.
func Forward(id string, g *resource.NATGateway, p resource.Protocol, external, internal string) *resource.ForwardEntry {
	from, to := netip.MustParseAddrPort(external), netip.MustParseAddrPort(internal)
	return &resource.ForwardEntry{Meta: meta(id), VPC: g.VPC, Gateway: g.ID, Table: g.ForwardTable, Protocol: p,
		ExternalIP: from.Addr(), ExternalPort: from.Port(), InternalIP: to.Addr(), InternalPort: to.Port()}
}

// SNAT returns an SNAT entry of a gateway.
func SNAT(id string, g *resource.NATGateway, vswitch, source string, pool ...string) *resource.SNATEntry {
	e := &resource.SNATEntry{Meta: meta(id), VPC: g.VPC, Gateway: g.ID, Table: g.SNATTable, VSwitch: vswitch, Source: netip.MustParsePrefix(source)}
	for _, a := range pool {
		e.Pool = append(e.Pool, netip.MustParseAddr(a))
	}
	return e
}
