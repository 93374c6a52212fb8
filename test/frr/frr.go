// Package frr runs FRRouting in a network namespace: a BGP router, or one with static
// routes, that is not this project's.
//
// It knows nothing of labs or of what is tested, so that tests of any package
// can use it.
package frr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// programs is where Debian's package frr has its daemons.
const programs = "/usr/lib/frr"

// patience is how long a daemon may take to answer; an emulated processor is slow.
const patience = time.Minute

// says has bgpd log why a session began, ended or was refused, which it does not by
// itself.
const says = "\ndebug bgp neighbor-events\n"

// Options are a Router's.
type Options struct {
	Dir    string                   // of its configuration and sockets; it exists
	Config string                   // its frr.conf
	In     func(func() error) error // runs a function in the router's namespace
	Kernel bool                     // zebra gives routes that were learned to the kernel
	Static bool                     // instead of bgpd it is staticd that gives routes to zebra, and by that to the kernel
	Log    io.Writer                // takes what the daemons log; nil for nobody
}

// Router is a running bgpd or staticd, and zebra.
type Router struct {
	options Options
	daemons []*exec.Cmd // the first one started first
}

// Start starts a router and waits until it answers.
func Start(ctx context.Context, o Options) (*Router, error) {
	r := &Router{options: o}
	if !o.Static {
		o.Config += says
	}
	if err := os.WriteFile(r.file("frr.conf"), []byte(o.Config), 0o600); err != nil {
		return nil, err
	}
	if err := r.Start(ctx); err != nil {
		return nil, errors.Join(err, r.Kill())
	}
	return r, nil
}

func (r *Router) file(name string) string { return filepath.Join(r.options.Dir, name) }

// Start starts a router again that was killed.
func (r *Router) Start(ctx context.Context) error {
	if !r.options.Kernel && !r.options.Static {
		return r.begin(ctx, "bgpd", r.command("bgpd", "-f", r.file("frr.conf"), "--vty_socket", r.options.Dir, "-u", "root", "-g", "root", "-S", "-n", "-Z"))
	}
	if err := r.beginZebra(ctx); err != nil {
		return err
	}
	if r.options.Static {
		return r.begin(ctx, "staticd", r.asUser("staticd", "-f", seen+"/frr.conf"))
	}
	return r.begin(ctx, "bgpd", r.command("bgpd", "-f", r.file("frr.conf"), "--vty_socket", r.options.Dir, "-u", "root", "-g", "root", "-S", "-z", r.file(zebraSocket)))
}

// protocol is the daemon that has the routes.
func (r *Router) protocol() string {
	if r.options.Static {
		return "staticd"
	}
	return "bgpd"
}

const zebraSocket = "zebra.api"

// beginZebra starts zebra.
func (r *Router) beginZebra(ctx context.Context) error {
	owner, err := user.Lookup("frr")
	if err != nil {
		return fmt.Errorf("%w: install Debian's package frr", err)
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	if err := errors.Join(os.Chown(r.options.Dir, uid, -1), os.Chown(r.file("frr.conf"), uid, -1)); err != nil {
		return err
	}
	return r.begin(ctx, "zebra", r.asUser("zebra", "-f", "/dev/null"))
}

// seen is where a daemon that asUser starts sees the router's directory.
const seen = "/mnt"

// asUser is the command that starts a daemon which runs as FRR's user whatever one says, who
// may not enter the router's directory: it sees that by another name, in a mount namespace of
// its own.
func (r *Router) asUser(daemon string, args ...string) *exec.Cmd {
	c := r.command(daemon, append(args, "--vty_socket", seen, "-i", seen+"/"+daemon+".pid", "-z", seen+"/"+zebraSocket)...)
	return exec.Command("unshare", append([]string{"--mount", "sh", "-c", `mount --bind "$0" ` + seen + ` && exec "$@"`, r.options.Dir}, c.Args...)...)
}

// command is the one that starts a daemon.
func (r *Router) command(daemon string, args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(programs, daemon), append([]string{"-P", "0", "-i", r.file(daemon + ".pid"), "--log", "stdout", "--log-level", "debugging"}, args...)...)
}

// begin starts a daemon and waits until it answers.
func (r *Router) begin(ctx context.Context, daemon string, cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = r.options.Log, r.options.Log
	if err := r.options.In(cmd.Start); err != nil {
		return fmt.Errorf("start %s (Debian package frr): %w", daemon, err)
	}
	r.daemons = append(r.daemons, cmd)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err := r.ask(ctx, daemon, "show version")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", daemon, err)
		case <-time.After(10 * time.Millisecond): // between probes
		}
	}
}

// Kill ends the router without a word to its neighbours.
func (r *Router) Kill() (err error) {
	for _, cmd := range r.daemons {
		if e := cmd.Process.Signal(syscall.SIGKILL); e != nil && !errors.Is(e, os.ErrProcessDone) {
			err = errors.Join(err, e)
		}
		_ = cmd.Wait() // by that signal
	}
	r.daemons = nil
	return err
}

// Vtysh gives bgpd, or staticd, commands, one after the other, and returns what it printed.
func (r *Router) Vtysh(ctx context.Context, commands ...string) (string, error) {
	return r.ask(ctx, r.protocol(), commands...)
}

func (r *Router) ask(ctx context.Context, daemon string, commands ...string) (string, error) {
	args := []string{"--vty_socket", r.options.Dir, "--config_dir", r.options.Dir, "-d", daemon}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	out, err := exec.CommandContext(ctx, "vtysh", args...).Output()
	if err != nil {
		return "", fmt.Errorf("vtysh %q: %w: %s", commands, err, out)
	}
	return string(out), nil
}

// Configure gives bgpd, or staticd, commands of its configuration.
func (r *Router) Configure(ctx context.Context, commands ...string) error {
	_, err := r.Vtysh(ctx, append([]string{"configure terminal"}, commands...)...)
	return err
}

// Learned returns the prefixes in the router's table with what it has of each:
// next hop and AS path. Its own, whose next hop is 0.0.0.0, are left out.
func (r *Router) Learned(ctx context.Context) (map[string]string, error) {
	out, err := r.Vtysh(ctx, "show bgp ipv4 unicast json")
	if err != nil {
		return nil, err
	}
	var table struct {
		Routes map[string][]struct {
			Path     string
			Nexthops []struct{ IP string }
		}
	}
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&table); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	got := map[string]string{}
	for prefix, paths := range table.Routes {
		for _, p := range paths {
			if hop := p.Nexthops[0].IP; hop != "0.0.0.0" {
				got[prefix] = hop + " " + p.Path
			}
		}
	}
	return got, nil
}
