package engine

import (
	"context"
	"errors"
	"time"

	"sluice/dataplane"
)

var errNoSSL = errors.New("this version runs no SSL-VPN servers")

// SSLAvailable says what keeps this machine from running SSL-VPN servers.
func (e *Engine) SSLAvailable() error { return errNoSSL }

// SSL returns the state of a network's SSL-VPN servers, by id: none runs.
func (e *Engine) SSL(context.Context, string) (map[string]dataplane.SSLStatus, error) {
	return nil, nil
}

// SSLLog returns what a server has logged.
func (e *Engine) SSLLog(context.Context, string, string, time.Time, time.Time) ([]dataplane.SSLLine, error) {
	return nil, errNoSSL
}

// SSLDisconnect ends a client's session.
func (e *Engine) SSLDisconnect(context.Context, string, string, string) error { return errNoSSL }
