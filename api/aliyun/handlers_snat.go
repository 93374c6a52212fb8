package aliyun

import (
	"context"
	"net/netip"
	"strings"

	"sluice/controlplane/identity"
	"sluice/controlplane/nat"
)

// CreateSnatEntry implements Actions.
func (s *Service) CreateSnatEntry(ctx context.Context, c identity.Caller, r *CreateSnatEntryRequest) (*CreateSnatEntryResponse, error) {
	in := nat.SNATEntry{
		Region:  r.RegionId,
		Table:   r.SnatTableId,
		Name:    given(r.SnatEntryName),
		VSwitch: given(r.SourceVSwitchId),
		Pool:    r.SnatIp,

		Affinity: r.EipAffinity == 1,
	}
	if r.SourceCIDR != nil {
		in.Source = *r.SourceCIDR
	}
	id, err := s.nat.CreateSNATEntry(ctx, c, in)
	if err != nil {
		return nil, err
	}
	return &CreateSnatEntryResponse{SnatEntryId: id}, nil
}

// ModifySnatEntry implements Actions.
func (s *Service) ModifySnatEntry(ctx context.Context, c identity.Caller, r *ModifySnatEntryRequest) (*ModifySnatEntryResponse, error) {
	in := nat.SNATEntryChange{
		Region: r.RegionId,
		Table:  r.SnatTableId,
		ID:     r.SnatEntryId,
		Name:   r.SnatEntryName,
		Pool:   r.SnatIp,
	}
	if r.EipAffinity != nil {
		affinity := *r.EipAffinity == 1
		in.Affinity = &affinity
	}
	return &ModifySnatEntryResponse{}, s.nat.ModifySNATEntry(ctx, c, in)
}

// DescribeSnatTableEntries implements Actions.
func (s *Service) DescribeSnatTableEntries(_ context.Context, c identity.Caller, r *DescribeSnatTableEntriesRequest) (*DescribeSnatTableEntriesResponse, error) {
	if r.SnatTableId == nil && r.NatGatewayId == nil {
		return nil, missingParameter("SnatTableId")
	}
	entries, err := s.nat.SNATEntries(c, nat.SNATEntryQuery{
		Region:    r.RegionId,
		Table:     given(r.SnatTableId),
		Gateway:   given(r.NatGatewayId),
		IDs:       one(r.SnatEntryId),
		Names:     one(r.SnatEntryName),
		Sources:   one(r.SourceCIDR),
		VSwitches: one(r.SourceVSwitchId),
		Addresses: one(r.SnatIp),
		None:      len(r.NetworkInterfaceIds) > 0,
		Page:      pageOf(r.PageNumber, r.PageSize),
	})
	if err != nil {
		return nil, err
	}
	out := &DescribeSnatTableEntriesResponse{TotalCount: entries.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	list := make([]DescribeSnatTableEntriesSnatTableEntry, len(entries.Items))
	for i, e := range entries.Items {
		list[i] = DescribeSnatTableEntriesSnatTableEntry{
			SnatEntryId:     e.ID,
			SnatTableId:     e.Table,
			SnatIp:          poolText(e.Pool),
			SourceCIDR:      e.Source.String(),
			SourceVSwitchId: e.WholeVSwitch(),
			Status:          entryStatus(e.Phase(entries.Applied)),
			SnatEntryName:   e.Name,
			NatGatewayId:    e.Gateway,
			EipAffinity:     "0",
		}
		if e.Affinity {
			list[i].EipAffinity = "1"
		}
	}
	out.SnatTableEntries.SnatTableEntry = list
	return out, nil
}

// DeleteSnatEntry implements Actions.
func (s *Service) DeleteSnatEntry(ctx context.Context, c identity.Caller, r *DeleteSnatEntryRequest) (*DeleteSnatEntryResponse, error) {
	return &DeleteSnatEntryResponse{}, s.nat.DeleteSNATEntry(ctx, c, r.RegionId, r.SnatTableId, r.SnatEntryId)
}

func poolText(pool []netip.Addr) string {
	var b strings.Builder
	for i, a := range pool {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(a.String())
	}
	return b.String()
}
