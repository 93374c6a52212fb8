// Package planetest sets up a control plane for tests: the services over a real
// store, and in place of the dataplane one that only says how far it has
// followed.
package planetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/controlplane/acceleration"
	"sluice/controlplane/bandwidth"
	"sluice/controlplane/classic"
	"sluice/controlplane/eip"
	"sluice/controlplane/fault"
	"sluice/controlplane/havip"
	"sluice/controlplane/identity"
	"sluice/controlplane/inventory"
	"sluice/controlplane/leasedline"
	"sluice/controlplane/nat"
	"sluice/controlplane/network"
	"sluice/controlplane/networkinterface"
	"sluice/controlplane/ram"
	"sluice/controlplane/resource"
	"sluice/controlplane/routerinterface"
	"sluice/controlplane/seal"
	"sluice/controlplane/securitygroup"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/controlplane/store"
	"sluice/controlplane/store/bolt"
	"sluice/controlplane/store/memory"
	"sluice/controlplane/tags"
	"sluice/controlplane/template"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

// What the settings of every plane hold.
const (
	Region     = "cn-beijing"
	Zone       = "cn-beijing-a"
	Zone2      = "cn-beijing-b"
	Elsewhere  = "cn-hangzhou" // another region, on the same public network
	ZoneThere  = "cn-hangzhou-d"
	Zoneless   = "cn-empty"    // a region without zones
	Unserved   = "cn-unserved" // a region without a public network
	UnservedZn = "cn-unserved-a"

	AccessPoint = "ap-east" // of Region, with ports 1 to 3
	FullPoint   = "ap-west" // likewise, and takes no lines
	PointThere  = "ap-far"  // of Elsewhere
)

// Now is the clock.
var Now = time.Date(2026, 11, 23, 12, 30, 15, 0, time.UTC)

// errNoVLANs is what a dataplane without 802.1Q lacks.
var errNoVLANs = errors.New("this kernel has no 802.1Q links")

// Callers of two accounts.
var (
	Alice = identity.Caller{Account: "1000000000000001", AccessKeyID: "LTAIalice", RequestID: "R"}
	Bob   = identity.Caller{Account: "1000000000000002", AccessKeyID: "LTAIbob", RequestID: "R"}
)

// Mode is what the dataplane does at a commit.
type Mode int32

// The modes of the dataplane.
const (
	Follows Mode = iota // it has it at once
	Stalls              // it does not answer
	Refuses             // it answers that it cannot
)

// Plane is a control plane.
type Plane struct {
	t         testing.TB
	file      string        // of the store, or only beside it
	space     *memory.Space // the store's, where it is in memory; else nil
	sealer    *seal.Sealer
	mode      atomic.Int32
	ahead     atomic.Int64 // of Now, in ns
	Settings  *settings.Settings
	DB        *state.DB
	Network   *network.Service
	EIP       *eip.Service
	Bandwidth *bandwidth.Service
	Inventory *inventory.Service
	HaVip     *havip.Service
	NAT       *nat.Service
	VPN       *vpn.Service
	Tags      *tags.Service
	Templates *template.Service
	Links     *routerinterface.Service
	Keys      *identity.Service
	RAM       *ram.Service
	Tunnels   Tunnels
	Holders   Holders
	Lines     *leasedline.Service
	Devices   Devices
	log       logged
	close     func()

	Acceleration   *acceleration.Service
	SecurityGroups *securitygroup.Service
	Interfaces     *networkinterface.Service
	Classic        *classic.Service
}

// logged is what the services have logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// Log returns what the services have logged, at every level.
func (p *Plane) Log() string {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return p.log.text.String()
}

// Written returns what the plane keeps: each file by its name, and where the store is in memory,
// its records by their kinds and ids.
func (p *Plane) Written() map[string][]byte {
	p.t.Helper()
	written := map[string][]byte{}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(p.file), "*"))
	for _, f := range files {
		text, e := os.ReadFile(f)
		written[f], err = text, errors.Join(err, e)
	}
	if p.space != nil {
		_, e := p.space.Open().Load(context.Background(), func(r store.Record) error {
			written[r.Kind+"/"+r.ID] = r.Value
			return nil
		})
		err = errors.Join(err, e)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return written
}

