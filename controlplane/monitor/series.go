package monitor

import (
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
)

// MostPoints is how many points one call may ask for.
const MostPoints = 200

// Span asks for points of one elastic IP or package: of every Period from Start on, as
// far as it ends by End. Where not even the first one does, it is asked for all the same.
type Span struct {
	Start, End time.Time
	Period     time.Duration // whole minutes
}

// Point is what passed in a period that began at Time. Of a period of which not every
// minute was watched it is what passed in those that were.
type Point struct {
	Time time.Time
	Passed
}

// ElasticIP returns the points of an elastic IP, in order of time, without those of which
// no minute was watched: be it that they have not been yet, that nobody counted, or that
// they are longer ago than minutes are kept. The reasons are ElasticIPNotFound,
// SpanInvalid and TooManyPoints.
func (s *Service) ElasticIP(c identity.Caller, id string, span Span) ([]Point, error) {
	e, err := lookup.Own(c, s.db.View().ElasticIPs, id)
	if err != nil {
		return nil, err
	}
	return s.points(id, e.Meta, span)
}

// PackageAddress is ElasticIP for one that shares a bandwidth package, or is an address of a
// NAT bandwidth package; another one is not found. A span that begins longer ago than minutes are kept, or in the future, is
// TimePointInvalid.
func (s *Service) PackageAddress(c identity.Caller, region, id string, span Span) ([]Point, error) {
	if err := s.settings.CheckRegion(region); err != nil {
		return nil, err
	}
	e, ok := s.db.View().ElasticIPs.Get(id)
	if !ok || e.Account != c.Account || e.Region != region || e.Package == "" && e.NATPackage == "" {
		return nil, fault.New(fault.ElasticIPNotFound, "%q in region %s, as one that shares a bandwidth package", id, region)
	}
	now := s.now()
	if first := oldest(now, s.keep); up(span.Start) < first || span.Start.After(now) || span.End.After(now) {
		return nil, fault.New(fault.TimePointInvalid, "a span begins within the time for which minutes are kept, at %s or later, and ends by now", time.Unix(first, 0).UTC().Format(time.RFC3339))
	}
	return s.points(id, e.Meta, span)
}

// Package returns the points of a common or a NAT bandwidth package: what passed all its addresses
// together; and its bandwidth in Mbit/s. The reasons are PackageNotFound, SpanInvalid and
// TooManyPoints.
func (s *Service) Package(c identity.Caller, id string, span Span) ([]Point, int, error) {
	if p, err := lookup.Own(c, s.db.View().NATPackages, id); err == nil {
		points, err := s.points(id, p.Meta, span)
		return points, p.Bandwidth, err
	}
	p, err := lookup.Own(c, s.db.View().CommonPackages, id)
	if err != nil {
		return nil, 0, err
	}
	points, err := s.points(id, p.Meta, span)
	return points, p.Bandwidth, err
}

// points reads what is kept of an id.
func (s *Service) points(id string, of resource.Meta, span Span) ([]Point, error) {
	start, end, period := up(span.Start), up(span.End), int64(span.Period/time.Second)
	switch {
	case end < start:
		return nil, fault.New(fault.SpanInvalid, "it ends before it begins")
	case (end-start)/period > MostPoints:
		return nil, fault.New(fault.TooManyPoints, "%d points were asked for, at most %d are given; ask for a shorter span or a longer period", (end-start)/period, MostPoints)
	}
	count := max((end-start)/period, 1)
	sums, watched := make([]Passed, count), make([]bool, count)
	from := max(start, oldest(s.now(), s.keep), floor(of.CreatedAt.Unix()))
	err := s.minutes.ReadVolumes(id, from, min(start+count*period, s.now().Unix()), func(begin int64, p Passed) {
		i := (begin - start) / period
		sums[i], watched[i] = sums[i].plus(p), true
	})
	if err != nil {
		return nil, err
	}
	var out []Point
	for i, p := range sums {
		if watched[i] {
			out = append(out, Point{Time: time.Unix(start+int64(i)*period, 0), Passed: p})
		}
	}
	return out, nil
}

// up returns a time as seconds, rounded up to a whole minute.
func up(t time.Time) int64 {
	n := floor(t.Unix())
	if time.Unix(n, 0).Before(t) {
		n += Minute
	}
	return n
}
