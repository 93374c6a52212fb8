package vpn

import (
	"context"
	"io"
	"log/slog"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/resource"
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
	rules    Rules
}

// Rules are what a cloud's documents ask of VPN gateways and connections that are made by its
// actions, where those of several clouds differ.
type Rules struct {
	IDs              *resource.IDs // nil: as change.NewWriter has them
	OneGateway       bool          // a VPC has at most one VPN gateway
	IPsecOnly        bool          // a gateway of SSL-VPN alone is not deleted by its actions
	RemoteOutsideVPC bool          // remote subnets do not overlap the VPC's blocks
	Exclusive        bool          // connections are; see dataplane.VPNConnection
	Begin            bool          // connections are negotiated at once, unless it is said otherwise
	IKE              dataplane.IKE // what connections have where nothing is said
	ESP              dataplane.ESP
}

// usual are the rules of Alibaba Cloud's documents (VPN Gateway API reference,
// CreateVpnConnection). The hash is that of CreateVpnConnection; elsewhere in the documents it
// is SHA1.
var usual = Rules{
	OneGateway: true,
	IKE:        dataplane.IKE{Version: 1, Proposal: dataplane.Proposal{Encryption: dataplane.AES128, Integrity: dataplane.MD5, Group: 2}, Lifetime: 86400},
	ESP:        dataplane.ESP{Proposal: dataplane.Proposal{Encryption: dataplane.AES128, Integrity: dataplane.MD5, Group: 2}, Lifetime: 86400},
}

// Under returns the service under other rules.
func (s *Service) Under(r Rules) *Service {
	c := *s
	c.rules = r
	if r.IDs != nil {
		c.writer.IDs = *r.IDs
	}
	return &c
}

// New returns the service over db. Pre-shared and private keys are sealed by sealer; random
// is where addresses and keys come from, crypto/rand.Reader outside tests; now
// is the clock that creation times and receipts are taken from.
func New(db *state.DB, set *settings.Settings, sealer *seal.Sealer, plane Plane, now func() time.Time, random io.Reader, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, sealer: sealer, plane: plane, now: now, random: random, rules: usual,
		writer: change.NewWriter(db, set, now, log)}
}
