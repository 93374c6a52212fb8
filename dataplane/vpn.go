package dataplane

import (
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// VPNMTU is the MTU of tunnels, in bytes: with the longest of the ESP and UDP
// headers around it, a packet of that size still fits into 1500.
const VPNMTU = 1400

// VPNHomes are the addresses that charons have in a network's namespace where they
// do ESP themselves: what comes from there is IKE and ESP to a peer. They are
// reserved (RFC 1112, section 4), so that no network and no site has them.
var VPNHomes = netip.MustParsePrefix("240.0.0.0/16")

// VPNGateway is a VPN gateway of a network: of IPsec, of SSL-VPN, or of both. All IPsec
// tunnels of a network are one's ways, whichever gateway has them: of routes with the
// same prefixes one is used.
type VPNGateway struct {
	ID          string          // VPN gateway id
	Address     netip.Addr      // public; one of Network.Elastic
	IPsec       bool            // it has a charon, whether there are connections or not
	SSL         []SSLServer     // by ID
	Bandwidth   int             // of all tunnels together, each way; Mbit/s; 0 for no limit
	Propagate   bool            // routes learned by BGP lead hosts of the VPC, too
	Announce    []netip.Prefix  // what BGP tells peers of: the VPC's block and its published routes' destinations; ascending
	Connections []VPNConnection // by ID
	Routes      []VPNRoute      // by Source, Destination, Connection
}

// VPNConnection is an IPsec connection: an IKE_SA with CHILD_SAs for its
// subnets, and the tunnel that they are.
type VPNConnection struct {
	ID           string      // VPN connection id
	Remote       netip.Addr  // public address of the peer
	LocalID      string      // IKE identity: an address or an FQDN
	RemoteID     string      // likewise
	PSK          Secret      // pre-shared key
	IKE          IKE         // phase 1
	ESP          ESP         // phase 2
	Policies     VPNPolicies // what may pass; by Local, each with its remote subnets ascending
	Exclusive    bool        // what is for a remote subnet, and not for one of the pairs, goes nowhere; else by other routes
	Resets       int         // how often it was to be negotiated anew; another number takes down what there is
	Start        bool        // negotiate at once, and again after a change; else when there is traffic
	DPD          bool        // dead peer detection
	NATTraversal bool        // UDP encapsulation where there is a NAT (RFC 3947)
	Health       *VPNHealth  // nil: not probed
	BGP          *VPNBGP     // nil: none
}

// Secret is a value that must not be shown: formatted or logged it is blotted
// out.
type Secret string

// String implements fmt.Stringer.
func (Secret) String() string { return "(secret)" }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return "(secret)" }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// Encryption is an encryption algorithm of IKE and ESP.
type Encryption string

// The encryption algorithms, in CBC mode.
const (
	AES128    Encryption = "aes128"
	AES192    Encryption = "aes192"
	AES256    Encryption = "aes256"
	TripleDES Encryption = "3des"
	DES       Encryption = "des"
	Null      Encryption = "null" // ESP alone: packets are authenticated, and in clear (RFC 2410)
)

// Encryptions returns the encryption algorithms of both IKE and ESP.
func Encryptions() []Encryption { return []Encryption{AES128, AES192, AES256, TripleDES, DES} }

// UnmarshalText implements encoding.TextUnmarshaler. It refuses what is none of them.
func (e *Encryption) UnmarshalText(text []byte) error {
	if *e = Encryption(text); *e != Null && !slices.Contains(Encryptions(), *e) {
		return fmt.Errorf("encryption %q is not known", text)
	}
	return nil
}

// Integrity is the hash of an HMAC that authenticates IKE and ESP.
type Integrity string

// The hashes.
const (
	MD5    Integrity = "md5"
	SHA1   Integrity = "sha1"
	SHA256 Integrity = "sha256"
	SHA384 Integrity = "sha384"
	SHA512 Integrity = "sha512"
)

// Integrities returns all hashes.
func Integrities() []Integrity { return []Integrity{MD5, SHA1, SHA256, SHA384, SHA512} }

// UnmarshalText implements encoding.TextUnmarshaler. It refuses what is none of them.
func (i *Integrity) UnmarshalText(text []byte) error {
	if *i = Integrity(text); !slices.Contains(Integrities(), *i) {
		return fmt.Errorf("hash %q is not known", text)
	}
	return nil
}

