package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// figure is one result.
type figure struct {
	Value          float64 `json:"value"`
	Unit           string  `json:"unit"`
	HigherIsBetter bool    `json:"higher_is_better"`
	Notes          string  `json:"notes,omitempty"`
}

// The units of figures.
const (
	perSecond = "1/s"
	packets   = "pps"
	millis    = "ms"
	seconds   = "s"
	ratio     = "ratio"
	percent   = "%"
	octets    = "bytes"
	bitRate   = "bit/s"
	micros    = "us"
	count     = "count"
	megabytes = "MB"
)

// report collects the figures of a run.
type report struct {
	figures map[string]figure
	order   []string // in which they came
}

func newReport() *report { return &report{figures: map[string]figure{}} }

// add takes a figure. Of a rate more is better, and of a ratio that is not a
// cost; of anything else less.
func (r *report) add(name string, value float64, unit, notes string) error {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return fmt.Errorf("%s: no value came of the measurement", name)
	}
	if _, ok := r.figures[name]; !ok {
		r.order = append(r.order, name)
	}
	higher := unit == perSecond || unit == packets || unit == bitRate || (unit == ratio && !isCost[name])
	r.figures[name] = figure{Value: round(value), Unit: unit, HigherIsBetter: higher, Notes: notes}
	return nil
}

// has says whether there is a figure of that name.
func (r *report) has(name string) bool { _, ok := r.figures[name]; return ok }

// isCost names the ratios of which less is better.
var isCost = map[string]bool{
	"api_write_over_fsync":        true,
	"latency_p50_over_nft":        true,
	"latency_p50_xdp_over_nft":    true,
	"ssl_up_over_openvpn":         true,
	"tunnel_up_over_swanctl":      true,
	"write_100k_over_1k":          true,
	"write_beside_vpn_over_alone": true,
}

