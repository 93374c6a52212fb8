package monitor

import (
	"context"
	"time"
)

// SystemClock returns the machine's clocks.
func SystemClock() Clock { return systemClock{time.Now()} }

type systemClock struct{ began time.Time } // with its monotonic reading

// Now implements Clock, without the monotonic reading: differences of two are
// those that a wall clock shows.
func (systemClock) Now() time.Time { return time.Now().Round(0) }

// Running implements Clock.
func (c systemClock) Running() time.Duration { return time.Since(c.began) }

// Wait implements Clock.
func (systemClock) Wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
