package admin

import (
	"context"
	"net/http"
	"net/url"

	"sluice/controlplane/vpn"
)

// VPN tells how IPsec connections and SSL-VPN servers are, and what their peers have to be
// configured with.
type VPN interface {
	SSL
	// Tunnels returns a connection, or all of them if connection is empty, by id.
	Tunnels(ctx context.Context, connection string) ([]vpn.Tunnel, error)
	PeerConfig(connection, format string) (string, error)
}

// PeerConfig is the configuration of a connection's peer. It holds the
// pre-shared key.
type PeerConfig struct {
	Text string `json:"text"`
}

func vpnRoutes(s VPN) map[string]handler {
	return map[string]handler{
		"GET /v1/vpn/connections":      tunnels(s),
		"GET /v1/vpn/connections/{id}": tunnels(s),
		"GET /v1/vpn/connections/{id}/peer-config": func(r *http.Request) (any, error) {
			text, err := s.PeerConfig(r.PathValue("id"), r.URL.Query().Get("format"))
			return PeerConfig{text}, err
		},
	}
}

// PeerConfig returns the configuration of a connection's peer, in a format that
// the server knows.
func (c *Client) PeerConfig(ctx context.Context, connection, format string) (string, error) {
	var out PeerConfig
	path := "/v1/vpn/connections/" + url.PathEscape(connection) + "/peer-config?" + url.Values{"format": {format}}.Encode()
	err := c.call(ctx, http.MethodGet, path, nil, &out)
	return out.Text, err
}
