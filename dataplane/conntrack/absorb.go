package conntrack

import (
	"net/netip"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"
)

// An absorber is an entry of conntrack that takes packets which were on their way
// when their flow was ended: answers, as a rule. Without it the first of them,
// should it come before the next packet of the flow, would be taken for a new
// connection from the other side, of which the flow's next packets would be the
// answers. They would go by what was right before, and keep it alive.
//
// It translates nothing, so that an answer from inside still reaches its host, and
// one from outside, for an elastic IP, is dropped (package nft, chain input). Its
// own answers would come from an address that is nobody's, so that nothing
// belongs to it but what it is for. It ends after absorbFor, however many packets
// it has seen (IPS_FIXED_TIMEOUT).
const (
	absorbFor    = 3          // seconds: longer than packets are on their way
	markAbsorber = 0x5ca1ab1e // unlike package nft's connection mark

	statusConfirmed    = 1 << 3  // IPS_CONFIRMED
	statusFixedTimeout = 1 << 10 // IPS_FIXED_TIMEOUT

	tcpEstablished = 3
)

// absorber returns the entry for packets of those addresses. With k, the entry
// that was ended, it has the protocol in common.
func absorber(k *conntrack.Flow, source, destination netip.AddrPort) conntrack.Flow {
	f := conntrack.Flow{Timeout: absorbFor, Mark: markAbsorber}
	f.Status.Value = statusConfirmed | statusFixedTimeout
	f.TupleOrig.IP.SourceAddress, f.TupleOrig.IP.DestinationAddress = source.Addr(), destination.Addr()
	f.TupleOrig.Proto = conntrack.ProtoTuple{Protocol: k.TupleOrig.Proto.Protocol, SourcePort: source.Port(), DestinationPort: destination.Port()}
	// Of the addresses that are for nobody (RFC 1112, section 4) that with the
	// low bits of the destination: no two of ours have them in common, as a rule.
	a := destination.Addr().As4()
	a[0] |= 240
	f.TupleReply.IP.SourceAddress, f.TupleReply.IP.DestinationAddress = netip.AddrFrom4(a), source.Addr()
	f.TupleReply.Proto = conntrack.ProtoTuple{Protocol: k.TupleOrig.Proto.Protocol, SourcePort: destination.Port(), DestinationPort: source.Port()}
	if f.TupleOrig.Proto.Protocol == unix.IPPROTO_TCP {
		f.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: tcpEstablished}
	}
	return f
}
