package aliyun

import (
	"context"

	"sluice/controlplane/identity"
	"sluice/controlplane/vpn"
)

// CreateCustomerGateway implements Actions.
func (s *Service) CreateCustomerGateway(ctx context.Context, c identity.Caller, r *CreateCustomerGatewayRequest) (*CreateCustomerGatewayResponse, error) {
	in := vpn.CustomerGateway{Region: r.RegionId, Address: r.IpAddress, Name: given(r.Name), Description: given(r.Description), Labels: labels(r.ResourceGroupId, r.Tags)}
	if r.Asn != nil {
		in.ASN = uint32(*r.Asn)
	}
	g, err := s.vpn.CreateCustomerGateway(ctx, c, in)
	if err != nil {
		return nil, err
	}
	return &CreateCustomerGatewayResponse{
		CustomerGatewayId: g.ID,
		Name:              g.Name,
		Description:       g.Description,
		IpAddress:         g.Address.String(),
		CreateTime:        epochMs(g.CreatedAt),
	}, nil
}

// ModifyCustomerGatewayAttribute implements Actions.
func (s *Service) ModifyCustomerGatewayAttribute(ctx context.Context, c identity.Caller, r *ModifyCustomerGatewayAttributeRequest) (*ModifyCustomerGatewayAttributeResponse, error) {
	g, err := s.vpn.ModifyCustomerGateway(ctx, c, vpn.CustomerGatewayAttributes{
		Region:      r.RegionId,
		ID:          r.CustomerGatewayId,
		Name:        r.Name,
		Description: r.Description,
	})
	if err != nil {
		return nil, err
	}
	return &ModifyCustomerGatewayAttributeResponse{
		CustomerGatewayId: g.ID,
		Name:              g.Name,
		Description:       g.Description,
		IpAddress:         g.Address.String(),
		CreateTime:        epochMs(g.CreatedAt),
		ResourceGroupId:   s.tags.Group(g),
	}, nil
}

// DescribeCustomerGateways implements Actions.
func (s *Service) DescribeCustomerGateways(_ context.Context, c identity.Caller, r *DescribeCustomerGatewaysRequest) (*DescribeCustomerGatewaysResponse, error) {
	list, err := s.vpn.CustomerGateways(c, vpn.CustomerGatewayQuery{
		Region:   r.RegionId,
		IDs:      one(r.CustomerGatewayId),
		Labelled: labelled(r.ResourceGroupId, r.Tag),
		Page:     pageOf(r.PageNumber, r.PageSize),
	})
	if err != nil {
		return nil, err
	}
	out := &DescribeCustomerGatewaysResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, g := range list.Items {
		out.CustomerGateways.CustomerGateway = append(out.CustomerGateways.CustomerGateway, DescribeCustomerGatewaysCustomerGateway{
			CustomerGatewayId: g.ID,
			Name:              g.Name,
			Description:       g.Description,
			IpAddress:         g.Address.String(),
			CreateTime:        epochMs(g.CreatedAt),
			ResourceGroupId:   s.tags.Group(g),
			Tags:              DescribeCustomerGatewaysCustomerGatewayTags{showTags[DescribeCustomerGatewaysCustomerGatewayTag](s.tags.Of(g.ID))},
			Asn:               int64(g.ASN),
		})
	}
	return out, nil
}

// DescribeCustomerGateway implements Actions.
func (s *Service) DescribeCustomerGateway(_ context.Context, c identity.Caller, r *DescribeCustomerGatewayRequest) (*DescribeCustomerGatewayResponse, error) {
	g, err := s.vpn.CustomerGateway(c, r.RegionId, r.CustomerGatewayId)
	if err != nil {
		return nil, err
	}
	return &DescribeCustomerGatewayResponse{
		CustomerGatewayId: g.ID,
		Name:              g.Name,
		Description:       g.Description,
		IpAddress:         g.Address.String(),
		CreateTime:        epochMs(g.CreatedAt),
		ResourceGroupId:   s.tags.Group(g),
		Tags:              DescribeCustomerGatewayTags{showTags[DescribeCustomerGatewayTag](s.tags.Of(g.ID))},
		Asn:               int64(g.ASN),
	}, nil
}

// DeleteCustomerGateway implements Actions.
func (s *Service) DeleteCustomerGateway(ctx context.Context, c identity.Caller, r *DeleteCustomerGatewayRequest) (*DeleteCustomerGatewayResponse, error) {
	return &DeleteCustomerGatewayResponse{}, s.vpn.DeleteCustomerGateway(ctx, c, r.RegionId, r.CustomerGatewayId)
}
