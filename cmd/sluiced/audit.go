package main

import (
	"log/slog"
	"time"

	"sluice/api/audit"
	"sluice/config"
)

// openAuditLog opens the audit log; nil if none is kept.
func openAuditLog(c *config.Config, log *slog.Logger) (*audit.Log, error) {
	a := c.AuditLog
	if a.Events == config.AuditOff {
		return nil, nil
	}
	if err := private("audit_log.dir", a.Dir); err != nil {
		return nil, err
	}
	return audit.Open(audit.Config{
		Dir: a.Dir, Writes: a.Events == config.AuditWrites, MaxSize: a.MaxSize, Files: a.Files, Keep: a.Keep,
		Log: log, Now: time.Now,
	})
}
