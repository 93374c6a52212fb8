package edge

import (
	"container/heap"
	"container/list"
	"net/netip"
)

// pool holds connections of which any may be closed to make room, by source and by age.
// What it does costs O(log n) for n sources.
type pool struct {
	byAge    list.List // of *conn, those that have been in it longest first
	bySource map[netip.Addr]*source
	largest  sources
}

// source is the connections of a pool that come from one source.
type source struct {
	addr  netip.Addr
	conns list.List // of *conn, those that have been in the pool longest first
	place int       // in the heap
}

func (p *pool) len() int { return p.byAge.Len() }

// of returns how many connections come from a source.
func (p *pool) of(addr netip.Addr) int {
	if s := p.bySource[addr]; s != nil {
		return s.conns.Len()
	}
	return 0
}

// add puts a connection in, as the youngest.
func (p *pool) add(c *conn) {
	if p.bySource == nil {
		p.bySource = make(map[netip.Addr]*source)
	}
	s := p.bySource[c.source]
	if s == nil {
		s = &source{addr: c.source}
		p.bySource[c.source] = s
		heap.Push(&p.largest, s)
	}
	c.in, c.byAge, c.bySource = p, p.byAge.PushBack(c), s.conns.PushBack(c)
	heap.Fix(&p.largest, s.place)
}

// remove takes a connection out that is in the pool.
func (p *pool) remove(c *conn) {
	s := p.bySource[c.source]
	p.byAge.Remove(c.byAge)
	s.conns.Remove(c.bySource)
	c.in, c.byAge, c.bySource = nil, nil, nil
	if s.conns.Len() == 0 {
		heap.Remove(&p.largest, s.place)
		delete(p.bySource, s.addr)
		return
	}
	heap.Fix(&p.largest, s.place)
}

// oldest returns the connection that has been in the pool longest; nil if there is none.
func (p *pool) oldest() *conn { return front(&p.byAge) }

// oldestOf is oldest among those of a source.
func (p *pool) oldestOf(addr netip.Addr) *conn {
	if s := p.bySource[addr]; s != nil {
		return front(&s.conns)
	}
	return nil
}

// oldestOfLargest is oldest among those of the source that has most; of several such
// sources, the one whose oldest is oldest.
func (p *pool) oldestOfLargest() *conn {
	if len(p.largest) == 0 {
		return nil
	}
	return front(&p.largest[0].conns)
}

func front(l *list.List) *conn {
	if e := l.Front(); e != nil {
		return e.Value.(*conn)
	}
	return nil
}

// sources is a heap of sources, the one with most connections on top.
type sources []*source

func (h sources) Len() int { return len(h) }

func (h sources) Less(i, j int) bool {
	a, b := h[i], h[j]
	if n, m := a.conns.Len(), b.conns.Len(); n != m || n == 0 {
		return n > m
	}
	return front(&a.conns).since.Before(front(&b.conns).since)
}

func (h sources) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *sources) Push(x any) {
	s := x.(*source)
	s.place = len(*h)
	*h = append(*h, s)
}

func (h *sources) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return s
}
