// Package e2e runs the real daemon and sends real packets: an Internet, VPCs
// and hosts in network namespaces, driven through the signed API.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/api/admin"
	"sluice/api/aliyun"
	"sluice/test/lab"
)

// theLab is the gateway that all tests share; each test makes a VPC of its own.
var theLab *gateway

// internet is the host on the public side, 203.0.113.1.
var internet *endpoint

type gateway struct {
	*lab.Lab
	client *aliyun.Client
	others *labs
}

func TestMain(m *testing.M) {
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

// run brings up the lab, runs the tests, and takes everything down again. All
// the while it watches the public side for packets with a private source.
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
	if theLab, internet, err = labs.up(ctx, "e2e", extraConfig); err != nil {
		return 0, err
	}
	l := theLab.Lab

	leaks, err := l.Capture(lab.InternetHost, lab.PublicBridge, func(p lab.Packet) bool { return p.PrivateSource() })
	if err != nil {
		return 0, err
	}
	defer leaks.Close()

	code = m.Run()

	for _, p := range leaks.Packets() {
		err = errors.Join(err, fmt.Errorf("a packet with a private source on the public side: %s", p))
	}
	if dropped, e := leaks.Dropped(); e != nil || dropped > 0 {
		err = errors.Join(err, e, fmt.Errorf("the watch on the public side missed %d packets", dropped))
	}
	if log, e := os.ReadFile(l.LogFile()); e == nil && strings.Contains(string(log), "WARNING: DATA RACE") {
		err = errors.Join(err, fmt.Errorf("sluiced has a data race:\n%s", log))
	}
	if code != 0 && os.Getenv("E2E_LOG") != "" {
		log, _ := os.ReadFile(l.LogFile())
		os.Stderr.Write(log)
	}
	return code, err
}

// programs returns the directory of sluiced and sluicectl: the one that
// E2E_PROGRAMS names, where they cannot be built, else dir, into which they are
// built with the race detector.
func programs(dir string) (string, error) {
	if given := os.Getenv("E2E_PROGRAMS"); given != "" {
		return given, nil
	}
	for _, program := range []string{"sluiced", "sluicectl"} {
		build := exec.Command("go", "build", "-race", "-o", filepath.Join(dir, program), "sluice/cmd/"+program)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return "", fmt.Errorf("build %s: %w", program, err)
		}
	}
	return dir, nil
}

// labs are those that this run of the tests has brought up. Their names carry
// its process id, so that what a killed run has left is in nobody's way.
type labs struct {
	programs string // directory of sluiced and sluicectl
	dir      string // of the labs

	mu  sync.Mutex
	all []*lab.Lab
}

func (s *labs) up(ctx context.Context, name, config string) (*gateway, *endpoint, error) {
	name = fmt.Sprintf("%s-%d", name, os.Getpid())
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := lab.Up(ctx, lab.Options{
		Name: name, Dir: filepath.Join(s.dir, name),
		Sluiced: filepath.Join(s.programs, "sluiced"), Sluicectl: filepath.Join(s.programs, "sluicectl"),
		ExtraConfig: config,
	})
	if err != nil {
		return nil, nil, err
	}
	s.all = append(s.all, l)
	client, err := l.Client()
	if err != nil {
		return nil, nil, err
	}
	return &gateway{Lab: l, client: client, others: s}, &endpoint{namespace: name + "-" + lab.InternetHost, addr: lab.PublicGateway}, nil
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

// addHost plugs a host into a VSwitch, until the test ends.
func (g *gateway) addHost(t *testing.T, name, vswitch string, ip netip.Addr) *host {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	h, err := g.HostAdd(ctx, lab.HostOptions{Name: name, VSwitch: vswitch, IP: ip})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := g.HostRemove(ctx, name); err != nil {
			t.Errorf("remove host %s: %v", name, err)
		}
	})
	return &host{endpoint: endpoint{namespace: h.Namespace, addr: h.IP()}, name: name, instance: h.InstanceID}
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
	c, err := g.admin()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.RemoveInstance(context.Background(), id); err != nil {
		t.Fatal(err)
	}
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
