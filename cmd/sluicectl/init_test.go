package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"sluice/config"
	"sluice/config/initial"
	"sluice/controlplane/local"
)

var machine = initial.Machine{Devices: []initial.Device{
	{Name: "eth0", Address: netip.MustParsePrefix("198.51.100.7/24"), Gateway: netip.MustParseAddr("198.51.100.1")},
	{Name: "br0", Bridge: true, Address: netip.MustParsePrefix("192.0.2.1/24")},
}}

// runInit runs init on that machine. The configuration that it writes keeps its store in
// the same directory.
func runInit(t *testing.T, dir string, in io.Reader, args ...string) (out, told string, err error) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "home"))
	c := newInit()
	var f initFlags
	// The command's own flags, on a machine that is not this one.
	c.RunE = func(c *cobra.Command, _ []string) error {
		f.file = filepath.Join(dir, "etc", "sluiced.yaml")
		f.public, _ = c.Flags().GetStringArray("public")
		f.pool, _ = c.Flags().GetStringArray("pool")
		f.regions, _ = c.Flags().GetStringArray("region")
		f.listen, _ = c.Flags().GetString("listen")
		f.yes, _ = c.Flags().GetBool("yes")
		f.force, _ = c.Flags().GetBool("force")
		f.noKey, _ = c.Flags().GetBool("no-access-key")
		return initialize(c, f, machine, profilePath())
	}
	c.SilenceUsage, c.SilenceErrors = true, true
	var stdout, stderr bytes.Buffer
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	c.SetIn(in)
	c.SetArgs(args)
	err = c.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

// TestInitWrites: without a question, what flags and routes say; and what is there already
// is not lost.
func TestInitWrites(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "etc", "sluiced.yaml")
	pool := []string{"--yes", "--no-access-key", "--pool", "198.51.100.16-198.51.100.31"}
	// A file of comments, as the package brings one, says nothing.
	packaged, err := os.ReadFile("../../deploy/package/sluiced.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, packaged, 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, told, err := runInit(t, dir, strings.NewReader(""), pool...); err != nil || !strings.Contains(told, "wrote "+file) || !strings.Contains(told, "sluicectl doctor") || !strings.Contains(told, "accesskey create") {
		t.Fatalf("%v\n%s", err, told)
	}
	c, err := config.Load(file)
	if err != nil || c.Settings.Public[0].Uplink.Device != "eth0" {
		t.Fatalf("%+v, %v", c, err)
	}
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := runInit(t, dir, strings.NewReader(""), pool...); !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "--force") {
		t.Errorf("a second time: %v", err)
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, first) {
		t.Errorf("it was changed: %v", err)
	}
	if _, told, err := runInit(t, dir, strings.NewReader(""), append(pool, "--force", "--listen", "0.0.0.0:443", "--region", "home:z1,z2")...); err != nil {
		t.Errorf("by force: %v\n%s", err, told)
	}
	if old, err := os.ReadFile(file + ".old"); err != nil || !bytes.Equal(old, first) {
		t.Errorf("the file before was not kept: %v", err)
	}
	if c, err := config.Load(file); err != nil || c.Listen != "0.0.0.0:443" || len(c.Settings.Regions[0].Zones) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestInitRefuses: what is wrong or missing on the command line, without a file written.
func TestInitRefuses(t *testing.T) {
	dir := t.TempDir()
	for args, want := range map[string]string{
		"":                                   "name them with --pool",
		"--pool 198.51.100.0/24":             "does not lie among the hosts",
		"--pool 198.51.100.6-198.51.100.9":   "this machine's own address",
		"--pool 198.51.100.16 --listen 8680": "is not an address and a port",
		"--pool 198.51.100.16 --region CN":   "is not an id",
		"--pool 198.51.100.16 --region a:a":  "unique",
		"--public eth9,pool=198.51.100.16,prefix=198.51.100.0/24":      "there is no device eth9",
		"--public eth0,mode=bridge,pool=198.51.100.16":                 "is not a bridge",
		"--public eth0,mode=device,pool=198.51.100.16":                 "default route",
		"--public br0,mode=macvlan,pool=192.0.2.16":                    "use mode bridge",
		"--public eth0,speed=1":                                        "unknown; there are device, mode",
		"--public mode=macvlan":                                        "device= is missing",
		"--public eth0,mode=macvlan,mode=bridge":                       "given twice",
		"--public eth0,mode":                                           "not of the form key=value",
		"--public eth0,pool=198.51.100.16 --public br0":                "name them with --pool",
		"--public eth0,pool=198.51.100.16 --public br0,pool=192.0.2.9": "name the regions of both",
		"--public new,name=x --public new":                             "overlaps",
	} {
		_, _, err := runInit(t, dir, strings.NewReader(""), append([]string{"--yes"}, strings.Fields(args)...)...)
		if !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("init %s: %v; want a usage error with %q", args, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "etc")); err == nil {
		t.Error("a file was written all the same")
	}
}

