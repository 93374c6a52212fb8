package nft

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"go4.org/netipx"

	"sluice/dataplane"
)

// sameInterfaces reports whether two versions of a network have router interfaces at the
// same links, to which the same sources are led back by route tables besides the main one.
func sameInterfaces(a, b *dataplane.Network) bool {
	return slices.EqualFunc(a.RouterInterfaces, b.RouterInterfaces, func(x, y dataplane.RouterInterface) bool {
		return x.ID == y.ID && x.Public == y.Public && reflect.DeepEqual(x.Check, y.Check)
	}) &&
		(len(a.RouterInterfaces) == 0 || reflect.DeepEqual(a.Tables, b.Tables) &&
			slices.EqualFunc(a.Switches, b.Switches, func(x, y dataplane.Switch) bool { return x.Prefix == y.Prefix }))
}

func (c *compiler) addInterfaces(n *dataplane.Network) error {
	marks := map[uint32]string{}
	for i := range n.RouterInterfaces {
		r := &n.RouterInterfaces[i]
		if r.Public {
			if other, taken := marks[r.Mark()]; taken {
				return fmt.Errorf("router interface %s would have the mark of %s; make it anew, which gives it another id", r.ID, other)
			}
			marks[r.Mark()] = r.ID
			e := ofLink(r.Link())
			c.add(SetPublicInterfaces, e)
			binary.NativeEndian.PutUint32(e.Value[:], r.Mark())
			c.add(SetInterfaceMark, e)
			binary.NativeEndian.PutUint32(e.Value[:], r.Mark()|1)
			c.add(SetInterfacePacketMark, e)
			var answer Element
			binary.NativeEndian.PutUint32(answer.Key[:], r.Mark())
			binary.NativeEndian.PutUint32(answer.Value[:], r.Mark())
			c.add(SetAnswerMark, answer)
			continue
		}
		c.add(SetInterfaces, ofLink(r.Link()))
		back, err := ledBack(n, r)
		if err != nil {
			return fmt.Errorf("router interface %s: %w", r.ID, err)
		}
		for _, p := range back.Ranges() {
			e := ofLink(r.Link())
			putAddr(e.Key[16:], p.From())
			copy(e.Key[20:], e.Key[:16])
			putAddr(e.Key[36:], p.To())
			c.add(SetReturned, e)
		}
	}
	return nil
}

// ledBack returns the addresses that route tables besides the main one lead to a router
// interface, alone or with others: of what the main one leads the kernel is asked. Those of VSwitches
// are behind these, whatever a table says. The target of a health check answers also while the
// check fails, and its routes lead nowhere.
func ledBack(n *dataplane.Network, r *dataplane.RouterInterface) (*netipx.IPSet, error) {
	var all netipx.IPSetBuilder
	for i := range n.Tables {
		var led netipx.IPSetBuilder
		routes := slices.Clone(n.Tables[i].Routes)
		slices.SortStableFunc(routes, func(a, b dataplane.Route) int { return cmp.Compare(a.Destination.Bits(), b.Destination.Bits()) })
		for k := range routes {
			to := routes[k].Destination.Masked()
			if !to.IsValid() || !to.Addr().Is4() {
				return nil, fmt.Errorf("destination %s of route table %s is not an IPv4 prefix", routes[k].Destination, n.Tables[i].ID)
			}
			if slices.ContainsFunc(routes[k].NextHops, func(h dataplane.NextHop) bool { return h.Interface == r.ID }) {
				led.AddPrefix(to)
			} else {
				led.RemovePrefix(to)
			}
		}
		set, err := led.IPSet()
		if err != nil {
			return nil, err
		}
		all.AddSet(set)
	}
	if r.Check != nil {
		all.Add(r.Check.Target)
	}
	for i := range n.Switches {
		all.RemovePrefix(n.Switches[i].Prefix.Masked())
	}
	all.RemovePrefix(loopbackBlock)
	return all.IPSet()
}

// loopbackBlock is nobody's on a wire (RFC 1122, section 3.2.1.3).
var loopbackBlock = netip.MustParsePrefix("127.0.0.0/8")
