package netns

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func newName(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	name := "slt-" + strings.ToLower(rand.Text()[:9])
	t.Cleanup(func() {
		if err := Delete(name); err != nil {
			t.Error(err)
		}
	})
	return name
}

func create(t *testing.T, name string) *Namespace {
	t.Helper()
	ns, _, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

func addLink(t *testing.T, ns *Namespace, name string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := ns.Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		t.Fatal(err)
	}
}

func TestCreateOpenDelete(t *testing.T) {
	name := newName(t)
	if _, err := Open(name); !errors.Is(err, ErrNotExist) {
		t.Errorf("Open before Create: %v", err)
	}
	ns, made, err := Create(name)
	if err != nil || !made {
		t.Fatalf("Create = %v, %v", made, err)
	}
	defer ns.Close()
	addLink(t, ns, "x")
	again, made, err := Create(name)
	if err != nil || made {
		t.Fatalf("second Create = %v, %v", made, err)
	}
	defer again.Close()
	if _, err := again.Netlink().LinkByName("x"); err != nil {
		t.Errorf("the second Create gave another namespace: %v", err)
	}
	if other := create(t, newName(t)); !ns.Same(again) || ns.Same(other) {
		t.Error("Same is mistaken")
	}
	if names, err := List(); err != nil || !slices.Contains(names, name) {
		t.Errorf("List() = %v, %v", names, err)
	}
	for range 2 {
		if err := Delete(name); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(Dir, name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Delete: %v", err)
	}
}

// What a crash between the file and the mount leaves is no namespace.
func TestFileWithoutMount(t *testing.T) {
	name := newName(t)
	create(t, name).Close()
	if err := Delete(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(Dir, name), nil, 0o444); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(name); !errors.Is(err, ErrNotExist) {
		t.Errorf("Open: %v", err)
	}
	if ns, made, err := Create(name); err != nil || !made {
		t.Errorf("Create = %v, %v", made, err)
	} else {
		ns.Close()
	}
}

func TestBind(t *testing.T) {
	name := newName(t)
	ns := create(t, name)
	addLink(t, ns, "x")
	for _, damage := range []func(){
		func() {},
		func() { _ = Delete(name) },
		func() { _ = Delete(name); other, _, _ := Create(name); other.Close() },
	} {
		damage()
		if err := ns.Bind(); err != nil {
			t.Fatal(err)
		}
		if !ns.Bound() {
			t.Error("not bound")
		}
		found, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := found.Netlink().LinkByName("x"); err != nil {
			t.Errorf("the name leads to another namespace: %v", err)
		}
		found.Close()
	}
}

func TestDoAndSysctls(t *testing.T) {
	ns := create(t, newName(t))
	own, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if own.String() == "" || !own.Bound() {
		t.Error("the process's own namespace is not bound")
	}
	forward := Sysctl{Path: "ipv4/ip_forward", Value: "1"}
	missing := Sysctl{Path: "ipv4/no_such", Value: "1", Optional: true}
	before, _, err := own.Differing([]Sysctl{forward})
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Set(Sysctl{Path: "ipv4/ip_forward", Value: "0"}); err != nil {
		t.Fatal(err)
	}
	differ, have, err := ns.Differing([]Sysctl{forward, missing})
	if err != nil || !slices.Equal(differ, []Sysctl{forward}) || !slices.Equal(have, []string{"0"}) {
		t.Errorf("Differing = %v, %v, %v", differ, have, err)
	}
	if err := ns.Set(forward, missing); err != nil {
		t.Fatal(err)
	}
	if differ, _, err := ns.Differing([]Sysctl{forward}); err != nil || len(differ) != 0 {
		t.Errorf("after Set: %v, %v", differ, err)
	}
	if after, _, err := own.Differing([]Sysctl{forward}); err != nil || !slices.Equal(before, after) {
		t.Errorf("the process's own setting changed: %v, %v", after, err)
	}
	missing.Optional = false
	if err := ns.Set(missing); err == nil || !strings.Contains(err.Error(), "net.ipv4.no_such=1") {
		t.Errorf("Set of a missing one: %v", err)
	}
	if _, _, err := ns.Differing([]Sysctl{missing}); err == nil {
		t.Error("Differing of a missing one: no error")
	}
	fail := errors.New("fail")
	if err := ns.Do(func() error { return fail }); !errors.Is(err, fail) {
		t.Errorf("Do = %v", err)
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{".", "..", "a/b", strings.Repeat("a", 256)} {
		if _, err := Open(name); err == nil || errors.Is(err, ErrNotExist) {
			t.Errorf("Open(%q): %v", name, err)
		}
		if err := Delete(name); err == nil {
			t.Errorf("Delete(%q) succeeded", name)
		}
	}
	if _, _, err := Create(""); err == nil {
		t.Error("Create without a name succeeded")
	}
}

func TestWatch(t *testing.T) {
	name := newName(t)
	create(t, name).Close() // the directory is there
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan string, 100)
	done := make(chan error)
	go func() { done <- Watch(ctx, func(n string) { heard <- n }) }()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for found := false; !found; {
		select {
		case n := <-heard:
			found = n == name
		case <-tick.C: // until the watch is set up
			if err := Delete(name); err != nil {
				t.Fatal(err)
			}
			create(t, name).Close()
		case <-deadline:
			t.Fatal("nothing heard")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Watch: %v", err)
	}
}
