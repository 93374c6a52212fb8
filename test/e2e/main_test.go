// Package e2e runs the real daemon and sends real packets: an Internet, VPCs
// and hosts in network namespaces, driven through the signed API.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/api/admin"
	"sluice/api/aliyun"
	"sluice/test/lab"
)

// gateway is a gateway in a lab of its own, and the host on the public side,
// 203.0.113.1.
type gateway struct {
	*lab.Lab
	client   *aliyun.Client
	internet *endpoint
	shortcut bool
	others   *labs
}

// gateways are those that all tests share, with the shortcut and without, which a short
// run leaves out; each test makes a VPC of its own on each.
var gateways []*gateway

// onAndOff runs a test on both gateways, at the same time: what passes and what
// does not is the same with the shortcut and without.
func onAndOff(t *testing.T, test func(*testing.T, *gateway)) {
	for _, g := range gateways {
		t.Run(g.way(), func(t *testing.T) {
			t.Parallel()
			test(t, g)
		})
	}
}

func (g *gateway) way() string { return "shortcut=" + onOff(g.shortcut) }

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked { // what runs beside others waits most of the time
		_ = flag.Set("test.parallel", "5")
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "the end-to-end tests make network namespaces, which only root may do")
		os.Exit(1)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// run brings up the labs, runs the tests, and takes everything down again. All
// the while it watches the public sides for packets with a private source.
func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	programs, err := programs(dir)
	if err != nil {
		return 0, err
	}
	labs := &labs{programs: programs, dir: dir}
	defer func() { err = errors.Join(err, labs.down(ctx)) }()
	go labs.downOnSignal()
	var watches []*watch
	for _, shortcut := range []bool{true, false} {
		if testing.Short() && !shortcut {
			continue
		}
		g, err := labs.up(ctx, "e2e", shortcut, extraConfig)
		if err != nil {
			return 0, err
		}
		w, err := g.watch()
		if err != nil {
			return 0, err
		}
		defer w.leaks.Close()
		gateways, watches = append(gateways, g), append(watches, w)
	}

	code = m.Run()

	for _, w := range watches {
		if e := w.result(); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", w.g.way(), e))
		}
		if code != 0 && os.Getenv("E2E_LOG") != "" {
			log, _ := os.ReadFile(w.g.LogFile())
			fmt.Fprintf(os.Stderr, "%s:\n%s", w.g.way(), log)
		}
	}
	return code, err
}

// programs returns the directory of sluiced and sluicectl: the one that
// E2E_PROGRAMS names, where they cannot be built, else dir, into which they are
// built, with the race detector but in a short run.
func programs(dir string) (string, error) {
	if given := os.Getenv("E2E_PROGRAMS"); given != "" {
		return given, nil
	}
	// Without what only debuggers read, they are linked faster.
	build := exec.Command("go", "build", "-race="+strconv.FormatBool(!testing.Short()), "-ldflags=-w", "-o", dir+"/", "sluice/cmd/sluiced", "sluice/cmd/sluicectl")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build sluiced and sluicectl: %w", err)
	}
	return dir, nil
}

// watch is what must not happen on a gateway, whatever the tests do.
type watch struct {
	g     *gateway
	leaks *lab.Capture
}

func (g *gateway) watch() (*watch, error) {
	leaks, err := g.Capture(lab.InternetHost, lab.PublicBridge, func(p lab.Packet) bool { return p.PrivateSource() })
	return &watch{g, leaks}, err
}

func (w *watch) result() (err error) {
	for _, p := range w.leaks.Packets() {
		err = errors.Join(err, fmt.Errorf("a packet with a private source on the public side: %s", p))
	}
	if dropped, e := w.leaks.Dropped(); e != nil || dropped > 0 {
		err = errors.Join(err, e, fmt.Errorf("the watch on the public side missed %d packets", dropped))
	}
	if log, e := os.ReadFile(w.g.LogFile()); e == nil && strings.Contains(string(log), "WARNING: DATA RACE") {
		err = errors.Join(err, fmt.Errorf("sluiced has a data race:\n%s", log))
	}
	return err
}

// labs are those that this run of the tests has brought up. Their names carry
// its process id, so that what a killed run has left is in nobody's way.
type labs struct {
	programs string // directory of sluiced and sluicectl
	dir      string // of the labs

	mu  sync.Mutex
	all []*lab.Lab
}

