package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/sorted"
)

// reconcile does what the caller of an engine does: it applies a network again
// when the engine says that it changed. It counts.
func reconcile(t *testing.T, e *Engine, n *dataplane.Network) (rounds func() int) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	count := make(chan int, 1)
	count <- 0
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case id := <-e.Changed():
				if id != n.ID {
					t.Errorf("network %s changed, which is not there", id)
				}
				if _, err := e.Apply(ctx, n); err != nil && ctx.Err() == nil {
					t.Logf("Apply: %v", err) // tried again below
					e.events.add(id)
				}
				count <- <-count + 1
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() int { c := <-count; count <- c; return c }
}

// elsewhere stands for the public namespace in what is below.
const elsewhere = "elsewhere"

// damages are what others do to a network, and what the log says of the repair.
var damages = []struct {
	name   string
	damage []string // command in the network's namespace, or, after the word elsewhere, in the public one
	log    string
}{
	{"ruleset flushed", []string{"nft", "flush", "ruleset"}, "build nftables table anew"},
	{"one element deleted", []string{"nft", "delete", "element", "ip", "sluice", "elastic", "{ 203.0.113.10 }"}, "elements of the nftables table"},
	{"rule of the ruleset deleted", []string{"nft", "flush", "chain", "ip", "sluice", "egress"}, "build nftables table anew"},
	{"elastic IP deleted", []string{"ip", "addr", "del", "203.0.113.10/32", "dev", "public"}, "add address 203.0.113.10/32 to public"},
	{"all addresses deleted", []string{"ip", "addr", "flush", "dev", "vsw-a"}, "add address 10.0.1.253/24 to vsw-a"},
	{"address added", []string{"ip", "addr", "add", "203.0.113.99/32", "dev", "public"}, "remove address 203.0.113.99/32 from public"},
	{"route deleted", []string{"ip", "route", "del", "10.9.0.0/16", "table", "100"}, "set route 10.9.0.0/16"},
	{"public default route deleted", []string{"ip", "route", "flush", "table", "200"}, "set route default via 203.0.113.1 dev public onlink table 200"},
	{"route of a VSwitch deleted", []string{"ip", "route", "del", "10.0.1.0/24", "dev", "vsw-a"}, "set route 10.0.1.0/24"},
	{"local route deleted", []string{"ip", "route", "del", "local", "203.0.113.10", "table", "local"}, "set route local 203.0.113.10/32"},
	{"default route in main", []string{"ip", "route", "add", "default", "via", "10.0.1.9"}, "remove route default via 10.0.1.9"},
	{"rule deleted", []string{"ip", "rule", "del", "pref", "1010"}, "add rule 1010"},
	{"all rules deleted", []string{"ip", "rule", "flush"}, "add rule 2240"},
	{"VSwitch deleted", []string{"ip", "link", "del", "vsw-b"}, "make bridge vsw-b"},
	{"VSwitch down", []string{"ip", "link", "set", "vsw-a", "down"}, "set vsw-a up"},
	{"uplink deleted", []string{"ip", "link", "del", "public"}, "make uplink public"},
	{"uplink's outer end deleted", []string{elsewhere, "ip", "link", "del", "{id}"}, "make uplink public"},
	{"uplink down", []string{"ip", "link", "set", "public", "down"}, "set public up"},
	{"egress filter deleted", []string{"tc", "qdisc", "del", "dev", "public", "clsact"}, "attach the egress filter to public"},
	{"filter before the egress filter", []string{"tc", "filter", "add", "dev", "public", "egress", "protocol", "all", "prio", "1", "bpf", "bytecode", "1,6 0 0 0,"}, "remove foreign traffic filter"},
	{"name of the namespace deleted", []string{elsewhere, "ip", "netns", "del", "sluice-{id}"}, "its name again"},
}

// inflict does a damage to a network.
func (s *site) inflict(t *testing.T, id string, damage []string) {
	t.Helper()
	ns := inNetwork(t, id)
	if damage[0] == elsewhere {
		ns, damage = s.public, damage[1:]
	}
	args := make([]string, len(damage))
	for i := range damage {
		args[i] = strings.ReplaceAll(damage[i], "{id}", id)
	}
	nstest.Command(t, ns, args[0], args[1:]...)
}

