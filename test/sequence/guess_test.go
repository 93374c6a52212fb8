package sequence

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// opened is an open connection of a kind: a host that is called speaks first, and
// both have spoken.
func opened(kind, port int) *generator {
	k := kinds[kind]
	g := &generator{r: rand.New(rand.NewPCG(uint64(kind), 1)), s: &Sequence{Kind: k.name, Protocol: unix.IPPROTO_TCP}, opener: side(!k.inside)}
	g.s.Inside, g.s.External, g.s.Outside = k.ends(uint16(firstPort - 100 + 10*port + kind))
	a, b := g.opener, 1-g.opener
	g.hosts[a] = host{next: 1 << 30, window: 64240, scale: 7}
	g.hosts[b] = host{next: 1 << 31, window: 65160, scale: 7}
	g.segment(a, SYN, 0, "", false)
	g.segment(b, SYN|ACK, 0, "", false)
	g.segment(a, ACK, 0, "", false)
	for range 3 {
		g.segment(b, ACK|PSH, 40, "", false)
		g.segment(a, ACK, 0, "", false)
		g.segment(a, ACK|PSH, 100, "", false)
		g.segment(b, ACK, 0, "", false)
	}
	g.segment(b, ACK|PSH, 1000, "nobody acknowledges it where conntrack sees it", false)
	g.segment(a, ACK, 0, "", false)
	return g
}

// guesses are the ends of the connection that somebody outside makes up. The last
// guess, of a FIN, is too near for conntrack alone.
func (g *generator) guesses(flags ...uint8) {
	other := g.hosts[inside]
	for _, flags := range flags {
		for _, far := range []uint32{1 << 29, 7 << 29, 1 << 31, 1 << 24, -uint32(other.window) << 7} {
			if g.alone && flags&FIN != 0 && far>>31 == 1 && far != 7<<29 {
				continue
			}
			g.step(outside, Packet{Flags: flags, Seq: other.acked + far, Ack: g.hosts[outside].heard}, "a stranger")
			g.s.Steps[len(g.s.Steps)-1].Harmless = true
		}
	}
}

func (g *generator) run(t *testing.T, gateways *Gateways) {
	t.Helper()
	difference, err := gateways.Run(g.s)
	if err != nil {
		t.Fatal(err)
	}
	if difference != "" {
		t.Error(difference)
	}
	g.s.Steps = nil
}

func newGateways(t *testing.T, opt Options) *Gateways {
	t.Helper()
	g, err := New(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// Nobody who does not know where a connection is ends it, or shortens its life:
// with programs, those of a daemon before, and none; and it is there after two
// hours.
func TestGuessedEnds(t *testing.T) {
	skipWithoutRoot(t)
	for _, without := range []bool{false, true} {
		gateways := newGateways(t, Options{WithoutPrograms: without})
		for i, k := range kinds {
			for _, restarted := range []bool{false, true} {
				if without && restarted {
					continue
				}
				t.Run(fmt.Sprintf("%s/without programs %v/restarted %v", k.name, without, restarted), func(t *testing.T) {
					g := opened(i, 0)
					g.alone = without
					g.run(t, gateways)
					if restarted {
						if err := gateways.Restart(t.Context(), false); err != nil {
							t.Fatal(err)
						}
					}
					g.guesses(RST, RST|ACK, FIN|ACK)
					for range 2 {
						g.pause(330 * time.Second)
						g.segment(1-g.opener, ACK|PSH, 10, "after a while", false)
						g.segment(g.opener, ACK, 0, "", false)
						g.guesses(RST)
						g.pause(7430 * time.Second)
						g.guesses(RST|ACK, FIN|ACK)
						g.segment(1-g.opener, ACK|PSH, 10, "after two hours", false)
						g.segment(g.opener, ACK, 0, "", false)
					}
					g.step(outside, Packet{Flags: RST, Seq: g.hosts[inside].acked}, "ends it")
					g.run(t, gateways)
					for name, w := range map[string]*gateway{"on": gateways.on, "off": gateways.off} {
						e, err := w.look(g.s.Protocol, g.s.Inside, g.s.Outside)
						if err != nil || e == nil || e.timeout < 230*time.Second || e.timeout > 240*time.Second {
							t.Errorf("shortcut %s: after a RST that is right: %+v (%v)", name, e, err)
						}
						if _, err := w.age(g.s.Protocol, g.s.Inside, g.s.Outside, time.Hour); err != nil {
							t.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// Where the sessions were made anew with their maps, nobody knows where connections
// are until both sides have spoken: a RST is let pass, and ends nothing.
func TestGuessedEndsOfAdopted(t *testing.T) {
	skipWithoutRoot(t)
	gateways := newGateways(t, Options{})
	all := make([]*generator, len(kinds))
	for i := range kinds {
		all[i] = opened(i, 5)
		all[i].run(t, gateways)
	}
	if err := gateways.Restart(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for i, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			g := all[i]
			g.guesses(RST, RST|ACK)
			for name, w := range map[string]*gateway{"on": gateways.on, "off": gateways.off} {
				for _, step := range g.s.Steps {
					if _, _, err := w.pass(step.Packet, step.Inside); err != nil {
						t.Fatal(err)
					}
					e, err := w.look(g.s.Protocol, g.s.Inside, g.s.Outside)
					if err != nil || e == nil || e.state != stateEstablished || e.timeout < 7400*time.Second {
						t.Errorf("shortcut %s: after %s: %+v (%v)", name, step.Packet, e, err)
					}
				}
			}
		})
	}
}

// UDP becomes a stream with the same packet, which is what conntrack forgets last.
func TestStream(t *testing.T) {
	skipWithoutRoot(t)
	const assured = 1 << 2 // IPS_ASSURED
	gateways := newGateways(t, Options{})
	g := &generator{s: &Sequence{Kind: kinds[0].name, Protocol: unix.IPPROTO_UDP}}
	g.s.Inside, g.s.External, g.s.Outside = kinds[0].ends(firstPort - 20)
	for until := time.Now().Add(20 * time.Second); ; {
		g.s.Steps = nil
		g.step(inside, Packet{Length: 10}, "")
		g.step(outside, Packet{Length: 10}, "")
		g.run(t, gateways)
		on, err := gateways.on.look(g.s.Protocol, g.s.Inside, g.s.Outside)
		if err != nil || on == nil {
			t.Fatalf("%+v, %v", on, err)
		}
		if on.status&assured != 0 {
			break
		}
		if t.Failed() || time.Now().After(until) {
			t.Fatalf("no stream: %+v", on)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
