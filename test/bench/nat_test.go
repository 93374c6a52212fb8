package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sluice/dataplane"
)

// newTestRun returns a run with small samples, of which nothing is left when the
// test ends.
func newTestRun(t *testing.T) *run {
	t.Helper()
	needRoot(t)
	r, err := newRun(t.Context(), filepath.Join(t.TempDir(), "work"), true, time.Second, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// forwards checks that contenders forward, translated if they should.
func (l *lineup) forwards(t *testing.T) error {
	t.Helper()
	if err := l.establish(t.Context(), 100); err != nil {
		return err
	}
	rates, err := l.rates(t.Context(), 1, 1000)
	if err != nil {
		return err
	}
	for _, c := range l.contenders {
		if len(rates[c.name]) != 2 || rates[c.name][0] <= 0 {
			t.Errorf("%s: rates %v", c.name, rates[c.name])
		}
	}
	return nil
}

// Every contender forwards, and nothing is left of it.
func TestContendersForward(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	r := newTestRun(t)
	err := r.withLineup(t.Context(), append(r.natContenders(), bridged()...), func(l *lineup) error { return l.forwards(t) })
	if err != nil {
		t.Error(err)
	}
}

// So do those with a flowtable, by way of that.
func TestFlowtables(t *testing.T) {
	r := newTestRun(t)
	contenders := slices.Concat([]contender{flowtable, shortcutXDP}, bridgedFlowtableContenders[2:])
	err := r.withLineup(t.Context(), contenders, func(l *lineup) error {
		if err := l.forwards(t); err != nil {
			return err
		}
		return l.checkOffloaded(100)
	})
	if errors.Is(err, errNoFlowtable) {
		t.Skip(err)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestVariations(t *testing.T) {
	n := gatewayNetwork("vpc", vswitchID, "a", "b", "ns", 0, 1)
	if n.DNAT.Len() != 0 || len(n.SNAT) != 1 || n.Shortcut || n.NATGateways[0].Limits != (dataplane.Limits{}) {
		t.Fatalf("the plain network is %+v", n)
	}
	varied(onBridge, withLimits, withShortcut)(n)
	if !n.Shortcut || n.NATGateways[0].Limits.Connections == 0 || n.Switches[0].Attachment != (dataplane.Attachment{Kind: dataplane.AttachBridge}) {
		t.Errorf("the varied network is %+v", n)
	}
}
