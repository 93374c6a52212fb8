package network

import (
	"context"
	"net/netip"
	"slices"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// AssociateCIDR gives a VPC a further CIDR block, which VSwitches may be made in
// (AssociateVpcCidrBlock). It is taken from the networks that a VPC's first one may be
// taken from, and overlaps none of the VPC's, nor the addresses of SSL-VPN clients, nor the
// classic network, if the VPC is linked to instances there.
//
// Reasons, in this order: RegionNotFound, VPCNotFound, SecondaryCIDRInvalid, SecondaryCIDROverlap,
// QuotaSecondaryCIDR, VPCInTransition.
func (s *Service) AssociateCIDR(ctx context.Context, c identity.Caller, region, id string, block netip.Prefix) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := inRegion(s, c, tx.VPCs, region, id)
		if err != nil {
			return err
		}
		if err := s.checkVPCBlock(block, fault.SecondaryCIDRInvalid); err != nil {
			return err
		}
		for _, p := range old.Blocks() {
			if p.Overlaps(block) {
				return fault.New(fault.SecondaryCIDROverlap, "%s overlaps block %s of VPC %s", block, p, id)
			}
		}
		for x := range tx.SSLServers.By(state.ByVPC, id).All() {
			if x.Pool.Overlaps(block) {
				return fault.New(fault.SecondaryCIDROverlap, "%s overlaps %s, the addresses of the clients of SSL-VPN server %s", block, x.Pool, x.ID)
			}
		}
		if n, ok := s.settings.ClassicNetworkOf(region); ok && n.Prefix.Overlaps(block) && tx.ClassicLinks.By(state.ByVPC, id).Len() > 0 {
			return fault.New(fault.SecondaryCIDROverlap, "%s overlaps %s, the classic network, with instances of which VPC %s is linked", block, n.Prefix, id)
		}
		vpc := old.Clone().(*resource.VPC)
		vpc.Secondary = append(vpc.Secondary, block)
		if err := tx.Fits(vpc); err != nil {
			return err
		}
		if err := state.Ready(s.db.Observed, tx.VPCs, old); err != nil {
			return err
		}
		tx.Put(vpc)
		tx.Done("CIDR block added", "vpc", id, "cidr", block)
		return nil
	})
}

// UnassociateCIDR takes a further CIDR block from a VPC, that no VSwitch is in and no DNAT
// entry leads into (UnassociateVpcCidrBlock).
//
// Reasons, in this order: RegionNotFound, VPCNotFound, SecondaryCIDRNotFound, SecondaryCIDRInUse,
// VPCInTransition.
func (s *Service) UnassociateCIDR(ctx context.Context, c identity.Caller, region, id string, block netip.Prefix) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := inRegion(s, c, tx.VPCs, region, id)
		if err != nil {
			return err
		}
		i := slices.Index(old.Secondary, block)
		if i < 0 {
			return fault.New(fault.SecondaryCIDRNotFound, "%s is no secondary block of VPC %s", block, id)
		}
		for x := range tx.VSwitches.By(state.ByVPC, id).All() {
			if within(x.CIDR, block) {
				return fault.Explained(fault.SecondaryCIDRInUse, "VSwitch %s lies in it; delete that first", x.ID)
			}
		}
		for e := range tx.ForwardEntries.By(state.ByVPC, id).All() {
			if block.Contains(e.InternalIP) {
				return fault.Explained(fault.SecondaryCIDRInUse, "DNAT entry %s leads to %s; delete that first", e.ID, e.InternalIP)
			}
		}
		if err := state.Ready(s.db.Observed, tx.VPCs, old); err != nil {
			return err
		}
		vpc := old.Clone().(*resource.VPC)
		vpc.Secondary = slices.Delete(vpc.Secondary, i, i+1)
		tx.Put(vpc)
		tx.Done("CIDR block removed", "vpc", id, "cidr", block)
		return nil
	})
}