func TestHeal(t *testing.T) {
	t.Parallel()
	for i, test := range damages {
		if testing.Short() && i%5 > 0 {
			continue // TestAuditFindsWhatEventsMissed has all
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			n := s.network(t)
			e := s.engine(t)
			mustApply(t, e, n)
			reconcile(t, e, n)
			ns := inNetwork(t, n.ID)
			want := dump(t, n.ID)
			rules := nstest.Command(t, ns, "nft", "list", "ruleset")

			s.inflict(t, n.ID, test.damage)
			nstest.Eventually(t, func() error {
				if !repaired(s.log.String(), n.ID, test.log) {
					return fmt.Errorf("no repair logged with %q", test.log)
				}
				if _, err := os.Stat(filepath.Join(netns.Dir, dataplane.Namespace(n.ID))); err != nil {
					return err
				}
				if diff := cmp.Diff(withoutLastRules(want), withoutLastRules(dump(t, n.ID))); diff != "" {
					return errors.New("topology (-want +got):\n" + diff)
				}
				got, err := nstest.TryCommand(ns, "nft", "list", "ruleset")
				if err != nil {
					return err
				}
				if diff := cmp.Diff(rules, got); diff != "" {
					return errors.New("ruleset (-want +got):\n" + diff)
				}
				return nil
			})
			e.Invalidate(n.ID)
			if o := mustApply(t, e, n); o.Changes != 0 {
				t.Errorf("after the repair an audit changed %d objects", o.Changes)
			}
		})
	}
}

// An audit finds every damage of which no event came, and nothing where there is none;
// that nobody has changed nftables' table it knows without reading it.
func TestAuditFindsWhatEventsMissed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	n.Shortcut = true
	e, err := New(Config{RunDir: s.runDir, Logger: slog.New(slog.NewTextHandler(s.log, nil)), Namespace: s.public.Name(), Debounce: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	differs := func(full bool) bool {
		differs, _ := e.Audit(t.Context(), n.ID, full)
		return differs
	}
	if !differs(false) {
		t.Error("an audit finds nothing to do for a network that was never applied")
	}
	mustApply(t, e, n)
	all := slices.Clone(damages)
	for _, more := range []struct{ name, damage, log string }{
		{"forwarding off", "sysctl -q -w net.ipv4.ip_forward=0", "set sysctl net.ipv4.ip_forward=1"},
		{"reverse path filter on", "sysctl -q -w net.ipv4.conf.vsw-a.rp_filter=1", "set sysctl net.ipv4.conf.vsw-a.rp_filter=0"},
		{"timeout changed", "sysctl -q -w net.netfilter.nf_conntrack_icmp_timeout=1", "set sysctl net.netfilter.nf_conntrack_icmp_timeout"},
		{"program detached", "tc filter del dev vsw-a ingress", "attach ingress program to vsw-a"},
	} {
		d := damages[0]
		d.name, d.damage, d.log = more.name, strings.Fields(more.damage), more.log
		all = append(all, d)
	}
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			if d.name == "program detached" && e.networks[n.ID].sessions == nil {
				t.Skip("the kernel cannot have the programs")
			}
			if differs(false) {
				t.Error("an audit finds something that nobody has changed")
			}
			s.log.Reset()
			s.inflict(t, n.ID, d.damage)
			// The kernel takes down links a little later.
			nstest.Eventually(t, func() error {
				if !differs(false) {
					return errors.New("an audit has not found it")
				}
				return nil
			})
			mustApply(t, e, n)
			if !repaired(s.log.String(), n.ID, d.log) {
				t.Errorf("no repair logged with %q:\n%s", d.log, s.log)
			}
		})
	}
	if !differs(true) || e.networks[n.ID].stale.Load() != staleAll {
		t.Error("an audit of everything does not have everything compared")
	}
	if o := mustApply(t, e, n); o.Changes != 0 {
		t.Errorf("after the repairs an audit of everything changed %d objects", o.Changes)
	}
}

// What only an audit finds is repaired with a warning, too.
func TestAuditSaysWhatItRepairs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e, err := New(Config{RunDir: s.runDir, Logger: slog.New(slog.NewTextHandler(s.log, nil)), Namespace: s.public.Name(), Debounce: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	mustApply(t, e, n)
	nstest.Command(t, inNetwork(t, n.ID), "ip", "route", "del", "10.9.0.0/16", "table", "100")
	e.Invalidate(n.ID)
	if o := mustApply(t, e, n); o.Changes != 1 || !repaired(s.log.String(), n.ID, "set route 10.9.0.0/16") {
		t.Errorf("%d changes, and the log says:\n%s", o.Changes, s.log)
	}
}

// With a VPN gateway, too, no repair is said that is not one: programs at the tunnels'
// links stay.
func TestAuditSaysNoMore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e := s.engine(t)
	with := withVPN(t, e, n)
	mustApply(t, e, with)
	ns := inNetwork(t, n.ID)
	for range 2 {
		nstest.Command(t, ns, "ip", "route", "del", "10.9.0.0/16", "table", "100")
		e.Invalidate(n.ID)
		mustApply(t, e, with)
	}
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "repair=") && !strings.Contains(line, "10.9.0.0/16") {
			t.Errorf("the log says: %s", line)
		}
	}
	if !repaired(s.log.String(), n.ID, "set route 10.9.0.0/16") {
		t.Errorf("the repair is not in the log:\n%s", s.log)
	}
}

