package session

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"sluice/bpf"
)

type volumes = map[volumeKey]bpf.GatewayVolume

const (
	switchEgress = "switch_egress"
	uplinkEgress = "uplink_egress"
)

// padded is a frame as short ones come from Ethernet: 60 bytes long.
func padded(f []byte) []byte { return append(f, make([]byte, 60-len(f))...) }

// Volumes add up by address and direction, at layer 3: without what fills up a
// short frame.
func TestCountShortcut(t *testing.T) {
	f := newFixture(t)
	for _, of := range []func(from, to, payload string) packet{udp, tcp} {
		for _, d := range directions(of) {
			for i, program := range d.programs() {
				t.Run(program+"/"+d.name, func(t *testing.T) {
					mine := uint16(5 + i)
					d.learned(f, func(s *bpf.GatewaySession) { s.Slot = mine })
					before := f.volumes()
					p := d.from
					p.timestamps = false
					var bytes uint64
					for _, payload := range []string{"", "w", strings.Repeat("w", 1000)} {
						p.payload = payload
						bytes += uint64(p.length())
						f.run(t, program, p.frame())
					}
					p.payload = ""
					bytes += uint64(p.length())
					f.run(t, program, padded(p.frame()))
					k := volumeKey{uint32(mine), d.public}
					want := before[k]
					want.Bytes, want.Packets, want.Hits = want.Bytes+bytes, want.Packets+4, want.Hits+4
					before[k] = want
					if d := cmp.Diff(before, f.volumes(), cmp.AllowUnexported(volumeKey{})); d != "" {
						t.Errorf("volumes (-want +got):\n%s", d)
					}
				})
			}
		}
	}
}

// Who is counted is the private address, whichever direction was the first:
// that the packet goes to it is what the element says.
func TestCountDirection(t *testing.T) {
	f := newFixture(t)
	for _, d := range directions(udp) {
		for _, reply := range []uint8{0, flowReply} {
			d.learned(f, func(s *bpf.GatewaySession) { s.Flow |= reply })
			program := d.programs()[1]
			compare(t, hit(program, d, d.from), f.run(t, program, d.from.frame()))
		}
	}
}

// An skb that stands for several packets counts as those, each with its headers.
// How many there are the kernel says, or can be reckoned from how long each is.
func TestCountSegments(t *testing.T) {
	f := newFixture(t)
	for _, of := range []func(from, to, payload string) packet{udp, tcp} {
		for _, d := range directions(of) {
			d.learned(f)
			program := d.programs()[1]
			for _, c := range []struct {
				name           string
				payload        int
				size, segments uint32 // as the skb says
				want           uint64
			}{
				{"full segments", 3000, 1000, 3, 3},
				{"the last one shorter", 2001, 1000, 3, 3},
				{"reckoned", 3000, 1000, 0, 3},
				{"reckoned, the last one shorter", 2001, 1000, 0, 3},
				{"reckoned, one", 1000, 1000, 0, 1},
				{"reckoned, none", 0, 1000, 0, 1},
				{"as the kernel says", 3000, 1000, 4, 4},
			} {
				t.Run(program+"/"+d.name+"/"+c.name, func(t *testing.T) {
					in := d.from
					in.payload = strings.Repeat("w", c.payload)
					want := hit(program, d, in)
					want.Volumes = volumes{{slot, d.public}: {
						Bytes: uint64(c.payload) + c.want*uint64(in.heads()), Packets: c.want, Hits: 1,
					}}
					compare(t, want, f.run(t, program, in.frame(), skb{SegmentSize: c.size, Segments: c.segments}))
				})
			}
		}
	}
}

// It is each segment that has to fit the way out.
func TestSegmentsFit(t *testing.T) {
	f := newFixture(t)
	for _, of := range []func(from, to, payload string) packet{udp, tcp} {
		for _, d := range directions(of) {
			d.learned(f)
			program, in := d.programs()[1], d.from
			in.payload = strings.Repeat("w", 3000)
			most := uint32(1500 - in.heads())
			r := f.run(t, program, in.frame(), skb{SegmentSize: most, Segments: 3})
			if r.Verdict != tcRedirect {
				t.Errorf("%s: %s: segments of the MTU: %+v", program, d.name, r)
			}
			want := missed(program, in.frame())
			want.Index, want.Stats[bpf.GatewayStatSTAT_MISS_MTU] = slot|indexCheck, 1
			compare(t, want, f.run(t, program, in.frame(), skb{SegmentSize: most + 1, Segments: 3}))
		}
	}
}

