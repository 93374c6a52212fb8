package openvpn

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What OpenVPN logs is taken once, is kept across many files, and is found by its time; its
// own file stays small.
func TestJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := &journal{raw: filepath.Join(dir, "raw"), dir: filepath.Join(dir, "kept")}
	if lines, offset, err := j.take(5); err != nil || len(lines) > 0 || offset != 0 {
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
	for i := range all {
		fmt.Fprintf(out, "%d.%06d 1 line %d, which is as long as those of an OpenVPN may be in the mean\n", at+i/1000, i%1000, i)
		if i%5000 != 4999 {
			continue
		}
		fmt.Fprintf(out, "%d.999999 1 MANAGEMENT: CMD 'status 3'\n", at+i/1000)
		torn := i%10_000 == 9999
		if torn {
			fmt.Fprintf(out, "%d.999999 1 half a li", at+i/1000)
		}
		st, err := out.Stat()
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, st.Size())
		var lines []logLine
		if lines, offset, err = j.take(offset); err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.text == "half a line" {
				continue
			}
			var n int
			if _, err := fmt.Sscanf(l.text, "line %d,", &n); err != nil || n != taken {
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
	if lines, _, err := j.take(offset + 1000); err != nil || len(lines) != 1 || lines[0].text != "again" {
		t.Errorf("after that: %v, %v", lines, err)
	} // Where there is no room to keep anything, lines are heard all the same.
	if err := os.RemoveAll(j.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(j.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if lines, offset, err := j.take(0); err == nil || len(lines) != 1 || offset == 0 {
		t.Errorf("without room: %v, %d, %v", lines, offset, err)
	}
}