// repaired reports whether a warning about a network says what was repaired.
func repaired(log, id, what string) bool {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, "network="+id) && strings.Contains(line, what) {
			return true
		}
	}
	return false
}

// withoutLastRules leaves out the kernel's own rules after ours, which nobody
// misses.
func withoutLastRules(dump string) string {
	var b strings.Builder
	for line := range strings.Lines(dump) {
		if !strings.HasPrefix(line, "rule 3276") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// A sysctl that somebody sets makes no event; the caller's audit finds it.
func TestAuditFindsSysctls(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e := s.engine(t)
	mustApply(t, e, n)
	ns := inNetwork(t, n.ID)
	for _, sysctl := range []netns.Sysctl{
		{Path: "ipv4/ip_forward", Value: "0"},
		{Path: "ipv4/conf/all/rp_filter", Value: "1"},
		{Path: "ipv4/conf/vsw-a/send_redirects", Value: "1"},
		{Path: "netfilter/nf_conntrack_udp_timeout", Value: "30"},
		{Path: "bridge/bridge-nf-call-iptables", Value: "1", Optional: true},
	} {
		if err := ns.Set(sysctl); err != nil {
			t.Fatal(err)
		}
		if o := mustApply(t, e, n); o.Changes != 0 {
			t.Errorf("%s: changed without an audit", sysctl)
		}
		e.Invalidate(n.ID)
		if o := mustApply(t, e, n); o.Changes == 0 {
			t.Errorf("%s: not found by an audit", sysctl)
		}
		if differ, _, err := ns.Differing([]netns.Sysctl{sysctl}); err != nil || len(differ) != 1 {
			t.Errorf("%s: not repaired (%v)", sysctl, err)
		}
	}
}

// Our own changes are no reason to look again, let alone to apply.
func TestOwnChangesAreNotReported(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e := s.engine(t)
	rounds := reconcile(t, e, n)
	for range 3 {
		smaller := *n
		smaller.Elastic, smaller.DNAT = n.Elastic[:1], sorted.Set[dataplane.DNAT]{}
		mustApply(t, e, &smaller)
		mustApply(t, e, n)
	}
	// Something that is somebody else's ends the wait: what came before it has
	// been looked at by then.
	ns := inNetwork(t, n.ID)
	for repair := 1; repair <= 3; repair++ {
		nstest.Command(t, ns, "ip", "rule", "del", "pref", "1010")
		nstest.Eventually(t, func() error {
			if rounds() < repair {
				return fmt.Errorf("repair %d is not done", repair)
			}
			return nil
		})
	}
	if got := rounds(); got != 3 {
		t.Errorf("%d Applies for three repairs", got)
	}
}

// Whatever a crash leaves, the next Apply completes and Remove removes.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	points := []struct {
		name  string
		crash func(t *testing.T, e *Engine, n *dataplane.Network)
	}{
		{"mark", func(t *testing.T, e *Engine, n *dataplane.Network) {
			if err := e.mark(n); err != nil {
				t.Fatal(err)
			}
		}},
		{"name without a namespace", func(t *testing.T, e *Engine, n *dataplane.Network) {
			if err := e.mark(n); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(netns.Dir, dataplane.Namespace(n.ID)), nil, 0o444); err != nil {
				t.Fatal(err)
			}
		}},
		{"empty namespace", func(t *testing.T, e *Engine, n *dataplane.Network) {
			if err := e.mark(n); err != nil {
				t.Fatal(err)
			}
			ns, _, err := netns.Create(dataplane.Namespace(n.ID))
			if err != nil {
				t.Fatal(err)
			}
			ns.Close()
		}},
		{"table and some links", func(t *testing.T, e *Engine, n *dataplane.Network) {
			part := *n
			part.Switches, part.Routes = part.Switches[:1], nil
			mustApply(t, e, &part)
			ns := inNetwork(t, n.ID)
			nstest.Command(t, ns, "ip", "link", "set", "public", "down")
		}},
		{"forwarding off", func(t *testing.T, e *Engine, n *dataplane.Network) {
			mustApply(t, e, n)
			if err := inNetwork(t, n.ID).Set(forwarding(false)); err != nil {
				t.Fatal(err)
			}
		}},
		{"uplink is no port yet", func(t *testing.T, e *Engine, n *dataplane.Network) {
			mustApply(t, e, n)
			nstest.Command(t, e.self, "ip", "link", "set", n.ID, "nomaster", "down", "alias", "")
		}},
		{"addresses and links too many", func(t *testing.T, e *Engine, n *dataplane.Network) {
			more := *n
			more.Switches = append([]dataplane.Switch{}, n.Switches...)
			more.Switches = append(more.Switches, n.Switches[0])
			more.Switches[2].ID = "vsw-c"
			more.Switches[2].Prefix = netip.MustParsePrefix("10.0.3.0/24")
			more.Switches[2].Gateway = netip.MustParseAddr("10.0.3.253")
			mustApply(t, e, &more)
		}},
		{"namespace gone, uplink's end left", func(t *testing.T, e *Engine, n *dataplane.Network) {
			mustApply(t, e, n)
			ns := inNetwork(t, n.ID)
			if err := netns.Delete(ns.Name()); err != nil {
				t.Fatal(err)
			}
			// ns keeps it alive, as the kernel does for a while.
		}},
	}
	for i, point := range points {
		if testing.Short() && i%2 == 0 {
			continue
		}
		t.Run(point.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			n, removed := s.network(t), s.network(t)
			e := s.engine(t)
			point.crash(t, e, n)
			point.crash(t, e, removed)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			next := s.engine(t)
			ids, err := next.Networks()
			if err != nil || len(ids) != 2 {
				t.Errorf("Networks() = %v, %v, want two", ids, err)
			}
			mustApply(t, next, n)
			if diff := cmp.Diff(wantState, dump(t, n.ID)); diff != "" {
				t.Errorf("state after the crash and an Apply (-want +got):\n%s", diff)
			}
			on := []netns.Sysctl{forwarding(true)}
			if differ, _, err := inNetwork(t, n.ID).Differing(on); err != nil || len(differ) > 0 {
				t.Errorf("does not forward: %v", err)
			}
			next.Invalidate(n.ID)
			if o := mustApply(t, next, n); o.Changes != 0 {
				t.Errorf("an audit afterwards changed %d objects", o.Changes)
			}
			if err := next.Remove(t.Context(), removed.ID); err != nil {
				t.Error(err)
			}
			if left := s.traces(removed.ID); left != "" {
				t.Errorf("Remove left: %s", left)
			}
		})
	}
}

