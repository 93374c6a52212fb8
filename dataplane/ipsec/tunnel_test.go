package ipsec

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// Every mode and the algorithms of each age, as the peer sees them.
func TestTunnel(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		for _, v := range []struct {
			name     string
			change   func(c *dataplane.VPNConnection)
			ike, esp string // as the peer says
			to       []string
		}{
			{"ikev2", func(*dataplane.VPNConnection) {},
				"AES_CBC-128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024", "AES_CBC-128/HMAC_SHA1_96", []string{"10.1.0.2"}},
			{"ikev1 main", func(c *dataplane.VPNConnection) {
				c.IKE.Version = 1
				c.IKE.Proposal = dataplane.Proposal{Encryption: dataplane.TripleDES, Integrity: dataplane.MD5, Group: 5}
				c.ESP.Proposal = dataplane.Proposal{Encryption: dataplane.AES192, Integrity: dataplane.SHA384, Group: 14}
			}, "3DES_CBC/HMAC_MD5_96/PRF_HMAC_MD5/MODP_1536", "AES_CBC-192/HMAC_SHA2_384_192/MODP_2048", []string{"10.1.0.2"}},
			{"ikev1 aggressive, several subnets", func(c *dataplane.VPNConnection) {
				c.IKE.Version, c.IKE.Aggressive = 1, true
				c.LocalID, c.RemoteID = "gateway.example", "peer.example"
				c.IKE.Proposal = dataplane.Proposal{Encryption: dataplane.AES256, Integrity: dataplane.SHA256, Group: 24}
				c.ESP.Proposal = dataplane.Proposal{Encryption: dataplane.AES256, Integrity: dataplane.SHA512}
				c.Policies = dataplane.Product(c.Policies.Locals(), prefixes("10.1.0.0/24", "10.2.0.0/24"))
			}, "AES_CBC-256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048_256", "AES_CBC-256/HMAC_SHA2_512_256", []string{"10.1.0.2", "10.2.0.2"}},
			{"ikev2, several subnets, and one without an address here", func(c *dataplane.VPNConnection) {
				c.LocalID, c.RemoteID = "gateway.example", "peer.example"
				c.IKE.Proposal = dataplane.Proposal{Encryption: dataplane.DES, Integrity: dataplane.SHA512, Group: 1}
				c.ESP.Proposal = dataplane.Proposal{Encryption: dataplane.DES, Integrity: dataplane.MD5, Group: 1}
				c.Policies = dataplane.Product(prefixes("10.0.0.0/24", "10.77.0.0/24"), c.Policies.Remotes())
				c.Policies = dataplane.Product(c.Policies.Locals(), prefixes("10.1.0.0/24", "10.2.0.0/24"))
				c.IKE.Lifetime, c.ESP.Lifetime, c.DPD, c.NATTraversal = 0, 0, false, false
			}, "DES_CBC/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/MODP_768", "DES_CBC/HMAC_MD5_96", []string{"10.1.0.2", "10.2.0.2"}},
		} {
			t.Run(v.name, func(t *testing.T) {
				l.t = t
				c := usual()
				v.change(&c)
				l.answer(c)
				began := time.Now()
				l.apply(c)
				l.eventually(l.route)
				t.Logf("up after %s", time.Since(began))
				l.carries(v.to...)
				said := l.swanctl("--list-sas")
				if !strings.Contains(said, v.ike) || !strings.Contains(said, "ESP:"+v.esp+"\n") {
					t.Errorf("the peer says %s\nwant %s, %s", said, v.ike, v.esp)
				}
				s := l.m.Status(network)[c.ID]
				if !s.IKE || !s.Child || s.Error != "" || s.IKEProposal != v.ike || s.ESPProposal != v.esp {
					t.Errorf("status %+v", s)
				}
				if s.Inbound.Packets < 2 || s.Outbound.Packets < 2 || s.Inbound.Bytes < 1200 || s.Outbound.Bytes < 1200 {
					t.Errorf("counted %+v in, %+v out", s.Inbound, s.Outbound)
				}
			})
		}
		l.t = t
	})
}

