package nat

import (
	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// forwardEntry returns an entry of a gateway's DNAT table.
func forwardEntry(v *state.View, g *resource.NATGateway, id string) (*resource.ForwardEntry, error) {
	e, ok := v.ForwardEntries.Get(id)
	if !ok || e.Table != g.ForwardTable {
		return nil, fault.New(fault.ForwardEntryNotFound, "DNAT entry %q in table %s", id, g.ForwardTable)
	}
	return e, nil
}

// checkForward says whether e may stand in the DNAT table of g, beside the
// other entries and the SNAT entries. e itself may be there already, in an
// older form. Every check is a lookup, one for each port.
func checkForward(tx *change.Tx, c identity.Caller, g *resource.NATGateway, e *resource.ForwardEntry) error {
	v := tx.View
	anything := e.Protocol == resource.AnyProtocol
	if anything != (e.ExternalPort == 0) || anything != (e.InternalPort == 0) {
		return fault.New(fault.PortsAndProtocol, "external port, internal port and protocol are either all Any or none of them is")
	}
	if out, in := e.External().Len(), e.Internal().Len(); out != in {
		return fault.New(fault.PortRanges, "%d external ports %s and %d internal ones %s; there have to be as many", out, e.External(), in, e.Internal())
	}
	if err := tx.Fits(e); err != nil {
		return err
	}

	external, ok := ownAddress(v, c, e.ExternalIP)
	if !ok {
		return fault.New(fault.ExternalIPNotFound, "no elastic IP %s", e.ExternalIP)
	}
	if !onGateway(external, g) {
		return fault.New(fault.NotOnGateway, "elastic IP %s (%s) is not bound to NAT gateway %s; bind it first", e.ExternalIP, external.ID, g.ID)
	}
	if snat, used := v.SNATEntries.By(state.ByExternal, state.AddrKey(g.VPC, e.ExternalIP)).First(); used && !e.LeavesPorts() {
		return fault.New(fault.UsedBySNAT, "%s is used by SNAT entry %s; an address serves both only if DNAT entries of ports say that they share it", e.ExternalIP, snat.ID)
	}

	vpc, ok := v.VPCs.Get(g.VPC)
	if !ok {
		return fault.New(fault.NATGatewayNotFound, "VPC %s of NAT gateway %s is gone", g.VPC, g.ID)
	}
	if !vpc.Contains(e.InternalIP) {
		return fault.New(fault.InternalIPOutside, "internal IP %s is outside the VPC's blocks %s", e.InternalIP, vpc.Blocks())
	}
	if i, own := hasElasticIP(v, g.VPC, e.InternalIP); own {
		return fault.New(fault.InternalIPHasElasticIP, "instance %s at %s has an elastic IP of its own; unbind it first", i.ID, e.InternalIP)
	}

	for i := range uint16(e.External().Len()) {
		port := e.ExternalPort + i
		if other, taken := takenByOther(v, state.ExternalTuple(g.VPC, e.ExternalIP, e.Protocol, port), e); taken {
			return fault.New(fault.DuplicateExternal, "DNAT entry %s already forwards %s %s port %d", other, e.Protocol, e.ExternalIP, port)
		}
	}
	for i := range uint16(e.Internal().Len()) {
		port := e.InternalPort + i
		if other, taken := takenByOther(v, state.InternalTuple(g.VPC, e.InternalIP, e.Protocol, port), e); taken {
			return fault.New(fault.DuplicateInternal, "DNAT entry %s already forwards to %s %s port %d", other, e.Protocol, e.InternalIP, port)
		}
	}
	return nil
}

// takenByOther returns another entry of the table that has a port.
func takenByOther(v *state.View, tuple string, than *resource.ForwardEntry) (string, bool) {
	for e := range v.ForwardEntries.By(state.ByTuple, tuple).All() {
		if e.ID != than.ID && e.Table == than.Table {
			return e.ID, true
		}
	}
	return "", false
}
