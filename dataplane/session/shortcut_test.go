package session

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"sluice/bpf"
)

// direction is one way through a translation.
type direction struct {
	name     string
	public   bool // in by the uplink
	from, to packet
}

// translated returns the packet as it leaves.
func (d direction) translated(from packet) packet {
	from.from, from.to = d.to.from, d.to.to
	from.destination, from.source = d.to.destination, d.to.source
	from.ttl--
	return from
}

// programs names those for the packets of the direction.
func (d direction) programs() []string {
	if d.public {
		return []string{uplinkXDP, uplinkIngress}
	}
	return []string{switchXDP, switchIngress}
}

func (d direction) learned(f *fixture, change ...func(*bpf.GatewaySession)) {
	f.t.Helper()
	f.learned(d.from, d.translated(d.from), append([]func(*bpf.GatewaySession){func(s *bpf.GatewaySession) {
		if d.public {
			s.Path |= pathPublic
			s.Flow |= flowInbound
		}
	}}, change...)...)
}

// directions are those of an SNAT and a DNAT entry, for a protocol.
func directions(of func(from, to, payload string) packet) []direction {
	leaving := func(from, to string) packet {
		p := of(from, to, "")
		p.destination, p.source = mac{2, 0, 0, 0, 0, 9}, mac{2, 0, 0, 0, 0, 8}
		return p
	}
	const payload = "what a host sends"
	return []direction{
		{"SNAT, from the host", false,
			of("10.0.1.6:4000", "198.51.100.1:53", payload), leaving("203.0.113.10:1025", "198.51.100.1:53")},
		{"SNAT, to the host", true,
			of("198.51.100.1:53", "203.0.113.10:1025", payload), leaving("198.51.100.1:53", "10.0.1.6:4000")},
		{"DNAT, to the host", true,
			of("198.51.100.7:5000", "203.0.113.11:8443", payload), leaving("198.51.100.7:5000", "10.0.1.7:443")},
		{"DNAT, from the host", false,
			of("10.0.1.7:443", "198.51.100.7:5000", payload), leaving("203.0.113.11:8443", "198.51.100.7:5000")},
	}
}

// hit is what becomes of a packet that takes the shortcut.
func hit(program string, d direction, in packet) result {
	r := result{
		Verdict: xdpRedirected, Frame: d.translated(in).frame(), Stats: map[bpf.GatewayStat]uint64{},
		Volumes: map[volumeKey]bpf.GatewayVolume{
			{slot, d.public}: {Bytes: uint64(in.length()), Packets: 1, Hits: 1},
		},
	}
	if !strings.HasSuffix(program, "xdp") {
		r.Verdict, r.Mark = tcRedirect, markShortcut
	}
	return r
}

