package session

import (
	"net"
	"net/netip"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"

	"sluice/bpf"
	"sluice/dataplane"
	"sluice/dataplane/garp"
)

// Paths are void as soon as an address that moves between hosts is announced, and by nothing
// else that is said by ARP.
func TestAnnouncementsRenewPaths(t *testing.T) {
	moves, stays := netip.MustParseAddr("10.0.0.100"), netip.MustParseAddr("10.0.0.7")
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	announced := func(a netip.Addr) [][]byte {
		frames, err := garp.Frames(mac, []netip.Addr{a})
		if err != nil {
			t.Fatal(err)
		}
		return frames
	}
	said := func(op arp.Operation, from, to netip.Addr) []byte {
		p, err := arp.NewPacket(op, mac, from, make(net.HardwareAddr, 6), to)
		if err != nil {
			t.Fatal(err)
		}
		body, err := p.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		f := ethernet.Frame{Destination: ethernet.Broadcast, Source: mac, EtherType: ethernet.EtherTypeARP, Payload: body}
		b, err := f.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, program := range []string{switchIngress, "flow_ingress"} {
		for name, c := range map[string]struct {
			frame []byte
			void  bool
		}{
			"request":                  {announced(moves)[0], true},
			"answer":                   {announced(moves)[1], true},
			"of another":               {announced(stays)[0], false},
			"question of its host":     {said(arp.OperationRequest, moves, stays), false},
			"question for it":          {said(arp.OperationRequest, stays, moves), false},
			"probe (RFC 5227)":         {said(arp.OperationRequest, netip.IPv4Unspecified(), moves), false},
			"cut off behind the start": {announced(moves)[0][:30], false},
		} {
			t.Run(program+"/"+name, func(t *testing.T) {
				f := newFixture(t)
				for a, one := range movingOf(&dataplane.Network{HaVips: []dataplane.HaVip{{Address: moves}}}) {
					f.put("moving", a, one)
				}
				d := directions(tcp)[0]
				d.learned(f)
				ingress := d.programs()[1]
				if r := f.run(t, ingress, d.from.frame()); r.Verdict != tcRedirect {
					t.Fatalf("no path is used before: %+v", r)
				}
				if r := f.run(t, program, c.frame); r.Verdict != tcNext {
					t.Errorf("the announcement itself is not let pass: %+v", r)
				}
				r := f.run(t, ingress, d.from.frame())
				if (r.Verdict != tcRedirect) != c.void || c.void && r.Stats[bpf.GatewayStatSTAT_MISS_STALE] != 1 {
					t.Errorf("%+v, void: %v", r, c.void)
				}
			})
		}
	}
}
