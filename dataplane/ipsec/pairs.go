package ipsec

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/dataplane"
)

// Many peers take one pair of subnets a CHILD_SA, whatever they are asked for: an
// IKEv2 responder may narrow the selectors (RFC 7296, section 2.9). So there is a
// CHILD_SA for all pairs, or as few as carry those and no other, which are asked for
// first, and one for each pair, which is asked for where a pair lacks then. A peer that
// begins itself gets the one whose selectors are like those that it asks for.
//
// Each CHILD_SA has a reqid, by which packets find it, and so must not be there
// twice with other subnets. Where that happens, as with a peer that begins and takes
// some pairs at a time, the CHILD_SAs for several are given up for those of pairs.

// bySubnet returns the CHILD_SAs that a connection may have for a pair each.
func bySubnet(c *dataplane.VPNConnection) map[string][2][]string {
	all := map[string][2][]string{}
	for l, r := range c.Policies.Pairs() {
		all[pairName(c, len(all))] = [2][]string{{l.String()}, {r.String()}}
	}
	return all
}

// pairName is the name of the CHILD_SA for a connection's pair, counted from 0.
func pairName(c *dataplane.VPNConnection, i int) string { return fmt.Sprintf("%s-%d", c.ID, i+1) }

// joint is a CHILD_SA for several pairs, of which a peer may take a part.
type joint struct {
	name  string
	pairs []int // of the connection, counted from 0
}

// joints returns those of a connection: none with IKEv1.
func joints(c *dataplane.VPNConnection) []joint {
	if c.IKE.Version == 1 {
		return nil
	}
	var out []joint
	for i, s := range c.Policies.Selectors() {
		j, at := joint{name: jointName(c, i)}, 0
		for l := range c.Policies.Pairs() {
			if slices.Contains(s.Locals, l) {
				j.pairs = append(j.pairs, at)
			}
			at++
		}
		if len(j.pairs) > 1 {
			out = append(out, j)
		}
	}
	return out
}

// jointNamed returns the one of a name.
func jointNamed(c *dataplane.VPNConnection, name string) (joint, bool) {
	all := joints(c)
	if i := slices.IndexFunc(all, func(j joint) bool { return j.name == name }); i >= 0 {
		return all[i], true
	}
	return joint{}, false
}

// configured returns all CHILD_SAs that charon is told of; split leaves out those for
// several pairs.
func configured(c *dataplane.VPNConnection, split bool) map[string][2][]string {
	all, pairs := children(c), bySubnet(c)
	for _, j := range joints(c) {
		for _, i := range j.pairs {
			all[pairName(c, i)] = pairs[pairName(c, i)]
		}
		if split {
			delete(all, j.name)
		}
	}
	return all
}

// passive reports whether a CHILD_SA is not asked for as long as there is one for
// several pairs.
func passive(c *dataplane.VPNConnection, split bool, name string) bool {
	if split {
		return false
	}
	_, first := children(c)[name]
	return !first
}

// carriesPair reports whether all packets between two subnets pass.
func (s *childSA) carriesPair(local, remote netip.Prefix) bool {
	return s.carries() && within(local, s.local) && within(remote, s.remote)
}

// within reports whether a subnet lies in one of a CHILD_SA's selectors, as charon
// writes them. Those with a protocol or a port are no prefixes, and let through a
// part only.
func within(p netip.Prefix, selectors []string) bool {
	return slices.ContainsFunc(selectors, func(s string) bool {
		block, err := netip.ParsePrefix(s)
		return err == nil && block.Bits() <= p.Bits() && block.Contains(p.Addr())
	})
}

// pairsOf returns the pairs of a connection, and which of them are carried.
func pairsOf(c *dataplane.VPNConnection, sas []ikeSA) []dataplane.VPNPair {
	var out []dataplane.VPNPair
	for l, r := range c.Policies.Pairs() {
		up := slices.ContainsFunc(sas, func(sa ikeSA) bool {
			return sa.established() && slices.ContainsFunc(sa.children, func(kid childSA) bool { return owns(c.ID, kid.name) && kid.carriesPair(l, r) })
		})
		out = append(out, dataplane.VPNPair{Local: l, Remote: r, Up: up})
	}
	return out
}

