package monitor

import (
	"net/netip"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Order is what the addresses of a minute are sorted by.
type Order int

// The orders. What has the same figure is sorted by address, ascending, and
// so is everything by ByTime: a page is of one minute.
const (
	ByOpen Order = iota
	ByOpened
	ByOutboundBytes
	ByInboundBytes
	ByOutboundPackets
	ByInboundPackets
	ByTime
)

// Query asks for a page of the addresses of one minute.
type Query struct {
	Region    string
	Gateway   string
	TimePoint int64 // beginning of the minute, in seconds since 1970
	Order     Order
	Ascending bool
	Addresses state.OneOf[netip.Addr]
	Token     string // of the page before; empty for the first page
	Size      int    // of the page, 1 or more
}

// Rate is what an address did in a minute, by the second. A part of a unit is
// rounded to the nearest whole one, a half up: less than 30 packets in the
// minute show as 0.
type Rate struct {
	Address                         netip.Addr
	OutboundBits, InboundBits       uint64 // a second, layer 3
	OutboundPackets, InboundPackets uint64 // a second
	Open                            uint64 // sessions at the end of the minute
	Opened                          uint64 // sessions a second
}

// Page is a part of a minute.
type Page struct {
	Rates []Rate
	Next  string // token for the page after it; empty on the last
}

// Service answers for the minutes that are kept. Its methods may be called
// concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	minutes  *Minutes
	keep     time.Duration
	now      func() time.Time
}

// New returns the service over the minutes of db's gateways, of which those
// that are younger than keep are shown.
func New(db *state.DB, set *settings.Settings, minutes *Minutes, keep time.Duration, now func() time.Time) *Service {
	return &Service{db: db, settings: set, minutes: minutes, keep: keep, now: now}
}

// Check refuses a query that List refuses, without reading anything. The
// reasons are RegionNotFound, NATGatewayNotFound, TimePointInvalid and
// PageTokenInvalid.
func (s *Service) Check(c identity.Caller, q Query) error {
	_, err := s.begin(c, q)
	return err
}

// List returns a page of the addresses that did anything in a minute. A minute
// that has not been recorded, be it that it has not ended, that nobody watched
// or that the gateway is younger, has none. Pages that follow one another by
// their tokens show every address once: a minute never changes once it is
// there. The reasons to refuse are those of Check.
func (s *Service) List(c identity.Caller, q Query) (Page, error) {
	from, err := s.begin(c, q)
	if err != nil {
		return Page{}, err
	}
	r := ranking{Order: q.Order, ascending: q.Ascending}
	top := make([]Row, 0, q.Size+2)
	_, err = s.minutes.Read(q.Gateway, q.TimePoint, func(row Row) {
		if !q.Addresses.Allows(row.Address) || from != nil && !r.after(row, *from) {
			return
		}
		// One more than a page tells whether there is a next.
		top = r.insert(top, row, q.Size+1)
	})
	if err != nil {
		return Page{}, err
	}
	var p Page
	if len(top) > q.Size {
		top = top[:q.Size]
		p.Next = token(q, r.place(top[q.Size-1]))
	}
	for _, row := range top {
		p.Rates = append(p.Rates, rate(row))
	}
	return p, nil
}

// begin checks a query and returns the place behind which its page begins, nil
// for the first page.
func (s *Service) begin(c identity.Caller, q Query) (*place, error) {
	if _, err := lookup.In(s.settings, c, s.db.View().NATGateways, q.Region, q.Gateway); err != nil {
		return nil, err
	}
	now := s.now()
	switch first := oldest(now, s.keep); {
	case q.TimePoint%Minute != 0:
		return nil, fault.New(fault.TimePointInvalid, "%d is no whole minute; the minute that it lies in begins at %d", q.TimePoint, floor(q.TimePoint))
	case q.TimePoint > now.Unix():
		return nil, fault.New(fault.TimePointInvalid, "%d lies in the future; it is %d now", q.TimePoint, now.Unix())
	case q.TimePoint < first:
		return nil, fault.New(fault.TimePointInvalid, "%d is longer ago than minutes are kept; the oldest one begins at %d", q.TimePoint, first)
	}
	if q.Token == "" {
		return nil, nil
	}
	from, ok := parseToken(q)
	if !ok {
		return nil, fault.New(fault.PageTokenInvalid, "%.64q is not what the page before gave, for the same query", q.Token)
	}
	return &from, nil
}

func rate(r Row) Rate {
	return Rate{
		Address:         r.Address,
		OutboundBits:    bitsPerSecond(r.Outbound.Bytes),
		InboundBits:     bitsPerSecond(r.Inbound.Bytes),
		OutboundPackets: perSecond(r.Outbound.Packets),
		InboundPackets:  perSecond(r.Inbound.Packets),
		Open:            r.Open,
		Opened:          perSecond(r.Opened),
	}
}

// perSecond and bitsPerSecond round to the nearest; the whole minutes are
// divided first, so that nothing overflows.
func perSecond(n uint64) uint64 { return n/Minute + (n%Minute+Minute/2)/Minute }

func bitsPerSecond(bytes uint64) uint64 {
	return bytes/Minute*8 + (bytes%Minute*8+Minute/2)/Minute
}
