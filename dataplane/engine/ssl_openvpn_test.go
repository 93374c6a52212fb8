package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/internal/openvpntest"
	"sluice/dataplane/netns"
)

// house returns a namespace that is a host outside, with a public address.
func (s *site) house(t *testing.T, name, address string) *netns.Namespace {
	t.Helper()
	ns := nstest.New(t)
	nstest.Veth(t, s.public, name, ns, "eth0")
	nstest.Command(t, s.public, "ip", "link", "set", name, "up", "master", "pub0")
	nstest.Up(t, ns, "lo")
	nstest.Address(t, ns, "eth0", address+"/24")
	nstest.Up(t, ns, "eth0")
	return ns
}

// behind returns a namespace that is a host behind a house's NAT.
func behind(t *testing.T, house *netns.Namespace) *netns.Namespace {
	t.Helper()
	ns := nstest.New(t)
	nstest.Veth(t, house, "lan", ns, "eth0")
	nstest.Address(t, house, "lan", "192.168.178.1/24")
	nstest.Up(t, house, "lan")
	nstest.Up(t, ns, "lo")
	nstest.Address(t, ns, "eth0", "192.168.178.2/24")
	nstest.Up(t, ns, "eth0")
	nstest.Default(t, ns, "192.168.178.1")
	nstest.Command(t, house, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	nstest.Command(t, house, "nft", `add table ip nat; add chain ip nat out { type nat hook postrouting priority srcnat; }; add rule ip nat out oifname "eth0" masquerade`)
	return ns
}

// sessions returns the clients' sessions of a server, by certificate.
func sessions(t *testing.T, e *Engine, network, server string) map[string]dataplane.SSLSession {
	t.Helper()
	all, err := e.SSL(t.Context(), network)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]dataplane.SSLSession{}
	for _, c := range all[server].Clients {
		out[c.Certificate] = c
	}
	return out
}

