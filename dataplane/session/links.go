package session

import (
	"sluice/dataplane"
)

// Link is a link of a network that programs belong on.
type Link struct {
	Name   string
	Index  int  // 0 for one that is not there yet
	Moved  bool // a device that was handed over; only such a one may get XDP
	Held   bool // security groups hold at it, by programs that packets must not go past
	Tunnel bool // leads into a tunnel, and has no Ethernet header

	Sessions bool // has the programs of sessions
	Flows    bool // has those of flows that cross router interfaces
}

// Links returns the links of n that programs belong on: none without a public
// side and router interfaces. tunnels are the links into tunnels of IPsec; index returns the index of a link, 0
// where there is none.
func Links(n *dataplane.Network, tunnels []string, index func(name string) int) []Link {
	var out []Link
	sessions, flows := n.Uplink != nil, len(n.RouterInterfaces) > 0
	add := func(name string, l Link) {
		l.Name, l.Index, l.Sessions = name, index(name), sessions
		if l.Sessions || l.Flows {
			out = append(out, l)
		}
	}
	if sessions {
		add(dataplane.UplinkName, Link{Moved: n.Uplink.Mode == dataplane.UplinkDevice})
	}
	for i := range n.Switches {
		sw := &n.Switches[i]
		add(sw.Link(), Link{Moved: sw.Attachment.Kind == dataplane.AttachDevice, Held: len(n.Members) > 0, Flows: flows})
	}
	for i := range n.RouterInterfaces {
		add(n.RouterInterfaces[i].Link(), Link{Flows: true})
	}
	for _, s := range n.AllSSL() {
		add(s.Link(), Link{Tunnel: true})
	}
	for _, t := range tunnels {
		add(t, Link{Tunnel: true})
	}
	return out
}

// hook is a place on a link for a program.
type hook string

const (
	ingress     hook = "ingress"
	egress      hook = "egress"
	xdp         hook = "xdp"
	flowIngress hook = "flow-ingress" // of the programs of flows that cross router interfaces
	flowEgress  hook = "flow-egress"
)

// classifiers are the hooks but for XDP's.
var classifiers = []hook{ingress, egress, flowIngress, flowEgress}

// out says whether the hook is for what leaves.
func (h hook) out() bool { return h == egress || h == flowEgress }

// hooks returns the hooks of a link that take programs. What goes into a tunnel
// has been looked at where it came from.
func hooks(l Link, by dataplane.ProgramsBy) (all []hook) {
	switch {
	case !l.Sessions:
	case by == dataplane.ByXDP:
		all = append(all, ingress, egress, xdp)
	case l.Tunnel:
		all = append(all, ingress)
	default:
		all = append(all, ingress, egress)
	}
	if l.Flows {
		all = append(all, flowIngress, flowEgress)
	}
	return all
}

// program names the program for a hook of a link.
func program(l Link, h hook) string {
	switch {
	case h == flowIngress:
		return "flow_ingress"
	case h == flowEgress:
		return "flow_egress"
	case l.Name == dataplane.UplinkName:
		return "uplink_" + string(h)
	case l.Tunnel:
		return "tunnel_" + string(h)
	}
	return "switch_" + string(h)
}
