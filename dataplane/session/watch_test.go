package session

import (
	"fmt"
	"log/slog"
	"testing"

	"sluice/bpf"
	"sluice/dataplane/internal/nstest"
)

// However long the tables take to compare, the programs know meanwhile that
// somebody is there.
func TestHeartbeatWhileComparing(t *testing.T) {
	f := newFixture(t)
	f.s = &Sessions{ctx: t.Context(), opt: Options{Logger: slog.New(slog.DiscardHandler)}}
	f.ports.mu.Lock() // a comparison waits for it
	w := newWatch(f.Network)
	defer w.close()
	defer f.ports.mu.Unlock()
	w.requestCompare()
	before, err := f.state()
	if err != nil {
		t.Fatal(err)
	}
	nstest.Eventually(t, func() error {
		now, err := f.state()
		if past := now.Heartbeat - before.Heartbeat; err == nil && past < 2*bpf.Ticks(tick) {
			err = fmt.Errorf("the programs had a heartbeat for %d ticks, and not since", past)
		}
		return err
	})
}
