package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"sluice/api/admin"
	"sluice/dataplane/ipsec"
	"sluice/dataplane/probe"
)

// TestEveryCommandHasHelp walks all commands.
func TestEveryCommandHasHelp(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || c.Args == nil && c.Name() != "call" {
			t.Errorf("%s has no description, or does not say what arguments it takes", c.CommandPath())
		}
		out, err := run(t, append(strings.Fields(c.CommandPath())[1:], "--help")...)
		if err != nil || !strings.Contains(out, "Usage:") {
			t.Errorf("%s --help: %v\n%s", c.CommandPath(), err, out)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}

func TestUsageMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"statu":            "did you mean status?",
		"lab dwon":         "did you mean down?",
		"lab host add":     "accepts 1 arg(s)",
		"lab host add web": `required flag(s) "vswitch" not set`,
		"lab up --nmae x":  "unknown flag: --nmae",
		"lab host add web --vswitch vsw-1 --ip ten":      "is no IPv4 address",
		"describe CreateVpk":                             "did you mean CreateVpc?",
		"describe --family x CreateVpc":                  "aliyun, tencent3, tencent2",
		"instance set-state i-1":                         "accepts 2 arg(s)",
		"accesskey delete":                               "accepts 1 arg(s)",
		"instance set-mac i-1":                           "or --unknown",
		"instance set-mac i-1 x --unknown":               "and not both",
		"instance set-limits i-1":                        "at least one of the flags",
		"instance set-limits i-1 --sessions x":           "invalid argument",
		"instance set-limits i-1 --sessions 1 --default": "none of the others can be",
		"backup restore":                                 "accepts 1 arg(s)",
		"version now":                                    "unknown command",
		"top --sort bytes":                               "write address, in, new, out, packets, refused, sessions, traffic",
		"top --interval 1ms":                             "from 100ms to 1h",
		"top --interval 5":                               "missing unit",
		"top --count -1":                                 "0 for no end",
		"top --limit -1":                                 "0 for all",
		"top ngw-a ngw-b":                                "accepts at most 1 arg(s)",
	} {
		_, err := run(t, strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line with %q", args, err, want)
			continue
		}
		if code := report(err); code != exitUsage {
			t.Errorf("%s: exit code %d, want %d", args, code, exitUsage)
		}
	}
}

func TestFailures(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for _, args := range [][]string{
		{"status", "--socket", none},
		{"top", "--socket", none},
		{"accesskey", "list", "--socket", none},
		{"backup", "list", "--data-dir", none},
		{"backup", "restore", none, "--data-dir", none},
		{"lab", "status", "--dir", none},
		{"lab", "exec", "--dir", none, "web", "--", "true"},
		{"lab", "get", "--timeout", "1s", "http://127.0.0.1:1/"},
	} {
		_, err := run(t, args...)
		if err == nil || report(err) != exitFailed {
			t.Errorf("%v: %v", args, err)
		}
	}
	if _, err := run(t, "lab", "down", "--dir", none); err != nil {
		t.Errorf("lab down without a lab: %v", err)
	}
}

func TestDescribeAndActions(t *testing.T) {
	out, err := run(t, "describe", "createforwardentry")
	if err != nil || !strings.Contains(out, "ExternalPort") {
		t.Errorf("describe: %v\n%s", err, out)
	}
	out, err = run(t, "actions", "--family", "aliyun", "--supported")
	if err != nil || !strings.Contains(out, "CreateNatGateway") || strings.Contains(out, "not yet") || strings.Contains(out, "tencent") {
		t.Errorf("actions: %v\n%s", err, out)
	}
	if out, err = run(t, "actions"); err != nil || !strings.Contains(out, "tencent2") || !strings.Contains(out, "not yet") {
		t.Errorf("actions: %v\n%s", err, out)
	}
}