// What stands in the way is said.
func TestReasons(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		v1 := func(c *dataplane.VPNConnection) { c.IKE.Version = 1 }
		none := func(*dataplane.VPNConnection) {}
		for _, v := range []struct {
			name   string
			both   func(c *dataplane.VPNConnection)
			peer   func(c *dataplane.VPNConnection) // what the peer has otherwise
			reason string
		}{
			{"key", none, func(c *dataplane.VPNConnection) { c.PSK = "another" }, "AUTHENTICATION_FAILED"},
			{"key, IKEv1", v1, func(c *dataplane.VPNConnection) { c.PSK = "another" }, "pre-shared key is another"},
			{"peer's id", none, func(c *dataplane.VPNConnection) { c.RemoteID = "someone.example" }, "AUTHENTICATION_FAILED"},
			{"own id", none, func(c *dataplane.VPNConnection) { c.LocalID = "someone.example" }, "AUTHENTICATION_FAILED"},
			{"IKE's algorithms", none, func(c *dataplane.VPNConnection) { c.IKE.Proposal.Integrity = dataplane.MD5 }, "NO_PROPOSAL_CHOSEN"},
			{"IKE's algorithms, IKEv1", v1, func(c *dataplane.VPNConnection) { c.IKE.Proposal.Group = 14 }, "NO_PROPOSAL_CHOSEN"},
			{"ESP's algorithms", none, func(c *dataplane.VPNConnection) { c.ESP.Proposal.Integrity = dataplane.MD5 }, "phase 2"},
			{"subnets", none, func(c *dataplane.VPNConnection) {
				c.Policies = dataplane.Product(c.Policies.Locals(), prefixes("10.9.0.0/24"))
			}, "TS_UNACCEPTABLE"},
			{"address", func(c *dataplane.VPNConnection) { c.Remote = c.Remote.Next() }, none, "does not answer"},
		} {
			t.Run(v.name, func(t *testing.T) {
				l.t = t
				c := usual()
				v.both(&c)
				there := c
				v.peer(&there)
				l.answer(there)
				l.apply() // forgets what was before
				l.apply(c)
				l.eventually(func() error {
					s := l.m.Status(network)[c.ID]
					if s.Child {
						t.Fatalf("established: %+v", s)
					}
					if !strings.Contains(s.Error, v.reason) {
						return fmt.Errorf("status %+v, want %q", s, v.reason)
					}
					return nil
				})
				t.Log(l.m.Status(network)[c.ID].Error)
			})
		}
		l.t = t
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		if s := l.m.Status(network)[c.ID]; s.Error != "" {
			t.Errorf("mended: %+v", s)
		}
	})
}

// A charon that is killed is back with its tunnels in 10 s.
func TestCharonDies(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		before := l.m.Status(network)[c.ID].Inbound
		old := l.pid()
		began := time.Now()
		l.kill()
		eventually(t, 10*time.Second, func() error {
			if pids, err := find(filepath.Join(l.dir, network)); err != nil || len(pids) != 1 || pids[0] == old {
				return fmt.Errorf("charons: %v, %v", pids, err)
			}
			return l.route()
		})
		t.Logf("back after %s", time.Since(began))
		l.carries("10.1.0.2")
		if after := l.m.Status(network)[c.ID].Inbound; after.Packets < before.Packets+2 {
			t.Errorf("counted %+v, then %+v", before, after)
		}
	})
}

// Charon's threads do not interrupt each other where they carry the packets.
func TestBatches(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		l.apply(usual())
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", l.pid()))
		if err != nil || len(threads) < 2 {
			t.Fatalf("%d threads: %v", len(threads), err)
		}
		want := uint32(unix.SCHED_NORMAL)
		if l.path == dataplane.VPNByLibipsec {
			want = unix.SCHED_BATCH
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				t.Fatal(err)
			}
			attr, err := unix.SchedGetAttr(id, 0)
			if err != nil || attr.Policy != want {
				t.Errorf("thread %d has policy %+v, %v, want %d", id, attr, err, want)
			}
		}
		if own, err := unix.SchedGetAttr(0, 0); err != nil || own.Policy != unix.SCHED_NORMAL {
			t.Errorf("ours is %+v, %v", own, err)
		}
	})
}

