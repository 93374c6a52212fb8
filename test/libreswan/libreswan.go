// Package libreswan runs plain libreswan in a network namespace: the far end of a
// VPN connection that is not strongSwan, set up with the files that an operator
// would put into /etc/ipsec.d.
//
// libreswan leaves ESP to the kernel, which has to have it.
package libreswan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sluice/test/lab"
)

// Peer is a running pluto, libreswan's IKE daemon.
type Peer struct {
	Namespace string
	root, dir string
	process   *os.Process
	ended     chan struct{}
}

// libexec is where libreswan looks for its programs, and finds them wherever it
// was unpacked.
const libexec = "/usr/libexec"

// root returns the directory that holds libreswan's /usr: where
// scripts/libreswan.sh has unpacked it, or that of an installed one.
func root() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	fetched, err := filepath.Glob(filepath.Join(cache, "sluice", "libreswan", "[0-9]*"))
	if err != nil {
		return "", err
	}
	for _, dir := range append(fetched, "/") {
		if _, err := os.Stat(filepath.Join(dir, libexec, "ipsec", "pluto")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no libreswan: scripts/libreswan.sh fetches it")
}

// Missing says why libreswan cannot be run here; nil if it can.
func Missing() error {
	_, err := root()
	return err
}

// Start runs pluto in a namespace, with its files in a new directory dir. conf are
// the files that an operator would put into /etc/ipsec.d, each after a line that
// begins with "# /etc/ipsec.d/" and its name; what stands below a line that begins
// with "# /etc/ipsec.conf", each setting after "#   ", goes into the section config
// setup of that. pluto loads the connections, and begins those with auto=start.
func Start(ctx context.Context, namespace, dir, conf string) (*Peer, error) {
	p := &Peer{Namespace: namespace, dir: dir, ended: make(chan struct{})}
	var err error
	if p.root, err = root(); err != nil {
		return nil, err
	}
	if err := p.write(conf); err != nil {
		return nil, err
	}
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = lab.Await(ctx, "pluto in "+namespace, func() error {
		_, err := p.Whack(ctx, "--briefstatus")
		return err
	})
	if err != nil {
		return nil, errors.Join(err, p.Close(), errors.New(p.Log()))
	}
	return p, nil
}

func (p *Peer) file(name string) string { return filepath.Join(p.dir, name) }

// write puts the files of a configuration into the directory.
func (p *Peer) write(conf string) error {
	for _, name := range []string{"ipsec.d", "nss", "run"} {
		if err := os.MkdirAll(p.file(name), 0o700); err != nil {
			return err
		}
	}
	setup, files, err := split(conf)
	if err != nil {
		return err
	}
	files["ipsec.conf"] = fmt.Sprintf("config setup\n\tlogfile=%s\n%sinclude %s/*.conf\n", p.file("log"), setup, p.file("ipsec.d"))
	files["ipsec.secrets"] = fmt.Sprintf("include %s/*.secrets\n", p.file("ipsec.d"))
	for name, text := range files {
		if err := os.WriteFile(p.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// split takes a configuration apart: what it says about the section config setup
// of /etc/ipsec.conf, and the files of /etc/ipsec.d by their names in ours.
func split(conf string) (setup string, files map[string]string, err error) {
	const main, header = "# /etc/ipsec.conf", "# /etc/ipsec.d/"
	files = make(map[string]string)
	name := ""
	for line := range strings.Lines(conf) {
		if rest, ok := strings.CutPrefix(line, header); ok {
			name = filepath.Join("ipsec.d", filepath.Base(strings.Fields(rest)[0]))
		} else if strings.HasPrefix(line, main) {
			name = main
		}
		switch setting, comment := strings.CutPrefix(line, "#   "); {
		case name == "":
			return "", nil, fmt.Errorf("the configuration begins with %q, not with the name of a file", line)
		case name != main:
			files[name] += line
		case comment:
			setup += "\t" + setting
		}
	}
	return setup, files, nil
}

// begin makes the database that pluto keeps keys in, and starts pluto. That sees
// its programs where it looks for them by a mount in a namespace of its own.
func (p *Peer) begin(ctx context.Context) error {
	if out, err := exec.CommandContext(ctx, "certutil", "-N", "-d", "sql:"+p.file("nss"), "--empty-password").CombinedOutput(); err != nil {
		return fmt.Errorf("make an NSS database (Debian package libnss3-tools): %w: %s", err, out)
	}
	cmd := exec.Command("unshare", "--mount", "sh", "-c", `mount --bind "$0" `+libexec+` && exec `+libexec+`/ipsec/pluto "$@"`,
		filepath.Join(p.root, libexec), "--nofork", "--no-dnssec", "--config", p.file("ipsec.conf"),
		"--secretsfile", p.file("ipsec.secrets"), "--ipsecdir", p.file("ipsec.d"), "--nssdir", p.file("nss"),
		"--rundir", p.file("run"), "--logfile", p.file("log"), "--log-no-append")
	cmd.Env = []string{"PATH=" + filepath.Join(p.root, "usr/sbin") + ":/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a daemon, which the scheduler sees as one (autogroup)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := lab.In(p.Namespace, cmd.Start); err != nil {
		return fmt.Errorf("start pluto in %s: %w", p.Namespace, err)
	}
	p.process = cmd.Process
	go func() {
		defer close(p.ended)
		_ = cmd.Wait()
		if errs.Len() > 0 {
			_ = os.WriteFile(p.file("errors"), errs.Bytes(), 0o600)
		}
	}()
	return nil
}

// Whack runs whack, which gives pluto commands, and returns what it printed.
func (p *Peer) Whack(ctx context.Context, args ...string) (string, error) {
	program := filepath.Join(p.root, libexec, "ipsec", "whack")
	out, err := exec.CommandContext(ctx, program, append([]string{"--rundir", p.file("run")}, args...)...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("whack %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

// Log returns what pluto has logged.
func (p *Peer) Log() string {
	var text strings.Builder
	for _, name := range []string{"log", "errors"} {
		b, err := os.ReadFile(p.file(name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err.Error()
		}
		text.Write(b)
	}
	return text.String()
}

// Close ends pluto, which takes leave of its peers.
func (p *Peer) Close() error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	if err := p.process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(15 * time.Second):
		return p.process.Kill()
	}
}
