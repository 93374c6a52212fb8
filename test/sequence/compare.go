package sequence

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/session"
)

var native = binary.NativeEndian

// States of a TCP connection (enum tcp_conntrack).
const (
	statusSeenReply  = 1 << 1 // IPS_SEEN_REPLY
	stateEstablished = 3
	stateClose       = 8
)

// rounding is what reading whole seconds at different times makes of a timeout,
// for each time that it was set by what was read.
const rounding = 2 * time.Second

// Run sends a sequence through both gateways, and returns the first difference
// with all that led there, or nothing.
func (g *Gateways) Run(s *Sequence) (difference string, err error) {
	err = bound(func() error {
		difference, err = g.run(s)
		return err
	})
	return difference, err
}

func (g *Gateways) run(s *Sequence) (string, error) {
	r := &record{}
	for to, w := range map[**entry]*gateway{&r.on: g.on, &r.off: g.off} {
		var err error
		if *to, err = w.look(s.Protocol, s.Inside, s.Outside); err != nil {
			return "", err
		}
	}
	r.before = r.off
	for _, step := range s.Steps {
		if step.Pause > 0 {
			r.say("%s pass", step.Pause)
			r.pauses++
			off, err := g.off.age(s.Protocol, s.Inside, s.Outside, step.Pause)
			if err != nil {
				return "", err
			}
			on, err := g.on.age(s.Protocol, s.Inside, s.Outside, step.Pause)
			if err != nil {
				return "", err
			}
			if off && !on && !r.wasReset {
				return r.report(s, "with the shortcut the connection is forgotten by now"), nil
			}
			if !off || !on {
				return "", nil // nor is there anything to compare
			}
			for _, e := range []*entry{r.on, r.off} {
				if e != nil {
					e.timeout -= step.Pause
				}
			}
			continue
		}
		what := step.What
		if what == "" {
			what = "sent"
		}
		side := "outside"
		if step.Inside {
			side = "inside"
		}
		r.say("%s, %s: %s", side, what, step.Packet)
		onIn, onOut, err := g.on.pass(step.Packet, step.Inside)
		if err != nil {
			return "", fmt.Errorf("with the shortcut: %w", err)
		}
		offIn, offOut, err := g.off.pass(step.Packet, step.Inside)
		if err != nil {
			return "", fmt.Errorf("without the shortcut: %w", err)
		}
		if on, off := text(onIn, onOut), text(offIn, offOut); on != off {
			if doubted(step, on) {
				return "", nil
			}
			return r.report(s, fmt.Sprintf("with the shortcut comes out:\n%s\nwithout:\n%s", on, off)), nil
		}
		r.say("  %s", text(offIn, offOut))
		if r.on, err = g.on.look(s.Protocol, s.Inside, s.Outside); err != nil {
			return "", err
		}
		if r.off, err = g.off.look(s.Protocol, s.Inside, s.Outside); err != nil {
			return "", err
		}
		if d := r.entries(); d != "" {
			return r.report(s, d), nil
		}
		if r.before != nil && (r.on == nil || r.off == nil) {
			return "", nil // what comes now is another one's, with ports by chance
		}
		if step.Harmless {
			if d := r.unharmed(); d != "" {
				return r.report(s, d), nil
			}
		}
		r.before = r.off
	}
	return "", nil
}

// record is what has happened in a sequence.
type record struct {
	said    []string
	on, off *entry
	before  *entry // off, before the last packet
	pauses  int

	wasReset bool // and not opened again since
}

func (r *record) say(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *record) report(s *Sequence, difference string) string {
	return fmt.Sprintf("sequence %d (%s):\n%s\n%s", s.Seed, s.Kind, strings.Join(r.said, "\n"), difference)
}

const nothing = "nothing came out"

func text(inside, outside []Packet) string {
	var out []string
	for _, side := range []struct {
		name    string
		packets []Packet
	}{{"inside", inside}, {"outside", outside}} {
		for _, p := range side.packets {
			out = append(out, fmt.Sprintf("%s received: %s, TTL %d", side.name, p, p.TTL))
		}
	}
	if len(out) == 0 {
		return nothing
	}
	return strings.Join(out, "; ")
}

// entries compares conntrack's entries. They are the same, but:
//
//   - With the shortcut an entry lives longer by the time for which conntrack may
//     not have seen a packet (session.Lifetime). It never lives shorter.
//   - A connection that was reset where it was may be ESTABLISHED with the
//     shortcut where it is CLOSE without. It counts as closed and lives as long,
//     whatever comes after but a SYN.
//   - The same where the RST is at the end of what its sender has sent, and the
//     receiver has sent something since: without the shortcut that is in the
//     window only, and the next packet revives the connection.
func (r *record) entries() string {
	on, off := r.on, r.off
	switch {
	case on == nil && off == nil:
		return ""
	case (on == nil || off == nil) && r.wasReset:
		return ""
	case on == nil || off == nil || on.original != off.original || on.reply != off.reply:
		return fmt.Sprintf("with the shortcut conntrack has %+v, without %+v", on, off)
	case on.status == off.status && on.state == off.state && !on.reset && (!r.wasReset || on.state == stateEstablished):
		r.wasReset = false
	case on.reset || r.wasReset:
		r.wasReset = true
		if reset := dataplane.DefaultTimeouts().TCPReset; on.timeout > reset {
			return fmt.Sprintf("reset, but kept for more than %s: %+v", reset, *on)
		}
		return ""
	default:
		return fmt.Sprintf("with the shortcut conntrack has %+v, without %+v", *on, *off)
	}
	return r.lifetimes()
}

// doubted says whether a RST from the inside, which the gateway with the shortcut
// does not let pass, may pass the other one: where conntrack has lost track of the
// connection, and nobody has seen what came from the outside.
func doubted(step Step, on string) bool {
	return step.Inside && step.Packet.Protocol == unix.IPPROTO_TCP && step.Packet.Flags&RST != 0 && on == nothing
}

func (r *record) lifetimes() string {
	if r.on == nil || r.off == nil {
		return ""
	}
	more, slack := r.on.timeout-r.off.timeout, rounding*time.Duration(1+r.pauses)
	if more < -slack || more > session.Lifetime+slack {
		return fmt.Sprintf("with the shortcut the entry lives for %s, without for %s: %+v, %+v", r.on.timeout, r.off.timeout, *r.on, *r.off)
	}
	return ""
}

// unharmed says what a packet has done that must do nothing: of a stranger who
// does not know where the connection is.
func (r *record) unharmed() string {
	switch {
	case r.before == nil || r.before.status&statusSeenReply == 0 || r.before.state < stateEstablished:
		return "" // there is no connection yet
	case r.off == nil:
		return "the connection is gone"
	case r.off.state != r.before.state || r.off.timeout < r.before.timeout-rounding:
		return fmt.Sprintf("it was %+v, and is %+v", *r.before, *r.off)
	}
	return ""
}

// Sequence is the packets of one connection, or of several with the same addresses
// and ports.
type Sequence struct {
	Seed            uint64
	Kind            string // of translation
	Protocol        uint8
	Inside, Outside netip.AddrPort // the two ends, as the inside sees them
	External        netip.AddrPort // the inside's, as the outside sees it
	Steps           []Step
}

// Step is a packet, or time that passes.
type Step struct {
	Packet   Packet
	Inside   bool   // sent from there
	Harmless bool   // must not change anything
	What     string // what it is meant to be
	Pause    time.Duration
}
