package dataplane

import (
	"fmt"
	"net/netip"
	"strings"
)

// An IKE daemon does not know which connection a packet is for. It finds out by
// what the packets say, one thing after the other, and connections that do not
// differ in it get into each other's way:
//
//	| what is chosen                | IKEv2                         | IKEv1, main mode        | aggressive mode          |
//	| ----------------------------- | ----------------------------- | ----------------------- | ------------------------ |
//	| proposals, as responder       | addresses (any that fits)     | addresses (the first)   | addresses (the first)    |
//	| the key, as initiator         | both identities               | both identities         | both identities          |
//	| the key, as responder         | both identities               | addresses               | both identities          |
//	| the connection, as responder  | addresses, remote identity,   | addresses, remote       | addresses, remote        |
//	|                               | local one if the peer says it | identity                | identity                 |
//	| what a peer that starts anew  | both identities, whatever     | the same                | the same                 |
//	| has left (INITIAL_CONTACT)    | the address                   |                         |                          |
//	| the CHILD_SA, as responder    | subnets, of the connection    | the same                | the same                 |
//
// (RFC 7296, sections 2.4 and 2.15; RFC 2409, section 5.4; charon 5.9.) The
// address of this end is the gateway's, and the same for all.

// VPNConflict is why two connections cannot be beside each other at one gateway.
type VPNConflict struct {
	Field VPNField
	Why   string // and what would be right; names the other connection
}

// VPNField is what of a connection has to be another one.
type VPNField int

// The fields that can conflict.
const (
	FieldPSK VPNField = iota
	FieldLocalID
	FieldRemoteID
)

// Conflict says why connection c cannot be beside another one of the same
// gateway; nil if it can.
func (c *VPNConnection) Conflict(other *VPNConnection) *VPNConflict {
	local := SameVPNIdentity(c.LocalID, other.LocalID)
	remote := SameVPNIdentity(c.RemoteID, other.RemoteID)
	different, bothIKEv1 := c.PSK != other.PSK, c.IKE.Version == 1 && other.IKE.Version == 1
	switch {
	case local && remote && c.Remote != other.Remote && (different || bothIKEv1):
		return &VPNConflict{FieldRemoteID, fmt.Sprintf("connection %s, which leads to another customer gateway, has the same RemoteId %s and LocalId, "+
			"by which IKE tells peers apart: another RemoteId is needed, or another LocalId", other.ID, other.RemoteID)}
	case remote && !local && c.Remote == other.Remote && bothIKEv1:
		return &VPNConflict{FieldLocalID, fmt.Sprintf("connection %s has the same customer gateway and RemoteId, by which IKEv1 chooses: "+
			"its LocalId %s is needed here, too, or another RemoteId, or IKEv2 for one of them", other.ID, other.LocalID)}
	case different && c.keyByIdentities(other):
		return &VPNConflict{FieldPSK, fmt.Sprintf("connection %s is between the same identities, %s and %s, and has another pre-shared key: "+
			"the same Psk is needed, or another LocalId or RemoteId", other.ID, other.LocalID, other.RemoteID)}
	case different && c.keyByAddress(other):
		return &VPNConflict{FieldPSK, fmt.Sprintf("connection %s has the same customer gateway and another pre-shared key, and IKEv1's main mode chooses the key by address: "+
			"the same Psk is needed, or IKEv2 for one of them", other.ID)}
	}
	return nil
}

// SharesKey reports whether two connections of one gateway have to have the same
// pre-shared key.
func (c *VPNConnection) SharesKey(other *VPNConnection) bool {
	return c.keyByIdentities(other) || c.keyByAddress(other)
}

// keyByIdentities reports whether the key of one is found for the identities of
// the other: a key has owners, and which of them is this end is not noted.
func (c *VPNConnection) keyByIdentities(other *VPNConnection) bool {
	within := func(a, b *VPNConnection) bool {
		owns := func(id string) bool { return SameVPNIdentity(id, b.LocalID) || SameVPNIdentity(id, b.RemoteID) }
		return owns(a.LocalID) && owns(a.RemoteID)
	}
	return within(c, other) || within(other, c)
}

// keyByAddress reports whether the key is chosen before anybody has said who it
// is (RFC 2409, section 5.4).
func (c *VPNConnection) keyByAddress(other *VPNConnection) bool {
	return c.Remote == other.Remote && c.IKE.Version == 1 && other.IKE.Version == 1 && !(c.IKE.Aggressive && other.IKE.Aggressive)
}

// SameVPNIdentity reports whether two IKE identities are the same one: names
// differ neither by case nor by an @ in front, which marks them as names.
func SameVPNIdentity(a, b string) bool {
	a, addressA := vpnIdentity(a)
	b, addressB := vpnIdentity(b)
	return addressA == addressB && strings.EqualFold(a, b)
}

func vpnIdentity(id string) (text string, address bool) {
	if _, err := netip.ParseAddr(id); err == nil {
		return id, true
	}
	return strings.TrimPrefix(id, "@"), false
}
