package shape

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"sluice/bpf"
)

// fixture is the programs without a link: tests run them on frames.
type fixture struct {
	*programs
	t *testing.T
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Skip(err)
	}
	p, err := openPrograms(nil, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(p.close)
	return &fixture{p, t}
}

func (f *fixture) put(name string, k, v any) {
	f.t.Helper()
	if err := f.maps[name].Put(k, v); err != nil {
		f.t.Fatalf("map %s: %v", name, err)
	}
}

// limit gives a bandwidth a rate of a byte a second, so that no time passes in a test, and
// a credit in bytes.
func (f *fixture) limit(number uint32, way int, credit, most uint64, within uint32) {
	const second = 1e9
	f.put(bpf.ShapeMapBandwidths, 2*number+uint32(way), bpf.ShapeBandwidth{
		Cost: second << 16, Credit: credit * second, Most: most * second, Within: within, Id: [64]uint8{'x'},
	})
}

func (f *fixture) run(program string, frame []byte) int32 {
	f.t.Helper()
	verdict, err := f.prog[program].Run(&ebpf.RunOptions{Data: frame})
	if err != nil {
		f.t.Fatal(err)
	}
	return int32(verdict)
}

func (f *fixture) state(number uint32, way int) (s bpf.ShapeBandwidthState) {
	f.t.Helper()
	if err := f.maps[bpf.ShapeMapBandwidthStates].Lookup(2*number+uint32(way), &s); err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *fixture) passed(number uint32, way int) (bytes, packets uint64) {
	f.t.Helper()
	each := make([]bpf.ShapeBandwidthCount, ebpf.MustPossibleCPU())
	if err := f.maps[bpf.ShapeMapBandwidthCounts].Lookup(2*number+uint32(way), &each); err != nil {
		f.t.Fatal(err)
	}
	for _, c := range each {
		bytes, packets = bytes+c.Bytes, packets+c.Packets
	}
	return bytes, packets
}

var (
	limitedIP = [4]byte{203, 0, 113, 10}
	strange   = [4]byte{198, 51, 100, 1}
)

// frame is an Ethernet frame with an IPv4 packet of that length.
func frame(from, to [4]byte, length int) []byte {
	b := make([]byte, 14+length)
	binary.BigEndian.PutUint16(b[12:], unix.ETH_P_IP)
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], uint16(length))
	copy(ip[12:], from[:])
	copy(ip[16:], to[:])
	return b
}

const pass, wait = 0, -1

// Packets pass until the credit is used up, and then all wait, until the reckoned queue is
// empty; each way has its own limit, and nothing else is limited.
func TestCredit(t *testing.T) {
	f := newFixture(t)
	f.put(bpf.ShapeMapShaped, limitedIP, bpf.ShapeShapedAddress{Number: [2]uint32{5, 5}, Class: [2]uint32{0x14000, 0x14001}})
	f.limit(5, outbound, 8192, 20000, 0)
	f.limit(5, inbound, 1000, 20000, 0)
	out, in := frame(limitedIP, strange, 1000), frame(strange, limitedIP, 600)
	for i := range 12 {
		want := int32(pass)
		if i >= 9 {
			want = wait
		}
		if got := f.run(bpf.ShapeProgOutbound, out); got != want {
			t.Fatalf("packet %d: %d, want %d", i, got, want)
		}
	}
	if bytes, packets := f.passed(5, outbound); bytes != 9000 || packets != 9 {
		t.Errorf("%d bytes in %d packets have passed, not 9000 in 9", bytes, packets)
	}
	for i, want := range []int32{pass, pass, wait} {
		if got := f.run(bpf.ShapeProgInbound, in); got != want {
			t.Errorf("inbound packet %d: %d, want %d", i, got, want)
		}
	}
	for range 30 {
		f.run(bpf.ShapeProgOutbound, out)
	}
	// No more is reckoned than there is room for in the queues.
	s := f.state(5, outbound)
	f.limit(5, outbound, 8192, 20000, 0)
	f.run(bpf.ShapeProgOutbound, out)
	if again := f.state(5, outbound); again.Due-s.Due > 10e9 {
		t.Errorf("reckoned are %d s more than the most", (again.Due-s.Due)/1e9)
	}
	f.put(bpf.ShapeMapBandwidthStates, uint32(2*5+outbound), bpf.ShapeBandwidthState{Due: 1, Waiting: 1})
	if got := f.run(bpf.ShapeProgOutbound, out); got != pass {
		t.Errorf("with an empty queue: %d", got)
	}
	if s := f.state(5, outbound); s.Waiting != 0 {
		t.Errorf("packets still wait: %+v", s)
	}
	arp := frame(limitedIP, strange, 60)
	binary.BigEndian.PutUint16(arp[12:], unix.ETH_P_ARP)
	for name, b := range map[string][]byte{"another address": frame(strange, strange, 1000), "ARP": arp, "the other way": in} {
		for range 20 {
			if got := f.run(bpf.ShapeProgOutbound, b); got != pass {
				t.Fatalf("%s: %d", name, got)
			}
		}
	}
	for program, want := range map[string]int32{bpf.ShapeProgOutboundClass: 0x14000, bpf.ShapeProgInboundClass: 0} {
		if got := f.run(program, out); got != want {
			t.Errorf("%s: class %x, want %x", program, got, want)
		}
	}
}

