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
// in the audit log with how many by a sluiced that keeps none: two labs, in turns.
func auditOverhead(ctx context.Context, r *run) (err error) {
	rounds, length := 12, time.Second
	if r.quick {
		rounds, length = 2, 300*time.Millisecond
	}
	recorded, err := r.theSite(ctx)
	if err != nil {
		return err
	}
	if err := recorded.page(ctx); err != nil {
		return err
	}
	r.say("bringing up another lab, without an audit log")
	o, err := lab.Build(ctx, filepath.Join(r.dir, "bin"))
	if err != nil {
		return err
	}
	o.Name, o.Dir, o.ExtraConfig = r.name("off"), filepath.Join(r.dir, "off"), siteConfig+"audit_log: {events: off}\n"
	silent := &site{}
	if silent.lab, err = lab.Up(ctx, o); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Remove(context.WithoutCancel(ctx), o)) }()
	if silent.client, err = silent.lab.Client(); err != nil {
		return err
	}
	if silent.natVPC, err = silent.addNATVPC(ctx); err != nil {
		return err
	}
	if err := silent.page(ctx); err != nil {
		return err
	}
	sides := make([]slot, 2)
	for i, s := range []*site{silent, recorded} {
		clients := make([]*describer, describeConns)
		for j := range clients {
			if clients[j], err = newDescriber(s); err != nil {
				return err
			}
			clients[j].pages, clients[j].small = []int{0}, true
			defer clients[j].client.HTTP.CloseIdleConnections()
		}
		sides[i] = func() (float64, error) { return describeSlot(ctx, clients, length) }
	}
	r.say("reading a page with and without an audit log for %v", time.Duration(4*rounds)*length)
	rates, err := alternate(ctx, rounds, sides...)
	if err != nil {
		return err
	}
	return r.addOverhead("audit_overhead_pct", rates[0], rates[1],
		fmt.Sprintf("%d connections, slots of %v, a page of %d; without %.0f/s, with %.0f/s; clients on the same processors", describeConns, length, describePage, median(rates[0]), median(rates[1])))
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
