package sequence

import "golang.org/x/sys/unix"

// abort has a side reset the connection, in one of the ways in which hosts do.
func (g *generator) abort(from int) {
	h, other := &g.hosts[from], &g.hosts[1-from]
	switch g.r.IntN(4) {
	case 0: // while data is under way
		g.data(from, "", false)
		g.step(from, Packet{Flags: RST | ACK, Seq: h.next, Ack: h.heard}, "aborts")
	case 1: // the side knows nothing of the connection any more
		g.segment(1-from, ACK, g.r.IntN(2)*300, "", false)
		g.step(from, Packet{Flags: RST, Seq: other.acked}, "has forgotten")
	default:
		g.segment(1-from, ACK, 0, "", false)
		g.step(from, Packet{Flags: RST | ACK, Seq: other.acked, Ack: h.heard}, "aborts")
	}
	h.next = other.acked
	for range g.r.IntN(3) { // what was under way
		g.segment(1-from, ACK, g.r.IntN(2)*100, "late", true)
		if g.chance(2) {
			g.step(from, Packet{Flags: RST, Seq: g.hosts[1-from].acked}, "answers")
		}
	}
}

// openAgain has the opener begin anew with the same ports.
func (g *generator) openAgain() {
	a, b := g.opener, 1-g.opener
	old := g.hosts
	g.hosts[a].next = g.r.Uint32()
	g.segment(a, SYN, 0, "begins anew", false)
	switch g.r.IntN(4) {
	case 0: // the other side still has the old connection (RFC 5961, section 4)
		g.hosts = old
		g.segment(b, ACK, 0, "challenges", false)
		g.step(a, Packet{Flags: RST, Seq: g.hosts[b].acked}, "knows nothing of that")
	case 1:
		g.step(b, Packet{Flags: RST | ACK, Ack: g.hosts[b].heard}, "refuses")
	default:
		g.hosts[b].next = g.r.Uint32()
		g.segment(b, SYN|ACK, 0, "", false)
		g.segment(a, ACK, 0, "", false)
	}
}

// strange sends what a stranger outside may send, who knows the addresses and
// ports of a connection, but not where it is.
func (g *generator) strange() {
	h, other := &g.hosts[outside], &g.hosts[inside]
	far := []uint32{1 << 29, 7 << 29, 1 << 31, 1<<26 + uint32(g.r.IntN(1<<28))}[g.r.IntN(4)]
	p := Packet{Seq: other.acked + far, Ack: h.heard + g.r.Uint32(), Window: 1024, Scale: -1}
	switch g.r.IntN(8) {
	case 0:
		p.Flags = RST
	case 1:
		p.Flags = RST | ACK
	case 2:
		p.Flags = FIN | ACK
	case 3:
		p.Flags = SYN
	case 4:
		p.Flags = SYN | ACK
	case 5:
		p.Flags, p.Length = ACK, g.r.IntN(100)
	case 6: // a wrong guess that is nearly right, of the hosts themselves
		from := g.r.IntN(2)
		p.Seq, p.Flags = g.hosts[1-from].acked-1-uint32(g.r.IntN(5000)), RST
		g.step(from, p, "a RST from before")
		return
	case 7: // RFC 5927
		q := Packet{Protocol: unix.IPPROTO_TCP, From: g.s.External, To: g.s.Outside, Seq: g.r.Uint32(), Flags: ACK}
		g.step(outside, Packet{}, "a stranger's ICMP error")
		s := &g.s.Steps[len(g.s.Steps)-1]
		s.Packet.Protocol, s.Packet.Quoted, s.Harmless = unix.IPPROTO_ICMP, &q, true
		return
	}
	g.step(outside, p, "a stranger")
	g.s.Steps[len(g.s.Steps)-1].Harmless = p.Flags&(RST|FIN) != 0
}
