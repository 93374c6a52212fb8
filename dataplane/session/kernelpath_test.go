package session

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/bpf"
)

// odd is what keeps a packet from the shortcut, though its session has a path.
// Where nothing is said, things are as they should be.
type odd struct {
	name    string
	packet  func(*packet)
	frame   func([]byte) []byte
	session func(*fixture, *bpf.GatewaySession)
	setting func(*settings)
	proto   uint8 // for one protocol only
	onlyXDP bool  // a test run takes no such skb

	why   bpf.GatewayStat // what the tc program counts; 0 for nothing
	index uint32          // what the tc program tells egress
}

// reasons are all that there are. An index with indexCheck has egress look what
// conntrack makes of the packet.
var reasons = []odd{
	// What the packet is.
	{name: "SYN", packet: flags(flagSYN), proto: unix.IPPROTO_TCP, why: bpf.GatewayStatSTAT_MISS_CLOSING, index: slot | indexCheck},
	{name: "SYN and ACK", packet: flags(flagSYN | flagACK), proto: unix.IPPROTO_TCP, why: bpf.GatewayStatSTAT_MISS_CLOSING, index: slot | indexCheck},
	{name: "FIN", packet: flags(flagFIN | flagACK), proto: unix.IPPROTO_TCP, why: bpf.GatewayStatSTAT_MISS_CLOSING, index: slot | indexCheck},
	{name: "RST", packet: flags(flagRST), proto: unix.IPPROTO_TCP, why: bpf.GatewayStatSTAT_MISS_CLOSING, index: slot | indexCheck},
	{name: "RST and ACK", packet: flags(flagRST | flagACK), proto: unix.IPPROTO_TCP, why: bpf.GatewayStatSTAT_MISS_CLOSING, index: slot | indexCheck},
	{name: "no flags", packet: flags(0), proto: unix.IPPROTO_TCP, why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},
	{name: "PSH without ACK", packet: flags(flagPSH), proto: unix.IPPROTO_TCP, why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},
	{name: "all flags", packet: flags(0x3f), proto: unix.IPPROTO_TCP, why: bpf.GatewayStatSTAT_MISS_CLOSING, index: slot | indexCheck},
	{name: "first fragment", packet: func(p *packet) { p.fragment = moreFragments },
		why: bpf.GatewayStatSTAT_MISS_FRAGMENT, index: slot | indexCheck},
	{name: "later fragment", packet: func(p *packet) { p.fragment = moreFragments | 185 },
		why: bpf.GatewayStatSTAT_MISS_FRAGMENT, index: indexCheck},
	{name: "last fragment", packet: func(p *packet) { p.fragment = 370 },
		why: bpf.GatewayStatSTAT_MISS_FRAGMENT, index: indexCheck},
	{name: "IP options", packet: func(p *packet) { p.options = "\x94\x04\x00\x00" }, // router alert, RFC 2113
		why: bpf.GatewayStatSTAT_MISS_OPTIONS, index: slot | indexCheck},
	{name: "most IP options", packet: func(p *packet) { p.options = strings.Repeat("\x01", 40) },
		why: bpf.GatewayStatSTAT_MISS_OPTIONS, index: slot | indexCheck},
	{name: "TTL 1", packet: func(p *packet) { p.ttl = 1 }, why: bpf.GatewayStatSTAT_MISS_TTL, index: slot | indexCheck},
	{name: "TTL 0", packet: func(p *packet) { p.ttl = 0 }, why: bpf.GatewayStatSTAT_MISS_TTL, index: slot | indexCheck},
	{name: "ICMP", packet: func(p *packet) { p.protocol = unix.IPPROTO_ICMP },
		why: bpf.GatewayStatSTAT_MISS_PROTOCOL, index: indexCheck},
	{name: "GRE", packet: func(p *packet) { p.protocol = unix.IPPROTO_GRE },
		why: bpf.GatewayStatSTAT_MISS_PROTOCOL, index: indexCheck},
	{name: "SCTP", packet: func(p *packet) { p.protocol = unix.IPPROTO_SCTP },
		why: bpf.GatewayStatSTAT_MISS_PROTOCOL, index: indexCheck},

	// What the frame is: nothing that has a flow.
	{name: "IPv6", frame: etherType(unix.ETH_P_IPV6)},
	{name: "ARP", frame: etherType(unix.ETH_P_ARP)},
	{name: "VLAN", frame: func(f []byte) []byte { return joined(f[:12], []byte{0x81, 0, 0, 7}, f[12:]) }},
	{name: "QinQ", frame: func(f []byte) []byte { return joined(f[:12], []byte{0x88, 0xa8, 0, 7, 0x81, 0, 0, 8}, f[12:]) }},
	{name: "IPv6 in an IPv4 frame", frame: func(f []byte) []byte { f[14] = 0x65; return f }},
	{name: "IP header too short", frame: func(f []byte) []byte { f[14] = 0x44; return f }},
	{name: "IP header cut", onlyXDP: true, frame: func(f []byte) []byte { return f[:14+19] }},
	{name: "layer 4 missing", frame: func(f []byte) []byte { return f[:14+20] }},
	{name: "ports cut", frame: func(f []byte) []byte { return f[:14+20+3] }},
	{name: "UDP header cut", proto: unix.IPPROTO_UDP, frame: func(f []byte) []byte { return f[:14+20+7] }},
	{name: "TCP header cut", proto: unix.IPPROTO_TCP, frame: func(f []byte) []byte { return f[:14+20+19] }},
	{name: "IP options beyond the end", frame: func(f []byte) []byte { f[14] = 0x4f; return f[:14+20+20] }},

	// What the headers say of the length, and is not so.
	{name: "shorter than it says", frame: func(f []byte) []byte { return f[:len(f)-1] },
		why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},
	{name: "says nothing of its length", frame: length(0), why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},
	{name: "no room for UDP", proto: unix.IPPROTO_UDP, frame: length(27), why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},
	{name: "UDP longer than its packet", proto: unix.IPPROTO_UDP, frame: datagram(27), why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},
	{name: "UDP shorter than its header", proto: unix.IPPROTO_UDP, frame: datagram(7), why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},
	{name: "no room for TCP", proto: unix.IPPROTO_TCP, frame: length(51), why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},
	{name: "TCP header of nothing", proto: unix.IPPROTO_TCP, frame: offset(0), why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},
	{name: "TCP header too short", proto: unix.IPPROTO_TCP, frame: offset(4), why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},
	{name: "TCP options beyond the end", proto: unix.IPPROTO_TCP, frame: offset(13), why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},
	{name: "TCP header too short, and all flags", proto: unix.IPPROTO_TCP, packet: flags(0x3f), frame: offset(4),
		why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},

	// What is known of the session.
	{name: "no session", packet: func(p *packet) { p.from, p.to = onPort(p.from, 9), onPort(p.to, 9) },
		why: bpf.GatewayStatSTAT_MISS_NEW, index: indexCheck},
	{name: "not learned", session: func(f *fixture, s *bpf.GatewaySession) { s.Generation = 0 },
		why: bpf.GatewayStatSTAT_MISS_UNLEARNED, index: slot | indexCheck},
	{name: "other direction not learned", session: func(f *fixture, s *bpf.GatewaySession) { s.Path &^= pathPaired },
		why: bpf.GatewayStatSTAT_MISS_UNLEARNED, index: slot | indexCheck},
	{name: "earlier generation", setting: func(s *settings) { s.Generation = 2 },
		why: bpf.GatewayStatSTAT_MISS_STALE, index: slot | indexCheck},
	{name: "later generation", session: func(f *fixture, s *bpf.GatewaySession) { s.Generation = 2 },
		why: bpf.GatewayStatSTAT_MISS_STALE, index: slot | indexCheck},
	{name: "path over", session: func(f *fixture, s *bpf.GatewaySession) { s.Until = f.now - 1 },
		why: bpf.GatewayStatSTAT_MISS_STALE, index: slot | indexCheck},
	{name: "path long over", session: func(f *fixture, s *bpf.GatewaySession) { s.Until = f.now - 1<<30 },
		why: bpf.GatewayStatSTAT_MISS_STALE, index: slot | indexCheck},
	{name: "closing", session: func(f *fixture, s *bpf.GatewaySession) { s.State |= stateClosing },
		why: bpf.GatewayStatSTAT_MISS_CLOSING, index: slot | indexCheck},
	{name: "closed", session: func(f *fixture, s *bpf.GatewaySession) { s.State |= stateClosing | stateClosed },
		why: bpf.GatewayStatSTAT_MISS_CLOSING, index: slot | indexCheck},
	{name: "hairpin", session: func(f *fixture, s *bpf.GatewaySession) { s.Flow |= flowKernel },
		why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},
	{name: "wrong side", session: func(f *fixture, s *bpf.GatewaySession) { s.Path ^= pathPublic },
		why: bpf.GatewayStatSTAT_MISS_OTHER, index: slot | indexCheck},
	{name: "one byte too large", packet: func(p *packet) { p.payload = strings.Repeat("w", 1501-p.heads()) },
		why: bpf.GatewayStatSTAT_MISS_MTU, index: slot | indexCheck},
	{name: "path with a small MTU", session: func(f *fixture, s *bpf.GatewaySession) { s.Mtu = 40 },
		why: bpf.GatewayStatSTAT_MISS_MTU, index: slot | indexCheck},

	// What is asked for.
	{name: "shortcut off", setting: func(s *settings) { s.Flags = 0 }, index: slot},
}

