package ipsec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// Both ends begin at once, again and again: the tunnel is there each time, and
// what has come about twice is taken down.
func TestSimultaneousInitiation(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		for _, version := range []int{1, 2} {
			c := usual()
			c.IKE.Version = version
			l.answer(c)
			child := slices.Collect(maps.Keys(children(&c)))[0]
			twice := false
			for range 8 {
				log, err := os.ReadFile(filepath.Join(l.dir, dataplane.LinkName(network), logFile))
				if err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
				// What charon has dropped without a word, as the peer has said of another one that it
				// is the first (INITIAL_CONTACT; RFC 7296, section 2.4), is left to the peer.
				dropped := strings.Contains(string(log), "received INITIAL_CONTACT")
				l.apply() // the connection goes
				l.eventually(func() error {
					if dropped {
						_, _ = l.trySwanctl("--terminate", "--ike", "peer", "--force", "--timeout", "5")
					}
					if at := l.sas(); at.ike != "" {
						return fmt.Errorf("the peer still has %q", at.ike)
					}
					return nil
				})
				done := make(chan struct{})
				go func() {
					defer close(done)
					// It fails where the other end has been faster.
					_, _ = l.trySwanctl("--initiate", "--ike", "peer", "--child", child, "--timeout", "20")
				}()
				l.apply(c)
				<-done
				l.carries("10.1.0.2")
				if twice = len(established(l.m, network)) > 1; twice {
					break
				}
			}
			t.Logf("IKEv%d: twice: %v", version, twice)
			l.eventually(func() error {
				if here := established(l.m, network); len(here) != 1 {
					return fmt.Errorf("%+v", here)
				}
				return nil
			})
			l.carries("10.1.0.2")
		}
	})
}

// Two gateways of this project find to one tunnel, which stays.
func TestTwoGateways(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		l.stopPeer()
		c := usual()
		d := c
		d.ID, d.Remote, d.LocalID, d.RemoteID = "vco-p", netip.MustParseAddr(gatewayAddr), c.RemoteID, c.LocalID
		d.Policies = dataplane.Product(c.Policies.Remotes(), c.Policies.Locals())
		other, err := New(Options{Dir: l.dir + "2", Path: l.path, Logger: slog.New(slog.NewTextHandler(l.log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := other.Apply(context.Background(), l.peer, "vpc-p", nil); err != nil {
				t.Error(err)
			}
			other.Close()
		})
		applied := make(chan error, 1)
		go func() {
			applied <- other.Apply(t.Context(), l.peer, "vpc-p", []dataplane.VPNGateway{{ID: "vpn-p", Address: c.Remote, Connections: []dataplane.VPNConnection{d}}})
		}()
		l.apply(c)
		if err := <-applied; err != nil {
			t.Fatal(err)
		}
		l.eventually(func() error {
			near, nearUp := l.m.Link(network, c.ID)
			far, farUp := other.Link("vpc-p", d.ID)
			if !nearUp || !farUp {
				return fmt.Errorf("up: %v here, %v there", nearUp, farUp)
			}
			return errors.Join(lead(l.gw, c.Policies.Remotes()[0], near, ""), lead(l.peer, d.Policies.Remotes()[0], far, ""))
		})
		l.eventually(func() error { return reaches(l.a, "10.1.0.2") })
		// One is left at last, the same at both ends, and nobody makes another one.
		l.eventually(func() error {
			here, there := established(l.m, network), established(other, "vpc-p")
			if len(here) != 1 || len(there) != 1 || here[0].spi != there[0].spi || here[0].age <= settle {
				return fmt.Errorf("%+v here, %+v there", here, there)
			}
			return nil
		})
		nstest.Ping(t, l.a, "10.1.0.2", 56, 1200)
	})
}

// established returns the IKE_SAs of Gateways' network.
func established(m *Gateways, network string) []ikeSA {
	var all []ikeSA
	for _, g := range m.of(network) {
		g.mu.Lock()
		if g.charon != nil {
			list, _ := g.charon.list()
			all = append(all, list...)
		}
		g.mu.Unlock()
	}
	return all
}

// Two connections with the same peer do not get into each other's way: with IKEv2
// each has an IKE_SA of its own, with IKEv1 both are in one.
func TestSamePeer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		for version, ikes := range map[int]int{1: 1, 2: 2} {
			c := usual()
			c.IKE.Version = version
			d := c
			d.ID, d.Policies = "vco-u", dataplane.Product(d.Policies.Locals(), prefixes("10.2.0.0/24"))
			l.answer(c, d)
			l.apply(c, d)
			l.carries("10.1.0.2", "10.2.0.2")
			// They come to rest.
			l.eventually(func() error {
				list := established(l.m, network)
				for _, sa := range list {
					if sa.age <= settle {
						return fmt.Errorf("%+v", list)
					}
				}
				if len(list) != ikes {
					return fmt.Errorf("%+v", list)
				}
				return nil
			})
			for _, id := range []string{c.ID, d.ID} {
				if s := l.m.Status(network)[id]; !s.IKE || !s.Child || s.Outbound.Packets < 2 || s.Error != "" {
					t.Errorf("IKEv%d: status %+v", version, s)
				}
			}
			// One goes, whichever has begun the IKE_SA, and the other carries on.
			for _, rest := range []dataplane.VPNConnection{c, d} {
				l.apply(rest)
				l.eventually(func() error {
					if at := l.sas(); len(strings.Fields(at.ike)) != 1 || len(strings.Fields(at.esp)) != 2 {
						return fmt.Errorf("the peer has the IKE_SAs %q and the SPIs %q", at.ike, at.esp)
					}
					return l.route()
				})
				l.carries(rest.Policies.Remotes()[0].Addr().Next().Next().String())
				l.apply(c, d)
				l.carries("10.1.0.2", "10.2.0.2")
			}
			l.apply()
			l.eventually(func() error {
				if at := l.sas(); at.ike != "" {
					return fmt.Errorf("the peer still has %q", at.ike)
				}
				return nil
			})
		}
		b, err := os.ReadFile(filepath.Join(l.peerDir, logFile))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "received INITIAL_CONTACT") {
			t.Error("the peer has dropped an IKE_SA because another one said that it was the first")
		}
	})
}

// sas are those that the peer has: SPIs of both ends.
type sas struct{ ike, esp string }

var ikeSPIs = regexp.MustCompile(`[0-9a-f]{16}_i\*? [0-9a-f]{16}_r`)

func (l *lab) sas() sas {
	l.t.Helper()
	said := l.swanctl("--list-sas")
	var ike []string
	for _, pair := range ikeSPIs.FindAllString(said, -1) {
		ike = append(ike, strings.ReplaceAll(pair, " ", "/"))
	}
	return sas{strings.Join(ike, " "), spis(said)}
}
