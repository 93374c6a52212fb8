package session

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/bpf"
)

// Bits that bpf/types.h defines.
const (
	stateReset  = 0x10
	stateExact  = 0x20
	stateUnsure = 0x40
)

// An open connection of 10.0.1.6 with 198.51.100.1: the host has sent up to 5000 and
// has a window of 400; the outside has sent up to 900, and has one of 250.
func placed(f *fixture, change ...func(host, peer *bpf.GatewaySession)) (host, peer packet) {
	host, peer = tcp("10.0.1.6:4000", outside+":80", ""), tcp(outside+":80", "10.0.1.6:4000", "")
	host.timestamps, peer.timestamps = false, false
	var a, b bpf.GatewaySession
	f.learned(host, host, func(s *bpf.GatewaySession) {
		s.Acked, s.Window, s.Scale, s.End = 1000, 100, 2, 5000
		s.Flow = 0
		a = *s
	})
	f.learned(peer, peer, func(s *bpf.GatewaySession) {
		s.Acked, s.Window, s.Scale, s.End = 5000, 250, 0, 900
		s.Flow = flowReply | flowInbound
		b = *s
	})
	for _, c := range change {
		c(&a, &b)
	}
	k := host.key()
	f.put("sessions", &k, &a)
	k = peer.key()
	f.put("sessions", &k, &b)
	return host, peer
}

// A RST is let pass if it is in its receiver's window, and a FIN from the outside.
func TestEnds(t *testing.T) {
	f := newFixture(t)
	host, peer := placed(f)
	f.track(t, unix.IPPROTO_TCP, host.from, host.to)
	const fin = flagFIN | flagACK
	for _, c := range []struct {
		name    string
		program string
		flags   uint8
		seq     uint32
		payload int
		drop    bool
		state   uint32 // that is added
	}{
		{"RST where the host is", uplinkIngress, flagRST, 1000, 0, false, stateExact},
		{"RST at the window's end", uplinkIngress, flagRST, 1400, 0, false, 0},
		{"RST beyond the window", uplinkIngress, flagRST, 1401, 0, true, 0},
		{"RST before the window", uplinkIngress, flagRST, 999, 0, true, 0},
		{"RST far away", uplinkIngress, flagRST | flagACK, 1000 + 1<<29, 0, true, 0},
		{"RST as far as can be", uplinkIngress, flagRST, 1000 + 1<<31, 0, true, 0},
		{"FIN in the window", uplinkIngress, fin, 1100, 20, false, 0},
		{"FIN with what is known already", uplinkIngress, fin, 990, 20, false, 0},
		{"FIN of what is known already", uplinkIngress, fin, 980, 19, true, 0},
		{"FIN right behind the window", uplinkIngress, fin, 1401, 0, false, 0},
		{"FIN beyond the window", uplinkIngress, fin, 1402, 0, true, 0},
		{"FIN far away", uplinkIngress, fin, 1000 + 1<<29, 0, true, 0},
		{"host's RST where the outside is", switchIngress, flagRST, 5000, 0, false, stateExact},
		{"host's RST in the window", switchIngress, flagRST, 5250, 0, false, 0},
		{"host's RST beyond the window", switchIngress, flagRST, 5251, 0, true, 0},
		{"host's RST far away", switchIngress, flagRST, 5000 + 1<<29, 0, true, 0},
		{"host's FIN, wherever", switchIngress, fin, 5000 + 1<<29, 0, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			placed(f)
			p := peer
			if c.program == switchIngress {
				p = host
			}
			p.flags, p.seq, p.payload = c.flags, c.seq, fmt.Sprintf("%*s", c.payload, "")
			r := f.run(t, c.program, p.frame())
			if (r.Verdict == tcShot) != c.drop || (r.Stats[bpf.GatewayStatSTAT_OUT_OF_WINDOW] == 1) != c.drop {
				t.Errorf("verdict %d, counted %v; dropped should be %v", r.Verdict, r.Stats, c.drop)
			}
			if s := f.session(host.key()); s.State != stateConfirmed|c.state {
				t.Errorf("state %#x, want %#x", s.State, stateConfirmed|c.state)
			}
		})
	}
}

