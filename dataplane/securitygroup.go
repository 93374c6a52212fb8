package dataplane

import (
	"net/netip"
	"slices"
)

// GroupPolicy is what the security groups of interfaces let pass: the rules of all groups of
// such an interface, one group after the other. Of the rules that a packet meets the first
// one decides; what meets none is dropped.
type GroupPolicy struct {
	ID      string      // the groups, for example sg-3g7ftkp3+sg-ohuuioma
	Ingress []GroupRule // for what a member is sent; MostGroupRules at most
	Egress  []GroupRule // for what it sends; likewise
}

// MostGroupRules is how many rules a policy may have in a direction (GROUP_CHUNKS in
// bpf/groups.h).
const MostGroupRules = 4096

// GroupRule lets flows begin, or bars them. A flow that was let begin passes in both directions.
type GroupRule struct {
	Accept   bool
	Services []GroupService // one of which a packet has to be of
	Remotes  []netip.Prefix // one of which the other end's address has to be in
}

// GroupService is a protocol, with ports of the end that is called.
type GroupService struct {
	Protocol    uint8  // IANA number; 0 is any
	First, Last uint16 // TCP, UDP: ports, both ends included; 0 and 65535: all. Else 0
}

// Covers reports whether a packet of a protocol to a port is of the service.
func (s GroupService) Covers(protocol uint8, port uint16) bool {
	return s.Protocol == 0 || s.Protocol == protocol && (protocol != 6 && protocol != 17 || s.First <= port && port <= s.Last)
}

// GroupMember is an address of a VSwitch that a policy holds for.
type GroupMember struct {
	Address netip.Addr
	MAC     string // of its interface, as 02:00:00:00:00:01; empty: not known
	Policy  string // its ID
}

// Equal reports whether two policies are the same.
func (p GroupPolicy) Equal(o GroupPolicy) bool {
	return p.ID == o.ID && slices.EqualFunc(p.Ingress, o.Ingress, GroupRule.Equal) && slices.EqualFunc(p.Egress, o.Egress, GroupRule.Equal)
}

// Equal reports whether two rules are the same. Those that share what they are made of cost
// nothing to compare.
func (r GroupRule) Equal(o GroupRule) bool {
	return r.Accept == o.Accept && sameSlice(r.Services, o.Services) && sameSlice(r.Remotes, o.Remotes)
}

func sameSlice[T comparable](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

// SameGroups reports whether two versions of a network have the same policies and members.
func SameGroups(a, b *Network) bool {
	return sameSlice(a.Members, b.Members) && slices.EqualFunc(a.Policies, b.Policies, GroupPolicy.Equal)
}
