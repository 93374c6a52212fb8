package main

import (
	"context"
	"fmt"
	"time"
)

// applyPatience is how long a change may take to reach the kernel before the
// measurement gives up.
const applyPatience = 10 * time.Second

// applies measures how long after the answer of CreateForwardEntry, which
// comes when the entry has been committed, the kernel forwards by it. The
// table is full before each call and after each pair of calls.
func applies(ctx context.Context, r *run) error {
	size := 600
	if r.quick {
		size = 40
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
	events, err := watchElements(s.vpc)
	if err != nil {
		return err
	}
	defer events.close()
	r.say("creating and deleting %d entries, watching the kernel", size)
	port := s.nextPort()
	var after, since []time.Duration
	for range size {
		e, began, answered, err := s.create(ctx, port)
		if err != nil {
			return err
		}
		at, err := events.await(ctx, port, true, applyPatience)
		if err != nil {
			return err
		}
		// It may be there before the answer has been read.
		after = append(after, max(0, at.Sub(answered)))
		since = append(since, at.Sub(began))
		if err := s.remove(ctx, e); err != nil {
			return err
		}
		if _, err := events.await(ctx, port, false, applyPatience); err != nil {
			return err
		}
	}
	a, b := milliseconds(after), milliseconds(since)
	if err := r.report.add("apply_p99_ms", quantile(a, 0.99), millis,
		fmt.Sprintf("from the answer to the element in the kernel, %d changes with %d entries present; median %.3g ms", size, tableSize, median(a))); err != nil {
		return err
	}
	return r.report.add("write_to_kernel_p99_ms", quantile(b, 0.99), millis,
		fmt.Sprintf("from the call to the element in the kernel, the same changes; median %.3g ms", median(b)))
}
