package monitor

import (
	"encoding/hex"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/dataplane"
)

var update = flag.Bool("update", false, "write the golden files anew")

var equalRows = cmp.Options{cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}

// row makes a row of six counts: bytes and packets outbound, the same inbound,
// sessions open and opened.
func row(a string, c ...uint64) Row {
	return Row{netip.MustParseAddr(a), Counts{
		Outbound: dataplane.Volume{Bytes: c[0], Packets: c[1]}, Inbound: dataplane.Volume{Bytes: c[2], Packets: c[3]}, Open: c[4], Opened: c[5]}}
}

// randomRows makes n rows as a busy minute has them.
func randomRows(r *rand.Rand, n int) []Row {
	var out []Row
	next := uint32(10 << 24)
	for range n {
		next += 1 + r.Uint32N(3)
		packets := uint64(math.Exp(r.NormFloat64()*2.5 + 6))
		out = append(out, Row{address(next), Counts{
			Outbound: dataplane.Volume{Bytes: packets * (60 + r.Uint64N(400)), Packets: packets},
			Inbound:  dataplane.Volume{Bytes: packets * (60 + r.Uint64N(1300)), Packets: packets + r.Uint64N(9)},
			Open:     1 + r.Uint64N(50), Opened: r.Uint64N(200)}})
	}
	return out
}

func decoded(b []byte) ([]Row, error) {
	var out []Row
	err := readBlock(b, func(r Row) { out = append(out, r) })
	return out, err
}

func samples() map[string][]Row {
	return map[string][]Row{
		"none": nil,
		"one":  {row("192.168.0.12", 1500, 1, 90, 2, 3, 4)},
		"several": {
			row("0.0.0.0", 0, 0, 0, 0, 0, 1), row("10.0.0.1", 127, 127, 128, 128, 1, 0), row("10.0.0.2", 1<<32, 1<<21, 1<<40, 1<<30, 55000, 60000),
			row("255.255.255.255", math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64),
		},
	}
}

// TestBlockGolden holds the form to what files hold that are on disks already.
func TestBlockGolden(t *testing.T) {
	for name, rows := range samples() {
		file := "testdata/" + name + ".hex"
		got := hex.EncodeToString(appendBlock(nil, rows)) + "\n"
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\n got %swant %s", name, got, want)
		}
		b, err := hex.DecodeString(strings.TrimSpace(string(want)))
		if err != nil {
			t.Fatal(err)
		}
		back, err := decoded(b)
		if err != nil || !cmp.Equal(back, rows, equalRows) {
			t.Errorf("%s reads as %v, %v", name, back, err)
		}
	}
}

func TestBlockRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 1000} {
		rows := randomRows(r, n)
		before := []byte("before")
		b := appendBlock(before, rows)
		back, err := decoded(b[len(before):])
		if err != nil || !cmp.Equal(back, rows, equalRows) {
			t.Fatalf("%d rows read as %d, %v", n, len(back), err)
		}
		if n == 1000 && len(b) > 15*n {
			t.Errorf("%d rows take %d bytes", n, len(b))
		}
	}
}

// TestBlockDamage: one wrong bit anywhere, or a byte less, is noticed.
func TestBlockDamage(t *testing.T) {
	b := appendBlock(nil, samples()["several"])
	for i := range len(b) * 8 {
		b[i/8] ^= 1 << (i % 8)
		if _, err := decoded(b); !errors.Is(err, errBlock) {
			t.Errorf("bit %d changed: %v", i, err)
		}
		b[i/8] ^= 1 << (i % 8)
	}
	for n := range b {
		if _, err := decoded(b[:n]); !errors.Is(err, errBlock) {
			t.Errorf("cut off at %d: %v", n, err)
		}
	}
}

// FuzzRows: any bytes behind a right checksum are rows that ascend and read the
// same again, or an error.
func FuzzRows(f *testing.F) {
	for _, rows := range samples() {
		b := appendBlock(nil, rows)
		f.Add(b[:len(b)-4])
	}
	f.Add([]byte{blockVersion, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		var rows []Row
		if err := readRows(b, func(r Row) { rows = append(rows, r) }); err != nil {
			return
		}
		for i := 1; i < len(rows); i++ {
			if !rows[i-1].Address.Less(rows[i].Address) {
				t.Fatalf("%v after %v", rows[i].Address, rows[i-1].Address)
			}
		}
		back, err := decoded(appendBlock(nil, rows))
		if err != nil || !cmp.Equal(back, rows, equalRows) {
			t.Fatalf("%v reads as %v, %v", rows, back, err)
		}
	})
}

