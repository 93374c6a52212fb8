package session

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"sluice/bpf"
	"sluice/dataplane"
	"sluice/dataplane/sorted"
)

// Lifetime is how long a path is used before it is learned anew from the
// kernel. It is half of the shortest timeout that is allowed for a connection
// which can have one (UDP, two minutes), so that conntrack hears of a connection
// in time; and it bounds how long a change goes unnoticed that nobody told of.
const Lifetime = time.Minute

// patience is how long the programs go without hearing of user space before they
// take it for gone, and stop holding the limit of open connections: those that
// have ended are then counted, too, and must not keep others out.
const patience = 10 * time.Second

// unanswered is how long conntrack keeps UDP from outside that nobody has answered,
// after its last packet: as long as the kernel does by itself (nf_conntrack_udp_timeout).
// What the network sets instead is meant for the hosts' own mappings.
const unanswered = 30 * time.Second

// Flags in settings (SET_ in bpf/types.h).
const (
	setShortcut = 1 << iota
	setReject
	setRoutes
	setSources
	setChanging
)

// Kinds of session (enum kind in bpf/types.h).
const (
	kindSNAT    = uint32(bpf.GatewayKindKIND_SNAT)
	kindDNAT    = uint32(bpf.GatewayKindKIND_DNAT)
	kindElastic = uint32(bpf.GatewayKindKIND_ELASTIC)
)

// Numbers of NAT gateways (GATEWAYS and GATEWAY_NONE in bpf/types.h).
const (
	gatewayNumbers        = 64
	gatewayNone    uint32 = 1
)

type (
	settings   = bpf.GatewayGatewaySettings
	natLimits  = bpf.GatewayNatLimits
	hostKey    = bpf.GatewayHostKey
	hostLimits = bpf.GatewayHostLimits
	boundKey   = bpf.GatewayBoundKey
)

// rules is what the programs of a network go by. It is plain data, compiled
// from a dataplane.Network and the numbers of its NAT gateways, and does not depend on
// the order of its slices.
type rules struct {
	settings settings               // without Uplink and Generation, which are the kernel's, for a Lifetime of 0, and without what depends on conntrack's table
	gateways map[string]uint32      // their numbers, by id
	limits   map[uint32]natLimits   // of gateways, by number
	shares   map[hostKey]hostLimits // of private addresses, where they are not what each has
	hosts    map[hostKey]uint32     // kind, and number of the gateway (hostOf)
	elastic  map[uint32]uint32      // number of the gateway
	mapped   map[uint32]uint32      // elastic IP of a host → private address
	moving   map[uint32]uint32      // addresses that move between hosts → 1
	dnat     sorted.Set[dataplane.DNAT]
	bounds   dataplane.Bounds

	snat, elasticHosts bool   // whether hosts open sessions by SNAT, by elastic IPs of their own
	connections        uint32 // that all gateways together may have open; 0 for no limit
}

// byHost is how a host's own connections are translated: by an entry of a kind, of a
// gateway.
func byHost(kind, gateway uint32) uint32 { return kind | gateway<<8 }

// compile returns the rules of network n, whose NAT gateways have those numbers.
func compile(n *dataplane.Network, numbers map[string]uint32) *rules {
	r := &rules{
		gateways: make(map[string]uint32, len(n.NATGateways)), limits: make(map[uint32]natLimits, len(n.NATGateways)),
		hosts: make(map[hostKey]uint32, len(n.SNAT)+len(n.Mappings)), elastic: make(map[uint32]uint32, len(n.Elastic)),
		mapped: make(map[uint32]uint32, len(n.Mappings)), dnat: n.DNAT, shares: make(map[hostKey]hostLimits, len(n.HostLimits)),
		moving: movingOf(n),
		bounds: n.Bounds, snat: len(n.SNAT) > 0, elasticHosts: len(n.Mappings) > 0,
	}
	s := &r.settings
	s.Patience = bpf.Ticks(patience)
	s.Gateway = gatewayNone
	for _, a := range n.Elastic {
		r.elastic[word(a)] = gatewayNone
	}
	for i := range n.NATGateways {
		g := &n.NATGateways[i]
		number := numbers[g.ID]
		r.gateways[g.ID], r.limits[number] = number, limitsOf(g.Limits, n.HostShare)
		if s.Gateway == gatewayNone || number < s.Gateway {
			s.Gateway = number
		}
		for _, a := range g.Elastic {
			if _, ok := r.elastic[word(a)]; ok {
				r.elastic[word(a)] = number
			}
		}
	}
	s.Established, s.Transitory, s.Reset = millis(n.Timeouts.TCPEstablished), millis(n.Timeouts.TCPTransitory), millis(n.Timeouts.TCPReset)
	s.Unanswered, s.Answered = millis(unanswered), millis(n.Timeouts.UDP)
	s.Vpc, s.VpcMask = prefix(n.Prefix)
	if n.Uplink != nil {
		s.Public, s.PublicMask = prefix(n.Uplink.Prefix)
	}
	if n.Shortcut {
		s.Flags |= setShortcut
	}
	if n.Refusal == dataplane.RefuseReject {
		s.Flags |= setReject
	}
	if n.SourceCheck {
		s.Flags |= setSources
	}
	if !allByUplink(n) {
		s.Flags |= setRoutes
	}
	for i := range n.SNAT {
		p := n.SNAT[i].Source.Masked()
		gateway := gatewayNone
		if len(n.SNAT[i].Pool) > 0 {
			gateway = r.gatewayOf(n.SNAT[i].Pool[0])
		}
		r.hosts[hostKey{PrefixLength: uint32(p.Bits()), Addr: word(p.Addr())}] = byHost(kindSNAT, gateway)
	}
	for _, m := range n.Mappings {
		r.hosts[hostKey{PrefixLength: 32, Addr: word(m.Internal)}] = byHost(kindElastic, gatewayNone)
	}
	for _, h := range n.HostLimits {
		interval, burst := paceOf(h.Limits.NewPerSecond)
		r.shares[hostKey{PrefixLength: 32, Addr: word(h.Address)}] = hostLimits{Interval: interval, Burst: burst, Connections: uint32(h.Limits.Connections)}
	}
	for _, m := range n.Mappings {
		r.mapped[word(m.External)] = word(m.Internal)
	}
	r.connections = r.allConnections()
	return r
}

