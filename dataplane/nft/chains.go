package nft

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// uplink is the link to the public side. Rules name it whether it exists or
// not, so that the fixed part is the same with an uplink and without.
const uplink = dataplane.UplinkName

// tunnelMSS is the largest TCP segment through a tunnel: its MTU less the
// headers of IP and TCP.
const tunnelMSS = dataplane.VPNMTU - 40

// sslMSS is that of an SSL-VPN client's tunnel. One for the least MTU that such have is
// next to nothing less than what would fit into others.
var sslMSS = uint16((&dataplane.SSLServer{Protocol: unix.IPPROTO_UDP}).MTU() - 40)

const (
	ctDirectionReply = 1
	ctStatusDNAT     = 1 << 5 // IPS_DST_NAT
	icmpEchoRequest  = 8
	icmpUnreachable  = 3
	icmpFragNeeded   = 4 // a code of it

	portIKE     = 500  // RFC 7296, section 2
	portIKENATT = 4500 // RFC 3947
	portBGP     = 179  // RFC 4271

	tcpFlagSYN = 0x02
	tcpFlagRST = 0x04
	tcpFlagACK = 0x10
	tcpOptMSS  = 2 // RFC 9293, section 3.2

	icmpAdminProhibited = 13 // a code of destination unreachable (RFC 1812, section 5.2.7.1)
)

// chains returns the fixed chains in the order in which a packet meets them.
// The text of each rule is that of the nft command.
func chains() []chainSpec {
	return []chainSpec{
		{name: "refuse", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookPrerouting,
			priority: nftables.ChainPriorityRaw, policy: nftables.ChainPolicyAccept, rules: refuseRules()},
		{name: "own", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookOutput,
			priority: nftables.ChainPriorityRaw, policy: nftables.ChainPolicyAccept, rules: ownRules()},
		{name: "called", rules: calledRules()},
		{name: "answers", rules: answerRules()},
		{name: "route_mark", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookPrerouting,
			priority: nftables.ChainPriorityMangle, policy: nftables.ChainPolicyAccept, rules: markRules()},
		{name: "prerouting", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPrerouting,
			priority: nftables.ChainPriorityNATDest, policy: nftables.ChainPolicyAccept, rules: preroutingRules()},
		{name: "input", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookInput,
			priority: nftables.ChainPriorityFilter, policy: nftables.ChainPolicyDrop, rules: inputRules()},
		{name: "clamp", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookForward,
			priority: nftables.ChainPriorityMangle, policy: nftables.ChainPolicyAccept, rules: clampRules()},
		{name: "forward", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookForward,
			priority: nftables.ChainPriorityFilter, policy: nftables.ChainPolicyAccept, rules: forwardRules()},
		{name: "translate", rules: translateRules()},
		{name: "postrouting", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPostrouting,
			priority: nftables.ChainPriorityNATSource, policy: nftables.ChainPolicyAccept, rules: postroutingRules()},
		{name: "egress", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookPostrouting,
			priority: nftables.ChainPriorityRef(300), policy: nftables.ChainPolicyAccept, rules: egressRules()},
	}
}

