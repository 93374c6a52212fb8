package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReportFile(t *testing.T) {
	r := newReport()
	for _, f := range []struct {
		name  string
		value float64
		unit  string
	}{
		{"api_describe_rps", 6123.456, perSecond},
		{"apply_p99_ms", 25.00049, millis},
		{"pps_10k_over_1", 0.98765, ratio},
		{"api_write_over_fsync", 1.5, ratio},
		{"count_overhead_pct", 3.25, percent},
		{"session_bytes", 250, octets},
		{"tcp_bulk", 5e9, bitRate},
		{"latency_p50_us", 20, micros},
		{"latency_p50_over_nft", 0.9, ratio},
	} {
		if err := r.add(f.name, f.value, f.unit, ""); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "build", "bench.json")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]struct {
		Value  *float64 `json:"value"`
		Unit   *string  `json:"unit"`
		Higher *bool    `json:"higher_is_better"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]figure{
		"api_describe_rps":     {Value: 6123, Unit: "1/s", HigherIsBetter: true},
		"apply_p99_ms":         {Value: 25, Unit: "ms"},
		"pps_10k_over_1":       {Value: 0.9877, Unit: "ratio", HigherIsBetter: true},
		"api_write_over_fsync": {Value: 1.5, Unit: "ratio"},
		"count_overhead_pct":   {Value: 3.25, Unit: "%"},
		"session_bytes":        {Value: 250, Unit: "bytes"},
		"tcp_bulk":             {Value: 5e9, Unit: "bit/s", HigherIsBetter: true},
		"latency_p50_us":       {Value: 20, Unit: "us"},
		"latency_p50_over_nft": {Value: 0.9, Unit: "ratio"},
	} {
		g := got[name]
		if g.Value == nil || g.Unit == nil || g.Higher == nil {
			t.Errorf("%s lacks a field: %s", name, text)
			continue
		}
		if *g.Value != want.Value || *g.Unit != want.Unit || *g.Higher != want.HigherIsBetter {
			t.Errorf("%s = %v %s %v, want %+v", name, *g.Value, *g.Unit, *g.Higher, want)
		}
	}
}

func TestReportRefusesNoValue(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1)} {
		if err := newReport().add("x", v, ratio, ""); err == nil {
			t.Errorf("%v was taken as a figure", v)
		}
	}
}

func TestReportTable(t *testing.T) {
	r := newReport()
	for name, v := range map[string]float64{"fsync_p99_ms": 15, "api_write_p99_ms": 28, "apply_p99_ms": 21} {
		if err := r.add(name, v, millis, ""); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"api_write_p99_ms": " yes", "apply_p99_ms": " no"} {
		for line := range strings.Lines(out.String()) {
			if strings.HasPrefix(line, name) && !strings.Contains(line, want) {
				t.Errorf("line %q lacks %q", line, want)
			}
		}
	}
}
