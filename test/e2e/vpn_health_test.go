package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/api/aliyun"
)

// probed is an address of a site that answers nothing but health checks.
var probed = netip.MustParsePrefix("192.168.77.2/32")

// The health check of these tests. Sources are hosts' addresses, which probes are
// not sent from.
const (
	healthInterval = 4 * time.Second
	healthCheck    = `{"enable":true,"sip":"172.16.1.10","dip":"192.168.77.2","interval":4,"retry":2}`
)

// probe has the site answer health checks, or not any more.
func (s *site) probe(t *testing.T, answers bool) {
	t.Helper()
	inNamespace(t, s.namespace, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		change := netlink.AddrDel
		if answers {
			change = netlink.AddrAdd
		}
		return change(lo, &netlink.Addr{IPNet: ipNet(probed)})
	})
}

// probes returns how many health checks the site has answered, all in all.
func (s *site) probes(t *testing.T) (answered int) {
	t.Helper()
	inNamespace(t, s.namespace, func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		answered, err = counter(string(text), "Icmp:", "OutEchoReps")
		return err
	})
	return answered
}

// counter returns one of those in /proc/net/snmp: a line with their names, then one
// with their values.
func counter(text, protocol, name string) (int, error) {
	var names []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch i := slices.Index(names, name); {
		case len(fields) == 0 || fields[0] != protocol:
		case i >= 0 && i < len(fields):
			var n int
			_, err := fmt.Sscan(fields[i], &n)
			return n, err
		default:
			names = fields
		}
	}
	return 0, fmt.Errorf("there is no counter %s %s", protocol, name)
}

// health waits for a connection's check to stand so.
func (n *network) health(t *testing.T, connection, want string) {
	t.Helper()
	eventually(t, "the health check of "+connection, func() string {
		if got := n.healthNow(t, connection); got != want {
			return fmt.Sprintf("it is %q, not %q", got, want)
		}
		return ""
	})
}

func (n *network) healthNow(t *testing.T, connection string) string {
	t.Helper()
	var got aliyun.DescribeVpnConnectionResponse
	n.into(t, &got, "DescribeVpnConnection", "VpnConnectionId", connection)
	return got.VcoHealthCheck.Status
}

// answers are those of a machine that keeps asking who is there.
type answers struct {
	mu    sync.Mutex
	names []string // each other than the one before
	since time.Time
	count int
	mute  int // questions that nobody has answered
}

// asks has a machine ask at an address until the test ends, always in the same flow.
func (e *endpoint) asks(t *testing.T, to netip.AddrPort) *answers {
	t.Helper()
	c, err := e.dial("udp", e.addr, to, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	a, stop, done := &answers{}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer c.Close()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			if _, name, err := exchange(c, fmt.Sprint("n", i), time.Second/4); err == nil {
				a.note(name)
			} else {
				a.noteNone()
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return a
}

func (a *answers) note(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count++
	if len(a.names) == 0 || a.names[len(a.names)-1] != name {
		a.names, a.since = append(a.names, name), time.Now()
	}
}

func (a *answers) noteNone() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mute++
}

// lost returns how many questions nobody has answered.
func (a *answers) lost() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mute
}

// keep waits for so many more answers, whoever gives them.
func (a *answers) keep(t *testing.T, n int) {
	t.Helper()
	heard := func() int { a.mu.Lock(); defer a.mu.Unlock(); return a.count }
	goal := heard() + n
	eventually(t, "answers", func() string {
		if got := heard(); got < goal {
			return fmt.Sprintf("%d, not %d yet", got, goal)
		}
		return ""
	})
}

// turns returns how often it was somebody else than before.
func (a *answers) turns() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.names)
}

func (a *answers) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.names, ", ")
}

// become waits until it is a certain one who answers, and returns since when.
func (a *answers) become(t *testing.T, want string) (since time.Time) {
	t.Helper()
	eventually(t, "who answers", func() string {
		a.mu.Lock()
		defer a.mu.Unlock()
		since = a.since
		if len(a.names) == 0 || a.names[len(a.names)-1] != want {
			return fmt.Sprintf("%v, and not %s", a.names, want)
		}
		return ""
	})
	return since
}

// TestVPNHealth: the tunnel of the active route stands, but what is behind it does
// not answer health checks any more. The standby route is used until it does.
func TestVPNHealth(t *testing.T) {
	t.Parallel()
	n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	if h.byLibipsec(t) {
		t.Skip("needs XFRM interfaces: where charon carries the tunnels itself, the policies of the SAs choose between them, not routes")
	}
	id, address := n.vpnGateway(t, "10")
	active, standby := n.redundant(t, id, address, "HealthCheckConfig", healthCheck)
	active.probe(t, true)
	at := standby.open(t, "udp", "standby")
	active.serveAs(t, "udp", at.String(), "active")
	seen := h.asks(t, at)
	n.health(t, active.connection, "success") // first: the check may have failed while the tunnel was not there
	seen.become(t, "active")
	before := seen.turns()

	failed := time.Now()
	active.probe(t, false)
	took := seen.become(t, "standby").Sub(failed)
	t.Logf("the standby site answered after %s", took)
	if took >= 3*healthInterval {
		t.Errorf("that is %.1f intervals, and has to be less than 3", took.Seconds()/healthInterval.Seconds())
	}
	n.health(t, active.connection, "failed")
	n.status(t, active.connection, "ipsec_sa_established")

	active.probe(t, true)
	mended := time.Now()
	t.Logf("the active site answered again after %s", seen.become(t, "active").Sub(mended))
	n.health(t, active.connection, "success")
	// It stays so for as long as it would take to fail.
	enough := active.probes(t) + 2
	eventually(t, "health checks", func() string {
		if got := active.probes(t); got < enough {
			return fmt.Sprintf("%d were answered, not %d yet", got, enough)
		}
		return ""
	})
	if turns := seen.turns() - before; turns != 2 {
		t.Errorf("who answers has changed %d times, not to the standby site and back: %v", turns, seen)
	}
	if got := n.healthNow(t, active.connection); got != "success" {
		t.Errorf("the health check is %q in the end", got)
	}
}

// TestVPNHealthStatus: the API shows how a connection's health check stands, and
// modifications change it.
func TestVPNHealthStatus(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	id, address := n.vpnGateway(t, "10")
	s := n.site(t, "h", "192.168.77.1")
	w := modern("172.16.1.0/24", "192.168.77.0/24")
	s.answer(t, address, w)
	c := n.connect(t, id, s, w, ikeModern, ipsecModern)
	n.status(t, c, "ipsec_sa_established")
	if got := n.healthNow(t, c); got != "" {
		t.Errorf("without a health check it is %q", got)
	}
	modify := func(config string) {
		t.Helper()
		n.call(t, "ModifyVpnConnectionAttribute", "VpnConnectionId", c, "HealthCheckConfig", config)
		n.settled(t)
	}
	modify(healthCheck)
	n.health(t, c, "failed")
	s.probe(t, true)
	n.health(t, c, "success")
	s.probe(t, false)
	n.health(t, c, "failed")
	n.status(t, c, "ipsec_sa_established")
	modify(`{"enable":false}`)
	if got := n.healthNow(t, c); got != "" {
		t.Errorf("with the health check off it is %q", got)
	}
}
