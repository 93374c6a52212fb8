package aliyun

import (
	"context"
	"strings"

	"sluice/controlplane/identity"
	"sluice/controlplane/nat"
	"sluice/controlplane/resource"
)

// anyPort is how a port is shown that stands for all of them.
const anyPort = "any"

// CreateForwardEntry implements Actions.
func (s *Service) CreateForwardEntry(ctx context.Context, c identity.Caller, r *CreateForwardEntryRequest) (*CreateForwardEntryResponse, error) {
	external, internal := *ports(&r.ExternalPort), *ports(&r.InternalPort)
	id, err := s.nat.CreateForwardEntry(ctx, c, nat.ForwardEntry{
		Region:       r.RegionId,
		Table:        r.ForwardTableId,
		Name:         given(r.ForwardEntryName),
		ExternalIP:   r.ExternalIp,
		ExternalPort: external.First,
		ExternalLast: external.Last,
		Protocol:     *protocolWords.of(&r.IpProtocol),
		InternalIP:   r.InternalIp,
		InternalPort: internal.First,
		InternalLast: internal.Last,
		Shares:       r.PortBreak,
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
		ExternalPort: ports(r.ExternalPort),
		Protocol:     protocolWords.of(r.IpProtocol),
		InternalIP:   r.InternalIp,
		InternalPort: ports(r.InternalPort),
		Shares:       r.PortBreak,
	})
}

// DescribeForwardTableEntries implements Actions.
func (s *Service) DescribeForwardTableEntries(_ context.Context, c identity.Caller, r *DescribeForwardTableEntriesRequest) (*DescribeForwardTableEntriesResponse, error) {
	if r.ForwardTableId == nil && r.NatGatewayId == nil {
		return nil, documented("DescribeForwardTableEntries", "MissingParameter.VRouterIdOrForwardTableId", "")
	}
	entries, err := s.nat.ForwardEntries(c, nat.ForwardEntryQuery{
		Region:        r.RegionId,
		Table:         given(r.ForwardTableId),
		Gateway:       given(r.NatGatewayId),
		IDs:           one(r.ForwardEntryId),
		Names:         one(r.ForwardEntryName),
		ExternalIPs:   one(r.ExternalIp),
		ExternalPorts: one(ports(r.ExternalPort)),
		Protocols:     one(protocolWords.of(r.IpProtocol)),
		InternalIPs:   one(r.InternalIp),
		InternalPorts: one(ports(r.InternalPort)),
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
			ExternalPort:     portText(e.External()),
			IpProtocol:       protocolShownWords.wire(e.Protocol),
			InternalIp:       e.InternalIP.String(),
			InternalPort:     portText(e.Internal()),
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

// ports reads a port or a range of them, which the decoder has checked, 0 for Any; nil was
// not given.
func ports(v *string) *resource.Ports {
	if v == nil {
		return nil
	}
	first, last, _ := strings.Cut(*v, "/")
	low, _ := parseInt(first, 1, 65535)
	high, _ := parseInt(last, 1, 65535)
	return &resource.Ports{First: uint16(low), Last: uint16(high)}
}

func portText(p resource.Ports) string {
	if p.First == 0 {
		return anyPort
	}
	return p.String()
}
