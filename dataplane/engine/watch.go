package engine

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
	"sluice/dataplane/nft"
)

// watch hears of changes in one namespace.
type watch struct {
	conns  []io.Closer
	rules  *nft.Listener
	closed atomic.Bool
	done   sync.WaitGroup
}

// watchNetwork begins to listen in a namespace, before it is read for the
// first time, so that no change is missed.
func (e *Engine) watchNetwork(n *network, ns *netns.Namespace) (*watch, error) {
	w := &watch{}
	links, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{
		NetNS: int(ns.Handle()),
		Groups: unix.RTMGRP_LINK | unix.RTMGRP_TC | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE |
			1<<(unix.RTNLGRP_IPV4_RULE-1),
	})
	if err != nil {
		return nil, fmt.Errorf("watch links and routes in %s: %w", ns, err)
	}
	w.conns = append(w.conns, links)
	w.rules, err = nft.Listen(ns.Handle())
	if err != nil {
		w.close()
		return nil, fmt.Errorf("watch nftables in %s: %w", ns, err)
	}
	w.conns = append(w.conns, w.rules)
	w.done.Go(func() {
		e.receive(n, w, staleLinks, func() (bool, error) {
			_, err := links.Receive()
			return err == nil, err
		})
	})
	w.done.Go(func() { e.receive(n, w, staleRules, w.rules.Receive) })
	return w, nil
}

// receive reports events until the connection is closed.
func (e *Engine) receive(n *network, w *watch, part uint32, next func() (matters bool, err error)) {
	for {
		matters, err := next()
		switch {
		case w.closed.Load():
			return // whatever the error: a closed connection is wanted
		case err == nil:
			if matters {
				if part == staleLinks {
					n.renewPaths()
				}
				e.enqueue(n, part)
			}
		case errors.Is(err, unix.ENOBUFS):
			// There were more events than room for them; some are lost.
			n.renewPaths()
			e.enqueue(n, part)
		default:
			e.log.Warn("changes by others are only found by audits from now on", "network", n.id, "error", err)
			e.enqueue(n, part)
			return
		}
	}
}

func (w *watch) close() {
	w.closed.Store(true)
	for _, c := range w.conns {
		c.Close()
	}
	w.done.Wait()
}
