package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/api/admin"
	"sluice/api/aliyun"
	"sluice/config"
	"sluice/controlplane/compile"
	"sluice/controlplane/state"
	"sluice/dataplane"
	"sluice/dataplane/engine"
	"sluice/test/lab"
)

// The size of the storm. CHAOS_ROUNDS and CHAOS_SEED change it from outside.
const (
	chaosRounds = 5   // kills
	chaosWrites = 120 // acknowledged or refused, between two kills
	chaosSlots  = 4
	slotEIPs    = 4
)

// storm is many clients at work on a gateway that is killed, and whose kernel
// is damaged, meanwhile.
type storm struct {
	client *aliyun.Client
	admin  *admin.Client
	g      *gateway
	slots  []*slot
	spare  *holding // elastic IPs that nobody binds
	serial atomic.Int64

	gate  sync.RWMutex // held by calls under way
	dying atomic.Bool  // the daemon is being killed, or dead
	calm  atomic.Bool  // no damage

	mu       sync.Mutex
	failures []string
	codes    map[string]int
	outcomes [4]int
	vpcs     []string // all that were ever made
	damages  map[string]int
}

func (s *storm) fail(format string, args ...interface{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, fmt.Sprintf(format, args...))
}

func (s *storm) count(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code]++
}

func (s *storm) tally(o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes[o]++
}

func (s *storm) answered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outcomes[acknowledged] + s.outcomes[refused]
}

func (s *storm) made(vpc string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vpcs = append(s.vpcs, vpc)
}

// number returns a figure from the environment, or the usual one.
func number(t *testing.T, variable string, usual uint64) uint64 {
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q is not a number", variable, text)
	}
	return n
}

// another brings up another gateway of the same kind, for one test, with regions beside its
// own.
func (g *gateway) another(t *testing.T, name, extra string, beside ...string) *gateway {
	t.Helper()
	own, err := g.others.up(context.Background(), name, g.shortcut, extra, beside...)
	if err != nil {
		t.Fatal(err)
	}
	l := own.Lab
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		log, err := os.ReadFile(l.LogFile())
		if err != nil {
			t.Error(err)
		}
		if path := os.Getenv("CHAOS_LOG"); path != "" {
			os.WriteFile(path+"-"+onOff(g.shortcut), log, 0o600)
		}
		said, _, _ := strings.Cut(string(log), quit)
		for line := range strings.Lines(said) {
			for _, bad := range []string{"panic", "DATA RACE", "fatal error", "InternalError", "SIGSEGV", "goroutine "} {
				if strings.Contains(line, bad) {
					t.Errorf("sluiced said: %s", line)
				}
			}
		}
	})
	return own
}

// TestChaos: while the daemon is killed and the kernel's state is damaged at
// random, no acknowledged write is lost and no refused one is done, nothing is
// done by half, a VPC that nobody touches loses no packet, and in the end the
// kernel holds what the store does.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel() // on gateways of its own
	onAndOff(t, testChaos)
}

