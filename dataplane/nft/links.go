package nft

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// sameSwitches reports whether two versions of a network have VSwitches and SSL-VPN servers
// at the same links.
func sameSwitches(a, b *dataplane.Network) bool {
	return slices.EqualFunc(a.Switches, b.Switches, func(x, y dataplane.Switch) bool { return x.ID == y.ID }) &&
		slices.EqualFunc(servers(a), servers(b), func(x, y server) bool { return x.ID == y.ID })
}

func (c *compiler) addSwitches(n *dataplane.Network) error {
	for i := range n.Switches {
		c.add(SetSwitches, ofLink(n.Switches[i].Link()))
	}
	for _, s := range n.AllSSL() {
		c.add(SetSwitches, ofLink(s.Link()))
	}
	return nil
}

// changeTunnels makes the set of links into tunnels hold these.
func (c *compiler) changeTunnels(names []string) error {
	c.del[SetTunnels] = c.r.Sets[SetTunnels].Slice()
	for _, name := range names {
		if len(name) == 0 || len(name) >= unix.IFNAMSIZ {
			return fmt.Errorf("%q is not the name of a link into a tunnel", name)
		}
		c.add(SetTunnels, ofLink(name))
	}
	return nil
}

func ofLink(name string) Element {
	var e Element
	copy(e.Key[:], name)
	return e
}

// WithLinks returns r with those links of o that it lacks: r itself if there are none. A
// link is in its set before it can carry anything, and until it is gone.
func (r *Ruleset) WithLinks(o *Ruleset) *Ruleset {
	out := r
	for _, id := range []SetID{SetSwitches, SetTunnels, SetSSL, SetInterfaces, SetPublicInterfaces, SetInterfaceMark, SetInterfacePacketMark, SetAnswerMark} {
		lacks := diffSet(r.Sets[id], o.Sets[id]).add
		if len(lacks) == 0 {
			continue
		}
		if out == r {
			clone := *r
			out = &clone
		}
		out.Sets[id] = r.Sets[id].With(lacks...)
	}
	return out
}
