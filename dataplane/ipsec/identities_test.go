package ipsec

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// device is a remote site's strongSwan, which has connections of its own for all
// that lead to its address.
type device struct {
	t       *testing.T
	ns      *netns.Namespace
	address netip.Addr
	dir     string
	stop    func()
}

// devices puts as many sites beside a gateway's namespace.
func devices(t *testing.T, gw *netns.Namespace, path dataplane.VPNPath, n int) []*device {
	t.Helper()
	dir, err := os.MkdirTemp("", "ipsec") // not t.TempDir, whose name may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	nstest.Address(t, gw, "lo", gatewayAddr+"/32")
	nstest.Address(t, gw, "lo", "10.0.0.1/32")
	nstest.Command(t, gw, "ip", "link", "add", "public", "up", "type", "bridge")
	if err := gw.Set(netns.Sysctl{Path: "ipv4/ip_forward", Value: "1"}); err != nil {
		t.Fatal(err)
	}
	var list []*device
	for i := range n {
		d := &device{t: t, ns: nstest.New(t), address: netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), dir: filepath.Join(dir, strconv.Itoa(i))}
		link := fmt.Sprintf("public%d", i)
		nstest.Veth(t, gw, link, d.ns, "public")
		nstest.Up(t, gw, "lo")
		nstest.Command(t, gw, "ip", "link", "set", link, "up", "master", "public")
		nstest.Address(t, d.ns, "public", d.address.String()+"/32")
		nstest.Up(t, d.ns, "lo")
		for k := 1; k <= mostConnections; k++ {
			nstest.Address(t, d.ns, "lo", fmt.Sprintf("10.%d.0.1/32", k)) // kernel-libipsec looks for one in the local subnet
		}
		onLink(t, gw, "public", d.address)
		onLink(t, d.ns, "public", netip.MustParseAddr(gatewayAddr))
		d.start(path)
		list = append(list, d)
	}
	return list
}

func onLink(t *testing.T, ns *netns.Namespace, link string, a netip.Addr) {
	t.Helper()
	index := nstest.Link(t, ns, link).Attrs().Index
	err := ns.Netlink().RouteReplace(&netlink.Route{LinkIndex: index, Scope: netlink.SCOPE_LINK, Dst: netipx.PrefixIPNet(netip.PrefixFrom(a, 32))})
	if err != nil {
		t.Fatal(err)
	}
}

// start starts the device's charon anew, without connections.
func (d *device) start(path dataplane.VPNPath) {
	d.t.Helper()
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		d.t.Fatal(err)
	}
	kernel := "kernel-netlink"
	if path == dataplane.VPNByLibipsec {
		kernel = "kernel-libipsec kernel-netlink"
	}
	conf := fmt.Sprintf(`charon-systemd {
  load = nonce aes sha1 sha2 md5 random openssl hmac kdf %s socket-default vici
  install_routes = no
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
  plugins {
    vici { socket = unix://%s/charon.vici }
    kernel-netlink { fwmark = 0xfffffffe }
  }
  filelog { x { path = %[2]s/charon.log
    flush_line = yes } }
  journal { default = -1 }
}
`, kernel, d.dir)
	name := filepath.Join(d.dir, "strongswan.conf")
	if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
		d.t.Fatal(err)
	}
	os.Remove(filepath.Join(d.dir, "charon.vici"))
	program, err := findCharon()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = []string{"STRONGSWAN_CONF=" + name, "PATH=/usr/sbin:/usr/bin"}
	if err := d.ns.Do(cmd.Start); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	// It takes leave of its peers, if it can.
	d.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	d.t.Cleanup(d.stop)
	eventually(d.t, patience, func() error {
		_, err := d.swanctl("--stats")
		return err
	})
}

func (d *device) swanctl(args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.Command("swanctl", append(args, "--uri", "unix://"+d.dir+"/charon.vici")...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("swanctl %v: %w: %s", args, err, out.String())
	}
	return out.String(), nil
}

