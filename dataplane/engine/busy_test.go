package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/session"
)

// Links have their programs by clsact until they are busy, and by tcx from then on. No packet is missed, or
// counted twice, while they are changed over.
func TestBusyLinks(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	if !session.HaveTCX() {
		t.Skip("this kernel has no tcx")
	}
	onAndOff(t, func(t *testing.T, shortcut bool) {
		w := newWiredBy(t, dataplane.UplinkDevice, shortcut, true, session.Options{WithoutXDP: true})
		attached := func() (by []dataplane.ProgramsBy) {
			t.Helper()
			all, err := w.e.Programs(t.Context(), w.n.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range all {
				by = append(by, p.By)
			}
			return by
		}
		quiet, busy := []dataplane.ProgramsBy{dataplane.ByClsact, dataplane.ByClsact}, []dataplane.ProgramsBy{dataplane.ByTCX, dataplane.ByTCX}
		if by := attached(); !slices.Equal(by, quiet) {
			t.Fatalf("programs are attached by %v", by)
		}
		out, in := nstest.NewMeter(t, w.host, hostEnd, true), nstest.NewMeter(t, w.public, publicEnd, true)
		before := traffic(t, w.e, w.n.ID)
		toHost, toOutside := nstest.MustDial(t, w.public, "udp4", serverUDP), nstest.MustDial(t, w.host, "udp4", outsideEcho)
		// Some at once, and an answer to the last, so that no queue runs over.
		stop, stopped := make(chan struct{}), make(chan error, 1)
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
				}
				sent := make([]byte, oddSizes[i%9])
				for range 20 {
					if _, err := toHost.Write(sent); err != nil {
						stopped <- err
						return
					}
				}
				if err := sayWithin(toOutside, nstest.Deadline, make([]byte, 100)); err != nil {
					stopped <- err
					return
				}
			}
		}()
		nstest.EventuallyWithin(t, time.Minute, func() error { // it is looked for every five seconds
			if by := attached(); !slices.Equal(by, busy) {
				return fmt.Errorf("programs are attached by %v", by)
			}
			return nil
		})
		close(stop)
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		nstest.Datagrams(t, w.public, serverUDP, oddSizes...)
		nstest.Datagrams(t, w.host, outsideEcho, oddSizes...)
		after := traffic(t, w.e, w.n.ID)
		if got, want := minus(after.Outbound, before.Outbound), measured(out); got != want {
			t.Errorf("the host sent %+v, counted are %+v", want, got)
		}
		if got, want := minus(after.Inbound, before.Inbound), measured(in); got != want {
			t.Errorf("outside sent %+v, counted are %+v", want, got)
		}
		if changes := mustApply(t, w.e, w.n).Changes; changes != 0 {
			t.Errorf("applied once more, %d objects changed", changes)
		}
		// A later process leaves them as they are.
		if err := w.e.Close(); err != nil {
			t.Fatal(err)
		}
		w.e = w.engineWith(t, session.Options{WithoutXDP: true})
		if changes := mustApply(t, w.e, w.n).Changes; changes != 0 {
			t.Errorf("a later process changed %d objects", changes)
		}
		if by := attached(); !slices.Equal(by, busy) {
			t.Errorf("after a restart programs are attached by %v", by)
		}
	})
}
