package ipsec

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sluice/dataplane"
)

func (g *gateway) readLoaded() map[string]string {
	loaded := map[string]string{}
	if b, err := os.ReadFile(filepath.Join(g.dir, loadedFile)); err == nil {
		_ = json.Unmarshal(b, &loaded) // what is not read is loaded again
	}
	return loaded
}

func (g *gateway) writeLoaded() error {
	b, err := json.Marshal(g.loaded)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(g.dir, loadedFile), b)
}

// load makes charon and the links match g.want. What fails for one connection does
// not keep the others.
func (g *gateway) load() error {
	var errs []error
	ready, err := g.prepareLinks()
	if err != nil {
		errs = append(errs, err)
	}
	held, err := g.charon.holds()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	altered := g.recall(held)
	changed := false
	for i := range g.want.Connections {
		c := &g.want.Connections[i]
		if !ready(c.ID) {
			continue // prepareLinks has said why
		}
		if o := ambiguous(g.m.path, c, g.want.Connections[:i]); o != nil {
			errs = append(errs, fmt.Errorf("load IPsec connection %s: it has subnets in common with %s, to %s behind the same address %s, which cannot be told apart where charon carries the tunnels; give one of them other subnets, or another address",
				c.ID, o.ID, o.RemoteID, c.Remote))
			if _, held := g.loaded[c.ID]; held {
				errs = append(errs, g.unload(c.ID))
			}
			continue
		}
		if o := g.elsewhere(c, g.want.Connections[:i]); o != nil {
			errs = append(errs, fmt.Errorf("load IPsec connection %s: it is between the same identities as %s of another VPN gateway, which cannot be told apart in one charon; give one of them another local identity",
				c.ID, o.ID))
			if _, held := g.loaded[c.ID]; held {
				errs = append(errs, g.unload(c.ID))
			}
			continue
		}
		did, err := g.loadOne(c, slices.Contains(altered, c.ID))
		if err != nil {
			errs = append(errs, fmt.Errorf("load IPsec connection %s: %w", c.ID, err))
		}
		changed = changed || did
	}
	for _, id := range g.strangers(held) {
		if err := g.unload(id); err != nil {
			errs = append(errs, fmt.Errorf("unload IPsec connection %s: %w", id, err))
		}
		changed = true
	}
	if err := g.removeLinks(); err != nil {
		errs = append(errs, err)
	}
	if changed {
		errs = append(errs, g.writeLoaded(), g.remember())
	}
	return errors.Join(errs...)
}

// loadOne gives charon a connection that it does not have, or has otherwise; then
// what is established is taken down, as where somebody else has altered it.
func (g *gateway) loadOne(c *dataplane.VPNConnection, altered bool) (changed bool, err error) {
	conn := connection(g.local(c), g.m.path, g.m.waits, g.numbers.of(c), c)
	sum, err := digest(conn)
	if err != nil {
		return false, err
	}
	if c.Resets > 0 {
		sum += fmt.Sprintf("#%d", c.Resets)
	}
	shared := siblings(g.m.path, g.numbers.of, c, g.want.Connections)
	all := sum
	if len(shared) > 0 {
		of, err := digest(shared)
		if err != nil {
			return false, err
		}
		all += " " + of
	}
	had, held := g.loaded[c.ID]
	own, _, _ := strings.Cut(had, " ")
	// A charon that was adopted has a key of which we do not know whether it is
	// this one. What is established with it stays.
	anotherKey, err := g.giveKey(c)
	if err != nil {
		return false, err
	}
	renew := held && own != sum || anotherKey || altered
	// One that was adopted may have been given something else meanwhile.
	if _, sure := g.given[c.ID]; sure && had == all && !renew {
		return false, nil
	}
	maps.Copy(conn[c.ID].(section)["children"].(section), shared)
	if _, err := g.charon.do("load-conn", conn); err != nil {
		return false, err
	}
	if own == sum && !renew {
		g.loaded[c.ID] = all
		return true, nil // what is another's is not worth a word
	}
	g.states.forgive(c.ID)
	if renew {
		if err := g.takeDown(c.ID); err != nil {
			return false, err
		}
	}
	for name := range configured(c, false) {
		delete(g.tries, name)
	}
	g.loaded[c.ID] = all
	g.m.log.Info("loaded an IPsec connection", "network", g.network, "connection", c.ID, "peer", c.Remote)
	g.nudge()
	return true, nil
}

func (g *gateway) wanted(id string) bool {
	return slices.ContainsFunc(g.want.Connections, func(c dataplane.VPNConnection) bool { return c.ID == id })
}

// unload takes a connection from charon, with all that is established.
func (g *gateway) unload(id string) error {
	var errs []error
	if _, err := g.charon.do("unload-conn", section{"name": id}); err != nil && !strings.Contains(err.Error(), "not found") {
		errs = append(errs, err)
	}
	if _, err := g.charon.do("unload-shared", section{"id": id}); err != nil && !strings.Contains(err.Error(), "not found") {
		errs = append(errs, err)
	}
	errs = append(errs, g.takeDown(id))
	delete(g.loaded, id)
	delete(g.given, id)
	delete(g.keys, id)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	g.m.log.Info("unloaded an IPsec connection", "network", g.network, "connection", id)
	return nil
}
