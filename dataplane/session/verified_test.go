package session

import (
	"slices"
	"testing"

	"sluice/bpf"
)

// TestVerifiedInstructions keeps an eye on what loading a network's programs costs: how many
// instructions the kernel follows when it verifies them, each of which takes about a microsecond of a
// start, for each network. Linux 6.18 follows 19,100, 4,300 and 2,200 of them, Linux 6.1 22,000, 4,700
// and 2,200; what may be followed leaves room for other versions. Where a number has grown, there
// are most likely ways through a program that the verifier follows apart, though what comes after
// them is the same.
func TestVerifiedInstructions(t *testing.T) {
	all, err := bpf.Gateway()
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	for name, of := range map[string]struct {
		programs []string
		most     int
	}{
		"public side":       {slices.Concat(ownPrograms, []string{switchIngress, uplinkIngress, "switch_egress", "uplink_egress", "tunnel_ingress"}), 27_000},
		"XDP":               {[]string{switchXDP, uplinkXDP}, 6_000},
		"router interfaces": {[]string{"flow_ingress", "flow_egress"}, 3_000},
	} {
		t.Run(name, func(t *testing.T) {
			total := 0
			for _, program := range of.programs {
				f.spec.Programs[program] = all.Programs[program].Copy() // as it is loaded for links
				info, err := f.program(program).Info()
				if err != nil {
					t.Fatal(err)
				}
				n, ok := info.VerifiedInstructions()
				if !ok {
					t.Skip("this kernel does not tell")
				}
				t.Logf("%s: %d", program, n)
				total += int(n)
			}
			t.Logf("all: %d", total)
			if total > of.most {
				t.Errorf("%d instructions are followed; want at most %d", total, of.most)
			}
		})
	}
}
