package ipsec

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/process"
	"sluice/dataplane/netns"
)

// site is what one charon of a network carries: where it does ESP itself, one gateway's
// connections with one address; else all of all gateways, as only one charon in a
// namespace can have IKE's ports.
type site struct {
	slot   int // what its links are numbered by, and its directory
	ends   ends
	want   dataplane.VPNGateway  // whose Connections may be those of several
	locals map[string]netip.Addr // the gateways' addresses, by connection
}

// ends tells one site of a network from another; the zero ends are all.
type ends struct {
	peer    netip.Addr // its address
	gateway string     // id of the VPN gateway; empty where an older version has noted none
}

// siteFile, in a site's directory, has its ends. It is there before its charon,
// so that a slot is not given to another while there is anything of it.
const siteFile = "site"

// siteDir returns the directory of a network's site. The first one is that of the
// network itself.
func (m *Gateways) siteDir(network string, slot int) string {
	name := dataplane.LinkName(network) // short, as the path of a socket must be
	if slot > 0 {
		name += "." + strconv.Itoa(slot)
	}
	return filepath.Join(m.options.Dir, name)
}

// slots returns the sites that a network has directories of, by slot; the ends
// are the zero ones where none are noted.
func (m *Gateways) slots(network string) (map[int]ends, error) {
	entries, err := os.ReadDir(m.options.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	out := map[int]ends{}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), dataplane.LinkName(network))
		slot, err := strconv.Atoi(strings.TrimPrefix(rest, "."))
		if !ok || rest != "" && (err != nil || slot <= 0 || rest[0] != '.') {
			continue
		}
		b, err := os.ReadFile(filepath.Join(m.options.Dir, e.Name(), siteFile))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		peer, gateway, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
		if a, err := netip.ParseAddr(peer); err == nil {
			out[slot] = ends{a, gateway}
		} else {
			out[slot] = ends{}
		}
	}
	return out, nil
}

// divide returns the sites of a network's gateways, and the slots whose site is not
// one of them any more. A gateway's address keeps its slot.
func (m *Gateways) divide(network string, want []dataplane.VPNGateway) (sites []site, gone []int, err error) {
	slots, err := m.slots(network)
	if err != nil {
		return nil, nil, err
	}
	by := map[ends]*site{}
	at := func(e ends, v *dataplane.VPNGateway) *site {
		if by[e] == nil {
			by[e] = &site{slot: -1, ends: e, want: *v, locals: map[string]netip.Addr{}}
			by[e].want.Connections = nil
		}
		return by[e]
	}
	for v, c := range dataplane.AllConnections(want) {
		e := ends{c.Remote, v.ID}
		if m.path != dataplane.VPNByLibipsec {
			e = ends{}
		}
		s := at(e, v)
		s.want.Connections = append(s.want.Connections, *c)
		s.locals[c.ID] = v.Address
	}
	if m.path != dataplane.VPNByLibipsec && len(want) > 0 {
		names := make([]string, len(want))
		for i := range want {
			names[i] = want[i].ID
		}
		at(ends{}, &want[0]).want.ID = strings.Join(names, ", ")
	}
	for _, slot := range slices.Sorted(maps.Keys(slots)) {
		e := slots[slot]
		for i := 0; e.peer.IsValid() && e.gateway == "" && i < len(want); i++ {
			if by[ends{e.peer, want[i].ID}] != nil {
				e.gateway = want[i].ID
			}
		}
		if s := by[e]; s != nil && s.slot < 0 && (e.peer.IsValid() || slot == 0) {
			s.slot = slot
		} else if _, err := os.Stat(filepath.Join(m.siteDir(network, slot), settingsFile)); err == nil || slot > 0 {
			gone = append(gone, slot)
		}
	}
	used := map[int]bool{}
	for _, s := range by {
		used[s.slot] = true
	}
	inOrder := func(a, b ends) int { return cmp.Or(a.peer.Compare(b.peer), cmp.Compare(a.gateway, b.gateway)) }
	for _, e := range slices.SortedFunc(maps.Keys(by), inOrder) {
		s := by[e]
		for next := 0; s.slot < 0; next++ {
			if !used[next] {
				s.slot, used[next] = next, true
			}
		}
		if s.slot >= mostSlots {
			return nil, nil, fmt.Errorf("the network's VPN gateways have more than %d peers", mostSlots)
		}
		sites = append(sites, *s)
	}
	slices.SortFunc(sites, func(a, b site) int { return cmp.Compare(a.slot, b.slot) })
	return sites, gone, nil
}

