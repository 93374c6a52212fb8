package compile_test

import (
	"fmt"
	"strings"
	"time"

	"sluice/dataplane"
)

// vpn writes a VPN gateway.
func vpn(line func(string, ...any), g *dataplane.VPNGateway) {
	line("vpn %s %s bandwidth %d propagate %t announce %s", g.ID, g.Address, g.Bandwidth, g.Propagate, g.Announce)
	if !g.IPsec {
		line("without IPsec")
	}
	proposal := func(p dataplane.Proposal, lifetime time.Duration) string {
		return fmt.Sprintf("%s-%s group %d lifetime %s", p.Encryption, p.Integrity, p.Group, lifetime)
	}
	for _, c := range g.Connections {
		line("connection %s to %s local %q remote %q psk %q", c.ID, c.Remote, c.LocalID, c.RemoteID, string(c.PSK))
		line("  ike version %d aggressive %t %s", c.IKE.Version, c.IKE.Aggressive, proposal(c.IKE.Proposal, c.IKE.Lifetime.Duration()))
		line("  esp %s", proposal(c.ESP.Proposal, c.ESP.Lifetime.Duration()))
		for _, s := range c.Policies.Selectors() {
			line("  subnets %s = %s", s.Locals, s.Remotes)
		}
		if c.Exclusive || c.Resets > 0 || c.ESP.Traffic > 0 {
			line("  exclusive %v, reset %d times, at most %d KiB a key", c.Exclusive, c.Resets, c.ESP.Traffic)
		}
		line("  start %t dpd %t nat traversal %t", c.Start, c.DPD, c.NATTraversal)
		if h := c.Health; h != nil {
			line("  health %s > %s every %s retries %d", h.Source, h.Destination, h.Interval, h.Retries)
		}
		if b := c.BGP; b != nil {
			line("  bgp %s local %s as %d peer as %d", b.Tunnel, b.LocalIP, b.LocalASN, b.PeerASN)
		}
	}
	for _, s := range g.SSL {
		line("ssl server %s proto %d port %d pool %s reach %s cipher %s clients %d", s.ID, s.Protocol, s.Port, s.Pool, s.Reach, s.Cipher, s.Clients)
		line("  ca %q certificate %q key %q tls-crypt %q", s.CA, s.Certificate, string(s.Key), string(s.TLSCrypt))
		for _, c := range s.Certificates {
			line("  client %s serial %s until %s", c.ID, c.Serial, c.Expires.UTC().Format(time.DateTime))
		}
		line("  revoked %s", s.Revoked)
	}
	for _, r := range g.Routes {
		source := "any"
		if r.Source.IsValid() {
			source = r.Source.String()
		}
		line("vpn route %s > %s by %s standby %t published %t", source, r.Destination, r.Connection, r.Standby, r.Published)
	}
}

