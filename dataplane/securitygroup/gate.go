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
//		chain from-hosts {
//			type filter hook prerouting priority -310
//			iif @ports accept
//			meta protocol arp accept
//			meta protocol != ip drop
//			ip saddr @members drop
//		}
//		chain to-hosts {
//			type filter hook postrouting priority 310
//			oif @ports accept
//			meta protocol arp accept
//			meta protocol != ip drop
//			ether daddr & 01:00:00:00:00:00 != 0 drop
//			ip daddr @members drop
//		}
//	}
//	table ip sluice-groups {                   # while a VSwitch that is no bridge is without programs
//		set members { type ipv4_addr }
//		chain from-hosts {
//			type filter hook prerouting priority -310
//			ip saddr @members drop
//		}
//		chain to-hosts {
//			type filter hook postrouting priority 310
//			ip daddr @members drop
//		}
//	}
//
// A port that has just come, whether the daemon runs or not, is in no set.
const gateName = "sluice-groups"

const (
	gatePorts   = "ports"
	gateMembers = "members"
)

// Gate is what the tables hold, or should; nil: there is none.
type Gate struct{ bridge, ip *gateTable }

type gateTable struct {
	form           string
	ports, members []string // ascending
}

// GateOf returns what the tables should hold for a network whose programs are at some ports,
// where bridged says whether a VSwitch is a bridge, and open whether a link of another kind
// lacks them.
func GateOf(n *dataplane.Network, ports []Port, bridged, open bool) *Gate {
	g := &Gate{}
	if len(n.Members) == 0 {
		return g
	}
	var members []string
	for _, m := range n.Members {
		members = append(members, string(m.Address.AsSlice()))
	}
	slices.Sort(members)
	if bridged {
		g.bridge = &gateTable{form: gateForm(nftables.TableFamilyBridge), members: members}
		for _, p := range ports {
			g.bridge.ports = append(g.bridge.ports, string(binaryutil.NativeEndian.PutUint32(uint32(p.Index))))
		}
		slices.Sort(g.bridge.ports)
	}
	if open {
		g.ip = &gateTable{form: gateForm(nftables.TableFamilyIPv4), members: members}
	}
	return g
}

// Equal says whether both are the same.
func (g *Gate) Equal(o *Gate) bool { return g.bridge.equal(o.bridge) && g.ip.equal(o.ip) }

func (t *gateTable) equal(o *gateTable) bool {
	if t == nil || o == nil {
		return t == o
	}
	return t.form == o.form && slices.Equal(t.ports, o.ports) && slices.Equal(t.members, o.members)
}

type gateChain struct {
	name  string
	hook  *nftables.ChainHook
	order nftables.ChainPriority
	rules [][]expr.Any
}

// Registers of what is looked at.
const gateRegister = unix.NFT_REG32_00

func gateChains(family nftables.TableFamily) []gateChain {
	meta := func(k expr.MetaKey) expr.Any { return &expr.Meta{Key: k, Register: gateRegister} }
	in := func(set string, id uint32) expr.Any {
		return &expr.Lookup{SourceRegister: gateRegister, SetName: set, SetID: id}
	}
	verdict := func(k expr.VerdictKind) expr.Any { return &expr.Verdict{Kind: k} }
	protocol := func(op expr.CmpOp, p uint16) []expr.Any {
		return []expr.Any{meta(expr.MetaKeyPROTOCOL), &expr.Cmp{Op: op, Register: gateRegister, Data: binaryutil.BigEndian.PutUint16(p)}}
	}
	member := func(offset uint32) []expr.Any {
		return []expr.Any{&expr.Payload{DestRegister: gateRegister, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}, in(gateMembers, 2), verdict(expr.VerdictDrop)}
	}
	group := []expr.Any{&expr.Payload{DestRegister: gateRegister, Base: expr.PayloadBaseLLHeader, Len: 1},
		&expr.Bitwise{SourceRegister: gateRegister, DestRegister: gateRegister, Len: 1, Mask: []byte{1}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: gateRegister, Data: []byte{0}}, verdict(expr.VerdictDrop)}
	const source, destination = 12, 16
	from := gateChain{"from-hosts", nftables.ChainHookPrerouting, -310, [][]expr.Any{member(source)}}
	to := gateChain{"to-hosts", nftables.ChainHookPostrouting, 310, [][]expr.Any{member(destination)}}
	if family == nftables.TableFamilyBridge {
		seen := func(k expr.MetaKey) [][]expr.Any {
			return [][]expr.Any{{meta(k), in(gatePorts, 1), verdict(expr.VerdictAccept)},
				append(protocol(expr.CmpOpEq, unix.ETH_P_ARP), verdict(expr.VerdictAccept)), append(protocol(expr.CmpOpNeq, unix.ETH_P_IP), verdict(expr.VerdictDrop))}
		}
		from.rules = append(seen(expr.MetaKeyIIF), from.rules...)
		to.rules = append(append(seen(expr.MetaKeyOIF), group), to.rules...)
	}
	return []gateChain{from, to}
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

func gateSets(t *nftables.Table) (sets []*nftables.Set) {
	if t.Family == nftables.TableFamilyBridge {
		sets = append(sets, &nftables.Set{Table: t, ID: 1, Name: gatePorts, KeyType: nftables.TypeIFIndex, KeyByteOrder: binaryutil.NativeEndian})
	}
	return append(sets, &nftables.Set{Table: t, ID: 2, Name: gateMembers, KeyType: nftables.TypeIPAddr, KeyByteOrder: binaryutil.BigEndian})
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
		if s.Name == gatePorts {
			out.ports = keys
		} else {
			out.members = keys
		}
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
				old, now := have.members, want.members
				if s.Name == gatePorts {
					old, now = have.ports, want.ports
				}
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
		list := want.members
		if s.Name == gatePorts {
			list = want.ports
		}
		if err := inChunks(list, func(e []nftables.SetElement) error { return c.SetAddElements(s, e) }); err != nil {
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
