package dataplane

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"time"

	"sluice/dataplane/sorted"
)

// Network is the whole desired dataplane of one VPC, or of another router with a network of
// its own: everything that its namespace sluice-<ID> holds. All slices are sorted as their comments say and
// free of duplicates, so that two Networks compiled from the same resources
// are equal.
type Network struct {
	ID               string         // of the VPC, for example vpc-257gq642n, or the border router; see LinkName
	Revision         int64          // store revision that this was compiled from; repeated in Observed
	Prefix           netip.Prefix   // the VPC's CIDR block; of a border router its subnet on the line
	Secondary        []netip.Prefix // its further CIDR blocks, ascending; no two blocks overlap
	Switches         []Switch       // by ID
	Routes           []Route        // of the main route table, by destination; without the switches' own prefixes
	Tables           []RouteTable   // besides the main one, by ID
	Uplink           *Uplink        // nil while nothing in the VPC has a public side
	Elastic          []netip.Addr   // elastic IPs of this VPC, ascending: the addresses of the uplink
	Mappings         []Mapping      // 1:1 elastic IPs, by External
	DNAT             sorted.Set[DNAT]
	SNAT             []SNAT       // by Source; sources do not overlap
	Bandwidths       []Bandwidth  // of elastic IPs, by ID
	NATGateways      []NATGateway // by ID; those of the DNAT and SNAT entries are whose elastic IPs they name
	Timeouts         Timeouts
	Bounds           Bounds            // of connections that no gateway's Limits hold for
	Refusal          Refusal           // what becomes of a host's packet beyond Limits or Bounds; the outside's is dropped
	HostShare        int               // percent of a NAT gateway's Limits that a private address may have, where HostLimits says nothing; 0 and 100: all
	HostLimits       []HostLimit       // by Address
	SourceCheck      bool              // what a host sends begins a session only if its source address leads back to it
	Shortcut         bool              // established TCP and UDP flows are forwarded by BPF, past netfilter
	VPNGateways      []VPNGateway      // of IPsec and SSL-VPN, by ID
	RouterInterfaces []RouterInterface // to other networks' routers, by ID
	Line             *Line             // that the Switch is on; nil for none
	Classic          *Classic          // nil while no host of the classic network is linked

	// PortSecurity has frames from VSwitches dropped whose sender claims a gateway's
	// address, or that of a binding which is another's.
	PortSecurity bool
	Bindings     []Binding // by Address, each once; none of a HaVip's
	HaVips       []HaVip   // by Address, each once

	DHCP *DHCP // what hosts are told by DHCP; nil: it is not answered

	Policies []GroupPolicy // of security groups, by ID
	Members  []GroupMember // by Address, each once

	// Placements are the addresses of network interfaces that may move from host to host, or
	// from interface to interface: by Address, each once.
	Placements []Placement
}

// Placement says where an address is: when that changes, packets go there from then on.
type Placement struct {
	Address netip.Addr
	MAC     string // six bytes as 02:00:00:00:00:01; empty: not known, or it is nowhere
	Host    string // who has the interface, by a name that is told from others; empty: nobody
}

// Binding ties an address of a VSwitch to the only Ethernet address that may use it.
type Binding struct {
	Address netip.Addr
	MAC     string // six bytes as 02:00:00:00:00:01; empty: nobody may use it
}

// Claim is an address that somebody has used whom it does not belong to, or, without one,
// another reason for which somebody's frames were dropped.
type Claim struct {
	Address netip.Addr
	By      string // Ethernet address
	Other   string
}

// ClaimCounts is how many frames were dropped because of claims, by reason.
type ClaimCounts map[string]uint64

// Switch is one VSwitch: a link in the namespace (LinkName) that carries the
// gateway address.
type Switch struct {
	ID         string       // VSwitch id
	Prefix     netip.Prefix // the VSwitch's CIDR block
	Gateway    netip.Addr   // address of the gateway in it
	Attachment Attachment
}

// AttachmentKind says what kind of link a VSwitch is.
type AttachmentKind string

// The kinds of attachment.
const (
	AttachBridge AttachmentKind = "bridge" // a bridge made in the namespace; hosts are plugged into it
	AttachDevice AttachmentKind = "device" // an existing device, moved into the namespace
	AttachVLAN   AttachmentKind = "vlan"   // an 802.1Q link on an existing device
	AttachVXLAN  AttachmentKind = "vxlan"  // a VXLAN link whose underlay stays outside (RFC 7348)

	// AttachMacvlan is a macvlan on an existing device, for its frames without a VLAN: the
	// device stays outside, where its link and what passes it can be seen.
	AttachMacvlan AttachmentKind = "macvlan"
)

