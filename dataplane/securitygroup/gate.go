package securitygroup

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// gateName is that of the tables that stop what the programs do not see:
//
//	table bridge sluice-groups {               # where a VSwitch is a bridge
//		set ports { type iface_index }     # those with programs
//		set members { type ipv4_addr }
//		chain between {                    # hosts of one VSwitch
//			type filter hook forward priority -310
//			iif @ports oif @ports accept
//			meta protocol arp accept
//			meta protocol != ip drop
//			iif != @ports ip saddr @members drop
//			oif != @ports ether daddr & 01:00:00:00:00:00 != 0 drop
//			oif != @ports ip daddr @members drop
//		}
//	}
//	table ip sluice-groups {                   # while a VSwitch's link is without programs
//		set links { type ifname }          # those
//		set members { type ipv4_addr }
//		chain from-hosts {
//			type filter hook prerouting priority -310
//			iifname @links ip saddr @members drop
//		}
//		chain to-hosts {
//			type filter hook postrouting priority 310
//			oifname @links ip daddr @members drop
//		}
//	}
//
// A port that has just come, whether the daemon runs or not, is in no set, and what passes
// between it and the gateway meets the programs of the VSwitch's link. So no packet between a host
// and the gateway costs a hook of nftables in the bridge.
const gateName = "sluice-groups"

const (
	gatePorts   = "ports"
	gateLinks   = "links"
	gateMembers = "members"
)

// Gate is what the tables hold, or should; nil: there is none.
type Gate struct{ bridge, ip *gateTable }

type gateTable struct {
	form            string
	places, members []string // ascending; ports or links, and members
}

// GateOf returns what the tables should hold for a network whose programs are at some ports,
// where bridged says whether a VSwitch is a bridge, and open names the VSwitches' links that lack
// them.
func GateOf(n *dataplane.Network, ports []Port, bridged bool, open []string) *Gate {
	g := &Gate{}
	if len(n.Members) == 0 {
		return g
	}
	if bridged {
		g.bridge = &gateTable{form: gateForm(nftables.TableFamilyBridge), members: membersOf(n)}
		for _, p := range ports {
			g.bridge.places = append(g.bridge.places, string(binaryutil.NativeEndian.PutUint32(uint32(p.Index))))
		}
		slices.Sort(g.bridge.places)
	}
	g.close(n, open)
	return g
}

