package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/sorted"
)

// RulesetOf returns the Ruleset that network n wants, whose tunnels have links of these
// names. It is deterministic, and does not depend on the order of slices. prior is what was compiled of an earlier
// version of the network, or nil: what it has in common with n is taken from there,
// and of DNAT entries and mappings only those are looked at that differ. n must not be
// changed afterwards.
//
// It fails, and says which entry is at fault, where n contradicts itself: an
// address that is not IPv4, a port or protocol out of range, two entries for
// the same key, SNAT sources that overlap, an SNAT or mapped address that is
// not among n.Elastic (whatever left with it would be dropped); nor may a VPN
// gateway's be missing there.
func RulesetOf(n *dataplane.Network, prior *Ruleset, tunnels ...string) (*Ruleset, error) {
	c := &compiler{r: &Ruleset{Skeleton: skeletonHash(), network: n}, old: &dataplane.Network{}}
	if prior != nil && prior.network != nil {
		c.r.Sets, c.old = prior.Sets, prior.network
	}
	c.elastic = sync.OnceValue(func() map[netip.Addr]bool {
		all := make(map[netip.Addr]bool, len(n.Elastic))
		for _, a := range n.Elastic {
			all[a] = true
		}
		return all
	})
	for _, p := range parts {
		if p.same(c.old, n) {
			continue
		}
		for _, id := range p.anew {
			c.r.Sets[id] = sorted.Set[Element]{}
		}
		if err := p.compile(c, n); err != nil {
			return nil, fmt.Errorf("compile network %s: %w", n.ID, err)
		}
	}
	if err := c.changeTunnels(tunnels); err != nil {
		return nil, fmt.Errorf("compile network %s: %w", n.ID, err)
	}
	for id := range setCount {
		if e := c.change(id); e != nil {
			return nil, fmt.Errorf("compile network %s: two entries for %s in %s; each key takes one", n.ID, keyText(id, e), id)
		}
	}
	return c.r, nil
}

// parts are what a Ruleset is compiled of: what of a network decides, the sets that are
// made anew if that differs, and how.
var parts = []struct {
	same    func(a, b *dataplane.Network) bool
	anew    []SetID
	compile func(*compiler, *dataplane.Network) error
}{
	{sameElastic, []SetID{SetElastic, SetEIPMark, SetMarkEIP}, (*compiler).addElastic},
	{func(a, b *dataplane.Network) bool { return sameElastic(a, b) && slices.Equal(a.Mappings, b.Mappings) }, []SetID{SetEIPSrc, SetEIPHosts}, (*compiler).addMappings},
	{func(a, b *dataplane.Network) bool {
		return a.DNAT.Equal(b.DNAT) && slices.Equal(a.Mappings, b.Mappings)
	}, nil, (*compiler).changeDNAT},
	{func(a, b *dataplane.Network) bool {
		return sameElastic(a, b) && slices.EqualFunc(a.SNAT, b.SNAT, dataplane.SNAT.Equal)
	}, []SetID{SetSNAT, SetSNATPool, SetPool}, (*compiler).addSNAT},
	{func(a, b *dataplane.Network) bool {
		return sameElastic(a, b) && slices.Equal(vpnAddresses(a), vpnAddresses(b))
	}, []SetID{SetVPN, SetIKE}, (*compiler).addVPN},
	{sameSSL, []SetID{SetListen, SetSSL, SetReach}, (*compiler).addSSL},
	{func(a, b *dataplane.Network) bool { return slices.Equal(answering(a), answering(b)) }, []SetID{SetEchoReply}, (*compiler).addEchoReply},
	{sameSwitches, []SetID{SetSwitches}, (*compiler).addSwitches},
	{sameLinked, []SetID{SetClassic, SetClassicHeld, SetClassicPairs}, (*compiler).addClassic},
	{sameInterfaces, []SetID{SetInterfaces, SetPublicInterfaces, SetInterfaceMark, SetInterfacePacketMark, SetAnswerMark, SetReturned}, (*compiler).addInterfaces},
}

func sameElastic(a, b *dataplane.Network) bool { return slices.Equal(a.Elastic, b.Elastic) }

// vpnAddress is the public address of a VPN gateway.
type vpnAddress struct {
	address netip.Addr
	ipsec   bool
}

func vpnAddresses(n *dataplane.Network) (all []vpnAddress) {
	for i := range n.VPNGateways {
		all = append(all, vpnAddress{n.VPNGateways[i].Address, n.VPNGateways[i].IPsec})
	}
	return all
}

// answering returns the elastic IPs of a network that answer echo requests.
func answering(n *dataplane.Network) (all []netip.Addr) {
	for i := range n.NATGateways {
		if n.NATGateways[i].EchoReply {
			all = append(all, n.NATGateways[i].Elastic...)
		}
	}
	return all
}