// A peer that falls silent is found dead, and the tunnel is back with it.
func TestDeadPeer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		nstest.Command(t, l.peer, "ip", "link", "set", "public", "down")
		began := time.Now()
		l.eventually(func() error {
			if s := l.m.Status(network)[c.ID]; s.IKE || s.Child || s.DPDEvents != 1 || !strings.Contains(s.Error, "does not answer") {
				return fmt.Errorf("status %+v", s)
			}
			return nil
		})
		t.Logf("found dead after %s", time.Since(began))
		nstest.Command(t, l.peer, "ip", "link", "set", "public", "up")
		began = time.Now()
		l.carries("10.1.0.2")
		t.Logf("back after %s", time.Since(began))
		if s := l.m.Status(network)[c.ID]; s.Error != "" {
			t.Errorf("status %+v", s)
		}
	})
}

// The next Gateways finds charon at work, and no packet is lost meanwhile.
func TestAdopt(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		stop := l.steady("10.1.0.2:7")
		pid, sa := l.pid(), l.swanctl("--list-sas")
		l.m.Close()
		if l.pid() != pid {
			t.Error("charon ended with the Gateways")
		}
		l.open()
		l.apply(c)
		l.eventually(l.route)
		sent, lost := stop()
		if l.pid() != pid {
			t.Error("charon was started anew")
		}
		if lost > 0 || sent == 0 {
			t.Errorf("%d of %d lost", lost, sent)
		}
		if now := l.swanctl("--list-sas"); spis(now) != spis(sa) {
			t.Errorf("negotiated again: %s\n%s", sa, now)
		}
		// It hears again of what happens.
		l.swanctl("--terminate", "--ike", "peer")
		l.eventually(func() error {
			if now := l.swanctl("--list-sas"); spis(now) == spis(sa) || !l.m.Status(network)[c.ID].Child {
				return fmt.Errorf("not negotiated again: %s", now)
			}
			return nil
		})
		l.carries("10.1.0.2")
	})
}

// spis returns the lines of swanctl that have the SPIs of CHILD_SAs.
func spis(said string) string {
	var out []string
	for line := range strings.Lines(said) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "in" || f[0] == "out") {
			out = append(out, f[1])
		}
	}
	return strings.Join(out, " ")
}

// steady sends datagrams to the host behind the peer, one after the other, until
// it is stopped.
func (l *lab) steady(address string) (stop func() (sent, lost int)) {
	nstest.Echo(l.t, l.b, 7)
	conn := nstest.MustDial(l.t, l.a, "udp4", address)
	type result struct{ sent, lost int }
	done, end := make(chan result), make(chan struct{})
	go func() {
		var r result
		buf := make([]byte, 100)
		for {
			select {
			case <-end:
				done <- r
				return
			default:
			}
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			r.sent++
			if _, err := conn.Write([]byte("x")); err != nil {
				r.lost++
			} else if _, err := conn.Read(buf); err != nil {
				r.lost++
			}
		}
	}()
	return func() (int, int) { close(end); r := <-done; return r.sent, r.lost }
}

// A connection that is established is negotiated again as it is changed.
func TestChange(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		before := spis(l.swanctl("--list-sas"))
		l.apply(c)
		l.carries("10.1.0.2")
		if now := spis(l.swanctl("--list-sas")); now != before {
			t.Error("negotiated again without a change")
		}
		for _, v := range []struct {
			what   string
			change func()
			to     string
		}{
			{"key", func() { c.PSK = testKey + " 2" }, "10.1.0.2"},
			{"proposal", func() { c.IKE.Proposal.Integrity, c.ESP.Proposal.Encryption = dataplane.SHA256, dataplane.AES256 }, "10.1.0.2"},
			{"subnets", func() { c.Policies = dataplane.Product(c.Policies.Locals(), prefixes("10.2.0.0/24")) }, "10.2.0.2"},
		} {
			v.change()
			l.answer(c)
			began := time.Now()
			l.apply(c)
			l.eventually(func() error {
				now := spis(l.swanctl("--list-sas"))
				if now == before || !l.m.Status(network)[c.ID].Child || strings.Count(now, " ") != 1 {
					return fmt.Errorf("after a change of %s: %s, then %s", v.what, before, now)
				}
				return l.route()
			})
			t.Logf("%s: %s", v.what, time.Since(began))
			l.carries(v.to)
			before = spis(l.swanctl("--list-sas"))
		}
		// A second one, and the first goes.
		d := usual()
		d.ID, d.Policies = "vco-u", dataplane.Product(d.Policies.Locals(), prefixes("10.1.0.0/24"))
		l.answer(d)
		l.apply(d)
		l.carries("10.1.0.2")
		if name, up := l.m.Link(network, c.ID); name != "" || up {
			t.Errorf("a connection that is gone has link %q, %v", name, up)
		}
	})
}

