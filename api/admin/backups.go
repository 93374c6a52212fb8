package admin

import (
	"context"
	"net/http"
)

// Backups copies the store.
type Backups interface {
	// Backup makes a copy of the store as it is now, and returns its path.
	Backup() (string, error)
}

// Backup is a copy of the store.
type Backup struct {
	Path string `json:"path"`
}

func backupRoutes(b Backups) map[string]handler {
	return map[string]handler{
		"POST /v1/backups": func(*http.Request) (any, error) {
			path, err := b.Backup()
			return Backup{path}, err
		},
	}
}

// Backup has the daemon copy its store, and returns where the copy is.
func (c *Client) Backup(ctx context.Context) (b Backup, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/backups", nil, &b)
	return b, err
}
