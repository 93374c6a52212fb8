package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"sluice/test/lab"
)

// auditOverhead compares how many describing calls a second are answered that are recorded
// in the audit log with how many by a sluiced that keeps none: labs in turns, of which a
// third keeps none either, so that it shows what two equal ones differ by.
func auditOverhead(ctx context.Context, r *run) (failed error) {
	rounds, length := 12, time.Second
	if r.quick {
		rounds, length = 2, 300*time.Millisecond
	}
	sites := make([]*site, 3)
	for i, events := range []string{"off", "all", "off"} {
		r.say("bringing up a lab, audit log: %s", events)
		name := fmt.Sprintf("audit%d", i)
		o, err := lab.Build(ctx, filepath.Join(r.dir, "bin"))
		if err != nil {
			return err
		}
		o.Name, o.Dir, o.ExtraConfig = r.name(name), filepath.Join(r.dir, name), siteConfig+"audit_log: {events: "+events+"}\n"
		s := &site{}
		if s.lab, err = lab.Up(ctx, o); err != nil {
			return err
		}
		defer func() { failed = errors.Join(failed, lab.Remove(context.WithoutCancel(ctx), o)) }()
		if s.client, err = s.lab.Client(); err != nil {
			return err
		}
		if s.natVPC, err = s.addNATVPC(ctx); err != nil {
			return err
		}
		if err := s.page(ctx); err != nil {
			return err
		}
		sites[i] = s
	}
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