func TestPartialFailure(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e := s.engine(t)
	bad := *n
	bad.Switches = append([]dataplane.Switch{}, n.Switches...)
	bad.Switches[0].Attachment = dataplane.Attachment{Kind: dataplane.AttachDevice, Device: "slt-none"}
	o, err := e.Apply(t.Context(), &bad)
	if err == nil || !strings.Contains(err.Error(), "the device slt-none is missing") {
		t.Errorf("Apply with a missing device: %v", err)
	}
	if strings.Count(err.Error(), "vsw-a") != 1 {
		t.Errorf("one failure should be named once: %v", err)
	}
	if o.Revision != 0 {
		t.Errorf("revision %d observed, want none", o.Revision)
	}
	if got := dump(t, n.ID); !strings.Contains(got, "link vsw-b") || !strings.Contains(got, "address 203.0.113.10/32") {
		t.Errorf("what does not depend on the device is not there:\n%s", got)
	}
	unknown := *n
	unknown.Uplink = &dataplane.Uplink{}
	*unknown.Uplink = *n.Uplink
	unknown.Uplink.Device = "pub9"
	if _, err := e.Apply(t.Context(), &unknown); err == nil || !strings.Contains(err.Error(), "public bridge pub9 is missing") {
		t.Errorf("Apply with a missing bridge: %v", err)
	}
	mustApply(t, e, n)
	if diff := cmp.Diff(wantState, dump(t, n.ID)); diff != "" {
		t.Errorf("state after the failures are mended (-want +got):\n%s", diff)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e := s.engine(t)
	mustApply(t, e, n)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	// Whoever reads the log of a stop must not be told of a fault.
	if log := s.log.String(); strings.Contains(log, "level=WARN") {
		t.Errorf("an orderly stop warns:\n%s", log)
	}
	if _, err := e.Apply(t.Context(), n); !errors.Is(err, ErrClosed) {
		t.Errorf("Apply after Close: %v", err)
	}
	if err := e.Remove(t.Context(), n.ID); !errors.Is(err, ErrClosed) {
		t.Errorf("Remove after Close: %v", err)
	}
}
