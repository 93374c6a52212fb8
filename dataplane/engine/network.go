package engine

import (
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/netns"
	"sluice/dataplane/nft"
	"sluice/dataplane/portsecurity"
	"sluice/dataplane/route"
	"sluice/dataplane/session"
)

// Parts of a network's state that may be other than remembered.
const (
	staleName       = 1 << iota // the namespace's name
	staleLinks                  // links, addresses, routes, rules, egress filter
	staleRules                  // nftables
	staleSysctls                // found by audits only: the kernel reports no changes
	staleTunnels                // how the VPN gateway's tunnels are
	staleBandwidths             // of elastic IPs; found by audits only, mostly
	staleLinked                 // another network has linked a router interface, as it should
	staleAll        = staleName | staleLinks | staleRules | staleSysctls | staleTunnels | staleBandwidths
)

// network is what the engine remembers of one network.
type network struct {
	id string

	mu          sync.Mutex
	over        bool // removed, or the engine is closed
	ns          *netns.Namespace
	table       *nft.Table
	watch       *watch
	wanted      atomic.Pointer[dataplane.Network] // what the last Apply was for, also if it failed; nil before the first
	applied     *dataplane.Network                // what the kernel holds completely, nil before the first success
	rules       *nft.Ruleset                      // what the kernel's table holds, nil where that is not known
	compiled    *nft.Ruleset                      // what was compiled last; nil before
	unsupported bool                              // it was said that the kernel cannot run the session programs
	held        *portsecurity.Holding             // what the tables of port security hold, nil where that is not known
	unheld      bool                              // it was said that the kernel cannot have them
	groups      groups
	groupDrops  groupDrops
	claims      claims
	haVips      haVips
	dhcp        dhcpServers
	followed    *decided      // what connections follow, nil where that is not known
	tunnels     route.Tunnels // of the VPN gateway, as its routes were last made for
	tunnelLinks []string      // names of the links that lead into them, once they are there

	sessionsMu sync.Mutex       // held to change sessions (with mu held as well), or to use it without mu
	sessions   *session.Network // nil without a public side, or where the engine has none
	places     []session.Link   // where its programs belong, as of the last comparison
	shortcut   bool             // whether its programs forward

	stale     atomic.Uint32 // parts that the next Apply reads
	following atomic.Bool   // an Apply under way sees to what another network has linked
	repairs   repairs

	pendingMu sync.Mutex
	pending   uint32 // parts that events were about, not looked at yet
	timer     *time.Timer
	later     *time.Timer // looks again at what has been repaired too often; nil until there was such a thing
}

// close gives back what is open, with n.mu held. The kernel's state stays.
func (n *network) close() {
	n.over = true
	n.pendingMu.Lock()
	if n.timer != nil {
		n.timer.Stop()
	}
	if n.later != nil {
		n.later.Stop()
	}
	n.pendingMu.Unlock()
	n.release()
}

func (n *network) release() {
	n.closeHaVips()
	n.closeDHCP()
	n.closeGroups()
	n.closeSessions()
	if n.watch != nil {
		n.watch.close()
	}
	if n.table != nil {
		n.table.Close()
	}
	if n.ns != nil {
		n.ns.Close()
	}
	n.watch, n.table, n.ns, n.rules, n.held, n.applied, n.followed = nil, nil, nil, nil, nil, nil, nil
}

// sameTopology reports whether two versions of a network have the same links,
// addresses, routes and sysctls.
func sameTopology(a, b *dataplane.Network) bool {
	return a.Prefix == b.Prefix && slices.Equal(a.Secondary, b.Secondary) && a.Timeouts == b.Timeouts && a.Shortcut == b.Shortcut &&
		slices.Equal(a.Switches, b.Switches) && slices.Equal(a.Elastic, b.Elastic) && sameLine(a.Line, b.Line) && reflect.DeepEqual(a.Classic, b.Classic) && reflect.DeepEqual(a.RouterInterfaces, b.RouterInterfaces) &&
		reflect.DeepEqual(a.VPNGateways, b.VPNGateways) && (a.Uplink == nil) == (b.Uplink == nil) && (a.Uplink == nil || *a.Uplink == *b.Uplink) &&
		sameRoutes(a.Routes, b.Routes) && slices.EqualFunc(a.Tables, b.Tables, func(x, y dataplane.RouteTable) bool {
		return x.ID == y.ID && slices.Equal(x.Switches, y.Switches) && sameRoutes(x.Routes, y.Routes)
	})
}

func sameLine(a, b *dataplane.Line) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

func sameRoutes(a, b []dataplane.Route) bool {
	return slices.EqualFunc(a, b, func(x, y dataplane.Route) bool {
		return x.Destination == y.Destination && slices.Equal(x.NextHops, y.NextHops)
	})
}
