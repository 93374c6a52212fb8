package e2e

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	ctnetlink "github.com/ti-mo/conntrack"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/test/lab"
)

// damages are what somebody else may do in a namespace. Each is told what the
// namespace has at the time.
var damages = map[string]func(r *rand.Rand, vpc string) error{
	"flush ruleset": func(*rand.Rand, string) error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		c.FlushRuleset()
		return c.Flush()
	},
	"foreign table": func(*rand.Rand, string) error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "foreign"})
		return c.Flush()
	},
	"delete an address": func(r *rand.Rand, _ string) error {
		list, err := netlink.AddrList(nil, netlink.FAMILY_V4)
		if err != nil || len(list) == 0 {
			return err
		}
		a := pick(r, list)
		link, err := netlink.LinkByIndex(a.LinkIndex)
		if err != nil {
			return err
		}
		return netlink.AddrDel(link, &a)
	},
	"add an address": func(r *rand.Rand, _ string) error {
		link, err := anyLink(r)
		if err != nil {
			return err
		}
		a := netip.AddrFrom4([4]byte{198, 51, 100, byte(r.IntN(200))})
		return netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, 32))})
	},
	"delete a route": func(r *rand.Rand, _ string) error {
		list, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil || len(list) == 0 {
			return err
		}
		route := pick(r, list)
		return netlink.RouteDel(&route)
	},
	"delete a rule": func(r *rand.Rand, _ string) error {
		list, err := netlink.RuleList(netlink.FAMILY_V4)
		if err != nil || len(list) == 0 {
			return err
		}
		rule := pick(r, list)
		return netlink.RuleDel(&rule)
	},
	"delete a link": func(r *rand.Rand, _ string) error {
		link, err := anyLink(r)
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	},
	"set a link down": func(r *rand.Rand, _ string) error {
		link, err := anyLink(r)
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(link)
	},
	"delete the egress filter": func(*rand.Rand, string) error {
		link, err := netlink.LinkByName(dataplane.UplinkName)
		if err != nil {
			return err
		}
		return netlink.QdiscDel(&netlink.GenericQdisc{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}, QdiscType: "clsact"})
	},
	"forwarding off": func(*rand.Rand, string) error { return writeSysctl("net/ipv4/ip_forward", "0") },
	"flush conntrack": func(*rand.Rand, string) error {
		c, err := ctnetlink.Dial(nil)
		if err != nil {
			return err
		}
		return errors.Join(c.Flush(), c.Close())
	},
}

// Damage from outside the namespace.
const (
	deleteName     = "delete the namespace's name"
	deleteOuterEnd = "delete the uplink's outer end"
)

func anyLink(r *rand.Rand) (netlink.Link, error) {
	list, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	if len(list) < 2 {
		return nil, errors.New("there is only lo")
	}
	return list[1+r.IntN(len(list)-1)], nil
}

// damage does something to one of the storm's namespaces. It may be gone, or
// have nothing to damage: that is counted as a miss.
func (s *storm) damage(r *rand.Rand) {
	vpc := pick(r, s.slots).one("vpc")
	if vpc == "" {
		return
	}
	names := slices.Sorted(maps.Keys(damages))
	name := pick(r, append(names, deleteName, deleteOuterEnd))
	var err error
	switch name {
	case deleteName:
		err = netns.DeleteNamed(dataplane.Namespace(vpc))
	case deleteOuterEnd:
		err = lab.In(s.g.internet.namespace, func() error {
			link, err := netlink.LinkByName(vpc)
			if err != nil {
				return err
			}
			return netlink.LinkDel(link)
		})
	default:
		err = lab.In(dataplane.Namespace(vpc), func() error { return damages[name](r, vpc) })
	}
	if err != nil {
		name = fmt.Sprint("nothing to do: ", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damages[name]++
}
