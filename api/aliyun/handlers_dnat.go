package aliyun

import (
	"context"
	"strconv"

	"sluice/controlplane/identity"
	"sluice/controlplane/nat"
)

// anyPort is how a port is written that stands for all of them.
const anyPort = "Any"

// CreateForwardEntry implements Actions.
func (s *Service) CreateForwardEntry(ctx context.Context, c identity.Caller, r *CreateForwardEntryRequest) (*CreateForwardEntryResponse, error) {
	id, err := s.nat.CreateForwardEntry(ctx, c, nat.ForwardEntry{
		Region:       r.RegionId,
		Table:        r.ForwardTableId,
		Name:         given(r.ForwardEntryName),
		ExternalIP:   r.ExternalIp,
		ExternalPort: *port(&r.ExternalPort),
		Protocol:     *protocolWords.of(&r.IpProtocol),
		InternalIP:   r.InternalIp,
		InternalPort: *port(&r.InternalPort),
	})
	if err != nil {
		return nil, err
	}
	return &CreateForwardEntryResponse{ForwardEntryId: id}, nil
}

// ModifyForwardEntry implements Actions.
func (s *Service) ModifyForwardEntry(ctx context.Context, c identity.Caller, r *ModifyForwardEntryRequest) (*ModifyForwardEntryResponse, error) {
	return &ModifyForwardEntryResponse{}, s.nat.ModifyForwardEntry(ctx, c, nat.ForwardEntryChange{
		Region:       r.RegionId,
		Table:        r.ForwardTableId,
		ID:           r.ForwardEntryId,
		Name:         r.ForwardEntryName,
		ExternalIP:   r.ExternalIp,
		ExternalPort: port(r.ExternalPort),
		Protocol:     protocolWords.of(r.IpProtocol),
		InternalIP:   r.InternalIp,
		InternalPort: port(r.InternalPort),
	})
}

// DescribeForwardTableEntries implements Actions.
func (s *Service) DescribeForwardTableEntries(_ context.Context, c identity.Caller, r *DescribeForwardTableEntriesRequest) (*DescribeForwardTableEntriesResponse, error) {
	entries, err := s.nat.ForwardEntries(c, nat.ForwardEntryQuery{
		Region:        r.RegionId,
		Table:         r.ForwardTableId,
		IDs:           one(r.ForwardEntryId),
		Names:         one(r.ForwardEntryName),
		ExternalIPs:   one(r.ExternalIp),
		ExternalPorts: one(port(r.ExternalPort)),
		Protocols:     one(protocolWords.of(r.IpProtocol)),
		InternalIPs:   one(r.InternalIp),
		InternalPorts: one(port(r.InternalPort)),
		Page:          pageOf(r.PageNumber, r.PageSize),
	})
	if err != nil {
		return nil, err
	}
	out := &DescribeForwardTableEntriesResponse{TotalCount: entries.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	list := make([]DescribeForwardTableEntriesForwardTableEntry, len(entries.Items))
	for i, e := range entries.Items {
		list[i] = DescribeForwardTableEntriesForwardTableEntry{
			ForwardTableId:   e.Table,
			ForwardEntryId:   e.ID,
			ExternalIp:       e.ExternalIP.String(),
			ExternalPort:     portText(e.ExternalPort),
			IpProtocol:       protocolWords.wire(e.Protocol),
			InternalIp:       e.InternalIP.String(),
			InternalPort:     portText(e.InternalPort),
			Status:           entryStatus(e.Phase(entries.Applied)),
			ForwardEntryName: e.Name,
			NatGatewayId:     e.Gateway,
		}
	}
	out.ForwardTableEntries.ForwardTableEntry = list
	return out, nil
}

// DeleteForwardEntry implements Actions.
func (s *Service) DeleteForwardEntry(ctx context.Context, c identity.Caller, r *DeleteForwardEntryRequest) (*DeleteForwardEntryResponse, error) {
	return &DeleteForwardEntryResponse{}, s.nat.DeleteForwardEntry(ctx, c, r.RegionId, r.ForwardTableId, r.ForwardEntryId)
}

// port reads a port that the decoder has checked, 0 for Any; nil was not given.
func port(v *string) *uint16 {
	if v == nil {
		return nil
	}
	n, _ := parseInt(*v, 1, 65535)
	p := uint16(n)
	return &p
}

func portText(p uint16) string {
	if p == 0 {
		return anyPort
	}
	return strconv.Itoa(int(p))
}
