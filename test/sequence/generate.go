package sequence

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// kinds are those of translation: who opens the connection, and by which entry.
var kinds = []struct {
	name   string
	inside bool // opens
	ends   func(port uint16) (inside, external, outside netip.AddrPort)
}{
	{"SNAT", true, func(port uint16) (netip.AddrPort, netip.AddrPort, netip.AddrPort) {
		return netip.AddrPortFrom(client, port), netip.AddrPortFrom(forSNAT, port), netip.AddrPortFrom(peer, peerPort)
	}},
	{"DNAT", false, func(port uint16) (netip.AddrPort, netip.AddrPort, netip.AddrPort) {
		return netip.AddrPortFrom(server, serverPort), netip.AddrPortFrom(forDNAT, externalPort), netip.AddrPortFrom(peer, port)
	}},
	{"elastic IP, called", false, func(port uint16) (netip.AddrPort, netip.AddrPort, netip.AddrPort) {
		return netip.AddrPortFrom(mapped, mappedPort), netip.AddrPortFrom(forMapped, mappedPort), netip.AddrPortFrom(peer, port)
	}},
	{"elastic IP, calling", true, func(port uint16) (netip.AddrPort, netip.AddrPort, netip.AddrPort) {
		return netip.AddrPortFrom(mapped, port), netip.AddrPortFrom(forMapped, port), netip.AddrPortFrom(peer, peerPort)
	}},
}

// Sequences of other seeds have other ports, until there are no more.
const (
	firstPort = 10_000
	ports     = 20_000
)

// Generate returns the sequence of a seed.
func Generate(seed uint64) *Sequence {
	r := rand.New(rand.NewPCG(seed, 0x5e9))
	k := kinds[r.IntN(len(kinds))]
	s := &Sequence{Seed: seed, Kind: k.name}
	s.Inside, s.External, s.Outside = k.ends(firstPort + uint16(seed%ports))
	g := &generator{r: r, s: s, opener: side(!k.inside)}
	if r.IntN(5) == 0 {
		s.Protocol = unix.IPPROTO_UDP
		g.udp()
	} else {
		s.Protocol = unix.IPPROTO_TCP
		g.tcp()
	}
	return s
}

// A side of a connection.
const (
	inside = iota
	outside
)

func side(outside bool) int {
	if outside {
		return 1
	}
	return 0
}

// host is an end of a TCP connection.
type host struct {
	next   uint32 // sequence number
	heard  uint32 // next one expected of the other
	acked  uint32 // heard, as it was last told
	window uint16
	scale  int    // of the option in its SYN; negative for none
	shift  int    // by which its windows are scaled: by nothing in a SYN (RFC 7323, section 2.2)
	last   Packet // segment with data
}

type generator struct {
	r      *rand.Rand
	s      *Sequence
	opener int
	hosts  [2]host
	alone  bool // no programs look before conntrack
}

// step adds a packet of a side.
func (g *generator) step(from int, p Packet, what string) {
	p.Protocol = g.s.Protocol
	p.From, p.To = g.s.Inside, g.s.Outside
	if from == outside {
		p.From, p.To = g.s.Outside, g.s.External
	}
	g.s.Steps = append(g.s.Steps, Step{Packet: p, Inside: from == inside, What: what})
}

func (g *generator) pause(choices ...time.Duration) {
	g.s.Steps = append(g.s.Steps, Step{Pause: choices[g.r.IntN(len(choices))]})
}

// chance is true once in n times.
func (g *generator) chance(n int) bool { return g.r.IntN(n) == 0 }

func (g *generator) udp() {
	first := g.opener
	for range 2 + g.r.IntN(14) {
		switch {
		case g.chance(4):
			g.pause(time.Second, 20*time.Second, 50*time.Second, 70*time.Second, 150*time.Second)
			first = g.r.IntN(2)
		default:
			g.step(first, Packet{Length: g.r.IntN(1200)}, "")
			if g.chance(2) {
				first = 1 - first
			}
		}
	}
}

func (g *generator) tcp() {
	for i := range g.hosts {
		h := &g.hosts[i]
		h.next, h.window, h.scale = g.r.Uint32(), 500+uint16(g.r.IntN(60_000)), []int{-1, 0, 7, 9}[g.r.IntN(4)]
		if g.chance(4) {
			h.next = -uint32(g.r.IntN(3000)) // it goes round soon
		}
	}
	g.open()
	for range 3 + g.r.IntN(20) {
		g.act()
	}
	if g.chance(2) {
		g.finish()
	}
}

// segment sends one, and the other side has it unless it is lost on its way.
func (g *generator) segment(from int, flags uint8, length int, what string, lost bool) {
	h, other := &g.hosts[from], &g.hosts[1-from]
	p := Packet{Flags: flags, Seq: h.next, Window: h.window, Length: length, Scale: h.scale}
	if h.shift = 0; flags&SYN == 0 && other.scale >= 0 {
		h.shift = max(h.scale, 0)
	}
	if flags&ACK != 0 {
		p.Ack, h.acked = h.heard, h.heard
	}
	g.step(from, p, what)
	h.next += uint32(length)
	if flags&(SYN|FIN) != 0 {
		h.next++
	}
	if length > 0 || flags&(SYN|FIN) != 0 {
		h.last = p
	}
	if !lost {
		other.heard = h.next
	}
}

