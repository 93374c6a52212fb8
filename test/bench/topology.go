package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/engine"
	"sluice/test/lab"
)

// Of a topology: so many VPCs, each of which is linked with all others of its group.
const (
	meshVPCs  = 100
	meshGroup = 10
)

// meshes returns the VPCs of a topology in groups, each a full mesh: a router interface and a
// route from each to each other one, 10.<VPC>.0.0/16.
func meshes(r *run) (all []*dataplane.Network) {
	id := func(i int) string { return r.name(fmt.Sprintf("m%02d", i)) }
	block := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)
	}
	end := func(i, k int) string { return fmt.Sprintf("ri-%02d-%02d", i, k) }
	for i := range meshVPCs {
		n := &dataplane.Network{ID: id(i), Revision: 1, Prefix: block(i), Timeouts: dataplane.DefaultTimeouts(), Shortcut: true}
		at := block(i).Addr().As4()
		at[3] = 253
		n.Switches = []dataplane.Switch{{ID: vswitchID, Prefix: netip.PrefixFrom(block(i).Addr(), 24), Gateway: netip.AddrFrom4(at),
			Attachment: dataplane.Attachment{Kind: dataplane.AttachBridge}}}
		for k := i - i%meshGroup; k < i-i%meshGroup+meshGroup; k++ {
			if k == i {
				continue
			}
			n.RouterInterfaces = append(n.RouterInterfaces, dataplane.RouterInterface{ID: end(i, k), Peer: end(k, i), Network: id(k), Bandwidth: 1000})
			n.Routes = append(n.Routes, dataplane.Route{Destination: block(k), NextHops: []dataplane.NextHop{{Interface: end(i, k)}}})
		}
		all = append(all, n)
	}
	return all
}

// topologyTime measures how long it takes from nothing until a hundred VPCs are there, in
// meshes of ten, and all their routes with them, as the reconciler has it done: four at a
// time, and again what has something new to follow.
func topologyTime(ctx context.Context, r *run) (err error) {
	all := meshes(r)
	if r.quick {
		all = all[:2*meshGroup]
	}
	r.say("%d VPCs in meshes of %d", len(all), meshGroup)
	e, err := r.engine(withPrograms)
	if err != nil {
		return err
	}
	defer func() {
		for _, n := range all {
			if failed := e.Remove(context.WithoutCancel(ctx), n.ID); err == nil {
				err = failed
			}
		}
		if failed := e.Close(); err == nil {
			err = failed
		}
	}()
	byID := map[string]*dataplane.Network{}
	todo := make(chan *dataplane.Network, 100*meshVPCs)
	for _, n := range all {
		byID[n.ID] = n
		todo <- n
	}
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	failed := make(chan error, 4)
	began := time.Now()
	for range 4 {
		go func() { failed <- applyAll(ctx, e, todo) }()
	}
	go func() {
		for {
			select {
			case id := <-e.Changed():
				if n := byID[id]; n != nil {
					todo <- n
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	err = lab.Await(ctx, "all routes", func() error {
		select {
		case err := <-failed:
			return err
		default:
		}
		for _, n := range all {
			list, err := e.Interfaces(ctx, n.ID)
			if err != nil {
				return err
			}
			if len(list) != len(n.RouterInterfaces) {
				return fmt.Errorf("%s has %d router interfaces", n.ID, len(list))
			}
			for _, s := range list {
				if !s.Reached {
					return fmt.Errorf("%s of %s is not linked, or leads nowhere", s.ID, n.ID)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.report.add("topology_100_s", time.Since(began).Seconds(), seconds,
		fmt.Sprintf("%d VPCs with a VSwitch, %d router interfaces and as many routes", len(all), len(all)*(meshGroup-1)))
}

func applyAll(ctx context.Context, e *engine.Engine, todo <-chan *dataplane.Network) error {
	for {
		select {
		case n := <-todo:
			if _, err := e.Apply(ctx, n); err != nil && ctx.Err() == nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}
