package sequence

import (
	"flag"
	"os"
	"testing"
)

var (
	count = flag.Int("sequences", 400, "how many sequences are sent; the bench sends 5000")
	first = flag.Uint64("first", 0, "seed of the first one")
)

// Conntrack comes to the same whether it sees every packet or not, and so do the
// packets.
func TestShortcutAndConntrack(t *testing.T) {
	skipWithoutRoot(t)
	for name, xdp := range map[string]bool{"tc": false, "XDP": true} {
		t.Run(name, func(t *testing.T) {
			g := newGateways(t, Options{XDP: xdp})
			for i := range uint64(*count) {
				difference, err := g.Run(Generate(*first + i))
				if err != nil {
					t.Fatal(err)
				}
				if difference != "" {
					t.Error(difference)
				}
			}
		})
	}
}

func skipWithoutRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it makes network namespaces, which only root may do")
	}
}
