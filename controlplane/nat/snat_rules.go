package nat

import (
	"net/netip"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// snatEntry returns an entry of a gateway's SNAT table.
func snatEntry(v *state.View, g *resource.NATGateway, id string) (*resource.SNATEntry, error) {
	e, ok := v.SNATEntries.Get(id)
	if !ok || e.Table != g.SNATTable {
		return nil, fault.New(fault.SNATEntryNotFound, "SNAT entry %q in table %s", id, g.SNATTable)
	}
	return e, nil
}

// snatSource says which VSwitch and which block a new entry is for. A block is
// either that of a VSwitch or one address in it.
func snatSource(v *state.View, g *resource.NATGateway, in SNATEntry) (*resource.VSwitch, netip.Prefix, error) {
	none := netip.Prefix{}
	switch {
	case in.VSwitch != "" && in.Source.IsValid():
		return nil, none, fault.New(fault.SourceBoth, "give the source VSwitch or the source CIDR block, not both")
	case in.VSwitch == "" && !in.Source.IsValid():
		return nil, none, fault.New(fault.SourceMissing, "give the source VSwitch or the source CIDR block")
	case in.VSwitch != "":
		s, ok := v.VSwitches.Get(in.VSwitch)
		if !ok || s.Account != g.Account || s.VPC != g.VPC {
			return nil, none, fault.New(fault.VSwitchNotFound, "VSwitch %q in the gateway's VPC %s", in.VSwitch, g.VPC)
		}
		return s, s.CIDR, withoutHaVips(v, s)
	}
	s, ok := vswitchOf(v, g.VPC, in.Source)
	switch {
	case !ok:
		return nil, none, fault.New(fault.SourceCIDROutside, "source %s is neither the block of a VSwitch of %s nor an address in one", in.Source, g.VPC)
	case s.CIDR == in.Source:
		return s, s.CIDR, withoutHaVips(v, s)
	case !in.Source.IsSingleIP():
		return nil, none, fault.New(fault.SourceCIDROutside, "source %s is only a part of VSwitch %s; give its whole block %s, or single addresses as /32", in.Source, s.ID, s.CIDR)
	}
	return s, in.Source, snatInstance(v, g, in.Source.Addr())
}

// withoutHaVips refuses a VSwitch in which there is a HaVip.
func withoutHaVips(v *state.View, s *resource.VSwitch) error {
	if h, ok := v.HaVips.By(state.ByVSwitch, s.ID).First(); ok {
		return fault.New(fault.VSwitchHasHaVips, "VSwitch %s holds HaVip %s", s.ID, h.ID)
	}
	return nil
}

// snatInstance refuses an address that is not an ECS instance's, or whose
// instance goes out by an elastic IP of its own.
func snatInstance(v *state.View, g *resource.NATGateway, a netip.Addr) error {
	if h, ok := v.HaVips.By(state.ByAddress, state.AddrKey(g.VPC, a)).First(); ok {
		return fault.New(fault.VSwitchHasHaVips, "%s is the address of HaVip %s", a, h.ID)
	}
	i, known := v.InstanceAt(g.VPC, a)
	if !known {
		return nil
	}
	if i.Type == resource.Host {
		if _, own := hasElasticIP(v, g.VPC, a); own {
			return fault.New(fault.InternalIPHasElasticIP, "instance %s at %s has an elastic IP of its own; unbind it first", i.ID, a)
		}
		return nil
	}
	return fault.New(fault.ParameterInvalid, "%s is the address of %s %s; a single address has to be that of an ECS instance", a, i.Type, i.ID)
}

// vswitchOf returns the VSwitch of a VPC that a block lies in.
func vswitchOf(v *state.View, vpc string, block netip.Prefix) (*resource.VSwitch, bool) {
	for s := range v.VSwitches.By(state.ByVPC, vpc).All() {
		if s.CIDR.Bits() <= block.Bits() && s.CIDR.Contains(block.Addr()) {
			return s, true
		}
	}
	return nil, false
}

// setPool gives an entry its public addresses, without repetitions, and checks them.
func setPool(tx *change.Tx, c identity.Caller, e *resource.SNATEntry, g *resource.NATGateway, in []netip.Addr) error {
	seen := make(map[netip.Addr]bool, len(in))
	e.Pool = nil
	for _, a := range in {
		if seen[a] {
			continue
		}
		seen[a] = true
		e.Pool = append(e.Pool, a)
	}
	if len(e.Pool) == 0 {
		return fault.New(fault.ParameterInvalid, "an SNAT entry needs at least one public address")
	}
	if err := tx.Fits(e); err != nil {
		return err
	}
	for _, a := range e.Pool {
		if ip, ok := ownAddress(tx.View, c, a); !ok || !onGateway(ip, g) {
			return fault.New(fault.SNATIPNotFound, "%s is not an elastic IP bound to NAT gateway %s", a, g.ID)
		}
		if other, used := forwardsAlone(tx.View, g.VPC, a); used {
			return fault.New(fault.UsedByDNAT, "%s is used by DNAT entry %s; an address serves both only if DNAT entries of ports say that they share it", a, other.ID)
		}
	}
	return nil
}

// checkOverlap refuses a source that another entry covers, wholly or in part:
// a host goes out by one entry. VSwitches don't overlap, so that only the
// entries of the same VSwitch can be in the way; and of those the ones of another gateway
// are not, since a VSwitch's route table leads to one.
func checkOverlap(v *state.View, e *resource.SNATEntry, byVSwitch bool) error {
	for other := range v.SNATEntries.By(state.ByVSwitch, e.VSwitch).All() {
		switch {
		case other.Table != e.Table, !other.Source.Overlaps(e.Source):
		case byVSwitch && other.Source == e.Source:
			return fault.New(fault.VSwitchHasSNAT, "VSwitch %s already has SNAT entry %s", e.VSwitch, other.ID)
		default:
			return fault.New(fault.SourceConflict, "source %s overlaps %s of SNAT entry %s", e.Source, other.Source, other.ID)
		}
	}
	return nil
}

// forwardsAlone returns a DNAT entry that lets no SNAT entry use its address, if there is one.
func forwardsAlone(v *state.View, vpc string, a netip.Addr) (*resource.ForwardEntry, bool) {
	for e := range v.ForwardEntries.By(state.ByExternal, state.AddrKey(vpc, a)).All() {
		if !e.LeavesPorts() {
			return e, true
		}
	}
	return nil, false
}
