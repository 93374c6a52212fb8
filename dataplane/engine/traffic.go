package engine

import (
	"context"
	"errors"

	"sluice/dataplane"
)

// ErrNotCounted says that a network's traffic is not counted: it has no public
// side, or is not there.
var ErrNotCounted = errors.New("its traffic is not counted")

// Traffic returns what has been counted of a network. The error wraps
// ErrNotCounted where that is nothing.
func (e *Engine) Traffic(ctx context.Context, id string) (*dataplane.Traffic, error) {
	return nil, ErrNotCounted
}
