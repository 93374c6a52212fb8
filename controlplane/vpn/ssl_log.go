package vpn

import (
	"context"
	"strings"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// SSLLogQuery asks for the log of an SSL-VPN server. Of From, To and Period two say what is
// meant; Period alone means until now.
type SSLLogQuery struct {
	Region      string
	Server      string
	From, To    time.Time     // zero: not given
	Period      time.Duration // 0: not given
	Certificate string        // only lines that name it; empty: all
	Page        state.Page
}

// span returns what is asked for. Reasons: SSLLogSpan, SpanInvalid.
func (q SSLLogQuery) span(now time.Time) (from, to time.Time, err error) {
	from, to = q.From, q.To
	switch {
	case !from.IsZero() && !to.IsZero():
	case q.Period <= 0:
		return from, to, fault.New(fault.SSLLogSpan, "say from when and until when, or for how many minutes")
	case !from.IsZero():
		to = from.Add(q.Period)
	case !to.IsZero():
		from = to.Add(-q.Period)
	default:
		from, to = now.Add(-q.Period), now
	}
	if to.Before(from) {
		return from, to, fault.New(fault.SpanInvalid, "from %s until %s", from, to)
	}
	return from, to, nil
}

// SSLLog is a part of the log of an SSL-VPN server.
type SSLLog struct {
	state.Listing[dataplane.SSLLine]
	Whole bool // nothing of it is missing
}

// SSLServerLog returns what a server has logged in a span of time, in order
// (DescribeVpnSslServerLogs). What the dataplane can't tell is missing. The server has to be
// the caller's.
//
// Reasons, in this order: RegionNotFound, SSLServerNotFound, SSLLogSpan, SpanInvalid.
func (s *Service) SSLServerLog(ctx context.Context, c identity.Caller, q SSLLogQuery) (SSLLog, error) {
	v := s.db.View()
	x, err := lookup.In(s.settings, c, v.SSLServers, q.Region, q.Server)
	if err != nil {
		return SSLLog{}, err
	}
	from, to, err := q.span(s.now())
	if err != nil {
		return SSLLog{}, err
	}
	lines, err := s.plane.SSLLog(ctx, x.VPC, x.ID, from, to)
	if err != nil {
		s.writer.Log.Warn("the log of an SSL-VPN server can't be read", "server", x.ID, "vpc", x.VPC, "error", err)
		return SSLLog{}, nil
	}
	out := SSLLog{Whole: true}
	for _, l := range lines {
		if q.Certificate != "" && !strings.Contains(l.Text, q.Certificate) {
			continue
		}
		if out.Total >= q.Page.Offset && len(out.Items) < q.Page.Limit {
			out.Items = append(out.Items, l)
		}
		out.Total++
	}
	return out, nil
}
