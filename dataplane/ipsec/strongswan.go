package ipsec

import (
	"context"
	"fmt"
	"os"

	"sluice/dataplane"
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
		s.Lacks = lacks(all)
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
		h, err := start(program, work, path, usualWaits, func(f func() error) error { return f() })
		if err != nil {
			return err
		}
		defer func() { _ = h.End() }()
		c, err := connect(ctx, work, h, usualWaits)
		if err != nil {
			return err
		}
		defer c.close()
		return f(c)
	})
}
