package tencent3

import (
	"context"

	"sluice/controlplane/resource"
	"sluice/controlplane/vpn"
)

// CreateCustomerGateway implements Actions.
func (s *Service) CreateCustomerGateway(ctx context.Context, c Caller, r *CreateCustomerGatewayRequest) (*CreateCustomerGatewayResponse, error) {
	g, err := s.vpn.CreateCustomerGateway(ctx, c.Caller, vpn.CustomerGateway{Region: c.Region, Address: r.IpAddress, Name: r.CustomerGatewayName})
	if err != nil {
		return nil, err
	}
	return &CreateCustomerGatewayResponse{CustomerGateway: customerGateway(g)}, nil
}

// DescribeCustomerGateways implements Actions.
func (s *Service) DescribeCustomerGateways(_ context.Context, c Caller, r *DescribeCustomerGatewaysRequest) (*DescribeCustomerGatewaysResponse, error) {
	q := vpn.CustomerGatewayQuery{Region: c.Region, IDs: r.CustomerGatewayIds, Absent: len(r.Filters) > 0, Page: pageOf(r.Offset, r.Limit)}
	refused := listed("CustomerGatewayIds", r.CustomerGatewayIds, r.Filters)
	none := false
	if refused == nil {
		none, refused = narrowed(r.Filters, map[string]func([]string) *Error{
			"customer-gateway-id": texts(&q.IDs), "customer-gateway-name": texts(&q.Names), "ip-address": texts(&q.Addresses),
		})
	}
	if refused != nil {
		return nil, refused
	}
	out := &DescribeCustomerGatewaysResponse{}
	list, err := s.vpn.CustomerGateways(c.Caller, q)
	if err != nil || none {
		return out, err
	}
	out.TotalCount = int64(list.Total)
	for _, g := range list.Items {
		out.CustomerGatewaySet = append(out.CustomerGatewaySet, customerGateway(g))
	}
	return out, nil
}

func customerGateway(g *resource.CustomerGateway) CustomerGateway {
	at := timestamp(g.CreatedAt)
	return CustomerGateway{CustomerGatewayId: g.ID, CustomerGatewayName: g.Name, IpAddress: g.Address.String(), CreatedTime: at, CreateTime: at}
}

// ModifyCustomerGatewayAttribute implements Actions.
func (s *Service) ModifyCustomerGatewayAttribute(ctx context.Context, c Caller, r *ModifyCustomerGatewayAttributeRequest) (*ModifyCustomerGatewayAttributeResponse, error) {
	_, err := s.vpn.ModifyCustomerGateway(ctx, c.Caller, vpn.CustomerGatewayAttributes{Region: c.Region, ID: r.CustomerGatewayId, Name: &r.CustomerGatewayName})
	return &ModifyCustomerGatewayAttributeResponse{}, err
}

// DeleteCustomerGateway implements Actions.
func (s *Service) DeleteCustomerGateway(ctx context.Context, c Caller, r *DeleteCustomerGatewayRequest) (*DeleteCustomerGatewayResponse, error) {
	return &DeleteCustomerGatewayResponse{}, s.vpn.DeleteCustomerGateway(ctx, c.Caller, c.Region, r.CustomerGatewayId)
}
