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
			Gateway:    resource.GatewayAddress(sw.CIDR),
			Attachment: attachment(j.settings, sw),
		})
	}
	slices.SortFunc(out, func(a, b dataplane.Switch) int { return strings.Compare(a.ID, b.ID) })
	j.network.Switches = out
	return nil
}

// bindings tie addresses to the Ethernet addresses that the inventory knows. An address
// that moves between hosts is nobody's, nor are those of VSwitches whose hosts are said to
// move theirs by themselves.
func (j *job) bindings() error {
	n := j.network
	n.Bindings = nil
	if !j.settings.PortSecurity {
		return nil
	}
	free := map[string]bool{}
	for sw := range j.v.VSwitches.By(state.ByVPC, j.id).All() {
		a := setting(j.settings, sw)
		free[sw.ID] = a != nil && a.MovesAddresses
	}
	for i := range j.v.Instances.By(state.ByVPC, j.id).All() {
		if i.MAC != "" && i.Type != resource.VirtualIP && !free[i.VSwitch] {
			n.Bindings = append(n.Bindings, dataplane.Binding{Address: i.PrivateIP, MAC: i.MAC})
		}
	}
	slices.SortFunc(n.Bindings, func(a, b dataplane.Binding) int { return a.Address.Compare(b.Address) })
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
	return !resource.ReservedAddress(h.switches[h.last].Prefix, a)
}
