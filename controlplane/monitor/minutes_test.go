package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bbolt "go.etcd.io/bbolt"

	"sluice/controlplane/store/boltfile"
)

// begin is the minute of the document's example.
const begin = int64(1602653760)

func openFile(t testing.TB, path string) *Minutes {
	t.Helper()
	m, err := Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func newFile(t testing.TB) *Minutes {
	t.Helper()
	return openFile(t, filepath.Join(t.TempDir(), "minutes.db"))
}

// killed returns what a daemon finds that starts after this one was killed
// now: a copy of the file as it is on the disk.
func (m *Minutes) killed(t *testing.T) *Minutes {
	t.Helper()
	b, err := os.ReadFile(m.path)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "minutes.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return openFile(t, path)
}

// all says that every gateway is there; only, that those are.
func all(string) bool { return true }

func only(ids ...string) func(string) bool {
	return func(id string) bool { return slices.Contains(ids, id) }
}

func (m *Minutes) must(t *testing.T, end int64, r ...Reading) {
	t.Helper()
	if err := m.Record(end, r, all, 0); err != nil {
		t.Fatal(err)
	}
}

// content returns every minute of a gateway, by how many minutes after begin it
// began.
func (m *Minutes) content(t *testing.T, gateway string, from, to int64) map[int64][]Row {
	t.Helper()
	out := map[int64][]Row{}
	for i := from; i <= to; i++ {
		var rows []Row
		there, err := m.Read(gateway, begin+i*Minute, func(r Row) { rows = append(rows, r) })
		if err != nil {
			t.Fatal(err)
		}
		if there {
			out[i] = rows
		}
	}
	return out
}

func (m *Minutes) expect(t *testing.T, want map[int64][]Row) {
	t.Helper()
	if d := cmp.Diff(want, m.content(t, "ngw-1", -10, 20), equalRows); d != "" {
		t.Errorf("minutes (-want +got):\n%s", d)
	}
}

// sent is a reading of a gateway with one address, which has sent so many bytes
// in packets of 100 since the counters began.
func sent(n uint64) Reading {
	return Reading{Gateway: "ngw-1", Epoch: 1, Rows: []Row{row("10.0.0.1", n, n/100, 0, 0, 1, n/100)}}
}

func minuteOf(n uint64) []Row { return []Row{row("10.0.0.1", n, n/100, 0, 0, 1, n/100)} }

func TestMinutes(t *testing.T) {
	at := func(i int64) int64 { return begin + i*Minute }
	fresh := func(r Reading) Reading { r.Fresh = true; return r }
	epoch := func(r Reading, e uint64) Reading { r.Epoch = e; return r }
	type step struct {
		end int64
		r   Reading
	}
	for name, c := range map[string]struct {
		steps []step
		want  map[int64][]Row
	}{
		"the first reading is none":     {[]step{{at(1), sent(500)}}, map[int64][]Row{}},
		"one after the other":           {[]step{{at(1), sent(500)}, {at(2), sent(800)}, {at(3), sent(1200)}}, map[int64][]Row{1: minuteOf(300), 2: minuteOf(400)}},
		"no minute between":             {[]step{{at(1), sent(500)}, {at(3), sent(800)}, {at(4), sent(900)}}, map[int64][]Row{3: minuteOf(100)}},
		"another epoch":                 {[]step{{at(1), sent(500)}, {at(2), epoch(sent(800), 2)}, {at(3), epoch(sent(900), 2)}}, map[int64][]Row{2: minuteOf(100)}},
		"an interval of another length": {[]step{{at(1), sent(500)}, {at(2), fresh(sent(800))}, {at(3), sent(900)}}, map[int64][]Row{2: minuteOf(100)}},
		"the same end again":            {[]step{{at(1), sent(500)}, {at(1), sent(600)}, {at(2), sent(900)}}, map[int64][]Row{1: minuteOf(400)}},
		"the clock set back":            {[]step{{at(1), sent(500)}, {at(2), sent(600)}, {at(1), sent(900)}, {at(2), sent(1900)}, {at(3), sent(2100)}}, map[int64][]Row{1: minuteOf(100), 2: minuteOf(200)}},
		"nothing but an open session":   {[]step{{at(1), sent(500)}, {at(2), sent(500)}}, map[int64][]Row{1: minuteOf(0)}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newFile(t)
			for _, s := range c.steps {
				m.must(t, s.end, s.r)
			}
			m.expect(t, c.want)
			// And every bit of it is on the disk.
			m.killed(t).expect(t, c.want)
		})
	}
}

