package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/api/admin"
	"sluice/api/aliyun"
	"sluice/api/certificate"
	"sluice/api/edge"
	"sluice/api/metrics"
	"sluice/api/tencent3"
	"sluice/config"
	"sluice/controlplane/acceleration"
	"sluice/controlplane/applied"
	"sluice/controlplane/bandwidth"
	"sluice/controlplane/classic"
	"sluice/controlplane/eip"
	"sluice/controlplane/havip"
	"sluice/controlplane/inventory"
	"sluice/controlplane/leasedline"
	"sluice/controlplane/local"
	"sluice/controlplane/monitor"
	"sluice/controlplane/nat"
	"sluice/controlplane/network"
	"sluice/controlplane/networkinterface"
	"sluice/controlplane/ram"
	"sluice/controlplane/reconcile"
	"sluice/controlplane/routerinterface"
	"sluice/controlplane/securitygroup"
	"sluice/controlplane/state"
	"sluice/controlplane/store/bolt"
	"sluice/controlplane/store/boltfile"
	"sluice/controlplane/tags"
	"sluice/controlplane/template"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
	"sluice/dataplane/engine"
	"sluice/dataplane/link"
	"sluice/dataplane/openvpn"
	"sluice/dataplane/session"
)

// How long the steps of the start and of the end may take.
const (
	storePatience = 2 * time.Second  // for another process that is just letting go of a file of ours
	readyPatience = 60 * time.Second // for the first look at every network
	grace         = 15 * time.Second // for running requests, when the daemon stops
)

// task is a part of the daemon that runs as long as the daemon does.
type task interface {
	// Run works until ctx ends and returns nil then. Any other end is a failure
	// of the whole daemon.
	Run(ctx context.Context) error
	// String names the task in logs and errors.
	String() string
}

// storeWatch has the control plane see what other writers of the store do.
type storeWatch struct{ db *state.DB }

func (storeWatch) String() string                  { return "store watch" }
func (w storeWatch) Run(ctx context.Context) error { return w.db.Follow(ctx) }

// kernel is the dataplane, as the daemon opens and closes it.
type kernel interface {
	reconcile.Dataplane
	monitor.Meter
	vpn.Plane
	havip.Plane
	leasedline.Plane
	metrics.LineMeter
	// Programs returns how the BPF programs of a network's links are attached;
	// the error wraps engine.ErrNotCounted where there are none.
	Programs(ctx context.Context, network string) ([]dataplane.Programs, error)
	metrics.Machine
	// Network returns a network as it was to be applied last; nil if it is not known.
	Network(id string) *dataplane.Network
	// Interfaces returns how the router interfaces of a network are.
	Interfaces(ctx context.Context, id string) ([]dataplane.InterfaceStatus, error)
	// Close ends the watching; what is in the kernel stays.
	Close() error
}

// routing is where the admin socket looks at routers.
type routing struct {
	kernel
	counters
}

// Traffic returns what was counted of a network; nil if it is not counted.
func (r routing) Traffic(ctx context.Context, network string) (*dataplane.Traffic, error) {
	return r.counters.Traffic(ctx, network)
}

// openKernel opens the machine's dataplane. RunDir, which does not outlive a
// reboot, keeps the marks of what is ours.
func openKernel(c *config.Config, log *slog.Logger) (kernel, error) {
	return engine.New(engine.Config{
		RunDir: c.RunDir, Logger: log,
		Sessions: session.Options{Dir: c.BPFDir, Sessions: c.Sessions, Addresses: c.Addresses},
		SSL:      openvpn.Options{LogDir: filepath.Join(c.DataDir, "ssl")},

		LineDevices: c.Settings.LineDevices(),
	})
}

// daemon is everything, wired.
type daemon struct {
	config *config.Config
	log    *slog.Logger

	store      *bolt.Store
	applied    *bolt.Store // what has been applied, beside the resources
	minutes    *monitor.Minutes
	kernel     kernel
	reconciler *reconcile.Reconciler
	core       []task // what follows the resources; ends last
	api        *edge.Server
	// connections are those of the API that are kept.
	connections *edge.Connections
	// certificates are those of the API, if they are made here; else nil.
	certificates *certificate.Server // of its own; nil: see named
	named        *certificate.Named  // of somebody else; nil: plain HTTP, if there are none of its own
	admin        *admin.Server
	metrics      task // nil if they are not configured
	info         *process
	settled      func() // when the start is over
}

// process answers the admin socket's questions about the daemon.
type process struct {
	mu    sync.Mutex
	info  admin.Info
	ready atomic.Bool
}

// Info implements admin.Process.
func (p *process) Info() admin.Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.info
	i.Others = slices.Clone(i.Others)
	addresses := []string{i.Listen, i.Metrics}
	for _, l := range i.Others {
		addresses = append(addresses, l.Listen)
	}
	for _, address := range addresses {
		if absent(address) {
			i.Absent = append(i.Absent, address)
		}
	}
	return i
}