// refuseRules, before conntrack (-200) makes an entry: they answer what was
// marked as a connection too many (RFC 5508 REQ-8), and drop what comes out of a
// tunnel and claims to be from a VSwitch or an SSL-VPN client, who are at the VPC however far
// the site's range reaches (RFC 3704, section 2). An SSL-VPN client reaches what its server
// leads to, the server's own end, and nothing else. What comes in by a router interface is
// from where the network's routes lead to by it. What comes from the classic network is from a
// host that is linked, by its Ethernet address, too, where that is known, and for an elastic IP
// in no case: there is no translation.
func refuseRules() []ruleSpec {
	return []ruleSpec{
		rule(`iifname @tunnels fib saddr oifname @switches counter name "spoofed" drop`,
			fromTunnel(), &expr.Fib{Register: reg1, FlagSADDR: true, ResultOIFNAME: true}, inSet(SetSwitches, false),
			count(CounterSpoofed), drop()),
		rule(`iifname @ssl fib saddr . iif oif 0 counter name "spoofed" drop`,
			fromSSL(), &expr.Fib{Register: reg1, FlagSADDR: true, FlagIIF: true, ResultOIF: true},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: make([]byte, 4)}, count(CounterSpoofed), drop()),
		rule(`iifname @ssl ip saddr . ip daddr != @reach counter name "unreached" drop`,
			fromSSL(), loadSource(reg1), loadDestination(reg1b), inSet(SetReach, true), count(CounterUnreached), drop()),
		rule(`iifname @router_interfaces fib saddr . iif oif 0 iifname . ip saddr != @returned counter name "unreturned" drop`,
			fromUnreturned(), count(CounterUnreturned), drop()),
		rule(`iifname @public_interfaces fib saddr oifname @switches counter name "spoofed" drop`,
			fromPublicInterface(), &expr.Fib{Register: reg1, FlagSADDR: true, ResultOIFNAME: true}, inSet(SetSwitches, false),
			count(CounterSpoofed), drop()),
		rule(`iifname "classic" ip saddr != @classic counter name "unlinked" drop`,
			fromLink(dataplane.ClassicName), loadSource(reg1), inSet(SetClassic, true), count(CounterUnlinked), drop()),
		// @ll,48,48 is the sender's Ethernet address.
		rule(`iifname "classic" ip saddr @classic_held ip saddr . @ll,48,48 != @classic_pairs counter name "unlinked" drop`,
			fromLink(dataplane.ClassicName), loadSource(reg1), inSet(SetClassicHeld, false), loadSource(reg1),
			&expr.Payload{DestRegister: reg1b, Base: expr.PayloadBaseLLHeader, Offset: 6, Len: 6}, inSet(SetClassicPairs, true),
			count(CounterUnlinked), drop()),
		rule(`iifname "classic" ip daddr @elastic counter name "unlinked" drop`,
			fromLink(dataplane.ClassicName), loadDestination(reg1), inSet(SetElastic, false), count(CounterUnlinked), drop()),
		rule(`meta mark 0x00000004 counter name "refused" reject with icmp admin-prohibited`,
			&expr.Meta{Key: expr.MetaKeyMARK, Register: reg1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: binaryutil.NativeEndian.PutUint32(MarkRefused)},
			count(CounterRefused),
			&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: icmpAdminProhibited}),
		// What peers of the VPN gateway send, or whoever claims to be one, makes no
		// entry: it is let in by address, protocol and port alone.
		rule(`iifname "public" ip daddr @ike udp dport 500 notrack`, toIKE(), udpTo(portIKE), &expr.Notrack{}),
		rule(`iifname "public" ip daddr @ike udp dport 4500 notrack`, toIKE(), udpTo(portIKENATT), &expr.Notrack{}),
		rule(`iifname "public" ip daddr @ike meta l4proto esp notrack`, toIKE(), isProtocol(unix.IPPROTO_ESP), &expr.Notrack{}),
		rule(`iifname "public" ip daddr . meta l4proto . th dport @listen jump called`, toServer(), jump("called")),
	}
}

// ownRules do the same for what the VPN gateway sends.
func ownRules() []ruleSpec {
	fromIKE := exprs{loadSource(reg1), inSet(SetIKE, false)}
	return []ruleSpec{
		rule(`ip saddr @ike udp sport 500 notrack`, fromIKE, udpFrom(portIKE), &expr.Notrack{}),
		rule(`ip saddr @ike udp sport 4500 notrack`, fromIKE, udpFrom(portIKENATT), &expr.Notrack{}),
		rule(`ip saddr @ike meta l4proto esp notrack`, fromIKE, isProtocol(unix.IPPROTO_ESP), &expr.Notrack{}),
		rule(`ip saddr . meta l4proto . th sport @listen jump answers`, fromServer(), jump("answers")),
	}
}

// How often an address may call SSL-VPN servers that they have not answered, by a packet of
// UDP or by opening a connection of TCP, and how many packets of UDP all such may send
// together. One that has the server's key is answered to its first packet. The first is less
// than the connections beyond those of its clients that an OpenVPN has room for in the minute
// after which it gives up one that says nothing.
const (
	callRate, callBurst           = 2, 100
	strangersRate, strangersBurst = 5000, 5000
)