// Same reports whether two versions of a network translate alike, so that what RulesetOf
// makes of them, and of the same tunnels, is equal.
func Same(a, b *dataplane.Network) bool {
	for _, p := range parts {
		if !p.same(a, b) {
			return false
		}
	}
	return true
}

type compiler struct {
	r        *Ruleset
	old      *dataplane.Network // that r.Sets is of
	elastic  func() map[netip.Addr]bool
	del, put [setCount][]Element
}

func (c *compiler) add(id SetID, e Element)    { c.put[id] = append(c.put[id], e) }
func (c *compiler) remove(id SetID, e Element) { c.del[id] = append(c.del[id], e) }

// change takes elements out of a set, and then adds others. It returns one that would be
// there twice, or nil.
func (c *compiler) change(id SetID) *Element {
	set, add := c.r.Sets[id].Without(c.del[id]...), c.put[id]
	slices.SortFunc(add, Element.Compare)
	for i := range add {
		if _, taken := set.Get(add[i]); taken || i > 0 && add[i-1].Key == add[i].Key {
			return &add[i]
		}
	}
	if set.Len() == 0 {
		set = sorted.Of(add...)
	} else {
		set = set.With(add...)
	}
	c.r.Sets[id] = set
	return nil
}

func (c *compiler) addElastic(n *dataplane.Network) error {
	single := make([][]netip.Addr, 0, len(n.Elastic))
	for _, a := range n.Elastic {
		if err := checkAddr(a); err != nil {
			return fmt.Errorf("elastic IP: %w", err)
		}
		c.add(SetElastic, pair(a, netip.Addr{}))
		single = append(single, []netip.Addr{a})
	}
	for key, id := range numberPools(single) {
		var e Element
		copy(e.Key[:], key)
		binary.NativeEndian.PutUint32(e.Value[:], id)
		c.add(SetEIPMark, e)
		e = Element{}
		binary.NativeEndian.PutUint32(e.Key[:], id)
		copy(e.Value[:], key)
		c.add(SetMarkEIP, e)
	}
	return nil
}

func (c *compiler) addMappings(n *dataplane.Network) error {
	for _, m := range n.Mappings {
		if err := checkAddr(m.External, m.Internal); err != nil {
			return fmt.Errorf("mapping %s to %s: %w", m.External, m.Internal, err)
		}
		if err := c.checkElastic(m.External); err != nil {
			return fmt.Errorf("mapping %s to %s: %w", m.External, m.Internal, err)
		}
		c.add(SetEIPSrc, pair(m.Internal, m.External))
		c.add(SetEIPHosts, pair(m.Internal, netip.Addr{}))
	}
	return nil
}

// changeDNAT changes what differs of DNAT entries, and of mappings inbound.
func (c *compiler) changeDNAT(n *dataplane.Network) error {
	for _, m := range c.old.Mappings {
		c.remove(SetDNATAddr, pair(m.External, m.Internal))
	}
	for _, m := range n.Mappings {
		c.add(SetDNATAddr, pair(m.External, m.Internal))
	}
	for change := range c.old.DNAT.Changes(n.DNAT) {
		if change.Was {
			e, id, _ := dnatElement(change.Old) // which has been checked
			c.remove(id, e)
		}
		if change.Is {
			e, id, err := dnatElement(change.New)
			if err != nil {
				d := &change.New
				return fmt.Errorf("DNAT entry %s protocol %d port %d: %w", d.External, d.Protocol, d.ExternalPort, err)
			}
			c.add(id, e)
		}
	}
	return nil
}

func dnatElement(d dataplane.DNAT) (Element, SetID, error) {
	if err := checkAddr(d.External, d.Internal); err != nil {
		return Element{}, 0, err
	}
	switch d.Protocol {
	case 0:
		if d.ExternalPort != 0 || d.InternalPort != 0 {
			return Element{}, 0, fmt.Errorf("protocol Any forwards a whole address; its ports must be 0")
		}
		return pair(d.External, d.Internal), SetDNATAddr, nil
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP:
		if d.ExternalPort == 0 || d.InternalPort == 0 {
			return Element{}, 0, fmt.Errorf("ports must be 1 to 65535")
		}
		e := pair(d.External, d.Internal)
		e.Key[4] = d.Protocol
		binary.BigEndian.PutUint16(e.Key[8:], d.ExternalPort)
		binary.BigEndian.PutUint16(e.Value[4:], d.InternalPort)
		return e, SetDNATPort, nil
	}
	return Element{}, 0, fmt.Errorf("protocol must be 6 (TCP), 17 (UDP) or 0 (Any)")
}

