package vpn

import (
	"context"
	"io"
	"log/slog"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/seal"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Plane says how the connections and the SSL-VPN servers of a network are.
type Plane interface {
	// VPN returns the live state of the connections of a network that the
	// dataplane has, by connection id.
	VPN(ctx context.Context, network string) (map[string]dataplane.VPNStatus, error)
	// VPNPath says how the dataplane carries tunnels, or why it cannot.
	VPNPath() (dataplane.VPNPath, error)
	// VPNAbilities returns what the dataplane can carry, as it was found out last. It may
	// wait, so that it is not for transactions.
	VPNAbilities(ctx context.Context) *dataplane.VPNAbilities

	// SSLAvailable says why there can be no SSL-VPN servers, and what would be needed; nil if
	// there can.
	SSLAvailable() error
	// SSL returns the live state of the SSL-VPN servers of a network that the dataplane has,
	// by server id.
	SSL(ctx context.Context, network string) (map[string]dataplane.SSLStatus, error)
	// SSLLog returns what a server has logged from one time until another, both included, in
	// order; fewer lines where older ones are no longer kept.
	SSLLog(ctx context.Context, network, server string, from, to time.Time) ([]dataplane.SSLLine, error)
	// SSLDisconnect ends the session of a client, which may come again.
	SSLDisconnect(ctx context.Context, network, server, certificate string) error
}

// Service carries out the actions on VPN gateways, customer gateways,
// connections, routes, SSL-VPN servers and their clients' certificates. Its methods may be called concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	sealer   *seal.Sealer
	plane    Plane
	now      func() time.Time
	random   io.Reader
	writer   change.Writer
}

// New returns the service over db. Pre-shared and private keys are sealed by sealer; random
// is where addresses and keys come from, crypto/rand.Reader outside tests; now
// is the clock that creation times and receipts are taken from.
func New(db *state.DB, set *settings.Settings, sealer *seal.Sealer, plane Plane, now func() time.Time, random io.Reader, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, sealer: sealer, plane: plane, now: now, random: random,
		writer: change.NewWriter(db, set, now, log)}
}