// calledRules are for what SSL-VPN servers are sent. OpenVPN answers nobody who does not know
// the server's key (tls-crypt), but has to try, and logs that it has: so others are held to a
// rate. Whom it has answered lately is not, nor who shares an address with such a client.
func calledRules() []ruleSpec {
	var (
		meter   = fmt.Sprintf(`update @callers { ip saddr limit rate over %d/second burst %d packets } counter name "flooded" drop`, callRate, callBurst)
		metered = exprs{loadSource(reg1), learn(SetCallers, limit(callRate, callBurst)), count(CounterFlooded), drop()}
	)
	return []ruleSpec{
		rule(`notrack`, &expr.Notrack{}),
		rule(`ip saddr @answered accept`, loadSource(reg1), inSet(SetAnswered, false), accept()),
		rule(`meta l4proto udp `+meter, isProtocol(unix.IPPROTO_UDP), metered),
		rule(`tcp flags syn / syn,ack `+meter, tcpFlags(tcpFlagSYN, tcpFlagSYN|tcpFlagACK), metered),
		rule(fmt.Sprintf(`meta l4proto udp limit rate over %d/second burst %d packets counter name "flooded" drop`, strangersRate, strangersBurst),
			isProtocol(unix.IPPROTO_UDP), limit(strangersRate, strangersBurst), count(CounterFlooded), drop()),
	}
}

// answerRules are for what SSL-VPN servers send. A packet of TCP without data is the kernel's:
// such is at most headersOfTCP long.
func answerRules() []ruleSpec {
	return []ruleSpec{
		rule(`notrack`, &expr.Notrack{}),
		rule(`meta l4proto udp update @answered { ip daddr }`, isProtocol(unix.IPPROTO_UDP), loadDestination(reg1), learn(SetAnswered)),
		rule(fmt.Sprintf(`meta l4proto tcp ip length > %d update @answered { ip daddr }`, headersOfTCP),
			isProtocol(unix.IPPROTO_TCP), longerThan(headersOfTCP), loadDestination(reg1), learn(SetAnswered)),
	}
}

// headersOfTCP is the most that IP and TCP put before data, in bytes: 20 without options of IP,
// and 60.
const headersOfTCP = 80

// markRules choose the way out before the packet is routed: after conntrack
// knows it (-200), before DNAT (-100).
func markRules() []ruleSpec {
	marked := exprs{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: binaryutil.NativeEndian.PutUint32(MarkCrowded)},
	}
	return []ruleSpec{
		// Without room for one more connection only those that there are go on.
		// What is dropped before conntrack has confirmed it leaves nothing behind.
		rule(`meta mark 0x00000020 ct state new counter name "crowded" drop`,
			marked, ctHas(expr.CtKeySTATE, expr.CtStateBitNEW), count(CounterCrowded), drop()),
		rule(`meta mark 0x00000020 meta mark set 0x00000000`, marked, setMark(0)),
		// Remember which connections came in by the uplink.
		rule(`iifname "public" ct state new ct mark set 0x00000001`,
			fromLink(uplink), ctHas(expr.CtKeySTATE, expr.CtStateBitNEW), setCtMark(MarkPublic)),
		// What the gateway answers to one of their packets, an ICMP error, goes
		// back by the uplink. A packet that comes out of ESP keeps the mark of the
		// one that it was in, and must not have this one.
		rule(`iifname "public" ip daddr != @vpn meta mark set 0x00000008`,
			fromLink(uplink), loadDestination(reg1), inSet(SetVPN, true), setMark(MarkOutside)),
		// Their replies leave the way they came. An ICMP error about such a
		// connection that a host sends counts as a reply.
		rule(`iifname != "public" ct direction reply ct mark 0x00000001 meta mark set 0x00000001 accept`,
			notFromLink(uplink),
			&expr.Ct{Key: expr.CtKeyDIRECTION, Register: reg1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: []byte{ctDirectionReply}},
			&expr.Ct{Key: expr.CtKeyMARK, Register: reg1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: binaryutil.NativeEndian.PutUint32(MarkPublic)},
			setMark(MarkPublic), accept()),
		// The same of those that came in by a router interface by which the outside calls: the
		// mark of their packets is one more than that of their answers, which are routed by it.
		rule(`ct state new ct mark set iifname map @interface_mark`,
			ctHas(expr.CtKeySTATE, expr.CtStateBitNEW), markOfInterface(SetInterfaceMark),
			&expr.Ct{Key: expr.CtKeyMARK, SourceRegister: true, Register: reg1}),
		rule(`meta mark set iifname map @interface_packet_mark accept`,
			markOfInterface(SetInterfacePacketMark), &expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg1}, accept()),
		rule(`ct direction reply meta mark set ct mark map @answer_mark accept`,
			&expr.Ct{Key: expr.CtKeyDIRECTION, Register: reg1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: []byte{ctDirectionReply}},
			&expr.Ct{Key: expr.CtKeyMARK, Register: reg1}, lookUp(SetAnswerMark),
			&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg1}, accept()),
		// Remember which elastic IP a host of the VPC calls: after DNAT only
		// conntrack knows, and postrouting needs it (hairpin).
		rule(`iifname != "public" ct state new meta mark set ip daddr map @eip_mark`,
			notFromLink(uplink), ctHas(expr.CtKeySTATE, expr.CtStateBitNEW),
			loadDestination(reg1), lookUp(SetEIPMark),
			&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg1}),
		// Hosts with an elastic IP of their own have a way out by the uplink.
		// They do not need the mark above: they are seen from that address.
		rule(`iifname != "public" ip saddr @eip_hosts meta mark set 0x00000002`,
			notFromLink(uplink), loadSource(reg1), inSet(SetEIPHosts, false), setMark(MarkMapped)),
	}
}