// TestInitAsks answers each question when it is asked, and uses the key that was made.
func TestInitAsks(t *testing.T) {
	dir := t.TempDir()
	answers, input := io.Pipe()
	questions := &expect{answers: []struct{ question, answer string }{
		{"Host and port of the API [127.0.0.1:8680]: ", ""},
		{"Regions, separated by commas [cn-hangzhou]: ", ""},
		{"Zones of cn-hangzhou [cn-hangzhou-a, cn-hangzhou-b]: ", "cn-hangzhou-a"},
		{"Device that VPCs are connected to [eth0]: ", "br0"},
		{"[bridge]: ", ""},
		{"Network on the link [192.0.2.0/24]: ", ""},
		{"or none [none]: ", "192.0.2.254"},
		{"which nobody else uses (203.0.113.10-203.0.113.20, 203.0.113.64/28): ", "192.0.2.0/28"},
		{"which nobody else uses (203.0.113.10-203.0.113.20, 203.0.113.64/28): ", "192.0.2.16/28"},
		{"Make an access key for you (yes or no) [yes]: ", "no"},
	}, input: input}
	c := newInit()
	c.SetErr(questions)
	c.SetIn(answers)
	c.SetOut(io.Discard)
	c.SetContext(t.Context())
	f := initFlags{file: filepath.Join(dir, "sluiced.yaml"), listen: config.Default().Listen}
	if err := initialize(c, f, machine, filepath.Join(dir, "profiles.yaml")); err != nil {
		t.Fatalf("%v\n%s", err, questions.all.String())
	}
	if len(questions.answers) > 0 {
		t.Errorf("not asked: %v\n%s", questions.answers, questions.all.String())
	}
	if !strings.Contains(questions.all.String(), "does not lie among the hosts of 192.0.2.0/24") {
		t.Errorf("the wrong pool was not told:\n%s", questions.all.String())
	}
	loaded, err := config.Load(f.file)
	if err != nil || loaded.Settings.Public[0].Uplink.Gateway.String() != "192.0.2.254" {
		t.Errorf("%+v, %v", loaded, err)
	}
	// Answers that end early leave nothing.
	if _, _, err := runInit(t, filepath.Join(dir, "other"), strings.NewReader("\n\n")); !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("answers that ended: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "other", "etc")); err == nil {
		t.Error("a file was written without all answers")
	}
}

// expect is somebody who answers a question when he has read it.
type expect struct {
	answers []struct{ question, answer string }
	input   io.WriteCloser
	all     strings.Builder
	read    string // since the last answer
}

func (e *expect) Write(p []byte) (int, error) {
	e.all.Write(p)
	e.read += string(p)
	if len(e.answers) > 0 && strings.HasSuffix(e.read, e.answers[0].question) {
		answer := e.answers[0].answer
		e.answers, e.read = e.answers[1:], ""
		go func() { _, _ = io.WriteString(e.input, answer+"\n") }()
	}
	return len(p), nil
}

// TestInitMakesAKey: it is in the store, and where "sluicectl call" looks, unless there is
// something already.
func TestInitMakesAKey(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "home"))
	data := filepath.Join(dir, "data")
	loaded := config.Default()
	loaded.DataDir = data
	k, err := makeKey(t.Context(), loaded)
	if err != nil {
		t.Fatal(err)
	}
	s, err := local.Open(t.Context(), data, loaded.Settings.Machine, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if stored, ok := s.Keys.Key(k.ID); !ok || stored.Secret != k.Secret {
		t.Errorf("the store has %v", ok)
	}
	// Who has the store open is not disturbed.
	if _, err := makeKey(t.Context(), loaded); err == nil {
		t.Error("a key was made in a store that somebody has open")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	profiles := profilePath()
	c := newInit()
	var stdout, stderr bytes.Buffer
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	a := initial.Answers{Listen: "0.0.0.0:8680", Regions: []initial.Region{{ID: "home"}}}
	if err := keep(c, k, a, profiles); err != nil {
		t.Fatal(err)
	}
	p, err := (&profileFlags{}).resolve(func(string) string { return "" }, profiles)
	if err != nil || p.AccessKeySecret != k.Secret || p.Endpoint != "https://127.0.0.1:8680" || p.CA != "/var/lib/sluice/tls/ca.pem" || p.Region != "home" || stdout.Len() > 0 {
		t.Errorf("%+v, %v; printed %q", p, err, stdout.String())
	}
	if strings.Contains(stderr.String(), k.Secret) {
		t.Error("the secret was shown")
	}
	if err := keep(c, k, a, profiles); err != nil || !strings.Contains(stdout.String(), "export SLUICE_ACCESS_KEY_SECRET='"+k.Secret) {
		t.Errorf("with a file that is there: %v, %q", err, stdout.String())
	}
}
