package state

import (
	"bytes"
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"sluice/controlplane/resource"
	"sluice/controlplane/store"
)

// batch is some records of a kind, which are decoded beside those of others.
type batch struct {
	rows    *rows
	records []store.Record
	decoded chan struct{}       // closed when the following are set
	result  []resource.Resource // in the order of records
	err     error
}

// mostBatch is how many records a batch has: some milliseconds of decoding.
const mostBatch = 256

func (b *batch) decode() {
	defer close(b.decoded)
	b.result = make([]resource.Resource, len(b.records))
	reader := b.rows.reader()
	for i, rec := range b.records {
		if b.result[i], b.err = reader.decode(rec.ID, rec.Value); b.err != nil {
			return
		}
	}
}

// load reads a view of everything, and the store's schema. One goroutine puts records into
// the tables, in the order of the store, and others decode those to come.
func load(ctx context.Context, s store.Store) (*View, string, error) {
	v, schema := newView(), ""
	batches := make(chan *batch, runtime.GOMAXPROCS(0))
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		for b := range batches {
			<-b.decoded
			if b.err != nil {
				return b.err
			}
			for _, r := range b.result {
				b.rows.put(r)
			}
		}
		return nil
	})
	tasks.Go(func() error {
		defer close(batches)
		var next *batch
		send := func() error {
			if next == nil {
				return nil
			}
			b := next
			next = nil
			select {
			case batches <- b:
				go b.decode()
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		revision, err := s.Load(ctx, func(rec store.Record) error {
			if rec.Kind == store.KindSchema {
				schema = string(rec.Value)
				return nil
			}
			if next != nil && (string(next.rows.name) != rec.Kind || len(next.records) == mostBatch) {
				if err := send(); err != nil {
					return err
				}
			}
			if next == nil {
				t, err := v.rows(resource.Kind(rec.Kind))
				if err != nil {
					return err
				}
				next = &batch{rows: t, decoded: make(chan struct{})}
			}
			rec.Value = bytes.Clone(rec.Value)
			next.records = append(next.records, rec)
			return nil
		})
		v.Revision = revision
		if err != nil {
			return err
		}
		return send()
	})
	if err := tasks.Wait(); err != nil {
		return nil, "", fmt.Errorf("load the store: %w", err)
	}
	return v, schema, nil
}
