package aliyun

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/routerinterface"
	"sluice/controlplane/state"
)

// CreateRouterInterface implements Actions.
func (s *Service) CreateRouterInterface(ctx context.Context, c identity.Caller, r *CreateRouterInterfaceRequest) (*CreateRouterInterfaceResponse, error) {
	id, err := s.links.Create(ctx, c, routerinterface.NewInterface{
		Region:      r.RegionId,
		RouterKind:  *routerWords.of(&r.RouterType),
		Router:      r.RouterId,
		AccessPoint: given(r.AccessPointId),
		Initiates:   *roleWords.of(&r.Role),
		Bandwidth:   *interfaceSpecWords.of(&r.Spec),
		Opposite: resource.Opposite{
			Region: r.OppositeRegionId, RouterKind: *routerWords.of(&r.OppositeRouterType), AccessPoint: given(r.OppositeAccessPointId),
			Router: given(r.OppositeRouterId), Interface: given(r.OppositeInterfaceId), Account: given(r.OppositeInterfaceOwnerId),
		},
		Name:        given(r.Name),
		Description: r.Description,
		Check:       routerinterface.Check{Source: r.HealthCheckSourceIp, Target: r.HealthCheckTargetIp},
		Labels:      labels(r.ResourceGroupId, r.Tags),
	})
	if err != nil {
		return nil, err
	}
	return &CreateRouterInterfaceResponse{RouterInterfaceId: id}, nil
}

// ConnectRouterInterface implements Actions.
func (s *Service) ConnectRouterInterface(ctx context.Context, c identity.Caller, r *ConnectRouterInterfaceRequest) (*ConnectRouterInterfaceResponse, error) {
	return &ConnectRouterInterfaceResponse{}, s.links.Connect(ctx, c, r.RegionId, r.RouterInterfaceId)
}

// ActivateRouterInterface implements Actions.
func (s *Service) ActivateRouterInterface(ctx context.Context, c identity.Caller, r *ActivateRouterInterfaceRequest) (*ActivateRouterInterfaceResponse, error) {
	return &ActivateRouterInterfaceResponse{}, s.links.Activate(ctx, c, r.RegionId, r.RouterInterfaceId)
}

// DeactivateRouterInterface implements Actions.
func (s *Service) DeactivateRouterInterface(ctx context.Context, c identity.Caller, r *DeactivateRouterInterfaceRequest) (*DeactivateRouterInterfaceResponse, error) {
	return &DeactivateRouterInterfaceResponse{}, s.links.Deactivate(ctx, c, r.RegionId, r.RouterInterfaceId)
}

// ModifyRouterInterfaceSpec implements Actions.
func (s *Service) ModifyRouterInterfaceSpec(ctx context.Context, c identity.Caller, r *ModifyRouterInterfaceSpecRequest) (*ModifyRouterInterfaceSpecResponse, error) {
	if err := s.links.ModifyBandwidth(ctx, c, r.RegionId, r.RouterInterfaceId, *interfaceSpecWords.of(&r.Spec)); err != nil {
		return nil, err
	}
	return &ModifyRouterInterfaceSpecResponse{Spec: r.Spec}, nil
}

// ModifyRouterInterfaceAttribute implements Actions.
func (s *Service) ModifyRouterInterfaceAttribute(ctx context.Context, c identity.Caller, r *ModifyRouterInterfaceAttributeRequest) (*ModifyRouterInterfaceAttributeResponse, error) {
	return &ModifyRouterInterfaceAttributeResponse{}, s.links.Modify(ctx, c, routerinterface.Attributes{
		Region:             r.RegionId,
		ID:                 r.RouterInterfaceId,
		Naming:             resource.Naming{Name: r.Name, Description: r.Description},
		OppositeRouterKind: routerWords.of(r.OppositeRouterType),
		OppositeRouter:     r.OppositeRouterId,
		OppositeInterface:  r.OppositeInterfaceId,
		OppositeAccount:    r.OppositeInterfaceOwnerId,
		Check:              routerinterface.Check{Source: r.HealthCheckSourceIp, Target: r.HealthCheckTargetIp},
		Uncheck:            r.DeleteHealthCheckIp,
	})
}