// What took the kernel's path is counted where it leaves, by what ingress said.
func TestCountEgress(t *testing.T) {
	f := newFixture(t)
	const other = 5 // slot of 10.0.1.7
	f.put("slots", &slotKey{Addr: word4(10, 0, 1, 7)}, uint32(other))
	out := tcp("203.0.113.10:1025", "198.51.100.1:80", strings.Repeat("w", 100))
	in := tcp("198.51.100.1:80", "10.0.1.7:443", strings.Repeat("w", 100))
	large := out
	large.payload = strings.Repeat("w", 2500)
	length, heads := uint64(out.length()), uint64(out.heads())
	largeLength := uint64(2500) + 3*heads
	ping := icmp("203.0.113.10", "198.51.100.1", 7, echo)
	gre := out.with(func(p *packet) { p.protocol = unix.IPPROTO_GRE })
	for _, c := range []struct {
		name, program string
		packet        packet
		skb           skb
		want          volumes
	}{
		{"to the outside", uplinkEgress, out, skb{Index: slot}, volumes{{slot, false}: {Bytes: length, Packets: 1}}},
		{"to the outside, looked at", uplinkEgress, out, skb{Index: slot | indexCheck}, volumes{{slot, false}: {Bytes: length, Packets: 1}}},
		{"to the outside, several in one", uplinkEgress, large, skb{Index: slot, SegmentSize: 1000, Segments: 3},
			volumes{{slot, false}: {Bytes: largeLength, Packets: 3}}},
		{"to the outside, several in one, looked at", uplinkEgress, large, skb{Index: slot | indexCheck, SegmentSize: 1000},
			volumes{{slot, false}: {Bytes: largeLength, Packets: 3}}},
		{"to the outside, ICMP", uplinkEgress, ping, skb{Index: slot | indexCheck}, volumes{{slot, false}: {Bytes: uint64(ping.length()), Packets: 1}}},
		{"to the outside, GRE", uplinkEgress, gre, skb{Index: slot | indexCheck}, volumes{{slot, false}: {Bytes: uint64(gre.length()), Packets: 1}}},
		{"to the outside, from here", uplinkEgress, out, skb{}, volumes{}},
		{"to the outside, of nobody", uplinkEgress, out, skb{Index: indexCheck}, volumes{}},
		{"to the outside, counted before", uplinkEgress, out, skb{Index: slot, Mark: markShortcut}, volumes{}},

		{"from the outside", switchEgress, in, skb{Index: slot, IngressIfindex: uplink}, volumes{{slot, true}: {Bytes: length, Packets: 1}}},
		{"from the outside, looked at", switchEgress, in, skb{Index: slot | indexCheck, IngressIfindex: uplink},
			volumes{{slot, true}: {Bytes: length, Packets: 1}}},
		{"from the outside, by its address", switchEgress, in, skb{Index: indexCheck, IngressIfindex: uplink},
			volumes{{other, true}: {Bytes: length, Packets: 1}}},
		{"from the outside, several in one", switchEgress, in.with(func(p *packet) { p.payload = large.payload }),
			skb{Index: slot, IngressIfindex: uplink, SegmentSize: 1000, Segments: 3}, volumes{{slot, true}: {Bytes: largeLength, Packets: 3}}},
		{"from the outside, of nobody", switchEgress, tcp("198.51.100.1:80", "10.0.1.8:443", ""), skb{Index: indexCheck, IngressIfindex: uplink}, volumes{}},
		{"from the outside, counted before", switchEgress, in, skb{Index: slot, IngressIfindex: uplink, Mark: markShortcut}, volumes{}},
		{"within the VPC", switchEgress, in, skb{IngressIfindex: uplink + 1}, volumes{}},
		{"between hosts by an elastic IP", switchEgress, in, skb{Index: slot | indexCheck | indexHairpin, IngressIfindex: uplink + 1},
			volumes{{slot, false}: {Bytes: length, Packets: 1}, {other, true}: {Bytes: length, Packets: 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := f.run(t, c.program, c.packet.frame(), c.skb)
			want := missed(c.program, c.packet.frame())
			want.Volumes, want.Mark, want.Index = c.want, c.skb.Mark, c.skb.Index
			if c.program == uplinkEgress && c.skb.Mark == 0 {
				want.Index = 0 // once is enough
			}
			compare(t, want, r)
		})
	}
}