// preroutingRules translate destinations, of packets from either side: a host
// of the VPC reaches an elastic IP of its own VPC by the same entries (hairpin,
// RFC 4787 REQ-9). A port entry is more specific and comes first.
//
// That these rules and those of postrouting are there, whatever the maps hold,
// also keeps the translation of open connections alive: it ends with the last
// nat chain of the namespace.
func preroutingRules() []ruleSpec {
	dnat := func(portReg uint32) expr.Any {
		return &expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: reg1, RegProtoMin: portReg}
	}
	return []ruleSpec{
		rule(`dnat to ip daddr . meta l4proto . th dport map @dnat_port`,
			loadDestination(reg1),
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg1b},
			&expr.Payload{DestRegister: reg1c, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			lookUp(SetDNATPort), dnat(reg1b)),
		rule(`dnat to ip daddr map @dnat_addr`,
			loadDestination(reg1), lookUp(SetDNATAddr), dnat(0)),
	}
}

// inputRules keep the gateway silent: it answers pings to its own addresses
// from inside, from outside to those elastic IPs that are to answer, and nothing else. In
// particular no RST and no ICMP error goes out for an elastic IP without an entry (RFC 5382
// REQ-4).
func inputRules() []ruleSpec {
	return []ruleSpec{
		rule(`iifname "lo" accept`, fromLink("lo"), accept()),
		// Elastic IPs of a NAT gateway that answers pings to them (RFC 1122, section
		// 3.2.2.6), and no others. A ping that was answered before counts as established.
		rule(`iifname "public" ip daddr @echo_reply icmp type echo-request accept`,
			fromLink(uplink), loadDestination(reg1), inSet(SetEchoReply, false), echoRequest(), accept()),
		rule(`iifname "public" ip daddr @elastic icmp type echo-request counter name "unmatched" drop`,
			fromLink(uplink), loadDestination(reg1), inSet(SetElastic, false), echoRequest(), count(CounterUnmatched), drop()),
		// Answers to what the gateway itself asked, and errors about it.
		rule(`ct state established,related accept`,
			ctHas(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), accept()),
		// A client of an SSL-VPN server may ask whether that is there, and has no business
		// with the gateway besides.
		rule(`iifname @ssl fib daddr . iif type local icmp type echo-request accept`,
			fromSSL(), &expr.Fib{Register: reg1, FlagDADDR: true, FlagIIF: true, ResultADDRTYPE: true},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)}, echoRequest(), accept()),
		rule(`iifname @ssl counter name "unreached" drop`, fromSSL(), count(CounterUnreached), drop()),
		rule(`iifname != "public" ip daddr != @elastic icmp type echo-request accept`,
			notFromLink(uplink), loadDestination(reg1), inSet(SetElastic, true), echoRequest(), accept()),
		// What the peers of the VPN gateway send: IKE, and ESP, bare and in UDP.
		rule(`iifname "public" ip daddr @ike udp dport 500 accept`, toIKE(), udpTo(portIKE), accept()),
		rule(`iifname "public" ip daddr @ike udp dport 4500 accept`, toIKE(), udpTo(portIKENATT), accept()),
		rule(`iifname "public" ip daddr @ike meta l4proto esp accept`, toIKE(), isProtocol(unix.IPPROTO_ESP), accept()),
		// What clients of SSL-VPN servers send; and, of what is sent back without conntrack's
		// knowing, that it was too large (RFC 1191).
		rule(`iifname "public" ip daddr . meta l4proto . th dport @listen accept`, toServer(), accept()),
		rule(`iifname "public" ip daddr @vpn icmp type destination-unreachable icmp code frag-needed accept`,
			fromLink(uplink), loadDestination(reg1), inSet(SetVPN, false), icmpIs(icmpUnreachable, icmpFragNeeded), accept()),
		// BGP between the ends of a tunnel.
		rule(`iifname @tunnels tcp dport 179 accept`, fromTunnel(), tcpTo(portBGP), accept()),
		rule(`counter name "unmatched" drop`, count(CounterUnmatched), drop()),
	}
}

