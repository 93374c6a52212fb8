package reconcile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/reconcile"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// The tests run in synctest bubbles: time passes only when everything waits,
// so that seconds cost nothing and no outcome hangs on a machine's speed.

type bench struct {
	*nattest.World
	dp     *fake
	r      *reconcile.Reconciler
	log    *lines
	opt    reconcile.Options
	cancel context.CancelFunc
	ended  chan error
}

// start runs a reconciler over the world until the test ends.
func start(t *testing.T, w *nattest.World, dp *fake, opt reconcile.Options) *bench {
	t.Helper()
	if opt.Audit == 0 {
		opt.Audit = -1
	}
	opt.Random = func() float64 { return 0.5 }
	b := &bench{World: w, dp: dp, log: &lines{}, opt: opt, ended: make(chan error, 1)}
	b.r = reconcile.New(w.DB, dp, w.Settings, slog.New(slog.NewTextHandler(b.log, nil)), time.Now, opt)
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	go func() { b.ended <- b.r.Run(ctx) }()
	t.Cleanup(b.stop)
	synctest.Wait()
	return b
}

func (b *bench) stop() {
	b.cancel()
	synctest.Wait()
}

func (b *bench) ready() bool {
	select {
	case <-b.r.Ready():
		return true
	default:
		return false
	}
}

// lines is a log that can be read.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), part)
}

func expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func vpcs(n int) []resource.Resource {
	var out []resource.Resource
	for i := range n {
		out = append(out, nattest.VPC(fmt.Sprintf("vpc-%d", i), "10.0.0.0/16"))
	}
	return out
}

func TestACommitIsAppliedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nattest.New(t), newFake(), reconcile.Options{})
		if !b.ready() {
			t.Error("not ready although there is no network")
		}
		began := time.Now()
		b.Put(nattest.VPC("vpc-a", "10.0.0.0/16"))
		synctest.Wait()
		expect(t, "calls", b.dp.take(), []string{"apply vpc-a"})
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %s", waited)
		}
		if got := b.DB.Observed.Applied("vpc-a"); got != 1 {
			t.Errorf("revision %d observed, want 1", got)
		}
		b.Put(nattest.VSwitch("vsw-1", "vpc-a", "10.0.1.0/24"))
		synctest.Wait()
		if got := b.DB.Observed.Applied("vpc-a"); got != 2 || b.dp.revision("vpc-a") != 2 {
			t.Errorf("revision %d observed, want 2", got)
		}
		if n := b.log.count("network applied"); n != 2 {
			t.Errorf("%d lines for 2 changes", n)
		}
		// A change that nothing in the kernel follows from leaves no line.
		b.Put(nattest.VPC("vpc-a", "10.0.0.0/16"))
		synctest.Wait()
		if n := b.log.count("network applied"); n != 2 || b.DB.Observed.Applied("vpc-a") != 3 {
			t.Errorf("%d lines for 2 changes; revision %d, want 3", n, b.DB.Observed.Applied("vpc-a"))
		}
	})
}

func TestCommitsDuringAnApplyAreTakenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nattest.New(t), newFake(), reconcile.Options{})
		gate := make(chan struct{})
		b.dp.set(func() { b.dp.gates["vpc-a"] = gate })
		b.Put(nattest.VPC("vpc-a", "10.0.0.0/16")) // its Apply waits at the gate
		synctest.Wait()
		for i := range 50 {
			b.Put(nattest.VSwitch(fmt.Sprintf("vsw-%d", i), "vpc-a", fmt.Sprintf("10.0.%d.0/24", i)))
		}
		synctest.Wait()
		if b.DB.Observed.Settled("vpc-a") {
			t.Error("settled while the dataplane is still at it")
		}
		b.dp.set(func() { delete(b.dp.gates, "vpc-a") })
		close(gate)
		synctest.Wait()
		expect(t, "calls", b.dp.take(), []string{"apply vpc-a", "apply vpc-a"})
		if got := b.dp.revision("vpc-a"); got != 51 || !b.DB.Observed.Settled("vpc-a") {
			t.Errorf("revision %d, want 51 and settled", got)
		}
		if len(b.dp.overlaps) > 0 {
			t.Errorf("worked on twice at a time: %q", b.dp.overlaps)
		}
	})
}

func TestNetworksDontWaitForOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nattest.New(t), newFake(), reconcile.Options{Parallel: 3})
		gate := make(chan struct{})
		b.dp.set(func() { b.dp.gates["vpc-0"] = gate; b.dp.failing["vpc-1"] = errors.New("no such device") })
		all := vpcs(6)
		b.Put(all[0])
		synctest.Wait()
		b.Put(all[1:]...)
		synctest.Wait()
		for _, id := range []string{"vpc-2", "vpc-3", "vpc-4", "vpc-5"} {
			if b.dp.revision(id) != 2 {
				t.Errorf("%s waits for another network", id)
			}
		}
		if b.dp.parallel < 2 || b.dp.parallel > 3 {
			t.Errorf("%d networks at a time, want 2 or 3", b.dp.parallel)
		}
		close(gate)
		synctest.Wait()
		if b.dp.revision("vpc-0") == 0 {
			t.Error("vpc-0 was not finished")
		}
	})
}

func TestFailuresAreRetriedUntilTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nattest.New(t), newFake(), reconcile.Options{})
		b.dp.set(func() { b.dp.failing["vpc-a"] = errors.New("no such device") })
		b.Put(nattest.VPC("vpc-a", "10.0.0.0/16"))
		synctest.Wait()
		// Every failure is followed by a look at the kernel itself.
		expect(t, "calls", b.dp.take(), []string{"apply vpc-a", "invalidate vpc-a"})
		status := b.DB.Observed.Status()
		if len(status) != 1 || !strings.Contains(status[0].Error, "no such device") || status[0].Applied != 0 {
			t.Errorf("status %+v", status)
		}
		if !b.DB.Observed.Settled("vpc-a") {
			t.Error("a refused change bars the way to the one that mends it")
		}

		time.Sleep(time.Hour) // in the bubble
		tries := len(b.dp.take()) / 2
		if tries < 100 || tries > 250 {
			t.Errorf("%d attempts in an hour; want one about every 30 s", tries)
		}
		if n := b.log.count("level=ERROR"); n != 1 {
			t.Errorf("%d error lines, want 1 when it starts", n)
		}

		// What is changed meanwhile is tried at once, not when the wait is over.
		b.Put(nattest.VSwitch("vsw-1", "vpc-a", "10.0.1.0/24"))
		synctest.Wait()
		expect(t, "calls", b.dp.take(), []string{"apply vpc-a", "invalidate vpc-a"})

		b.dp.set(func() { delete(b.dp.failing, "vpc-a") })
		time.Sleep(time.Minute)
		expect(t, "calls", b.dp.take(), []string{"apply vpc-a"})
		if got := b.DB.Observed.Applied("vpc-a"); got != 2 {
			t.Errorf("revision %d observed, want 2", got)
		}
		if b.log.count("well again") != 1 || b.log.count("level=ERROR") != 1 {
			t.Error("want one line when it fails and one when it is well again")
		}
		if status := b.DB.Observed.Status(); status[0].Error != "" {
			t.Errorf("still an error: %+v", status)
		}
	})
}

func TestResourcesThatDontCompileAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nattest.New(t), newFake(), reconcile.Options{})
		g := nattest.Gateway("ngw-a", "vpc-a")
		wrong := nattest.Forward("fwd-2", g, resource.TCP, "203.0.113.10:80", "10.0.1.2:80")
		b.Put(nattest.VPC("vpc-a", "10.0.0.0/16"), nattest.VSwitch("vsw-1", "vpc-a", "10.0.1.0/24"), g,
			nattest.ElasticIP("eip-1", "203.0.113.10", "vpc-a", resource.BoundToNATGateway, "ngw-a"),
			nattest.Forward("fwd-1", g, resource.TCP, "203.0.113.10:80", "10.0.1.1:80"), wrong)
		synctest.Wait()
		if status := b.DB.Observed.Status(); !strings.Contains(status[0].Error, "two DNAT entries") {
			t.Errorf("status %+v", status)
		}
		b.Delete(wrong)
		synctest.Wait()
		if status := b.DB.Observed.Status(); status[0].Error != "" || b.dp.revision("vpc-a") != 2 {
			t.Errorf("status %+v", status)
		}
	})
}

func TestADeletedVPCIsRemovedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nattest.New(t), newFake(), reconcile.Options{})
		vpc := nattest.VPC("vpc-a", "10.0.0.0/16")
		b.Put(vpc)
		synctest.Wait()
		b.dp.set(func() { b.dp.failing["vpc-a"] = errors.New("busy") })
		b.Delete(vpc)
		synctest.Wait()
		if status := b.DB.Observed.Status(); len(status) != 1 || !strings.Contains(status[0].Error, "busy") {
			t.Errorf("status %+v", status)
		}
		b.dp.set(func() { delete(b.dp.failing, "vpc-a") })
		time.Sleep(time.Minute)
		calls := b.dp.take()
		if calls[0] != "apply vpc-a" || calls[1] != "remove vpc-a" || calls[len(calls)-1] != "remove vpc-a" {
			t.Errorf("calls %q", calls)
		}
		if status := b.DB.Observed.Status(); len(status) != 0 {
			t.Errorf("not forgotten: %+v", status)
		}
		if b.log.count("network removed") != 1 {
			t.Error("no line for the removal")
		}
		time.Sleep(time.Hour)
		expect(t, "calls after the end", b.dp.take(), nil)
	})
}

// An elastic IP that moves on names the VPC that it worked in last, which may
// be gone by then.
func TestAChangeThatNamesAGoneVPCLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nattest.New(t), newFake(), reconcile.Options{})
		vpc := nattest.VPC("vpc-a", "10.0.0.0/16")
		was := nattest.ElasticIP("eip-1", "203.0.113.10", "vpc-a", "", "")
		b.Put(vpc, was)
		synctest.Wait()
		b.Delete(vpc)
		synctest.Wait()
		b.Delete(was)
		synctest.Wait()
		if status := b.DB.Observed.Status(); len(status) != 0 {
			t.Errorf("a network that nobody will report on: %+v", status)
		}
		if n := b.log.count("network removed"); n != 1 {
			t.Errorf("%d lines for one removal", n)
		}
	})
}

func TestStartAdoptsWhatIsWantedAndRemovesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := nattest.New(t)
		w.Put(vpcs(2)...)
		w.Reopen() // the process before
		dp := newFake()
		dp.marked = []string{"vpc-0", "vpc-left"}
		gate := make(chan struct{})
		dp.gates["vpc-1"] = gate
		b := start(t, w, dp, reconcile.Options{})
		if b.ready() {
			t.Error("ready before every network had its first attempt")
		}
		close(gate)
		synctest.Wait()
		if !b.ready() {
			t.Error("not ready")
		}
		calls := dp.take()
		slices.Sort(calls)
		expect(t, "calls", calls, []string{"apply vpc-0", "apply vpc-1", "remove vpc-left"})
		if len(dp.marked) != 1 {
			t.Errorf("marked: %q", dp.marked)
		}
		for _, id := range []string{"vpc-0", "vpc-1"} {
			if b.DB.Observed.Applied(id) != 1 {
				t.Errorf("%s at revision %d, want 1", id, b.DB.Observed.Applied(id))
			}
		}
	})
}

func TestReadyDoesntWaitForWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := nattest.New(t)
		w.Put(vpcs(2)...)
		w.Reopen()
		dp := newFake()
		dp.failing["vpc-0"] = errors.New("no such device")
		dp.listing = errors.New("permission denied")
		dp.marked = []string{"vpc-left"}
		b := start(t, w, dp, reconcile.Options{})
		if !b.ready() {
			t.Error("not ready")
		}
		dp.take()
		dp.set(func() { dp.listing = nil })
		time.Sleep(time.Second)
		if calls := dp.take(); !slices.Contains(calls, "remove vpc-left") {
			t.Errorf("what could not be listed at first is never removed: %q", calls)
		}
	})
}

func TestWhatOthersChangeIsMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nattest.New(t), newFake(), reconcile.Options{})
		b.Put(nattest.VPC("vpc-a", "10.0.0.0/16"))
		synctest.Wait()
		b.dp.take()
		b.dp.set(func() { b.dp.changes = 3 })
		b.dp.changed <- "vpc-a"
		synctest.Wait()
		expect(t, "calls", b.dp.take(), []string{"apply vpc-a"})
		if b.log.count("network repaired") != 1 || b.log.count("changes=3") != 1 {
			t.Error("no line for the repair")
		}
		b.dp.set(func() { b.dp.followed = true })
		b.dp.changed <- "vpc-a"
		synctest.Wait()
		expect(t, "calls", b.dp.take(), []string{"apply vpc-a"})
		if b.log.count("network repaired") != 1 {
			t.Error("routes that follow a tunnel count as a repair")
		}
		b.dp.set(func() { b.dp.followed, b.dp.repeated = false, true })
		b.dp.changed <- "vpc-a"
		synctest.Wait()
		expect(t, "calls", b.dp.take(), []string{"apply vpc-a"})
		if b.log.count("network repaired") != 1 {
			t.Error("a repair that is made again and again is told each time")
		}
		close(b.dp.changed) // the dataplane stops watching; the rest goes on
		b.Put(nattest.VSwitch("vsw-1", "vpc-a", "10.0.1.0/24"))
		synctest.Wait()
		expect(t, "calls", b.dp.take(), []string{"apply vpc-a"})
	})
}

func TestAuditComparesWithTheKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nattest.New(t), newFake(), reconcile.Options{Audit: 30 * time.Second, Full: 5 * time.Minute, Random: func() float64 { return 0.5 }})
		b.Put(vpcs(2)...)
		synctest.Wait()
		time.Sleep(30 * time.Second) // with no network there was nothing to do in the first round
		synctest.Wait()
		b.dp.take()
		// In turns, spread over the interval.
		time.Sleep(15 * time.Second)
		synctest.Wait()
		expect(t, "the first half of a round", b.dp.take(), []string{"audit vpc-0"})
		time.Sleep(15 * time.Second)
		synctest.Wait()
		expect(t, "the second half", b.dp.take(), []string{"audit vpc-1"})
		b.dp.set(func() { b.dp.differing = map[string]bool{"vpc-1": true} })
		time.Sleep(30 * time.Second)
		synctest.Wait()
		expect(t, "a round that finds something", b.dp.take(), []string{"audit vpc-0", "audit vpc-1", "apply vpc-1"})
		b.dp.set(func() { b.dp.differing = nil })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		calls := map[string]int{}
		for _, c := range b.dp.take() {
			calls[c]++
		}
		for _, id := range []string{"vpc-0", "vpc-1"} {
			if calls["full audit "+id] != 2 || calls["apply "+id] != 2 || calls["audit "+id] != 18 {
				t.Errorf("in ten minutes, %s: %v", id, calls)
			}
		}
		if b.log.count("network repaired") != 0 {
			t.Error("a line for an audit that found nothing")
		}
	})
}

// With so many networks that audits would take more than their share, they take longer
// over it; one that is held up does not hold up the others.
func TestAuditIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nattest.New(t), newFake(), reconcile.Options{Audit: time.Second})
		b.dp.set(func() { b.dp.auditTakes = 10 * time.Millisecond })
		b.Put(vpcs(50)...)
		synctest.Wait()
		time.Sleep(time.Second)
		b.dp.take()
		time.Sleep(20 * time.Second)
		if n := len(b.dp.take()); n < 80 || n > 101 {
			t.Errorf("%d audits of 10 ms in 20 s, which are to take a twentieth of the time", n)
		}
		gate := make(chan struct{})
		b.dp.set(func() {
			b.dp.auditTakes = 0
			b.dp.differing, b.dp.gates = map[string]bool{"vpc-7": true}, map[string]chan struct{}{"vpc-7": gate}
		})
		time.Sleep(20 * time.Second)
		audited := map[string]bool{}
		for _, c := range b.dp.take() {
			audited[c] = true
		}
		close(gate)
		if len(audited) < 50 {
			t.Errorf("only %d networks were audited while one was held up", len(audited))
		}
	})
}

