package resource

import (
	"net/netip"
	"slices"
	"time"

	"sluice/dataplane"
)

// Kinds of the SSL-VPN resources.
const (
	KindSSLServer      Kind = "ssl-vpn-server"
	KindSSLCertificate Kind = "ssl-vpn-client-certificate"
)

// SSLServer is an SSL-VPN server of a VPN gateway: it lets remote users into the VPC,
// who have a client certificate of its own authority.
type SSLServer struct {
	Meta
	VPC      string              `json:"vpc"`
	Gateway  string              `json:"gateway"`
	Name     string              `json:"name,omitempty"`
	Protocol Protocol            `json:"protocol"` // TCP or UDP
	Port     uint16              `json:"port"`
	Pool     netip.Prefix        `json:"pool"`  // that clients get their addresses from
	Local    []netip.Prefix      `json:"local"` // what clients reach; as given
	Cipher   dataplane.SSLCipher `json:"cipher"`
	Compress bool                `json:"compress"` // was asked for; nothing is compressed
	Keys     SSLKeys             `json:"keys"`
	// Revoked are the client certificates that were deleted and would not have expired yet.
	Revoked []RevokedCertificate `json:"revoked,omitempty"`
}

// SSLKeys are an SSL-VPN server's own authority, and what it identifies itself by. Keys are
// sealed under the names that SSLAuthorityName and the like return.
type SSLKeys struct {
	Authority    string    `json:"authority"`    // its certificate, in PEM
	AuthorityKey []byte    `json:"authorityKey"` // in PEM
	Certificate  string    `json:"certificate"`  // of the server, in PEM
	Key          []byte    `json:"key"`          // of Certificate, in PEM
	TLSCrypt     []byte    `json:"tlsCrypt"`     // OpenVPN static key, shared with all clients
	Expires      time.Time `json:"expires"`      // of both certificates
}

// RevokedCertificate is a client certificate that may never log in again.
type RevokedCertificate struct {
	Serial dataplane.SSLSerial `json:"serial"`
	Until  time.Time           `json:"until"` // when it would have expired
}

// SSLAuthorityName is the name that the key of a server's authority is sealed for.
func SSLAuthorityName(server string) string { return server + "/authority" }

// SSLKeyName is the name that a server's key is sealed for.
func SSLKeyName(server string) string { return server + "/key" }

// SSLTLSCryptName is the name that the key of a server's control channel is sealed for.
func SSLTLSCryptName(server string) string { return server + "/tls-crypt" }

// Kind implements Resource.
func (*SSLServer) Kind() Kind { return KindSSLServer }

// Network implements Resource.
func (s *SSLServer) Network() string { return s.VPC }

// Clone implements Resource.
func (s *SSLServer) Clone() Resource {
	c := *s
	c.Local, c.Revoked = slices.Clone(s.Local), slices.Clone(s.Revoked)
	c.Keys.AuthorityKey, c.Keys.Key, c.Keys.TLSCrypt = slices.Clone(s.Keys.AuthorityKey), slices.Clone(s.Keys.Key), slices.Clone(s.Keys.TLSCrypt)
	return &c
}

// SSLCertificate is a client certificate of an SSL-VPN server. Its common name is its id.
type SSLCertificate struct {
	Meta
	VPC         string              `json:"vpc"`
	Server      string              `json:"server"`
	Name        string              `json:"name,omitempty"`
	Serial      dataplane.SSLSerial `json:"serial"`
	Certificate string              `json:"certificate"` // in PEM
	Key         []byte              `json:"key"`         // in PEM, sealed for the id
	Expires     time.Time           `json:"expires"`
}

// Kind implements Resource.
func (*SSLCertificate) Kind() Kind { return KindSSLCertificate }

// Network implements Resource.
func (c *SSLCertificate) Network() string { return c.VPC }

// Clone implements Resource.
func (c *SSLCertificate) Clone() Resource {
	d := *c
	d.Key = slices.Clone(c.Key)
	return &d
}