// Ready implements admin.Process.
func (p *process) Ready() bool { return p.ready.Load() }

func (p *process) listening(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.info.Listen = address
}

// listeningAlso says where the listener of that number, of those besides the API's, listens.
func (p *process) listeningAlso(i int, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.info.Others[i].Listen = address
}

func (p *process) metricsListen(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.info.Metrics = address
}

// open opens and wires everything, up to the admin socket. Nothing is changed
// in the kernel but that the configured bridges are made.
func open(ctx context.Context, c *config.Config, log *slog.Logger) (*daemon, error) {
	return openWith(ctx, c, log, openKernel)
}

func openWith(ctx context.Context, c *config.Config, log *slog.Logger, openKernel func(*config.Config, *slog.Logger) (kernel, error)) (_ *daemon, err error) {
	if err := errors.Join(private("data_dir", c.DataDir), private("run_dir", c.RunDir), checkPrivate("bpf_dir", c.BPFDir)); err != nil {
		return nil, err
	}
	settled := collectSeldom(filepath.Join(c.DataDir, local.File))
	defer func() {
		if err != nil {
			settled()
		}
	}()
	opened, err := local.Open(ctx, c.DataDir, c.Settings.Machine, log)
	if err != nil {
		return nil, err
	}
	s, db, sealer, keys := opened.File, opened.DB, opened.Sealer, opened.Keys
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	minutes, err := monitor.Open(filepath.Join(c.DataDir, "minutes.db"), storePatience)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, minutes.Close())
		}
	}()
	observations, err := openObservations(filepath.Join(c.DataDir, "applied.db"), log)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, observations.Close())
		}
	}()
	for _, b := range c.Bridges {
		if err := link.EnsureBridge(b.Namespace, b.Name, b.Address); err != nil {
			return nil, fmt.Errorf("public network: %w", err)
		}
	}
	dp, err := openKernel(c, log)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, dp.Close())
		}
	}()
	if err := refuseRemovals(db.View(), dp, c); err != nil {
		return nil, err
	}
	record, err := openAuditLog(c, log)
	if err != nil {
		return nil, err
	}
	copies := &backups{dir: filepath.Join(c.DataDir, "backups"), store: s, db: db, log: log, now: time.Now, every: time.Hour}
	reconciler := reconcile.New(db, dp, &c.Settings, log, time.Now, reconcile.Options{Audit: c.AuditInterval, Full: c.FullAuditInterval, Open: sealer.Open})

	d := &daemon{
		config: c, log: log, store: s, applied: observations, minutes: minutes, kernel: dp, reconciler: reconciler,
		core: []task{
			reconciler,
			storeWatch{db},
			applied.NewRecorder(db, observations, c.Settings.Machine, applied.Every, log),
			&receiptSweep{db: db, log: log, now: time.Now, every: time.Minute},
			copies,
			&deletedSweep{db: db, marked: dp.Networks, machine: c.Settings.Machine, log: log, every: time.Minute},
			monitor.NewRecorder(db, c.Settings.Machine, meterOf(c, dp), minutes, c.Metrics.Keep, monitor.SystemClock(), log),
		},
		settled: settled,
		info: &process{info: admin.Info{
			Version: versionText(), GoVersion: runtime.Version(), PID: os.Getpid(), Started: time.Now(),
			Config: c.File, Listen: c.Listen, Metrics: c.Metrics.Listen, DataDir: c.DataDir,
		}},
	}
	for _, l := range c.Listeners {
		d.info.info.Others = append(d.info.info.Others, admin.Listener{Family: l.Family, Listen: l.Listen})
	}
	tellBandwidths(db.View(), c, log)
	tunnels := vpn.New(db, &c.Settings, sealer, dp, time.Now, rand.Reader, log)
	lines := leasedline.New(db, &c.Settings, dp, time.Now, log)
	rights := ram.New(db, &c.Settings, keys, time.Now, rand.Reader, log)
	haVips := havip.New(db, &c.Settings, dp, time.Now, log)
	networks := network.New(db, &c.Settings, time.Now, log)
	addresses := eip.New(db, &c.Settings, time.Now, rand.Reader, log)
	actions := aliyun.NewService(
		networks,
		addresses,
		bandwidth.New(db, &c.Settings, time.Now, log),
		nat.New(db, &c.Settings, time.Now, rand.Reader, log),
		monitor.New(db, &c.Settings, minutes, c.Metrics.Keep, time.Now),
		tunnels,
		routerinterface.New(db, &c.Settings, time.Now, log),
		tags.New(db, &c.Settings, time.Now, log),
		rights,
		haVips,
		lines,
		acceleration.New(db, &c.Settings, time.Now, rand.Reader, log),
	)
	calls := metrics.NewCalls()
	api := edge.Config{
		// All families are served by one server, so that a key's calls and nonces count once.
		Families: []edge.Family{tencent3.NewFamily(tencent3.NewService(networks, tunnels, template.New(db, &c.Settings, time.Now, log), securitygroup.New(db, &c.Settings, time.Now, log), addresses, networkinterface.New(db, &c.Settings, time.Now, log), classic.New(db, &c.Settings, time.Now, log)), rights), aliyun.NewFamily(actions, rights)},
		Keys:     keys,
		Meter:    calls,
		PerKey:   edge.Rate{PerSecond: c.Throttle.PerKey.Rate, Burst: c.Throttle.PerKey.Burst},
		Total:    edge.Rate{PerSecond: c.Throttle.Total.Rate, Burst: c.Throttle.Total.Burst},
		Log:      log,
	}
	site := admin.Services{
		Identity:  keys,
		RAM:       rights,
		Inventory: inventory.New(db, &c.Settings, time.Now, log),
		Public:    addresses,
		HaVips:    haVips,
		Networks:  admin.Status{DB: db, GroupDrops: dp.GroupDrops},
		Traffic:   counters{dp},
		Programs:  counters{dp},
		VPN:       tunnels,
		Topology:  admin.TopologyOf{DB: db, Dataplane: routing{dp, counters{dp}}, Now: time.Now},
		Lines:     lines,
		Process:   d.info,
		Backups:   copies,
	}
	shown := metrics.Config{
		Networks: metrics.Status{DB: db, Spec: aliyun.Spec}, Traffic: counters{dp}, Tunnels: dp, Machine: dp, Lines: lines, LineMeter: dp, Calls: calls, TopAddresses: c.Metrics.TopAddresses,
		Version: versionText(), Now: time.Now, Log: log,
	}
	if record != nil {
		d.core = append(d.core, record)
		api.Audit, site.Audit, shown.Audit = record, record, record
	}
	d.api = edge.NewServer(api)
	d.connections = edge.NewConnections(edge.Places{Total: c.Connections.Most, PerSource: c.Connections.PerSource, Reserved: c.Connections.Reserved}, log)
	if c.Metrics.Listen != "" {
		shown.Connections = d.connections
		d.metrics = &metricsSite{address: c.Metrics.Listen, listening: d.info.metricsListen, log: log, handler: metrics.NewHandler(shown)}
	}
	if c.TLS.Auto {
		d.certificates, err = certificate.Open(certificate.Config{
			Dir:   filepath.Join(c.DataDir, "tls"),
			Names: func() ([]string, error) { return certificateNames(c) },
			Log:   log,
		})
		if err != nil {
			return nil, err
		}
	}
	if c.TLS.Certificate != "" {
		d.named, err = certificate.OpenNamed(certificate.NamedConfig{Chain: c.TLS.Certificate, Key: c.TLS.Key, Log: log})
		if err != nil {
			return nil, err
		}
	}
	socket, err := admin.Listen(c.AdminSocket)
	if err != nil {
		return nil, err
	}
	d.admin = &admin.Server{
		Listener: socket,
		Handler:  admin.NewHandler(site, log),
		Audit:    site.Audit,
		Grace:    grace,
		Log:      log,
	}
	return d, nil
}