func testChaos(t *testing.T, g *gateway) {
	seed := number(t, "CHAOS_SEED", uint64(time.Now().UnixNano()))
	t.Logf("CHAOS_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	g = g.another(t, "chaos", "audit_interval: 1s\n"+extraConfig)
	leaks, err := g.Capture(lab.InternetHost, lab.PublicBridge, func(p lab.Packet) bool { return p.PrivateSource() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer leaks.Close()
		for _, p := range leaks.Packets() {
			t.Errorf("a packet with a private source on the public side: %s", p)
		}
	})

	quiet, flows := untouched(t, g)
	s := newStorm(t, g)
	stop := background(t, func() {
		for _, f := range flows {
			f.more(t, 1)
		}
	})

	for round := range int(number(t, "CHAOS_ROUNDS", chaosRounds)) {
		s.round(t, random, round == 0)
		if t.Failed() {
			break
		}
	}
	s.equal(t)
	stop()
	for _, f := range flows {
		f.more(t, 5)
		f.lost(t, 0)
	}
	quiet.shortened(t, 500)
	t.Logf("writes: %d acknowledged, %d refused, %d without an answer, %d with no daemon", s.outcomes[acknowledged], s.outcomes[refused], s.outcomes[lost], s.outcomes[notTaken])
	t.Logf("refusals: %v", s.codes)
	t.Logf("damage: %v", s.damages)
	if s.outcomes[acknowledged] < s.outcomes[refused]/4 {
		t.Error("hardly any write was acknowledged: the storm tests little")
	}
	s.clear(t)
	s.nothingGrows(t, random)
}

// untouched makes a VPC that the storm leaves alone, with open connections of
// every kind.
func untouched(t *testing.T, g *gateway) (*network, []*flow) {
	n := g.newNetwork(t, "10.0.0.0/8", "10.0.1.0/24")
	n.gateway(t)
	snat, dnat := n.gatewayIP(t), n.gatewayIP(t)
	h, own := n.host(t, 0, "10.0.1.10"), n.host(t, 0, "10.0.1.11")
	n.snat(t, "SourceVSwitchId", n.switches[0], snat)
	n.dnat(t, dnat, "53", "UDP", "10.0.1.10", "53")
	id, eip := n.eip(t)
	n.bind(t, id, "EcsInstance", own.instance)
	h.serve(t, "udp", "0.0.0.0:53")
	own.serve(t, "tcp", "0.0.0.0:80")
	return n, []*flow{
		h.flow(t, g.internet.echo(t, "udp")),
		h.flow(t, g.internet.echo(t, "tcp")),
		g.internet.flow(t, netip.AddrPortFrom(dnat, 53)),
		g.internet.flow(t, netip.AddrPortFrom(eip, 80)),
	}
}

func newStorm(t *testing.T, g *gateway) *storm {
	t.Helper()
	a, err := g.admin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	s := &storm{client: g.client, admin: a, g: g, spare: newHolding("spare"), codes: make(map[string]int), damages: make(map[string]int)}
	n := &network{g: g}
	blocks := []string{"10.0.0.0/16", "10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12"}
	for i := range chaosSlots {
		p := &slot{holding: newHolding(fmt.Sprintf("chaos-%d", i)), storm: s, cidr: netip.MustParsePrefix(blocks[i%len(blocks)])}
		for range slotEIPs {
			id, a := n.eip(t)
			p.items[id] = item{"eip", a.String(), "", ""}
		}
		s.slots = append(s.slots, p)
	}
	return s
}

// work starts the clients, and returns when they have had some answers. They
// go on until the daemon is killed, or stop is called, which waits for them.
func (s *storm) work(t *testing.T, random *rand.Rand, answers int) (stop func()) {
	t.Helper()
	s.dying.Store(false)
	var clients sync.WaitGroup
	var ended atomic.Bool
	work := func(once func(*rand.Rand) outcome) {
		r := rand.New(rand.NewPCG(random.Uint64(), 1))
		clients.Go(func() {
			for !ended.Load() {
				switch out := once(r); {
				case out == lost || out == notTaken && s.dying.Load():
					return
				case out == notTaken:
					time.Sleep(time.Millisecond) // until there is something to work on
				}
				if !s.calm.Load() && r.IntN(10) == 0 {
					s.damage(r)
				}
			}
		})
	}
	for _, p := range s.slots {
		work(p.shapeOnce)
		work(p.forwardOnce)
		work(p.snatOnce)
	}
	work(s.allocateOnce)

	goal := s.answered() + answers
	deadline := time.Now().Add(time.Minute)
	for s.answered() < goal && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond) // between probes
	}
	if s.answered() < goal {
		t.Errorf("the clients had only %d answers in a minute", s.answered())
	}
	return func() {
		ended.Store(true)
		clients.Wait()
	}
}

// round lets the clients work, kills the daemon while they do, and compares
// the store with what they were told.
func (s *storm) round(t *testing.T, random *rand.Rand, quiet bool) {
	t.Helper()
	s.calm.Store(quiet)
	stop := s.work(t, random, 1+random.IntN(2*chaosWrites))
	s.dying.Store(true)
	s.g.killDaemon(t)
	stop()
	s.compareStore(t)
	for range random.IntN(4) {
		if !quiet {
			s.damage(random)
		}
	}
	// It is killed on its way up, too.
	for range random.IntN(3) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(400))*time.Millisecond)
		_ = s.g.StartDaemon(ctx) // whether it was ready or not
		cancel()
		s.g.killDaemon(t)
	}
	s.g.startDaemon(t)
	s.report(t)
}

func (s *storm) report(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.failures {
		t.Error(f)
	}
	s.failures = nil
}

func (s *storm) compareStore(t *testing.T) *state.View {
	t.Helper()
	v := stored(t, s.g.Lab)
	mine := make(map[string]bool)
	for _, p := range s.slots {
		for _, id := range p.of("eip") {
			mine[id] = true
		}
		if err := p.settle(owned(v, p.name, func(id string) bool { return slices.Contains(p.of("eip"), id) })); err != nil {
			t.Error(err)
		}
	}
	// What is neither a slot's nor the untouched VPC's is spare.
	untouched := func(id string) bool { e, _ := v.ElasticIPs.Get(id); return !mine[id] && e.Binding == nil }
	if err := s.spare.settle(owned(v, "spare", untouched)); err != nil {
		t.Error(err)
	}
	return v
}

