package nft

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"

	"sluice/dataplane"
)

// classicRules, before all that is forwarded otherwise, leave nothing to pass between the
// classic network and anything but VSwitches: no uplink, tunnel, router interface or SSL-VPN
// client, in either direction, open connections included. What goes there is from a VSwitch by
// its source, too: an instance may forward what others have sent.
func classicRules() []ruleSpec {
	from, to := fromLink(dataplane.ClassicName), toLink(dataplane.ClassicName)
	return []ruleSpec{
		rule(`iifname "classic" oifname != @switches counter name "unlinked" drop`,
			from, &expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg1}, inSet(SetSwitches, true), count(CounterUnlinked), drop()),
		rule(`iifname "classic" oifname @ssl counter name "unlinked" drop`,
			from, toSSL(), count(CounterUnlinked), drop()),
		rule(`oifname "classic" ip daddr != @classic counter name "unlinked" drop`,
			to, loadDestination(reg1), inSet(SetClassic, true), count(CounterUnlinked), drop()),
		rule(`oifname "classic" iifname != @switches counter name "unlinked" drop`,
			to, &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1}, inSet(SetSwitches, true), count(CounterUnlinked), drop()),
		rule(`oifname "classic" fib saddr oifname != @switches counter name "unlinked" drop`,
			to, &expr.Fib{Register: reg1, FlagSADDR: true, ResultOIFNAME: true}, inSet(SetSwitches, true), count(CounterUnlinked), drop()),
		rule(`oifname "classic" iifname @ssl counter name "unlinked" drop`,
			to, fromSSL(), count(CounterUnlinked), drop()),
	}
}

func linked(n *dataplane.Network) []dataplane.ClassicHost {
	if n.Classic == nil {
		return nil
	}
	return n.Classic.Linked
}

// sameLinked reports whether the same hosts of the classic network are linked to two versions
// of a network, by the same Ethernet addresses.
func sameLinked(a, b *dataplane.Network) bool {
	return slices.Equal(linked(a), linked(b))
}

func (c *compiler) addClassic(n *dataplane.Network) error {
	for _, h := range linked(n) {
		if err := checkAddr(h.Address); err != nil {
			return fmt.Errorf("host of the classic network: %w", err)
		}
		e := pair(h.Address, netip.Addr{})
		c.add(SetClassic, e)
		if h.MAC == "" {
			continue
		}
		mac, err := net.ParseMAC(h.MAC)
		if err != nil || len(mac) != 6 {
			return fmt.Errorf("host %s of the classic network with Ethernet address %q: it must have six bytes", h.Address, h.MAC)
		}
		c.add(SetClassicHeld, e)
		copy(e.Key[4:], mac)
		c.add(SetClassicPairs, e)
	}
	return nil
}