// Where nobody knows where the receiver is, a RST passes, and is marked as such; one
// of a host only if it is near to where the host itself was.
func TestEndsWithoutPlace(t *testing.T) {
	f := newFixture(t)
	host, peer := placed(f)
	f.track(t, unix.IPPROTO_TCP, host.from, host.to)
	for _, c := range []struct {
		name    string
		program string
		seq     uint32
		forget  func(host, peer *bpf.GatewaySession)
		drop    bool
	}{
		{"from the outside", uplinkIngress, 1 << 29, func(host, _ *bpf.GatewaySession) { host.Acked, host.End = 0, 0 }, false},
		{"of a host, near", switchIngress, 4000, func(_, peer *bpf.GatewaySession) { peer.Acked, peer.End = 0, 0 }, false},
		{"of a host, far", switchIngress, 1 << 29, func(_, peer *bpf.GatewaySession) { peer.Acked, peer.End = 0, 0 }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			placed(f, c.forget)
			p := peer
			if c.program == switchIngress {
				p = host
			}
			p.flags, p.seq = flagRST, c.seq
			r := f.run(t, c.program, p.frame())
			if (r.Verdict == tcShot) != c.drop {
				t.Errorf("verdict %d, dropped should be %v", r.Verdict, c.drop)
			}
			if s := f.session(host.key()); (s.State&stateUnsure != 0) == c.drop {
				t.Errorf("state %#x", s.State)
			}
		})
	}
}

// Packets say where their sender is; one that guesses from the outside is not
// believed.
func TestPlace(t *testing.T) {
	f := newFixture(t)
	for _, program := range []string{switchXDP, switchIngress, uplinkXDP, uplinkIngress} {
		public := program == uplinkXDP || program == uplinkIngress
		for _, c := range []struct {
			name       string
			seq, ack   uint32
			payload    int
			acked, end uint32 // afterwards, of the host
			window     uint16
		}{
			{"more", 5000, 1100, 30, 1100, 5030, 502},
			{"an acknowledgement", 5000, 1400, 0, 1400, 5000, 502},
			{"the same again", 4900, 1000, 100, 1000, 5000, 502},
			{"an earlier one", 4900, 900, 10, 1000, 5000, 100},
			{"some are missing", 9000, 1000, 10, 1000, 9010, 502},
		} {
			t.Run(program+"/"+c.name, func(t *testing.T) {
				host, peer := placed(f, func(host, peer *bpf.GatewaySession) {
					peer.Acked, peer.Window, peer.Scale, peer.End = host.Acked, host.Window, host.Scale, host.End
					peer.Path |= pathPublic
				})
				p := host
				if public {
					p = peer
				}
				p.seq, p.ack, p.payload = c.seq, c.ack, fmt.Sprintf("%*s", c.payload, "")
				f.run(t, program, p.frame())
				if s := f.session(p.key()); s.Acked != c.acked || s.End != c.end || s.Window != c.window {
					t.Errorf("acknowledged %d, sent %d, window %d; want %d, %d, %d", s.Acked, s.End, s.Window, c.acked, c.end, c.window)
				}
			})
		}
		t.Run(program+"/a guess", func(t *testing.T) {
			host, peer := placed(f, func(_, peer *bpf.GatewaySession) { peer.Path |= pathPublic })
			p := host
			if public {
				p = peer
			}
			before := *f.session(p.key())
			p.seq, p.ack = 1<<29, 1<<30
			f.run(t, program, p.frame())
			if s := f.session(p.key()); (s.Acked != before.Acked || s.End != before.End) == public {
				t.Errorf("acknowledged %d, sent %d; before it was %d, %d", s.Acked, s.End, before.Acked, before.End)
			}
		})
	}
}

// A first fragment that does not say whether it ends its connection does not pass.
func TestTinyFragment(t *testing.T) {
	f := newFixture(t)
	p := tcp(outside+":80", "203.0.113.10:1025", "").with(func(p *packet) { p.fragment = moreFragments })
	for length, verdict := range map[int]int32{8: tcShot, 16: tcShot, 24: tcNext} {
		frame := p.frame()
		frame[ethernetHeader+2], frame[ethernetHeader+3] = 0, byte(ipHeader+length)
		if r := f.run(t, uplinkIngress, frame[:ethernetHeader+ipHeader+length]); r.Verdict != verdict {
			t.Errorf("%d bytes of TCP: verdict %d, want %d", length, r.Verdict, verdict)
		}
	}
}
