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

// attachment returns how a VSwitch reaches its hosts: the first setting that
// matches it, or else a bridge.
func attachment(s *settings.Settings, sw *resource.VSwitch) dataplane.Attachment {
	for _, a := range s.Attachments {
		if a.Account != "" && a.Account != sw.Account {
			continue
		}
		if a.VSwitch != "" && a.VSwitch != sw.ID && a.VSwitch != sw.Name {
			continue
		}
		if a.CIDR.IsValid() && a.CIDR != sw.CIDR {
			continue
		}
		return a.Link
	}
	return dataplane.Attachment{Kind: dataplane.AttachBridge}
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
