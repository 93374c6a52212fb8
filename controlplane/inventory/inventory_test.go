package inventory_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/inventory"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

var (
	ctx   = context.Background()
	alice = planetest.Alice
)

func address(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func TestAdd(t *testing.T) {
	p := planetest.New(t)
	vpc := p.VPC(alice, "10.0.0.0/8").VPC
	sw := p.VSwitch(alice, vpc, "10.1.0.0/29")
	i, err := p.Inventory.Add(ctx, inventory.NewInstance{
		ID: "web-1", VSwitch: sw, PrivateIP: address("10.1.0.2"), MAC: "5254.0012.3456", Type: resource.LoadBalancer, State: resource.Stopped,
	})
	if err != nil {
		t.Fatal(err)
	}
	if i.ID != "web-1" || i.VPC != vpc || i.VSwitch != sw || i.PrivateIP != address("10.1.0.2") || i.MAC != "52:54:00:12:34:56" ||
		i.Type != resource.LoadBalancer || i.State != resource.Stopped || i.Account != alice.Account || i.Region != planetest.Region {
		t.Errorf("%+v", i)
	}
	if got, ok := p.Inventory.Get("web-1"); !ok || got != i {
		t.Errorf("%+v, %v", got, ok)
	}
	// Everything that can be left out: the free addresses in turn, until none is.
	var got []string
	for range 3 {
		i, err := p.Inventory.Add(ctx, inventory.NewInstance{VSwitch: sw})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(i.ID, "i-") || i.Type != resource.Host || i.State != resource.Running || i.MAC != "" {
			t.Errorf("%+v", i)
		}
		got = append(got, i.PrivateIP.String())
	}
	if want := []string{"10.1.0.1", "10.1.0.3", "10.1.0.4"}; !slices.Equal(got, want) {
		t.Errorf("addresses %v, want %v", got, want)
	}
	_, err = p.Inventory.Add(ctx, inventory.NewInstance{VSwitch: sw})
	planetest.Refused(t, err, fault.NoFreeAddress)
}

func TestKinds(t *testing.T) {
	p := planetest.New(t)
	sw := p.VSwitch(alice, p.VPC(alice, "10.0.0.0/8").VPC, "10.1.0.0/24")
	for kind, want := range map[resource.InstanceKind]struct{ prefix, state string }{
		resource.Host:         {"i-", resource.Running},
		resource.LoadBalancer: {"lb-", resource.Running},
		resource.Database:     {"rm-", resource.Running},
	} {
		i, err := p.Inventory.Add(ctx, inventory.NewInstance{VSwitch: sw, Type: kind})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(i.ID, want.prefix) || i.State != want.state {
			t.Errorf("%s: %+v", kind, i)
		}
		for _, st := range resource.InstanceStates() {
			if err := p.Inventory.SetState(ctx, i.ID, st); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			if got, _ := p.Inventory.Get(i.ID); got.State != st {
				t.Errorf("%s: state %s, want %s", kind, got.State, st)
			}
		}
		planetest.Refused(t, p.Inventory.SetState(ctx, i.ID, "Asleep"), fault.ParameterInvalid)
	}
	planetest.Refused(t, p.Inventory.SetState(ctx, "i-none", resource.Running), fault.InstanceNotFound)
}

func TestAddRefused(t *testing.T) {
	p := planetest.New(t)
	vpc := p.VPC(alice, "10.0.0.0/8").VPC
	sw := p.VSwitch(alice, vpc, "10.1.0.0/24")
	gateway := p.Gateway(alice, vpc).ID
	taken := p.Instance(sw, "10.1.0.9", resource.Host)
	havip := p.NewHaVip(alice, sw, "10.1.0.10")
	for _, c := range []struct {
		name string
		in   inventory.NewInstance
		want fault.Reason
	}{
		{"no VSwitch", inventory.NewInstance{VSwitch: "vsw-none"}, fault.VSwitchNotFound},
		{"reserved first", inventory.NewInstance{VSwitch: sw, PrivateIP: address("10.1.0.0")}, fault.AddressNotUsable},
		{"the gateway's", inventory.NewInstance{VSwitch: sw, PrivateIP: address("10.1.0.253")}, fault.AddressNotUsable},
		{"broadcast", inventory.NewInstance{VSwitch: sw, PrivateIP: address("10.1.0.255")}, fault.AddressNotUsable},
		{"outside", inventory.NewInstance{VSwitch: sw, PrivateIP: address("10.1.1.1")}, fault.AddressNotUsable},
		{"IPv6", inventory.NewInstance{VSwitch: sw, PrivateIP: address("fd00::1")}, fault.AddressNotUsable},
		{"taken", inventory.NewInstance{VSwitch: sw, PrivateIP: address("10.1.0.9")}, fault.AddressInUse},
		{"id taken", inventory.NewInstance{VSwitch: sw, ID: taken}, fault.InstanceExists},
		{"id of a gateway", inventory.NewInstance{VSwitch: sw, ID: gateway}, fault.InstanceExists},
		{"id too short", inventory.NewInstance{VSwitch: sw, ID: "i"}, fault.ParameterInvalid},
		{"id too long", inventory.NewInstance{VSwitch: sw, ID: strings.Repeat("i", 65)}, fault.ParameterInvalid},
		{"id with a blank", inventory.NewInstance{VSwitch: sw, ID: "web 1"}, fault.ParameterInvalid},
		{"id with a digit first", inventory.NewInstance{VSwitch: sw, ID: "1-web"}, fault.ParameterInvalid},
		{"kind", inventory.NewInstance{VSwitch: sw, Type: "Toaster"}, fault.ParameterInvalid},
		{"MAC", inventory.NewInstance{VSwitch: sw, MAC: "52:54:00"}, fault.ParameterInvalid},
		{"MAC of eight bytes", inventory.NewInstance{VSwitch: sw, MAC: "02:00:5e:10:00:00:00:01"}, fault.ParameterInvalid},
		{"multicast MAC", inventory.NewInstance{VSwitch: sw, MAC: "01:00:5e:00:00:01"}, fault.ParameterInvalid},
		{"state", inventory.NewInstance{VSwitch: sw, State: "Asleep"}, fault.ParameterInvalid},
		{"address of a HaVip", inventory.NewInstance{VSwitch: sw, PrivateIP: address("10.1.0.10")}, fault.AddressInUse},
		{"id of a HaVip", inventory.NewInstance{VSwitch: sw, ID: havip}, fault.InstanceExists},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := p.Inventory.Add(ctx, c.in)
			planetest.Refused(t, err, c.want)
		})
	}
	p.Settings.Quotas["instances_per_vpc"] = 1
	_, err := p.Inventory.Add(ctx, inventory.NewInstance{VSwitch: sw})
	planetest.Refused(t, err, fault.QuotaInstance)
	// The same address in another VPC is another address.
	other := p.VSwitch(alice, p.VPC(alice, "10.0.0.0/8").VPC, "10.1.0.0/24")
	p.Instance(other, "10.1.0.9", resource.Host)
}

