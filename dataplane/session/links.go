package session

import (
	"sluice/dataplane"
)

// Link is a link of a network that programs belong on.
type Link struct {
	Name   string
	Index  int  // 0 for one that is not there yet
	Moved  bool // a device that was handed over; only such a one may get XDP
	Tunnel bool // leads into a tunnel, and has no Ethernet header
}

// Links returns the links of n that programs belong on: none without a public
// side. tunnels are the links into tunnels of IPsec; index returns the index of a link, 0
// where there is none.
func Links(n *dataplane.Network, tunnels []string, index func(name string) int) []Link {
	if n.Uplink == nil {
		return nil
	}
	out := []Link{{Name: dataplane.UplinkName, Index: index(dataplane.UplinkName), Moved: n.Uplink.Mode == dataplane.UplinkDevice}}
	for i := range n.Switches {
		sw := &n.Switches[i]
		out = append(out, Link{Name: sw.Link(), Index: index(sw.Link()), Moved: sw.Attachment.Kind == dataplane.AttachDevice})
	}
	for _, s := range n.AllSSL() {
		out = append(out, Link{Name: s.Link(), Index: index(s.Link()), Tunnel: true})
	}
	for _, t := range tunnels {
		out = append(out, Link{Name: t, Index: index(t), Tunnel: true})
	}
	return out
}

// hook is a place on a link for a program.
type hook string

// hooks returns the hooks of a link that take programs. What goes into a tunnel
// has been looked at where it came from.
func hooks(l Link, by dataplane.ProgramsBy) []hook {
	switch {
	case by == dataplane.ByXDP:
		return []hook{ingress, egress, xdp}
	case l.Tunnel:
		return []hook{ingress}
	}
	return []hook{ingress, egress}
}

// program names the program for a hook of a link.
func program(l Link, h hook) string {
	switch {
	case l.Name == dataplane.UplinkName:
		return "uplink_" + string(h)
	case l.Tunnel:
		return "tunnel_" + string(h)
	}
	return "switch_" + string(h)
}
