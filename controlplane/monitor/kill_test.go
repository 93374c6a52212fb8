package monitor

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"
)

// childFile is set for the process that TestKill kills.
const childFile = "SLUICE_TEST_MINUTES"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		fmt.Fprintln(os.Stderr, recordForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// recordForEver records minute after minute, each with 100 bytes more than the
// one before, and prints the end of each once it is recorded. It goes on where
// the file ends.
func recordForEver(path string) error {
	m, err := Open(path, 5*time.Second)
	if err != nil {
		return err
	}
	end, total, err := lastReading(m)
	for i := uint64((end - begin) / Minute); err == nil; i++ {
		if end == 0 {
			end, i = begin, 0
		} else {
			end += Minute
			total += 100 * (i + 1)
		}
		if err = m.Record(end, []Reading{sent(total)}, all, 0); err == nil {
			fmt.Println(end)
		}
	}
	return err
}

// lastReading returns what the next minute is counted from; zeros are none.
func lastReading(m *Minutes) (end int64, total uint64, err error) {
	err = m.view(func(tx *bbolt.Tx) error {
		b, err := parseBaseline(tx.Bucket(baselinesBucket).Get([]byte("ngw-1")))
		if b != nil {
			end, total = b.end, b.rows[0].Outbound.Bytes
		}
		return err
	})
	return end, total, err
}

// TestKill kills a process that records, several times over the same file: no
// minute is lost, none is there twice or by half, and together they are all that
// was counted.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "minutes.db")
	for round := range 5 {
		told := killInside(t, path, 10+7*round)
		m := openFile(t, path)
		end, total, err := lastReading(m)
		if err != nil || end < told {
			t.Fatalf("the last reading is of %d, although %d was recorded (%v)", end, told, err)
		}
		var sum uint64
		for i := int64(0); begin+i*Minute < end; i++ {
			rows := m.content(t, "ngw-1", i, i)[i]
			if len(rows) != 1 || rows[0].Outbound.Bytes%100 != 0 {
				t.Fatalf("minute %d: %v", i, rows)
			}
			sum += rows[0].Outbound.Bytes
		}
		if sum != total {
			t.Errorf("%d bytes were counted, and the minutes have %d", total, sum)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killInside runs a child until it has recorded so many minutes, kills it, and
// returns the end of the last one that it told of.
func killInside(t *testing.T, path string, minutes int) int64 {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childFile+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var last int64
	for n := 0; lines.Scan(); n++ {
		if last, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
			t.Fatal(err)
		}
		if n == minutes {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); !errors.As(err, new(*exec.ExitError)) {
		t.Fatalf("the child ended with %v", err)
	}
	return last
}
