package dataplane

import (
	"iter"
	"net/netip"
	"slices"
)

// VPNPolicy is an entry of a security policy database (RFC 4301, section 4.4.1): a local
// subnet, and the remote ones that it may talk to.
type VPNPolicy struct {
	Local   netip.Prefix   `json:"local"`
	Remotes []netip.Prefix `json:"remotes"` // at least one
}

// VPNPolicies are what may pass through a connection: pairs of a local and a remote subnet,
// and no other. Each local subnet is in one of them.
type VPNPolicies []VPNPolicy

// Product returns the policies by which each local subnet may talk to each remote one.
func Product(locals, remotes []netip.Prefix) VPNPolicies {
	out := make(VPNPolicies, len(locals))
	for i, l := range locals {
		out[i] = VPNPolicy{l, slices.Clone(remotes)}
	}
	return out
}

// Clone returns a deep copy.
func (p VPNPolicies) Clone() VPNPolicies {
	out := slices.Clone(p)
	for i := range out {
		out[i].Remotes = slices.Clone(out[i].Remotes)
	}
	return out
}

// Locals returns the local subnets, in order.
func (p VPNPolicies) Locals() []netip.Prefix {
	var out []netip.Prefix
	for i := range p {
		if !slices.Contains(out, p[i].Local) {
			out = append(out, p[i].Local)
		}
	}
	return out
}

// Remotes returns the remote subnets of all local ones, each once, in the order in which they
// come first.
func (p VPNPolicies) Remotes() []netip.Prefix {
	var out []netip.Prefix
	for i := range p {
		for _, r := range p[i].Remotes {
			if !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}

// Pairs returns each pair of a local and a remote subnet, in order.
func (p VPNPolicies) Pairs() iter.Seq2[netip.Prefix, netip.Prefix] {
	return func(yield func(local, remote netip.Prefix) bool) {
		for i := range p {
			for _, r := range p[i].Remotes {
				if !yield(p[i].Local, r) {
					return
				}
			}
		}
	}
}

// Len returns how many pairs there are.
func (p VPNPolicies) Len() (n int) {
	for i := range p {
		n += len(p[i].Remotes)
	}
	return n
}

// VPNSelectors are subnets of which each local one may talk to each remote one.
type VPNSelectors struct {
	Locals, Remotes []netip.Prefix
}

// Selectors returns the policies with those put together that have the same remote subnets,
// in whatever order: what one CHILD_SA can carry (RFC 7296, section 2.9). It is one where
// each local subnet may talk to each remote one.
func (p VPNPolicies) Selectors() []VPNSelectors {
	var out []VPNSelectors
	for i := range p {
		at := slices.IndexFunc(out, func(s VPNSelectors) bool { return sameSubnets(s.Remotes, p[i].Remotes) })
		if at < 0 {
			out = append(out, VPNSelectors{[]netip.Prefix{p[i].Local}, p[i].Remotes})
		} else if !slices.Contains(out[at].Locals, p[i].Local) {
			out[at].Locals = append(out[at].Locals, p[i].Local)
		}
	}
	return out
}

// Same says whether two lists have the same pairs, in whatever order.
func (p VPNPolicies) Same(other VPNPolicies) bool {
	if p.Len() != other.Len() {
		return false
	}
	for l, r := range p.Pairs() {
		if !other.Has(l, r) {
			return false
		}
	}
	return true
}

// Has says whether a pair is one of the policies'.
func (p VPNPolicies) Has(local, remote netip.Prefix) bool {
	return slices.ContainsFunc(p, func(x VPNPolicy) bool { return x.Local == local && slices.Contains(x.Remotes, remote) })
}

// Carry says whether packets between two addresses are in one of the pairs.
func (p VPNPolicies) Carry(local, remote netip.Addr) bool {
	for l, r := range p.Pairs() {
		if l.Contains(local) && r.Contains(remote) {
			return true
		}
	}
	return false
}

func sameSubnets(a, b []netip.Prefix) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(p netip.Prefix) bool { return !slices.Contains(b, p) })
}