// compare reports what differs, with the frame's bytes one by one.
func compare(t *testing.T, want, got result) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.AllowUnexported(volumeKey{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Each byte of a frame that takes the shortcut is what it would be if the
// packet had been written like that by its sender, but for the hardware
// addresses and the TTL.
func TestShortcutTranslates(t *testing.T) {
	f := newFixture(t)
	for name, of := range map[string]func(from, to, payload string) packet{"UDP": udp, "TCP": tcp} {
		for _, d := range directions(of) {
			d.learned(f)
			for _, c := range []struct {
				name   string
				packet func(*packet)
			}{
				{"odd length", func(*packet) {}},
				{"even length", func(p *packet) { p.payload = "what hosts" }},
				{"one byte", func(p *packet) { p.payload = "w" }},
				{"no payload", func(p *packet) { p.payload = "" }},
				{"largest", func(p *packet) { p.payload = strings.Repeat("w", 1500-p.heads()) }},
				{"no TCP options", func(p *packet) { p.timestamps = false }},
				{"last TTL but one", func(p *packet) { p.ttl = 2 }},
				{"largest TTL", func(p *packet) { p.ttl = 255 }},
				{"without DF", func(p *packet) { p.fragment = 0x8000 }}, // the reserved bit, RFC 3514
				{"all ones", func(p *packet) { p.payload = strings.Repeat("\xff", 64) }},
				{"all zeros", func(p *packet) { p.payload = strings.Repeat("\x00", 64) }},
				{"checksum comes to 0", func(p *packet) { p.payload = d.translated(*p).summing().payload }},
				{"checksum was 0", func(p *packet) { p.payload = p.summing().payload }},
			} {
				for _, program := range d.programs() {
					t.Run(strings.Join([]string{program, name, d.name, c.name}, "/"), func(t *testing.T) {
						in := d.from.with(c.packet)
						compare(t, hit(program, d, in), f.run(t, program, in.frame()))
					})
				}
			}
		}
	}
}

// The checksums that a translation has to take care of are there in the test
// above.
func TestChecksumsOfFixtures(t *testing.T) {
	for _, c := range []struct {
		of   func(from, to, payload string) packet
		want [2]byte
	}{{udp, [2]byte{0xff, 0xff}}, {tcp, [2]byte{0, 0}}} {
		for _, d := range directions(c.of) {
			p := d.from.summing()
			if got := [2]byte(p.frame()[p.checksumAt():]); got != c.want {
				t.Errorf("%s: checksum % x, want % x", d.name, got, c.want)
			}
		}
	}
}

// A UDP packet without a checksum (RFC 768) gets none.
func TestShortcutLeavesNoChecksum(t *testing.T) {
	f := newFixture(t)
	for _, d := range directions(udp) {
		d.learned(f)
		for _, program := range d.programs() {
			in := d.from.with(func(p *packet) { p.unsummed = true })
			t.Run(program+"/"+d.name, func(t *testing.T) { compare(t, hit(program, d, in), f.run(t, program, in.frame())) })
		}
	}
}

// Where a device has summed up the whole packet (CHECKSUM_COMPLETE), its sum
// stays right. A kernel that can make such an skb checks it after the run.
func TestShortcutKeepsDeviceChecksum(t *testing.T) {
	const checksumComplete = 1 << 2 // BPF_F_TEST_SKB_CHECKSUM_COMPLETE
	f := newFixture(t)
	for _, of := range []func(from, to, payload string) packet{udp, tcp} {
		for _, d := range directions(of) {
			d.learned(f)
			program := d.programs()[1]
			opt := ebpf.RunOptions{Data: d.from.frame(), DataOut: make([]byte, len(d.from.frame())), Flags: checksumComplete}
			verdict, err := f.program(program).Run(&opt)
			if errors.Is(err, unix.EINVAL) {
				t.Skip("the kernel makes no such skb")
			}
			if err != nil || verdict != tcRedirect || !bytes.Equal(opt.DataOut, d.translated(d.from).frame()) {
				t.Errorf("%s: %s: verdict %d, error %v, frame\n% x", program, d.name, verdict, err, opt.DataOut)
			}
		}
	}
}

// Elements that are not paths for one another's packets: each field of the key
// tells them apart.
func TestShortcutKnowsItsFlow(t *testing.T) {
	f := newFixture(t)
	d := directions(udp)[0]
	d.learned(f)
	for name, p := range map[string]packet{
		"source address":      udp("10.0.1.5:4000", "198.51.100.1:53", ""),
		"source port":         udp("10.0.1.6:4001", "198.51.100.1:53", ""),
		"destination address": udp("10.0.1.6:4000", "198.51.100.2:53", ""),
		"destination port":    udp("10.0.1.6:4000", "198.51.100.1:54", ""),
		"protocol":            tcp("10.0.1.6:4000", "198.51.100.1:53", ""),
		"UDP-Lite":            udp("10.0.1.6:4000", "198.51.100.1:53", "").with(func(p *packet) { p.protocol = unix.IPPROTO_UDPLITE; p.payload = "\x0f\xa0\x005\x00\x00\x00\x00" }),
	} {
		t.Run(name, func(t *testing.T) {
			if r := f.run(t, switchXDP, p.frame()); r.Verdict != xdpPass {
				t.Errorf("XDP: verdict %d", r.Verdict)
			}
			if r := f.run(t, switchIngress, p.frame()); r.Verdict != tcNext {
				t.Errorf("tc: verdict %d", r.Verdict)
			}
		})
	}
}