func membersOf(n *dataplane.Network) (list []string) {
	for _, m := range n.Members {
		list = append(list, string(m.Address.AsSlice()))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// close adds links that lack the programs.
func (g *Gate) close(n *dataplane.Network, links []string) {
	if len(links) == 0 {
		return
	}
	g.ip = &gateTable{form: gateForm(nftables.TableFamilyIPv4), members: membersOf(n)}
	for _, l := range links {
		name := [unix.IFNAMSIZ]byte{}
		copy(name[:], l)
		g.ip.places = append(g.ip.places, string(name[:]))
	}
	slices.Sort(g.ip.places)
}

// Closing returns what the tables should hold before links of a network's VSwitches are made: what
// they hold, and nothing of members by those links, nor at ports that are new. bridged says whether one
// of the VSwitches is a bridge.
func (g *Gate) Closing(n *dataplane.Network, bridged bool, links []string) *Gate {
	next := GateOf(n, nil, bridged, links)
	if g.bridge != nil && next.bridge != nil {
		next.bridge.places = g.bridge.places
	}
	return next
}

// Open says whether a link lacks the programs.
func (g *Gate) Open() bool { return g.ip != nil }

// Equal says whether both are the same.
func (g *Gate) Equal(o *Gate) bool { return g.bridge.equal(o.bridge) && g.ip.equal(o.ip) }

func (t *gateTable) equal(o *gateTable) bool {
	if t == nil || o == nil {
		return t == o
	}
	return t.form == o.form && slices.Equal(t.places, o.places) && slices.Equal(t.members, o.members)
}

type gateChain struct {
	name  string
	hook  *nftables.ChainHook
	order nftables.ChainPriority
	rules [][]expr.Any
}

// Registers of what is looked at.
const gateRegister = unix.NFT_REG32_00

// gateSetIDs are numbers of the sets in a batch.
const (
	placesID = 1 + iota
	membersID
)

func gateChains(family nftables.TableFamily) []gateChain {
	meta := func(k expr.MetaKey) expr.Any { return &expr.Meta{Key: k, Register: gateRegister} }
	in := func(set string, id uint32, not bool) expr.Any {
		return &expr.Lookup{SourceRegister: gateRegister, SetName: set, SetID: id, Invert: not}
	}
	rule := func(parts ...[]expr.Any) []expr.Any { return slices.Concat(parts...) }
	verdict := func(k expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: k}} }
	protocol := func(op expr.CmpOp, p uint16) []expr.Any {
		return []expr.Any{meta(expr.MetaKeyPROTOCOL), &expr.Cmp{Op: op, Register: gateRegister, Data: binaryutil.BigEndian.PutUint16(p)}}
	}
	const source, destination = 12, 16
	member := func(offset uint32) []expr.Any {
		return []expr.Any{&expr.Payload{DestRegister: gateRegister, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}, in(gateMembers, membersID, false)}
	}
	if family != nftables.TableFamilyBridge {
		at := func(k expr.MetaKey) []expr.Any { return []expr.Any{meta(k), in(gateLinks, placesID, false)} }
		return []gateChain{
			{"from-hosts", nftables.ChainHookPrerouting, -310, [][]expr.Any{rule(at(expr.MetaKeyIIFNAME), member(source), verdict(expr.VerdictDrop))}},
			{"to-hosts", nftables.ChainHookPostrouting, 310, [][]expr.Any{rule(at(expr.MetaKeyOIFNAME), member(destination), verdict(expr.VerdictDrop))}},
		}
	}
	at := func(k expr.MetaKey, not bool) []expr.Any { return []expr.Any{meta(k), in(gatePorts, placesID, not)} }
	group := []expr.Any{&expr.Payload{DestRegister: gateRegister, Base: expr.PayloadBaseLLHeader, Len: 1},
		&expr.Bitwise{SourceRegister: gateRegister, DestRegister: gateRegister, Len: 1, Mask: []byte{1}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: gateRegister, Data: []byte{0}}}
	return []gateChain{{"between", nftables.ChainHookForward, -310, [][]expr.Any{
		rule(at(expr.MetaKeyIIF, false), at(expr.MetaKeyOIF, false), verdict(expr.VerdictAccept)),
		rule(protocol(expr.CmpOpEq, unix.ETH_P_ARP), verdict(expr.VerdictAccept)),
		rule(protocol(expr.CmpOpNeq, unix.ETH_P_IP), verdict(expr.VerdictDrop)),
		rule(at(expr.MetaKeyIIF, true), member(source), verdict(expr.VerdictDrop)),
		rule(at(expr.MetaKeyOIF, true), group, verdict(expr.VerdictDrop)),
		rule(at(expr.MetaKeyOIF, true), member(destination), verdict(expr.VerdictDrop)),
	}}}
}

// gateForm tells the rules of this version from those of another, and from somebody else's.
func gateForm(family nftables.TableFamily) string {
	h := fnv.New64a()
	for _, c := range gateChains(family) {
		for _, r := range c.rules {
			for _, e := range r {
				fmt.Fprintf(h, "%s %T %+v;", c.name, e, e)
			}
		}
	}
	return fmt.Sprintf("groups %016x", h.Sum64())
}

func gateSets(t *nftables.Table) []*nftables.Set {
	places := &nftables.Set{Table: t, ID: placesID, Name: gateLinks, KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}
	if t.Family == nftables.TableFamilyBridge {
		places.Name, places.KeyType = gatePorts, nftables.TypeIFIndex
	}
	return []*nftables.Set{places, {Table: t, ID: membersID, Name: gateMembers, KeyType: nftables.TypeIPAddr, KeyByteOrder: binaryutil.BigEndian}}
}

// of returns what belongs in a set.
func (t *gateTable) of(s *nftables.Set) *[]string {
	if s.Name == gateMembers {
		return &t.members
	}
	return &t.places
}

func withTables(ns *netns.Namespace, f func(c *nftables.Conn) error) error {
	c, err := nftables.New(nftables.WithNetNSFd(int(ns.Handle())), nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("open netlink socket in %s: %w", ns, err)
	}
	defer func() { _ = c.CloseLasting() }()
	return f(c)
}

