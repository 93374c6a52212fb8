package vpn_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"go4.org/netipx"

	"sluice/controlplane/fault"
	"sluice/controlplane/network"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/vpn"
)

// poolWorld is a VPC with an SSL-VPN server, or none, and what a model knows of it: sets of
// addresses.
type poolWorld struct {
	*site
	r      *rand.Rand
	server string // its id, or none
	pool   netip.Prefix
	local  []netip.Prefix

	blocks  []netip.Prefix            // of the VPC
	remote  map[string][]netip.Prefix // of connections' sites, by id
	entries []netip.Prefix            // of its route table
}

// prefix draws one from so few that they often overlap.
func (w *poolWorld) prefix(bits ...int) netip.Prefix {
	roots := [][4]byte{{10, 0}, {10, 1}, {10, 2}, {172, 16}, {172, 17}, {192, 168}}
	a := roots[w.r.IntN(len(roots))]
	a[2] = []byte{0, 1, 2, 128}[w.r.IntN(4)]
	a[3] = []byte{0, 8, 128}[w.r.IntN(3)]
	p, _ := netip.AddrFrom4(a).Prefix(bits[w.r.IntN(len(bits))])
	return p
}

func (w *poolWorld) prefixes(most int, bits ...int) (list []netip.Prefix) {
	for range 1 + w.r.IntN(most) {
		if p := w.prefix(bits...); !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

func setOf(lists ...[]netip.Prefix) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, l := range lists {
		for _, p := range l {
			b.AddPrefix(p)
		}
	}
	s, err := b.IPSet()
	if err != nil {
		panic(err) // it is of valid prefixes
	}
	return s
}

// sites are the addresses at remote sites, as far as connections tell.
func (w *poolWorld) sites() (all []netip.Prefix) {
	for _, list := range w.remote {
		for _, p := range list {
			if p.Bits() > 0 {
				all = append(all, p)
			}
		}
	}
	return all
}

// fits says whether a pool is of addresses that nothing else has.
func (w *poolWorld) fits(pool netip.Prefix, local []netip.Prefix) bool {
	inside := setOf([]netip.Prefix{pool})
	return !setOf(w.blocks, local, w.sites()).OverlapsPrefix(pool) && !slices.ContainsFunc(w.entries, inside.ContainsPrefix)
}

// is says whether an error is a refusal for a reason.
func is(err error, want fault.Reason) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Reason == want
}

// decided checks that a call was refused for a reason just where the model refuses it. Other
// reasons are not this test's.
func decided(t *testing.T, what string, err error, why fault.Reason, allowed bool) {
	t.Helper()
	if allowed == is(err, why) || !allowed && err == nil {
		t.Fatalf("%s: by the model allowed is %t; the answer is %v", what, allowed, err)
	}
}

// TestSSLPoolModel: whatever is done in whatever order, the addresses of an SSL-VPN server's
// clients are nobody else's, and nothing is refused without need.
func TestSSLPoolModel(t *testing.T) {
	steps := 400
	if testing.Short() {
		steps = 120
	}
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := remote(t)
			vpc, _ := s.DB.View().VPCs.Get(s.vpc)
			w := &poolWorld{site: s, r: rand.New(rand.NewPCG(seed, 15)), blocks: slices.Clone(vpc.Blocks()), remote: map[string][]netip.Prefix{}}
			var refused, accepted int
			for range steps {
				if w.step(t, vpc.RouteTable) {
					accepted++
				} else {
					refused++
				}
				if w.server != "" && !w.fits(w.pool, w.local) {
					t.Fatalf("pool %s is beside blocks %s, reach %s, sites %s, entries %s", w.pool, w.blocks, w.local, w.sites(), w.entries)
				}
				if x, ok := s.DB.View().SSLServers.Get(w.server); ok != (w.server != "") || ok && (x.Pool != w.pool || !slices.Equal(x.Local, w.local)) {
					t.Fatalf("the server is %+v, not of pool %s that reaches %s", x, w.pool, w.local)
				}
			}
			if refused < steps/10 || accepted < steps/10 {
				t.Errorf("%d refused, %d accepted", refused, accepted)
			}
		})
	}
}