// up brings up a lab. The configuration goes on with config, from within its
// section nat. One host may take its gateway's limits, so that one is enough to
// measure them, and elastic IPs are held to no bandwidth unless config says more of it. There
// are further regions beside the lab's own.
func (s *labs) up(ctx context.Context, name string, shortcut bool, config string, beside ...string) (*gateway, error) {
	name = fmt.Sprintf("%s-%s-%d", name, onOff(shortcut), os.Getpid())
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.Contains(config, "\nbandwidth:") {
		config += "\nbandwidth: {limits: off}\n"
	}
	l, err := lab.Up(ctx, lab.Options{
		Name: name, Dir: filepath.Join(s.dir, name),
		Beside:  beside,
		Classic: true,
		Sluiced: filepath.Join(s.programs, "sluiced"), Sluicectl: filepath.Join(s.programs, "sluicectl"),
		ExtraConfig: "nat:\n  shortcut: " + onOff(shortcut) + "\n  host_share: 100\n" + config,
	})
	if err != nil {
		return nil, err
	}
	s.all = append(s.all, l)
	client, err := l.Client()
	if err != nil {
		return nil, err
	}
	g := &gateway{Lab: l, client: client, shortcut: shortcut, others: s}
	g.internet = &endpoint{g: g, namespace: name + "-" + lab.InternetHost, addr: lab.PublicGateway}
	return g, nil
}

// down takes all of them down; those that are down already are no matter.
func (s *labs) down(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, l := range s.all {
		errs = append(errs, l.Down(ctx))
	}
	return errors.Join(errs...)
}

// downOnSignal leaves nothing behind when the tests are interrupted.
func (s *labs) downOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	if err := s.down(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	}
	os.RemoveAll(s.dir)
	os.Exit(130)
}

// extraConfig makes room for all tests on one gateway.
const extraConfig = `
quotas:
  vpcs: 100
  elastic_ips: 200
  router_interfaces: 40
`

// clientEnv is what a client needs.
type clientEnv struct{ Endpoint, AccessKeyID, AccessKeySecret, Region string }

// Host returns host:port of the endpoint.
func (c clientEnv) Host() string { return strings.TrimPrefix(c.Endpoint, "http://") }

func (g *gateway) Credentials() clientEnv {
	env, err := g.Env()
	if err != nil {
		panic(err)
	}
	values := make(map[string]string)
	for _, v := range env {
		values[v.Name] = v.Value
	}
	return clientEnv{values["SLUICE_ENDPOINT"], values["SLUICE_ACCESS_KEY_ID"], values["SLUICE_ACCESS_KEY_SECRET"], values["SLUICE_REGION"]}
}

func (g *gateway) killDaemon(t *testing.T) {
	t.Helper()
	if err := g.KillDaemon(); err != nil {
		t.Fatal(err)
	}
}

func (g *gateway) startDaemon(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := g.StartDaemon(ctx); err != nil {
		t.Fatal(err)
	}
}

// logged waits until the daemon's log has a line with all the words.
func (g *gateway) logged(t *testing.T, words ...string) {
	t.Helper()
	eventually(t, "a log line with "+strings.Join(words, ", "), func() string {
		log, err := os.ReadFile(g.LogFile())
		if err != nil {
			return err.Error()
		}
		for line := range strings.Lines(string(log)) {
			has := true
			for _, w := range words {
				has = has && strings.Contains(line, w)
			}
			if has {
				return ""
			}
		}
		return "there is none"
	})
}

// plugHost plugs a host into a VSwitch, until the test ends.
func (g *gateway) plugHost(t *testing.T, o lab.HostOptions) *host {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	o.Client = g.client
	h, err := g.HostAdd(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := g.HostRemove(ctx, o.Name); err != nil {
			t.Errorf("remove host %s: %v", o.Name, err)
		}
	})
	return &host{endpoint: endpoint{g: g, namespace: h.Namespace, addr: h.IP()}, name: o.Name, instance: h.InstanceID}
}

func (g *gateway) admin() (*admin.Client, error) { return admin.Dial(g.AdminSocket()) }

// addInstance puts an instance that has no host into the inventory, and
// returns its id.
func (g *gateway) addInstance(t *testing.T, vswitch, ip string) string {
	t.Helper()
	c, err := g.admin()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	i, err := c.AddInstance(context.Background(), admin.NewInstance{VSwitch: vswitch, PrivateIP: ip})
	if err != nil {
		t.Fatal(err)
	}
	return i.ID
}

func (g *gateway) removeInstance(t *testing.T, id string) {
	t.Helper()
	if err := g.tryRemoveInstance(id); err != nil {
		t.Fatal(err)
	}
}

func (g *gateway) tryRemoveInstance(id string) error {
	c, err := g.admin()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.RemoveInstance(context.Background(), id)
}

// networkStatus returns how far the dataplane has followed a VPC.
func (g *gateway) networkStatus(ctx context.Context, vpc string) (admin.Network, error) {
	c, err := g.admin()
	if err != nil {
		return admin.Network{}, err
	}
	defer c.Close()
	list, err := c.Networks(ctx)
	if err != nil {
		return admin.Network{}, err
	}
	for _, n := range list {
		if n.ID == vpc {
			return n, nil
		}
	}
	return admin.Network{}, fmt.Errorf("the daemon knows no network %s", vpc)
}

// traffic returns what has been counted of a VPC's network.
func (g *gateway) traffic(t *testing.T, vpc string) admin.Traffic {
	t.Helper()
	c, err := g.admin()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := c.Traffic(context.Background(), vpc)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
