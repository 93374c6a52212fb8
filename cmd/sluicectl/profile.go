package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"

	"sluice/api/aliyun"
	"sluice/config"
)

// profile is where and as whom the API is called.
type profile struct {
	Endpoint        string `yaml:"endpoint"`
	AccessKeyID     string `yaml:"access_key_id"`
	AccessKeySecret string `yaml:"access_key_secret"`
	Region          string `yaml:"region"`
	CA              string `yaml:"ca"`
}

// profileFile is ~/.config/sluice/config.yaml.
type profileFile struct {
	Current  string             `yaml:"current"`
	Profiles map[string]profile `yaml:"profiles"`
}

// profileFlags are the flags that choose and override a profile.
type profileFlags struct {
	profile
	name string
}

func (f *profileFlags) register(set *pflag.FlagSet) {
	set.StringVar(&f.Endpoint, "endpoint", "", "URL of the API, for example http://127.0.0.1:8680 ($SLUICE_ENDPOINT)")
	set.StringVar(&f.AccessKeyID, "access-key-id", "", "access key id ($SLUICE_ACCESS_KEY_ID)")
	set.StringVar(&f.AccessKeySecret, "access-key-secret", "", "its secret ($SLUICE_ACCESS_KEY_SECRET)")
	set.StringVar(&f.Region, "region", "", "region of calls that take one and were given none ($SLUICE_REGION)")
	set.StringVar(&f.CA, "ca", "", "PEM file of the certificates that are trusted, in place of the machine's ($SLUICE_CA)")
	set.StringVar(&f.name, "profile", "", "profile of the configuration file ($SLUICE_PROFILE)")
}

// resolve puts together the profile: flags first, then the environment, then
// the configuration file, then what suits a sluiced of this machine.
func (f *profileFlags) resolve(getenv func(string) string, file string) (profile, error) {
	stored, err := storedProfile(first(f.name, getenv("SLUICE_PROFILE")), file)
	if err != nil {
		return profile{}, err
	}
	builtIn := config.Default()
	p := profile{
		Endpoint:        first(f.Endpoint, getenv("SLUICE_ENDPOINT"), stored.Endpoint, "http://"+builtIn.Listen),
		AccessKeyID:     first(f.AccessKeyID, getenv("SLUICE_ACCESS_KEY_ID"), stored.AccessKeyID),
		AccessKeySecret: first(f.AccessKeySecret, getenv("SLUICE_ACCESS_KEY_SECRET"), stored.AccessKeySecret),
		Region:          first(f.Region, getenv("SLUICE_REGION"), stored.Region, builtIn.Settings.Regions[0].ID),
		CA:              first(f.CA, getenv("SLUICE_CA"), stored.CA),
	}
	if p.AccessKeyID == "" || p.AccessKeySecret == "" {
		return profile{}, usagef("no access key; set SLUICE_ACCESS_KEY_ID and SLUICE_ACCESS_KEY_SECRET, or write a profile into %s; make a key with: sluicectl accesskey create", file)
	}
	if u, err := url.Parse(p.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return profile{}, usagef("endpoint %q is not a URL of HTTP; write for example http://%s", p.Endpoint, builtIn.Listen)
	}
	if f.CA != "" && !strings.HasPrefix(p.Endpoint, "https://") {
		return profile{}, usagef("--ca is given, and endpoint %s speaks no TLS; write https://, or leave --ca out", p.Endpoint)
	}
	return p, nil
}

// client returns a client of the API as the profile has it.
func (p profile) client() (*aliyun.Client, error) {
	c := aliyun.NewClient(p.Endpoint, p.AccessKeyID, p.AccessKeySecret)
	return c, p.trusted(c.Trust)
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// profilePath returns the path of the configuration file: below
// $XDG_CONFIG_HOME, or ~/.config.
func profilePath() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		dir = "/root/.config"
	}
	return filepath.Join(dir, "sluice", "config.yaml")
}

// storedProfile reads a profile of the file; an empty name is the current one.
// It is no error if there is no file and no name was given.
func storedProfile(name, file string) (profile, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if name != "" {
			return profile{}, usagef("there is no profile %q, since there is no %s", name, file)
		}
		return profile{}, nil
	}
	if err != nil {
		return profile{}, usageError{err}
	}
	var content profileFile
	if err := yaml.UnmarshalWithOptions(text, &content, yaml.Strict()); err != nil {
		// The library shows the place in several lines.
		line, _, _ := strings.Cut(err.Error(), "\n")
		return profile{}, usagef("%s: %s", file, line)
	}
	name = first(name, content.Current, "default")
	p, ok := content.Profiles[name]
	if !ok {
		if len(content.Profiles) == 0 {
			return profile{}, nil
		}
		var names []string
		for n := range content.Profiles {
			names = append(names, n)
		}
		slices.Sort(names)
		return profile{}, usagef("%s has no profile %q; it has %s", file, name, strings.Join(names, ", "))
	}
	info, err := os.Stat(file)
	if err == nil && p.AccessKeySecret != "" && info.Mode().Perm()&0o077 != 0 {
		return profile{}, fmt.Errorf("%s holds a secret and may be read by others; run: chmod 600 %[1]s", file)
	}
	return p, nil
}
