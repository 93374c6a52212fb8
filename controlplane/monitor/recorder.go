package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Meter is where the counters come from.
type Meter interface {
	// Traffic returns what has been counted of a network. Any error means that
	// it can't be told now.
	Traffic(ctx context.Context, network string) (*dataplane.Traffic, error)
	// Bandwidths returns what has passed the bandwidths of elastic IPs and packages, by
	// their ids; of one that is not there nothing has passed. Any error means likewise;
	// ErrNotCounted, that this is meant to be so.
	Bandwidths(ctx context.Context) ([]dataplane.BandwidthTraffic, error)
}

// ErrNotCounted says that nothing is counted.
var ErrNotCounted = errors.New("nothing is counted")

// Clock is the machine's clocks.
type Clock interface {
	// Now is the time of day, which may be set forward and back.
	Now() time.Time
	// Running grows with time and with nothing else, from wherever it began.
	Running() time.Duration
	// Wait returns after d, or with ctx's error as soon as that ends.
	Wait(ctx context.Context, d time.Duration) error
}

// slack is how exact a minute has to be: it is read at most so long after its
// end, and is at most so much shorter or longer than a minute. What is further
// off is left out; a machine that is suspended, or whose clock is set, does that.
const slack = 5 * time.Second

// again is the wait between two attempts at a network that the dataplane is just
// taking up.
const again = 200 * time.Millisecond

// pruned is how much older what is kept longest gets in a minute at most, in minutes. It
// makes up for a time in which the daemon was away; but a clock that is wrong for a while
// costs little of what is kept.
const pruned = 4

// readers is how many networks are read at the same time.
const readers = 4

// Recorder is the task that records every minute of every NAT gateway.
type Recorder struct {
	db      *state.DB
	machine string
	meter   Meter
	minutes *Minutes
	keep    time.Duration
	clock   Clock
	log     *slog.Logger

	read      map[string]time.Duration // gateway → when it was recorded last, as Running counts
	complains map[string]bool          // gateways of which it has been said that they are left out
	failing   bool                     // it has been said that the file can't be written
	oldest    int64                    // beginning of the oldest minute that is kept
	volumes   struct {
		at        time.Duration // when the bandwidths were recorded last, as Running counts; 0: never
		complains bool
	}
}

// NewRecorder returns a recorder of the gateways in the networks of a machine, that
// keeps minutes for as long as keep.
func NewRecorder(db *state.DB, machine string, meter Meter, minutes *Minutes, keep time.Duration, clock Clock, log *slog.Logger) *Recorder {
	return &Recorder{
		db: db, machine: machine, meter: meter, minutes: minutes, keep: keep, clock: clock, log: log,
		read: make(map[string]time.Duration), complains: make(map[string]bool),
	}
}

// String names the task.
func (r *Recorder) String() string { return "record minutes" }

// Run records until ctx ends, which is no error. Nothing that goes wrong ends
// it: traffic flows whether it is recorded or not.
func (r *Recorder) Run(ctx context.Context) error {
	var last int64 // end of the minute that was recorded last
	for {
		now := r.clock.Now()
		end := boundary(now, last)
		if err := r.clock.Wait(ctx, time.Unix(end, 0).Sub(now)); err != nil {
			return nil
		}
		switch late := r.clock.Now().Sub(time.Unix(end, 0)); {
		case late < 0:
			continue // the clock was set back
		case late > slack:
			r.log.Warn("a minute is not recorded: the clock was set forward, or the machine stood still", "end", time.Unix(end, 0).UTC(), "late", late)
		default:
			r.record(ctx, end)
		}
		last = end
	}
}

// boundary returns the next end of a minute. When the clock is set back a
// little after a minute has been recorded, that minute does not end twice.
func boundary(now time.Time, last int64) int64 {
	end := floor(now.Unix()) + Minute
	if end == last && time.Unix(end, 0).Sub(now) <= slack {
		end += Minute
	}
	return end
}

// floor returns the beginning of the minute that a time is in.
func floor(seconds int64) int64 { return seconds - ((seconds%Minute)+Minute)%Minute }

// oldest returns the beginning of the oldest minute that is kept.
func oldest(now time.Time, keep time.Duration) int64 {
	return floor(now.Add(-keep).Unix()-1) + Minute
}

// outcome is a reading or what went wrong with it.
type outcome struct {
	Reading
	at  time.Duration // as Running counts
	err error
}

// record reads the counters of all gateways and records the minute that has
// just ended. It does so to its end, also if ctx ends: to leave out a minute for
// being told to stop just then would be a pity.
func (r *Recorder) record(ctx context.Context, end int64) {
	v := r.db.View()
	var gateways []*resource.NATGateway
	for g := range v.NATGateways.All() {
		if vpc, ok := v.VPCs.Get(g.VPC); ok && vpc.Owner == r.machine { // another machine counts its own
			gateways = append(gateways, g)
		}
	}
	outcomes := make([]outcome, len(gateways))
	reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), slack)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(readers)
	for i := range gateways {
		g.Go(func() error { outcomes[i] = r.take(reading, v, gateways[i], end); return nil })
	}
	_ = g.Wait() // they tell by their outcomes
	var readings []Reading
	for i, o := range outcomes {
		r.complain(gateways[i], o.err)
		if o.err == nil {
			readings = append(readings, o.Reading)
		}
	}
	there := func(id string) bool { _, ok := v.NATGateways.Get(id); return ok }
	err := r.age(end)
	if err == nil {
		err = errors.Join(r.minutes.Record(end, readings, there, r.oldest), r.recordVolumes(reading, end))
	}
	r.forget(there)
	if err != nil {
		if !r.failing {
			r.log.Error("minutes cannot be recorded", "error", err)
		}
		r.failing = true
		return
	}
	r.failing = false
	for _, o := range outcomes {
		if o.err == nil {
			r.read[o.Gateway] = o.at
		}
	}
}

