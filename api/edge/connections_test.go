package edge

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// hall is Connections without sockets, with a clock that stands still.
type hall struct {
	*Connections
	at  time.Time
	log bytes.Buffer
	in  []*conn // that have not been closed
}

func newHall(p Places) *hall {
	h := &hall{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	h.Connections = NewConnections(p, slog.New(slog.NewTextHandler(&h.log, nil)))
	h.now = func() time.Time { return h.at }
	return h
}

func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}) }

// come lets a connection come from a source; nil if it is refused.
func (h *hall) come(source int) *conn {
	c := &conn{of: h.Connections, source: address(source)}
	closing, admitted := h.admit(c)
	for _, v := range closing {
		h.in = slices.DeleteFunc(h.in, func(x *conn) bool { return x == v })
	}
	if !admitted {
		return nil
	}
	h.in = append(h.in, c)
	return c
}

// call has a call with a valid signature carried out.
func (h *hall) call(c *conn) { h.vouch(c); h.release(c) }

func (h *hall) stays(c *conn) bool { return c != nil && slices.Contains(h.in, c) }

// TestSiege: whatever strangers from many sources do, another source gets in, and who
// has called stays.
func TestSiege(t *testing.T) {
	for _, sources := range []int{1, 3, 50, 2000} {
		t.Run(fmt.Sprint(sources), func(t *testing.T) {
			h := newHall(Places{Total: 256})
			client := h.come(30_000)
			h.call(client)
			busy := h.come(30_001)
			h.vouch(busy)
			for i := range 20_000 {
				h.come(i % sources)
				h.at = h.at.Add(time.Millisecond)
				if i%1000 != 999 {
					continue
				}
				h.call(client) // it would be idle for too long without
				if !h.stays(client) || !h.stays(busy) {
					t.Fatalf("a client's connection was closed after %d of strangers", i)
				}
				c := h.come(30_002)
				if c == nil {
					t.Fatalf("a newcomer is refused after %d connections of strangers", i)
				}
				// While it says who it is, more come.
				for j := range 50 {
					h.come(j % sources)
				}
				if h.call(c); !h.stays(c) || !c.vouched {
					t.Fatalf("a newcomer's connection was closed before it could call")
				}
				h.leave(c)
				h.in = slices.DeleteFunc(h.in, func(x *conn) bool { return x == c })
			}
		})
	}
}

// TestShares: a source has its share of places and no more, whether there are others or
// not, and what it has had for a second goes for its next.
func TestShares(t *testing.T) {
	h := newHall(Places{Total: 100, PerSource: 10})
	var own []*conn
	for range 10 {
		own = append(own, h.come(1))
	}
	if h.come(1) != nil {
		t.Error("an eleventh connection at once")
	}
	h.at = h.at.Add(leastPatience)
	if c := h.come(1); c == nil || h.stays(own[0]) || !h.stays(own[1]) {
		t.Error("a second later the eleventh does not get the place of the first")
	}
	// Those that have called do not count for it.
	h.call(own[1])
	if h.come(1) == nil || !h.stays(own[1]) {
		t.Error("an eleventh where one has called")
	}
	if got := h.Turned(); got["share"] != 2 || got["full"] != 0 || got["idle"] != 0 {
		t.Errorf("turned away: %v", got)
	}
}

// TestPatience: nothing is closed for being idle while there is room; then strangers go
// first.
func TestPatience(t *testing.T) {
	h := newHall(Places{Total: 100})
	stranger, client := h.come(1), h.come(2)
	h.call(client)
	h.at = h.at.Add(time.Hour)
	for i := range 40 {
		h.come(100 + i)
	}
	if !h.stays(stranger) || !h.stays(client) {
		t.Error("closed for being idle, while there is room")
	}
	h.call(client)
	h.at = h.at.Add(strangerPatience)
	for i := range 20 {
		h.come(200 + i)
	}
	if h.stays(stranger) || !h.stays(client) {
		t.Errorf("half of the places are taken: the stranger's connection stays %t, the client's %t", h.stays(stranger), h.stays(client))
	}
	h.at = h.at.Add(knownPatience - strangerPatience)
	for i := range 60 {
		h.come(300 + i)
	}
	if h.stays(client) {
		t.Error("a client's connection stays, idle for long")
	}
}

// TestClientsFillAll: where clients with access keys have all places, one more client
// gets that of one that is idle, and of one with a call under way none.
func TestClientsFillAll(t *testing.T) {
	h := newHall(Places{Total: 64})
	var clients []*conn
	for i := range 64 {
		c := h.come(i)
		h.vouch(c)
		clients = append(clients, c)
	}
	if h.come(1000) != nil || len(h.in) != 64 {
		t.Error("the place of a call under way is given away")
	}
	h.release(clients[7])
	if h.come(1000) != nil {
		t.Error("the place of a client that has just been answered is given away")
	}
	h.at = h.at.Add(leastPatience)
	if h.come(1000) == nil || h.stays(clients[7]) {
		t.Error("one more client gets no place")
	}
}

