// Package strongswan runs plain strongSwan in a network namespace: the far end
// of a VPN connection, set up by hand with a swanctl.conf as an operator would.
package strongswan

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

// Peer is a running charon.
type Peer struct {
	Namespace string
	dir       string
	process   *os.Process
	ended     chan struct{}
}

// Program is charon's, from Debian's package charon-systemd.
const Program = "/usr/sbin/charon-systemd"

// LibipsecDevice is the TUN device that charon makes where it does ESP itself.
const LibipsecDevice = "ipsec0"

// Start runs charon in a namespace, with its files in a new directory dir.
// libipsec makes it do ESP itself, over a TUN device; else the kernel does.
func Start(ctx context.Context, namespace, dir string, libipsec bool) (*Peer, error) {
	return begin(ctx, namespace, dir, libipsec, "", func(cmd *exec.Cmd) error { return lab.In(namespace, cmd.Start) })
}

// StartRouted is Start at a site that sees to routes itself: charon makes none,
// or, where it insists (libipsec), in a table that no packet asks.
func StartRouted(ctx context.Context, namespace, dir string, libipsec bool) (*Peer, error) {
	const own = `install_routes = no
  plugins { kernel-netlink { fwmark = 0xfffffffe } }
`
	return begin(ctx, namespace, dir, libipsec, own, func(cmd *exec.Cmd) error { return lab.In(namespace, cmd.Start) })
}

// StartAt is Start at a host of a lab, which ends the charon that nobody has
// closed.
func StartAt(ctx context.Context, l *lab.Lab, h lab.Host, dir string, libipsec bool) (*Peer, error) {
	return begin(ctx, h.Namespace, dir, libipsec, "", func(cmd *exec.Cmd) error { return l.Start(h.Name, cmd) })
}

// begin starts charon by start; more are further settings.
func begin(ctx context.Context, namespace, dir string, libipsec bool, more string, start func(*exec.Cmd) error) (*Peer, error) {
	kernel := "kernel-netlink"
	if libipsec {
		kernel = "kernel-libipsec kernel-netlink"
	}
	settings := fmt.Sprintf(`charon-systemd {
  load = aesni aes des sha2 sha1 md5 random nonce openssl gmp hmac kdf %s socket-default vici updown
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
  retransmit_tries = 3
  max_ikev1_exchanges = 64
  %[3]s
  plugins {
    vici { socket = unix://%[2]s/charon.vici }
    openssl { load_legacy = yes }
    kernel-libipsec { allow_peer_ts = yes }
  }
  syslog { daemon { default = -1 } auth { default = -1 } }
  journal { default = -1 }
  filelog { log { path = %[2]s/charon.log
    default = 1
    flush_line = yes } }
}
`, kernel, dir, more)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "strongswan.conf")
	if err := os.WriteFile(conf, []byte(settings), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(Program)
	cmd.Env = []string{"STRONGSWAN_CONF=" + conf, "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a daemon, which the scheduler sees as one (autogroup)
	if err := start(cmd); err != nil {
		return nil, fmt.Errorf("start charon (Debian package charon-systemd) in %s: %w", namespace, err)
	}
	p := &Peer{Namespace: namespace, dir: dir, process: cmd.Process, ended: make(chan struct{})}
	go func() { defer close(p.ended); _ = cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // an emulated processor is slow
	defer cancel()
	err := lab.Await(ctx, "charon in "+namespace, func() error {
		// What is asked while it begins may never be answered.
		once, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		_, err := p.Swanctl(once, "--stats")
		return err
	})
	if err != nil {
		return nil, errors.Join(err, p.Close(), errors.New(p.Log()))
	}
	return p, nil
}

// Swanctl runs swanctl for the peer and returns what it printed.
func (p *Peer) Swanctl(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "swanctl", append(args, "--uri", "unix://"+filepath.Join(p.dir, "charon.vici"))...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("swanctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(out.String()))
	}
	return out.String(), nil
}

// Load makes charon hold a swanctl.conf, and nothing else.
func (p *Peer) Load(ctx context.Context, conf string) error {
	file := filepath.Join(p.dir, "swanctl.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return err
	}
	_, err := p.Swanctl(ctx, "--load-all", "--clear", "--file", file)
	return err
}

// Log returns what charon has logged.
func (p *Peer) Log() string {
	b, err := os.ReadFile(filepath.Join(p.dir, "charon.log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Close ends charon, which takes leave of its peers.
func (p *Peer) Close() error { return p.end(syscall.SIGTERM) }

// Kill ends charon without a word to anybody.
func (p *Peer) Kill() error { return p.end(syscall.SIGKILL) }

func (p *Peer) end(by syscall.Signal) error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	if err := p.process.Signal(by); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(5 * time.Second):
		return p.process.Kill()
	}
}
