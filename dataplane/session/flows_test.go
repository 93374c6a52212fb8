package session

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"sluice/bpf"
)

// Each flow leaves by its own way, as it was learned last, however many others have the same place among
// those that are found near; and by none once what was learned is void.
func TestNearFlows(t *testing.T) {
	f := newFixture(t)
	const count = 3 << 12 // half as many again as there are places
	const loopback = 1    // where test runs come in
	frames := make([][]byte, count)
	learn := func(i int, generation uint32, way uint64) {
		t.Helper()
		p := udp(fmt.Sprintf("10.1.0.%d:%d", i%250, 1024+i/250), "10.2.0.1:53", "what a host asks")
		frames[i] = p.frame()
		v := bpf.GatewayCachedFlow{Ifindex: loopback, Generation: generation, Until: f.now + 1<<20, Mtu: 1500}
		binary.BigEndian.PutUint64(v.Macs[:], way)
		f.put("flows", &bpf.GatewayFlowId{Key: p.key(), Ifindex: loopback}, &v)
	}
	out := make([]byte, len(udp("10.1.0.1:1024", "10.2.0.1:53", "what a host asks").frame()))
	leaves := func(i int, way uint64) {
		t.Helper()
		verdict, err := f.program("flow_ingress").Run(&ebpf.RunOptions{Data: frames[i], DataOut: out})
		if err != nil {
			t.Fatal(err)
		}
		got := binary.BigEndian.Uint64(out)
		if way == 0 && int32(verdict) == tcNext && slices.Equal(out, frames[i]) {
			return
		}
		if int32(verdict) != tcRedirect || got != way {
			t.Fatalf("flow %d: verdict %d, way %d, want %d", i, int32(verdict), got, way)
		}
	}
	random := rand.New(rand.NewPCG(1, 0))
	for generation := uint32(1); generation <= 2; generation++ {
		s := f.settings()
		s.Generation = generation
		f.settle(s)
		for i := range frames {
			if generation > 1 {
				leaves(i, 0)
			}
			learn(i, generation, uint64(generation)<<32|uint64(i))
		}
		for range 3 * count {
			i := random.IntN(count)
			leaves(i, uint64(generation)<<32|uint64(i))
		}
	}
	near := 0
	var place uint32
	value := make([]byte, f.maps["near_flows"].ValueSize())
	const turn, learned = 20, 40 // offsets in struct near_flow: of turn, and of the flow's generation
	for all := f.maps["near_flows"].Iterate(); all.Next(&place, &value); {
		if binary.NativeEndian.Uint32(value[turn:])%2 == 0 && binary.NativeEndian.Uint32(value[learned:]) == 2 {
			near++
		}
	}
	if least := int(f.maps["near_flows"].MaxEntries()) / 2; near < least {
		t.Errorf("%d flows are near, want %d at least", near, least)
	}
}
