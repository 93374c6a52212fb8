package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/arpwatch"
)

// Who has a HaVip's address is asked of who had it last, and of all where that one does not
// answer. One that was not heard of for a time has it no longer. Packets follow what is
// announced without any of this; they follow it, too, where an announcement is lost, or none
// is made: two masters find one another again, and the one that stays it says nothing.
const (
	askEvery  = time.Second
	forgetOne = 5*askEvery + askEvery/2
)

// haVips is what was seen of a network's HaVips.
type haVips struct {
	mu        sync.Mutex
	wanted    map[netip.Addr]*dataplane.HaVip
	seen      map[netip.Addr]dataplane.HaVipHolder
	own       map[netip.Addr]string // Ethernet addresses that were heard of hosts of which none is known
	listeners map[string]*haVipListener
}

// haVipListener hears of the addresses of one switch.
type haVipListener struct {
	*arpwatch.Listener
	link  arpwatch.Link
	addrs []netip.Addr // of HaVips, and then of hosts of which no Ethernet address is known
	stop  context.CancelFunc
	done  sync.WaitGroup
}

func (l *haVipListener) close() {
	l.stop()
	l.Listener.Close()
	l.done.Wait()
}

// HaVips returns who was seen to have the addresses of a network's HaVips. Those that nobody
// was seen to have are not in it.
func (e *Engine) HaVips(id string) map[netip.Addr]dataplane.HaVipHolder {
	e.mu.Lock()
	n := e.networks[id]
	e.mu.Unlock()
	if n == nil {
		return nil
	}
	n.haVips.mu.Lock()
	defer n.haVips.mu.Unlock()
	out := maps.Clone(n.haVips.seen)
	maps.DeleteFunc(out, func(_ netip.Addr, h dataplane.HaVipHolder) bool { return time.Since(h.Seen) > forgetOne })
	return out
}

// followHaVips listens on the links of the switches that have HaVips, and forgets who may
// not have one any more: packets go to whoever answers next.
func (j *job) followHaVips() error {
	n, v := j.n, &j.n.haVips
	v.mu.Lock()
	lost := v.want(j.want.HaVips)
	v.mu.Unlock()
	var errs []error
	wanted := map[string]*haVipListener{}
	for i := range j.want.Switches {
		sw := &j.want.Switches[i]
		l := &haVipListener{addrs: addressesOf(j.want.HaVips, sw.Prefix)}
		if len(l.addrs) == 0 {
			continue
		}
		link, err := n.ns.Netlink().LinkByName(sw.Link())
		if err != nil {
			errs = append(errs, fmt.Errorf("hear who has the HaVips of %s: %w", sw.ID, err))
			continue
		}
		l.link = arpwatch.Link{Index: link.Attrs().Index, MAC: link.Attrs().HardwareAddr, Own: sw.Gateway}
		wanted[sw.ID] = l
	}
	for id, l := range v.listeners {
		if w := wanted[id]; w == nil || !w.same(l) {
			l.close()
			delete(v.listeners, id)
		}
	}
	for id, l := range wanted {
		if v.listeners[id] != nil {
			continue
		}
		if err := j.e.listenToHaVips(n, id, l); err != nil {
			errs = append(errs, err)
			continue
		}
		if v.listeners == nil {
			v.listeners = map[string]*haVipListener{}
		}
		v.listeners[id] = l
		j.e.askForHaVips(n, l, time.Now())
	}
	for _, a := range lost {
		if err := n.forgetNeighbour(a, j.want); err != nil {
			errs = append(errs, err)
		}
	}
	if len(lost) > 0 {
		n.renewPaths()
	}
	return errors.Join(errs...)
}

func (l *haVipListener) same(o *haVipListener) bool {
	return l.link.Index == o.link.Index && bytes.Equal(l.link.MAC, o.link.MAC) && l.link.Own == o.link.Own && slices.Equal(l.addrs, o.addrs)
}