// hold makes the device hold the other ends of those of the connections that lead
// to it: all between the same identities by the same mode in one, as their owner
// would write it who knows them by what they say. start says whether it begins.
func (d *device) hold(connections []dataplane.VPNConnection, path dataplane.VPNPath, start bool) {
	d.t.Helper()
	action := "none"
	if start {
		action = "start"
	}
	var conns, secrets strings.Builder
	kids := map[string]string{}
	heads := map[string]string{}
	for i := range connections {
		c := &connections[i]
		if c.Remote != d.address {
			continue
		}
		key := strings.ToLower(fmt.Sprint(c.IKE.Version, c.IKE.Aggressive, strings.TrimPrefix(c.LocalID, "@"), " ", strings.TrimPrefix(c.RemoteID, "@")))
		heads[key] = fmt.Sprintf("version = %d\naggressive = %s\nlocal_addrs = %s\nremote_addrs = %s\nproposals = %s\nencap = %s\nlocal {\nauth = psk\nid = %s\n}\nremote {\nauth = psk\nid = %s\n}\n",
			c.IKE.Version, yes(c.IKE.Aggressive), d.address, gatewayAddr, proposal(c.IKE.Proposal), yes(path == dataplane.VPNByLibipsec), c.RemoteID, c.LocalID)
		for name, ts := range children(c) {
			kids[key] += fmt.Sprintf("%s {\nlocal_ts = %s\nremote_ts = %s\nesp_proposals = %s\nstart_action = %s\n}\n",
				name, strings.Join(ts[1], ","), strings.Join(ts[0], ","), proposal(c.ESP.Proposal), action)
		}
		fmt.Fprintf(&secrets, "ike-%s {\nsecret = \"%s\"\nid-1 = %s\nid-2 = %s\n}\n", c.ID, string(c.PSK), c.RemoteID, c.LocalID)
	}
	for i, key := range slices.Sorted(maps.Keys(heads)) {
		fmt.Fprintf(&conns, "peer%d {\n%schildren {\n%s}\n}\n", i, heads[key], kids[key])
	}
	name := filepath.Join(d.dir, "swanctl.conf")
	if err := os.WriteFile(name, fmt.Appendf(nil, "connections {\n%s}\nsecrets {\n%s}\n", &conns, &secrets), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.swanctl("--load-all", "--clear", "--file", name); err != nil {
		d.t.Fatal(err)
	}
}

const mostConnections = 4 // of a set

// randomSet returns connections to a few sites that have much in common.
func randomSet(r *rand.Rand, sites []netip.Addr) []dataplane.VPNConnection {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	var list []dataplane.VPNConnection
	for i := range 2 + r.IntN(mostConnections-1) {
		c := usual()
		c.ID = fmt.Sprintf("vco-%d", i)
		c.Remote = sites[r.IntN(len(sites))]
		c.LocalID = pick(gatewayAddr, gatewayAddr, "gateway", "b.example")
		c.RemoteID = pick(c.Remote.String(), c.Remote.String(), "branch", "@Branch", "b.example")
		c.PSK = dataplane.Secret(pick("one key", "one key", "another key"))
		c.IKE.Version = 1 + r.IntN(2)
		c.IKE.Aggressive = c.IKE.Version == 1 && r.IntN(2) == 0
		c.IKE.Proposal.Group, c.ESP.Proposal.Group = 14, 14
		c.Policies = dataplane.Product(c.Policies.Locals(), prefixes(fmt.Sprintf("10.%d.0.0/24", i+1)))
		list = append(list, c)
	}
	return list
}

func conflict(set []dataplane.VPNConnection) string {
	for i := range set {
		for k := range set[:i] {
			if found := set[i].Conflict(&set[k]); found != nil {
				return found.Why
			}
			// A device that answers cannot tell its connections apart either.
			near, far := otherEnd(&set[i]), otherEnd(&set[k])
			if found := near.Conflict(&far); found != nil && set[i].Remote == set[k].Remote {
				return "at the site: " + found.Why
			}
		}
	}
	return ""
}

// otherEnd returns a connection as it is at the other end.
func otherEnd(c *dataplane.VPNConnection) dataplane.VPNConnection {
	out := *c
	out.Remote, out.LocalID, out.RemoteID = netip.MustParseAddr(gatewayAddr), c.RemoteID, c.LocalID
	return out
}

func described(set []dataplane.VPNConnection) string {
	var b strings.Builder
	for i := range set {
		c := &set[i]
		fmt.Fprintf(&b, "\n%s: to %s, %s - %s, IKEv%d, aggressive %v, %q", c.ID, c.Remote, c.LocalID, c.RemoteID, c.IKE.Version, c.IKE.Aggressive, string(c.PSK))
	}
	return b.String()
}

// identitySets is the environment variable that says how many sets of
// connections TestIdentities tries, and identitySeed where it begins.
const identitySets, identitySeed = "SLUICE_IDENTITY_SETS", "SLUICE_IDENTITY_SEED"

func fromEnvironment(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text, ok := os.LookupEnv(name)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestIdentities: connections that share what there is to share (address,
// identities, keys, versions and modes) either are in a conflict, or all come up,
// whoever begins, and stay.
func TestIdentities(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	first := fromEnvironment(t, identitySeed, rand.Uint64N(1<<32))
	tried := fromEnvironment(t, identitySets, 3)
	refused := 0
	for seed := first; seed < first+tried; {
		r := rand.New(rand.NewPCG(seed, 1))
		set := randomSet(r, []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")})
		for conflict(set) != "" {
			refused++
			set = randomSet(r, []netip.Addr{set[0].Remote, set[len(set)-1].Remote})
		}
		for _, path := range []dataplane.VPNPath{dataplane.VPNByXFRM, dataplane.VPNByLibipsec} {
			t.Run(fmt.Sprintf("%d/%s", seed, path), func(t *testing.T) {
				t.Parallel()
				needs(t, path)
				comeUp(t, path, set)
			})
		}
		seed++
	}
	t.Logf("%d sets were in a conflict", refused)
}

func comeUp(t *testing.T, path dataplane.VPNPath, set []dataplane.VPNConnection) {
	t.Helper()
	gw := nstest.New(t)
	sites := devices(t, gw, path, 2)
	dir, err := os.MkdirTemp("", "ipsec")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	log := &nstest.Log{}
	m, err := New(Options{Dir: dir, Path: path, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(dir, network, logFile))
			t.Logf("the gateway's charon:\n%s\nthe Gateways' log:\n%s", b, log)
			for _, d := range sites {
				b, _ := os.ReadFile(filepath.Join(d.dir, "charon.log"))
				t.Logf("%s:\n%s", d.address, b)
			}
		}
		if err := m.Apply(context.Background(), gw, network, nil); err != nil {
			t.Error(err)
		}
		m.Close()
	})
	up := func(who string) {
		t.Helper()
		failed := ""
		defer func() {
			if t.Failed() {
				t.Logf("%s begins, %s:%s", who, failed, described(set))
			}
		}()
		eventually(t, patience, func() error {
			status := m.Status(network)
			for i := range set {
				if s := status[set[i].ID]; !s.IKE && !s.Child || !s.Child {
					failed = set[i].ID + " is down"
					return fmt.Errorf("%s is down: %+v", set[i].ID, s)
				}
			}
			for _, sa := range established(m, network) {
				if sa.age <= settle {
					failed = sa.connection + " does not come to rest"
					return fmt.Errorf("%s has an IKE_SA of %s", sa.connection, sa.age)
				}
			}
			return nil
		})
	}
	for _, d := range sites {
		d.hold(set, path, false)
	}
	if err := m.Apply(t.Context(), gw, network, []dataplane.VPNGateway{{ID: "vpn-t", Address: netip.MustParseAddr(gatewayAddr), Connections: set}}); err != nil {
		t.Fatal(err)
	}
	up("the gateway")
	// The sites go, and come back and begin.
	for _, d := range sites {
		d.stop()
		d.start(path)
		d.hold(set, path, true)
	}
	eventually(t, patience, func() error {
		for _, sa := range established(m, network) {
			if sa.age <= settle {
				return nil
			}
		}
		return fmt.Errorf("nothing new")
	})
	up("the sites")
}

// TestImpersonation: a site that has a key of its own cannot pass for another one
// behind the same address.
func TestImpersonation(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		honest, other := usual(), usual()
		honest.RemoteID, honest.PSK, honest.Start = "honest", "a key that it alone has", false
		other.ID, other.RemoteID, other.Policies = "vco-o", "other", dataplane.Product(other.Policies.Locals(), prefixes("10.2.0.0/24"))
		l.answer(other)
		l.apply(honest, other)
		l.eventually(func() error {
			if s := l.m.Status(network)[other.ID]; !s.Child {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
		pretended := honest
		pretended.PSK = other.PSK
		l.answer(pretended)
		if _, err := l.trySwanctl("--initiate", "--ike", "peer", "--child", honest.ID, "--timeout", "20"); err == nil {
			t.Error("the peer came in by another's identity")
		}
		// This end has not even believed it.
		b, err := os.ReadFile(filepath.Join(l.dir, network, logFile))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "for '192.0.2.1' - 'honest', but MAC mismatched") || strings.Contains(string(b), "authentication of 'honest' with pre-shared key successful") {
			t.Error("a key of another peer's was good enough")
		}
	})
}

// A key is found by the peer's identity, and by both where that has several.
func TestOwners(t *testing.T) {
	a, b, c := usual(), usual(), usual()
	a.RemoteID, b.RemoteID, c.RemoteID = "a", "b", "@A"
	a.PSK, b.PSK, c.PSK, c.LocalID = "1", "2", "1", "gateway"
	for _, v := range []struct {
		name string
		of   *dataplane.VPNConnection
		all  []dataplane.VPNConnection
		want []string
	}{
		{"alone", &a, []dataplane.VPNConnection{a}, []string{"a"}},
		{"two peers", &a, []dataplane.VPNConnection{a, b}, []string{"a"}},
		{"one key twice", &c, []dataplane.VPNConnection{a, b, c}, []string{"@A"}},
		{"two keys", &b, func() []dataplane.VPNConnection { d := c; d.PSK = "3"; return []dataplane.VPNConnection{a, b, d} }(), []string{gatewayAddr, "b"}},
	} {
		if got := owners(v.of, v.all); !slices.Equal(got, v.want) {
			t.Errorf("%s: %q, want %q", v.name, got, v.want)
		}
	}
}

// TestSiblings: a peer begins with the subnets of any of the connections that it
// has with the gateway; and what the gateway has begun does not notice when others
// come, change and go.
func TestSiblings(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		for _, version := range []int{1, 2} {
			c := usual()
			c.IKE.Version, c.Start = version, false
			d := c
			d.ID, d.Policies = "vco-u", dataplane.Product(d.Policies.Locals(), prefixes("10.2.0.0/24"))
			// The peer keeps them apart, and its own first one is not ours.
			l.answer(d)
			l.apply(c, d)
			begin := func(child string) {
				t.Helper()
				l.eventually(func() error { // it fails where this end has been faster
					_, err := l.trySwanctl("--initiate", "--ike", "peer", "--child", child, "--timeout", "20")
					for _, x := range []string{c.ID, d.ID} {
						if owns(x, child) && l.m.Status(network)[x].Child {
							return nil
						}
					}
					return fmt.Errorf("%s is down: %v", child, err)
				})
			}
			begin(slices.Collect(maps.Keys(children(&d)))[0])
			l.answer(c, d)
			begin(slices.Collect(maps.Keys(children(&c)))[0])
			l.carries("10.1.0.2", "10.2.0.2")
			l.apply()

			c.Start, d.Start = true, true
			l.apply(c)
			l.carries("10.1.0.2")
			l.apply(c, d)
			l.carries("10.1.0.2", "10.2.0.2")
			before := l.childrenOf(c.ID)
			for _, change := range []func(){
				func() { d.ESP.Lifetime /= 2; l.apply(c, d) },
				func() { l.apply(c) },
				func() { l.apply(c, d) },
			} {
				change()
				l.carries("10.1.0.2")
				if now := l.childrenOf(c.ID); now != before {
					t.Errorf("IKEv%d: the SAs of a connection were %s and are %s, as another one changed", version, before, now)
				}
			}
			l.apply()
		}
	})
}

// childrenOf returns the ids of the gateway's CHILD_SAs of a connection.
func (l *lab) childrenOf(connection string) string {
	l.t.Helper()
	var ids []string
	for _, sa := range established(l.m, network) {
		for _, kid := range sa.children {
			if owns(connection, kid.name) && kid.carries() {
				ids = append(ids, kid.id)
			}
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}
