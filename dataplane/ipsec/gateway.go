package ipsec

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/strongswan/govici/vici"

	"sluice/dataplane"
	"sluice/dataplane/internal/process"
	"sluice/dataplane/netns"
)

const (
	gatherFor  = 20 * time.Millisecond  // events, before charon is asked what has become of its SAs
	lookEvery  = 10 * time.Second       // without an event
	startFirst = 100 * time.Millisecond // between attempts to start charon
	startMost  = 5 * time.Second
)

// gateway is a charon of a network's VPN gateways, what it shall hold, and the
// goroutine that sees to it.
type gateway struct {
	m       *Gateways
	network string
	slot    int  // see site
	ends    ends // likewise
	dir     string
	states  states
	wake    chan struct{}

	watching sync.WaitGroup // for links

	mu       mutex              // held by whoever speaks to charon
	cancel   context.CancelFunc // ends the goroutine; nil: it does not run yet
	done     chan struct{}      // closed when it has ended
	stopped  bool
	ns       *netns.Namespace
	home     *netns.Namespace // charon's; nil: the network's
	want     dataplane.VPNGateway
	locals   map[string]netip.Addr // the gateways' addresses, by connection
	charon   *charon               // nil: none
	hung     int                   // the process of one that has not answered; 0: none
	loaded   map[string]string     // what charon holds: digests by connection; also in loadedFile
	keys     map[string]sharedKey  // that charon has been given, by connection
	given    map[string]string     // how charon tells of what it was given, by connection (holding)
	numbers  *identifiers          // nil: not read yet
	deleting map[string]*deletion  // IKE_SAs that are being taken down, by id
	tries    map[string]attempt    // by CHILD_SA
}

// mutex is a sync.Mutex for which one can wait a while only.
type mutex chan struct{}

func (m mutex) Lock() { m <- struct{}{} }

func (m mutex) Unlock() { <-m }

func (m mutex) lockWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case m <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