// DHGroup is a Diffie-Hellman group by its IANA number: 1, 2, 5, 14, or 24; 0
// for no perfect forward secrecy.
type DHGroup uint16

// DHGroups returns all groups but 0.
func DHGroups() []DHGroup { return []DHGroup{1, 2, 5, 14, 24} }

// UnmarshalJSON implements json.Unmarshaler. It refuses a group that is not known.
func (g *DHGroup) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 16)
	if *g = DHGroup(n); err != nil || n != 0 && !slices.Contains(DHGroups(), *g) {
		return fmt.Errorf("Diffie-Hellman group %s is not known", text)
	}
	return nil
}

// Proposal is a set of algorithms.
type Proposal struct {
	Encryption Encryption `json:"encryption"`
	Integrity  Integrity  `json:"integrity"`
	Group      DHGroup    `json:"group"`
}

// Known says whether a proposal has an encryption, a hash and a group that there are; Null
// counts as one.
func (p Proposal) Known() bool {
	return (p.Encryption == Null || slices.Contains(Encryptions(), p.Encryption)) && slices.Contains(Integrities(), p.Integrity) &&
		(p.Group == 0 || slices.Contains(DHGroups(), p.Group))
}

// Seconds is a time in whole seconds.
type Seconds int

// Duration returns the time as one of package time.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// IKE is how an IKE_SA is negotiated.
type IKE struct {
	Version    int      `json:"version"`    // 1 or 2
	Aggressive bool     `json:"aggressive"` // mode of version 1; else main
	Proposal   Proposal `json:"proposal"`   // with a group
	Lifetime   Seconds  `json:"lifetime"`   // until it is rekeyed at the latest; 0: never
}

// ESP is how a CHILD_SA is negotiated.
type ESP struct {
	Proposal Proposal `json:"proposal"`          // group 0: no perfect forward secrecy
	Lifetime Seconds  `json:"lifetime"`          // until it is rekeyed at the latest; 0: never
	Traffic  int      `json:"traffic,omitempty"` // KiB, each way, after which it is rekeyed at the latest; 0: any
}

// VPNHealth says how a tunnel is probed, by ICMP echo. A probe that is lost is
// repeated sooner than after Interval.
type VPNHealth struct {
	Source, Destination netip.Addr
	Interval            time.Duration
	Retries             int  // losses in a row after which the check has failed
	SameWay             bool // an answer counts only if it comes in by the link that the request has left by
}

// VPNBGP is a BGP session over a tunnel (RFC 4271).
type VPNBGP struct {
	Tunnel   netip.Prefix // /30, addresses of the tunnel's ends
	LocalIP  netip.Addr   // in Tunnel; the peer's is the other host address
	LocalASN uint32
	PeerASN  uint32
}

// PeerIP returns the tunnel's other host address.
func (b *VPNBGP) PeerIP() netip.Addr {
	first := b.Tunnel.Masked().Addr().Next()
	if first == b.LocalIP {
		return first.Next()
	}
	return first
}

// VPNRoute leads to a tunnel.
type VPNRoute struct {
	Source      netip.Prefix // the zero Prefix for any: a destination route
	Destination netip.Prefix
	Connection  string // VPN connection id
	Standby     bool   // used while no active one for the same prefixes works
	Published   bool   // for hosts of the VPC, too; else only between tunnels
}

// VPNPath is a way in which tunnels are carried.
type VPNPath string

// The ways.
const (
	VPNByXFRM     VPNPath = "xfrm"     // the kernel's ESP, one XFRM interface for each connection
	VPNByLibipsec VPNPath = "libipsec" // charon's own ESP over a TUN device
)

// AllConnections returns the connections of all VPN gateways, each with its gateway.
func (n *Network) AllConnections() iter.Seq2[*VPNGateway, *VPNConnection] {
	return AllConnections(n.VPNGateways)
}

// AllConnections returns the connections of these VPN gateways, each with its gateway.
func AllConnections(gateways []VPNGateway) iter.Seq2[*VPNGateway, *VPNConnection] {
	return func(yield func(*VPNGateway, *VPNConnection) bool) {
		for i := range gateways {
			for k := range gateways[i].Connections {
				if !yield(&gateways[i], &gateways[i].Connections[k]) {
					return
				}
			}
		}
	}
}