// TestConnectionsAgainstModel holds random sequences to what has to be true at any time.
func TestConnectionsAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		p := Places{Total: 4 + rnd.IntN(40)}
		p.PerSource, p.Reserved = 1+rnd.IntN(p.Total), rnd.IntN(p.Total)
		h := newHall(p)
		p = h.places
		calling := map[*conn]bool{}
		for step := range 3000 {
			switch rnd.IntN(6) {
			case 0, 1, 2:
				h.come(rnd.IntN(12))
			case 3:
				if len(h.in) > 0 {
					c := h.in[rnd.IntN(len(h.in))]
					h.vouch(c)
					calling[c] = true
				}
			case 4:
				for c := range calling {
					h.release(c)
					delete(calling, c)
					break
				}
			case 5:
				if len(h.in) > 0 && rnd.IntN(3) == 0 {
					i := rnd.IntN(len(h.in))
					h.leave(h.in[i])
					h.release(h.in[i]) // as a handler does that ends late
					delete(calling, h.in[i])
					h.in = slices.Delete(h.in, i, i+1)
				}
			}
			h.at = h.at.Add(time.Duration(rnd.IntN(300)) * time.Millisecond)
			for c := range calling {
				if !h.stays(c) {
					t.Fatalf("seed %d, step %d: closed with a call under way", seed, step)
				}
			}
			most := map[netip.Addr]int{}
			strangers, known := 0, 0
			for _, c := range h.in {
				switch {
				case calling[c]:
				case c.vouched:
					known++
				default:
					strangers++
					most[c.source]++
				}
			}
			if a, b, c := h.Open(); a != strangers || b != known || c != len(calling) {
				t.Fatalf("seed %d, step %d: %d, %d, %d connections, want %d, %d, %d", seed, step, a, b, c, strangers, known, len(calling))
			}
			if len(h.in) > p.Total || strangers > max(p.Total-p.Reserved, 1) {
				t.Fatalf("seed %d, step %d: %d connections, %d of strangers, with %+v", seed, step, len(h.in), strangers, p)
			}
			for source, n := range most {
				if n > p.PerSource {
					t.Fatalf("seed %d, step %d: %d connections from %s, with %+v", seed, step, n, source, p)
				}
			}
			checkPool(t, &h.strangers)
			checkPool(t, &h.known)
		}
	}
}

// checkPool compares what a pool finds with a look at all that is in it.
func checkPool(t *testing.T, p *pool) {
	t.Helper()
	n := map[netip.Addr]int{}
	first := map[netip.Addr]*conn{}
	for e := p.byAge.Front(); e != nil; e = e.Next() {
		c := e.Value.(*conn)
		n[c.source]++
		if first[c.source] == nil {
			first[c.source] = c
		}
		if next := e.Next(); next != nil && next.Value.(*conn).since.Before(c.since) {
			t.Fatal("not in order of age")
		}
	}
	v := p.oldestOfLargest()
	for source, c := range first {
		if p.oldestOf(source) != c || p.of(source) != n[source] {
			t.Fatalf("%s has %d, want %d", source, p.of(source), n[source])
		}
		if n[source] > n[v.source] || n[source] == n[v.source] && c.since.Before(v.since) {
			t.Fatalf("the largest source is %s with %d, not %s with %d", source, n[source], v.source, n[v.source])
		}
	}
	if len(p.bySource) != len(n) || len(p.largest) != len(n) || (v == nil) != (len(n) == 0) {
		t.Fatalf("%d sources, %d in the heap, want %d", len(p.bySource), len(p.largest), len(n))
	}
}

// TestSiegeIsSaid: one line a minute, with the source that has most.
func TestSiegeIsSaid(t *testing.T) {
	h := newHall(Places{Total: 8, PerSource: 3})
	for range 90 {
		h.come(7)
		h.at = h.at.Add(time.Second)
	}
	lines := strings.Split(strings.TrimSpace(h.log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"most from"=192.0.0.7`) || !strings.Contains(lines[1], "closed=60") {
		t.Errorf("the log has %q", lines)
	}
}

func TestSourceOf(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::", "[fe80::1%eth0]:1": "fe80::", "@": "invalid IP", "": "invalid IP",
	} {
		if got := sourceOf(remote).String(); got != want {
			t.Errorf("%q counts for %s, want %s", remote, got, want)
		}
	}
}
