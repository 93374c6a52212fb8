package conntrack

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/nft"
	"sluice/dataplane/route"
)

// Model says what would become of a flow if it began now: which entries
// translate it, and which way it takes. It is made of a Network and the state of
// its tunnels alone.
type Model struct {
	network *dataplane.Network
	entries *entries
	ways    *route.Ways
	tunnels []string // their links
	clients []clients
}

// clients are those of an SSL-VPN server.
type clients struct {
	*dataplane.SSLServer
}

// reach reports whether the clients may send to an address: what their server leads to,
// and its own end of their tunnels.
func (c clients) reach(a netip.Addr) bool {
	return a == c.Own() || slices.ContainsFunc(c.Reach, func(p netip.Prefix) bool { return p.Contains(a) })
}

// NewModel returns the model of network n while its tunnels are in this state.
// n must not be changed afterwards.
func NewModel(n *dataplane.Network, tunnels route.Tunnels) *Model {
	m := &Model{network: n, entries: newEntries(n), ways: route.NewWays(n, tunnels)}
	for _, t := range tunnels {
		if t.Link != "" && !slices.Contains(m.tunnels, t.Link) {
			m.tunnels = append(m.tunnels, t.Link)
		}
	}
	slices.Sort(m.tunnels)
	for _, s := range n.AllSSL() {
		m.clients = append(m.clients, clients{s})
	}
	return m
}

// client returns those that an address is one of, or nil.
func (m *Model) client(a netip.Addr) *clients {
	i := slices.IndexFunc(m.clients, func(c clients) bool { return c.Pool.Contains(a) })
	if i < 0 {
		return nil
	}
	return &m.clients[i]
}

// Verdict is what the model says of a flow.
type Verdict int

// The verdicts.
const (
	Keep      Verdict = iota // it is, or could be, what would be made of it now
	End                      // something else would be made of it now
	EndTurned                // likewise, and it would begin with what are its answers
	Ask                      // its route has several next hops, and which of them it takes decides
)

// Judge returns the verdict on a flow. hop is the link that the kernel says the
// flow leaves by, for one on which the verdict was Ask; else it is empty.
//
// What an SSL-VPN client may not reach, or would by the uplink, is ended. Kept are:
//
//   - flows of the gateway itself: IKE, ESP, BGP, health checks;
//   - flows that came in by the uplink, while an entry leads from the elastic IP
//     to the host that has them. Their answers leave the way they came;
//   - flows that came in by a public router interface, while there is one;
//   - flows whose source is an address that the model could give them, though it
//     might give a new one another of the pool;
//   - untranslated flows that would be untranslated, whichever way they take, and
//     untranslated ones that nothing would translate on the way that they have;
//   - flows that nothing routes any more, neither to a next hop nor to an
//     unreachable entry, while the entry that translates them is there: a route
//     that is taken away and put back ends nothing.
func (m *Model) Judge(f *Flow, hop string) Verdict {
	source, translated := f.Source.Addr(), f.sourceTranslated()
	if f.destinationTranslated() {
		if !m.entries.leadsTo(f.Protocol, f.Destination, f.Answerer) {
			return End
		}
	} else if !m.ways.Local(source) {
		if _, ok := m.entries.inward(f.Protocol, f.Destination); ok {
			return End // it went to that address when it was somebody else's, or the gateway's
		}
	}
	if f.By != 0 && !slices.ContainsFunc(m.network.RouterInterfaces, func(r dataplane.RouterInterface) bool { return r.Public && r.Mark() == f.By }) {
		return End // nothing answers by that way any more
	}
	if f.Inbound {
		if translated {
			return End // what comes in by the uplink keeps its source
		}
		return Keep
	}
	if m.ways.Local(source) {
		return Keep
	}
	if c := m.client(source); c != nil && !c.reach(f.Destination.Addr()) {
		return End
	}
	if v := m.judgeSource(f, hop); v != Keep {
		return v
	}
	if !translated {
		return m.judgeAnswers(f)
	}
	return Keep
}

// judgeSource compares the source that a flow is seen from with those that it
// would be.
func (m *Model) judgeSource(f *Flow, hop string) Verdict {
	source, destination, seen := f.Source.Addr(), f.Answerer.Addr(), f.AnswerReturn.Addr()
	from := m.comesFrom(source, destination)
	if from == dataplane.UplinkName {
		// It came from inside, and its answers would leave by the uplink.
		if f.sourceTranslated() {
			return End
		}
		return Keep // see judgeAnswers
	}
	r := m.ways.Find(m.packet(from, source, destination))
	if r == nil {
		if !f.sourceTranslated() || slices.Contains(m.sources(f, dataplane.UplinkName), seen) {
			return Keep
		}
		return End
	}
	agrees := func(link string) bool {
		if link == dataplane.UplinkName && m.client(source) != nil {
			return false // nothing of an SSL-VPN client leaves by it, translated or not
		}
		all := m.sources(f, link)
		return len(all) == 0 && !f.sourceTranslated() || slices.Contains(all, seen)
	}
	if len(r.Hops) == 0 || r.Local {
		return verdict(agrees(""))
	}
	some, all := false, true
	for _, h := range r.Hops {
		if h.Link == hop {
			return verdict(agrees(hop))
		}
		is := agrees(h.Link)
		some, all = some || is, all && is
	}
	if some && !all {
		return Ask
	}
	return verdict(some)
}

