package ipsec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	rtnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
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
				if g.aboutTunnels(messages) {
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

// aboutTunnels reports whether one of the messages is about a link that may be one
// of the gateway's tunnels, or lead to its site.
func (g *gateway) aboutTunnels(messages []rtnetlink.Message) bool {
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
			switch attributes.Type() {
			case unix.IFLA_IFNAME:
				// Sites are many, and each looks at its own links only.
				if name := attributes.String(); g.m.path == dataplane.VPNByLibipsec && (name == g.tunnelName() || name == g.ikeLink()) {
					return true
				}
			case unix.IFLA_LINKINFO:
				if g.m.path == dataplane.VPNByXFRM && strings.Contains(string(attributes.Bytes()), "xfrm") {
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
	links, err := netns.Dump(g.ns.Netlink().LinkList)
	if err != nil {
		return nil
	}
	up := map[string]bool{}
	for _, l := range links {
		if a := l.Attrs(); a.Flags&net.FlagUp == 0 {
			continue
		} else if kind := l.Type(); kind == "xfrm" || kind == "tuntap" {
			up[a.Name] = true
		}
	}
	out := map[string]string{}
	for i := range g.want.Connections {
		id := g.want.Connections[i].ID
		switch {
		case g.m.path == dataplane.VPNByXFRM && up[dataplane.LinkName(id)]:
			out[id] = dataplane.LinkName(id)
		case g.m.path == dataplane.VPNByLibipsec && g.charon != nil && up[g.tunnelName()]:
			out[id] = g.tunnelName()
		}
	}
	return out
}

// lacksDevice reports whether charon has to be started anew: only a charon that
// starts makes the TUN device that it carries packets over, and the link to its
// site ends with it.
func (g *gateway) lacksDevice() bool {
	if g.m.path != dataplane.VPNByLibipsec {
		return false
	}
	_, err := g.ns.Netlink().LinkByName(g.ikeLink())
	return err != nil || g.tun() == nil
}
