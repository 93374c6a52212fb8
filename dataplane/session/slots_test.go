package session

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"sluice/bpf"
	"sluice/dataplane"
)

// fewSlots is a fixture that counts few addresses one by one.
func fewSlots(t *testing.T, most int) *fixture {
	t.Helper()
	f := limited(t, func(s *configured) { s.Slots = uint32(most) })
	f.s = &Sessions{opt: Options{Addresses: most}}
	return f
}

// pass has the programs handle a frame, without the counters that run reads. It returns
// the index that the packet has from one to the other.
func (f *fixture) pass(t testing.TB, program string, frame []byte, index uint32) uint32 {
	t.Helper()
	var out skb
	if _, err := f.program(program).Run(&ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)), Context: skb{Index: index}, ContextOut: &out}); err != nil {
		t.Fatal(err)
	}
	return out.Index
}

const indexSlot = 0x3fff // INDEX_SLOT in bpf/types.h

// send has a host open a connection, or send on it, and returns the slot that it was
// counted in. Without one a packet on the kernel's path is not counted.
func (f *fixture) send(t testing.TB, host string, port int) uint32 {
	t.Helper()
	frame := opening(host, port).frame()
	slot := f.pass(t, switchIngress, frame, 0) & indexSlot
	f.pass(t, uplinkEgress, frame, slot)
	return slot
}

