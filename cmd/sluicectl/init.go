package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sluice/config"
	"sluice/config/initial"
	"sluice/controlplane/identity"
	"sluice/controlplane/local"
)

// initFlags are those of init.
type initFlags struct {
	file       string
	public     []string
	pool       []string
	regions    []string
	listen     string
	yes, force bool
	noKey      bool
}

func newInit() *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use:   "init",
		Short: "Write the first configuration of this machine's gateway",
		Long: `Ask for what sluiced has to know of this machine, write its configuration, and make
an access key. Everything asked for has a default that this machine's devices and
routes suggest, but one: which addresses of the public network are Sluice's to give
out nothing on the machine tells.

The configuration is checked as sluiced checks it when it starts. A file that says
anything is not overwritten without --force, which keeps it as sluiced.yaml.old. The
key is written to ~/.config/sluice/config.yaml, where "sluicectl call" finds it, or
printed, if there is such a file already.

With --yes nothing is asked: flags and defaults hold, and what is missing or wrong is
an error.`,
		Example: `  sluicectl init
  sluicectl init --yes --pool 198.51.100.16-198.51.100.63
  sluicectl init --yes --public device=eth1,prefix=198.51.100.0/24,gateway=198.51.100.1,pool=198.51.100.64/26
  sluicectl init --yes --public new --region cn-hangzhou:cn-hangzhou-a,cn-hangzhou-b`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := thisMachine()
			if err != nil {
				return err
			}
			return initialize(c, f, m, profilePath())
		},
	}
	c.Flags().StringVar(&f.file, "config", config.DefaultPath, "file to write")
	c.Flags().StringArrayVar(&f.public, "public", nil, "a public network: a device, or new for a bridge that sluiced makes, or device=, mode=, prefix=, gateway=, pool=, name=, regions=, separated by commas; pool and regions may stand there several times. Can be repeated (default: by the default route)")
	c.Flags().StringArrayVar(&f.pool, "pool", nil, "addresses of the first public network to give out: FIRST-LAST, a block or an address. Can be repeated")
	c.Flags().StringArrayVar(&f.regions, "region", nil, "a region and its zones: REGION:ZONE,ZONE. Can be repeated (default "+config.Default().Settings.Regions[0].ID+")")
	c.Flags().StringVar(&f.listen, "listen", config.Default().Listen, "host and port of the API")
	c.Flags().BoolVar(&f.noKey, "no-access-key", false, "make no access key")
	c.Flags().BoolVar(&f.yes, "yes", false, "ask nothing")
	c.Flags().BoolVar(&f.force, "force", false, "write the file although there is one, which is kept as FILE.old")
	return c
}

// initialize is init on a machine, with the file of profiles.
func initialize(c *cobra.Command, f initFlags, m initial.Machine, profiles string) error {
	if err := f.mayWrite(); err != nil {
		return err
	}
	a, err := f.answers(m)
	if err != nil {
		return err
	}
	key := !f.noKey
	if !f.yes {
		ask := &initial.Asker{In: bufio.NewReader(c.InOrStdin()), Out: c.ErrOrStderr(), Machine: m}
		if a, err = ask.Ask(a); err == nil && key {
			key, err = ask.Yes("\nMake an access key for you", true)
		}
		if errors.Is(err, initial.ErrEnded) {
			return usagef("%w; nothing was written. --yes takes flags and defaults without asking", err)
		}
		if err != nil {
			return err
		}
	}
	if slices.ContainsFunc(a.Public, func(p initial.Public) bool { return len(p.Pool) == 0 }) {
		return usagef("which addresses of the public network are free for elastic IPs no machine can tell; name them with --pool FIRST-LAST, or pool= in --public")
	}
	if err := m.Check(f.file, a); err != nil {
		return usageError{err}
	}
	if err := f.write(a.Text()); err != nil {
		return err
	}
	out := c.ErrOrStderr()
	fmt.Fprintf(out, "wrote %s\n", f.file)
	if key {
		if err := firstKey(c, f, a, profiles); err != nil {
			return fmt.Errorf("the configuration is written, but there is no access key: %w; when sluiced runs, make one with: sluicectl accesskey create", err)
		}
	}
	_, err = fmt.Fprint(out, f.next(key))
	return err
}

// mayWrite refuses a file that says something already.
func (f *initFlags) mayWrite() error {
	text, err := os.ReadFile(f.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !f.force && !config.SaysNothing(text):
		return usagef("%s is a configuration already; --force writes another one, and keeps it as %[1]s.old", f.file)
	}
	return nil
}

