package engine

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// The first repairs of a thing are made and told at once, more of them ever more
// rarely; others do not wait for them.
func TestRepairs(t *testing.T) {
	t.Parallel()
	var r repairs
	at := time.Unix(0, 0)
	var told []int
	var pauses []time.Duration
	for range 10 {
		pauses = append(pauses, r.pause([]string{"a"}, at))
		if tell, times, _ := r.note("a", at); tell {
			told = append(told, times)
		}
	}
	const ms = time.Millisecond
	if got, want := r.counted(), (dataplane.Repairs{First: 3, Again: 7}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	if want := []int{1, 2, 3, 4, 8}; !slices.Equal(told, want) {
		t.Errorf("told of repairs %v, want %v", told, want)
	}
	if want := []time.Duration{0, 0, 0, 250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 5000 * ms, 5000 * ms}; !slices.Equal(pauses, want) {
		t.Errorf("pauses %v, want %v", pauses, want)
	}
	for _, c := range []struct {
		whats []string
		after time.Duration
		want  time.Duration
	}{
		{[]string{"a", "b"}, 0, 0},
		{nil, 0, 0},
		{[]string{"a"}, 4 * time.Second, time.Second},
		{[]string{"a"}, 6 * time.Second, 0},
		{[]string{"a"}, repairsForget, 0},
	} {
		if got := r.pause(c.whats, at.Add(c.after)); got != c.want {
			t.Errorf("%q wait %s after %s, want %s", c.whats, got, c.after, c.want)
		}
	}
	if tell, times, within := r.note("a", at.Add(2*repairsForget)); !tell || times != 1 || within != 0 {
		t.Errorf("after a long time: told %v, %d times within %s", tell, times, within)
	}
}

// Something that deletes a rule whenever it is there keeps neither the engine busy nor
// its log, nor is anything else put off by it.
func TestSomethingKeepsChanging(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.network(t)
	e := s.engine(t)
	mustApply(t, e, n)
	reconcile(t, e, n)
	ns := inNetwork(t, n.ID)
	has := func(what string, args ...string) func() error {
		return func() error {
			if out, err := nstest.TryCommand(ns, "ip", args...); err != nil || !strings.Contains(out, what) {
				return errors.New(what + " is gone")
			}
			return nil
		}
	}
	rule := has("fwmark 0x1", "rule")
	for range 6 {
		nstest.Command(t, ns, "ip", "rule", "del", "pref", "1010")
		nstest.Eventually(t, rule)
	}
	text := s.log.String()
	if once, again := strings.Count(text, "repaired what somebody else changed"), strings.Count(text, "something keeps changing it"); once != 3 || again != 1 {
		t.Errorf("%d and %d lines in the log, want 3 and 1", once, again)
	}
	if got, want := e.Repairs(n.ID), (dataplane.Repairs{First: 3, Again: 3}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	if !strings.Contains(text, "times=4") {
		t.Error("how often is not said")
	}
	nstest.Command(t, ns, "ip", "rule", "del", "pref", "1010")
	nstest.Command(t, ns, "ip", "route", "flush", "table", "200")
	nstest.Eventually(t, has("default", "route", "show", "table", "200"))
	nstest.Eventually(t, rule)
}

// That another network links a router interface is no repair: this one has followed when the other
// one has been applied, and what is seen of that later is as it should be.
func TestLinkedIsNoRepair(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	a, b := s.vpc(t, e, 1, true), s.vpc(t, e, 2, true)
	connect(a, b, "x", 10)
	mustApply(t, e, a.Network)
	mustApply(t, e, b.Network)
	n, err := e.lock(a.ID)
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Unlock()
	e.enqueue(n, staleLinks)
	e.look(n)
	if got := mustApply(t, e, a.Network); got.Changes != 0 {
		t.Errorf("%d changes are left to do at the end of the first network", got.Changes)
	}
	if got := e.Repairs(a.ID); got != (dataplane.Repairs{}) {
		t.Errorf("repairs: %+v", got)
	}
}