// What an instance is held to can be put right while something depends on it, and is
// followed by the dataplane.
func TestChangeInstance(t *testing.T) {
	p := planetest.New(t)
	sw := p.VSwitch(alice, p.VPC(alice, "10.0.0.0/8").VPC, "10.1.0.0/24")
	id := p.Instance(sw, "10.1.0.9", resource.Host)
	change := func(err error) *resource.Instance {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		i, _ := p.Inventory.Get(id)
		return i
	}
	before, _ := p.Inventory.Get(id)
	if i := change(p.Inventory.SetMAC(ctx, id, "5254.0012.3456")); i.MAC != "52:54:00:12:34:56" || i.Generation <= before.Generation {
		t.Errorf("%+v", i)
	}
	if i := change(p.Inventory.SetMAC(ctx, id, "")); i.MAC != "" {
		t.Errorf("%+v", i)
	}
	own := dataplane.Limits{Connections: 500}
	if i := change(p.Inventory.SetLimits(ctx, id, &own)); i.Limits == nil || *i.Limits != own {
		t.Errorf("%+v", i)
	}
	if i := change(p.Inventory.SetLimits(ctx, id, nil)); i.Limits != nil {
		t.Errorf("%+v", i)
	}
	for _, mac := range []string{"52:54:00", "01:00:5e:00:00:01", "x"} {
		planetest.Refused(t, p.Inventory.SetMAC(ctx, id, mac), fault.ParameterInvalid)
	}
	for _, l := range []dataplane.Limits{{Connections: -1}, {NewPerSecond: -1}, {Connections: 2_000_000_000}} {
		planetest.Refused(t, p.Inventory.SetLimits(ctx, id, &l), fault.ParameterInvalid)
	}
	planetest.Refused(t, p.Inventory.SetMAC(ctx, "i-none", ""), fault.InstanceNotFound)
	planetest.Refused(t, p.Inventory.SetLimits(ctx, "i-none", nil), fault.InstanceNotFound)
}