// mostMoving is how many addresses that move between hosts the programs know (MOVING in
// bpf/types.h). Of more, paths follow what user space hears.
const mostMoving = 4096

func movingOf(n *dataplane.Network) map[uint32]uint32 {
	list := n.HaVips[:min(len(n.HaVips), mostMoving)]
	out := make(map[uint32]uint32, len(list))
	for i := range list {
		out[word(list[i].Address)] = 1
	}
	return out
}

// gatewayOf returns the number of the gateway that an elastic IP is of.
func (r *rules) gatewayOf(external netip.Addr) uint32 {
	if number, ok := r.elastic[word(external)]; ok {
		return number
	}
	return gatewayNone
}

// allConnections returns how many SNAT connections all gateways together may have open;
// 0 where those of one are not limited.
func (r *rules) allConnections() (sum uint32) {
	for _, host := range r.hosts {
		if host == byHost(kindSNAT, gatewayNone) {
			return 0
		}
	}
	for _, l := range r.limits {
		if l.Connections == 0 {
			return 0
		}
		sum = min(sum, math.MaxUint32-l.Connections) + l.Connections
	}
	return sum
}

// limitsOf are a gateway's limits as the programs have them, and what each host may have of
// them: so many percent, one at least.
func limitsOf(l dataplane.Limits, percent int) natLimits {
	out := natLimits{Connections: uint32(l.Connections)}
	out.Interval, out.Burst = paceOf(l.NewPerSecond)
	if percent > 0 && percent < 100 {
		out.HostConnections = uint32(partOf(l.Connections, percent))
		out.HostInterval, out.HostBurst = paceOf(partOf(l.NewPerSecond, percent))
	}
	return out
}

func partOf(n, percent int) int {
	if n == 0 {
		return 0
	}
	return max(n*percent/100, 1)
}

// paceOf returns how far apart new connections are, so many in a second, and how far ahead
// of its time one may be; zeros for no limit. A fifth of a second's worth may come at
// once: then any ten seconds see at most 2 % more than ten times the rate.
func paceOf(perSecond int) (interval, burst uint64) {
	if perSecond <= 0 {
		return 0, 0
	}
	interval = uint64(time.Second) / uint64(perSecond)
	return interval, uint64(max(perSecond/5, 1)-1) * interval
}

// boundKeyOf is the key of a DNAT entry.
func boundKeyOf(d *dataplane.DNAT) boundKey {
	return boundKey{Addr: word(d.External), Port: order16(d.ExternalPort), Proto: d.Protocol}
}

// entries returns what leads what comes for an elastic IP to a private address.
func (r *rules) entries() map[boundKey]uint32 {
	all := make(map[boundKey]uint32, len(r.mapped)+r.dnat.Len())
	for external, internal := range r.mapped {
		all[boundKey{Addr: external}] = internal
	}
	for d := range r.dnat.All() {
		all[boundKeyOf(&d)] = word(d.Internal)
	}
	return all
}

// changedEntries returns what makes r's entries of those of old.
func (r *rules) changedEntries(old *rules) difference[boundKey, uint32] {
	d := difference[boundKey, uint32]{put: map[boundKey]uint32{}, gone: map[boundKey]bool{}}
	hosts := differing(old.mapped, r.mapped)
	for external := range hosts.gone {
		d.gone[boundKey{Addr: external}] = true
	}
	for c := range old.dnat.Changes(r.dnat) {
		if c.Is {
			d.put[boundKeyOf(&c.New)] = word(c.New.Internal)
		} else {
			d.gone[boundKeyOf(&c.Old)] = true
		}
	}
	for external, internal := range hosts.put {
		d.put[boundKey{Addr: external}] = internal
	}
	for k := range d.put {
		delete(d.gone, k)
	}
	return d
}

func millis(d time.Duration) uint32 { return uint32(d / time.Millisecond) }

// allByUplink reports whether whatever leaves the VPC's prefix leaves by the
// uplink, so that no route has to be asked for. The programs know of one prefix: what is
// for a VSwitch in another block of the VPC leaves that, too.
func allByUplink(n *dataplane.Network) bool {
	if len(n.VPNGateways) > 0 || len(n.Secondary) > 0 {
		return false
	}
	for r := range n.AllRoutes() {
		for _, h := range r.NextHops {
			if !h.Uplink && !(n.Prefix.Contains(r.Destination.Addr()) && r.Destination.Bits() >= n.Prefix.Bits()) {
				return false
			}
		}
	}
	return true
}

// word is an address as the programs have it: in network order, in a host's word.
func word(a netip.Addr) uint32 {
	b := a.As4()
	return binary.NativeEndian.Uint32(b[:])
}

func address(w uint32) netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], w)
	return netip.AddrFrom4(b)
}

func prefix(p netip.Prefix) (addr, mask uint32) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], ^uint32(0)<<(32-p.Bits()))
	return word(p.Masked().Addr()), binary.NativeEndian.Uint32(b[:])
}
