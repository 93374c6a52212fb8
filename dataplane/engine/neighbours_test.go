package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

func TestParseNeighbours(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       dataplane.Neighbours
		fails      bool
	}{
		{"Linux 6.18", `entries  allocs   destroys hash_grows lookups  hits     res_failed rcv_probes_mcast rcv_probes_ucast periodic_gc_runs forced_gc_runs unresolved_discards table_fulls
00000024 00024613 00023e1b 00000004   0002fe64 00004c5d 00001c32   00000000         00000000         0000044c         000065e1       000091cf            000065d0
00000024 00020ee1 000216b5 00000007   0002eae2 00004c3d 00003452   00000000         00000000         00000000         00005793       00006cf8            0000000a
`, dataplane.Neighbours{Entries: 0x24, Overflows: 0x65da}, false},
		{"columns in another order", "table_fulls entries\n00000001 00000002\n", dataplane.Neighbours{Entries: 2, Overflows: 1}, false},
		{"before Linux 3.19", "entries allocs\n00000001 00000002\n", dataplane.Neighbours{}, true},
		{"cut short", "entries allocs table_fulls\n00000001 00000002\n", dataplane.Neighbours{}, true},
		{"no numbers", "entries table_fulls\n00000001 many\n", dataplane.Neighbours{}, true},
		{"no CPU", "entries table_fulls\n", dataplane.Neighbours{}, true},
		{"nothing", "", dataplane.Neighbours{}, true},
	} {
		got, err := parseNeighbours(c.text)
		if (err != nil) != c.fails || err == nil && got != c.want {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// A neighbour in a network is one of the machine's.
func TestNeighboursOfAllNetworks(t *testing.T) {
	var e Engine
	before, err := e.Neighbours()
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("not in the first network namespace")
	}
	if err != nil || before.Most == 0 {
		t.Fatalf("%+v, %v", before, err)
	}
	ns := nstest.New(t)
	nstest.Veth(t, ns, "a", nstest.New(t), "b")
	const more = 64
	for i := range more {
		neighbour(t, ns, "a", netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i)}), net.HardwareAddr{2, 0, 0, 0, 0, byte(i)})
	}
	nstest.Eventually(t, func() error {
		after, err := e.Neighbours()
		if err == nil && after.Entries < more {
			err = fmt.Errorf("%d neighbours, of which %d were just added", after.Entries, more)
		}
		return err
	})
}
