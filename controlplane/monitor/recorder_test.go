package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// fakeClock is a clock that goes on only while somebody waits, and ends that
// after so many minutes.
type fakeClock struct {
	mu      sync.Mutex
	now     time.Time
	running time.Duration
	until   time.Duration // of running: waiting beyond it fails
	// set changes the time of day at a time of running; stands lets the machine
	// stand still: the time of day goes on, and running does not.
	set, stands map[time.Duration]time.Duration
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Running() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}

// pass lets time pass.
func (c *fakeClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.running = c.now.Add(d), c.running+d
}

func (c *fakeClock) Wait(_ context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running+d > c.until {
		return errors.New("the end of the test")
	}
	end := c.running + d
	for _, jumps := range []map[time.Duration]time.Duration{c.set, c.stands} {
		for at, by := range jumps {
			if at > c.running && at <= end {
				c.now = c.now.Add(by)
			}
		}
	}
	c.now, c.running = c.now.Add(d), c.running+d
	return nil
}

// fakeMeter has counted 100 bytes and a packet for each second that the clock
// has run, of one address of every network.
type fakeMeter struct {
	mu      sync.Mutex
	clock   *fakeClock
	epoch   uint64
	err     error
	slow    time.Duration // that a reading takes
	until   time.Duration // of the clock's running: err is until then; 0: always
	more    []string      // further addresses
	gateway string
	asked   []string
	unread  error // of bandwidths
}

func (m *fakeMeter) Traffic(_ context.Context, network string) (*dataplane.Traffic, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, network)
	m.clock.pass(m.slow)
	if m.err != nil && (m.until == 0 || m.clock.Running() < m.until) {
		return nil, m.err
	}
	n := uint64(m.clock.Running() / time.Second)
	t := &dataplane.Traffic{Epoch: m.epoch, Gateways: []dataplane.GatewayTraffic{{}, {ID: m.gateway}}}
	for _, a := range append([]string{"10.0.0.1"}, m.more...) {
		t.Addresses = append(t.Addresses, dataplane.AddressTraffic{
			Address: netip.MustParseAddr(a), Gateway: m.gateway, Outbound: dataplane.Volume{Bytes: 100 * n, Packets: n}, Inbound: dataplane.Volume{Bytes: n, Packets: n}, Open: 3, Opened: n})
	}
	return t, nil
}

// Bandwidths says that the elastic IP eip-a has passed as much as there have been seconds.
func (m *fakeMeter) Bandwidths(context.Context) ([]dataplane.BandwidthTraffic, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unread != nil {
		return nil, m.unread
	}
	n := uint64(m.clock.Running() / time.Second)
	b := dataplane.BandwidthTraffic{ID: "eip-a"}
	b.Outbound.Volume, b.Inbound.Volume = dataplane.Volume{Bytes: 100 * n, Packets: n}, dataplane.Volume{Bytes: 1000 * n, Packets: n}
	return []dataplane.BandwidthTraffic{b}, nil
}

// recording is a plane with a NAT gateway whose minutes are recorded.
type recording struct {
	*planetest.Plane
	clock   *fakeClock
	meter   *fakeMeter
	minutes *Minutes
	gateway string
	vpc     string
	log     bytes.Buffer
	*Recorder
}

func newRecording(t *testing.T) *recording {
	t.Helper()
	r := &recording{Plane: planetest.New(t), minutes: newFile(t)}
	r.vpc = r.VPC(planetest.Alice, "10.0.0.0/16").VPC
	r.gateway = r.Gateway(planetest.Alice, r.vpc).ID
	r.clock = &fakeClock{now: time.Unix(begin, 0).Add(-20 * time.Second), running: 1000 * time.Second, set: map[time.Duration]time.Duration{}, stands: map[time.Duration]time.Duration{}}
	r.meter = &fakeMeter{clock: r.clock, epoch: 1, gateway: r.gateway}
	r.start()
	return r
}

// start makes a recorder as a daemon does that has just been started.
func (r *recording) start() {
	r.Recorder = NewRecorder(r.DB, r.Settings.Machine, r.meter, r.minutes, 744*time.Hour, r.clock, slog.New(slog.NewTextHandler(&r.log, nil)))
}

