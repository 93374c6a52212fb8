package ipsec

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// outerTable is the nftables table (family ip) in a network's namespace by which
// sites find to their charon, and charons to their site and nowhere else:
//
//	table ip sluice-vpn {
//		set gateways { type ipv4_addr }                         addresses of VPN gateways
//		map homes { type ipv4_addr . ipv4_addr : ipv4_addr }    gateway . site : home
//		set sites { type ipv4_addr . ipv4_addr }                home . site
//		map sources { type ipv4_addr : ipv4_addr }              home : gateway
//		chain in {
//			type filter hook prerouting priority -300
//			iifname "ike*" ip saddr . ip daddr @sites notrack accept
//			iifname "ike*" drop
//			iifname "public" ip daddr @gateways udp dport 500 ip daddr set ip daddr . ip saddr map @homes notrack accept
//			iifname "public" ip daddr @gateways udp dport 500 drop
//			iifname "public" ip daddr @gateways udp dport 4500 ip daddr set ip daddr . ip saddr map @homes notrack accept
//			iifname "public" ip daddr @gateways udp dport 4500 drop
//			ip daddr 240.0.0.0/16 drop
//		}
//		chain out {
//			type filter hook postrouting priority -300
//			iifname "ike*" ip saddr set ip saddr map @sources
//		}
//	}
//
// Ports stay as they are, by which charon tells IKE from ESP. So nothing has to be
// remembered of a packet, and conntrack is not asked.
const outerTable = "sluice-vpn"

// outerForm tells our rules from others, and those of this form of the table from those
// of another.
const outerForm = "sites of several gateways"

const (
	portIKE  = 500  // RFC 7296, section 2
	portNATT = 4500 // RFC 3947
)

// setOuter makes the table lead the sites to their homes, and reports whether it did
// not; without gateways it takes it away.
func setOuter(ns *netns.Namespace, to leading) (changed bool, err error) {
	err = withTables(ns, func(c *nftables.Conn, there bool) error {
		want := len(to.gateways) > 0
		t := tableOfSites()
		if !want && !there || want && there && translates(c, t, to) {
			return nil
		}
		changed = true
		// All in one batch: no packet meets a half-made table.
		if there {
			c.DelTable(t)
		}
		if want {
			if err := addTranslation(c, c.AddTable(t), to); err != nil {
				return err
			}
		}
		if err := c.Flush(); err != nil {
			return fmt.Errorf("lead IKE and ESP in %s to charons: %w", ns, err)
		}
		return nil
	})
	return changed, err
}

// leads reports whether the table leads the sites to their homes.
func leads(ns *netns.Namespace, to leading) (is bool, err error) {
	err = withTables(ns, func(c *nftables.Conn, there bool) error {
		is = there && translates(c, tableOfSites(), to)
		return nil
	})
	return is, err
}

func tableOfSites() *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyIPv4, Name: outerTable}
}

// withTables runs f with a connection to the nftables of a namespace; there says
// whether the table is.
func withTables(ns *netns.Namespace, f func(c *nftables.Conn, there bool) error) error {
	c, err := nftables.New(nftables.WithNetNSFd(int(ns.Handle())), nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("open netlink socket in %s: %w", ns, err)
	}
	defer func() { _ = c.CloseLasting() }()
	have, err := c.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return fmt.Errorf("list nftables tables in %s: %w", ns, err)
	}
	return f(c, slices.ContainsFunc(have, func(t *nftables.Table) bool { return t.Name == outerTable }))
}

// outerSets returns the sets of the table with their elements, by key.
func outerSets(t *nftables.Table, to leading) map[*nftables.Set][]nftables.SetElement {
	pair := nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr)
	gateways := &nftables.Set{Table: t, ID: 1, Name: "gateways", KeyType: nftables.TypeIPAddr, KeyByteOrder: binaryutil.BigEndian}
	homes := &nftables.Set{Table: t, ID: 2, Name: "homes", IsMap: true, Concatenation: true, KeyType: pair, DataType: nftables.TypeIPAddr, KeyByteOrder: binaryutil.BigEndian}
	sites := &nftables.Set{Table: t, ID: 3, Name: "sites", Concatenation: true, KeyType: pair, KeyByteOrder: binaryutil.BigEndian}
	sources := &nftables.Set{Table: t, ID: 4, Name: "sources", IsMap: true, KeyType: nftables.TypeIPAddr, DataType: nftables.TypeIPAddr, KeyByteOrder: binaryutil.BigEndian}
	out := map[*nftables.Set][]nftables.SetElement{gateways: nil, homes: nil, sites: nil, sources: nil}
	for _, g := range to.gateways {
		out[gateways] = append(out[gateways], nftables.SetElement{Key: g.AsSlice()})
	}
	for slot, between := range to.sites {
		home, site, gateway := homeAddress(slot).AsSlice(), between.site.AsSlice(), between.gateway.AsSlice()
		out[homes] = append(out[homes], nftables.SetElement{Key: slices.Concat(gateway, site), Val: home})
		out[sites] = append(out[sites], nftables.SetElement{Key: slices.Concat(home, site)})
		out[sources] = append(out[sources], nftables.SetElement{Key: home, Val: gateway})
	}
	for _, elements := range out {
		slices.SortFunc(elements, byKey)
	}
	return out
}

