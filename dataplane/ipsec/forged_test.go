package ipsec

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// saInit is a message with which an IKE_SA may begin (RFC 7296, section 1.2): of AES_CBC-128,
// HMAC_SHA1_96, PRF_HMAC_SHA1 and MODP_1024, with numbers that nobody knows the secrets of.
func saInit() []byte {
	random := func(n int) []byte {
		b := make([]byte, n)
		_, _ = rand.Read(b)
		return b
	}
	transforms := slices.Concat(
		[]byte{3, 0, 0, 12, 1, 0, 0, 12, 0x80, 14, 0, 128}, []byte{3, 0, 0, 8, 3, 0, 0, 2},
		[]byte{3, 0, 0, 8, 2, 0, 0, 2}, []byte{0, 0, 0, 8, 4, 0, 0, 2})
	proposal := slices.Concat([]byte{0, 0, 0, byte(8 + len(transforms)), 1, 1, 0, 4}, transforms)
	m := slices.Concat(random(8), make([]byte, 8), []byte{33, 0x20, 34, 0x08}, make([]byte, 8),
		[]byte{34, 0, 0, byte(4 + len(proposal))}, proposal,
		[]byte{40, 0, 0, 136, 0, 2, 0, 0}, random(128),
		[]byte{0, 0, 0, 36}, random(32))
	binary.BigEndian.PutUint32(m[24:], uint32(len(m)))
	return m
}

// storm sends such messages to the gateway from some address of a namespace until it is
// stopped.
func storm(t *testing.T, ns *netns.Namespace, from, to string, pause time.Duration) (stop func()) {
	t.Helper()
	var c net.Conn
	err := ns.Do(func() (err error) {
		c, err = net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(from), Port: 5000}, &net.UDPAddr{IP: net.ParseIP(to), Port: 500})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				_, _ = c.Write(saInit())
			}
		}
	})
	return func() { close(done); running.Wait(); c.Close() }
}

// Whoever begins negotiations in the peer's name, and goes no further, neither disturbs a
// tunnel nor keeps the peer from having one again, nor fills a log: beyond three, what he
// has to prove first is that answers reach him (RFC 7296, section 2.6).
func TestForgedNegotiations(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		c := usual()
		l.answer(c)
		l.apply(c)
		l.eventually(l.route)
		l.carries("10.1.0.2")
		began := func() int {
			text, err := os.ReadFile(filepath.Join(l.dir, network, logFile))
			if err != nil {
				t.Fatal(err)
			}
			return strings.Count(string(text), "is initiating an IKE_SA")
		}
		before, said := began(), len(l.log.String())
		stop := storm(t, l.peer, peerAddr, gatewayAddr, time.Millisecond)
		steady := l.steady("10.1.0.2:7")
		came := func() uint64 { return nstest.Link(t, l.gw, "public").Attrs().Statistics.RxPackets }
		first := came()
		l.eventually(func() error {
			if n := came() - first; n < 1000 {
				return fmt.Errorf("%d packets have come", n)
			}
			return nil
		})
		if sent, lost := steady(); lost > 0 {
			t.Errorf("%d of %d packets were lost", lost, sent)
		}
		if n := began() - before; n == 0 || n > 10 {
			t.Errorf("%d were taken up", n)
		}
		if more := l.log.String()[said:]; strings.Count(more, "\n") > 3 {
			t.Errorf("the log has %s", more)
		}
		l.endPeer()
		l.startPeer()
		l.answer(c)
		l.eventually(l.route)
		l.carries("10.1.0.2")
		stop()
	})
}
