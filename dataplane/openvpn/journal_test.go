package openvpn

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What OpenVPN logs is taken once, is kept across many files, and is found by its time; its
// own file stays small.
func TestJournal(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	dir := t.TempDir()
	j := newJournal(dir, filepath.Join(dir, "kept"), rawFull)
	take := func(offset int64) (all []logLine, next int64, err error) {
		next, err = j.take(offset, func(lines []logLine, _ int64) { all = append(all, lines...) })
		return all, next, err
	}
	if lines, offset, err := take(5); err != nil || len(lines) > 0 || offset != 0 {
		t.Fatalf("of no log: %v, %d, %v", lines, offset, err)
	}
	out, err := os.OpenFile(j.raw, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	const all, at = 200_000, 1_796_000_000
	var offset int64
	taken, largest := 0, int64(0)
	w := bufio.NewWriterSize(out, 1<<20)
	flush := func() {
		t.Helper()
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range all {
		fmt.Fprintf(w, "%d.%06d 1 line %d, which is as long as those of an OpenVPN may be in the mean\n", at+i/1000, i%1000, i)
		if i%5000 != 4999 {
			continue
		}
		fmt.Fprintf(w, "%d.999999 1 MANAGEMENT: CMD 'status 3'\n", at+i/1000)
		torn := i%10_000 == 9999
		if torn {
			fmt.Fprintf(w, "%d.999999 1 half a li", at+i/1000)
		}
		flush()
		st, err := out.Stat()
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, st.Size())
		var lines []logLine
		if lines, offset, err = take(offset); err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.text == "half a line" {
				continue
			}
			if !strings.HasPrefix(l.text, "line "+strconv.Itoa(taken)+",") {
				t.Fatalf("line %d is %q", taken, l.text)
			}
			taken++
		}
		if torn {
			fmt.Fprint(out, "ne\n")
		}
	}
	if taken != all {
		t.Errorf("%d lines of %d were taken", taken, all)
	}
	if largest > rawLimit+2<<20 {
		t.Errorf("OpenVPN's file was %d bytes long", largest)
	}
	got, err := j.lines(time.Unix(at+198, 500_000), time.Unix(at+199, 1000))
	if err != nil {
		t.Fatal(err)
	}
	// From line 198500 until before 199001, with two halves of a line.
	if n := len(got); n < 501 || n > 503 {
		t.Errorf("of that time are %d lines: %v … %v", n, got[0], got[n-1])
	}
	if got[0].Text[:11] != "line 198500" {
		t.Errorf("the first one is %v", got[0])
	}
	files, err := os.ReadDir(j.dir)
	if err != nil || len(files) != keptFiles+1 {
		t.Errorf("files that are kept: %v, %v", files, err)
	}
	for _, f := range files {
		if st, err := f.Info(); err != nil || st.Size() > keptSize+2<<20 || st.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", st, err)
		}
	}
	// Somebody empties it.
	if err := out.Truncate(0); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(out, "%d.000000 1 again\n", at)
	if lines, _, err := take(offset + 1000); err != nil || len(lines) != 1 || lines[0].text != "again" {
		t.Errorf("after that: %v, %v", lines, err)
	}
	// Whoever sends packets without a key does not wash away the rest, nor fill the disk.
	for i := range 100_000 {
		fmt.Fprintf(w, "%d.%06d 21000002 tls-crypt unwrap error: packet authentication failed\n%[1]d.%06[2]d 21000003 TLS Error: tls-crypt unwrapping failed from [AF_INET]198.51.100.6:%d\n", at+1000+i/10_000, i%10_000, i%60_000)
	}
	fmt.Fprintf(w, "%d.000000 1 after that\n", at+2000)
	flush()
	if lines, offset, err := take(0); err != nil || len(lines) < 199_000 || offset != 0 {
		t.Errorf("of a flood %d lines were heard, up to %d, %v", len(lines), offset, err)
	}
	got, err = j.lines(time.Unix(at+1000, 0), time.Unix(at+3000, 0))
	if err != nil || len(got) < keylessBurst || len(got) > 2*keylessBurst || got[len(got)-1].Text != "after that" {
		t.Errorf("of a flood %d lines are kept, %v, %v", len(got), got, err)
	}
	contains(t, fmt.Sprint(got), "lines about packets without the server's tls-crypt key are left out")
	// Where there is no room to keep anything, lines are heard all the same.
	if err := os.RemoveAll(j.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(j.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(out, "%d.000000 1 again\n", at)
	if lines, offset, err := take(0); err == nil || len(lines) != 1 || offset == 0 {
		t.Errorf("without room: %v, %d, %v", lines, offset, err)
	}
}