// noteSites makes directories for the sites, and notes whose they are.
func (m *Gateways) noteSites(network string, sites []site) error {
	errs := []error{os.MkdirAll(m.siteDir(network, 0), 0o700)} // also without a site: the network has something of ours
	for _, s := range sites {
		if !s.ends.peer.IsValid() {
			continue
		}
		dir := m.siteDir(network, s.slot)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			errs = append(errs, err)
			continue
		}
		name, text := filepath.Join(dir, siteFile), fmt.Sprintf("%s %s\n", s.ends.peer, s.ends.gateway)
		if b, err := os.ReadFile(name); err != nil || string(b) != text {
			errs = append(errs, writeFile(name, []byte(text)))
		}
	}
	return errors.Join(errs...)
}

// dismiss takes down what the charons of a network's sites have, all at once, so that
// their peers need not find out by themselves. What a peer has just begun comes to an
// end: it is refused.
func (m *Gateways) dismiss(network string, slots []int) {
	var all sync.WaitGroup
	for _, g := range m.of(network) {
		if slices.Contains(slots, g.slot) {
			all.Go(g.dismiss)
		}
	}
	all.Wait()
}

func (g *gateway) dismiss() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.charon == nil || g.stopped {
		return
	}
	g.want.Connections = nil // and so nothing is begun, and all there is leaves
	// Whatever fails here, it is ended.
	for id := range g.loaded {
		_, _ = g.charon.do("unload-conn", section{"name": id})
	}
	tick := time.NewTicker(deleteLook)
	defer tick.Stop()
	for end := time.Now().Add(deleteTime); time.Now().Before(end); <-tick.C {
		sas, err := g.charon.list()
		if err != nil || len(sas) == 0 || g.finishDeletes(sas) != nil {
			break
		}
	}
	if g.ends.peer.IsValid() {
		g.m.log.Info("ended a site's charon", "network", g.network, "gateway", g.ends.gateway, "peer", g.ends.peer)
	}
}

// removeSite ends a site's charon and removes its directory, which goes last, so
// that after a crash the rest is found again.
func (m *Gateways) removeSite(network string, slot int) error {
	if err := m.endSite(network, slot); err != nil {
		return err
	}
	return os.RemoveAll(m.siteDir(network, slot))
}

// endSite ends a site's charon, and first of all who would start it again.
func (m *Gateways) endSite(network string, slot int) error {
	dir := m.siteDir(network, slot)
	m.mu.Lock()
	g := m.gateways[dir]
	delete(m.gateways, dir)
	m.mu.Unlock()
	if g != nil {
		g.stop()
	}
	return process.EndAll(isCharon(dir))
}

// of returns a network's gateways.
func (m *Gateways) of(network string) []*gateway {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*gateway
	for _, g := range m.gateways {
		if g.network == network {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b *gateway) int { return cmp.Compare(a.slot, b.slot) })
	return out
}

// leading is whose IKE and ESP a network's outerTable leads where.
type leading struct {
	gateways []netip.Addr      // their addresses
	sites    map[int]endpoints // by slot
}

type endpoints struct{ site, gateway netip.Addr }

// lead makes IKE and ESP find to the sites' charons.
func (m *Gateways) lead(ns *netns.Namespace, network string, want []dataplane.VPNGateway, sites []site) error {
	if m.path != dataplane.VPNByLibipsec {
		return nil
	}
	to := leading{sites: map[int]endpoints{}}
	for i := range want {
		to.gateways = append(to.gateways, want[i].Address)
	}
	for _, s := range sites {
		to.sites[s.slot] = endpoints{s.ends.peer, s.want.Address}
	}
	m.mu.Lock()
	had, led := m.led[network]
	m.led[network] = to
	m.mu.Unlock()
	changed, err := setOuter(ns, to)
	if changed && led && slices.Equal(had.gateways, to.gateways) && maps.Equal(had.sites, to.sites) {
		m.log.Warn("repaired what leads IKE and ESP to charons, which somebody else had changed", "network", network, "table", outerTable)
	}
	return err
}

// Misled reports whether somebody else has changed what leads a network's IKE and ESP
// to its charons, or that cannot be read; Apply puts it right.
func (m *Gateways) Misled(ns *netns.Namespace, network string) bool {
	m.mu.Lock()
	to, led := m.led[network]
	m.mu.Unlock()
	if !led {
		return false
	}
	is, err := leads(ns, to)
	return err != nil || !is
}