// DeleteRouterInterface implements Actions.
func (s *Service) DeleteRouterInterface(ctx context.Context, c identity.Caller, r *DeleteRouterInterfaceRequest) (*DeleteRouterInterfaceResponse, error) {
	return &DeleteRouterInterfaceResponse{}, s.links.Delete(ctx, c, r.RegionId, r.RouterInterfaceId)
}

// DescribeRouterInterfaces implements Actions.
func (s *Service) DescribeRouterInterfaces(_ context.Context, c identity.Caller, r *DescribeRouterInterfacesRequest) (*DescribeRouterInterfacesResponse, error) {
	q := routerinterface.Query{Region: r.RegionId, Labelled: labelled(r.ResourceGroupId, r.Tags)}
	for _, f := range r.Filter {
		q.None = !interfaceFilters[f.Key](&q, f.Value) || q.None
	}
	list, page, err := lastPage(r.PageNumber, r.PageSize, func(p state.Page) (state.Listing[routerinterface.Status], error) {
		q.Page = p
		return s.links.List(c, q)
	})
	if err != nil {
		return nil, err
	}
	out := &DescribeRouterInterfacesResponse{TotalCount: list.Total, PageNumber: page, PageSize: r.PageSize}
	for _, x := range list.Items {
		out.Instances.RouterInterfaceType = append(out.Instances.RouterInterfaceType, s.routerInterface(x))
	}
	return out, nil
}

// interfaceFilters are the filters of DescribeRouterInterfaces by their keys: each adds its
// values to a query, and says whether anything can meet it and what the query asks for already.
var interfaceFilters = map[string]func(*routerinterface.Query, []string) bool{
	"RouterInterfaceId":        func(q *routerinterface.Query, v []string) bool { return also(&q.IDs, v) },
	"RouterId":                 func(q *routerinterface.Query, v []string) bool { return also(&q.Routers, v) },
	"RouterType":               func(q *routerinterface.Query, v []string) bool { return alsoWord(&q.RouterKinds, routerWords, v) },
	"RouterInterfaceOwnerId":   func(q *routerinterface.Query, v []string) bool { return also(&q.Accounts, v) },
	"OppositeInterfaceId":      func(q *routerinterface.Query, v []string) bool { return also(&q.OppositeInterfaces, v) },
	"OppositeRouterType":       func(q *routerinterface.Query, v []string) bool { return alsoWord(&q.OppositeKinds, routerWords, v) },
	"OppositeRouterId":         func(q *routerinterface.Query, v []string) bool { return also(&q.OppositeRouters, v) },
	"OppositeInterfaceOwnerId": func(q *routerinterface.Query, v []string) bool { return also(&q.OppositeAccounts, v) },
	"Status":                   func(q *routerinterface.Query, v []string) bool { return alsoWord(&q.States, interfaceStateWords, v) },
	"Name":                     func(q *routerinterface.Query, v []string) bool { return also(&q.Names, v) },
}

// also narrows a condition to those of its values that are among others, too, and says
// whether there are any. No values are no condition.
func also[T comparable](condition *state.OneOf[T], values []T) bool {
	if len(values) == 0 {
		return true
	}
	if len(*condition) > 0 {
		values = slices.DeleteFunc(slices.Clone(values), func(v T) bool { return !condition.Allows(v) })
	}
	*condition = values
	return len(values) > 0
}

// alsoWord is also for words; those without a value are none's.
func alsoWord[T comparable](condition *state.OneOf[T], w words[T], given []string) bool {
	var values []T
	for _, x := range given {
		if v, ok := w.find(x); ok {
			values = append(values, v)
		}
	}
	return len(given) == 0 || len(values) > 0 && also(condition, values)
}

// What is the same of all router interfaces: nothing is locked, and they are paid as they are
// used.
const (
	interfaceNormal  = "Normal"
	interfaceCharged = "AfterPay"
)

