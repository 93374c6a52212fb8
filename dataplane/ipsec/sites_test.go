package ipsec

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// event does something to the lab.
func (l *sitesLab) event(r *rand.Rand) string {
	l.t.Helper()
	s := l.sites[r.IntN(len(l.sites))]
	if to := l.to[r.IntN(len(l.to))]; len(to.sites) > 1 && r.IntN(3) == 0 {
		site := to.sites[r.IntN(len(to.sites))]
		l.name(to, site)
		return fmt.Sprintf("route to %s names site %d", to.prefix, site)
	}
	switch n := r.IntN(20); {
	case n < 4 && s.alive:
		s.kill()
		return fmt.Sprintf("kill site %d", s.n)
	case n < 8:
		s.start()
		return fmt.Sprintf("start site %d", s.n)
	case n < 10:
		s.plugged(false)
		return fmt.Sprintf("unplug site %d", s.n)
	case n < 13:
		s.plugged(true)
		return fmt.Sprintf("plug site %d", s.n)
	case n < 15 && s.alive:
		kids := children(&s.c)
		for name := range kids {
			_, _ = s.trySwanctl("--initiate", "--child", name, "--timeout", "1")
		}
		return fmt.Sprintf("site %d begins", s.n)
	case n < 16 && s.alive:
		_, _ = s.trySwanctl("--terminate", "--ike", "peer", "--timeout", "1")
		return fmt.Sprintf("site %d ends", s.n)
	case n < 17:
		l.m.Load().Close()
		l.open()
		return "another Gateways"
	case n < 18:
		gateways := l.m.Load().of(network)
		g := gateways[r.IntN(len(gateways))]
		g.mu.Lock()
		if g.charon != nil {
			_ = unix.Kill(g.charon.process.PID, unix.SIGKILL)
		}
		g.mu.Unlock()
		return fmt.Sprintf("kill charon %d", g.slot)
	}
	if _, ok := l.want[s.c.ID]; ok && len(l.want) > 1 {
		delete(l.want, s.c.ID)
		l.apply()
		return fmt.Sprintf("connection %s goes", s.c.ID)
	}
	l.want[s.c.ID] = s.c
	l.apply()
	return fmt.Sprintf("connection %s comes", s.c.ID)
}

// Whatever is lost and comes back, in whatever order: no site sees anything of
// another's. SLUICE_SITES is how many events there are, SLUICE_SEED with what they
// begin.
func TestSites(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	events, seed := 12, uint64(time.Now().UnixNano())
	if n, err := strconv.Atoi(os.Getenv("SLUICE_SITES")); err == nil {
		events = n
	}
	if n, err := strconv.ParseUint(os.Getenv("SLUICE_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Parallel()
	for _, path := range []dataplane.VPNPath{dataplane.VPNByXFRM, dataplane.VPNByLibipsec} {
		for i := range sitePlans {
			t.Run(fmt.Sprint(path, " ", sitePlans[i].name), func(t *testing.T) {
				t.Parallel()
				t.Logf("SLUICE_SEED=%d", seed)
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				l := newSitesLab(t, path, &sitePlans[i], r)
				l.traffic()
				l.all()
				if i == 0 { // how it was first seen
					l.sites[1].kill()
					l.lose(1)
					l.sites[0].kill()
					l.lose(0)
					l.sites[0].start()
					l.reach(0)
					l.sites[1].start()
					l.reach(1)
					l.check()
				}
				for range events {
					t.Log(l.event(r))
					l.dwell(1 << r.IntN(11))
					l.check()
				}
				for _, s := range l.sites {
					s.start()
					s.plugged(true)
					l.want[s.c.ID] = s.c
				}
				l.apply()
				l.all()
			})
		}
	}
}

// A gateway's site keeps its slot, whichever others come and go, with the same peer at
// another gateway among them, and where an older version has noted only the peer.
func TestDivide(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	m := &Gateways{path: dataplane.VPNByLibipsec, options: Options{Dir: t.TempDir()}}
	peers := []string{"198.51.100.1", "198.51.100.2", "198.51.100.3"}
	if err := errors.Join(os.MkdirAll(m.siteDir(network, 0), 0o700), os.MkdirAll(m.siteDir(network, 1), 0o700),
		os.WriteFile(filepath.Join(m.siteDir(network, 0), siteFile), []byte(peers[1]+"\n"), 0o600),
		os.WriteFile(filepath.Join(m.siteDir(network, 1), siteFile), []byte(peers[0]+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	at := map[ends]int{{netip.MustParseAddr(peers[1]), "vpn-b"}: 0, {netip.MustParseAddr(peers[0]), "vpn-b"}: 1}
	for step := range 200 {
		var want []dataplane.VPNGateway
		count := 0
		for _, id := range []string{"vpn-a", "vpn-b", "vpn-c"} {
			g := dataplane.VPNGateway{ID: id, Address: netip.MustParseAddr(gatewayAddr)}
			for k, p := range peers {
				if r.IntN(2) == 0 || step == 0 {
					g.Connections = append(g.Connections, dataplane.VPNConnection{ID: fmt.Sprint(id, "-", k), Remote: netip.MustParseAddr(p)})
				}
			}
			if step == 0 && id != "vpn-b" {
				continue // an older version had one
			}
			want = append(want, g)
			count += len(g.Connections)
		}
		sites, gone, err := m.divide(network, want)
		if err != nil {
			t.Fatal(err)
		}
		names, err := m.Links(network, want)
		if err != nil || len(names) != len(sites) || len(sites) != count {
			t.Fatalf("step %d: %d sites of %d connections with links %v, %v", step, len(sites), count, names, err)
		}
		now := map[ends]int{}
		for _, s := range sites {
			if slot, known := at[s.ends]; known && slot != s.slot {
				t.Fatalf("step %d: %v has slot %d, had %d", step, s.ends, s.slot, slot)
			}
			if !slices.Contains(names, dataplane.TUNLink(s.slot)) || len(s.want.Connections) != 1 || s.want.ID != s.ends.gateway {
				t.Fatalf("step %d: site %+v, links %v", step, s, names)
			}
			now[s.ends] = s.slot
		}
		for _, slot := range gone {
			if err := os.RemoveAll(m.siteDir(network, slot)); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.noteSites(network, sites); err != nil {
			t.Fatal(err)
		}
		at = now
	}
}