// FuzzBaseline: whatever stands there is a baseline or an error.
func FuzzBaseline(f *testing.F) {
	f.Add(baseline{epoch: 7, end: 1602653760, rows: samples()["several"]}.bytes())
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := parseBaseline(b); err == nil && got != nil {
			if again, err := parseBaseline(got.bytes()); err != nil || again.epoch != got.epoch || again.end != got.end || !cmp.Equal(again.rows, got.rows, equalRows) {
				t.Fatalf("%+v reads as %+v, %v", got, again, err)
			}
		}
	})
}

func BenchmarkReadBlock(b *testing.B) {
	block := appendBlock(nil, randomRows(rand.New(rand.NewPCG(1, 2)), 10_000))
	b.ReportAllocs()
	for b.Loop() {
		if err := readBlock(block, func(Row) {}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestGrowth(t *testing.T) {
	before := []Row{row("10.0.0.1", 100, 10, 200, 20, 3, 5), row("10.0.0.2", 1, 1, 1, 1, 0, 1), row("10.0.0.3", 9, 9, 9, 9, 0, 9), row("10.0.0.5", 50, 5, 50, 5, 0, 5)}
	now := []Row{
		row("10.0.0.0", 7, 1, 0, 0, 1, 1),       // new
		row("10.0.0.1", 160, 11, 200, 20, 2, 5), // grown
		row("10.0.0.2", 1, 1, 1, 1, 0, 1),       // nothing happened
		row("10.0.0.4", 0, 0, 0, 0, 1, 0),       // new, only open
		row("10.0.0.5", 20, 2, 55, 6, 0, 1),     // began at 0 again, in part
	}
	want := []Row{row("10.0.0.0", 7, 1, 0, 0, 1, 1), row("10.0.0.1", 60, 1, 0, 0, 2, 0), row("10.0.0.4", 0, 0, 0, 0, 1, 0), row("10.0.0.5", 20, 2, 5, 1, 0, 1)}
	if d := cmp.Diff(want, growthOf(now, before), equalRows); d != "" {
		t.Error(d)
	}
}

func TestRowsOf(t *testing.T) {
	at := func(list ...string) *dataplane.Traffic {
		out := &dataplane.Traffic{}
		for _, a := range list {
			out.Addresses = append(out.Addresses, dataplane.AddressTraffic{Address: netip.MustParseAddr(a), Gateway: "ngw-1", Opened: 1})
		}
		return out
	}
	for _, bad := range []*dataplane.Traffic{at("10.0.0.2", "10.0.0.1"), at("2001:db8::1")} {
		if _, err := rowsOf(bad, "ngw-1"); err == nil {
			t.Errorf("%v was taken", bad.Addresses)
		}
	}
	if rows, err := rowsOf(at("10.0.0.1", "10.0.0.1", "10.0.0.2"), "ngw-1"); err != nil || len(rows) != 2 || rows[0].Opened != 2 || rows[1].Opened != 1 {
		t.Errorf("an address twice: %v, %v", rows, err)
	}
	if rows, err := rowsOf(at("10.0.0.1", "10.0.0.2"), "ngw-1"); err != nil || len(rows) != 2 || rows[1].Opened != 1 {
		t.Errorf("%v, %v", rows, err)
	}
	other := at("10.0.0.1", "10.0.0.1", "10.0.0.2")
	other.Addresses[1].Gateway = "ngw-2"
	if rows, err := rowsOf(other, "ngw-1"); err != nil || len(rows) != 2 || rows[0].Opened != 1 {
		t.Errorf("an address by two gateways: %v, %v", rows, err)
	}
	if rows, err := rowsOf(other, "ngw-2"); err != nil || len(rows) != 1 || rows[0].Opened != 1 {
		t.Errorf("the other gateway: %v, %v", rows, err)
	}
}