// age sets what is kept longest, at the end of a minute.
func (r *Recorder) age(end int64) error {
	first, there, err := r.minutes.First()
	if err != nil {
		return err
	}
	limit := oldest(time.Unix(end, 0), r.keep)
	if there {
		limit = min(limit, max(r.oldest, first)+pruned*Minute)
	}
	r.oldest = limit
	return nil
}

// recordVolumes reads what has passed elastic IPs and packages, and records it. That it
// cannot be read leaves the minute out.
func (r *Recorder) recordVolumes(ctx context.Context, end int64) error {
	all, err := r.meter.Bandwidths(ctx)
	if errors.Is(err, ErrNotCounted) {
		return nil
	}
	at := r.clock.Running()
	if late := r.clock.Now().Sub(time.Unix(end, 0)); err == nil && late > slack {
		err = fmt.Errorf("the counters were read %v after the end of the minute; at most %v is exact enough", late, slack)
	}
	if err != nil {
		if !r.volumes.complains {
			r.log.Warn("a minute of elastic IPs is left out", "error", err)
		}
		r.volumes.complains = true
		return nil
	}
	r.volumes.complains = false
	reading := make([]Volume, 0, len(all))
	for _, b := range all {
		reading = append(reading, Volume{ID: b.ID, Passed: Passed{Outbound: b.Outbound.Volume, Inbound: b.Inbound.Volume}})
	}
	fresh := r.volumes.at > 0 && (at-r.volumes.at-Minute*time.Second).Abs() > slack
	if err := r.minutes.RecordVolumes(end, reading, fresh, r.oldest); err != nil {
		return err
	}
	r.volumes.at = at
	return nil
}

// take reads the counters of one gateway.
func (r *Recorder) take(ctx context.Context, v *state.View, g *resource.NATGateway, end int64) outcome {
	t, err := r.meter.Traffic(ctx, g.VPC)
	// A daemon that has just been started finds its networks one after the
	// other; the end of the minute can wait for that a little.
	for err != nil && r.db.Observed.Applied(g.VPC) == 0 && r.clock.Now().Sub(time.Unix(end, 0)) < slack && r.clock.Wait(ctx, again) == nil {
		t, err = r.meter.Traffic(ctx, g.VPC)
	}
	if err != nil {
		return outcome{err: err}
	}
	if late := r.clock.Now().Sub(time.Unix(end, 0)); late > slack {
		return outcome{err: fmt.Errorf("its counters were read %v after the end of the minute; at most %v is exact enough", late, slack)}
	}
	if !slices.ContainsFunc(t.Gateways, func(of dataplane.GatewayTraffic) bool { return of.ID == g.ID }) {
		return outcome{err: fmt.Errorf("the network's counters are not those of gateway %s yet", g.ID)}
	}
	rows, err := rowsOf(t, g.ID)
	if err != nil {
		return outcome{err: err}
	}
	o := outcome{Reading: Reading{Gateway: g.ID, Epoch: t.Epoch, Rows: rows, Apart: elastic(v, g.VPC)}, at: r.clock.Running()}
	if last, ok := r.read[g.ID]; ok {
		o.Fresh = (o.at - last - Minute*time.Second).Abs() > slack
	}
	return o
}

// elastic returns the private addresses of a VPC that have an elastic IP of
// their own: what they send passes by the NAT gateway.
func elastic(v *state.View, vpc string) map[netip.Addr]bool {
	out := make(map[netip.Addr]bool)
	for e := range v.ElasticIPs.By(state.ByVPC, vpc).All() {
		if e.Binding == nil || e.Binding.Type == resource.BoundToNATGateway {
			continue
		}
		if a, ok := v.BoundAddress(vpc, e.Binding); ok {
			out[a] = true
		}
	}
	return out
}

// complain says once that a gateway is left out, and once that it no longer
// is. One that the dataplane has not made yet has nothing to be counted.
func (r *Recorder) complain(g *resource.NATGateway, err error) {
	switch {
	case err != nil && g.Phase(r.db.Observed.Applied(g.VPC)) == resource.Creating:
	case err != nil && !r.complains[g.ID]:
		r.complains[g.ID] = true
		r.log.Warn("minutes of a NAT gateway are left out", "gateway", g.ID, "vpc", g.VPC, "error", err)
	case err == nil && r.complains[g.ID]:
		delete(r.complains, g.ID)
		r.log.Info("minutes of a NAT gateway are recorded again", "gateway", g.ID, "vpc", g.VPC)
	}
}

// forget drops what is remembered of gateways that are gone.
func (r *Recorder) forget(there func(string) bool) {
	for id := range r.read {
		if !there(id) {
			delete(r.read, id)
		}
	}
	for id := range r.complains {
		if !there(id) {
			delete(r.complains, id)
		}
	}
}
