package ipsec

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"sluice/dataplane"
	"sluice/dataplane/internal/process"
)

// Strongswan is what there is of it on this machine.
type Strongswan struct {
	Program string // charon's
	Version string
	Plugins []string // that charon has loaded
	Lacks   []string // what connections may ask for and not get: "IKEv1", "encryption des", …; ascending
}

// Examine starts a charon, in a namespace that is thrown away, and asks it what it
// can do. It needs root. The error wraps ErrUnsupported where there is none.
func Examine(ctx context.Context) (Strongswan, error) {
	var s Strongswan
	program, err := findCharon()
	if err != nil {
		return s, err
	}
	path, err := choosePath()
	if err != nil {
		return s, err
	}
	s.Program = program
	dir, err := os.MkdirTemp("", "sluice-strongswan-")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(dir)
	err = ask(ctx, program, dir, path, func(c *charon) error {
		answer, err := c.do("version", nil)
		if err != nil {
			return err
		}
		s.Version = text(answer, "version")
		if answer, err = c.do("stats", nil); err != nil {
			return err
		}
		s.Plugins, _ = answer.Get("plugins").([]string)
		all, err := c.abilities()
		if err != nil {
			return err
		}
		s.Lacks = all.lacks()
		return nil
	})
	if err != nil {
		return s, fmt.Errorf("ask %s what it can do: %w", program, err)
	}
	return s, nil
}

// ask starts a charon in a namespace of its own, with its files in a directory below
// dir, and has f speak with it.
func ask(ctx context.Context, program, dir string, path dataplane.VPNPath, f func(*charon) error) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, "probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	return apart(func() error {
		pid, err := start(program, work, path, usualWaits)
		if err != nil {
			return err
		}
		defer func() { _ = process.End(pid) }()
		c, err := connect(ctx, work, pid)
		if err != nil {
			return err
		}
		defer c.close()
		return f(c)
	})
}

// abilities asks for algorithms and versions of IKE.
func (c *charon) abilities() (abilities, error) {
	answer, err := c.do("get-algorithms", nil)
	if err != nil {
		return nil, err
	}
	all := abilities{kindVersion: {}}
	for kind, part := range sections(answer) {
		if kind == kindGroupNew {
			kind = kindGroup
		}
		all[kind] = map[string]bool{}
		for _, name := range part.Keys() {
			all[kind][name] = true
		}
	}
	for _, version := range []int{1, 2} {
		if all[kindVersion][fmt.Sprint(version)], err = c.knows(version); err != nil {
			return nil, err
		}
	}
	return all, nil
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

// lacks returns what a connection may ask for and is not there.
func (a abilities) lacks() []string {
	var out []string
	if !a[kindVersion]["1"] {
		out = append(out, "IKEv1")
	}
	for _, name := range slices.Sorted(maps.Keys(encryptions)) {
		if !a[kindEncryption][encryptions[name].charon] {
			out = append(out, "encryption "+string(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(integrities)) {
		if !a[kindIntegrity][integrities[name].charon] {
			out = append(out, "hash "+string(name))
		}
	}
	for _, number := range slices.Sorted(maps.Keys(groups)) {
		if !a[kindGroup][groups[number][1]] {
			out = append(out, fmt.Sprintf("Diffie-Hellman group %d", number))
		}
	}
	return out
}
