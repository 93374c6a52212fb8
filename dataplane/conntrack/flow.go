package conntrack

import (
	"net/netip"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/nft"
)

// Flow is one connection as conntrack has it: what its first packet said, and
// where answers come from and go to. Ports are 0 for protocols without.
type Flow struct {
	Protocol               uint8
	Source, Destination    netip.AddrPort // of the first packet, before translation
	Answerer, AnswerReturn netip.AddrPort // source and destination of answers, before they are translated back
	Inbound                bool           // the first packet came in by the uplink, or by a public router interface
	By                     uint32         // the mark of that router interface; 0 of the uplink
}

func (f *Flow) destinationTranslated() bool { return f.Answerer != f.Destination }

func (f *Flow) sourceTranslated() bool { return f.AnswerReturn.Addr() != f.Source.Addr() }

// fromKernel returns an IPv4 flow; false for others.
func fromKernel(k *conntrack.Flow) (Flow, bool) {
	o, r := &k.TupleOrig, &k.TupleReply
	if !o.IP.SourceAddress.Is4() {
		return Flow{}, false
	}
	f := Flow{Protocol: o.Proto.Protocol, Inbound: k.Mark == nft.MarkPublic || dataplane.IsInterfaceMark(k.Mark)}
	if f.Inbound && k.Mark != nft.MarkPublic {
		f.By = k.Mark
	}
	port := func(p uint16) uint16 {
		if hasPorts(f.Protocol) {
			return p
		}
		return 0
	}
	f.Source = netip.AddrPortFrom(o.IP.SourceAddress, port(o.Proto.SourcePort))
	f.Destination = netip.AddrPortFrom(o.IP.DestinationAddress, port(o.Proto.DestinationPort))
	f.Answerer = netip.AddrPortFrom(r.IP.SourceAddress, port(r.Proto.SourcePort))
	f.AnswerReturn = netip.AddrPortFrom(r.IP.DestinationAddress, port(r.Proto.DestinationPort))
	return f, true
}

func hasPorts(protocol uint8) bool {
	return protocol == unix.IPPROTO_TCP || protocol == unix.IPPROTO_UDP
}
