package state

import (
	"encoding/json"
	"fmt"

	"sluice/controlplane/resource"
)

// rows is a Table without its type, for what works on any kind.
type rows interface {
	get(id string) (resource.Resource, bool)
	put(r resource.Resource, touched map[string]bool)
	remove(id string, touched map[string]bool)
	decode(value []byte) (resource.Resource, error)
}

func (t *Table[R]) get(id string) (resource.Resource, bool) {
	r, ok := t.byID.Get(id)
	if !ok {
		return nil, false
	}
	return r, true
}

func (t *Table[R]) put(r resource.Resource, touched map[string]bool) {
	t.replace(r.Metadata().ID, r.(R), true, touched)
}

func (t *Table[R]) remove(id string, touched map[string]bool) {
	var none R
	t.replace(id, none, false, touched)
}

func (t *Table[R]) decode(value []byte) (resource.Resource, error) {
	var r R
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, fmt.Errorf("decode %s: %w", t.kind, err)
	}
	return r, nil
}

// rows returns the table of a kind, or an error for a kind that this version
// does not know: a store written by a newer one must not be half-understood.
func (v *View) rows(kind resource.Kind) (rows, error) {
	switch kind {
	case resource.KindVPC:
		return v.VPCs, nil
	case resource.KindVRouter:
		return v.VRouters, nil
	case resource.KindRouteTable:
		return v.RouteTables, nil
	case resource.KindRouteEntry:
		return v.RouteEntries, nil
	case resource.KindVSwitch:
		return v.VSwitches, nil
	case resource.KindInstance:
		return v.Instances, nil
	case resource.KindElasticIP:
		return v.ElasticIPs, nil
	case resource.KindNATGateway:
		return v.NATGateways, nil
	case resource.KindForwardEntry:
		return v.ForwardEntries, nil
	case resource.KindSNATEntry:
		return v.SNATEntries, nil
	case resource.KindVPNGateway:
		return v.VPNGateways, nil
	case resource.KindCustomerGateway:
		return v.CustomerGateways, nil
	case resource.KindVPNConnection:
		return v.VPNConnections, nil
	case resource.KindVPNRoute:
		return v.VPNRoutes, nil
	case resource.KindTagSet:
		return v.TagSets, nil
	case resource.KindAccount:
		return v.Accounts, nil
	case resource.KindAccessKey:
		return v.AccessKeys, nil
	case resource.KindReceipt:
		return v.Receipts, nil
	}
	return nil, fmt.Errorf("the store holds records of the unknown kind %q: it was written by a newer version", kind)
}

// clone returns a view of its own for a transaction.
func (v *View) clone() *View {
	return &View{
		Revision:         v.Revision,
		VPCs:             v.VPCs.clone(),
		VRouters:         v.VRouters.clone(),
		RouteTables:      v.RouteTables.clone(),
		RouteEntries:     v.RouteEntries.clone(),
		VSwitches:        v.VSwitches.clone(),
		Instances:        v.Instances.clone(),
		ElasticIPs:       v.ElasticIPs.clone(),
		NATGateways:      v.NATGateways.clone(),
		VPNGateways:      v.VPNGateways.clone(),
		CustomerGateways: v.CustomerGateways.clone(),
		VPNConnections:   v.VPNConnections.clone(),
		VPNRoutes:        v.VPNRoutes.clone(),
		TagSets:          v.TagSets.clone(),
		ForwardEntries:   v.ForwardEntries.clone(),
		SNATEntries:      v.SNATEntries.clone(),
		Accounts:         v.Accounts.clone(),
		AccessKeys:       v.AccessKeys.clone(),
		Receipts:         v.Receipts.clone(),
	}
}