// ReadGate returns what the tables of a namespace hold.
func ReadGate(ns *netns.Namespace) (*Gate, error) {
	g := &Gate{}
	err := withTables(ns, func(c *nftables.Conn) (err error) {
		if g.bridge, err = readGate(c, nftables.TableFamilyBridge); err == nil {
			g.ip, err = readGate(c, nftables.TableFamilyIPv4)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the gate of security groups in %s: %w", ns, err)
	}
	return g, nil
}

func readGate(c *nftables.Conn, family nftables.TableFamily) (*gateTable, error) {
	list, err := c.ListTablesOfFamily(family)
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", err)
	}
	i := slices.IndexFunc(list, func(t *nftables.Table) bool { return t.Name == gateName })
	if i < 0 {
		return nil, nil
	}
	t, out := list[i], &gateTable{form: "damaged"}
	if t.Flags != 0 {
		return out, nil
	}
	for _, k := range gateChains(family) {
		rules, err := c.GetRules(t, &nftables.Chain{Table: t, Name: k.name})
		if err != nil || len(rules) != len(k.rules) || slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return string(r.UserData) != gateForm(family) }) {
			return out, nil
		}
	}
	for _, s := range gateSets(t) {
		elements, err := c.GetSetElements(s)
		if err != nil {
			return out, nil
		}
		var keys []string
		for _, e := range elements {
			keys = append(keys, string(e.Key))
		}
		slices.Sort(keys)
		*out.of(s) = keys
	}
	out.form = gateForm(family)
	return out, nil
}

// ApplyGate makes the tables hold want, given that they hold have: each in one batch. It
// returns how many kernel objects were changed.
func ApplyGate(ns *netns.Namespace, have, want *Gate) (changes int, err error) {
	for _, t := range []struct {
		family     nftables.TableFamily
		have, want *gateTable
	}{{nftables.TableFamilyBridge, have.bridge, want.bridge}, {nftables.TableFamilyIPv4, have.ip, want.ip}} {
		n, err := applyGate(ns, t.family, t.have, t.want)
		changes += n
		if err != nil {
			return changes, fmt.Errorf("make the gate of security groups in %s: %w", ns, err)
		}
	}
	return changes, nil
}

func applyGate(ns *netns.Namespace, family nftables.TableFamily, have, want *gateTable) (changes int, err error) {
	if have.equal(want) {
		return 0, nil
	}
	t := &nftables.Table{Family: family, Name: gateName}
	return changes, withTables(ns, func(c *nftables.Conn) error {
		switch {
		case want == nil:
			c.DelTable(t)
			changes = 1
		case have == nil || have.form != want.form:
			if have != nil {
				c.DelTable(t)
			}
			changes = 1
			if err := buildGate(c, t, want); err != nil {
				return err
			}
		default:
			for _, s := range gateSets(t) {
				old, now := *have.of(s), *want.of(s)
				gone, come := less(old, now), less(now, old)
				changes += len(gone) + len(come)
				if err := errors.Join(inChunks(gone, func(e []nftables.SetElement) error { return c.SetDeleteElements(s, e) }),
					inChunks(come, func(e []nftables.SetElement) error { return c.SetAddElements(s, e) })); err != nil {
					return err
				}
			}
		}
		return c.Flush()
	})
}

func buildGate(c *nftables.Conn, t *nftables.Table, want *gateTable) error {
	c.AddTable(t)
	for _, s := range gateSets(t) {
		if err := c.AddSet(s, nil); err != nil {
			return err
		}
		if err := inChunks(*want.of(s), func(e []nftables.SetElement) error { return c.SetAddElements(s, e) }); err != nil {
			return err
		}
	}
	for _, k := range gateChains(t.Family) {
		in := c.AddChain(&nftables.Chain{Table: t, Name: k.name, Type: nftables.ChainTypeFilter, Hooknum: k.hook, Priority: &k.order})
		for _, exprs := range k.rules {
			c.AddRule(&nftables.Rule{Table: t, Chain: in, Exprs: exprs, UserData: []byte(gateForm(t.Family))})
		}
	}
	return nil
}

// less returns what is in a and not in b, both ascending.
func less(a, b []string) (out []string) {
	for _, x := range a {
		if _, found := slices.BinarySearch(b, x); !found {
			out = append(out, x)
		}
	}
	return out
}

func inChunks(list []string, f func([]nftables.SetElement) error) error {
	for part := range slices.Chunk(list, 1000) {
		elements := make([]nftables.SetElement, len(part))
		for i, k := range part {
			elements[i].Key = []byte(k)
		}
		if err := f(elements); err != nil {
			return err
		}
	}
	return nil
}