// clampRules keep TCP segments small enough for a tunnel, in both directions:
// what a SYN says is the most that the other side may send. A smaller size is
// left as it is. Most packets are none, and are not looked up by their links.
func clampRules() []ruleSpec {
	clamp := tcpFlags(tcpFlagSYN, tcpFlagSYN|tcpFlagRST)
	set := func(mss uint16) exprs {
		return exprs{
			&expr.Immediate{Register: reg1, Data: binaryutil.BigEndian.PutUint16(mss)},
			&expr.Exthdr{SourceRegister: reg1, Type: tcpOptMSS, Offset: 2, Len: 2, Op: expr.ExthdrOpTcpopt}}
	}
	return []ruleSpec{
		rule(fmt.Sprintf(`tcp flags syn / syn,rst iifname @tunnels tcp option maxseg size set %d`, tunnelMSS), clamp, fromTunnel(), set(tunnelMSS)),
		rule(fmt.Sprintf(`tcp flags syn / syn,rst oifname @tunnels tcp option maxseg size set %d`, tunnelMSS), clamp, toTunnel(), set(tunnelMSS)),
		rule(fmt.Sprintf(`tcp flags syn / syn,rst iifname @ssl tcp option maxseg size set %d`, sslMSS), clamp, fromSSL(), set(sslMSS)),
		rule(fmt.Sprintf(`tcp flags syn / syn,rst oifname @ssl tcp option maxseg size set %d`, sslMSS), clamp, toSSL(), set(sslMSS)),
	}
}

// forwardRules let in from the uplink what belongs to a connection or was
// DNATed. Between VSwitches everything passes: conntrack may see only one half
// of what runs there.
func forwardRules() []ruleSpec {
	established := expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED
	return append(classicRules(), []ruleSpec{
		// However a client of an SSL-VPN server would be translated, or not: what it may reach
		// lies in the VPC or behind other tunnels.
		rule(`oifname "public" iifname @ssl counter name "unreached" drop`,
			toLink(uplink), fromSSL(), count(CounterUnreached), drop()),
		rule(`ct state established,related accept`, ctHas(expr.CtKeySTATE, established), accept()),
		rule(`iifname "public" oifname "public" counter name "transit" drop`,
			fromLink(uplink), toLink(uplink), count(CounterTransit), drop()),
		rule(`iifname "public" ct state invalid counter name "invalid" drop`,
			fromLink(uplink), ctHas(expr.CtKeySTATE, expr.CtStateBitINVALID), count(CounterInvalid), drop()),
		rule(`iifname "public" ct status dnat accept`,
			fromLink(uplink), ctHas(expr.CtKeySTATUS, ctStatusDNAT), accept()),
		// IKE and ESP for a charon that has a namespace of its own: nothing else is
		// led there.
		rule(`iifname "public" oifname "ike*" accept`, fromLink(uplink), toCharon(), accept()),
		rule(`iifname "public" counter name "unsolicited" drop`,
			fromLink(uplink), count(CounterUnsolicited), drop()),
		// Such packets are not translated, so egress could not tell.
		rule(`oifname "public" ct state invalid counter name "invalid" drop`,
			toLink(uplink), ctHas(expr.CtKeySTATE, expr.CtStateBitINVALID), count(CounterInvalid), drop()),
		rule(`ip saddr @elastic counter name "spoofed" drop`,
			loadSource(reg1), inSet(SetElastic, false), count(CounterSpoofed), drop()),
	}...)
}

