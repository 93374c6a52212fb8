package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/engine"
	"sluice/test/lab"
)

// Of a topology: so many VPCs, each of which is linked with all others of its group; and how many are
// made one by one afterwards, each linked with one of another group.
const (
	meshVPCs  = 100
	meshGroup = 10
	grown     = 2
)

// meshes returns the VPCs of a topology in groups, each a full mesh: a router interface and a
// route from each to each other one, 10.<VPC>.0.0/16.
func meshes(r *run) (all []*dataplane.Network) {
	for i := range meshVPCs {
		first := i - i%meshGroup
		var others []int
		for k := first; k < first+meshGroup; k++ {
			if k != i {
				others = append(others, k)
			}
		}
		all = append(all, meshVPC(r, i, others))
	}
	return all
}

// meshVPC returns a VPC that is linked with others.
func meshVPC(r *run, i int, others []int) *dataplane.Network {
	n := &dataplane.Network{ID: meshID(r, i), Revision: 1, Prefix: meshBlock(i), Timeouts: dataplane.DefaultTimeouts(), Shortcut: true}
	at := n.Prefix.Addr().As4()
	at[3] = 253
	n.Switches = []dataplane.Switch{{ID: vswitchID, Prefix: netip.PrefixFrom(n.Prefix.Addr(), 24), Gateway: netip.AddrFrom4(at),
		Attachment: dataplane.Attachment{Kind: dataplane.AttachBridge}}}
	for _, k := range others {
		linkVPC(n, i, meshID(r, k), k)
	}
	return n
}

func meshID(r *run, i int) string { return r.name(fmt.Sprintf("m%02d", i)) }

func meshBlock(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)
}

// linkVPC gives VPC i a router interface to VPC k, and a route.
func linkVPC(n *dataplane.Network, i int, to string, k int) {
	end := func(i, k int) string { return fmt.Sprintf("ri-%02d-%02d", i, k) }
	n.RouterInterfaces = append(n.RouterInterfaces, dataplane.RouterInterface{ID: end(i, k), Peer: end(k, i), Network: to, Bandwidth: 1000})
	n.Routes = append(n.Routes, dataplane.Route{Destination: meshBlock(k), NextHops: []dataplane.NextHop{{Interface: end(i, k)}}})
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
	var newest sync.Map // of *dataplane.Network, by id
	todo := make(chan *dataplane.Network, 100*meshVPCs)
	apply := func(n *dataplane.Network) {
		newest.Store(n.ID, n)
		todo <- n
	}
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	failed := make(chan error, 4)
	for range 4 {
		go func() { failed <- applyAll(ctx, e, todo) }()
	}
	go func() {
		for {
			select {
			case id := <-e.Changed():
				if n, known := newest.Load(id); known {
					todo <- n.(*dataplane.Network)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	took := func(changed ...*dataplane.Network) (time.Duration, error) {
		began := time.Now()
		for _, n := range changed {
			apply(n)
		}
		err := lab.Await(ctx, "all routes", func() error {
			select {
			case err := <-failed:
				return err
			default:
				return reached(ctx, e, changed)
			}
		})
		return time.Since(began), err
	}
	whole, err := took(all...)
	if err != nil {
		return err
	}
	var more []float64
	for i := range grown {
		old, grows := all[i*meshGroup], *all[i*meshGroup]
		one := meshVPC(r, meshVPCs+i, nil)
		grows.Revision++
		grows.RouterInterfaces, grows.Routes = slices.Clip(old.RouterInterfaces), slices.Clip(old.Routes)
		linkVPC(&grows, i*meshGroup, one.ID, meshVPCs+i)
		linkVPC(one, meshVPCs+i, grows.ID, i*meshGroup)
		all[i*meshGroup] = &grows
		all = append(all, one)
		d, err := took(one, &grows)
		if err != nil {
			return err
		}
		more = append(more, float64(d.Microseconds())/1000)
	}
	what := fmt.Sprintf("%d VPCs with a VSwitch, %d router interfaces and as many routes", len(all)-grown, (len(all)-grown)*(meshGroup-1))
	return errors.Join(
		r.report.add("topology_100_s", whole.Seconds(), seconds, what),
		r.report.add("topology_one_more_ms", median(more), millis,
			fmt.Sprintf("one more VPC, linked with one that has %d router interfaces, beside them; median of %d", meshGroup-1, grown)))
}

// reached says which router interface of networks is not there.
func reached(ctx context.Context, e *engine.Engine, all []*dataplane.Network) error {
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
