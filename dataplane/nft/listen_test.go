package nft

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/sorted"
)

// Whoever changes what, in whatever order and transactions, a Listener tells exactly of
// those that are another program's and about our tables.
func TestListener(t *testing.T) {
	ns := nstest.New(t)
	l, err := Listen(ns.Handle())
	must(t, err)
	t.Cleanup(func() { l.Close() })
	table := l.Table(ns.Handle())
	t.Cleanup(func() { table.Close() })
	nft := func(script string) {
		t.Helper()
		nstest.Command(t, ns, "nft", script)
	}
	// heard takes in what comes until another program's transaction that is about nothing of ours.
	heard := func() (times int) {
		t.Helper()
		nft("add table ip last; delete table ip last")
		end := generationOf(t, table)
		for {
			messages, err := l.nl.Receive()
			must(t, err)
			if l.take(messages) {
				times++
			}
			for _, m := range messages {
				if m.Header.Type == newGeneration && madeGeneration(t, m) == end {
					return times
				}
			}
		}
	}
	const either = -1
	r := rand.New(rand.NewPCG(5, 6))
	n := sample()
	var have *Ruleset // nil where our table may not be whole
	there := false    // there is a table of ours
	for i := range 80 {
		var what string
		want := 0
		switch r.IntN(8) {
		case 0, 1:
			what = "ours: elements"
			n.DNAT = n.DNAT.With(dataplane.DNAT{External: addr("203.0.113.10"), Protocol: 17, ExternalPort: uint16(10000 + i), Internal: addr("10.0.1.5"), InternalPort: 53})
			rules := mustCompile(t, n)
			if _, err := table.Apply(t.Context(), nil, rules); err != nil {
				t.Fatal(err)
			}
			have, there = rules, true
		case 2:
			what = "ours: another connection of this process"
			want = either // in a process id namespace the kernel's numbers of threads say nothing
			tamper(t, ns.Handle(), func(c *nftables.Conn, _ *nftables.Table) {
				c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName + "-more"})
			})
			there = true
		case 3:
			what = "ours: a new connection"
			must(t, table.Close())
		case 4:
			what = "others: many elements of a table of theirs"
			var list []string
			for k := range 200 {
				list = append(list, fmt.Sprintf("10.%d.%d.%d", i, k/250, k%250))
			}
			nft("add table inet theirs; add set inet theirs s { type ipv4_addr; }; add element inet theirs s { " + strings.Join(list, ", ") + " }")
		case 5:
			what = "others: our table, after one of theirs, in one transaction"
			nft("add table ip aaa; add table ip sluice; add counter ip sluice theirs; delete counter ip sluice theirs")
			want, have, there = 1, nil, true
		case 6:
			what = "others: everything goes"
			nft("flush ruleset")
			if there {
				want = 1
			}
			have, there = nil, false
			nft("add table ip zzz") // also where there was nothing to flush
		case 7:
			what = "others: a rule of ours"
			if have != nil {
				nft("add rule ip sluice forward drop")
				want = 1
			}
		}
		if got := heard(); want != either && (got < want || want == 0 && got > 0) {
			t.Fatalf("step %d, %s: told of %d changes, want %d", i, what, got, want)
		}
	}
}

func generationOf(t testing.TB, table *Table) (at uint32) {
	t.Helper()
	must(t, table.do(t.Context(), func(c *conn) (err error) {
		at, err = c.generation()
		return err
	}))
	return at
}

func madeGeneration(t testing.TB, m netlink.Message) uint32 {
	t.Helper()
	ad, err := netlink.NewAttributeDecoder(m.Data[nfgenmsg:])
	must(t, err)
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		if ad.Type() == unix.NFTA_GEN_ID {
			return ad.Uint32()
		}
	}
	t.Fatal("the end of a transaction without its generation")
	return 0
}

// Another program that changes a table of its own without pause keeps nobody from
// reading and changing ours.
func TestReadBesideAnotherProgram(t *testing.T) {
	ns := nstest.New(t)
	table := newTable(t, ns.Handle())
	n := sample()
	var entries []dataplane.DNAT
	for i := range 3000 {
		entries = append(entries, dataplane.DNAT{External: addr("203.0.113.10"), Protocol: 17, ExternalPort: uint16(10000 + i), Internal: addr("10.0.1.5"), InternalPort: uint16(1 + i)})
	}
	n.DNAT = sorted.Of(entries...)
	want := mustCompile(t, n)
	_, err := table.Apply(t.Context(), nil, want)
	must(t, err)

	nstest.Command(t, ns, "nft", "add table inet theirs; add set inet theirs s { type ipv4_addr; }")
	other := exec.CommandContext(t.Context(), "nft", "-i")
	in, err := other.StdinPipe()
	must(t, err)
	must(t, ns.Do(other.Start))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := in.Write([]byte("add element inet theirs s { 1.2.3.4 }\ndelete element inet theirs s { 1.2.3.4 }\n")); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		other.Process.Kill()
		other.Wait()
		<-done
	})
	for i := range 5 {
		before := generationOf(t, table)
		have := mustRead(t, table)
		if generationOf(t, table) == before {
			t.Fatal("nothing was changed meanwhile")
		}
		if !have.Equal(want) {
			t.Fatal("something else was read than was made")
		}
		n.DNAT = n.DNAT.With(dataplane.DNAT{External: addr("203.0.113.10"), Protocol: 17, ExternalPort: uint16(1 + i), Internal: addr("10.0.1.7"), InternalPort: 53})
		next := mustCompile(t, n)
		if _, err := table.Apply(t.Context(), have, next); err != nil {
			t.Fatal(err)
		}
		want = next
	}
}
