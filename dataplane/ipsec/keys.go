package ipsec

import (
	"fmt"
	"slices"

	"sluice/dataplane"
)

// owners returns the identities that charon finds the key of c, one of a
// gateway's connections, by.
//
// When it makes its own proof, charon takes the key whose owners fit best, the
// peer's identity before its own. When it verifies a peer's it tries every key
// of which either is an owner: were this end's identity one, which many
// connections have in common, each peer could pass for any other with a key of
// its own. So it is one only where a peer's identity has several keys.
func owners(c *dataplane.VPNConnection, connections []dataplane.VPNConnection) []string {
	for i := range connections {
		for k := range connections[:i] {
			if connections[i].PSK != connections[k].PSK && dataplane.SameVPNIdentity(connections[i].RemoteID, connections[k].RemoteID) {
				return []string{c.LocalID, c.RemoteID}
			}
		}
	}
	return []string{c.RemoteID}
}

// sharedKey is what charon has been given as the key of a connection.
type sharedKey struct {
	psk    dataplane.Secret
	owners []string
}

// giveKey gives charon the key of a connection, unless it has that, and returns
// whether it had another one.
func (g *gateway) giveKey(c *dataplane.VPNConnection) (replaced bool, err error) {
	key := sharedKey{c.PSK, owners(c, g.want.Connections)}
	had, given := g.keys[c.ID]
	if given && had.psk == key.psk && slices.Equal(had.owners, key.owners) {
		return false, nil
	}
	if _, err := g.charon.do("load-shared", section{"id": c.ID, "type": "IKE", "data": string(key.psk), "owners": key.owners}); err != nil {
		return false, fmt.Errorf("give charon the pre-shared key: %w", err)
	}
	g.keys[c.ID] = key
	return given && had.psk != key.psk, nil
}