// Attachment is how a VSwitch reaches its hosts.
type Attachment struct {
	Kind   AttachmentKind
	Device string     // device, parent of the VLAN or macvlan, or VXLAN underlay device, in the daemon's namespace
	VLAN   uint16     // 1 to 4094, kind vlan
	VNI    uint32     // 1 to 16777215, kind vxlan
	Local  netip.Addr // underlay source address, kind vxlan; optional
	Remote netip.Addr // unicast peer or multicast group, kind vxlan
	Port   uint16     // UDP port, kind vxlan; 0 means 4789
	MTU    int        // 0 leaves the kernel's choice
}

// RouteTable is a route table besides the main one: for what comes from the VSwitches
// that are bound to it, in the place of the main one.
type RouteTable struct {
	ID       string
	Switches []string // VSwitch ids, ascending; each is in one table at most
	Routes   []Route  // as Network.Routes
}

// Blocks returns all CIDR blocks of the VPC.
func (n *Network) Blocks() []netip.Prefix { return append([]netip.Prefix{n.Prefix}, n.Secondary...) }

// AllRoutes returns the entries of all route tables, those of the main one first.
func (n *Network) AllRoutes() iter.Seq[*Route] {
	return func(yield func(*Route) bool) {
		for i := range n.Routes {
			if !yield(&n.Routes[i]) {
				return
			}
		}
		for i := range n.Tables {
			for k := range n.Tables[i].Routes {
				if !yield(&n.Tables[i].Routes[k]) {
					return
				}
			}
		}
	}
}

// Route is one entry of a route table of the VPC.
type Route struct {
	Destination netip.Prefix
	NextHops    []NextHop // one, or several for ECMP; by Via
}

// NextHop is where a route leads: the uplink, the VPN gateway, another network's router,
// or a host of a switch.
type NextHop struct {
	Uplink    bool       // through the public side (a NAT gateway's 0.0.0.0/0)
	VPN       string     // into the tunnels of the VPN gateway with that id, by its destination routes
	Interface string     // out of the router interface with that id; nowhere while it is not linked to its peer
	Via       netip.Addr // else: address of the instance in one of the switches
	Weight    int        // ECMP share, 1 to 255; 0 means 1
}

// UplinkMode says how a network is connected to the public side.
type UplinkMode string

// The uplink modes.
const (
	UplinkBridge  UplinkMode = "bridge"  // a veth pair whose outer end is a port of the bridge Device
	UplinkMacvlan UplinkMode = "macvlan" // a macvlan (bridge mode) on Device
	UplinkDevice  UplinkMode = "device"  // Device itself, moved into the namespace
)

// Uplink is a network's link to the public network.
type Uplink struct {
	Mode      UplinkMode
	Device    string       // bridge, parent, or the device itself
	Namespace string       // named network namespace that Device is in; empty for the daemon's own
	Prefix    netip.Prefix // on-link public prefix
	Gateway   netip.Addr   // next hop to everything else; invalid where the public network has none
	MTU       int          // 0 leaves the kernel's choice
}

// Mapping is an elastic IP bound to an instance: every packet to External goes
// to Internal, and what Internal sends to the outside leaves as External.
type Mapping struct {
	External, Internal netip.Addr
}

// DNAT forwards packets that arrive for an elastic IP.
type DNAT struct {
	External     netip.Addr
	Protocol     uint8  // IANA number: 6 TCP, 17 UDP; 0 is Any: the whole address, ports are 0
	ExternalPort uint16 // 1 to 65535
	Internal     netip.Addr
	InternalPort uint16 // 1 to 65535
}

// Compare orders DNAT entries by External, Protocol and ExternalPort, of which a network
// has one each.
func (d DNAT) Compare(o DNAT) int {
	if c := d.External.Compare(o.External); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(d.Protocol, o.Protocol), cmp.Compare(d.ExternalPort, o.ExternalPort))
}

// Hash returns a hash of External, Protocol and ExternalPort.
func (d DNAT) Hash() uint32 {
	return sorted.Hash(DNAT{External: d.External, Protocol: d.Protocol, ExternalPort: d.ExternalPort})
}

// SNAT lets the hosts of Source reach the outside. Each host keeps one address
// of Pool, chosen by hashing the host's address (RFC 4787 REQ-2).
type SNAT struct {
	Source netip.Prefix
	Pool   []netip.Addr // one or more, ascending
}

