package main

import (
	"context"
	"errors"
	"fmt"

	"sluice/test/sequence"
)

// sequences sends generated sequences of packets through a gateway with the shortcut
// and one without, and counts those that leave conntrack with something else, or
// that are answered otherwise.
func sequences(ctx context.Context, r *run) (err error) {
	size := 5000
	if r.quick {
		size = 200
	}
	r.say("%d sequences of packets with the shortcut and without", size)
	g, err := sequence.New(ctx, sequence.Options{Logger: r.log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	different, packets := 0, 0
	for seed := range uint64(size) {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := sequence.Generate(seed)
		packets += len(s.Steps)
		difference, err := g.Run(s)
		if err != nil {
			return err
		}
		if difference != "" {
			different++
			r.say("%s", difference)
		}
	}
	return r.report.add("shortcut_conntrack_differences", float64(different), count,
		fmt.Sprintf("of %d generated TCP and UDP sequences, %d packets and idle times", size, packets))
}
