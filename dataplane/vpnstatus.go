package dataplane

import (
	"net/netip"
	"time"
)

// VPNStatus is the live state of a connection.
type VPNStatus struct {
	Connection                  string
	IKE, Child                  bool      // an IKE_SA, a CHILD_SA is established
	Failed                      bool      // the health check has failed
	Checked                     bool      // there is a health check, and it has a result
	BGP                         bool      // the BGP session is established
	Error                       string    // why a negotiation fails, with what each end offered; empty if none does
	Since                       time.Time // of the last change of IKE or Child
	IKEProposal, ESPProposal    string    // as negotiated, in strongSwan's notation; for tests and operators
	Rekeys, DPDEvents, Failures uint64    // so far
	Inbound, Outbound           Volume    // inside the tunnel
	LastIn, LastOut             time.Time // of a packet inside the tunnel; zero if none was seen
	Path                        VPNPath   // how its packets are carried
	Fault                       VPNFault  // the last one, also when it is mended; the zero value if there was none
	SAs                         []VPNSA   // the IKE_SAs that there are, those being negotiated included; by ID
	Pairs                       []VPNPair // of a local and a remote subnet, in the connection's order
}

// VPNPair is a pair of a local and a remote subnet of a connection.
type VPNPair struct {
	Local, Remote netip.Prefix
	Up            bool // a CHILD_SA carries all of it
}

// VPNSA is an IKE_SA. One that is being negotiated has no Established, and what
// the peer has not told yet is empty.
type VPNSA struct {
	ID            string // charon's number
	State         string // charon's word: CONNECTING, ESTABLISHED, REKEYING, DELETING, …
	Version       int    // 1 or 2
	Initiator     bool   // this end began it
	Local, Remote netip.AddrPort
	LocalID       string
	RemoteID      string
	NATLocal      bool // the peer sees this end at another address, or is told so, to encapsulate in UDP
	NATRemote     bool // this end sees the peer at another address than it has, or is told so
	Proposal      string
	Established   time.Time
	Children      []VPNChildSA // by ID
}

// VPNChildSA is a CHILD_SA.
type VPNChildSA struct {
	ID, State         string // as those of VPNSA
	Local, Remote     []string
	Proposal          string
	SPIIn, SPIOut     string // hexadecimal
	UDP               bool   // encapsulated in UDP (RFC 3948)
	Installed         time.Time
	Inbound, Outbound Volume
	RekeyIn, EndsIn   time.Duration // from now; 0: never
}

// VPNSide is an end of a connection, or what lies between.
type VPNSide string

// The sides at which a fault seems to lie.
const (
	VPNThisEnd  VPNSide = "this end"
	VPNPeer     VPNSide = "the peer"
	VPNPathSide VPNSide = "the path between" // or a peer that keeps silent
	VPNBothEnds VPNSide = "one of both ends" // they are configured differently; which of them is wrong cannot be seen
)

// VPNFault is why a connection, or a part of it, cannot be negotiated.
type VPNFault struct {
	Kind        string    // what differs or fails: "pre-shared key", "subnets", …
	Text        string    // what was seen, a sentence without a full stop
	Detail      string    // what each end offered, as far as it is known
	Side        VPNSide   // where to look first
	First, Last time.Time // it was seen, without a tunnel that worked in between
	Count       uint64    // how often in that time
}

// String returns text and detail.
func (f VPNFault) String() string {
	if f.Detail == "" {
		return f.Text
	}
	return f.Text + ": " + f.Detail
}