func byKey(a, b nftables.SetElement) int { return bytes.Compare(a.Key, b.Key) }

func addTranslation(c *nftables.Conn, t *nftables.Table, to leading) error {
	for set, elements := range outerSets(t, to) {
		if err := c.AddSet(set, elements); err != nil {
			return fmt.Errorf("add nftables set %s: %w", set.Name, err)
		}
	}
	for _, chain := range outerChains() {
		in := c.AddChain(&nftables.Chain{Table: t, Name: chain.name, Type: nftables.ChainTypeFilter, Hooknum: chain.hook, Priority: nftables.ChainPriorityRaw})
		for _, exprs := range chain.rules {
			c.AddRule(&nftables.Rule{Table: t, Chain: in, Exprs: exprs, UserData: []byte(outerForm)})
		}
	}
	return nil
}

// translates reports whether the table is as addTranslation makes it. A rule is
// known by its user data; what somebody writes into one is not seen.
func translates(c *nftables.Conn, t *nftables.Table, to leading) bool {
	for set, want := range outerSets(t, to) {
		have, err := c.GetSetElements(set)
		if err != nil {
			return false
		}
		slices.SortFunc(have, byKey)
		same := func(a, b nftables.SetElement) bool { return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Val, b.Val) }
		if !slices.EqualFunc(have, want, same) {
			return false
		}
	}
	for _, chain := range outerChains() {
		rules, err := c.GetRules(t, &nftables.Chain{Table: t, Name: chain.name})
		ours := func(r *nftables.Rule) bool { return string(r.UserData) == outerForm }
		if err != nil || len(rules) != len(chain.rules) || slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return !ours(r) }) {
			return false
		}
	}
	return true
}

// outerChain is a chain, and the expressions of its rules.
type outerChain struct {
	name  string
	hook  *nftables.ChainHook
	rules [][]expr.Any
}

func outerChains() []outerChain {
	const reg, second = unix.NFT_REG32_00, unix.NFT_REG32_01
	const source, destination = 12, 16 // in the IP header
	from := func(link string) []expr.Any {
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: unix.NFT_REG_1}, &expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte(link)}}
	}
	load := func(register, offset uint32) expr.Any {
		return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}
	}
	equals := func(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: data} }
	// The checksums of IP and UDP follow.
	set := func(offset uint32) expr.Any {
		return &expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4,
			CsumType: expr.CsumTypeInet, CsumOffset: 10, CsumFlags: unix.NFT_PAYLOAD_L4CSUM_PSEUDOHDR}
	}
	accept, drop := &expr.Verdict{Kind: expr.VerdictAccept}, &expr.Verdict{Kind: expr.VerdictDrop}
	in := [][]expr.Any{
		append(from(dataplane.CharonLinks), load(reg, source), load(second, destination), &expr.Lookup{SourceRegister: reg, SetName: "sites", SetID: 3}, &expr.Notrack{}, accept),
		append(from(dataplane.CharonLinks), drop),
	}
	for _, port := range []uint16{portIKE, portNATT} {
		match := append(from(dataplane.UplinkName+"\x00"), load(reg, destination), &expr.Lookup{SourceRegister: reg, SetName: "gateways", SetID: 1},
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg}, equals([]byte{unix.IPPROTO_UDP}),
			&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}, equals(binaryutil.BigEndian.PutUint16(port)))
		in = append(in,
			slices.Concat(match, []expr.Any{load(reg, destination), load(second, source), &expr.Lookup{SourceRegister: reg, DestRegister: reg, IsDestRegSet: true, SetName: "homes", SetID: 2},
				set(destination), &expr.Notrack{}, accept}),
			slices.Concat(match, []expr.Any{drop}))
	}
	prefix := dataplane.VPNHomes.Addr().AsSlice()[:dataplane.VPNHomes.Bits()/8]
	in = append(in, []expr.Any{
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: destination, Len: uint32(len(prefix))}, equals(prefix), drop})
	out := [][]expr.Any{append(from(dataplane.CharonLinks), load(reg, source), &expr.Lookup{SourceRegister: reg, DestRegister: reg, IsDestRegSet: true, SetName: "sources", SetID: 4}, set(source))}
	return []outerChain{{"in", nftables.ChainHookPrerouting, in}, {"out", nftables.ChainHookPostrouting, out}}
}