// TestKilledWithinAMinute: whichever minute the daemon is killed in, it goes on
// as if nothing had been, if it is back before the minute ends.
func TestKilledWithinAMinute(t *testing.T) {
	m := newFile(t)
	want := map[int64][]Row{}
	total := uint64(1000)
	m.must(t, begin, sent(total))
	for i := range int64(5) {
		m = m.killed(t)
		more := uint64(100 * (i + 1))
		total += more
		m.must(t, begin+(i+1)*Minute, sent(total))
		want[i] = minuteOf(more)
		m.expect(t, want)
	}
}

// TestKilledOverAnEnd: the minutes that the daemon was not there at an end of
// are absent, and nothing of them is in others.
func TestKilledOverAnEnd(t *testing.T) {
	m := newFile(t)
	m.must(t, begin, sent(1000))
	m.must(t, begin+Minute, sent(1100))
	m = m.killed(t)
	m.must(t, begin+4*Minute, sent(9000))
	m.must(t, begin+5*Minute, sent(9300))
	m.expect(t, map[int64][]Row{0: minuteOf(100), 4: minuteOf(300)})
}

func TestSilentAddressesAreLeftOut(t *testing.T) {
	m := newFile(t)
	rows := []Row{row("10.0.0.1", 5, 5, 5, 5, 0, 5), row("10.0.0.2", 0, 0, 0, 0, 0, 0)}
	m.must(t, begin, Reading{Gateway: "ngw-1", Rows: rows})
	m.must(t, begin+Minute, Reading{Gateway: "ngw-1", Rows: rows})
	m.expect(t, map[int64][]Row{0: nil})
}

func TestAddressesApart(t *testing.T) {
	m := newFile(t)
	read := func(n uint64, apart ...string) Reading {
		r := Reading{Gateway: "ngw-1", Rows: []Row{row("10.0.0.1", n, n, n, n, 0, n), row("10.0.0.2", n, n, n, n, 0, n)}, Apart: map[netip.Addr]bool{}}
		for _, a := range apart {
			r.Apart[netip.MustParseAddr(a)] = true
		}
		return r
	}
	m.must(t, begin, read(1))
	m.must(t, begin+Minute, read(3, "10.0.0.2"))
	m.must(t, begin+2*Minute, read(4))
	m.expect(t, map[int64][]Row{0: {row("10.0.0.1", 2, 2, 2, 2, 0, 2)}, 1: {row("10.0.0.1", 1, 1, 1, 1, 0, 1), row("10.0.0.2", 1, 1, 1, 1, 0, 1)}})
}

func TestPrune(t *testing.T) {
	m := newFile(t)
	other := func(r Reading) Reading { r.Gateway = "ngw-2"; return r }
	for i := range int64(5) {
		m.must(t, begin+i*Minute, sent(uint64(100*i)), other(sent(uint64(100*i))))
	}
	// Of the one, what is too old goes; of the other, which is not there any
	// more, all.
	if err := m.Record(begin+5*Minute, []Reading{sent(500)}, only("ngw-1"), begin+2*Minute); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(m.content(t, "ngw-1", -5, 10))); !slices.Equal(got, []int64{2, 3, 4}) {
		t.Errorf("minutes %v", got)
	}
	if got := m.content(t, "ngw-2", -5, 10); len(got) > 0 {
		t.Errorf("minutes of a gateway that is gone: %v", got)
	}
	// One that comes back by the same id begins anew.
	m.must(t, begin+6*Minute, other(sent(600)))
	if got := m.content(t, "ngw-2", -5, 10); len(got) > 0 {
		t.Errorf("minutes of a gateway from its first reading: %v", got)
	}
	if err := m.Record(begin+7*Minute, nil, only(), begin+3*Minute); err != nil {
		t.Fatal(err)
	}
	if idle, err := m.idle(); err != nil || !idle {
		t.Errorf("without gateways, the file is not empty: %v", err)
	}
}