// end ends a connection.
func (f *fixture) end(t testing.TB, host string, port int) {
	t.Helper()
	if err := f.syncSessions([]entry{{Original: opening(host, port).key()}}); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) read(t testing.TB) *dataplane.Traffic {
	t.Helper()
	out := &dataplane.Traffic{}
	if err := f.addGateways(out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (f *fixture) sweep(t testing.TB, now time.Time) {
	t.Helper()
	if err := f.sweepSlots(now); err != nil {
		t.Fatal(err)
	}
}

// A host that sends from forged addresses has all slots as long as its connections last,
// and not for good.
func TestForgedAddressesGiveSlotsBack(t *testing.T) {
	const slots = 16
	f := fewSlots(t, slots)
	now := time.Now()
	host := func(i int) string { return fmt.Sprintf("10.0.1.%d", 10+i) }
	for i := range 2 * slots {
		if slot := f.send(t, host(i), 4000); (slot != 0) != (i < slots) {
			t.Fatalf("address %d is counted in slot %d", i, slot)
		}
	}
	const late = "10.0.1.200"
	for range 20 { // as long as the connections are there, whatever the time
		f.sweep(t, now)
		now = now.Add(sweepEvery)
	}
	if slot := f.send(t, late, 4000); slot != 0 {
		t.Fatalf("there is a slot %d, while all addresses have a connection", slot)
	}
	for i := range 2 * slots {
		f.end(t, host(i), 4000)
	}
	f.end(t, late, 4000)
	for range 20 {
		f.sweep(t, now)
		now = now.Add(sweepEvery)
	}
	if slot := f.send(t, late, 4001); slot == 0 {
		t.Error("no slot was given back")
	}
	got := f.read(t)
	if n := uint64(slots + 1); got.Outbound.Packets != n {
		t.Errorf("%d packets in all, want %d", got.Outbound.Packets, n)
	}
	if len(got.Addresses) != 1 || got.Addresses[0].Address.String() != late || got.Addresses[0].Outbound.Packets != 1 {
		t.Errorf("addresses %+v", got.Addresses)
	}
}

// Few silent addresses are left alone for long.
func TestSilentAddressesStay(t *testing.T) {
	f := fewSlots(t, 16)
	f.send(t, "10.0.1.10", 4000)
	f.end(t, "10.0.1.10", 4000)
	now := time.Now()
	for range int(silentFor / sweepEvery) {
		f.sweep(t, now)
		now = now.Add(sweepEvery)
	}
	if got := f.read(t); len(got.Addresses) != 1 {
		t.Errorf("addresses %+v", got.Addresses)
	}
}

// Whatever happens when, also if the daemon is started anew in between, and hosts move
// from one gateway to another: a reader who reads each minute comes to what was sent in a
// slot of the address and the gateway, and the totals are what was sent.
func TestSlotsLoseNothing(t *testing.T) {
	const most, hosts = 6, 14
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		f := fewSlots(t, most)
		r := rand.New(rand.NewPCG(seed, 9))
		now, began := time.Now(), time.Now()
		var sent uint64
		type row struct {
			address netip.Addr
			gateway string
		}
		inSlot, measured, last := map[row]uint64{}, map[row]uint64{}, map[row]uint64{}
		byGateway := map[string]uint64{}
		gateways := map[string]uint32{"ngw-1": firstGateway, "ngw-2": firstGateway + 1}
		f.rules = &rules{gateways: gateways}
		goesBy := func(i int, id string) {
			f.put("hosts", &hostKey{PrefixLength: 32, Addr: word4(10, 0, 1, byte(10+i))}, byHost(kindSNAT, gateways[id]))
		}
		for i := range hosts {
			goesBy(i, "ngw-1")
		}
		open := map[[2]int]bool{}
		given := map[uint32]bool{}
		minute := now
		reading := func() {
			seen := map[row]uint64{}
			got := f.read(t)
			for _, a := range got.Addresses {
				k := row{a.Address, a.Gateway}
				if _, twice := seen[k]; twice {
					t.Fatalf("seed %d: %v is told of twice", seed, k)
				}
				seen[k] = a.Outbound.Packets
				if a.Outbound.Packets < last[k] { // begun at 0 again (controlplane/monitor)
					last[k] = 0
				}
				measured[k] += a.Outbound.Packets - last[k]
			}
			for _, g := range got.Gateways {
				if g.Outbound.Packets != byGateway[g.ID] {
					t.Fatalf("seed %d: %d packets of gateway %q, want %d", seed, g.Outbound.Packets, g.ID, byGateway[g.ID])
				}
			}
			last = seen
			if got.Outbound.Packets != sent {
				t.Fatalf("seed %d: %d packets in all, want %d", seed, got.Outbound.Packets, sent)
			}
		}
		for range 1500 {
			next := now.Add(time.Duration(r.IntN(20)) * time.Second)
			for ; !minute.After(next); minute = minute.Add(time.Minute) {
				now = minute
				reading()
			}
			now = next
			// Some are busy, the others come and go.
			i := r.IntN(1 + r.IntN(hosts))
			host, port := fmt.Sprintf("10.0.1.%d", 10+i), 4000+r.IntN(2)
			switch k := r.IntN(11); {
			case k == 10:
				goesBy(i, []string{"ngw-1", "ngw-2"}[r.IntN(2)])
			case k < 3:
				slot := f.send(t, host, port)
				open[[2]int{i, port}] = true
				sent++
				gateway := map[uint32]string{firstGateway: "ngw-1", firstGateway + 1: "ngw-2"}[f.gatewayOfSlot(t, uint16(slot))]
				byGateway[gateway]++
				if slot >= gatewayNumbers {
					inSlot[row{netip.MustParseAddr(host), gateway}]++
					given[slot] = true
				}
			case k < 6:
				for o := range open {
					f.end(t, fmt.Sprintf("10.0.1.%d", 10+o[0]), o[1])
					delete(open, o)
					if r.IntN(2) == 0 {
						break
					}
				}
			case k < 7:
				f.slots.known = nil
				if err := f.recoverSlots(); err != nil {
					t.Fatal(err)
				}
			default:
				f.sweep(t, now)
			}
		}
		for range 3 { // also what is not told of just now
			now = now.Add(hiddenFor)
			f.sweep(t, now)
			reading()
		}
		for a, want := range inSlot {
			if measured[a] != want {
				t.Errorf("seed %d: %d packets of %v were read, minute by minute; want %d", seed, measured[a], a, want)
			}
		}
		if g, err := f.state(); err != nil || g.Slots > most || len(given) > most {
			t.Errorf("seed %d: %d slots, %v", seed, g.Slots, err)
		}
		t.Logf("seed %d: %d packets over %v, %d in slots", seed, sent, now.Sub(began).Round(time.Minute), len(inSlot))
	}
}

// While packets come from many addresses on all CPUs, slots go from one to the other, and
// none counts for two.
func TestSlotsAreTakenBackUnderTraffic(t *testing.T) {
	const most, senders, rounds = 8, 4, 400
	f := fewSlots(t, most)
	stop := make(chan struct{})
	var sweeper, sending sync.WaitGroup
	var counted atomic.Uint64
	sweeper.Go(func() {
		for now := time.Now(); ; now = now.Add(silentForFull) {
			select {
			case <-stop:
				return
			default:
				if err := f.sweepSlots(now); err != nil {
					t.Error(err)
					return
				}
				f.read(t)
			}
		}
	})
	for s := range senders {
		sending.Go(func() {
			r := rand.New(rand.NewPCG(uint64(s), 1))
			for range rounds {
				host, port := fmt.Sprintf("10.0.1.%d", 10+r.IntN(40)), 4000+s
				slot := f.send(t, host, port)
				if slot != 0 {
					counted.Add(1)
				}
				if session := f.session(opening(host, port).key()); slot != 0 && session != nil && uint32(session.Slot) == slot {
					var a bpf.GatewayAddress
					if err := f.maps["addresses"].Lookup(slot, &a); err != nil {
						t.Error(err)
					}
					if got := address(a.Addr).String(); got != host {
						t.Errorf("%s is counted in slot %d, which is that of %s", host, slot, got)
					}
				}
				f.end(t, host, port)
			}
		})
	}
	sending.Wait()
	close(stop)
	sweeper.Wait()
	got := f.read(t)
	if want := counted.Load(); got.Outbound.Packets != want || want == 0 {
		t.Errorf("%d packets in all, want %d", got.Outbound.Packets, want)
	}
	if len(got.Addresses) > most {
		t.Errorf("%d addresses have slots, of %d", len(got.Addresses), most)
	}
}

// Volumes have memory for those slots that are handed out, and a few more. Where hosts
// come faster, they are counted with all others of their gateway, and nothing is lost.
func TestVolumesGrow(t *testing.T) {
	f := applied(t, twoGateways())
	n := twoGateways()
	n.NATGateways[0].Limits, n.NATGateways[1].Limits = dataplane.Limits{}, dataplane.Limits{}
	f.apply(t, n)
	const each = 200
	sent := 0
	for net := range 2 {
		for i := range each {
			f.send(t, fmt.Sprintf("10.0.%d.%d", 1+net%2, 10+i), 4000+net)
			sent++
		}
		for id, host := range map[string]string{"ngw-1": "10.0.1.200", "ngw-2": "10.0.2.200"} {
			if net == 0 && id == "ngw-2" {
				continue
			}
			slot, err := f.slotOf(slotKey{Addr: word(addrOf(host)), Gateway: f.numbers[id]})
			if err != nil || slot < gatewayNumbers {
				t.Fatalf("%s is counted in slot %d, %v", host, slot, err)
			}
		}
		got := f.read(t)
		if got.Outbound.Packets != uint64(sent) || got.Gateways[1].Outbound.Packets+got.Gateways[2].Outbound.Packets != uint64(sent) {
			t.Errorf("%d packets in all, of gateways %+v; want %d", got.Outbound.Packets, got.Gateways, sent)
		}
	}
	if len(f.slots.volumes) != 2 {
		t.Fatalf("%d maps of volumes for %d slots", len(f.slots.volumes), gatewayNumbers)
	}
	g, err := f.state()
	if err != nil || g.Slots != 2*each {
		t.Fatalf("%+v, %v", g, err)
	}
	inSlots := func() (sum uint64) {
		for _, a := range f.read(t).Addresses {
			sum += a.Outbound.Packets
		}
		return sum
	}
	before := inSlots()
	if before != uint64(sent) {
		t.Fatalf("%d packets are in slots, of %d", before, sent)
	}
	// More hosts than there are maps for: those beyond count with all others.
	more := func(net, i int) string { return fmt.Sprintf("10.0.%d.%d", 1+net, 10+each+i) }
	for i := range 40 {
		f.send(t, more(0, i), 4000)
		f.send(t, more(1, i), 4000)
		sent += 2
	}
	if got := f.read(t); got.Outbound.Packets != uint64(sent) {
		t.Errorf("%d packets in all, want %d", got.Outbound.Packets, sent)
	}
	counted := inSlots()
	if want := uint64(sent) - uint64(gatewayNumbers+2*each+80-2*chunkSlots); counted != want {
		t.Errorf("%d packets are in slots, want %d", counted, want)
	}
	if err := f.addChunks(); err != nil {
		t.Fatal(err)
	}
	f.send(t, more(1, 39), 4000)
	if got := inSlots(); got != counted+1 {
		t.Errorf("%d packets are in slots after there are more maps, want %d", got, counted+1)
	}

	// The next process has them all.
	f.closeChunks()
	if err := f.addChunks(); err != nil || len(f.slots.volumes) != 4 {
		t.Fatalf("%d maps after a restart, %v", len(f.slots.volumes), err)
	}
	if got := f.read(t); got.Outbound.Packets != uint64(sent+1) || inSlots() != counted+1 {
		t.Errorf("after a restart: %d packets in all, %d in slots; want %d, %d", got.Outbound.Packets, inSlots(), sent+1, counted+1)
	}
}