// round leaves four significant digits: there is no more in any measurement.
func round(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// write replaces the file by the figures as JSON.
func (r *report) write(path string) error {
	text, err := json.MarshalIndent(r.figures, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}

// goal is what a figure should reach.
type goal struct {
	text string
	met  func(r *report) bool
}

func atLeast(name string, v float64) func(*report) bool {
	return func(r *report) bool { return r.figures[name].Value >= v }
}

func atMost(name string, v float64) func(*report) bool {
	return func(r *report) bool { return r.figures[name].Value <= v }
}

// goals are by name of figure; the other figures only explain.
var goals = map[string]goal{
	"api_describe_rps": {"≥ 5000 /s", atLeast("api_describe_rps", 5000)},
	"api_write_p99_ms": {"≤ 20 ms, or ≤ 2 × fsync_p99_ms", func(r *report) bool {
		return r.figures["api_write_p99_ms"].Value <= max(20, 2*r.figures["fsync_p99_ms"].Value)
	}},
	"sg_pps_1k_rules_over_none": {"≥ 0.95", atLeast("sg_pps_1k_rules_over_none", 0.95)},
	"sg_cps_1k_rules_over_none": {"≥ 0.85", atLeast("sg_cps_1k_rules_over_none", 0.85)},
	"tencent_describe_rps":      {"≥ 5000 /s", atLeast("tencent_describe_rps", 5000)},
	"acs3_describe_over_hmac":   {"≥ 0.9", atLeast("acs3_describe_over_hmac", 0.9)},
	"apply_p99_ms":              {"≤ 20 ms", atMost("apply_p99_ms", 20)},
	"restore_10k_s":             {"≤ 3 s", atMost("restore_10k_s", 3)},
	"api_p99_under_siege_ms":    {"≤ 50 ms", atMost("api_p99_under_siege_ms", 50)},
	"ecs_metric_10k_ms":         {"≤ 50 ms", atMost("ecs_metric_10k_ms", 50)},
	"monitor_query_ms":          {"≤ 50 ms", atMost("monitor_query_ms", 50)},
	"authz_us":                  {"≤ 50 µs", atMost("authz_us", 50)},
	"audit_overhead_pct":        {"≤ 3 %", atMost("audit_overhead_pct", 3)},
	"pps_10k_over_1":            {"≥ 0.95", atLeast("pps_10k_over_1", 0.95)},

	"write_100k_over_1k":          {"≤ 1.3", atMost("write_100k_over_1k", 1.3)},
	"apply_100k_p99_ms":           {"≤ 10 ms", atMost("apply_100k_p99_ms", 10)},
	"write_beside_vpn_over_alone": {"≤ 2", atMost("write_beside_vpn_over_alone", 2)},
	"idle_cpu_pct":                {"≤ 2 %", atMost("idle_cpu_pct", 2)},
	"restore_100x1k_s":            {"≤ 10 s", atMost("restore_100x1k_s", 10)},
	"rss_100x1k_mb":               {"≤ 400 MB", atMost("rss_100x1k_mb", 400)},

	"fair_open_share":          {"≥ 0.95", atLeast("fair_open_share", 0.95)},
	"corrupt_records_believed": {"0", atMost("corrupt_records_believed", 0)},

	"sdk_parameters_unexplained": {"0", atMost("sdk_parameters_unexplained", 0)},
	"tofu_apply_40_s":            {"≤ 5 s", atMost("tofu_apply_40_s", 5)},

	"shortcut_conntrack_differences": {"0", atMost("shortcut_conntrack_differences", 0)},

	"nat_pps_xdp_over_nft":      {"≥ 3.0", atLeast("nat_pps_xdp_over_nft", 3)},
	"nat_pps_xdp_over_nft_50k":  {"≥ 3.0", atLeast("nat_pps_xdp_over_nft_50k", 3)},
	"nat_pps_xdp_over_redirect": {"≥ 0.85", atLeast("nat_pps_xdp_over_redirect", 0.85)},
	"nat_pps_xdp_1m_over_1k":    {"≥ 0.65", atLeast("nat_pps_xdp_1m_over_1k", 0.65)},
	"nat_pps_tc_over_nft":       {"≥ 1.5", atLeast("nat_pps_tc_over_nft", 1.5)},
	"count_overhead_pct":        {"≤ 5 %", atMost("count_overhead_pct", 5)},
	"cps_limits_over_none":      {"≥ 0.9", atLeast("cps_limits_over_none", 0.9)},
	"cps_over_ct_count_20k":     {"≥ 50", atLeast("cps_over_ct_count_20k", 50)},
	"session_bytes":             {"≤ 300", atMost("session_bytes", 300)},
	"tcp_bulk_over_nft":         {"≥ 1.0", atLeast("tcp_bulk_over_nft", 1)},
	"latency_p50_over_nft":      {"≤ 0.95", atMost("latency_p50_over_nft", 0.95)},

	"rt_pps_10_tables_over_1":    {"≥ 0.97", atLeast("rt_pps_10_tables_over_1", 0.97)},
	"ri_pps_over_route":          {"≥ 1.5", atLeast("ri_pps_over_route", 1.5)},
	"ri_spec_accuracy_pct_worst": {"≤ 8 %", atMost("ri_spec_accuracy_pct_worst", 8)},
	"topology_100_s":             {"≤ 30 s", atMost("topology_100_s", 30)},
	"limit_accuracy_pct_worst":   {"≤ 8 %", atMost("limit_accuracy_pct_worst", 8)},
	"limit_udp_pct_worst":        {"≤ 3 %", atMost("limit_udp_pct_worst", 3)},
	"limit_rtt_ms_worst":         {"≤ 110 ms", atMost("limit_rtt_ms_worst", 110)},
	"limit_overhead_pct":         {"≤ 5 %", atMost("limit_overhead_pct", 5)},
	"limits_1000_apply_ms":       {"≤ 20 ms", atMost("limits_1000_apply_ms", 20)},

	"tunnels_100_up_s":       {"≤ 30 s", atMost("tunnels_100_up_s", 30)},
	"vpn_status_lag_ms":      {"≤ 200 ms", atMost("vpn_status_lag_ms", 200)},
	"flow_follows_route_ms":  {"≤ 1000 ms", atMost("flow_follows_route_ms", 1000)},
	"tunnel_up_over_swanctl": {"≤ 1.25", atMost("tunnel_up_over_swanctl", 1.25)},
	"ipsec_tcp_over_swanctl": {"≥ 0.98", atLeast("ipsec_tcp_over_swanctl", 0.98)},
	"vpn_leaked_packets":     {"0", atMost("vpn_leaked_packets", 0)},
	"havip_failover_s":       {"≤ 2 s", atMost("havip_failover_s", 2)},
	"vpn_charon_kill_gap_ms": {"≤ 3000 ms", atMost("vpn_charon_kill_gap_ms", 3000)},

	"ssl_tcp_over_openvpn": {"≥ 0.98", atLeast("ssl_tcp_over_openvpn", 0.98)},
	"ssl_up_over_openvpn":  {"≤ 1.1", atMost("ssl_up_over_openvpn", 1.1)},
	"ssl_revoke_ms":        {"≤ 1000 ms", atMost("ssl_revoke_ms", 1000)},
	"ssl_200_clients_s":    {"≤ 60 s", atMost("ssl_200_clients_s", 60)},

	"apply_again_changes": {"0", atMost("apply_again_changes", 0)},
}

// print writes the figures as a table, with the goals beside them.
func (r *report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FIGURE\tVALUE\tUNIT\tGOAL\tMET\tNOTES")
	for _, name := range r.order {
		f := r.figures[name]
		g, met := goals[name], ""
		if g.met != nil {
			if met = "no"; g.met(r) {
				met = "yes"
			}
		}
		fmt.Fprintf(t, "%s\t%v\t%s\t%s\t%s\t%s\n", name, f.Value, f.Unit, g.text, met, f.Notes)
	}
	return t.Flush()
}
