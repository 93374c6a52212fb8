package dataplane

import "net/netip"

// Traffic is what the dataplane has counted of one network, and what it holds
// at the moment of asking. Counters only grow, also across restarts of the
// daemon, until the network is removed or the machine starts anew; Epoch tells.
//
// Counted is what crosses the public side: each packet once, whichever path it
// took, with its length at layer 3. A packet that stands for several on the
// wire (GRO, GSO) counts as those.
type Traffic struct {
	Epoch     uint64           // another one means that all counters began at 0 again
	Bounds    Bounds           // in force
	Table     Table            // conntrack's
	Sessions  []Sessions       // of all gateways and of none, one for each of SessionKinds, in that order
	Refused   []Count          // connections refused, likewise, by reason; see RefusedReasons
	Gateways  []GatewayTraffic // of what none translates, and of each NAT gateway, by ID; not of those that are gone
	Shortcut  Shortcut         // what the flow cache did
	Misplaced uint64           // packets dropped: a RST or FIN that was not where its connection is
	Outbound  Volume           // of all gateways and addresses
	Inbound   Volume           // likewise
	Addresses []AddressTraffic // of each private address and gateway that it goes by, by Address and Gateway
	Ports     []Ports          // of each elastic IP and protocol, ascending; read at most every half minute
	NoPort    []NoPort         // by External, Protocol, Private; those of which something was counted
	Entries   []EntryTraffic   // by External, Protocol, Port; those that have or had a session, or were refused one
}

// GatewayTraffic is what was counted of a NAT gateway, or of what no gateway translates:
// what passes by elastic IPs that hosts have of their own.
type GatewayTraffic struct {
	ID                string     // empty: of no gateway
	Limits            Limits     // in force
	Sessions          []Sessions // as in Traffic; SessionElastic are those of no gateway alone
	Refused           []Count    // as in Traffic; RefusedPorts of those elastic IPs that it has now
	Outbound, Inbound Volume
}

// SessionKind says by which entry a session is translated.
type SessionKind string

// The kinds of session.
const (
	SessionSNAT    SessionKind = "snat"    // by an SNAT entry; the limits hold for these
	SessionDNAT    SessionKind = "dnat"    // by a DNAT entry
	SessionElastic SessionKind = "elastic" // by the host's own elastic IP, from either side
)

// SessionKinds returns all kinds, in the order in which Traffic lists them.
func SessionKinds() []SessionKind { return []SessionKind{SessionSNAT, SessionDNAT, SessionElastic} }

// Sessions counts the sessions of one kind. A session is a connection of any
// protocol that conntrack knows and has not seen closed: TCP connections in
// TIME_WAIT or after a reset are not open any more. One that conntrack has not
// got yet counts as open, so that no limit is exceeded, but not as opened.
type Sessions struct {
	Kind   SessionKind
	Open   uint64
	Opened uint64 // so far
}

// Count is a counter with what it counts.
type Count struct {
	Reason string
	Count  uint64
}

// The reasons to refuse a connection.
const (
	RefusedConnections = "connections" // as many are open as the specification allows
	RefusedRate        = "rate"        // more began in this second than it allows
	RefusedMemory      = "memory"      // there was no memory to keep the session
	RefusedEntry       = "entry"       // as many are open of the DNAT entry, or from outside to the elastic IP's host, as Bounds allow
	RefusedElasticIP   = "elastic_ip"  // of all entries of the elastic IP
	RefusedHost        = "host"        // of those that the host has opened through its own elastic IP
	RefusedTable       = "table"       // conntrack's table has no room for it; also of what is not translated
	RefusedSource      = "source"      // its source address is not its sender's; see Network.SourceCheck
	RefusedUnknown     = "unknown"     // nobody is known yet to have its source address
	RefusedShare       = "share"       // the host has as many open as it may; see Network.HostShare
	RefusedShareRate   = "share_rate"  // more of the host began in this second than it may
	RefusedPorts       = "ports"       // no port of the elastic IP was free; see NoPort
)

// RefusedReasons returns all reasons, in the order in which Traffic lists them.
func RefusedReasons() []string {
	return []string{
		RefusedConnections, RefusedRate, RefusedMemory, RefusedEntry, RefusedElasticIP, RefusedHost, RefusedTable, RefusedSource, RefusedUnknown,
		RefusedShare, RefusedShareRate, RefusedPorts,
	}
}

// Table is how far conntrack's table of the network's namespace is filled.
type Table struct {
	Entries uint64 // now, of whatever is tracked
	Most    uint64 // that there may be
}

// EntryTraffic is what was counted of a DNAT entry, or of what comes from outside
// to a host's own elastic IP.
type EntryTraffic struct {
	External netip.Addr
	Protocol uint8  // 0 for the whole address
	Port     uint16 // 0 for the whole address
	Open     uint64 // sessions open now
	Refused  uint64 // sessions refused so far because as many were open as Bounds allow
}

// Shortcut is what the flow cache did with packets.
type Shortcut struct {
	Hits   uint64  // packets that it forwarded
	Misses []Count // packets that it left to the kernel's path, by reason
}

// Volume is an amount of traffic.
type Volume struct{ Bytes, Packets uint64 }

// AddressTraffic is what was counted for one private address, as far as it went by one
// NAT gateway, or by none.
type AddressTraffic struct {
	Address           netip.Addr
	Gateway           string // ID; empty for what it sends and receives by an elastic IP of its own
	Outbound, Inbound Volume
	Open              uint64 // sessions open now
	Opened            uint64 // sessions opened so far
	NoPort            uint64 // sessions refused so far for which no port of the gateway's elastic IPs was free
	Share             uint64 // sessions refused so far because the address had its share of the gateway's Limits
}

// Ports says how much of what the kernel can hand out of an elastic IP's ports
// is in use. The kernel may use a port for several destinations at once; a new
// connection fails when all are in use towards its own. So the figure is that of
// the destination (address and port) with the most. It fails earlier, too, now
// and then: the kernel tries some 240 ports and gives up if each is in use.
type Ports struct {
	External netip.Addr
	Protocol uint8 // 1 ICMP, 6 TCP, 17 UDP; the ports of ICMP are the queries' identifiers
	Used     int   // towards the destination with the most
	Most     int   // that there can be
}

// MostAddresses is how many private addresses of a network can be counted one by one
// (SLOTS in bpf/types.h, less those for all others, one for each gateway). One that goes
// by two gateways counts twice.
const MostAddresses = 16320

// NoPort counts the connections of a host that were refused since no port of the
// elastic IP was free that they would have been seen from. Each try counts.
type NoPort struct {
	External netip.Addr
	Private  netip.Addr // invalid for all hosts beyond 65,536 together
	Protocol uint8      // IANA number; of ICMP, the identifiers were in use
	Count    uint64
}
