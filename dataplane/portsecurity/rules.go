package portsecurity

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is that of the tables, in each of the families:
//
//	table bridge sluice {                      # and netdev, with a base chain for each link
//		counter gateway { }
//		counter address { }
//		counter source { }
//		counter hidden { }
//		counter router { }
//		set gateways { type ipv4_addr }
//		set bound { type ipv4_addr }
//		set sources { type ipv4_addr }
//		set pairs { type ipv4_addr . ether_addr }
//		set forwarders { type ether_addr }
//		set routing { type icmpv6_type }
//		set claims { type ipv4_addr . ether_addr; flags dynamic,timeout; size 4096; timeout 10m }
//		chain prerouting {
//			type filter hook prerouting priority -300
//			jump check
//		}
//		chain check {
//			meta protocol { 8021q, 8021ad } vlan id 0 jump hidden
//			meta protocol 0x0004 @nh,0,64 { 0xaaaa030000000800, 0xaaaa030000000806 } jump hidden
//			meta protocol arp arp saddr ip @gateways jump arp-gateway
//			meta protocol arp arp saddr ip @bound arp saddr ip . arp saddr ether != @pairs jump arp-address
//			meta protocol arp arp saddr ip @bound arp saddr ip . ether saddr != @pairs jump arp-address
//			meta protocol ip ip saddr @gateways jump ip-gateway
//			meta protocol ip ip saddr @sources ether saddr != @forwarders ip saddr . ether saddr != @pairs jump ip-source
//			meta protocol ip6 meta l4proto ipv6-icmp icmpv6 type @routing ether saddr != @forwarders jump router
//		}
//		chain arp-gateway {                    # and likewise the others
//			update @claims { arp saddr ip . ether saddr }
//			counter name gateway drop
//		}
//		chain hidden {                         # and router, with 0.0.0.1
//			update @claims { 0.0.0.0 . ether saddr }
//			counter name hidden drop
//		}
//	}
//
// The protocol is the kernel's (meta), not that of the Ethernet header, where a tag of
// priority (802.1Q with VLAN 0) may stand before it that hosts take off. They take off
// more of them, too, which the kernel does not do here; and there are systems that take
// ARP and IPv4 in LLC/SNAP (RFC 1042) for what they are in Ethernet II. Such frames, in
// which ARP inspection finds nothing (CVE-2021-27853, CVE-2021-27854), no honest host sends.
//
// The gateway is none of IPv6. Who tells hosts that he is has their traffic to whatever has
// an IPv6 address, too (RFC 6105; CVE-2020-10749): that is for those that forward.
const tableName = "sluice"

// The reasons for which frames are dropped, each a counter.
const (
	ReasonGateway = "gateway" // its sender claims a gateway's address, by ARP or as a source
	ReasonAddress = "address" // its sender claims by ARP an address that is bound to another
	ReasonSource  = "source"  // its source is an address that is bound to another
	ReasonHidden  = "hidden"  // whom it is from stands behind several tags, or in LLC/SNAP
	ReasonRouter  = "router"  // its sender gives itself out for a router of IPv6
)

var reasons = []string{ReasonGateway, ReasonAddress, ReasonSource, ReasonHidden, ReasonRouter}

// What stands for an address among the claims where none was claimed.
var hiddenMark, routerMark = netip.AddrFrom4([4]byte{0, 0, 0, 0}), netip.AddrFrom4([4]byte{0, 0, 0, 1})

// ICMPv6 messages of routers (RFC 4861, section 4).
const (
	routerAdvertisement = 134
	redirect            = 137
)

const (
	claimsSet     = "claims"
	claimsSize    = 4096
	claimsTimeout = 10 * time.Minute
)

var families = []struct {
	family nftables.TableFamily
	name   string
}{{nftables.TableFamilyBridge, "bridge"}, {nftables.TableFamilyNetdev, "netdev"}}

// setNames are those of the sets, and what they hold.
var setNames = [setCount]string{gateways: "gateways", bound: "bound", sources: "sources", pairs: "pairs", forwarders: "forwarders", routing: "routing"}

func pairType() nftables.SetDatatype {
	return nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeEtherAddr)
}

func kernelSet(t *nftables.Table, id set) *nftables.Set {
	s := &nftables.Set{Table: t, ID: uint32(id) + 1, Name: setNames[id], KeyType: nftables.TypeIPAddr, KeyByteOrder: binaryutil.BigEndian}
	switch id {
	case pairs:
		s.KeyType, s.Concatenation = pairType(), true
	case forwarders:
		s.KeyType = nftables.TypeEtherAddr
	case routing:
		s.KeyType = nftables.TypeICMP6Type
	}
	return s
}

func kernelClaims(t *nftables.Table) *nftables.Set {
	return &nftables.Set{Table: t, ID: uint32(setCount) + 1, Name: claimsSet, KeyType: pairType(), KeyByteOrder: binaryutil.BigEndian, Concatenation: true,
		Dynamic: true, HasTimeout: true, Timeout: claimsTimeout, Size: claimsSize}
}

// Offsets of what a rule looks at, in the header of layer 2 and of layer 3.
const (
	etherSource = 6
	vlanTag     = 14 // the tag's second half: priority and VLAN
	arpEther    = 8  // sender's hardware address, RFC 826, of Ethernet and IPv4
	arpSource   = 14 // sender's protocol address
	ipSource    = 12
)

// Registers: an address, and beside it an Ethernet address, which takes two.
const regAddress, regEther = unix.NFT_REG32_00, unix.NFT_REG32_01