// openObservations opens the file of what has been applied. One that is damaged is made
// anew: what was in it is seen again.
func openObservations(path string, log *slog.Logger) (*bolt.Store, error) {
	s, err := bolt.Open(path, storePatience)
	if errors.Is(err, boltfile.ErrDamaged) {
		log.Warn("what has been applied is recorded anew", "error", err)
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		s, err = bolt.Open(path, storePatience)
	}
	return s, err
}

// run runs everything until ctx ends or a part of it fails. The edge, which
// takes requests, begins last and ends first: while a running request is
// finished, what it waits for still goes on.
func (d *daemon) run(ctx context.Context) (err error) {
	defer func() {
		err = errors.Join(err, d.kernel.Close(), d.minutes.Close(), d.applied.Close(), d.store.Close())
	}()
	d.log.Info("sluiced starts", "version", versionText(), "config", d.config.File, "data_dir", d.config.DataDir, "admin_socket", d.config.AdminSocket)

	core, coreCtx := errgroup.WithContext(context.WithoutCancel(ctx))
	coreCtx, stopCore := context.WithCancel(coreCtx)
	defer stopCore()
	for _, t := range d.core {
		core.Go(func() error { return named(t, t.Run(coreCtx)) })
	}

	edge, edgeCtx := errgroup.WithContext(ctx)
	edgeCtx, stopEdge := context.WithCancel(edgeCtx)
	defer stopEdge()
	// When a part of the core fails, the edge has to end too.
	defer context.AfterFunc(coreCtx, stopEdge)()
	edge.Go(func() error { return named(d.admin, d.admin.Run(edgeCtx)) })
	edge.Go(func() error { return d.serve(edgeCtx) })
	if d.metrics != nil {
		edge.Go(func() error { return named(d.metrics, d.metrics.Run(edgeCtx)) })
	}

	edgeErr := edge.Wait()
	stopCore()
	return errors.Join(edgeErr, core.Wait())
}

func named(t task, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	return nil
}