func flags(f uint8) func(*packet) { return func(p *packet) { p.flags = f } }

func etherType(t uint16) func([]byte) []byte {
	return func(f []byte) []byte { binary.BigEndian.PutUint16(f[12:], t); return f }
}

// length puts another length into the IP header.
func length(n uint16) func([]byte) []byte {
	return func(f []byte) []byte { binary.BigEndian.PutUint16(f[16:], n); return f }
}

// datagram puts another length into the UDP header.
func datagram(n uint16) func([]byte) []byte {
	return func(f []byte) []byte { binary.BigEndian.PutUint16(f[ethernetHeader+ipHeader+4:], n); return f }
}

// offset puts another data offset into the TCP header (RFC 9293, section 3.1): its
// length, in words. It comes with no new checksum, which nothing here looks at.
func offset(words byte) func([]byte) []byte {
	return func(f []byte) []byte { f[ethernetHeader+ipHeader+12] = words << 4; return f }
}

// onPort puts another digit in the place of an address's last.
func onPort(address string, digit byte) string { return address[:len(address)-1] + string('0'+digit) }

// Whatever is not certain takes the kernel's path: untouched, uncounted as
// traffic, and with its reason counted once, by tc, which sees what XDP leaves.
func TestKernelPath(t *testing.T) {
	f := newFixture(t)
	for _, of := range []func(from, to, payload string) packet{udp, tcp} {
		for _, d := range directions(of) {
			for _, o := range reasons {
				if o.proto != 0 && o.proto != d.from.protocol {
					continue
				}
				in := d.from
				if o.packet != nil {
					o.packet(&in)
				}
				frame := in.frame()
				if o.frame != nil {
					frame = o.frame(frame)
				}
				for _, program := range d.programs() {
					if o.onlyXDP && !strings.HasSuffix(program, "xdp") {
						continue
					}
					name := map[uint8]string{unix.IPPROTO_UDP: "UDP", unix.IPPROTO_TCP: "TCP"}[d.from.protocol]
					t.Run(strings.Join([]string{program, name, d.name, o.name}, "/"), func(t *testing.T) {
						s := f.settings()
						if o.setting != nil {
							o.setting(&s)
						}
						f.settle(s)
						d.learned(f, func(s *bpf.GatewaySession) {
							if o.session != nil {
								o.session(f, s)
							}
						})
						want := missed(program, frame)
						if want.Verdict == tcNext {
							want.Index = o.index
							if o.name == "hairpin" && program == switchIngress {
								// The sender counts, which has no slot here.
								want.Index = indexCheck | indexHairpin
							}
							if o.why != 0 {
								want.Stats[o.why] = 1
							}
						}
						compare(t, want, f.run(t, program, frame))
					})
				}
			}
		}
	}
}

