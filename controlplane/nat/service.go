package nat

import (
	"context"
	"log/slog"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/receipt"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service carries out the actions on NAT gateways and their tables. Its
// methods may be called concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	now      func() time.Time
	log      *slog.Logger
}

// New returns the service over db. now is the clock that creation times and
// receipts are taken from.
func New(db *state.DB, set *settings.Settings, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, now: now, log: log}
}

// change is one write: what it did, for the log, once it is committed.
type change struct {
	s     *Service
	c     identity.Caller
	what  string
	attrs []any
}

// done says what the transaction does. A call that only repeats an earlier
// answer never gets here, and is not logged as a change.
func (w *change) done(what string, attrs ...any) { w.what, w.attrs = what, attrs }

// write runs fn in one transaction, once per client token, and logs it.
func write[R any](ctx context.Context, s *Service, c identity.Caller, fn func(*state.Tx, *change) (R, error)) (R, error) {
	w := &change{s: s, c: c}
	r, err := receipt.Once(ctx, s.db, c, s.now(), func(tx *state.Tx) (R, error) {
		w.what = ""
		return fn(tx, w)
	})
	if err == nil && w.what != "" {
		s.log.Info(w.what, append([]any{"account", c.Account, "request", c.RequestID}, w.attrs...)...)
	}
	return r, err
}

// nothing is the result of a write that has none.
type nothing struct{}

// settle gives the dataplane a moment to follow earlier changes of the
// network, and says whether it has.
func (s *Service) settle(ctx context.Context, network string) bool {
	if s.db.Observed.Settled(network) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, s.settings.Settle)
	defer cancel()
	return s.db.Observed.Settle(ctx, network)
}

// settleTable is settle for the network of a DNAT or SNAT table. A table that
// isn't the caller's counts as settled: the transaction refuses it.
func (s *Service) settleTable(ctx context.Context, c identity.Caller, table string) bool {
	if g, ok := gatewayOfTable(s.db.View(), table); ok && g.Account == c.Account {
		return s.settle(ctx, g.VPC)
	}
	return true
}

// configurable refuses a change of a gateway that the dataplane is still
// making or changing. It is asked only while the network has not settled, so
// that a change that the dataplane refuses doesn't bar the one that mends it.
func (s *Service) configurable(g *resource.NATGateway) error {
	if g.Phase(s.db.Observed.Applied(g.VPC)) != resource.Ready {
		return fault.New(fault.GatewayInTransition, "NAT gateway %s is not ready yet; try again when it is Available", g.ID)
	}
	return nil
}

// tableSettled refuses a change of a table of which the dataplane has not
// followed every entry, or still holds one that has been deleted. Like
// configurable, only for unsettled networks: it walks the table.
func tableSettled[R resource.Resource](s *Service, entries *state.Range[R], network string, kind resource.Kind, reason fault.Reason) error {
	if s.db.Observed.Deleting(network, kind) {
		return fault.New(reason, "an entry of the table is still being deleted; try again when it is gone")
	}
	applied := s.db.Observed.Applied(network)
	for e := range entries.All() {
		if m := e.Metadata(); m.Phase(applied) != resource.Ready {
			return fault.New(reason, "entry %s of the table is still being changed; try again when it is Available", m.ID)
		}
	}
	return nil
}
