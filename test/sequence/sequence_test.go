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
	if os.Geteuid() != 0 {
		t.Skip("it makes network namespaces, which only root may do")
	}
	for name, xdp := range map[string]bool{"tc": false, "XDP": true} {
		t.Run(name, func(t *testing.T) {
			g, err := New(t.Context(), Options{XDP: xdp})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := g.Close(); err != nil {
					t.Error(err)
				}
			}()
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