func TestLookup(t *testing.T) {
	p := planetest.New(t)
	vpc := p.VPC(alice, "10.0.0.0/8").VPC
	sw := p.VSwitch(alice, vpc, "10.1.0.0/24")
	id := p.Instance(sw, "10.1.0.9", resource.Database)
	v := p.DB.View()
	if i, ok := v.InstanceAt(vpc, address("10.1.0.9")); !ok || i.ID != id {
		t.Errorf("%+v, %v", i, ok)
	}
	if i, ok := v.InstanceAt(vpc, address("10.1.0.10")); ok {
		t.Errorf("%+v", i)
	}
	if i, ok := v.InstanceAt("vpc-none", address("10.1.0.9")); ok {
		t.Errorf("%+v", i)
	}
}

func TestList(t *testing.T) {
	p := planetest.New(t)
	one, two := p.VPC(alice, "10.0.0.0/8").VPC, p.VPC(planetest.Bob, "10.0.0.0/8").VPC
	a, b, c := p.VSwitch(alice, one, "10.1.0.0/24"), p.VSwitch(alice, one, "10.2.0.0/24"), p.VSwitch(planetest.Bob, two, "10.1.0.0/24")
	var ids []string
	for _, sw := range []string{c, a, b, a} {
		ids = append(ids, p.Instance(sw, "", resource.Host))
	}
	for _, x := range []struct {
		filter inventory.Filter
		want   []string
	}{
		{inventory.Filter{}, ids},
		{inventory.Filter{VPC: one}, ids[1:]},
		{inventory.Filter{VSwitch: a}, []string{ids[1], ids[3]}},
		{inventory.Filter{VPC: one, VSwitch: a}, []string{ids[1], ids[3]}},
		{inventory.Filter{VPC: two, VSwitch: a}, nil},
		{inventory.Filter{VSwitch: "vsw-none"}, nil},
	} {
		var got []string
		for _, i := range p.Inventory.List(x.filter) {
			got = append(got, i.ID)
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("%+v: %v, want %v", x.filter, got, x.want)
		}
	}
}

func TestRemove(t *testing.T) {
	p := planetest.New(t)
	made := p.VPC(alice, "10.0.0.0/8")
	sw := p.VSwitch(alice, made.VPC, "10.1.0.0/24")
	id := p.Instance(sw, "", resource.Host)
	e := p.NewEIP(alice).ID
	p.Bind(alice, e, resource.BoundToHost, id)
	planetest.Refused(t, p.Inventory.Remove(ctx, id), fault.InstanceHasDependents)
	if err := p.EIP.Unassociate(ctx, alice, e, resource.Binding{Type: resource.BoundToHost, ID: id}, false); err != nil {
		t.Fatal(err)
	}
	p.Route(alice, made.RouteTable, "1.0.0.0/8", "", id)
	planetest.Refused(t, p.Inventory.Remove(ctx, id), fault.InstanceHasDependents)
	r, _ := p.DB.View().RouteEntries.Get(made.RouteTable + "/1.0.0.0/8")
	if err := p.Drop(r); err != nil {
		t.Fatal(err)
	}
	if err := p.Inventory.Remove(ctx, id); err != nil {
		t.Fatal(err)
	}
	if _, ok := p.Inventory.Get(id); ok {
		t.Error("still there")
	}
	planetest.Refused(t, p.Inventory.Remove(ctx, id), fault.InstanceNotFound)
}
