package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/dataplane"
	"sluice/dataplane/netns"
	"sluice/test/lab"
)

// restores measures a start of the daemon on a machine that has booted: the
// store is full, the kernel and the run directory are empty.
func restores(ctx context.Context, r *run) error {
	rounds := 5
	if r.quick {
		rounds = 1
	}
	s, err := r.theSite(ctx)
	if err != nil {
		return err
	}
	if err := s.full(ctx, r); err != nil {
		return err
	}
	if err := awaitElements(ctx, s.vpc, tableSize); err != nil {
		return err
	}
	r.say("starting sluiced %d times with an empty kernel", rounds)
	var restored, ready []float64
	for range rounds {
		a, b, err := restore(ctx, s, tableSize, s.natVPC)
		if err != nil {
			return err
		}
		restored, ready = append(restored, a.Seconds()), append(ready, b.Seconds())
	}
	if err := r.report.add("restore_10k_s", median(restored), seconds,
		fmt.Sprintf("from the start of the process to %d entries in the kernel, median of %d, worst %.2f", tableSize, rounds, quantile(restored, 1))); err != nil {
		return err
	}
	return r.report.add("ready_10k_s", median(ready), seconds, "from the start of the process to an answer of the API, the same starts")
}

// restore stops the daemon, empties the kernel, and starts the daemon again. It
// returns how long it took until all entries were in the kernel, and until the
// API answered.
func restore(ctx context.Context, s *site, size int, vpcs ...*natVPC) (restored, ready time.Duration, err error) {
	if err := s.lab.StopDaemon(); err != nil {
		return 0, 0, err
	}
	// As after a boot: no namespace, no mark of one, and nothing of BPF.
	for _, v := range vpcs {
		if err := netns.Delete(dataplane.Namespace(v.vpc)); err != nil {
			return 0, 0, err
		}
		if err := os.RemoveAll(filepath.Join(pins, v.vpc)); err != nil {
			return 0, 0, err
		}
	}
	if err := os.RemoveAll(filepath.Join(s.lab.RunDir(), "networks")); err != nil {
		return 0, 0, err
	}
	for _, v := range vpcs {
		if err := v.uplinkGone(ctx); err != nil {
			return 0, 0, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, restorePatience)
	defer cancel()
	began := time.Now()
	there := make(chan error, 1)
	go func() {
		var errs []error
		for _, v := range vpcs {
			errs = append(errs, awaitElements(ctx, v.vpc, size))
		}
		restored = time.Since(began)
		there <- errors.Join(errs...)
	}()
	err = s.lab.StartDaemon(ctx)
	ready = time.Since(began)
	if err != nil {
		cancel()
	}
	return restored, ready, errors.Join(err, <-there)
}

// restorePatience is how long a start may take before the measurement gives up.
const restorePatience = 2 * time.Minute

// uplinkGone waits until the outer end of the network's uplink has gone, which
// the kernel removes some time after the namespace that the inner end was in.
func (v *natVPC) uplinkGone(ctx context.Context) error {
	internet, err := v.site.lab.Host(lab.InternetHost)
	if err != nil {
		return err
	}
	return poll(ctx, "wait for the old uplink to go", func() error {
		return lab.In(internet.Namespace, func() error {
			_, err := netlink.LinkByName(v.vpc)
			if errors.As(err, new(netlink.LinkNotFoundError)) {
				return nil
			}
			return errors.Join(err, fmt.Errorf("%s is still in %s", v.vpc, internet.Namespace))
		})
	})
}

// awaitElements waits until the kernel's map of a network holds n entries.
func awaitElements(ctx context.Context, vpc string, n int) error {
	return poll(ctx, "wait for the entries in the kernel", func() error {
		have, err := countElements(vpc)
		if err == nil && have < n {
			err = fmt.Errorf("%d of %d entries are in the kernel", have, n)
		}
		return err
	})
}

// pollPause is the resolution of what poll times.
const pollPause = 5 * time.Millisecond

// poll calls probe until it succeeds, for a minute at most.
func poll(ctx context.Context, what string, probe func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(pollPause)
	defer tick.Stop()
	for {
		err := probe()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (%w)", what, err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