// The interval stretches with what audits cost, and not without end.
func TestAuditsStretch(t *testing.T) {
	for _, c := range []struct {
		takes       time.Duration
		least, most int // audits of ten networks in 30 s
	}{
		{100 * time.Microsecond, 270, 330}, // as often as the interval says
		{500 * time.Microsecond, 180, 210}, // a three-hundredth of the time
		{time.Millisecond, 90, 105},
		{2 * time.Millisecond, 90, 105}, // a third as often
		{15 * time.Millisecond, 90, 105},
		{30 * time.Millisecond, 45, 55}, // a twentieth of the time
		{200 * time.Millisecond, 25, 31},
	} {
		t.Run(c.takes.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, nattest.New(t), newFake(), reconcile.Options{Audit: time.Second})
				b.dp.set(func() { b.dp.auditTakes = c.takes })
				b.Put(vpcs(10)...)
				synctest.Wait()
				time.Sleep(2 * time.Second)
				b.dp.take()
				time.Sleep(30 * time.Second)
				if n := len(b.dp.take()); n < c.least || n > c.most {
					t.Errorf("%d audits, want %d to %d", n, c.least, c.most)
				}
			})
		})
	}
}

func TestStopEndsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nattest.New(t), newFake(), reconcile.Options{})
		b.dp.set(func() {
			b.dp.gates["vpc-0"] = make(chan struct{})
			b.dp.failing["vpc-1"] = errors.New("no such device")
		})
		b.Put(vpcs(2)...)
		synctest.Wait()
		b.stop()
		select {
		case err := <-b.ended:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Fatal("Run goes on")
		}
		b.dp.take()
		time.Sleep(time.Hour)
		expect(t, "calls after the end", b.dp.take(), nil)
		// A network that was under way is not blamed for the end.
		if b.log.count("vpc-0") != 0 {
			t.Error("the end was logged as a failure")
		}
	})
}

// Revisions of one network only grow, whatever comes together.
func TestManyWritersOneOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nattest.New(t), newFake(), reconcile.Options{Parallel: 4})
		b.Put(vpcs(5)...)
		var writers sync.WaitGroup
		for i := range 5 {
			writers.Go(func() {
				for k := range 40 {
					b.Put(nattest.VSwitch(fmt.Sprintf("vsw-%d-%d", i, k), fmt.Sprintf("vpc-%d", i), fmt.Sprintf("10.0.%d.0/24", k)))
					if k%10 == 0 {
						b.dp.changed <- fmt.Sprintf("vpc-%d", i)
					}
				}
			})
		}
		writers.Wait()
		synctest.Wait()
		v := b.DB.View()
		for i := range 5 {
			id := fmt.Sprintf("vpc-%d", i)
			if !b.DB.Observed.Settled(id) || len(b.dp.holds[id].Switches) != 40 {
				t.Errorf("%s: %d switches in the kernel, want 40", id, len(b.dp.holds[id].Switches))
			}
			if b.dp.revision(id) > v.Revision {
				t.Errorf("%s at revision %d of %d", id, b.dp.revision(id), v.Revision)
			}
		}
		if len(b.dp.overlaps) > 0 {
			t.Errorf("worked on twice at a time: %q", b.dp.overlaps)
		}
	})
}

// Another machine's network is neither made nor removed here, whatever becomes of it and
// whoever asks for a look, and what its owner has seen of it stands.
func TestAnotherMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := nattest.New(t)
		w.Settings.Machine = "here"
		put := func(id, owner string) {
			t.Helper()
			v := &resource.VPC{Meta: resource.Meta{ID: id}, Owner: owner, CIDR: netip.MustParsePrefix("10.0.0.0/8")}
			if err := w.DB.Update(t.Context(), func(tx *state.Tx) error { tx.Put(v); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		put("vpc-there", "there")
		dp := newFake()
		dp.marked = []string{"vpc-there"}
		b := start(t, w, dp, reconcile.Options{Audit: time.Second})
		if !b.ready() {
			t.Error("waits for another machine's network")
		}
		put("vpc-here", "here")
		dp.changed <- "vpc-there"
		time.Sleep(10 * time.Second)
		w.DB.Observed.Take("vpc-there", state.Observation{Owner: "there", Applied: 1, Tried: 1})
		if err := w.DB.Update(t.Context(), func(tx *state.Tx) error {
			v, _ := tx.VPCs.Get("vpc-there")
			tx.Delete(v)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		for _, call := range dp.take() {
			if call == "apply vpc-there" || call == "remove vpc-there" {
				t.Error(call)
			}
		}
		if o := w.DB.Observed; !o.Holds("vpc-there") || o.Settled("vpc-there") || o.Applied("vpc-there") != 1 || !o.Settled("vpc-here") {
			t.Errorf("%+v", o.Status())
		}
	})
}
