package ipsec

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/dataplane"
)

// What strongSwan says of itself is what connections are refused by.
func TestExamine(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		s, err := Examine(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", s)
		if !strings.Contains(s.Version, ".") || s.Program == "" || !slices.Contains(s.Plugins, "vici") {
			t.Errorf("%+v", s)
		}
		for version, lacks := range map[int]bool{1: slices.Contains(s.Lacks, "IKEv1"), 2: false} {
			c := usual()
			c.IKE.Version = version
			if err := l.m.Abilities(t.Context()).Refuses(&c); (err != nil) != lacks {
				t.Errorf("IKEv%d is lacking: %v, and refused: %v", version, lacks, err)
			}
		}
	})
}

// What charon and the kernel call an algorithm is known of each that there is, and of no
// other.
func TestEveryAlgorithmHasAName(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(encryptions)), slices.Sorted(slices.Values(append(dataplane.Encryptions(), dataplane.Null))); !slices.Equal(got, want) {
		t.Errorf("encryptions %v, want %v", got, want)
	}
	if got, want := slices.Sorted(maps.Keys(integrities)), slices.Sorted(slices.Values(dataplane.Integrities())); !slices.Equal(got, want) {
		t.Errorf("hashes %v, want %v", got, want)
	}
	if got, want := slices.Sorted(maps.Keys(groups)), slices.Sorted(slices.Values(dataplane.DHGroups())); !slices.Equal(got, want) {
		t.Errorf("groups %v, want %v", got, want)
	}
}

func TestLacks(t *testing.T) {
	names := map[string][]string{kindEncryption: {"AES_CBC", "3DES_CBC", "DES_CBC", "NULL"}}
	for _, i := range integrities {
		names[kindIntegrity] = append(names[kindIntegrity], i.charon)
	}
	for _, g := range groups {
		names[kindGroup] = append(names[kindGroup], g[1])
	}
	all := fromCharon(names)
	all.IKEVersions = map[int]bool{1: true, 2: true}
	if got := lacks(all); len(got) > 0 {
		t.Errorf("lacks %q", got)
	}
	without := func(list []string, name string) []string {
		return slices.DeleteFunc(list, func(n string) bool { return n == name })
	}
	all = fromCharon(map[string][]string{
		kindEncryption: {"AES_CBC", "3DES_CBC", "NULL"},
		kindIntegrity:  without(names[kindIntegrity], integrities[dataplane.MD5].charon),
		kindGroup:      without(names[kindGroup], groups[24][1]),
	})
	all.IKEVersions = map[int]bool{2: true}
	if got, want := lacks(all), []string{"IKEv1", "encryption des", "hash md5", "Diffie-Hellman group 24"}; !slices.Equal(got, want) {
		t.Errorf("lacks %q, want %q", got, want)
	}
}

// What is not known yet is waited for once; after that nobody waits, whatever charon's
// program does.
func TestAbilities(t *testing.T) {
	program := filepath.Join(t.TempDir(), "charon")
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	answers, asked := make(chan *dataplane.VPNAbilities), make(chan struct{}, 10)
	a := &abilities{path: dataplane.VPNByXFRM, program: program, first: make(chan struct{})}
	a.ctx, a.stop = context.WithCancel(context.Background())
	defer a.close()
	a.read = func(ctx context.Context) (*dataplane.VPNAbilities, error) {
		asked <- struct{}{}
		select {
		case all := <-answers:
			return all, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if got := a.get(gone); !got.NotKnownYet || got.Path != dataplane.VPNByXFRM || got.Refuses(&dataplane.VPNConnection{}) != nil {
		t.Errorf("before there is an answer: %+v", got)
	}
	<-asked
	one, two := &dataplane.VPNAbilities{}, &dataplane.VPNAbilities{}
	waiting := make(chan *dataplane.VPNAbilities)
	go func() { waiting <- a.get(t.Context()) }()
	answers <- one
	if got := <-waiting; got != one {
		t.Errorf("%+v", got)
	}
	if err := os.Chtimes(program, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := a.get(t.Context()); got != one { // while charon is asked
		t.Errorf("%+v", got)
	}
	<-asked
	answers <- two
	eventually(t, patience, func() error {
		if got := a.get(t.Context()); got != two {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	if len(asked) > 0 {
		t.Error("asked without need")
	}
}