// run keeps charon running, and its connections established, until ctx is done.
func (g *gateway) run(ctx context.Context) {
	defer close(g.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	pauses, said := process.Pauses{First: startFirst, Most: startMost}, ""
	for {
		g.mu.Lock()
		c := g.charon
		g.mu.Unlock()
		var events <-chan vici.Event
		if c != nil {
			events = c.events
		}
		next := lookEvery
		select {
		case <-ctx.Done():
			return
		case e, open := <-events:
			if open {
				if g.hear(e) {
					timer.Reset(gatherFor)
				}
				continue
			}
			g.lose(c, "it has ended, or closed its socket, or does not answer")
			next = 0
		case <-g.wake:
			next = 0
		case <-timer.C:
			var err error
			if next, err = g.look(ctx); err != nil {
				if ctx.Err() == nil && err.Error() != said {
					g.m.log.Error("a VPN gateway's charon is not as it should be", "network", g.network, "error", err)
					said = err.Error()
				}
				next = pauses.Next()
			} else {
				said = ""
				pauses.Reset()
			}
		}
		timer.Reset(next)
	}
}

func (g *gateway) nudge() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// hear takes in an event, and returns whether charon's SAs may have changed.
func (g *gateway) hear(e vici.Event) bool {
	if e.Name == "ike-rekey" {
		g.succeed(e.Message)
	}
	changed, f := g.states.hear(e)
	if f != nil {
		g.say(f)
	}
	return changed
}

// say logs what has failed.
func (g *gateway) say(f *failure) {
	g.m.log.Warn("an IPsec connection cannot be negotiated", "network", g.network, "connection", f.connection,
		"kind", f.Kind, "reason", f.Text, "detail", f.Detail, "side", f.Side)
}

// lose forgets a charon that is gone.
func (g *gateway) lose(c *charon, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c == nil || g.charon != c {
		return
	}
	g.drop()
	g.m.log.Warn("lost a VPN gateway's charon", "network", g.network, "gateway", g.want.ID, "reason", why)
}

func (g *gateway) drop() {
	if g.charon != nil {
		if g.charon.hung.Load() {
			g.hung = g.charon.process.PID
		}
		g.charon.close()
		g.charon = nil
	}
	g.closeHome()
	g.states.setLinks(g.links())
	g.tell(g.states.lost(), true)
}

// tell reports what went up or down.
func (g *gateway) tell(turns []turn, always bool) {
	for _, t := range turns {
		if t.up {
			g.m.log.Info("an IPsec tunnel is up", "network", g.network, "connection", t.connection, "algorithms", t.proposal)
		} else {
			g.m.log.Warn("an IPsec tunnel is down", "network", g.network, "connection", t.connection)
		}
	}
	for _, f := range g.states.told() {
		g.say(f)
	}
	if (always || len(turns) > 0) && g.m.options.Changed != nil {
		g.m.options.Changed(g.network)
	}
}

// look makes charon run and hold what it shall, takes in its SAs, and initiates
// those that are missing. It returns when to look again.
func (g *gateway) look(ctx context.Context) (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.sync(ctx)
	if g.charon == nil {
		return 0, err
	}
	logErr := g.charon.boundLog()
	next, maintainErr := g.maintain() // also those that are loaded, if some are not
	return next, errors.Join(err, logErr, maintainErr)
}

// sync makes charon run and hold what it shall. The caller holds g.mu.
func (g *gateway) sync(ctx context.Context) error {
	if g.charon != nil && g.charon.gone(0) {
		g.drop()
	}
	if g.charon != nil && g.lacksDevice() {
		g.m.log.Warn("a VPN gateway's TUN device is gone; charon is started anew", "network", g.network, "gateway", g.want.ID)
		pid := g.charon.process.PID
		g.drop()
		if err := process.End(pid); err != nil {
			return err
		}
	}
	if g.charon == nil {
		if err := g.begin(ctx); err != nil {
			return err
		}
	}
	return errors.Join(g.mendHome(), g.load())
}

// begin adopts the gateway's charon, or starts one.
func (g *gateway) begin(ctx context.Context) error {
	pids, err := find(g.dir)
	if err != nil {
		return fmt.Errorf("look for charon: %w", err)
	}
	g.keys, g.given, g.deleting, g.tries = map[string]sharedKey{}, map[string]string{}, map[string]*deletion{}, map[string]attempt{}
	conf, _ := os.ReadFile(filepath.Join(g.dir, settingsFile))
	hung := slices.Contains(pids, g.hung)
	if hung {
		// It lives, and would hold up everybody for as long again.
		g.m.log.Warn("a VPN gateway's charon hangs; it is ended and started anew", "network", g.network, "gateway", g.want.ID, "process", g.hung, "unanswered", g.m.waits.answer)
	}
	if len(pids) == 1 && !hung && string(conf) == settings(g.dir, g.m.path, g.m.waits) && g.lives(pids[0]) {
		c, err := adopt(ctx, g.dir, pids[0], g.m.waits)
		if err == nil {
			g.charon, g.loaded = c, g.readLoaded()
			g.m.log.Info("adopted a VPN gateway's charon", "network", g.network, "gateway", g.want.ID, "process", c.process.PID)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		g.m.log.Warn("a VPN gateway's charon is started anew", "network", g.network, "gateway", g.want.ID, "reason", err)
		g.closeHome()
	}
	if err := process.EndAll(isCharon(g.dir)); err != nil {
		return err
	}
	g.hung = 0
	at, err := g.place()
	if err != nil {
		return err
	}
	h, err := start(g.m.program, g.dir, g.m.path, g.m.waits, at.Do)
	if err != nil {
		g.closeHome()
		return fmt.Errorf("start %s: %w", g.m.program, err)
	}
	// It is for people: charon is found without it.
	if err := writeFile(filepath.Join(g.dir, pidFile), fmt.Appendln(nil, h.PID)); err != nil {
		g.m.log.Warn("the process of a VPN gateway's charon is not in its file", "network", g.network, "process", h.PID, "error", err)
	}
	c, err := connect(ctx, g.dir, h, g.m.waits)
	if err == nil && g.home != nil {
		if err = g.moveTunnel(); err != nil {
			c.close()
		}
	}
	if err != nil {
		g.closeHome()
		return errors.Join(err, h.End())
	}
	g.charon, g.loaded = c, map[string]string{}
	g.m.log.Info("started a VPN gateway's charon", "network", g.network, "gateway", g.want.ID, "process", h.PID)
	return nil
}

// refresh takes in charon's SAs, counters included, if it has one.
func (g *gateway) refresh() {
	if !g.mu.lockWithin(time.Second) {
		return // charon is being started, or slow
	}
	defer g.mu.Unlock()
	g.observe()
}

// observe takes in how charon and its SAs are, so that who asks next hears of
// what an adopted charon has.
func (g *gateway) observe() {
	moved := g.states.setLinks(g.links())
	if g.charon == nil {
		g.tell(nil, moved)
		return
	}
	sas, err := g.charon.list()
	if err != nil {
		return // run finds out
	}
	g.tell(g.states.update(g.remaining(sas)), moved)
}

// stop ends the goroutine, and lets charon work on.
func (g *gateway) stop() {
	g.mu.Lock()
	g.stopped = true
	cancel, done := g.cancel, g.done
	g.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
		g.watching.Wait()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.charon != nil {
		g.charon.close()
		g.charon = nil
	}
	g.closeHome()
	g.ns.Close()
}
