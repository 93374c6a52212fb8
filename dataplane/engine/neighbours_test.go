package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"testing"

	vishvananda "github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

func TestParseNeighbours(t *testing.T) {
	t.Parallel()
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

// Who does not answer is given up earlier than elsewhere, so that a host that tries all
// addresses takes less of the machine's table; who has answered is not.
func TestSilentNeighbours(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.engine(t)
	n := s.network(t)
	mustApply(t, e, n)
	ns := inNetwork(t, n.ID)
	far := nstest.New(t)
	nstest.Veth(t, ns, "elsewhere", far, "elsewhere")
	nstest.Address(t, ns, "elsewhere", "192.0.2.1/24")
	handle := vns.NsHandle(ns.Handle())
	updates, done := make(chan vishvananda.NeighUpdate, 100), make(chan struct{})
	defer close(done)
	if err := vishvananda.NeighSubscribeWithOptions(updates, done, vishvananda.NeighSubscribeOptions{Namespace: &handle}); err != nil {
		t.Fatal(err)
	}
	ask := func(link, address string) int {
		index := nstest.Link(t, ns, link).Attrs().Index
		if err := ns.Netlink().NeighSet(&vishvananda.Neigh{LinkIndex: index, Family: vishvananda.FAMILY_V4, IP: net.ParseIP(address), Flags: vishvananda.NTF_USE}); err != nil {
			t.Fatal(err)
		}
		return index
	}
	// The one elsewhere is asked for first.
	there, here := ask("elsewhere", "192.0.2.9"), ask("vsw-a", "10.0.1.200")
	var order []int
	nstest.Eventually(t, func() error {
		for {
			select {
			case u := <-updates:
				if u.State == vishvananda.NUD_FAILED && (u.LinkIndex == there || u.LinkIndex == here) {
					order = append(order, u.LinkIndex)
				}
				continue
			default:
			}
			if len(order) < 2 {
				// A link whose carrier comes just then forgets whom it asks for.
				ask("elsewhere", "192.0.2.9")
				return fmt.Errorf("given up: %v", order)
			}
			return nil
		}
	})
	if order[0] != here {
		t.Errorf("first given up: link %d, want that of the VSwitch, %d", order[0], here)
	}
	if got, want := strings.TrimSpace(nstest.Command(t, ns, "cat", "/proc/sys/net/ipv4/neigh/vsw-a/ucast_solicit")), "10"; got != want {
		t.Errorf("one that has answered is asked %s times, want %s", got, want)
	}
}

// A neighbour in a network is one of the machine's.
func TestNeighboursOfAllNetworks(t *testing.T) {
	t.Parallel()
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