func TestCompletion(t *testing.T) {
	for _, c := range []struct{ args, want, not string }{
		{"call Create", "CreateVpc\t", "--"},
		{"call CreateNatGateway --", "--VpcId\t", "CreateVpc\t"},
		{"call CreateNatGateway --VpcId vpc-1 --", "--Spec\t", "--VpcId\t"},
		{"call --region r CreateNatGateway --", "--Spec\t", "--region\t"},
		{"call CreateNatGateway --Spec ", "Middle\n", "--"},
		{"call CreateRouteEntry --Next", "--NextHopList.1.NextHopId\t", ".N."},
		{"describe ", "CreateVpc\t", ""},
		{"actions --family ", "tencent3\n", ""},
		{"instance add --kind ", "SlbInstance\n", ""},
		{"havip any-host havip-1 ", "off\n", ""},
		{"instance set-state i-1 ", "Stopped\n", ""},
		{"top --sort ", "sessions\n", ""},
	} {
		args := strings.Split(c.args, " ")
		out, err := run(t, append([]string{"__complete"}, args...)...)
		if err != nil || !strings.Contains(out, c.want) || c.not != "" && strings.Contains(out, c.not) {
			t.Errorf("%s: %v; want %q and not %q\n%s", c.args, err, c.want, c.not, out)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'"} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestStatusTellsWhatFailed(t *testing.T) {
	info := admin.Info{Version: "v", Ready: true, Listen: "127.0.0.1:1", Absent: []string{"192.0.2.77:8681"}}
	well := admin.Network{ID: "vpc-a", CIDR: "10.0.0.0/16", Wanted: 7, Applied: 7}
	behind := admin.Network{ID: "vpc-b", Wanted: 8, Applied: 7}
	failed := admin.Network{ID: "vpc-c", Wanted: 9, Applied: 7, Error: "no bridge public0"}
	var out strings.Builder
	if err := printStatus(&out, info, []admin.Network{well, behind}); err != nil {
		t.Error(err)
	}
	if s := out.String(); !strings.Contains(s, "in step") || !strings.Contains(s, "following") || !strings.Contains(s, "192.0.2.77:8681 is no address of this machine now") {
		t.Errorf("printed:\n%s", s)
	}
	if err := printStatus(&out, info, []admin.Network{well, failed}); err == nil || !strings.Contains(out.String(), "no bridge public0") {
		t.Errorf("%v, printed:\n%s", err, out.String())
	}
	info.Ready = false
	if err := printStatus(&out, info, nil); err == nil {
		t.Error("a daemon that is starting counts as ready")
	}
}

func TestDiagnose(t *testing.T) {
	result := func(name string, need probe.Need, answer probe.Answer) probe.Result {
		return probe.Result{Feature: probe.Feature{Name: name, Need: need, Costs: "its costs"}, Answer: answer, Detail: "its detail"}
	}
	for _, c := range []struct {
		result probe.Result
		want   string
		fails  bool
	}{
		{result("veth", probe.Required, probe.Yes), "This machine can be a gateway.", false},
		{result("veth", probe.Required, probe.No), "its costs (its detail)", true},
		{result("veth", probe.Required, probe.Unknown), "Could not tell", false},
		{result("VLAN", probe.Optional, probe.No), "This machine can be a gateway.", false},
		{result("ESP", probe.VPN, probe.No), "for VPN gateways only", false},
	} {
		var out strings.Builder
		err := diagnose(&out, []probe.Result{c.result})
		if (err != nil) != c.fails || !strings.Contains(out.String(), c.want) {
			t.Errorf("%+v: %v, printed:\n%s", c.result, err, out.String())
		}
	}
}

func TestAttached(t *testing.T) {
	for _, c := range []struct {
		networks []attached
		want     string
	}{
		{nil, "no VPC"},
		{[]attached{{"vpc-a", nil}}, "vpc-a  -     none         it has no public side"},
		{[]attached{{"vpc-a", []admin.LinkPrograms{{Link: "public", By: "xdp"}, {Link: "vsw-b", By: "tcx", Why: "the reason"}}}}, "vpc-a  public  xdp          \nvpc-a  vsw-b   tcx          the reason"},
	} {
		var out strings.Builder
		if err := printAttached(&out, c.networks); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v, printed:\n%s", err, out.String())
		}
	}
	var out strings.Builder
	if err := tellAttached(t.Context(), &out, &adminFlags{filepath.Join(t.TempDir(), "none")}); err != nil || !strings.Contains(out.String(), "only a running daemon tells") {
		t.Errorf("without a daemon: %v, printed:\n%s", err, out.String())
	}
}

func TestReport(t *testing.T) {
	if report(nil) != 0 || report(os.ErrNotExist) != exitFailed || report(usagef("x: %w", os.ErrNotExist)) != exitUsage {
		t.Error("exit codes are wrong")
	}
}

func TestStrongswan(t *testing.T) {
	for _, c := range []struct {
		there ipsec.Strongswan
		err   error
		want  string
	}{
		{ipsec.Strongswan{Program: "/sbin/charon", Version: "5.9.8", Plugins: []string{"vici", "openssl"}}, nil,
			"strongSwan 5.9.8 (/sbin/charon) has all versions of IKE and algorithms that connections may ask for.\nIts plugins: vici openssl\n"},
		{ipsec.Strongswan{Program: "/sbin/charon", Version: "6.1.0", Lacks: []string{"IKEv1", "encryption des"}}, nil,
			"strongSwan 6.1.0 (/sbin/charon) has not IKEv1, encryption des: connections that ask for that are refused.\nIts plugins: \n"},
		{ipsec.Strongswan{}, errors.New("it ended"), "What strongSwan can do could not be asked: it ended\n"},
	} {
		var out strings.Builder
		if err := strongswan(&out, c.there, c.err); err != nil || out.String() != c.want {
			t.Errorf("%q, %v, want %q", out.String(), err, c.want)
		}
	}
}