// missed is what becomes of a frame that takes the kernel's path, but for what
// tc counts and tells egress.
func missed(program string, frame []byte) result {
	r := result{Verdict: tcNext, Frame: frame, Stats: map[bpf.GatewayStat]uint64{}, Volumes: map[volumeKey]bpf.GatewayVolume{}}
	if strings.HasSuffix(program, "xdp") {
		r.Verdict = xdpPass
	}
	return r
}

// A checksum that the sender left to the device is not for XDP: it knows
// nothing of that, and tc does.
func TestXDPLeavesPartialChecksums(t *testing.T) {
	f := newFixture(t)
	for _, of := range []func(from, to, payload string) packet{udp, tcp} {
		for _, d := range directions(of) {
			d.learned(f)
			program, frame := d.programs()[0], d.from.frame()
			head := d.from.heads() - ipHeader
			binary.BigEndian.PutUint16(frame[d.from.checksumAt():], sum(d.from.pseudo(head)))
			t.Run(program+"/"+d.name, func(t *testing.T) { compare(t, missed(program, frame), f.run(t, program, frame)) })
		}
	}
}

// An skb that stands for several packets has the headers of each, too.
func TestSegmentsHaveHeaders(t *testing.T) {
	f := newFixture(t)
	for _, d := range directions(tcp) {
		d.learned(f)
		program := d.programs()[1]
		for words, hits := range map[byte]bool{0: false, 4: false, 5: true, 12: true, 13: false, 15: false} {
			frame := offset(words)(d.from.frame())
			t.Run(fmt.Sprintf("%s/%s/%d", program, d.name, words), func(t *testing.T) {
				r := f.run(t, program, frame, skb{SegmentSize: 10, Segments: 2})
				if (r.Verdict == tcRedirect) != hits {
					t.Errorf("%+v, want a hit: %v", r, hits)
				}
				if why := bpf.GatewayStatSTAT_MISS_OTHER; !hits && r.Stats[why] != 1 {
					t.Errorf("no reason is counted: %+v", r)
				}
			})
		}
	}
}

// XDP takes only paths whose links can be redirected to; tc takes all.
func TestXDPNeedsTarget(t *testing.T) {
	f := newFixture(t)
	for _, d := range directions(tcp) {
		d.learned(f, func(s *bpf.GatewaySession) { s.Path &^= pathXDP })
		frame := d.from.frame()
		xdp, tc := d.programs()[0], d.programs()[1]
		t.Run(xdp+"/"+d.name, func(t *testing.T) { compare(t, missed(xdp, frame), f.run(t, xdp, frame)) })
		t.Run(tc+"/"+d.name, func(t *testing.T) { compare(t, hit(tc, d, d.from), f.run(t, tc, frame)) })
	}
}

// Without settings nothing is known, and nothing is done.
func TestKernelPathWithoutSettings(t *testing.T) {
	f := newFixture(t)
	f.settle(settings{})
	for _, d := range directions(tcp) {
		d.learned(f)
		for _, program := range d.programs() {
			r := f.run(t, program, d.from.frame())
			if want := missed(program, nil).Verdict; r.Verdict != want || len(r.Stats)+len(r.Volumes) > 0 {
				t.Errorf("%s: %s: %+v", program, d.name, r)
			}
		}
	}
}