// TestPruneInBatches: arrears are made up for little by little.
func TestPruneInBatches(t *testing.T) {
	m := newFile(t)
	total := pruneBatch + pruneEach + 10
	err := m.db.Update(func(tx *bbolt.Tx) error {
		for i := range total {
			if err := keep(tx, []byte("ngw-1"), begin+int64(i)*Minute, nil, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	end := begin + int64(total)*Minute
	for i, want := range []int{10, 0} {
		if err := m.Record(end, nil, all, end); err != nil {
			t.Fatal(err)
		}
		if got := len(m.content(t, "ngw-1", 0, int64(total))); got != want {
			t.Errorf("%d minutes left after %d times, want %d", got, i+1, want)
		}
	}
}

// TestPruneKeepsUp: however many gateways there are, of each more goes than
// comes.
func TestPruneKeepsUp(t *testing.T) {
	m := newFile(t)
	const gateways = pruneBatch
	err := m.db.Update(func(tx *bbolt.Tx) error {
		for g := range gateways {
			for i := range int64(5) {
				if err := keep(tx, fmt.Appendf(nil, "ngw-%d", g), begin+i*Minute, nil, nil); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Record(begin+5*Minute, nil, all, begin+3*Minute); err != nil {
		t.Fatal(err)
	}
	for g := range gateways {
		if got := m.content(t, fmt.Sprintf("ngw-%d", g), 0, 5); len(got) > 3 {
			t.Fatalf("gateway %d still has %d minutes", g, len(got))
		}
	}
}

// TestIdleWritesNothing: without gateways there is nothing to sync.
func TestIdleWritesNothing(t *testing.T) {
	m := newFile(t)
	before, err := os.ReadFile(m.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Record(begin, nil, all, 0); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(m.path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was written (%v)", err)
	}
}

// TestFileGrowsNoFurther: once as much is kept as is to be, the file keeps its
// size.
func TestFileGrowsNoFurther(t *testing.T) {
	m := newFile(t)
	m.db.NoSync = true
	size := func() int64 {
		info, err := os.Stat(m.path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	var settled int64
	for i := range int64(600) {
		if err := m.Record(begin+i*Minute, []Reading{sent(uint64(i) * 1000)}, all, begin+(i-100)*Minute); err != nil {
			t.Fatal(err)
		}
		if i == 200 {
			settled = size()
		}
	}
	if got := size(); got > settled {
		t.Errorf("%d bytes after 200 minutes, %d after 600", settled, got)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "minutes.db")
	m := openFile(t, path)
	if _, err := Open(path, time.Millisecond); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("opened twice: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for i := range int64(50) {
		m.must(t, begin+i*Minute, sent(uint64(i)))
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty": nil, "garbage": bytes.Repeat([]byte("no minutes "), 1000), "half": whole[:len(whole)/2/4096*4096],
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path, time.Second)
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		if name != "garbage" && (!errors.Is(err, boltfile.ErrDamaged) || !strings.Contains(err.Error(), "move it away")) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, b) {
			t.Errorf("%s: the file was changed", name)
		}
	}

	for name, change := range map[string]func(*bbolt.Tx) error{
		"another version": func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(formatKey, stamp(2)) },
		"something else":  func(tx *bbolt.Tx) error { return tx.DeleteBucket(minutesBucket) },
	} {
		other := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		m := openFile(t, other)
		if err := errors.Join(m.db.Update(change), m.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(other, time.Second); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDamage writes over each page of the file: whoever opens and uses it gets
// what was written or an error that names the file, never a panic, and never
// other figures.
func TestDamage(t *testing.T) {
	m := newFile(t)
	want := map[int64][]Row{}
	for i := range int64(20) {
		m.must(t, begin+i*Minute, sent(uint64(i*i)*100))
		if i > 0 {
			want[i-1] = minuteOf(uint64(2*i-1) * 100)
		}
	}
	path := m.path
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	noticed := 0
	check := func(page int, err error) {
		if noticed++; !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("page %d: %v", page, err)
		}
	}
	const size = 4096
	for page := range len(whole) / size {
		for _, with := range []byte{0, 0xff, 0x5a} {
			b := slices.Clone(whole)
			for i := range 256 {
				b[page*size+i] = with
			}
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := Open(path, time.Second)
			if err != nil {
				check(page, err)
				continue
			}
			for i := range int64(20) {
				var rows []Row
				there, err := m.Read("ngw-1", begin+i*Minute, func(r Row) { rows = append(rows, r) })
				switch {
				case err != nil:
					check(page, err)
				case there && !cmp.Equal(rows, want[i], equalRows):
					t.Errorf("page %d, minute %d: %v", page, i, rows)
				}
			}
			if err := m.Record(begin+20*Minute, []Reading{sent(50_000)}, all, begin); err != nil {
				check(page, err)
			}
			_ = m.Close()
		}
	}
	if noticed < 3 {
		t.Errorf("damage was noticed %d times", noticed)
	}
}
