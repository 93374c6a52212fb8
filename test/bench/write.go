package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// writes measures CreateForwardEntry, one call after the other, while the
// table grows to its full size; and in turns with it what this machine's disk
// takes to make a write durable.
func writes(ctx context.Context, r *run) error {
	size := 1500
	if r.quick {
		size = 100
	}
	s, err := r.theSite(ctx)
	if err != nil {
		return err
	}
	if err := s.fill(ctx, r, tableSize-size); err != nil {
		return err
	}
	disk, err := openDisk(r.dir)
	if err != nil {
		return err
	}
	defer disk.close()
	r.say("creating %d entries one by one", size)
	var calls, syncs, commits []time.Duration
	for range size {
		_, began, ended, err := s.create(ctx, s.nextPort())
		if err != nil {
			return err
		}
		one, err := disk.sync(dataPages)
		if err != nil {
			return err
		}
		// What a commit of bbolt does: the pages, and then the page that makes
		// them count.
		two, err := disk.sync(dataPages)
		if err != nil {
			return err
		}
		meta, err := disk.sync(1)
		if err != nil {
			return err
		}
		calls, syncs, commits = append(calls, ended.Sub(began)), append(syncs, one), append(commits, two+meta)
	}
	call, sync, commit := milliseconds(calls), milliseconds(syncs), milliseconds(commits)
	for _, f := range []struct {
		name    string
		samples []float64
		notes   string
	}{
		{"api_write", call, fmt.Sprintf("%d calls, table growing from %d to %d", size, tableSize-size, tableSize)},
		{"fsync", sync, fmt.Sprintf("own write of %d pages and fdatasync, in turns with the calls", dataPages)},
		{"fsync_commit", commit, "own writes as in a commit of the store: pages, fdatasync, page, fdatasync"},
	} {
		if err := r.report.add(f.name+"_p99_ms", quantile(f.samples, 0.99), millis, f.notes+fmt.Sprintf("; median %.3g ms", median(f.samples))); err != nil {
			return err
		}
	}
	return r.report.add("api_write_over_fsync", quantile(call, 0.99)/quantile(sync, 0.99), ratio, "api_write_p99_ms over fsync_p99_ms")
}

// fill creates entries until the table has n.
func (v *natVPC) fill(ctx context.Context, r *run, n int) error {
	have, err := v.count(ctx)
	if err != nil || have >= n {
		return err
	}
	r.say("creating %d entries", n-have)
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	ports := make(chan uint16)
	for range 4 {
		g.Go(func() error {
			for port := range ports {
				if _, _, _, err := v.create(ctx, port); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(ports)
		for range n - have {
			select {
			case ports <- v.nextPort():
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	r.say("created %d entries in %.1f s", n-have, time.Since(began).Seconds())
	return nil
}

// full makes sure that the table has all its entries.
func (v *natVPC) full(ctx context.Context, r *run) error { return v.fill(ctx, r, tableSize) }

func decode(body []byte, result any) error {
	if err := json.Unmarshal(body, result); err != nil {
		return fmt.Errorf("decode the answer: %w", err)
	}
	return nil
}

const (
	pageSize  = 4096
	dataPages = 4       // that a small commit of the store writes, about
	diskPages = 1 << 12 // of the file that is written to
)

// disk is a file that is written to as a store does.
type disk struct {
	file *os.File
	page []byte
}

func openDisk(dir string) (*disk, error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return nil, err
	}
	d := &disk{file: f, page: make([]byte, pageSize)}
	// All pages exist beforehand: no measured write makes the file longer.
	for i := range diskPages {
		if _, err := f.WriteAt(d.page, int64(i)*pageSize); err != nil {
			f.Close()
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return nil, err
	}
	return d, nil
}

func (d *disk) close() error { return d.file.Close() }

// sync writes n pages at random places and waits until they are on the disk.
func (d *disk) sync(n int) (time.Duration, error) {
	d.page[0]++
	began := time.Now()
	for range n {
		if _, err := d.file.WriteAt(d.page, rand.Int64N(diskPages)*pageSize); err != nil {
			return 0, err
		}
	}
	for {
		err := unix.Fdatasync(int(d.file.Fd()))
		if err == nil {
			return time.Since(began), nil
		}
		if err != unix.EINTR {
			return 0, fmt.Errorf("fdatasync: %w", err)
		}
	}
}
