package metrics

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// scraped returns the series of a scrape with everything in it, and the labels
// of each.
func scraped(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for line := range strings.Lines(serve(t, config(busy()))()) {
		m := regexp.MustCompile(`^([a-z0-9_]+)(?:\{(.*)\})? `).FindStringSubmatch(line)
		if m == nil {
			continue // a comment
		}
		all[m[1]] = nil
		for _, l := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(m[2], -1) {
			all[m[1]] = append(all[m[1]], l[1])
		}
	}
	return all
}

var ours = regexp.MustCompile(`sluice_[a-z0-9_]+`)

// checkNames holds the names in an expression against those of a scrape.
func checkNames(t *testing.T, all map[string][]string, where, expr string) (names []string) {
	t.Helper()
	names = ours.FindAllString(expr, -1)
	for _, n := range names {
		if _, ok := all[n]; !ok {
			t.Errorf("%s: there is no series %s", where, n)
		}
	}
	return names
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestRules: the alerting rules are read by the scrape configuration, use
// series that there are, and name labels that those have.
func TestRules(t *testing.T) {
	const folder = "../../deploy/prometheus/"
	var scrape struct {
		RuleFiles []string `yaml:"rule_files"`
	}
	if err := yaml.Unmarshal(read(t, folder+"prometheus.yml"), &scrape); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(scrape.RuleFiles, []string{"rules.yml"}) {
		t.Errorf("rule files: %v", scrape.RuleFiles)
	}
	var rules struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.UnmarshalWithOptions(read(t, folder+"rules.yml"), &rules, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	all := scraped(t)
	n := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			n++
			names := checkNames(t, all, r.Alert, r.Expr)
			if len(names) == 0 && !strings.Contains(r.Expr, `up{job="sluiced"}`) {
				t.Errorf("%s watches nothing: %s", r.Alert, r.Expr)
			}
			labels := []string{"instance"}
			for _, name := range names {
				labels = append(labels, all[name]...)
			}
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: severity, summary or description is missing", r.Alert)
			}
			for _, text := range r.Annotations {
				for _, l := range regexp.MustCompile(`\$labels\.([a-z_]+)`).FindAllStringSubmatch(text, -1) {
					if !slices.Contains(labels, l[1]) {
						t.Errorf("%s: its series have no label %s", r.Alert, l[1])
					}
				}
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d rules were found", n)
	}
}

// TestDashboards: they are JSON as Grafana imports it, and show series that
// there are.
func TestDashboards(t *testing.T) {
	files, err := filepath.Glob("../../deploy/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	all := scraped(t)
	for _, f := range files {
		var d struct {
			Title, UID string
			Templating struct {
				List []struct{ Name, Definition string }
			}
			Panels []struct {
				ID      int
				Title   string
				Targets []struct{ Expr, LegendFormat string }
			}
		}
		if err := json.Unmarshal(read(t, f), &d); err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		if d.Title == "" || d.UID == "" || len(d.Panels) == 0 {
			t.Errorf("%s has no title, uid or panels", f)
		}
		variables := []string{"datasource", "__rate_interval"}
		for _, v := range d.Templating.List {
			variables = append(variables, v.Name)
			checkNames(t, all, f+": "+v.Name, v.Definition)
		}
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: %s: its id is taken", f, p.Title)
			}
			ids[p.ID] = true
			for _, target := range p.Targets {
				where := f + ": " + p.Title
				names := checkNames(t, all, where, target.Expr)
				if len(names) == 0 {
					t.Errorf("%s shows nothing: %s", where, target.Expr)
				}
				for _, v := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(target.Expr, -1) {
					if !slices.Contains(variables, v[1]) {
						t.Errorf("%s: there is no variable %s", where, v[1])
					}
				}
				for _, l := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
					if !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(all[n], l[1]) }) {
						t.Errorf("%s: its series have no label %s", where, l[1])
					}
				}
			}
		}
	}
}

// TestEverySeriesIsDocumented, and nothing else is.
func TestEverySeriesIsDocumented(t *testing.T) {
	text := string(read(t, "../../docs/metrics.md"))
	all := scraped(t)
	for name, labels := range all {
		if !strings.HasPrefix(name, "sluice_") {
			continue
		}
		for _, word := range append(labels, name) {
			if !strings.Contains(text, "`"+word+"`") {
				t.Errorf("%s of %s is not in docs/metrics.md", word, name)
			}
		}
	}
	checkNames(t, all, "docs/metrics.md", text)
}