// addressesOf are those of HaVips in a prefix, and of their hosts of which no Ethernet
// address is known, sorted.
func addressesOf(list []dataplane.HaVip, in netip.Prefix) (out []netip.Addr) {
	for i := range list {
		if !in.Contains(list[i].Address) {
			continue
		}
		out = append(out, list[i].Address)
		for _, h := range list[i].Hosts {
			if h.MAC == "" && in.Contains(h.Address) {
				out = append(out, h.Address)
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// want takes over which HaVips there are, with v.mu held, and returns those whose address
// was seen at a host that may not have it any more.
func (v *haVips) want(list []dataplane.HaVip) (lost []netip.Addr) {
	v.wanted = make(map[netip.Addr]*dataplane.HaVip, len(list))
	for i := range list {
		v.wanted[list[i].Address] = &list[i]
	}
	for a, holder := range v.seen {
		h := v.wanted[a]
		if h == nil {
			delete(v.seen, a)
			continue
		}
		host := v.hostOf(h, holder.MAC)
		if !host.IsValid() && h.Held() {
			delete(v.seen, a)
			lost = append(lost, a)
			continue
		}
		holder.Host = host
		v.seen[a] = holder
	}
	return lost
}

// hostOf returns the own address of the host of a HaVip that has an Ethernet address, as far
// as that is known; invalid if none has.
func (v *haVips) hostOf(h *dataplane.HaVip, mac string) netip.Addr {
	for _, o := range h.Hosts {
		known := o.MAC
		if known == "" {
			known = v.own[o.Address]
		}
		if known == mac {
			return o.Address
		}
	}
	return netip.Addr{}
}

// heard takes in that an Ethernet address has said that an address is its own. It returns the
// holder that this makes, and whether the address has moved to it.
func (v *haVips) heard(a netip.Addr, mac string, now time.Time) (holder dataplane.HaVipHolder, moved bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.wanted[a]
	if h == nil {
		if v.own == nil {
			v.own = map[netip.Addr]string{}
		}
		v.own[a] = mac
		for _, x := range v.wanted {
			if last, ok := v.seen[x.Address]; ok && !last.Host.IsValid() {
				last.Host = v.hostOf(x, last.MAC)
				v.seen[x.Address] = last
			}
		}
		return holder, false
	}
	host := v.hostOf(h, mac)
	if !host.IsValid() && h.Held() {
		return holder, false // it may not have it
	}
	holder, ok := v.seen[a]
	moved = !ok || holder.MAC != mac
	if moved || now.Sub(holder.Seen) > forgetOne {
		holder = dataplane.HaVipHolder{MAC: mac, Since: now}
	}
	holder.Host, holder.Seen = host, now
	if v.seen == nil {
		v.seen = map[netip.Addr]dataplane.HaVipHolder{}
	}
	v.seen[a] = holder
	return holder, moved
}

// listenToHaVips begins to listen, and to ask.
func (e *Engine) listenToHaVips(n *network, id string, l *haVipListener) error {
	ns := n.ns
	heard := func(h arpwatch.Heard) {
		holder, moved := n.haVips.heard(h.Address, h.MAC.String(), time.Now())
		if !moved {
			return
		}
		// The kernel has heard it, too, if it knew the address. If it has forgotten it, paths
		// that were learned before would lead on to where it was.
		err := ns.Netlink().NeighSet(&netlink.Neigh{LinkIndex: l.link.Index, Family: netlink.FAMILY_V4, IP: h.Address.AsSlice(), HardwareAddr: h.MAC, State: netlink.NUD_REACHABLE})
		if err != nil {
			e.log.Debug("a HaVip's neighbour cannot be set", "network", n.id, "address", h.Address, "error", err)
		}
		n.renewPaths()
		e.log.Info("HaVip is at another host", "network", n.id, "vswitch", id, "address", h.Address, "host", holder.Host, "mac", holder.MAC)
	}
	failed := func(err error) {
		e.log.Warn("who has the HaVips of a VSwitch is not heard any more", "network", n.id, "vswitch", id, "error", err)
	}
	var err error
	if l.Listener, err = arpwatch.Listen(ns, l.link, l.addrs, heard, failed); err != nil {
		return fmt.Errorf("hear who has the HaVips of %s: %w", id, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.done.Go(func() {
		again := time.NewTicker(askEvery)
		defer again.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-again.C:
				e.askForHaVips(n, l, now)
			}
		}
	})
	return nil
}

// askForHaVips asks who has the addresses of a switch: of who had one last, if it has
// answered the last question, so that two that both believe to have it do not take it from one
// another by answering.
func (e *Engine) askForHaVips(n *network, l *haVipListener, now time.Time) {
	for _, a := range l.addrs {
		var of net.HardwareAddr
		n.haVips.mu.Lock()
		if holder, ok := n.haVips.seen[a]; ok && now.Sub(holder.Seen) < askEvery+askEvery/2 {
			of, _ = net.ParseMAC(holder.MAC)
		}
		n.haVips.mu.Unlock()
		if err := l.Ask(a, of); err != nil {
			e.log.Debug("who has an address is not asked", "network", n.id, "error", err)
		}
	}
}

// forgetNeighbour has the kernel ask anew for an address.
func (n *network) forgetNeighbour(a netip.Addr, want *dataplane.Network) error {
	for i := range want.Switches {
		if !want.Switches[i].Prefix.Contains(a) {
			continue
		}
		link, err := n.ns.Netlink().LinkByName(want.Switches[i].Link())
		if err != nil {
			return err
		}
		err = n.ns.Netlink().NeighDel(&netlink.Neigh{LinkIndex: link.Attrs().Index, Family: netlink.FAMILY_V4, IP: a.AsSlice()})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("forget who has %s: %w", a, err)
		}
	}
	return nil
}

// closeHaVips ends the listening, with n.mu held.
func (n *network) closeHaVips() {
	for id, l := range n.haVips.listeners {
		l.close()
		delete(n.haVips.listeners, id)
	}
}
