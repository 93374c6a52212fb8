package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

const rulesFolder = "../../deploy/prometheus/"

// TestPromtool has Prometheus' own tool check the rules and the configuration, and make
// the tests of rules.
func TestPromtool(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("needs promtool, of Debian's package prometheus")
	}
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"test", "rules", "rules_test.yml"}} {
		c := exec.Command("promtool", args...)
		c.Dir = rulesFolder
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestEveryRuleOfImportanceIsTested: what has to raise an alarm has a test that it does.
func TestEveryRuleOfImportanceIsTested(t *testing.T) {
	text := string(read(t, rulesFolder+"rules_test.yml"))
	for _, name := range []string{"SluiceBandwidthReached", "SluicePortsNearlyExhausted", "SluiceVPNTunnelDown", "SluiceNetworkFailed", "SluiceNetworkPending", "SluiceDown", "SluiceAuditLogNotWritten", "SluiceCallsFail"} {
		if !strings.Contains(text, name) {
			t.Errorf("%s has no test", name)
		}
	}
}

// TestPrometheus has a real Prometheus scrape the metrics, evaluate the rules, and answer
// each query of the dashboards: all have an answer, and none is empty.
func TestPrometheus(t *testing.T) {
	p := startPrometheus(t)
	n := 0
	for where, expr := range dashboardQueries(t) {
		n++
		var answer struct {
			Result []json.RawMessage
		}
		// A rate needs two scrapes.
		p.await(t, where, func() error {
			if err := p.get("/api/v1/query?query="+url.QueryEscape(expr), &answer); err != nil {
				return err
			}
			if len(answer.Result) == 0 {
				return fmt.Errorf("%s: nothing", expr)
			}
			return nil
		})
	}
	if n < 20 {
		t.Errorf("only %d queries", n)
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	seen := 0
	p.await(t, "the rules", func() error {
		if err := p.get("/api/v1/rules", &rules); err != nil {
			return err
		}
		seen = 0
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if seen++; r.Health != "ok" {
					return fmt.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
				}
			}
		}
		return nil
	})
	var file struct {
		Groups []struct{ Rules []map[string]any }
	}
	if err := yaml.Unmarshal(read(t, rulesFolder+"rules.yml"), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 1 || seen != len(file.Groups[0].Rules) {
		t.Errorf("%d rules are evaluated", seen)
	}
}

// dashboardQueries returns the queries of the dashboards by where they stand, with values
// in the place of variables.
func dashboardQueries(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../deploy/dashboards/*.json")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		var d struct {
			Panels []struct {
				Title   string
				Targets []struct{ RefID, Expr string }
			}
		}
		if err := json.Unmarshal(read(t, f), &d); err != nil {
			t.Fatal(err)
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				all[p.Title+" "+target.RefID] = strings.NewReplacer("$__rate_interval", "1m", "$gateway", ".*", "$vpc", ".*").Replace(target.Expr)
			}
		}
	}
	return all
}

// promServer is a Prometheus that runs.
type promServer string // its address

func startPrometheus(t *testing.T) promServer {
	t.Helper()
	if _, err := exec.LookPath("prometheus"); err != nil {
		t.Skip("needs Debian's package prometheus")
	}
	site := httptest.NewServer(NewHandler(config(busy())))
	t.Cleanup(site.Close)
	rules, err := filepath.Abs(rulesFolder + "rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\nrule_files: [%s]\nscrape_configs: [{job_name: sluiced, static_configs: [{targets: [%q]}]}]\n",
		rules, strings.TrimPrefix(site.URL, "http://"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	c := exec.Command("prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	c.Stderr, c.Stdout = &log, &log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	p := promServer(address)
	p.await(t, "Prometheus", func() error {
		var targets struct {
			ActiveTargets []struct{ Health, LastError string }
		}
		if err := p.get("/api/v1/targets", &targets); err != nil {
			return err
		}
		for _, x := range targets.ActiveTargets {
			if x.Health != "up" {
				return fmt.Errorf("the target is %s: %s", x.Health, x.LastError)
			}
		}
		return nil
	})
	return p
}

// get asks for something, and fails where the answer is an error.
func (p promServer) get(path string, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(p)+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: into}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return nil
}

// await tries something until it is as it should be.
func (p promServer) await(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
