package network_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/network"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// TestChangeRoutes: random changes of a route table against a model. What is refused changes
// nothing, whatever of it would have been right.
func TestChangeRoutes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	p := planetest.New(t)
	vpc := p.VPC(alice, "10.8.0.0/16")
	sw := p.VSwitch(alice, vpc.VPC, "10.8.1.0/24")
	hosts := []string{p.Instance(sw, "10.8.1.10", resource.Host), p.Instance(sw, "10.8.1.11", resource.Host)}
	p.Settings.Quotas["route_entries"] = 6

	model := map[netip.Prefix]string{}
	block := func() netip.Prefix { return prefix(fmt.Sprintf("192.168.%d.0/24", r.IntN(10))) }
	for range 400 {
		in := network.RouteChanges{Table: vpc.RouteTable, All: r.IntN(6) == 0}
		next, ok := maps.Clone(model), true
		if in.All {
			clear(next)
		}
		for range r.IntN(3) {
			d, number := block(), int64(17)
			if e, found := p.DB.View().RouteEntries.Get(resource.RouteEntryID(vpc.RouteTable, d)); found {
				number = resource.EntryNumber(e.Table, e.Destination, e.Created)
			}
			in.Remove = append(in.Remove, number)
			ok = ok && model[d] != "" && slices.Index(in.Remove, number) == len(in.Remove)-1
			delete(next, d)
		}
		if in.All {
			in.Remove, ok = nil, true
		}
		for range r.IntN(4) {
			d, host := block(), hosts[r.IntN(2)]
			in.Add = append(in.Add, network.NewRouteEntry{Destination: d, NextHopType: resource.NextHopHost, NextHopID: host})
			ok = ok && next[d] == ""
			next[d] = host
			ok = ok && len(next) <= 6
		}
		err := p.Network.ChangeRoutes(ctx, alice, in)
		if (err == nil) != ok {
			t.Fatalf("with %v: %+v: %v, want success %v", model, in, err, ok)
		}
		if ok {
			model = next
		}
		got := map[netip.Prefix]string{}
		for e := range p.DB.View().RouteEntries.By(state.ByTable, vpc.RouteTable).All() {
			got[e.Destination] = e.NextHops[0].ID
		}
		if !maps.Equal(got, model) {
			t.Fatalf("after %+v (%v) there is %v, want %v", in, err, got, model)
		}
	}
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// TestChangeRoutesOf: what is not the caller's, or no entry of a client's, is refused.
func TestChangeRoutesOf(t *testing.T) {
	p := planetest.New(t)
	vpc := p.VPC(alice, "10.8.0.0/16")
	p.VSwitch(alice, vpc.VPC, "10.8.1.0/24")
	p.Gateway(alice, vpc.VPC)
	entry, ok := p.DB.View().RouteEntries.Get(resource.RouteEntryID(vpc.RouteTable, prefix("0.0.0.0/0")))
	if !ok || !entry.System {
		t.Fatalf("the NAT gateway's entry is %+v", entry)
	}
	system := resource.EntryNumber(entry.Table, entry.Destination, entry.Created)
	for _, c := range []struct {
		name   string
		in     network.RouteChanges
		reason fault.Reason
	}{
		{"system entry", network.RouteChanges{Table: vpc.RouteTable, Remove: []int64{system}}, fault.RouteSystem},
		{"no entry", network.RouteChanges{Table: vpc.RouteTable, Remove: []int64{1}}, fault.RouteEntryNotFound},
		{"no table", network.RouteChanges{Table: "rtb-none"}, fault.RouteTableNotFound},
		{"elsewhere", network.RouteChanges{Region: planetest.Elsewhere, Table: vpc.RouteTable}, fault.RouteTableNotFound},
	} {
		t.Run(c.name, func(t *testing.T) { planetest.Refused(t, p.Network.ChangeRoutes(ctx, alice, c.in), c.reason) })
	}
	planetest.Refused(t, p.Network.ChangeRoutes(ctx, bob, network.RouteChanges{Table: vpc.RouteTable}), fault.RouteTableNotFound)
	if err := p.Network.ChangeRoutes(ctx, alice, network.RouteChanges{Table: vpc.RouteTable, All: true}); err != nil {
		t.Fatal(err)
	}
	if _, ok := p.DB.View().RouteEntries.Get(entry.ID); !ok {
		t.Error("a reset has taken the NAT gateway's entry")
	}
}
