package bandwidth_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"sluice/controlplane/bandwidth"
	"sluice/controlplane/compile"
	"sluice/controlplane/eip"
	"sluice/controlplane/resource"
)

// limit is what holds of an elastic IP by the model.
type limit struct {
	own, cap int
	pkg      string // empty: none
	bound    int    // 1 and 2: VPC; 0: none
}

// TestModel makes calls at random, and compares what the networks of two VPCs are given
// with what a model of packages says; a network that is compiled from the one before is as
// one that is compiled from nothing.
func TestModel(t *testing.T) {
	s := newSite(t)
	s.ok(t, s.Bandwidth.Delete(ctx, alice, region, s.cbwp, false))
	r := rand.New(rand.NewPCG(14, 1))
	elastic, packages := map[string]*limit{}, map[string]int{}
	address := map[string]netip.Addr{}
	for i, id := range s.eip {
		elastic[id], address[id] = &limit{own: 5, bound: i + 1}, s.elastic(t, id).Address
	}
	for range 4 {
		made := s.NewEIP(alice)
		elastic[made.ID], address[made.ID] = &limit{own: 5}, made.Address
	}
	compilers := [2]*compile.Compiler{compile.New(s.Settings, s.vpc[0], nil), compile.New(s.Settings, s.vpc[1], nil)}
	done, refused := map[string]int{}, 0
	for range 500 {
		ids := slices.Sorted(maps.Keys(elastic))
		id := ids[r.IntN(len(ids))]
		e, mbit := elastic[id], 1+r.IntN(40)
		p := "cbwp-none"
		if all := slices.Sorted(maps.Keys(packages)); len(all) > 0 {
			p = all[r.IntN(len(all))]
		}
		var err error
		change := func() {}
		what := []string{"create", "add", "add", "add", "remove", "cap", "uncap", "spec", "delete", "modify", "bind", "bind", "unbind"}[r.IntN(13)]
		switch what {
		case "create":
			var made string
			made, err = s.Bandwidth.Create(ctx, alice, bandwidth.Package{Region: region, Bandwidth: mbit, Charge: resource.ByVolume})
			change = func() { packages[made] = mbit }
		case "add":
			err = s.Bandwidth.Add(ctx, alice, region, p, id)
			change = func() { e.pkg = p }
		case "remove":
			err = s.Bandwidth.Remove(ctx, alice, region, p, id)
			change = func() { e.pkg, e.cap = "", 0 }
		case "cap":
			err = s.Bandwidth.Cap(ctx, alice, region, p, id, mbit)
			change = func() { e.cap = mbit }
		case "uncap":
			err = s.Bandwidth.Cap(ctx, alice, region, p, id, 0)
			change = func() { e.cap = 0 }
		case "spec":
			err = s.Bandwidth.ModifyBandwidth(ctx, alice, region, p, mbit)
			change = func() { packages[p] = mbit }
		case "delete":
			force := r.IntN(3) == 0
			err = s.Bandwidth.Delete(ctx, alice, region, p, force)
			change = func() {
				delete(packages, p)
				for _, e := range elastic {
					if e.pkg == p {
						e.pkg, e.cap = "", 0
					}
				}
			}
		case "modify":
			err = s.EIP.Modify(ctx, alice, id, eip.Change{Bandwidth: &mbit})
			change = func() { e.own = mbit }
		case "bind":
			i := r.IntN(2)
			err = s.EIP.Associate(ctx, alice, id, resource.Binding{Type: resource.BoundToHost, ID: s.host[i]})
			change = func() { e.bound = i + 1 }
		case "unbind":
			i := r.IntN(2)
			err = s.EIP.Unassociate(ctx, alice, id, resource.Binding{Type: resource.BoundToHost, ID: s.host[i]}, false)
			change = func() { e.bound = 0 }
		}
		if err != nil {
			refused++
			continue
		}
		done[what]++
		change()
		for i, c := range compilers {
			compare(t, s, c, i, elastic, packages, address)
			if t.Failed() {
				t.Fatalf("after %s of %s, package %s", what, id, p)
			}
		}
	}
	if t.Logf("done %v, refused %d", done, refused); len(done) < 10 {
		t.Errorf("only %v was ever done", done)
	}
}

// compare compares the bandwidths that a VPC is compiled to with the model.
func compare(t *testing.T, s *site, c *compile.Compiler, i int, elastic map[string]*limit, packages map[string]int, address map[string]netip.Addr) {
	t.Helper()
	v := s.DB.View()
	n, err := c.Network(v, s.DB.Changes)
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err := compile.Network(v, s.Settings, s.vpc[i], nil); err != nil || !reflect.DeepEqual(n, fresh) {
		t.Errorf("from the network before %+v, from nothing %+v, %v", n.Bandwidths, fresh.Bandwidths, err)
	}
	want := map[string]string{}
	for id, e := range elastic {
		switch {
		case e.bound != i+1:
		case e.pkg == "":
			want[id] = fmt.Sprint("", e.own, max(e.own, 10), []netip.Addr{address[id]})
		default: // of a package it has a part, by which it is counted
			part := cmp.Or(e.cap, packages[e.pkg])
			want[id] = fmt.Sprint(e.pkg, part, max(part, 10), []netip.Addr{address[id]})
			want[e.pkg] = fmt.Sprint("", packages[e.pkg], max(packages[e.pkg], 10), []netip.Addr(nil))
		}
	}
	got := map[string]string{}
	for _, b := range n.Bandwidths {
		got[b.ID] = fmt.Sprint(b.Within, b.Outbound, b.Inbound, b.Elastic)
	}
	if !maps.Equal(got, want) {
		t.Errorf("VPC %d: %v\nwant %v", i, got, want)
	}
}