func verdict(agrees bool) Verdict {
	if agrees {
		return Keep
	}
	return End
}

// judgeAnswers looks at an untranslated flow from the other side, since that is
// where it would begin anew: its first packet may have been an answer that was
// late for a flow that was ended. If a packet like its answers were the first, it
// would leave by the uplink translated; but an answer is not translated, and
// untranslated nothing leaves.
func (m *Model) judgeAnswers(f *Flow) Verdict {
	host, peer := f.Answerer.Addr(), f.Source.Addr()
	if m.ways.Local(host) || m.client(host) != nil || f.destinationTranslated() || f.Protocol == unix.IPPROTO_ICMP {
		return Keep // an answer to an echo request begins nothing
	}
	r := m.ways.Find(m.packet(m.comesFrom(host, peer), host, peer))
	if r == nil || len(r.Hops) != 1 || r.Hops[0].Link != dataplane.UplinkName {
		return Keep
	}
	if len(m.entries.outward(host)) == 0 {
		return Keep // nor would what is new get out
	}
	return EndTurned
}

// sources returns the addresses that a flow is seen from which leaves by a link;
// none if it is not translated.
func (m *Model) sources(f *Flow, link string) []netip.Addr {
	if link != dataplane.UplinkName && !f.destinationTranslated() {
		return nil
	}
	if all := m.entries.outward(f.Source.Addr()); len(all) > 0 {
		return all
	}
	if link == dataplane.UplinkName {
		return nil // and dropped
	}
	// A host of the network that called an elastic IP of it and has no external
	// address of its own is seen from the one that it called.
	return []netip.Addr{f.Destination.Addr()}
}

func (m *Model) packet(from string, source, destination netip.Addr) route.Packet {
	p := route.Packet{Source: source, Destination: destination, From: from}
	if _, ok := m.entries.mapped[source]; ok && from != dataplane.UplinkName {
		p.Mark = nft.MarkMapped
	}
	return p
}

// packetOf returns what the first packet of a flow was like when it was routed.
func (m *Model) packetOf(f *Flow) route.Packet {
	source, destination := f.Source.Addr(), f.Answerer.Addr()
	return m.packet(m.comesFrom(source, destination), source, destination)
}

// comesFrom returns the link that packets from an address to another come in by:
// its VSwitch or SSL-VPN server's; for others the one by which they are answered, as far as that is
// known.
func (m *Model) comesFrom(source, destination netip.Addr) string {
	if name := m.inside(source); name != "" {
		return name
	}
	froms := m.tunnels
	if name := m.inside(destination); name != "" {
		froms = []string{name}
	}
	for _, from := range froms {
		if r := m.ways.Find(m.packet(from, destination, source)); r != nil && len(r.Hops) > 0 {
			return r.Hops[0].Link
		}
	}
	return ""
}

// inside returns the link that an address is behind, of a VSwitch or of an SSL-VPN server;
// empty if none is.
func (m *Model) inside(a netip.Addr) string {
	if c := m.client(a); c != nil {
		return c.Link()
	}
	for i := range m.network.Switches {
		if sw := &m.network.Switches[i]; sw.Prefix.Contains(a) {
			return sw.Link()
		}
	}
	return ""
}

// late returns source and destination of packets that may still be on their way
// when a flow is ended on verdict v, and that would open another flow by which
// the next packets of the ended one would go, instead of by what is right now;
// false if there are none.
func (m *Model) late(f *Flow, v Verdict) (source, destination netip.AddrPort, ok bool) {
	switch {
	case v == EndTurned:
		return f.Source, f.Destination, true
	case f.Inbound:
		return source, destination, false // what the host still says is a flow of its own now, by what is right now
	case f.sourceTranslated():
		to, led := m.entries.inward(f.Protocol, f.AnswerReturn)
		ok = led && to == f.Source
	default:
		ok = true
	}
	if f.Answerer == f.Source && f.AnswerReturn == f.Destination {
		ok = false // a host that called itself by its elastic IP: they are the flow's own packets
	}
	return f.Answerer, f.AnswerReturn, ok
}

// hindered returns the flow that an absorber is in the way of: the one whose
// answers would be what it takes, so that conntrack has no room for both. It was
// not what the model would make when the absorber was made, but may be again.
func (m *Model) hindered(absorber *Flow) Flow {
	host, _ := m.entries.inward(absorber.Protocol, absorber.Destination)
	return Flow{
		Protocol: absorber.Protocol, Source: host, Destination: absorber.Source,
		Answerer: absorber.Source, AnswerReturn: absorber.Destination,
	}
}
