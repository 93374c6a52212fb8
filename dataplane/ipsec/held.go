package ipsec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/strongswan/govici/vici"
)

// Charon is not ours alone: whoever may open its socket can have it unload what we have
// given it, and "swanctl --load-all" does so with all that is not in swanctl's own
// files. What is established goes on then, and nothing is heard of it, until the next
// negotiation. So charon is asked each time what it holds.

// holding is what charon says that it holds.
type holding struct {
	connections map[string]string // digests of all that charon tells of them, by name
	keys        []string          // ids of pre-shared keys
}

// holds asks charon what it holds.
func (c *charon) holds() (holding, error) {
	h := holding{connections: map[string]string{}}
	messages, err := c.stream("list-conns", "list-conn")
	if err != nil {
		return h, err
	}
	for _, m := range messages {
		for name, part := range sections(m) {
			text, err := json.Marshal(plain(part)) // keys in ascending order
			if err != nil {
				return h, err
			}
			sum := sha256.Sum256(text)
			h.connections[name] = hex.EncodeToString(sum[:16])
		}
	}
	answer, err := c.do("get-shared", nil)
	if err != nil {
		return h, err
	}
	h.keys, _ = answer.Get("keys").([]string)
	return h, nil
}

// plain returns a message as maps, lists and texts.
func plain(m *vici.Message) section {
	out := section{}
	for _, key := range m.Keys() {
		out[key] = m.Get(key)
		if part, ok := out[key].(*vici.Message); ok {
			out[key] = plain(part)
		}
	}
	return out
}

// recall forgets that charon has been given what it does not hold (any more), so that
// it is given again. It returns the connections that charon holds otherwise than it was
// given them: what is established may be somebody else's.
func (g *gateway) recall(h holding) (altered []string) {
	for id, was := range g.given {
		is, held := h.connections[id]
		if held && is == was || !g.wanted(id) {
			continue
		}
		if held {
			altered = append(altered, id)
		}
		delete(g.given, id)
		g.m.log.Warn("somebody has changed or unloaded an IPsec connection in charon; it is given it again", "network", g.network, "connection", id)
	}
	for id := range g.keys {
		if g.wanted(id) && !slices.Contains(h.keys, id) {
			g.m.log.Warn("somebody has unloaded the pre-shared key of an IPsec connection from charon; it is given it again", "network", g.network, "connection", id)
			delete(g.keys, id)
		}
	}
	return altered
}

// remember notes how charon tells of what it has been given.
func (g *gateway) remember() error {
	h, err := g.charon.holds()
	if err != nil {
		return err
	}
	clear(g.given)
	for id := range g.loaded {
		if is, held := h.connections[id]; held {
			g.given[id] = is
		}
	}
	return nil
}

// strangers returns the connections that charon has and should not.
func (g *gateway) strangers(h holding) []string {
	all := slices.Clone(h.keys)
	for name := range h.connections {
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), g.wanted)
}