// data sends as much as fits into a packet and the other side's window.
func (g *generator) data(from int, what string, lost bool) {
	other := &g.hosts[1-from]
	if room := int(int32(other.acked + uint32(other.window)<<other.shift - g.hosts[from].next)); room > 0 {
		g.segment(from, ACK|PSH, 1+g.r.IntN(min(room, 1300)), what, lost)
	}
}

func (g *generator) again(from int) { g.step(from, g.hosts[from].last, "again") }

// open does what there is of a handshake.
func (g *generator) open() {
	a, b := g.opener, 1-g.opener
	switch g.r.IntN(12) {
	case 0: // each packet twice
		g.segment(a, SYN, 0, "", false)
		g.again(a)
		g.segment(b, SYN|ACK, 0, "", false)
		g.again(b)
		g.segment(a, ACK, 0, "", false)
		g.again(b)
	case 1: // nobody is there
		g.segment(a, SYN, 0, "", true)
		g.pause(time.Second, 3*time.Second, 100*time.Second)
		g.again(a)
	case 2: // refused
		g.segment(a, SYN, 0, "", false)
		g.step(b, Packet{Flags: RST | ACK, Ack: g.hosts[b].heard}, "refused")
	case 3: // both at once
		g.segment(a, SYN, 0, "", false)
		syn := g.hosts[b]
		g.segment(b, SYN, 0, "at the same time", false)
		g.step(a, Packet{Flags: SYN | ACK, Seq: g.hosts[a].next - 1, Ack: g.hosts[a].heard, Window: g.hosts[a].window, Scale: g.hosts[a].scale}, "")
		g.step(b, Packet{Flags: SYN | ACK, Seq: syn.next, Ack: g.hosts[b].heard, Window: g.hosts[b].window, Scale: g.hosts[b].scale}, "")
		g.segment(a, ACK, 0, "", false)
		g.segment(b, ACK, 0, "", false)
	case 4, 5: // older than the gateway
		for i := range g.hosts {
			h := &g.hosts[i]
			h.scale, h.acked, h.heard = -1, g.hosts[1-i].next, g.hosts[1-i].next
		}
		g.segment(a, ACK, g.r.IntN(2)*100, "", false)
		if g.chance(3) {
			g.pause(time.Second, 200*time.Second)
		}
		g.segment(b, ACK, g.r.IntN(2)*100, "", false)
	case 6: // data instead of the last ACK
		g.segment(a, SYN, 0, "", false)
		g.segment(b, SYN|ACK, 0, "", false)
		g.segment(a, ACK|PSH, 200, "", false)
	default:
		g.segment(a, SYN, 0, "", false)
		g.segment(b, SYN|ACK, 0, "", false)
		g.segment(a, ACK, 0, "", false)
	}
}

// act does one of what may happen to an open connection.
func (g *generator) act() {
	from := g.r.IntN(2)
	h, other := &g.hosts[from], &g.hosts[1-from]
	switch g.r.IntN(24) {
	case 0, 1, 2, 3:
		for range 1 + g.r.IntN(3) {
			g.data(from, "", false)
		}
	case 4, 5, 6, 7, 8:
		g.segment(from, ACK, 0, "", false)
	case 9: // lost behind the gateway, and sent again
		g.data(from, "lost", true)
		for range 1 + g.r.IntN(5) {
			g.again(from)
		}
		other.heard = h.next
	case 10: // lost before the gateway
		h.next += uint32(g.r.IntN(1400))
	case 11, 12:
		g.pause(time.Second, 30*time.Second, 50*time.Second, 70*time.Second, 230*time.Second, 330*time.Second, 2000*time.Second, 7000*time.Second)
	case 13: // keepalive (RFC 9293, section 3.8.4)
		g.step(from, Packet{Flags: ACK, Seq: h.next - 1, Ack: h.heard, Window: h.window}, "keepalive")
		h.acked = h.heard
		if g.chance(2) {
			g.segment(1-from, ACK, 0, "answer", false)
		}
	case 14: // the window closes
		window := h.window
		h.window = 0
		g.segment(from, ACK, 0, "full", false)
		h.window = window
		if g.chance(2) {
			g.segment(from, ACK, 0, "not full", false)
		}
	case 15:
		g.segment(from, FIN|ACK, g.r.IntN(2)*g.r.IntN(1000), "closes", g.chance(5))
	case 16:
		g.again(from)
	case 17:
		g.abort(from)
	case 18:
		g.openAgain()
	case 19:
		flags := []uint8{0, PSH, FIN, SYN | FIN | ACK, FIN | PSH | URG, SYN | RST, ACK | URG}[g.r.IntN(7)]
		g.step(from, Packet{Flags: flags, Seq: h.next, Ack: h.heard, Window: h.window, Scale: -1}, "odd flags")
	default:
		g.strange()
	}
}

// finish closes a connection that is still open, in one of the orders.
func (g *generator) finish() {
	a := g.r.IntN(2)
	g.segment(a, FIN|ACK, 0, "closes", false)
	if g.chance(2) {
		g.segment(1-a, ACK, 0, "", false)
	}
	for range g.r.IntN(3) { // half closed
		g.segment(1-a, ACK|PSH, 1000, "", false)
		if g.chance(2) {
			g.segment(a, ACK, 0, "", false)
		}
		if g.chance(3) {
			g.pause(50*time.Second, 100*time.Second)
		}
	}
	g.segment(1-a, FIN|ACK, 0, "closes", false)
	if !g.chance(4) {
		g.segment(a, ACK, 0, "", false)
	}
	if g.chance(2) {
		g.openAgain()
	}
}
