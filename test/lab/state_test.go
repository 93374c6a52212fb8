package lab

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStateRoundTrip(t *testing.T) {
	dir := t.TempDir()
	want := &state{
		Name: "lab", Listen: "127.0.0.1:20001", Region: "cn-hangzhou", AccessKeyID: "id", AccessKeySecret: "secret",
		Daemon: &Process{PID: 4, Start: 5, Boot: "b"},
		Hosts: []*Host{{
			Name: "web", Namespace: "lab-web", Address: netip.MustParsePrefix("10.0.1.10/24"),
			Gateway: netip.MustParseAddr("10.0.1.253"), VPC: "vpc-1", VSwitch: "vsw-1", InstanceID: "i-web", Registered: true,
		}, {
			Name: "internet", Namespace: "lab-internet", Internet: true, Address: netip.MustParsePrefix("203.0.113.1/24"),
		}},
	}
	if err := want.save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Errorf("saved and loaded (-want +got):\n%s", d)
	}
	info, err := os.Stat(filepath.Join(dir, stateFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the record has mode %v; it holds a secret", info.Mode())
	}
}

// TestCrashWhileSaving leaves a half-written new record beside the old one.
func TestCrashWhileSaving(t *testing.T) {
	dir := t.TempDir()
	if err := (&state{Name: "lab"}).save(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, stateFile+".new"), []byte(`{"name": "la`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := load(dir)
	if err != nil || s.Name != "lab" {
		t.Errorf("loaded %+v, %v", s, err)
	}
	if err := (&state{Name: "second"}).save(dir); err != nil {
		t.Error(err)
	}
}

func TestChangesDoNotOverlap(t *testing.T) {
	l := &Lab{Name: "lab", Dir: t.TempDir()}
	if err := (&state{Name: "lab"}).save(l.Dir); err != nil {
		t.Fatal(err)
	}
	const n = 20
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			err := l.change(func(s *state) error {
				s.Hosts = append(s.Hosts, &Host{Name: strings.Repeat("x", i+1), Address: PublicPrefix})
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	hosts, err := l.Hosts()
	if err != nil {
		t.Fatal(err)
	}
	if len(hosts) != n {
		t.Errorf("%d hosts of %d are in the record", len(hosts), n)
	}
}

func TestChangeKeepsWhatWasDoneBeforeAnError(t *testing.T) {
	l := &Lab{Name: "lab", Dir: t.TempDir()}
	if err := (&state{Name: "lab"}).save(l.Dir); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := l.change(func(s *state) error {
		s.Region = "somewhere"
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
	if s, err := l.state(); err != nil || s.Region != "somewhere" {
		t.Errorf("record is %+v, %v", s, err)
	}
}

func TestNoLab(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "none")}
	if _, err := Open(o); !errors.Is(err, ErrDown) {
		t.Errorf("Open: %v", err)
	}
	if err := Remove(t.Context(), o); err != nil {
		t.Errorf("Remove of no lab: %v", err)
	}
	l := &Lab{Name: "lab", Dir: o.Dir}
	if err := l.change(func(*state) error { return nil }); !errors.Is(err, ErrDown) {
		t.Errorf("change: %v", err)
	}
}

// TestLockOfARemovedLab has a waiter get the lock after Down was through.
func TestLockOfARemovedLab(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	held, err := acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		l, err := acquire(dir)
		if err == nil {
			l.release()
		}
		got <- err
	}()
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	held.release()
	if err := <-got; !errors.Is(err, ErrDown) {
		t.Errorf("the waiter got %v", err)
	}
}

func TestOptions(t *testing.T) {
	o, err := Options{}.complete()
	if err != nil || o.Name != "lab" || o.Dir != "/run/sluice-lab/lab" || o.Region != DefaultRegion {
		t.Errorf("defaults are %+v, %v", o, err)
	}
	for _, name := range []string{"a/b", "-x", "a b", strings.Repeat("a", 41), "ä"} {
		if _, err := (Options{Name: name}).complete(); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
	if _, err := (Options{Dir: "/" + strings.Repeat("d", 100)}).complete(); err == nil {
		t.Error("a directory too long for a socket was accepted")
	}
}
