package main

import (
	"io"
	"path/filepath"
	"testing"

	"sluice/dataplane"
)

// Every contender forwards, translated if it should, and nothing is left of it.
func TestContendersForward(t *testing.T) {
	needRoot(t)
	r, err := newRun(t.Context(), filepath.Join(t.TempDir(), "work"), true, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	err = r.withLineup(t.Context(), append(r.natContenders(), bridged()...), func(l *lineup) error {
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
	})
	if err != nil {
		t.Error(err)
	}
}

func TestVariations(t *testing.T) {
	n := gatewayNetwork("vpc", vswitchID, "a", "b", "ns", 0, 1)
	if len(n.DNAT) != 0 || len(n.SNAT) != 1 || n.Shortcut || n.Limits != (dataplane.Limits{}) {
		t.Fatalf("the plain network is %+v", n)
	}
	varied(onBridge, withLimits, withShortcut)(n)
	if !n.Shortcut || n.Limits.Connections == 0 || n.Switches[0].Attachment != (dataplane.Attachment{Kind: dataplane.AttachBridge}) {
		t.Errorf("the varied network is %+v", n)
	}
}
