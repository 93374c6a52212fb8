package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// topology is VPCs with a host each, of which some have the same block, and router
// interfaces and routes between them as they come.
type topology struct {
	*rand.Rand
	vpcs []*vpc
	pair int
}

// numbers are those of the VPCs' blocks.
var numbers = []int{1, 2, 3, 1, 4}

// change makes every VPC another version of itself: pairs of interfaces come and go, some are
// asked for by one side alone, and routes lead anywhere.
func (p *topology) change() {
	for _, v := range p.vpcs {
		v.renew()
		v.RouterInterfaces, v.Routes, v.Tables = slices.Clone(v.RouterInterfaces), nil, nil
	}
	for _, v := range p.vpcs {
		v.RouterInterfaces = slices.DeleteFunc(v.RouterInterfaces, func(dataplane.RouterInterface) bool { return p.IntN(3) == 0 })
	}
	for range 4 {
		at := p.Perm(len(p.vpcs))
		a, b := p.vpcs[at[0]], p.vpcs[at[1]]
		p.pair++
		x := dataplane.RouterInterface{ID: fmt.Sprintf("ri-%d-a", p.pair), Peer: fmt.Sprintf("ri-%d-b", p.pair), Network: b.ID, Bandwidth: p.IntN(2) * 1000}
		a.RouterInterfaces = append(a.RouterInterfaces, x)
		if p.IntN(5) > 0 {
			b.RouterInterfaces = append(b.RouterInterfaces, dataplane.RouterInterface{ID: x.Peer, Peer: x.ID, Network: a.ID, Bandwidth: x.Bandwidth})
		}
	}
	for _, v := range p.vpcs {
		slices.SortFunc(v.RouterInterfaces, func(a, b dataplane.RouterInterface) int { return compareText(a.ID, b.ID) })
		v.Routes = p.routes(v)
		if p.IntN(4) == 0 {
			v.Tables = []dataplane.RouteTable{{ID: "vtb-1", Switches: []string{"vsw-a"}, Routes: p.routes(v)}}
		}
	}
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (p *topology) routes(v *vpc) (all []dataplane.Route) {
	if len(v.RouterInterfaces) == 0 {
		return nil
	}
	for _, to := range []string{"10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.3.1.0/24", "10.4.0.0/15", "10.0.0.0/8", "0.0.0.0/0"} {
		d := netip.MustParsePrefix(to)
		if p.IntN(3) == 0 || d == v.Prefix {
			continue
		}
		by := v.RouterInterfaces[p.IntN(len(v.RouterInterfaces))].ID
		all = append(all, dataplane.Route{Destination: d, NextHops: []dataplane.NextHop{{Interface: by}}})
	}
	return all
}

// linked returns the VPC and the interface at the other end of one, if both ask for it.
func (p *topology) linked(v *vpc, id string) (*vpc, string) {
	for _, r := range v.RouterInterfaces {
		if r.ID != id {
			continue
		}
		for _, other := range p.vpcs {
			if other.ID == r.Network && slices.ContainsFunc(other.RouterInterfaces, func(o dataplane.RouterInterface) bool { return o.ID == r.Peer }) {
				return other, r.Peer
			}
		}
	}
	return nil, ""
}

// by is the interface that a route table leads an address to; empty if that is none.
func by(routes []dataplane.Route, a netip.Addr) string {
	id, bits := "", -1
	for _, r := range routes {
		if r.Destination.Contains(a) && r.Destination.Bits() > bits {
			id, bits = r.NextHops[0].Interface, r.Destination.Bits()
		}
	}
	return id
}

func inside(v *vpc, a netip.Addr) bool { return v.Switches[0].Prefix.Contains(a) }

// arrives returns the VPC in whose VSwitch a packet from a host of one ends, or nil: what
// the dataplane has to do, by routes and interfaces alone.
func (p *topology) arrives(v *vpc, source, destination netip.Addr) *vpc {
	routes := v.Routes
	if len(v.Tables) > 0 {
		routes = v.Tables[0].Routes
	}
	for range 64 { // the packet's TTL
		if inside(v, destination) {
			return v
		}
		next, in := p.linked(v, by(routes, destination))
		if next == nil {
			return nil
		}
		back := !inside(next, source) && (by(next.Routes, source) == in ||
			len(next.Tables) > 0 && by(next.Tables[0].Routes, source) == in)
		if !back {
			return nil
		}
		v, routes = next, next.Routes
	}
	return nil
}

// ask has a host send to another's address, and returns the number of the host that answers;
// -1 if none does.
func (p *topology) ask(t testing.TB, from *vpc, to netip.Addr) int {
	answer := -1
	err := from.host.Do(func() error {
		c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: to.AsSlice(), Port: 7})
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Write([]byte("?")); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		b := make([]byte, 9)
		if n, err := c.Read(b); err == nil && n == 1 {
			answer = int(b[0])
		}
		return nil
	})
	if err != nil && !errors.Is(err, syscall.ENETUNREACH) {
		t.Error(err)
	}
	return answer
}

