package compile

import (
	"cmp"
	"slices"

	"sluice/controlplane/state"
	"sluice/dataplane"
)

// routerInterfaces are the network's ends of the links to other routers: those that are connected,
// while neither end is deactivated. What leaves by either has the bandwidth of the one that
// has initiated the connection, of which there is one.
func (j *job) routerInterfaces() error {
	v, n := j.v, j.network
	n.RouterInterfaces = nil
	own := v.RouterInterfaces.By(state.ByRouter, n.ID)
	if j.border == nil {
		n.RouterInterfaces = j.accelerated()
		own = v.RouterInterfaces.By(state.ByVPC, n.ID)
	}
	for r := range own.All() {
		if r.Link == nil {
			continue
		}
		peer, ok := v.RouterInterfaces.Get(r.Link.Peer)
		if !ok || !r.Connects(peer) || r.Initiates == peer.Initiates || !r.Up() || !peer.Up() {
			continue
		}
		x := dataplane.RouterInterface{ID: r.ID, Peer: peer.ID, Network: peer.Network(), Bandwidth: r.Bandwidth}
		if !r.Initiates {
			x.Bandwidth = peer.Bandwidth
		}
		if r.Check != nil {
			x.Check = &dataplane.InterfaceCheck{Source: r.Check.Source, Target: r.Check.Target}
		}
		n.RouterInterfaces = append(n.RouterInterfaces, x)
	}
	slices.SortFunc(n.RouterInterfaces, func(a, b dataplane.RouterInterface) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}
