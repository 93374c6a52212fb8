package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/test/lab"
)

// auditOverhead compares how many describing calls a second are answered that are recorded
// in the audit log with how many by a sluiced that keeps none: labs in turns, of which a
// third keeps none either, so that it shows what two equal ones differ by.
func auditOverhead(ctx context.Context, r *run) error {
	rounds, length := 12, time.Second
	if r.quick {
		rounds, length = 2, 300*time.Millisecond
	}
	return r.withAudited(ctx, []string{"off", "all", "off"}, nil, func(sites []*site) error {
		return readsAPage(ctx, r, sites, rounds, length)
	})
}

// withAudited brings up a site for each of what the audit log may have.
func (r *run) withAudited(ctx context.Context, events []string, up []*site, f func([]*site) error) error {
	if len(events) == 0 {
		return f(up)
	}
	r.say("bringing up a lab, audit log: %s", events[0])
	vary := func(o *lab.Options) { o.ExtraConfig += "audit_log: {events: " + events[0] + "}\n" }
	return r.withSite(ctx, fmt.Sprintf("audit%d", len(up)), vary, func(s *site) (err error) {
		if s.natVPC, err = s.addNATVPC(ctx); err != nil {
			return err
		}
		if err := s.page(ctx); err != nil {
			return err
		}
		return r.withAudited(ctx, events[1:], append(up, s), f)
	})
}

func readsAPage(ctx context.Context, r *run, sites []*site, rounds int, length time.Duration) error {
	sides := make([]slot, len(sites))
	for i, s := range sites {
		clients := make([]*describer, describeConns)
		for j := range clients {
			var err error
			if clients[j], err = newDescriber(s); err != nil {
				return err
			}
			clients[j].pages, clients[j].small = []int{0}, true
			defer clients[j].client.HTTP.CloseIdleConnections()
		}
		sides[i] = func() (float64, error) { return describeSlot(ctx, clients, length) }
	}
	r.say("reading a page with and without an audit log for %v", time.Duration(2*len(sites)*rounds)*length)
	rates, err := alternate(ctx, rounds, sides...)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d connections, slots of %v, a page of %d; clients on the same processors", describeConns, length, describePage)
	return errors.Join(
		r.addOverhead("audit_overhead_pct", rates[0], rates[1], fmt.Sprintf("%s; without %.0f/s, with %.0f/s", what, median(rates[0]), median(rates[1]))),
		r.addOverhead("audit_overhead_control_pct", rates[0], rates[2], what+"; neither lab with an audit log: what the comparison itself is good for"))
}

// page puts entries for a page into the table, if there are none.
func (s *site) page(ctx context.Context) error {
	for s.created.Load() < describePage {
		port := fmt.Sprint(s.nextPort())
		err := s.call(ctx, "CreateForwardEntry", nil, "ForwardTableId", s.table, "ExternalIp", s.ip, "ExternalPort", port,
			"InternalIp", "10.0.0.9", "InternalPort", port, "IpProtocol", "TCP")
		if err != nil {
			return err
		}
	}
	return nil
}