// numbered has the host of a VPC answer with its number.
func numbered(t testing.TB, v *vpc, number int) {
	t.Helper()
	var c *net.UDPConn
	err := v.host.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 7})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 9)
		for {
			_, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDPAddrPort([]byte{byte(number)}, from)
		}
	}()
}

// Who reaches whom is what routes and interfaces say, whatever order networks follow in, and
// whatever was before; no packet is anywhere else.
func TestRandomTopologies(t *testing.T) {
	t.Parallel()
	steps := 8
	if testing.Short() {
		steps = 3
	}
	s := newSite(t)
	e := s.engine(t)
	seed := rand.Uint64()
	p := &topology{Rand: rand.New(rand.NewPCG(seed, 16))}
	for i, number := range numbers {
		v := s.vpc(t, e, number, p.IntN(2) == 0)
		numbered(t, v, i)
		p.vpcs = append(p.vpcs, v)
	}
	reached, not := 0, 0
	// A few steps may be too few for anybody to reach another one.
	for step := 0; step < steps || step < 40 && (reached == 0 || not == 0); step++ {
		p.change()
		for _, i := range p.Perm(len(p.vpcs)) {
			mustApply(t, e, p.vpcs[i].Network)
		}
		for _, v := range p.vpcs {
			nstest.Eventually(t, func() error {
				followChanges(t, e, p.vpcs...)
				return p.settled(t, e, v)
			})
		}
		var mu sync.Mutex
		var all sync.WaitGroup
		for i, from := range p.vpcs {
			for k, to := range p.vpcs {
				source, destination := netip.MustParseAddr(from.at()), netip.MustParseAddr(to.at())
				if i == k || source == destination {
					continue
				}
				want := -1
				if there := p.arrives(from, source, destination); there != nil && p.arrives(there, destination, source) == from {
					want = slices.Index(p.vpcs, there)
				}
				all.Go(func() {
					got := p.ask(t, from, destination)
					mu.Lock()
					defer mu.Unlock()
					if got != want {
						t.Errorf("seed %d, step %d: from %d (%s) to %s answers %d, want %d", seed, step, i, from.ID, destination, got, want)
					}
					if want >= 0 {
						reached++
					} else {
						not++
					}
				})
			}
		}
		all.Wait()
		if t.Failed() {
			for i, v := range p.vpcs {
				t.Logf("%d: %s", i, dump(t, v.ID))
			}
			return
		}
	}
	if reached == 0 || not == 0 {
		t.Errorf("seed %d: %d pairs reach each other and %d do not: nothing is shown", seed, reached, not)
	}
}

// settled says what of a VPC is yet to come: interfaces that both ends ask for are linked,
// others are not, and its routes follow.
func (p *topology) settled(t testing.TB, e *Engine, v *vpc) error {
	t.Helper()
	all, err := e.Interfaces(t.Context(), v.ID)
	if err != nil {
		return err
	}
	for _, s := range all {
		if other, _ := p.linked(v, s.ID); s.Linked != (other != nil) || s.Reached != s.Linked {
			return fmt.Errorf("%s: %+v, want linked %v", v.ID, s, other != nil)
		}
	}
	return nil
}