// text writes a network for golden files: one line for each thing, in order.
func text(n *dataplane.Network) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("network %s %s", n.ID, n.Prefix)
	for _, p := range n.Secondary {
		line("block %s", p)
	}
	for _, s := range n.Switches {
		a := s.Attachment
		line("switch %s %s gateway %s %s", s.ID, s.Prefix, s.Gateway, a.Kind)
		if a != (dataplane.Attachment{Kind: a.Kind}) {
			line("  device %q vlan %d vni %d local %s remote %s port %d mtu %d", a.Device, a.VLAN, a.VNI, a.Local, a.Remote, a.Port, a.MTU)
		}
	}
	routes := func(indent string, list []dataplane.Route) {
		for _, r := range list {
			var hops []string
			for _, h := range r.NextHops {
				if h.Uplink {
					hops = append(hops, "uplink")
					continue
				}
				if h.VPN != "" {
					hops = append(hops, "VPN gateway")
					continue
				}
				hop := "via " + h.Via.String()
				if h.Interface != "" {
					hop = "out of " + h.Interface
				}
				if h.Weight != 0 {
					hop += fmt.Sprintf(" weight %d", h.Weight)
				}
				hops = append(hops, hop)
			}
			line(indent+"route %s %s", r.Destination, strings.Join(hops, ", "))
		}
	}
	routes("", n.Routes)
	for _, t := range n.Tables {
		line("route table %s of %s", t.ID, strings.Join(t.Switches, ", "))
		routes("  ", t.Routes)
	}
	if u := n.Uplink; u != nil {
		line("uplink %s %s %s gateway %s", u.Mode, u.Device, u.Prefix, u.Gateway)
	}
	if c := n.Classic; c != nil {
		line("classic network %s on %s, router %s", c.Prefix, c.Device, c.Address)
		for _, h := range c.Linked {
			line("  linked %s %s", h.Address, h.MAC)
		}
	}
	for _, a := range n.Elastic {
		line("elastic %s", a)
	}
	for _, m := range n.Mappings {
		line("mapping %s = %s", m.External, m.Internal)
	}
	for d := range n.DNAT.All() {
		switch d.Protocol {
		case 0:
			line("dnat %s any -> %s", d.External, d.Internal)
		default:
			line("dnat %s proto %d port %d -> %s port %d", d.External, d.Protocol, d.ExternalPort, d.Internal, d.InternalPort)
		}
	}
	for _, s := range n.SNAT {
		line("snat %s -> %s", s.Source, s.Pool)
	}
	for i := range n.VPNGateways {
		vpn(line, &n.VPNGateways[i])
	}
	for _, r := range n.RouterInterfaces {
		check := ""
		if r.Check != nil {
			check = fmt.Sprintf(", checked from %s to %s", r.Check.Source, r.Check.Target)
		}
		if r.Public {
			check += ", by which the outside calls"
		}
		line("router interface %s to %s of %s, %d Mbit/s%s", r.ID, r.Peer, r.Network, r.Bandwidth, check)
	}
	if n.Bounds != (dataplane.Bounds{}) {
		line("bounds %+v", n.Bounds)
	}
	for _, g := range n.NATGateways {
		answers := ""
		if g.EchoReply {
			answers = ", answers pings"
		}
		line("NAT gateway %s: %d connections, %d new per second, elastic IPs %v%s", g.ID, g.Limits.Connections, g.Limits.NewPerSecond, g.Elastic, answers)
	}
	for _, b := range n.Bandwidths {
		within := ""
		if b.Within != "" {
			within = " within " + b.Within
		}
		line("bandwidth %s%s: %d Mbit/s out, %d in, elastic IPs %v", b.ID, within, b.Outbound, b.Inbound, b.Elastic)
	}
	line("share of a host %d percent", n.HostShare)
	for _, h := range n.HostLimits {
		line("host %s: %d connections, %d new per second", h.Address, h.Limits.Connections, h.Limits.NewPerSecond)
	}
	line("beyond limits %s", n.Refusal)
	line("shortcut %t", n.Shortcut)
	line("source check %t", n.SourceCheck)
	line("port security %t", n.PortSecurity)
	for _, b := range n.Bindings {
		line("%s is bound to %s", b.Address, b.MAC)
	}
	for _, p := range n.Placements {
		line("placement %s %s at %s", p.Address, p.MAC, p.Host)
	}
	for _, h := range n.HaVips {
		line("HaVip %s of %v, any host %t, held %t", h.Address, h.Hosts, h.AnyHost, h.Held())
	}
	if n.DHCP != nil {
		line("DHCP: domain %q, DNS servers %v", n.DHCP.Domain, n.DHCP.DNS)
		for _, l := range n.DHCP.Leases {
			line("%s is given %s", l.MAC, l.Address)
		}
	}
	t := n.Timeouts
	line("timeouts udp %s tcp %s transitory %s icmp %s reset %s", t.UDP, t.TCPEstablished, t.TCPTransitory, t.ICMP, t.TCPReset)
	return b.String()
}