// A tag of priority in a frame hides nothing of what is in it; another tag leads elsewhere.
func TestTaggedFrames(t *testing.T) {
	f := newFixture(t)
	f.put(bpf.ShapeMapShaped, limitedIP, bpf.ShapeShapedAddress{Number: [2]uint32{5, 5}, Class: [2]uint32{0x14000, 0x14001}})
	f.limit(5, inbound, 1<<20, 1<<21, 0)
	plain := frame(strange, limitedIP, 600)
	tagged := func(b []byte, protocol, tci uint16) []byte {
		out := append([]byte{}, b[:12]...)
		out = binary.BigEndian.AppendUint16(out, protocol)
		return append(binary.BigEndian.AppendUint16(out, tci), b[12:]...)
	}
	for name, c := range map[string]struct {
		frame []byte
		seen  bool
	}{
		"plain":       {plain, true},
		"priority 5":  {tagged(plain, unix.ETH_P_8021Q, 5<<13), true},
		"service tag": {tagged(plain, unix.ETH_P_8021AD, 0), true},
		"VLAN 7":      {tagged(plain, unix.ETH_P_8021Q, 7), false},
		"two tags":    {tagged(tagged(plain, unix.ETH_P_8021Q, 0), unix.ETH_P_8021Q, 0), false},
	} {
		bytes, packets := f.passed(5, inbound)
		f.run(bpf.ShapeProgInbound, c.frame)
		class := f.run(bpf.ShapeProgInboundClass, c.frame)
		moreBytes, more := f.passed(5, inbound)
		if seen := more == packets+1 && moreBytes == bytes+600 && class == 0x14001; seen != c.seen || !c.seen && (more != packets || class != 0) {
			t.Errorf("%s: %d packets and %d bytes passed, class %x", name, more-packets, moreBytes-bytes, class)
		}
	}
}

// What is part of another bandwidth has to be within both, and counts with both.
func TestCreditOfBoth(t *testing.T) {
	f := newFixture(t)
	neighbour := [4]byte{203, 0, 113, 11}
	f.put(bpf.ShapeMapShaped, limitedIP, bpf.ShapeShapedAddress{Number: [2]uint32{7, 0}})
	f.put(bpf.ShapeMapShaped, neighbour, bpf.ShapeShapedAddress{Number: [2]uint32{6, 0}})
	f.limit(6, outbound, 5000, 50000, 0)
	f.limit(7, outbound, 2000, 50000, 6)
	part, whole := frame(limitedIP, strange, 1000), frame(neighbour, strange, 1000)
	for i, want := range []int32{pass, pass, pass, wait} {
		if got := f.run(bpf.ShapeProgOutbound, part); got != want {
			t.Errorf("packet %d of the part: %d, want %d", i, got, want)
		}
	}
	// Four have been reckoned of the whole.
	for i, want := range []int32{pass, pass, wait} {
		if got := f.run(bpf.ShapeProgOutbound, whole); got != want {
			t.Errorf("packet %d of the whole: %d, want %d", i, got, want)
		}
	}
	f.put(bpf.ShapeMapBandwidthStates, uint32(2*7+outbound), bpf.ShapeBandwidthState{})
	if got := f.run(bpf.ShapeProgOutbound, part); got != wait {
		t.Errorf("while the whole has to wait, the part does not: %d", got)
	}
	if bytes, _ := f.passed(6, outbound); bytes != 5000 {
		t.Errorf("%d bytes have passed the whole, not 5000", bytes)
	}
	// A number that the maps have no room for is held by the queue alone.
	f.put(bpf.ShapeMapShaped, limitedIP, bpf.ShapeShapedAddress{Number: [2]uint32{mostHeld, 0}})
	if got := f.run(bpf.ShapeProgOutbound, part); got != wait {
		t.Errorf("a number that is too large: %d", got)
	}
}