// askFor returns the CHILD_SAs of a connection to be asked for; there are those that
// exist or are being made, sas all SAs. beside are those for pairs that lack while others
// of the same CHILD_SA are carried; first are the others.
func askFor(c *dataplane.VPNConnection, split bool, there map[string]bool, sas []ikeSA) (first, beside []string) {
	pairs := pairsOf(c, sas)
	for name := range children(c) {
		j, several := jointNamed(c, name)
		some := there[name] || slices.ContainsFunc(j.pairs, func(i int) bool { return pairs[i].Up })
		if !several || !split && !some {
			if !there[name] {
				first = append(first, name)
			}
			continue
		}
		for _, i := range j.pairs {
			switch pair := pairName(c, i); {
			case pairs[i].Up || there[pair]:
			case some:
				beside = append(beside, pair)
			default:
				first = append(first, pair)
			}
		}
	}
	slices.Sort(first)
	slices.Sort(beside)
	return first, beside
}

// instead returns what is asked for in place of a CHILD_SA for several pairs where the
// peer has refused that, at every other attempt: one pair after the other. There are
// peers that refuse where they could narrow (RFC 7296, section 2.9,
// SINGLE_PAIR_REQUIRED).
func instead(c *dataplane.VPNConnection, name string, refused bool, attempts int) string {
	j, several := jointNamed(c, name)
	if !refused || !several || attempts%2 == 0 {
		return name
	}
	return pairName(c, j.pairs[attempts/2%len(j.pairs)])
}

// mixed reports whether a CHILD_SA for several pairs is there twice with other
// subnets: packets would take either.
func mixed(c *dataplane.VPNConnection, sas []ikeSA) bool {
	all, selectors := joints(c), map[string]string{}
	for i := range sas {
		for _, kid := range sas[i].children {
			if kid.state != "INSTALLED" || !slices.ContainsFunc(all, func(j joint) bool { return j.name == kid.name }) {
				continue
			}
			if had, ok := selectors[kid.name]; ok && had != kid.selectors {
				return true
			}
			selectors[kid.name] = kid.selectors
		}
	}
	return false
}

// partialTime is how long a part of the pairs may lack before that is said.
const partialTime = 20 * time.Second

// kindPairs is the fault of a tunnel that carries a part of its pairs.
const kindPairs = "pairs of subnets"

// takePairs notes which pairs are carried. It returns the fault that some have not
// been for long, if that is news.
func (one *state) takePairs(sas []ikeSA, now time.Time, partial time.Duration) *failure {
	one.Pairs = pairsOf(&one.want, sas)
	lacks := lacking(one.Pairs)
	if !one.Child || lacks == "" {
		one.partSince = time.Time{}
		return nil
	}
	if one.partSince.IsZero() {
		one.partSince = now
	}
	if now.Sub(one.partSince) < partial {
		return nil
	}
	f := dataplane.VPNFault{
		Kind: kindPairs, Side: dataplane.VPNPeer, First: one.partSince, Last: now, Count: 1,
		Text: "the tunnel carries a part of the pairs of subnets only, as the peer does not agree to the others", Detail: lacks,
	}
	if one.Error == "" {
		one.before = one.up
	}
	one.Error, one.Fault = f.String(), f
	if at, said := one.said[kindPairs]; said && now.Sub(at) < sayNext {
		return nil
	}
	one.said[kindPairs] = now
	return &failure{one.Connection, f}
}

// whole reports whether all pairs are carried.
func (one *state) whole() bool { return lacking(one.Pairs) == "" }

// lacking returns the pairs that are not carried, for a message; empty if all are.
func lacking(pairs []dataplane.VPNPair) string {
	var out []string
	for _, p := range pairs {
		if !p.Up {
			out = append(out, fmt.Sprintf("%s === %s", p.Local, p.Remote))
		}
	}
	return strings.Join(out, ", ")
}

// split gives up the CHILD_SAs for several pairs of a connection. That is noted, so that
// who comes next does not take down what there is.
func (g *gateway) split(c *dataplane.VPNConnection) error {
	next := *g.numbers
	next.Split = maps.Clone(next.Split)
	if next.Split == nil {
		next.Split = map[string]string{}
	}
	next.Split[c.ID] = splitKey(c)
	if err := g.note(&next); err != nil {
		return err
	}
	g.m.log.Info("an IPsec connection's peer takes a part of the subnets at a time: each pair is negotiated by itself from now on", "network", g.network, "connection", c.ID)
	g.nudge()
	return nil
}

// splitKey tells what a connection is split for: with other subnets it may do in
// one.
func splitKey(c *dataplane.VPNConnection) string {
	key := c.ID
	for _, s := range c.Policies.Selectors() {
		key = childKey(key, [2][]string{texts(s.Locals), texts(s.Remotes)})
	}
	return key
}
