package ipsec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// With IKEv1 both ends begin with all pairs at once, again and again: many exchanges run in
// one IKE_SA at a time, whose state is kept until they end.
func TestQuickModesAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	each(t, func(t *testing.T, l *lab) {
		pairsLab(l)
		c := fourPairs()
		c.IKE.Version = 1
		there := onePer(c, prefixes("10.1.0.0/24"), prefixes("10.2.0.0/24"))
		l.answer(there[0], there[1:]...)
		for range 3 {
			l.apply()
			l.eventually(func() error {
				if at := l.sas(); at.ike != "" {
					return fmt.Errorf("the peer still has %q", at.ike)
				}
				return nil
			})
			var begun sync.WaitGroup
			for _, p := range there {
				begun.Go(func() {
					// It fails where the gateway has been faster.
					_, _ = l.trySwanctl("--initiate", "--ike", "peer", "--child", p.ID, "--timeout", "20")
				})
			}
			l.apply(c)
			l.allPairs(c)
			begun.Wait()
		}
		b, err := os.ReadFile(filepath.Join(l.dir, network, logFile))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, "processing failed") || strings.Contains(line, "integrity check failed") {
				t.Error(line)
			}
		}
	})
}
