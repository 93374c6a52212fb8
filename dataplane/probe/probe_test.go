package probe

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// configOf are the kernel's build options that a feature stands or falls with.
var configOf = map[string][]string{
	"network namespaces": {"NET_NS"},
	"veth":               {"VETH"},
	"bridge":             {"BRIDGE"},
	"nftables NAT":       {"NF_TABLES", "NFT_NAT", "NF_NAT"},
	"nftables interval sets over several fields": {"NF_TABLES"},
	"connection tracking":                        {"NF_CONNTRACK", "NFT_CT", "NF_CT_NETLINK"},
	"nftables connection timeouts":               {"NFT_CT", "NF_CONNTRACK_TIMEOUT"},
	"policy routing":                             {"IP_MULTIPLE_TABLES"},
	"clsact and BPF classifiers":                 {"NET_SCH_INGRESS", "NET_CLS_BPF", "NET_CLS_ACT"},
	"tcx":                                        {"NET_XGRESS"},
	"kernel type information (BTF)":              {"DEBUG_INFO_BTF"},
	"macvlan":                                    {"MACVLAN"},
	"VLAN":                                       {"VLAN_8021Q"},
	"VXLAN":                                      {"VXLAN"},
	"nftables flowtables":                        {"NF_FLOW_TABLE"},
	"HTB":                                        {"NET_SCH_HTB"},
	"TBF":                                        {"NET_SCH_TBF"},
	"IFB":                                        {"IFB"},
	"TUN":                                        {"TUN"},
	"ESP":                                        {"INET_ESP"},
	"XFRM interfaces":                            {"XFRM_INTERFACE"},
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("probing needs root")
	}
}

// TestAnswersMatchKernelConfig compares what trying has shown with the options
// that the running kernel says it was built with.
func TestAnswersMatchKernelConfig(t *testing.T) {
	requireRoot(t)
	built, err := kernelConfig()
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("this kernel does not tell how it was built")
	}
	if err != nil {
		t.Fatal(err)
	}
	results, err := All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, r := range results {
		options, ok := configOf[r.Name]
		if !ok {
			continue
		}
		compared++
		want, module := Yes, false
		for _, o := range options {
			switch built[o] {
			case "y":
			case "m":
				module = true
			default:
				want = No
			}
		}
		if want == Yes && module && r.Answer == No {
			t.Logf("%s: a module that is not there or cannot be loaded: %s", r.Name, r.Detail)
			continue
		}
		if r.Answer != want {
			t.Errorf("%s: probe says %v (%s), but the kernel was built with %v: %v", r.Name, r.Answer, r.Detail, options, want)
		}
	}
	if compared != len(configOf) {
		t.Errorf("compared %d features of %d; a name in configOf is no feature's", compared, len(configOf))
	}
}

// TestNewKernelHasAll fails where a feature is missing although nothing but
// the version could explain it: those that have no build option of their own.
func TestNewKernelHasAll(t *testing.T) {
	requireRoot(t)
	for _, f := range kernelFeatures() {
		if _, optional := configOf[f.Name]; optional || !atLeast(t, f.Since) {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			if r := f.probe(); r.Answer != Yes {
				t.Errorf("%v: %s", r.Answer, r.Detail)
			}
		})
	}
}

// TestDetailsAreInWords: what a probe has seen is not told in a library's words.
func TestDetailsAreInWords(t *testing.T) {
	results, err := All(t.Context()) // without root, too: then nothing is permitted
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if libraries.MatchString(r.Detail) {
			t.Errorf("%s: %s", r.Name, r.Detail)
		}
		if b, ok := builtBy[r.Name]; ok && r.Answer == No && !strings.Contains(r.Detail, b.option) {
			t.Errorf("%s: %s; want the option %s", r.Name, r.Detail, b.option)
		}
	}
	for name := range builtBy {
		if !slices.ContainsFunc(results, func(r Result) bool { return r.Name == name }) {
			t.Errorf("%s, in builtBy, is no feature", name)
		}
	}
}

var libraries = regexp.MustCompile(`conn\.\w+:|netlink (receive|send)|fork/exec|operation not supported|operation not permitted`)

