package network

import (
	"log/slog"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service carries out the actions on networks. Its methods may be called
// concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	writer   change.Writer
	rules    Rules
}

// Rules are what a cloud's documents ask of networks that are made by its actions, where
// those of several clouds differ.
type Rules struct {
	IDs                  *resource.IDs // nil: as change.NewWriter has them
	VPCMask, VSwitchMask Masks
	Plan                 resource.AddressPlan // of VSwitches
}

// Masks are lengths of masks, both ends included.
type Masks struct{ Min, Max int }

// usual are the rules of Alibaba Cloud's documents (VPC API reference, CreateVpc,
// CreateVSwitch).
var usual = Rules{VPCMask: Masks{8, 24}, VSwitchMask: Masks{16, 29}, Plan: resource.GatewayThirdLast}

// New returns the service over db. now is the clock that creation times and
// receipts are taken from.
func New(db *state.DB, set *settings.Settings, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, writer: change.NewWriter(db, set, now, log), rules: usual}
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
