package metrics

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/dataplane"
)

func TestRanking(t *testing.T) {
	var r ranking
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	// at takes a reading some time later and returns the n of the top.
	at := func(later time.Duration, n int, reading *dataplane.Traffic) []string {
		now = now.Add(later)
		r.update(now, reading)
		list := []string{}
		for _, a := range r.top(reading, n) {
			list = append(list, a.Address.String())
		}
		return list
	}
	of := func(epoch uint64, addresses ...dataplane.AddressTraffic) *dataplane.Traffic {
		return &dataplane.Traffic{Epoch: epoch, Addresses: addresses}
	}
	for _, c := range []struct {
		what  string
		later time.Duration
		n     int
		of    *dataplane.Traffic
		want  []string
	}{
		{"at first the totals decide", 0, 1, of(1, address("10.0.0.1", 900, 50, 0), address("10.0.0.2", 100, 0, 0)), []string{"10.0.0.1"}},
		{"then what came since", time.Minute, 1, of(1, address("10.0.0.1", 901, 50, 0), address("10.0.0.2", 150, 50, 0)), []string{"10.0.0.2"}},
		{"a new address counts from 0", time.Minute, 1, of(1, address("10.0.0.1", 901, 50, 0), address("10.0.0.2", 150, 50, 0), address("10.0.0.3", 0, 200, 0)), []string{"10.0.0.3"}},
		{"a short pause changes nothing", time.Second, 2, of(1, address("10.0.0.1", 911, 50, 0), address("10.0.0.2", 150, 50, 0), address("10.0.0.3", 0, 200, 0)), []string{"10.0.0.2", "10.0.0.3"}},
		{"a long one does", 10 * halfLife, 1, of(1, address("10.0.0.1", 912, 50, 0), address("10.0.0.2", 150, 50, 0), address("10.0.0.3", 0, 200, 0)), []string{"10.0.0.1"}},
		{"after ages of silence the totals decide", 1e5 * halfLife, 1, of(1, address("10.0.0.1", 912, 50, 0), address("10.0.0.2", 150, 50, 0), address("10.0.0.3", 0, 200, 0)), []string{"10.0.0.1"}},
		{"who has most sessions is there too", 0, 1, of(1, address("10.0.0.1", 912, 50, 3), address("10.0.0.2", 150, 50, 9), address("10.0.0.3", 0, 200, 0)), []string{"10.0.0.1", "10.0.0.2"}},
		{"a scrape that was overtaken", 0, 1, of(1, address("10.0.0.1", 0, 0, 0), address("10.0.0.2", 150, 50, 0), address("10.0.0.3", 0, 200, 0)), []string{"10.0.0.1"}},
		{"and the next is not all new", 0, 1, of(1, address("10.0.0.1", 912, 50, 0), address("10.0.0.2", 150, 51, 0)), []string{"10.0.0.2"}},
		{"another epoch begins anew", 0, 1, of(2, address("10.0.0.1", 8, 0, 0), address("10.0.0.2", 7, 0, 0)), []string{"10.0.0.1"}},
		{"as much is by address", 0, 1, of(2, address("10.0.0.1", 8, 0, 0), address("10.0.0.2", 8, 0, 0), address("10.0.0.3", 7, 1, 0)), []string{"10.0.0.3"}},
		{"fewer than there is room for", 0, 5, of(2, address("10.0.0.2", 8, 0, 2)), []string{"10.0.0.2"}},
		{"nothing", 0, 5, of(2), []string{}},
	} {
		if diff := cmp.Diff(c.want, at(c.later, c.n, c.of)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}
