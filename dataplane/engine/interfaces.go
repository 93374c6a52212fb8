package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cilium/ebpf"

	"sluice/dataplane"
	"sluice/dataplane/link"
	"sluice/dataplane/plan"
	"sluice/dataplane/route"
	"sluice/dataplane/session"
	"sluice/dataplane/shape"
)

// linksOf returns the links of a network, which are linked with other networks' where these
// ask for that.
func (e *Engine) linksOf(n *network) *link.Links {
	l := link.New(n.ns, e.self)
	l.Asked = e.asked(n.id)
	l.Linked = func(r *dataplane.RouterInterface) { e.linked(r.Network) }
	return l
}

// linked has a network see to its end of a router interface that another one has just linked.
func (e *Engine) linked(id string) {
	e.mu.Lock()
	n := e.networks[id]
	e.mu.Unlock()
	if n != nil {
		n.stale.Or(staleLinked | staleTunnels) // at once: an apply may take them any time
		e.tunnelsChanged(id)
	}
}

// followLinked has the networks at the other ends of a network's router interfaces see to those
// that have been linked, unless they have done so since: they were applied before, when there
// was nothing to lead anything into. What a router interface is reported for leads both ways.
func (e *Engine) followLinked(ctx context.Context, want *dataplane.Network) error {
	var failed []error
	seen := map[string]bool{want.ID: true}
	for next := []*dataplane.Network{want}; len(next) > 0; next = next[1:] {
		for i := range next[0].RouterInterfaces {
			id := next[0].RouterInterfaces[i].Network
			e.mu.Lock()
			n := e.networks[id]
			e.mu.Unlock()
			// One that is at it is waited for.
			if n == nil || seen[id] || n.stale.Load()&staleLinked == 0 && !n.following.Load() {
				continue
			}
			seen[id] = true
			n.mu.Lock()
			other := n.wanted.Load()
			if n.over || other == nil || n.stale.Load()&staleLinked == 0 {
				n.mu.Unlock()
				continue
			}
			_, err := e.apply(ctx, n)
			next, failed = append(next, other), append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// asked returns whether the network with the other end of a router interface of network id
// asks for it, in the newest version that it was to be applied in. So a network which has given it up
// is not linked by one that has not heard of it yet.
func (e *Engine) asked(id string) func(*dataplane.RouterInterface) bool {
	return func(r *dataplane.RouterInterface) bool {
		e.mu.Lock()
		other := e.networks[r.Network]
		e.mu.Unlock()
		if other == nil {
			return false
		}
		want := other.wanted.Load()
		return want != nil && slices.ContainsFunc(want.RouterInterfaces, func(o dataplane.RouterInterface) bool {
			return o.ID == r.Peer && o.Peer == r.ID && o.Network == id
		})
	}
}

// interfacesFor returns what the programs are told of router interfaces; index returns the
// index of a link, 0 where there is none.
func interfacesFor(want *dataplane.Network, index func(name string) int) (all []session.Interface) {
	cpus, _ := ebpf.PossibleCPU()
	for i := range want.RouterInterfaces {
		r := &want.RouterInterfaces[i]
		all = append(all, session.Interface{ID: r.ID, Index: index(r.Link()), Limit: shape.Reckoned(r.Bandwidth, cpus)})
	}
	return all
}

// queuesOf compares the queues of a network's router interfaces with their bandwidths.
func queuesOf(n *network, want *dataplane.Network) *plan.Plan {
	mbit := map[string]int{}
	for i := range want.RouterInterfaces {
		if r := &want.RouterInterfaces[i]; link.Works(n.ns, r) {
			mbit[r.Link()] = r.Bandwidth
		}
	}
	return shape.Interfaces(n.ns, mbit)
}

// Interfaces returns how the router interfaces of a network are, by id. What has come in by one is
// what has left by its peer.
func (e *Engine) Interfaces(_ context.Context, id string) ([]dataplane.InterfaceStatus, error) {
	n, err := e.lock(id)
	if err != nil {
		return nil, err
	}
	want := n.wanted.Load()
	n.mu.Unlock()
	if want == nil {
		return nil, nil
	}
	all := make([]dataplane.InterfaceStatus, len(want.RouterInterfaces))
	peers := map[string][]string{} // by network
	for i := range want.RouterInterfaces {
		r := &want.RouterInterfaces[i]
		peers[r.Network] = append(peers[r.Network], r.Peer)
	}
	own, err := e.leftBy(id, nil)
	if err != nil {
		return nil, err
	}
	left := map[string]map[string]dataplane.InterfaceStatus{}
	for network, ids := range peers {
		if left[network], err = e.leftBy(network, ids); err != nil {
			return nil, err
		}
	}
	for i := range want.RouterInterfaces {
		r := &want.RouterInterfaces[i]
		s, peer := own[r.ID], left[r.Network][r.Peer]
		s.ID, s.Inbound = r.ID, peer.Outbound
		s.Inbound.Packets -= min(s.Inbound.Packets, peer.Dropped)
		all[i] = s
	}
	return all, nil
}

// leftBy returns what is known of a network's own ends of router interfaces: of those with some ids, or of
// all if there are none.
func (e *Engine) leftBy(id string, ids []string) (map[string]dataplane.InterfaceStatus, error) {
	e.mu.Lock()
	n := e.networks[id]
	e.mu.Unlock()
	if n == nil {
		return nil, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	want := n.wanted.Load()
	if n.over || n.ns == nil || want == nil {
		return nil, nil
	}
	var traffic map[string]dataplane.Volume
	if n.sessions != nil {
		var err error
		if traffic, err = n.sessions.Interfaces(); err != nil {
			return nil, err
		}
	}
	out := map[string]dataplane.InterfaceStatus{}
	for i := range want.RouterInterfaces {
		r := &want.RouterInterfaces[i]
		if len(ids) > 0 && !slices.Contains(ids, r.ID) {
			continue
		}
		s := dataplane.InterfaceStatus{Linked: link.Works(n.ns, r), Reached: n.tunnels[r.ID].Up, Outbound: traffic[r.ID]}
		if s.Linked {
			s.Dropped, _ = shape.Dropped(n.ns, r.Link())
		}
		out[r.ID] = s
	}
	return out, nil
}

// interfaceState returns how a router interface is, for routes.
func (e *Engine) interfaceState(n *network, r *dataplane.RouterInterface) route.Tunnel {
	if !link.Works(n.ns, r) {
		return route.Tunnel{}
	}
	return route.Tunnel{Link: r.Link(), Up: r.Check == nil || !e.vpn.health.Status(n.id)[r.ID].Failed}
}

// A router interface's health check: an echo request every 2 s. It fails with the third that
// is lost in a row. An answer by another way is none: what is led to this one has to come back,
// too (Express Connect's manual has it so of health checks).
const (
	interfaceCheckEvery  = 2 * time.Second
	interfaceCheckLosses = 3
)

// checksOf returns all health checks of a network, by the id of what each is of.
func checksOf(n *dataplane.Network) map[string]dataplane.VPNHealth {
	out := checks(withIPsec(n.VPNGateways))
	for i := range n.RouterInterfaces {
		if r := &n.RouterInterfaces[i]; r.Check != nil {
			out[r.ID] = dataplane.VPNHealth{Source: r.Check.Source, Destination: r.Check.Target, Interval: interfaceCheckEvery, Retries: interfaceCheckLosses, SameWay: true}
		}
	}
	return out
}

// Network returns the network as it was to be applied last, which must not be changed; nil
// if it is not known.
func (e *Engine) Network(id string) *dataplane.Network {
	e.mu.Lock()
	n := e.networks[id]
	e.mu.Unlock()
	if n == nil {
		return nil
	}
	return n.wanted.Load()
}
