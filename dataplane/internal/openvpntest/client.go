package openvpntest

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// Config is how a client connects.
type Config struct {
	Server   netip.AddrPort
	Protocol uint8 // of the transport; IANA number: 6 TCP, 17 UDP
	CA       string
	Pair     Pair
	TLSCrypt string
	Lines    []string // of the configuration, beside these
}

// Config returns how a client of an authority connects with a server.
func (a *Authority) Config(server netip.AddrPort, protocol uint8, p Pair, lines ...string) Config {
	return Config{server, protocol, a.CA, p, a.TLSCrypt, lines}
}

// String returns it as OpenVPN reads it.
func (c *Config) String() string {
	proto := "udp4"
	if c.Protocol == unix.IPPROTO_TCP {
		proto = "tcp4-client"
	}
	lines := append([]string{
		"client", "dev tun0", "dev-type tun", "proto " + proto, fmt.Sprintf("remote %s %d", c.Server.Addr(), c.Server.Port()),
		"nobind", "persist-key", "persist-tun", "remote-cert-tls server", "auth SHA256", "tun-mtu 1440", "connect-retry 1 2", "verb 3", "disable-dco",
	}, c.Lines...)
	for _, part := range []struct{ tag, text string }{{"ca", c.CA}, {"cert", c.Pair.Certificate}, {"key", c.Pair.Key}, {"tls-crypt", c.TLSCrypt}} {
		lines = append(lines, "<"+part.tag+">", strings.TrimSpace(part.text), "</"+part.tag+">")
	}
	return strings.Join(lines, "\n") + "\n"
}

// Client is a running openvpn.
type Client struct {
	t    testing.TB
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// Connect runs a client in a namespace until the test ends, or Stop is called.
func Connect(t testing.TB, ns *netns.Namespace, c Config) *Client {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "client.ovpn")
	if err := os.WriteFile(conf, []byte(c.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return Run(t, ns, conf)
}

// Run runs a client from a file.
func Run(t testing.TB, ns *netns.Namespace, conf string) *Client {
	t.Helper()
	k := &Client{t: t, log: filepath.Join(t.TempDir(), "client.log"), done: make(chan struct{})}
	k.cmd = exec.Command("openvpn", "--config", conf, "--log-append", k.log)
	k.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if err := ns.Do(k.cmd.Start); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = k.cmd.Wait()
		close(k.done)
	}()
	t.Cleanup(func() {
		k.Kill()
		if t.Failed() {
			t.Logf("the client of %s has logged:\n%s", ns, k.Log())
		}
	})
	return k
}

// Log returns what it has logged so far.
func (k *Client) Log() string {
	b, _ := os.ReadFile(k.log)
	return string(b)
}

// Stop asks it to end, which tells the server where its configuration says so, and waits.
func (k *Client) Stop() { k.signal(unix.SIGTERM) }

// Kill ends it.
func (k *Client) Kill() { k.signal(unix.SIGKILL) }

func (k *Client) signal(s unix.Signal) {
	k.t.Helper()
	_ = k.cmd.Process.Signal(s)
	select {
	case <-k.done:
	case <-time.After(30 * time.Second):
		k.t.Errorf("a client does not end")
		_ = k.cmd.Process.Kill()
		<-k.done
	}
}

// Ended says whether it has ended by itself.
func (k *Client) Ended() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

// PID is its process.
func (k *Client) PID() int { return k.cmd.Process.Pid }
