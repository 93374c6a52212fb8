package main

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestAlternate(t *testing.T) {
	var order []int
	side := func(i int) slot {
		return func() (float64, error) {
			order = append(order, i)
			return float64(len(order)), nil
		}
	}
	got, err := alternate(t.Context(), 2, side(0), side(1), side(2))
	if err != nil {
		t.Fatal(err)
	}
	want := []int{0, 1, 2, 0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0}
	if !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	for i, want := range [][]float64{{4, 9, 10, 15}, {5, 8, 11, 14}, {6, 7, 12, 13}} {
		if !slices.Equal(got[i], want) {
			t.Errorf("side %d: %v, want %v", i, got[i], want)
		}
	}
}

func TestAlternateEnds(t *testing.T) {
	broken := errors.New("broken")
	_, err := alternate(t.Context(), 2, func() (float64, error) { return 0, broken })
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = alternate(ctx, 2, func() (float64, error) { t.Error("measured"); return 0, nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
