package ipsec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	rtnetlink "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// watch has the gateway looked at when a link of its namespace goes, goes down or
// comes, until ctx is done. It returns when it listens.
func (g *gateway) watch(ctx context.Context) error {
	c, err := rtnetlink.Dial(unix.NETLINK_ROUTE, &rtnetlink.Config{NetNS: int(g.ns.Handle()), Groups: unix.RTMGRP_LINK})
	if err != nil {
		return fmt.Errorf("watch links in %s: %w", g.ns, err)
	}
	context.AfterFunc(ctx, func() { c.Close() })
	g.watching.Go(func() {
		for {
			messages, err := c.Receive()
			switch {
			case ctx.Err() != nil:
				return // whatever the error: a closed connection is wanted
			case err == nil:
				if aboutTunnels(messages) {
					g.nudge()
				}
			case errors.Is(err, unix.ENOBUFS): // some are lost
				g.nudge()
			default:
				g.m.log.Warn("links of tunnels that go are noticed late from now on", "network", g.network, "error", err)
				return
			}
		}
	})
	return nil
}

// aboutTunnels reports whether one of the messages is about a link that may be a
// tunnel's.
func aboutTunnels(messages []rtnetlink.Message) bool {
	const ifinfomsg = unix.SizeofIfInfomsg
	for _, m := range messages {
		if len(m.Data) < ifinfomsg {
			continue
		}
		attributes, err := rtnetlink.NewAttributeDecoder(m.Data[ifinfomsg:])
		if err != nil {
			return true
		}
		for attributes.Next() {
			if attributes.Type() == unix.IFLA_LINKINFO {
				if kind := attributes.Bytes(); strings.Contains(string(kind), "xfrm") || strings.Contains(string(kind), "tun") {
					return true
				}
			}
		}
	}
	return false
}

// links returns the link of each connection's tunnel, where there is one that
// packets can be led to.
func (g *gateway) links() map[string]string {
	links, err := g.ns.Netlink().LinkList()
	if err != nil {
		return nil
	}
	up := map[string]bool{}
	device := ""
	for _, l := range links {
		if a := l.Attrs(); a.Flags&net.FlagUp == 0 {
			continue
		} else if g.m.path == dataplane.VPNByXFRM && l.Type() == "xfrm" {
			up[a.Name] = true
		} else if isTUN(l) {
			device = a.Name
		}
	}
	out := map[string]string{}
	for i := range g.want.Connections {
		id := g.want.Connections[i].ID
		switch {
		case g.m.path == dataplane.VPNByXFRM && up[id]:
			out[id] = id
		case g.m.path == dataplane.VPNByLibipsec && g.charon != nil && device != "":
			out[id] = device
		}
	}
	return out
}

// isTUN reports whether a link is a TUN device of charon's.
func isTUN(l netlink.Link) bool {
	return l.Type() == "tuntap" && strings.HasPrefix(l.Attrs().Name, "ipsec")
}

// lacksDevice reports whether charon has to be started anew: only a charon that
// starts makes the TUN device that it carries packets over.
func (g *gateway) lacksDevice() bool {
	return g.m.path == dataplane.VPNByLibipsec && g.tun() == nil
}
