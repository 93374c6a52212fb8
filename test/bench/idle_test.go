package main

import (
	"testing"
	"time"
)

func TestParseProcessorTime(t *testing.T) {
	const stat = "812 (a ) b) S 1 812 812 0 -1 4194560 100 0 0 0 250 31 7 8 20 0 9 0 1234 1 2"
	if got, err := parseProcessorTime(stat); err != nil || got != 2810*time.Millisecond {
		t.Errorf("%v, %v; want 2.81s", got, err)
	}
	for _, bad := range []string{"", "812 sluiced S 1", "812 (sluiced) S 1 2", "812 (sluiced) S 1 2 3 4 5 6 7 8 9 10 x 31"} {
		if got, err := parseProcessorTime(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}
