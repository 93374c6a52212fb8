package ipsec

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

const behindNAT = "192.168.99.2" // the peer

// nat puts a router that masquerades between the gateway and the peer.
func (l *lab) nat() (router *netns.Namespace) {
	l.t.Helper()
	router = nstest.New(l.t)
	nstest.Command(l.t, l.peer, "ip", "link", "delete", "public")
	nstest.Veth(l.t, l.gw, "public", router, "public")
	nstest.Address(l.t, l.gw, "public", gatewayAddr+"/24")
	nstest.Address(l.t, router, "public", peerAddr+"/24")
	nstest.Veth(l.t, router, "inside", l.peer, "public")
	nstest.Address(l.t, router, "inside", "192.168.99.1/24")
	nstest.Address(l.t, l.peer, "public", behindNAT+"/24")
	nstest.Default(l.t, l.peer, "192.168.99.1")
	if err := router.Set(netns.Sysctl{Path: "ipv4/ip_forward", Value: "1"}); err != nil {
		l.t.Fatal(err)
	}
	return router
}

// translate makes a router use those ports from now on, as one does that has been
// restarted.
func translate(t *testing.T, router *netns.Namespace, ports string) {
	t.Helper()
	nstest.Command(t, router, "nft", "add table ip nat; flush table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }; "+
		"add rule ip nat out oifname public meta l4proto udp masquerade to :"+ports)
	err := router.Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) })
	if err != nil {
		t.Fatal(err)
	}
}

// A NAT in front of the peer forgets its mapping, and only the gateway's side
// sends: the peer's dead peer detection, every 30 s as is usual, finds the gateway's
// SA still there, which then follows to the new port.
func TestMappingChanges(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	mappingChanges(t, 2)
}

func TestMappingChangesIKEv1(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	mappingChanges(t, 1)
}

func mappingChanges(t *testing.T, version int) {
	each(t, func(t *testing.T, l *lab) {
		router := l.nat()
		translate(t, router, "20000-20999")
		c := usual()
		c.IKE.Version = version
		c.RemoteID = "branch.example"
		l.load(fmt.Sprintf("connections { peer { version = %d\nlocal_addrs = %s\nremote_addrs = %s\nproposals = %s\nencap = yes\ndpd_delay = 30s\ndpd_timeout = 90s\n"+
			"local { auth = psk\nid = %s\n}\nremote { auth = psk\nid = %s\n}\n"+
			"children { net { local_ts = 10.1.0.0/24\nremote_ts = 10.0.0.0/24\nesp_proposals = %s\ndpd_action = restart\nstart_action = start\n} } } }\n"+
			"secrets { ike { secret = \"%s\"\nid-1 = %[5]s\nid-2 = %[6]s\n} }\n",
			version, behindNAT, gatewayAddr, proposal(c.IKE.Proposal), c.RemoteID, c.LocalID, proposal(c.ESP.Proposal), string(c.PSK)))
		l.apply(c)
		// Charon begins again when it is told to, not when it fails.
		l.eventually(func() error {
			if s := l.m.Status(network)[c.ID]; !s.Child {
				_, _ = l.trySwanctl("--initiate", "--child", "net", "--timeout", "3")
				return fmt.Errorf("down: %+v", s)
			}
			return nil
		})
		l.carries("10.1.0.2")
		arrived, sent := l.oneWay("10.1.0.2:9000")
		l.eventually(func() error {
			if arrived.Load() == 0 {
				return fmt.Errorf("nothing of %d arrives", sent.Load())
			}
			return nil
		})
		before := l.m.Status(network)[c.ID]
		translate(t, router, "21000-21999")
		change, began := sent.Load(), time.Now()
		eventually(t, 3*patience, func() error {
			if arrived.Load() <= change+1 {
				return fmt.Errorf("none of %d arrives: %+v", sent.Load()-change, l.m.Status(network)[c.ID])
			}
			return nil
		})
		t.Logf("back after %s", time.Since(began))
		// The gateway's own attempt, which the NAT does not let in, may be under way still.
		after := l.m.Status(network)[c.ID]
		sas := slices.DeleteFunc(slices.Clone(after.SAs), func(s dataplane.VPNSA) bool { return s.State == "CONNECTING" })
		if len(sas) != 1 || sas[0].Remote.Port() < 21000 || after.DPDEvents != before.DPDEvents {
			t.Errorf("not moved to the new port: %+v", after)
		}
	})
}

// oneWay sends numbered datagrams to the host behind the peer, which answers
// nothing, until the test ends. It returns the largest number that has arrived, and
// that was sent.
func (l *lab) oneWay(address string) (arrived, sent *atomic.Uint64) {
	l.t.Helper()
	arrived, sent = new(atomic.Uint64), new(atomic.Uint64)
	var hears net.PacketConn
	err := l.b.Do(func() (err error) { hears, err = net.ListenPacket("udp4", address); return err })
	if err != nil {
		l.t.Fatal(err)
	}
	says := nstest.MustDial(l.t, l.a, "udp4", address)
	ctx, cancel := context.WithCancel(l.t.Context())
	done := make(chan struct{}, 2)
	l.t.Cleanup(func() { cancel(); hears.Close(); <-done; <-done })
	go func() {
		defer func() { done <- struct{}{} }()
		buf := make([]byte, 8)
		for {
			n, _, err := hears.ReadFrom(buf)
			if err != nil {
				return
			}
			if n == 8 {
				arrived.Store(max(arrived.Load(), binary.BigEndian.Uint64(buf)))
			}
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		for i := uint64(1); ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
			sent.Store(i)
			_, _ = says.Write(binary.BigEndian.AppendUint64(nil, i)) // refused while there is no tunnel
		}
	}()
	return arrived, sent
}

// load gives the peer a swanctl.conf.
func (l *lab) load(conf string) {
	l.t.Helper()
	name := filepath.Join(l.peerDir, "swanctl.conf")
	if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.swanctl("--load-all", "--clear", "--file", name)
}
