package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice/test/lab"
)

// run is what the measurements of one run share: the figures, a directory, and
// names that no other run has.
type run struct {
	report *report
	quick  bool      // small samples, to try the program out
	said   io.Writer // what is going on, for whoever watches
	log    *slog.Logger

	id   string
	dir  string
	lock *os.File

	idle time.Duration // how long an idle daemon is watched

	site *site // made by the first measurement that needs it
}

const (
	idFile = "id"
	prefix = "slt" // of names of links and namespaces
)

// newRun claims a directory for a run, and removes what an earlier run left in
// it and in the kernel.
func newRun(ctx context.Context, dir string, quick bool, idle time.Duration, said io.Writer) (*run, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%s is in use by another run (%w); wait for it, or name another -o", dir, err)
	}
	r := &run{
		report: newReport(), quick: quick, idle: idle, said: said, dir: dir, lock: lock,
		log: slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	old, err := os.ReadFile(filepath.Join(dir, idFile))
	if err == nil {
		r.id = strings.TrimSpace(string(old))
		err = r.clear(ctx)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		lock.Close()
		return nil, fmt.Errorf("remove what an earlier run left: %w", err)
	}
	var random [2]byte
	_, _ = rand.Read(random[:]) // never fails
	r.id = hex.EncodeToString(random[:])
	if err := os.WriteFile(filepath.Join(dir, idFile), []byte(r.id+"\n"), 0o600); err != nil {
		lock.Close()
		return nil, err
	}
	return r, nil
}

// name returns the run's name for a part of it: of a link, a namespace, or a
// network. It has room for a letter more as a link's name if the part has up
// to seven.
func (r *run) name(part string) string { return prefix + r.id + part }

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.said, format+"\n", args...) }

// labOptions name the lab of the run.
func (r *run) labOptions() lab.Options {
	return lab.Options{Name: r.name("lab"), Dir: filepath.Join(r.dir, "lab")}
}

// close removes all that the run has made, but for the figures.
func (r *run) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	defer r.lock.Close()
	if err := r.clear(ctx); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return os.RemoveAll(r.dir)
}

// clear removes what the run named r.id has made. The record of its name goes
// last, so that clear can be repeated.
func (r *run) clear(ctx context.Context) error {
	errs := []error{lab.Remove(ctx, r.labOptions()), r.removeForwarding(ctx), r.restoreSettings(), r.restoreSoftirq()}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != idFile {
			errs = append(errs, os.RemoveAll(filepath.Join(r.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// removeForwarding removes the networks and namespaces of gateways.
func (r *run) removeForwarding(ctx context.Context) error {
	var errs []error
	for _, p := range allPrograms {
		e, err := r.engine(p)
		if err != nil {
			return err
		}
		ids, err := e.Networks()
		errs = append(errs, err)
		for _, id := range ids {
			errs = append(errs, e.Remove(ctx, id))
		}
		errs = append(errs, e.Close())
	}
	// Their devices have come back by now, and end with the rig's.
	return errors.Join(append(errs, r.removeWires(), r.removeNamespaces())...)
}

// measurement is one thing that is measured. It adds one figure or several.
type measurement struct {
	name string
	run  func(ctx context.Context, r *run) error
}

// measurements are in the order in which they run: the table of entries is
// filled by the first, and used by those after it. Each works alone.
var measurements = []measurement{
	{"api_write", writes},
	{"api_describe", describes},
	{"acs3_describe_over_hmac", describesByACS3},
	{"tencent_describe_rps", tencentDescribes},
	{"audit_overhead_pct", auditOverhead},
	{"monitor_query_ms", monitorQueries},
	{"authz_us", authorize},
	{"apply", applies},
	{"api_p99_under_siege_ms", sieges},
	{"fair_open_share", opensFairly},
	{"restore", restores},
	{"apply_again", appliesAgain},
	{"metric", metrics},
	{"sequences", sequences},
	{"pps", forwarding},
	{"nat_pps", natRates},
	{"nat_pps_tc", natTC},
	{"rt_pps_10_tables_over_1", tableRates},
	{"sg", groupRates},
	{"ri_pps_over_route", interfaceRates},
	{"ri_spec_accuracy", interfaceAccuracy},
	{"topology_100_s", topologyTime},
	{"nat_pps_1m", natMillion},
	{"nat_cps", natNewFlows},
	{"nat_ct_count", natCount},
	{"tcp_bulk", tcpBulk},
	{"latency", latency},
	{"limit_overhead", limitOverhead},
	{"limit_accuracy", limits},
	{"limits_1000_apply_ms", limitsApply},
	{"flowtable", natFlowtable},
	{"havip_failover_s", haVipFailover},
	{"vpn_mesh", vpn(meshUp)},
	{"vpn_tunnel", vpn(againstSwanctl)},
	{"flow_follows", vpn(follows)},
	{"vpn_closed", vpn(failsClosed)},
	{"write_beside_vpn_over_alone", vpn(writesBesideVPN)},
	{"ssl_over_openvpn", ssl(sslAgainstOpenVPN)},
	{"ssl_revoke_ms", ssl(sslRevoked)},
	{"ssl_200_clients_s", ssl(sslMany)},
	{"corrupt_records_believed", corruptRecords},
	{"sdk_parameters_unexplained", unexplained},
	{"tofu_apply_40_s", appliesForty},
	// Each of these has a lab of its own, in place of the one before.
	{"write_100k_over_1k", writesAtScale},
	{"apply_100k_p99_ms", writesAtScale},
	{"restore_100x1k_s", restoresMany},
	{"idle_cpu_pct", idles},
	{"rss_100x1k_mb", idles},
}
