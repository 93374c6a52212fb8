package compile

import (
	"net/netip"
	"slices"
	"strings"

	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// switches are the VSwitches of the VPC, by id.
func (j *job) switches() error {
	var out []dataplane.Switch
	for sw := range j.v.VSwitches.By(state.ByVPC, j.id).All() {
		out = append(out, dataplane.Switch{
			ID:         sw.ID,
			Prefix:     sw.CIDR,
			Gateway:    sw.Gateway(),
			Attachment: attachment(j.settings, sw),
		})
	}
	slices.SortFunc(out, func(a, b dataplane.Switch) int { return strings.Compare(a.ID, b.ID) })
	j.network.Switches = out
	return nil
}

// bindings tie addresses to the Ethernet addresses that the inventory knows, but for those
// of VSwitches whose hosts are said to move theirs by themselves.
func (j *job) bindings() error {
	n := j.network
	n.Bindings = nil
	if !j.settings.PortSecurity {
		return nil
	}
	free := j.freeSwitches()
	for i := range j.v.Instances.By(state.ByVPC, j.id).All() {
		if i.MAC != "" && !free[i.VSwitch] {
			n.Bindings = append(n.Bindings, dataplane.Binding{Address: i.PrivateIP, MAC: i.MAC})
		}
	}
	for x := range j.v.NetworkInterfaces.By(state.ByVPC, j.id).All() {
		b := dataplane.Binding{MAC: x.MAC}
		if free[x.VSwitch] || x.Instance != "" && x.MAC == "" {
			continue
		}
		if x.Instance == "" {
			b.MAC = "" // it is nobody's while its interface is at none
		}
		for _, a := range x.Further() {
			b.Address = a.Address
			n.Bindings = append(n.Bindings, b)
		}
	}
	slices.SortStableFunc(n.Bindings, func(a, b dataplane.Binding) int { return a.Address.Compare(b.Address) })
	n.Bindings = slices.CompactFunc(n.Bindings, func(a, b dataplane.Binding) bool { return a.Address == b.Address })
	return nil
}

// dhcp is what hosts are told: each interface that is attached to one its primary address.
func (j *job) dhcp() error {
	n := j.network
	n.DHCP = nil
	if !j.settings.DHCP {
		return nil
	}
	n.DHCP = &dataplane.DHCP{DNS: j.vpc.DNSServers, Domain: j.vpc.DomainName}
	for x := range j.v.NetworkInterfaces.By(state.ByVPC, j.id).All() {
		if x.Instance != "" && x.MAC != "" {
			n.DHCP.Leases = append(n.DHCP.Leases, dataplane.Binding{Address: x.Addresses[0].Address, MAC: x.MAC})
		}
	}
	slices.SortFunc(n.DHCP.Leases, func(a, b dataplane.Binding) int { return a.Address.Compare(b.Address) })
	return nil
}

// placements are where the addresses of network interfaces are, but for those that are
// instances' own and do not move.
func (j *job) placements() error {
	n := j.network
	n.Placements = nil
	on := hosts{switches: n.Switches}
	for x := range j.v.NetworkInterfaces.By(state.ByVPC, j.id).All() {
		for _, a := range x.Further() {
			if !on.contains(a.Address) {
				continue
			}
			p := dataplane.Placement{Address: a.Address, Host: x.Instance}
			if x.Instance != "" {
				p.MAC = x.MAC
			}
			n.Placements = append(n.Placements, p)
		}
	}
	slices.SortStableFunc(n.Placements, func(a, b dataplane.Placement) int { return a.Address.Compare(b.Address) })
	n.Placements = slices.CompactFunc(n.Placements, func(a, b dataplane.Placement) bool { return a.Address == b.Address })
	return nil
}

// freeSwitches are the VSwitches whose hosts move addresses among themselves, by id.
func (j *job) freeSwitches() map[string]bool {
	free := map[string]bool{}
	for sw := range j.v.VSwitches.By(state.ByVPC, j.id).All() {
		if a := setting(j.settings, sw); a != nil && a.MovesAddresses {
			free[sw.ID] = true
		}
	}
	return free
}

// haVips are the addresses that move, with the instances that may have them. What lies in
// no VSwitch is left out.
func (j *job) haVips() error {
	n := j.network
	n.HaVips = nil
	free, on := j.freeSwitches(), hosts{switches: n.Switches}
	for h := range j.v.HaVips.By(state.ByVPC, j.id).All() {
		if !on.contains(h.PrivateIP) {
			continue
		}
		out := dataplane.HaVip{Address: h.PrivateIP, AnyHost: h.AnyHost || free[h.VSwitch]}
		for _, id := range h.Instances {
			if i, ok := j.v.Instances.Get(id); ok && i.VPC == j.id {
				out.Hosts = append(out.Hosts, dataplane.HaVipHost{Address: i.PrivateIP, MAC: i.MAC})
			}
		}
		slices.SortFunc(out.Hosts, func(a, b dataplane.HaVipHost) int { return a.Address.Compare(b.Address) })
		n.HaVips = append(n.HaVips, out)
	}
	slices.SortFunc(n.HaVips, func(a, b dataplane.HaVip) int { return a.Address.Compare(b.Address) })
	n.HaVips = slices.CompactFunc(n.HaVips, func(a, b dataplane.HaVip) bool { return a.Address == b.Address })
	return nil
}

// attachment returns how a VSwitch reaches its hosts: by a bridge, if no setting says
// otherwise.
func attachment(s *settings.Settings, sw *resource.VSwitch) dataplane.Attachment {
	if a := setting(s, sw); a != nil {
		return a.Link
	}
	return dataplane.Attachment{Kind: dataplane.AttachBridge}
}

// setting returns the first setting that matches a VSwitch, or nil.
func setting(s *settings.Settings, sw *resource.VSwitch) *settings.Attachment {
	for i := range s.Attachments {
		a := &s.Attachments[i]
		if a.Account != "" && a.Account != sw.Account {
			continue
		}
		if a.VSwitch != "" && a.VSwitch != sw.ID && a.VSwitch != sw.Name {
			continue
		}
		if a.CIDR.IsValid() && a.CIDR != sw.CIDR {
			continue
		}
		return a
	}
	return nil
}

// hosts says which addresses an instance can hold: those of a switch that are
// not reserved.
type hosts struct {
	switches []dataplane.Switch
	last     int // where the previous address was found: neighbours come together
}

func (h *hosts) contains(a netip.Addr) bool {
	if len(h.switches) == 0 {
		return false
	}
	if !h.switches[h.last].Prefix.Contains(a) {
		h.last = slices.IndexFunc(h.switches, func(s dataplane.Switch) bool { return s.Prefix.Contains(a) })
		if h.last < 0 {
			h.last = 0
			return false
		}
	}
	s := h.switches[h.last]
	return !resource.PlanOf(s.Prefix, s.Gateway).Reserved(s.Prefix, a)
}
