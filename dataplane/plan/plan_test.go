package plan

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestRunner(t *testing.T) {
	var did []string
	step := func(what, makes string, err error, needs ...string) Change {
		return Change{What: what, Makes: makes, Needs: needs, Do: func(context.Context) error {
			did = append(did, what)
			return err
		}}
	}
	broken := errors.New("broken")
	var r Runner
	r.Run(t.Context(), []Change{
		step("make a", "a", nil), step("make b", "b", broken), step("tune b", "b", nil),
		step("start a", "", nil, "a"), step("start b", "", nil, "b"), step("start both", "", nil, "a", "b"),
	})
	// What failed is remembered from one list to the next.
	r.Run(t.Context(), []Change{step("use b", "", nil, "b"), step("use a", "", nil, "a")})
	if want := []string{"make a", "make b", "start a", "use a"}; !slices.Equal(did, want) {
		t.Errorf("did %q, want %q", did, want)
	}
	if r.Done != 3 {
		t.Errorf("Done = %d, want 3", r.Done)
	}
	if err := r.Err(); !errors.Is(err, broken) || strings.Count(err.Error(), "\n") != 0 || !strings.HasPrefix(err.Error(), "make b: ") {
		t.Errorf("Err() = %q, want one line about make b", err)
	}
}

func TestRunnerStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	var r Runner
	r.Run(ctx, []Change{{What: "x", Do: func(context.Context) error { ran = true; return nil }}, {What: "y"}})
	if ran || !errors.Is(r.Err(), context.Canceled) {
		t.Errorf("ran: %v, error: %v", ran, r.Err())
	}
}
