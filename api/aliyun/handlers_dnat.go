package aliyun

import (
	"context"
	"net/netip"
	"strconv"

	"sluice/controlplane/identity"
	"sluice/controlplane/nat"
	"sluice/controlplane/resource"
)

// anyPort is how a port is written that stands for all of them.
const anyPort = "Any"

// CreateForwardEntry implements Actions.
func (s *Service) CreateForwardEntry(ctx context.Context, c identity.Caller, r *CreateForwardEntryRequest) (*CreateForwardEntryResponse, error) {
	var values forwardValues
	values.read(&r.ExternalIp, &r.ExternalPort, &r.IpProtocol, &r.InternalIp, &r.InternalPort)
	if values.err != nil {
		return nil, values.err
	}
	id, err := s.nat.CreateForwardEntry(ctx, c, nat.ForwardEntry{
		Region:       r.RegionId,
		Table:        r.ForwardTableId,
		Name:         given(r.ForwardEntryName),
		ExternalIP:   *values.externalIP,
		ExternalPort: *values.externalPort,
		Protocol:     *values.protocol,
		InternalIP:   *values.internalIP,
		InternalPort: *values.internalPort,
	})
	if err != nil {
		return nil, err
	}
	return &CreateForwardEntryResponse{ForwardEntryId: id}, nil
}

// ModifyForwardEntry implements Actions.
func (s *Service) ModifyForwardEntry(ctx context.Context, c identity.Caller, r *ModifyForwardEntryRequest) (*ModifyForwardEntryResponse, error) {
	var values forwardValues
	values.read(r.ExternalIp, r.ExternalPort, r.IpProtocol, r.InternalIp, r.InternalPort)
	if values.err != nil {
		return nil, values.err
	}
	return &ModifyForwardEntryResponse{}, s.nat.ModifyForwardEntry(ctx, c, nat.ForwardEntryChange{
		Region:       r.RegionId,
		Table:        r.ForwardTableId,
		ID:           r.ForwardEntryId,
		Name:         r.ForwardEntryName,
		ExternalIP:   values.externalIP,
		ExternalPort: values.externalPort,
		Protocol:     values.protocol,
		InternalIP:   values.internalIP,
		InternalPort: values.internalPort,
	})
}

// DescribeForwardTableEntries implements Actions.
func (s *Service) DescribeForwardTableEntries(_ context.Context, c identity.Caller, r *DescribeForwardTableEntriesRequest) (*DescribeForwardTableEntriesResponse, error) {
	var values forwardValues
	values.read(r.ExternalIp, r.ExternalPort, r.IpProtocol, r.InternalIp, r.InternalPort)
	if values.err != nil {
		return nil, values.err
	}
	q := nat.ForwardEntryQuery{
		Region:       r.RegionId,
		Table:        r.ForwardTableId,
		ID:           given(r.ForwardEntryId),
		Name:         given(r.ForwardEntryName),
		ExternalPort: values.externalPort,
		InternalPort: values.internalPort,
		Page:         pageOf(r.PageNumber, r.PageSize),
	}
	if values.externalIP != nil {
		q.ExternalIP = *values.externalIP
	}
	if values.internalIP != nil {
		q.InternalIP = *values.internalIP
	}
	q.Protocol = values.protocol
	entries, err := s.nat.ForwardEntries(c, q)
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

// forwardValues are the five values of a DNAT entry; nil was not given.
type forwardValues struct {
	externalIP, internalIP     *netip.Addr
	externalPort, internalPort *uint16 // 0: Any
	protocol                   *resource.Protocol
	err                        error // of the first value that can't be read
}

func (f *forwardValues) read(externalIP, externalPort, protocol, internalIP, internalPort *string) {
	f.externalIP = f.address("ExternalIp", externalIP)
	f.externalPort = f.port("ExternalPort", externalPort)
	f.internalIP = f.address("InternalIp", internalIP)
	f.internalPort = f.port("InternalPort", internalPort)
	f.protocol = protocolWords.of(protocol)
}

func (f *forwardValues) address(name string, v *string) *netip.Addr {
	if v == nil {
		return nil
	}
	a, err := address(name, *v)
	if err != nil && f.err == nil {
		f.err = err
	}
	return &a
}

func (f *forwardValues) port(name string, v *string) *uint16 {
	if v == nil {
		return nil
	}
	if *v == anyPort {
		return new(uint16)
	}
	n, ok := parseInt(*v, 1, 65535)
	if !ok && f.err == nil {
		f.err = invalidParameter(name)
	}
	p := uint16(n)
	return &p
}

func portText(p uint16) string {
	if p == 0 {
		return anyPort
	}
	return strconv.Itoa(int(p))
}
