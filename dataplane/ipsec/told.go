package ipsec

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/strongswan/govici/vici"

	"sluice/dataplane"
)

// tell returns what a section of a list-sa message says of an IKE_SA and its
// CHILD_SAs to who asks for a status. Charon tells times in seconds.
func tell(m *vici.Message, sa *ikeSA, kids *vici.Message) dataplane.VPNSA {
	now := time.Now().Truncate(time.Second)
	out := dataplane.VPNSA{
		ID: sa.id, State: sa.state, Version: sa.version, Initiator: sa.initiator,
		Local: endpoint(m, "local-host", "local-port"), Remote: endpoint(m, "remote-host", "remote-port"),
		LocalID: text(m, "local-id"), RemoteID: text(m, "remote-id"),
		NATLocal: text(m, "nat-local") == "yes", NATRemote: text(m, "nat-remote") == "yes",
		Proposal: sa.proposal,
	}
	if m.Get("established") != nil {
		out.Established = now.Add(-sa.age)
	}
	for _, kid := range sections(kids) {
		if kid.Get("uniqueid") == nil {
			continue // of a child-rekey message
		}
		one := readChild(kid)
		child := dataplane.VPNChildSA{
			ID: one.id, State: one.state, Proposal: one.proposal,
			SPIIn: text(kid, "spi-in"), SPIOut: text(kid, "spi-out"), UDP: text(kid, "encap") == "yes",
			Inbound: one.inbound, Outbound: one.outbound,
			RekeyIn: time.Duration(number(kid, "rekey-time")) * time.Second,
			EndsIn:  time.Duration(number(kid, "life-time")) * time.Second,
		}
		child.Local, _ = kid.Get("local-ts").([]string)
		child.Remote, _ = kid.Get("remote-ts").([]string)
		if kid.Get("install-time") != nil {
			child.Installed = now.Add(-time.Duration(number(kid, "install-time")) * time.Second)
		}
		out.Children = append(out.Children, child)
	}
	slices.SortFunc(out.Children, func(a, b dataplane.VPNChildSA) int { return byNumber(a.ID, b.ID) })
	return out
}

// byNumber orders charon's ids.
func byNumber(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

func endpoint(m *vici.Message, host, port string) netip.AddrPort {
	addr, err := netip.ParseAddr(text(m, host))
	if err != nil {
		return netip.AddrPort{} // %any
	}
	return netip.AddrPortFrom(addr, uint16(number(m, port)))
}