// write puts the file in place whole, and keeps one that said something.
func (f *initFlags) write(text string) error {
	if err := os.MkdirAll(filepath.Dir(f.file), 0o755); err != nil {
		return err
	}
	if old, err := os.ReadFile(f.file); err == nil && !config.SaysNothing(old) {
		if err := os.Rename(f.file, f.file+".old"); err != nil {
			return err
		}
	}
	fresh := f.file + ".new"
	if err := os.WriteFile(fresh, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(fresh, f.file)
}

// answers are what the machine suggests with what the flags say over it.
func (f *initFlags) answers(m initial.Machine) (initial.Answers, error) {
	a := m.Default()
	a.Listen = f.listen
	if len(f.regions) > 0 {
		a.Regions = nil
	}
	for _, text := range f.regions {
		id, zones, _ := strings.Cut(text, ":")
		r := initial.Region{ID: id, Zones: []string{id + "-a", id + "-b"}}
		if zones != "" {
			r.Zones = strings.Split(zones, ",")
		}
		a.Regions = append(a.Regions, r)
	}
	if len(f.public) > 0 {
		a.Public = nil
	}
	for i, text := range f.public {
		p, err := publicNetwork(m, text)
		if err != nil {
			return a, err
		}
		if p.Name == "internet" && i > 0 {
			p.Name = fmt.Sprintf("internet-%d", i+1)
		}
		a.Public = append(a.Public, p)
	}
	if len(f.pool) > 0 {
		a.Public[0].Pool = f.pool
	}
	return a, nil
}

// publicNetwork reads the value of --public.
func publicNetwork(m initial.Machine, text string) (initial.Public, error) {
	given := map[string][]string{}
	for i, part := range strings.Split(text, ",") {
		key, value, ok := strings.Cut(part, "=")
		if !ok && i == 0 {
			key, value = "device", part
		} else if !ok || value == "" {
			return initial.Public{}, usagef("--public %s: %q is not of the form key=value", text, part)
		}
		if !slices.Contains([]string{"device", "mode", "prefix", "gateway", "pool", "name", "regions"}, key) {
			return initial.Public{}, usagef("--public %s: %q is unknown; there are device, mode, prefix, gateway, pool, name and regions", text, key)
		}
		if len(given[key]) > 0 && key != "pool" && key != "regions" {
			return initial.Public{}, usagef("--public %s: %s is given twice", text, key)
		}
		given[key] = append(given[key], value)
	}
	if given["device"] == nil {
		return initial.Public{}, usagef("--public %s: device= is missing", text)
	}
	p := m.Suggest(given["device"][0])
	for key, into := range map[string]*string{"mode": &p.Mode, "prefix": &p.Prefix, "gateway": &p.Gateway, "name": &p.Name} {
		if v := given[key]; v != nil {
			*into = v[0]
		}
	}
	if given["pool"] != nil {
		p.Pool = given["pool"]
	}
	p.Regions = given["regions"]
	return p, nil
}

// firstKey makes an access key, in the store of the configuration that was just written.
func firstKey(c *cobra.Command, f initFlags, a initial.Answers, profiles string) error {
	loaded, err := config.Load(f.file)
	if err != nil {
		return err
	}
	k, err := makeKey(c.Context(), loaded)
	if err != nil {
		return err
	}
	return keep(c, k, a, profiles)
}

// keep puts a key where "sluicectl call" looks, or shows it, if there is something already.
func keep(c *cobra.Command, k identity.Key, a initial.Answers, profiles string) error {
	endpoint, ca := "http://"+reachable(a.Listen), ""
	if !initial.Loopback(a.Listen) {
		endpoint, ca = "https://"+reachable(a.Listen), filepath.Join(config.Default().DataDir, "tls", "ca.pem")
	}
	_, err := os.Stat(profiles)
	switch {
	case err == nil:
		if ca != "" {
			fmt.Fprintf(c.OutOrStdout(), "export SLUICE_CA=%s\n", quote(ca))
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "export SLUICE_ENDPOINT=%s\nexport SLUICE_ACCESS_KEY_ID=%s\nexport SLUICE_ACCESS_KEY_SECRET=%s\nexport SLUICE_REGION=%s\n",
			quote(endpoint), quote(k.ID), quote(k.Secret), quote(a.Regions[0].ID))
		if err == nil {
			_, err = fmt.Fprintf(c.ErrOrStderr(), "made the access key above, of account %s; it is shown only once, and stands in no file, since there is a %s already\n", k.AccountName, profiles)
		}
		return err
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(filepath.Dir(profiles), 0o700); err != nil {
		return err
	}
	text := fmt.Sprintf("profiles:\n  default:\n    endpoint: %q\n    access_key_id: %q\n    access_key_secret: %q\n    region: %q\n", endpoint, k.ID, k.Secret, a.Regions[0].ID)
	if ca != "" {
		text += fmt.Sprintf("    ca: %q\n", ca)
	}
	if err := os.WriteFile(profiles, []byte(text), 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.ErrOrStderr(), "wrote access key %s of account %s to %s\n", k.ID, k.AccountName, profiles)
	return err
}

// makeKey makes a key while no daemon has the store.
func makeKey(ctx context.Context, loaded *config.Config) (k identity.Key, err error) {
	if err := os.MkdirAll(loaded.DataDir, 0o700); err != nil {
		return k, err
	}
	s, err := local.Open(ctx, loaded.DataDir, loaded.Settings.Machine, slog.New(slog.DiscardHandler))
	if err != nil {
		return k, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Keys.CreateKey(ctx, "", identity.KeyOptions{})
}

// reachable is the address of a listener, as a client on this machine calls it.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// next says what comes after init.
func (f *initFlags) next(key bool) string {
	text := "\nNext:\n\n    sluicectl doctor                    # can this machine be a gateway?\n"
	if f.file == config.DefaultPath {
		text += "    systemctl enable --now sluiced\n"
	} else {
		text += "    sluiced --config " + quote(f.file) + "\n"
	}
	text += "    sluicectl status                    # is it ready?\n"
	if !key {
		text += "    eval \"$(sluicectl accesskey create --env)\"\n"
	}
	return text + "    sluicectl call CreateVpc --CidrBlock 10.0.0.0/16\n"
}
