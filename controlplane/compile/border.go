package compile

import (
	"fmt"
	"net/netip"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// borderParts are what the Network of a border router is made of, in order.
var borderParts = []part{
	{[]resource.Kind{resource.KindBorderRouter}, (*job).borderConstants},
	{[]resource.Kind{resource.KindBorderRouter, resource.KindPhysicalConnection}, (*job).line},
	{[]resource.Kind{resource.KindBorderRouter, resource.KindRouterInterface}, (*job).routerInterfaces},
	{[]resource.Kind{resource.KindBorderRouter, resource.KindPhysicalConnection, resource.KindRouterInterface, resource.KindRouteEntry}, (*job).borderRoutes},
}

func (j *job) borderConstants() error {
	n := j.network
	n.Prefix = j.border.Subnet
	n.Timeouts = j.settings.Timeouts
	if n.Timeouts == (dataplane.Timeouts{}) {
		n.Timeouts = dataplane.DefaultTimeouts()
	}
	return nil
}

// line is the line, and the only switch, on it: while both are enabled.
func (j *job) line() error {
	n, b := j.network, j.border
	n.Switches, n.Line = nil, nil
	l, ok := j.v.PhysicalConnections.Get(b.Line)
	if !ok || l.State != resource.LineEnabled || b.State != resource.BorderEnabled {
		return nil
	}
	device := j.settings.LineDevice(l.AccessPoint, l.Port)
	if device == "" {
		return fmt.Errorf("physical connection %s has port %q of access point %s, which the configuration does not have any more", l.ID, l.Port, l.AccessPoint)
	}
	a := dataplane.Attachment{Kind: dataplane.AttachVLAN, Device: device, VLAN: uint16(b.VLAN)}
	if b.VLAN == 0 {
		a = dataplane.Attachment{Kind: dataplane.AttachMacvlan, Device: device}
	}
	n.Line = &dataplane.Line{Device: device, Bandwidth: l.Bandwidth}
	n.Switches = []dataplane.Switch{{ID: b.LineInterface, Prefix: b.Subnet, Gateway: b.Local, Attachment: a}}
	return nil
}

// borderRoutes are the entries of the router's route table: to the line they lead to the
// customer's device. One to a router interface is there while that is not linked, too: it
// leads nowhere then.
func (j *job) borderRoutes() error {
	var list []dataplane.Route
	for e := range j.v.RouteEntries.By(state.ByBorderRouter, j.id).All() {
		r := dataplane.Route{Destination: e.Destination}
		for _, h := range e.NextHops {
			if hop, ok := j.borderHop(h); ok {
				r.NextHops = append(r.NextHops, hop)
			}
		}
		if len(r.NextHops) > 0 {
			list = append(list, r)
		}
	}
	j.network.Routes = byDestination(list)
	return nil
}

func (j *job) borderHop(h resource.NextHop) (dataplane.NextHop, bool) {
	if h.Type == resource.NextHopLine {
		return dataplane.NextHop{Via: j.border.Peer}, j.border.Peer != (netip.Addr{}) && len(j.network.Switches) > 0
	}
	if h.Type == resource.NextHopRouterInterface {
		r, ok := j.v.RouterInterfaces.Get(h.ID)
		return dataplane.NextHop{Interface: h.ID}, ok && r.Router == j.id
	}
	return dataplane.NextHop{}, false
}