// run lets the recorder work for a time.
func (r *recording) run(t *testing.T, d time.Duration) {
	t.Helper()
	r.clock.until = r.clock.running + d
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What was left of the time passes too.
	r.clock.pass(r.clock.until - r.clock.running)
}

// expect checks which minutes there are, by how many after begin they began,
// and how many seconds' traffic is in each.
func (r *recording) expect(t *testing.T, want map[int64]uint64) {
	t.Helper()
	got := map[int64]uint64{}
	for i, rows := range r.minutes.content(t, r.gateway, -20, 100) {
		if len(rows) != 1 || rows[0].Outbound.Bytes != 100*rows[0].Outbound.Packets || rows[0].Open != 3 {
			t.Errorf("minute %d: %v", i, rows)
			continue
		}
		got[i] = rows[0].Outbound.Packets
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("minutes (-want +got):\n%s\n%s", d, r.log.String())
	}
}

// expectVolumes does so of the elastic IP.
func (r *recording) expectVolumes(t *testing.T, want map[int64]uint64) {
	t.Helper()
	got := map[int64]uint64{}
	err := r.minutes.ReadVolumes("eip-a", begin-20*Minute, begin+100*Minute, func(at int64, p Passed) {
		if p != passed(p.Outbound.Packets) {
			t.Errorf("%+v", p)
		}
		got[(at-begin)/Minute] = p.Outbound.Packets
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("minutes of the elastic IP (-want +got):\n%s\n%s", d, r.log.String())
	}
}

// TestRecorderVolumesUnread: a minute whose end could not be read is left out, and the one
// after it, and that is said once.
func TestRecorderVolumesUnread(t *testing.T) {
	r := newRecording(t)
	r.run(t, 150*time.Second) // ends at 0, 1 and 2 minutes, and 10 s
	r.meter.unread = errors.New("no such device")
	r.run(t, 2*time.Minute)
	r.meter.unread = nil
	r.run(t, 2*time.Minute)
	r.expectVolumes(t, map[int64]uint64{0: 60, 1: 60, 5: 60})
	if r.told("elastic IPs is left out") != 1 {
		t.Error(r.log.String())
	}
}

// TestRecorderVolumesNotCounted: where nothing is meant to be counted no minute is kept, which
// is another thing than a minute in which nothing passed; nothing is said. When it is counted
// again, what had been kept is there still.
func TestRecorderVolumesNotCounted(t *testing.T) {
	r := newRecording(t)
	r.run(t, 150*time.Second)
	r.meter.unread = ErrNotCounted
	r.run(t, 2*time.Minute)
	r.meter.unread = nil
	r.run(t, 2*time.Minute)
	r.expectVolumes(t, map[int64]uint64{0: 60, 1: 60, 5: 60})
	if r.told("left out") != 0 {
		t.Error(r.log.String())
	}
}

// TestRecorderWrongClock: a clock that is ahead for a while, by whatever, takes a few of the
// oldest minutes with it, and no more; what the machine missed is made up for in time.
func TestRecorderWrongClock(t *testing.T) {
	const kept = 744 * 60 // minutes
	r := newRecording(t)
	r.run(t, 10*time.Minute)
	for i := range int64(40) { // and older ones, up to the limit
		of := map[string][]MinuteOf{"eip-a": {{Minute: 7, Passed: passed(60)}}}
		if err := r.minutes.ImportHour(begin/hour*hour-(i+1)*hour, of); err != nil {
			t.Fatal(err)
		}
	}
	r.start()
	count := func() (minutes, volumes int) {
		begins := r.minutes.content(t, r.gateway, 0, 8)
		err := r.minutes.ReadVolumes("eip-a", begin-42*hour, begin+9*Minute, func(_ int64, p Passed) {
			if p != (Passed{}) {
				volumes++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return len(begins), volumes
	}
	minutes, volumes := count()
	r.clock.set[r.clock.running+30*time.Second] = 10 * 365 * 24 * time.Hour
	r.run(t, 20*time.Minute)
	r.clock.set[r.clock.running+30*time.Second] = -10 * 365 * 24 * time.Hour
	r.run(t, 2*time.Minute)
	if m, v := count(); m != minutes || v < volumes-3 { // 19 minutes of the wrong time are worth 76
		t.Errorf("of %d minutes of a gateway %d are left, of %d of an elastic IP %d", minutes, m, volumes, v)
	}
	r.clock.pass(kept * time.Minute)
	r.run(t, 12*time.Hour) // 4 times as much as there were
	if m, v := count(); m != 0 || v != 0 {
		t.Errorf("after a month %d and %d are left, from %d minutes on\n%s", m, v, (r.oldest-begin)/Minute, r.log.String())
	}
}

// told is how often the log says something.
func (r *recording) told(text string) int { return strings.Count(r.log.String(), text) }

func TestRecorder(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*recording)
		run    time.Duration
		want   map[int64]uint64
	}{
		"as it should be": {func(*recording) {}, 4 * time.Minute, map[int64]uint64{0: 60, 1: 60, 2: 60}},
		"readings that take a while": {func(r *recording) { r.meter.slow = 2 * time.Second }, 4 * time.Minute,
			map[int64]uint64{0: 60, 1: 60, 2: 60}},
		"readings that take too long": {func(r *recording) { r.meter.slow = 7 * time.Second }, 4 * time.Minute, map[int64]uint64{}},
		// The first end is at 1020 s of the clock, the next one at 1080.
		"set forward a little": {func(r *recording) { r.clock.set[1050*time.Second] = 4 * time.Second }, 4 * time.Minute,
			map[int64]uint64{0: 60, 1: 56, 2: 60}},
		"set forward": {func(r *recording) { r.clock.set[1050*time.Second] = 20 * time.Second }, 5 * time.Minute,
			map[int64]uint64{2: 60, 3: 60, 4: 60}},
		"set forward by minutes": {func(r *recording) { r.clock.set[1050*time.Second] = 3 * time.Minute }, 5 * time.Minute,
			map[int64]uint64{5: 60, 6: 60}},
		"set back a little": {func(r *recording) { r.clock.set[1050*time.Second] = -4 * time.Second }, 5 * time.Minute,
			map[int64]uint64{0: 64, 1: 60, 2: 60, 3: 60}},
		"set back": {func(r *recording) { r.clock.set[1050*time.Second] = -20 * time.Second }, 5 * time.Minute,
			map[int64]uint64{1: 60, 2: 60, 3: 60}},
		"set back just after the end": {func(r *recording) { r.clock.set[1021*time.Second] = -3 * time.Second }, 5 * time.Minute,
			map[int64]uint64{0: 63, 1: 60, 2: 60, 3: 60}},
		"set back by minutes, over what is kept": {func(r *recording) { r.clock.set[1150*time.Second] = -2 * time.Minute }, 7 * time.Minute,
			map[int64]uint64{0: 60, 1: 60, 2: 60, 3: 60}},
		"set forward by an hour for two minutes": {func(r *recording) {
			r.clock.set[1110*time.Second], r.clock.set[1230*time.Second] = time.Hour, -time.Hour
		}, 9 * time.Minute, map[int64]uint64{0: 60, 5: 60, 6: 60, 7: 60}},
		"a machine that stood still": {func(r *recording) { r.clock.stands[1050*time.Second] = 40 * time.Second }, 5 * time.Minute,
			map[int64]uint64{2: 60, 3: 60, 4: 60}},
		"a machine that stood still for hours": {func(r *recording) { r.clock.stands[1050*time.Second] = time.Hour }, 5 * time.Minute,
			map[int64]uint64{62: 60, 63: 60}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecording(t)
			c.change(r)
			r.run(t, c.run)
			r.expect(t, c.want)
			r.expectVolumes(t, c.want)
		})
	}
}

func TestRecorderRestarts(t *testing.T) {
	r := newRecording(t)
	r.run(t, 90*time.Second) // ends at 0 and 1 minutes, and 10 s
	r.expect(t, map[int64]uint64{0: 60})
	for i := range 3 { // killed in minute 1, 2 and 3, and back before its end
		r.minutes = r.minutes.killed(t)
		r.start()
		r.clock.pass(20 * time.Second)
		r.run(t, 40*time.Second)
		if n := len(r.minutes.content(t, r.gateway, 0, 10)); n != i+2 {
			t.Errorf("%d minutes after %d restarts", n, i+1)
		}
	}
	r.expect(t, map[int64]uint64{0: 60, 1: 60, 2: 60, 3: 60})
	// Down over one end: two minutes are absent.
	r.clock.pass(time.Minute)
	r.start()
	r.run(t, 2*time.Minute)
	r.expect(t, map[int64]uint64{0: 60, 1: 60, 2: 60, 3: 60, 6: 60})
	// A reboot while it was down: the counters began anew.
	r.meter.epoch = 2
	r.start()
	r.run(t, 2*time.Minute)
	r.expect(t, map[int64]uint64{0: 60, 1: 60, 2: 60, 3: 60, 6: 60, 8: 60})
}

// TestRecorderWaitsForTheDataplane: a daemon that comes back just before a
// minute ends waits a little for the networks to be there again.
func TestRecorderWaitsForTheDataplane(t *testing.T) {
	for after, want := range map[time.Duration]map[int64]uint64{
		3 * time.Second:  {0: 60, 1: 63, 2: 57, 3: 60},
		10 * time.Second: {0: 60, 3: 60},
	} {
		r := newRecording(t)
		r.run(t, 130*time.Second) // up to 10 s before the end of minute 1
		r.Restart()
		r.start()
		r.meter.err, r.meter.until = errors.New("not there yet"), r.clock.running+10*time.Second+after
		r.run(t, 3*time.Minute)
		r.expect(t, want)
		if r.log.Len() > 0 {
			t.Errorf("told:\n%s", r.log.String())
		}
	}
}

func TestRecorderComplainsOnce(t *testing.T) {
	r := newRecording(t)
	r.run(t, 2*time.Minute)
	r.meter.err = errors.New("no such map")
	r.run(t, 3*time.Minute)
	if n := r.told("left out"); n != 1 || r.told("no such map") != 1 || r.told(r.gateway) != 1 {
		t.Errorf("told %d times:\n%s", n, r.log.String())
	}
	r.meter.err = nil
	r.run(t, 3*time.Minute)
	if n := r.told("recorded again"); n != 1 {
		t.Errorf("told %d times that it works again:\n%s", n, r.log.String())
	}
	r.expect(t, map[int64]uint64{0: 60, 5: 60, 6: 60})
}

// TestRecorderBeforeTheDataplane: what is not there yet is not missed.
func TestRecorderBeforeTheDataplane(t *testing.T) {
	r := newRecording(t)
	vpc := r.VPC(planetest.Alice, "10.0.0.0/16").VPC
	r.Dataplane(planetest.Stalls)
	r.Gateway(planetest.Alice, vpc)
	if err := r.Drop(first(t, r, r.gateway)); err != nil {
		t.Fatal(err)
	}
	r.meter.err = errors.New("not there")
	r.run(t, 3*time.Minute)
	if r.log.Len() > 0 {
		t.Errorf("told:\n%s", r.log.String())
	}
}

func first(t *testing.T, r *recording, id string) *resource.NATGateway {
	t.Helper()
	g, ok := r.DB.View().NATGateways.Get(id)
	if !ok {
		t.Fatalf("no gateway %s", id)
	}
	return g
}

func TestRecorderAsksForGatewaysOnly(t *testing.T) {
	r := newRecording(t)
	r.VPC(planetest.Alice, "10.0.0.0/16") // without a gateway
	want := []string{r.vpc}
	for range 9 {
		vpc := r.VPC(planetest.Bob, "10.0.0.0/16").VPC
		r.Gateway(planetest.Bob, vpc)
		want = append(want, vpc)
	}
	r.run(t, 30*time.Second)
	asked := map[string]int{}
	for _, id := range r.meter.asked {
		asked[id]++
	}
	for _, id := range want {
		if asked[id] != 1 {
			t.Errorf("%s was read %d times", id, asked[id])
		}
	}
	if len(asked) != len(want) {
		t.Errorf("%d networks were read, of %d with a gateway", len(asked), len(want))
	}
}

// TestRecorderDropsWhatIsGone: minutes and everything remembered of a gateway
// that is deleted.
func TestRecorderDropsWhatIsGone(t *testing.T) {
	r := newRecording(t)
	r.run(t, 3*time.Minute)
	if err := r.Drop(first(t, r, r.gateway)); err != nil {
		t.Fatal(err)
	}
	r.complains[r.gateway] = true
	r.run(t, time.Minute)
	r.expect(t, map[int64]uint64{})
	if idle, err := r.minutes.idle(); err != nil || !idle || len(r.read)+len(r.complains) > 0 {
		t.Errorf("something is left: %v, %v, %v", r.read, r.complains, err)
	}
}

func TestRecorderLeavesOutWhatHasAnElasticIP(t *testing.T) {
	r := newRecording(t)
	vsw := r.VSwitch(planetest.Alice, r.vpc, "10.0.0.0/24")
	r.meter.more = []string{"10.0.0.2", "10.0.0.3"}
	r.Bind(planetest.Alice, r.NewEIP(planetest.Alice).ID, resource.BoundToHost, r.Instance(vsw, "10.0.0.2", resource.Host))
	r.Bind(planetest.Alice, r.NewEIP(planetest.Alice).ID, resource.BoundToNATGateway, r.gateway)
	r.run(t, 2*time.Minute)
	var got []string
	for _, row := range r.minutes.content(t, r.gateway, 0, 0)[0] {
		got = append(got, row.Address.String())
	}
	if fmt.Sprint(got) != "[10.0.0.1 10.0.0.3]" {
		t.Errorf("addresses %v", got)
	}
}

// TestRecorderGoesOn: a file that can't be written is told of once, and is no
// reason to end.
func TestRecorderGoesOn(t *testing.T) {
	r := newRecording(t)
	if err := r.minutes.Close(); err != nil {
		t.Fatal(err)
	}
	r.run(t, 4*time.Minute)
	if n := r.told("cannot be recorded"); n != 1 {
		t.Errorf("told %d times:\n%s", n, r.log.String())
	}
	if r.String() != "record minutes" {
		t.Errorf("the task is called %q", r.String())
	}
}

// TestRecorderEnds: at once while it waits, and not in the middle of a minute's
// record.
func TestRecorderEnds(t *testing.T) {
	r := newRecording(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.record(ctx, begin)
	r.clock.pass(time.Minute)
	r.record(ctx, begin+Minute)
	r.expect(t, map[int64]uint64{0: 60})
	r.Recorder.clock = SystemClock()
	if err := r.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestSystemClock(t *testing.T) {
	c := SystemClock()
	before, running := c.Now(), c.Running()
	if err := c.Wait(t.Context(), time.Microsecond); err != nil {
		t.Fatal(err)
	}
	if c.Running() <= running || c.Now().Before(before) || strings.Contains(c.Now().String(), "m=") {
		t.Errorf("%v after %v, %v after %v", c.Now(), before, c.Running(), running)
	}
}

func TestBoundaries(t *testing.T) {
	for _, c := range []struct{ now, last, want int64 }{
		{begin, 0, begin + 60}, {begin + 59, 0, begin + 60}, {begin - 1, 0, begin}, {begin - 5, begin, begin + 60}, {begin - 6, begin, begin}, {begin - 61, begin, begin - 60}, {-1, 1, 0},
	} {
		if got := boundary(time.Unix(c.now, 0), c.last); got != c.want {
			t.Errorf("boundary after %d, with %d recorded last: %d, want %d", c.now, c.last, got, c.want)
		}
	}
	keep := time.Hour
	for now, want := range map[int64]int64{begin + 3600: begin, begin + 3601: begin + 60, begin + 3659: begin + 60, begin + 3660: begin + 60} {
		if got := oldest(time.Unix(now, 0), keep); got != want {
			t.Errorf("oldest minute at %d: %d, want %d", now, got, want)
		}
	}
}