// Counters do not fall when an SA is replaced.
func TestRekey(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		c := usual()
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		before := l.m.Status(network)[c.ID]
		l.asked = 0
		l.swanctl("--rekey", "--child", c.ID)
		l.eventually(func() error {
			s := l.m.Status(network)[c.ID]
			if s.Inbound.Packets < before.Inbound.Packets || s.Inbound.Bytes < before.Inbound.Bytes {
				t.Errorf("counted %+v, then %+v", before.Inbound, s.Inbound)
			}
			if s.Rekeys != before.Rekeys+1 {
				return fmt.Errorf("rekeyed %d times", s.Rekeys)
			}
			// What the old one carries after charon's last look at it is not counted.
			list := established(l.m, network)
			if len(list) != 1 || len(list[0].children) != 1 || list[0].children[0].state != "INSTALLED" {
				return fmt.Errorf("the old one is still there: %+v", list)
			}
			return nil
		})
		l.carries("10.1.0.2")
		l.swanctl("--rekey", "--ike", "peer")
		l.eventually(func() error {
			if s := l.m.Status(network)[c.ID]; s.Rekeys != before.Rekeys+2 || !s.IKE || !s.Child {
				return fmt.Errorf("status %+v", s)
			}
			return nil
		})
		// All probes, of which a slow machine may need several, and two pings.
		packets := l.asked + 2
		if s := l.m.Status(network)[c.ID]; s.Inbound.Packets != before.Inbound.Packets+packets || s.Outbound.Packets != before.Outbound.Packets+packets {
			t.Errorf("counted %+v, %+v, then %+v, %+v after %d packets", before.Inbound, before.Outbound, s.Inbound, s.Outbound, packets)
		}
		if log := l.log.String(); strings.Contains(log, "an IPsec tunnel is down") {
			t.Errorf("the tunnel was down:\n%s", log)
		}
	})
}

// Both SAs are rekeyed while packets pass, by either end, and none is lost.
func TestRekeyUnderTraffic(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		c := usual()
		// Not both at once: charon does not find a CHILD_SA to rekey while its IKE_SA is
		// being replaced, and with such a lifetime it ends before there is another chance.
		c.IKE.Lifetime, c.ESP.Lifetime = 24, 10
		l.answer(c)
		l.apply(c)
		l.carries("10.1.0.2")
		before := l.sas()
		stop := l.steady("10.1.0.2:7")
		l.eventually(func() error { // the lifetimes end
			if s := l.m.Status(network)[c.ID]; s.Rekeys < 3 || l.sas().ike == before.ike {
				return fmt.Errorf("rekeyed %d times", s.Rekeys)
			}
			return nil
		})
		own := l.m.Status(network)[c.ID].Rekeys
		l.swanctl("--rekey", "--child", c.ID)
		l.swanctl("--rekey", "--ike", "peer")
		l.eventually(func() error {
			if s := l.m.Status(network)[c.ID]; s.Rekeys < own+2 {
				return fmt.Errorf("rekeyed %d times, then %d", own, s.Rekeys)
			}
			return nil
		})
		sent, lost := stop()
		t.Logf("%d datagrams, %d rekeyings", sent, l.m.Status(network)[c.ID].Rekeys)
		if lost > 0 || sent == 0 {
			t.Errorf("%d of %d lost", lost, sent)
		}
		if s := l.m.Status(network)[c.ID]; !s.IKE || !s.Child || s.Error != "" || s.Failures != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// Nothing is left of a gateway that is removed, also by Gateways that did not
// make it.
func TestRemove(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		for _, adopt := range []bool{false, true} {
			before := traces(t, l)
			c := usual()
			c.Policies = dataplane.Product(prefixes("10.0.0.0/24", "10.77.0.0/24"), c.Policies.Remotes())
			l.answer(c)
			l.apply(c)
			l.carries("10.1.0.2")
			b, err := os.ReadFile(filepath.Join(l.dir, network, logFile))
			if err != nil || strings.Contains(string(b), testKey) {
				t.Errorf("charon's log: %v, or it has the key", err)
			}
			if adopt {
				l.m.Close()
				l.open()
			}
			if err := l.m.Apply(t.Context(), l.gw, network, nil); err != nil {
				t.Fatal(err)
			}
			if pids, err := find(filepath.Join(l.dir, network)); err != nil || len(pids) > 0 {
				t.Errorf("charons: %v, %v", pids, err)
			}
			if _, err := os.Stat(filepath.Join(l.dir, network)); !os.IsNotExist(err) {
				t.Errorf("the directory is still there: %v", err)
			}
			// The kernel takes a TUN device down in its own time.
			l.eventually(func() error {
				if after := traces(t, l); after != before {
					return fmt.Errorf("left:\n%s\nwas:\n%s", after, before)
				}
				return nil
			})
			if len(l.m.Status(network)) > 0 {
				t.Error("there is still a status")
			}
		}
	})
}

