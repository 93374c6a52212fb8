package portsecurity

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"

	"github.com/google/nftables"

	"sluice/dataplane"
)

// Holding is what the tables of a network hold, or should.
type Holding struct {
	tables map[nftables.TableFamily]*content // without an entry: no table
}

// content is what one table holds.
type content struct {
	form     string   // of the fixed part: that of this version, or what is wrong with it
	links    []string // whose frames are looked at, ascending; of the family bridge none: all of them
	elements [setCount][]string
}

// set is one of the sets of a table.
type set int

const (
	gateways   set = iota // addresses of gateways
	bound                 // addresses that are bound
	sources               // those of them that count as the source of IPv4 packets as well
	pairs                 // bound address . Ethernet address; of a HaVip one for each host
	forwarders            // Ethernet addresses that send packets of others
	routing               // types of ICMPv6 that only those may send
	setCount
)

// Of returns what the tables of a network should hold. An error names a binding whose
// Ethernet address is none.
func Of(n *dataplane.Network) (*Holding, error) {
	h := &Holding{tables: map[nftables.TableFamily]*content{}}
	if !n.PortSecurity {
		return h, nil
	}
	var elements [setCount][]string
	macs := make(map[netip.Addr]string, len(n.Bindings))
	for _, b := range n.Bindings {
		if b.MAC == "" {
			elements[bound] = append(elements[bound], string(b.Address.AsSlice()))
			continue
		}
		mac, err := net.ParseMAC(b.MAC)
		if err != nil || len(mac) != 6 {
			return nil, fmt.Errorf("hold %s to Ethernet address %q: it must have six bytes", b.Address, b.MAC)
		}
		macs[b.Address] = string(mac)
		a := string(b.Address.AsSlice())
		elements[bound] = append(elements[bound], a)
		elements[pairs] = append(elements[pairs], a+string(mac)+"\x00\x00")
	}
	several := make(map[netip.Addr][]string, len(n.HaVips))
	for i := range n.HaVips {
		h := &n.HaVips[i]
		if !h.Held() {
			continue
		}
		a := string(h.Address.AsSlice())
		elements[bound] = append(elements[bound], a)
		several[h.Address] = nil
		for _, o := range h.Hosts {
			mac, err := net.ParseMAC(o.MAC)
			if err != nil || len(mac) != 6 {
				return nil, fmt.Errorf("hold HaVip %s to Ethernet address %q: it must have six bytes", h.Address, o.MAC)
			}
			several[h.Address] = append(several[h.Address], string(mac))
			elements[pairs] = append(elements[pairs], a+string(mac)+"\x00\x00")
		}
	}
	var links []string
	bridges := false
	for i := range n.Switches {
		s := &n.Switches[i]
		elements[gateways] = append(elements[gateways], string(s.Gateway.AsSlice()))
		if s.Attachment.Kind == dataplane.AttachBridge {
			bridges = true
		} else {
			links = append(links, s.Link())
		}
	}
	if c := n.Classic; c != nil {
		elements[gateways] = append(elements[gateways], string(c.Address.AsSlice()))
		links = append(links, dataplane.ClassicName)
		for _, h := range c.Linked {
			if h.MAC == "" {
				continue
			}
			mac, err := net.ParseMAC(h.MAC)
			if err != nil || len(mac) != 6 {
				return nil, fmt.Errorf("hold classic host %s to Ethernet address %q: it must have six bytes", h.Address, h.MAC)
			}
			a := string(h.Address.AsSlice())
			elements[bound] = append(elements[bound], a)
			elements[pairs] = append(elements[pairs], a+string(mac)+"\x00\x00")
		}
	}
	// An instance that a route leads to forwards what others have sent. One of which it
	// is not known where it is may be any: then whose packets are whose cannot be told.
	known := true
	for r := range n.AllRoutes() {
		for _, hop := range r.NextHops {
			if !hop.Via.IsValid() {
				continue
			}
			mac, ok := macs[hop.Via]
			if ok {
				elements[forwarders] = append(elements[forwarders], mac)
				continue
			}
			list, ok := several[hop.Via]
			elements[forwarders] = append(elements[forwarders], list...)
			known = known && ok
		}
	}
	if known {
		elements[sources] = elements[bound]
		elements[routing] = []string{string([]byte{routerAdvertisement}), string([]byte{redirect})}
	}
	for id := range setCount {
		elements[id] = slices.Compact(slices.Sorted(slices.Values(elements[id])))
	}
	slices.Sort(links)
	if bridges {
		h.tables[nftables.TableFamilyBridge] = &content{form: form, elements: elements}
	}
	if len(links) > 0 {
		h.tables[nftables.TableFamilyNetdev] = &content{form: form, links: links, elements: elements}
	}
	return h, nil
}

// Same reports whether the tables of two versions of a network hold the same.
func Same(a, b *dataplane.Network) bool {
	return a.PortSecurity == b.PortSecurity && slices.Equal(a.Switches, b.Switches) && sameBindings(a.Bindings, b.Bindings) &&
		slices.EqualFunc(a.HaVips, b.HaVips, dataplane.HaVip.Equal) && reflect.DeepEqual(a.Classic, b.Classic) && slices.Equal(hops(a), hops(b))
}

// sameBindings does not look at ten thousand that nobody has touched.
func sameBindings(a, b []dataplane.Binding) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

// hops returns the hosts that routes lead to, in order.
func hops(n *dataplane.Network) (out []netip.Addr) {
	for r := range n.AllRoutes() {
		for _, hop := range r.NextHops {
			if hop.Via.IsValid() {
				out = append(out, hop.Via)
			}
		}
	}
	return out
}

// Equal reports whether both are the same.
func (h *Holding) Equal(o *Holding) bool {
	if h == nil || o == nil {
		return h == o
	}
	return len(h.Differences(o)) == 0
}

// Differences says what would have to be done for h to become want, one text for each table.
func (h *Holding) Differences(want *Holding) (whats []string) {
	for _, f := range families {
		have, wanted := h.tables[f.family], want.tables[f.family]
		switch {
		case have == nil && wanted == nil:
		case have == nil:
			whats = append(whats, "build nftables table "+f.name+" "+tableName)
		case wanted == nil:
			whats = append(whats, "remove nftables table "+f.name+" "+tableName)
		case !have.sameFrame(wanted):
			whats = append(whats, "build nftables table "+f.name+" "+tableName+" anew: its rules are others")
		case slices.ContainsFunc(have.diff(wanted), func(d difference) bool { return len(d.add)+len(d.del) > 0 }):
			whats = append(whats, "put elements of nftables table "+f.name+" "+tableName+" right")
		}
	}
	return whats
}

func (c *content) sameFrame(o *content) bool {
	return c.form == o.form && slices.Equal(c.links, o.links)
}

// difference is that of one set.
type difference struct{ add, del []string }

func (c *content) diff(want *content) []difference {
	out := make([]difference, setCount)
	for id := range setCount {
		a, b := c.elements[id], want.elements[id]
		for len(a)+len(b) > 0 {
			order := 0
			switch {
			case len(a) == 0:
				order = 1
			case len(b) == 0:
				order = -1
			default:
				order = cmp.Compare(a[0], b[0])
			}
			switch {
			case order < 0:
				out[id].del, a = append(out[id].del, a[0]), a[1:]
			case order > 0:
				out[id].add, b = append(out[id].add, b[0]), b[1:]
			default:
				a, b = a[1:], b[1:]
			}
		}
	}
	return out
}
