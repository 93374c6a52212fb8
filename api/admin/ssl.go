package admin

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"sluice/controlplane/resource"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

// SSL tells how SSL-VPN servers and their clients are, what a client runs, and ends a
// client's session.
type SSL interface {
	SSLEnds(ctx context.Context) ([]vpn.SSLEnd, error)
	ClientConfig(certificate, format string) ([]byte, error)
	DisconnectSSL(ctx context.Context, certificate string) error
}

// SSLServer is an SSL-VPN server as it is.
type SSLServer struct {
	ID           string            `json:"id"`
	Name         string            `json:"name,omitempty"`
	Account      string            `json:"account"`
	VPC          string            `json:"vpc"`
	Gateway      string            `json:"gateway"`
	Address      netip.Addr        `json:"address"` // that it listens at
	Protocol     string            `json:"protocol"`
	Port         uint16            `json:"port"`
	Pool         netip.Prefix      `json:"pool"`
	Reach        []netip.Prefix    `json:"reach"`
	Cipher       string            `json:"cipher"`
	State        string            `json:"state"` // one of the states of an SSL-VPN server
	Error        string            `json:"error,omitempty"`
	Since        time.Time         `json:"since,omitzero"`
	Limit        int               `json:"limit"` // most clients at once
	Starts       uint64            `json:"starts"`
	Refused      uint64            `json:"refused"`
	Failures     map[string]uint64 `json:"failures"` // by reason
	Inbound      Volume            `json:"inbound"`
	Outbound     Volume            `json:"outbound"`
	Expires      time.Time         `json:"expires"` // its own certificate and its authority
	Certificates []SSLCertificate  `json:"certificates"`
	Revoked      int               `json:"revoked"`
	Clients      []SSLClient       `json:"clients"`
}

// States of an SSL-VPN server.
const (
	SSLRunning = "running"
	SSLDown    = "not running"
	SSLPending = "being made" // the dataplane has not had it, or not its newest form
	SSLUnknown = "unknown"    // the dataplane does not have it
)

// SSLCertificate is a client certificate.
type SSLCertificate struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"`
	Expires time.Time `json:"expires"`
	State   string    `json:"state"` // normal, expiring-soon, expired
}

// SSLClient is a client that is connected.
type SSLClient struct {
	Certificate string         `json:"certificate"`
	Name        string         `json:"name,omitempty"` // of the certificate
	Remote      netip.AddrPort `json:"remote"`
	Address     netip.Addr     `json:"address"` // of the pool
	Cipher      string         `json:"cipher,omitempty"`
	Since       time.Time      `json:"since"`
	Inbound     Volume         `json:"inbound"`
	Outbound    Volume         `json:"outbound"`
}

// ClientConfig is what a client runs. It holds its private key.
type ClientConfig struct {
	Content []byte `json:"content"`
}

func sslRoutes(s SSL) map[string]handler {
	return map[string]handler{
		"GET /v1/vpn/ssl": func(r *http.Request) (any, error) {
			list, err := s.SSLEnds(r.Context())
			out := make([]SSLServer, 0, len(list))
			for i := range list {
				out = append(out, sslServer(&list[i]))
			}
			return out, err
		},
		"GET /v1/vpn/ssl/certificates/{id}/client-config": func(r *http.Request) (any, error) {
			content, err := s.ClientConfig(r.PathValue("id"), r.URL.Query().Get("format"))
			return ClientConfig{content}, err
		},
		"POST /v1/vpn/ssl/certificates/{id}/disconnect": func(r *http.Request) (any, error) {
			return done{}, s.DisconnectSSL(r.Context(), r.PathValue("id"))
		},
	}
}

func sslServer(e *vpn.SSLEnd) SSLServer {
	s := &e.Live
	out := SSLServer{
		ID: e.ID, Name: e.Name, Account: e.Account, VPC: e.VPC, Gateway: e.Gateway, Address: e.At.Address, Protocol: e.Protocol.String(), Port: e.Port,
		Pool: e.Pool, Reach: e.Local, Cipher: string(e.Cipher), State: sslState(e.Phase, s), Error: s.Error, Since: s.Since, Limit: e.At.SSLConnections,
		Starts: s.Starts, Refused: s.Refused, Failures: s.Failures, Inbound: Volume(s.Inbound), Outbound: Volume(s.Outbound), Expires: e.Keys.Expires,
		Certificates: []SSLCertificate{}, Revoked: e.Revoked, Clients: []SSLClient{},
	}
	if s.Limit > 0 {
		out.Limit = s.Limit
	}
	names := map[string]string{}
	for _, c := range e.Certificates {
		names[c.ID] = c.Name
		out.Certificates = append(out.Certificates, SSLCertificate{c.ID, c.Name, c.Expires, [...]string{vpn.Valid: "normal", vpn.ExpiringSoon: "expiring-soon", vpn.Expired: "expired"}[c.Validity]})
	}
	for _, c := range s.Clients {
		out.Clients = append(out.Clients, SSLClient{c.Certificate, names[c.Certificate], c.Remote, c.Address, c.Cipher, c.Since, Volume(c.Inbound), Volume(c.Outbound)})
	}
	return out
}

func sslState(p resource.Phase, s *dataplane.SSLStatus) string {
	switch {
	case p != resource.Ready:
		return SSLPending
	case s.Server == "":
		return SSLUnknown
	case s.Running:
		return SSLRunning
	}
	return SSLDown
}

// SSLServers returns how all SSL-VPN servers are.
func (c *Client) SSLServers(ctx context.Context) ([]SSLServer, error) {
	var out []SSLServer
	err := c.call(ctx, http.MethodGet, "/v1/vpn/ssl", nil, &out)
	return out, err
}

// ClientConfig returns what the client of a certificate runs, in a format that the server
// knows.
func (c *Client) ClientConfig(ctx context.Context, certificate, format string) ([]byte, error) {
	var out ClientConfig
	path := "/v1/vpn/ssl/certificates/" + url.PathEscape(certificate) + "/client-config?" + url.Values{"format": {format}}.Encode()
	err := c.call(ctx, http.MethodGet, path, nil, &out)
	return out.Content, err
}

// DisconnectSSL ends the session of a certificate's client, which may come again.
func (c *Client) DisconnectSSL(ctx context.Context, certificate string) error {
	return c.call(ctx, http.MethodPost, "/v1/vpn/ssl/certificates/"+url.PathEscape(certificate)+"/disconnect", nil, nil)
}
