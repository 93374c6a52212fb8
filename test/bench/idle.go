package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
)

// idleWindow is how long a daemon is watched at which nothing happens.
const idleWindow = 5 * time.Minute

// restoresMany measures a cold start with many VPCs.
func restoresMany(ctx context.Context, r *run) error {
	rounds := 3
	if r.quick {
		rounds = 1
	}
	s, err := r.siteOfMany(ctx)
	if err != nil {
		return err
	}
	r.say("starting sluiced %d times with an empty kernel", rounds)
	var restored, ready []float64
	for range rounds {
		a, b, err := restore(ctx, s, smallTable, s.many...)
		if err != nil {
			return err
		}
		restored, ready = append(restored, a.Seconds()), append(ready, b.Seconds())
	}
	return r.report.add("restore_100x1k_s", median(restored), seconds,
		fmt.Sprintf("from the start of the process to %d entries of each of %d VPCs in the kernel, median of %d, worst %.2f; to an answer of the API %.2f s",
			smallTable, manyVPCs, rounds, quantile(restored, 1), median(ready)))
}

// idles measures what a daemon with many VPCs takes while nothing happens.
func idles(ctx context.Context, r *run) error {
	if r.report.has("idle_cpu_pct") { // by the other name of this measurement
		return nil
	}
	s, err := r.siteOfMany(ctx)
	if err != nil {
		return err
	}
	// A new process: what the calls before have left does not count.
	if err := s.lab.RestartDaemon(ctx); err != nil {
		return err
	}
	daemon, alive, err := s.lab.Daemon()
	if err != nil || !alive {
		return errors.Join(err, errors.New("sluiced does not run"))
	}
	settle := min(r.idle, 30*time.Second)
	r.say("leaving sluiced alone for %v, watching it for %v", settle+r.idle, r.idle)
	if err := pause(ctx, settle); err != nil {
		return err
	}
	began := time.Now()
	before, err := processorTime(daemon.PID)
	if err != nil {
		return err
	}
	if err := pause(ctx, r.idle); err != nil {
		return err
	}
	after, err := processorTime(daemon.PID)
	took := time.Since(began)
	if err != nil {
		return err
	}
	if err := r.report.add("idle_cpu_pct", 100*(after-before).Seconds()/took.Seconds(), percent,
		fmt.Sprintf("of one processor, sluiced with %d VPCs of %d entries each, over %.0f s from %.0f s after its start", manyVPCs, smallTable, took.Seconds(), settle.Seconds())); err != nil {
		return err
	}
	size, peak, err := resident(daemon.PID)
	if err != nil {
		return err
	}
	kernel, err := bpfMemory(s.many)
	if err != nil {
		return err
	}
	const mega = 1 << 20
	if err := r.report.add("rss_100x1k_mb", float64(size)/mega, megabytes,
		fmt.Sprintf("resident memory of sluiced after that; %.0f MB at most since its start", float64(peak)/mega)); err != nil {
		return err
	}
	return r.report.add("bpf_100x1k_mb", float64(kernel)/mega, megabytes, "all BPF maps of the VPCs, as the kernel tells")
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// ticks is USER_HZ, in which the kernel tells processor time.
const ticks = 100

// processorTime returns what a process has had of the processors.
func processorTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseProcessorTime(string(text))
}

// parseProcessorTime reads the fields utime and stime, the 14th and 15th of
// /proc/PID/stat; the second is the program's name in brackets, and may hold
// anything.
func parseProcessorTime(stat string) (time.Duration, error) {
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:])
	const user, system = 14 - 3, 15 - 3
	if end < 0 || len(fields) <= system {
		return 0, fmt.Errorf("%q is not a process's stat", stat)
	}
	u, errUser := strconv.ParseInt(fields[user], 10, 64)
	k, errSystem := strconv.ParseInt(fields[system], 10, 64)
	return time.Duration(u+k) * time.Second / ticks, errors.Join(errUser, errSystem)
}

// resident returns how much memory of a process is resident, and the most that
// ever was, in bytes.
func resident(pid int) (now, peak uint64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		var kilobytes uint64
		switch name {
		case "VmRSS", "VmHWM":
			if _, err := fmt.Sscanf(value, "%d kB", &kilobytes); err != nil {
				return 0, 0, fmt.Errorf("%s of process %d is %q: %w", name, pid, strings.TrimSpace(value), err)
			}
		}
		switch name {
		case "VmRSS":
			now = kilobytes << 10
		case "VmHWM":
			peak = kilobytes << 10
		}
	}
	return now, peak, nil
}

// bpfMemory returns how much memory all BPF maps of networks take, in bytes.
func bpfMemory(vpcs []*natVPC) (bytes uint64, err error) {
	for _, v := range vpcs {
		n, err := networkMemory(v.vpc)
		if errors.Is(err, errNoSessions) {
			continue
		}
		if err != nil {
			return 0, err
		}
		bytes += n
	}
	return bytes, nil
}

// networkMemory returns how much memory the BPF maps of a network take, in bytes.
func networkMemory(network string) (bytes uint64, err error) {
	dir := filepath.Join(pins, network)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return 0, errNoSessions
	}
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		m, err := ebpf.LoadPinnedMap(filepath.Join(dir, e.Name()), &ebpf.LoadPinOptions{ReadOnly: true})
		if err != nil {
			continue // not a map
		}
		n, err := mapMemory(m)
		if err := errors.Join(err, m.Close()); err != nil {
			return 0, err
		}
		bytes += n
	}
	if bytes == 0 {
		return 0, errNoSessions
	}
	return bytes, nil
}