// New returns an empty plane whose dataplane follows. With no patience, writes
// that find something in transition are refused at once. In a short run the store is in memory,
// which costs less; the store's own tests hold both to the same.
func New(t testing.TB) *Plane {
	t.Helper()
	p := &Plane{t: t, file: filepath.Join(t.TempDir(), "store.db"), Settings: Settings()}
	var err error
	if p.sealer, err = seal.Open(filepath.Dir(p.file), true, rand.Reader); err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		p.space = memory.New(0)
	}
	p.open()
	t.Cleanup(func() { p.close() })
	return p
}

// Settings returns the settings of a new plane.
func Settings() *settings.Settings {
	return &settings.Settings{
		Machine: "here",
		Regions: []settings.Region{
			{ID: Region, LocalName: "North", Zones: []settings.Zone{{ID: Zone}, {ID: Zone2}}},
			{ID: Elsewhere, LocalName: "East", Zones: []settings.Zone{{ID: ZoneThere}}},
			{ID: Zoneless},
			{ID: Unserved, Zones: []settings.Zone{{ID: UnservedZn}}},
		},
		Public: []settings.PublicNetwork{{
			Name:    "internet",
			Regions: []string{Region, Elsewhere, Zoneless},
			Uplink:  dataplane.Uplink{Mode: dataplane.UplinkBridge, Device: "br-public", Prefix: netip.MustParsePrefix("203.0.113.0/24"), Gateway: netip.MustParseAddr("203.0.113.1")},
			Pool: []settings.Range{
				{First: netip.MustParseAddr("203.0.113.10"), Last: netip.MustParseAddr("203.0.113.29")},
				{First: netip.MustParseAddr("203.0.113.40"), Last: netip.MustParseAddr("203.0.113.49")},
			},
		}},
		AccessPoints: []settings.AccessPoint{
			{ID: AccessPoint, Region: Region, Name: "East gate", Location: "hall 1", HostOperator: "Telehouse", Use: settings.AccessPointRecommended,
				Ports: []settings.Port{{Number: "1", Device: "eth1", Location: "rack 1"}, {Number: "2", Device: "eth2", Location: "rack 1"}, {Number: "3", Device: "eth3", Location: "rack 2"}}},
			{ID: FullPoint, Region: Region, Name: "West gate", Use: settings.AccessPointFull},
			{ID: PointThere, Region: Elsewhere, Name: "Far gate", Use: settings.AccessPointHot, Ports: []settings.Port{{Number: "1", Device: "eth9"}}},
		},
		Quotas:   state.DefaultQuotas(),
		Timeouts: dataplane.DefaultTimeouts(),
		ByUse:    dataplane.Limits{Connections: 500_000, NewPerSecond: 20_000},
		Refusal:  dataplane.RefuseDrop,
		Shortcut: true,

		RouterInterfaces: []string{settings.AllAccounts},
		Bandwidth:        settings.Bandwidth{Held: true, InboundLeast: 10, NATPackages: []string{settings.AllAccounts}},
	}
}

func (p *Plane) open() {
	p.t.Helper()
	s, err := p.store()
	if err != nil {
		p.t.Fatal(err)
	}
	p.close = func() { s.Close() }
	if p.DB, err = state.Open(context.Background(), s); err != nil {
		p.t.Fatal(err)
	}
	db, f := p.DB, follow(p.t, s, p.DB)
	p.close = func() { f.check(p.t, db.View().Revision, func() { s.Close() }) }
	p.DB.Listen(p.committed)
	p.Rewire()
}

func (p *Plane) store() (store.Store, error) {
	if p.space != nil {
		return p.space.Open(), nil
	}
	return bolt.Open(p.file, time.Second)
}