// settled waits until every network has been compared with the kernel twice
// since now, by an audit at the latest.
func (s *storm) settled(t *testing.T) {
	t.Helper()
	reports := make(map[string][]time.Time)
	eventually(t, "settled networks", func() string {
		list, err := s.admin.Networks(t.Context())
		if err != nil {
			return err.Error()
		}
		var open []string
		for _, n := range list {
			if seen := reports[n.ID]; !slices.ContainsFunc(seen, n.Since.Equal) {
				reports[n.ID] = append(seen, n.Since)
			}
			if n.Applied < n.Wanted || n.Error != "" || len(reports[n.ID]) < 3 {
				open = append(open, fmt.Sprintf("%+v", n))
			}
		}
		return strings.Join(open, "\n")
	})
}

// equal stops the daemon, and compares the kernel with what the store says.
func (s *storm) equal(t *testing.T) {
	t.Helper()
	s.settled(t)
	if err := s.g.StopDaemon(); err != nil {
		t.Fatal(err)
	}
	v := s.compareStore(t)
	c, err := config.Load(s.g.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Config{RunDir: s.g.RunDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for vpc := range v.VPCs.All() {
		n, err := compile.Network(v, &c.Settings, vpc.ID, nil)
		if err != nil {
			t.Error(err)
			continue
		}
		if o, err := e.Apply(t.Context(), n); err != nil || o.Changes != 0 {
			t.Errorf("the kernel differs from the store in %s (%s): %d changes, %v", vpc.ID, vpc.Name, o.Changes, err)
		}
	}
	ids, err := e.Networks()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, ok := v.VPCs.Get(id); !ok {
			t.Errorf("network %s is still there, its VPC is not", id)
		}
	}
	s.g.startDaemon(t)
}

// clear deletes everything that the storm made.
func (s *storm) clear(t *testing.T) {
	t.Helper()
	s.dying.Store(false)
	for _, p := range s.slots {
		if p.one("vpc") != "" && p.clear() != acknowledged {
			t.Errorf("%s cannot be deleted: %v", p.name, p.items)
		}
	}
	for _, id := range s.spare.of("eip") {
		s.carry(s.spare, s.api(effect{gone: []string{id}}, nil, "ReleaseEipAddress", "AllocationId", id))
	}
	s.report(t)
	eventually(t, "traces of deleted VPCs", func() string {
		var left []string
		for _, id := range s.vpcs {
			for _, path := range []string{filepath.Join("/run/netns", dataplane.Namespace(id)), filepath.Join(s.g.RunDir(), "networks", id)} {
				if _, err := os.Stat(path); err == nil {
					left = append(left, path)
				}
			}
		}
		return strings.Join(left, ", ")
	})
}

// descriptors counts the daemon's, without those of the clients' connections.
func (s *storm) descriptors(t *testing.T) int {
	t.Helper()
	s.client.HTTP.CloseIdleConnections()
	s.admin.Close()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.daemon(t).PID))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func (s *storm) daemon(t *testing.T) lab.Process {
	t.Helper()
	p, ok, err := s.g.Daemon()
	if err != nil || !ok {
		t.Fatalf("no daemon runs (%v)", err)
	}
	return p
}

// nothingGrows has VPCs come and go on one daemon, and counts its descriptors
// and, at its end, its goroutines.
func (s *storm) nothingGrows(t *testing.T, random *rand.Rand) {
	t.Helper()
	const atWork = 5 // of what may be under way: an audit, a probe
	s.settled(t)
	before := s.descriptors(t)
	s.calm.Store(false)
	s.work(t, random, chaosWrites)()
	s.clear(t)
	eventually(t, "descriptors of the daemon", func() string {
		if now := s.descriptors(t); now > before+atWork {
			return fmt.Sprintf("there were %d, and are %d", before, now)
		}
		return ""
	})

	// A Go program that gets this signal writes where each goroutine stands.
	p := s.daemon(t)
	if err := syscall.Kill(p.PID, syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the daemon's end", func() string {
		if p.Alive() {
			return "it lives"
		}
		return ""
	})
	log, err := os.ReadFile(s.g.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	_, dump, found := strings.Cut(string(log), quit)
	goroutines := strings.Count(dump, "\ngoroutine ")
	t.Logf("%d descriptors, %d goroutines", before, goroutines)
	const enough = 60 // with one network
	if !found || goroutines == 0 || goroutines > enough {
		t.Errorf("the daemon had %d goroutines in the end:\n%s", goroutines, dump)
	}
	s.g.startDaemon(t)
}

// quit begins what the runtime writes on SIGQUIT.
const quit = "SIGQUIT: quit"
