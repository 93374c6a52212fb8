package session

import (
	"fmt"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"

	"sluice/dataplane/netns"
)

// readBuffer takes a good part of a dump.
const readBuffer = 4 << 20

// dialConntrack opens a connection to conntrack of a namespace, for the caller to close.
func dialConntrack(ns *netns.Namespace) (*conntrack.Conn, error) {
	c, err := conntrack.Dial(&netlink.Config{NetNS: int(ns.Handle())})
	if err != nil {
		return nil, fmt.Errorf("open conntrack in %s: %w", ns, err)
	}
	_ = c.SetReadBuffer(readBuffer) // less without the privilege
	return c, nil
}

// conntrackFlows lists the network's connections. Conntrack removes what has timed out as
// it comes across it.
func (n *Network) conntrackFlows() ([]conntrack.Flow, error) {
	if n.untracked() {
		return nil, nil
	}
	c, err := dialConntrack(n.ns)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	flows, err := c.Dump(nil)
	if err != nil {
		return nil, fmt.Errorf("list connections in %s: %w", n.ns, err)
	}
	return flows, nil
}

// expire has conntrack remove what has timed out: it does so with what it comes
// across in a dump. The filter matches nothing that we would have to read.
func (n *Network) expire() error {
	if n.untracked() {
		return nil
	}
	c, err := dialConntrack(n.ns)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.DumpFilter(conntrack.Filter{Mark: ^uint32(0), Mask: ^uint32(0)}, nil); err != nil {
		return fmt.Errorf("remove connections that have timed out in %s: %w", n.ns, err)
	}
	return nil
}

// untracked reports whether the network is known to have no connection. A dump goes through
// the table of all namespaces, whether there is anything of this one in it or not.
func (n *Network) untracked() bool {
	t, err := n.readTable()
	return err == nil && t.entries == 0
}