// Rewire makes the services anew, for a change of the settings.
func (p *Plane) Rewire() {
	now := func() time.Time { return Now.Add(time.Duration(p.ahead.Load())) }
	log := slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p.Network = network.New(p.DB, p.Settings, now, log)
	p.EIP = eip.New(p.DB, p.Settings, now, rand.Reader, log)
	p.Bandwidth = bandwidth.New(p.DB, p.Settings, now, log)
	p.Inventory = inventory.New(p.DB, p.Settings, now, log)
	p.Acceleration = acceleration.New(p.DB, p.Settings, now, rand.Reader, log)
	p.Interfaces = networkinterface.New(p.DB, p.Settings, now, log)
	p.HaVip = havip.New(p.DB, p.Settings, &p.Holders, now, log)
	p.NAT = nat.New(p.DB, p.Settings, now, rand.Reader, log)
	p.Lines = leasedline.New(p.DB, p.Settings, &p.Devices, now, log)
	p.Templates, p.SecurityGroups = template.New(p.DB, p.Settings, now, log), securitygroup.New(p.DB, p.Settings, now, log)
	p.Classic = classic.New(p.DB, p.Settings, now, log)
	p.Tags = tags.New(p.DB, p.Settings, now, log)
	p.Links = routerinterface.New(p.DB, p.Settings, now, log)
	keys, err := identity.Open(p.DB, p.sealer, rand.Reader, now)
	if err != nil {
		p.t.Fatal(err)
	}
	p.Keys, p.RAM = keys, ram.New(p.DB, p.Settings, keys, now, rand.Reader, log)
	p.VPN = vpn.New(p.DB, p.Settings, p.sealer, &p.Tunnels, now, rand.Reader, log)
}

// Restart closes the store and loads it anew, as a daemon that is started again
// does. The dataplane has not reported anything then.
func (p *Plane) Restart() {
	p.t.Helper()
	p.close()
	p.open()
}

func (p *Plane) committed(c state.Commit) {
	for _, id := range c.Networks {
		switch Mode(p.mode.Load()) {
		case Follows:
			p.follow(id)
		case Refuses:
			p.DB.Observed.Report(id, c.Revision, errors.New("no such device"), Now)
		}
	}
}

func (p *Plane) follow(network string) {
	v := p.DB.View()
	if _, ok := v.Network(network); !ok {
		p.DB.Observed.Forget(network, v.Revision)
		return
	}
	p.DB.Observed.Report(network, v.Revision, nil, Now)
}

// Dataplane sets what the dataplane does from now on.
func (p *Plane) Dataplane(m Mode) { p.mode.Store(int32(m)) }

// Follow lets the dataplane catch up with everything.
func (p *Plane) Follow() {
	for _, s := range p.DB.Observed.Status() {
		p.follow(s.Network)
	}
}

// Stalled runs fn while the dataplane does not answer, and lets it catch up.
func (p *Plane) Stalled(fn func()) {
	p.Dataplane(Stalls)
	fn()
	p.Dataplane(Follows)
	p.Follow()
}

// VPC makes a VPC of c's in Region.
func (p *Plane) VPC(c identity.Caller, cidr string) network.CreatedVPC {
	p.t.Helper()
	return p.VPCIn(c, Region, cidr)
}

// VPCIn makes a VPC in a region.
func (p *Plane) VPCIn(c identity.Caller, region, cidr string) network.CreatedVPC {
	p.t.Helper()
	v, err := p.Network.CreateVPC(context.Background(), c, network.NewVPC{Region: region, CIDR: netip.MustParsePrefix(cidr)})
	if err != nil {
		p.t.Fatalf("create VPC %s: %v", cidr, err)
	}
	return v
}

// VSwitch makes a VSwitch in Zone, or for VPCs elsewhere in the zone there, and
// returns its id.
func (p *Plane) VSwitch(c identity.Caller, vpc, cidr string) string {
	p.t.Helper()
	zone := Zone
	if v, ok := p.DB.View().VPCs.Get(vpc); ok && v.Region == Elsewhere {
		zone = ZoneThere
	}
	id, err := p.Network.CreateVSwitch(context.Background(), c, network.NewVSwitch{VPC: vpc, Zone: zone, CIDR: netip.MustParsePrefix(cidr)})
	if err != nil {
		p.t.Fatalf("create VSwitch %s: %v", cidr, err)
	}
	return id
}