// Equal reports whether two entries are the same.
func (s SNAT) Equal(o SNAT) bool { return s.Source == o.Source && slices.Equal(s.Pool, o.Pool) }

// Timeouts are how long the network's connections are remembered when idle,
// in whole seconds.
type Timeouts struct {
	UDP            time.Duration // RFC 4787 REQ-5
	TCPEstablished time.Duration // RFC 5382 REQ-5, at least 2 h 4 min
	TCPTransitory  time.Duration // RFC 5382 REQ-5, at least 4 min
	ICMP           time.Duration // RFC 5508 REQ-2, at least 60 s
	TCPReset       time.Duration // after RST, RFC 7857 section 2.2
}

// DefaultTimeouts returns the timeouts that the RFCs ask of a NAT.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		UDP:            300 * time.Second,
		TCPEstablished: 7440 * time.Second,
		TCPTransitory:  240 * time.Second,
		ICMP:           60 * time.Second,
		TCPReset:       240 * time.Second,
	}
}

// NATGateway is a NAT gateway: what has limits and counters of its own. It has elastic
// IPs, and the entries that name them: a DNAT entry is of the gateway that External is
// of, an SNAT entry of the one that its Pool is of. An elastic IP that a host has of its
// own (Mapping) is no gateway's.
type NATGateway struct {
	ID      string       // 1 to 64 bytes
	Limits  Limits       // of its SNAT connections
	Elastic []netip.Addr // ascending; of Network.Elastic, each in one gateway at most
	// EchoReply says that its elastic IPs answer ICMP echo requests from the outside, for
	// which there is no DNAT entry. Else they are silent.
	EchoReply bool
}

// Equal reports whether two gateways are the same.
func (g NATGateway) Equal(o NATGateway) bool {
	return g.ID == o.ID && g.Limits == o.Limits && g.EchoReply == o.EchoReply && slices.Equal(g.Elastic, o.Elastic)
}

// MostNATGateways is how many a network may have (GATEWAYS in bpf/types.h, less the
// number of what no gateway translates and the one that is nobody's).
const MostNATGateways = 62

// Limits are those of a NAT gateway's specification. They hold for connections
// that SNAT entries translate; for those by DNAT entries and by elastic IPs,
// Bounds do.
type Limits struct {
	Connections  int `json:"sessions"`   // open at once; 0 for no limit
	NewPerSecond int `json:"newASecond"` // opened in a second; 0 for no limit
}

// HostLimit is what a private address may have of its NAT gateway's Limits (RFC 6888
// REQ-4). Zeros are no limit but the gateway's.
type HostLimit struct {
	Address netip.Addr
	Limits  Limits
}

// Limited reports whether there is a limit on both.
func (l Limits) Limited() bool { return l.Connections > 0 && l.NewPerSecond > 0 }

// Bounds are how many sessions there may be at once of what the outside calls, and
// of what hosts with an elastic IP of their own open; 0 is a part of what the
// kernel's table has room for.
type Bounds struct {
	PerEntry     int // of one DNAT entry, or from outside to a host's own elastic IP; 0: an eighth
	PerElasticIP int // of all entries of an elastic IP together; 0: a quarter
	PerHost      int // opened by one host through its own elastic IP; 0: a quarter
}

// Refusal is what becomes of the first packet of a connection that is one too
// many.
type Refusal string

// The ways to refuse a connection.
const (
	RefuseDrop   Refusal = "drop"   // in silence
	RefuseReject Refusal = "reject" // ICMP destination unreachable, communication administratively prohibited (RFC 5508 REQ-8)
)

// Namespace returns the name of the network namespace of the VPC id.
func Namespace(id string) string { return "sluice-" + id }

// Observed is what the dataplane reports back of one Network.
type Observed struct {
	Revision int64 // of the Network that the kernel now holds
	Changes  int   // kernel objects that had to be added, changed or removed
	Repeated bool  // it was a repair that has been made, and told of, again and again
	Followed bool  // among them may be routes that follow the state of tunnels, which nobody has changed
}

// Neighbours is the kernel's table of IPv4 neighbours, which all namespaces of the
// machine share.
type Neighbours struct {
	Entries   int    // that there are
	Most      int    // that there may be (gc_thresh3)
	Overflows uint64 // how often none could be added for want of room, since the machine started
}

// Repairs counts what somebody else changed in a network's namespace and was put
// right, since the daemon began.
type Repairs struct {
	First uint64 // the first few of a thing
	Again uint64 // of what had been put right a few times already, minutes before: something keeps changing it
}