func (s *Service) routerInterface(x routerinterface.Status) DescribeRouterInterfacesRouterInterfaceType {
	o := x.Opposite
	out := DescribeRouterInterfacesRouterInterfaceType{
		RouterInterfaceId:        x.ID,
		AccessPointId:            x.AccessPoint,
		OppositeRegionId:         o.Region,
		OppositeAccessPointId:    o.AccessPoint,
		Role:                     roleWords.wire(x.Initiates),
		Spec:                     interfaceSpecWords.wire(x.Bandwidth),
		Name:                     x.Name,
		Description:              x.Description,
		RouterId:                 x.Router,
		RouterType:               routerWords.wire(x.RouterKind),
		CreationTime:             timestamp(x.CreatedAt),
		Status:                   interfaceStateWords.wire(x.State),
		BusinessStatus:           interfaceNormal,
		OppositeInterfaceId:      o.Interface,
		OppositeRouterId:         o.Router,
		OppositeRouterType:       routerWords.wire(o.RouterKind),
		OppositeInterfaceOwnerId: o.Account,
		VpcInstanceId:            x.VPC,
		Bandwidth:                x.Bandwidth,
		ChargeType:               interfaceCharged,
		HasReservationData:       strconv.FormatBool(false),
		ResourceGroupId:          s.tags.Group(x.RouterInterface),
		Tags:                     DescribeRouterInterfacesRouterInterfaceTypeTags{showTags[DescribeRouterInterfacesRouterInterfaceTypeTagsItem](s.tags.Of(x.ID))},
	}
	if x.Check != nil {
		out.HealthCheckSourceIp, out.HealthCheckTargetIp = x.Check.Source.String(), x.Check.Target.String()
	}
	if x.Link != nil && x.State != routerinterface.Connecting && x.State != routerinterface.Accepting {
		out.ConnectedTime = timestamp(x.Link.Since)
	}
	if p := x.Peer; p != nil {
		out.OppositeInterfaceSpec, out.OppositeBandwidth = interfaceSpecWords.wire(p.Bandwidth), p.Bandwidth
		out.OppositeInterfaceStatus, out.OppositeInterfaceBusinessStatus = interfaceStateWords.wire(p.State), interfaceNormal
		out.OppositeVpcInstanceId = p.VPC
	}
	return out
}

// DescribeRouterInterfaceAttribute implements Actions. What is not there has an answer without
// anything in it: so public clients are told.
func (s *Service) DescribeRouterInterfaceAttribute(_ context.Context, c identity.Caller, r *DescribeRouterInterfaceAttributeRequest) (*DescribeRouterInterfaceAttributeResponse, error) {
	st, err := s.links.Get(c, given(r.RegionId), r.InstanceId)
	if errors.Is(err, &fault.Error{Reason: fault.RouterInterfaceNotFound}) {
		return &DescribeRouterInterfaceAttributeResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	x := s.routerInterface(st)
	return &DescribeRouterInterfaceAttributeResponse{
		RouterInterfaceId:               x.RouterInterfaceId,
		AccessPointId:                   x.AccessPointId,
		OppositeRegionId:                x.OppositeRegionId,
		OppositeAccessPointId:           x.OppositeAccessPointId,
		Role:                            x.Role,
		Spec:                            x.Spec,
		Name:                            x.Name,
		Description:                     x.Description,
		RouterId:                        x.RouterId,
		RouterType:                      x.RouterType,
		CreationTime:                    x.CreationTime,
		Status:                          x.Status,
		BusinessStatus:                  x.BusinessStatus,
		ConnectedTime:                   x.ConnectedTime,
		OppositeInterfaceId:             x.OppositeInterfaceId,
		OppositeInterfaceSpec:           x.OppositeInterfaceSpec,
		OppositeInterfaceStatus:         x.OppositeInterfaceStatus,
		OppositeInterfaceBusinessStatus: x.OppositeInterfaceBusinessStatus,
		OppositeRouterId:                x.OppositeRouterId,
		OppositeRouterType:              x.OppositeRouterType,
		OppositeInterfaceOwnerId:        x.OppositeInterfaceOwnerId,
		HealthCheckSourceIp:             x.HealthCheckSourceIp,
		HealthCheckTargetIp:             x.HealthCheckTargetIp,
		VpcInstanceId:                   x.VpcInstanceId,
		OppositeVpcInstanceId:           x.OppositeVpcInstanceId,
		Bandwidth:                       x.Bandwidth,
		OppositeBandwidth:               x.OppositeBandwidth,
		ChargeType:                      x.ChargeType,
		FastLinkMode:                    strconv.FormatBool(x.FastLinkMode),
		HasReservationData:              x.HasReservationData,
		ResourceGroupId:                 x.ResourceGroupId,
		Tags:                            DescribeRouterInterfaceAttributeTags{showTags[DescribeRouterInterfaceAttributeTagsItem](s.tags.Of(x.RouterInterfaceId))},
	}, nil
}