// openVPNs returns the processes of servers.
func openVPNs(t *testing.T, s *site) (pids []int) {
	t.Helper()
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range all {
		line, _ := os.ReadFile(name)
		if strings.Contains(string(line), filepath.Join(s.runDir, "ssl")) {
			pid := 0
			fmt.Sscanf(name, "/proc/%d/", &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

// Debian's openvpn reaches hosts, and they it, by both transports, from behind a NAT, too;
// the engine may end, OpenVPN may be killed, and its device deleted; whose certificate is
// revoked is out, and nobody else.
func TestOpenVPN(t *testing.T) {
	t.Parallel()
	for protocol, transport := range map[uint8]string{unix.IPPROTO_UDP: "udp", unix.IPPROTO_TCP: "tcp"} {
		t.Run(transport, func(t *testing.T) {
			if testing.Short() && protocol == unix.IPPROTO_TCP {
				t.Skip("takes long: make test-all")
			}
			t.Parallel()
			s := newSite(t)
			n := s.network(t)
			n.Shortcut, n.SourceCheck = true, true
			e := s.engine(t)
			if err := e.SSLAvailable(); err != nil {
				t.Skip(err)
			}
			authority := openvpntest.NewAuthority(t)
			ann, bob := authority.Client("vsc-ann"), authority.Client("vsc-bob")
			with := withSSL(n, "ssl-t", "172.29.0.0/24", "10.0.1.0/24")
			server := &with.VPNGateways[0].SSL[0]
			server.Protocol = protocol
			authority.Put(server, ann, bob)
			mustApply(t, e, with)
			at := netip.AddrPortFrom(with.VPNGateways[0].Address, server.Port)

			a := nstest.Host(t, dataplane.Namespace(n.ID), "vsw-a", "10.0.1.5/24", "10.0.1.253")
			b := nstest.Host(t, dataplane.Namespace(n.ID), "vsw-b", "10.0.2.5/24", "10.0.2.253")
			annAt := s.house(t, "ann", "203.0.113.77")
			bobAt := behind(t, s.house(t, "bob", "203.0.113.78"))
			for _, h := range []*netns.Namespace{a, b, annAt, bobAt} {
				nstest.Listen(t, h, 7)
				nstest.Echo(t, h, 9)
			}
			leaked := privateSources(t, s.public, "pub0")
			openvpntest.Connect(t, annAt, authority.Config(at, protocol, ann))
			openvpntest.Connect(t, bobAt, authority.Config(at, protocol, bob))
			through := func(ns *netns.Namespace, certificate string) {
				t.Helper()
				// A client that finds its server gone pings for seconds first.
				nstest.EventuallyWithin(t, time.Minute, func() error {
					seen, err := nstest.Seen(ns, "tcp4", "10.0.1.5:7")
					if is := sessions(t, e, n.ID, "ssl-t")[certificate].Address.String(); err == nil && seen != is {
						return fmt.Errorf("%s is seen as %s, not %s", certificate, seen, is)
					}
					return err
				})
			}
			through(annAt, ann.ID)
			through(bobAt, bob.ID)
			for id, ns := range map[string]*netns.Namespace{ann.ID: annAt, bob.ID: bobAt} {
				is := sessions(t, e, n.ID, "ssl-t")[id]
				sees(t, a, "tcp4", is.Address.String()+":7", "10.0.1.5")
				sees(t, a, "udp4", is.Address.String()+":7", "10.0.1.5")
				nstest.Stream(t, ns, "10.0.1.5:9", 1<<20)
				nstest.Stream(t, a, is.Address.String()+":9", 1<<20)
				nstest.Ping(t, ns, "10.0.1.5", 1, 1400, 3000)
				nstest.Ping(t, ns, "172.29.0.1", 1)
				nstest.Command(t, ns, "ip", "route", "add", "10.0.2.0/24", "dev", "tun0")
				unreached(t, e, n.ID, ns, "10.0.2.5:7")
			}

			// Another engine takes over, and nobody notices.
			running := nstest.MustDial(t, annAt, "tcp4", "10.0.1.5:7")
			before := sessions(t, e, n.ID, "ssl-t")
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := nstest.AskWithin(running, nstest.Deadline); err != nil {
				t.Errorf("without an engine: %v", err)
			}
			e = s.engine(t)
			if o := mustApply(t, e, with); o.Changes != 0 {
				t.Errorf("%d changes by another engine:\n%s", o.Changes, s.log)
			}
			if _, err := nstest.AskWithin(running, nstest.Deadline); err != nil {
				t.Errorf("by another engine: %v", err)
			}
			for id, was := range before {
				if is := sessions(t, e, n.ID, "ssl-t")[id]; is.Address != was.Address || !is.Since.Equal(was.Since) {
					t.Errorf("another engine: %s has session %+v, had %+v", id, is, was)
				}
			}

			t.Run("damages", func(t *testing.T) {
				reconcile(t, e, with) // until they are over
				pids := openVPNs(t, s)
				if len(pids) != 1 {
					t.Fatalf("processes %v", pids)
				}
				if err := unix.Kill(pids[0], unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
				through(annAt, ann.ID)
				through(bobAt, bob.ID)
				nstest.Command(t, inNetwork(t, n.ID), "ip", "link", "del", "ssl-t")
				through(annAt, ann.ID)
				through(bobAt, bob.ID)
			})

			// Ann's certificate is deleted. Her session ends, and his goes on.
			running = nstest.MustDial(t, bobAt, "tcp4", "10.0.1.5:7")
			if _, err := nstest.AskWithin(running, nstest.Deadline); err != nil {
				t.Fatal(err)
			}
			revoked := *with
			revoked.Revision++
			revoked.VPNGateways = slices.Clone(with.VPNGateways)
			revoked.VPNGateways[0].SSL = slices.Clone(with.VPNGateways[0].SSL)
			authority.Put(&revoked.VPNGateways[0].SSL[0], bob)
			revoked.VPNGateways[0].SSL[0].Revoked = []dataplane.SSLSerial{ann.Serial}
			mustApply(t, e, &revoked)
			nstest.Eventually(t, func() error {
				if _, there := sessions(t, e, n.ID, "ssl-t")[ann.ID]; there {
					return errors.New("a session of a deleted certificate goes on")
				}
				return nil
			})
			if seen, err := nstest.Seen(annAt, "tcp4", "10.0.1.5:7"); err == nil {
				t.Errorf("whose certificate is deleted is seen as %s", seen)
			}
			if _, err := nstest.AskWithin(running, nstest.Deadline); err != nil {
				t.Errorf("a deleted certificate ends another's connection: %v", err)
			}
			without := *n
			without.Revision = revoked.Revision + 1
			mustApply(t, e, &without)
			if pids := openVPNs(t, s); len(pids) > 0 {
				t.Errorf("processes %v are left", pids)
			}
			if n := leaked(); n > 0 {
				t.Errorf("%d packets left with a private source", n)
			}
		})
	}
}
