package bgp

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"sluice/dataplane/internal/nstest"
)

func held(s *Speakers, want map[string][]netip.Prefix) func() error {
	return func() error {
		if got := s.Held(network); !maps.EqualFunc(got, want, slices.Equal) {
			return fmt.Errorf("held is %v, want %v", got, want)
		}
		return nil
	}
}

// What a peer has told is held when its session is lost, whoever ends, and not what it
// withdraws; when it is back it is held until it has had the time to tell again.
func TestHeld(t *testing.T) {
	t.Parallel() // it waits most of the time
	gw, far := lab(t, 2)
	f := newFRR(t, far[0], 65002, map[string]int{"169.254.1.1": ours}, "10.7.0.0/16", "10.8.0.0/16")
	dir, err := os.MkdirTemp("", "bgp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	opt := Options{Dir: dir, Relearn: time.Second}
	s, changed := open(t, opt)
	remember := func(s *Speakers, connections ...string) {
		t.Helper()
		if err := s.Remember(network, connections); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { remember(New(opt)) })
	remember(s, "vco-1", "vco-2")
	both := []Peer{peer(1, 65002), peer(2, 65003)}
	apply(t, s, gw, both, "10.1.0.0/16")
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.7.0.0/16", "10.8.0.0/16")}))
	f.configure(t, "router bgp 65002", "no network 10.8.0.0/16", "network 10.9.0.0/16")
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.7.0.0/16", "10.9.0.0/16")}))
	wait(t, changed, held(s, nil))

	f.stop()
	lost := map[string][]netip.Prefix{"vco-1": prefixes("10.7.0.0/16", "10.9.0.0/16")}
	wait(t, changed, status(s, map[string]bool{"vco-1": false, "vco-2": false}))
	wait(t, changed, held(s, lost))
	// Another peer has one of them.
	g := newFRR(t, far[1], 65003, map[string]int{"169.254.2.1": ours}, "10.9.0.0/16")
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-2": prefixes("10.9.0.0/16")}))
	wait(t, changed, held(s, map[string][]netip.Prefix{"vco-1": prefixes("10.7.0.0/16")}))
	g.stop()
	wait(t, changed, held(s, map[string][]netip.Prefix{"vco-1": lost["vco-1"], "vco-2": prefixes("10.9.0.0/16")}))

	// The speaker dies while there is no daemon, and the next one knows nothing else.
	s.Close()
	pids, err := find(opt.dir(network))
	if err != nil || len(pids) != 1 {
		t.Fatalf("speakers %v, %v", pids, err)
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	nstest.Eventually(t, func() error { // else one that is dying is adopted
		if pids, err := find(opt.dir(network)); err != nil || len(pids) > 0 {
			return fmt.Errorf("speakers %v, %v", pids, err)
		}
		return nil
	})
	s, changed = open(t, opt)
	remember(s, "vco-1") // the other is deleted
	if err := held(s, lost)(); err != nil {
		t.Error(err)
	}
	apply(t, s, gw, both[:1], "10.1.0.0/16")
	wait(t, changed, held(s, lost))

	f.start(t) // with what it had in the beginning
	wait(t, changed, routes(s, map[string][]netip.Prefix{"vco-1": prefixes("10.7.0.0/16", "10.8.0.0/16")}))
	wait(t, changed, held(s, nil))
	f.stop()
	wait(t, changed, held(s, map[string][]netip.Prefix{"vco-1": prefixes("10.7.0.0/16", "10.8.0.0/16")}))
	remember(s)
	if err := held(s, nil)(); err != nil {
		t.Error(err)
	}
}
