package main

import (
	"math"
	"slices"
	"time"
)

// quantile returns the smallest of the samples that at least the share q of
// them (0 < q ≤ 1) does not exceed: the nearest-rank definition, which never
// invents a value. It is NaN of no samples.
func quantile(samples []float64, q float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(samples))
	rank := int(math.Ceil(q * float64(len(s))))
	return s[min(max(rank, 1), len(s))-1]
}

// median returns the middle of the samples, or the mean of the two middle ones.
// It is NaN of no samples.
func median(samples []float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(samples))
	n := len(s)
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

// milliseconds converts durations for quantile.
func milliseconds(d []time.Duration) []float64 {
	out := make([]float64, len(d))
	for i := range d {
		out[i] = float64(d[i]) / float64(time.Millisecond)
	}
	return out
}

// pairRatios returns b/a of each pair of measurements that were made next to
// one another.
func pairRatios(a, b []float64) []float64 {
	out := make([]float64, 0, len(a))
	for i := range min(len(a), len(b)) {
		if a[i] > 0 {
			out = append(out, b[i]/a[i])
		}
	}
	return out
}
