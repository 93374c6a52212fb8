package ipsec

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"sluice/dataplane"
)

// Whatever comes, goes, changes and comes back, and whoever reads the file: no
// number is given to two things, and nothing that stays gets another one.
func TestIdentifiers(t *testing.T) {
	seeds := uint64(30)
	if testing.Short() {
		seeds = 6
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 0))
		path := []dataplane.VPNPath{dataplane.VPNByXFRM, dataplane.VPNByLibipsec}[seed%2]
		n := identifiers{}
		links := map[string]uint32{}
		if seed%3 == 0 { // as an earlier version numbered them
			for i := range uint32(3) {
				links[fmt.Sprintf("vco-%d", i)] = i + 1
			}
		}
		held := map[string]uint32{}  // what was given to what is there
		owner := map[uint32]string{} // what each number was ever given to
		var conns []dataplane.VPNConnection
		for range 200 {
			if len(conns) > 0 && r.IntN(2) == 0 {
				i := r.IntN(len(conns))
				conns = append(conns[:i:i], conns[i+1:]...)
			}
			for k := range r.IntN(3) {
				c := usual()
				c.ID, c.IKE.Version = fmt.Sprintf("vco-%d", r.IntN(4)+4*k), 1+r.IntN(2)
				var remotes []netip.Prefix
				for j := range 1 + r.IntN(3) {
					remotes = append(remotes, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(1 + j), byte(r.IntN(2)), 0}), 24))
				}
				c.Policies = dataplane.Product(c.Policies.Locals(), remotes)
				if r.IntN(2) == 0 {
					c.Policies = append(c.Policies, dataplane.VPNPolicy{Local: netip.MustParsePrefix("10.77.0.0/24"), Remotes: remotes[:1]})
				}
				for i := range conns {
					if conns[i].ID == c.ID {
						conns = append(conns[:i:i], conns[i+1:]...)
						break
					}
				}
				conns = append(conns, c)
			}
			changed := n.number(path, conns, links)
			if n.number(path, conns, links) {
				t.Fatalf("seed %d: numbered again, it changes", seed)
			}
			now := map[string]uint32{}
			for i := range conns {
				of := n.of(&conns[i])
				if (of.link != 0) != (path == dataplane.VPNByXFRM) {
					t.Fatalf("seed %d: %s on %s has if_id %d", seed, conns[i].ID, path, of.link)
				}
				if of.link != 0 {
					now["link "+conns[i].ID] = of.link
					links[conns[i].ID] = of.link
				}
				for name, ts := range configured(&conns[i], false) {
					now[childKey(name, ts)] = of.children[name]
				}
			}
			different := len(now) != len(held)
			for what, id := range now {
				if id == 0 {
					t.Fatalf("seed %d: %s has none", seed, what)
				}
				if had, ok := held[what]; ok && had != id {
					t.Fatalf("seed %d: %s had %d, now %d", seed, what, had, id)
				}
				if was, ok := owner[id]; ok && was != what || held[what] == 0 && ok && id >= firstIdentifier {
					t.Fatalf("seed %d: %d was given to %s, now to %s", seed, id, was, what)
				}
				owner[id] = what
				different = different || held[what] == 0
			}
			if different && !changed {
				t.Fatalf("seed %d: a change is not noted", seed)
			}
			for id := range links {
				if now["link "+id] == 0 {
					delete(links, id)
				}
			}
			held = now
			b, err := json.Marshal(n)
			if err != nil {
				t.Fatal(err)
			}
			n = identifiers{}
			if err := json.Unmarshal(b, &n); err != nil {
				t.Fatal(err)
			}
		}
	}
}
