package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
)

// A router interface and its peer are a veth pair, an end in each network's namespace. The
// ends have no addresses, but for one that a health check comes from, and do not ask for any: both have one hardware address, so that
// a frame from the one is for the other, whatever its next hop is (IFF_NOARP).

// interfaceMTU is as much as the kernel lets a veth have: the way out of the other network
// decides how large packets may be.
const interfaceMTU = 65535

func interfaceAlias(r *dataplane.RouterInterface) string {
	return fmt.Sprintf("%srouter interface %s to %s of %s", ours, r.ID, r.Peer, r.Network)
}

// interfaceMAC is the hardware address of both ends.
func interfaceMAC(r *dataplane.RouterInterface) net.HardwareAddr {
	ids := []string{r.ID, r.Peer}
	slices.Sort(ids)
	return MAC(ids...)
}

// isInterface reports whether a link is the end of that router interface. One that was made
// a moment ago by the other network has no alias yet.
func isInterface(have *Link, r *dataplane.RouterInterface) bool {
	return have.Kind == "veth" && have.MAC == interfaceMAC(r).String()
}

// planInterface plans a router interface's end. It is made, together with the other one,
// once the other network asks for that; until then nothing is there, and that is right.
func (l *Links) planInterface(p *Plan, s *State, r *dataplane.RouterInterface) {
	name := r.Link()
	have := s.Links[name]
	if have != nil && !isInterface(have, r) {
		p.going[name] = have
		have = nil
	}
	if have == nil {
		if l.Asked == nil || !l.Asked(r) {
			return
		}
		p.Make = append(p.Make, plan.Change{
			What: fmt.Sprintf("link router interface %s to %s of %s", r.ID, r.Peer, r.Network), Makes: name,
			Do: func(context.Context) error {
				if err := l.makeWay(p, name); err != nil {
					return err
				}
				return l.makeInterface(r)
			},
		})
	} else {
		l.planSettings(p, have, name, interfaceAlias(r), nil, interfaceMTU)
		if !have.NoARP {
			p.Make = append(p.Make, plan.Change{What: "turn ARP of " + name + " off", Makes: name,
				Do: l.onLink(name, func(k netlink.Link) error { return l.ns.Netlink().LinkSetARPOff(k) })})
		}
	}
	l.planAddresses(p, have, name, ofInterface(r))
	if have == nil || !have.Up {
		p.Start = append(p.Start, plan.Change{
			What: "see the other end of " + name + " come up", Needs: []string{name},
			Do: func(ctx context.Context) error {
				err := awaitPeer(ctx, r)
				if l.Linked != nil && err == nil {
					l.Linked(r) // while this end was down it led nowhere
				}
				return err
			},
		})
	}
}

// patience is how long the other end of a link may take to come up.
const patience = 5 * time.Second

// awaitPeer waits until the other end of a router interface's link, which is up at this end
// now, takes packets: it has a carrier at once, and the kernel drops what is sent there until
// it has seen to that (IFF_RUNNING), which it does in its own time.
func awaitPeer(ctx context.Context, r *dataplane.RouterInterface) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	to, err := netns.Open(dataplane.Namespace(r.Network))
	if err != nil {
		return fmt.Errorf("the namespace of network %s, which has the other end: %w", r.Network, err)
	}
	defer to.Close()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		end, err := find(to, dataplane.LinkName(r.Peer))
		const carrier, running = unix.IFF_UP | unix.IFF_LOWER_UP, unix.IFF_RUNNING
		if err != nil || end == nil || end.kernel.Attrs().RawFlags&(carrier|running) != carrier {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the other end of router interface %s, %s in %s, does not come up: %w", r.ID, r.Peer, to, ctx.Err())
		}
	}
}

// ofInterface returns the addresses of a router interface: the one that its health check comes from.
func ofInterface(r *dataplane.RouterInterface) []netip.Prefix {
	if r.Check == nil {
		return nil
	}
	return []netip.Prefix{netip.PrefixFrom(r.Check.Source, r.Check.Source.BitLen())}
}

// making is held while a pair is made: both networks may be about to.
var making sync.Mutex

// makeInterface makes the pair, each end in its namespace from the start. The other end is
// set up at once, which carries nothing before this one is; its network sees to the rest.
func (l *Links) makeInterface(r *dataplane.RouterInterface) error {
	making.Lock()
	defer making.Unlock()
	name := r.Link()
	if have, err := find(l.ns, name); err != nil || have != nil && isInterface(have, r) {
		return err
	}
	to, err := netns.Open(dataplane.Namespace(r.Network))
	if err != nil {
		return fmt.Errorf("the namespace of network %s, which has the other end: %w", r.Network, err)
	}
	defer to.Close()
	peer := dataplane.LinkName(r.Peer)
	// An end whose other end is not here is of an earlier namespace of this network.
	if end, err := find(to, peer); err != nil {
		return err
	} else if end != nil {
		if !isInterface(end, r) {
			return foreignName(end, "router interface "+r.Peer)
		}
		if err := gone(to.Netlink().LinkDel(end.kernel)); err != nil {
			return fmt.Errorf("delete the left over link %s in %s: %w", peer, to, err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Group, attrs.MTU, attrs.HardwareAddr = name, Group, interfaceMTU, interfaceMAC(r)
	pair := netlink.NewVeth(attrs)
	pair.PeerName, pair.PeerNamespace, pair.PeerHardwareAddr = peer, netlink.NsFd(to.Handle()), attrs.HardwareAddr
	if err := l.ns.Netlink().LinkAdd(pair); err != nil {
		return fmt.Errorf("make a veth pair %s, %s: %w", name, peer, err)
	}
	err = errors.Join(
		l.onLink(name, func(k netlink.Link) error {
			return errors.Join(l.ns.Netlink().LinkSetARPOff(k), l.ns.Netlink().LinkSetAlias(k, interfaceAlias(r)))
		})(context.Background()),
		startPeer(to, peer))
	if l.Linked != nil && err == nil {
		l.Linked(r)
	}
	return err
}

func startPeer(ns *netns.Namespace, name string) error {
	k, err := ns.Netlink().LinkByName(name)
	if err != nil {
		return err
	}
	return errors.Join(ns.Netlink().LinkSetARPOff(k), ns.Netlink().LinkSetMTU(k, interfaceMTU), ns.Netlink().LinkSetUp(k))
}

// Works reports whether a router interface's link is there, and up at both ends.
func Works(ns *netns.Namespace, r *dataplane.RouterInterface) bool {
	k, err := ns.Netlink().LinkByName(r.Link())
	if err != nil {
		return false
	}
	const up = unix.IFF_UP | unix.IFF_LOWER_UP
	return k.Attrs().RawFlags&up == up && isInterface(fromKernel(k), r)
}
