package compile

import (
	"fmt"
	"slices"

	"sluice/controlplane/state"
	"sluice/dataplane"
)

// classic is the link to the classic network, while instances there are linked to the VPC.
func (j *job) classic() error {
	n := j.network
	n.Classic = nil
	links := j.v.ClassicLinks.By(state.ByVPC, j.id)
	if links.Len() == 0 {
		return nil
	}
	network, ok := j.settings.ClassicNetworkOf(j.vpc.Region)
	if !ok || !network.Serves(j.vpc.ClassicAddress) {
		return fmt.Errorf("it is linked to instances of the classic network of region %s, with the address %s there, which the configuration does not have any more; take the links away or put it back",
			j.vpc.Region, j.vpc.ClassicAddress)
	}
	c := &dataplane.Classic{Device: network.Device, Namespace: network.Namespace, MTU: network.MTU, Prefix: network.Prefix, Address: j.vpc.ClassicAddress}
	for l := range links.All() {
		i, ok := j.v.ClassicInstances.Get(l.Instance)
		if !ok {
			continue // it has left the inventory
		}
		if !network.Host(i.Address) {
			return fmt.Errorf("classic instance %s has %s, which is no host's address in %s any more", i.ID, i.Address, network.Prefix)
		}
		c.Linked = append(c.Linked, dataplane.ClassicHost{Address: i.Address, MAC: i.MAC})
	}
	slices.SortFunc(c.Linked, func(a, b dataplane.ClassicHost) int { return a.Address.Compare(b.Address) })
	c.Linked = slices.CompactFunc(c.Linked, func(a, b dataplane.ClassicHost) bool { return a.Address == b.Address })
	if len(c.Linked) > 0 {
		n.Classic = c
	}
	return nil
}
