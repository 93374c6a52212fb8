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

// firstIdentifier is above all numbers that charon gives by itself, from 1 on.
const firstIdentifier = 1 << 16

// identifiers are the numbers that decide which SA carries a packet. Each is given
// once and never to anything else, so that whatever still has one of what is gone
// (an SA that is being taken down, a policy, a route) leads nowhere. They are in
// identifiersFile, in which they are before anything else has them, and which stays
// as long as the gateway.
//
// Charon's own choice of a reqid is not good enough: where a CHILD_SA is made anew
// for a dead peer, 5.9.8 takes the number that the old one had, which another may
// have been given meanwhile; and libipsec finds the SA for a packet by that number
// alone.
type identifiers struct {
	Next     uint32            `json:"next"`     // the least that has never been given
	Links    map[string]uint32 `json:"links"`    // if_id of XFRM interfaces, by connection
	Children map[string]uint32 `json:"children"` // reqid, by CHILD_SA and its subnets
	// What else is to be kept: connections without a CHILD_SA for all pairs, with the
	// subnets that this is so for.
	Split map[string]string `json:"split,omitempty"`
}

// numbers are the identifiers of one connection.
type numbers struct {
	link     uint32            // if_id; 0 where there is no XFRM interface
	children map[string]uint32 // reqid by CHILD_SA
	split    bool              // there is none for all pairs
}

// of returns the numbers of a connection.
func (n *identifiers) of(c *dataplane.VPNConnection) numbers {
	out := numbers{link: n.Links[c.ID], children: map[string]uint32{}, split: n.Split[c.ID] == splitKey(c)}
	for name, ts := range configured(c, false) {
		out.children[name] = n.Children[childKey(name, ts)]
	}
	return out
}

// own returns a number that is the connection's alone: the if_id of its XFRM
// interface, or where there is none the least reqid, which serves as well.
func (n numbers) own() uint32 {
	if n.link != 0 || len(n.children) == 0 {
		return n.link
	}
	return slices.Min(slices.Collect(maps.Values(n.children)))
}

// childKey tells a CHILD_SA from one of the same name for other subnets.
func childKey(name string, ts [2][]string) string {
	return name + " " + strings.Join(ts[0], ",") + " " + strings.Join(ts[1], ",")
}

// number gives numbers to what has none, forgets what is not wanted, and returns
// whether anything changed. links are the if_ids of the XFRM interfaces that there
// are, which an earlier version may have chosen.
func (n *identifiers) number(path dataplane.VPNPath, connections []dataplane.VPNConnection, links map[string]uint32) (changed bool) {
	before := *n
	n.Next = max(n.Next, firstIdentifier)
	for _, id := range links {
		n.Next = max(n.Next, id+1)
	}
	take := func() uint32 { n.Next++; return n.Next - 1 }
	n.Links, n.Children, n.Split = map[string]uint32{}, map[string]uint32{}, map[string]string{}
	for i := range connections {
		c := &connections[i]
		if path == dataplane.VPNByXFRM {
			id := before.Links[c.ID]
			if id == 0 {
				id = links[c.ID]
			}
			if id == 0 {
				id = take()
			}
			n.Links[c.ID] = id
		}
		if key := splitKey(c); before.Split[c.ID] == key {
			n.Split[c.ID] = key
		}
		kids := configured(c, false)
		for _, name := range slices.Sorted(maps.Keys(kids)) {
			key := childKey(name, kids[name])
			id := before.Children[key]
			if id == 0 {
				id = take()
			}
			n.Children[key] = id
		}
	}
	return n.Next != before.Next || !maps.Equal(n.Links, before.Links) || !maps.Equal(n.Children, before.Children) || !maps.Equal(n.Split, before.Split)
}

// identify gives numbers to the connections that are wanted.
func (g *gateway) identify(links map[string]uint32) error {
	name := filepath.Join(g.dir, identifiersFile)
	if g.numbers == nil {
		n := &identifiers{}
		b, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(b, n)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("read the numbers of VPN connections, which must not be given twice: %w; without that file all tunnels are made anew", err)
		}
		g.numbers = n
	}
	next := *g.numbers
	if !next.number(g.m.path, g.want.Connections, links) {
		return nil
	}
	return g.note(&next)
}

// note writes the numbers down.
func (g *gateway) note(next *identifiers) error {
	b, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(g.dir, identifiersFile), b); err != nil {
		return fmt.Errorf("note the numbers of VPN connections: %w", err)
	}
	g.numbers = next
	return nil
}
