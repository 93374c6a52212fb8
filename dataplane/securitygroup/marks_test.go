package securitygroup

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"

	"sluice/bpf"
)

// run runs a packet with a mark through a program, and returns whether it passes and its mark then.
func (n *Network) run(t *testing.T, program string, p *packet, mark uint32) (passes bool, after uint32) {
	t.Helper()
	const size, at = 192, 8 // struct __sk_buff (linux/bpf.h) and its mark
	in, out := make([]byte, size), make([]byte, size)
	binary.NativeEndian.PutUint32(in[at:], mark)
	verdict, err := n.prog[program].Run(&ebpf.RunOptions{Data: p.bytes(), Context: in, ContextOut: out})
	if err != nil {
		t.Fatal(err)
	}
	return int32(verdict) == -1, binary.NativeEndian.Uint32(out[at:])
}

// On its way to a host passes what took the shortcut, and what was let go to the VSwitch before; of no
// other mark, and on no way from a host, anything depends.
func TestMarks(t *testing.T) {
	const shortcut, groups = 0x10, 0x40 // bpf/marks.h
	n := open(t)
	mustApplyGroups(t, n, one())
	n.settle(t)
	barred, called := call(false, tcp, 23, 4000, syn), call(false, tcp, 22, 4000, syn)
	for mark, want := range map[uint32]bool{0: false, 0x1: false, 0x4: false, shortcut: true, 0x20: false, groups: true, shortcut | groups: false, 1<<31 | groups: false} {
		for _, program := range []string{bpf.GroupsProgToHost, bpf.GroupsProgToSwitch} {
			if got, after := n.run(t, program, &barred, mark); got != want || got && after != mark {
				t.Errorf("%s, mark %#x: passes is %t, want %t; the mark is %#x then", program, mark, got, want, after)
			}
		}
		out := call(true, tcp, 4000, 81, syn)
		for _, program := range []string{bpf.GroupsProgFromHost, bpf.GroupsProgFromSwitch} {
			if got, _ := n.run(t, program, &out, mark); got {
				t.Errorf("%s, mark %#x: what no rule lets the host send passes", program, mark)
			}
		}
	}
	if got, after := n.run(t, bpf.GroupsProgToHost, &called, 0); !got || after != 0 {
		t.Errorf("what a rule lets pass at a port: %t, mark %#x", got, after)
	}
	if got, after := n.run(t, bpf.GroupsProgToSwitch, &called, 0); !got || after != groups {
		t.Errorf("what a rule lets go to a VSwitch: %t, mark %#x, want %#x", got, after, groups)
	}
}