// Instance adds an instance to the inventory and returns its id. An empty
// address takes the next free one.
func (p *Plane) Instance(vswitch, address string, kind resource.InstanceKind) string {
	p.t.Helper()
	in := inventory.NewInstance{VSwitch: vswitch, Type: kind}
	if address != "" {
		in.PrivateIP = netip.MustParseAddr(address)
	}
	i, err := p.Inventory.Add(context.Background(), in)
	if err != nil {
		p.t.Fatalf("add instance: %v", err)
	}
	return i.ID
}

// NewHaVip makes a HaVip of c's and returns its id. An empty address takes the next free
// one.
func (p *Plane) NewHaVip(c identity.Caller, vswitch, address string) string {
	p.t.Helper()
	in := havip.NewHaVip{Region: Region, VSwitch: vswitch}
	if x, ok := p.DB.View().VSwitches.Get(vswitch); ok {
		in.Region = x.Region
	}
	if address != "" {
		in.PrivateIP = netip.MustParseAddr(address)
	}
	h, err := p.HaVip.Create(context.Background(), c, in)
	if err != nil {
		p.t.Fatalf("create HaVip: %v", err)
	}
	return h.ID
}

// BindHaVip lets an instance have the address of a HaVip in Region.
func (p *Plane) BindHaVip(c identity.Caller, id, instance string) {
	p.t.Helper()
	if err := p.HaVip.Associate(context.Background(), c, Region, id, instance); err != nil {
		p.t.Fatalf("bind HaVip %s to %s: %v", id, instance, err)
	}
}

// ChangeHaVip changes something of a HaVip that the dataplane has to follow.
func (p *Plane) ChangeHaVip(id string) {
	p.t.Helper()
	h, ok := p.DB.View().HaVips.Get(id)
	if !ok {
		p.t.Fatalf("there is no HaVip %s", id)
	}
	if err := p.HaVip.LetAnyHost(context.Background(), id, !h.AnyHost); err != nil {
		p.t.Fatal(err)
	}
}

// InstanceState puts an instance into a state.
func (p *Plane) InstanceState(id, to string) {
	p.t.Helper()
	if err := p.Inventory.SetState(context.Background(), id, to); err != nil {
		p.t.Fatal(err)
	}
}

// NewEIP allocates an elastic IP in Region.
func (p *Plane) NewEIP(c identity.Caller) eip.Allocated {
	p.t.Helper()
	return p.EIPIn(c, Region)
}

// EIPIn allocates an elastic IP in a region.
func (p *Plane) EIPIn(c identity.Caller, region string) eip.Allocated {
	p.t.Helper()
	e, err := p.EIP.Allocate(context.Background(), c, eip.Request{Region: region, Bandwidth: 5})
	if err != nil {
		p.t.Fatalf("allocate elastic IP: %v", err)
	}
	return e
}

// Bind binds an elastic IP.
func (p *Plane) Bind(c identity.Caller, id string, kind resource.BindingType, to string) {
	p.t.Helper()
	if err := p.EIP.Associate(context.Background(), c, id, resource.Binding{Type: kind, ID: to}); err != nil {
		p.t.Fatalf("bind %s to %s: %v", id, to, err)
	}
}

// Gateway makes the NAT gateway of a VPC in Region.
func (p *Plane) Gateway(c identity.Caller, vpc string) nat.NewGateway {
	p.t.Helper()
	region := Region
	if v, ok := p.DB.View().VPCs.Get(vpc); ok {
		region = v.Region
	}
	g, err := p.NAT.CreateGateway(context.Background(), c, nat.Gateway{Region: region, VPC: vpc, Limits: dataplane.Limits{Connections: 10_000, NewPerSecond: 1_000}})
	if err != nil {
		p.t.Fatalf("create NAT gateway: %v", err)
	}
	return g
}

