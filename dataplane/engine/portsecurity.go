package engine

import (
	"cmp"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"sluice/dataplane"
	"sluice/dataplane/portsecurity"
)

// holdAddresses makes the tables of port security what they should be. Where the kernel
// cannot have them, that is said once.
func (j *job) holdAddresses() error {
	n := j.n
	want, err := portsecurity.Of(j.want)
	if err != nil {
		return err
	}
	if n.held == nil || j.stale&(staleRules|staleLinks) != 0 {
		have, err := portsecurity.Read(n.ns)
		if err != nil {
			return err
		}
		if n.held != nil {
			j.logRepairs(have.Differences(n.held))
		}
		n.held = have
	}
	changes, err := portsecurity.Apply(n.ns, n.held, want)
	j.changes += changes
	if errors.Is(err, portsecurity.ErrUnsupported) {
		if !n.unheld {
			j.e.log.Warn("hosts of VSwitches can take one another's addresses, and the gateway's", "network", n.id, "error", err)
		}
		n.unheld = true
		return nil
	}
	if err != nil {
		n.held = nil
		return err
	}
	n.held = want
	return nil
}

// heldDiffers returns what somebody else has changed of the tables of port security.
func (e *Engine) heldDiffers(n *network) []string {
	if n.unheld {
		return nil
	}
	have, err := portsecurity.Read(n.ns)
	if err != nil || n.held == nil {
		return []string{unread}
	}
	return have.Differences(n.held)
}

// claims is what was seen of hosts that claim what is not theirs.
type claims struct {
	mu     sync.Mutex
	counts dataplane.ClaimCounts
	told   map[dataplane.Claim]bool // those that the kernel still remembers
}

// Claims returns how many frames of a network were dropped, by reason, because their
// sender used an address that is not its own, as of the last audit; nil where that is
// not known.
func (e *Engine) Claims(id string) dataplane.ClaimCounts {
	e.mu.Lock()
	n := e.networks[id]
	e.mu.Unlock()
	if n == nil {
		return nil
	}
	n.claims.mu.Lock()
	defer n.claims.mu.Unlock()
	return maps.Clone(n.claims.counts)
}

// sayClaims is how many claims one look names in the log: a host can make up as many as
// it likes.
const sayClaims = 10

// readClaims notes what was dropped, with n.mu held, and tells of each claim once while it
// lasts; those of being the gateway first, and of those that are too many how many they are.
func (e *Engine) readClaims(n *network) {
	if n.over || n.ns == nil || n.applied == nil || !n.applied.PortSecurity || n.unheld {
		return
	}
	counts, list, err := portsecurity.ReadClaims(n.ns)
	if err != nil {
		e.log.Debug("claims of addresses cannot be read", "network", n.id, "error", err)
		return
	}
	c := &n.claims
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = counts
	told := make(map[dataplane.Claim]bool, len(list))
	var fresh []dataplane.Claim
	for _, claim := range list {
		told[claim] = true
		if !c.told[claim] {
			fresh = append(fresh, claim)
		}
	}
	c.told = told
	rank := func(c dataplane.Claim) int {
		if c.Other != "" || gatewayAt(n.applied, c.Address) != nil {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(fresh, func(a, b dataplane.Claim) int { return cmp.Compare(rank(a), rank(b)) })
	for _, claim := range fresh[:min(len(fresh), sayClaims)] {
		switch claim.Other {
		case portsecurity.ReasonHidden:
			e.log.Warn("a host sends frames that hide whom they are from; they are dropped", "network", n.id, "host", claim.By)
			continue
		case portsecurity.ReasonRouter:
			e.log.Warn("a host gives itself out for a router of IPv6; its messages are dropped", "network", n.id, "host", claim.By)
			continue
		}
		e.log.Warn("a host uses an address that is not its own; its frames are dropped", "network", n.id,
			"address", claim.Address, "host", claim.By, "belongs_to", belongsTo(n.applied, claim))
	}
	if more := len(fresh) - sayClaims; more > 0 {
		e.log.Warn("more hosts claim what is not their own; their frames are dropped", "network", n.id, "claims", more)
	}
}

// gatewayAt returns the VSwitch whose gateway has an address.
func gatewayAt(n *dataplane.Network, a netip.Addr) *dataplane.Switch {
	for i := range n.Switches {
		if n.Switches[i].Gateway == a {
			return &n.Switches[i]
		}
	}
	return nil
}

// belongsTo says whose an address is.
func belongsTo(n *dataplane.Network, c dataplane.Claim) string {
	if sw := gatewayAt(n, c.Address); sw != nil {
		return "the gateway of " + sw.ID
	}
	for _, b := range n.Bindings {
		if b.Address == c.Address {
			return cmp.Or(b.MAC, "a network interface that is attached to no instance")
		}
	}
	for _, h := range n.HaVips {
		if h.Address != c.Address {
			continue
		}
		var hosts []string
		for _, o := range h.Hosts {
			hosts = append(hosts, o.MAC)
		}
		return "a HaVip, and may be at: " + cmp.Or(strings.Join(hosts, ", "), "none, as it is bound to no instance")
	}
	return ""
}
