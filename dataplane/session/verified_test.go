package session

import (
	"slices"
	"testing"

	"sluice/bpf"
)

// mostVerified is how many instructions the kernel may have to follow when it verifies the programs
// of one network with a public side: a fifth more than Linux 6.18 does. Each takes about a
// microsecond of a start, for each network; Linux 6.1 follows about as many.
const mostVerified = 24_000

// TestVerifiedInstructions keeps an eye on what loading a network's programs costs. Where the number
// has grown, there are most likely ways through a program that the verifier follows apart,
// though what comes after them is the same.
func TestVerifiedInstructions(t *testing.T) {
	all, err := bpf.Gateway()
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	total := 0
	for _, name := range slices.Concat(ownPrograms, []string{switchIngress, uplinkIngress, "switch_egress", "uplink_egress", "tunnel_ingress"}) {
		f.spec.Programs[name] = all.Programs[name].Copy()
		info, err := f.program(name).Info()
		if err != nil {
			t.Fatal(err)
		}
		n, ok := info.VerifiedInstructions()
		if !ok {
			t.Skip("this kernel does not tell")
		}
		t.Logf("%s: %d", name, n)
		total += int(n)
	}
	t.Logf("a network: %d", total)
	if total > mostVerified {
		t.Errorf("%d instructions are followed for a network; want at most %d", total, mostVerified)
	}
}