func (c *compiler) addSNAT(n *dataplane.Network) error {
	var pools [][]netip.Addr
	entries := make([]dataplane.SNAT, 0, len(n.SNAT))
	for _, s := range n.SNAT {
		s, err := c.checkSNAT(s)
		if err != nil {
			return fmt.Errorf("SNAT entry of %s: %w", s.Source, err)
		}
		entries = append(entries, s)
		if len(s.Pool) > 1 {
			pools = append(pools, s.Pool)
		}
	}
	if err := checkDisjoint(entries); err != nil {
		return err
	}
	ids := numberPools(pools)
	for _, s := range entries {
		var e Element
		r := netipx.RangeOfPrefix(s.Source)
		putAddr(e.Key[0:], r.From())
		putAddr(e.Key[4:], r.To())
		if len(s.Pool) == 1 {
			putAddr(e.Value[:], s.Pool[0])
			c.add(SetSNAT, e)
			continue
		}
		binary.NativeEndian.PutUint32(e.Value[:], ids[poolKey(s.Pool)])
		c.add(SetSNATPool, e)
	}
	for key, id := range ids {
		for b, a := range assignBuckets(poolOf(key)) {
			var e Element
			binary.NativeEndian.PutUint32(e.Key[0:], id)
			binary.NativeEndian.PutUint32(e.Key[4:], uint32(b))
			putAddr(e.Value[:], a)
			c.add(SetPool, e)
		}
	}
	return nil
}

func (c *compiler) addVPN(n *dataplane.Network) error {
	for i := range n.VPNGateways {
		g := &n.VPNGateways[i]
		if err := checkAddr(g.Address); err != nil {
			return fmt.Errorf("VPN gateway %s: %w", g.ID, err)
		}
		if err := c.checkElastic(g.Address); err != nil {
			return fmt.Errorf("VPN gateway %s: %w", g.ID, err)
		}
		c.add(SetVPN, pair(g.Address, netip.Addr{}))
		if g.IPsec {
			c.add(SetIKE, pair(g.Address, netip.Addr{}))
		}
	}
	return nil
}

func (c *compiler) addEchoReply(n *dataplane.Network) error {
	for _, a := range answering(n) {
		if err := checkAddr(a); err != nil {
			return fmt.Errorf("elastic IP that answers echo requests: %w", err)
		}
		c.add(SetEchoReply, pair(a, netip.Addr{}))
	}
	return nil
}

// checkSNAT returns the entry with its source masked and its pool sorted.
func (c *compiler) checkSNAT(s dataplane.SNAT) (dataplane.SNAT, error) {
	if !s.Source.IsValid() || !s.Source.Addr().Is4() {
		return s, fmt.Errorf("the source must be an IPv4 prefix")
	}
	if len(s.Pool) == 0 {
		return s, fmt.Errorf("the pool must hold one address or more")
	}
	s.Source = s.Source.Masked()
	pool := slices.Clone(s.Pool)
	for _, a := range pool {
		if err := checkAddr(a); err != nil {
			return s, err
		}
		if err := c.checkElastic(a); err != nil {
			return s, err
		}
	}
	slices.SortFunc(pool, netip.Addr.Compare)
	s.Pool = slices.Compact(pool)
	return s, nil
}

// checkDisjoint fails where two sources overlap.
func checkDisjoint(entries []dataplane.SNAT) error {
	byAddr := slices.Clone(entries)
	slices.SortFunc(byAddr, func(a, b dataplane.SNAT) int { return a.Source.Compare(b.Source) })
	for i := 1; i < len(byAddr); i++ {
		// Prefixes nest or are disjoint, and a nesting one sorts before all
		// that lie in it, so looking at neighbours is enough.
		if byAddr[i-1].Source.Overlaps(byAddr[i].Source) {
			return fmt.Errorf("SNAT sources %s and %s overlap; they must be disjoint", byAddr[i-1].Source, byAddr[i].Source)
		}
	}
	return nil
}

func (c *compiler) checkElastic(a netip.Addr) error {
	if !c.elastic()[a] {
		return fmt.Errorf("%s must be one of the network's elastic IPs", a)
	}
	return nil
}

func checkAddr(addrs ...netip.Addr) error {
	for _, a := range addrs {
		if !a.Is4() || a.IsUnspecified() {
			return fmt.Errorf("%s is not an IPv4 address of a host", a)
		}
	}
	return nil
}

// pair returns the element key: value; an invalid value is left out.
func pair(key, value netip.Addr) Element {
	var e Element
	putAddr(e.Key[:], key)
	if value.IsValid() {
		putAddr(e.Value[:], value)
	}
	return e
}
