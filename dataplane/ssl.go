package dataplane

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// SSLServer is an SSL-VPN server of a VPN gateway: an OpenVPN that lets remote users
// into the network. It listens at the gateway's Address.
type SSLServer struct {
	ID       string         // SSL-VPN server id
	Protocol uint8          // of the transport; IANA number: 6 TCP, 17 UDP
	Port     uint16         // 1 to 65535
	Pool     netip.Prefix   // addresses of the clients' ends of tunnels; its first is the server's own
	Reach    []netip.Prefix // what clients are led to through the tunnel, and may reach; ascending
	Cipher   SSLCipher      // for clients that negotiate none; others use AEAD
	Clients  int            // most at once; 1 or more

	CA, Certificate string // PEM: of the server's own authority, and of the server
	Key             Secret // PEM: of Certificate
	TLSCrypt        Secret // OpenVPN static key: of the control channel, shared with all clients

	Certificates []SSLCertificate // that may log in, by ID
	Revoked      []SSLSerial      // serial numbers of those that never may again, ascending
}

// Link returns the name of the server's TUN device. The engine makes it, persistent, with
// Own as its address, of the length of Pool, and with MTU: it, its routes and what looks
// after its packets outlive OpenVPN, which only opens it (--dev, --ifconfig-noexec).
func (s *SSLServer) Link() string { return LinkName(s.ID) }

// Own returns the server's own end of the tunnels: the first address in Pool that a host
// can have.
func (s *SSLServer) Own() netip.Addr { return s.Pool.Masked().Addr().Next() }

// MTU returns the tunnels' MTU, in bytes. By UDP, a packet of that size fits into 1492,
// PPPoE's, with the headers of an AEAD cipher and UDP around it. With those of CBC it is
// sent in two fragments, but for TCP, whose segments OpenVPN makes shorter (mssfix). TCP as
// the transport cuts its stream as it likes.
func (s *SSLServer) MTU() int {
	if s.Protocol == unix.IPPROTO_UDP {
		return 1440
	}
	return 1500
}

// AllSSL returns the SSL-VPN servers of the network's VPN gateways, each with its gateway.
func (n *Network) AllSSL() iter.Seq2[*VPNGateway, *SSLServer] { return AllSSL(n.VPNGateways) }

// AllSSL returns the SSL-VPN servers of these VPN gateways, each with its gateway.
func AllSSL(gateways []VPNGateway) iter.Seq2[*VPNGateway, *SSLServer] {
	return func(yield func(*VPNGateway, *SSLServer) bool) {
		for i := range gateways {
			for k := range gateways[i].SSL {
				if !yield(&gateways[i], &gateways[i].SSL[k]) {
					return
				}
			}
		}
	}
}

// SSLSerial is a certificate's serial number, in decimal.
type SSLSerial string

// SSLCertificate is a client's certificate. Its common name is its ID.
type SSLCertificate struct {
	ID      string // SSL-VPN client certificate id
	Serial  SSLSerial
	Expires time.Time // from then on it may not log in, and its session ends; zero: never
}

// SSLCipher is a data channel's cipher in OpenVPN's notation.
type SSLCipher string

// The ciphers that a server may fall back on.
const (
	SSLAES128 SSLCipher = "AES-128-CBC"
	SSLAES192 SSLCipher = "AES-192-CBC"
	SSLAES256 SSLCipher = "AES-256-CBC"
	SSLNone   SSLCipher = "none" // authenticated, not encrypted
)

// SSLCiphers returns all ciphers.
func SSLCiphers() []SSLCipher { return []SSLCipher{SSLAES128, SSLAES192, SSLAES256, SSLNone} }

// UnmarshalText implements encoding.TextUnmarshaler. It refuses what is none of them.
func (c *SSLCipher) UnmarshalText(text []byte) error {
	if *c = SSLCipher(text); !slices.Contains(SSLCiphers(), *c) {
		return fmt.Errorf("cipher %q is not known", text)
	}
	return nil
}

// SSLStatus is the live state of an SSL-VPN server.
type SSLStatus struct {
	Server   string
	Running  bool              // OpenVPN runs and listens, with the settings that it should have
	Error    string            // why it does not; else empty
	Since    time.Time         // of the last change of Running
	Starts   uint64            // of OpenVPN, so far
	Limit    int               // most clients at once
	Clients  []SSLSession      // that are connected, by Certificate
	Refused  uint64            // clients beyond Limit
	Failures map[string]uint64 // of handshakes and logins, by reason
	Inbound  Volume            // from clients, inside tunnels; since the TUN device is there
	Outbound Volume            // to clients, likewise
}

// SSLSession is a client's session.
type SSLSession struct {
	Certificate string         // its id
	Remote      netip.AddrPort // where the client is, as seen from here
	Address     netip.Addr     // of the pool
	Cipher      string         // of the data channel, in OpenVPN's notation
	Since       time.Time
	Inbound     Volume // from the client, with what OpenVPN adds to packets; they are not counted
	Outbound    Volume // to the client, likewise
}

// SSLLine is a line of an SSL-VPN server's log.
type SSLLine struct {
	Time time.Time
	Text string
}