func TestNothingIsLeft(t *testing.T) {
	requireRoot(t)
	// All of this is looked at from a namespace where nobody else is at work.
	var before, after string
	outside := Feature{Name: "a stage to look from", try: func(s *stage) (string, error) {
		before = traces(t)
		_, err := All(t.Context())
		after = traces(t)
		return "", err
	}}
	if r := outside.probe(); r.Answer != Yes {
		t.Fatal(r.Detail)
	}
	if after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// traces lists the links of the calling thread's namespace and the named
// namespaces that a probe could have made.
func traces(t *testing.T) string {
	t.Helper()
	links, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		t.Error(err)
	}
	var names []string
	for line := range strings.Lines(string(links)) {
		name, _, ok := strings.Cut(line, ":")
		if ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	named, err := filepath.Glob("/run/netns/probe*")
	if err != nil {
		t.Error(err)
	}
	return strings.Join(append(names, named...), " ")
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Answer
	}{
		{nil, Yes},
		{lacking("no such thing"), No},
		{fmt.Errorf("make a vlan link: %w", unix.EOPNOTSUPP), No},
		{fmt.Errorf("add state: %w", unix.EPROTONOSUPPORT), No},
		{fmt.Errorf("add table: %w", unix.EPERM), Unknown},
		{fmt.Errorf("add table: %w", unix.ENOMEM), Unknown},
		{errors.New("anything else"), Unknown},
	} {
		if got := judge(c.err); got != c.want {
			t.Errorf("judge(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestMissing(t *testing.T) {
	for _, c := range []struct {
		need   Need
		answer Answer
		want   bool
	}{
		{Required, No, true}, {Required, Unknown, false}, {Required, Yes, false}, {Optional, No, false}, {VPN, No, false},
	} {
		r := Result{Feature: Feature{Need: c.need}, Answer: c.answer}
		if r.Missing() != c.want {
			t.Errorf("%s, %v: missing is %v", c.need, c.answer, r.Missing())
		}
	}
}

func TestFindProgram(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "charon-of-a-test")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := findProgram("charon-of-a-test", []string{dir}); err != nil || got != path {
		t.Errorf("found %q (%v), want %q", got, err, path)
	}
	if _, err := findProgram("charon-of-no-test", []string{dir}); judge(err) != No {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestEveryFeatureSaysWhatItsLackCosts(t *testing.T) {
	for _, f := range append(kernelFeatures(), machineFeatures()...) {
		if f.Name == "" || f.Costs == "" || f.Need == "" || f.try == nil {
			t.Errorf("incomplete: %+v", f)
		}
	}
}

func kernelConfig() (map[string]string, error) {
	f, err := os.Open("/proc/config.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		if name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "CONFIG_"), "="); ok {
			out[name] = value
		}
	}
	return out, lines.Err()
}

func atLeast(t *testing.T, version string) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	return number(t, unix.ByteSliceToString(u.Release[:])) >= number(t, version)
}

func number(t *testing.T, version string) int {
	t.Helper()
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		t.Fatalf("kernel version %q: %v", version, err)
	}
	return major<<16 | minor
}

// What deploy/sysctl asks for is what doctor takes for enough.
func TestShippedSettingsAreEnough(t *testing.T) {
	text, err := os.ReadFile("../../deploy/sysctl/90-sluice.conf")
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, " = "); ok && name == "net.ipv4.neigh.default.gc_thresh3" {
			if most, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if most < enoughNeighbours {
		t.Errorf("there is room for %d neighbours, doctor asks for %d", most, enoughNeighbours)
	}
}

// The number of neighbours is a setting of the machine, which the namespace that
// things are tried in does not show.
func TestNeighboursAreTheMachines(t *testing.T) {
	want, err := os.ReadFile("/proc/sys/net/ipv4/neigh/default/gc_thresh3")
	if err != nil {
		t.Skip(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Log(err)
			return
		}
		answer, err := tryNeighbours(nil)
		if said := fmt.Sprint(answer, err); !strings.Contains(said, strings.TrimSpace(string(want))) {
			t.Errorf("%s; the setting is %s", said, want)
		}
	}()
	<-done
}
