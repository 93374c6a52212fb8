package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"

	"sluice/dataplane"
	"sluice/dataplane/plan"
)

// Plan is what differs between a namespace and a Network.
type Plan struct {
	Make   []plan.Change // links that are missing or wrong; none is up afterwards that was not
	Start  []plan.Change // addresses, and links set up
	Remove []plan.Change // addresses and links that are too much
	Err    error         // what cannot be had as things are

	added []netip.Addr
	going map[string]*Link // by name: those that are not what is wanted, or not wanted at all
	asked map[string]bool  // what links that are to be made have for themselves
	hosts map[netip.Addr]bool
}

// Empty reports whether nothing differs.
func (p *Plan) Empty() bool { return len(p.Make) == 0 && len(p.Start) == 0 && len(p.Remove) == 0 }

// Added returns the elastic IPs that Start has added so far; their neighbours
// are to be told.
func (p *Plan) Added() []netip.Addr { return p.added }

// Whats returns what the changes are.
func (p *Plan) Whats() []string {
	all := plan.Plan{Add: slices.Concat(p.Make, p.Start), Remove: p.Remove}
	return all.Whats()
}

// Plan compares. The changes find their links by name when they are carried
// out, so that a link may be made by an earlier one.
func (l *Links) Plan(s *State, n *dataplane.Network) *Plan {
	p := &Plan{going: map[string]*Link{}, asked: map[string]bool{}, hosts: hosts(n)}
	wanted := map[string]bool{}
	if lo := s.Links["lo"]; lo != nil && !lo.Up {
		l.planUp(p, "lo")
	}
	for i := range n.Switches {
		sw := &n.Switches[i]
		wanted[sw.Link()] = true
		l.planSwitch(p, s, n, sw)
	}
	for _, server := range n.AllSSL() {
		wanted[server.Link()] = true
		l.planServer(p, s, server)
	}
	for i := range n.RouterInterfaces {
		r := &n.RouterInterfaces[i]
		wanted[r.Link()] = true
		l.planInterface(p, s, r)
	}
	if n.Classic != nil {
		wanted[dataplane.ClassicName] = true
		l.planClassic(p, s, n)
	}
	if n.Uplink != nil {
		wanted[dataplane.UplinkName] = true
		l.planUplink(p, s, n)
	} else if len(n.Elastic) > 0 {
		p.Err = errors.Join(p.Err, fmt.Errorf("network %s has elastic IPs but no uplink to have them on; it needs a public network", n.ID))
	}
	for _, name := range sortedNames(s.Links) {
		link := s.Links[name]
		if name == "lo" || wanted[name] || !isOurs(link) {
			continue
		}
		p.going[name] = link
	}
	l.planFreed(p)
	for _, name := range sortedNames(p.going) {
		link := p.going[name]
		if wanted[name] {
			continue
		}
		p.Remove = append(p.Remove, plan.Change{
			What: "remove link " + name,
			Do:   func(ctx context.Context) error { return l.remove(link) },
		})
	}
	return p
}

func sortedNames(links map[string]*Link) []string {
	names := make([]string, 0, len(links))
	for name := range links {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// planSettings compares what can be changed of a link while it runs. A fresh
// link, that an earlier change makes, differs in all of it.
func (l *Links) planSettings(p *Plan, have *Link, name, alias string, mac net.HardwareAddr, mtu int) {
	set := func(what string, f func(netlink.Link) error) {
		p.Make = append(p.Make, plan.Change{What: "set " + what + " of " + name, Makes: name, Do: l.onLink(name, f)})
	}
	if have.Alias != alias {
		set("alias", func(k netlink.Link) error { return l.ns.Netlink().LinkSetAlias(k, alias) })
	}
	if mac != nil && have.MAC != mac.String() {
		set("hardware address", func(k netlink.Link) error { return l.ns.Netlink().LinkSetHardwareAddr(k, mac) })
	}
	if mtu != 0 && have.MTU != mtu {
		set("MTU", func(k netlink.Link) error { return l.ns.Netlink().LinkSetMTU(k, mtu) })
	}
}

// planAddresses compares addresses; fresh links have none. The link is set up
// after it has them, so that it answers for all of them from the start.
func (l *Links) planAddresses(p *Plan, have *Link, name string, want []netip.Prefix) {
	var has []netip.Prefix
	if have != nil {
		has = have.Addresses
	}
	for _, a := range want {
		if slices.Contains(has, a) {
			continue
		}
		p.Start = append(p.Start, plan.Change{
			What: fmt.Sprintf("add address %s to %s", a, name), Needs: []string{name},
			Do: l.onLink(name, func(k netlink.Link) error {
				if err := l.ns.Netlink().AddrReplace(k, kernelAddress(a)); err != nil {
					return err
				}
				if name == dataplane.UplinkName {
					p.added = append(p.added, a.Addr())
				}
				return nil
			}),
		})
	}
	if have == nil || !have.Up {
		l.planUp(p, name)
	}
	for _, a := range has {
		if slices.Contains(want, a) {
			continue
		}
		remove := &p.Remove
		if p.takes(a) {
			remove = &p.Start
		}
		*remove = append(*remove, plan.Change{
			What: fmt.Sprintf("remove address %s from %s", a, name), Needs: []string{name},
			Do: l.onLink(name, func(k netlink.Link) error { return gone(l.ns.Netlink().AddrDel(k, kernelAddress(a))) }),
		})
	}
}

func (l *Links) planUp(p *Plan, name string) {
	p.Start = append(p.Start, plan.Change{
		What: "set " + name + " up", Needs: []string{name},
		Do: l.onLink(name, func(k netlink.Link) error { return l.ns.Netlink().LinkSetUp(k) }),
	})
}

// planPorts puts ports back into the bridge that they say they belong to. They
// lose it when someone deletes the bridge.
func (l *Links) planPorts(p *Plan, s *State, bridge *Link, id string) {
	to := dataplane.LinkName(id)
	for _, name := range sortedNames(s.Links) {
		port := s.Links[name]
		if port.Alias != portAlias(id) || (bridge != nil && port.Master == bridge.Index) {
			continue
		}
		p.Start = append(p.Start, plan.Change{
			What: fmt.Sprintf("plug %s into %s", name, to), Needs: []string{to},
			Do: l.onLink(to, func(k netlink.Link) error {
				port, err := l.ns.Netlink().LinkByName(name)
				if err != nil {
					return err
				}
				return l.ns.Netlink().LinkSetMaster(port, k)
			}),
		})
	}
}

func (l *Links) onLink(name string, f func(netlink.Link) error) func(context.Context) error {
	return func(context.Context) error {
		k, err := l.ns.Netlink().LinkByName(name)
		if err != nil {
			return err
		}
		return f(k)
	}
}

func kernelAddress(p netip.Prefix) *netlink.Addr {
	// The zero address: no broadcast address. Nothing here needs one, and it
	// would make a route of its own.
	return &netlink.Addr{IPNet: netipx.PrefixIPNet(p), Broadcast: net.IPv4zero}
}

func foreignName(have *Link, what string) error {
	return fmt.Errorf("a %s named %s is there already and is not ours; rename or remove it, so that %s can have the name",
		strings.TrimSpace(have.Kind+" link"), have.Name, what)
}
