package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"sluice/dataplane/openvpn"
)

// largestSpec is how many connections the largest specification of a NAT
// gateway may have open.
const largestSpec = 200000

// enoughNeighbours is how many neighbours, of all networks together, the kernel
// should remember. One host that tries every address of its VSwitch asks for some
// thousand a second, and each that does not answer stays for 0.9 s, or 3 s where others
// than the engine have made the link.
const enoughNeighbours = 16384

// machineFeatures lists settings and programs.
func machineFeatures() []Feature {
	program := func(name string, need Need, costs string, dirs ...string) Feature {
		return Feature{Name: name, Need: need, Costs: costs, try: func(*stage) (string, error) { return findProgram(name, dirs) }}
	}
	return []Feature{
		{"nf_conntrack_max", Optional, "",
			fmt.Sprintf("fewer than the %d connections of a Large gateway fit into a VPC, beside its others; raise the settings net.netfilter.nf_conntrack_max and nf_conntrack_buckets", largestSpec), tryConntrackMax},
		{"gc_thresh3", Optional, "",
			fmt.Sprintf("a host that tries all addresses of its VSwitch keeps new hosts of other VPCs from being found: the kernel remembers fewer than %d neighbours in all; install deploy/sysctl/90-sluice.conf, or raise net.ipv4.neigh.default.gc_thresh3", enoughNeighbours), tryNeighbours},
		program("charon-systemd", VPN, "no IPsec; apt-get install charon-systemd", "/usr/sbin", "/usr/lib/ipsec"),
		program("swanctl", VPN, "no looking into IPsec; apt-get install strongswan-swanctl", "/usr/sbin"),
		{"openvpn", VPN, "", "no SSL-VPN; apt-get install openvpn", tryOpenVPN},
		program("nft", Looking, "none at run time; apt-get install nftables", "/usr/sbin"),
		program("ip", Looking, "none at run time; apt-get install iproute2", "/usr/sbin", "/sbin"),
	}
}

// tryConntrackMax reads the limit, which each namespace is held to by itself.
func tryConntrackMax(*stage) (string, error) {
	n, err := setting("/proc/sys/net/netfilter/nf_conntrack_max")
	if err != nil {
		return "", err
	}
	// A part stays free, and an eighth is for what SNAT entries do not translate.
	if n-n/64 < largestSpec/7*8 && n != 0 {
		return "", lacking("%d", n)
	}
	return strconv.Itoa(n) + " for each VPC", nil
}

// tryNeighbours reads the limit, which all namespaces share and only the first one
// shows: not that of the stage, which this thread is in.
func tryNeighbours(*stage) (string, error) {
	var n int
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		n, err = setting("/proc/sys/net/ipv4/neigh/default/gc_thresh3")
	}()
	<-done
	switch {
	case errors.As(err, new(errLacking)):
		return "", errors.New("only the machine's first network namespace shows it")
	case err != nil:
		return "", err
	case n < enoughNeighbours:
		return "", lacking("%d", n)
	}
	return strconv.Itoa(n) + " for all VPCs together", nil
}

// setting reads one that is a number.
func setting(file string) (int, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, lacking("there is no such setting")
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// tryOpenVPN looks for one that is new enough.
func tryOpenVPN(*stage) (string, error) {
	program, err := openvpn.Find()
	version := ""
	if err == nil {
		version, err = openvpn.Version(context.Background(), program)
	}
	if errors.Is(err, openvpn.ErrUnsupported) {
		return "", lacking("%v", err)
	}
	if err != nil {
		return "", err
	}
	return version + ", " + program, nil
}

func findProgram(name string, dirs []string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, d := range dirs {
		// A name with a slash is not searched for, only checked.
		if path, err := exec.LookPath(filepath.Join(d, name)); err == nil {
			return path, nil
		}
	}
	return "", lacking("not found in PATH nor in %s", strings.Join(dirs, ", "))
}
