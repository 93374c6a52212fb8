package health

import (
	"testing"
	"time"

	"sluice/dataplane"
)

func TestTally(t *testing.T) {
	at := time.Unix(1000, 0)
	// Outcomes: "+" an answer, "-" a loss. Verdicts: "?" none, "g" good, "F"
	// failed.
	for _, c := range []struct {
		retries        int
		outcomes, want string
	}{
		{3, "+++", "ggg"},
		{3, "--+", "??g"}, // the first answer is a verdict
		{3, "---", "??F"},
		{3, "+--+--+", "ggggggg"}, // no three in a row
		{3, "+---+--++-+++", "gggFFFFFFFFFg"},
		{3, "+------+++", "gggFFFFFFg"},
		{1, "+-+-", "gFgF"},
		{1, "-+", "Fg"},
	} {
		var tl tally
		got := ""
		for i, o := range c.outcomes {
			before := tl.Result
			now := at.Add(time.Duration(i) * time.Second)
			changed := tl.note(o == '+', c.retries, now)
			if changed != (before != tl.Result) || changed && tl.Since != now {
				t.Errorf("%d retries, %s: after outcome %d: changed %v, from %+v to %+v", c.retries, c.outcomes, i, changed, before, tl.Result)
			}
			switch {
			case !tl.Checked:
				got += "?"
			case tl.Failed:
				got += "F"
			default:
				got += "g"
			}
		}
		if got != c.want {
			t.Errorf("%d retries: %s gives %s, want %s", c.retries, c.outcomes, got, c.want)
		}
	}
}

// A check fails within two intervals, unless that leaves an answer no time.
func TestAgain(t *testing.T) {
	for _, c := range []struct {
		interval time.Duration
		retries  int
		want     time.Duration
	}{
		{3 * time.Second, 3, time.Second},
		{3 * time.Second, 1, 3 * time.Second},
		{3 * time.Second, 10, leastWait},
		{100 * time.Millisecond, 3, 100 * time.Millisecond},
	} {
		if got := again(dataplane.VPNHealth{Interval: c.interval, Retries: c.retries}); got != c.want {
			t.Errorf("%d retries every %s: again after %s, want %s", c.retries, c.interval, got, c.want)
		}
	}
}
