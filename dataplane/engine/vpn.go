package engine

import (
	"context"

	"sluice/dataplane"
)

// VPN returns the live state of the connections of a network, by connection id.
func (e *Engine) VPN(context.Context, string) (map[string]dataplane.VPNStatus, error) {
	return nil, nil
}

// VPNRefuses says why a connection cannot be carried here; nil if it can.
func (e *Engine) VPNRefuses(*dataplane.VPNConnection) error { return nil }
