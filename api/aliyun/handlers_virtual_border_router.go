package aliyun

import (
	"context"
	"math/bits"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"sluice/controlplane/identity"
	"sluice/controlplane/leasedline"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// CreateVirtualBorderRouter implements Actions.
func (s *Service) CreateVirtualBorderRouter(ctx context.Context, c identity.Caller, r *CreateVirtualBorderRouterRequest) (*CreateVirtualBorderRouterResponse, error) {
	p, err := peering("CreateVirtualBorderRouter", r.LocalGatewayIp, r.PeerGatewayIp, r.PeeringSubnetMask)
	if err != nil {
		return nil, err
	}
	b, err := s.lines.CreateBorderRouter(ctx, c, leasedline.NewBorderRouter{
		Region:      r.RegionId,
		Line:        r.PhysicalConnectionId,
		Owner:       given(r.VbrOwnerId),
		VLAN:        r.VlanId,
		CircuitCode: given(r.CircuitCode),
		Peering:     p,
		Name:        given(r.Name),
		Description: given(r.Description),
	})
	if err != nil {
		return nil, err
	}
	return &CreateVirtualBorderRouterResponse{VbrId: b.ID}, nil
}

// peering returns what an action is given of a peering.
func peering(action string, local, peer *netip.Addr, mask *string) (p leasedline.Peering, err error) {
	if local != nil {
		p.Local = *local
	}
	if peer != nil {
		p.Peer = *peer
	}
	if mask != nil {
		n, ok := maskBits(*mask)
		if !ok {
			return p, documented(action, "InvalidPeeringSubnetMask.Malformed", "").because("it is to be a mask of 24 to 30 bits, for example 255.255.255.252.")
		}
		p.Bits = n
	}
	return p, nil
}

// maskBits reads a mask: dotted, or its number of bits.
func maskBits(s string) (n int, ok bool) {
	if !strings.Contains(s, ".") {
		return parseInt(s, 24, 30)
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, false
	}
	b := a.As4()
	m := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n = bits.LeadingZeros32(^m)
	return n, m<<n == 0 && n >= 24 && n <= 30
}

// dotted writes a mask of so many bits.
func dotted(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return net.IP(net.CIDRMask(p.Bits(), 32)).String()
}

// DeleteVirtualBorderRouter implements Actions.
func (s *Service) DeleteVirtualBorderRouter(ctx context.Context, c identity.Caller, r *DeleteVirtualBorderRouterRequest) (*DeleteVirtualBorderRouterResponse, error) {
	return &DeleteVirtualBorderRouterResponse{}, s.lines.DeleteBorderRouter(ctx, c, r.RegionId, r.VbrId)
}

// TerminateVirtualBorderRouter implements Actions.
func (s *Service) TerminateVirtualBorderRouter(ctx context.Context, c identity.Caller, r *TerminateVirtualBorderRouterRequest) (*TerminateVirtualBorderRouterResponse, error) {
	return &TerminateVirtualBorderRouterResponse{}, s.lines.TerminateBorderRouter(ctx, c, r.RegionId, r.VbrId)
}

// RecoverVirtualBorderRouter implements Actions.
func (s *Service) RecoverVirtualBorderRouter(ctx context.Context, c identity.Caller, r *RecoverVirtualBorderRouterRequest) (*RecoverVirtualBorderRouterResponse, error) {
	return &RecoverVirtualBorderRouterResponse{}, s.lines.RecoverBorderRouter(ctx, c, r.RegionId, r.VbrId)
}

// ModifyVirtualBorderRouterAttribute implements Actions.
func (s *Service) ModifyVirtualBorderRouterAttribute(ctx context.Context, c identity.Caller, r *ModifyVirtualBorderRouterAttributeRequest) (*ModifyVirtualBorderRouterAttributeResponse, error) {
	p, err := peering("ModifyVirtualBorderRouterAttribute", r.LocalGatewayIp, r.PeerGatewayIp, r.PeeringSubnetMask)
	if err != nil {
		return nil, err
	}
	return &ModifyVirtualBorderRouterAttributeResponse{}, s.lines.ModifyBorderRouter(ctx, c, r.RegionId, r.VbrId, leasedline.BorderRouterChange{
		VLAN: r.VlanId, CircuitCode: r.CircuitCode, Peering: p, Naming: resource.Naming{Name: r.Name, Description: r.Description},
	})
}

// DescribeVirtualBorderRouters implements Actions.
func (s *Service) DescribeVirtualBorderRouters(_ context.Context, c identity.Caller, r *DescribeVirtualBorderRoutersRequest) (*DescribeVirtualBorderRoutersResponse, error) {
	q := leasedline.BorderRouterFilter{Region: r.RegionId}
	for _, f := range r.Filter {
		q.None = !borderFilters[f.Key](&q, f.Value) || q.None
	}
	list, page, err := lastPage(r.PageNumber, r.PageSize, func(p state.Page) (state.Listing[leasedline.BorderRouter], error) {
		return s.lines.BorderRouters(c, q, p)
	})
	if err != nil {
		return nil, err
	}
	out := &DescribeVirtualBorderRoutersResponse{TotalCount: list.Total, PageNumber: page, PageSize: r.PageSize}
	for _, b := range list.Items {
		out.VirtualBorderRouterSet.VirtualBorderRouterType = append(out.VirtualBorderRouterSet.VirtualBorderRouterType, DescribeVirtualBorderRoutersVirtualBorderRouterType{
			VbrId:                            b.ID,
			CreationTime:                     timestamp(b.CreatedAt),
			ActivationTime:                   timestamp(b.ActivatedAt),
			TerminationTime:                  timestamp(b.TerminatedAt),
			RecoveryTime:                     timestamp(b.RecoveredAt),
			Status:                           borderStateWords.wire(b.Shown),
			VlanId:                           strconv.Itoa(b.VLAN),
			CircuitCode:                      b.CircuitCode,
			RouteTableId:                     b.RouteTable,
			VlanInterfaceId:                  b.LineInterface,
			LocalGatewayIp:                   addressText(b.Local),
			PeerGatewayIp:                    addressText(b.Peer),
			PeeringSubnetMask:                dotted(b.Subnet),
			Name:                             b.Name,
			Description:                      b.Description,
			PhysicalConnectionId:             b.VirtualBorderRouter.Line,
			PhysicalConnectionStatus:         lineStateWords.wire(b.Line.Shown),
			PhysicalConnectionBusinessStatus: lineNormal,
			PhysicalConnectionOwnerUid:       b.LineOwner,
			AccessPointId:                    b.AccessPoint,
		})
	}
	return out, nil
}

// borderFilters are the filters of DescribeVirtualBorderRouters; see lineFilters.
var borderFilters = map[string]func(*leasedline.BorderRouterFilter, []string) bool{
	"VbrId":                func(q *leasedline.BorderRouterFilter, v []string) bool { return also(&q.IDs, v) },
	"PhysicalConnectionId": func(q *leasedline.BorderRouterFilter, v []string) bool { return also(&q.Lines, v) },
	"Status": func(q *leasedline.BorderRouterFilter, v []string) bool {
		return alsoWord(&q.States, borderStateWords, v)
	},
	"Name":          func(q *leasedline.BorderRouterFilter, v []string) bool { return also(&q.Names, v) },
	"AccessPointId": func(q *leasedline.BorderRouterFilter, v []string) bool { return also(&q.AccessPoints, v) },
}

// DescribeVirtualBorderRoutersForPhysicalConnection implements Actions.
func (s *Service) DescribeVirtualBorderRoutersForPhysicalConnection(_ context.Context, c identity.Caller, r *DescribeVirtualBorderRoutersForPhysicalConnectionRequest) (*DescribeVirtualBorderRoutersForPhysicalConnectionResponse, error) {
	list, page, err := lastPage(r.PageNumber, r.PageSize, func(p state.Page) (state.Listing[leasedline.BorderRouter], error) {
		return s.lines.BorderRoutersOf(c, r.RegionId, r.PhysicalConnectionId, p)
	})
	if err != nil {
		return nil, err
	}
	out := &DescribeVirtualBorderRoutersForPhysicalConnectionResponse{TotalCount: list.Total, PageNumber: page, PageSize: r.PageSize}
	for _, b := range list.Items {
		x := DescribeVirtualBorderRoutersForPhysicalConnectionVirtualBorderRouterForPhysicalConnectionType{
			VbrId:           b.ID,
			CreationTime:    timestamp(b.CreatedAt),
			ActivationTime:  timestamp(b.ActivatedAt),
			TerminationTime: timestamp(b.TerminatedAt),
			RecoveryTime:    timestamp(b.RecoveredAt),
			VlanId:          strconv.Itoa(b.VLAN),
			CircuitCode:     b.CircuitCode,
			Status:          borderStateWords.wire(b.Shown),
		}
		if b.Account != c.Account {
			x.VbrOwnerUid = b.Account
		}
		all := &out.VirtualBorderRouterForPhysicalConnectionSet.VirtualBorderRouterForPhysicalConnectionType
		*all = append(*all, x)
	}
	return out, nil
}
