package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const profiles = `current: office
profiles:
  office:
    endpoint: http://10.0.0.1:8680
    access_key_id: office-id
    access_key_secret: office-secret
    region: cn-beijing
  home:
    access_key_id: home-id
    access_key_secret: home-secret
`

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestProfilePrecedence(t *testing.T) {
	file := write(t, profiles, 0o600)
	none := filepath.Join(t.TempDir(), "none.yaml")
	for name, c := range map[string]struct {
		flags profileFlags
		env   func(string) string
		file  string
		want  profile
	}{
		"the file's current profile": {env: env(), file: file,
			want: profile{"http://10.0.0.1:8680", "office-id", "office-secret", "cn-beijing", ""}},
		"a named profile, and what it leaves out": {flags: profileFlags{name: "home"}, env: env(), file: file,
			want: profile{"http://127.0.0.1:8680", "home-id", "home-secret", "cn-hangzhou", ""}},
		"a profile named by the environment": {env: env("SLUICE_PROFILE", "home"), file: file,
			want: profile{"http://127.0.0.1:8680", "home-id", "home-secret", "cn-hangzhou", ""}},
		"the environment over the file": {env: env("SLUICE_ENDPOINT", "http://lab", "SLUICE_ACCESS_KEY_ID", "lab-id", "SLUICE_ACCESS_KEY_SECRET", "lab-secret"), file: file,
			want: profile{"http://lab", "lab-id", "lab-secret", "cn-beijing", ""}},
		"flags over the environment": {flags: profileFlags{profile: profile{Endpoint: "http://flag", Region: "cn-flag"}}, env: env("SLUICE_ENDPOINT", "http://lab", "SLUICE_REGION", "cn-lab"), file: file,
			want: profile{"http://flag", "office-id", "office-secret", "cn-flag", ""}},
		"no file": {env: env("SLUICE_ACCESS_KEY_ID", "id", "SLUICE_ACCESS_KEY_SECRET", "secret"), file: none,
			want: profile{"http://127.0.0.1:8680", "id", "secret", "cn-hangzhou", ""}},
	} {
		got, err := c.flags.resolve(c.env, c.file)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

// TestProfileTrust: what is trusted is chosen as everything else is; a flag that would
// have no effect is a mistake.
func TestProfileTrust(t *testing.T) {
	key := []string{"SLUICE_ACCESS_KEY_ID", "id", "SLUICE_ACCESS_KEY_SECRET", "secret", "SLUICE_ENDPOINT", "https://gw:8680"}
	file := write(t, "profiles: {default: {ca: /stored}}", 0o600)
	for name, c := range map[string]struct {
		flag string
		env  []string
		want string
	}{
		"the file":        {want: "/stored"},
		"the environment": {env: []string{"SLUICE_CA", "/env"}, want: "/env"},
		"the flag":        {flag: "/flag", env: []string{"SLUICE_CA", "/env"}, want: "/flag"},
	} {
		f := profileFlags{profile: profile{CA: c.flag}}
		if p, err := f.resolve(env(append(c.env, key...)...), file); err != nil || p.CA != c.want {
			t.Errorf("%s: %q, %v; want %q", name, p.CA, err, c.want)
		}
	}
	f := profileFlags{profile: profile{CA: "/flag", Endpoint: "http://gw:8680"}}
	if _, err := f.resolve(env(key...), file); err == nil || report(err) != exitUsage || !strings.Contains(err.Error(), "speaks no TLS") {
		t.Errorf("--ca without TLS: %v", err)
	}
	if _, err := (profile{Endpoint: "https://gw", CA: "/none/ca.pem"}).client(); err == nil || !strings.Contains(err.Error(), "/none/ca.pem") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestProfileMistakes(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.yaml")
	for name, c := range map[string]struct {
		flags profileFlags
		file  string
		want  string // part of the message
		code  int
	}{
		"no key anywhere":         {file: none, want: "sluicectl accesskey create", code: exitUsage},
		"a profile without file":  {flags: profileFlags{name: "x"}, file: none, want: `no profile "x"`, code: exitUsage},
		"an unknown profile":      {flags: profileFlags{name: "x"}, file: write(t, profiles, 0o600), want: "home, office", code: exitUsage},
		"a secret for all to see": {file: write(t, profiles, 0o644), want: "chmod 600", code: exitFailed},
		"an unknown field":        {file: write(t, "profiles:\n  default:\n    endpiont: x\n", 0o600), want: "config.yaml: [3:5] unknown field \"endpiont\"", code: exitUsage},
		"no YAML":                 {file: write(t, "profiles: [", 0o600), want: "config.yaml: ", code: exitUsage},
	} {
		_, err := c.flags.resolve(env(), c.file)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line with %q", name, err, c.want)
		}
		if got := report(err); got != c.code {
			t.Errorf("%s: exit code %d, want %d", name, got, c.code)
		}
	}
}
