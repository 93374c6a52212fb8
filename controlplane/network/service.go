package network

import (
	"log/slog"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service carries out the actions on networks. Its methods may be called
// concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	writer   change.Writer
}

// New returns the service over db. now is the clock that creation times and
// receipts are taken from.
func New(db *state.DB, set *settings.Settings, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, writer: change.NewWriter(db, set, now, log)}
}
