package main

import (
	"net"
	"net/netip"

	"sluice/dataplane"
)

// The networks whose forwarding is compared. Both have the same prefixes and
// elastic IPs, so that they can be sent the same packets; they differ in the
// number of NAT entries alone.
var (
	vpcPrefix     = netip.MustParsePrefix("10.0.0.0/16")
	switchPrefix  = netip.MustParsePrefix("10.0.0.0/20")
	switchGateway = netip.MustParseAddr("10.0.15.253")
	publicPrefix  = netip.MustParsePrefix("203.0.113.0/24")
	publicGateway = netip.MustParseAddr("203.0.113.1")
	elasticSNAT   = netip.MustParseAddr("203.0.113.10")
	elasticDNAT   = netip.MustParseAddr("203.0.113.11")
	elasticPrefix = netip.MustParsePrefix("203.0.113.10/31") // of both
	server        = netip.MustParseAddr("10.0.8.1")          // behind the DNAT entries
	firstHost     = netip.MustParseAddr("10.0.0.1")          // of those behind the SNAT entries
	firstPeer     = netip.MustParseAddr("198.51.100.1")      // on the Internet
)

const (
	hosts       = 1000  // that send through SNAT
	manyDNAT    = 10000 // entries
	manySNAT    = hosts // entries, one a host
	flowsEach   = 500   // open SNAT flows, and as many DNAT flows
	firstSource = 1024  // lowest source port of a flow
	sourcePorts = 60000 // that follow it
)

// after returns the n-th address after a.
func after(a netip.Addr, n int) netip.Addr {
	b := a.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += uint32(n)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// gatewayNetwork returns a network with so many UDP DNAT entries and SNAT
// entries. One SNAT entry serves the whole VSwitch; of more than one, each
// serves a host. The switch and the uplink are devices of these names; the
// uplink's is in a namespace.
func gatewayNetwork(id, vswitch, switchDevice, uplinkDevice, namespace string, dnat, snat int) *dataplane.Network {
	n := &dataplane.Network{
		ID:       id,
		Revision: 1,
		Prefix:   vpcPrefix,
		Switches: []dataplane.Switch{{
			ID: vswitch, Prefix: switchPrefix, Gateway: switchGateway,
			Attachment: dataplane.Attachment{Kind: dataplane.AttachDevice, Device: switchDevice},
		}},
		Routes: []dataplane.Route{{
			Destination: netip.MustParsePrefix("0.0.0.0/0"),
			NextHops:    []dataplane.NextHop{{Uplink: true}},
		}},
		Uplink: &dataplane.Uplink{
			Mode: dataplane.UplinkDevice, Device: uplinkDevice, Namespace: namespace,
			Prefix: publicPrefix, Gateway: publicGateway,
		},
		Elastic:     []netip.Addr{elasticSNAT, elasticDNAT},
		NATGateways: []dataplane.NATGateway{{ID: "ngw", Elastic: []netip.Addr{elasticSNAT, elasticDNAT}}},
		Timeouts:    dataplane.DefaultTimeouts(),
	}
	for port := 1; port <= dnat; port++ {
		n.DNAT = n.DNAT.With(dataplane.DNAT{
			External: elasticDNAT, Protocol: protocolUDP, ExternalPort: uint16(port),
			Internal: server, InternalPort: uint16(port),
		})
	}
	if snat == 1 {
		n.SNAT = []dataplane.SNAT{{Source: switchPrefix, Pool: []netip.Addr{elasticSNAT}}}
		return n
	}
	for i := range snat {
		n.SNAT = append(n.SNAT, dataplane.SNAT{
			Source: netip.PrefixFrom(after(firstHost, i), 32), Pool: []netip.Addr{elasticSNAT},
		})
	}
	return n
}

// links are the hardware addresses at the two ends of a gateway's two wires.
type links struct {
	host, vswitch  net.HardwareAddr // inside: the hosts' end, the gateway's end
	uplink, router net.HardwareAddr // outside: the gateway's end, the next hop's end
}

// snatRequest and snatReply are the two directions of the i-th SNAT flow. Each
// flow has a source port, or a peer, of its own: so the gateway keeps the
// source port, and the reply is known beforehand.
func snatRequest(l links, i int) flow {
	return flow{l.host, l.vswitch, netip.AddrPortFrom(after(firstHost, i%hosts), sourcePort(i)), peer(i)}
}

func snatReply(l links, i int) flow {
	return flow{l.router, l.uplink, peer(i), netip.AddrPortFrom(elasticSNAT, sourcePort(i))}
}

// dnatRequest and dnatReply are the two directions of the i-th DNAT flow of a
// network with so many entries. Flows go over all entries.
func dnatRequest(l links, i, entries int) flow {
	return flow{l.router, l.uplink, client(i), netip.AddrPortFrom(elasticDNAT, dnatPort(i, entries))}
}

func dnatReply(l links, i, entries int) flow {
	return flow{l.host, l.vswitch, netip.AddrPortFrom(server, dnatPort(i, entries)), client(i)}
}

func sourcePort(i int) uint16 { return uint16(firstSource + i%sourcePorts) }

func peer(i int) netip.AddrPort { return netip.AddrPortFrom(after(firstPeer, i/sourcePorts), 53) }

func client(i int) netip.AddrPort {
	return netip.AddrPortFrom(after(firstPeer, 100+i/sourcePorts), sourcePort(i))
}

// dnatPort steps through the entries by a number that has no divisor in common
// with theirs, so that neighbouring flows use distant entries.
func dnatPort(i, entries int) uint16 { return uint16(1 + i*37%entries) }

// openFlows returns the packets of the open flows: what leaves (SNAT requests
// and DNAT replies) and what comes in (DNAT requests and SNAT replies), mixed.
func openFlows(l links, entries int) (out, in []flow) {
	for i := range flowsEach {
		out = append(out, snatRequest(l, i), dnatReply(l, i, entries))
		in = append(in, dnatRequest(l, i, entries), snatReply(l, i))
	}
	return out, in
}

// newFlows returns the first packets of n flows that leave, and of n that come
// in.
func newFlows(l links, n, entries int) (out, in []flow) {
	for i := range n {
		out = append(out, snatRequest(l, i))
		in = append(in, dnatRequest(l, i, entries))
	}
	return out, in
}
