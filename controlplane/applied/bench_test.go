package applied_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sluice/controlplane/applied"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/store/bolt"
)

// BenchmarkWriteBeside commits changes of a network that is applied each time, with its
// observations recorded and without: what the record costs a write.
func BenchmarkWriteBeside(b *testing.B) {
	for _, recorded := range []bool{false, true} {
		b.Run(fmt.Sprintf("recorded=%v", recorded), func(b *testing.B) {
			open := func(name string) *bolt.Store {
				s, err := bolt.Open(filepath.Join(b.TempDir(), name), time.Second)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { s.Close() })
				return s
			}
			db, err := state.Open(ctx, open("store.db"))
			if err != nil {
				b.Fatal(err)
			}
			if recorded {
				running, stop := context.WithCancel(ctx)
				ended := make(chan error)
				r := applied.NewRecorder(db, open("applied.db"), "here", applied.Every, slog.New(slog.DiscardHandler))
				go func() { ended <- r.Run(running) }()
				defer func() { stop(); <-ended }()
			}
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if err := db.Update(ctx, func(tx *state.Tx) error {
					tx.Put(&resource.VPC{Meta: resource.Meta{ID: "vpc-a", Created: tx.Revision()}, Owner: "here"})
					return nil
				}); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
				db.Observed.Report("vpc-a", db.View().Revision, nil, time.Now())
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
		})
	}
}
