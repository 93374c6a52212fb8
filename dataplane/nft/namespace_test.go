package nft

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/vishvananda/netns"
)

// newNamespace makes a network namespace without a name: it is gone with its
// last descriptor, however the test ends.
func newNamespace(t testing.TB) netns.NsHandle {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	var ns netns.NsHandle
	done := make(chan error)
	go func() {
		// The thread is not unlocked: it stays in the new namespace, so the
		// runtime must not use it again.
		runtime.LockOSThread()
		var err error
		ns, err = netns.New()
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

func newTable(t testing.TB, ns netns.NsHandle) *Table {
	table := New(ns)
	t.Cleanup(func() { table.Close() })
	return table
}

// inNamespace runs f on a thread that is in namespace ns. What f opens stays
// in that namespace. f must not call t.FailNow.
func inNamespace(t testing.TB, ns netns.NsHandle, f func() error) {
	t.Helper()
	if err := runLocked(ns, f); err != nil {
		t.Fatal(err)
	}
}

func runLocked(ns netns.NsHandle, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, as above
		if err := netns.Set(ns); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// nftCommand runs the nft command in ns, for tests that look at the table with
// other eyes than ours. It skips the test where the command is absent.
func nftCommand(t testing.TB, ns netns.NsHandle, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("the nft command is not installed")
	}
	var out []byte
	inNamespace(t, ns, func() error {
		var err error
		if out, err = exec.Command(path, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("nft %v: %w: %s", args, err, out)
		}
		return nil
	})
	return string(out)
}
