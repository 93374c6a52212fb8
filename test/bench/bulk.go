package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

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
// bits that arrived in a second. Where there are two processors, the server
// has one for itself.
func (p *peers) iperf(ctx context.Context, seconds int) (_ float64, err error) {
	// It ends after one client, or if none comes.
	server := exec.CommandContext(ctx, "iperf3", "-s", "-1", "--forceflush", "--idle-timeout", "20", "-B", publicGateway.String())
	out, err := server.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := lab.In(p.server, server.Start); err != nil {
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
	args := []string{"-J", "-c", publicGateway.String(), "-t", fmt.Sprint(seconds), "--connect-timeout", "5000"}
	if runtime.NumCPU() > 1 {
		args = append(args, "-A", "1,0")
	}
	client := exec.CommandContext(ctx, "iperf3", args...)
	var answer bytes.Buffer
	client.Stdout = &answer
	if err := lab.In(p.host, client.Start); err != nil {
		return 0, fmt.Errorf("start iperf3: %w", err)
	}
	if err := client.Wait(); err != nil {
		return 0, fmt.Errorf("iperf3: %w: %s", err, strings.TrimSpace(answer.String()))
	}
	return parseIperf(answer.Bytes())
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
