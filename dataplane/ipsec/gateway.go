package ipsec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/strongswan/govici/vici"

	"sluice/dataplane"
	"sluice/dataplane/internal/process"
	"sluice/dataplane/netns"
)

const (
	gatherFor   = 20 * time.Millisecond // events, before charon is asked what has become of its SAs
	lookEvery   = 10 * time.Second      // without an event
	closingLook = 50 * time.Millisecond // while an SA is being taken down
	retryFirst  = time.Second
	retryMost   = 30 * time.Second
	startFirst  = 100 * time.Millisecond // between attempts to start charon
	startMost   = 5 * time.Second
)

// gateway is a network's VPN gateway: its charon, what charon shall hold, and the
// goroutine that sees to it.
type gateway struct {
	m       *Manager
	network string
	dir     string
	states  states
	wake    chan struct{}

	mu      mutex              // held by whoever speaks to charon
	cancel  context.CancelFunc // ends the goroutine; nil: it does not run yet
	done    chan struct{}      // closed when it has ended
	stopped bool
	ns      *netns.Namespace
	want    dataplane.VPNGateway
	charon  *charon           // nil: none
	loaded  map[string]string // what charon holds: digests by connection; also in loadedFile
	keys    map[string]string // keys that charon has been given, by connection
	// SAs that are being taken down, by connection; it is not initiated until they
	// are gone.
	closing map[string][]string
	tries   map[string]attempt // by CHILD_SA
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

// attempt is how a CHILD_SA is brought up.
type attempt struct {
	begun, next time.Time
	pause       time.Duration
}

// run keeps charon running, and its connections established, until ctx is done.
func (g *gateway) run(ctx context.Context) {
	defer close(g.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause, said := startFirst, ""
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
			g.lose(c, "it has ended, or closed its socket")
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
				next, pause = pause, min(2*pause, startMost)
			} else {
				pause, said = startFirst, ""
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

// hear takes in an event, and returns whether charon's SAs have changed.
func (g *gateway) hear(e vici.Event) bool {
	changed, connection, why := g.states.hear(e)
	if connection != "" {
		g.m.log.Warn("an IPsec connection cannot be negotiated", "network", g.network, "connection", connection, "reason", why)
	}
	return changed
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
		g.charon.close()
		g.charon = nil
	}
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
	boundLog(g.dir)
	next, tendErr := g.tend() // also those that are loaded, if some are not
	return next, errors.Join(err, tendErr)
}

// sync makes charon run and hold what it shall. The caller holds g.mu.
func (g *gateway) sync(ctx context.Context) error {
	if g.charon != nil && g.charon.gone(0) {
		g.drop()
	}
	if g.charon == nil {
		if err := g.begin(ctx); err != nil {
			return err
		}
	}
	return g.load()
}

// begin adopts the gateway's charon, or starts one.
func (g *gateway) begin(ctx context.Context) error {
	pids, err := find(g.dir)
	if err != nil {
		return fmt.Errorf("look for charon: %w", err)
	}
	g.keys, g.closing, g.tries = map[string]string{}, map[string][]string{}, map[string]attempt{}
	conf, _ := os.ReadFile(filepath.Join(g.dir, settingsFile))
	if len(pids) == 1 && process.In(pids[0], g.ns) && string(conf) == settings(g.dir, g.m.path) {
		c, err := connect(ctx, g.dir, pids[0])
		if err == nil {
			g.charon, g.loaded = c, g.readLoaded()
			g.m.log.Info("adopted a VPN gateway's charon", "network", g.network, "gateway", g.want.ID, "process", c.pid)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		g.m.log.Warn("a VPN gateway's charon is started anew", "network", g.network, "gateway", g.want.ID, "reason", err)
	}
	for _, pid := range pids {
		if err := process.End(pid); err != nil {
			return err
		}
	}
	var pid int
	err = g.ns.Do(func() (err error) {
		pid, err = start(g.m.program, g.dir, g.m.path)
		return err
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", g.m.program, err)
	}
	c, err := connect(ctx, g.dir, pid)
	if err != nil {
		return errors.Join(err, process.End(pid))
	}
	g.charon, g.loaded = c, map[string]string{}
	g.m.log.Info("started a VPN gateway's charon", "network", g.network, "gateway", g.want.ID, "process", pid)
	return nil
}

func (g *gateway) readLoaded() map[string]string {
	loaded := map[string]string{}
	if b, err := os.ReadFile(filepath.Join(g.dir, loadedFile)); err == nil {
		_ = json.Unmarshal(b, &loaded) // what is not read is loaded again
	}
	return loaded
}

func (g *gateway) writeLoaded() error {
	b, err := json.Marshal(g.loaded)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(g.dir, loadedFile), b)
}

// load makes charon and the links match g.want. What fails for one connection does
// not keep the others.
func (g *gateway) load() error {
	var errs []error
	ids, err := g.prepareLinks()
	if err != nil {
		errs = append(errs, err)
	}
	changed := false
	for i := range g.want.Connections {
		c := &g.want.Connections[i]
		if g.m.path == dataplane.VPNByXFRM && ids[c.ID] == 0 {
			continue // prepareLinks has said why
		}
		did, err := g.loadOne(c, ids[c.ID])
		if err != nil {
			errs = append(errs, fmt.Errorf("load IPsec connection %s: %w", c.ID, err))
		}
		changed = changed || did
	}
	gone, err := g.strangers()
	if err != nil {
		errs = append(errs, err)
	}
	for _, id := range gone {
		if err := g.unload(id); err != nil {
			errs = append(errs, fmt.Errorf("unload IPsec connection %s: %w", id, err))
		}
		changed = true
	}
	if err := g.removeLinks(); err != nil {
		errs = append(errs, err)
	}
	if changed {
		errs = append(errs, g.writeLoaded())
	}
	return errors.Join(errs...)
}

// loadOne gives charon a connection that it does not have, or has otherwise; then
// what is established is taken down.
func (g *gateway) loadOne(c *dataplane.VPNConnection, ifID uint32) (changed bool, err error) {
	conn := connection(g.want.Address, g.m.path, ifID, c)
	sum, err := digest(conn)
	if err != nil {
		return false, err
	}
	key, given := g.keys[c.ID]
	owners := c.LocalID + " " + c.RemoteID
	had, held := g.loaded[c.ID]
	sameKey := key == string(c.PSK)+" "+owners
	if given && sameKey && had == sum {
		return false, nil
	}
	if !given || !sameKey {
		_, err := g.charon.do("load-shared", section{
			"id": c.ID, "type": "IKE", "data": string(c.PSK), "owners": []string{c.LocalID, c.RemoteID},
		})
		if err != nil {
			return false, err
		}
		g.keys[c.ID] = string(c.PSK) + " " + owners
	}
	// A charon that was adopted has a key of which we do not know whether it is
	// this one. What is established with it stays.
	renew := held && had != sum || given && !sameKey
	if had == sum && !renew {
		return false, nil
	}
	if _, err := g.charon.do("load-conn", conn); err != nil {
		return false, err
	}
	if renew {
		g.states.forgive(c.ID)
		if err := g.takeDown(c.ID); err != nil {
			return false, err
		}
	}
	for name := range children(c) {
		delete(g.tries, name)
	}
	g.loaded[c.ID] = sum
	g.m.log.Info("loaded an IPsec connection", "network", g.network, "connection", c.ID, "peer", c.Remote)
	g.nudge()
	return true, nil
}

// strangers returns the connections that charon has and should not.
func (g *gateway) strangers() ([]string, error) {
	answer, err := g.charon.do("get-conns", nil)
	if err != nil {
		return nil, err
	}
	names, _ := answer.Get("conns").([]string)
	answer, err = g.charon.do("get-shared", nil)
	if err != nil {
		return nil, err
	}
	keys, _ := answer.Get("keys").([]string)
	all := append(names, keys...)
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), g.wanted), nil
}

func (g *gateway) wanted(id string) bool {
	return slices.ContainsFunc(g.want.Connections, func(c dataplane.VPNConnection) bool { return c.ID == id })
}

// unload takes a connection from charon, with all that is established.
func (g *gateway) unload(id string) error {
	var errs []error
	if _, err := g.charon.do("unload-conn", section{"name": id}); err != nil && !strings.Contains(err.Error(), "not found") {
		errs = append(errs, err)
	}
	if _, err := g.charon.do("unload-shared", section{"id": id}); err != nil && !strings.Contains(err.Error(), "not found") {
		errs = append(errs, err)
	}
	errs = append(errs, g.takeDown(id))
	delete(g.loaded, id)
	delete(g.keys, id)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	g.m.log.Info("unloaded an IPsec connection", "network", g.network, "connection", id)
	return nil
}

// takeDown ends all SAs of a connection. The peer is told, but not waited for.
func (g *gateway) takeDown(id string) error {
	sas, err := g.charon.list()
	if err != nil {
		return err
	}
	for i := range sas {
		if sas[i].connection != id {
			// Its CHILD_SAs may be in the IKE_SA of another connection.
			for _, kid := range sas[i].children {
				if !owns(id, kid.name) {
					continue
				}
				_, err := g.charon.do("terminate", section{"child-id": kid.id, "timeout": "-1"})
				if err != nil && !strings.Contains(err.Error(), "no matching SAs") {
					return err
				}
			}
			continue
		}
		if slices.Contains(g.closing[id], sas[i].id) {
			continue
		}
		g.closing[id] = append(g.closing[id], sas[i].id)
		_, err := g.charon.do("terminate", section{"ike-id": sas[i].id, "force": "yes", "timeout": "-1"})
		if err != nil && !strings.Contains(err.Error(), "no matching SAs") {
			return err
		}
	}
	g.tell(g.states.update(g.staying(sas)), false)
	return nil
}

// staying returns the SAs that are not being taken down.
func (g *gateway) staying(sas []ikeSA) []ikeSA {
	return slices.DeleteFunc(slices.Clone(sas), func(sa ikeSA) bool { return slices.Contains(g.closing[sa.connection], sa.id) })
}

// tend takes in charon's SAs and initiates what is missing. It returns when to
// look again. The caller holds g.mu.
func (g *gateway) tend() (time.Duration, error) {
	sas, err := g.charon.list()
	if err != nil {
		g.drop()
		return 0, err
	}
	g.stillClosing(sas)
	moved := g.states.setLink(g.tunnelLink())
	g.tell(g.states.update(g.staying(sas)), moved)
	next, err := g.thin(g.staying(sas))
	if err != nil {
		return 0, err
	}
	now := time.Now()
	g.forget(sas, now)
	for i := range g.want.Connections {
		c := &g.want.Connections[i]
		if _, ok := g.loaded[c.ID]; !ok || !starts(g.m.path, c) {
			continue
		}
		if len(g.closing[c.ID]) > 0 {
			next = min(next, closingLook)
			continue
		}
		turn := g.turn(c, sas)
		for _, name := range missing(c, g.want.Connections, sas) {
			t := g.tries[name]
			if wait := max(t.next.Sub(now), turn.Sub(now)); wait > 0 {
				next = min(next, wait)
				continue
			}
			t.begun = now
			t.pause = max(retryFirst, min(2*t.pause, retryMost))
			t.next = now.Add(t.pause)
			g.tries[name] = t
			next = min(next, t.pause)
			_, err := g.charon.do("initiate", section{"child": name, "ike": c.ID, "timeout": "-1", "init-limits": "no"})
			if err != nil {
				return 0, fmt.Errorf("initiate IPsec connection %s: %w", c.ID, err)
			}
		}
	}
	return next, nil
}

// turn returns when a connection may be initiated at the earliest. Connections with
// one peer take turns until the first is established: to a peer with which it has no
// IKE_SA, charon says so (INITIAL_CONTACT; RFC 7296, section 2.4), and what another
// connection has just established is then dropped by the peer without a word.
func (g *gateway) turn(c *dataplane.VPNConnection, sas []ikeSA) time.Time {
	var turn time.Time
	for i := range g.want.Connections {
		other := &g.want.Connections[i]
		if other.ID == c.ID || !samePeer(c, other) {
			continue
		}
		patience := retryFirst // charon may not have begun yet, or have failed
		for k := range sas {
			if sas[k].connection != other.ID {
				continue
			}
			if sas[k].established() {
				return time.Time{}
			}
			if sas[k].state != "DELETING" {
				patience = settle
			}
		}
		for name := range children(other) {
			if t, ok := g.tries[name]; ok && t.begun.Add(patience).After(turn) {
				turn = t.begun.Add(patience)
			}
		}
	}
	return turn
}

// forget forgets the attempts at CHILD_SAs that have lasted: when one of them goes,
// the next attempt is a first one again.
func (g *gateway) forget(sas []ikeSA, now time.Time) {
	for i := range sas {
		for _, kid := range sas[i].children {
			if t, ok := g.tries[kid.name]; ok && kid.carries() && now.After(t.next) {
				delete(g.tries, kid.name)
			}
		}
	}
}

// thin takes down SAs that there are twice. It returns when to look again.
func (g *gateway) thin(sas []ikeSA) (time.Duration, error) {
	ids, next := surplus(sas)
	for _, id := range ids {
		_, err := g.charon.do("terminate", section{"ike-id": id, "timeout": "-1"})
		if err != nil && !strings.Contains(err.Error(), "no matching SAs") {
			return 0, fmt.Errorf("take down a second IKE_SA: %w", err)
		}
		g.m.log.Info("took down an IKE_SA that does what another one does", "network", g.network, "ike_sa", id)
	}
	return min(next, lookEvery), nil
}

// stillClosing forgets SAs that are gone.
func (g *gateway) stillClosing(sas []ikeSA) {
	for id, closing := range g.closing {
		closing = slices.DeleteFunc(closing, func(sa string) bool {
			return !slices.ContainsFunc(sas, func(s ikeSA) bool { return s.id == sa })
		})
		if len(closing) == 0 {
			delete(g.closing, id)
		} else {
			g.closing[id] = closing
		}
	}
}

// missing returns the CHILD_SAs of c, one of the connections, that are not there,
// and that charon is not about to make.
func missing(c *dataplane.VPNConnection, connections []dataplane.VPNConnection, sas []ikeSA) []string {
	there := map[string]bool{}
	for i := range sas {
		sa := &sas[i]
		shared := func(other dataplane.VPNConnection) bool { return other.ID == sa.connection && share(c, &other) }
		if !slices.ContainsFunc(connections, shared) {
			continue
		}
		if sa.busy || !sa.established() && sa.state != "DELETING" {
			return nil // charon is at it
		}
		for k := range sa.children {
			if kid := &sa.children[k]; kid.carries() || kid.state == "CREATED" || kid.state == "INSTALLING" || kid.state == "RETRYING" {
				there[kid.name] = true
			}
		}
	}
	var names []string
	for name := range children(c) {
		if !there[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
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
	if g.charon == nil {
		return
	}
	moved := g.states.setLink(g.tunnelLink())
	sas, err := g.charon.list()
	if err != nil {
		return // run finds out
	}
	g.tell(g.states.update(g.staying(sas)), moved)
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
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.charon != nil {
		g.charon.close()
		g.charon = nil
	}
	g.ns.Close()
}
