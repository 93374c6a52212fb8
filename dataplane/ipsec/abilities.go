package ipsec

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// abilities finds out what this machine's strongSwan and kernel can do, beside everything
// else: that takes a charon, which may take long to start. It is done when it is asked
// for first, and again when charon's program is another.
type abilities struct {
	read  func(context.Context) (*dataplane.VPNAbilities, error)
	path  dataplane.VPNPath
	known atomic.Pointer[dataplane.VPNAbilities]
	first chan struct{} // closed when something is known

	program string
	ctx     context.Context
	stop    context.CancelFunc

	mu     sync.Mutex
	asked  int64          // when the program was written that is asked last
	asking sync.WaitGroup // is added to under mu, while ctx has not ended
}

func newAbilities(m *Gateways) *abilities {
	a := &abilities{path: m.path, program: m.program, first: make(chan struct{})}
	a.ctx, a.stop = context.WithCancel(context.Background())
	a.read = func(ctx context.Context) (*dataplane.VPNAbilities, error) {
		all, err := readAbilities(ctx, m.program, m.options.Dir, m.path)
		if err != nil {
			m.log.Error("cannot tell which algorithms there are; trying again", "error", err)
		}
		return all, err
	}
	return a
}

// firstAnswer is how long who asks waits for the first answer.
const firstAnswer = 10 * time.Second

// get returns what is known; it waits only while nothing is, for at most firstAnswer.
func (a *abilities) get(ctx context.Context) *dataplane.VPNAbilities {
	a.renew()
	ctx, cancel := context.WithTimeout(ctx, firstAnswer)
	defer cancel()
	select {
	case <-a.first:
		return a.known.Load()
	default:
	}
	select {
	case <-a.first:
		return a.known.Load()
	case <-ctx.Done():
	case <-a.ctx.Done():
	}
	return &dataplane.VPNAbilities{Path: a.path, NotKnownYet: true}
}

// renew asks charon's program if it is another than the one asked last.
func (a *abilities) renew() {
	at := a.programTime()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asked != at && a.ctx.Err() == nil {
		a.asked = at
		a.asking.Go(func() { a.ask(at) })
	}
}

// programTime returns when charon's program was written; 1 if that cannot be told.
func (a *abilities) programTime() int64 {
	info, err := os.Stat(a.program)
	if err != nil {
		return 1
	}
	return info.ModTime().UnixNano()
}

// ask asks until there is an answer.
func (a *abilities) ask(at int64) {
	all, err := backoff.Retry(a.ctx, func() (*dataplane.VPNAbilities, error) { return a.read(a.ctx) },
		backoff.WithBackOff(&backoff.ExponentialBackOff{InitialInterval: time.Second, Multiplier: 2, MaxInterval: time.Minute}), backoff.WithMaxElapsedTime(0))
	if err != nil {
		return // stopped
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asked != at {
		return // another was asked meanwhile
	}
	if a.known.Swap(all) == nil {
		close(a.first)
	}
}

func (a *abilities) close() {
	a.mu.Lock()
	a.stop()
	a.mu.Unlock()
	a.asking.Wait()
}

// The words of get-algorithms; that for groups was dh until 6.0.
const (
	kindEncryption = "encryption"
	kindIntegrity  = "integrity"
	kindGroup      = "dh"
	kindGroupNew   = "ke"
)

// readAbilities asks a charon that is started for it, and for nothing else, in a
// namespace of its own; and the kernel, where it carries the tunnels.
func readAbilities(ctx context.Context, program, dir string, path dataplane.VPNPath) (all *dataplane.VPNAbilities, err error) {
	err = ask(ctx, program, dir, path, func(c *charon) error {
		all, err = c.abilities()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask charon for its algorithms: %w", err)
	}
	all.Path = path
	if path == dataplane.VPNByXFRM {
		if all.KernelLacks, err = kernelLacks(); err != nil {
			return nil, fmt.Errorf("ask the kernel for its algorithms: %w", err)
		}
	}
	return all, nil
}

// kernelLacks tries an SA with each encryption and hash.
func kernelLacks() (map[dataplane.Proposal]string, error) {
	lacks := map[dataplane.Proposal]string{}
	return lacks, apart(func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_XFRM)
		if err != nil {
			return err
		}
		defer nl.Close()
		for e, encryption := range encryptions {
			for i, integrity := range integrities {
				if err := trySA(nl, encryption, integrity); err != nil {
					lacks[dataplane.Proposal{Encryption: e, Integrity: i}] = err.Error()
				}
			}
		}
		return nil
	})
}

// abilities asks for algorithms and versions of IKE.
func (c *charon) abilities() (*dataplane.VPNAbilities, error) {
	answer, err := c.do("get-algorithms", nil)
	if err != nil {
		return nil, err
	}
	names := map[string][]string{}
	for kind, part := range sections(answer) {
		if kind == kindGroupNew {
			kind = kindGroup
		}
		names[kind] = part.Keys()
	}
	all := fromCharon(names)
	for _, version := range []int{1, 2} {
		if all.IKEVersions[version], err = c.knows(version); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// fromCharon returns the algorithms that charon names, by kind.
func fromCharon(names map[string][]string) *dataplane.VPNAbilities {
	all := &dataplane.VPNAbilities{IKEVersions: map[int]bool{}, Encryptions: map[dataplane.Encryption]bool{},
		Integrities: map[dataplane.Integrity]bool{}, Groups: map[dataplane.DHGroup]bool{}}
	for e, a := range encryptions {
		all.Encryptions[e] = slices.Contains(names[kindEncryption], a.charon)
	}
	for i, a := range integrities {
		all.Integrities[i] = slices.Contains(names[kindIntegrity], a.charon)
	}
	for g, name := range groups {
		all.Groups[g] = slices.Contains(names[kindGroup], name[1])
	}
	return all
}

// lacks returns what a connection may ask for and is not there.
func lacks(a *dataplane.VPNAbilities) []string {
	var out []string
	if !a.IKEVersions[1] {
		out = append(out, "IKEv1")
	}
	for _, e := range slices.Sorted(maps.Keys(a.Encryptions)) {
		if !a.Encryptions[e] {
			out = append(out, "encryption "+string(e))
		}
	}
	for _, i := range slices.Sorted(maps.Keys(a.Integrities)) {
		if !a.Integrities[i] {
			out = append(out, "hash "+string(i))
		}
	}
	for _, g := range slices.Sorted(maps.Keys(a.Groups)) {
		if !a.Groups[g] {
			out = append(out, fmt.Sprintf("Diffie-Hellman group %d", g))
		}
	}
	return out
}

// knows tries whether charon has a version of IKE: nothing that it says tells, but
// one without it cannot begin.
func (c *charon) knows(version int) (bool, error) {
	const name = "version"
	conn := section{name: section{
		"version": fmt.Sprint(version), "local_addrs": []string{"127.0.0.1"}, "remote_addrs": []string{"127.0.0.2"},
		"local": section{"auth": "psk"}, "remote": section{"auth": "psk"}, "children": section{name: section{"start_action": "none"}},
	}}
	if _, err := c.do("load-conn", conn); err != nil {
		return false, err
	}
	_, refused := c.do("initiate", section{"child": name, "ike": name, "timeout": "-1"})
	if _, err := c.do("terminate", section{"ike": name, "force": "yes", "timeout": "-1"}); err != nil && !strings.Contains(err.Error(), "no matching SAs") {
		return false, err
	}
	if _, err := c.do("unload-conn", section{"name": name}); err != nil {
		return false, err
	}
	return refused == nil, nil
}