// step does one thing, and says whether it was accepted.
func (w *poolWorld) step(t *testing.T, table string) bool {
	t.Helper()
	switch w.r.IntN(7) {
	case 0: // a server comes, or goes
		if w.server != "" {
			succeeds(t, w.VPN.DeleteSSLServer(ctx, planetest.Alice, planetest.Region, w.server))
			w.server = ""
			return true
		}
		pool, local := w.prefix(16, 24, 29), w.prefixes(3, 8, 16, 24)
		x, err := w.newServer(vpn.SSLSettings{Pool: &pool, Local: local})
		decided(t, fmt.Sprintf("a server of %s that reaches %s", pool, local), err, fault.SSLPool, w.fits(pool, local))
		if err == nil {
			w.server, w.pool, w.local = x.ID, pool, local
		}
		return err == nil
	case 1, 2: // it changes
		if w.server == "" {
			return w.step(t, table)
		}
		pool, local, in := w.pool, w.local, vpn.SSLSettings{}
		if w.r.IntN(3) > 0 {
			pool = w.prefix(16, 24, 29)
			in.Pool = &pool
		}
		if in.Pool == nil || w.r.IntN(3) == 0 {
			local = w.prefixes(3, 8, 16, 24)
			in.Local = local
		}
		_, err := w.VPN.ModifySSLServer(ctx, planetest.Alice, vpn.SSLServerChange{Region: planetest.Region, ID: w.server, Settings: in})
		decided(t, fmt.Sprintf("a server of %s that reaches %s", pool, local), err, fault.SSLPool, w.fits(pool, local))
		if err == nil {
			w.pool, w.local = pool, local
		}
		return err == nil
	case 3: // a block comes, or goes
		if len(w.blocks) > 2 {
			gone := w.blocks[len(w.blocks)-1]
			err := w.Network.UnassociateCIDR(ctx, planetest.Alice, planetest.Region, w.vpc, gone)
			if err == nil {
				w.blocks = w.blocks[:len(w.blocks)-1]
			}
			return err == nil
		}
		block := w.prefix(16, 24)
		free := !setOf(w.blocks).OverlapsPrefix(block) && (w.server == "" || !w.pool.Overlaps(block))
		err := w.Network.AssociateCIDR(ctx, planetest.Alice, planetest.Region, w.vpc, block)
		decided(t, fmt.Sprintf("block %s", block), err, fault.SecondaryCIDROverlap, free)
		if err == nil {
			w.blocks = append(w.blocks, block)
		}
		return err == nil
	case 4, 5: // a connection comes, changes, or goes
		return w.connection(t)
	}
	return w.entry(t, table)
}

func (w *poolWorld) connection(t *testing.T) bool {
	t.Helper()
	subnets := w.prefixes(3, 8, 16, 24, 29)
	if w.r.IntN(8) == 0 {
		subnets = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	}
	apart := w.server == "" || subnets[0].Bits() == 0 || !setOf(subnets).OverlapsPrefix(w.pool)
	what := fmt.Sprintf("a site of %s", subnets)
	for id := range w.remote {
		if w.r.IntN(2) == 0 {
			succeeds(t, w.VPN.DeleteConnection(ctx, planetest.Alice, planetest.Region, id))
			delete(w.remote, id)
			return true
		}
		_, err := w.VPN.ModifyConnection(ctx, planetest.Alice, vpn.ConnectionChange{Region: planetest.Region, ID: id, Settings: vpn.ConnectionSettings{RemoteSubnets: subnets}})
		if err == nil && !apart {
			t.Fatalf("%s is accepted beside pool %s", what, w.pool)
		}
		if err == nil {
			w.remote[id] = subnets
		}
		return err == nil
	}
	x, err := w.VPN.CreateConnection(ctx, planetest.Alice, vpn.NewConnection{Region: planetest.Region, Gateway: w.gateway, CustomerGateway: w.customer,
		Settings: vpn.ConnectionSettings{LocalSubnets: w.prefixes(1, 24), RemoteSubnets: subnets, AutoConfigRoute: ptr(false)}})
	if err == nil && !apart {
		t.Fatalf("%s is accepted beside pool %s", what, w.pool)
	}
	if err == nil {
		w.remote[x.ID] = subnets
	}
	return err == nil
}

func (w *poolWorld) entry(t *testing.T, table string) bool {
	t.Helper()
	if len(w.entries) > 3 {
		gone := w.entries[0]
		succeeds(t, w.Network.DeleteRouteEntry(ctx, planetest.Alice, network.OldRouteEntry{Table: table, Destination: gone, NextHopID: w.gateway}))
		w.entries = w.entries[1:]
		return true
	}
	to := w.prefix(8, 16, 24, 29)
	_, err := w.Network.CreateRouteEntry(ctx, planetest.Alice, network.NewRouteEntry{Table: table, Destination: to, NextHopType: resource.NextHopVPNGateway, NextHopID: w.gateway})
	if err == nil && w.server != "" && setOf([]netip.Prefix{w.pool}).ContainsPrefix(to) {
		t.Fatalf("a route entry for %s is accepted beside pool %s", to, w.pool)
	}
	if err == nil {
		w.entries = append(w.entries, to)
	}
	return err == nil
}
