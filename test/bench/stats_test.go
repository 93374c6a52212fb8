package main

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i) // 100 down to 1: the order must not matter
	}
	for _, c := range []struct {
		samples []float64
		q, want float64
	}{
		{hundred, 0.99, 99},
		{hundred, 0.5, 50},
		{hundred, 1, 100},
		{hundred, 0.001, 1},
		{[]float64{7}, 0.99, 7},
		{[]float64{1, 2, 3}, 0.99, 3},
		{[]float64{1, 2, 3, 4}, 0.75, 3},
	} {
		if got := quantile(c.samples, c.q); got != c.want {
			t.Errorf("quantile of %d samples at %v = %v, want %v", len(c.samples), c.q, got, c.want)
		}
	}
	if hundred[0] != 100 {
		t.Error("quantile has sorted the caller's samples")
	}
	if got := quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("quantile of nothing = %v, want NaN", got)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		samples []float64
		want    float64
	}{
		{[]float64{3, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
		{[]float64{5}, 5},
	} {
		if got := median(c.samples); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.samples, got, c.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v, want NaN", got)
	}
}

func TestPairRatios(t *testing.T) {
	got := pairRatios([]float64{2, 0, 4}, []float64{1, 5, 8})
	if want := []float64{0.5, 2}; !slices.Equal(got, want) {
		t.Errorf("pairRatios = %v, want %v: the pair without a base is left out", got, want)
	}
}

func TestMilliseconds(t *testing.T) {
	got := milliseconds([]time.Duration{1500 * time.Microsecond, 2 * time.Second})
	if want := []float64{1.5, 2000}; !slices.Equal(got, want) {
		t.Errorf("milliseconds = %v, want %v", got, want)
	}
}
