package leasedline

import (
	"context"
	"log/slog"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/identity"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Plane says how the devices of lines are, and what the dataplane can carry on them.
type Plane interface {
	// Line returns how the device behind a port is.
	Line(device string) dataplane.LineStatus
	// LineAvailable says why there can be no border router on a device, with frames that have
	// a VLAN or with those that have none, and what would be needed; nil if there can.
	LineAvailable(tagged bool) error
}

// Service carries out the actions. Its methods may be called concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	plane    Plane
	now      func() time.Time
	writer   change.Writer
}

// New returns the service over db. now is the clock of creation times, and of how long a
// border router that was terminated keeps its VLAN.
func New(db *state.DB, set *settings.Settings, plane Plane, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, plane: plane, now: now, writer: change.NewWriter(db, set, now, log)}
}

// operate is a write of the operator's: it has no account and no client token.
func (s *Service) operate(ctx context.Context, fn func(*change.Tx) error) error {
	return change.Run(ctx, s.writer, identity.Caller{}, fn)
}
