package main

import (
	"context"
	"fmt"
)

// slot measures one side of a comparison once.
type slot func() (float64, error)

// alternate measures several sides in turns, in the order A B C C B A, again
// and again. It returns the values of each; those at equal index were measured
// next to one another.
func alternate(ctx context.Context, rounds int, sides ...slot) ([][]float64, error) {
	// The first of each is for the caches.
	for _, side := range sides {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := side(); err != nil {
			return nil, err
		}
	}
	values := make([][]float64, len(sides))
	for turn := range 2 * rounds {
		for i := range sides {
			if turn%2 == 1 {
				i = len(sides) - 1 - i
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			v, err := sides[i]()
			if err != nil {
				return nil, err
			}
			values[i] = append(values[i], v)
		}
	}
	return values, nil
}

// compared says how a ratio came about.
func compared(ratios []float64, what string) string {
	return fmt.Sprintf("median of %d pairs, quartiles %.3f to %.3f; %s",
		len(ratios), quantile(ratios, 0.25), quantile(ratios, 0.75), what)
}

// addRatio takes the figure of one side over another.
func (r *report) addRatio(name string, over, of []float64, what string) error {
	ratios := pairRatios(over, of)
	return r.add(name, median(ratios), ratio, compared(ratios, what))
}
