package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/store/bolt"
)

// The sizes that the control plane is measured at.
const (
	smallTable = 1_000
	largeTable = 100_000

	manyVPCs = 100 // each with a small table
)

// A table is filled with TCP entries up to this port, then with UDP entries from
// the last one down: what is measured are UDP entries from port 1 up.
const lastTCP = 60_000

// fillStore stops the daemon, puts so many entries into the tables of VPCs, which
// had none, and starts it again. It writes what CreateForwardEntry would have.
func (s *site) fillStore(ctx context.Context, sizes map[*natVPC]int) (err error) {
	if err := s.lab.StopDaemon(); err != nil {
		return err
	}
	if err := s.writeEntries(ctx, sizes); err != nil {
		return err
	}
	if err := s.lab.StartDaemon(ctx); err != nil {
		return err
	}
	for v, n := range sizes {
		if err := awaitElements(ctx, v.vpc, n); err != nil {
			return err
		}
	}
	return nil
}

// ids is the form of the entries' ids.
var ids = resource.IDs{Alphabet: "0123456789abcdefghijklmnopqrstuvwxyz", Length: 9}

func (s *site) writeEntries(ctx context.Context, sizes map[*natVPC]int) error {
	file, err := bolt.Open(filepath.Join(s.lab.DataDir(), "store.db"), time.Second)
	if err != nil {
		return err
	}
	defer file.Close()
	db, err := state.Open(ctx, file)
	if err != nil {
		return err
	}
	for v, size := range sizes {
		gateway, ok := db.View().NATGateways.Get(v.gateway)
		if !ok {
			return fmt.Errorf("the store has no NAT gateway %s", v.gateway)
		}
		external, err := netip.ParseAddr(v.ip)
		if err != nil {
			return err
		}
		err = db.Update(ctx, func(tx *state.Tx) error {
			for i := range size {
				e := &resource.ForwardEntry{
					Meta: resource.Meta{
						ID:      tx.NewID(func() string { return ids.Draw("fwd") }),
						Account: gateway.Account, Region: gateway.Region, CreatedAt: time.Now(),
					},
					VPC: v.vpc, Gateway: v.gateway, Table: v.table,
					Protocol: resource.TCP, ExternalIP: external, ExternalPort: uint16(i + 1),
					InternalIP: netip.AddrFrom4([4]byte{10, 0, 0, 10}), InternalPort: uint16(i + 1),
				}
				if i >= lastTCP {
					e.Protocol, e.ExternalPort = resource.UDP, uint16(65535-(i-lastTCP))
					e.InternalPort = e.ExternalPort
				}
				tx.Put(e)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return file.Close()
}

// siteOfTwo has a VPC with a small table, and one with a large one.
func (r *run) siteOfTwo(ctx context.Context) (*site, error) {
	return r.siteFor(ctx, "a small and a large table", func(s *site) error {
		sizes := map[*natVPC]int{}
		for _, size := range []int{smallTable, largeTable} {
			v, err := s.addNATVPC(ctx)
			if err != nil {
				return err
			}
			s.many, sizes[v] = append(s.many, v), size
		}
		r.say("putting %d and %d entries into the store", smallTable, largeTable)
		return s.fillStore(ctx, sizes)
	})
}

// siteOfMany has many VPCs with a small table each.
func (r *run) siteOfMany(ctx context.Context) (*site, error) {
	return r.siteFor(ctx, "many VPCs", func(s *site) error {
		began := time.Now()
		s.many = make([]*natVPC, manyVPCs)
		g, inner := errgroup.WithContext(ctx)
		g.SetLimit(4)
		for i := range s.many {
			g.Go(func() (err error) {
				s.many[i], err = s.addNATVPC(inner)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		sizes := map[*natVPC]int{}
		for _, v := range s.many {
			sizes[v] = smallTable
		}
		r.say("made %d VPCs in %.1f s; putting %d entries of each into the store", manyVPCs, time.Since(began).Seconds(), smallTable)
		return s.fillStore(ctx, sizes)
	})
}

// writesAtScale measures, in turns, changes of a small and of a large table, from
// the call to the element in the kernel.
func writesAtScale(ctx context.Context, r *run) error {
	if r.report.has("write_100k_over_1k") { // by the other name of this measurement
		return nil
	}
	size := 300
	if r.quick {
		size = 20
	}
	s, err := r.siteOfTwo(ctx)
	if err != nil {
		return err
	}
	type side struct {
		vpc                    *natVPC
		events                 *elementEvents
		answers, whole, behind []time.Duration // from the call to the answer, from it to the kernel, from the answer to it
	}
	var sides []*side
	for _, v := range s.many {
		events, err := watchElements(v.vpc)
		if err != nil {
			return err
		}
		defer events.close()
		sides = append(sides, &side{vpc: v, events: events})
	}
	r.say("creating and deleting %d entries of each", size)
	const unmeasured = 5 // the first after a start
	for i := range unmeasured + size {
		for _, d := range sides {
			port := d.vpc.nextPort()
			e, began, answered, err := d.vpc.create(ctx, port)
			if err != nil {
				return err
			}
			at, err := d.events.await(ctx, port, true, applyPatience)
			if err != nil {
				return err
			}
			if i >= unmeasured {
				d.answers, d.whole, d.behind = append(d.answers, answered.Sub(began)), append(d.whole, at.Sub(began)), append(d.behind, max(0, at.Sub(answered)))
			}
			if err := d.vpc.remove(ctx, e); err != nil {
				return err
			}
			if _, err := d.events.await(ctx, port, false, applyPatience); err != nil {
				return err
			}
		}
	}
	small, large := milliseconds(sides[0].whole), milliseconds(sides[1].whole)
	if err := r.report.add("write_100k_over_1k", median(large)/median(small), ratio,
		fmt.Sprintf("medians of %d changes each, from the call to the element in the kernel: %.3g ms over %.3g ms; of the answers %.3g ms over %.3g ms",
			size, median(large), median(small), median(milliseconds(sides[1].answers)), median(milliseconds(sides[0].answers)))); err != nil {
		return err
	}
	behind := milliseconds(sides[1].behind)
	return r.report.add("apply_100k_p99_ms", quantile(behind, 0.99), millis,
		fmt.Sprintf("from the answer to the element in the kernel, %d changes with %d entries present; median %.3g ms, with %d entries %.3g ms",
			size, largeTable, median(behind), smallTable, median(milliseconds(sides[0].behind))))
}