// translateRules give a source its external address: its own elastic IP
// before any SNAT entry. A source that has neither comes back untranslated.
//
// The mark only carries the pool's id from one map to the next; the packet has
// been routed.
func translateRules() []ruleSpec {
	return []ruleSpec{
		rule(`snat to ip saddr map @eip_src`,
			loadSource(reg1), lookUp(SetEIPSrc), snatToReg1()),
		rule(`snat to ip saddr map @snat_addr`,
			loadSource(reg1), lookUp(SetSNAT), snatToReg1()),
		rule(`meta mark set ip saddr map @snat_pool`,
			loadSource(reg1), lookUp(SetSNATPool),
			&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg1}),
		// One host, one address of the pool (RFC 4787 REQ-2): the hash of the
		// host's address chooses it.
		rule(`snat to meta mark . jhash ip saddr mod 256 seed 0x51a1ce00 map @pool`,
			&expr.Meta{Key: expr.MetaKeyMARK, Register: reg1},
			loadSource(reg2),
			&expr.Hash{SourceRegister: reg2, DestRegister: reg1b, Length: 4,
				Modulus: buckets, Seed: bucketSeed, Type: expr.HashTypeJenkins},
			lookUp(SetPool), snatToReg1()),
	}
}

// postroutingRules translate sources of what leaves by the uplink, and of what
// a host of the VPC sends to an elastic IP of its own VPC: it must be seen
// from an external address there too (RFC 4787 REQ-9), so that answers come
// back through the gateway. A host that has none is seen from the elastic IP
// that it called. Only elastic IPs are ever DNATed, so ct status tells hairpin
// connections from those within the VPC.
func postroutingRules() []ruleSpec {
	hairpin := exprs{}
	hairpin = append(hairpin, notFromLink(uplink)...)
	hairpin = append(hairpin, notToLink(uplink)...)
	hairpin = append(hairpin, ctHas(expr.CtKeySTATUS, ctStatusDNAT)...)
	return []ruleSpec{
		rule(`oifname "public" jump translate`, toLink(uplink), jump("translate")),
		rule(`iifname != "public" oifname != "public" ct status dnat jump translate`,
			hairpin, jump("translate")),
		rule(`iifname != "public" oifname != "public" ct status dnat snat to meta mark map @mark_eip`,
			hairpin, &expr.Meta{Key: expr.MetaKeyMARK, Register: reg1}, lookUp(SetMarkEIP), snatToReg1()),
	}
}

// egressRules are the last word on what leaves by the uplink, after all
// translation: only elastic IPs do. The gateway's own packets, ICMP errors
// among them, have one as their source.
//
// A packet on its way through an XFRM interface comes here three times: when it
// leaves by that interface; then from uplink to uplink, which is where its ESP
// packet will leave, though it is in clear yet; then as that ESP packet. Nothing
// else goes from uplink to uplink, which forwardRules sees to.
func egressRules() []ruleSpec {
	return []ruleSpec{
		rule(`iifname "public" oifname "public" accept`, fromLink(uplink), toLink(uplink), accept()),
		rule(`oifname "public" ip saddr != @elastic counter name "private_source" drop`,
			toLink(uplink), loadSource(reg1), inSet(SetElastic, true), count(CounterPrivateSource), drop()),
	}
}
