package session

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"sluice/bpf"
	"sluice/dataplane"
)

// The NAT gateways of a network have numbers in the programs' maps. A gateway keeps its
// number as long as it is there, whatever becomes of others, also when the daemon is
// started anew: which number is whose stands in the map nat_gateways. What is open of one
// that is gone goes on counting under its number. That is given to another gateway if
// there is no unused one left; counters are not set back for that, but told from then on.

type knownGateway = bpf.GatewayKnownGateway

// firstGateway is the lowest number that a gateway can have.
const firstGateway = gatewayNone + 1

func idOf(k *knownGateway) string { return string(bytes.TrimRight(k.Id[:], "\x00")) }

// readNumbers reads which gateway has which number.
func (n *Network) readNumbers() error {
	known := make([]knownGateway, gatewayNumbers)
	if err := batch(n.maps["nat_gateways"], known, 1); err != nil {
		return fmt.Errorf("read the numbers of the NAT gateways of network %s: %w", n.id, err)
	}
	n.known, n.numbers = known, map[string]uint32{}
	for number := firstGateway; number < gatewayNumbers; number++ {
		if id := idOf(&known[number]); id != "" {
			n.numbers[id] = number
		}
	}
	return nil
}

// numberGateways gives numbers to those gateways that have none, with n.mu held.
func (n *Network) numberGateways(list []dataplane.NATGateway) error {
	if len(list) > dataplane.MostNATGateways {
		return fmt.Errorf("network %s has %d NAT gateways; there can be %d", n.id, len(list), dataplane.MostNATGateways)
	}
	wanted := make(map[string]bool, len(list))
	for i := range list {
		wanted[list[i].ID] = true
	}
	for i := range list {
		id := list[i].ID
		if _, ok := n.numbers[id]; ok {
			continue
		}
		k := knownGateway{}
		if id == "" || len(id) > len(k.Id) {
			return fmt.Errorf("%q is no id of a NAT gateway; it has 1 to %d bytes", id, len(k.Id))
		}
		copy(k.Id[:], id)
		number, err := n.freeNumber(wanted, &k)
		if err != nil {
			return fmt.Errorf("find a number for NAT gateway %s of network %s: %w", id, n.id, err)
		}
		if err := n.maps["nat_gateways"].Put(number, &k); err != nil {
			return fmt.Errorf("give a number to NAT gateway %s of network %s: %w", id, n.id, err)
		}
		delete(n.numbers, idOf(&n.known[number]))
		n.known[number], n.numbers[id] = k, number
	}
	return nil
}

// freeNumber returns a number for a gateway, and has k say what was counted under it
// before: an unused one, or that of a gateway which is not wanted any more, of those one
// with the fewest sessions.
func (n *Network) freeNumber(wanted map[string]bool, k *knownGateway) (uint32, error) {
	var gone []uint32
	for number := firstGateway; number < gatewayNumbers; number++ {
		switch id := idOf(&n.known[number]); {
		case id == "":
			return number, nil
		case !wanted[id]:
			gone = append(gone, number)
		}
	}
	n.slots.mu.Lock()
	defer n.slots.mu.Unlock()
	s, err := n.readSlots()
	if err != nil {
		return 0, err
	}
	all, err := n.gatewayCounts(&s)
	if err != nil {
		return 0, err
	}
	// There is one: there are not more gateways than numbers.
	number := slices.MinFunc(gone, func(a, b uint32) int { return cmp.Compare(all[a].open(), all[b].open()) })
	c := &all[number]
	k.Opened, k.Refused, k.Outbound, k.Inbound = c.state.Opened, c.refused, c.outbound, c.inbound
	return number, nil
}

// gatewayCounts is what was counted under a gateway's number.
type gatewayCounts struct {
	state             bpf.GatewayNatState
	refused           [len(refusals)]uint64 // by refusals
	outbound, inbound bpf.GatewayVolume
}

func (c *gatewayCounts) open() (sum uint64) {
	for _, v := range c.state.Open {
		sum += v
	}
	return sum
}

// since takes away what was counted under the number before it was the gateway's.
func (c *gatewayCounts) since(k *knownGateway) {
	for i := range k.Opened {
		c.state.Opened[i] -= k.Opened[i]
	}
	for i := range k.Refused {
		c.refused[i] -= k.Refused[i]
	}
	c.outbound, c.inbound = lessVolume(c.outbound, k.Outbound), lessVolume(c.inbound, k.Inbound)
}

// plus adds what was counted under another number.
func (c *gatewayCounts) plus(o *gatewayCounts) {
	for i := range o.state.Open {
		c.state.Open[i] += o.state.Open[i]
		c.state.Opened[i] += o.state.Opened[i]
	}
	for i := range o.refused {
		c.refused[i] += o.refused[i]
	}
	addVolume(&c.outbound, o.outbound)
	addVolume(&c.inbound, o.inbound)
}

func lessVolume(v, by bpf.GatewayVolume) bpf.GatewayVolume {
	v.Bytes, v.Packets, v.Hits = v.Bytes-by.Bytes, v.Packets-by.Packets, v.Hits-by.Hits
	return v
}

// gatewayCounts reads what was counted by number; s is what the slots hold, with
// n.slots.mu held since it was read.
func (n *Network) gatewayCounts(s *slotted) ([]gatewayCounts, error) {
	out := make([]gatewayCounts, gatewayNumbers)
	states, err := n.gatewayStates()
	if err != nil {
		return nil, err
	}
	refused, err := n.gatewayRefusals()
	if err != nil {
		return nil, err
	}
	returned := make([]bpf.GatewayReturnedCounts, gatewayNumbers)
	if err := batch(n.maps["returned"], returned, 1); err != nil {
		return nil, fmt.Errorf("read what slots of network %s have counted: %w", n.id, err)
	}
	for i := range out {
		out[i] = gatewayCounts{states[i], refused[i], returned[i].Outbound, returned[i].Inbound}
	}
	for i := range s.addresses {
		c := &out[s.gateway(i)]
		addVolume(&c.outbound, s.volume(i, false))
		addVolume(&c.inbound, s.volume(i, true))
	}
	return out, nil
}

// gatewayStates reads what the programs keep of gateways, by number.
func (n *Network) gatewayStates() ([]bpf.GatewayNatState, error) {
	states := make([]bpf.GatewayNatState, gatewayNumbers)
	if err := batch(n.maps["nat_states"], states, 1); err != nil {
		return nil, fmt.Errorf("read the state of the NAT gateways of network %s: %w", n.id, err)
	}
	return states, nil
}

// gatewayRefusals reads how many sessions were refused, by number, and by refusals.
func (n *Network) gatewayRefusals() (out [gatewayNumbers][len(refusals)]uint64, err error) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return out, err
	}
	each := make([]uint64, gatewayNumbers*len(refusals)*cpus)
	if err := batch(n.maps["nat_refused"], each, cpus); err != nil {
		return out, fmt.Errorf("read what was refused at the NAT gateways of network %s: %w", n.id, err)
	}
	for i, v := range each {
		i /= cpus
		out[i/len(refusals)][i%len(refusals)] += v
	}
	return out, nil
}