type chain struct {
	name  string
	rules [][]expr.Any
}

// chains returns the chains that are the same in every table.
func chains() []chain {
	protocol := func(p uint16) []expr.Any {
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: regAddress},
			&expr.Cmp{Op: expr.CmpOpEq, Register: regAddress, Data: binaryutil.BigEndian.PutUint16(p)}}
	}
	load := func(base expr.PayloadBase, offset, length, register uint32) expr.Any {
		return &expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: length}
	}
	address := func(offset uint32) expr.Any { return load(expr.PayloadBaseNetworkHeader, offset, 4, regAddress) }
	sender := load(expr.PayloadBaseLLHeader, etherSource, 6, regEther)
	arpSender := load(expr.PayloadBaseNetworkHeader, arpEther, 6, regEther)
	in := func(id set, register uint32, not bool) expr.Any {
		return &expr.Lookup{SourceRegister: register, SetName: setNames[id], SetID: uint32(id) + 1, Invert: not}
	}
	jump := func(to string) expr.Any { return &expr.Verdict{Kind: expr.VerdictJump, Chain: to} }
	rule := func(p uint16, exprs ...expr.Any) []expr.Any { return append(protocol(p), exprs...) }
	equal := func(data ...byte) expr.Any {
		return &expr.Cmp{Op: expr.CmpOpEq, Register: regAddress, Data: data}
	}
	// The outer tag is beside the frame by now, and the protocol that of what is behind it.
	tags := func(p uint16) []expr.Any {
		return rule(p, load(expr.PayloadBaseLLHeader, vlanTag, 2, regAddress),
			&expr.Bitwise{SourceRegister: regAddress, DestRegister: regAddress, Len: 2, Mask: []byte{0x0f, 0xff}, Xor: []byte{0, 0}},
			equal(0, 0), jump("hidden"))
	}
	snap := func(p uint16) []expr.Any {
		return rule(unix.ETH_P_802_2, load(expr.PayloadBaseNetworkHeader, 0, 8, regAddress),
			equal(0xaa, 0xaa, 0x03, 0, 0, 0, byte(p>>8), byte(p)), jump("hidden"))
	}
	// A router's message is found behind headers of extension, too.
	router := rule(unix.ETH_P_IPV6, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regAddress}, equal(unix.IPPROTO_ICMPV6),
		load(expr.PayloadBaseTransportHeader, 0, 1, regAddress), in(routing, regAddress, false), sender, in(forwarders, regEther, true), jump("router"))
	drop := func(counter string) []expr.Any {
		return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: counter}, &expr.Verdict{Kind: expr.VerdictDrop}}
	}
	claimOf := func(name, counter string, address expr.Any) chain {
		return chain{name, [][]expr.Any{
			{address, sender, &expr.Dynset{SrcRegKey: regAddress, SetName: claimsSet, SetID: uint32(setCount) + 1, Operation: unix.NFT_DYNSET_OP_UPDATE}},
			drop(counter),
		}}
	}
	claim := func(name, counter string, offset uint32) chain { return claimOf(name, counter, address(offset)) }
	mark := func(a netip.Addr) expr.Any { return &expr.Immediate{Register: regAddress, Data: a.AsSlice()} }
	return []chain{
		claim("arp-gateway", ReasonGateway, arpSource),
		claim("ip-gateway", ReasonGateway, ipSource),
		claim("arp-address", ReasonAddress, arpSource),
		claim("ip-source", ReasonSource, ipSource),
		claimOf("hidden", ReasonHidden, mark(hiddenMark)),
		claimOf("router", ReasonRouter, mark(routerMark)),
		{"check", [][]expr.Any{
			tags(unix.ETH_P_8021Q), tags(unix.ETH_P_8021AD), snap(unix.ETH_P_IP), snap(unix.ETH_P_ARP),
			rule(unix.ETH_P_ARP, address(arpSource), in(gateways, regAddress, false), jump("arp-gateway")),
			rule(unix.ETH_P_ARP, address(arpSource), in(bound, regAddress, false), arpSender, in(pairs, regAddress, true), jump("arp-address")),
			rule(unix.ETH_P_ARP, address(arpSource), in(bound, regAddress, false), sender, in(pairs, regAddress, true), jump("arp-address")),
			rule(unix.ETH_P_IP, address(ipSource), in(gateways, regAddress, false), jump("ip-gateway")),
			rule(unix.ETH_P_IP, address(ipSource), in(sources, regAddress, false), sender, in(forwarders, regEther, true), in(pairs, regAddress, true), jump("ip-source")),
			router,
		}},
	}
}

// bases returns the names of the base chains of a table, each with the link that it is of.
func bases(family nftables.TableFamily, links []string) map[string]string {
	if family == nftables.TableFamilyBridge {
		return map[string]string{"prerouting": ""}
	}
	out := map[string]string{}
	for _, link := range links {
		out[linkPrefix+link] = link
	}
	return out
}

// linkPrefix is what the name of a link's base chain begins with.
const linkPrefix = "in-"

// form tells the rules of this version from those of another, and from somebody else's.
var form = func() string {
	h := fnv.New64a()
	for _, c := range chains() {
		for _, r := range c.rules {
			for _, e := range r {
				fmt.Fprintf(h, "%s %T %+v;", c.name, e, e)
			}
		}
	}
	return fmt.Sprintf("port security %016x", h.Sum64())
}()
