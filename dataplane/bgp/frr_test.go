package bgp

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// frr is a BGP router that is not this project's: bgpd of FRRouting.
type frr struct {
	ns  *netns.Namespace
	dir string // configuration and sockets
	cmd *exec.Cmd
}

// bgpd is where Debian has it.
const bgpd = "/usr/lib/frr/bgpd"

// newFRR starts bgpd in a namespace. It knows the ASN, the neighbours (addresses
// with their ASN) and the prefixes that it tells them.
func newFRR(t *testing.T, ns *netns.Namespace, asn int, neighbors map[string]int, prefixes ...string) *frr {
	t.Helper()
	if _, err := os.Stat(bgpd); err != nil {
		t.Fatal("needs FRRouting: scripts/setup.sh test")
	}
	dir := t.TempDir()
	var c strings.Builder
	fmt.Fprintf(&c, "router bgp %d\n bgp router-id 192.0.2.%d\n no bgp ebgp-requires-policy\n no bgp network import-check\n timers connect 1\n", asn, asn%200+1)
	for address, remote := range neighbors {
		fmt.Fprintf(&c, " neighbor %s remote-as %d\n neighbor %[1]s timers connect 1\n neighbor %[1]s advertisement-interval 0\n", address, remote)
	}
	for _, p := range prefixes {
		fmt.Fprintf(&c, " network %s\n", p)
	}
	if err := os.WriteFile(filepath.Join(dir, "bgpd.conf"), []byte(c.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	f := &frr{ns: ns, dir: dir}
	f.start(t)
	t.Cleanup(func() { f.stop() })
	return f
}

func (f *frr) start(t *testing.T) {
	t.Helper()
	f.cmd = exec.Command(bgpd, "-n", "-Z", "-S", "-f", filepath.Join(f.dir, "bgpd.conf"), "-i", filepath.Join(f.dir, "pid"),
		"--vty_socket", f.dir, "-P", "0", "-u", "root", "-g", "root", "--log", "stdout", "--log-level", "warnings")
	f.cmd.Stdout, f.cmd.Stderr = t.Output(), t.Output()
	if err := f.ns.Do(f.cmd.Start); err != nil {
		t.Fatal(err)
	}
	nstest.Eventually(t, func() error {
		if _, err := f.try("show version"); err != nil {
			return fmt.Errorf("bgpd does not answer: %w", err)
		}
		return nil
	})
}

// stop ends bgpd without a word to its neighbours.
func (f *frr) stop() {
	_ = f.cmd.Process.Kill()
	_ = f.cmd.Wait()
}

func (f *frr) try(commands ...string) (string, error) {
	args := []string{"--vty_socket", f.dir, "--config_dir", f.dir, "-d", "bgpd"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	out, err := exec.Command("vtysh", args...).Output()
	if err != nil {
		return "", fmt.Errorf("vtysh %q: %w: %s", commands, err, out)
	}
	return string(out), nil
}

func (f *frr) configure(t *testing.T, commands ...string) {
	t.Helper()
	if _, err := f.try(append([]string{"configure terminal"}, commands...)...); err != nil {
		t.Fatal(err)
	}
}

// learned returns the prefixes in FRR's table with what it has of each: next
// hop and AS path. Its own have the next hop 0.0.0.0.
func (f *frr) learned() (map[string]string, error) {
	out, err := f.try("show bgp ipv4 unicast json")
	if err != nil {
		return nil, err
	}
	var table struct {
		Routes map[string][]struct {
			Path     string
			Nexthops []struct{ IP string }
		}
	}
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&table); err != nil && err != io.EOF {
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

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(list))
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}
