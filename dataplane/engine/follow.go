package engine

import (
	"context"

	"sluice/dataplane"
	"sluice/dataplane/conntrack"
	"sluice/dataplane/route"
)

// decided is what decides the way and the source of a network's connections.
type decided struct {
	network *dataplane.Network
	tunnels route.Tunnels
}

// follow ends the connections of which something else would be made now, if
// there may be any: something that decides is another than it was, or was other
// than it should be, or what connections have been made by is not known. A crash
// before it leaves such connections; the next process does not know what they
// follow, and finds them when it adopts the network.
func (j *job) follow(ctx context.Context) {
	n := j.n
	known := n.followed
	if known != nil && (j.routes == nil || j.routes.Empty()) && !conntrack.Differ(known.network, j.want, known.tunnels, n.tunnels) {
		n.followed = &decided{j.want, n.tunnels} // what was added may be withdrawn next
		return
	}
	n.followed = nil
	ended, err := conntrack.Sweep(ctx, n.ns, conntrack.NewModel(j.want, n.tunnels))
	if ended > 0 {
		j.e.log.Info("connections ended that would have another way or source now", "network", n.id, "connections", ended)
	}
	if err != nil {
		j.runner.Add(err)
	} else {
		n.followed = &decided{j.want, n.tunnels}
	}
	// Its session goes with conntrack's event, its path at once.
	n.renewPaths()
}
