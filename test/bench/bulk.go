package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice/test/lab"
)

// tcpBulk measures how much a host sends to a server over one TCP connection,
// through the shortcut and through plain nftables, where the VSwitch is a
// bridge. Segments are as large as the links' offloads make them, if the
// gateway lets them be.
func tcpBulk(ctx context.Context, r *run) error {
	if !r.installed("iperf3") {
		return nil
	}
	rounds, seconds := 5, 1
	if r.quick {
		rounds = 1
	}
	r.say("TCP bulk transfer, %d rounds", rounds)
	contenders := bridged()
	return r.withRig(ctx, func(t *rig) (err error) {
		closePeers, all, err := t.newPeersOf(ctx, contenders)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closePeers()) }()
		var slots []slot
		for _, p := range all {
			slots = append(slots, func() (float64, error) { return p.iperf(ctx, seconds) })
		}
		values, err := alternate(ctx, rounds, slots...)
		if err != nil {
			return err
		}
		return errors.Join(
			r.report.addRatio("tcp_bulk_over_nft", values[0], values[1], "one TCP connection of iperf3; the VSwitch is a bridge"),
			r.report.add("tcp_bulk_nft", median(values[0]), bitRate, contenders[0].what),
			r.report.add("tcp_bulk", median(values[1]), bitRate, contenders[1].what),
		)
	})
}

// iperf has the host send to the server for so many seconds, and returns the
// bits that arrived in a second. Both ends and the gateway share a processor:
// what is measured is how much of it a byte takes.
func (p *peers) iperf(ctx context.Context, seconds int) (float64, error) {
	return iperf(ctx, p.host, p.server, publicGateway, seconds, startBound)
}

// iperf has a client in one namespace send to a server in another, and returns
// the bits that arrived in a second.
func iperf(ctx context.Context, from, to string, at netip.Addr, seconds int, start func(namespace string, c *exec.Cmd) error) (float64, error) {
	return iperfWith(ctx, from, to, at, seconds, start, "-t", fmt.Sprint(seconds))
}

// iperfWith does so with arguments for the client, which takes so many seconds.
func iperfWith(ctx context.Context, from, to string, at netip.Addr, seconds int, start func(namespace string, c *exec.Cmd) error, args ...string) (_ float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds+20)*time.Second)
	defer cancel()
	// It ends after one client, or if none comes.
	server := exec.CommandContext(ctx, "iperf3", "-s", "-1", "--forceflush", "--idle-timeout", "20", "-B", at.String())
	out, err := server.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := start(to, server); err != nil {
		return 0, fmt.Errorf("start iperf3's server: %w", err)
	}
	defer func() {
		if err != nil {
			_ = server.Process.Kill()
		}
		_ = server.Wait()
	}()
	lines := bufio.NewScanner(out)
	for listening := false; !listening; {
		if !lines.Scan() {
			return 0, errors.New("iperf3's server ended before it listened")
		}
		listening = strings.Contains(lines.Text(), "listening")
	}
	go func() {
		for lines.Scan() { // it must not wait for a reader
		}
	}()
	client := exec.CommandContext(ctx, "iperf3", append([]string{"-J", "-c", at.String(), "--connect-timeout", "5000"}, args...)...)
	var answer bytes.Buffer
	client.Stdout = &answer
	if err := start(from, client); err != nil {
		return 0, fmt.Errorf("start iperf3: %w", err)
	}
	if err := client.Wait(); err != nil {
		return 0, fmt.Errorf("iperf3: %w: %s", err, strings.TrimSpace(answer.String()))
	}
	return parseIperf(answer.Bytes())
}

// startBound starts a program in a namespace, bound to a processor and before
// most of the ordinary work there. It does not get the whole of it, as the
// thread of pin does: iperf3 asks without a pause whether it may send, and
// would never let its own server run.
func startBound(namespace string, c *exec.Cmd) error {
	err := lab.In(namespace, func() error {
		release, err := bind()
		if err != nil {
			return err
		}
		return errors.Join(c.Start(), release())
	})
	if err != nil {
		return err
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, c.Process.Pid, -15); err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("put it before others: %w", err)
	}
	return nil
}

// parseIperf reads the rate at which the server received.
func parseIperf(answer []byte) (float64, error) {
	var a struct {
		Error string `json:"error"`
		End   struct {
			Received struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return 0, fmt.Errorf("iperf3's answer: %w", err)
	}
	if a.Error != "" {
		return 0, fmt.Errorf("iperf3: %s", a.Error)
	}
	if a.End.Received.BitsPerSecond <= 0 {
		return 0, errors.New("iperf3 tells of nothing that arrived")
	}
	return a.End.Received.BitsPerSecond, nil
}
