package classic_test

import (
	"context"
	"net/netip"
	"testing"

	"sluice/controlplane/compile"
	"sluice/controlplane/fault"
	"sluice/controlplane/inventory"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/dataplane"
)

var (
	ctx   = context.Background()
	alice = planetest.Alice
)

const region = planetest.Region

func newPlane(t *testing.T) *planetest.Plane {
	p := planetest.New(t)
	p.Settings.Classic = []settings.ClassicNetwork{{
		Region: region, Device: "eth3", Prefix: netip.MustParsePrefix("10.200.0.0/24"),
		Pool: []settings.Range{{First: netip.MustParseAddr("10.200.0.250"), Last: netip.MustParseAddr("10.200.0.251")}},
	}}
	for _, c := range []string{alice.Account, planetest.Bob.Account} {
		if err := p.Put(&resource.Account{Meta: resource.Meta{ID: c, Account: c}}); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func add(t *testing.T, p *planetest.Plane, id, address, mac string) {
	t.Helper()
	_, err := p.Inventory.AddClassic(ctx, inventory.NewClassicInstance{ID: id, Account: alice.Account, Region: region, Address: netip.MustParseAddr(address), MAC: mac})
	if err != nil {
		t.Fatal(err)
	}
}

func network(t *testing.T, p *planetest.Plane, vpc string) *dataplane.Classic {
	t.Helper()
	n, err := compile.Network(p.DB.View(), p.Settings, vpc, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n.Classic
}

// The inventory takes instances of the classic network, apart from routers' addresses.
func TestInventory(t *testing.T) {
	p := newPlane(t)
	add(t, p, "i-old", "10.200.0.5", "5254.0012.3456")
	good := inventory.NewClassicInstance{Account: alice.Account, Region: region, Address: netip.MustParseAddr("10.200.0.6")}
	for want, change := range map[fault.Reason]func(*inventory.NewClassicInstance){
		fault.RegionNotFound:   func(i *inventory.NewClassicInstance) { i.Region = "mars" },
		fault.ClassicMissing:   func(i *inventory.NewClassicInstance) { i.Region = planetest.Elsewhere },
		fault.AccountNotFound:  func(i *inventory.NewClassicInstance) { i.Account = "nobody" },
		fault.InstanceExists:   func(i *inventory.NewClassicInstance) { i.ID = "i-old" },
		fault.ParameterInvalid: func(i *inventory.NewClassicInstance) { i.MAC = "x" },
		fault.AddressInUse:     func(i *inventory.NewClassicInstance) { i.Address = netip.MustParseAddr("10.200.0.5") },
		fault.AddressNotUsable: func(i *inventory.NewClassicInstance) { i.Address = netip.MustParseAddr("10.200.0.251") },
	} {
		in := good
		change(&in)
		_, err := p.Inventory.AddClassic(ctx, in)
		planetest.Refused(t, err, want)
	}
	for _, a := range []string{"10.200.0.0", "10.200.0.255", "10.201.0.1"} {
		in := good
		in.Address = netip.MustParseAddr(a)
		_, err := p.Inventory.AddClassic(ctx, in)
		planetest.Refused(t, err, fault.AddressNotUsable)
	}
	vpc := p.VPC(alice, "10.8.0.0/16").VPC
	if err := p.Classic.Attach(ctx, alice, region, vpc, []string{"i-old"}); err != nil {
		t.Fatal(err)
	}
	list := p.Inventory.Classic()
	if len(list) != 1 || list[0].MAC != "52:54:00:12:34:56" || list[0].VPC != vpc || list[0].Router.String() != "10.200.0.250" || len(list[0].Blocks) != 1 {
		t.Errorf("%+v", list)
	}
	planetest.Refused(t, p.Inventory.Remove(ctx, "i-old"), fault.InstanceHasDependents)
	if err := p.Inventory.SetMAC(ctx, "i-old", ""); err != nil {
		t.Fatal(err)
	}
	if c := network(t, p, vpc); c.Linked[0].MAC != "" {
		t.Errorf("%+v", c)
	}
	if err := p.Classic.Detach(ctx, alice, region, vpc, []string{"i-old"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Inventory.Remove(ctx, "i-old"); err != nil {
		t.Fatal(err)
	}
	planetest.Refused(t, p.Inventory.Remove(ctx, "i-old"), fault.InstanceNotFound)
}

// What the dataplane is given follows the links; a router keeps its address, and nobody else gets
// it while the VPC is there.
func TestNetwork(t *testing.T) {
	p := newPlane(t)
	add(t, p, "i-a", "10.200.0.9", "")
	add(t, p, "i-b", "10.200.0.5", "02:00:00:00:00:01")
	first, second := p.VPC(alice, "10.8.0.0/16").VPC, p.VPC(alice, "10.8.0.0/16").VPC
	if c := network(t, p, first); c != nil {
		t.Errorf("without links: %+v", c)
	}
	attach := func(vpc string, ids ...string) error { return p.Classic.Attach(ctx, alice, region, vpc, ids) }
	if err := attach(first, "i-a", "i-b", "i-a"); err != nil {
		t.Fatal(err)
	}
	c := network(t, p, first)
	if c == nil || c.Device != "eth3" || c.Address.String() != "10.200.0.250" || len(c.Linked) != 2 || c.Linked[0].Address.String() != "10.200.0.5" || c.Linked[0].MAC == "" || c.Linked[1].MAC != "" {
		t.Errorf("%+v", c)
	}
	if err := p.Classic.Detach(ctx, alice, region, first, []string{"i-a", "i-b"}); err != nil {
		t.Fatal(err)
	}
	if c := network(t, p, first); c != nil {
		t.Errorf("without links again: %+v", c)
	}
	if err := attach(second, "i-a"); err != nil {
		t.Fatal(err)
	}
	if c := network(t, p, second); c.Address.String() != "10.200.0.251" {
		t.Errorf("the other VPC's router has %s", c.Address)
	}
	third := p.VPC(alice, "10.8.0.0/16").VPC
	planetest.Refused(t, attach(third, "i-b"), fault.ClassicNoAddress)
	if err := p.Network.DeleteVPC(ctx, alice, first); err != nil {
		t.Fatal(err)
	}
	if err := attach(third, "i-b"); err != nil {
		t.Fatal(err)
	}
	if c := network(t, p, third); c.Address.String() != "10.200.0.250" {
		t.Errorf("the third VPC's router has %s", c.Address)
	}
	planetest.Refused(t, p.Network.DeleteVPC(ctx, alice, third), fault.VPCHasClassicLinks)
	planetest.Refused(t, p.Network.AssociateCIDR(ctx, alice, region, third, netip.MustParsePrefix("10.200.0.0/16")), fault.SecondaryCIDROverlap)

	// The configuration without it: nothing of the network is made up.
	p.Settings.Classic = nil
	if _, err := compile.Network(p.DB.View(), p.Settings, third, nil); err == nil {
		t.Error("a network with links is compiled without the classic network that they are to")
	}
	if err := p.Classic.Detach(ctx, alice, region, third, []string{"i-b"}); err != nil {
		t.Errorf("links cannot be taken away without the configuration: %v", err)
	}
}

// An instance is linked to another VPC only when the dataplane of the first has let it go, and a
// VPC is deleted only then: its address is another's at once.
func TestWithdrawnFirst(t *testing.T) {
	p := newPlane(t)
	add(t, p, "i-a", "10.200.0.9", "")
	first, second := p.VPC(alice, "10.8.0.0/16").VPC, p.VPC(alice, "10.8.0.0/16").VPC
	if err := p.Classic.Attach(ctx, alice, region, first, []string{"i-a"}); err != nil {
		t.Fatal(err)
	}
	p.Dataplane(planetest.Stalls)
	if err := p.Classic.Detach(ctx, alice, region, first, []string{"i-a"}); err != nil {
		t.Fatal(err)
	}
	planetest.Refused(t, p.Classic.Attach(ctx, alice, region, second, []string{"i-a"}), fault.VPCInTransition)
	planetest.Refused(t, p.Network.DeleteVPC(ctx, alice, first), fault.VPCInTransition)
	p.Dataplane(planetest.Follows)
	p.Follow()
	if err := p.Classic.Attach(ctx, alice, region, second, []string{"i-a"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Network.DeleteVPC(ctx, alice, first); err != nil {
		t.Fatal(err)
	}
}