// Route adds a custom route entry to an instance.
func (p *Plane) Route(c identity.Caller, table, destination string, kind resource.NextHopType, hop string) {
	p.t.Helper()
	_, err := p.Network.CreateRouteEntry(context.Background(), c, network.NewRouteEntry{Table: table, Destination: netip.MustParsePrefix(destination), NextHopType: kind, NextHopID: hop})
	if err != nil {
		p.t.Fatalf("create route entry %s: %v", destination, err)
	}
}

// Tunnels is how the connections and SSL-VPN servers of all networks are; the zero value has
// none. It implements vpn.Plane.
type Tunnels struct {
	SSLServers
	mu     sync.Mutex
	status map[string]dataplane.VPNStatus
	lacks  dataplane.Encryption
	unable error
	slow   chan struct{} // VPNAbilities waits for it
}

// Set makes a connection be as s says.
func (t *Tunnels) Set(s dataplane.VPNStatus) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.status == nil {
		t.status = map[string]dataplane.VPNStatus{}
	}
	t.status[s.Connection] = s
}

// Lack has the dataplane lack an encryption from now on; empty: it has all.
func (t *Tunnels) Lack(e dataplane.Encryption) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lacks = e
}

// Slow has the dataplane take its time to tell what it can carry, until done is called.
func (t *Tunnels) Slow() (done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.slow = make(chan struct{})
	return sync.OnceFunc(func() { close(t.slow) })
}

// Unable decides from now on why there can be no tunnels; nil if there can.
func (t *Tunnels) Unable(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unable = why
}

// VPNPath implements vpn.Plane.
func (t *Tunnels) VPNPath() (dataplane.VPNPath, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return dataplane.VPNByXFRM, t.unable
}

// VPNAbilities implements vpn.Plane.
func (t *Tunnels) VPNAbilities(context.Context) *dataplane.VPNAbilities {
	t.mu.Lock()
	if slow := t.slow; slow != nil {
		t.mu.Unlock()
		<-slow
		t.mu.Lock()
	}
	defer t.mu.Unlock()
	a := &dataplane.VPNAbilities{Path: dataplane.VPNByXFRM, NoneBecause: t.unable, IKEVersions: map[int]bool{1: true, 2: true},
		Encryptions: map[dataplane.Encryption]bool{}, Integrities: map[dataplane.Integrity]bool{}, Groups: map[dataplane.DHGroup]bool{}}
	for _, e := range append(dataplane.Encryptions(), dataplane.Null) {
		a.Encryptions[e] = e != t.lacks
	}
	for _, i := range dataplane.Integrities() {
		a.Integrities[i] = true
	}
	for _, g := range dataplane.DHGroups() {
		a.Groups[g] = true
	}
	return a
}

// VPN implements vpn.Plane.
func (t *Tunnels) VPN(context.Context, string) (map[string]dataplane.VPNStatus, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.status), nil
}

// Refused checks that err is a refusal for that reason, with a detail.
func Refused(t testing.TB, err error, reason fault.Reason) {
	t.Helper()
	var f *fault.Error
	switch {
	case !errors.As(err, &f):
		t.Errorf("%v, want a refusal: %s", err, reason)
	case f.Reason != reason:
		t.Errorf("refused with %q, want %q", f, reason)
	case f.Detail == "":
		t.Errorf("refusal %q does not say what was wrong", f)
	}
}

// Put writes a resource past the services.
func (p *Plane) Put(r resource.Resource) error {
	return p.DB.Update(context.Background(), func(tx *state.Tx) error { tx.Put(r); return nil })
}

// Drop deletes a resource past the services.
func (p *Plane) Drop(r resource.Resource) error {
	return p.DB.Update(context.Background(), func(tx *state.Tx) error { tx.Delete(r); return nil })
}

// Join has security groups hold for an instance's primary interface.
func (p *Plane) Join(instance string, groups ...string) {
	p.t.Helper()
	err := p.DB.Update(context.Background(), func(tx *state.Tx) error {
		n, ok := tx.PrimaryInterface(instance)
		if !ok {
			return fmt.Errorf("instance %s has no primary interface", instance)
		}
		n = n.Clone().(*resource.NetworkInterface)
		n.SecurityGroups = groups
		tx.Put(n)
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}