func traces(t *testing.T, l *lab) string {
	t.Helper()
	s := nstest.Command(t, l.gw, "ip", "-br", "link") + nstest.Command(t, l.gw, "ip", "rule") + nstest.Command(t, l.gw, "ip", "-4", "route", "show", "table", "all")
	if l.path == dataplane.VPNByXFRM {
		s += nstest.Command(t, l.gw, "ip", "xfrm", "state") + nstest.Command(t, l.gw, "ip", "xfrm", "policy")
	}
	return s
}

// Without Start a connection waits for traffic, where the path can do that.
func TestOnDemand(t *testing.T) {
	l := newLab(t, dataplane.VPNByXFRM)
	before := traces(t, l)
	c := usual()
	c.Start = false
	l.answer(c)
	l.apply(c)
	name, up := l.m.Link(network, c.ID)
	if up {
		t.Error("negotiated without traffic")
	}
	if err := lead(l.gw, c.Policies.Remotes()[0], name, ""); err != nil {
		t.Fatal(err)
	}
	conn := nstest.MustDial(t, l.a, "udp4", "10.1.0.2:7")
	defer conn.Close()
	l.eventually(func() error {
		_, _ = conn.Write([]byte("x"))
		return l.route()
	})
	l.carries("10.1.0.2")
	if err := l.m.Apply(t.Context(), l.gw, network, nil); err != nil {
		t.Fatal(err)
	}
	l.eventually(func() error {
		if after := traces(t, l); after != before {
			return fmt.Errorf("left:\n%s\nwas:\n%s", after, before)
		}
		return nil
	})
}

func TestRefuses(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		able := l.m.Abilities(t.Context())
		for e := range encryptions {
			for i := range integrities {
				for g := range groups {
					c := usual()
					c.IKE.Proposal = dataplane.Proposal{Encryption: e, Integrity: i, Group: g}
					c.ESP.Proposal = c.IKE.Proposal
					if e == dataplane.Null { // of ESP alone
						c.IKE.Proposal.Encryption = dataplane.AES128
					}
					if err := able.Refuses(&c); err != nil {
						t.Errorf("%s, which Debian's strongSwan has: %v", proposal(c.IKE.Proposal), err)
					}
				}
			}
		}
		for _, change := range []func(c *dataplane.VPNConnection){
			func(c *dataplane.VPNConnection) { c.IKE.Proposal.Encryption = "rot13" },
			func(c *dataplane.VPNConnection) { c.ESP.Proposal.Integrity = "crc32" },
			func(c *dataplane.VPNConnection) { c.ESP.Proposal.Group = 3 },
			func(c *dataplane.VPNConnection) { c.IKE.Proposal.Group = 0 },
			func(c *dataplane.VPNConnection) { c.IKE.Proposal.Encryption = dataplane.Null },
		} {
			c := usual()
			change(&c)
			err := able.Refuses(&c)
			if err == nil {
				t.Errorf("not refused: %+v", c)
			}
			t.Log(err)
		}
		left, err := os.ReadDir(l.dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}
