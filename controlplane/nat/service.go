package nat

import (
	"io"
	"log/slog"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service carries out the actions on NAT gateways and their tables. Its
// methods may be called concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	now      func() time.Time
	writer   change.Writer
	random   io.Reader
}

// New returns the service over db. now is the clock that creation times and
// receipts are taken from; random is crypto/rand.Reader outside tests, and may be read
// concurrently.
func New(db *state.DB, set *settings.Settings, now func() time.Time, random io.Reader, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, now: now, random: random, writer: change.NewWriter(db, set, now, log)}
}
