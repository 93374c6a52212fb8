package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ti-mo/conntrack"

	"sluice/api/admin"
)

// What operators are told: metrics, sluicectl, the log, and the kernel's own
// counters.

// withMetrics is configuration by which Prometheus is answered.
const withMetrics = "metrics:\n  listen: 127.0.0.1:0\n"

// sample is a series with its value, as Prometheus reads them.
type sample struct {
	series string // name{label="value",…}
	value  float64
}

// samples are what Prometheus is answered.
type samples []sample

func (g *gateway) metrics(t *testing.T) (all samples) {
	t.Helper()
	c, err := g.admin()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := c.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get("http://" + p.Metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("metrics: %s, %v", answer.Status, err)
	}
	for line := range strings.Lines(string(text)) {
		cut := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || cut < 0 {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[cut:]), 64)
		if err != nil {
			t.Fatalf("metrics: %q: %v", line, err)
		}
		all = append(all, sample{line[:cut], value})
	}
	return all
}

// sum adds up the series of a name that have all labels, given as name="value".
func (s samples) sum(name string, labels ...string) (total float64) {
next:
	for _, m := range s {
		if !strings.HasPrefix(m.series, name+"{") {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(m.series, l) {
				continue next
			}
		}
		total += m.value
	}
	return total
}

func label(name, value string) string { return name + "=" + strconv.Quote(value) }

// shown is a reading of sluicectl top.
type shown struct {
	Gateways []struct {
		Gateway string  `json:"gateway"`
		Refused float64 `json:"refusedSessionsPerSecond"`
		Why     string  `json:"refusedMostBecause"`
	} `json:"gateways"`
	Addresses []struct {
		Address string  `json:"address"`
		Refused float64 `json:"refusedSessionsPerSecond"`
	} `json:"addresses"`
}

// top runs sluicectl top for a NAT gateway, as an operator does, and returns its
// readings.
func (g *gateway) top(ctx context.Context, nat string, count int) (all []shown, err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(g.others.programs, "sluicectl"), "top", nat, "--socket", g.AdminSocket(),
		"--sort", "refused", "--interval", "300ms", "--count", strconv.Itoa(count), "--json")
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		var s shown
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// said returns the lines of the daemon's log with all the words.
func (g *gateway) said(t *testing.T, words ...string) (lines []string) {
	t.Helper()
	log, err := os.ReadFile(g.LogFile())
	if err != nil {
		t.Fatal(err)
	}
next:
	for line := range strings.Lines(string(log)) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// pushedOut returns how many entries of conntrack the kernel has removed from a
// VPC's table for want of room, and how many packets it has dropped for that.
func (n *network) pushedOut(t *testing.T) (early, dropped uint32) {
	t.Helper()
	n.in(t, func() error {
		c, err := conntrack.Dial(nil)
		if err != nil {
			return err
		}
		defer c.Close()
		cpus, err := c.Stats()
		for _, s := range cpus {
			early += s.EarlyDrop
			dropped += s.Drop - s.InsertFailed // those that failed to be inserted had an entry
		}
		return err
	})
	return early, dropped
}

// allRefused is how many sessions were refused, for whatever reason.
func allRefused(a admin.Traffic) (n uint64) {
	for _, r := range a.Refused {
		n += r.Count
	}
	return n
}

// openedAs returns how many sessions of a kind are open, and were opened.
func openedAs(a admin.Traffic, kind string) (open, opened uint64) {
	for _, s := range a.Sessions {
		if s.Kind == kind {
			return s.Open, s.Opened
		}
	}
	return 0, 0
}
